//! What to do about an error: a cause that a person can check, or a command to run. It must not know how anything is done.

use super::{CliError, fido};
use crate::cli::drawer::DrawerError;
use crate::cli::players::PlayersError;
use crate::cli::trust::TrustError;
use crate::token::fido::FidoError;
use crate::token::identities::{IdentityError, PasskeyError};
use crate::token::{ServiceFault, TokenError};
use crate::ui::{UiError, shown};
use quorate_protocol::audit::checkpoint::CheckpointError;
use quorate_protocol::header::HeaderError;
use quorate_protocol::import::ImportError;
use quorate_protocol::recipient::RecipientError;
use quorate_protocol::sealing::SealingError;
use std::io::ErrorKind;

const ONE_KIND: &str = "age cannot mix them in one file: a player's spare key must be of the same kind as the first";

/// The hint of `error`, where there is one.
pub(super) fn hint(error: &CliError) -> Option<String> {
    let hint = match error {
        CliError::ApiKeyFile(_) => "it takes one line KEY:SECRET, as `quorate api-key activate` prints it",
        CliError::AuditAltered => {
            "keep the export and the database as they are, and compare with checkpoints that were published elsewhere"
        }
        CliError::AuditKey(_) => {
            "`quorate-oracle audit key` prints it; get it from the operator by another way than the log"
        }
        CliError::Checkpoint { source: CheckpointError::Malformed, .. } => {
            "it is what `quorate-oracle audit checkpoint` prints, or the file that the oracle publishes"
        }
        CliError::Checkpoint { .. } => "check that key and checkpoint are of the same oracle",
        CliError::Drawer(error) => return Some(drawer(error)),
        CliError::Encrypt { source, .. } => match &**source {
            SealingError::Encrypt(age::EncryptError::IncompatibleRecipients { .. }) => ONE_KIND,
            _ => "check the recipient, and that its plugin works",
        },
        CliError::Exists(_) => "nothing is ever overwritten: name another place, or move the old file away first",
        CliError::Header(error) => return header(error),
        CliError::Identity(error) | CliError::Open { source: error, .. } => return identity(error),
        CliError::Import(error) | CliError::ImportFile { source: error, .. } => {
            return import(error).map(str::to_owned);
        }
        CliError::NoGatewayKey => {
            "name its file with --gateway-key-file, or put it into QUORATE_GATEWAY_KEY; the oracle keeps it in gateway.key"
        }
        CliError::NoHardware => {
            "put one in; `quorate doctor` says what is seen. `--soft FILE` means a key in a file, for low stakes"
        }
        CliError::NoHome => "set HOME, or XDG_CONFIG_HOME and XDG_DATA_HOME",
        CliError::NoPlugin { name, .. } => return Some(format!("install age-plugin-{name} where PATH finds it")),
        CliError::NoSuchAccount { .. } => "write the name as it stands there, in quotes",
        CliError::NoSuchToken(_) => {
            "the number is printed on the key; `quorate key list` shows those that are connected"
        }
        CliError::NotOneToken(_) => "`--serial NUMBER` names a connected key, `--soft FILE` a soft token",
        CliError::Players(error) => players(error),
        CliError::Read { source, .. } if source.kind() == ErrorKind::NotFound => "check the name",
        CliError::Recipient { reason, .. } => return recipient(reason),
        CliError::SecretInArgument => {
            "pipe it in (… --otpauth - < FILE), or leave it out and be asked; and renew it at the account, \
             since this one may have been seen"
        }
        CliError::Toc { .. } => "ask the dealer, or whoever sent the file, for the file again",
        CliError::Token(error) => return token(error),
        CliError::TokenInDoubt { .. } => {
            "`--serial NUMBER` says which is meant; `quorate doctor` says what is wrong with the other"
        }
        CliError::Trust(error) => return Some(trust(error)),
        CliError::Ui(UiError::Different(_)) => "nothing was changed: try again",
        CliError::Ui(UiError::PinCommand(_)) => {
            "run that program by hand with sh -c: it must print the PIN as its first line, and end with 0"
        }
        CliError::Ui(UiError::NoTerminal(what)) if what == "a confirmation" => {
            "run it from a terminal, or agree beforehand with the option that its --help has for that (--yes or --fingerprint)"
        }
        CliError::Ui(UiError::NoTerminal(what)) if what == "the clipboard" => {
            "run it from a terminal, whose clipboard it is; without --copy the code is printed"
        }
        CliError::Ui(UiError::NoTerminal(what)) if what.starts_with("password") => {
            "run it from a terminal, or name a file with the password: --password-file FILE"
        }
        CliError::Ui(UiError::NoTerminal(_)) => {
            "run it from a terminal, or see --help; PINs come from the program in QUORATE_PIN_COMMAND, PUKs from QUORATE_PUK_COMMAND, \
             PINs of security keys from QUORATE_FIDO_PIN_COMMAND"
        }
        CliError::Write { source, .. }
            if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) =>
        {
            "make room and try again: nothing was left behind"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn drawer(error: &DrawerError) -> String {
    let hint = match error {
        DrawerError::Ambiguous { .. } => "name the file itself, or more of the group's name: `quorate toc list --json`",
        DrawerError::Card(path) => {
            let toc = path.with_extension("").with_extension("toc.age");
            return format!("`quorate toc add {}` opens the Toc and describes it anew", shown(&toc.to_string_lossy()));
        }
        DrawerError::NotFiled(_) => "`quorate toc list` shows what is filed, `quorate toc add FILE` files a Toc",
        DrawerError::Short(_) => "file the one that the dealer gave you",
    };
    hint.to_owned()
}

fn header(error: &HeaderError) -> Option<String> {
    let hint = match error {
        HeaderError::Note => "say what the secret opens in fewer words",
        HeaderError::Threshold { threshold: 0 | 1, .. } => {
            "with 1, a single person could open the account: -t 2 is the least"
        }
        HeaderError::Threshold { threshold: 3, size: 2 } => {
            "of two players both are needed: say so with -t 2 (it is 3 without -t), or name more players"
        }
        HeaderError::Threshold { size: 0..=255, .. } => "lower it with -t, or name more players",
        HeaderError::Threshold { .. } => "a group has 255 players at most",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn import(error: &ImportError) -> Option<&'static str> {
    Some(match error {
        ImportError::Encrypted(_) => {
            "or move the accounts by their QR codes: --qr IMAGE, or `quorate app import IMAGE …`"
        }
        ImportError::Age => "`age -d -i KEY FILE | quorate app import -` reads it, and writes nothing to the disk",
        ImportError::CutOff => "copy or download it again, or export it again",
        ImportError::NotThisFormat(_) => {
            "was --format another one? without it, it is found out what it is; or export it again"
        }
        ImportError::PasswordNeeded(_) => {
            "`quorate app import FILE` asks for it; elsewhere, give the account alone, or an export without encryption"
        }
        ImportError::Several { .. } => "choose one with --account NAME",
        ImportError::UnknownFormat => {
            "--format says what it is; for other apps, give their otpauth:// URIs or QR codes"
        }
        ImportError::Version { .. } => "a newer quorate may know it; the app may also export to otpauth:// URIs",
        ImportError::WrongPassword(_) => "it is the password that was chosen for the export, or for the vault",
        _ => return None,
    })
}

pub(super) fn identity(error: &IdentityError) -> Option<String> {
    let hint = match error {
        IdentityError::Damaged(_) => "is it the whole file that `quorate deal` wrote? get it again from the dealer",
        IdentityError::Locked { .. } => "try again with the passphrase of that file",
        IdentityError::NoneMatches(wanted) if wanted.iter().any(|kind| kind == "piv-p256" || kind == "p256tag") => {
            "connect the key that opens it, or name its identity with -i FILE; `quorate key list` shows what you have"
        }
        IdentityError::NoneMatches(_) => {
            "name the identity that opens it with -i FILE; `quorate key list` shows what you have"
        }
        IdentityError::NotAnIdentity { .. } => {
            "an identity file is a soft token, or has lines that begin with AGE-SECRET-KEY-1 or AGE-PLUGIN-"
        }
        IdentityError::Nothing(_) => {
            "connect your key, name an identity with -i FILE, or make one: `quorate key generate`"
        }
        IdentityError::Passphrase => "Tocs are encrypted to keys: is it the right file?",
        IdentityError::Passkey { source, .. } => return passkey(source),
        IdentityError::Plugin { name, .. } => {
            return Some(format!("check that age-plugin-{} is installed and works", shown(name)));
        }
        IdentityError::Read { source, .. } if source.kind() == ErrorKind::NotFound => "check the name",
        IdentityError::Token { source, .. } => return token(source),
        _ => return None,
    };
    Some(hint.to_owned())
}

fn passkey(error: &PasskeyError) -> Option<String> {
    let hint = match error {
        PasskeyError::Absent(_) | PasskeyError::Fido(FidoError::NoKey) => {
            "put in the security key that it was sealed with: `quorate fido list` shows what is seen, -i FILE names a soft one"
        }
        PasskeyError::Fido(FidoError::Unsaid(_)) => {
            "if it is yours, name it with -i DEVICE: what plugs in may be anything"
        }
        PasskeyError::Fido(FidoError::Several(_)) => {
            "leave one in, or name it with -i DEVICE: `quorate fido list` shows them"
        }
        PasskeyError::Fido(error) => return fido::hint(error),
        PasskeyError::GivenUp => "see to the PIN that was refused or missing, and run the command again",
        PasskeyError::Unnamed => {
            "keep the line AGE-PLUGIN-FIDO2PRF-1… that came with it in a file of its own among your identities"
        }
        _ => "take your copy of the file; when there is none, use your spare key, or ask the others for a redeal",
    };
    Some(hint.to_owned())
}

fn players(error: &PlayersError) -> &'static str {
    match error {
        PlayersError::File { .. } => "each player is a table: [[player]], name = \"ann\", recipients = [\"age1…\"]",
        PlayersError::Name(_) => "choose a shorter, plain name",
        PlayersError::None => "name every player with -p NAME=RECIPIENT, or all of them in a file with -P FILE",
        PlayersError::Player(_) => "write NAME=RECIPIENT, spare keys behind commas: -p ann=age1…,age1…",
        PlayersError::Recipients(_) => "`quorate key list` shows players what to send you",
        PlayersError::RepeatedName(_) => "give each of them a name of their own",
        PlayersError::SameKey(_) => "name it once: age1yubikey1… and age1tag1… can be two spellings of one key",
        PlayersError::SharedKey { .. } => {
            "give every player a key of their own; age1yubikey1… and age1tag1… can be two spellings of one key"
        }
    }
}

fn recipient(error: &RecipientError) -> Option<String> {
    let hint = match error {
        RecipientError::Bech32 { shown, .. } if shown.starts_with("ssh-") => {
            "keys of ssh are not taken: `quorate key generate` or `age-keygen` makes one"
        }
        RecipientError::Bech32 { .. } | RecipientError::Key { .. } => "copy it again, whole",
        RecipientError::Identity => {
            "give the public half; who made this identity should make a new one, it has been seen"
        }
        RecipientError::Mixed { .. } => ONE_KIND,
        RecipientError::Unknown(_) => "recipients begin with age1: `quorate key list` shows a player's own",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What to do about the service that reaches cards.
fn service(fault: ServiceFault) -> &'static str {
    match fault {
        ServiceFault::NoPermission => "at a seat it should: log in there, or have polkit allow it (docs/hardware.md)",
        ServiceFault::NotInstalled => "install it: `apt-get install pcscd` (elsewhere: pcsc-lite)",
        ServiceFault::StaleSocket => "start it again: `systemctl restart pcscd.socket pcscd.service`",
        ServiceFault::Stopped => "start it: `systemctl enable --now pcscd.socket`",
        _ => "start it again: `systemctl restart pcscd.service`; `journalctl -u pcscd` says what it complains of",
    }
}

pub(crate) fn token(error: &TokenError) -> Option<String> {
    let hint = match error {
        TokenError::Attestation(_) => {
            "do not use this key: it was not made where it says; ask where the token comes from"
        }
        TokenError::Busy(Some(name)) if name == "scdaemon" => {
            "`gpgconf --kill scdaemon` makes GnuPG let go; `disable-ccid` and `pcsc-shared` in scdaemon.conf, for good"
        }
        TokenError::Busy(Some(name)) => return Some(format!("end {}, and try again", shown(name))),
        TokenError::Busy(None) => "end the program that uses it (gpg, an SSH agent, a browser), and try again",
        TokenError::CodeFormat(_) | TokenError::DefaultCode(_) => "choose 6 to 8 characters that others will not guess",
        TokenError::Exists(_) => "nothing is ever overwritten: name another place, or move the old file away first",
        TokenError::LastTry(_) => {
            "enter it yourself on a terminal, without that program: the right one brings all tries back"
        }
        TokenError::Malformed { .. } => "name a soft token, or a new file to make one in",
        TokenError::NoFreeSlot => "use another token, or slot 9d if nothing else uses it: --slot 9d",
        TokenError::NoKey(_) | TokenError::NoSuchSlot(_) => {
            "`quorate key list` shows the keys; slots are 82 to 95 and 9d"
        }
        TokenError::PinBlocked => "unblock it with the PUK: `quorate key pin --unblock`",
        TokenError::FactoryPin => "choose your own with `quorate key pin`: everybody knows that one",
        TokenError::Firmware(_) => "firmware cannot be renewed: it takes a key with firmware 4 or newer",
        TokenError::Frozen(_) => "take it out, put it in again; if it stays so, restart pcscd",
        TokenError::ManagementKey => {
            "enter it when asked; or put it under the PIN: `ykman piv access change-management-key --generate --protect`"
        }
        TokenError::PinDeclined => "enter it on the terminal, or name a program that prints it in QUORATE_PIN_COMMAND",
        TokenError::PukBlocked => "its keys are lost: use a spare key, or ask the others for a redeal",
        TokenError::Removed => "put it back and try again",
        TokenError::SameCode => "whoever sees one of them would have both: choose another",
        TokenError::Service(fault) => service(*fault),
        TokenError::SlotOccupied(_) => "a key is never replaced: choose another slot with --slot",
        TokenError::TouchTimeout => "try again, and touch the key when you are asked to",
        TokenError::WrongPin { .. } => "check whose PIN it is: when no try is left, only the PUK helps",
        TokenError::WrongPuk { .. } => "check whose PUK it is: when no try is left, the keys are lost",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn trust(error: &TrustError) -> String {
    let hint = match error {
        TrustError::Address { own, .. } => {
            return format!("trust it under its own address: `quorate oracle trust {}`", shown(own));
        }
        TrustError::Changed { url, .. } => {
            return format!(
                "somebody may be in between: ask the operator by another way. If they say that it changed: \
                 `quorate oracle forget {0}`, then `quorate oracle trust {0}`",
                shown(url)
            );
        }
        TrustError::Declined(_) => "get the fingerprint from the operator by another way, and compare again",
        TrustError::File { path, .. } => {
            return format!("move {} away, and trust each oracle again", shown(&path.to_string_lossy()));
        }
        TrustError::Fingerprint { .. } => "do not trust it: ask the operator for the fingerprint by another way",
        TrustError::Key { .. } => "is it an oracle of quorate, and the right address?",
        TrustError::NotNamed(0) => "`quorate oracle trust URL` comes first",
        TrustError::NotNamed(_) => "`quorate oracle list` shows them",
        TrustError::Unknown(url) => {
            return format!("get its fingerprint from the operator, then `quorate oracle trust {}`", shown(url));
        }
        TrustError::Writable(path) => {
            return format!(
                "make {} and its folder yours, with chmod go-w on both, and check every entry",
                shown(&path.to_string_lossy())
            );
        }
    };
    hint.to_owned()
}
