//! A notice as each kind of target understands it. It must not know when it is sent.

use super::facts::Text;
use crate::mail::{Address, Letter};
use bytes::Bytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A notice, and what surrounds it.
pub(super) struct Envelope<'a> {
    /// What it says.
    pub text: Text,
    /// Names it, however often it is sent.
    pub id: Uuid,
    /// When it happened, Unix milliseconds.
    pub at: i64,
    /// When it is sent, Unix seconds.
    pub now: i64,
    /// What the oracle calls itself.
    pub name: &'a str,
    /// The oracle's public address.
    pub oracle: &'a str,
}

/// Where a request goes, and the request.
pub(super) type Outgoing = (Url, Request<Full<Bytes>>);

impl Envelope<'_> {
    /// Our own JSON, signed as Standard Webhooks does it: HMAC-SHA256 of id, time and body.
    pub fn quorate(&self, url: &Url, key: &[u8]) -> Outgoing {
        let facts: Map<String, Value> = self.text.facts.iter().cloned().collect();
        let time = jiff::Timestamp::from_millisecond(self.at).unwrap_or_default().to_string();
        let oracle = json!({ "name": self.name, "url": self.oracle });
        let body = json!({ "type": self.text.kind, "timestamp": time, "oracle": oracle, "data": facts }).to_string();
        let (id, now) = (format!("msg_{}", self.id.simple()), self.now.to_string());
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{now}.{body}").as_bytes());
        let signature = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
        let mut request = post(url, body);
        for (name, value) in [("webhook-id", id), ("webhook-timestamp", now), ("webhook-signature", signature)] {
            request.headers_mut().insert(name, HeaderValue::from_str(&value).expect("it is visible ASCII"));
        }
        (url.clone(), request)
    }

    /// What Slack's incoming webhooks take. Its three special characters are escaped, so that nothing in it is a link, a
    /// mention or a call to everybody.
    pub fn slack(&self, url: &Url) -> Outgoing {
        let text = format!("*{}*\n{}", self.subject(), self.text.lines().join("\n"));
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        (url.clone(), post(url, json!({ "text": text }).to_string()))
    }

    /// What ntfy takes: JSON, sent to the server of the topic.
    pub fn ntfy(&self, url: &Url, token: Option<&Zeroizing<String>>) -> Outgoing {
        let (mut server, topic) = (url.clone(), url.path_segments().and_then(|mut parts| parts.next_back()));
        if let Ok(mut parts) = server.path_segments_mut() {
            parts.pop().push("");
        }
        server.set_query(None);
        let mut body = json!({
            "topic": topic.unwrap_or_default(),
            "title": self.subject(),
            "message": self.text.lines().join("\n"),
        });
        if let Some(page) = self.text.page() {
            body["click"] = page.into();
        }
        let mut request = post(&server, body.to_string());
        if let Some(token) = token {
            let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
            let mut value = HeaderValue::from_str(&bearer).expect("a token is visible ASCII");
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        (server, request)
    }

    /// A mail.
    pub fn letter(&self, to: Address) -> Letter {
        let text = format!("{}\n{}\n\n{}\n", self.name, self.oracle, self.text.lines().join("\n"));
        Letter { to, subject: self.subject(), text, written_at: self.at, id: self.id }
    }

    fn subject(&self) -> String {
        format!("{}: {}", quorate_protocol::display::escape_controls(self.name), self.text.title())
    }
}

fn post(url: &Url, body: String) -> Request<Full<Bytes>> {
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = path.parse().expect("a URL's path and query are a request's");
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("quorate/", env!("CARGO_PKG_VERSION"))));
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NoticeKind;
    use http_body_util::BodyExt as _;

    fn envelope() -> Envelope<'static> {
        let facts = vec![
            ("session".to_owned(), json!("S1")),
            ("page".to_owned(), json!("https://oracle.example/s/S1")),
            ("needed".to_owned(), json!(2)),
            ("why".to_owned(), json!("<!channel> a & b\n\u{202e}who: eve")),
        ];
        let text = Text { kind: NoticeKind::SessionStarted, facts };
        let (name, oracle) = ("Örakel", "https://oracle.example");
        Envelope { text, id: Uuid::from_bytes([7; 16]), at: 1_800_000_000_000, now: 1_800_000_005, name, oracle }
    }

    async fn body(request: Request<Full<Bytes>>) -> Value {
        serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn slack_mentions_nobody_and_nothing_breaks_a_line() {
        let url = Url::parse("https://hooks.example.com/services/x?y=z").unwrap();
        let (to, request) = envelope().slack(&url);
        assert_eq!((to, request.uri().to_string().as_str()), (url, "/services/x?y=z"));
        let text = body(request).await["text"].as_str().unwrap().to_owned();
        let why = "why: &lt;!channel&gt; a &amp; b\\n\\u{202e}who: eve";
        assert_eq!(text.lines().last(), Some(why));
        assert_eq!(text.lines().next(), Some("*Örakel: a session was started*"));
    }

    #[tokio::test]
    async fn ntfy_is_told_its_topic_at_its_server() {
        let url = Url::parse("https://ntfy.example.com/sub/alerts%20x").unwrap();
        let (to, request) = envelope().ntfy(&url, Some(&Zeroizing::new("tk_hunter2".to_owned())));
        assert_eq!(to.as_str(), "https://ntfy.example.com/sub/");
        assert_eq!(request.uri().path(), "/sub/");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer tk_hunter2");
        assert!(!format!("{request:?}").contains("hunter2"));
        let body = body(request).await;
        assert_eq!((&body["topic"], &body["click"]), (&json!("alerts%20x"), &json!("https://oracle.example/s/S1")));
        assert_eq!(body["title"], "Örakel: a session was started");
        let (root, _) = envelope().ntfy(&Url::parse("https://ntfy.sh/alerts").unwrap(), None);
        assert_eq!(root.as_str(), "https://ntfy.sh/");
    }

    #[tokio::test]
    async fn our_own_json_says_all_and_keeps_its_name() {
        let url = Url::parse("https://example.com/in").unwrap();
        let (_, request) = envelope().quorate(&url, &[1; 32]);
        assert_eq!(request.headers()["webhook-id"], "msg_07070707070707070707070707070707");
        assert_eq!(request.headers()["webhook-timestamp"], "1800000005");
        let expected = json!({
            "type": "session.started", "timestamp": "2027-01-15T08:00:00Z",
            "oracle": { "name": "Örakel", "url": "https://oracle.example" },
            "data": {
                "session": "S1", "page": "https://oracle.example/s/S1", "needed": 2,
                "why": "<!channel> a & b\n\u{202e}who: eve",
            },
        });
        assert_eq!(body(request).await, expected);
    }
}
