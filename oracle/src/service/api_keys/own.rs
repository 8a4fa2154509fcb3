//! The oracle as an application of its own: the API key under which the security keys of its principals are kept. Its value
//! and its secret are derived from the root secret, so that nobody has to keep them and every node has the same.

use super::{ApiKeyError, ApiKeys, ApiSecret, Record, Tenant, tenant};
use crate::store::{Digest, NewApiKey};
use data_encoding::HEXLOWER;
use quorate_protocol::encoding::base64;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Labels of what is derived from the root secret. Neither is a hexadecimal value that a client could be given.
const VALUE: &str = "own api key";
const SECRET: &str = "own api secret";
/// Where the oracle's own requests come from. Only first uses of imported API keys are counted by it.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl ApiKeys {
    /// The oracle's own tenant, made when there is none yet.
    pub(in crate::service) async fn own(&self) -> Result<Tenant, ApiKeyError> {
        let (value, secret) = (self.own_value(), self.own_secret()?);
        if let Some(tenant) = self.check(&value, &secret, NOWHERE).await? {
            return Ok(tenant);
        }
        let id = self.inner.hasher.id(&value);
        let record = Record { value: value.to_string(), ..Record::default() };
        let sealed = record.seal(&id, &self.inner.at_rest, &mut self.rng());
        // Another node may be faster in either step: then what it made is there.
        self.inner.store.insert_api_key(NewApiKey { id, created_at: self.now(), sealed }).await?;
        let hash = self.inner.hasher.hash(&id, &secret);
        let (wrapping, at_rest, mut rng) = (secret.wrapping_key(&id), Arc::clone(&self.inner.at_rest), self.rng());
        let new_data_key = move || tenant::new_data_key(&id, &wrapping, &at_rest, &mut rng);
        let data_key = self.inner.crypto.run(new_data_key).await?;
        self.inner.store.activate_api_key(&id, &hash, data_key, self.now()).await?;
        self.check(&value, &secret, NOWHERE).await?.ok_or(ApiKeyError::Damaged)
    }

    /// Whether that is the oracle's own API key, which is nobody's to see.
    pub(super) fn is_own(&self, id: &Digest) -> bool {
        self.inner.hasher.id(&self.own_value()) == *id
    }

    fn own_value(&self) -> Zeroizing<String> {
        Zeroizing::new(HEXLOWER.encode(self.inner.keys.root_secret().subkey(VALUE).as_slice()))
    }

    fn own_secret(&self) -> Result<ApiSecret, ApiKeyError> {
        let secret = Zeroizing::new(base64(self.inner.keys.root_secret().subkey(SECRET).as_slice()));
        ApiSecret::presented(&secret).ok_or(ApiKeyError::Damaged)
    }
}
