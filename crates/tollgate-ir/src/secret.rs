//! Secrets by name, and the TLS contexts that name them.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;
use tollgate_model::tls::{
    self, DownstreamTlsSettings, Identity, SubjectAltNameMatcher, TlsError, TrustAnchors, UpstreamTlsSettings,
};

use crate::{Origin, Sourced, resources::same_of};

/// TLS towards clients as written: certificates are names of [`Secrets::tls_certificates`].
pub type DownstreamTlsContext = DownstreamTlsSettings<String, ClientValidation>;
/// TLS towards upstreams as written: the certificate is a name of [`Secrets::tls_certificates`].
pub type UpstreamTlsContext = UpstreamTlsSettings<String, ServerValidation>;

/// All secrets of a configuration, by name. Those of one kind do not get in the way of those of another, as in Envoy.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Secrets {
    /// Certificates with their keys.
    pub tls_certificates: BTreeMap<String, Arc<Sourced<TlsCertificate>>>,
    /// What the certificates of peers are verified with.
    pub validation_contexts: BTreeMap<String, Arc<Sourced<ValidationContext>>>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TlsCertificate {
    /// Both of them; only the names of the certificate are shown.
    #[serde(rename = "dns_names")]
    pub identity: Identity,
}

/// What the certificates of peers are verified with.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ValidationContext {
    /// Certificates that are trusted. `None` = it says nothing about them.
    #[serde(skip)]
    pub trusted_ca: Option<TrustAnchors>,
    /// Conditions on names, one of which must be met; empty = any name.
    pub subject_alt_names: Vec<SubjectAltNameMatcher>,
    /// Certificates are accepted though they cannot be verified. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_untrusted: bool,
}

/// How a certificate is verified as written: with a secret, and what the context itself adds to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// Name of one of [`Secrets::validation_contexts`].
    pub secret: String,
    /// Name of another one whose authorities count as long as the secret names none. `None` = no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_trusted_ca: Option<String>,
    /// Further conditions on names: one of these or of the secret's must be met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<SubjectAltNameMatcher>,
    /// Certificates are accepted though they cannot be verified. Default false; the secret may say it, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_untrusted: bool,
}

/// What is asked of the certificates of clients, as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientValidation {
    /// Refuse clients without a certificate. Default false.
    pub require_client_certificate: bool,
    /// How certificates are verified; `None` accepts any.
    pub context: Option<Validation>,
}

/// What is asked of the server's certificate, as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ServerValidation {
    /// Nothing: every server is believed.
    Nothing,
    /// What the context says.
    Chain(Validation),
    /// Signed through a trusted certificate of the context, for the server name that was sent.
    ChainAndServerName(Validation),
}

