//! What the audit log says of API keys and of what their applications do. Knows no secret and no value of a key: the log names a
//! key by a part of its keyed hash, and the event that made it says whose it is.

use super::{ApiKeys, Tenant};
use crate::service::audit::{Entry, Kind, Who};
use crate::store::{Digest, Store};
use data_encoding::HEXLOWER;
use std::net::IpAddr;

/// Bytes of the keyed hash that name a key in the log.
const NAME_BYTES: usize = 8;

/// What the log calls an API key.
pub(super) fn name(id: &Digest) -> String {
    format!("api-key {}", HEXLOWER.encode(&id[..NAME_BYTES]))
}

/// The application that has shown its API secret.
pub(super) fn who(id: &Digest) -> Who {
    Who::ApiKey(HEXLOWER.encode(&id[..NAME_BYTES]))
}

impl Tenant {
    /// What this application did to `subject`, for the audit log.
    pub fn entry(&self, kind: Kind, subject: impl Into<String>) -> Entry {
        Entry::new(kind, who(self.id())).to(subject)
    }
}

impl ApiKeys {
    /// The store, which tells the audit log what an operator does to a key, if it is done. Without an address it is one on the
    /// oracle's machine.
    pub(super) fn by_operator(&self, kind: Kind, id: &Digest, from: Option<IpAddr>, email: Option<&str>) -> Store {
        let mut told = Entry::new(kind, Who::Operator).to(name(id));
        if let Some(from) = from {
            told = told.from(from);
        }
        if let Some(email) = email {
            told = told.with("email", email);
        }
        self.telling(told)
    }

    /// The store, which tells the audit log of the next thing that it does.
    pub(super) fn telling(&self, told: Entry) -> Store {
        self.inner.store.telling(self.inner.audit.seal(told))
    }
}
