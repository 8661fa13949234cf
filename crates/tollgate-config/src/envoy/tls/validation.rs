//! How certificates of peers are verified.

use tollgate_model::{
    matching::StringMatcher,
    tls::{SubjectAltNameMatcher, TrustAnchors, TrustSource},
};

use super::schema::{CERTIFICATE_VALIDATION_CONTEXT, SUBJECT_ALT_NAME_MATCHER};
use crate::{
    envoy::{data_source::read_text, matchers::read_string_matcher},
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

/// Reads `validation_context`; `None` when there is none.
pub(super) fn read_validation(common: &Message<'_>) -> Option<Validation> {
    let value = common.get("validation_context")?;
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
    if let (Some(first), None) = (names.first(), &source) {
        first.error("names can only be checked together with a trusted_ca");
    }
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
