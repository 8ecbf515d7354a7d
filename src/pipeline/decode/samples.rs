//! Frames made in code, for the tests of this folder.

/// source port 4000, destination port 53, length, no checksum
pub(super) fn udp(payload: &[u8]) -> Vec<u8> {
    let [high, low] = (8 + payload.len() as u16).to_be_bytes();
    [&[15, 160, 0, 53, high, low, 0, 0], payload].concat()
}

/// source port 4000, destination port 53, PSH and ACK
pub(super) fn tcp(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = (5 + options.len() as u8 / 4) << 4;
    let fixed = [15, 160, 0, 53, 1, 2, 3, 4, 5, 6, 7, 8, words, 0x18, 0, 9, 0, 0, 0, 0];
    [&fixed, options, payload].concat()
}

/// 10.0.0.1 to 10.0.0.2
pub(super) fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    v4_options(protocol, &[], payload)
}

pub(super) fn v4_options(protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let first = 0x45 + options.len() as u8 / 4;
    let [high, low] = (20 + options.len() as u16 + payload.len() as u16).to_be_bytes();
    let fixed = [first, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&fixed, options, payload].concat()
}

/// A first fragment.
pub(super) fn v4_fragment(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = v4(protocol, payload);
    packet[6] = 0x20;
    packet
}

/// 2001:db8::1 to 2001:db8::2
pub(super) fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let address = |last| [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let fixed = [0x60, 0, 0, 0, high, low, next, 64];
    [&fixed[..], &address(1), &address(2), payload].concat()
}

/// An Ethernet frame of one VLAN tag.
pub(super) fn tagged() -> Vec<u8> {
    [&[2; 12][..], &[0x81, 0, 0, 5, 8, 0], &v4(6, &tcp(&[1; 12], b"hello"))].concat()
}

/// Frames of each shape with their link types.
pub(super) fn all() -> Vec<(u16, Vec<u8>)> {
    let ethernet = |kind: [u8; 2], packet: Vec<u8>| [&[2; 12][..], &kind, &packet].concat();
    let options = [60, 0, 1, 4, 0, 0, 0, 0];
    let last = [17, 0, 1, 4, 0, 0, 0, 0];
    vec![
        (1, ethernet([8, 0], v4(6, &tcp(&[1; 12], b"hello")))),
        (1, ethernet([8, 0], v4(17, &udp(b"hello")))),
        (1, ethernet([0x86, 0xdd], v6(6, &tcp(&[], b"hello")))),
        (1, ethernet([0x86, 0xdd], v6(0, &[&options[..], &last, &udp(b"hello")].concat()))),
        (1, tagged()),
        (101, v4_options(17, &[1; 8], &udp(b"hello"))),
        (101, v4(1, &[8, 0, 0, 0, 1, 2, 3, 4])),
        (101, v4(132, &udp(b"hello"))),
        (101, v4_fragment(6, &tcp(&[], b"hello"))),
    ]
}
