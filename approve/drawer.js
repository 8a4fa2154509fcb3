// What this browser keeps: sealed keys, and Tocs as they were dealt, encrypted, with what everybody may know of them. Nothing
// in here opens without the passkey.

import { Refused } from "./refused.js";

const KEY = "quorate key ";
const TOC = "quorate toc ";

function all(start) {
  const names = Object.keys(localStorage).filter((name) => name.startsWith(start));
  return names.sort().map((name) => JSON.parse(localStorage.getItem(name)));
}

function keep(name, record) {
  try {
    localStorage.setItem(name, JSON.stringify(record));
  } catch {
    throw new Refused("full", "This browser does not keep any more: it is full, or the window is a private one.");
  }
  // A hint that browsers may take: not to clear this away when space is short.
  navigator.storage?.persist?.();
}

/** Keys, the newest first: `{recipient, sealed, oracle, fingerprint, made, saved}`; `sealed` is an armored age file, `made` says since when
 * it is here (RFC 3339), `saved` whether somebody has that file. */
export const keys = () => all(KEY).sort((one, other) => (one.made < other.made) - (one.made > other.made));
export const keepKey = (key) => keep(KEY + key.recipient, key);
export const dropKey = (key) => localStorage.removeItem(KEY + key.recipient);
export const keyOf = (recipient) => keys().find((key) => key.recipient === recipient);

/** Tocs: `{group, x, holder, note, groupId, size, threshold, players, oracle, rootKey, recipient, file}`. */
export const tocs = () => all(TOC);
export const keepToc = (toc) => keep(`${TOC}${toc.group} ${toc.x}`, toc);
export const dropToc = (toc) => localStorage.removeItem(`${TOC}${toc.group} ${toc.x}`);

/** The only Toc of a group that is filed here. */
export function tocOf(group) {
  const found = tocs().filter((toc) => toc.group === group);
  if (found.length === 0) {
    throw new Refused("not_filed", "No Toc of this group is filed here. File yours below, then read the invite again.");
  }
  if (found.length > 1) throw new Refused("ambiguous", "Two Tocs of this group are filed here: remove the one that is not yours.");
  return found[0];
}
