//! TLS towards processors (EG-63 to EG-66).

use tollgate_ir::{ServerValidation, UpstreamTlsContext};
use tollgate_model::tls::{ServerNameIndication, SubjectAltNameMatcher, TlsVersion, TlsVersions};

use super::{
    GROUP, ProxySettings,
    backend::BackendTls,
    tls_settings::{SecretRef, TlsSettings},
};
use crate::{
    gateway_api::Referrer,
    kubernetes::{ObjectKey, ObjectRef},
    translation::{Authorities, Translator},
};

/// What is asked of a server, and what it is told.
pub(super) struct Peer {
    pub(super) sni: ServerNameIndication,
    pub(super) validation: ServerValidation,
}

impl Peer {
    /// By `Backend.tls`.
    pub(super) fn of_backend(
        tls: &BackendTls,
        namespace: &str,
        translator: &Translator<'_>,
    ) -> Result<Self, String> {
        let sni = match &tls.sni {
            Some(sni) => ServerNameIndication::Fixed(sni.clone()),
            None if tls.sni_from_endpoint => {
                ServerNameIndication::EndpointHostname { otherwise: String::new() }
            }
            None => ServerNameIndication::Nothing,
        };
        if tls.skip_verification {
            return Ok(Self { sni, validation: ServerValidation::Nothing });
        }
        let authorities = if tls.system {
            let trusted = translator.system_authorities();
            trusted.ok_or_else(|| "the operating system trusts no certificate".to_owned())?
        } else {
            trusted(tls, namespace, translator)?
        };
        let validation = match &sni {
            ServerNameIndication::Fixed(name) => {
                let names = vec![SubjectAltNameMatcher::DnsName(name.clone())];
                ServerValidation::Chain(translator.validation(&authorities, names))
            }
            ServerNameIndication::EndpointHostname { .. } => {
                ServerValidation::ChainAndServerName(translator.validation(&authorities, Vec::new()))
            }
            ServerNameIndication::Nothing => {
                ServerValidation::Chain(translator.validation(&authorities, Vec::new()))
            }
        };
        Ok(Self { sni, validation })
    }
}

/// The certificates of every reference that can be used (EG-65).
fn trusted(tls: &BackendTls, namespace: &str, translator: &Translator<'_>) -> Result<Authorities, String> {
    let mut found = Vec::new();
    let mut problem = None;
    for reference in &tls.ca_certificates {
        match translator.ca_certificates(namespace, reference) {
            Ok(authorities) => found.push(authorities),
            Err(error) => {
                problem.get_or_insert_with(|| error.to_string());
            }
        }
    }
    Authorities::union(found).ok_or_else(|| {
        problem.unwrap_or_else(|| "no valid CA certificate found in referenced resources".to_owned())
    })
}

/// Everything together: the peer, our own certificate and the versions. What is offered by ALPN is left to the caller.
pub(super) fn settings(
    peer: Peer,
    backend: Option<(&BackendTls, &ObjectRef)>,
    gateway: &ProxySettings,
    translator: &Translator<'_>,
) -> Result<UpstreamTlsContext, String> {
    let of_proxy = gateway.tls_of_proxy().map(|(settings, _)| settings);
    Ok(UpstreamTlsContext {
        sni: peer.sni,
        validation: peer.validation,
        certificate: client_certificate(backend, gateway, translator)?,
        alpn_protocols: Vec::new(),
        versions: versions(backend.map(|(tls, _)| &tls.settings), of_proxy)?,
        max_session_keys: 1,
    })
}

fn versions(backend: Option<&TlsSettings>, proxy: Option<&TlsSettings>) -> Result<TlsVersions, String> {
    let settings = || backend.into_iter().chain(proxy);
    let minimum = settings().find_map(|settings| settings.minimum).unwrap_or(TlsVersion::Tls12);
    let maximum = settings().find_map(|settings| settings.maximum).unwrap_or(TlsVersion::Tls13);
    TlsVersions::new(minimum, maximum).map_err(|error| error.to_string())
}

/// The secret of the first one that is named: by the Backend, the Gateway, the EnvoyProxy (EG-64).
fn client_certificate(
    backend: Option<(&BackendTls, &ObjectRef)>,
    gateway: &ProxySettings,
    translator: &Translator<'_>,
) -> Result<Option<String>, String> {
    let of_backend = backend.and_then(|(tls, object)| {
        Some(("Backend", tls.settings.client_certificate.as_ref()?, object.namespace.as_str()))
    });
    let of_proxy = gateway.tls_of_proxy().and_then(|(settings, namespace)| {
        Some(("EnvoyProxy", settings.client_certificate.as_ref()?, namespace))
    });
    let secret = match of_backend.or(of_proxy) {
        Some((kind, secret, namespace)) => Some(permitted(kind, secret, namespace, translator)?),
        None => gateway.client_certificate.clone(),
    };
    secret.map(|secret| translator.certificate(&secret).map_err(|error| error.to_string())).transpose()
}

fn permitted(
    kind: &str,
    secret: &SecretRef,
    namespace: &str,
    translator: &Translator<'_>,
) -> Result<ObjectKey, String> {
    let key = ObjectKey::new(secret.namespace.as_deref().unwrap_or(namespace), &*secret.name);
    let to = ObjectRef::new("", "Secret", &key);
    if translator.grants.permit(Referrer { group: GROUP, kind, namespace }, &to) {
        Ok(key)
    } else {
        Err(format!("certificate ref to secret {key} not permitted by any ReferenceGrant"))
    }
}
