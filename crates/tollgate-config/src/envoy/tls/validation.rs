//! How certificates of peers are verified.

use tollgate_ir::ValidationContext;
use tollgate_model::{
    matching::StringMatcher,
    tls::{SubjectAltNameMatcher, TrustAnchors, TrustSource},
};

use super::{
    schema::{CERTIFICATE_VALIDATION_CONTEXT, COMBINED_VALIDATION_CONTEXT, SUBJECT_ALT_NAME_MATCHER},
    secrets::KnownSecrets,
};
use crate::{
    envoy::{data_source::read_text, matchers::read_string_matcher},
    schema::{Enumeration, Message, Schema, Value},
};

/// How a certificate is verified.
pub(super) struct Validation {
    pub(super) context: tollgate_ir::Validation,
    /// Whether there are authorities, or there may be: those of a secret that is not there yet.
    pub(super) has_authorities: bool,
    /// Certificates that cannot be verified are accepted.
    pub(super) accepts_untrusted: bool,
}

#[derive(Clone, Copy)]
enum SanType {
    Dns,
    Uri,
    IpAddress,
}

static SAN_TYPE: Enumeration<SanType> = Enumeration {
    values: &[
        ("SAN_TYPE_UNSPECIFIED", 0, None),
        ("EMAIL", 1, None),
        ("DNS", 2, Some(SanType::Dns)),
        ("URI", 3, Some(SanType::Uri)),
        ("IP_ADDRESS", 4, Some(SanType::IpAddress)),
        ("OTHER_NAME", 5, None),
    ],
};

/// Whether certificates are accepted that cannot be verified.
pub(in crate::envoy) static TRUST_CHAIN_VERIFICATION: Enumeration<bool> =
    Enumeration { values: &[("VERIFY_TRUST_CHAIN", 0, Some(false)), ("ACCEPT_UNTRUSTED", 1, Some(true))] };

pub(in crate::envoy) static SYSTEM_ROOT_CERTS: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.SystemRootCerts",
    title: "",
    fields: &[],
    unsupported: &[],
};

/// Reads the validation context in place, that of a secret, or both; `None` when there is none, or it says nothing.
pub(super) fn read_validation(common: &Message<'_>, secrets: &KnownSecrets) -> Option<Validation> {
    let (kind, value) = common.one_of(&[
        "validation_context",
        "validation_context_sds_secret_config",
        "combined_validation_context",
    ])?;
    let context = match kind {
        "validation_context" => read_in_place(&value, secrets)?,
        "validation_context_sds_secret_config" => tollgate_ir::Validation {
            secret: secrets.validation_context(&value)?,
            default_trusted_ca: None,
            subject_alt_names: Vec::new(),
            accept_untrusted: false,
        },
        _ => read_combined(&value, secrets)?,
    };
    let merged = secrets.merged(&context);
    let has_authorities = merged.as_ref().is_none_or(|merged| merged.trusted_ca.is_some());
    let accepts_untrusted = merged.as_ref().is_some_and(|merged| merged.accept_untrusted);
    if merged.is_some_and(|merged| !has_authorities && !merged.subject_alt_names.is_empty()) {
        value.error("names can only be checked together with a trusted_ca");
    }
    Some(Validation { context, has_authorities, accepts_untrusted })
}

/// A secret says more than what is in place; of both, the authorities of the secret count.
fn read_combined(value: &Value<'_>, secrets: &KnownSecrets) -> Option<tollgate_ir::Validation> {
    let message = value.message(&COMBINED_VALIDATION_CONTEXT)?;
    let in_place = message.required("default_validation_context");
    let default = in_place.as_ref().and_then(read_context);
    let config = message.required("validation_context_sds_secret_config")?;
    let secret = secrets.validation_context(&config)?;
    let (in_place, ValidationContext { trusted_ca, subject_alt_names, accept_untrusted }) =
        (in_place?, default?);
    let default_trusted_ca =
        trusted_ca.map(|trusted_ca| add_authorities(trusted_ca, false, &in_place, secrets));
    Some(tollgate_ir::Validation { secret, default_trusted_ca, subject_alt_names, accept_untrusted })
}

fn read_in_place(value: &Value<'_>, secrets: &KnownSecrets) -> Option<tollgate_ir::Validation> {
    let ValidationContext { trusted_ca, subject_alt_names, accept_untrusted } = read_context(value)?;
    let mut named = value.member_list("match_typed_subject_alt_names");
    named.extend(value.member_list("match_subject_alt_names"));
    let has_authority = value.member("trusted_ca").or_else(|| value.member("system_root_certs")).is_some();
    if let Some(first) = named.first().filter(|_| !has_authority) {
        first.error("names can only be checked together with a trusted_ca");
    }
    let secret = match trusted_ca {
        // Names of nobody's certificate are not looked at.
        None if accept_untrusted => {
            let context = ValidationContext { accept_untrusted, ..ValidationContext::default() };
            secrets.add_context("accept-untrusted", context, value)
        }
        trusted_ca => add_authorities(trusted_ca?, accept_untrusted, value, secrets),
    };
    let accept_untrusted = false;
    Some(tollgate_ir::Validation { secret, default_trusted_ca: None, subject_alt_names, accept_untrusted })
}

