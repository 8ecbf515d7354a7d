//! Planted fingerprints of hellos and certificates.

use md5::Digest;
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;

use super::Carrier;
use super::Hello;
use super::Plan;
use super::name::classic;
use super::population;
use super::population::Tribe;
use crate::generator::certificate;
use crate::generator::fingerprint::Fields;
use crate::generator::fingerprint::hex;
use crate::generator::indicator::Indicator;
use crate::generator::random::Random;

/// JA3: the near miss offers the same ciphers with the last two swapped.
pub(super) fn ja3(plan: &mut Plan, _round: usize) {
    let mut handshake = odd_handshake(plan);
    let indicator = [Indicator::new("ja3-fingerprint-md5", fields(&handshake.hello).ja3())];
    plan.hit("ja3", &indicator, Carrier::tls(handshake.clone()));
    let last = handshake.hello.ciphers.len() - 1;
    handshake.hello.ciphers.swap(last, last - 1);
    plan.near("ja3", &indicator, Carrier::tls(handshake));
}

/// JA4: the order of ciphers does not count, so the hit shuffles them; the near miss lacks one.
pub(super) fn ja4(plan: &mut Plan, _round: usize) {
    let mut handshake = odd_handshake(plan);
    let indicator = [Indicator::new("ja4-plus", fields(&handshake.hello).ja4())];
    plan.random.shuffle(&mut handshake.hello.ciphers);
    plan.hit("ja4", &indicator, Carrier::tls(handshake.clone()));
    let at = handshake.hello.ciphers.iter().rposition(|cipher| cipher & 0x0f0f != 0x0a0a);
    handshake.hello.ciphers.remove(at.unwrap_or(0));
    plan.near("ja4", &indicator, Carrier::tls(handshake));
}

/// JA3S: the near miss answers with two extensions swapped.
pub(super) fn ja3s(plan: &mut Plan, _round: usize) {
    let name = background_name(plan);
    let mut handshake = classic(plan, Some(&name));
    handshake.chain = certificate::chain(plan.seed, &name);
    handshake.answer.version = handshake.hello.version;
    handshake.answer.cipher = plan.rare_cipher();
    handshake.answer.extensions = vec![65_281, 11, 35, 23, 0];
    plan.random.shuffle(&mut handshake.answer.extensions);
    let message = handshake.answer.write(&mut Random::of(0, 0, 0));
    let indicator = [Indicator::new("ja3s", Fields::of_server(&message).ja3s())];
    plan.hit("ja3s", &indicator, Carrier::tls(handshake.clone()));
    handshake.answer.extensions.swap(1, 2);
    plan.near("ja3s", &indicator, Carrier::tls(handshake));
}

/// A certificate, the server's own or its signer's; the near miss has one bit of the signature
/// changed.
pub(super) fn certificate(plan: &mut Plan, round: usize) {
    let name = background_name(plan);
    let mut handshake = classic(plan, Some(&name));
    let signer = certificate::signer(&mut plan.random, "Quiet Hill CA");
    let leaf =
        certificate::leaf(&mut plan.random, &name, std::slice::from_ref(&name), "Quiet Hill CA");
    handshake.chain = vec![leaf, signer];
    let which = usize::from(round % 4 == 3);
    let der = &handshake.chain[which];
    let (observed, indicator) = match round % 3 {
        0 => ("cert_sha1", Indicator::new("x509-fingerprint-sha1", hex(&Sha1::digest(der)))),
        1 => ("cert_sha256", Indicator::new("x509-fingerprint-sha256", hex(&Sha256::digest(der)))),
        _ => ("cert_md5", Indicator::new("x509-fingerprint-md5", hex(&Md5::digest(der)))),
    };
    let indicator = [indicator];
    plan.hit(observed, &indicator, Carrier::tls(handshake.clone()));
    if let Some(last) = handshake.chain[which].last_mut() {
        *last ^= 1;
    }
    plan.near(observed, &indicator, Carrier::tls(handshake));
}

/// A handshake of a program that nobody else runs.
fn odd_handshake(plan: &mut Plan) -> super::Handshake {
    let name = background_name(plan);
    let mut handshake = plan.handshake(Some(&name));
    let cipher = plan.rare_cipher();
    let at = plan.random.within(1, 4) as usize;
    handshake.hello.ciphers.insert(at, cipher);
    handshake
}

/// The fields of a hello as it would be written; what is random in it is in none of them.
fn fields(hello: &Hello) -> Fields {
    Fields::of_client(&hello.write(&mut Random::of(0, 0, 0)))
}

fn background_name(plan: &mut Plan) -> String {
    population::domain(&mut plan.random, Tribe::Background)
}
