//! One request and its answer, as snapshots of routes show them. It must not know any route.

use reqwest::RequestBuilder;
use serde::Serialize;
use serde_json::Value;

/// What was asked, and what came back.
#[derive(Serialize)]
pub struct Case {
    what: String,
    request: String,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<String>,
    pub body: Value,
}

impl Case {
    /// Sends the request. `names` gives the parameter that a part of the path stands for, if it is drawn anew in each run.
    pub async fn of(what: &str, request: RequestBuilder, names: impl Fn(&str) -> Option<&'static str>) -> Self {
        let (http, request) = request.build_split();
        let request = request.expect("a request");
        let path: Vec<&str> = request.url().path().split('/').map(|part| names(part).unwrap_or(part)).collect();
        let shown = format!("{} {}", request.method(), path.join("/"));
        let response = http.execute(request).await.expect("an answer");
        let header = |name| Some(response.headers().get(name)?.to_str().expect("ASCII").to_owned());
        let (content_type, retry_after) = (header("content-type"), header("retry-after"));
        let status = response.status().as_u16();
        let text = response.text().await.expect("a text");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { what: what.to_owned(), request: shown, status, content_type, retry_after, body }
    }
}
