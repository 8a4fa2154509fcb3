#!/usr/bin/env python3
"""Enrols a principal with PyPI's `soft-webauthn` and logs in twice, as a browser would; an answer counts once.
`client.py ORACLE ORIGIN LINK PASSWORD` prints who it was.
"""

import json
import sys
import urllib.error
import urllib.request
from base64 import urlsafe_b64decode, urlsafe_b64encode

from soft_webauthn import SoftWebauthnDevice

ORACLE, ORIGIN, LINK, PASSWORD = sys.argv[1:5]


def b64url(data):
    return urlsafe_b64encode(data).decode().rstrip("=")


def from_b64url(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def post(path, body, expect=200):
    request = urllib.request.Request(
        ORACLE + path, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    if status != expect:
        raise AssertionError(f"{path}: {status} {text!r}")
    return json.loads(text)


def credential(made):
    response = {name: b64url(value) for name, value in made["response"].items()}
    return {"id": made["id"].decode(), "rawId": b64url(made["rawId"]), "type": made["type"], "response": response}


device = SoftWebauthnDevice()
options = post(f"/enroll/{LINK}/begin", {})["publicKey"]
options["challenge"] = from_b64url(options["challenge"])
options["user"]["id"] = from_b64url(options["user"]["id"])
created = device.create({"publicKey": options}, ORIGIN)
post(f"/enroll/{LINK}", {"password": PASSWORD, "credential": credential(created)})
for _ in range(2):
    required = post("/login", {"principal": "bob", "password": PASSWORD}, expect=401)
    assert required["code"] == "second_factor_required", required
    options = required["publicKey"]
    options["challenge"] = from_b64url(options["challenge"])
    answer = {
        "principal": "bob", "state": required["state"],
        "credential": credential(device.get({"publicKey": options}, ORIGIN)),
    }
    ticket = post("/login", answer)
    refused = post("/login", answer, expect=401)
    assert refused["code"] == "login_refused", refused
print(f"{ticket['principal']}: ok")
