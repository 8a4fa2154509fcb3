//! Mail: hands one message to the operator's SMTP server, encrypted, within a bound. It must not know what messages say.

use crate::config::Config;
use crate::tls::{TlsError, certificates};
pub use lettre::Address;
use lettre::address::Envelope;
pub use lettre::message::Mailbox;
use lettre::message::SinglePart;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::Semaphore;
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Mails on their way at the same time.
const AT_ONCE: usize = 16;
/// Bytes of an address at most (RFC 5321 §4.5.3.1: 64 + 1 + 255).
const MAX_ADDRESS: usize = 320;

/// An SMTP server, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    host: String,
    port: u16,
    encryption: Encryption,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    /// For a server on this very machine.
    None,
    /// STARTTLS (RFC 3207), which the server must offer.
    StartTls,
    /// From the first byte (RFC 8314 §3.3).
    Tls,
}

impl MailServer {
    /// Reads `smtps://HOST[:PORT]`, `smtp://HOST[:PORT]`, or `smtp-plain://ADDRESS[:PORT]` of this machine.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "it is not smtps://HOST[:PORT] or smtp://HOST[:PORT]; user and password are settings".to_owned();
        let url = Url::parse(text).map_err(|_| wrong())?;
        let (encryption, port) = match url.scheme() {
            "smtps" => (Encryption::Tls, 465),
            "smtp" => (Encryption::StartTls, 587),
            "smtp-plain" => (Encryption::None, 25),
            _ => return Err(wrong()),
        };
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if host.is_empty() || !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong());
        }
        let here = host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        if encryption == Encryption::None && !here {
            return Err("smtp-plain is for a server on this machine, as in smtp-plain://127.0.0.1".to_owned());
        }
        Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(port), encryption })
    }
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.encryption {
            Encryption::None => "smtp-plain",
            Encryption::StartTls => "smtp",
            Encryption::Tls => "smtps",
        };
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

/// Why a mail is not sent, or why none can be.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The certificates of `mail.ca`.
    #[error(transparent)]
    Ca(#[from] TlsError),
    /// As many mails as may be on their way are.
    #[error("{AT_ONCE} mails are on their way already")]
    Busy,
    /// A message that cannot be.
    #[error("the mail cannot be written: {0}")]
    Letter(#[from] lettre::error::Error),
    /// A user without a password.
    #[error(
        "mail.user has no password: put it into the file that mail.password_file names, or the credential mail.password"
    )]
    NoPassword,
    /// The server was not reached, did not prove who it is, or said no.
    #[error("the mail server did not take the mail: {0}")]
    Refused(#[from] lettre::transport::smtp::Error),
    /// It took longer than it may.
    #[error("the mail server did not take the mail in time")]
    Slow,
}

/// A mail.
#[derive(Debug)]
pub struct Letter {
    /// Whom it is for.
    pub to: Address,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// When it was written, Unix milliseconds.
    pub written_at: i64,
    /// Names it.
    pub id: Uuid,
}

/// Hands mails over. Clones share the bound on how many at once.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    within: Duration,
    places: Arc<Semaphore>,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("from", &self.from.email).finish_non_exhaustive()
    }
}

impl Mailer {
    /// As `config` says, for the oracle at `url`; `None` when it names no server. Connects to nobody yet.
    pub fn open(config: &Config, password: Option<Zeroizing<String>>, url: &str) -> Result<Option<Self>, MailError> {
        let (Some(server), Some(from)) = (&config.mail_server, &config.mail_from) else { return Ok(None) };
        let parameters = || {
            let mut parameters = TlsParameters::builder(server.host.clone());
            if let Some(ca) = &config.mail_ca {
                parameters = parameters.certificate_store(CertificateStore::None);
                for certificate in certificates(ca)? {
                    parameters = parameters.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
                }
            }
            Ok::<_, MailError>(parameters.build_rustls()?)
        };
        let tls = match server.encryption {
            Encryption::None => Tls::None,
            Encryption::StartTls => Tls::Required(parameters()?),
            Encryption::Tls => Tls::Wrapper(parameters()?),
        };
        let within = Duration::from_secs(config.mail_seconds.into());
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host).port(server.port).tls(tls);
        transport = transport.timeout(Some(within)).hello_name(greeting(url));
        if let Some(user) = &config.mail_user {
            let password = password.ok_or(MailError::NoPassword)?;
            transport = transport.credentials(Credentials::new(user.clone(), password.to_string()));
        }
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Some(Self { transport: transport.build(), from: from.clone(), within, places }))
    }

    /// Hands a mail over. When this is done the server has taken it; after an error it most likely has not.
    pub async fn send(&self, letter: Letter) -> Result<(), MailError> {
        let _place = self.places.try_acquire().map_err(|_| MailError::Busy)?;
        let message = self.message(letter)?;
        tokio::time::timeout(self.within, self.transport.send(message)).await.map_err(|_| MailError::Slow)??;
        Ok(())
    }

    fn message(&self, letter: Letter) -> Result<Message, MailError> {
        let Letter { to, subject, text, written_at, id } = letter;
        let written_at = Duration::from_millis(u64::try_from(written_at).unwrap_or(0));
        // So that nobody's absence is answered to a program (RFC 3834 §5).
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        // Said apart from the headers, so that nothing has to be read out of them again.
        let envelope = Envelope::new(Some(self.from.email.clone()), vec![to.clone()])?;
        Ok(Message::builder()
            .envelope(envelope)
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(UNIX_EPOCH + written_at)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .singlepart(SinglePart::plain(text))?)
    }
}

