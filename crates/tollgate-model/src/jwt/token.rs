//! Tokens: `header.payload.signature`.

use std::collections::BTreeMap;

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use extproc::messages::{ListValue, Struct, Value, value::Kind};

use super::Fault;

/// base64url with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes base64url.
pub(super) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// A token that was taken apart. Whether its signature is right is another question ([`Jwks::verify`](super::Jwks::verify)).
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// The header.
    pub header: Struct,
    /// The payload.
    pub payload: Struct,
    /// The payload, as the token has it: base64url without padding.
    pub encoded_payload: String,
    /// What signs: an algorithm that is known.
    pub(super) algorithm: String,
    /// Which key, if the token says so.
    pub(super) key_id: String,
    /// Header and payload, as they were signed.
    pub(super) signed: String,
    pub(super) signature: Vec<u8>,
    /// `iss`, or nothing.
    pub issuer: String,
    /// `sub`, or nothing.
    pub subject: String,
    /// `aud`: those the token is for.
    pub audiences: Vec<String>,
    /// `nbf`, seconds since 1970, or zero.
    pub not_before: u64,
    /// `exp`, seconds since 1970; zero = never.
    pub expires: u64,
}

/// Algorithms of signatures.
const ALGORITHMS: [&str; 13] = [
    "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384",
    "PS512", "EdDSA",
];

impl Token {
    /// Takes a token apart.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| Fault::Form)?;
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Fault::Form);
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(Fault::Form);
        }
        let decoded = decode(header).ok_or(Fault::HeaderBase64)?;
        let decoded = object(&decoded).ok_or(Fault::HeaderJson)?;
        let algorithm = string(&decoded, "alg").ok().flatten().ok_or(Fault::Algorithm)?.to_owned();
        if !ALGORITHMS.contains(&&*algorithm) {
            return Err(Fault::UnknownAlgorithm);
        }
        let key_id = string(&decoded, "kid").map_err(|()| Fault::KeyId)?.unwrap_or_default().to_owned();
        let claims = decode(payload).ok_or(Fault::PayloadBase64)?;
        let claims = object(&claims).ok_or(Fault::PayloadJson)?;
        let text_of = |name, fault| match string(&claims, name) {
            Ok(text) => Ok(text.unwrap_or_default().to_owned()),
            Err(()) => Err(fault),
        };
        let issuer = text_of("iss", Fault::Issuer)?;
        let subject = text_of("sub", Fault::Subject)?;
        seconds(&claims, "iat", Fault::IssuedAt, Fault::IssuedAtRange)?;
        let not_before = seconds(&claims, "nbf", Fault::NotBefore, Fault::NotBeforeRange)?;
        let expires = seconds(&claims, "exp", Fault::Expiration, Fault::ExpirationRange)?;
        text_of("jti", Fault::Id)?;
        let audiences = audiences(&claims).ok_or(Fault::Audience)?;
        Ok(Self {
            encoded_payload: payload.to_owned(),
            signed: text[..header.len() + 1 + payload.len()].to_owned(),
            signature: decode(signature).ok_or(Fault::SignatureBase64)?,
            header: decoded,
            payload: claims,
            algorithm,
            key_id,
            issuer,
            subject,
            audiences,
            not_before,
            expires,
        })
    }

    /// The claim at a path; `None` if there is none.
    #[must_use]
    pub fn claim(&self, path: &[String]) -> Option<&Value> {
        let (last, outer) = path.split_last()?;
        let mut fields = &self.payload;
        for key in outer {
            match fields.fields.get(key)?.kind.as_ref()? {
                Kind::StructValue(inner) => fields = inner,
                _ => return None,
            }
        }
        fields.fields.get(last)
    }
}

/// A JSON object.
pub(super) fn object(text: &[u8]) -> Option<Struct> {
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(text).ok()?;
    Some(Struct { fields: fields.into_iter().map(|(name, field)| (name, value(field))).collect() })
}

fn value(json: serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(value),
        // What is no number for a double is none here, either.
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Array(list) => {
            Kind::ListValue(ListValue { values: list.into_iter().map(value).collect() })
        }
        serde_json::Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, field)| (name, value(field))).collect();
            Kind::StructValue(Struct { fields })
        }
    };
    Value { kind: Some(kind) }
}

/// The string of that name, if there is anything; an error if it is something else.
pub(super) fn string<'a>(fields: &'a Struct, name: &str) -> Result<Option<&'a str>, ()> {
    match fields.fields.get(name).map(|field| &field.kind) {
        None => Ok(None),
        Some(Some(Kind::StringValue(text))) => Ok(Some(text)),
        Some(_) => Err(()),
    }
}

