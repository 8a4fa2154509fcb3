//! The oracle's routes, for tests that must leave none out.

/// Where the routes of somebody who is named otherwise are the same as those of a short name.
const OTHER_NAMES: [(&str, &str); 3] = [
    ("/principals/principal/internal/{kind}/{name}", "/principals/{name}"),
    ("/grants/principal/internal/{kind}/{name}", "/grants/{name}"),
    ("/grants/api-key/{value}", "/grants/{name}"),
];

/// The same route by a short name.
pub fn by_short_name(path: &str) -> String {
    OTHER_NAMES.iter().fold(path.to_owned(), |path, (other, short)| path.replace(other, short))
}

/// Paths and methods in the table of routes, read from its source: a router does not tell.
pub fn routes() -> Vec<(String, Vec<String>)> {
    let source = include_str!("../../src/router.rs");
    let table = source.split("pub fn router(").nth(1).and_then(|rest| rest.split("finish(routes").next());
    let lines = table.expect("the table").split(".route(").skip(1);
    let routes: Vec<_> = lines
        .map(|line| {
            let line = line.trim_start().strip_prefix('"').expect("a path");
            let (path, handlers) = line.split_once('"').expect("a path ends");
            let methods = ["get", "post", "put", "patch", "delete"];
            let named = methods.iter().filter(|method| handlers.contains(&format!("{method}(")));
            (path.to_owned(), named.map(|method| method.to_ascii_uppercase()).collect())
        })
        .collect();
    assert!(routes.len() >= 40 && routes.iter().all(|(_, methods): &(_, Vec<_>)| !methods.is_empty()), "{routes:?}");
    routes
}
