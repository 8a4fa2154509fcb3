// A Toc of ours: read and checked as its player files it, and written as it is sent (SPEC §4, §5.3). farMFA's are not for a
// page: they have no share key to sign with.

import { base64, concat, equal, fromBase64, hex, hkdf, lengthPrefixed, utf8 } from "./bytes.js";
import { groupOf, parseHeader } from "./header.js";
import { Refused } from "./refused.js";
import { publicKey } from "./signature.js";
import { bytes64, groupName, integer, object, optional, parse, text } from "./strict-json.js";

const SHARE_LENGTH = 33;
const MAX_SEALED = 5 * 1024;
const u16 = integer(0, 65535);

const fieldsOf = object(
  {
    group_id: text,
    group_size: u16,
    group_threshold: u16,
    note: optional(text),
    toc_id: text,
    share: text,
    approval: optional(bytes64),
    quorate: optional(object({ header: optional(bytes64), sealed: optional(bytes64), group: optional(groupName) }, { open: true })),
  },
  { open: true },
);

/** Reads a decrypted whole Toc. The share in the answer is a secret: wipe it. */
export function parseToc(bytes) {
  const fields = fieldsOf(parse(bytes));
  const part = fields.quorate;
  if (!part) throw new Refused("farmfa", "it was dealt by farMFA, which has nothing to sign with here: use quorate join");
  const share = readShare(fields.share);
  const whole = part.header && part.sealed && !part.group;
  if (!whole && part.group && !part.header && !part.sealed) {
    throw new Refused("short", "it is a Toc as it was sent once, not the one that was dealt");
  }
  if (!whole) throw new Refused("part", "its quorate part is incomplete");
  const header = parseHeader(part.header);
  if (part.sealed.length > MAX_SEALED) throw new Refused("mismatch", "its sealed part is too large");
  const x = share[0];
  const player = header.players[x - 1];
  if (!player) throw new Refused("share_x", "its share is of no player");
  const key = publicKey(shareSeed(share, header.group_id, player.toc_id));
  if (!equal(key, player.share_key)) throw new Refused("share_not_dealt", "its share is not the one that was dealt");
  const same =
    fields.group_id === header.group_id &&
    fields.group_size === header.size &&
    fields.group_threshold === header.threshold &&
    (fields.note ?? "") === header.note &&
    fields.toc_id === player.toc_id;
  if (!same) throw new Refused("mismatch", "what it says outside is not what its header says");
  return { header, sealed: part.sealed, share, x, player, group: hex(groupOf(part.header, part.sealed)) };
}

function readShare(encoded) {
  let share;
  try {
    share = fromBase64(encoded);
  } catch {
    throw new Refused("share_text", "its share is not base64");
  }
  if (share.length !== SHARE_LENGTH) throw new Refused("share_length", "its share has another length");
  if (share[0] === 0) throw new Refused("share_x", "its share is of no player");
  return share;
}

/** What the share key's derivation is told besides the share. */
export const shareKeyInfo = (groupId, tocId) =>
  concat(utf8("quorate/1 share-key\0"), lengthPrefixed(utf8(groupId), utf8(tocId)));

/** The seed of the key that the holder of `share` signs with. A secret: wipe it. */
export const shareSeed = (share, groupId, tocId) => hkdf(share, shareKeyInfo(groupId, tocId));

/** The Toc as it is sent to an oracle, which has the header: bytes that hold a secret. */
export function shortToc({ header, share, player, group }) {
  return utf8(
    JSON.stringify({
      group_id: header.group_id,
      group_size: header.size,
      group_threshold: header.threshold,
      note: header.note,
      toc_id: player.toc_id,
      share: base64(share),
      quorate: { group },
    }),
  );
}
