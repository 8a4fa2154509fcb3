//! The PIV application of the virtual card (SP 800-73-4, with Yubico's extensions): its state and its commands.
//! It must not know how commands reach it, nor who touches the card.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{PublicKey, SecretKey};

use super::attestation::Attestation;
use super::management::{FACTORY, Management, ManagementAlgorithm};
use super::tlv;

const PIV: [u8; 11] = [0xa0, 0, 0, 3, 8, 0, 0, 0x10, 0, 1, 0];
const OTP: [u8; 8] = [0xa0, 0, 0, 5, 0x27, 0x20, 1, 1];
const P256: u8 = 0x11;
const MANAGEMENT: u8 = 0x9b;
const TOUCH_LASTS: Duration = Duration::from_secs(15);
const LARGEST_OBJECT: usize = 3063;
/// Read with the PIN only.
const PRINTED: u32 = 0x5f_c109;
const ATTESTATION_CERTIFICATE: u32 = 0x5f_ff01;

/// A status word that is not 9000.
type Refusal = u16;
const SECURITY: Refusal = 0x6982;
const BLOCKED: Refusal = 0x6983;
const CONDITIONS: Refusal = 0x6985;
const BAD_DATA: Refusal = 0x6a80;
const NOT_FOUND: Refusal = 0x6a82;
const BAD_PARAMETERS: Refusal = 0x6a86;
const NO_REFERENCE: Refusal = 0x6a88;
const UNKNOWN: Refusal = 0x6d00;

/// A PIN or PUK.
struct Code {
    value: [u8; 8],
    factory: [u8; 8],
    left: u8,
    all: u8,
}

impl Code {
    fn new(text: &[u8]) -> Self {
        let mut value = [0xff; 8];
        value[..text.len()].copy_from_slice(text);
        Self { value, factory: value, left: 3, all: 3 }
    }

    fn check(&mut self, given: &[u8]) -> Result<(), Refusal> {
        if self.left == 0 {
            return Err(BLOCKED);
        }
        if given == self.value {
            self.left = self.all;
            return Ok(());
        }
        self.left -= 1;
        Err(if self.left == 0 { BLOCKED } else { 0x63c0 | u16::from(self.left) })
    }

    fn metadata(&self) -> Vec<u8> {
        let is_factory = u8::from(self.value == self.factory);
        [tlv::wrap(&[1], &[0xff]), tlv::wrap(&[5], &[is_factory]), tlv::wrap(&[6], &[self.all, self.left])].concat()
    }
}

struct Key {
    secret: SecretKey,
    /// 1 never, 2 once, 3 always.
    pin: u8,
    /// 1 never, 2 always, 3 cached.
    touch: u8,
    /// 1 made here, 2 imported.
    origin: u8,
    touched: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum Selected {
    Nothing,
    Otp,
    Piv,
}

pub(super) struct Applet {
    firmware: [u8; 3],
    serial: u32,
    pin: Code,
    puk: Code,
    management: Management,
    keys: BTreeMap<u8, Key>,
    objects: BTreeMap<u32, Vec<u8>>,
    attestation: Attestation,
    // Forgotten without power:
    selected: Selected,
    pin_verified: bool,
    pin_fresh: bool,
    chain: Vec<u8>,
    rest: Vec<u8>,
}

impl Applet {
    pub(super) fn new(firmware: [u8; 3], serial: u32) -> Self {
        let attestation = Attestation::new();
        let object = [tlv::wrap(&[0x70], &attestation.certificate), vec![0x71, 1, 0, 0xfe, 0]].concat();
        Self {
            firmware,
            serial,
            pin: Code::new(b"123456"),
            puk: Code::new(b"12345678"),
            management: Management::factory(firmware),
            keys: BTreeMap::new(),
            objects: BTreeMap::from([(ATTESTATION_CERTIFICATE, object)]),
            attestation,
            selected: Selected::Nothing,
            pin_verified: false,
            pin_fresh: false,
            chain: Vec::new(),
            rest: Vec::new(),
        }
    }

