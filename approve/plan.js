// The plan of a redeal (SPEC §9), and the recipients in it (§6.1): who plays next, and with which keys.

import { p256 } from "@noble/curves/nist.js";
import { bech32 } from "@scure/base";
import { hex, sha256, utf8 } from "./bytes.js";
import { checkName, checkNote, checkThreshold } from "./header.js";
import { Refused } from "./refused.js";
import { byte, groupName, list, object, optional, parse, text, u32 } from "./strict-json.js";

const MAX_PLAN = 36 * 1024;
const MAX_RECIPIENTS = 8;
/** Of an ML-KEM-768 encapsulation key: coefficients of 12 bits in the first 1,152 bytes, each below q. */
const [KEM_COEFFICIENTS, KEM_KEY, Q] = [1152, 1184, 3329];
/** p − 1, and the coordinates of small order of Curve25519: little-endian, in hexadecimal. */
const LARGEST = `ec${"ff".repeat(30)}7f`;
const SMALL_ORDER = [
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  LARGEST,
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
];

const fieldsOf = object({
  version: u32,
  replaces: object({ group: optional(groupName), farmfa: optional(text) }),
  threshold: byte,
  note: text,
  players: list(object({ holder: text, recipients: list(text) })),
});

/** Reads and checks a plan. */
export function parsePlan(bytes) {
  if (bytes.length > MAX_PLAN) throw new Refused("too_large", "its plan is too large");
  const fields = fieldsOf(parse(bytes));
  if (fields.version !== 1) throw new Refused("version", "its plan is of a version that this page does not know");
  if ((fields.replaces.group === undefined) === (fields.replaces.farmfa === undefined)) {
    throw new Refused("shape", "its plan does not say what it replaces");
  }
  checkThreshold(fields.threshold, fields.players.length);
  checkNote(fields.note);
  const seen = new Set();
  const once = (mark) => {
    if (seen.has(mark)) throw new Refused("repeated_player", "a player or a key stands twice in its plan");
    seen.add(mark);
  };
  for (const { holder, recipients } of fields.players) {
    checkName(holder);
    once(`holder ${holder}`);
    if (recipients.length < 1 || recipients.length > MAX_RECIPIENTS) {
      throw new Refused("recipients", "a player of its plan has no keys, or too many");
    }
    const keys = recipients.map(recipientKey);
    if (new Set(keys.map((key) => key.postQuantum)).size > 1) {
      throw new Refused("recipient", "the keys of a player of its plan cannot stand in one file");
    }
    keys.forEach((key) => once(key.id));
  }
  return { ...fields, digest: sha256(utf8("quorate/1 plan\0"), bytes) };
}

/** What stands behind a recipient: `id` names the key, whatever its form. */
export function recipientKey(recipient) {
  const refused = () => new Refused("recipient", "a key in it is damaged, or of no kind that this page knows");
  try {
    const { prefix, words } = bech32.decode(recipient, false);
    const bytes = bech32.fromWords(words);
    const id = keyId(prefix, bytes);
    if (id === null || bech32.encode(prefix, words, false) !== recipient.toLowerCase()) throw refused();
    return { id, postQuantum: prefix === "age1tagpq", x25519: prefix === "age" };
  } catch {
    throw refused();
  }
}

function keyId(prefix, bytes) {
  switch (prefix) {
    case "age":
      return isX25519(bytes) ? `x25519 ${hex(bytes)}` : null;
    case "age1tag":
    case "age1yubikey":
      return bytes.length === 33 ? point(bytes) : null;
    case "age1tagpq":
      return bytes.length === KEM_KEY + 65 && isReduced(bytes) ? point(bytes.subarray(KEM_KEY)) : null;
    default:
      return null;
  }
}

/** Canonical, and of large order. */
function isX25519(bytes) {
  const bigEndian = (text) => text.match(/../g).reverse().join("");
  return bytes.length === 32 && bigEndian(hex(bytes)) <= bigEndian(LARGEST) && !SMALL_ORDER.includes(hex(bytes));
}

/** Throws when it is not on the curve. */
const point = (bytes) => `p256 ${p256.Point.fromBytes(bytes).toHex(true)}`;

function isReduced(bytes) {
  for (let at = 0; at < KEM_COEFFICIENTS; at += 3) {
    const [a, b, c] = bytes.subarray(at, at + 3);
    if ((a | ((b & 15) << 8)) >= Q || ((b >> 4) | (c << 4)) >= Q) return false;
  }
  return true;
}
