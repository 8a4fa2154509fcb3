// Passkeys, and the age files that they open, by typage: an identity of one oracle is sealed to a passkey with WebAuthn's prf,
// and opens the Tocs that are encrypted to its recipient. It must not know what a Toc is.

import { Decrypter, Encrypter, Stanza, armor, generateX25519Identity, identityToRecipient, webauthn } from "age-encryption";
import { wipe, fromUtf8, utf8 } from "./bytes.js";
import { Refused } from "./refused.js";

/** The stanza in which a sealed identity says which passkey opens it, its recipient, and its oracle. */
const LABEL = "quorate-passkey";
const PRF = "age-encryption.org/fido2prf";
/** Seals of a file that a passkey is asked for at most: whoever wrote the file chose how many there are (SPEC §6.4). */
const MOST_TOUCHES = 4;
const BINARY = utf8("age-encryption.org/");
const WHOLE_FILE = 128 * 1024;

/** What a browser said of a passkey, in words; it does not tell much more, on purpose. */
function inWords(error) {
  if (error instanceof Refused) return error;
  if (error.name === "NotAllowedError") return new Refused("no_answer", "The passkey did not answer: it is not here, it could not tell that it is you (PIN, finger, face), or you said no. Nothing was sent.");
  if (error.name === "SecurityError") return new Refused("address", "The browser does not let this address use passkeys.");
  if (error.message.includes("PRF")) {
    return new Refused("no_prf", "This passkey or this browser cannot keep a key (it has no prf): use another one.");
  }
  if (error.message.includes("no identity matched")) return new Refused("other_key", "This passkey is not the one that the key was sealed to.");
  return new Refused("damaged", `This cannot be opened: ${error.message}.`);
}

async function asked(act) {
  if (!globalThis.PublicKeyCredential) {
    throw new Refused("no_passkeys", "This browser, or this address, knows no passkeys: use a newer browser, with https.");
  }
  try {
    return await act();
  } catch (error) {
    throw inWords(error);
  }
}

/** Makes a passkey, which a person finds as `name`. Gives what typage calls it by: a text that is no secret. */
export const create = (name) => asked(() => webauthn.createCredential({ keyName: name }));

/** Makes an identity of `oracle` and seals it to the passkey `credential`, which is asked once. Gives its public half and an
 * armored file, which says of itself what it is (SPEC §6.4). */
export const sealFresh = (credential, oracle) =>
  asked(async () => {
    const identity = await generateX25519Identity();
    const recipient = await identityToRecipient(identity);
    const label = new Stanza([LABEL, credential, recipient, oracle], new Uint8Array());
    const encrypter = new Encrypter();
    encrypter.addRecipient(new webauthn.WebAuthnRecipient({ identity: credential }));
    encrypter.addRecipient({ wrapFileKey: () => [label] });
    return { recipient, sealed: armor.encode(await encrypter.encrypt(`${identity}\n`)) };
  });

/** The identity in the armored file `sealed`, a secret, and its recipient. The passkey that the file names is asked once. A file
 * that says for which oracle it is must be for `oracle`. */
export const unseal = ({ sealed, oracle }) =>
  asked(async () => {
    let label = [];
    const decrypter = new Decrypter();
    decrypter.addIdentity({
      unwrapFileKey: (stanzas) => {
        label = stanzas.find(({ args }) => args[0] === LABEL)?.args ?? [];
        if (label[3] !== undefined && label[3] !== oracle) {
          throw new Refused("other_oracle", "This key was made for another oracle: each oracle has a key of its own.");
        }
        const seals = stanzas.filter(({ args }) => args[0] === PRF).slice(0, MOST_TOUCHES);
        return new webauthn.WebAuthnIdentity(label[1] ? { identity: label[1] } : {}).unwrapFileKey(seals);
      },
    });
    const bytes = await decrypter.decrypt(armor.decode(sealed));
    const lines = fromUtf8(bytes).split("\n").map((line) => line.trim());
    wipe(bytes);
    const identities = lines.filter((line) => line !== "" && !line.startsWith("#"));
    if (identities.length !== 1 || !identities[0].startsWith("AGE-SECRET-KEY-1")) {
      throw new Refused("no_identity", "What is sealed there is not one age identity.");
    }
    const recipient = await identityToRecipient(identities[0]);
    if (label[2] !== undefined && label[2] !== recipient) {
      throw new Refused("other_identity", "This file holds another identity than it says.");
    }
    return { identity: identities[0], recipient };
  });

/** What the armored age file `file` holds, as bytes: a secret. */
export async function open(identity, file) {
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  try {
    return await decrypter.decrypt(armor.decode(file));
  } catch (error) {
    if (error.message.includes("no identity matched")) {
      throw new Refused("not_for_this_key", "This Toc is not encrypted to the key that you chose. Was it dealt to another recipient?");
    }
    throw new Refused("damaged", `This age file is damaged: ${error.message}.`);
  }
}

/** An armored age file for `recipient`, and for nobody else. */
export async function encryptTo(recipient, bytes) {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return armor.encode(await encrypter.encrypt(bytes));
}

/** The armored form of an age file in either form; throws at anything else. */
export function asArmored(bytes) {
  if (bytes.length > WHOLE_FILE) throw new Refused("too_large", "This file is too large to be of quorate.");
  if (BINARY.every((byte, nth) => bytes[nth] === byte)) return armor.encode(bytes);
  try {
    return armor.encode(armor.decode(fromUtf8(bytes)));
  } catch {
    throw new Refused("no_age_file", "This is not an age file: choose or paste the whole of it, with its first and last line.");
  }
}
