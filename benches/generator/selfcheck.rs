//! The generator's own answers against known ones.

use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;

use super::certificate;
use super::fingerprint::Fields;
use super::fingerprint::md5_of;
use super::hello::Hello;
use super::population;
use super::population::Tribe;
use super::random::Random;
use super::template::TEMPLATES;

/// The JA4 of Chrome's hello in the JA4 specification's example, without its random order.
const CHROME_JA4: &str = "t13d1516h2_8daaf6152771_e5627efa2ab1";
/// An example of the JA3 README.
const JA3_TEXT: &str = "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0";
const JA3_MD5: &str = "ada70206e40642a3e4461f35503241d5";

/// Checks what can be checked without other programs; the answer names what is wrong.
pub(crate) fn self_check() -> Result<(), String> {
    expect("JA3 of the README's text", &md5_of(JA3_TEXT), JA3_MD5)?;
    chrome()?;
    certificates()?;
    populations()
}

fn chrome() -> Result<(), String> {
    let mut seen = 0;
    for n in 0..20 {
        let mut random = Random::of(n, 0, 0);
        let hello = Hello::of(&TEMPLATES[0], &mut random, Some("www.brightmeadow.com"));
        // Only the variant with ALPN and a session ticket extension is the example's.
        if !hello.extensions.contains(&16) || !hello.extensions.contains(&35) {
            continue;
        }
        seen += 1;
        expect("JA4 of Chrome", &Fields::of_client(&hello.write(&mut random)).ja4(), CHROME_JA4)?;
    }
    if seen == 0 { Err("no hello was like the JA4 example's".to_owned()) } else { Ok(()) }
}

fn certificates() -> Result<(), String> {
    for der in certificate::chain(1, "www.brightmeadow.com") {
        match X509Certificate::from_der(&der) {
            Ok(([], _)) => {}
            Ok((rest, _)) => return Err(format!("{} bytes follow a certificate", rest.len())),
            Err(why) => return Err(format!("a certificate does not parse: {why}")),
        }
    }
    Ok(())
}

/// No address is special-purpose, and the tribes do not meet.
fn populations() -> Result<(), String> {
    let mut random = Random::of(1, 2, 3);
    for _ in 0..10_000 {
        for tribe in [Tribe::Background, Tribe::Absent, Tribe::Planted] {
            let (v4, v6) =
                (population::v4_addr(&mut random, tribe), population::v6_addr(&mut random, tribe));
            let name = population::domain(&mut random, tribe);
            let digits = name.bytes().filter(u8::is_ascii_digit).count();
            if digits != tribe as usize {
                return Err(format!("{name} has {digits} digits"));
            }
            for addr in [v4, v6] {
                let special = match addr {
                    std::net::IpAddr::V4(v4) => {
                        v4.is_private()
                            || v4.is_loopback()
                            || v4.is_link_local()
                            || v4.is_multicast()
                            || v4.is_documentation()
                            || v4.octets()[0] == 0
                            || v4.octets()[0] >= 224
                    }
                    std::net::IpAddr::V6(v6) => {
                        v6.segments()[0] < 0x2003 || v6.segments()[0] >= 0x3fff
                    }
                };
                if special {
                    return Err(format!("{addr} is no ordinary address"));
                }
            }
        }
    }
    Ok(())
}

fn expect(what: &str, got: &str, want: &str) -> Result<(), String> {
    if got == want { Ok(()) } else { Err(format!("{what} is {got}, not {want}")) }
}
