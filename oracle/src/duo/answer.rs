//! What Duo answers. Fields that are not known here are left alone, as Duo's documentation asks; a value that is not known,
//! where one decides, is a no.

use super::{DuoError, Factor, Verdict};
use crate::outbound::Answer;
use hyper::StatusCode;
use hyper::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Duo's numbers for a request whose date is missing, unreadable or too far from its own.
const BAD_DATE: [i64; 2] = [40_104, 40_105];
/// Seconds by which clocks may differ before that, and not a key, is why a signature does not count.
const SKEW: i64 = 300;

/// Around every answer. A field that stands twice is refused.
#[derive(Deserialize)]
struct Envelope<'a> {
    stat: String,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    code: Option<i64>,
}

/// Duo's clock.
#[derive(Deserialize)]
pub(super) struct Time {
    /// Unix seconds.
    pub(super) time: i64,
}

/// Whether somebody has to prove anything, and how they can.
#[derive(Deserialize)]
pub(super) struct Preauth {
    result: String,
    devices: Option<Vec<Device>>,
}

#[derive(Deserialize)]
struct Device {
    #[serde(default)]
    capabilities: Vec<String>,
}

/// What became of the question.
#[derive(Deserialize)]
pub(super) struct Reply {
    result: String,
    status: String,
}

