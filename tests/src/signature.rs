//! AWS Signature Version 4 as its specification has it, to check the requests that functions sign.
//! [AWS IAM User Guide, "Create a signed AWS API request"]

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::upstream::Received;

/// The header `authorization` that `request` has if it was signed with the secret key `secret`: for the scope and the
/// headers that it names itself. The request has no query.
///
/// # Panics
/// The request has no such header, or it has another form.
pub fn authorization(request: &Received, secret: &str) -> String {
    let header = |name: &str| request.headers[name].to_str().expect("a text").trim().to_owned();
    let found = header("authorization");
    let member = |name: &str| {
        let (_, rest) = found.split_once(name).unwrap_or_else(|| panic!("no {name} in {found}"));
        rest.split(',').next().expect("a first part").to_owned()
    };
    let (credential, signed) = (member("Credential="), member("SignedHeaders="));
    let (_, scope) = credential.split_once('/').expect("a key and a scope");
    let (method, path) = request.route.split_once(' ').expect("a method and a path");
    let headers: String = signed.split(';').map(|name| format!("{name}:{}\n", header(name))).collect();
    let canonical = format!("{method}\n{path}\n\n{headers}\n{signed}\n{}", hex(&Sha256::digest(&request.body)));
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", header("x-amz-date"), hex(&Sha256::digest(canonical.as_bytes())));
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    let signature = hex(&hmac(&key, to_sign.as_bytes()));
    format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}")
}

/// HMAC-SHA256 (RFC 2104). `key` has at most 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let padded = |pad: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or_default() ^ pad).collect() };
    let inner = Sha256::digest([&padded(0x36)[..], message].concat());
    Sha256::digest([&padded(0x5c)[..], &inner[..]].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every text");
        text
    })
}