/// Why a TLS context cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsContextError {
    /// It names a certificate that is not there.
    #[error("there is no secret \"{0}\" with a certificate")]
    UnknownCertificate(String),
    /// It names a validation context that is not there.
    #[error("there is no secret \"{0}\" with a validation context")]
    UnknownValidationContext(String),
    /// What it names cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Secrets {
    /// Takes over those of `others` whose names none of the same kind has.
    pub fn add_missing(&mut self, others: Self) {
        for (name, secret) in others.tls_certificates {
            self.tls_certificates.entry(name).or_insert(secret);
        }
        for (name, secret) in others.validation_contexts {
            self.validation_contexts.entry(name).or_insert(secret);
        }
    }

    /// Adds a certificate, and returns its name: `name`, or a longer one where another certificate has that.
    pub fn add_certificate(&mut self, name: &str, identity: Identity, origin: Arc<Origin>) -> String {
        add(&mut self.tls_certificates, name, TlsCertificate { identity }, origin)
    }

    /// Adds a validation context, and returns its name: `name`, or a longer one where another context has that.
    pub fn add_validation_context(
        &mut self,
        name: &str,
        context: ValidationContext,
        origin: Arc<Origin>,
    ) -> String {
        add(&mut self.validation_contexts, name, context, origin)
    }

    /// The certificate of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn certificate(&self, name: &str) -> Result<&Identity, TlsContextError> {
        let found = self.tls_certificates.get(name).map(|found| &found.identity);
        found.ok_or_else(|| TlsContextError::UnknownCertificate(name.to_owned()))
    }

    /// What the secrets and a context say together. Authorities of the secret count more than those of the context, names of both
    /// count.
    ///
    /// # Errors
    /// When there is no such secret.
    pub fn merged(&self, validation: &Validation) -> Result<ValidationContext, TlsContextError> {
        let own = self.validation_context(&validation.secret)?;
        let default = validation.default_trusted_ca.as_deref().map(|name| self.validation_context(name));
        let default = default.transpose()?.and_then(|context| context.trusted_ca.as_ref());
        let names = validation.subject_alt_names.iter().chain(&own.subject_alt_names);
        Ok(ValidationContext {
            trusted_ca: own.trusted_ca.as_ref().or(default).cloned(),
            subject_alt_names: names.cloned().collect(),
            accept_untrusted: own.accept_untrusted || validation.accept_untrusted,
        })
    }

    /// Whether both have the same under the names of a context, or nothing.
    pub(crate) fn same_for_upstream(&self, other: &Self, context: &UpstreamTlsContext) -> bool {
        let validation = match &context.validation {
            ServerValidation::Nothing => None,
            ServerValidation::Chain(validation) | ServerValidation::ChainAndServerName(validation) => {
                Some(validation)
            }
        };
        self.same_for(other, context.certificate.iter(), validation)
    }

    /// The same for TLS towards clients.
    pub(crate) fn same_for_downstream(&self, other: &Self, context: &DownstreamTlsContext) -> bool {
        let validation = context.client_validation.as_ref();
        let validation = validation.and_then(|validation| validation.context.as_ref());
        self.same_for(other, context.certificates.iter(), validation)
    }

    fn same_for<'n>(
        &self,
        other: &Self,
        mut certificates: impl Iterator<Item = &'n String>,
        validation: Option<&Validation>,
    ) -> bool {
        let validation = validation.into_iter();
        let mut contexts = validation
            .flat_map(|validation| std::iter::once(&validation.secret).chain(&validation.default_trusted_ca));
        certificates.all(|name| same_of(&self.tls_certificates, &other.tls_certificates, name))
            && contexts.all(|name| same_of(&self.validation_contexts, &other.validation_contexts, name))
    }

    fn validation_context(&self, name: &str) -> Result<&ValidationContext, TlsContextError> {
        let found = self.validation_contexts.get(name).map(|found| &found.value);
        found.ok_or_else(|| TlsContextError::UnknownValidationContext(name.to_owned()))
    }

    /// TLS towards clients with what the context names.
    ///
    /// # Errors
    /// When it names what is not there, has no certificate, or checks names without authorities.
    pub fn downstream(
        &self,
        context: &DownstreamTlsContext,
    ) -> Result<DownstreamTlsSettings, TlsContextError> {
        let settings = context.try_map(
            |name| self.certificate(name).cloned(),
            |validation| {
                let merged = validation.context.as_ref().map(|context| self.merged(context)).transpose()?;
                let ValidationContext { trusted_ca, subject_alt_names, accept_untrusted } =
                    merged.unwrap_or_default();
                let require_client_certificate = validation.require_client_certificate;
                let asks = require_client_certificate
                    || trusted_ca.is_some()
                    || !subject_alt_names.is_empty()
                    || accept_untrusted;
                Ok(asks.then_some(tls::ClientValidation {
                    require_client_certificate,
                    trusted_ca,
                    subject_alt_names,
                    accept_untrusted,
                }))
            },
        )?;
        settings.check()?;
        Ok(settings)
    }

    /// TLS towards upstreams with what the context names.
    ///
    /// # Errors
    /// When it names what is not there, or checks names without authorities.
    pub fn upstream(&self, context: &UpstreamTlsContext) -> Result<UpstreamTlsSettings, TlsContextError> {
        context.try_map(
            |name| self.certificate(name).cloned(),
            |validation| match validation {
                ServerValidation::Nothing => Ok(tls::ServerValidation::Nothing),
                ServerValidation::Chain(validation) => match self.merged(validation)? {
                    ValidationContext { accept_untrusted: true, .. } => Ok(tls::ServerValidation::Nothing),
                    ValidationContext { trusted_ca: Some(trusted_ca), subject_alt_names, .. } => {
                        Ok(tls::ServerValidation::Chain { trusted_ca, subject_alt_names })
                    }
                    without if without.subject_alt_names.is_empty() => Ok(tls::ServerValidation::Nothing),
                    _ => Err(TlsError::NamesWithoutTrust.into()),
                },
                ServerValidation::ChainAndServerName(validation) => {
                    let ValidationContext { trusted_ca, accept_untrusted, .. } = self.merged(validation)?;
                    if accept_untrusted {
                        return Ok(tls::ServerValidation::Nothing);
                    }
                    let trusted_ca = trusted_ca.ok_or(TlsError::NamesWithoutTrust)?;
                    Ok(tls::ServerValidation::ChainAndServerName { trusted_ca })
                }
            },
        )
    }
}

/// Adds a secret under the first name that is free or has the same content.
fn add<T: PartialEq>(
    secrets: &mut BTreeMap<String, Arc<Sourced<T>>>,
    name: &str,
    value: T,
    origin: Arc<Origin>,
) -> String {
    let mut own = name.to_owned();
    let mut number = 1;
    while let Some(other) = secrets.get(&own) {
        if other.value == value {
            return own;
        }
        number += 1;
        own = format!("{name}#{number}");
    }
    secrets.insert(own.clone(), Arc::new(Sourced { value, origin }));
    own
}

#[cfg(test)]
mod tests;
