// Bytes and their texts, one text for one value (SPEC §2.1, §2.3, §2.4): strict base64, base64url, hex, base32; hashes,
// derivations and lists of parts behind their lengths. It must not know a format.

import { sha256 as hash } from "@noble/hashes/sha2.js";
import { hkdf as derive } from "@noble/hashes/hkdf.js";
import { base32nopad, base64 as padded, base64urlnopad } from "@scure/base";

const encoder = new TextEncoder();

export const utf8 = (text) => encoder.encode(text);

/** The text of UTF-8 bytes; throws at any others. A byte order mark stays what it is: a character. */
export const fromUtf8 = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

export function concat(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const sha256 = (...parts) => hash(concat(...parts));

/** HKDF-SHA256 (RFC 5869) with 32 bytes of output and no salt. */
export const hkdf = (key, info) => derive(hash, key, undefined, info, 32);

/** Each part behind its length as four bytes, big-endian. */
export const lengthPrefixed = (...parts) =>
  concat(...parts.flatMap((part) => [Uint8Array.of(part.length >>> 24, part.length >>> 16, part.length >>> 8, part.length), part]));

export const equal = (a, b) => a.length === b.length && a.every((byte, at) => byte === b[at]);

/** Decodes with `coder`, and throws unless `text` is just what it makes of the result. */
function strictly(coder, text) {
  const bytes = coder.decode(text);
  if (coder.encode(bytes) !== text) throw new Error("not the one spelling of its bytes");
  return bytes;
}

export const base64 = (bytes) => padded.encode(bytes);
export const fromBase64 = (text) => strictly(padded, text);
export const base64url = (bytes) => base64urlnopad.encode(bytes);
export const fromBase64url = (text) => strictly(base64urlnopad, text);
export const base32 = (bytes) => base32nopad.encode(bytes);
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function fromHex(text) {
  if (text.length % 2 || !/^[0-9a-f]*$/.test(text)) throw new Error("not lower-case hexadecimal");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Overwrites buffers that held a secret. Strings cannot be: they are left to the garbage collector. */
export const wipe = (...buffers) => buffers.forEach((buffer) => buffer?.fill(0));
