//! What the store keeps of apps: an app sealed under its data key, private halves of key pairs, and the keyed hashes that bind
//! holders and grants, so that whoever can write to the database lets nobody read. Knows no rule.

use super::error::AppError;
use crate::keys::{KeyedHasher, RootSecret};
use crate::service::api_keys::Tenant;
use crate::service::at_rest::{AtRest, Place};
use crate::store::{Digest, GrantRow, HolderRow, NewHolder};
use quorate_protocol::api::{AppQuorum, AppRight};
use quorate_protocol::app_key::{AppKey, HolderKey};
use quorate_protocol::encoding::length_prefixed;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

/// An app, open.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub uuid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub code: CodeSource,
}

/// Where an app's codes come from.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CodeSource {
    /// From this secret: an otpauth URI.
    Otpauth(Zeroizing<String>),
    /// From a quorum; with the names that people know it by.
    Quorum {
        /// Whose quorum.
        group: AppQuorum,
        /// What the group's secret opens.
        note: String,
    },
}

/// A grant as it is bound: everything that it says.
pub(super) struct Bound<'a> {
    pub app: &'a Digest,
    pub version: i64,
    pub holder: &'a Digest,
    pub public: &'a Digest,
    pub level: u8,
    pub granted_at: i64,
    pub sealed_key: &'a [u8],
}

/// Seals, opens and binds.
pub(super) struct Sealer {
    at_rest: AtRest,
    hasher: KeyedHasher,
}

impl Sealer {
    pub fn new(root: &RootSecret) -> Self {
        Self { at_rest: AtRest::new(root.subkey("apps at rest")), hasher: root.hasher("apps") }
    }

    /// How the store names the app of a UUID.
    pub fn id(&self, uuid: Uuid) -> Digest {
        self.hash(&[b"app", uuid.as_bytes()])
    }

    /// A new key pair of a principal or a team, or with a tenant that of its API key.
    pub fn new_holder(
        &self,
        principal: Option<&Digest>,
        tenant: Option<&Tenant>,
        rng: &mut impl CryptoRng,
    ) -> Result<NewHolder, AppError> {
        let mut id = [0; 32];
        rng.fill_bytes(&mut id);
        let (secret, public) = HolderKey::generate(rng);
        let row: [&[u8]; 2] = [&id, bytes(principal)];
        let (data_key, under, sealed) = match tenant {
            Some(tenant) => {
                let sealed = tenant.seal(private(&row), secret.as_slice(), rng).map_err(|_| AppError::Damaged)?;
                let under = tenant.data_key_id(sealed.data_key).map_err(|_| AppError::Damaged)?;
                (Some(sealed.data_key), Some(under), sealed.bytes)
            }
            None => (None, None, self.at_rest.seal(private(&row), secret.as_slice(), rng)),
        };
        let mac = self.holder_mac(&id, principal, under, &public);
        Ok(NewHolder { id, data_key, public, mac, sealed })
    }

    /// Whether a key pair is what it was made as, and under the data key that it was made under.
    pub fn is_genuine(&self, holder: &HolderRow) -> bool {
        let under = holder.data_key.as_ref().map(|data_key| &data_key.id);
        self.holder_mac(&holder.id, holder.principal.as_ref(), under, &holder.public).ct_eq(&holder.mac).into()
    }

    /// Whether a grant is as it was given, for the app as it is now.
    pub fn is_granted(&self, app: &Digest, version: i64, grant: &GrantRow, holder: &HolderRow) -> bool {
        let GrantRow { level, granted_at, sealed_key, mac } = grant;
        let (level, granted_at) = (*level, *granted_at);
        let bound = Bound { app, version, holder: &holder.id, public: &holder.public, level, granted_at, sealed_key };
        self.grant_mac(&bound).ct_eq(mac).into()
    }

    /// What binds a grant.
    pub fn grant_mac(&self, bound: &Bound<'_>) -> Digest {
        let Bound { app, version, holder, public, level, granted_at, sealed_key } = bound;
        let (version, granted_at) = (version.to_be_bytes(), granted_at.to_be_bytes());
        self.hash(&[b"grant", *app, &version, *holder, *public, &[*level], &granted_at, sealed_key])
    }

