//! The events of a session as they happen: server-sent events, read again from the last one seen when the connection
//! breaks. Knows nothing of what the events mean to people.

use super::{Client, ClientError};
use quorate_protocol::api::Event;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

/// Bytes of one event at most: an event holds one session with its names and its invite.
const MAX_EVENT: usize = 1024 * 1024;
/// Connections in a row without a single event before the stream gives up.
const MAX_FAILURES: u32 = 8;

/// Events in order, each once. Ends behind the event that ends the session, or with an error.
pub struct Events {
    client: Client,
    session: String,
    view: Option<String>,
    last: i64,
    failures: u32,
    lines: Option<SseReader<Box<dyn Read + Send>>>,
    /// The last event stood without its session: when the stream ends now, nothing follows.
    closing: bool,
    over: bool,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("session", &self.session).field("last", &self.last).finish_non_exhaustive()
    }
}

impl Events {
    pub(super) fn new(client: Client, session: &str, view: Option<&str>, after: i64) -> Self {
        let (session, view) = (session.to_owned(), view.map(str::to_owned));
        Self { client, session, view, last: after, failures: 0, lines: None, closing: false, over: false }
    }

    fn read(&mut self) -> Result<Option<Event>, ClientError> {
        if self.lines.is_none() {
            let body = self.client.open_events(&self.session, self.view.as_deref(), self.last)?;
            self.lines = Some(SseReader::new(body));
        }
        let lines = self.lines.as_mut().expect("opened above");
        match lines.next_data() {
            Ok(Some(data)) => serde_json::from_str(&data).map(Some).map_err(|_| ClientError::Answer {
                url: self.client.url().to_owned(),
                detail: "an event is unreadable".into(),
            }),
            Ok(None) => Ok(None),
            Err(error) => Err(ClientError::unreachable(self.client.url(), &error)),
        }
    }

    /// Whether it is worth connecting again, and after what rest.
    fn rest(&mut self) -> bool {
        self.lines = None;
        self.failures += 1;
        if self.failures > MAX_FAILURES {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50 << self.failures.min(6)));
        true
    }
}

impl Iterator for Events {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            match self.read() {
                Ok(Some(event)) if event.seq <= self.last => {}
                Ok(Some(event)) => {
                    (self.last, self.failures) = (event.seq, 0);
                    self.over = ends(&event);
                    self.closing = event.session.is_none();
                    return Some(Ok(event));
                }
                Ok(None) if self.closing => self.over = true,
                Ok(None) if self.rest() => {}
                Ok(None) => {
                    self.over = true;
                    return Some(Err(self.client.strange("its event stream keeps ending")));
                }
                Err(error) if error.is_passing() && self.rest() => {}
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// Whether nothing can follow `event`. After a redeal come receipts.
fn ends(event: &Event) -> bool {
    matches!(event.kind.as_str(), "cancelled" | "expired" | "exhausted")
}

/// The data of server-sent events (WHATWG HTML §9.2), which is all that is needed of them: ids stand in the data too.
struct SseReader<R> {
    input: BufReader<R>,
}

impl<R: Read> SseReader<R> {
    fn new(input: R) -> Self {
        Self { input: BufReader::new(input) }
    }

    /// The next event's data; `None` when the stream ends. Comments, which keep the connection alive, are skipped.
    fn next_data(&mut self) -> std::io::Result<Option<String>> {
        let mut data: Option<String> = None;
        loop {
            let mut line = Vec::new();
            (&mut self.input).take(MAX_EVENT as u64).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(None);
            }
            let long = line.last() != Some(&b'\n') && line.len() == MAX_EVENT;
            let line = String::from_utf8(line).map_err(|_| invalid("an event is not UTF-8"))?;
            let line = line.trim_end_matches(['\n', '\r']);
            if long || data.as_ref().map_or(0, String::len) + line.len() > MAX_EVENT {
                return Err(invalid("an event is too large"));
            }
            if line.is_empty() {
                if let Some(data) = data.take() {
                    return Ok(Some(data));
                }
            } else if let Some(value) = line.strip_prefix("data:") {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => data = Some(value.to_owned()),
                }
            }
        }
    }
}

fn invalid(detail: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> std::io::Result<Vec<String>> {
        let mut reader = SseReader::new(text.as_bytes());
        let mut found = Vec::new();
        while let Some(data) = reader.next_data()? {
            found.push(data);
        }
        Ok(found)
    }

    #[test]
    fn data_is_gathered_and_the_rest_is_skipped() {
        let text = ": beat\n\nid: 1\nevent: joined\ndata: {\"a\":1}\n\n\r\ndata:x\r\ndata: y\r\n\r\nretry: 5\n\n";
        assert_eq!(all(text).expect("reads"), ["{\"a\":1}", "x\ny"]);
    }

    #[test]
    fn an_event_that_was_cut_off_does_not_count() {
        assert_eq!(all("data: whole\n\ndata: ha").expect("reads"), ["whole"]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let text = format!("data: {}", "x".repeat(2 * 1024 * 1024));
        assert!(all(&text).is_err());
        let many = "data: xxxxxxxx\n".repeat(200_000);
        assert!(all(&many).is_err());
    }
}
