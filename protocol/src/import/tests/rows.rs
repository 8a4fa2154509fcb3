//! What holds for the rows of every export: places, duplicates, lines, pictures, bounds.

use super::*;

fn reasons(import: &Import) -> Vec<String> {
    let reason = |row: &Row| row.found.as_ref().err().map(|reason| format!("{} {reason}", row.place));
    import.rows.iter().filter_map(reason).collect()
}

fn usable(import: &Import) -> Vec<&str> {
    import.rows.iter().filter(|row| row.found.is_ok()).map(|row| row.name.as_str()).collect()
}

#[test]
fn good_lines_are_kept_and_the_others_named_by_their_number() {
    let text = [
        URI,
        "",
        "a note",
        &URI.replace("totp", "hotp"),
        "otpauth://steam/Shop:ann?secret=JBSWY3DPEHPK3PXP",
        "otpauth://totp/Shop:ann?secret=JBSWY3DPEHPK3PXP&encoder=steam",
        "otpauth://totp/nobody",
        "otpauth://totp/Shop%E2%80%AE:ann?secret=JBSWY3DPEHPK3PXP&digits=5",
        "otpauth-migration://offline?data=A",
        "otpauth://totp/:ben?secret=JBSWY3DPEHPK3PXP",
        "otpauth://motp/x?secret=JBSWY3DPEHPK3PXP",
    ];
    let import = read(&[text.join("\r\n")], None, None).unwrap();
    assert_eq!(import.formats, [Format::Otpauth]);
    assert_eq!(usable(&import), ["Example: alice@google.com", "ben"]);
    let names: Vec<&str> = import.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names[2], "Example:alice@google.com");
    assert_eq!(names[6], "Shop\\u{202e}:ann");
    assert_eq!(
        reasons(&import),
        [
            "line 3 it is neither an otpauth:// nor an otpauth-migration:// URI",
            "line 4 it is counter-based (HOTP), and a counter cannot be shared",
            "line 5 it is Steam's, whose letter codes are not supported",
            "line 6 it is Steam's, whose letter codes are not supported",
            "line 7 the otpauth URI has no secret; add secret=KEY with the account's base32 key",
            "line 8 codes of 5 digits are not supported; digits must be 6, 7 or 8",
            "line 9 the otpauth-migration URI is damaged",
            "line 11 unknown kind of one-time password \"motp\"; only otpauth://totp/… works",
        ]
    );
}

#[test]
fn comments_in_a_list_are_no_rows_and_an_address_is_no_key() {
    let list = format!("# mine\n\n  #{URI}\n{URI}\n");
    let import = read(&[list], None, None).unwrap();
    assert_eq!((import.rows.len(), import.rows[0].place.to_string()), (1, "line 4".to_owned()));
    assert_eq!(parse_any("https://x.y/z"), Err(ImportError::StrangeLine { line: 1 }));
    let empty = OtpSecret::from_base32("").unwrap_err().to_string();
    assert!(empty.starts_with("the secret is empty; "), "{empty}");
}

#[test]
fn keys_and_parameters_out_of_bounds_are_left_out() {
    let uri = |key: &str, rest: &str| format!("otpauth://totp/x?secret={key}{rest}");
    let key = "JBSWY3DPEHPK3PXP";
    let text = [
        uri(key, ""),
        uri(&"A".repeat(820), "&period=60"),
        uri("JBSWY3DPEHPK3PX", ""),
        uri(&"A".repeat(1640), ""),
        uri(key, "&period=0"),
        uri(key, "&period=1000000000"),
        uri(key, "&digits=8"),
        uri(key, "&digits=10"),
        uri("", ""),
    ];
    let import = read(&[text.join("\n")], None, None).unwrap();
    // 80 bits and 4096 bits are the ends of what accounts hand out.
    assert_eq!(usable(&import), ["x"; 3]);
    assert_eq!(reasons(&import).len(), 6);
}

#[test]
fn a_key_alone_is_a_line() {
    let import = read(&["\n\njbsw y3dp ehpk 3pxp\n"], None, None).unwrap();
    assert_eq!((usable(&import), import.rows[0].place.to_string()), (vec!["unnamed"], "line 3".to_owned()));
    let import = read(&["JBSWY3DP"], None, None).unwrap();
    assert_eq!(reasons(&import).len(), 1);
}