    pub(super) fn firmware(&self) -> [u8; 3] {
        self.firmware
    }

    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    pub(super) fn set_serial(&mut self, serial: u32) {
        self.serial = serial;
    }

    pub(super) fn is_managed(&self) -> bool {
        self.management.proved
    }

    pub(super) fn tries_left(&self) -> (u8, u8) {
        (self.pin.left, self.puk.left)
    }

    pub(super) fn object(&self, id: u32) -> Option<&[u8]> {
        self.objects.get(&id).map(Vec::as_slice)
    }

    pub(super) fn set_object(&mut self, id: u32, content: &[u8]) {
        self.objects.insert(id, content.to_vec());
    }

    pub(super) fn import_key(&mut self, slot: u8, secret: &SecretKey) {
        self.keys.insert(slot, Key { secret: secret.clone(), pin: 2, touch: 1, origin: 2, touched: None });
    }

    pub(super) fn set_management_key(&mut self, algorithm: ManagementAlgorithm, key: &[u8]) {
        (self.management.algorithm, self.management.key) = (algorithm, key.to_vec());
    }

    pub(super) fn has_factory_management_key(&self) -> bool {
        self.management.key == FACTORY
    }

    pub(super) fn forge_attestations(&mut self) {
        self.attestation = self.attestation.forged();
    }

    pub(super) fn power_off(&mut self) {
        self.deselect();
        self.keys.values_mut().for_each(|key| key.touched = None);
    }

    fn deselect(&mut self) {
        self.selected = Selected::Nothing;
        self.pin_verified = false;
        self.pin_fresh = false;
        self.management.forget();
        self.chain.clear();
        self.rest.clear();
    }

    /// Answers a command. One that needs a touch is refused when there is none; while that is open (`None`), it gets no answer
    /// and it is as if it had not come.
    pub(super) fn command(&mut self, apdu: &[u8], touched: Option<bool>) -> Option<Vec<u8>> {
        let before = (self.chain.clone(), self.pin_fresh);
        let mut wants_touch = false;
        let (mut data, status) = match self.run(apdu, touched == Some(true), &mut wants_touch) {
            Ok(data) => (data, 0x9000),
            Err(refusal) => (Vec::new(), refusal),
        };
        if wants_touch && touched.is_none() {
            (self.chain, self.pin_fresh) = before;
            return None;
        }
        let status = if data.len() > 256 {
            self.rest = data.split_off(256);
            0x6100 | u16::try_from(self.rest.len()).ok().filter(|left| *left < 256).unwrap_or_default()
        } else {
            status
        };
        data.extend(status.to_be_bytes());
        Some(data)
    }

    fn run(&mut self, apdu: &[u8], touched: bool, wants_touch: &mut bool) -> Result<Vec<u8>, Refusal> {
        let [class, ins, p1, p2, body @ ..] = apdu else { return Err(0x6700) };
        let (ins, p1, p2) = (*ins, *p1, *p2);
        let data = body_data(body)?;
        if ins == 0xc0 {
            return Ok(std::mem::take(&mut self.rest));
        }
        self.rest.clear();
        self.chain.extend_from_slice(data);
        if class & 0x10 != 0 {
            return Ok(Vec::new());
        }
        let data = std::mem::take(&mut self.chain);
        if ins == 0xa4 {
            return self.select(p1, &data);
        }
        match self.selected {
            Selected::Otp if (ins, p1) == (0x01, 0x10) => return Ok(self.serial.to_be_bytes().to_vec()),
            Selected::Nothing | Selected::Otp => return Err(UNKNOWN),
            Selected::Piv => {}
        }
        let fresh = std::mem::take(&mut self.pin_fresh);
        match ins {
            0xfd => Ok(self.firmware.to_vec()),
            0xf8 if self.firmware[0] >= 5 => Ok(self.serial.to_be_bytes().to_vec()),
            0x20 => self.verify(p1, p2, &data),
            0x24 | 0x2c => self.change(ins, p2, &data),
            0x47 => self.generate(p2, &data),
            0x87 => {
                let template = tlv::find(&data, 0x7c).ok_or(BAD_DATA)?;
                if p2 == MANAGEMENT {
                    return self.authenticate(p1, template);
                }
                self.use_key(p1, p2, template, fresh, touched, wants_touch)
            }
            0xcb => self.read(&data),
            0xdb => self.write(&data),
            0xf6 if self.firmware >= [5, 7, 0] => {
                self.be_managed()?;
                if p1 != 0xff {
                    return Err(BAD_PARAMETERS);
                }
                self.keys.remove(&p2).map(|_| Vec::new()).ok_or(NO_REFERENCE)
            }
            0xf7 if self.firmware >= [5, 3, 0] => self.metadata(p2),
            0xf9 if self.firmware >= [4, 3, 0] => self.attest(p1),
            0xfa => self.set_tries(p1, p2),
            0xfb => self.reset(),
            0xfe => self.import(p1, p2, &data),
            0xff => self.change_management_key(&data),
            _ => Err(UNKNOWN),
        }
    }

