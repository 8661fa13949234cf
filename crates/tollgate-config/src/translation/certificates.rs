//! Certificates out of objects (EG-65).

use std::{fmt, sync::Arc};

use thiserror::Error;
use tollgate_ir::{Origin, Validation, ValidationContext};
use tollgate_model::tls::{Identity, SubjectAltNameMatcher, TrustAnchors};

use super::Translator;
use crate::{
    kubernetes::{Object, ObjectKey},
    routing::CertificateRef,
};

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

/// Certificates that are trusted, and what they are called after.
#[derive(Debug, Clone)]
pub(crate) struct Authorities {
    name: String,
    anchors: TrustAnchors,
    origin: Arc<Origin>,
}

impl Authorities {
    /// Those of the operating system.
    pub(super) fn of_system(anchors: TrustAnchors) -> Self {
        Self { name: anchors.usual_name(), anchors, origin: Arc::default() }
    }

    /// All of them together; `None` when there are none.
    pub(crate) fn union(all: Vec<Self>) -> Option<Self> {
        let name = all.iter().map(|one| &*one.name).collect::<Vec<_>>().join(",");
        let origin = Arc::clone(&all.first()?.origin);
        let anchors = TrustAnchors::union(all.into_iter().map(|one| one.anchors).collect())?;
        Some(Self { name, anchors, origin })
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
    ) -> Result<Authorities, CertificateError> {
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
    ) -> Result<Authorities, CertificateError> {
        let core = &self.store.core;
        let (text, origin) = match kind {
            CertificateKind::ConfigMap => {
                let map = core.config_maps.get(object);
                let map = map.ok_or_else(|| CertificateError::NotFound { kind, object: object.clone() })?;
                let data = &map.spec.data;
                let text = ca_of(
                    |key| data.get(key).map(String::as_bytes),
                    data.len(),
                    data.values().map(String::as_bytes),
                );
                (text, origin(map))
            }
            CertificateKind::Secret => {
                let secret = core.secrets.get(object);
                let secret =
                    secret.ok_or_else(|| CertificateError::NotFound { kind, object: object.clone() })?;
                let data = &secret.spec.data;
                let text = ca_of(
                    |key| data.get(key).map(Vec::as_slice),
                    data.len(),
                    data.values().map(Vec::as_slice),
                );
                (text, origin(secret))
            }
            CertificateKind::ClusterTrustBundle => {
                let bundle = core.cluster_trust_bundles.get(&ObjectKey::new("", &*object.name));
                let bundle = bundle.ok_or_else(|| CertificateError::NoTrustBundle(object.name.clone()))?;
                (Some(bundle.spec.trust_bundle.as_bytes()), origin(bundle))
            }
        };
        let name = object.name.clone();
        let Some(text) = text else { return Err(CertificateError::NoCertificate { kind, name }) };
        let anchors = TrustAnchors::from_pem(text).map_err(|error| match error {
            tollgate_model::tls::TlsError::NoCertificate => {
                CertificateError::NoCertificate { kind, name: name.clone() }
            }
            error => CertificateError::Unusable { kind, name: name.clone(), reason: error.to_string() },
        })?;
        let name = match kind {
            CertificateKind::ClusterTrustBundle => format!("{kind}/{name}"),
            CertificateKind::ConfigMap | CertificateKind::Secret => format!("{kind}/{object}"),
        };
        Ok(Authorities { name, anchors, origin })
    }

    /// Verification of certificates by some authorities, which become a secret. `subject_alt_names` are conditions on names.
    pub(crate) fn validation(
        &self,
        authorities: &Authorities,
        subject_alt_names: Vec<SubjectAltNameMatcher>,
    ) -> Validation {
        let Authorities { name, anchors, origin } = authorities;
        let context = ValidationContext { trusted_ca: Some(anchors.clone()), ..ValidationContext::default() };
        let secret = self.secrets.borrow_mut().add_validation_context(name, context, Arc::clone(origin));
        Validation { secret, default_trusted_ca: None, subject_alt_names, accept_untrusted: false }
    }

    /// The certificate and key that a Secret of type `kubernetes.io/tls` holds: the name of the secret that they become.
    pub(crate) fn certificate(&self, secret: &ObjectKey) -> Result<String, CertificateError> {
        if let Some(known) = self.cache.certificates.borrow().get(secret) {
            return known.clone();
        }
        let read = self.read_identity(secret).map(|(identity, origin)| {
            self.secrets.borrow_mut().add_certificate(&secret.to_string(), identity, origin)
        });
        self.cache.certificates.borrow_mut().insert(secret.clone(), read.clone());
        read
    }

    fn read_identity(&self, secret: &ObjectKey) -> Result<(Identity, Arc<Origin>), CertificateError> {
        let kind = CertificateKind::Secret;
        let object = self.store.core.secrets.get(secret);
        let object = object.ok_or_else(|| CertificateError::NotFound { kind, object: secret.clone() })?;
        let data = &object.spec.data;
        let unusable =
            |reason: String| CertificateError::Unusable { kind, name: secret.name.clone(), reason };
        let text = |key: &str| data.get(key).ok_or_else(|| unusable(format!("{key} is missing")));
        let identity = Identity::from_pem(text("tls.crt")?, text("tls.key")?);
        Ok((identity.map_err(|error| unusable(error.to_string()))?, origin(object)))
    }
}

fn origin<T>(object: &Object<T>) -> Arc<Origin> {
    object.meta.place.origin(Some(object.reference().object_name()))
}

/// The certificates among some texts: under a usual key, or the only text that there is.
fn ca_of<'a>(
    get: impl Fn(&str) -> Option<&'a [u8]>,
    number: usize,
    mut all: impl Iterator<Item = &'a [u8]>,
) -> Option<&'a [u8]> {
    CA_KEYS.into_iter().find_map(get).or_else(|| all.next().filter(|_| number == 1))
}
