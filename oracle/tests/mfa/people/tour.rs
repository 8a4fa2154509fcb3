//! The tour of docs/people.md, run as it stands there.

#[test]
fn the_tour_of_people_runs_as_it_stands() {
    crate::tour::take(
        "docs/people.md",
        include_str!("../../../../docs/people.md"),
        &[
            r#""role":"operator""#,
            r#""Name":"TotpDemoConfig""#,
            r#""code":"provider_assigned""#,
            r#""principal":"principal/internal/user/bob""#,
            r#""code":"login_refused""#,
            r#""role":"member""#,
            r#""code":"role_forbids""#,
            r#""code":"ticket_required""#,
        ],
    );
}
