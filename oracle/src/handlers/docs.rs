//! The interface described: the `OpenAPI` document, and the same as a page that needs nothing else. It must not know any
//! route but through the document.

use crate::extract::Json;
use crate::router;
use crate::state::AppState;
use crate::web::Frame;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

/// `GET /openapi.json`.
pub async fn openapi(State(state): State<AppState>) -> Json<utoipa::openapi::OpenApi> {
    Json(router::document(Some(&state.url)))
}

/// `GET /docs`.
pub async fn page(State(state): State<AppState>) -> Response {
    let document = serde_json::to_value(router::document(Some(&state.url))).expect("plain data always serialises");
    let frame = Frame { title: "Interface", oracle: &state.config.name, ..Frame::default() };
    frame.page(StatusCode::OK, &html! { div.docs { (render(&document)) } })
}

fn render(document: &Value) -> Markup {
    html! {
        h1 { (text(&document["info"]["title"])) " " small { (text(&document["info"]["version"])) } }
        p { (prose(&document["info"]["description"])) }
        p { a href="openapi.json" { "openapi.json" } }
        @for (path, methods) in fields(&document["paths"]) {
            @for (method, operation) in fields(methods) {
                section { (render_operation(path, method, operation)) }
            }
        }
        h2 { "Bodies" }
        @for (name, schema) in fields(&document["components"]["schemas"]) {
            section { (render_schema(name, schema)) }
        }
    }
}

fn render_operation(path: &str, method: &str, operation: &Value) -> Markup {
    html! {
        h2 { code { (method.to_uppercase()) " " (path) } }
        p { (prose(&operation["summary"])) }
        @if operation["description"] != operation["summary"] { p { (prose(&operation["description"])) } }
        @let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        @if !parameters.is_empty() {
            table {
                tr { th { "Parameter" } th { "In" } th { "Meaning" } }
                @for parameter in parameters {
                    tr {
                        td { code { (text(&parameter["name"])) } }
                        td { (text(&parameter["in"])) }
                        td { (prose(&parameter["description"])) }
                    }
                }
            }
        }
        @for (kind, content) in fields(&operation["requestBody"]["content"]) {
            p { "Takes " (render_type(&content["schema"])) " as " code { (kind) } "." }
        }
        table {
            tr { th { "Status" } th { "Meaning" } th { "Body" } }
            @for (status, response) in fields(&operation["responses"]) {
                tr {
                    td { (status) }
                    td { (prose(&response["description"])) }
                    td { @for (_, content) in fields(&response["content"]) { (render_type(&content["schema"])) } }
                }
            }
        }
    }
}

fn render_schema(name: &str, schema: &Value) -> Markup {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        h3 id=(name) { code { (name) } }
        p { (prose(&schema["description"])) }
        @for value in schema["enum"].as_array().map(Vec::as_slice).unwrap_or_default() { code { (text(value)) } " " }
        @let parts = schema["allOf"].as_array().map(Vec::as_slice).unwrap_or_default();
        @for part in parts.iter().filter(|part| !part["$ref"].is_null()) { p { "All of " (render_type(part)) ", and:" } }
        @for object in std::iter::once(schema).chain(parts).filter(|object| object["properties"].is_object()) {
            table {
                tr { th { "Field" } th { "Kind" } th { "Meaning" } }
                @for (field, kind) in fields(&object["properties"]) {
                    tr {
                        td { code { (field) } @if !required.iter().any(|name| name == field) { " (optional)" } }
                        td { (render_type(kind)) }
                        td { (prose(&kind["description"])) }
                    }
                }
            }
        }
    }
}

/// A schema in a few words; named ones are links.
fn render_type(schema: &Value) -> Markup {
    let named = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let alternatives = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        @if let Some(name) = named { a href={ "#" (name) } { code { (name) } } }
        @else if schema["type"] == "array" { "list of " (render_type(&schema["items"])) }
        @else if let Some(kinds) = schema["type"].as_array() {
            @for (number, kind) in kinds.iter().enumerate() { @if number > 0 { " or " } (text(kind)) }
        }
        @else if !alternatives.is_empty() {
            @for (number, one) in alternatives.iter().enumerate() { @if number > 0 { " or " } (render_type(one)) }
        }
        @else { (text(&schema["type"])) }
    }
}

/// A sentence, with what stands between back ticks as code.
fn prose(value: &Value) -> Markup {
    html! {
        @for (number, part) in text(value).split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_body_of_the_document_is_on_the_page() {
        let document = serde_json::to_value(router::document(None)).unwrap();
        let page = render(&document).into_string();
        for (path, _) in fields(&document["paths"]) {
            assert!(page.contains(path), "{path}");
        }
        for (name, _) in fields(&document["components"]["schemas"]) {
            assert!(page.contains(&format!("id=\"{name}\"")), "{name}");
        }
        assert!(page.contains("/readyz") && page.contains("ErrorBody"));
    }

    #[test]
    fn what_the_document_says_is_escaped() {
        let info = serde_json::json!({ "title": "<script>alert(1)</script>", "description": "a `<b>` c" });
        let page = render(&serde_json::json!({ "info": info })).into_string();
        assert!(!page.contains("<script>") && page.contains("a <code>&lt;b&gt;</code> c"), "{page}");
    }
}
