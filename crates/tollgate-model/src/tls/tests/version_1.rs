//! Certificates of version 1.

use rustls::{
    CertificateError, Error,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::danger::ClientCertVerifier,
};

use super::*;
use crate::tls::{certificate::Certificate, client_verifier::ClientVerifier};

macro_rules! pem {
    ($name:literal) => {
        include_bytes!(concat!("version_1/", $name))
    };
}

fn server_identity() -> Identity {
    Identity::from_pem(pem!("server.pem"), pem!("server.key")).unwrap()
}

fn authority() -> TrustAnchors {
    TrustAnchors::from_pem(pem!("ca.pem")).unwrap()
}

fn clients_of(trusted_ca: TrustAnchors, names: &[&str]) -> ClientValidation {
    let names = names.iter().map(|name| SubjectAltNameMatcher::DnsName((*name).to_owned()));
    ClientValidation {
        require_client_certificate: true,
        accept_untrusted: false,
        trusted_ca: Some(trusted_ca),
        subject_alt_names: names.collect(),
    }
}

/// Whether a client with this certificate gets in, and the server is believed.
fn meet(chain: &[u8], clients: ClientValidation, version: TlsVersion) -> Result<(), Error> {
    let mut ours = server(vec![server_identity()]);
    ours.client_validation = Some(clients);
    ours.versions = TlsVersions::new(version, version).unwrap();
    let validation = ServerValidation::Chain { trusted_ca: authority(), subject_alt_names: Vec::new() };
    let mut theirs = client("server.example.com", validation);
    theirs.certificate = Some(Identity::from_pem(chain, pem!("client.key")).unwrap());
    connect(ours, theirs).map(|_| ())
}

fn refused_for(outcome: Result<(), Error>) -> CertificateError {
    match outcome {
        Err(Error::InvalidCertificate(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn they_are_served_and_believed_where_a_trusted_certificate_signed_them() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        meet(pem!("client.pem"), clients_of(authority(), &[]), version).unwrap();
        // Trusted itself.
        let itself = TrustAnchors::from_pem(pem!("self.pem")).unwrap();
        meet(pem!("self.pem"), clients_of(itself.clone(), &[]), version).unwrap();
        for (chain, trusted) in [
            (&pem!("self.pem")[..], authority()),
            (pem!("client.pem"), itself),
            // Nobody knows whether what signed it may sign.
            (pem!("chain.pem"), authority()),
        ] {
            let outcome = meet(chain, clients_of(trusted, &[]), version);
            assert_eq!(refused_for(outcome), CertificateError::UnknownIssuer);
        }
    }
}

#[test]
fn they_have_no_name_that_could_be_asked_for() {
    let clients = clients_of(authority(), &["client.example.com"]);
    let outcome = meet(pem!("client.pem"), clients, TlsVersion::Tls13);
    let CertificateError::Other(problem) = refused_for(outcome) else { panic!("another problem") };
    let said = "the certificate is for no name, and client.example.com is asked for";
    assert_eq!(problem.0.to_string(), said);
    let believed = |validation| {
        let theirs = client("server.example.com", validation);
        connect(server(vec![server_identity()]), theirs).map(|_| ())
    };
    let by_sni = ServerValidation::ChainAndServerName { trusted_ca: authority() };
    assert_eq!(refused_for(believed(by_sni)), CertificateError::NotValidForName);
    let by_name = ServerValidation::Chain {
        trusted_ca: authority(),
        subject_alt_names: vec![SubjectAltNameMatcher::DnsName("server.example.com".to_owned())],
    };
    assert!(believed(by_name).is_err());
}

#[test]
fn their_subject_is_what_sni_chooses_them_by() {
    assert_eq!(server_identity().dns_names(), ["server.example.com"]);
    let other = Identity::from_pem(pem!("client.pem"), pem!("client.key")).unwrap();
    let settings = server(vec![server_identity(), other]);
    for (sni, subject) in
        [("client.example.com", "client.example.com"), ("elsewhere.test", "server.example.com")]
    {
        let (_, session) = connect(settings.clone(), client(sni, ServerValidation::Nothing)).unwrap();
        let shown = &session.peer_certificates().unwrap()[0];
        assert_eq!(Certificate::of_version_1(shown).unwrap().common_name(), Some(subject));
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let outcome = Identity::from_pem(pem!("server.pem"), pem!("client.key"));
    assert_eq!(outcome.unwrap_err(), TlsError::KeyMismatch);
}

#[test]
fn they_end_when_they_say() {
    let verifier = ClientVerifier::new(clients_of(authority(), &[])).unwrap();
    let certificate = CertificateDer::from_pem_slice(pem!("client.pem")).unwrap();
    let at = |seconds| {
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        verifier.verify_client_cert(&certificate, &[], now).map(|_| ())
    };
    at(1_900_000_000).unwrap();
    assert_eq!(refused_for(at(1_000_000_000)), CertificateError::NotValidYet);
    assert_eq!(refused_for(at(8_000_000_000)), CertificateError::Expired);
}

/// No byte of a certificate can be another one, and none can be missing.
#[test]
fn damage_is_noticed() {
    let certificate = CertificateDer::from_pem_slice(pem!("server.pem")).unwrap();
    let anchors = authority();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_900_000_000));
    let holds = |bytes: Vec<u8>| {
        let damaged = CertificateDer::from(bytes);
        let known = Certificate::of_version_1(&damaged);
        known.is_some_and(|known| known.verify(&damaged, &anchors, now).is_ok())
    };
    assert!(holds(certificate.to_vec()));
    for index in 0..certificate.len() {
        let mut changed = certificate.to_vec();
        changed[index] ^= 1;
        assert!(!holds(changed), "byte {index}");
        assert!(!holds(certificate[..index].to_vec()), "cut at {index}");
    }
}
