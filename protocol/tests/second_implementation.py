#!/usr/bin/env python3
"""A second implementation of protocol/SPEC.md, as small as it can be, that checks the vector files.

Written from the specification alone, with Python's standard library; Ed25519, P-256, X25519 and ChaCha20-Poly1305 come
from PyPI's `cryptography` (pinned in tests/requirements.txt). It must not know the Rust code. Not constant time and wipes
nothing: for checking only. `second_implementation.py [FOLDER]` reads the files beside it, or those of FOLDER.
"""

import base64
import hashlib
import hmac
import json
import re
import struct
import sys
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

VECTORS = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "vectors")
MAX_PLAYERS = 255


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


def share_seed(share, group_id, toc_id):
    return hkdf(share, b"quorate/1 share-key\0" + prefixed(group_id.encode(), toc_id.encode()))


def check_share(share, header):
    if not 1 <= share[0] <= header["size"]:
        raise Refused("share_x")
    player = header["players"][share[0] - 1]
    if public(share_seed(share, header["group_id"], player["toc_id"])) != b64(player["share_key"]):
        raise Refused("share_not_dealt")


def combine(shares, header):
    assert len(shares) == header["threshold"] and len({share[0] for share in shares}) == len(shares)
    for x in range(1, header["size"] + 1):
        check_share(bytes([x]) + value_at(shares, x), header)
    return value_at(shares, 0)


# ---- header, Toc, group file, plan (SPEC 3, 4, 9)

def check_name(name):
    control = any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name)
    if not name.strip() or len(name.encode()) > 64 or control:
        raise Refused("name")


def url_is_plain(text):
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return (
        url.scheme in ("http", "https")
        and bool(url.hostname)
        and url.username is None
        and not re.search("[?#]", text)
        and not text.endswith("/")
        and len(text.encode()) <= 1024
    )


def check_threshold(threshold, size):
    if not 2 <= threshold <= size <= MAX_PLAYERS:
        raise Refused("threshold")


def group_name_shape(text):
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise Refused("shape")


def parse_header(data):
    if len(data) > 80 * 1024:
        raise Refused("too_large")
    header = shape(
        strict_json(data),
        {"version": int, "group_id": str, "size": "byte", "threshold": "byte", "note": str, "dealt_at": int, "players": list},
        {"replaces": str, "oracle": dict},
    )
    if "replaces" in header:
        group_name_shape(header["replaces"])
    if "oracle" in header:
        shape(header["oracle"], {"url": str, "root_key": str})
        b64(header["oracle"]["root_key"])
    for player in header["players"]:
        shape(player, {"holder": str, "toc_id": str, "share_key": str})
        b64(player["share_key"])
    if header["version"] != 1:
        raise Refused("version")
    if header["size"] != len(header["players"]):
        raise Refused("size")
    check_threshold(header["threshold"], header["size"])
    if len(header["note"].encode()) > 1024:
        raise Refused("note")
    check_name(header["group_id"])
    if "oracle" in header:
        if not url_is_plain(header["oracle"]["url"]):
            raise Refused("oracle_url")
        if not usable_key(b64(header["oracle"]["root_key"])):
            raise Refused("oracle_key")
    seen = set()
    for player in header["players"]:
        check_name(player["holder"])
        check_name(player["toc_id"])
        if not usable_key(b64(player["share_key"])):
            raise Refused("share_key")
        for item in player.items():
            if item in seen:
                raise Refused("repeated_player")
            seen.add(item)
    return header


def header_digest(data):
    return sha256(b"quorate/1 header\0", data)


def group_name(data, sealed):
    return sha256(b"quorate/1 group\0", header_digest(data), sha256(sealed)).hex()


