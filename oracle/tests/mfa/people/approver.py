#!/usr/bin/env python3
"""Enrols a principal with PyPI's `soft-webauthn`, logs in, and approves a session with the same key, as a browser would.
`approver.py ORACLE ORIGIN LINK PRINCIPAL PASSWORD` prints a ticket, reads a line `{"path", "body"}`, and prints what came of it.
"""

import json
import sys
import urllib.error
import urllib.request
from base64 import urlsafe_b64decode, urlsafe_b64encode

from soft_webauthn import SoftWebauthnDevice

ORACLE, ORIGIN, LINK, PRINCIPAL, PASSWORD = sys.argv[1:6]


def b64url(data):
    return urlsafe_b64encode(data).decode().rstrip("=")


def from_b64url(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def post(path, body, ticket=None):
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {ticket}"} if ticket else {})}
    request = urllib.request.Request(ORACLE + path, data=json.dumps(body).encode(), headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text else {}


def credential(made):
    response = {name: b64url(value) for name, value in made["response"].items()}
    return {"id": made["id"].decode(), "rawId": b64url(made["rawId"]), "type": made["type"], "response": response}


def signed(required):
    options = required["publicKey"]
    options["challenge"] = from_b64url(options["challenge"])
    return {"state": required["state"], "credential": credential(device.get({"publicKey": options}, ORIGIN))}


device = SoftWebauthnDevice()
_, begun = post(f"/enroll/{LINK}/begin", {})
options = begun["publicKey"]
options["challenge"] = from_b64url(options["challenge"])
options["user"]["id"] = from_b64url(options["user"]["id"])
created = device.create({"publicKey": options}, ORIGIN)
status, _ = post(f"/enroll/{LINK}", {"password": PASSWORD, "credential": credential(created)})
assert status == 200, status
_, required = post("/login", {"principal": PRINCIPAL, "password": PASSWORD})
_, login = post("/login", {"principal": PRINCIPAL, **signed(required)})
print(login["ticket"], flush=True)

asked = json.loads(sys.stdin.readline())
status, required = post(asked["path"], asked["body"], login["ticket"])
assert (status, required["code"]) == (401, "second_factor_required"), (status, required)
approval = {**asked["body"], **signed(required)}
first, _ = post(asked["path"], approval, login["ticket"])
again, refused = post(asked["path"], approval, login["ticket"])
print(first, again, refused.get("code"), flush=True)