/// A number of seconds, zero if there is none. Fractions are cut off.
fn seconds(fields: &Struct, name: &str, wrong_type: Fault, out_of_range: Fault) -> Result<u64, Fault> {
    match fields.fields.get(name).map(|field| &field.kind) {
        None => Ok(0),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the range")]
        Some(Some(Kind::NumberValue(number))) if (0.0..9.2e18).contains(number) => Ok(*number as u64),
        Some(Some(Kind::NumberValue(_))) => Err(out_of_range),
        Some(_) => Err(wrong_type),
    }
}

fn audiences(claims: &Struct) -> Option<Vec<String>> {
    let text = |value: &Value| match &value.kind {
        Some(Kind::StringValue(text)) => Some(text.clone()),
        _ => None,
    };
    match claims.fields.get("aud") {
        None => Some(Vec::new()),
        Some(Value { kind: Some(Kind::ListValue(list)) }) => list.values.iter().map(text).collect(),
        Some(one) => Some(vec![text(one)?]),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn written(header: &str, payload: &str) -> String {
        let encoded = |text: &str| BASE64.encode(text).trim_end_matches('=').to_owned();
        format!("{}.{}.AA", encoded(header), encoded(payload))
    }

    #[test]
    fn a_token_is_taken_apart() {
        let claims = r#"{"iss": "me", "sub": "you", "aud": ["a", "b"], "nbf": 1, "exp": 2.7, "a": {"b": {"c": true}}}"#;
        let text = written(r#"{"alg": "ES256", "kid": "k"}"#, claims);
        let token = Token::parse(text.as_bytes()).unwrap();
        assert_eq!((&*token.issuer, &*token.subject, &*token.key_id), ("me", "you", "k"));
        assert_eq!((token.audiences, token.not_before, token.expires), (vec!["a".into(), "b".into()], 1, 2));
        assert_eq!(token.signed, text.strip_suffix(".AA").unwrap());
    }

    #[test]
    fn claims_have_paths() {
        let token = written(r#"{"alg": "ES256"}"#, r#"{"a": {"b": "c"}, "d": 1}"#);
        let token = Token::parse(token.as_bytes()).unwrap();
        let claim =
            |path: &[&str]| token.claim(&path.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
        assert_eq!(claim(&["a", "b"]), Some(&Value { kind: Some(Kind::StringValue("c".into())) }));
        assert_eq!((claim(&["a", "x"]), claim(&["d", "b"]), claim(&[])), (None, None, None));
    }

    #[test]
    fn what_is_wrong_with_tokens() {
        let header = r#"{"alg": "ES256"}"#;
        let cases = [
            ("a.b".to_owned(), Fault::Form),
            ("a.b.c.d".to_owned(), Fault::Form),
            ("a..c".to_owned(), Fault::Form),
            ("\u{e9}.b.c".to_owned(), Fault::HeaderBase64),
            ("YQ.b.c".to_owned(), Fault::HeaderJson),
            (written("{}", "{}"), Fault::Algorithm),
            (written(r#"{"alg": 1}"#, "{}"), Fault::Algorithm),
            (written(r#"{"alg": "none"}"#, "{}"), Fault::UnknownAlgorithm),
            (written(r#"{"alg": "ES256", "kid": 1}"#, "{}"), Fault::KeyId),
            (written(header, "{}").replace(".e30.", ".*."), Fault::PayloadBase64),
            (written(header, "[]"), Fault::PayloadJson),
            (written(header, r#"{"iss": 1}"#), Fault::Issuer),
            (written(header, r#"{"sub": 1}"#), Fault::Subject),
            (written(header, r#"{"iat": "1"}"#), Fault::IssuedAt),
            (written(header, r#"{"iat": -1}"#), Fault::IssuedAtRange),
            (written(header, r#"{"nbf": null}"#), Fault::NotBefore),
            (written(header, r#"{"nbf": 1e30}"#), Fault::NotBeforeRange),
            (written(header, r#"{"exp": "x"}"#), Fault::Expiration),
            (written(header, r#"{"exp": -5}"#), Fault::ExpirationRange),
            (written(header, r#"{"jti": 1}"#), Fault::Id),
            (written(header, r#"{"aud": [1]}"#), Fault::Audience),
            (written(header, r#"{"aud": 1}"#), Fault::Audience),
            (written(header, "{}").replace(".AA", ".A*"), Fault::SignatureBase64),
        ];
        for (text, fault) in cases {
            assert_eq!(Token::parse(text.as_bytes()), Err(fault), "{text}");
        }
        // Brackets without end do not become a deep tree.
        let deep = written(header, &format!("{{\"a\":{}", "[".repeat(100_000)));
        assert_eq!(Token::parse(deep.as_bytes()), Err(Fault::PayloadJson));
    }
}
