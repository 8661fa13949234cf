//! `x-forwarded-client-cert`: what is told about the client's certificate.

#[cfg(test)]
mod tests;

use extproc::remove_fields;
use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_model::http_connection_manager::{ClientCertDetails, ForwardClientCert, HttpConnectionManager};

use super::fields::append_to_list;
use crate::{certificate, tls_info::TlsInfo};

const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Removes, keeps or writes the field.
pub(super) fn forward_client_cert(
    fields: &mut HeaderMap,
    http: &HttpConnectionManager,
    tls: Option<&TlsInfo>,
) {
    let peer = tls.and_then(|tls| Some((tls, tls.peer_certificate.as_deref()?)));
    let details = match (http.forward_client_cert, peer) {
        (ForwardClientCert::AlwaysForwardOnly, _) | (ForwardClientCert::ForwardOnly, Some(_)) => return,
        (ForwardClientCert::Sanitize, _) | (_, None) => {
            remove_fields(fields, &[X_FORWARDED_CLIENT_CERT]);
            return;
        }
        (ForwardClientCert::AppendForward | ForwardClientCert::SanitizeSet, Some((tls, certificate))) => {
            details(http.client_cert_details, tls, certificate)
        }
    };
    if http.forward_client_cert == ForwardClientCert::AppendForward {
        append_to_list(fields, &X_FORWARDED_CLIENT_CERT, ",", details.as_bytes());
    } else {
        remove_fields(fields, &[X_FORWARDED_CLIENT_CERT]);
        if let Ok(value) = HeaderValue::from_str(&details) {
            fields.insert(X_FORWARDED_CLIENT_CERT, value);
        }
    }
}

/// What is known of a certificate, in Envoy's order.
fn details(wanted: ClientCertDetails, tls: &TlsInfo, certificate: &[u8]) -> String {
    let own = tls.local_certificate.as_deref().map(certificate::uris).unwrap_or_default();
    let mut details: Vec<String> = own.iter().map(|uri| format!("By={uri}")).collect();
    details.push(format!("Hash={}", certificate::sha256(certificate)));
    if wanted.cert {
        details.push(format!("Cert=\"{}\"", certificate::url_encoded_pem(certificate)));
    }
    if wanted.chain {
        let chain = std::iter::once(certificate).chain(tls.peer_intermediates.iter().map(Vec::as_slice));
        let chain: String = chain.map(certificate::url_encoded_pem).collect();
        details.push(format!("Chain=\"{chain}\""));
    }
    if wanted.subject {
        // The key is there even where there is none.
        details.push(format!("Subject=\"{}\"", certificate::subject(certificate).unwrap_or_default()));
    }
    if wanted.uri {
        details.extend(certificate::uris(certificate).iter().map(|uri| format!("URI={uri}")));
    }
    if wanted.dns {
        details.extend(certificate::dns_names(certificate).iter().map(|name| format!("DNS={name}")));
    }
    details.join(";")
}
