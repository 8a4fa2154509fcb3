//! The virtual card's management key, and the two ways to prove it (SP 800-73-4 part 2, appendix A.1). Knows nothing else.

use cipher::{BlockCipherEncrypt, KeyInit};
use rand::Rng;

use super::tlv;

/// The key of every card at first, for 3DES and AES-192.
pub(super) const FACTORY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

/// Kinds of management keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ManagementAlgorithm {
    /// AES with 128 bits.
    Aes128,
    /// AES with 192 bits: from the factory since firmware 5.7.
    Aes192,
    /// AES with 256 bits.
    Aes256,
    /// Triple DES: from the factory before.
    TripleDes,
}

impl ManagementAlgorithm {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Aes128 => 8,
            Self::Aes192 => 10,
            Self::Aes256 => 12,
            Self::TripleDes => 3,
        }
    }

    /// By its number and the length of a key.
    pub(super) fn find(number: u8, length: usize) -> Option<Self> {
        match (number, length) {
            (8, 16) => Some(Self::Aes128),
            (10, 24) => Some(Self::Aes192),
            (12, 32) => Some(Self::Aes256),
            (3, 24) => Some(Self::TripleDes),
            _ => None,
        }
    }

    fn block(self) -> usize {
        if self == Self::TripleDes { 8 } else { 16 }
    }
}

pub(super) struct Management {
    pub(super) algorithm: ManagementAlgorithm,
    pub(super) key: Vec<u8>,
    pub(super) proved: bool,
    /// What the other side has to send back.
    expected: Option<Vec<u8>>,
}

impl Management {
    pub(super) fn factory(firmware: [u8; 3]) -> Self {
        let algorithm =
            if firmware >= [5, 7, 0] { ManagementAlgorithm::Aes192 } else { ManagementAlgorithm::TripleDes };
        Self { algorithm, key: FACTORY.to_vec(), proved: false, expected: None }
    }

    pub(super) fn forget(&mut self) {
        self.proved = false;
        self.expected = None;
    }

    /// One step of either way. The answer, or a status word.
    pub(super) fn authenticate(&mut self, template: &[u8]) -> Result<Vec<u8>, u16> {
        let mut random = vec![0; self.algorithm.block()];
        rand::rng().fill_bytes(&mut random);
        let part = |tag| tlv::find(template, tag);
        match (part(0x80), part(0x81), part(0x82)) {
            // Mutual, first step: a witness that only who has the key can read.
            (Some([]), None, _) => {
                let witness = self.encrypted(&random);
                self.expected = Some(random);
                Ok(tlv::wrap(&[0x7c], &tlv::wrap(&[0x80], &witness)))
            }
            // Mutual, second step: the witness as it was, and a challenge to the card.
            (Some(witness), Some(challenge), _) => {
                self.check(witness)?;
                if challenge.len() != self.algorithm.block() {
                    return Err(0x6a80);
                }
                Ok(tlv::wrap(&[0x7c], &tlv::wrap(&[0x82], &self.encrypted(challenge))))
            }
            // Single: a challenge, to come back encrypted.
            (None, Some([]), None) => {
                self.expected = Some(self.encrypted(&random));
                Ok(tlv::wrap(&[0x7c], &tlv::wrap(&[0x81], &random)))
            }
            (None, None, Some(response)) => self.check(response).map(|()| Vec::new()),
            _ => Err(0x6a80),
        }
    }

    fn check(&mut self, given: &[u8]) -> Result<(), u16> {
        self.proved = self.expected.take().is_some_and(|expected| expected == given);
        if self.proved { Ok(()) } else { Err(0x6982) }
    }

    fn encrypted(&self, plain: &[u8]) -> Vec<u8> {
        fn with<C: KeyInit + BlockCipherEncrypt>(key: &[u8], plain: &[u8]) -> Vec<u8> {
            let cipher = C::new_from_slice(key).expect("the length was checked");
            let mut block = cipher::Block::<C>::try_from(plain).expect("the length was checked");
            cipher.encrypt_block(&mut block);
            block.to_vec()
        }
        match self.algorithm {
            ManagementAlgorithm::Aes128 => with::<aes::Aes128>(&self.key, plain),
            ManagementAlgorithm::Aes192 => with::<aes::Aes192>(&self.key, plain),
            ManagementAlgorithm::Aes256 => with::<aes::Aes256>(&self.key, plain),
            ManagementAlgorithm::TripleDes => with::<des::TdesEde3>(&self.key, plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cipher::BlockCipherDecrypt;

    fn decrypted(key: &[u8], block: &[u8]) -> Vec<u8> {
        let cipher = aes::Aes192::new_from_slice(key).unwrap();
        let mut block = cipher::Block::<aes::Aes192>::try_from(block).unwrap();
        cipher.decrypt_block(&mut block);
        block.to_vec()
    }

    #[test]
    fn only_who_has_the_key_reads_the_witness_and_only_once() {
        for (key, right) in [(FACTORY, true), ([9; 24], false)] {
            let mut management = Management::factory([5, 7, 1]);
            let answer = management.authenticate(&[0x80, 0]).unwrap();
            let witness = decrypted(&key, tlv::find(tlv::find(&answer, 0x7c).unwrap(), 0x80).unwrap());
            let step = [tlv::wrap(&[0x80], &witness), tlv::wrap(&[0x81], &[7; 16])].concat();
            assert_eq!(management.authenticate(&step).is_ok(), right);
            assert_eq!(management.proved, right);
            assert_eq!(management.authenticate(&step), Err(0x6982), "a witness serves once");
        }
    }
}
