//! Certificates out of objects (EG-65).

use std::fmt;

use thiserror::Error;
use tollgate_model::tls::{Identity, TrustAnchors};

use super::Translator;
use crate::{kubernetes::ObjectKey, routing::CertificateRef};

/// Why an object gives no certificates.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum CertificateError {
    #[error("{kind} {} not found in namespace {}", .object.name, .object.namespace)]
    NotFound { kind: CertificateKind, object: ObjectKey },
    /// It belongs to no namespace.
    #[error("clustertrustbundle {0} not found")]
    NoTrustBundle(String),
    #[error("no ca found in {kind} {name}")]
    NoCertificate { kind: CertificateKind, name: String },
    #[error(
        "Unsupported reference kind, supported kinds are ConfigMap, Secret, and ClusterTrustBundle in caCertificateRefs"
    )]
    UnsupportedKind,
    /// The text is there and cannot be used.
    #[error("invalid certificate in {kind} {name}: {reason}")]
    Unusable { kind: CertificateKind, name: String, reason: String },
}

/// Kinds of objects with certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CertificateKind {
    ConfigMap,
    Secret,
    ClusterTrustBundle,
}

impl fmt::Display for CertificateKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
            Self::ClusterTrustBundle => "clustertrustbundle",
        })
    }
}

/// Keys that certificates of authorities stand under, the first one that exists counts.
const CA_KEYS: [&str; 2] = ["ca.crt", "tls.crt"];

impl Translator<'_> {
    /// The certificates that an object of `namespace` holds.
    pub(crate) fn ca_certificates(
        &self,
        namespace: &str,
        reference: &CertificateRef,
    ) -> Result<TrustAnchors, CertificateError> {
        let object = ObjectKey::new(namespace, &*reference.name);
        let kind = match (reference.group.as_str(), reference.kind.as_str()) {
            ("", "ConfigMap") => CertificateKind::ConfigMap,
            ("", "Secret") => CertificateKind::Secret,
            // Envoy Gateway knows the kind without its group, too.
            ("certificates.k8s.io" | "", "ClusterTrustBundle") => CertificateKind::ClusterTrustBundle,
            _ => return Err(CertificateError::UnsupportedKind),
        };
        let key = (kind, object);
        if let Some(known) = self.cache.authorities.borrow().get(&key) {
            return known.clone();
        }
        let read = self.read_authorities(kind, &key.1);
        self.cache.authorities.borrow_mut().insert(key, read.clone());
        read
    }

    fn read_authorities(
        &self,
        kind: CertificateKind,
        object: &ObjectKey,
    ) -> Result<TrustAnchors, CertificateError> {
        let core = &self.store.core;
        let text = match kind {
            CertificateKind::ConfigMap => core.config_maps.get(object).map(|map| {
                let data = &map.spec.data;
                ca_of(
                    |key| data.get(key).map(String::as_bytes),
                    data.len(),
                    data.values().map(String::as_bytes),
                )
            }),
            CertificateKind::Secret => core.secrets.get(object).map(|secret| {
                let data = &secret.spec.data;
                ca_of(|key| data.get(key).map(Vec::as_slice), data.len(), data.values().map(Vec::as_slice))
            }),
            CertificateKind::ClusterTrustBundle => {
                let bundle = core.cluster_trust_bundles.get(&ObjectKey::new("", &*object.name));
                let bundle = bundle.ok_or_else(|| CertificateError::NoTrustBundle(object.name.clone()))?;
                Some(Some(bundle.spec.trust_bundle.as_bytes()))
            }
        };
        let name = object.name.clone();
        let text = text.ok_or_else(|| CertificateError::NotFound { kind, object: object.clone() })?;
        let Some(text) = text else { return Err(CertificateError::NoCertificate { kind, name }) };
        TrustAnchors::from_pem(text).map_err(|error| match error {
            tollgate_model::tls::TlsError::NoCertificate => {
                CertificateError::NoCertificate { kind, name: name.clone() }
            }
            error => CertificateError::Unusable { kind, name: name.clone(), reason: error.to_string() },
        })
    }

    /// The certificate and key that a secret of type `kubernetes.io/tls` holds.
    pub(crate) fn identity(&self, secret: &ObjectKey) -> Result<Identity, CertificateError> {
        if let Some(known) = self.cache.identities.borrow().get(secret) {
            return known.clone();
        }
        let read = self.read_identity(secret);
        self.cache.identities.borrow_mut().insert(secret.clone(), read.clone());
        read
    }

    fn read_identity(&self, secret: &ObjectKey) -> Result<Identity, CertificateError> {
        let kind = CertificateKind::Secret;
        let object = self.store.core.secrets.get(secret);
        let data =
            &object.ok_or_else(|| CertificateError::NotFound { kind, object: secret.clone() })?.spec.data;
        let unusable =
            |reason: String| CertificateError::Unusable { kind, name: secret.name.clone(), reason };
        let text = |key: &str| data.get(key).ok_or_else(|| unusable(format!("{key} is missing")));
        Identity::from_pem(text("tls.crt")?, text("tls.key")?).map_err(|error| unusable(error.to_string()))
    }
}

/// The certificates among some texts: under a usual key, or the only text that there is.
fn ca_of<'a>(
    get: impl Fn(&str) -> Option<&'a [u8]>,
    number: usize,
    mut all: impl Iterator<Item = &'a [u8]>,
) -> Option<&'a [u8]> {
    CA_KEYS.into_iter().find_map(get).or_else(|| all.next().filter(|_| number == 1))
}
