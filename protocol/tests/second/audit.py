"""The audit log of protocol/SPEC.md: tree, checkpoint, export. Written from the text, top down where the Rust one grows.

Knows no vector file.
"""

import json

from .primitives import Refused, b64, sha256, usable_key, verifies


def leaf_hash(leaf):
    return sha256(b"\0", leaf)


def root(hashes):
    """RFC 6962 section 2.1, as it is written there."""
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return sha256(b"\1", root(hashes[:split]), root(hashes[split:]))


def frontier(hashes):
    """The roots of the perfect trees that the leaves fall into, the largest first."""
    nodes, rest = [], hashes
    while rest:
        size = 1 << (len(rest).bit_length() - 1)
        nodes.append(root(rest[:size]))
        rest = rest[size:]
    return b"".join(nodes)


def verifier_key(text):
    name, identity, key = text.split("+", 2)
    typed = b64(key)
    if typed[:1] != b"\1" or not usable_key(typed[1:]) or sha256(name.encode(), b"\n", typed)[:4].hex() != identity:
        raise Refused("shape")
    return name, bytes.fromhex(identity), typed[1:]


def open_checkpoint(note, key):
    """Size and root of a note that the key has signed."""
    name, identity, public = verifier_key(key)
    text, _, signatures = note.partition("\n\n")
    origin, size, digest = text.split("\n")
    if origin != name or size != str(int(size)) or not signatures.endswith("\n"):
        raise Refused("shape")
    signed = False
    for line in signatures[:-1].split("\n"):
        dash, signer, encoded = line.split(" ")
        data = b64(encoded)
        if dash != "—":
            raise Refused("shape")
        if signer == name and data[:4] == identity:
            if not verifies(public, (text + "\n").encode(), data[4:]):
                raise Refused("signature")
            signed = True
    if not signed:
        raise Refused("signature")
    return int(size), b64(digest)


def check_export(lines, key):
    """The events of an export, if all of it is as it was written."""
    hashes, events, size, kept = [], [], 0, None
    for line in lines:
        line = json.loads(line)
        if set(line) == {"number", "hash", "event"}:
            leaf = line["event"].encode()
            if line["number"] != len(hashes) + 1 or b64(line["hash"]) != leaf_hash(leaf):
                raise Refused("row")
            hashes.append(leaf_hash(leaf))
            events.append(json.loads(line["event"]))
        elif set(line) - {"frontier"} == {"checkpoint", "size", "previous"}:
            if line["previous"] != size or line["size"] != len(hashes):
                raise Refused("order")
            if open_checkpoint(line["checkpoint"], key) != (len(hashes), root(hashes)):
                raise Refused("root")
            size, kept = len(hashes), line.get("frontier")
        else:
            raise Refused("shape")
    if size != len(hashes) or (size and b64(kept) != frontier(hashes)):
        raise Refused("tail")
    return events
