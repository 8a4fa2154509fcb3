//! A scripted person for unit tests: answers from lists and counts what it was asked.

use std::collections::VecDeque;
use std::sync::Mutex;

use secrecy::SecretString;

use super::{PinRequest, TokenError, TokenInfo, TokenPrompts, Touch, TouchRequest};

#[derive(Default)]
pub(crate) struct Script {
    pins: Mutex<VecDeque<String>>,
    touches: Mutex<VecDeque<Touch>>,
    passphrases: Mutex<VecDeque<String>>,
    confirmations: Mutex<VecDeque<bool>>,
    asked: Mutex<Vec<String>>,
    patient: bool,
}

impl Script {
    pub(crate) fn pin(self, pin: &str) -> Self {
        self.pins.lock().unwrap().push_back(pin.to_owned());
        self
    }

    pub(crate) fn touch(self, touch: Touch) -> Self {
        self.touches.lock().unwrap().push_back(touch);
        self
    }

    pub(crate) fn passphrase(self, passphrase: &str) -> Self {
        self.passphrases.lock().unwrap().push_back(passphrase.to_owned());
        self
    }

    /// Says yes, or no, to a question.
    pub(crate) fn confirmation(self, yes: bool) -> Self {
        self.confirmations.lock().unwrap().push_back(yes);
        self
    }

    /// Types the PIN again after a wrong one, unlike a program.
    pub(crate) fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    /// What was asked, in order: `pin 3`, `touch`, `passphrase`, `message`, …
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn note(&self, what: impl Into<String>) {
        self.asked.lock().unwrap().push(what.into());
    }
}

impl TokenPrompts for Script {
    fn pin(&self, request: &PinRequest<'_>) -> Option<SecretString> {
        self.note(format!("pin {}{}", request.tries_left, if request.again { " again" } else { "" }));
        self.pins.lock().unwrap().pop_front().map(SecretString::from)
    }

    fn may_ask_again(&self) -> bool {
        self.patient
    }

    fn refused(&self, _: &TokenInfo, why: &TokenError) {
        self.note(format!("refused: {why}"));
    }

    fn touch(&self, _: &TouchRequest<'_>) {
        self.note("announced touch");
    }

    fn confirm_touch(&self, _: &TouchRequest<'_>) -> Touch {
        self.note("touch");
        self.touches.lock().unwrap().pop_front().unwrap_or(Touch::TimedOut)
    }

    fn message(&self, _: &str) {
        self.note("message");
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        self.note("confirm");
        self.confirmations.lock().unwrap().pop_front()
    }

    fn text(&self, _: &str) -> Option<String> {
        self.note("text");
        None
    }

    fn passphrase(&self, _: &str) -> Option<SecretString> {
        self.note("passphrase");
        self.passphrases.lock().unwrap().pop_front().map(SecretString::from)
    }
}
