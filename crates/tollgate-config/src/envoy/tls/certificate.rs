//! Our own certificates.

use tollgate_model::tls::{Identity, TlsError};

use super::schema::{SDS_SECRET_CONFIG, SECRET, TLS_CERTIFICATE};
use crate::{
    envoy::{
        config_source::{is_from_server, read_resource},
        data_source::read_text,
    },
    schema::{Message, Value},
};

/// Reads `tls_certificates`, and those that are in files of their own.
pub(super) fn read_certificates(common: &Message<'_>) -> Vec<Identity> {
    let inline = common.list("tls_certificates");
    let of_files = common.list("tls_certificate_sds_secret_configs");
    let of_file = |config: &Value<'_>| read_secret(config, "tls_certificate", read_certificate);
    inline.iter().filter_map(read_certificate).chain(of_files.iter().filter_map(of_file)).collect()
}

/// Whether a context names certificates at all.
pub(super) fn has_certificates(common: &Message<'_>) -> bool {
    let lists = ["tls_certificates", "tls_certificate_sds_secret_configs"];
    lists.into_iter().any(|list| !common.list(list).is_empty())
}

/// Reads the secret that an `SdsSecretConfig` names, which has to be of that kind.
pub(super) fn read_secret<T>(
    config: &Value<'_>,
    kind: &'static str,
    read: impl Fn(&Value<'_>) -> Option<T>,
) -> Option<T> {
    let config = config.message(&SDS_SECRET_CONFIG)?;
    let name = config.required_string("name");
    let source = config.required("sds_config")?;
    if is_from_server(&source) {
        return None;
    }
    read_resource(&source, &SECRET, ("name", &name), |secret| {
        let secret = secret.message(&SECRET)?;
        secret.required_string("name");
        let (found, value) = secret.required_one_of(&["tls_certificate", "validation_context"])?;
        if found == kind {
            return read(&value);
        }
        value.error(format!("expected a secret with a \"{kind}\""));
        None
    })
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