    fn select(&mut self, p1: u8, name: &[u8]) -> Result<Vec<u8>, Refusal> {
        if p1 != 4 {
            return Err(BAD_PARAMETERS);
        }
        let is =
            |application: &[u8]| name.len() >= 5 && (application.starts_with(name) || name.starts_with(application));
        if is(&OTP) {
            self.deselect();
            self.selected = Selected::Otp;
            return Ok([&self.firmware[..], &[0; 3]].concat());
        }
        if !is(&PIV) {
            return Err(NOT_FOUND);
        }
        // Selecting what is selected changes nothing (SP 800-73-4 part 2, §3.1.1); firmware 4 forgets the PIN all the same.
        if self.selected != Selected::Piv || self.firmware[0] < 5 {
            self.deselect();
        }
        self.selected = Selected::Piv;
        let inner = [tlv::wrap(&[0x4f], &PIV[5..]), tlv::wrap(&[0x79], &tlv::wrap(&[0x4f], &PIV[..5]))].concat();
        Ok(tlv::wrap(&[0x61], &inner))
    }

    fn verify(&mut self, p1: u8, p2: u8, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        if p2 != 0x80 {
            return Err(NO_REFERENCE);
        }
        if p1 == 0xff {
            self.pin_verified = false;
            return Ok(Vec::new());
        }
        if data.is_empty() {
            return match self.pin.left {
                _ if self.pin_verified => Ok(Vec::new()),
                0 => Err(BLOCKED),
                left => Err(0x63c0 | u16::from(left)),
            };
        }
        if data.len() != 8 {
            return Err(BAD_DATA);
        }
        self.pin_verified = false;
        self.pin.check(data)?;
        self.pin_verified = true;
        self.pin_fresh = true;
        Ok(Vec::new())
    }

    fn change(&mut self, ins: u8, p2: u8, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (old, new) = data.split_at_checked(8).ok_or(BAD_DATA)?;
        let new: [u8; 8] = new.try_into().map_err(|_| BAD_DATA)?;
        match (ins, p2) {
            (0x24, 0x80) => {
                self.pin.check(old)?;
                self.pin.value = new;
            }
            (0x24, 0x81) => {
                self.puk.check(old)?;
                self.puk.value = new;
            }
            (0x2c, 0x80) => {
                self.puk.check(old)?;
                self.pin.value = new;
                self.pin.left = self.pin.all;
            }
            _ => return Err(NO_REFERENCE),
        }
        Ok(Vec::new())
    }

    fn be_managed(&self) -> Result<(), Refusal> {
        if self.is_managed() { Ok(()) } else { Err(SECURITY) }
    }