    /// The data key that was sealed to a holder, who is a principal or a team, or with a tenant its API key.
    pub fn open_key(&self, holder: &HolderRow, tenant: Option<&Tenant>, sealed_key: &[u8]) -> Result<AppKey, AppError> {
        let row: [&[u8]; 2] = [&holder.id, bytes(holder.principal.as_ref())];
        let secret = match (tenant, &holder.data_key) {
            (Some(tenant), Some(data_key)) => tenant.open(data_key.number, private(&row), &holder.sealed).ok(),
            (None, None) => self.at_rest.open(private(&row), &holder.sealed).ok(),
            _ => None,
        };
        opened(&secret.ok_or(AppError::Damaged)?, holder, sealed_key)
    }

    /// The same of an API key's, by the data key that its private half is sealed under.
    pub fn open_key_under(holder: &HolderRow, under: &AtRest, sealed_key: &[u8]) -> Result<AppKey, AppError> {
        let row: [&[u8]; 2] = [&holder.id, bytes(holder.principal.as_ref())];
        let secret = under.open(private(&row), &holder.sealed).map_err(|_| AppError::Damaged)?;
        opened(&secret, holder, sealed_key)
    }

    /// Of a principal or a team it binds whose the key pair is, of an API key the data key, which is bound to its owner in turn
    /// and moves with a rotation.
    fn holder_mac(&self, id: &Digest, principal: Option<&Digest>, under: Option<&Digest>, public: &Digest) -> Digest {
        self.hash(&[b"holder", id, bytes(principal), bytes(under), public])
    }

    fn hash(&self, parts: &[&[u8]]) -> Digest {
        self.hasher.hash(&[&length_prefixed(parts)])
    }
}

impl Record {
    pub fn seal(&self, id: &Digest, key: &AppKey, rng: &mut impl CryptoRng) -> Vec<u8> {
        let json = Zeroizing::new(serde_json::to_vec(self).expect("plain data always serialises"));
        AtRest::new(key.sealing_key()).seal(app(&[id]), &json, rng)
    }

    pub fn open(id: &Digest, key: &AppKey, sealed: &[u8]) -> Result<Self, AppError> {
        let json = AtRest::new(key.sealing_key()).open(app(&[id]), sealed).map_err(|_| AppError::Damaged)?;
        serde_json::from_slice(&json).map_err(|_| AppError::Damaged)
    }
}

fn opened(secret: &[u8], holder: &HolderRow, sealed_key: &[u8]) -> Result<AppKey, AppError> {
    let pair = HolderKey::of(secret, &holder.public).ok_or(AppError::Damaged)?;
    pair.open(sealed_key).ok_or(AppError::Damaged)
}

/// The version of an app that is new, or sealed under a new data key: random, so that no grant of an app that had the same UUID
/// before, nor one that was sealed while rows of before were put back, is one of what is sealed now.
pub(super) fn new_version(rng: &mut impl CryptoRng) -> i64 {
    i64::try_from(rng.next_u64() >> 2).expect("62 bits")
}

/// Whether an app has counted its versions from 1, as programs did once. It gets a random one when it is next changed.
pub(super) fn is_counted(version: i64) -> bool {
    version < 1 << 32
}

/// The number of a right in the database.
pub(super) fn level(right: AppRight) -> u8 {
    match right {
        AppRight::Code => 1,
        AppRight::Manage => 2,
        AppRight::Owner => 3,
    }
}

/// The right of that number; none for what cannot be.
pub(super) fn right(level: u8) -> Option<AppRight> {
    AppRight::ALL.into_iter().find(|right| self::level(*right) == level)
}

fn bytes(digest: Option<&Digest>) -> &[u8] {
    digest.map_or(&[], Digest::as_slice)
}

fn private<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "app_holders", row, column: "sealed" }
}

fn app<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "apps", row, column: "sealed" }
}
