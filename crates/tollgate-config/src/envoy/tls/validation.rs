//! How certificates of peers are verified.

use tollgate_model::{
    matching::StringMatcher,
    tls::{SubjectAltNameMatcher, TrustAnchors, TrustSource},
};

use super::{
    certificate::read_secret,
    schema::{CERTIFICATE_VALIDATION_CONTEXT, COMBINED_VALIDATION_CONTEXT, SUBJECT_ALT_NAME_MATCHER},
};
use crate::{
    envoy::{config_source::is_from_server, data_source::read_text, matchers::read_string_matcher},
    schema::{Enumeration, Message, Schema, Value},
};

/// A `CertificateValidationContext`.
pub(super) struct Validation {
    pub(super) trusted_ca: Option<TrustAnchors>,
    pub(super) subject_alt_names: Vec<SubjectAltNameMatcher>,
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

pub(in crate::envoy) static TRUST_CHAIN_VERIFICATION: Enumeration<()> =
    Enumeration { values: &[("VERIFY_TRUST_CHAIN", 0, Some(())), ("ACCEPT_UNTRUSTED", 1, None)] };

pub(in crate::envoy) static SYSTEM_ROOT_CERTS: Schema = Schema {
    name: "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.SystemRootCerts",
    title: "",
    fields: &[],
    unsupported: &[],
};

/// Reads the validation context in place, in a file of its own, or in both; `None` when there is none.
pub(super) fn read_validation(common: &Message<'_>) -> Option<Validation> {
    let (kind, value) = common.one_of(&[
        "validation_context",
        "validation_context_sds_secret_config",
        "combined_validation_context",
    ])?;
    match kind {
        "validation_context" => read_whole(&value),
        "validation_context_sds_secret_config" => read_secret(&value, "validation_context", read_whole),
        _ => read_combined(&value),
    }
}

/// Whether the authorities come from a management server.
pub(super) fn is_delivered(common: &Message<'_>) -> bool {
    let secret = common.get("validation_context_sds_secret_config").or_else(|| {
        common.get("combined_validation_context")?.member("validation_context_sds_secret_config")
    });
    secret.and_then(|secret| secret.member("sds_config")).is_some_and(|source| is_from_server(&source))
}

/// Reads the validation context of a secret that a management server has delivered.
pub(super) fn read_delivered(value: &Value<'_>) {
    read_part(value);
}

/// The file says more than what is in place; of both, the authorities of the file count.
fn read_combined(value: &Value<'_>) -> Option<Validation> {
    let message = value.message(&COMBINED_VALIDATION_CONTEXT)?;
    let in_place = message.required("default_validation_context").and_then(|part| read_part(&part));
    let config = message.required("validation_context_sds_secret_config")?;
    let of_file = read_secret(&config, "validation_context", read_part)?;
    let mut whole = in_place?;
    whole.trusted_ca = of_file.trusted_ca.or(whole.trusted_ca);
    whole.subject_alt_names.extend(of_file.subject_alt_names);
    if whole.trusted_ca.is_none() && !whole.subject_alt_names.is_empty() {
        value.error("names can only be checked together with a trusted_ca");
    }
    Some(whole)
}

fn read_whole(value: &Value<'_>) -> Option<Validation> {
    let whole = read_part(value)?;
    let named = value.member_list("match_typed_subject_alt_names");
    let has_authority = value.member("trusted_ca").or_else(|| value.member("system_root_certs")).is_some();
    if let Some(first) = named.first().filter(|_| !has_authority) {
        first.error("names can only be checked together with a trusted_ca");
    }
    Some(whole)
}

/// Reads a `CertificateValidationContext` that need not say everything.
fn read_part(value: &Value<'_>) -> Option<Validation> {
    let message = value.message(&CERTIFICATE_VALIDATION_CONTEXT)?;
    message.enumeration("trust_chain_verification", &TRUST_CHAIN_VERIFICATION, ());
    let source = message.one_of(&["trusted_ca", "system_root_certs"]);
    let trusted_ca = source.as_ref().and_then(|(kind, source)| match *kind {
        "trusted_ca" => read_trusted_ca(source),
        _ => {
            source.message(&SYSTEM_ROOT_CERTS)?;
            system_roots(source)
        }
    });
    let names = message.list("match_typed_subject_alt_names");
    let subject_alt_names = names.iter().filter_map(read_subject_alt_name).collect();
    Some(Validation { trusted_ca, subject_alt_names })
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