def parse_toc(data):
    toc = shape(
        strict_json(data),
        {"group_id": str, "group_size": int, "group_threshold": int, "toc_id": str, "share": str, "quorate": dict},
        {"note": str},
        closed=False,
    )
    part = shape(toc["quorate"], {}, {"header": str, "sealed": str, "group": str}, closed=False)
    share = b64(toc["share"], "share_text")
    if len(share) != 33:
        raise Refused("share_length")
    if share[0] == 0:
        raise Refused("share_x")
    kinds = {name for name in ("header", "sealed", "group") if name in part}
    if kinds == {"group"}:
        group_name_shape(part["group"])
        return {"share": share, "group": part["group"]}
    if kinds != {"header", "sealed"}:
        raise Refused("part")
    header_bytes, sealed = b64(part["header"]), b64(part["sealed"])
    header = parse_header(header_bytes)
    check_share(share, header)
    outer = (toc["group_id"], toc["group_size"], toc["group_threshold"], toc.get("note", ""), toc["toc_id"])
    player = header["players"][share[0] - 1]
    if outer != (header["group_id"], header["size"], header["threshold"], header["note"], player["toc_id"]):
        raise Refused("mismatch")
    return {"share": share, "group": group_name(header_bytes, sealed), "header": header_bytes, "sealed": sealed}


def parse_group(data):
    group = shape(strict_json(data), {"group": str, "header": str, "sealed": str}, closed=False)
    group_name_shape(group["group"])
    header, sealed = b64(group["header"]), b64(group["sealed"])
    parse_header(header)
    if len(sealed) > 16 * 1024 or group_name(header, sealed) != group["group"]:
        raise Refused("mismatch")
    return header, sealed


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


def recipient_key(text):
    """What tells whether two recipients are one key. Post-quantum recipients are not read here."""
    hrp, data = bech32(text)
    if hrp == "age" and len(data) == 32:
        return "x25519", data
    if hrp in ("age1tag", "age1yubikey") and len(data) == 33:
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)
        except ValueError:
            raise Refused("recipient") from None
        return "p256", data
    raise Refused("recipient")


def parse_plan(data):
    if len(data) > 96 * 1024:
        raise Refused("too_large")
    plan = shape(strict_json(data), {"version": int, "replaces": dict, "threshold": "byte", "note": str, "players": list})
    if len(plan["replaces"]) != 1 or not set(plan["replaces"]) <= {"group", "farmfa"}:
        raise Refused("shape")
    if "group" in plan["replaces"]:
        group_name_shape(plan["replaces"]["group"])
    for player in plan["players"]:
        shape(player, {"holder": str, "recipients": list})
    if plan["version"] != 1:
        raise Refused("version")
    check_threshold(plan["threshold"], len(plan["players"]))
    if len(plan["note"].encode()) > 1024:
        raise Refused("note")
    holders, keys = set(), set()
    for player in plan["players"]:
        check_name(player["holder"])
        if player["holder"] in holders:
            raise Refused("repeated_player")
        holders.add(player["holder"])
        if not 1 <= len(player["recipients"]) <= 8:
            raise Refused("recipients")
        for key in [recipient_key(text) for text in player["recipients"]]:
            if key in keys:
                raise Refused("repeated_player")
            keys.add(key)
    return plan


# ---- invites (SPEC 8)

def certified(certificate):
    try:
        says = shape(
            strict_json(b64(certificate["payload"])),
            {"version": int, "kind": str, "key": str, "not_before": int, "expires": int},
        )
        says["key"] = b64(says["key"])
    except Refused:
        raise Refused("malformed") from None
    if says["version"] != 1 or says["kind"] not in ("invite-key", "root-key"):
        raise Refused("malformed")
    return says


def follow_chain(root, chain, now):
    if len(chain) > 8:
        raise Refused("malformed")
    key, end = root, None
    for certificate in chain:
        if end:
            raise Refused("malformed")
        message = b"quorate/1 certificate\0" + b64(certificate["payload"])
        if not verifies(key, message, b64(certificate["signature"])):
            if certified(certificate)["kind"] == "root-key":
                continue
            raise Refused("signature")
        says = certified(certificate)
        if not says["not_before"] <= now < says["expires"]:
            raise Refused("certificate_expired")
        key = says["key"]
        if says["kind"] == "invite-key":
            end = key
    if not end:
        raise Refused("signature")
    return end


