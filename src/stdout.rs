//! What stdout is, and who writes there: data of ours alone. A library that prints there can be kept out: `ctap-hid-fido2` prints what
//! it does not know in a key's answers, and where it panicked. It must not know what the data are, or who is kept out.

use rustix::fd::OwnedFd;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many keep others out, and the real stdout while that is any.
static ASIDE: Mutex<(usize, Option<OwnedFd>)> = Mutex::new((0, None));

/// While this is there, whatever is printed to stdout goes to stderr, except by way of [`data`]. It belongs to whoever may print, for as
/// long as that goes on, and not to whoever waits for it.
#[cfg(feature = "fido")]
pub(crate) struct StdoutAside(());

/// stdout, as it was when the program began. Nobody else comes in between until it is dropped.
pub(crate) struct Data(MutexGuard<'static, (usize, Option<OwnedFd>)>);

/// Where data go.
pub(crate) fn data() -> Data {
    Data(aside())
}

impl Write for Data {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0.1 {
            Some(real) => Ok(rustix::io::write(real, bytes)?),
            None => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.0.1 {
            Some(_) => Ok(()),
            None => io::stdout().flush(),
        }
    }
}

#[cfg(feature = "fido")]
impl StdoutAside {
    pub(crate) fn put() -> Self {
        use rustix::stdio::{dup2_stdout, stderr, stdout};
        let mut aside = aside();
        aside.0 += 1;
        if aside.0 == 1 {
            // What was printed before is data. Where nothing can be printed, or moved, there is nothing to keep out.
            let _ = io::stdout().flush();
            let kept = rustix::io::fcntl_dupfd_cloexec(stdout(), 3).ok();
            aside.1 = kept.filter(|_| dup2_stdout(stderr()).is_ok());
        }
        Self(())
    }
}

#[cfg(feature = "fido")]
impl Drop for StdoutAside {
    fn drop(&mut self) {
        let mut aside = aside();
        aside.0 -= 1;
        if aside.0 == 0
            && let Some(real) = aside.1.take()
        {
            let _ = io::stdout().flush();
            // As it was: it fails only if stderr was closed meanwhile, which leaves nobody to tell.
            let _ = rustix::stdio::dup2_stdout(real);
        }
    }
}

fn aside() -> MutexGuard<'static, (usize, Option<OwnedFd>)> {
    ASIDE.lock().unwrap_or_else(PoisonError::into_inner)
}
