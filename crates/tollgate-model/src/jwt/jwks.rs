//! Sets of public keys (RFC 7517).

use aws_lc_rs::{
    hmac,
    rsa::{PublicKeyComponents, RsaParameters},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
        EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
        RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
        RSA_PSS_2048_8192_SHA512, UnparsedPublicKey,
    },
};
use extproc::messages::{Struct, value::Kind};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use webpki::EndEntityCert;

use super::{
    Fault, Token,
    token::{decode, object, string},
};

/// Most keys of a set. A token that names no key is tried with each of them.
const MOST_KEYS: usize = 1000;

/// A set of keys.
#[derive(Debug)]
pub struct Jwks {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    /// `kid`; empty = it is for any token.
    id: String,
    /// `alg`; empty = any that it can be used with.
    algorithm: String,
    material: Material,
}

enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// `SubjectPublicKeyInfo` of a certificate.
    RsaInfo(Vec<u8>),
    Ec(&'static str, ParsedPublicKey),
    Ed25519(ParsedPublicKey),
    Secret(Vec<u8>),
}

impl std::fmt::Debug for Material {
    /// Secrets are not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rsa { .. } | Self::RsaInfo(_) => "RSA",
            Self::Ec(algorithm, _) => algorithm,
            Self::Ed25519(_) => "EdDSA",
            Self::Secret(_) => "secret",
        })
    }
}

