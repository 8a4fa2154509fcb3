//! Load from one thread: prepared bytes in, whole answers out, on connections that stay open. It must not know what the
//! requests mean, and spends as little as it can: it shares its cores with what it measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a load came to.
pub struct Figures {
    /// Answers a second.
    pub rate: f64,
    /// Half of all answers came within.
    pub p50: Duration,
    /// All but a hundredth.
    pub p99: Duration,
    /// Bodies, when they were asked for, in the order of the requests.
    pub bodies: Vec<Vec<u8>>,
    /// Answers.
    pub count: usize,
}

impl Figures {
    /// A line of a table: `healthz` is the rate of `GET /healthz` when it is known, `processor` what all answers cost the
    /// server, in seconds.
    pub fn print(&self, name: &str, healthz: Option<f64>, processor: f64) {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let each = processor * 1e6 / self.count as f64;
        let ratio = healthz.map_or(1.0, |healthz| self.rate / healthz);
        let [p50, p99] = [self.p50, self.p99].map(|time| time.as_secs_f64() * 1e3);
        println!(
            "{name:<40} {:>7.0}/s  {ratio:>5.2} of healthz  p50 {p50:>6.2} ms  p99 {p99:>6.2} ms  {each:>5.0} µs of processor",
            self.rate
        );
    }
}

/// Seconds that a process has run on any processor, to 10 ms.
pub fn processor_time(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the oracle runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a line").split_ascii_whitespace().collect();
    // User and system time, in hundredths of a second (proc(5): fields 14 and 15).
    let ticks: u32 = fields[11..13].iter().map(|ticks| ticks.parse::<u32>().expect("a number")).sum();
    f64::from(ticks) / 100.0
}

/// A load on one server, or on several that are one.
pub struct Load {
    /// Where it listens; with several, each client goes to the next.
    pub addresses: Vec<SocketAddr>,
    /// Connections at the same time, each with one request under way.
    pub clients: usize,
    /// The status that every answer must have.
    pub status: u16,
}

impl Load {
    /// Sends each of `requests` once and keeps the bodies.
    pub fn each(&self, requests: Vec<Vec<u8>>) -> Figures {
        self.run(requests, None)
    }

    /// Sends `requests` round and round for as long as `time`.
    pub fn for_a_time(&self, requests: Vec<Vec<u8>>, time: Duration) -> Figures {
        self.run(requests, Some(time))
    }

    fn run(&self, requests: Vec<Vec<u8>>, time: Option<Duration>) -> Figures {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(async {
            let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
            let mut streams = Vec::new();
            for address in self.addresses.iter().cycle().take(self.clients) {
                let stream = TcpStream::connect(address).await.expect("the oracle listens");
                stream.set_nodelay(true).expect("a socket takes options");
                streams.push(stream);
            }
            let begun = Instant::now();
            let end = time.map(|time| begun + time);
            let clients: Vec<_> = streams
                .into_iter()
                .map(|stream| {
                    let client = Client { stream, buffer: Vec::with_capacity(64 * 1024), status: self.status };
                    tokio::spawn(client.serve(Arc::clone(&requests), Arc::clone(&next), end))
                })
                .collect();
            let (mut waits, mut bodies) = (Vec::new(), Vec::new());
            for client in clients {
                let (own_waits, own_bodies) = client.await.expect("no answer was wrong");
                waits.extend(own_waits);
                bodies.extend(own_bodies);
            }
            let took = begun.elapsed().as_secs_f64();
            waits.sort_unstable();
            bodies.sort_unstable_by_key(|(number, _)| *number);
            let at = |part: usize| waits.get(waits.len() * part / 100).copied().unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            Figures {
                rate: waits.len() as f64 / took,
                p50: at(50),
                p99: at(99),
                count: waits.len(),
                bodies: bodies.into_iter().map(|(_, body)| body).collect(),
            }
        })
    }
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    status: u16,
}

impl Client {
    async fn serve(
        mut self,
        requests: Arc<Vec<Vec<u8>>>,
        next: Arc<AtomicUsize>,
        end: Option<Instant>,
    ) -> (Vec<Duration>, Vec<(usize, Vec<u8>)>) {
        let (mut waits, mut bodies) = (Vec::new(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let over = end.map_or(number >= requests.len(), |end| Instant::now() >= end);
            if over {
                return (waits, bodies);
            }
            let asked = Instant::now();
            self.stream.write_all(&requests[number % requests.len()]).await.expect("the oracle reads");
            let body = self.answer().await;
            waits.push(asked.elapsed());
            if end.is_none() {
                bodies.push((number, body));
            }
        }
    }

    async fn answer(&mut self) -> Vec<u8> {
        self.buffer.clear();
        let mut whole = usize::MAX;
        let mut start = 0;
        while self.buffer.len() < whole {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("the oracle answers");
            assert_ne!(read, 0, "the oracle closed the connection");
            if whole == usize::MAX
                && let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")
            {
                start = end + 4;
                whole = start + content_length(&self.buffer[..end]);
            }
        }
        let shown = || String::from_utf8_lossy(&self.buffer);
        assert!(self.buffer.starts_with(format!("HTTP/1.1 {} ", self.status).as_bytes()), "{}", shown());
        self.buffer[start..whole].to_vec()
    }
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|&byte| byte == b'\n')
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)));
    let text = line.and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok());
    text.map_or(0, |text| text.trim().parse().expect("a length"))
}

/// A whole request.
pub fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    request_from(0, method, path, body)
}

/// A whole request of the client with that number, as a proxy would tell of it.
pub fn request_from(client: usize, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let [.., a, b, c] = client.to_be_bytes();
    request_with(&format!("X-Forwarded-For: 10.{a}.{b}.{c}\r\n"), method, path, body)
}

/// A whole request with headers, each a line with its end.
pub fn request_with(headers: &str, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
