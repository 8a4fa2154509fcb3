"""Age files of one stanza: X25519 as age specifies it, and the stanzas of protocol/SPEC.md §6."""

import base64
import hmac
import struct

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .primitives import bech32, hkdf, sha256

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
    if kind == "age-encryption.org/fido2prf":
        # The identity is the wrapping key: what made it asks a credential.
        return ChaCha20Poly1305(identity).decrypt(bytes(12), body, None)
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
        if stanza[0] in ("X25519", "piv-p256", "p256tag", "age-encryption.org/fido2prf"):
            key = file_key(stanza, unpadded("".join(header_lines[start + 1 : stop])), identity)
    mac = hmac.digest(hkdf(key, b"header"), data[: end - 1], "sha256")
    assert mac == unpadded(mac_text), "the age header's MAC"
    assert len(payload) - 16 <= 64 * 1024 + 16, "vectors have one chunk"
    return ChaCha20Poly1305(hkdf(key, b"payload", payload[:16])).decrypt(bytes(11) + b"\x01", payload[16:], None)
