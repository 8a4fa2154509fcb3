//! What the store keeps of people, sealed under the root secret: each value for its table, row and column, so that none can
//! be read, and none moved to another row. Knows no rule.

use super::error::PeopleError;
use super::name::{PrincipalName, ProviderName};
use super::password::PasswordHash;
use super::provider::{Options, Provider, ProviderKind};
use crate::service::at_rest::{AtRest, Place};
use crate::store::{Digest, FactorRow, PrincipalKind, PrincipalRow, Role};
use quorate_protocol::encoding::{Base64, base64url, from_base64url};
use quorate_protocol::header::GroupName;
use quorate_protocol::toc::Group;
use rand::CryptoRng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What a principal's password or secret is checked with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verifier {
    /// Of a user.
    Argon2id(PasswordHash),
    /// Of an application: the keyed hash of its secret.
    Secret(Base64),
}

/// What is a principal's own in a factor.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Own {
    /// Its id at Duo.
    Duo(String),
    /// Its TOTP key, as an otpauth URI.
    Totp(Zeroizing<String>),
    /// Its security keys are kept as all others are.
    Webauthn,
}

/// A provider, open.
#[derive(Serialize, Deserialize)]
pub(super) struct ProviderRecord {
    name: String,
    kind: ProviderKind,
    options: Options,
}

impl ProviderRecord {
    pub fn of(provider: &Provider) -> Self {
        let Provider { name, kind, options } = provider;
        Self { name: name.as_str().to_owned(), kind: *kind, options: options.clone() }
    }

    pub fn into_provider(self) -> Result<Provider, PeopleError> {
        let name = ProviderName::parse(&self.name).map_err(|_| PeopleError::Damaged)?;
        Ok(Provider { name, kind: self.kind, options: self.options })
    }
}

/// A login whose password was right, and which waits for the second factor. The client keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct Halfway {
    pub version: i64,
    pub factor: Digest,
    /// What a security key has to sign; empty where there is none.
    pub challenge: Base64,
    pub expires_at: i64,
}

/// An approval that waits for a security key. The client keeps it.
#[derive(Serialize, Deserialize)]
pub(super) struct Approving {
    /// What the challenge was drawn from.
    pub nonce: Digest,
    pub version: i64,
    pub expires_at: i64,
}

/// Seals and opens.
pub(super) struct Sealer(AtRest);

impl Sealer {
    pub fn new(at_rest: AtRest) -> Self {
        Self(at_rest)
    }

    /// Seals a principal's name. Kind and role stand beside it in the clear, and are bound to it.
    pub fn seal_name(&self, id: &Digest, name: &PrincipalName, role: Role, rng: &mut impl CryptoRng) -> Vec<u8> {
        let bound = bound(name.kind(), role);
        self.0.seal(at("principals", &[id, &bound], "sealed"), name.to_string().as_bytes(), rng)
    }

    pub fn open_name(&self, row: &PrincipalRow) -> Result<PrincipalName, PeopleError> {
        self.open_name_of(&row.id, row.kind, row.role, &row.sealed)
    }

    pub fn open_name_of(
        &self,
        id: &Digest,
        kind: PrincipalKind,
        role: Role,
        sealed: &[u8],
    ) -> Result<PrincipalName, PeopleError> {
        let bound = bound(kind, role);
        let name = self.0.open(at("principals", &[id, &bound], "sealed"), sealed);
        let name = name.map_err(|_| PeopleError::Damaged)?;
        let name = std::str::from_utf8(&name).ok().and_then(|name| PrincipalName::parse(name).ok());
        name.filter(|name| name.kind() == kind).ok_or(PeopleError::Damaged)
    }

    /// Seals a verifier. It opens only while the principal has that very factor, or none when it had none.
    pub fn seal_verifier(
        &self,
        id: &Digest,
        factor: Option<&Digest>,
        verifier: &Verifier,
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        self.0.seal(at("principals", &[id, bytes(factor)], "verifier"), &json(verifier), rng)
    }

    pub fn open_verifier(&self, row: &PrincipalRow) -> Result<Option<Verifier>, PeopleError> {
        let Some(sealed) = &row.verifier else { return Ok(None) };
        let factor = row.factor.as_ref().map(|factor| &factor.id);
        self.open(at("principals", &[&row.id, bytes(factor)], "verifier"), sealed).map(Some)
    }

    pub fn seal_provider(&self, id: &Digest, record: &ProviderRecord, rng: &mut impl CryptoRng) -> Vec<u8> {
        self.0.seal(at("providers", &[id], "sealed"), &json(record), rng)
    }

