//! JA3 and JA3S: MD5 of what a hello offers or chooses, in the order sent.
//!
//! Spec:   salesforce/ja3 README (JA3, JA3S); RFC 8701 (values left out)
//! Reads:  a ClientHello or a ServerHello
//! Yields: `ja3`, `ja3s`
//! Bounds: the hello's length; the text is hashed as it is written
//! Leaves: nothing

use md5::Md5;

use crate::pipeline::dissect::tls::hello::ClientHello;
use crate::pipeline::dissect::tls::hello::ServerHello;
use crate::pipeline::dissect::tls::hello::is_grease;
use crate::pipeline::dissect::tls::pen::Pen;

/// Returns JA3: `version,ciphers,extensions,groups,point formats`, in decimal, lists with `-`,
/// hashed.
pub fn client(hello: ClientHello<'_>) -> impl AsRef<[u8]> {
    let mut pen = Pen::<Md5>::new();
    pen.decimal(hello.version);
    list(&mut pen, hello.ciphers());
    list(&mut pen, hello.extensions().map(|(id, _)| id));
    list(&mut pen, hello.groups());
    list(&mut pen, hello.point_formats().map(u16::from));
    pen.finish()
}

/// Returns JA3S: `version,cipher,extensions`, hashed.
pub fn server(hello: ServerHello<'_>) -> impl AsRef<[u8]> {
    let mut pen = Pen::<Md5>::new();
    pen.decimal(hello.version);
    pen.text(b",");
    pen.decimal(hello.cipher);
    list(&mut pen, hello.extensions().map(|(id, _)| id));
    pen.finish()
}

fn list(pen: &mut Pen<Md5>, values: impl Iterator<Item = u16>) {
    let mut before = b",";
    for value in values.filter(|value| !is_grease(*value)) {
        pen.text(before);
        pen.decimal(value);
        before = b"-";
    }
    if before == b"," {
        pen.text(before);
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::dissect::tls::hello::ClientHello;
    use crate::pipeline::dissect::tls::hello::ServerHello;
    use crate::pipeline::dissect::tls::hello::tests::client;
    use crate::pipeline::dissect::tls::hello::tests::list16;
    use crate::pipeline::dissect::tls::hello::tests::server;

    fn hex(digest: &[u8]) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn check(version: u16, ciphers: &[u16], extensions: &[(u16, Vec<u8>)], ja3: &str) {
        let body = client(version, ciphers, extensions);
        let hello = ClientHello::parse(&body).expect("whole");
        assert_eq!(hex(super::client(hello).as_ref()), ja3);
    }

    #[test]
    fn the_examples_of_the_specification_hold() {
        // 769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0
        let ciphers = [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4];
        let extensions = [(0, vec![]), (10, list16(&[23, 24, 25])), (11, vec![1, 0])];
        check(769, &ciphers, &extensions, "ada70206e40642a3e4461f35503241d5");
        // 769,4-5-10-9-100-98-3-6-19-18-99,,,
        let ciphers = [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99];
        check(769, &ciphers, &[], "de350869b8c85de67a350c8d186f11e6");
    }

    #[test]
    fn grease_is_left_out_everywhere() {
        let ciphers = [0x0a0a, 47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4, 0xfafa];
        let groups = list16(&[0x1a1a, 23, 24, 25]);
        let extensions =
            [(0x2a2a, vec![]), (0, vec![]), (10, groups), (11, vec![1, 0]), (0xeaea, vec![0])];
        check(769, &ciphers, &extensions, "ada70206e40642a3e4461f35503241d5");
    }

    #[test]
    fn the_servers_example_holds() {
        // 769,47,65281-0-11-35-5-16
        let extensions = [65281, 0, 0x3a3a, 11, 35, 5, 16].map(|id| (id, vec![]));
        let body = server(769, 47, &extensions);
        let hello = ServerHello::parse(&body).expect("whole");
        assert_eq!(hex(super::server(hello).as_ref()), "836ce314215654b5b1f85f97c73e506f");
    }
}
