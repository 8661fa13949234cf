//! Our own certificates.

use tollgate_model::tls::{Identity, TlsError};

use super::schema::TLS_CERTIFICATE;
use crate::{
    envoy::data_source::read_text,
    schema::{Message, Value},
};

/// Reads `tls_certificates`.
pub(super) fn read_certificates(common: &Message<'_>) -> Vec<Identity> {
    common.list("tls_certificates").iter().filter_map(read_certificate).collect()
}

fn read_certificate(value: &Value<'_>) -> Option<Identity> {
    let message = value.message(&TLS_CERTIFICATE)?;
    let chain = message.required("certificate_chain");
    let key = message.required("private_key");
    read_identity(&chain?, &key?)
}

/// Reads a certificate chain and its key.
pub(in crate::envoy) fn read_identity(chain: &Value<'_>, key: &Value<'_>) -> Option<Identity> {
    let (chain_text, key_text) = (read_text(chain), read_text(key));
    let ((chain_text, chain_source), (key_text, key_source)) = (chain_text?, key_text?);
    match Identity::from_pem(&chain_text, &key_text) {
        Ok(identity) => Some(identity.with_sources(chain_source, key_source)),
        Err(error) => {
            let place = match error {
                TlsError::NoPrivateKey
                | TlsError::EncryptedPrivateKey
                | TlsError::PrivateKey(_)
                | TlsError::KeyMismatch => key,
                _ => chain,
            };
            place.error(error.to_string());
            None
        }
    }
}