def read_invite(url):
    link, hash_sign, fragment = url.strip().partition("#")
    payload, dot, signature = (fragment if hash_sign else link).partition(".")
    if not dot or len(url.encode()) > 256 * 1024:
        raise Refused("malformed")
    payload, signature = from_b64url(payload), from_b64url(signature)
    try:
        says = shape(
            strict_json(payload),
            {
                "version": int, "session": str, "oracle": str, "tek": str, "group_id": str, "size": "byte", "threshold": "byte",
                "note": str, "purpose": str, "applicant": dict, "reason": str, "created": int, "expires": int,
                "certificates": list,
            },
            {"group": str, "plan_digest": str, "plan": str},
        )
        if "group" in says:
            group_name_shape(says["group"])
        for certificate in says["certificates"]:
            shape(certificate, {"payload": str, "signature": str})
        proved = says["applicant"].get("status") == "proved"
        shape(says["applicant"], {"status": str, **({"holder": str, "x": "byte"} if proved else {})})
    except Refused:
        raise Refused("malformed") from None
    sound = (
        says["version"] == 1
        and says["applicant"]["status"] in ("proved", "unverified")
        and says["purpose"] in ("code", "redeal")
        and re.fullmatch("[A-Z2-7]{32}", says["session"])
        and url_is_plain(says["oracle"])
        and 2 <= says["threshold"] <= says["size"]
        and ("plan" in says) == (says["purpose"] == "redeal") == ("plan_digest" in says)
        and (not hash_sign or link == f"{says['oracle']}/s/{says['session']}")
    )
    if not sound:
        raise Refused("malformed")
    if "plan" in says:
        plan = b64(says["plan"])
        parse_plan(plan)
        if sha256(b"quorate/1 plan\0", plan) != b64(says["plan_digest"]):
            raise Refused("malformed")
    return payload, signature, says


def verify_invite(url, root, now):
    payload, signature, says = read_invite(url)
    key = follow_chain(root, says["certificates"], now)
    if not verifies(key, b"quorate/1 invite\0" + payload, signature):
        raise Refused("signature")
    if now >= says["expires"]:
        raise Refused("expired")
    return payload


# ---- age files (age-encryption.org/v1, and SPEC 6 for P-256)

def p256_shared(scalar, encoded):
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)
    return scalar.exchange(ec.ECDH(), peer), peer


def encoded(key, compressed):
    form = PublicFormat.CompressedPoint if compressed else PublicFormat.UncompressedPoint
    return key.public_bytes(Encoding.X962, form)


def hpke_key(shared, enc, own, info):
    """Key and nonce of RFC 9180's base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305."""

    def extract(suite, salt, label, ikm):
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(suite, prk, label, data, length):
        return hmac.digest(prk, struct.pack(">H", length) + b"HPKE-v1" + suite + label + data + b"\x01", "sha256")[:length]

    kem, suite = b"KEM\0\x10", b"HPKE\0\x10\0\x01\0\x03"
    secret = expand(kem, extract(kem, b"", b"eae_prk", shared), b"shared_secret", enc + own, 32)
    context = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    prk = extract(suite, secret, b"secret", b"")
    return expand(suite, prk, b"key", context, 32), expand(suite, prk, b"base_nonce", context, 12)


def unpadded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def file_key(stanza, body, identity):
    kind, *arguments = stanza
    if identity.startswith("AGE-SECRET-KEY-1"):
        assert kind == "X25519"
        scalar = x25519.X25519PrivateKey.from_private_bytes(bech32(identity)[1])
        own = scalar.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        share = unpadded(arguments[0])
        shared = scalar.exchange(x25519.X25519PublicKey.from_public_bytes(share))
        key = hkdf(shared, b"age-encryption.org/v1/X25519", share + own)
        return ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
    scalar = ec.derive_private_key(int(identity, 16), ec.SECP256R1())
    tag, share = map(unpadded, arguments)
    shared, peer = p256_shared(scalar, share)
    own = encoded(scalar.public_key(), True)
    own_tag = sha256(own)[:4]
    if kind == "piv-p256":
        assert len(share) == 33 and tag == own_tag
        return ChaCha20Poly1305(hkdf(shared, b"piv-p256", share + own)).decrypt(bytes(12), body, None)
    assert kind == "p256tag" and len(share) == 65
    label = b"age-encryption.org/p256tag"
    assert tag == hmac.digest(label, share + own_tag, "sha256")[:4]
    key, nonce = hpke_key(shared, share, encoded(scalar.public_key(), False), label)
    return ChaCha20Poly1305(key).decrypt(nonce, body, None)


