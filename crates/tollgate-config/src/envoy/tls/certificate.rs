//! Our own certificates.

use tollgate_model::tls::{Identity, TlsError};

use super::{schema::TLS_CERTIFICATE, secrets::KnownSecrets};
use crate::{
    envoy::data_source::read_text,
    schema::{Message, Value},
};

/// Reads `tls_certificates`, or finds those that are secrets: their names.
pub(super) fn read_certificates(common: &Message<'_>, secrets: &KnownSecrets) -> Vec<String> {
    let in_place = common.list("tls_certificates");
    let named = common.list("tls_certificate_sds_secret_configs");
    let in_place = in_place
        .iter()
        .filter_map(|value| read_certificate(value).map(|identity| secrets.add_certificate(identity, value)));
    in_place.chain(named.iter().filter_map(|config| secrets.certificate(config))).collect()
}

/// Whether a context names certificates at all.
pub(super) fn has_certificates(common: &Message<'_>) -> bool {
    let lists = ["tls_certificates", "tls_certificate_sds_secret_configs"];
    lists.into_iter().any(|list| !common.list(list).is_empty())
}

pub(super) fn read_certificate(value: &Value<'_>) -> Option<Identity> {
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
