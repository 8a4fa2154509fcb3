//! Which site gets a signature for which relying party, and what is signed.

use super::*;

fn asks(site: &str, rp_id: &str) -> Result<String, SiteError> {
    let options = serde_json::json!({ "challenge": "AAAA", "rpId": rp_id, "allowCredentials": [] });
    let options: RequestOptions = serde_json::from_value(options).unwrap();
    Site::of(site)?.request(&options).map(|request| request.rp_id)
}

#[test]
fn a_site_gets_its_own_keys_and_those_of_its_parents() {
    for (site, rp_id) in [
        ("https://oracle.example.com", "oracle.example.com"),
        ("https://oracle.example.com:8443/mfa", "example.com"),
        ("http://localhost:8080", "localhost"),
        ("https://a.b.example.co.uk", "example.co.uk"),
    ] {
        assert_eq!(asks(site, rp_id).unwrap(), rp_id);
    }
}

#[test]
fn a_site_never_gets_the_keys_of_another() {
    for (site, rp_id) in [
        ("https://oracle.example.com", "example.org"),
        ("https://oracle.example.com", "other.example.com"),
        ("https://oracle.example.com", "le.example.com"),
        ("https://badexample.com", "example.com"),
        ("https://example.com.evil.org", "example.com"),
        ("https://oracle.example.com", "com"),
        ("https://example.co.uk", "co.uk"),
        ("https://ann.github.io", "github.io"),
        ("https://oracle.example.com", ""),
        ("https://oracle.example.com", "EXAMPLE.com"),
        ("https://oracle.example.com", ".example.com"),
        ("https://example.com", "sub.example.com"),
    ] {
        assert!(matches!(asks(site, rp_id), Err(SiteError::Foreign { .. })), "{site} {rp_id}");
    }
    for site in ["https://192.0.2.1", "http://127.0.0.1:8080", "https://[::1]", "nonsense"] {
        assert!(matches!(asks(site, "example.com"), Err(SiteError::NoName(_))), "{site}");
    }
    for site in ["http://example.com", "http://app.localhost", "http://localhost.example.com", "ftp://localhost"] {
        assert!(matches!(asks(site, "example.com"), Err(SiteError::Plain(_))), "{site}");
    }
    // Else all names below would share keys.
    assert!(matches!(asks("https://app.localhost", "localhost"), Err(SiteError::Foreign { .. })));
}

#[test]
fn a_site_is_at_its_own_host_alone() {
    let site = Site::of("https://example.com").unwrap();
    for url in ["https://example.com", "https://example.com:8443/mfa"] {
        assert!(site.is_at(url), "{url}");
    }
    for url in
        ["https://evil.example", "https://sub.example.com", "http://example.com", "https://127.0.0.1", "nonsense", ""]
    {
        assert!(!site.is_at(url), "{url}");
    }
    assert!(Site::of("http://localhost:8080").unwrap().is_at("http://localhost:8080"));
}

#[test]
fn app_ids_are_of_the_same_party() {
    let site = Site::of("https://login.example.com").unwrap();
    for app_id in ["https://example.com", "https://example.com/app-id.json", "https://www.example.com"] {
        assert_eq!(site.own_app_id(app_id).unwrap(), app_id);
    }
    for app_id in ["https://example.org", "https://com", "example.com", "", "https://192.0.2.1"] {
        assert!(site.own_app_id(app_id).is_err(), "{app_id}");
    }
    for app_id in ["http://example.com", "ftp://example.com", "android://example.com"] {
        assert!(site.own_app_id(app_id).is_err(), "{app_id}");
    }
    let local = Site::of("http://localhost:8080").unwrap();
    assert!(local.own_app_id("http://localhost:8080").is_ok() && local.own_app_id("http://a.localhost").is_err());
}

#[test]
fn client_data_say_who_really_asked_and_what() {
    let site = Site::of("https://oracle.example.com:8443/mfa").unwrap();
    let options = serde_json::json!({
        "rp": { "id": "example.com", "name": "Example" },
        "user": { "id": "dXNlcg", "name": "ann", "displayName": "Ann" },
        "challenge": "Y2hhbGxlbmdl",
        "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }, { "type": "other", "alg": -8 }],
        "excludeCredentials": [{ "type": "public-key", "id": "aWQ", "transports": ["usb"] }, { "type": "other", "id": "eHg" }],
        "authenticatorSelection": { "requireResidentKey": false, "userVerification": "discouraged" },
        "attestation": "none",
        "extensions": { "credProps": true },
    });
    let asked = site.registration(&serde_json::from_value(options).unwrap()).unwrap();
    assert_eq!((asked.algorithms.as_slice(), asked.exclude.as_slice()), (&[-7][..], &[b"id".to_vec()][..]));
    assert_eq!((asked.resident, asked.verification), (false, Verification::Discouraged));
    assert_eq!(
        std::str::from_utf8(&asked.client_data).unwrap(),
        r#"{"type":"webauthn.create","challenge":"Y2hhbGxlbmdl","origin":"https://oracle.example.com:8443","crossOrigin":false}"#
    );
    assert_eq!(
        std::str::from_utf8(&site.u2f_client_data("getAssertion", "Y2hhbGxlbmdl").unwrap()).unwrap(),
        r#"{"typ":"navigator.id.getAssertion","challenge":"Y2hhbGxlbmdl","origin":"https://oracle.example.com:8443"}"#
    );
    for challenge in ["", "Y2hhbGxlbmdl==", "not base64", &"A".repeat(8192)] {
        assert!(matches!(site.u2f_client_data("getAssertion", challenge), Err(SiteError::Malformed(_))), "{challenge}");
    }
}

#[test]
fn keys_are_bound_to_domains_of_one_party() {
    for (text, fits) in [
        ("example.com", true),
        ("approve.example.co.uk", true),
        ("quorate.invalid", true),
        ("localhost", true),
        ("com", false),
        ("co.uk", false),
        ("Example.com", false),
        ("https://example.com", false),
        ("example.com:443", false),
        ("192.0.2.1", false),
        ("[::1]", false),
        ("", false),
    ] {
        assert_eq!(is_rp_id(text), fits, "{text}");
    }
}
