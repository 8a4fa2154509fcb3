//! age files, opened through [`PivIdentity`].

use std::io::{Read, Write};
use std::sync::Arc;

use age::{Decryptor, Encryptor, Recipient};
use p256::SecretKey;
use p256::elliptic_curve::Generate;
use quorate::token::identity::PivIdentity;
use quorate::token::{NewKey, PinPolicy, TouchPolicy};
use quorate_protocol::recipient::NativeRecipient;

use super::{Ground, PIN, pin, with_key};

const PLAIN: &[u8] = b"what a player holds";

fn sealed(recipient: &dyn Recipient) -> Vec<u8> {
    let encryptor = Encryptor::with_recipients(std::iter::once(recipient)).expect("one recipient is enough");
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file).expect("memory takes everything");
    writer.write_all(PLAIN).expect("memory takes everything");
    writer.finish().expect("memory takes everything");
    file
}

fn opened(file: &[u8], identity: &PivIdentity) -> Option<Vec<u8>> {
    let decryptor = Decryptor::new(file).expect("an age file");
    let mut reader = decryptor.decrypt(std::iter::once(identity as &dyn age::Identity)).ok()?;
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).expect("a whole file");
    Some(plain)
}

/// The token as an identity, without a verified PIN.
fn identity(ground: &mut dyn Ground) -> PivIdentity {
    ground.remove();
    ground.insert();
    let person = ground.person();
    person.forget();
    PivIdentity::new(ground.reopen(), Arc::clone(&person) as _).expect("listing needs nothing")
}

pub(super) fn both_recipients_of_a_key_open(ground: &mut dyn Ground) {
    let (token, key) = with_key(ground, PinPolicy::Once, TouchPolicy::Always);
    drop(token);
    let identity = identity(ground);
    ground.person().knows(PIN);
    for recipient in key.recipients() {
        let text = recipient.to_string();
        let told: NativeRecipient = text.parse().expect("what a token tells can be dealt to");
        assert_eq!(opened(&sealed(&told), &identity).as_deref(), Some(PLAIN), "{text}");
    }
    let file = sealed(&key.recipients()[0]);
    assert_eq!(opened(&file, &identity).as_deref(), Some(PLAIN));
    assert_eq!(ground.person().asked(), ["pin", "touch", "touch", "touch"], "one PIN, a touch for every file");
}

pub(super) fn a_file_for_somebody_else_asks_nothing(ground: &mut dyn Ground) {
    let (token, _) = with_key(ground, PinPolicy::Once, TouchPolicy::Always);
    drop(token);
    let identity = identity(ground);
    let stranger = SecretKey::generate().public_key();
    for recipient in [NativeRecipient::yubikey(&stranger), NativeRecipient::tag(&stranger)] {
        assert_eq!(opened(&sealed(&recipient), &identity), None);
    }
    assert!(ground.person().asked().is_empty());
}

pub(super) fn the_right_key_of_several_is_found(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    token.verify_pin(&pin(PIN)).expect("the right PIN");
    let policies = [PinPolicy::Never, PinPolicy::Always, PinPolicy::Once];
    let keys = policies.map(|pin_policy| {
        let new = NewKey { slot: None, label: "twin".to_owned(), pin_policy, touch_policy: TouchPolicy::Never };
        token.generate(&new, &*ground.person()).expect("free slots")
    });
    drop(token);
    let identity = identity(ground);
    let [never, always, once] = keys.map(|key| sealed(&key.recipients()[1]));
    assert_eq!(opened(&never, &identity).as_deref(), Some(PLAIN));
    assert!(ground.person().asked().is_empty(), "a key that wants nothing asks nothing");
    ground.person().knows(PIN);
    for file in [&always, &always, &once] {
        assert_eq!(opened(file, &identity).as_deref(), Some(PLAIN));
    }
    assert_eq!(ground.person().asked(), ["pin"], "the PIN is kept for keys that want it every time");
}
