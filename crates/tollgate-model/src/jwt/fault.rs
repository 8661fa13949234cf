//! What can be wrong.

/// What is wrong with a token or a key set. Its text is what clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// There is no token.
    #[error("Jwt is missing")]
    Missing,
    /// `nbf` lies in the future.
    #[error("Jwt not yet valid")]
    NotYetValid,
    /// `exp` lies in the past.
    #[error("Jwt is expired")]
    Expired,
    /// Not three parts with dots between them.
    #[error("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")]
    Form,
    /// The header is not base64url.
    #[error("Jwt header is an invalid Base64url encoded")]
    HeaderBase64,
    /// The header is no JSON object.
    #[error("Jwt header is an invalid JSON")]
    HeaderJson,
    /// No `alg`.
    #[error("Jwt header [alg] field is required and must be a string")]
    Algorithm,
    /// An algorithm that nobody verifies, `none` among them.
    #[error("Jwt header [alg] is not supported")]
    UnknownAlgorithm,
    /// `kid` is no string.
    #[error("Jwt header [kid] field is not a string")]
    KeyId,
    /// The payload is not base64url.
    #[error("Jwt payload is an invalid Base64url encoded")]
    PayloadBase64,
    /// The payload is no JSON object.
    #[error("Jwt payload is an invalid JSON")]
    PayloadJson,
    /// `iss` is no string.
    #[error("Jwt payload [iss] field is not a string")]
    Issuer,
    /// `sub` is no string.
    #[error("Jwt payload [sub] field is not a string")]
    Subject,
    /// `iat` is no whole number.
    #[error("Jwt payload [iat] field is not an integer")]
    IssuedAt,
    /// `iat` is negative or too large.
    #[error("Jwt payload [iat] field is not a positive 64 bit integer")]
    IssuedAtRange,
    /// `nbf` is no whole number.
    #[error("Jwt payload [nbf] field is not an integer")]
    NotBefore,
    /// `nbf` is negative or too large.
    #[error("Jwt payload [nbf] field is not a positive 64 bit integer")]
    NotBeforeRange,
    /// `exp` is no whole number.
    #[error("Jwt payload [exp] field is not an integer")]
    Expiration,
    /// `exp` is negative or too large.
    #[error("Jwt payload [exp] field is not a positive 64 bit integer")]
    ExpirationRange,
    /// `jti` is no string.
    #[error("Jwt payload [jti] field is not a string")]
    Id,
    /// `aud` is neither a string nor a list of strings.
    #[error("Jwt payload [aud] field is not a string or string list")]
    Audience,
    /// The signature is not base64url.
    #[error("Jwt signature is an invalid Base64url encoded")]
    SignatureBase64,
    /// An Ed25519 signature does not have 64 bytes.
    #[error("Jwt ED25519 signature is wrong length")]
    SignatureLength,
    /// Nobody here knows the issuer.
    #[error("Jwt issuer is not configured")]
    UnknownIssuer,
    /// The token is for somebody else.
    #[error("Audiences in Jwt are not allowed")]
    AudienceNotAllowed,
    /// The signature is wrong.
    #[error("Jwt verification fails")]
    Verification,
    /// The key set is no JSON object.
    #[error("Jwks is an invalid JSON")]
    KeySetJson,
    /// It has no `keys`.
    #[error("Jwks does not have [keys] field")]
    NoKeys,
    /// `keys` is no list.
    #[error("[keys] in Jwks is not an array")]
    KeysNoList,
    /// It has no key that can be used.
    #[error("Jwks doesn't have any valid public key")]
    NoValidKeys,
    /// It has more keys than are tried for a token.
    #[error("Jwks has too many keys")]
    TooManyKeys,
    /// It has no key for the token.
    #[error("Jwks doesn't have key to match kid or alg from Jwt")]
    NoSuchKey,
    /// It could not be fetched.
    #[error("Jwks remote fetch is failed")]
    Fetch,
}

impl Fault {
    /// Its number in Envoy, for metadata.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Missing => 1,
            Self::NotYetValid => 2,
            Self::Expired => 3,
            Self::Form => 4,
            Self::HeaderBase64 => 5,
            Self::HeaderJson => 6,
            Self::Algorithm => 7,
            Self::UnknownAlgorithm => 8,
            Self::KeyId => 9,
            Self::PayloadBase64 => 10,
            Self::PayloadJson => 11,
            Self::Issuer => 12,
            Self::Subject => 13,
            Self::IssuedAt => 14,
            Self::IssuedAtRange => 15,
            Self::NotBefore => 16,
            Self::NotBeforeRange => 17,
            Self::Expiration => 18,
            Self::ExpirationRange => 19,
            Self::Id => 20,
            Self::Audience => 21,
            Self::SignatureBase64 => 22,
            Self::SignatureLength => 23,
            Self::UnknownIssuer => 24,
            Self::AudienceNotAllowed => 25,
            Self::Verification => 26,
            Self::KeySetJson => 28,
            Self::NoKeys => 29,
            Self::KeysNoList => 30,
            Self::NoValidKeys | Self::TooManyKeys => 31,
            Self::NoSuchKey => 32,
            Self::Fetch => 40,
        }
    }
}