#[test]
fn of_rows_that_make_the_same_codes_the_first_counts() {
    let renamed = URI.replace("alice", "bob");
    let other = URI.replace("JBSW", "KBSW");
    let longer = format!("{URI}&digits=8");
    let files = [[URI, &renamed].join("\n"), [&other, &longer, URI].join("\n")];
    let import = read(&files, None, None).unwrap();
    assert_eq!(usable(&import).len(), 3);
    let duplicates: Vec<(usize, &LeftOut)> =
        import.rows.iter().filter_map(|row| Some((row.place.input, row.found.as_ref().err()?))).collect();
    let of = Place { input: 0, at: At::Line(1) };
    assert_eq!(duplicates, [(0, &LeftOut::Duplicate { of }), (1, &LeftOut::Duplicate { of })]);
}

#[test]
fn rows_with_uuids_of_their_own_are_kept_side_by_side() {
    let one = format!("{URI}&uuid=5F0C8D10-1f0e-4a35-8d21-0c2e4ad3c1a1");
    let two = format!("{URI}&uuid=5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a2");
    let taken = one.replace("JBSW", "KBSW").to_lowercase();
    let text = [&one, &two, &taken, URI, &format!("{URI}&uuid=5f0c"), &one].join("\n");
    let import = read(&[text], None, None).unwrap();
    let uuids: Vec<&str> = import.rows.iter().filter_map(|row| row.found.as_ref().ok()?.uuid.as_deref()).collect();
    assert_eq!(uuids, ["5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1", "5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a2"]);
    assert_eq!(
        reasons(&import),
        [
            "line 3 its UUID is that of line 1",
            "line 4 it makes the same codes as line 1",
            "line 5 what should be its UUID is none",
            "line 6 its UUID is that of line 1",
        ]
    );
}

#[test]
fn the_parts_of_an_export_may_come_in_files_of_any_kind() {
    let picture = file(code(PART_2.trim(), 4), ImageFormat::Png);
    let inputs = [PART_1.as_bytes().to_vec(), picture.clone(), file(code(URI, 4), ImageFormat::Jpeg)];
    let import = read(&inputs, None, None).unwrap();
    assert_eq!(import.formats, [Format::Otpauth, Format::Picture, Format::Picture]);
    assert_eq!(usable(&import), ["Example: alice@google.com", "first", "second"]);
    let places: Vec<(usize, String)> = import.rows.iter().map(|row| (row.place.input, row.place.to_string())).collect();
    let place = |input, text: &str| (input, text.to_owned());
    assert_eq!(places, [place(2, "QR code 1"), place(0, "line 1"), place(1, "QR code 1")]);
    let import = read(&[picture], None, None).unwrap();
    assert_eq!(usable(&import), ["second"], "the part that is there is kept");
    assert_eq!(reasons(&import), ["QR code 1 this export has 2 parts and part 1 is missing; import all of them"]);
}

#[test]
fn a_row_that_the_table_has_twice_is_told_by_its_uuid() {
    let row = r#"{"PartitionKey":"mfaseed","RowKey":"5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1","AccountName":"AWS"}"#;
    let absent = row.replace("c1a1", "c1a2");
    let table = format!("[{row},{row},{absent}]");
    let secret = r#"{"name":"5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1","value":"JBSWY3DPEHPK3PXP"}"#;
    let import = read(&[table.as_str(), secret], Some(Format::SharedMfa), None).unwrap();
    assert_eq!(usable(&import), ["AWS"]);
    let reasons = reasons(&import);
    assert!(reasons[0] == "entry 2 its UUID is that of entry 1" && reasons[1].starts_with("entry 3 its secret is in"));
}

#[test]
fn a_code_for_something_else_is_named_by_its_number() {
    let picture = file(code("https://example.com", 4), ImageFormat::Png);
    let import = read(&[picture], None, None).unwrap();
    assert_eq!(reasons(&import), ["QR code 1 it is neither an otpauth:// nor an otpauth-migration:// URI"]);
    let bomb = read(&[header_only(8193, 1)], None, None);
    assert_eq!(bomb, Err(ImportError::PictureTooLarge));
}

