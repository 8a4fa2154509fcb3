//! What is to become of a row: whether it is there already, and whether what is there is the same. It must not know files.

use quorate_protocol::api::{App, AppRight, KnownApp};
use quorate_protocol::otp::OtpSecret;
use serde::Serialize;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It is an app now.
    Added,
    /// There is an app of its name or its UUID with another secret.
    Differs,
    /// It cannot be used.
    LeftOut,
    /// The oracle does not take it.
    Refused,
    /// It says the same as a row before it.
    Repeated,
    /// There is such an app.
    There,
    /// It would be added.
    ToAdd,
}

impl Status {
    /// As they are counted at the end.
    pub(super) const ALL: [Self; 7] =
        [Self::Added, Self::ToAdd, Self::There, Self::Repeated, Self::Differs, Self::LeftOut, Self::Refused];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Differs => "differs",
            Self::LeftOut => "left out",
            Self::Refused => "refused",
            Self::Repeated => "repeated",
            Self::There => "there",
            Self::ToAdd => "to add",
        }
    }

    /// Whether the row's secret is not among one's apps afterwards, so that it has to be kept elsewhere.
    pub(super) fn failed(self) -> bool {
        matches!(self, Self::Differs | Self::LeftOut | Self::Refused)
    }
}

/// What is to become of a usable row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It becomes an app.
    Add,
    /// The importer's app of that UUID has another secret, and keeps it.
    Differs { uuid: String, reason: &'static str },
    /// The importer's app of that UUID makes its codes.
    There(String),
    /// Somebody else has the UUID, for that reason it is not added.
    Taken(&'static str),
}

/// What is to become of `secret`, whose app is to have the UUID `kept`. Only the importer's own apps stand for it: what others have
/// they can take away.
pub(super) fn of(secret: &OtpSecret, kept: Option<&str>, known: &KnownApp, apps: &[App], again: bool) -> Fate {
    let mut own = apps.iter().filter(|app| app.right == AppRight::Owner);
    if let Some(uuid) = kept {
        return if known.same.iter().any(|same| same == uuid) {
            Fate::There(uuid.to_owned())
        } else if own.any(|app| app.uuid == uuid) {
            let reason =
                "your app of this UUID has another secret, and keeps it: --new-uuids adds this one under another";
            Fate::Differs { uuid: uuid.to_owned(), reason }
        } else if known.taken {
            Fate::Taken("there is an app of this UUID, and it is not yours: --new-uuids adds this one under another")
        } else {
            Fate::Add
        };
    }
    if again {
        return Fate::Add;
    }
    if let Some(same) = known.same.first() {
        return Fate::There(same.clone());
    }
    let (issuer, label) = (secret.issuer().unwrap_or_default(), secret.account());
    let named = (!issuer.is_empty() || !label.is_empty())
        .then(|| own.find(|app| app.by_quorum.is_none() && app.issuer == issuer && app.label == label));
    match named.flatten() {
        Some(app) => {
            let reason = "your app of this name has another secret, and keeps it: --again adds this one beside it";
            Fate::Differs { uuid: app.uuid.clone(), reason }
        }
        None => Fate::Add,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "otpauth://totp/AWS:root?secret=JBSWY3DPEHPK3PXP";

    fn app(uuid: &str, right: AppRight) -> App {
        App {
            uuid: uuid.to_owned(),
            issuer: "AWS".to_owned(),
            label: "root".to_owned(),
            name: None,
            right,
            owner: None,
            added_at: String::new(),
            by_quorum: None,
        }
    }

    fn same(uuids: &[&str]) -> KnownApp {
        KnownApp { same: uuids.iter().map(|uuid| (*uuid).to_owned()).collect(), taken: false }
    }

    fn word(fate: &Fate) -> &'static str {
        match fate {
            Fate::Add => "add",
            Fate::Differs { .. } => "differs",
            Fate::There(_) => "there",
            Fate::Taken(_) => "taken",
        }
    }

    #[test]
    fn only_an_own_app_that_makes_the_same_codes_is_there() {
        let secret = OtpSecret::from_uri(URI).expect("a URI");
        let (own, theirs) = ([app("one", AppRight::Owner)], [app("one", AppRight::Manage)]);
        let taken = KnownApp { taken: true, ..same(&[]) };
        for (kept, known, apps, again, expected) in [
            (None, same(&["one"]), &own, false, "there"),
            (None, same(&["one"]), &own, true, "add"),
            (None, same(&[]), &own, false, "differs"),
            (None, same(&[]), &own, true, "add"),
            (None, same(&[]), &theirs, false, "add"),
            (Some("one"), same(&["one"]), &own, true, "there"),
            (Some("one"), taken.clone(), &own, true, "differs"),
            (Some("one"), taken.clone(), &theirs, false, "taken"),
            (Some("two"), taken, &own, false, "taken"),
            (Some("two"), same(&["one"]), &own, false, "add"),
        ] {
            let fate = of(&secret, kept, &known, apps, again);
            assert_eq!(word(&fate), expected, "{kept:?} {known:?} {again}");
        }
    }

    #[test]
    fn nothing_is_no_name() {
        let nameless = OtpSecret::from_base32("JBSWY3DPEHPK3PXP").expect("a key");
        let unnamed = App { issuer: String::new(), label: String::new(), ..app("one", AppRight::Owner) };
        assert_eq!(of(&nameless, None, &same(&[]), &[unnamed], false), Fate::Add);
        assert_eq!(of(&nameless, None, &same(&["one"]), &[], false), Fate::There("one".to_owned()));
    }
}
