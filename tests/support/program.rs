//! A running program: its lines as they come, its end, and a limit on waiting for either.

use super::LIMIT;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Ended {
    /// Fails the test unless the program succeeded; gives its stdout.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Fails the test unless the program ended with `code`; gives its stderr.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stderr
    }

    /// The last line of stdout as JSON, of a program that succeeded.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let stdout = self.ok();
        serde_json::from_str(stdout.lines().last().expect("a line")).expect("JSON")
    }
}

/// A program under way. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    out: Lines,
    err: Lines,
}

#[derive(Debug)]
struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts `command` with nothing on stdin.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with_input(command, "")
    }

    /// Starts `command` with `input` on stdin.
    pub fn start_with_input(command: &mut Command, input: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // A program that does not read its input may be gone before it is written.
        let _ = child.stdin.take().expect("asked for").write_all(input.as_bytes());
        let out = Lines::of(child.stdout.take().expect("asked for"));
        let err = Lines::of(child.stderr.take().expect("asked for"));
        Self { child, out, err }
    }

    /// The next line of stdout.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let Some(line) = self.out.next(Instant::now() + LIMIT) else {
            self.err.drain();
            panic!("no line on stdout; stderr: {:?}", self.err.seen);
        };
        line
    }

    /// Waits for a line on stderr that holds `text`, and gives it.
    #[track_caller]
    pub fn says(&mut self, text: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        if let Some(line) = self.err.seen.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        while let Some(line) = self.err.next(deadline) {
            if line.contains(text) {
                return line;
            }
        }
        panic!("never said {text:?}: {:?}", self.err.seen);
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-INT", &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        let deadline = Instant::now() + LIMIT;
        // Both streams end with the program, so that waiting for it afterwards takes no time.
        for lines in [&mut self.out, &mut self.err] {
            while lines.next(deadline).is_some() {}
        }
        assert!(Instant::now() < deadline, "it does not end; stderr: {:?}", self.err.seen);
        let status = self.child.wait().expect("a child of ours");
        let text = |lines: &Lines| lines.seen.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        Ended { code: status.code(), stdout: text(&self.out), stderr: text(&self.err) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already ended, or nobody waits for it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, coming) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { coming, seen: Vec::new() }
    }

    fn next(&mut self, deadline: Instant) -> Option<String> {
        let line = self.coming.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        self.seen.push(line.clone());
        Some(line)
    }

    fn drain(&mut self) {
        self.seen.extend(self.coming.try_iter());
    }
}
