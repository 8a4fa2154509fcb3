// What the holder of a share signs (SPEC §10): that they approve, or deny. Each act has a label of its own.

import { concat, fromHex, sha256, utf8 } from "./bytes.js";

const bound = (label, digest, group, x, what) =>
  concat(utf8(label), digest, fromHex(group), Uint8Array.of(x), sha256(utf8(what)));

/** `digest` is the invite's, `group` G in hexadecimal, `encryptedToc` the armored text, every byte of it. */
export const approveMessage = (digest, group, x, encryptedToc) => bound("quorate/1 approve\0", digest, group, x, encryptedToc);

export const denyMessage = (digest, group, x, reason) => bound("quorate/1 deny\0", digest, group, x, reason);
