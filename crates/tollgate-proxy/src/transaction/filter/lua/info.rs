//! Facts about the request and its connection.

use std::{
    net::SocketAddr,
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use mlua::{Error, LuaString, MultiValue, Result, UserData, UserDataMethods};

use super::{handle::log_methods, metadata::Dynamic, run::Run};
use crate::{
    certificate,
    stream_info::{self, TlsInfo},
};

/// What is known of the request.
#[derive(Debug)]
pub(super) struct StreamInfo {
    run: Rc<Run>,
    born: u32,
}

/// What is known of its connection.
#[derive(Debug)]
pub(super) struct Connection(pub(super) StreamInfo);

/// What is known of the TLS session.
#[derive(Debug)]
struct Ssl(Rc<stream_info::ConnectionInfo>);

impl StreamInfo {
    pub(super) fn new(run: &Rc<Run>) -> Self {
        Self { run: Rc::clone(run), born: run.generation() }
    }

    fn look<T>(&self, look: impl FnOnce(&stream_info::StreamInfo) -> T) -> Result<T> {
        self.run.check(self.born)?;
        self.run.core(|core| Ok(look(&core.info)))
    }

    fn ssl(&self) -> Result<Option<Ssl>> {
        self.look(|info| info.connection.tls.is_some().then(|| Ssl(Rc::clone(&info.connection))))
    }
}

fn text(address: Option<SocketAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

impl UserData for StreamInfo {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("protocol", |_, this, ()| this.look(|info| info.protocol.as_str()));
        methods.add_method("routeName", |_, this, ()| {
            this.run.renew_route()?;
            this.look(|info| info.route.as_ref().map(|route| route.route.name.clone()).unwrap_or_default())
        });
        // There are no virtual clusters.
        methods.add_method("virtualClusterName", |_, _, ()| Ok(""));
        methods
            .add_method("downstreamRemoteAddress", |_, this, ()| this.look(|info| text(info.remote_address)));
        methods.add_method("downstreamDirectRemoteAddress", |_, this, ()| {
            this.look(|info| text(info.connection.direct_remote_address))
        });
        for name in ["downstreamLocalAddress", "downstreamDirectLocalAddress"] {
            methods.add_method(name, |_, this, ()| this.look(|info| text(info.connection.local_address)));
        }
        methods.add_method("requestedServerName", |_, this, ()| {
            this.look(|info| {
                let tls = info.connection.tls.as_ref();
                tls.and_then(|tls| tls.server_name.clone()).unwrap_or_default()
            })
        });
        methods.add_method("downstreamSslConnection", |_, this, ()| this.ssl());
        methods.add_method("dynamicMetadata", |_, this, ()| {
            Ok(Dynamic { run: Some(Rc::clone(&this.run)), born: this.born })
        });
        methods.add_method("dynamicTypedMetadata", |_, _, _: MultiValue| Ok(MultiValue::new()));
        methods.add_method("filterState", |_, _, ()| Ok(FilterState));
        methods.add_method("drainConnectionUponCompletion", |_, _, ()| -> Result<()> {
            Err(Error::runtime("connections cannot be drained by scripts"))
        });
        log_methods(methods);
    }
}

/// Nothing is kept there.
struct FilterState;

impl UserData for FilterState {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |_, _, _: MultiValue| Ok(MultiValue::new()));
        methods.add_method("set", |_, _, name: LuaString| -> Result<()> {
            let name = name.to_string_lossy();
            Err(Error::runtime(format!("the filter state \"{name}\" cannot be set, use dynamic metadata")))
        });
        log_methods(methods);
    }
}

impl UserData for Connection {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("ssl", |_, this, ()| this.0.ssl());
        log_methods(methods);
    }
}

impl Ssl {
    fn facts(&self) -> Option<&TlsInfo> {
        self.0.tls.as_ref()
    }

    /// The certificate of the client.
    fn peer(&self) -> Option<&[u8]> {
        self.facts()?.peer_certificate.as_deref()
    }

    /// Ours.
    fn own(&self) -> Option<&[u8]> {
        self.facts()?.local_certificate.as_deref()
    }
}

type TextOf = fn(&[u8]) -> Option<String>;
type ListOf = fn(&[u8]) -> Vec<String>;

/// What scripts find in the certificate of a client.
const TEXTS: [(&str, TextOf); 5] = [
    ("subjectPeerCertificate", certificate::subject),
    ("issuerPeerCertificate", certificate::issuer),
    ("serialNumberPeerCertificate", certificate::serial),
    ("sha256PeerCertificateDigest", |certificate| Some(certificate::sha256(certificate))),
    ("urlEncodedPemEncodedPeerCertificate", |certificate| Some(certificate::url_encoded_pem(certificate))),
];

/// Names in the certificate of a client.
const LISTS: [(&str, ListOf); 2] =
    [("uriSanPeerCertificate", certificate::uris), ("dnsSansPeerCertificate", certificate::dns_names)];

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl UserData for Ssl {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("peerCertificatePresented", |_, this, ()| {
            Ok(this.facts().is_some_and(|tls| tls.peer_certificate.is_some()))
        });
        methods.add_method("peerCertificateValidated", |_, this, ()| {
            Ok(this.facts().is_some_and(|tls| tls.peer_certificate_verified))
        });
        for (name, of_certificate) in TEXTS {
            methods.add_method(name, move |_, this, ()| {
                Ok(this.peer().and_then(of_certificate).unwrap_or_default())
            });
        }
        for (name, of_certificate) in LISTS {
            methods
                .add_method(name, move |_, this, ()| Ok(this.peer().map(of_certificate).unwrap_or_default()));
        }
        methods.add_method("uriSanLocalCertificate", |_, this, ()| {
            Ok(this.own().map(certificate::uris).unwrap_or_default())
        });
        methods.add_method("dnsSansLocalCertificate", |_, this, ()| {
            Ok(this.own().map(certificate::dns_names).unwrap_or_default())
        });
        methods.add_method("subjectLocalCertificate", |_, this, ()| {
            Ok(this.own().and_then(certificate::subject).unwrap_or_default())
        });
        methods.add_method("validFromPeerCertificate", |_, this, ()| {
            Ok(this.peer().and_then(certificate::validity).map(|(from, _)| seconds(from)))
        });
        methods.add_method("expirationPeerCertificate", |_, this, ()| {
            Ok(this.peer().and_then(certificate::validity).map(|(_, until)| seconds(until)))
        });
        methods.add_method("tlsVersion", |_, this, ()| Ok(this.facts().map_or("", |tls| tls.version)));
        methods.add_method("ciphersuiteString", |_, this, ()| Ok(this.facts().map_or("", |tls| tls.cipher)));
        methods.add_method("sessionId", |_, this, ()| {
            Ok(this.facts().and_then(|tls| tls.session_id.clone()).unwrap_or_default())
        });
        log_methods(methods);
    }
}
