"""The formats of protocol/SPEC.md: headers, Tocs, group files, plans, invites. Knows no vector."""

import re
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from .primitives import (
    Refused, b64, bech32, from_b64url, hkdf, prefixed, public, sha256, shape, strict_json, usable_key, value_at, verifies,
)

MAX_PLAYERS = 255

# ---- shares of a group (SPEC 5)

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


def link_parts(url):
    """Payload and signature of an invite or a call, and what stands before them in a whole link, or nothing."""
    link, hash_sign, fragment = url.strip().partition("#")
    payload, dot, signature = (fragment if hash_sign else link).partition(".")
    if not dot or len(url.encode()) > 256 * 1024:
        raise Refused("malformed")
    payload, signature = from_b64url(payload), from_b64url(signature)
    return payload, signature, link if hash_sign else None


def read_invite(url):
    payload, signature, before = link_parts(url)
    try:
        says = shape(
            strict_json(payload),
            {
                "version": int, "session": str, "oracle": str, "tek": str, "group_id": str, "size": "byte", "threshold": "byte",
                "note": str, "purpose": str, "applicant": dict, "reason": str, "ttl": int, "created": int, "expires": int,
                "certificates": list,
            },
            {"group": str, "plan_digest": str, "plan": str, "max_codes": int},
        )
        if "group" in says:
            group_name_shape(says["group"])
        for certificate in says["certificates"]:
            shape(certificate, {"payload": str, "signature": str})
        player = {"holder": str, "x": "byte"}
        kinds = {"proved": player, "named": {**player, "principal": str}, "login": {"principal": str}}
        more = kinds.get(says["applicant"].get("status"), {})
        shape(says["applicant"], {"status": str, **more})
    except Refused:
        raise Refused("malformed") from None
    sound = (
        says["version"] == 1
        and says["applicant"]["status"] in ("login", "named", "proved", "unverified")
        and (says["applicant"]["status"] != "login" or (says["purpose"] == "code" and "group" in says))
        and says["purpose"] in ("code", "redeal")
        and re.fullmatch("[A-Z2-7]{32}", says["session"])
        and url_is_plain(says["oracle"])
        and 2 <= says["threshold"] <= says["size"]
        and ("plan" in says) == (says["purpose"] == "redeal") == ("plan_digest" in says)
        and (before is None or before == f"{says['oracle']}/s/{says['session']}")
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