/// The email address that `text` is: one, of RFC 5321, and nothing that could stand in a line of its own.
pub fn address(text: &str) -> Option<Address> {
    let plain = text.len() <= MAX_ADDRESS && !text.chars().any(char::is_control);
    text.parse().ok().filter(|_| plain)
}

/// What the oracle calls itself to the server: the host of its public address (RFC 5321 §4.1.1.1).
fn greeting(url: &str) -> ClientId {
    match Url::parse(url).ok().and_then(|url| url.host().map(|host| host.to_owned())) {
        Some(url::Host::Domain(domain)) => ClientId::Domain(domain),
        Some(url::Host::Ipv4(address)) => ClientId::Ipv4(address),
        Some(url::Host::Ipv6(address)) => ClientId::Ipv6(address),
        None => ClientId::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn mailer() -> Mailer {
        let flags = [("mail.server", "smtp-plain://127.0.0.1"), ("mail.from", "Örakel <oracle@example.com>")];
        let config = Config::load(None, |_| None, &flags.map(|(path, value)| (path, value.to_owned()))).unwrap();
        Mailer::open(&config, None, "https://mfa.example.com/prod").unwrap().unwrap()
    }

    #[test]
    fn a_server_is_encrypted_or_on_this_machine() {
        for (text, shown) in [
            ("smtps://mail.example.com", "smtps://mail.example.com:465"),
            ("smtp://mail.example.com", "smtp://mail.example.com:587"),
            ("smtp://mail.example.com:2525/", "smtp://mail.example.com:2525"),
            ("smtps://[2001:db8::1]", "smtps://[2001:db8::1]:465"),
            ("smtp-plain://127.0.0.1", "smtp-plain://127.0.0.1:25"),
            ("smtp-plain://[::1]:2525", "smtp-plain://[::1]:2525"),
        ] {
            let server = MailServer::parse(text).unwrap();
            assert_eq!(server.to_string(), shown);
            assert_eq!(MailServer::parse(shown), Ok(server));
        }
        for text in [
            "mail.example.com",
            "mail.example.com:25",
            "http://mail.example.com",
            "smtps://",
            "smtps://user@mail.example.com",
            "smtps://user:hunter2@mail.example.com",
            "smtps://mail.example.com/path",
            "smtps://mail.example.com?tls=none",
            "smtp-plain://mail.example.com",
            "smtp-plain://192.0.2.1",
            "smtp-plain://localhost",
        ] {
            let error = MailServer::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_address_is_one_address() {
        for text in ["app@example.com", "a.b+c@sub.example.com", "\"odd name\"@example.com", "jörg@exämple.com"] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), Some(text));
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "app",
            "@example.com",
            "app@",
            "a@b, c@d",
            "a@b;c@d",
            "a@b\r\nBcc: c@d",
            "\"a\r\nBcc: c\"@d",
            "\"a\nb\"@d",
            "a@b\0",
            "a@b\u{85}c",
            "<a@b>",
            "Ann <a@b>",
            "a b@example.com",
            " a@b",
            "a@b ",
            &long,
        ] {
            assert!(address(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn no_address_and_no_text_adds_a_header() {
        let letter = |to: &str, subject: &str| Letter {
            to: address(to).unwrap(),
            subject: subject.to_owned(),
            text: "line\n.\n..\nBcc: d@example.com\n".to_owned(),
            written_at: 1_800_000_000_000,
            id: Uuid::nil(),
        };
        for to in ["app@example.com", "\"odd, name\"@example.com", "\"bcc: x\"@example.com"] {
            let message = mailer().message(letter(to, "one\r\nBcc: c@example.com\r\n\r\ntwo ü")).unwrap();
            let (from, recipients) = (message.envelope().from(), message.envelope().to());
            assert_eq!(from.map(ToString::to_string).as_deref(), Some("oracle@example.com"));
            assert_eq!(recipients.iter().map(ToString::to_string).collect::<Vec<_>>(), [to]);
            let text = String::from_utf8(message.formatted()).unwrap();
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            let mut names: Vec<&str> = head
                .split("\r\n")
                .filter(|line| !line.starts_with(' '))
                .map(|line| line.split_once(':').unwrap().0)
                .collect();
            names.sort_unstable();
            let expected = [
                "Auto-Submitted",
                "Content-Transfer-Encoding",
                "Content-Type",
                "Date",
                "From",
                "MIME-Version",
                "Message-ID",
                "Subject",
                "To",
            ];
            assert_eq!(names, expected, "{head}");
            assert!(head.contains("Date: Fri, 15 Jan 2027 08:00:00 +0000"), "{head}");
        }
    }

    #[tokio::test]
    async fn so_many_at_once_and_no_more() {
        let mailer = mailer();
        let _all = mailer.places.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
        let to = address("app@example.com").unwrap();
        let letter = Letter { to, subject: String::new(), text: String::new(), written_at: 0, id: Uuid::nil() };
        assert!(matches!(mailer.send(letter).await, Err(MailError::Busy)));
    }

    #[test]
    fn nothing_shows_the_password() {
        let flags =
            [("mail.server", "smtp-plain://127.0.0.1"), ("mail.from", "oracle@example.com"), ("mail.user", "oracle")];
        let config = Config::load(None, |_| None, &flags.map(|(path, value)| (path, value.to_owned()))).unwrap();
        assert!(matches!(Mailer::open(&config, None, "http://127.0.0.1"), Err(MailError::NoPassword)));
        let password = Zeroizing::new("hunter2".to_owned());
        let mailer = Mailer::open(&config, Some(password), "http://127.0.0.1").unwrap().unwrap();
        assert!(!format!("{mailer:?} {:?}", mailer.transport).contains("hunter2"));
    }
}