    fn authenticate(&mut self, algorithm: u8, template: &[u8]) -> Result<Vec<u8>, Refusal> {
        let own = self.management.algorithm;
        if algorithm != own.number() && !(algorithm == 0 && own == ManagementAlgorithm::TripleDes) {
            return Err(BAD_PARAMETERS);
        }
        self.management.authenticate(template)
    }

    fn change_management_key(&mut self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.be_managed()?;
        let [number, MANAGEMENT, length, key @ ..] = data else { return Err(BAD_DATA) };
        if key.len() != usize::from(*length) {
            return Err(BAD_DATA);
        }
        let algorithm = ManagementAlgorithm::find(*number, key.len()).ok_or(BAD_DATA)?;
        if algorithm != ManagementAlgorithm::TripleDes && self.firmware < [5, 4, 0] {
            return Err(BAD_DATA);
        }
        self.set_management_key(algorithm, key);
        Ok(Vec::new())
    }

    fn generate(&mut self, slot: u8, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.be_managed()?;
        let wanted = tlv::find(data, 0xac).ok_or(BAD_DATA)?;
        if tlv::find(wanted, 0x80) != Some(&[P256]) {
            return Err(BAD_DATA);
        }
        let secret = SecretKey::generate();
        let point = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        self.put_key(slot, secret, wanted, 1)?;
        Ok(tlv::wrap(&[0x7f, 0x49], &tlv::wrap(&[0x86], &point)))
    }

    fn import(&mut self, algorithm: u8, slot: u8, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.be_managed()?;
        if algorithm != P256 {
            return Err(BAD_PARAMETERS);
        }
        let secret = tlv::find(data, 6).and_then(|bytes| SecretKey::from_slice(bytes).ok()).ok_or(BAD_DATA)?;
        self.put_key(slot, secret, data, 2).map(|()| Vec::new())
    }

    fn put_key(&mut self, slot: u8, secret: SecretKey, wanted: &[u8], origin: u8) -> Result<(), Refusal> {
        if !matches!(slot, 0x9a | 0x9c..=0x9e | 0x82..=0x95 | 0xf9) {
            return Err(NO_REFERENCE);
        }
        let policy = |tag| tlv::find(wanted, tag).and_then(<[u8]>::first).copied().filter(|policy| *policy != 0);
        let pin = policy(0xaa).unwrap_or(match slot {
            0x9c => 3,
            0x9e => 1,
            _ => 2,
        });
        let touch = policy(0xab).unwrap_or(1);
        if !(1..=3).contains(&pin) || !(1..=3).contains(&touch) {
            return Err(BAD_DATA);
        }
        self.keys.insert(slot, Key { secret, pin, touch, origin, touched: None });
        Ok(())
    }

    fn use_key(
        &mut self,
        algorithm: u8,
        slot: u8,
        template: &[u8],
        fresh: bool,
        touched: bool,
        wants_touch: &mut bool,
    ) -> Result<Vec<u8>, Refusal> {
        let verified = self.pin_verified;
        let key = self.keys.get_mut(&slot).ok_or(NO_REFERENCE)?;
        if algorithm != P256 {
            return Err(BAD_PARAMETERS);
        }
        if key.pin == 2 && !verified || key.pin == 3 && !fresh {
            return Err(SECURITY);
        }
        let still_served = key.touched.is_some_and(|at| at.elapsed() < TOUCH_LASTS);
        if key.touch == 2 || key.touch == 3 && !still_served {
            *wants_touch = true;
            if !touched {
                return Err(SECURITY);
            }
            key.touched = Some(Instant::now());
        }
        let answer = if let Some(point) = tlv::find(template, 0x85) {
            let peer = PublicKey::from_sec1_bytes(point).map_err(|_| BAD_DATA)?;
            key.secret.diffie_hellman(&peer).raw_secret_bytes().to_vec()
        } else {
            let hash = tlv::find(template, 0x81).ok_or(BAD_DATA)?;
            let signature: Signature = SigningKey::from(&key.secret).sign_prehash(hash).map_err(|_| BAD_DATA)?;
            signature.to_der().as_bytes().to_vec()
        };
        Ok(tlv::wrap(&[0x7c], &tlv::wrap(&[0x82], &answer)))
    }

