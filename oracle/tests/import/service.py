#!/usr/bin/env python3
"""Stands in for serverless-mfa-api and serverless-mfa-api-go, with libraries that share no code with the oracle: makes
their tables with PyPI's `bcrypt` and `cryptography`, exports them to a folder, and when it is told the time on its input
uses with `soft-webauthn` and a U2F key of a few lines what the oracle has imported. Codes are Python's own HMAC: `PyOTP` takes
no keys of 80 bits.

`service.py FOLDER ORACLE` prints `exported`, and then one line for each thing that went well.
"""

import gzip
import hmac
import json
import os
import struct
import sys
import urllib.error
import urllib.request
import uuid
from base64 import b32decode, b32encode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import bcrypt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2 import cbor
from fido2.cose import ES256
from soft_webauthn import SoftWebauthnDevice

FOLDER, ORACLE = Path(sys.argv[1]), sys.argv[2]
RP_ID, ORIGIN, APP_ID = "example.com", "https://login.example.com", "https://example.com/app-id.json"


def b64url(data):
    return urlsafe_b64encode(data).decode().rstrip("=")


def from_b64url(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def code(secret, at):
    """RFC 6238 with its defaults."""
    mac = hmac.digest(b32decode(secret), struct.pack(">Q", at // 30), "sha1")
    (number,) = struct.unpack_from(">I", mac, mac[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


class ApiKey:
    """An API key, and what is encrypted under its secret."""

    def __init__(self, email):
        self.value, self.email, self.key = os.urandom(20).hex(), email, os.urandom(32)
        self.secret = b64encode(self.key).decode()

    def row(self):
        hashed = bcrypt.hashpw(self.secret.encode(), bcrypt.gensalt(10, b"2a")).decode()
        return {"value": {"S": self.value}, "email": {"S": self.email}, "createdAt": {"N": "1500000000000"},
                "activatedAt": {"N": "1500000001000"}, "hashedApiSecret": {"S": hashed}}

    def encrypt(self, plain):
        counter = os.urandom(16)
        encryptor = Cipher(algorithms.AES(self.key), modes.CTR(counter)).encryptor()
        return counter, encryptor.update(plain) + encryptor.finalize()

    def text(self, plain):
        return {"S": ":".join(b64encode(part).decode() for part in self.encrypt(plain.encode()))}

    def blob(self, plain):
        return {"B": b64encode(b"".join(self.encrypt(json.dumps(plain).encode()))).decode()}

    def totp(self):
        secret, name = b32encode(os.urandom(10)).decode(), str(uuid.uuid4())
        row = {"uuid": {"S": name}, "apiKey": {"S": self.value}, "encryptedTotpKey": self.text(secret)}
        return name, secret, row


class U2fKey:
    """A U2F token with one key."""

    def __init__(self):
        self.key, self.handle, self.counter = ec.generate_private_key(ec.SECP256R1()), os.urandom(64), 0

    def point(self):
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(self, challenge):
        self.counter += 1
        data = json.dumps({"typ": "navigator.id.getAssertion", "challenge": challenge, "origin": ORIGIN}).encode()
        head = struct.pack(">BI", 1, self.counter)
        signed = sha256(APP_ID.encode()).digest() + head + sha256(data).digest()
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return {"keyHandle": b64url(self.handle), "clientData": b64url(data), "signatureData": b64url(head + signature)}


def call(api_key, method, path, body=None, user=None):
    headers = {
        "X-MFA-ApiKey": api_key.value, "X-MFA-ApiSecret": api_key.secret, "Content-Type": "application/json",
        "x-mfa-RPDisplayName": "ACME", "x-mfa-RPID": RP_ID, "x-mfa-RPOrigin": ORIGIN, "x-mfa-Username": "joe",
        "x-mfa-UserDisplayName": "Joe", "x-mfa-UserUUID": user or "none",
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(ORACLE + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read()!r}") from None
    return json.loads(text) if text else None


def credential(device):
    """What go-webauthn keeps of a credential."""
    public_key = cbor.encode(ES256.from_cryptography_key(device.private_key.public_key()))
    return {"id": b64encode(device.credential_id).decode(), "publicKey": b64encode(public_key).decode(),
            "attestationType": "none", "transport": None,
            "flags": {"userPresent": True, "userVerified": False, "backupEligible": False, "backupState": False},
            "authenticator": {"AAGUID": "AAAAAAAAAAAAAAAAAAAAAA==", "signCount": 0, "cloneWarning": False}}


old, newer = ApiKey("js@example.com"), ApiKey("go@example.com")
joe, ann, unfinished = (str(uuid.uuid4()) for _ in range(3))
device, token = SoftWebauthnDevice(), U2fKey()
device.cred_init(RP_ID, joe.encode())
secrets = [(key, *key.totp()) for key in (old, newer)]
users = [
    {"uuid": {"S": ann}, "apiKey": {"S": old.value}, "encryptedAppId": old.text(APP_ID),
     "encryptedKeyHandle": old.text(b64url(token.handle)), "encryptedPublicKey": old.text(b64url(token.point()))},
    {"uuid": {"S": unfinished}, "apiKey": {"S": old.value}, "encryptedAppId": old.text(APP_ID),
     "encryptedRegistrationRequest": old.text("{}")},
    {"uuid": {"S": joe}, "apiKey": {"S": newer.value}, "encryptedAppId": {"S": ""}, "encryptedKeyHandle": {"S": ""},
     "encryptedPublicKey": {"S": ""}, "EncryptedSessionData": {"NULL": True},
     "EncryptedCredentials": newer.blob([credential(device)])},
]
tables = {"api-key": [old.row(), newer.row()], "totp": [row for *_, row in secrets], "u2f": users}
for name, rows in tables.items():
    with gzip.open(FOLDER / f"{name}.json.gz", "wt") as file:
        file.writelines(json.dumps({"Item": row}) + "\n" for row in rows)
print("exported", flush=True)

now = int(sys.stdin.readline())
for key, name, secret, _ in secrets:
    assert call(key, "POST", f"/totp/{name}/validate", {"code": code(secret, now)})["message"] == "Valid"
print("totp: ok")
for _ in range(2):
    options = call(newer, "POST", "/webauthn/login", user=joe)["publicKey"]
    options["challenge"] = from_b64url(options["challenge"])
    used = device.get({"publicKey": options}, ORIGIN)
    answer = {"id": used["id"].decode(), "rawId": b64url(used["rawId"]), "type": used["type"],
              "response": {name: b64url(value) for name, value in used["response"].items()}}
    done = call(newer, "PUT", "/webauthn/login", answer, joe)
    assert done["key_handle_hash"] == b64url(sha256(device.credential_id).digest()), done
print("webauthn: ok")
for _ in range(2):
    asked = call(old, "POST", f"/u2f/{ann}/auth")
    assert asked["appId"] == APP_ID and from_b64url(asked["keyHandle"]) == token.handle, asked
    done = call(old, "PUT", f"/u2f/{ann}/auth", {"signResult": token.sign(asked["challenge"])})
    assert done == {"message": "Valid", "status": 200}, done
print("u2f: ok")
