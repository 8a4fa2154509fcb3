//! No page goes without its pictures, and so without what is looked for when they are taken.

use crate::driver::Browser;

/// Pages by their route, each with one of its pictures.
const PAGES: [(&str, &str); 15] = [
    ("/", "home"),
    ("/account", "account"),
    ("/admin/audit", "admin-audit"),
    ("/admin/principal", "admin-principal"),
    ("/admin/principals", "admin-principals"),
    ("/admin/provider", "admin-provider"),
    ("/admin/providers", "admin-providers"),
    ("/admin/sessions", "admin-sessions"),
    ("/apps", "apps"),
    ("/apps/{uuid}", "app"),
    ("/docs", "docs"),
    ("/drill/{id}", "drill"),
    ("/enroll/{link}", "enroll-link"),
    ("/login", "login"),
    ("/s/{id}", "session-open"),
];
/// What is asked for as pages are, and is none: a file, a redirection.
const NONE: [&str; 3] = ["/admin", "/admin/audit/export", "/assets/{name}"];

#[test]
fn every_page_has_its_pictures() {
    let router = include_str!("../../src/router.rs");
    let table = router.split("pub fn router(").nth(1).and_then(|rest| rest.split("finish(routes").next());
    let lines = table.expect("the table").split(".route(").skip(1);
    let shown = lines.filter(|line| line.contains("get(pages::") || line.contains("get(docs::page)"));
    let shown: Vec<&str> = shown.filter_map(|line| line.split('"').nth(1)).collect();
    assert!(shown.len() > NONE.len() + 10, "{shown:?}");
    let tests = [include_str!("main.rs"), include_str!("apps.rs"), include_str!("people.rs")];
    for path in shown.into_iter().filter(|path| !NONE.contains(path)) {
        let (_, picture) = PAGES.iter().find(|(page, _)| *page == path).unwrap_or_else(|| panic!("{path}: a picture?"));
        let taken = format!("\"{picture}\"");
        assert!(tests.iter().any(|test| test.contains(&taken)), "{path}: {picture} is not taken");
    }
}

#[tokio::test]
async fn what_keeps_people_out_is_found() {
    let Some(browser) = Browser::start().await else { return };
    let page =
        "data:text/html,<html lang=en><title>x</title><main><h1>x</h1><input><p style='color:%23ccc'>faint</p></main>";
    browser.open(page).await;
    let found = browser.barriers().await;
    if std::env::var_os("QUORATE_AXE").is_none() {
        return;
    }
    for rule in ["label: ", "color-contrast: "] {
        assert!(found.iter().any(|line| line.starts_with(rule)), "{rule}{found:?}");
    }
}
