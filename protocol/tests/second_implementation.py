#!/usr/bin/env python3
"""A second implementation of protocol/SPEC.md, as small as it can be, that checks the vector files.

It follows the text of the specification and shares no code with the Rust one. Ed25519, P-256, X25519 and
ChaCha20-Poly1305 come from PyPI's `cryptography` (pinned in tests/requirements.txt), all else from the standard library.
Not constant time and wipes nothing: for checking only. `second_implementation.py [FOLDER]` reads the files beside it, or
those of FOLDER.
"""

import base64
import hmac
import json
import re
import struct
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from second import audit, drill
from second.agefile import age_open
from second.formats import (
    combine, group_name, header_digest, parse_group, parse_header, parse_plan, parse_toc, read_invite, share_seed, verify_invite,
)
from second.primitives import (
    Refused, b64, b64url, bech32, hkdf, open_sealed, prefixed, public, seal, sha256, sign, value_at, verifies,
)

VECTORS = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "vectors")


def load(name):
    return json.loads((VECTORS / name).read_text())


def same(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: {found!r} is not {expected!r}")


def root_key():
    return next(bytes.fromhex(key["public"]) for key in load("invite.json")["keys"] if key["name"] == "root")


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
        words = made["oracle"].encode(), made["purpose"].encode(), b64(made["plan"]), made["reason"].encode()
        terms = prefixed(*words, *numbers)
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


def check_drills():
    held = load("drill.json")
    root = root_key()
    payload, signature, says = drill.read_call(held["url"])
    same(payload.decode(), held["payload_text"], "payload")
    same(signature.hex(), held["signature"], "signature")
    same(drill.verify_call(held["url"], root, held["now"]), says, "call")
    same(b64url(sha256(b"quorate/1 drill-view\0", payload)), held["view_token"], "view token")
    for made in held["answers"]:
        seed, message = bytes.fromhex(made["seed"]), drill.message(says, made["x"])
        same(message.hex(), made["message"], "message")
        same(public(seed).hex(), made["public"], "share key")
        same(sign(seed, message).hex(), made["signature"], "answer")


def check_audit():
    file = load("audit.json")
    hashes = [audit.leaf_hash(struct.pack(">Q", number)) for number in range(len(file["trees"]))]
    for tree in file["trees"]:
        leaves = hashes[: tree["size"]]
        same((audit.root(leaves).hex(), audit.frontier(leaves).hex()), (tree["root"], tree["frontier"]), f"tree of {tree['size']}")
    for event in file["events"]:
        same(audit.leaf_hash(event["leaf"].encode()).hex(), event["hash"], "leaf hash")
        json.loads(event["leaf"])
    key = file["verifier_key"]
    same(audit.verifier_key(key)[2], public(bytes.fromhex(file["seed"])), "audit key")
    same([e["id"] for e in audit.check_export(file["export"], key)], [json.loads(e["leaf"])["id"] for e in file["events"]], "export")
    lines = file["export"]
    for number, line in enumerate(lines):
        changed = re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 1) % 10), line)
        for damaged in (lines[:number] + lines[number + 1 :], lines[:number] + [changed] + lines[number + 1 :]):
            try:
                audit.check_export(damaged, key)
            except (Refused, ValueError):
                continue
            raise AssertionError(f"line {number} was changed or removed, and nobody noticed")


def check_refused():
    file = load("refused.json")
    root = root_key()
    parsers = {
        "header": lambda text: parse_header(text.encode()),
        "toc": parse_toc,
        "group": parse_group,
        "plan": lambda text: parse_plan(text.encode()),
        "invite": lambda text: verify_invite(text, root, file["now"]),
        "call": lambda text: drill.verify_call(text, root, file["now"]),
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


def check_fido2prf():
    label = b"age-encryption.org/fido2prf"
    for case in load("fido2prf.json")["cases"]:
        outputs = b""
        for number, salt, output in zip((1, 2), case["salts"], case["outputs"]):
            asked = sha256(b"WebAuthn PRF\0" + label + bytes([number]) + bytes.fromhex(case["nonce"]))
            same(asked.hex(), salt, "salt")
            outputs += hmac.digest(bytes.fromhex(case["secret"]), asked, "sha256")
            same(outputs[-32:].hex(), output, "output")
        key = hmac.digest(label, outputs, "sha256")
        same(key.hex(), case["wrapping_key"], "wrapping key")
        same(age_open(case["file"], key).decode(), load("fido2prf.json")["plaintext"], "identity")
        parts = [(2, bytes.fromhex(case["credential"])), (3, case["rp_id"].encode())]
        texts = b"".join(cbor(3, len(text)) + text for text in map(str.encode, case["transports"]))
        items = b"\1" + b"".join(cbor(kind, len(part)) + part for kind, part in parts) + cbor(4, len(case["transports"])) + texts
        same(bech32(case["identity"]), ("age-plugin-fido2prf-", items), "credential")


def cbor(major, argument):
    """Head of an item (RFC 8949 §3)."""
    if argument < 24:
        return bytes([major << 5 | argument])
    return bytes([major << 5 | 24, argument]) if argument < 256 else bytes([major << 5 | 25]) + argument.to_bytes(2, "big")


def main():
    checks = [
        check_sharing, check_deals, check_plans, check_invites, check_session, check_proofs, check_drills, check_audit, check_refused,
        check_encrypted, check_fido2prf,
    ]
    for check in checks:
        check()
        print(f"{check.__name__.removeprefix('check_')}: ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
