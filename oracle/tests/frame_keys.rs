//! The state folder: what is made, for whom, what is never overwritten, and where else keys may come from.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use quorate_oracle::clock::TestClock;
use quorate_oracle::keys::certificates::{for_invites, for_successor};
use quorate_oracle::keys::{KeyError, Keys, Sources, Standing, read_signing_key};
use quorate_oracle::state::{SeededEntropy, SystemEntropy};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 60 * 60;

fn clock(days: i64) -> TestClock {
    TestClock::at((NOW + days * DAY) * 1000)
}

fn open(folder: &Path) -> Result<Keys, KeyError> {
    Keys::open(folder, &Sources::default(), &clock(0), &SystemEntropy, 90)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let state = parent.path().join("state").join("quorate");
    (parent, state)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_first_start_makes_everything_for_its_owner_alone_and_a_second_changes_nothing() {
    let (_parent, state) = folder();
    let first = open(&state).unwrap();
    assert_eq!(mode(&state), 0o700);
    let made = contents(&state);
    let names: Vec<_> = made.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    let all =
        ["audit.key", "gateway.key", "invite.certificate", "invite.key", "root.key", "root.public", "root.secret"];
    assert_eq!(names, all, "and no drafts");
    for private in ["audit.key", "gateway.key", "invite.key", "root.key", "root.secret"] {
        assert_eq!(mode(&state.join(private)), 0o600, "{private}");
    }
    assert_eq!(first.standing(NOW), Standing::Valid(NOW + 90 * DAY));
    let second = open(&state).unwrap();
    assert_eq!(contents(&state), made);
    assert_eq!(second.fingerprint(), first.fingerprint());
    assert_eq!(*second.root_secret().subkey("x"), *first.root_secret().subkey("x"));
}

#[test]
fn two_first_starts_at_once_agree() {
    let (_parent, state) = folder();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&state).unwrap())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    for keys in &opened {
        assert_eq!(keys.fingerprint(), opened[0].fingerprint());
        assert_eq!(keys.invite_key().to_bytes(), opened[0].invite_key().to_bytes());
        assert_eq!(*keys.root_secret().subkey("x"), *opened[0].root_secret().subkey("x"));
    }
}

#[test]
fn keys_that_others_can_read_are_refused_with_the_cure() {
    for name in ["root.secret", "root.key", "invite.key", "gateway.key", "audit.key"] {
        for bits in [0o640, 0o604, 0o660] {
            let (_parent, state) = folder();
            open(&state).unwrap();
            // Without root.public the root key itself has to be read.
            fs::remove_file(state.join("root.public")).unwrap();
            fs::set_permissions(state.join(name), fs::Permissions::from_mode(bits)).unwrap();
            let error = open(&state).unwrap_err().to_string();
            assert!(error.contains(&format!("chmod 600 {}", state.join(name).display())), "{error}");
        }
    }
    let (_parent, state) = folder();
    open(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o770)).unwrap();
    assert!(open(&state).unwrap_err().to_string().contains("chmod 700"));
}

#[test]
fn damaged_keys_are_refused_and_left_alone() {
    for (name, text) in [
        ("root.secret", "short"),
        ("root.public", "AAAA"),
        ("invite.key", ""),
        ("invite.certificate", "{}"),
        ("gateway.key", ""),
        ("gateway.key", "hunter2\n"),
    ] {
        let (_parent, state) = folder();
        open(&state).unwrap();
        fs::write(state.join(name), text).unwrap();
        let error = open(&state).unwrap_err().to_string();
        assert_eq!(Keys::check(&state, &Sources::default()).unwrap_err().to_string(), error);
        assert!(text.is_empty() || !error.contains(text), "{error}");
        assert_eq!(fs::read_to_string(state.join(name)).unwrap(), text);
    }
}

#[test]
fn an_oracle_that_lost_its_root_does_not_invent_another() {
    let (_parent, state) = folder();
    let fingerprint = open(&state).unwrap().fingerprint();
    fs::rename(state.join("root.key"), state.join("elsewhere")).unwrap();
    assert_eq!(open(&state).unwrap().fingerprint(), fingerprint, "the public half is enough");
    fs::remove_file(state.join("root.public")).unwrap();
    assert!(matches!(open(&state), Err(KeyError::RootUnknown(_))));
    assert!(!state.join("root.key").exists());
}

#[test]
fn environment_and_credentials_come_before_the_folder() {
    let (parent, state) = folder();
    let credentials = parent.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    let secret = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    fs::write(credentials.join("root.secret"), secret).unwrap();
    fs::write(credentials.join("gateway.key"), "from systemd, as a credential\n").unwrap();
    let open = |sources: &Sources| Keys::open(&state, sources, &clock(0), &SeededEntropy::new(7), 90);
    let by_systemd = open(&Sources { credentials: Some(credentials), ..Sources::default() }).unwrap();
    assert!(by_systemd.gateway().matches(b"from systemd, as a credential"));
    assert!(!state.join("root.secret").exists() && !state.join("gateway.key").exists());

    let text = |text: &str| Some(Zeroizing::new(text.to_owned()));
    let by_env = Sources { root_secret: text(secret), gateway_key: text("from the environment"), ..Sources::default() };
    assert!(!format!("{by_env:?}").contains("AQEB"));
    let by_env = open(&by_env).unwrap();
    assert!(by_env.gateway().matches(b"from the environment"));
    assert_eq!(*by_env.root_secret().subkey("x"), *by_systemd.root_secret().subkey("x"));
    assert!(!state.join("root.secret").exists());

    let wrong = Sources { root_secret: text("hunter2"), ..Sources::default() };
    let error = open(&wrong).unwrap_err().to_string();
    assert!(error.contains("QUORATE_ROOT_SECRET") && !error.contains("hunter2"), "{error}");
}

