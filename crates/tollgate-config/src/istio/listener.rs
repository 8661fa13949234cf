//! From a server of a Gateway to listeners: one for each of its hosts.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use http::StatusCode;
use tollgate_ir::{ClientValidation, DownstreamTlsContext};
use tollgate_model::tls::{TlsError, TlsVersions};

use super::{
    Gateway as GatewaySpec,
    attachment::ROUTES,
    gateway::{Clients, Server, ServerTls},
    http_match::every_request,
};
use crate::{
    kubernetes::{Object, ObjectKey, Place, status::ParentReference},
    routing::{CertificateRef, Filters, PortOfRedirect, Redirect, Rule, Timeouts},
    translation::{AttachedHostname, AttachedRoute, Authorities, Listener, Route, Translator},
};

/// Where secrets of gateways are, if not beside them.
const ROOT_NAMESPACE: &str = "istio-system";

/// A port of an address: what is spoken there, and for which hosts over TLS.
#[derive(Debug, Default)]
pub(super) struct PortUse {
    tls: Option<bool>,
    hosts: HashSet<Option<String>>,
}

/// The listeners of a server; empty where it cannot be served, which is reported.
pub(super) fn listeners(
    translator: &Translator<'_>,
    gateway: &Arc<Object<GatewaySpec>>,
    server: &Server,
    port: &mut PortUse,
) -> Vec<Listener> {
    let is_tls = server.tls.is_some();
    if port.tls.is_some_and(|tls| tls != is_tls) {
        let message = format!("port {} is used with TLS and without it", server.port);
        translator.diagnostics.error(&server.place, message, None);
        return Vec::new();
    }
    let tls = match &server.tls {
        None => None,
        Some(tls) => match downstream_tls(translator, &gateway.meta.key.namespace, tls) {
            Ok(tls) => Some(Arc::new(tls)),
            Err(message) => {
                let message = format!("the server cannot be served: {message}");
                translator.diagnostics.error(&server.place, message, None);
                return Vec::new();
            }
        },
    };
    port.tls = Some(is_tls);
    let mut found: Vec<Listener> = Vec::new();
    for host in &server.hosts {
        if found.iter().any(|listener| listener.hostname == host.host) {
            continue;
        }
        if !port.hosts.insert(host.host.clone()) && is_tls {
            let host = host.host.as_deref().unwrap_or("*");
            let message = format!("the host {host} of port {} is served with TLS already", server.port);
            translator.diagnostics.error(&server.place, message, None);
            continue;
        }
        found.push(Listener {
            owner: gateway.reference(),
            owner_meta: Arc::clone(&gateway.meta),
            name: server.name.clone().unwrap_or_else(|| server.port.to_string()),
            port: server.port,
            hostname: host.host.clone(),
            tls: tls.clone(),
            routes: if server.https_redirect {
                vec![redirect_to_https(gateway, host.host.as_deref(), &server.place)]
            } else {
                Vec::new()
            },
        });
    }
    found
}

/// The route that sends everybody to TLS.
fn redirect_to_https(gateway: &Arc<Object<GatewaySpec>>, host: Option<&str>, place: &Place) -> AttachedRoute {
    let redirect = Redirect {
        scheme: Some("https"),
        hostname: None,
        path: None,
        port: PortOfRedirect::OfRequest,
        status: StatusCode::MOVED_PERMANENTLY,
    };
    let rule = Rule {
        name: None,
        place: place.clone(),
        invalid: None,
        extension_refs: Vec::new(),
        backends: Vec::new(),
        matches: vec![every_request().requests],
        filters: Filters { redirect: Some(redirect), ..Filters::default() },
        timeouts: Timeouts::default(),
        retry: None,
        session_persistence: None,
    };
    let route = Route {
        object: gateway.reference(),
        meta: Arc::clone(&gateway.meta),
        api: &ROUTES,
        parents: Vec::new(),
        rules: vec![rule],
        broken: None,
    };
    AttachedRoute {
        route: Arc::new(route),
        parent: ParentReference::to(&gateway.reference()),
        hostnames: AttachedHostname::common(None, host).into_iter().collect(),
    }
}

fn downstream_tls(
    translator: &Translator<'_>,
    namespace: &str,
    tls: &ServerTls,
) -> Result<DownstreamTlsContext, String> {
    let secrets = &translator.store.core.secrets;
    let mut certificates = Vec::new();
    let mut authorities = Vec::new();
    for name in &tls.credentials {
        let keys = [namespace, ROOT_NAMESPACE].map(|namespace| ObjectKey::new(namespace, &**name));
        let key = keys.iter().find(|key| secrets.get(key).is_some()).unwrap_or(&keys[0]);
        certificates.push(translator.certificate(key).map_err(|error| error.to_string())?);
        if tls.clients != Clients::Anonymous {
            // The authority of clients is in a secret of its own, or with the certificate.
            let own = format!("{name}-cacert");
            let has_own = secrets.get(&ObjectKey::new(&*key.namespace, &*own)).is_some();
            let name = if has_own { own } else { name.clone() };
            let reference = CertificateRef { group: String::new(), kind: "Secret".to_owned(), name };
            let found = translator.ca_certificates(&key.namespace, &reference);
            authorities.push(found.map_err(|error| error.to_string())?);
        }
    }
    let client_validation = (tls.clients != Clients::Anonymous).then(|| ClientValidation {
        require_client_certificate: tls.clients == Clients::MustHaveCertificates,
        context: Authorities::union(authorities)
            .map(|authorities| translator.validation(&authorities, Vec::new())),
    });
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate.to_string());
    }
    Ok(DownstreamTlsContext {
        certificates,
        require_sni: false,
        full_scan_certs_on_sni_mismatch: false,
        client_validation,
        alpn_protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
        versions: TlsVersions::default(),
        prefer_client_ciphers: false,
        disable_stateless_session_resumption: false,
        disable_stateful_session_resumption: false,
    })
}

/// The address and port of a server.
pub(super) type Bind = (Option<IpAddr>, u16);
