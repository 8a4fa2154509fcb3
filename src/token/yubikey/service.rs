//! The service between programs and cards (pcscd): whether it is there, and who keeps a card from us. It must not know cards.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::worker::bounded;
use crate::token::{ServiceFault, TokenError};

/// Where pcscd listens, unless the variable of its client library says otherwise.
const SOCKET: &str = "/run/pcscd/pcscd.comm";
const SOCKET_VARIABLE: &str = "PCSCLITE_CSOCK_NAME";
/// How long the service may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(5);
/// A service that waits so long for the first word means to listen.
const SILENCE: Duration = Duration::from_millis(500);
/// Programs that are known to keep a card to themselves, by their process names.
const HOLDERS: [&str; 4] = ["scdaemon", "yubikey-agent", "pivy-agent", "pkcs11_daemon"];
/// Folders of system programs that need not be in a person's `PATH`.
const SYSTEM_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/libexec"];

/// A connection to the service.
pub(super) fn connect() -> Result<pcsc::Context, pcsc::Error> {
    pcsc::Context::establish(pcsc::Scope::User)
}

/// What an error of the service, or of its client library, means for a person.
pub(super) fn explain(error: pcsc::Error) -> TokenError {
    use pcsc::Error as E;
    match error {
        E::SharingViolation => TokenError::Busy(holder()),
        E::SecurityViolation | E::NoAccess => TokenError::Service(ServiceFault::NoPermission),
        E::NoService | E::ServiceStopped | E::Shutdown => TokenError::Service(fault()),
        E::CommDataLost
        | E::CommError
        | E::InvalidHandle
        | E::InvalidValue
        | E::NoReadersAvailable
        | E::NoSmartcard
        | E::NotTransacted
        | E::ReaderUnavailable
        | E::RemovedCard
        | E::ResetCard
        | E::UnknownReader
        | E::UnpoweredCard
        | E::UnresponsiveCard => match bounded(ANSWER, || connect().map(drop)) {
            Ok(Ok(())) => TokenError::Removed,
            // The card's handle died because the service did, or does: one that is being killed still takes a call.
            Ok(Err(_)) => TokenError::Service(fault()),
            // It takes calls and answers none.
            Err(_) => TokenError::Service(ServiceFault::Unwell),
        },
        other => TokenError::Unexpected { command: "smart-card service", answer: other.to_string() },
    }
}

/// Why the service does not answer.
fn fault() -> ServiceFault {
    let socket = std::env::var_os(SOCKET_VARIABLE).map_or_else(|| PathBuf::from(SOCKET), PathBuf::from);
    match bounded(ANSWER, move || UnixStream::connect(socket).map(hangs_up)) {
        Ok(Ok(true)) => ServiceFault::NoPermission,
        Err(_) | Ok(Ok(false)) => ServiceFault::Unwell,
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => ServiceFault::NoPermission,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => ServiceFault::StaleSocket,
        Ok(Err(_)) if installed() => ServiceFault::Stopped,
        Ok(Err(_)) => ServiceFault::NotInstalled,
    }
}

/// Whether the service hangs up before a word was said, as older ones do to whom polkit does not let in. When that comes before
/// its own first word, the client library calls it no service.
fn hangs_up(mut call: UnixStream) -> bool {
    call.set_read_timeout(Some(SILENCE)).is_ok() && matches!(call.read(&mut [0]), Ok(0))
}

fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(SYSTEM_FOLDERS.map(PathBuf::from));
    folders.iter().any(|folder| folder.join("pcscd").exists())
}

/// The running program that most likely keeps a card to itself.
pub(super) fn holder() -> Option<String> {
    let processes = std::fs::read_dir("/proc").ok()?;
    let names = processes.flatten().filter_map(|process| process_name(&process.path()));
    names.into_iter().find(|name| HOLDERS.contains(&name.as_str()))
}

fn process_name(process: &Path) -> Option<String> {
    let name = std::fs::read_to_string(process.join("comm")).ok()?;
    Some(name.trim_end().to_owned())
}
