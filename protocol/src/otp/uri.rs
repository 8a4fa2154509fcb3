//! otpauth URIs ("Key Uri Format"): text to secret and back. Parsed by hand because a general URL type would keep
//! copies of the key that nobody wipes. It knows nothing of codes.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use super::{MAX_URI_BYTES, OtpError, OtpSecret, Parameter, Parameters, base32, error};

/// Everything but RFC 3986's unreserved characters and `@`, which is legal in paths and queries and makes accounts
/// readable.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// Reads `otpauth://totp/LABEL?QUERY`.
pub(super) fn parse(text: &str) -> Result<OtpSecret, OtpError> {
    let text = text.trim();
    if text.len() > MAX_URI_BYTES {
        return Err(OtpError::UriTooLong);
    }
    let rest = strip_scheme(text).filter(|rest| !rest.contains('#')).ok_or(OtpError::NotOtpauth)?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (kind, label) = path.split_once('/').unwrap_or((path, ""));
    match kind.to_ascii_lowercase().as_str() {
        "totp" => {}
        "hotp" => return Err(OtpError::Hotp),
        "steam" => return Err(OtpError::Steam),
        _ => return Err(OtpError::UnknownKind { name: error::short_name(kind) }),
    }
    let query = Query::parse(query)?;
    let (issuer, account) = names(&decode(label)?, query.issuer.as_deref());
    let key = base32::decode(query.secret.as_deref().ok_or(OtpError::MissingSecret)?)?;
    OtpSecret::new(&key, query.parameters)?.with_names(issuer.as_deref(), &account)
}

/// Writes the canonical form. The buffer is big enough from the start: growing would leave a copy of the key.
pub(super) fn write(secret: &OtpSecret) -> Zeroizing<String> {
    let (issuer, account) = (secret.issuer(), secret.account());
    let key = secret.to_base32();
    let names = 3 * (2 * issuer.unwrap_or_default().len() + account.len());
    let mut uri = Zeroizing::new(String::with_capacity(128 + names + key.len()));
    uri.push_str("otpauth://totp/");
    if let Some(issuer) = issuer {
        push_encoded(&mut uri, issuer);
    }
    // An account that holds a colon needs the separator even without an issuer, lest its head be taken for one.
    if issuer.is_some() || account.contains(':') {
        uri.push(':');
    }
    push_encoded(&mut uri, account);
    uri.push_str("?secret=");
    uri.push_str(&key);
    if let Some(issuer) = issuer {
        uri.push_str("&issuer=");
        push_encoded(&mut uri, issuer);
    }
    let Parameters { algorithm, digits, period } = secret.parameters();
    write!(uri, "&algorithm={algorithm}&digits={digits}&period={period}").expect("writing to a string cannot fail");
    uri
}

/// What the query of an otpauth URI said.
#[derive(Default)]
struct Query {
    secret: Option<Zeroizing<String>>,
    issuer: Option<Zeroizing<String>>,
    parameters: Parameters,
}

impl Query {
    fn parse(text: &str) -> Result<Self, OtpError> {
        let mut query = Self::default();
        let mut seen = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?.to_ascii_lowercase();
            let parameter = match name.as_str() {
                "algorithm" => Parameter::Algorithm,
                "digits" => Parameter::Digits,
                "encoder" => Parameter::Encoder,
                "issuer" => Parameter::Issuer,
                "period" => Parameter::Period,
                "secret" => Parameter::Secret,
                _ => Parameter::Unknown,
            };
            if seen.contains(&name) {
                return Err(OtpError::Repeated { parameter });
            }
            seen.push(name);
            let value = decode_form(value)?;
            match parameter {
                Parameter::Algorithm => query.parameters.algorithm = value.parse()?,
                Parameter::Digits => query.parameters.digits = digits(&value)?,
                Parameter::Encoder if value.eq_ignore_ascii_case("steam") => return Err(OtpError::Steam),
                Parameter::Issuer => query.issuer = Some(value),
                Parameter::Period => query.parameters.period = period(&value)?,
                Parameter::Secret if value.is_empty() => return Err(OtpError::MissingSecret),
                Parameter::Secret => query.secret = Some(value),
                Parameter::Encoder | Parameter::Unknown => {}
            }
        }
        Ok(query)
    }
}

fn digits(value: &str) -> Result<u8, OtpError> {
    let found = number(value, Parameter::Digits)?;
    u8::try_from(found).map_err(|_| OtpError::Digits { found })
}

fn period(value: &str) -> Result<u32, OtpError> {
    let found = number(value, Parameter::Period)?;
    u32::try_from(found).map_err(|_| OtpError::PeriodTooLong { found })
}

/// A decimal number without sign or space, which `u64::from_str` alone would accept with a plus.
fn number(value: &str, parameter: Parameter) -> Result<u64, OtpError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or(OtpError::NotANumber { parameter })
}

/// Splits a decoded label `issuer:account`, given the issuer parameter.
fn names(label: &str, parameter: Option<&String>) -> (Option<String>, String) {
    let parameter = parameter.map(|name| name.trim()).filter(|name| !name.is_empty());
    // An issuer may hold a colon itself: where it stands in the label as it is, that is where the label splits.
    let own = parameter.and_then(|issuer| label.trim_start().strip_prefix(issuer)?.strip_prefix(':'));
    let (prefix, account) = match own {
        Some(account) => (None, account),
        None => label.split_once(':').map_or((None, label), |(prefix, account)| (Some(prefix), account)),
    };
    (parameter.or(prefix).map(String::from), account.to_owned())
}

/// `text` after `otpauth://`, whose case does not matter.
fn strip_scheme(text: &str) -> Option<&str> {
    const SCHEME: &str = "otpauth://";
    text.get(..SCHEME.len()).filter(|head| head.eq_ignore_ascii_case(SCHEME)).map(|_| &text[SCHEME.len()..])
}

/// Undoes percent-encoding, into memory that is wiped and never grows.
fn decode(text: &str) -> Result<Zeroizing<String>, OtpError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    bytes.extend(percent_decode_str(text));
    let decoded = std::str::from_utf8(&bytes).map_err(|_| OtpError::NotUtf8)?;
    Ok(Zeroizing::new(decoded.to_owned()))
}

/// The same for a value of the query, where many writers put `+` for a space, as HTML forms do. A plus that is meant
/// is written `%2B`.
fn decode_form(text: &str) -> Result<Zeroizing<String>, OtpError> {
    decode(&Zeroizing::new(text.replace('+', " ")))
}

fn push_encoded(uri: &mut String, text: &str) {
    uri.extend(utf8_percent_encode(text, ENCODED));
}
