//! Why TLS settings are refused.

/// Why TLS settings are refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// The text is not PEM, or a block in it is damaged.
    #[error("not valid PEM: {0}")]
    Pem(String),
    /// No `CERTIFICATE` block where one is needed.
    #[error("no certificate found")]
    NoCertificate,
    /// No private key block where one is needed.
    #[error("no private key found")]
    NoPrivateKey,
    /// The private key is encrypted with a password.
    #[error("the private key is encrypted; only keys without a password are supported")]
    EncryptedPrivateKey,
    /// The private key is of a kind that TLS cannot use.
    #[error("the private key cannot be used: {0}")]
    PrivateKey(rustls::Error),
    /// The private key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// A certificate cannot be parsed.
    #[error("the certificate cannot be used: {0}")]
    Certificate(String),
    /// The lowest version is above the highest one.
    #[error("the minimum TLS version is above the maximum")]
    NoVersion,
    /// Names are to be checked without a root to check the certificate itself.
    #[error("names of the peer's certificate can only be checked together with trusted_ca")]
    NamesWithoutTrust,
    /// The TLS library refused the settings.
    #[error(transparent)]
    Library(#[from] rustls::Error),
}
