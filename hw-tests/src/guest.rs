//! A machine of its own for programs of this workspace, kernel included: QEMU without any help of the host's processor, Debian's
//! kernel, and the commands of a session, which nobody has to type. `$QUORATE_GUEST` names the kernel, which `make test` fetches. It
//! must not know what the commands do.
//!
//! The guest's clock counts its instructions, and when everything in it waits, goes on to the next thing that happens. So no limit in the
//! guest is overrun because this machine is slow, and a touch that is not given costs no minute.

use crate::isolation::leave_out;
use std::collections::{BTreeSet, VecDeque};
use std::env;
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The first program that runs in it.
const INIT: &str = include_str!("../guest/init.sh");
const EMULATOR: &str = "qemu-system-x86_64";
/// Of memory: what it runs is in there twice for a moment, packed and unpacked.
const MEMORY: &str = "1536M";
/// Between start and end, which are half a minute apart on a core that does nothing else.
const LIMIT: Duration = Duration::from_secs(1100);
/// Lines of the console that are shown when something goes wrong.
const TAIL: usize = 60;

/// A folder with a kernel (`vmlinuz`) and what it needs at first (`base.cpio`).
pub struct Kernel(PathBuf);

/// What a command of the session came to.
#[derive(Debug)]
pub struct Printed {
    /// Its exit code.
    pub code: i32,
    /// What it printed, stdout before stderr.
    pub lines: Vec<String>,
}

/// What the guest starts from: a folder that is its root.
pub struct Image {
    folder: tempfile::TempDir,
    libraries: BTreeSet<PathBuf>,
}

/// A guest that runs; ended when dropped.
struct Guest {
    emulator: Child,
    console: Receiver<String>,
    tail: VecDeque<String>,
}

impl Kernel {
    /// The kernel, where there is one; a missing one fails `test` where nothing may be missing.
    #[expect(clippy::print_stderr, reason = "a test that is left out is said")]
    pub fn found(test: &str) -> Option<Self> {
        let (kernel, without) = (env::var_os("QUORATE_GUEST"), env::var("QUORATE_WITHOUT_GUEST"));
        match (kernel, without) {
            (Some(folder), _) => return Some(Self(folder.into())),
            // Set by scripts/guest.sh, which in CI ends instead.
            (None, Ok(why)) if env::var("CI").as_deref() != Ok("true") => eprintln!("left out: {test}: {why}"),
            _ => leave_out(test, "QUORATE_GUEST names no kernel"),
        }
        None
    }
}

impl Image {
    /// An image whose session is `commands`, one a line.
    pub fn new(commands: &[&str]) -> io::Result<Self> {
        let image = Self { folder: tempfile::tempdir()?, libraries: BTreeSet::new() };
        image.write("init", INIT)?;
        image.write("etc/hosts", "127.0.0.1 localhost\n")?;
        image.write("session", &commands.iter().flat_map(|command| [command, "\n"]).collect::<String>())?;
        fs::set_permissions(image.folder.path().join("init"), Permissions::from_mode(0o755))?;
        Ok(image)
    }

    /// Puts a file there.
    pub fn write(&self, path: &str, content: &str) -> io::Result<()> {
        fs::write(self.place(Path::new(path))?, content)
    }

    /// Puts a program there, without what only debuggers read, and the libraries that it loads where it looks for them.
    pub fn install(&mut self, program: &Path, path: &str) -> io::Result<()> {
        let place = self.place(Path::new(path))?;
        run(Command::new("strip").arg("-o").args([&place, program]))?;
        let listed = run(Command::new("ldd").arg(program))?;
        for library in listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from) {
            if self.libraries.insert(library.clone()) {
                fs::copy(&library, self.place(library.strip_prefix("/").expect("it begins with one"))?)?;
            }
        }
        Ok(())
    }

    fn place(&self, path: &Path) -> io::Result<PathBuf> {
        let place = self.folder.path().join(path);
        fs::create_dir_all(place.parent().expect("it is in the image"))?;
        Ok(place)
    }

    /// Packs it behind what the kernel needs: the kernel unpacks one archive after the other.
    fn pack(&self, kernel: &Kernel) -> io::Result<tempfile::NamedTempFile> {
        let packed = tempfile::NamedTempFile::new()?;
        let mut archive = packed.reopen()?;
        io::copy(&mut File::open(kernel.0.join("base.cpio"))?, &mut archive)?;
        let pack = "find . -mindepth 1 | cpio --quiet --create --format=newc --owner=+0:+0";
        let mut command = Command::new("sh");
        command.args(["-c", pack]).current_dir(self.folder.path()).stdout(archive);
        let status = command.status()?;
        if status.success() { Ok(packed) } else { Err(io::Error::other(format!("cpio: {status}"))) }
    }

    /// Starts the guest, and returns when it has run its session; panics with the end of its console when it does not.
    pub fn run(&self, kernel: &Kernel) -> io::Result<Vec<Printed>> {
        let archive = self.pack(kernel)?;
        Ok(Guest::start(kernel, archive.path())?.listen())
    }
}

/// Runs a program to its end; gives its stdout.
fn run(command: &mut Command) -> io::Result<String> {
    let ended = command.output()?;
    if !ended.status.success() {
        return Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&ended.stderr))));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

impl Guest {
    fn start(kernel: &Kernel, archive: &Path) -> io::Result<Self> {
        let mut command = Command::new(EMULATOR);
        command.args(["-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none"]);
        command.args(["-nic", "none", "-serial", "stdio", "-m", MEMORY]);
        // One instruction is four nanoseconds, and nobody waits for a clock. Randomness, which the kernel would otherwise wait for, is an
        // instruction of this processor.
        command.args(["-accel", "tcg", "-cpu", "qemu64,+rdrand", "-icount", "shift=2,sleep=off"]);
        command.arg("-kernel").arg(kernel.0.join("vmlinuz")).arg("-initrd").arg(archive);
        command.args(["-append", "console=ttyS0 panic=-1 quiet loglevel=1"]);
        let mut emulator = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let console = lines(emulator.stdout.take().expect("it was piped"));
        Ok(Self { emulator, console, tail: VecDeque::new() })
    }

    fn listen(&mut self) -> Vec<Printed> {
        let deadline = Instant::now() + LIMIT;
        let mut all = Vec::new();
        let mut lines = Vec::new();
        loop {
            let Ok(line) = self.console.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                let tail = self.tail.make_contiguous().join("\n");
                panic!("the guest did not come to its end; its console ends with\n{tail}");
            };
            match words(&line).as_slice() {
                ["@", "begins", _] => lines.clear(),
                ["@", "ends", _, code] => {
                    let code = code.parse().expect("a number");
                    all.push(Printed { code, lines: std::mem::take(&mut lines) });
                }
                ["@", "over"] => return all,
                _ => lines.extend(line.strip_prefix("| ").map(str::to_owned)),
            }
            self.tail.push_back(line);
            if self.tail.len() > TAIL {
                self.tail.pop_front();
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The lines of the console as they come; the line to them ends with the guest.
fn lines(console: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    lines
}
