use serde_json::Value;

use super::*;

/// Keys and tokens that OpenSSL has made.
fn vectors() -> Value {
    serde_json::from_str(include_str!("tests/vectors.json")).unwrap()
}

fn keys(vectors: &Value) -> Jwks {
    Jwks::parse(vectors["jwks"].to_string().as_bytes()).unwrap()
}

#[test]
fn every_algorithm_is_verified() {
    let vectors = vectors();
    let keys = keys(&vectors);
    let tokens = vectors["tokens"].as_object().unwrap();
    assert_eq!(tokens.len(), 13);
    for (algorithm, token) in tokens {
        let token = Token::parse(token.as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(keys.verify(&token), Ok(()), "{algorithm}");
        let mut other = token.clone();
        other.signed.push('x');
        assert_eq!(keys.verify(&other), Err(Fault::Verification), "{algorithm}");
        let mut cut = token.clone();
        cut.signature.pop();
        let fault = if algorithm == "EdDSA" { Fault::SignatureLength } else { Fault::Verification };
        assert_eq!(keys.verify(&cut), Err(fault), "{algorithm}");
        let unknown = Token { key_id: "unknown".into(), ..token };
        assert_eq!(keys.verify(&unknown), Err(Fault::NoSuchKey), "{algorithm}");
    }
}

/// A public key is no secret that anybody could sign with.
#[test]
fn a_key_is_for_its_own_algorithms() {
    let vectors = vectors();
    let mut set = vectors["jwks"].clone();
    for key in set["keys"].as_array_mut().unwrap() {
        key.as_object_mut().unwrap().remove("kid");
        key.as_object_mut().unwrap().remove("alg");
    }
    for (kept, other) in [("RSA", "HS256"), ("EC", "RS256"), ("oct", "ES256")] {
        let mut set = set.clone();
        set["keys"].as_array_mut().unwrap().retain(|key| key["kty"] == kept);
        let keys = Jwks::parse(set.to_string().as_bytes()).unwrap();
        let token = Token::parse(vectors["tokens"][other].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(keys.verify(&token), Err(Fault::Verification), "{kept}");
    }
}

#[test]
fn certificates_by_key() {
    let vectors = vectors();
    let keys = Jwks::parse(vectors["certificates"].to_string().as_bytes()).unwrap();
    let token = Token::parse(vectors["tokens"]["RS256"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(keys.verify(&token), Ok(()));
    for (set, fault) in [(r#"{"a": "b"}"#, Fault::NoValidKeys), (r#"{"a": 1}"#, Fault::NoKeys)] {
        assert_eq!(Jwks::parse(set.as_bytes()).err(), Some(fault));
    }
}

#[test]
fn what_is_no_set() {
    for (text, fault) in [
        ("", Fault::KeySetJson),
        ("[]", Fault::KeySetJson),
        ("{}", Fault::NoKeys),
        (r#"{"keys": {}}"#, Fault::KeysNoList),
        (r#"{"keys": []}"#, Fault::NoValidKeys),
        (r#"{"keys": [1, {}, {"kty": "x"}]}"#, Fault::NoValidKeys),
        (r#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "Ag"}]}"#, Fault::NoValidKeys),
        (r#"{"keys": [{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}]}"#, Fault::NoValidKeys),
        (
            r#"{"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES384", "x": "AQ", "y": "AQ"}]}"#,
            Fault::NoValidKeys,
        ),
        (r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AQ"}]}"#, Fault::NoValidKeys),
        (r#"{"keys": [{"kty": "oct", "k": ""}]}"#, Fault::NoValidKeys),
        (r#"{"keys": [{"kty": "oct", "k": "YQ", "alg": "RS256"}]}"#, Fault::NoValidKeys),
    ] {
        assert_eq!(Jwks::parse(text.as_bytes()).err(), Some(fault), "{text}");
    }
}

#[test]
fn a_set_has_a_bound() {
    let key = r#"{"kty": "oct", "k": "YQ"},"#;
    let set = |number: usize| format!(r#"{{"keys": [{}1]}}"#, key.repeat(number));
    assert!(Jwks::parse(set(MOST_KEYS - 1).as_bytes()).is_ok());
    assert_eq!(Jwks::parse(set(MOST_KEYS).as_bytes()).err(), Some(Fault::TooManyKeys));
    assert_eq!(Jwks::parse(set(100_000).as_bytes()).err(), Some(Fault::TooManyKeys));
}
