//! TLS of listeners: certificates and the validation of clients (9.3).

use std::sync::Arc;

use tollgate_ir::{ClientValidation, DownstreamTlsContext};
use tollgate_model::tls::TlsVersions;

use super::Problem;
use crate::{
    gateway_api::{FrontendValidation, GatewaySpec, ListenerEntry, Referrer, SecretReference},
    kubernetes::{Metadata, ObjectKey, ObjectRef},
    routing::CertificateRef,
    translation::{Authorities, CertificateError, Translator},
};

/// The type of secrets with certificates.
const TLS_SECRET: &str = "kubernetes.io/tls";

/// TLS of a listener and what is wrong with it.
#[derive(Default)]
pub(super) struct ListenerTls {
    /// `None` = it cannot be served.
    pub(super) tls: Option<Arc<DownstreamTlsContext>>,
    /// Why references are not resolved.
    pub(super) unresolved: Option<Problem>,
    /// Why it is not accepted.
    pub(super) refused: Option<Problem>,
    pub(super) insecure: bool,
}

/// Reads the certificates of a listener that `owner` has.
pub(super) fn listener_tls(
    translator: &Translator<'_>,
    owner: &Metadata,
    entry: &ListenerEntry,
    gateway: &GatewaySpec,
    gateway_meta: &Metadata,
) -> ListenerTls {
    let mut found = ListenerTls::default();
    let mut certificates = Vec::new();
    for reference in &entry.certificates {
        match certificate(translator, owner, reference) {
            Ok(identity) => certificates.push(identity),
            Err(problem) => {
                translator.diagnostics.error(&reference.place, problem.message.clone(), None);
                // A reference that is not permitted counts more than one that leads nowhere.
                let first = found.unresolved.as_ref();
                if first.is_none_or(|first| first.reason != "RefNotPermitted") {
                    found.unresolved = Some(problem);
                }
            }
        }
    }
    if entry.certificates_by_options {
        let message = "no option of tls gives certificates: name a Secret in certificateRefs".to_owned();
        translator.diagnostics.error(&entry.place, message.clone(), None);
        found.unresolved = Some(Problem::new("InvalidCertificateRef", message));
    }
    let by_port = gateway.client_validation_by_port.iter().find(|(port, _)| *port == entry.port);
    let validation = match by_port {
        Some((_, validation)) => validation.as_ref(),
        None => gateway.client_validation.as_ref(),
    };
    let client_validation = match validation {
        None => None,
        Some(validation) => match client_validation(translator, gateway_meta, validation, &mut found) {
            Some(validation) => Some(validation),
            None => return found,
        },
    };
    if certificates.is_empty() {
        return found;
    }
    found.tls = Some(Arc::new(DownstreamTlsContext {
        certificates,
        require_sni: false,
        full_scan_certs_on_sni_mismatch: false,
        client_validation,
        alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
        versions: TlsVersions::default(),
        prefer_client_ciphers: false,
        disable_stateless_session_resumption: false,
        disable_stateful_session_resumption: false,
    }));
    found
}

fn certificate(
    translator: &Translator<'_>,
    owner: &Metadata,
    reference: &SecretReference,
) -> Result<String, Problem> {
    let invalid = |message: String| Problem::new("InvalidCertificateRef", message);
    if !reference.group.is_empty() || reference.kind != "Secret" {
        return Err(invalid(format!("a certificate is a Secret, not a {}", reference.kind)));
    }
    let secret = permitted(translator, owner, reference)?;
    let found = translator.store.core.secrets.get(&secret);
    if let Some(found) = found.filter(|found| found.spec.secret_type != TLS_SECRET) {
        let found = if found.spec.secret_type.is_empty() { "Opaque" } else { &found.spec.secret_type };
        return Err(invalid(format!("secret {secret} is of type {found}, not {TLS_SECRET}")));
    }
    translator.certificate(&secret).map_err(|error| invalid(error.to_string()))
}

/// The object that a reference of `owner` means, if it is in the same namespace or a grant permits it.
pub(super) fn permitted(
    translator: &Translator<'_>,
    owner: &Metadata,
    reference: &SecretReference,
) -> Result<ObjectKey, Problem> {
    let namespace = reference.namespace.as_deref().unwrap_or(&owner.key.namespace);
    let key = ObjectKey::new(namespace, &*reference.name);
    let referrer = Referrer { group: &owner.group, kind: &owner.kind, namespace: &owner.key.namespace };
    let to = ObjectRef::new(&reference.group, &reference.kind, &key);
    if translator.grants.permit(referrer, &to) {
        Ok(key)
    } else {
        let message =
            format!("Certificate ref to {} {key} not permitted by any ReferenceGrant.", reference.kind);
        Err(Problem::new("RefNotPermitted", message))
    }
}

fn client_validation(
    translator: &Translator<'_>,
    gateway: &Metadata,
    validation: &FrontendValidation,
    found: &mut ListenerTls,
) -> Option<ClientValidation> {
    let mut anchors = Vec::new();
    for reference in &validation.ca_certificates {
        let loaded = permitted(translator, gateway, reference).and_then(|key| {
            let certificate = CertificateRef {
                group: reference.group.clone(),
                kind: reference.kind.clone(),
                name: key.name.clone(),
            };
            translator.ca_certificates(&key.namespace, &certificate).map_err(|error| {
                let reason = match error {
                    CertificateError::UnsupportedKind => "InvalidCACertificateKind",
                    _ => "InvalidCACertificateRef",
                };
                Problem::new(reason, error.to_string())
            })
        });
        match loaded {
            Ok(loaded) => anchors.push(loaded),
            Err(problem) => {
                translator.diagnostics.error(&reference.place, problem.message.clone(), None);
                found.unresolved.get_or_insert(problem);
            }
        }
    }
    let Some(authorities) = Authorities::union(anchors) else {
        let message = "no valid CA certificate to validate clients with";
        found.refused = Some(Problem::new("NoValidCACertificate", message));
        return None;
    };
    found.insecure = validation.insecure_fallback;
    if found.insecure {
        let message = "clients without a valid certificate are accepted (AllowInsecureFallback)";
        translator.diagnostics.warning(&validation.place, message, None);
    }
    Some(ClientValidation {
        require_client_certificate: !found.insecure,
        context: (!found.insecure).then(|| translator.validation(&authorities, Vec::new())),
    })
}