/// What an answer that arrived at the Unix second `now` says, if it says yes to the request.
pub(super) fn read<T: DeserializeOwned>(answer: &Answer, now: i64) -> Result<T, DuoError> {
    let status = answer.status;
    if status.is_redirection() {
        return Err(DuoError::Redirected { status: status.as_u16() });
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(DuoError::Busy { retry_after: header(&answer.headers, RETRY_AFTER.as_str()) });
    }
    if status.is_server_error() {
        return Err(DuoError::ServerFailed { status: status.as_u16() });
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(&answer.body).map_err(|_| DuoError::NotDuo("it does not send Duo's JSON"))?;
    match (envelope.stat.as_str(), envelope.response) {
        ("OK", Some(response)) if status == StatusCode::OK => {
            serde_json::from_str(response.get()).map_err(|_| DuoError::NotDuo("what it sends has not Duo's fields"))
        }
        ("FAIL", _) if !status.is_success() => Err(failure(status, envelope.code.unwrap_or(0), &answer.headers, now)),
        _ => Err(DuoError::NotDuo("its status and its JSON contradict each other")),
    }
}

fn failure(status: StatusCode, code: i64, headers: &HeaderMap, now: i64) -> DuoError {
    let ahead = header::<String>(headers, DATE.as_str())
        .and_then(|date| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(&date).ok())
        .map(|at| at.as_second() - now);
    if BAD_DATE.contains(&code) {
        return DuoError::ClockSkew { ahead };
    }
    match status {
        // A date within Duo's bounds that was signed as another is answered as a wrong key is.
        StatusCode::UNAUTHORIZED if ahead.is_some_and(|ahead| ahead.abs() > SKEW) => DuoError::ClockSkew { ahead },
        StatusCode::UNAUTHORIZED => DuoError::Credentials { code },
        _ => DuoError::Rejected { code },
    }
}

fn header<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

impl Preauth {
    /// A verdict, where nobody has to be asked any more; `None` when they can be, by `factor`.
    pub(super) fn verdict(&self, factor: &Factor) -> Result<Option<Verdict>, DuoError> {
        match self.result.as_str() {
            "allow" => Ok(Some(Verdict::Bypassed)),
            "auth" if self.can(factor) => Ok(None),
            "auth" => Err(DuoError::NoDevice),
            "deny" => Err(DuoError::NotAllowed),
            "enroll" => Err(DuoError::NotEnrolled),
            _ => Err(DuoError::Unexpected("result")),
        }
    }

    /// Whether a telephone can do it, as far as Duo tells. Passcodes are no telephone's alone.
    fn can(&self, factor: &Factor) -> bool {
        let Some(devices) = &self.devices else { return true };
        let any = |wanted: &str| devices.iter().any(|device| device.capabilities.iter().any(|can| can == wanted));
        match factor {
            Factor::Auto => any("push") || any("phone"),
            Factor::Passcode(_) => true,
            Factor::Phone => any("phone"),
            Factor::Push => any("push"),
        }
    }
}

impl Reply {
    /// A yes of the person, or of a rule at Duo; both words have to say so.
    pub(super) fn verdict(&self, factor: &Factor) -> Result<Verdict, DuoError> {
        let passcode = matches!(factor, Factor::Passcode(_));
        match (self.result.as_str(), self.status.as_str()) {
            ("allow", "allow") => Ok(Verdict::Allowed),
            ("allow", "bypass") => Ok(Verdict::Bypassed),
            ("deny", "deny") if passcode => Err(DuoError::WrongPasscode),
            ("deny", "deny") => Err(DuoError::Denied),
            ("deny", "fraud") => Err(DuoError::Fraud),
            ("deny", "locked_out") => Err(DuoError::LockedOut),
            ("deny", "timeout") => Err(DuoError::NotAnswered),
            ("allow" | "deny", _) => Err(DuoError::Unexpected("status")),
            _ => Err(DuoError::Unexpected("result")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use zeroize::Zeroizing;

    const NOW: i64 = 1_800_000_000;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, headers: pairs.collect(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    fn outcome(body: &str, factor: &Factor) -> Result<Verdict, DuoError> {
        read::<Reply>(&answer(200, &[], body), NOW)?.verdict(factor)
    }

    fn reply(result: &str, status: &str) -> String {
        format!(
            r#"{{"stat": "OK", "response": {{"result": "{result}", "status": "{status}", "status_msg": "…", "new": 1}}}}"#
        )
    }

    #[test]
    fn only_what_allows_twice_is_a_yes() {
        assert_eq!(outcome(&reply("allow", "allow"), &Factor::Push).unwrap(), Verdict::Allowed);
        assert_eq!(outcome(&reply("allow", "bypass"), &Factor::Push).unwrap(), Verdict::Bypassed);
        let passcode = Factor::Passcode(Zeroizing::new("123456".to_owned()));
        assert!(matches!(outcome(&reply("deny", "deny"), &passcode), Err(DuoError::WrongPasscode)));
        for (result, status, word) in [
            ("deny", "deny", "denied"),
            ("deny", "fraud", "fraud"),
            ("deny", "locked_out", "locked_out"),
            ("deny", "timeout", "not_answered"),
            ("deny", "allow", "unexpected"),
            ("allow", "deny", "unexpected"),
            ("allow", "", "unexpected"),
            ("waiting", "pushed", "unexpected"),
            ("ALLOW", "allow", "unexpected"),
            ("", "allow", "unexpected"),
        ] {
            let error = outcome(&reply(result, status), &Factor::Push).unwrap_err();
            assert_eq!(error.word(), word, "{result} {status}");
        }
    }

    #[test]
    fn what_is_not_duos_form_is_a_no() {
        for body in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"stat": "OK"}"#,
            r#"{"stat": "OK", "response": null}"#,
            r#"{"stat": "OK", "response": "allow"}"#,
            r#"{"stat": "OK", "response": {"result": "allow"}}"#,
            r#"{"stat": "OK", "response": {"result": true, "status": "allow"}}"#,
            r#"{"stat": "OK", "response": {"result": "deny", "result": "allow", "status": "allow"}}"#,
            r#"{"stat": "FAIL", "stat": "OK", "response": {"result": "allow", "status": "allow"}}"#,
            r#"{"stat": "FAIL", "response": {"result": "allow", "status": "allow"}}"#,
            r#"{"stat": "ok", "response": {"result": "allow", "status": "allow"}}"#,
            r#"{"stat": "OK", "response": {"result": "allow", "status": "allow"}} {}"#,
        ] {
            let error = outcome(body, &Factor::Push).unwrap_err();
            assert!(matches!(error, DuoError::NotDuo(_)), "{body}: {error:?}");
        }
        for status in [201, 204, 400, 401, 403] {
            let answer = answer(status, &[], &reply("allow", "allow"));
            assert!(matches!(read::<Reply>(&answer, NOW), Err(DuoError::NotDuo(_))), "{status}");
        }
    }

    #[test]
    fn a_status_other_than_200_is_a_no_of_its_kind() {
        let fail = |code| format!(r#"{{"stat": "FAIL", "code": {code}, "message": "…", "message_detail": "…"}}"#);
        let (far, near) = ("Fri, 15 Jan 2027 09:00:00 GMT", "Fri, 15 Jan 2027 08:01:00 GMT");
        let word = |status, headers: &[_], body: &str| read::<Reply>(&answer(status, headers, body), NOW).err();
        assert!(matches!(word(302, &[("location", "/")], &fail(0)), Some(DuoError::Redirected { status: 302 })));
        let busy = word(429, &[("retry-after", "7")], &fail(42_901));
        assert!(matches!(busy, Some(DuoError::Busy { retry_after: Some(7) })), "{busy:?}");
        assert!(matches!(word(503, &[], "down"), Some(DuoError::ServerFailed { status: 503 })));
        assert!(matches!(word(400, &[], &fail(40_002)), Some(DuoError::Rejected { code: 40_002 })));
        assert!(matches!(word(401, &[], &fail(40_105)), Some(DuoError::ClockSkew { ahead: None })));
        let skew = word(401, &[("date", far)], &fail(40_103));
        assert!(matches!(skew, Some(DuoError::ClockSkew { ahead: Some(3_600) })), "{skew:?}");
        let keys = word(401, &[("date", near)], &fail(40_103));
        assert!(matches!(keys, Some(DuoError::Credentials { code: 40_103 })), "{keys:?}");
        assert!(matches!(word(404, &[], "<html>"), Some(DuoError::NotDuo(_))));
    }

    #[test]
    fn preauth_says_who_need_not_and_who_cannot_be_asked() {
        let preauth = |fields: &str| {
            let body = format!(r#"{{"stat": "OK", "response": {{{fields}}}}}"#);
            read::<Preauth>(&answer(200, &[], &body), NOW)
        };
        let telephones = r#""result": "auth", "devices": [{"capabilities": ["sms", "phone"]}, {"device": "x"}]"#;
        assert!(matches!(preauth(telephones).unwrap().verdict(&Factor::Push), Err(DuoError::NoDevice)));
        for factor in [Factor::Phone, Factor::Auto, Factor::Passcode(Zeroizing::default())] {
            assert!(matches!(preauth(telephones).unwrap().verdict(&factor), Ok(None)), "{factor:?}");
        }
        for (result, word) in [("deny", "not_allowed"), ("enroll", "not_enrolled"), ("maybe", "unexpected")] {
            let verdict = preauth(&format!(r#""result": "{result}""#)).unwrap().verdict(&Factor::Push);
            assert_eq!(verdict.unwrap_err().word(), word);
        }
        let bypass = preauth(r#""result": "allow", "status_msg": "…""#).unwrap().verdict(&Factor::Push);
        assert_eq!(bypass.unwrap(), Some(Verdict::Bypassed));
    }
}
