//! JA3 and JA3S: MD5 of what a hello offers or chooses, in the order sent.
//!
//! Spec:   salesforce/ja3 README (JA3, JA3S); RFC 8701 (values left out)
//! Reads:  a ClientHello or a ServerHello
//! Yields: `ja3`, `ja3s`
//! Bounds: the hello's length; the text is hashed as it is written
//! Leaves: nothing

use crate::pipeline::dissect::tls::hello::ClientHello;
use crate::pipeline::dissect::tls::hello::ServerHello;
use crate::pipeline::dissect::tls::hello::is_grease;
use crate::pipeline::dissect::tls::pen::Pen;
use md5::Md5;

/// Returns JA3: `version,ciphers,extensions,groups,point formats`, in decimal, lists with `-`, hashed.
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