def age_open(armored, identity):
    lines = armored.strip().splitlines()
    assert (lines[0], lines[-1]) == ("-----BEGIN AGE ENCRYPTED FILE-----", "-----END AGE ENCRYPTED FILE-----")
    data = base64.b64decode("".join(lines[1:-1]), validate=True)
    assert data.startswith(b"age-encryption.org/v1\n-> ")
    end = data.index(b"\n--- ") + 5
    mac_text, payload = data[end : end + 43].decode(), data[end + 44 :]
    header_lines = data[: end - 5].decode().split("\n")[1:]
    # One stanza that is ours; others (grease) may stand beside it.
    starts = [number for number, line in enumerate(header_lines) if line.startswith("-> ")] + [len(header_lines)]
    for start, stop in zip(starts, starts[1:]):
        stanza = header_lines[start].split(" ")[1:]
        if stanza[0] in ("X25519", "piv-p256", "p256tag"):
            key = file_key(stanza, unpadded("".join(header_lines[start + 1 : stop])), identity)
    mac = hmac.digest(hkdf(key, b"header"), data[: end - 1], "sha256")
    assert mac == unpadded(mac_text), "the age header's MAC"
    assert len(payload) - 16 <= 64 * 1024 + 16, "vectors have one chunk"
    return ChaCha20Poly1305(hkdf(key, b"payload", payload[:16])).decrypt(bytes(11) + b"\x01", payload[16:], None)


# ---- the vectors

def load(name):
    return json.loads((VECTORS / name).read_text())


def same(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: {found!r} is not {expected!r}")


def check_sharing():
    for case in load("sharing.json")["cases"]:
        shares = [bytes.fromhex(share) for share in case["shares"]]
        for first in range(len(shares) - case["threshold"] + 1):
            some = shares[first : first + case["threshold"]]
            same(value_at(some, 0).hex(), case["group_key"], "group key")
            for share in shares:
                same(value_at(some, share[0]), share[1:], "share")


def check_deals():
    for deal in load("deal.json")["deals"]:
        header_bytes, sealed = b64(deal["header"]), b64(deal["sealed"])
        header = parse_header(header_bytes)
        same(header_bytes.decode(), deal["header_text"], "header")
        same(header_digest(header_bytes).hex(), deal["h"], "H")
        same(group_name(header_bytes, sealed), deal["g"], "G")
        same(parse_group(deal["group_file"]), (header_bytes, sealed), "group file")
        shares = []
        for toc in deal["tocs"]:
            share = bytes.fromhex(toc["share"])
            same(share_seed(share, header["group_id"], header["players"][toc["x"] - 1]["toc_id"]).hex(), toc["share_key_seed"], "seed")
            same(public(bytes.fromhex(toc["share_key_seed"])).hex(), toc["share_key"], "share key")
            whole, short = parse_toc(toc["whole"]), parse_toc(toc["short"])
            same((whole["share"], whole["group"], whole["header"], whole["sealed"]), (share, deal["g"], header_bytes, sealed), "Toc")
            same((short["share"], short["group"]), (share, deal["g"]), "short Toc")
            shares.append(share)
        group_key = combine(shares[-header["threshold"] :], header)
        same(group_key.hex(), deal["group_key"], "group key")
        seal_key = hkdf(group_key, b"quorate/1 seal", header_digest(header_bytes))
        same(seal_key.hex(), deal["seal_key"], "seal key")
        same(open_sealed(seal_key, header_bytes, sealed).decode(), deal["otpauth"], "secret")
        nonce = bytes.fromhex(deal["nonce"])
        same(seal(seal_key, header_bytes, deal["otpauth"].encode(), nonce), sealed, "sealed secret")


def check_plans():
    for held in load("plan.json")["plans"]:
        plan = b64(held["plan"])
        parse_plan(plan)
        same(plan.decode(), held["plan_text"], "plan")
        same(sha256(b"quorate/1 plan\0", plan).hex(), held["digest"], "plan digest")


def check_invites():
    file = load("invite.json")
    keys = {key["name"]: key for key in file["keys"]}
    for key in keys.values():
        same(public(bytes.fromhex(key["seed"])).hex(), key["public"], "public key")
        text = base64.b32encode(sha256(b"quorate/1 root\0", bytes.fromhex(key["public"]))[:20]).decode()
        same("-".join(re.findall("....", text)), key["fingerprint"], "fingerprint")
    for held in file["invites"]:
        payload, signature, says = read_invite(held["url"])
        same(payload.decode(), held["payload_text"], "payload")
        same(signature.hex(), held["signature"], "signature")
        same(sign(bytes.fromhex(keys["invite"]["seed"]), b"quorate/1 invite\0" + payload), signature, "signature")
        same([b64(c["payload"]).decode() for c in says["certificates"]], held["certificate_texts"], "certificates")
        same(sha256(payload).hex(), held["digest"], "invite digest")
        same(b64url(sha256(b"quorate/1 view\0", payload)), held["view_token"], "view token")
        for name, key in keys.items():
            try:
                verify_invite(held["url"], bytes.fromhex(key["public"]), file["now"])
                verified = True
            except Refused:
                verified = False
            same(verified, name in held["verifies_under"], f"invite under {name}")


def check_session():
    held = load("session.json")
    kek, tek, digest = b64(held["kek"]), held["tek"], bytes.fromhex(held["invite_digest"])
    key = hkdf(kek, b"quorate/1 tek" + held["id"].encode())
    same(key.hex(), held["key"], "TEK sealing key")
    context = prefixed(held["id"].encode(), tek.encode(), digest)
    same(context.hex(), held["associated"], "TEK context")
    same(open_sealed(key, context, b64(held["sealed"])).decode(), held["tek_identity"], "TEK")
    same(seal(key, context, held["tek_identity"].encode(), bytes.fromhex(held["nonce"])), b64(held["sealed"]), "TEK blob")
    scalar = x25519.X25519PrivateKey.from_private_bytes(bech32(held["tek_identity"])[1])
    same(scalar.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), bech32(tek)[1], "TEK's public half")
    token = b64url(hkdf(kek, b"quorate/1 cancel"))
    same(token, held["cancel_token"], "cancel token")
    same(sha256(b"quorate/1 cancel-hash\0", token.encode()).hex(), held["cancel_hash"], "cancel hash")