    fn read(&self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        let id = object_id(data)?;
        if id == PRINTED && !self.pin_verified {
            return Err(SECURITY);
        }
        let content = self.objects.get(&id).ok_or(NOT_FOUND)?;
        Ok(tlv::wrap(&[if id == 0x7e { 0x7e } else { 0x53 }], content))
    }

    fn write(&mut self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.be_managed()?;
        let id = object_id(data)?;
        let content = tlv::find(data, 0x53).ok_or(BAD_DATA)?;
        if content.len() > LARGEST_OBJECT {
            return Err(0x6a84);
        }
        if content.is_empty() {
            self.objects.remove(&id);
        } else {
            self.objects.insert(id, content.to_vec());
        }
        Ok(Vec::new())
    }

    fn metadata(&self, reference: u8) -> Result<Vec<u8>, Refusal> {
        match reference {
            0x80 => Ok(self.pin.metadata()),
            0x81 => Ok(self.puk.metadata()),
            MANAGEMENT => {
                let is_factory = u8::from(self.has_factory_management_key());
                let algorithm = tlv::wrap(&[1], &[self.management.algorithm.number()]);
                Ok([algorithm, tlv::wrap(&[2], &[0, 1]), tlv::wrap(&[5], &[is_factory])].concat())
            }
            slot => {
                let key = self.keys.get(&slot).ok_or(NO_REFERENCE)?;
                let point = key.secret.public_key().to_sec1_point(false).as_bytes().to_vec();
                Ok([
                    tlv::wrap(&[1], &[P256]),
                    tlv::wrap(&[2], &[key.pin, key.touch]),
                    tlv::wrap(&[3], &[key.origin]),
                    tlv::wrap(&[4], &tlv::wrap(&[0x86], &point)),
                ]
                .concat())
            }
        }
    }

    fn attest(&self, slot: u8) -> Result<Vec<u8>, Refusal> {
        let key = self.keys.get(&slot).ok_or(NO_REFERENCE)?;
        if key.origin != 1 {
            return Err(BAD_DATA);
        }
        let public = key.secret.public_key();
        Ok(self.attestation.of(&public, slot, [key.pin, key.touch], self.firmware, self.serial))
    }

    fn set_tries(&mut self, pin: u8, puk: u8) -> Result<Vec<u8>, Refusal> {
        self.be_managed()?;
        if !self.pin_verified {
            return Err(SECURITY);
        }
        (self.pin, self.puk) = (Code::new(b"123456"), Code::new(b"12345678"));
        (self.pin.left, self.pin.all, self.puk.left, self.puk.all) = (pin, pin, puk, puk);
        Ok(Vec::new())
    }

    fn reset(&mut self) -> Result<Vec<u8>, Refusal> {
        if self.pin.left > 0 || self.puk.left > 0 {
            return Err(CONDITIONS);
        }
        *self = Self { selected: Selected::Piv, ..Self::new(self.firmware, self.serial) };
        Ok(Vec::new())
    }
}

/// The data of a command, its length short or extended; a lone length byte is what the answer may have.
fn body_data(body: &[u8]) -> Result<&[u8], Refusal> {
    match body {
        [] | [_] | [0, _] | [0, _, _] => Ok(&[]),
        [0, high, low, rest @ ..] => rest.get(..usize::from(u16::from_be_bytes([*high, *low]))).ok_or(0x6700),
        [length, rest @ ..] => rest.get(..usize::from(*length)).ok_or(0x6700),
    }
}

fn object_id(data: &[u8]) -> Result<u32, Refusal> {
    let bytes = tlv::find(data, 0x5c).filter(|bytes| (1..=3).contains(&bytes.len())).ok_or(BAD_DATA)?;
    Ok(bytes.iter().fold(0, |id, byte| id << 8 | u32::from(*byte)))
}