#[test]
fn the_invite_certificate_is_renewed_where_the_root_key_is() {
    let (_parent, state) = folder();
    let keys = open(&state).unwrap();
    let renew = |days| keys.renew_if_due(&Sources::default(), &clock(days), 90).unwrap();
    assert_eq!(renew(50), Standing::Valid(NOW + 90 * DAY));
    assert_eq!(renew(61), Standing::Valid(NOW + 151 * DAY));
    assert_eq!(renew(400), Standing::Valid(NOW + 490 * DAY));
    assert_eq!(keys.certificates().len(), 1);

    fs::rename(state.join("root.key"), state.join("elsewhere")).unwrap();
    assert_eq!(renew(470), Standing::Expiring(NOW + 490 * DAY));
    assert_eq!(renew(490), Standing::Invalid);
    let root = read_signing_key(&state.join("elsewhere")).unwrap();
    let new = [for_invites(&root, &keys.invite_key().verifying_key(), NOW + 490 * DAY, 30)];
    keys.install(&new, &clock(490)).unwrap();
    assert_eq!(keys.standing(NOW + 490 * DAY), Standing::Valid(NOW + 520 * DAY));
}

#[test]
fn a_successor_is_in_force_after_a_restart() {
    let (_parent, state) = folder();
    let keys = open(&state).unwrap();
    let old = read_signing_key(&state.join("root.key")).unwrap();
    let new = quorate_oracle::keys::create_signing_key(&state.join("new.key"), &SystemEntropy).unwrap();
    assert!(quorate_oracle::keys::create_signing_key(&state.join("new.key"), &SystemEntropy).is_err());
    let invite = keys.invite_key().verifying_key();
    let ceremony = [for_successor(&old, &new.verifying_key(), NOW, 3650), for_invites(&new, &invite, NOW, 90)];
    assert_eq!(keys.install(&ceremony, &clock(0)).unwrap(), new.verifying_key());
    let again = open(&state).unwrap();
    assert_eq!(*again.root(), new.verifying_key());
    assert_eq!(again.standing(NOW), Standing::Valid(NOW + 90 * DAY));
    // The old key is still in the folder: it must not certify in the new one's name.
    assert_eq!(again.renew_if_due(&Sources::default(), &clock(80), 90).unwrap(), Standing::Expiring(NOW + 90 * DAY));
}

/// Everything is given; the folder of a node that can be replaced at any instant stays empty.
#[test]
fn an_oracle_that_is_given_its_keys_keeps_none() {
    let (_parent, first) = folder();
    let origin = open(&first).unwrap();
    let read = |name: &str| Some(Zeroizing::new(fs::read_to_string(first.join(name)).unwrap()));
    let by_systemd = Sources { credentials: Some(first.clone()), ..Sources::default() };
    let by_env = Sources {
        root_secret: read("root.secret"),
        audit_key: read("audit.key"),
        gateway_key: read("gateway.key"),
        root_public: read("root.public"),
        invite_key: read("invite.key"),
        invite_certificate: read("invite.certificate"),
        credentials: None,
    };
    for sources in [by_systemd, by_env] {
        let (_parent, state) = folder();
        let node = Keys::open(&state, &sources, &clock(0), &SystemEntropy, 90).unwrap();
        assert_eq!(contents(&state), []);
        assert_eq!(node.fingerprint(), origin.fingerprint());
        assert_eq!(node.certificates(), origin.certificates());
        assert_eq!(node.standing(NOW), Standing::Valid(NOW + 90 * DAY));
        assert_eq!(*node.root_secret().subkey("x"), *origin.root_secret().subkey("x"));
    }
    let (_parent, state) = folder();
    let half = Sources { invite_certificate: read("invite.certificate"), ..Sources::default() };
    let refused = Keys::open(&state, &half, &clock(0), &SystemEntropy, 90);
    assert!(matches!(refused, Err(KeyError::RootUnknown(_))), "no root key is made beside a certificate of another");
}

#[test]
fn of_two_certificates_the_one_that_lasts_longer_counts() {
    let (_parent, first) = folder();
    open(&first).unwrap();
    let sources = Sources { credentials: Some(first.clone()), ..Sources::default() };
    let (_parent, state) = folder();
    let node = Keys::open(&state, &sources, &clock(0), &SystemEntropy, 90).unwrap();
    let root = read_signing_key(&first.join("root.key")).unwrap();
    let renewed = for_invites(&root, &node.invite_key().verifying_key(), NOW + 10 * DAY, 90);
    node.install(&[renewed], &clock(10)).unwrap();
    let again = Keys::open(&state, &sources, &clock(10), &SystemEntropy, 90).unwrap();
    assert_eq!(again.standing(NOW + 10 * DAY), Standing::Valid(NOW + 100 * DAY), "the folder's");
    Keys::open(&first, &Sources::default(), &clock(85), &SystemEntropy, 90).unwrap();
    let standing = again.renew_if_due(&sources, &clock(85), 90).unwrap();
    assert_eq!(standing, Standing::Valid(NOW + 175 * DAY), "the given one, renewed since");
}
