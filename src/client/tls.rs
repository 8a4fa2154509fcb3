//! Whom the connection trusts: the system's certificate authorities, `SSL_CERT_FILE`, or one file; and which URLs may
//! go without TLS. Knows nothing of oracles' own keys.

use super::{ClientError, ClientOptions};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use url::{Host, Url};

/// Whether `url` names this machine, so that nothing leaves it.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// Refuses `http://` to any other machine unless the user insists.
pub(super) fn check_scheme(url: &Url, options: &ClientOptions) -> Result<(), ClientError> {
    if url.scheme() == "https" || is_loopback(url) || options.insecure_http {
        return Ok(());
    }
    Err(ClientError::Insecure { url: url.as_str().trim_end_matches('/').to_owned() })
}

/// TLS by rustls on ring, named here so that no other provider can be picked by accident.
pub(super) fn config(url: &Url, options: &ClientOptions) -> Result<ClientConfig, ClientError> {
    let roots = match &options.ca {
        _ if url.scheme() == "http" => RootCertStore::empty(),
        Some(file) => from_file(file)?,
        None => from_system()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn from_file(path: &Path) -> Result<RootCertStore, ClientError> {
    let refused = |cause: String| ClientError::CaFile { path: path.to_owned(), cause };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))? {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() { Err(refused("it holds no PEM certificate".to_owned())) } else { Ok(roots) }
}

fn from_system() -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    // A system's store may hold a few certificates that nobody can use; only an empty one is an error.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(ClientError::NoRoots) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, insecure_http: bool) -> bool {
        let options = ClientOptions { insecure_http, ca: None };
        check_scheme(&url.parse().expect("a URL"), &options).is_ok()
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in [
            "http://127.0.0.1:80",
            "http://127.9.9.9",
            "http://[::1]:8080/x",
            "http://localhost:1",
            "https://oracle.example",
        ] {
            assert!(check(url, false), "{url}");
        }
        for url in ["http://oracle.example", "http://10.0.0.1", "http://localhost.example", "http://[2001:db8::1]"] {
            assert!(!check(url, false), "{url}");
            assert!(check(url, true), "{url}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(matches!(from_file(file.path()), Err(ClientError::CaFile { .. })));
        assert!(matches!(from_file(Path::new("/nowhere/ca.pem")), Err(ClientError::CaFile { .. })));
    }
}