    pub fn open_provider(&self, id: &Digest, sealed: &[u8]) -> Result<ProviderRecord, PeopleError> {
        self.open(at("providers", &[id], "sealed"), sealed)
    }

    /// Seals what is a principal's own, for this assignment of that provider.
    pub fn seal_own(
        &self,
        id: &Digest,
        principal: &Digest,
        provider: &Digest,
        own: &Own,
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        self.0.seal(at("factors", &[id, principal, provider], "sealed"), &json(own), rng)
    }

    pub fn open_own(&self, principal: &Digest, factor: &FactorRow) -> Result<Own, PeopleError> {
        self.open(at("factors", &[&factor.id, principal, &factor.provider], "sealed"), &factor.sealed)
    }

    pub fn seal_halfway(&self, principal: &Digest, halfway: &Halfway, rng: &mut impl CryptoRng) -> String {
        base64url(&self.0.seal(at("logins", &[principal], "state"), &json(halfway), rng))
    }

    /// `None` for whatever was not sealed for that principal.
    pub fn open_halfway(&self, principal: &Digest, state: &str) -> Option<Halfway> {
        self.open(at("logins", &[principal], "state"), &from_base64url(state)?).ok()
    }

    pub fn seal_approving(&self, principal: &Digest, approving: &Approving, rng: &mut impl CryptoRng) -> String {
        base64url(&self.0.seal(at("approvals", &[principal], "state"), &json(approving), rng))
    }

    /// `None` for whatever was not sealed for that principal.
    pub fn open_approving(&self, principal: &Digest, state: &str) -> Option<Approving> {
        self.open(at("approvals", &[principal], "state"), &from_base64url(state)?).ok()
    }

    /// Seals the public half of a deal.
    pub fn seal_group(&self, group: &Group, rng: &mut impl CryptoRng) -> Vec<u8> {
        let GroupName(name) = group.name();
        self.0.seal(at("known_groups", &[&name], "sealed"), group.to_json().as_bytes(), rng)
    }

    pub fn open_group(&self, name: &Digest, sealed: &[u8]) -> Result<Group, PeopleError> {
        let json = self.0.open(at("known_groups", &[name], "sealed"), sealed).map_err(|_| PeopleError::Damaged)?;
        Group::parse(&json).ok().filter(|group| group.name() == GroupName(*name)).ok_or(PeopleError::Damaged)
    }

    fn open<T: DeserializeOwned>(&self, place: Place<'_>, sealed: &[u8]) -> Result<T, PeopleError> {
        let json = self.0.open(place, sealed).map_err(|_| PeopleError::Damaged)?;
        serde_json::from_slice(&json).map_err(|_| PeopleError::Damaged)
    }
}

fn bound(kind: PrincipalKind, role: Role) -> [u8; 2] {
    [kind.number(), role.number()]
}

fn bytes(factor: Option<&Digest>) -> &[u8] {
    factor.map_or(&[], Digest::as_slice)
}

fn at<'a>(table: &'a str, row: &'a [&'a [u8]], column: &'a str) -> Place<'a> {
    Place { table, row, column }
}

fn json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(serde_json::to_vec(value).expect("plain data always serialises"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn row(role: Role, sealed: Vec<u8>, verifier: Vec<u8>) -> PrincipalRow {
        PrincipalRow {
            number: 1,
            id: [1; 32],
            name: [2; 32],
            kind: PrincipalKind::User,
            role,
            version: 1,
            created_at: 0,
            enrolled_at: Some(0),
            disabled_at: None,
            verifier: Some(verifier),
            sealed,
            factor: None,
        }
    }

    #[test]
    fn a_role_or_a_factor_that_was_changed_in_the_database_opens_nothing() {
        let (sealer, mut rng) = (Sealer::new(AtRest::new(Zeroizing::new([7; 32]))), StdRng::seed_from_u64(0));
        let bob = PrincipalName::parse("bob").expect("a name");
        let name = sealer.seal_name(&[1; 32], &bob, Role::Member, &mut rng);
        let secret = Verifier::Secret(Base64(vec![9; 32]));
        let without = sealer.seal_verifier(&[1; 32], None, &secret, &mut rng);
        let with = sealer.seal_verifier(&[1; 32], Some(&[3; 32]), &secret, &mut rng);
        let member = row(Role::Member, name.clone(), without.clone());
        assert_eq!(sealer.open_name(&member).expect("its own"), bob);
        assert!(sealer.open_name(&row(Role::Operator, name.clone(), without)).is_err(), "raised to operator");
        assert!(sealer.open_verifier(&member).is_ok());
        let stripped = row(Role::Member, name, with);
        assert!(sealer.open_verifier(&stripped).is_err(), "the factor was taken out of the database");
    }
}