#[test]
fn a_format_can_be_forced_and_is_then_wanted() {
    assert_eq!(read(&[URI], Some(Format::Aegis), None), Err(ImportError::NotThisFormat(Format::Aegis)));
    assert_eq!(read(&[URI], Some(Format::Picture), None), Err(ImportError::NotAPicture));
    assert_eq!(read(&[&[0xff][..]], Some(Format::Otpauth), None), Err(ImportError::NotThisFormat(Format::Otpauth)));
    let strange = read(&["hello, world"], None, None);
    assert_eq!(
        strange.unwrap_err().to_string(),
        "this is no export that is known: Aegis, andOTP, Bitwarden, otpauth URIs, QR codes, quorate, sharedmfa, 2FAS"
    );
}

#[test]
fn what_is_too_much_is_refused() {
    let large = vec![b' '; MAX_EXPORT_BYTES + 1];
    assert_eq!(read(&[large], Some(Format::Otpauth), None), Err(ImportError::FileTooLarge));
    let lines = format!("{URI}\n").repeat(MAX_ROWS + 1);
    assert_eq!(read(&[lines], None, None), Err(ImportError::TooManyRows));
    let half = format!("{URI}\n").repeat(MAX_ROWS / 2 + 1);
    assert_eq!(read(&[&half, &half], None, None), Err(ImportError::TooManyRows));
}

#[test]
fn no_more_is_kept_of_a_list_than_shows_that_it_is_too_long() {
    use crate::import::row::{Entries, MAX_ENTRIES, few};
    let list = format!("[{}0]", "0,".repeat(3 * MAX_ENTRIES));
    let entries: Entries<'_> = serde_json::from_str(&list).unwrap();
    assert_eq!(entries.kept().len(), MAX_ENTRIES + 1);
    let endless = std::iter::repeat_with(|| Row {
        place: Place { input: 0, at: At::Entry(1) },
        name: String::new(),
        found: Err(LeftOut::Unreadable),
    });
    assert_eq!(few(endless), Err(ImportError::TooManyRows));
    let none = |of: &str| format!("[{of}{}0]", "0,".repeat(2 * MAX_ENTRIES));
    for (text, format) in [
        (none(""), Format::AndOtp),
        (format!("{{\"encrypted\":false,\"items\":{}}}", none("")), Format::Bitwarden),
        (format!("{{\"services\":{}}}", none("")), Format::TwoFas),
        (format!("{{\"version\":1,\"header\":{{}},\"db\":{{\"version\":1,\"entries\":{}}}}}", none("")), Format::Aegis),
        (none("{\"RowKey\":\"\"},"), Format::SharedMfa),
        ("{} ".repeat(2 * MAX_ENTRIES), Format::SharedMfa),
        ("x\n".repeat(MAX_ROWS + 1), Format::Quorate),
    ] {
        assert_eq!(read(&[&text], Some(format), None), Err(ImportError::TooManyRows), "{format}");
    }
    // A vault has many items that hold no one-time password.
    let items = format!("{{\"encrypted\":false,\"items\":[{}{{}}]}}", "{},".repeat(MAX_ROWS + 1));
    assert_eq!(read(&[&items], None, None).map(|import| import.rows.len()), Ok(0));
}

#[test]
fn no_reason_and_no_name_holds_a_key() {
    let text = [
        format!("{URI}&secret={KEY}"),
        format!("otpauth://totp/{KEY}"),
        format!("otpauth://{KEY}/x"),
        format!("{URI}&algorithm={KEY}"),
        format!("{URI}&uuid={KEY}"),
        KEY.to_owned(),
    ];
    let import = read(&[text.join("\n")], None, None).unwrap();
    assert_eq!(reasons(&import).len(), 6);
    assert!(!format!("{import:?} {:?}", reasons(&import)).contains(KEY), "{import:?}");
}

#[test]
fn names_that_cannot_be_used_are_cut() {
    let import =
        read(&[format!("otpauth://totp/{}?secret=JBSWY3DPEHPK3PXP", "long name ".repeat(100))], None, None).unwrap();
    assert_eq!(import.rows[0].name, "unnamed");
    let entry = format!(r#"[{{"secret":"JBSWY3DPEHPK3PXP","type":"TOTP","label":"{}"}}]"#, "n".repeat(1000));
    let import = read(&[entry], None, None).unwrap();
    assert_eq!(import.rows[0].name, "n".repeat(255));
    assert_eq!(reasons(&import), ["entry 1 the issuer or account is longer than 255 bytes; shorten it"]);
}
