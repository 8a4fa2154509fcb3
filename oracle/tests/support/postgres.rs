//! A real `PostgreSQL` for tests: a server of this machine's package, run as an unprivileged user in a folder of its own,
//! on a socket in that folder, and gone with the test however that ends. It must not know the oracle.
//!
//! A keeper, a small shell, starts the server and waits for orders on a pipe. When the test's process is gone, and be it
//! killed, the pipe ends, and the keeper stops the server by its process id and removes the folder.

use rustix::fs::{Gid, Uid};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use tokio_postgres::NoTls;

/// No start or stop takes as long; a test that waits for one has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Starts that are tried while processes of a killed server are still there.
const STARTS: usize = 400;
const KEEPER: &str = r#"
    folder=$1; shift
    server=
    while read -r order; do
        case $order in
            start) "$@" 2>&1 & server=$!; echo "process $server" ;;
            reap) wait "$server"; server=; echo ended ;;
        esac
    done
    [ -z "$server" ] || { kill -QUIT "$server"; wait "$server"; }
    rm -rf -- "$folder"
"#;

/// A server, stopped when dropped.
pub struct Postgres {
    folder: PathBuf,
    keeper: Child,
    orders: Option<ChildStdin>,
    said: Mutex<Receiver<String>>,
    process: Option<Pid>,
    databases: AtomicUsize,
}

/// The server that all tests of a process share, each with a database of its own; `None`, with a word, when there is no
/// `PostgreSQL` here and there need not be.
pub fn shared() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&[])).as_ref()
}

impl Postgres {
    /// A server of the test's own with settings (`NAME=VALUE`); `None` as for [`shared`].
    pub fn start(settings: &[&str]) -> Option<Self> {
        Self::start_on(settings, lay_out)
    }

    /// A standby that follows this server, until it is promoted.
    pub fn standby(&self) -> Self {
        let standby = Self::start_on(&[], |programs, folder, data| {
            give_away(folder);
            let mut copy = unprivileged();
            copy.push(programs.join("pg_basebackup").display().to_string());
            let (program, arguments) = copy.split_first().expect("it is not empty");
            let made = Command::new(program)
                .args(arguments)
                .args(["--username=postgres", "--checkpoint=fast", "--no-sync", "--write-recovery-conf", "--host"])
                .arg(&self.folder)
                .arg("--pgdata")
                .arg(data)
                .current_dir(folder)
                .output()
                .expect("pg_basebackup runs");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        });
        standby.expect("the programs are there")
    }

    /// A server on a copy of what this one, which must be stopped, has: both take writes.
    pub fn branch(&self) -> Self {
        assert!(self.process.is_none(), "it runs");
        let branch = Self::start_on(&[], |_, folder, data| {
            give_away(folder);
            copy(&self.folder.join("data"), data);
        });
        branch.expect("the programs are there")
    }

    /// A server that has never had anything to do with the others, which are all copies of one.
    pub fn stranger() -> Option<Self> {
        Self::start_on(&[], |programs, folder, data| {
            give_away(folder);
            initialize(programs, folder, data);
        })
    }

    /// Makes a standby a primary, on a timeline of its own, and waits until it takes writes.
    pub fn promote(&self) {
        let programs = programs().expect("the programs are there");
        let mut promote = unprivileged();
        promote.push(programs.join("pg_ctl").display().to_string());
        let (program, arguments) = promote.split_first().expect("it is not empty");
        let mut command = Command::new(program);
        command.args(arguments).args(["promote", "--wait", "--pgdata"]).arg(self.folder.join("data"));
        let promoted = command.current_dir(&self.folder).output().expect("pg_ctl runs");
        assert!(promoted.status.success(), "{}", String::from_utf8_lossy(&promoted.stderr));
    }

