//! The smart-card service (pcscd) of a test, with two readers that virtual cards can be put into. Only ever started on a
//! machine of its own: see [`crate::isolation`]. It must not know cards.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where the readers listen for their cards.
pub const PORTS: [u16; 2] = [0x8c7b, 0x8c7c];
const SOCKET: &str = "/run/pcscd/pcscd.comm";
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
/// The name of the readers, without their numbers: by it, programs that look at names take them for keys.
pub const READER: &str = "Yubico YubiKey OTP+FIDO+CCID";
const LIMIT: Duration = Duration::from_secs(20);

/// A running service; ends when dropped.
pub struct Service {
    readers: TempDir,
    running: Option<Child>,
}

impl Service {
    /// Starts it.
    pub fn start() -> Self {
        let readers = tempfile::tempdir().expect("a folder");
        let port = PORTS[0];
        let description = format!(
            "FRIENDLYNAME \"{READER}\"\nDEVICENAME /dev/null:{port:#06X}\nLIBPATH {DRIVER}\nCHANNELID {port:#06X}\n",
        );
        fs::write(readers.path().join("readers"), description).expect("written");
        let mut service = Self { readers, running: None };
        service.restart();
        service
    }

    /// Kills it without warning: its socket stays behind.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().expect("it runs");
            running.wait().expect("a child of ours");
        }
    }

    /// Kills it, and has its socket taken over by somebody who never answers, for as long as the result lives.
    pub fn replace_by_silence(&mut self) -> UnixListener {
        // Moved away first, so that nobody finds the socket missing or without a listener in between.
        fs::rename(SOCKET, format!("{SOCKET}.old")).expect("ours");
        let silent = UnixListener::bind(SOCKET).expect("the name is free");
        self.kill();
        silent
    }

    /// Removes what a killed service leaves behind.
    pub fn clean_up(&mut self) {
        for left in [SOCKET, "/run/pcscd/pcscd.pid"] {
            if Path::new(left).exists() {
                fs::remove_file(left).expect("ours");
            }
        }
    }

    /// Starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.clean_up();
        let mut command = Command::new("/usr/sbin/pcscd");
        command.args(["--foreground", "-c"]).arg(self.readers.path()).stdin(Stdio::null());
        self.running = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pcscd is installed"));
        let deadline = Instant::now() + LIMIT;
        // Nothing tells when it listens, so it is called until it does.
        while UnixStream::connect(SOCKET).is_err() {
            assert!(Instant::now() < deadline, "pcscd does not start");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}
