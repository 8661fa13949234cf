//! Settings of TLS towards backends, where Backends and EnvoyProxies say the same.

use tollgate_model::tls::TlsVersion;

use crate::schema::{Enumeration, Field, Message, Schema, Value, read, unimplemented};

/// Settings of TLS towards backends.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsSettings {
    /// Our own certificate.
    pub(crate) client_certificate: Option<SecretRef>,
    pub(crate) minimum: Option<TlsVersion>,
    pub(crate) maximum: Option<TlsVersion>,
}

/// A reference to a secret, as it was written.
#[derive(Debug, Clone)]
pub(crate) struct SecretRef {
    /// `None` = that of the referrer.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

const LIBRARY: &str = "the TLS library offers what is safe";

pub(super) const CLIENT_CERTIFICATE: Field =
    read("clientCertificateRef", "", "Secret with our own certificate.");
pub(super) const MINIMUM: Field = read("minVersion", "1.2", "Lowest version: Auto, 1.2 or 1.3.");
pub(super) const MAXIMUM: Field = read("maxVersion", "1.3", "Highest version: Auto, 1.2 or 1.3.");
pub(super) const CIPHERS: Field = unimplemented("ciphers", LIBRARY);
pub(super) const CURVES: Field = unimplemented("ecdhCurves", LIBRARY);
pub(super) const SIGNATURES: Field = unimplemented("signatureAlgorithms", LIBRARY);
pub(super) const ALPN: Field = unimplemented("alpnProtocols", "ALPN follows from the HTTP version in use");
pub(super) const FINGERPRINTS: Field =
    unimplemented("fingerprints", "no fingerprints are made of TLS handshakes");

static SECRET_REF: Schema = Schema {
    name: "SecretObjectReference",
    title: "",
    fields: &[
        read("group", "", "Empty: the core group."),
        read("kind", "Secret", "Secret."),
        read("name", "", "Name of the secret. Required."),
        read("namespace", "the namespace of the referrer", "Namespace of the secret."),
    ],
    unsupported: &[],
};

static VERSION: Enumeration<Option<TlsVersion>> = Enumeration {
    values: &[
        ("Auto", 0, Some(None)),
        ("1.0", 1, None),
        ("1.1", 2, None),
        ("1.2", 3, Some(Some(TlsVersion::Tls12))),
        ("1.3", 4, Some(Some(TlsVersion::Tls13))),
    ],
};

/// Reads the settings out of a message that has them among others.
pub(super) fn read_tls_settings(message: &Message<'_>) -> TlsSettings {
    TlsSettings {
        client_certificate: message.get("clientCertificateRef").and_then(|value| read_secret_ref(&value)),
        minimum: message.enumeration("minVersion", &VERSION, None),
        maximum: message.enumeration("maxVersion", &VERSION, None),
    }
}

fn read_secret_ref(value: &Value<'_>) -> Option<SecretRef> {
    let message = value.message(&SECRET_REF)?;
    if !message.string("group").is_empty() || !["", "Secret"].contains(&&*message.string("kind")) {
        value.error("only Secrets of the core group can be certificates");
    }
    Some(SecretRef {
        namespace: Some(message.string("namespace")).filter(|namespace| !namespace.is_empty()),
        name: Some(message.required_string("name")).filter(|name| !name.is_empty())?,
    })
}
