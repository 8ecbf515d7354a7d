//! What the built-in mix and the planted frames say: small messages of DNS, TLS and HTTP.

/// Bytes of a hello, as browsers pad theirs (RFC 7685): one record of 517 with its head.
const HELLO_BYTES: usize = 517;

/// Returns a DNS question for an address (RFC 1035 section 4).
pub(super) fn question(name: &str, id: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
    push_name(&mut message, name);
    message.extend([0, 1, 0, 1]);
    message
}

/// Returns the answer to it: one address.
pub(super) fn answer(name: &str, id: u16, address: [u8; 4]) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    push_name(&mut message, name);
    message.extend([0, 1, 0, 1]);
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
    message.extend(address);
    message
}

fn push_name(message: &mut Vec<u8>, name: &str) {
    for label in name.split('.') {
        message.push(short(label.len()));
        message.extend(label.as_bytes());
    }
    message.push(0);
}

/// Returns a TLS 1.3 hello for a server's name (RFC 8446 section 4.1.2).
pub(super) fn hello(name: &str) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.push(32);
    body.extend([0xa5; 32]);
    body.extend([0, 8, 0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2f, 1, 0]);
    let mut extensions = Vec::new();
    let mut server_name = long(name.len() + 3).to_vec();
    server_name.push(0);
    server_name.extend(long(name.len()));
    server_name.extend(name.as_bytes());
    push_extension(&mut extensions, 0, &server_name);
    push_extension(&mut extensions, 10, &[0, 4, 0, 0x1d, 0, 0x17]);
    push_extension(&mut extensions, 13, &[0, 4, 0x04, 0x03, 0x08, 0x04]);
    push_extension(&mut extensions, 16, b"\0\x0c\x02h2\x08http/1.1");
    push_extension(&mut extensions, 43, &[2, 3, 4]);
    let mut key = vec![0, 36, 0, 0x1d, 0, 32];
    key.extend([0x77; 32]);
    push_extension(&mut extensions, 51, &key);
    let so_far = 5 + 4 + body.len() + 2 + extensions.len() + 4;
    push_extension(&mut extensions, 21, &vec![0; HELLO_BYTES.saturating_sub(so_far)]);
    body.extend(long(extensions.len()));
    body.extend(extensions);
    record(22, &handshake(1, &body))
}

/// Returns the server's answer: its hello, and a record that nobody can read.
pub(super) fn server_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0x33; 32]);
    body.push(32);
    body.extend([0xa5; 32]);
    body.extend([0x13, 0x01, 0]);
    let mut extensions = Vec::new();
    push_extension(&mut extensions, 43, &[3, 4]);
    let mut key = vec![0, 0x1d, 0, 32];
    key.extend([0x44; 32]);
    push_extension(&mut extensions, 51, &key);
    body.extend(long(extensions.len()));
    body.extend(extensions);
    let mut answer = record(22, &handshake(2, &body));
    answer.extend(record(23, &[0x99; 1_200]));
    answer
}

/// Returns a request's head.
pub(super) fn request(host: &str) -> Vec<u8> {
    format!(
        "GET /index.html?page=1 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (X11; Linux \
         x86_64) AppleWebKit/537.36\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Language: \
         en-GB,en;q=0.5\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes()
}

/// Returns the head of an answer to it, with the beginning of a long body.
pub(super) fn response() -> Vec<u8> {
    let mut response = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/html\r\n\
                         Content-Length: 20000\r\n\r\n"
        .to_vec();
    response.resize(1_400, b'x');
    response
}

fn push_extension(extensions: &mut Vec<u8>, number: u16, content: &[u8]) {
    extensions.extend(number.to_be_bytes());
    extensions.extend(long(content.len()));
    extensions.extend(content);
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0];
    message.extend(long(body.len()));
    message.extend(body);
    message
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 1];
    record.extend(long(content.len()));
    record.extend(content);
    record
}

fn short(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

fn long(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}
