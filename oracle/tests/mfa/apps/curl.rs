//! The tour of docs/apps.md, run as it stands there: sharedmfa's calls with curl, and grants beside them.

#[test]
fn the_tour_of_shared_codes_runs_as_it_stands() {
    crate::tour::take(
        "docs/apps.md",
        include_str!("../../../../docs/apps.md"),
        &[
            r#""name":"Acme""#,
            r#""custom":"Payroll""#,
            r#""otp":"#,
            "the same code",
            r#""otp":"#,
            r#""code":"app_unknown""#,
            r#""otp":"#,
            r#""code":"app_unknown""#,
        ],
    );
}
