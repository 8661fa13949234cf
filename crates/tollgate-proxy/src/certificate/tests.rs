use rcgen::{CertificateParams, DnType, KeyPair, SanType, string::Ia5String};

use super::*;

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

/// RFC 2253: last part first, special characters escaped, unknown types as numbers.
#[test]
fn subjects() {
    let der = certificate(|params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::CountryName, "DE");
        name.push(DnType::OrganizationName, "Example, Inc. ");
        name.push(DnType::CommonName, "#client");
        name.push(DnType::CustomDnType(vec![2, 5, 4, 42]), "Ada");
    });
    assert_eq!(subject(&der).unwrap(), "2.5.4.42=Ada,CN=\\#client,O=Example\\, Inc.\\ ,C=DE");
    assert_eq!(subject(&certificate(|_| ())).unwrap(), "");
}

#[test]
fn alternative_names() {
    let der = certificate(|params| {
        params.subject_alt_names = vec![
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::URI(Ia5String::try_from("spiffe://td/a").unwrap()),
            SanType::DnsName(Ia5String::try_from("a.example").unwrap()),
            SanType::DnsName(Ia5String::try_from("b.example").unwrap()),
        ];
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    });
    assert_eq!(first_dns_name(&der).unwrap(), "a.example");
    assert_eq!(first_uri(&der).unwrap(), "spiffe://td/a");
    let without = certificate(|_| ());
    assert_eq!((first_dns_name(&without), first_uri(&without)), (None, None));
}

#[test]
fn digests() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(sha256(b""), empty);
    assert_eq!(sha1(b""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

/// No input makes it panic, and what is cut off has no value.
#[test]
fn any_bytes() {
    let der = certificate(|params| {
        params.distinguished_name.push(DnType::CommonName, "client");
        params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from("a.example").unwrap())];
    });
    for end in 0..der.len() {
        assert_eq!(subject(&der[..end]), None);
    }
    for index in 0..der.len() {
        for value in [0, 0x7f, 0x80, 0x84, 0xff] {
            let mut changed = der.clone();
            changed[index] = value;
            let _ = (subject(&changed), first_dns_name(&changed), first_uri(&changed));
        }
    }
}