impl Jwks {
    /// Reads a set. Keys that cannot be used are passed over.
    ///
    /// # Errors
    /// It is no set, or has no key that can be used.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let set = object(text).ok_or(Fault::KeySetJson)?;
        let list = match set.fields.get("keys").map(|keys| &keys.kind) {
            None => return Self::of_certificates(&set),
            Some(Some(Kind::ListValue(list))) => list,
            Some(_) => return Err(Fault::KeysNoList),
        };
        if list.values.len() > MOST_KEYS {
            return Err(Fault::TooManyKeys);
        }
        let keys = list.values.iter().filter_map(|key| match &key.kind {
            Some(Kind::StructValue(key)) => Key::read(key),
            _ => None,
        });
        let keys: Vec<_> = keys.collect();
        if keys.is_empty() { Err(Fault::NoValidKeys) } else { Ok(Self { keys }) }
    }

    /// Reads certificates by key identifier, as some providers publish them.
    fn of_certificates(set: &Struct) -> Result<Self, Fault> {
        if set.fields.is_empty() || set.fields.len() > MOST_KEYS {
            return Err(if set.fields.is_empty() { Fault::NoKeys } else { Fault::TooManyKeys });
        }
        let keys = set.fields.iter().map(|(id, certificate)| {
            let Some(Kind::StringValue(text)) = &certificate.kind else { return Err(Fault::NoKeys) };
            let certificate =
                CertificateDer::from_pem_slice(text.as_bytes()).map_err(|_| Fault::NoValidKeys)?;
            let certificate = EndEntityCert::try_from(&certificate).map_err(|_| Fault::NoValidKeys)?;
            let key = certificate.subject_public_key_info().to_vec();
            Ok(Key { id: id.clone(), algorithm: String::new(), material: Material::RsaInfo(key) })
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// Verifies the signature of a token.
    ///
    /// # Errors
    /// No key has signed it.
    pub fn verify(&self, token: &Token) -> Result<(), Fault> {
        let mut fault = Fault::NoSuchKey;
        for key in &self.keys {
            let is_other = !token.key_id.is_empty() && !key.id.is_empty() && key.id != token.key_id;
            if is_other || !key.algorithm.is_empty() && key.algorithm != token.algorithm {
                continue;
            }
            fault = Fault::Verification;
            if let Material::Ed25519(_) = key.material
                && token.signature.len() != 64
            {
                return Err(Fault::SignatureLength);
            }
            if key.material.has_signed(token) {
                return Ok(());
            }
        }
        Err(fault)
    }
}

impl Key {
    /// A key that can be used.
    fn read(key: &Struct) -> Option<Self> {
        let text = |name| string(key, name).ok().flatten();
        let bytes = |name| decode(text(name)?);
        let algorithm = text("alg").unwrap_or_default();
        let family =
            |families: &[&str]| algorithm.is_empty() || families.iter().any(|one| algorithm.starts_with(one));
        let material = match text("kty")? {
            "RSA" if family(&["RS", "PS"]) => {
                let exponent = without_zeros(bytes("e")?);
                let is_usual = exponent == [3] || exponent == [1, 0, 1];
                is_usual.then_some(Material::Rsa { modulus: without_zeros(bytes("n")?), exponent })?
            }
            "EC" if family(&["ES"]) => {
                let curve = text("crv").unwrap_or_default();
                let (name, width, verification) = curve_of(algorithm, curve)?;
                let point = point(&bytes("x")?, &bytes("y")?, width)?;
                Material::Ec(name, ParsedPublicKey::new(verification, point).ok()?)
            }
            "OKP" if algorithm.is_empty() || algorithm == "EdDSA" => {
                if text("crv")? != "Ed25519" {
                    return None;
                }
                Material::Ed25519(ParsedPublicKey::new(&ED25519, bytes("x")?).ok()?)
            }
            "oct" if matches!(algorithm, "" | "HS256" | "HS384" | "HS512") => {
                Material::Secret(bytes("k").filter(|secret| !secret.is_empty())?)
            }
            _ => return None,
        };
        let id = text("kid").unwrap_or_default().to_owned();
        Some(Self { id, algorithm: algorithm.to_owned(), material })
    }
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        "PS384" => &RSA_PSS_2048_8192_SHA384,
        "PS512" => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

type Curve = (&'static str, usize, &'static EcdsaVerificationAlgorithm);

/// The curve of a key: the algorithm that it is for, and the bytes of a coordinate.
fn curve_of(algorithm: &str, curve: &str) -> Option<Curve> {
    match (algorithm, curve) {
        ("ES256" | "", "P-256" | "") => Some(("ES256", 32, &ECDSA_P256_SHA256_FIXED)),
        ("ES384" | "", "P-384") | ("ES384", "") => Some(("ES384", 48, &ECDSA_P384_SHA384_FIXED)),
        ("ES512" | "", "P-521") | ("ES512", "") => Some(("ES512", 66, &ECDSA_P521_SHA512_FIXED)),
        _ => None,
    }
}

/// A point as it is, uncompressed.
fn point(x: &[u8], y: &[u8], width: usize) -> Option<Vec<u8>> {
    let mut point = vec![4];
    for coordinate in [x, y] {
        let digits = &coordinate[coordinate.iter().take_while(|byte| **byte == 0).count()..];
        point.resize(point.len() + width.checked_sub(digits.len())?, 0);
        point.extend_from_slice(digits);
    }
    Some(point)
}

fn without_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

impl Material {
    fn has_signed(&self, token: &Token) -> bool {
        let (message, signature) = (token.signed.as_bytes(), &*token.signature);
        match self {
            Self::Rsa { modulus, exponent } => {
                let key = PublicKeyComponents { n: modulus, e: exponent };
                rsa(&token.algorithm).is_some_and(|rsa| key.verify(rsa, message, signature).is_ok())
            }
            Self::RsaInfo(key) => rsa(&token.algorithm)
                .is_some_and(|rsa| UnparsedPublicKey::new(rsa, key).verify(message, signature).is_ok()),
            Self::Ec(algorithm, key) => {
                token.algorithm == *algorithm && key.verify_sig(message, signature).is_ok()
            }
            Self::Ed25519(key) => token.algorithm == "EdDSA" && key.verify_sig(message, signature).is_ok(),
            Self::Secret(secret) => {
                let algorithm = match &*token.algorithm {
                    "HS256" => hmac::HMAC_SHA256,
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => return false,
                };
                hmac::verify(&hmac::Key::new(algorithm, secret), message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests;
