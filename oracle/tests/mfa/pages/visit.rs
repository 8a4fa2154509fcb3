//! A browser as far as HTTP sees it: it keeps one cookie, says where its requests come from, and follows no redirection.

use crate::people::stage::{PASSWORD, People};
use crate::stage::Stage;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response};

/// Somebody at a browser.
pub struct Visit<'a> {
    stage: &'a Stage,
    http: Client,
    /// What the browser keeps, as `NAME=VALUE`.
    pub cookie: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl<'a> Visit<'a> {
    pub fn new(people: &'a People) -> Self {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        Self { stage: &people.stage, http, cookie: None }
    }

    /// With a ticket that was given out elsewhere.
    pub fn with(people: &'a People, ticket: &str) -> Self {
        Self { cookie: (!ticket.is_empty()).then(|| format!("quorate={ticket}")), ..Self::new(people) }
    }

    /// Somebody without a second factor, logged in on pages.
    pub async fn logged_in(people: &'a People, name: &str) -> Self {
        let mut visit = Self::new(people);
        let page = visit.send("/login/password", &[("principal", name), ("password", PASSWORD)]).await;
        assert_eq!(page.status, 303, "{}", page.text);
        visit
    }

    /// A request with the cookie and nothing else.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("http://{}{path}", self.stage.oracle.address()));
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    pub async fn open(&mut self, path: &str) -> Page {
        let request = self.request(Method::GET, path).header("sec-fetch-site", "none");
        self.answer(request).await
    }

    /// Sends a form as a page of ours does.
    pub async fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = self.request(Method::POST, path).header("sec-fetch-site", "same-origin");
        self.answer(filled(request, fields)).await
    }

    /// Sends a form with what the page at `from` carries for whoever is logged in.
    pub async fn send_from(&mut self, from: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.open(from).await.token();
        let fields: Vec<_> = fields.iter().copied().chain([("form", token.as_str())]).collect();
        self.send(path, &fields).await
    }

    /// Sends a request, and keeps the cookie that comes back.
    pub async fn answer(&mut self, request: RequestBuilder) -> Page {
        let page = Page::read(request.send().await.expect("the oracle answers")).await;
        if let Some(set) = page.header("set-cookie") {
            let pair = set.split(';').next().expect("a pair");
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        page
    }
}

/// A request with these fields as its body.
pub fn filled(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

impl Page {
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a text") }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a hidden field; of several, the first.
    pub fn hidden(&self, name: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(&format!("type=\"hidden\" name=\"{name}\" value=\""))?;
        Some(rest.split('"').next()?.to_owned())
    }

    /// What its forms carry.
    pub fn token(&self) -> String {
        self.hidden("form").unwrap_or_else(|| panic!("no form on {}", self.text))
    }

    /// The stable word of a refusal.
    pub fn code(&self) -> &str {
        self.text.split_once("data-code=\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
    }

    /// Status and stable word.
    pub fn refusal(&self) -> (u16, &str) {
        (self.status, self.code())
    }

    /// Where it leads to.
    pub fn leads_to(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.header("location").expect("a location")
    }

    /// What stands on it, one element a line.
    pub fn content(&self) -> String {
        self.text.split_once("<main>").expect("a page").1.replace('>', ">\n")
    }
}