    /// A server with settings, on what `lay_out` puts into its data folder, given the programs and the server's folder.
    fn start_on(settings: &[&str], lay_out: impl FnOnce(&Path, &Path, &Path)) -> Option<Self> {
        let Some(programs) = programs() else {
            let required = std::env::var_os("CI").is_some_and(|ci| ci == "true")
                || std::env::var_os("QUORATE_TEST_ALL").is_some_and(|all| all == "1");
            assert!(!required, "PostgreSQL is missing: apt-get install postgresql");
            // Who runs the tests should know which did not run.
            drop(writeln!(std::io::stdout(), "skipped: PostgreSQL is not here (Debian: postgresql)"));
            return None;
        };
        let folder = tempfile::Builder::new().prefix("quorate-pg-").tempdir().expect("a folder").keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).expect("one's own folder");
        let data = folder.join("data");
        lay_out(&programs, &folder, &data);
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&folder).args(unprivileged());
        keeper.arg(programs.join("postgres")).arg("-D").arg(&data).env("LC_ALL", "C");
        let socket = format!("unix_socket_directories={}", folder.display());
        // A process that is killed leaves what it wrote to the system; the disk itself is not what is tested here.
        let always = ["listen_addresses=", &socket, "fsync=off", "max_connections=200", "shared_buffers=32MB"];
        let quiet = ["dynamic_shared_memory_type=mmap", "log_min_messages=log", "log_min_error_statement=panic"];
        for setting in always.iter().chain(&quiet).chain(settings) {
            keeper.args(["-c", setting]);
        }
        keeper.stderr(Stdio::null());
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell starts");
        let (orders, output) = (keeper.stdin.take(), keeper.stdout.take().expect("it was piped"));
        let (sender, said) = channel();
        std::thread::spawn(move || {
            // Whatever comes when nobody listens any more is read and forgotten: a full pipe would stop the server.
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                drop(sender.send(String::from_utf8_lossy(&line).into_owned()));
            }
        });
        let mut server =
            Self { folder, keeper, orders, said: Mutex::new(said), process: None, databases: AtomicUsize::new(0) };
        server.start_again();
        Some(server)
    }

    /// Starts it on the data that are there, and waits until it takes connections.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        for _ in 0..STARTS {
            self.order("start");
            let process = self.hear(|line| line.strip_prefix("process ").map(str::to_owned));
            self.process = Pid::from_raw(process.parse().expect("a process id"));
            let ready = self.hear(|line| {
                let ready = line.contains("database system is ready to accept");
                (ready
                    || line.contains("database system is shut down")
                    || line.contains("FATAL:  pre-existing")
                    || line.contains("FATAL:  lock file"))
                .then_some(ready)
            });
            if ready {
                return;
            }
            // Processes of a killed server end by themselves when they notice.
            self.reap();
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("PostgreSQL does not start in {}", self.folder.display());
    }

    /// SIGKILL: nothing is finished, nothing is said.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// As its operator would stop it: connections are closed at once.
    pub fn stop(&mut self) {
        self.signal(Signal::INT);
        self.reap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.process.expect("it runs"), signal).expect("one's own server can be signalled");
    }

    fn reap(&mut self) {
        self.order("reap");
        self.hear(|line| (line == "ended").then_some(()));
        self.process = None;
    }

    fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("open until dropped");
        writeln!(orders, "{order}").expect("the keeper lives");
    }

    fn hear<T>(&self, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
        let (said, mut heard) = (self.said.lock().expect("no holder panics"), String::new());
        loop {
            let line = said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("PostgreSQL said only {heard}"));
            if let Some(found) = wanted(&line) {
                return found;
            }
            heard.push_str(&line);
            heard.push('\n');
        }
    }

    /// The socket to connect to.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(".s.PGSQL.5432")
    }

    /// Puts a file there that only the server can read, and gives its path.
    pub fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, content).expect("one's own folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("one's own file");
        give_away(&path);
        path
    }

    /// The URL of a database by its name.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.to_str().expect("the system's temporary folder is UTF-8").replace('/', "%2F");
        format!("postgres://postgres@{folder}/{database}")
    }

    /// Makes a database that nobody has used, and gives its name.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run("postgres", &format!("CREATE DATABASE {name}")).await;
        name
    }

    /// Runs SQL in a database, as its owner.
    pub async fn run(&self, database: &str, sql: &str) {
        self.client(database).await.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// A connection to a database, as its owner.
    pub async fn client(&self, database: &str) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.url(database), NoTls).await.expect("the server takes connections");
        tokio::spawn(connection);
        client
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _gone_already = self.keeper.wait();
    }
}

/// The folder of the server's programs: that of `postgres` in the PATH, or where Debian keeps the newest.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).find_map(|folder| {
        // A link leads to the folder where all of them are.
        let program = folder.join("postgres").canonicalize().ok()?;
        Some(program.parent()?.to_owned())
    });
    let mut of_debian: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    of_debian.sort();
    in_path.into_iter().chain(of_debian.into_iter().rev()).find(|folder| folder.join("initdb").is_file())
}

/// User and group of the package's user, or else of `nobody`.
fn user() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").expect("a system has users");
    let of = |name: &str| {
        let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let mut fields = line.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody")).expect("every system has nobody")
}

/// What is put before a command so that the server is not root, which it refuses.
fn unprivileged() -> Vec<String> {
    if !geteuid().is_root() {
        return Vec::new();
    }
    let (user, group) = user();
    ["setpriv", &format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups", "--"]
        .map(String::from)
        .into()
}

/// Makes a file the server's.
fn give_away(path: &Path) {
    if geteuid().is_root() {
        let (user, group) = user();
        rustix::fs::chown(path, Some(Uid::from_raw(user)), Some(Gid::from_raw(group))).expect("root may");
    }
}

/// Puts a fresh cluster into `data`: a copy of one that is made once for each build folder.
fn lay_out(programs: &Path, folder: &Path, data: &Path) {
    give_away(folder);
    let version = Command::new(programs.join("postgres")).arg("--version").output().expect("it is there").stdout;
    let version: String = String::from_utf8_lossy(&version).chars().filter(char::is_ascii_alphanumeric).collect();
    // Unit tests have no such folder.
    let models = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let model = models.join(format!("quorate-cluster-{version}-{}", geteuid().as_raw()));
    if model.is_dir() {
        return copy(&model, data);
    }
    initialize(programs, folder, data);
    // Complete or not there at all, whoever else makes one now.
    let draft = model.with_extension(std::process::id().to_string());
    copy(data, &draft);
    if std::fs::rename(&draft, &model).is_err() {
        std::fs::remove_dir_all(&draft).expect("one's own copy");
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "cannot copy {} to {}", from.display(), to.display());
}

/// Makes a cluster.
fn initialize(programs: &Path, folder: &Path, data: &Path) {
    let mut initdb = unprivileged();
    initdb.push(programs.join("initdb").display().to_string());
    let (program, arguments) = initdb.split_first().expect("it is not empty");
    let made = Command::new(program)
        .args(arguments)
        .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"])
        .arg(data)
        .current_dir(folder)
        .output()
        .expect("initdb runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
