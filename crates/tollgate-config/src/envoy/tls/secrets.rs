//! Secrets: those of the bootstrap, those of files, and those that TLS contexts have in place.

use std::cell::RefCell;

use tollgate_ir::{ObjectName, Secrets, ValidationContext};
use tollgate_model::tls::Identity;

use super::{
    certificate::read_certificate,
    schema::{SDS_SECRET_CONFIG, SECRET},
    validation::read_context,
};
use crate::{
    envoy::config_source::{is_from_server, read_from_server, read_resource},
    place::Place,
    schema::Value,
};

/// The secrets that TLS contexts may name, with those that they bring along.
pub(in crate::envoy) struct KnownSecrets {
    secrets: RefCell<Secrets>,
    /// Whether a name that is not among them leads nowhere. What a management server delivers is asked for by name.
    complete: bool,
    /// What precedes the names of those that are brought along.
    prefix: String,
}

impl KnownSecrets {
    /// Those of a bootstrap, to be filled.
    pub(in crate::envoy) fn of_bootstrap() -> Self {
        Self { secrets: RefCell::default(), complete: true, prefix: String::new() }
    }

    /// Any, since they are delivered by themselves.
    pub(in crate::envoy) fn delivered() -> Self {
        Self { secrets: RefCell::default(), complete: false, prefix: String::new() }
    }

    /// The same for a resource that has those that it brings along for itself alone.
    pub(in crate::envoy) fn delivered_for(resource: &ObjectName) -> Self {
        Self { prefix: format!("{resource}: "), ..Self::delivered() }
    }

    /// All of them.
    pub(in crate::envoy) fn into_inner(self) -> Secrets {
        self.secrets.into_inner()
    }

    /// Reads a `Secret` and keeps it under its name.
    pub(in crate::envoy) fn read(&self, value: &Value<'_>) {
        let Some((name, content)) = read_secret(value) else { return };
        let origin = Place::of(value).origin(None);
        let mut secrets = self.secrets.borrow_mut();
        let taken = match &content {
            Content::TlsCertificate(_) => secrets.tls_certificates.contains_key(&name),
            Content::ValidationContext(_) => secrets.validation_contexts.contains_key(&name),
        };
        if taken {
            value.error(format!("there are two secrets named \"{name}\" of this kind"));
            return;
        }
        match content {
            Content::TlsCertificate(identity) => secrets.add_certificate(&name, identity, origin),
            Content::ValidationContext(context) => secrets.add_validation_context(&name, context, origin),
        };
    }

    /// The name of a certificate that is written in place.
    pub(super) fn add_certificate(&self, identity: Identity, value: &Value<'_>) -> String {
        let name = format!("{}{}", self.prefix, identity.usual_name());
        self.secrets.borrow_mut().add_certificate(&name, identity, Place::of(value).origin(None))
    }

    /// The name of authorities that are written in place.
    pub(super) fn add_context(&self, name: &str, context: ValidationContext, value: &Value<'_>) -> String {
        let name = format!("{}{name}", self.prefix);
        self.secrets.borrow_mut().add_validation_context(&name, context, Place::of(value).origin(None))
    }

    /// What a secret and its context say together; `None` while the secret is not there.
    pub(super) fn merged(&self, validation: &tollgate_ir::Validation) -> Option<ValidationContext> {
        self.secrets.borrow().merged(validation).ok()
    }

    /// The name of the certificate that an `SdsSecretConfig` means.
    pub(super) fn certificate(&self, config: &Value<'_>) -> Option<String> {
        let has = |secrets: &Secrets, name: &str| secrets.tls_certificates.contains_key(name);
        self.named(config, "tls_certificate", has, |name, content| match content {
            Content::TlsCertificate(identity) => {
                let name = format!("{}{name}", self.prefix);
                let origin = Place::of(config).origin(None);
                Some(self.secrets.borrow_mut().add_certificate(&name, identity, origin))
            }
            Content::ValidationContext(_) => None,
        })
    }

    /// The name of the validation context that an `SdsSecretConfig` means.
    pub(super) fn validation_context(&self, config: &Value<'_>) -> Option<String> {
        let has = |secrets: &Secrets, name: &str| secrets.validation_contexts.contains_key(name);
        self.named(config, "validation_context", has, |name, content| match content {
            Content::ValidationContext(context) => Some(self.add_context(name, context, config)),
            Content::TlsCertificate(_) => None,
        })
    }

    /// The name of the secret of a kind that an `SdsSecretConfig` means. `add` keeps one that was read for it, and gives it a
    /// name, unless it is of another kind.
    fn named(
        &self,
        config: &Value<'_>,
        kind: &str,
        has: impl FnOnce(&Secrets, &str) -> bool,
        add: impl FnOnce(&str, Content) -> Option<String>,
    ) -> Option<String> {
        match self.find(config, kind, has)? {
            Found::Named(name) => Some(name),
            Found::Read(name, content) => {
                let added = add(&name, content);
                if added.is_none() {
                    config.error(format!("expected a secret with a \"{kind}\""));
                }
                added
            }
        }
    }

    fn find(
        &self,
        config: &Value<'_>,
        kind: &str,
        has: impl FnOnce(&Secrets, &str) -> bool,
    ) -> Option<Found> {
        let config = config.message(&SDS_SECRET_CONFIG)?;
        let name = Some(config.required_string("name")).filter(|name| !name.is_empty())?;
        let Some(source) = config.get("sds_config") else {
            if self.complete && !has(&self.secrets.borrow(), &name) {
                config.value().error_with_help(
                    format!("there is no secret \"{name}\" with a \"{kind}\""),
                    "write it into static_resources.secrets, or name its file in sds_config",
                );
                return None;
            }
            return Some(Found::Named(name));
        };
        if is_from_server(&source) {
            if self.complete {
                source.error_with_help(
                    "secrets of a management server are for resources that it delivers, too",
                    "name a file with path_config_source",
                );
                return None;
            }
            let read = read_from_server(&source, &SECRET, &name, read_secret);
            // What has not come is named, and keeps its context from being used.
            return Some(read.map_or(Found::Named(name), |(name, content)| Found::Read(name, content)));
        }
        let (name, content) = read_resource(&source, &SECRET, ("name", &name), read_secret)?;
        Some(Found::Read(name, content))
    }
}

/// What an `SdsSecretConfig` leads to.
enum Found {
    /// A secret that is known by its name, or will be delivered.
    Named(String),
    /// One that was read from a file.
    Read(String, Content),
}

/// What a secret holds.
enum Content {
    TlsCertificate(Identity),
    ValidationContext(ValidationContext),
}

fn read_secret(value: &Value<'_>) -> Option<(String, Content)> {
    let secret = value.message(&SECRET)?;
    let name = secret.required_string("name");
    let (kind, value) = secret.required_one_of(&["tls_certificate", "validation_context"])?;
    let content = match kind {
        "tls_certificate" => Content::TlsCertificate(read_certificate(&value)?),
        _ => Content::ValidationContext(read_context(&value)?),
    };
    Some((name, content))
}
