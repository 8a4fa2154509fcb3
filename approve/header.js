// The header of a deal: the dealer's exact bytes, what they say, and the names that follow from them (SPEC §3, §8.1).

import { base32, sha256, utf8 } from "./bytes.js";
import { Refused } from "./refused.js";
import { isKey } from "./signature.js";
import { byte, bytes64, groupName, list, object, optional, parse, seconds, text, u32 } from "./strict-json.js";

const MAX_HEADER = 48 * 1024;
const MAX_NOTE = 1024;
const MAX_NAME = 64;

const fieldsOf = object({
  version: u32,
  group_id: text,
  size: byte,
  threshold: byte,
  note: text,
  dealt_at: seconds,
  replaces: optional(groupName),
  oracle: optional(object({ url: text, root_key: bytes64 })),
  players: list(object({ holder: text, toc_id: text, share_key: bytes64 })),
});

/** Reads and checks a header. */
export function parseHeader(bytes) {
  if (bytes.length > MAX_HEADER) throw new Refused("too_large", "its header is too large");
  const fields = fieldsOf(parse(bytes));
  if (fields.version !== 1) throw new Refused("version", "its header is of a version that this page does not know");
  if (fields.size !== fields.players.length) throw new Refused("size", "its header counts other players than it names");
  checkThreshold(fields.threshold, fields.size);
  checkNote(fields.note);
  checkName(fields.group_id);
  if (fields.oracle) {
    if (!isUrl(fields.oracle.url)) throw new Refused("oracle_url", "the address of its oracle cannot be");
    if (!isKey(fields.oracle.root_key)) throw new Refused("oracle_key", "the root key of its oracle cannot be");
  }
  const seen = new Set();
  for (const { holder, toc_id: id, share_key: key } of fields.players) {
    checkName(holder);
    checkName(id);
    if (!isKey(key)) throw new Refused("share_key", "a share key in its header cannot be");
    for (const mark of [`holder ${holder}`, `id ${id}`, `key ${key.join()}`]) {
      if (seen.has(mark)) throw new Refused("repeated_player", "a player stands twice in its header");
      seen.add(mark);
    }
  }
  return { ...fields, bytes };
}

export function checkThreshold(threshold, size) {
  if (threshold < 2 || threshold > size || size > 255) throw new Refused("threshold", "its threshold cannot be");
}

export function checkNote(note) {
  if (utf8(note).length > MAX_NOTE) throw new Refused("note", "its note is too long");
}

/** Names are shown to people and sorted by machines. */
export function checkName(name) {
  const bare = name.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
  const taken = ["unproved", "unverified"].includes(bare.toLowerCase());
  if (bare === "" || taken || utf8(name).length > MAX_NAME || /\p{Cc}/u.test(name)) {
    throw new Refused("name", "a name in it cannot be");
  }
}

/** Whether `address` can be an oracle's: scheme, host, port and path alone, no slash at the end. */
export function isUrl(address) {
  if (address.endsWith("/") || /[?#]/.test(address) || utf8(address).length > 1024) return false;
  const url = URL.parse(address);
  return url !== null && ["http:", "https:"].includes(url.protocol) && url.host !== "" && !url.username && !url.password;
}

/** H. */
export const headerDigest = (bytes) => sha256(utf8("quorate/1 header\0"), bytes);

/** G, as bytes. */
export const groupOf = (header, sealed) => sha256(utf8("quorate/1 group\0"), headerDigest(header), sha256(sealed));

/** An oracle's root key as people compare it: groups of four, joined by "-". */
export const fingerprint = (key) =>
  base32(sha256(utf8("quorate/1 root\0"), key).subarray(0, 20)).match(/.{4}/g).join("-");