def check_proofs():
    held = load("proofs.json")

    def proved(made, message):
        same(message.hex(), made["message"], "message")
        seed = bytes.fromhex(made["seed"])
        same(public(seed).hex(), made["public"], "share key")
        same(sign(seed, message).hex(), made["signature"], "signature")
        assert verifies(public(seed), message, bytes.fromhex(made["signature"]))

    for made in held["create"]:
        numbers = struct.pack(">I", made["ttl"]), struct.pack(">I", made["max_codes"])
        terms = prefixed(made["purpose"].encode(), b64(made["plan"]), made["reason"].encode(), *numbers)
        start = b"quorate/1 create\0" + bytes.fromhex(made["group"]) + bytes([made["x"]])
        proved(made, start + struct.pack(">q", made["time"]) + sha256(terms))
    bodies = {
        "approve": lambda made: made["encrypted_toc"].encode(),
        "deny": lambda made: made["reason"].encode(),
        "receipt": lambda made: b64(made["header"]),
    }
    for act, body in bodies.items():
        made = held[act]
        bound = bytes.fromhex(made["invite_digest"]) + bytes.fromhex(made["group"]) + bytes([made["x"]])
        proved(made, b"quorate/1 " + act.encode() + b"\0" + bound + sha256(body(made)))


def check_refused():
    file = load("refused.json")
    root = next(bytes.fromhex(key["public"]) for key in load("invite.json")["keys"] if key["name"] == "root")
    parsers = {
        "header": lambda text: parse_header(text.encode()),
        "toc": parse_toc,
        "group": parse_group,
        "plan": lambda text: parse_plan(text.encode()),
        "invite": lambda text: verify_invite(text, root, file["now"]),
    }
    for case in file["cases"]:
        try:
            parsers[case["what"]](case["input"])
            word = "accepted"
        except Refused as refused:
            word = refused.word
        same(word, case["word"], f"{case['what']} with {case['comment']}")


def check_encrypted():
    file = load("encrypted.json")
    for case in file["cases"]:
        same(age_open(case["armored"], case["identity"]).decode(), file["plaintext"], case["recipient"])


def main():
    checks = [check_sharing, check_deals, check_plans, check_invites, check_session, check_proofs, check_refused, check_encrypted]
    for check in checks:
        check()
        print(f"{check.__name__.removeprefix('check_')}: ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