/// The name of authorities that are written in place.
fn add_authorities(
    trusted_ca: TrustAnchors,
    accept_untrusted: bool,
    value: &Value<'_>,
    secrets: &KnownSecrets,
) -> String {
    let name = trusted_ca.usual_name();
    let context =
        ValidationContext { trusted_ca: Some(trusted_ca), subject_alt_names: Vec::new(), accept_untrusted };
    secrets.add_context(&name, context, value)
}

/// Reads a `CertificateValidationContext` that need not say everything.
pub(super) fn read_context(value: &Value<'_>) -> Option<ValidationContext> {
    let message = value.message(&CERTIFICATE_VALIDATION_CONTEXT)?;
    let accept_untrusted = message.enumeration("trust_chain_verification", &TRUST_CHAIN_VERIFICATION, false);
    let source = message.one_of(&["trusted_ca", "system_root_certs"]);
    let trusted_ca = source.as_ref().and_then(|(kind, source)| match *kind {
        "trusted_ca" => read_trusted_ca(source),
        _ => {
            source.message(&SYSTEM_ROOT_CERTS)?;
            system_roots(source)
        }
    });
    let names = message.list("match_typed_subject_alt_names");
    let mut subject_alt_names: Vec<_> = names.iter().filter_map(read_subject_alt_name).collect();
    let untyped = message.list("match_subject_alt_names");
    if names.is_empty() {
        subject_alt_names = untyped.iter().filter_map(read_string_matcher).flat_map(of_any_type).collect();
    }
    Some(ValidationContext { trusted_ca, subject_alt_names, accept_untrusted })
}

pub(in crate::envoy) fn read_trusted_ca(source: &Value<'_>) -> Option<TrustAnchors> {
    let (text, found) = read_text(source)?;
    match TrustAnchors::from_pem(&text) {
        Ok(anchors) => Some(anchors.with_source(TrustSource::Text(found))),
        Err(error) => {
            source.error(error.to_string());
            None
        }
    }
}

/// What the operating system trusts; its absence is reported at `value`.
pub(in crate::envoy) fn system_roots(value: &Value<'_>) -> Option<TrustAnchors> {
    let anchors = TrustAnchors::from_usable(value.context.files.system_roots()).ok();
    if anchors.is_none() {
        value.error_with_help("the system has no trusted certificates", "name a file with them");
    }
    anchors.map(|anchors| anchors.with_source(TrustSource::System))
}

/// A name of which it is not said what it is.
fn of_any_type(matcher: StringMatcher) -> Vec<SubjectAltNameMatcher> {
    let mut names = Vec::new();
    match &matcher {
        StringMatcher::Exact(name) | StringMatcher::ExactIgnoreCase(name) => {
            names.push(SubjectAltNameMatcher::DnsName(name.to_ascii_lowercase()));
            names.extend(name.parse().ok().map(SubjectAltNameMatcher::IpAddress));
        }
        _ => names.push(SubjectAltNameMatcher::Dns(matcher.clone())),
    }
    names.push(SubjectAltNameMatcher::Uri(matcher));
    names
}

fn read_subject_alt_name(value: &Value<'_>) -> Option<SubjectAltNameMatcher> {
    let message = value.message(&SUBJECT_ALT_NAME_MATCHER)?;
    let san_type = message.required("san_type").and_then(|san_type| san_type.enumeration(&SAN_TYPE));
    let value = message.required("matcher");
    let matcher = value.as_ref().and_then(read_string_matcher);
    Some(match (san_type?, matcher?) {
        // An exact DNS name is also covered by a wildcard of the certificate.
        (SanType::Dns, StringMatcher::Exact(name) | StringMatcher::ExactIgnoreCase(name)) => {
            SubjectAltNameMatcher::DnsName(name.to_ascii_lowercase())
        }
        (SanType::Dns, matcher) => SubjectAltNameMatcher::Dns(matcher),
        (SanType::Uri, matcher) => SubjectAltNameMatcher::Uri(matcher),
        (SanType::IpAddress, StringMatcher::Exact(text)) if text.parse::<std::net::IpAddr>().is_ok() => {
            SubjectAltNameMatcher::IpAddress(text.parse().ok()?)
        }
        (SanType::IpAddress, _) => {
            value?.error("an IP_ADDRESS is matched by \"exact\" and an address");
            return None;
        }
    })
}
