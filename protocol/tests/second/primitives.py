"""The primitives of protocol/SPEC.md §2 and the field arithmetic of §5.

Not constant time and wipes nothing: for checking only. Knows no format.
"""

import base64
import hashlib
import hmac
import json
import struct

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class Refused(Exception):
    """Input that the specification refuses, with its word."""

    def __init__(self, word):
        super().__init__(word)
        self.word = word


# ---- encodings (SPEC 2)

def b64(text, word="shape"):
    try:
        decoded = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise Refused(word) from None
    if base64.b64encode(decoded).decode() != text:
        raise Refused(word)
    return decoded


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_b64url(text):
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Refused("malformed") from None
    if b64url(decoded) != text:
        raise Refused("malformed")
    return decoded


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def prefixed(*parts):
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def hkdf(ikm, info, salt=b""):
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    return hmac.digest(prk, info + b"\x01", "sha256")


def strict_json(data):
    def once(pairs):
        keys = [key for key, _ in pairs]
        if len(set(keys)) != len(keys):
            raise Refused("duplicate_key")
        return dict(pairs)

    try:
        text = data.decode() if isinstance(data, bytes) else data
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise Refused("shape") from None


def shape(value, required, optional=(), closed=True):
    """Checks the fields of an object: names to types."""
    required, optional = dict(required), dict(optional)
    if not isinstance(value, dict):
        raise Refused("shape")
    if closed and set(value) - set(required) - set(optional):
        raise Refused("shape")
    for name, kind in {**required, **optional}.items():
        if value.get(name) is None:
            if name in required:
                raise Refused("shape")
            value.pop(name, None)
        elif kind is int:
            if type(value[name]) is not int:
                raise Refused("shape")
        elif kind == "byte":
            if type(value[name]) is not int or not 0 <= value[name] <= 255:
                raise Refused("shape")
        elif not isinstance(value[name], kind):
            raise Refused("shape")
    return value


# ---- Ed25519, strictly (SPEC 2.5)

P25519 = 2**255 - 19
D25519 = -121665 * pow(121666, -1, P25519) % P25519


def point(encoded):
    """The affine point of an Ed25519 encoding, or None."""
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    sign = encoded[31] >> 7
    y %= P25519
    u, v = (y * y - 1) % P25519, (D25519 * y * y + 1) % P25519
    x = pow(u * pow(v, -1, P25519), (P25519 + 3) // 8, P25519)
    if (x * x * v - u) % P25519:
        x = x * pow(2, (P25519 - 1) // 4, P25519) % P25519
    if (x * x * v - u) % P25519:
        return None
    return (P25519 - x) % P25519 if x & 1 != sign else x, y


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = D25519 * x1 * x2 * y1 * y2 % P25519
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P25519)
    y = (y1 * y2 + x1 * x2) * pow(1 - t, -1, P25519)
    return x % P25519, y % P25519


def small_order(encoded):
    eight = point(encoded)
    for _ in range(3):
        eight = add(eight, eight)
    return eight == (0, 1)


def usable_key(encoded):
    return len(encoded) == 32 and point(encoded) is not None and not small_order(encoded)


def verifies(key, message, signature):
    if not usable_key(key) or len(signature) != 64 or point(signature[:32]) is None or small_order(signature[:32]):
        return False
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except InvalidSignature:
        return False


def public(seed):
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def sign(seed, message):
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed).sign(message)


# ---- XChaCha20-Poly1305 (SPEC 2.6)

def hchacha20(key, nonce):
    state = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))

    def quarter(a, b, c, d):
        for one, other, third, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[one] = (state[one] + state[other]) & 0xFFFFFFFF
            mixed = state[third] ^ state[one]
            state[third] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(10):
        for column in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(*column)
        for diagonal in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*diagonal)
    return struct.pack("<8I", *state[:4], *state[12:])


def seal(key, associated, plaintext, nonce):
    inner = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    return nonce + inner.encrypt(bytes(4) + nonce[16:], plaintext, associated)


def open_sealed(key, associated, sealed):
    nonce, ciphertext = sealed[:24], sealed[24:]
    try:
        inner = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
        return inner.decrypt(bytes(4) + nonce[16:], ciphertext, associated)
    except (InvalidTag, ValueError):
        raise Refused("open") from None


# ---- GF(2^8) and sharing (SPEC 5)

def gf_mul(a, b, polynomial=0x11D):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= polynomial
        b >>= 1
    return product


def gf_inverse(a):
    return next(b for b in range(1, 256) if gf_mul(a, b) == 1)


def value_at(shares, at):
    total = bytearray(len(shares[0]) - 1)
    for own in shares:
        top = bottom = 1
        for other in shares:
            if other[0] != own[0]:
                top = gf_mul(top, at ^ other[0])
                bottom = gf_mul(bottom, own[0] ^ other[0])
        factor = gf_mul(top, gf_inverse(bottom))
        for index, y in enumerate(own[1:]):
            total[index] ^= gf_mul(factor, y)
    return bytes(total)


# ---- Bech32 (SPEC 6.1)

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def bech32(text):
    """Human-readable part and bytes (BIP 173, without its length limit)."""
    lower = text.lower()
    if text not in (lower, text.upper()) or "1" not in lower:
        raise Refused("recipient")
    hrp, _, data = lower.rpartition("1")
    if not set(data) <= set(CHARSET) or len(data) < 6:
        raise Refused("recipient")
    values = [CHARSET.index(c) for c in data]
    check = 1
    for value in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + values:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term if top >> bit & 1 else 0
    if check != 1:
        raise Refused("recipient")
    number = 0
    for value in values[:-6]:
        number = number << 5 | value
    spare = len(values[:-6]) * 5 % 8
    if spare > 4 or number & ((1 << spare) - 1):
        raise Refused("recipient")
    return hrp, (number >> spare).to_bytes(len(values[:-6]) * 5 // 8, "big")
