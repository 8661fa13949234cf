//! `/certs`: the certificates in use, and how long they are valid.

use std::{collections::BTreeMap, time::SystemTime};

use serde_json::{Value, json};
use tollgate_model::{
    Snapshot,
    tls::{Identity, TextSource, TrustAnchors, TrustSource},
};
use tollgate_proxy::CertificateFacts;

use crate::in_force::timestamp;

const SECONDS_OF_A_DAY: u64 = 86_400;

/// Envoy's `Certificates` message: an entry for each TLS context. Contexts with the same certificates are one.
pub(super) fn json(snapshot: &Snapshot, now: SystemTime) -> Value {
    let mut entries = BTreeMap::new();
    let mut add = |trusted: Option<&TrustAnchors>, own: &[&Identity]| {
        let trusted: Vec<Value> = trusted.iter().filter_map(|anchors| of_anchors(anchors, now)).collect();
        let own: Vec<Value> = own.iter().filter_map(|identity| of_identity(identity, now)).collect();
        let entry = json!({ "ca_cert": trusted, "cert_chain": own });
        entries.insert(entry.to_string(), entry);
    };
    for listener in &snapshot.listeners {
        for tls in listener
            .filter_chains
            .iter()
            .chain(&listener.default_filter_chain)
            .filter_map(|chain| chain.tls.as_ref())
        {
            let settings = tls.settings();
            let trusted =
                settings.client_validation.as_ref().and_then(|validation| validation.trusted_ca.as_ref());
            add(trusted, &settings.certificates.iter().collect::<Vec<_>>());
        }
    }
    for tls in snapshot.clusters.values().filter_map(|cluster| cluster.tls.as_ref()) {
        let settings = tls.settings();
        add(settings.validation.trusted_ca(), &settings.certificate.iter().collect::<Vec<_>>());
    }
    json!({ "certificates": entries.into_values().collect::<Vec<_>>() })
}

fn of_identity(identity: &Identity, now: SystemTime) -> Option<Value> {
    shown(identity.chain().first()?, &path(identity.chain_source()), now)
}

/// Of several certificates the first one is shown, as in Envoy.
fn of_anchors(anchors: &TrustAnchors, now: SystemTime) -> Option<Value> {
    let path = match anchors.source() {
        TrustSource::Text(source) => path(source),
        TrustSource::System => "<system>".to_owned(),
        TrustSource::Several => "<inline>".to_owned(),
    };
    shown(anchors.certificates().first()?, &path, now)
}

fn path(source: &TextSource) -> String {
    match source {
        TextSource::File(path) => path.display().to_string(),
        TextSource::Environment(_) | TextSource::Inline(_) => "<inline>".to_owned(),
    }
}

fn shown(certificate: &[u8], path: &str, now: SystemTime) -> Option<Value> {
    let facts = CertificateFacts::of(certificate)?;
    let left = facts.valid_to.duration_since(now).map_or(0, |left| left.as_secs() / SECONDS_OF_A_DAY);
    let names = [("dns", &facts.dns_names), ("uri", &facts.uris), ("ip_address", &facts.ip_addresses)];
    let names: Vec<Value> = names
        .into_iter()
        .flat_map(|(kind, names)| names.iter().map(move |name| json!({ kind: name })))
        .collect();
    let mut shown = json!({
        "path": path,
        "serial_number": facts.serial,
        "days_until_expiration": left.to_string(),
        "valid_from": timestamp(facts.valid_from),
        "expiration_time": timestamp(facts.valid_to),
    });
    if !names.is_empty() {
        shown["subject_alt_names"] = names.into();
    }
    Some(shown)
}
