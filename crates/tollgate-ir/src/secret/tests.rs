use rcgen::{CertificateParams, KeyPair};
use tollgate_model::tls::{ServerNameIndication, TlsVersions};

use super::*;

/// A certificate that signs itself, and its key.
fn pem(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn identity(name: &str) -> Identity {
    let (certificate, key) = pem(name);
    Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap()
}

fn authorities() -> TrustAnchors {
    TrustAnchors::from_pem(pem("authority.test").0.as_bytes()).unwrap()
}

fn trusting(trusted_ca: Option<&TrustAnchors>, names: &[&str]) -> ValidationContext {
    let names = names.iter().map(|name| SubjectAltNameMatcher::DnsName((*name).to_owned()));
    ValidationContext {
        trusted_ca: trusted_ca.cloned(),
        subject_alt_names: names.collect(),
        accept_untrusted: false,
    }
}

#[test]
fn one_name_leads_to_one_content() {
    let mut secrets = Secrets::default();
    let (one, other) = (identity("one.test"), identity("other.test"));
    let mut add =
        |name: &str, identity: &Identity| secrets.add_certificate(name, identity.clone(), Arc::default());
    assert_eq!(add("a", &one), "a");
    assert_eq!(add("a", &one), "a", "the same certificate");
    assert_eq!(add("a", &other), "a#2");
    assert_eq!(add("a", &other), "a#2");
    assert_eq!(add("a#2", &one), "a#2#2");
    // Kinds do not get in each other's way.
    let context = trusting(Some(&authorities()), &[]);
    assert_eq!(secrets.add_validation_context("a", context, Arc::default()), "a");
    assert_eq!(secrets.certificate("a"), Ok(&one));
    assert_eq!(secrets.certificate("b"), Err(TlsContextError::UnknownCertificate("b".to_owned())));
}

#[test]
fn of_two_authorities_those_of_the_secret_count() {
    let (own, default) = (authorities(), authorities());
    let mut secrets = Secrets::default();
    let add = |secrets: &mut Secrets, name: &str, context| {
        secrets.add_validation_context(name, context, Arc::default());
    };
    add(&mut secrets, "own", trusting(Some(&own), &["b.test"]));
    add(&mut secrets, "names", trusting(None, &["b.test"]));
    add(&mut secrets, "default", trusting(Some(&default), &["never.test"]));
    let validation = |secret: &str| Validation {
        accept_untrusted: false,
        secret: secret.to_owned(),
        default_trusted_ca: Some("default".to_owned()),
        subject_alt_names: trusting(None, &["a.test"]).subject_alt_names,
    };
    let both = ["a.test", "b.test"];
    assert_eq!(secrets.merged(&validation("own")), Ok(trusting(Some(&own), &both)));
    assert_eq!(secrets.merged(&validation("names")), Ok(trusting(Some(&default), &both)));
    let unknown = TlsContextError::UnknownValidationContext("gone".to_owned());
    assert_eq!(secrets.merged(&validation("gone")), Err(unknown));
}

#[test]
fn names_are_not_checked_without_authorities() {
    let mut secrets = Secrets::default();
    for (name, names) in [("nothing", &[][..]), ("names", &["a.test"])] {
        secrets.add_validation_context(name, trusting(None, names), Arc::default());
    }
    let context = |secret: &str, by_server_name: bool| {
        let validation = Validation {
            secret: secret.to_owned(),
            default_trusted_ca: None,
            subject_alt_names: Vec::new(),
            accept_untrusted: false,
        };
        UpstreamTlsContext {
            sni: ServerNameIndication::Nothing,
            validation: match by_server_name {
                true => ServerValidation::ChainAndServerName(validation),
                false => ServerValidation::Chain(validation),
            },
            certificate: None,
            alpn_protocols: Vec::new(),
            versions: TlsVersions::default(),
            max_session_keys: 1,
        }
    };
    let nothing = secrets.upstream(&context("nothing", false)).unwrap();
    assert_eq!(nothing.validation, tls::ServerValidation::Nothing);
    for (secret, by_server_name) in [("names", false), ("names", true), ("nothing", true)] {
        let refused = secrets.upstream(&context(secret, by_server_name)).unwrap_err();
        assert_eq!(refused, TlsContextError::Tls(TlsError::NamesWithoutTrust), "{secret} {by_server_name}");
    }
}
