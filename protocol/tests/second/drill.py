"""The drills of protocol/SPEC.md: calls, and what an answer signs. Written from the text. Knows no vector file."""

import re
import struct

from .formats import follow_chain, group_name_shape, link_parts, url_is_plain
from .primitives import Refused, b64, shape, strict_json, verifies


def read_call(url):
    payload, signature, before = link_parts(url)
    try:
        says = shape(
            strict_json(payload),
            {
                "version": int, "drill": str, "oracle": str, "root_key": str, "group": str, "group_id": str, "size": "byte",
                "threshold": "byte", "note": str, "asker": str, "reason": str, "challenge": str, "created": int, "expires": int,
                "certificates": list,
            },
        )
        group_name_shape(says["group"])
        lengths = len(b64(says["root_key"])), len(b64(says["challenge"]))
        for certificate in says["certificates"]:
            shape(certificate, {"payload": str, "signature": str})
    except Refused:
        raise Refused("malformed") from None
    texts = (says["note"], 1024), (says["asker"], 256), (says["reason"], 1024)
    sound = (
        says["version"] == 1
        and re.fullmatch("[A-Z2-7]{32}", says["drill"])
        and url_is_plain(says["oracle"])
        and lengths == (32, 32)
        and 2 <= says["threshold"] <= says["size"]
        and all(len(text.encode()) <= most for text, most in texts)
        and 0 <= says["created"] < says["expires"] < 1 << 40
        and (before is None or before == f"{says['oracle']}/drill/{says['drill']}")
    )
    if not sound:
        raise Refused("malformed")
    return payload, signature, says


def verify_call(url, root, now):
    payload, signature, says = read_call(url)
    key = follow_chain(root, says["certificates"], now)
    if not verifies(key, b"quorate/1 drill-call\0" + payload, signature):
        raise Refused("signature")
    if b64(says["root_key"]) != root:
        raise Refused("other_oracle")
    if now >= says["expires"]:
        raise Refused("expired")
    return says


def message(says, x):
    """What player x signs in answer to a call."""
    bound = b64(says["root_key"]) + bytes.fromhex(says["group"]) + bytes([x]) + b64(says["challenge"])
    return b"quorate/1 drill\0" + bound + struct.pack(">q", says["expires"])
