//! Keeps what a library prints out of the data on stdout: `ctap-hid-fido2` prints there what it does not know in a key's answers, and
//! says where it panicked. It must not know what is asked.

use rustix::fd::OwnedFd;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdout, stderr, stdout};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::{panic, thread};

/// The name of threads whose panics are answered, and need no report.
pub(super) const NAME: &str = "security key";

/// How many put stdout aside, and the real one while that is any.
static ASIDE: Mutex<(usize, Option<OwnedFd>)> = Mutex::new((0, None));

/// While this is there, what is printed to stdout goes to stderr.
pub(super) struct StdoutAside(());

impl StdoutAside {
    pub(super) fn put() -> Self {
        let mut aside = aside();
        aside.0 += 1;
        if aside.0 == 1 {
            // What was printed before is data. Where nothing can be printed, or moved, there is nothing to keep out.
            let _ = std::io::stdout().flush();
            let kept = fcntl_dupfd_cloexec(stdout(), 3).ok();
            aside.1 = kept.filter(|_| dup2_stdout(stderr()).is_ok());
        }
        Self(())
    }
}

impl Drop for StdoutAside {
    fn drop(&mut self) {
        let mut aside = aside();
        aside.0 -= 1;
        if aside.0 == 0
            && let Some(real) = aside.1.take()
        {
            let _ = std::io::stdout().flush();
            // As it was: it fails only if stderr was closed meanwhile, which leaves nobody to tell.
            let _ = dup2_stdout(real);
        }
    }
}

fn aside() -> MutexGuard<'static, (usize, Option<OwnedFd>)> {
    ASIDE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has nothing said of panics on threads called [`NAME`]: whoever started them says what came of it.
pub(super) fn hush_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if thread::current().name() != Some(NAME) {
                told(panic);
            }
        }));
    });
}
