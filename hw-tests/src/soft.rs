//! The ground of soft tokens: files in a folder that the caller owns. A token is pulled out by renaming its file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::token::soft_piv::SoftPivToken;
use quorate::token::{Pin, PivToken, Puk, Touch};

use crate::contract::{Ground, PIN, PUK, Person, TouchPlan};

/// Soft tokens in a folder.
pub struct SoftGround {
    folder: PathBuf,
    made: usize,
    person: Arc<Person>,
}

impl SoftGround {
    /// `folder` must be empty, and is left full.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), made: 0, person: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.token", self.made))
    }

    fn away(&self) -> PathBuf {
        self.folder.join("pulled-out")
    }
}

impl Ground for SoftGround {
    fn name(&self) -> String {
        "soft token".to_owned()
    }

    fn fresh(&mut self) -> Box<dyn PivToken> {
        self.made += 1;
        let pin = Pin::parse(PIN.into()).expect("the contract's PIN is well-formed");
        let puk = Puk::parse(PUK.into()).expect("the contract's PUK is well-formed");
        let token = SoftPivToken::create(&self.path(), "contract", &pin, &puk);
        Box::new(token.expect("the folder is writable and has no such file"))
    }

    fn reopen(&mut self) -> Box<dyn PivToken> {
        Box::new(SoftPivToken::open(&self.path()).expect("the token was made before"))
    }

    fn person(&self) -> Arc<Person> {
        Arc::clone(&self.person)
    }

    fn plan_touch(&mut self, plan: TouchPlan) {
        let (path, away) = (self.path(), self.away());
        self.person.confirm_with(move || match plan {
            TouchPlan::Answer(touch) => touch,
            TouchPlan::Pull => {
                fs::rename(&path, &away).expect("the token is there");
                Touch::Given
            }
        });
    }

    fn can_refuse(&self) -> bool {
        true
    }

    fn remove(&mut self) {
        fs::rename(self.path(), self.away()).expect("the token is there");
    }

    fn insert(&mut self) {
        fs::rename(self.away(), self.path()).expect("the token was pulled out");
    }
}
