//! The oracle's program as a process of its own, and HTTP/1.1 in plain sight: whoever measures or kills a server wants a
//! client that keeps no connection secret and retries nothing. It must not know what requests mean.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// No answer takes as long; a test that waits for one has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A serving oracle, killed when dropped.
pub struct Oracle {
    process: Child,
    address: SocketAddr,
    log: Option<JoinHandle<String>>,
}

impl Oracle {
    /// Starts the program on `state` with settings from the environment (`QUORATE_` is put before each name), and waits
    /// until it listens.
    pub fn start(program: &Path, state: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.env_clear().arg("serve");
        Self::spawn(&mut command, state, settings)
    }

    /// The same by a command that ends in the program, such as a shell that prepares something.
    pub fn spawn(command: &mut Command, state: &Path, settings: &[(&str, &str)]) -> Self {
        command.env("QUORATE_STATE", state).env("QUORATE_LISTEN", "127.0.0.1:0").env("QUORATE_LOG_LEVEL", "error");
        for (name, value) in settings {
            command.env(format!("QUORATE_{name}"), value);
        }
        let mut process = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let stderr = BufReader::new(process.stderr.take().expect("it was piped"));
        let (address, log) = listening(stderr);
        Self { process, address, log: Some(log) }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::to(self.address)
    }

    /// Its standard input and output, when they were piped.
    pub fn pipes(&mut self) -> (ChildStdin, ChildStdout) {
        (self.process.stdin.take().expect("it was piped"), self.process.stdout.take().expect("it was piped"))
    }

    /// Kills it, and gives all that it has said on its standard error since it listened.
    pub fn log(mut self) -> String {
        self.kill();
        self.log.take().expect("only this takes it").join().expect("UTF-8")
    }

    /// SIGKILL: nothing is finished, nothing is said.
    pub fn kill(&mut self) {
        let _ended_already = self.process.kill();
        self.process.wait().expect("a child can be waited for");
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address that the oracle says it listens on, and whoever reads what it says later: a pipe that nobody reads would stop
/// the oracle.
fn listening(mut stderr: BufReader<ChildStderr>) -> (SocketAddr, JoinHandle<String>) {
    let mut said = String::new();
    loop {
        let before = said.len();
        assert_ne!(stderr.read_line(&mut said).expect("UTF-8"), 0, "it ended, saying {said}");
        if let Some(url) = said[before..].trim_end().strip_prefix("listening on http://") {
            let address = url.parse().expect("an address");
            let log = std::thread::spawn(move || {
                let mut log = String::new();
                stderr.read_to_string(&mut log).expect("UTF-8");
                log
            });
            return (address, log);
        }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: String,
    /// Whether the connection ends with it.
    pub last: bool,
}

/// One connection, kept alive between requests.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects to an oracle that lives.
    pub fn to(address: SocketAddr) -> Self {
        Self::try_to(address).expect("the oracle listens")
    }

    /// Connects to one that may be dead.
    pub fn try_to(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a whole request.
    pub fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
        let length = body.len();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.write(&request)
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one answer.
    pub fn receive(&mut self) -> std::io::Result<Answer> {
        loop {
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.received[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |text| text.trim().parse().expect("a length"));
                let whole = end + 4 + length;
                while self.received.len() < whole {
                    self.more()?;
                }
                let body = String::from_utf8_lossy(&self.received[end + 4..whole]).into_owned();
                self.received.drain(..whole);
                let last = head.lines().any(|line| line == "connection: close");
                return Ok(Answer { status: head[9..12].parse().expect("a status"), body, last });
            }
            self.more()?;
        }
    }

    /// A request and its answer, from an oracle that lives.
    pub fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.try_request(method, path, headers, body).expect("the oracle answers")
    }

    /// The same from one that may die.
    pub fn try_request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> std::io::Result<Answer> {
        self.send(method, path, headers, body)?;
        self.receive()
    }

    /// Posts JSON.
    pub fn post(&mut self, path: &str, body: &impl serde::Serialize) -> Answer {
        self.request("POST", path, "", &serde_json::to_vec(body).expect("plain data always serialises"))
    }

    fn more(&mut self) -> std::io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.received.extend_from_slice(&chunk[..read]);
                Ok(())
            }
        }
    }
}
