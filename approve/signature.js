// Ed25519 as SPEC §2.5 asks for it: no weak keys, no malleable forms, the equation without cofactor. Browsers' own check lets
// keys of small order pass, and not every browser has one; so it is noble's arithmetic in all of them.

import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { concat, equal } from "./bytes.js";

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;

const numberOf = (littleEndian) => littleEndian.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/** The point of `bytes`, if it is one of large order; else null. */
function strongPoint(bytes) {
  try {
    const point = Point.fromBytes(bytes, false);
    return point.isSmallOrder() ? null : point;
  } catch {
    return null;
  }
}

/** Whether `bytes` are a public key that a signature can be checked with. */
export const isKey = (bytes) => bytes.length === 32 && strongPoint(bytes) !== null;

/** Whether `signature` of `message` is that of `key`. */
export function verify(key, message, signature) {
  if (signature.length !== 64 || key.length !== 32) return false;
  const [r, s] = [signature.subarray(0, 32), numberOf(signature.subarray(32))];
  const [a, commitment] = [strongPoint(key), strongPoint(r)];
  if (!a || !commitment || s >= ORDER) return false;
  const k = numberOf(sha512(concat(r, key, message))) % ORDER;
  const expected = Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k));
  return equal(expected.toBytes(), r);
}

export const publicKey = (seed) => ed25519.getPublicKey(seed);
export const sign = (seed, message) => ed25519.sign(message, seed);
