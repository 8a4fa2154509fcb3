#!/usr/bin/env python3
"""Drives an oracle with clients that share no code with it: PyPI's `soft-webauthn`, and PyPI's `fido2` with a U2F token
of a few lines, over both protocols. `clients.py ORACLE API_KEY API_SECRET` prints one line for each thing that went well.
"""

import http.client
import json
import os
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2 import cose
from fido2.client import Fido2Client, UserInteraction
from fido2.ctap import CtapDevice
from fido2.ctap1 import Ctap1
from fido2.hid import CTAPHID
from fido2.utils import sha256
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData
from soft_webauthn import SoftWebauthnDevice

ORACLE, API_KEY, API_SECRET = sys.argv[1:4]
ORIGIN = "https://login.example.com"
RP_ID = "example.com"
APP_ID = "https://example.com"


def b64url(data):
    return urlsafe_b64encode(data).decode().rstrip("=")


def from_b64url(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def call(method, path, body=None, user=None, expect=200):
    headers = {
        "X-MFA-ApiKey": API_KEY, "X-MFA-ApiSecret": API_SECRET, "Content-Type": "application/json",
        "x-mfa-RPDisplayName": "ACME Inc", "x-mfa-RPID": RP_ID, "x-mfa-RPOrigin": ORIGIN,
        "x-mfa-Username": "john", "x-mfa-UserDisplayName": "John Smith",
    }
    if user:
        headers["x-mfa-UserUUID"] = user
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(ORACLE + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    if status != expect:
        raise AssertionError(f"{method} {path}: {status} {text!r}")
    return json.loads(text) if text else None


class U2fToken(CtapDevice):
    """One key of a token that speaks nothing newer than U2F."""

    capabilities = 0

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.handle = os.urandom(64)
        self.counter = 0
        self.attestation = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a U2F token")])
        now = datetime.now(timezone.utc)
        certificate = x509.CertificateBuilder().subject_name(name).issuer_name(name)
        certificate = certificate.public_key(self.attestation.public_key()).serial_number(7)
        certificate = certificate.not_valid_before(now).not_valid_after(now + timedelta(days=1))
        self.certificate = certificate.sign(self.attestation, hashes.SHA256()).public_bytes(Encoding.DER)

    @classmethod
    def list_devices(cls):
        return iter([])

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        assert cmd == CTAPHID.MSG, cmd
        _, instruction, control, _ = data[:4]
        # Extended length, as fido2 sends it.
        body = data[7:7 + struct.unpack(">H", data[5:7])[0]]
        if instruction == Ctap1.INS.REGISTER:
            return self.register(body[:32], body[32:64]) + b"\x90\x00"
        if instruction == Ctap1.INS.AUTHENTICATE:
            if body[65:65 + body[64]] != self.handle:
                return b"\x6a\x80"
            if control == 7:
                return b"\x69\x85"
            return self.authenticate(body[:32], body[32:64]) + b"\x90\x00"
        return b"U2F_V2\x90\x00"

    def register(self, challenge, application):
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        signature = self.attestation.sign(
            b"\0" + application + challenge + self.handle + point, ec.ECDSA(hashes.SHA256()))
        return b"\x05" + point + bytes([len(self.handle)]) + self.handle + self.certificate + signature

    def authenticate(self, challenge, application):
        self.counter += 1
        head = b"\x01" + struct.pack(">I", self.counter)
        return head + self.key.sign(application + head + challenge, ec.ECDSA(hashes.SHA256()))


def soft_webauthn():
    begun = call("POST", "/webauthn/register")
    user, options = begun["uuid"], begun["publicKey"]
    options["challenge"] = from_b64url(options["challenge"])
    options["user"]["id"] = from_b64url(options["user"]["id"])
    device = SoftWebauthnDevice()
    made = device.create({"publicKey": options}, ORIGIN)
    response = made["response"]
    done = call("PUT", "/webauthn/register", user=user, body={
        "id": made["id"].decode(), "rawId": b64url(made["rawId"]), "type": made["type"],
        "response": {name: b64url(value) for name, value in response.items()},
    })
    assert done["key_handle_hash"] == b64url(sha256(made["rawId"])), done
    for _ in range(2):
        options = call("POST", "/webauthn/login", user=user)["publicKey"]
        options["challenge"] = from_b64url(options["challenge"])
        used = device.get({"publicKey": options}, ORIGIN)
        answer = {
            "id": used["id"].decode(), "rawId": b64url(used["rawId"]), "type": used["type"],
            "response": {name: b64url(value) for name, value in used["response"].items()},
        }
        done = call("PUT", "/webauthn/login", answer, user)
        assert from_b64url(done["credentialId"]) == made["rawId"], done
        call("PUT", "/webauthn/login", answer, user, expect=400)
    call("DELETE", "/webauthn/user", user=user, expect=204)
    call("POST", "/webauthn/login", user=user, expect=404)


def packed():
    """An attestation that fido2 puts together: packed, signed by the credential itself."""
    begun = call("POST", "/webauthn/register")
    user = begun["uuid"]
    device = SoftWebauthnDevice()
    device.cred_init(RP_ID, user.encode())
    data = AuthenticatorData.create(sha256(RP_ID.encode()), 0x41, 0, device.cred_as_attested())
    client = CollectedClientData.create("webauthn.create", from_b64url(begun["publicKey"]["challenge"]), ORIGIN)
    signature = device.private_key.sign(data + client.hash, ec.ECDSA(hashes.SHA256()))
    made = AttestationObject.create("packed", data, {"alg": -7, "sig": signature})
    # As a browser's page that knows no base64url would send it.
    call("PUT", "/webauthn/register", user=user, body={
        "id": b64url(device.credential_id), "rawId": b64encode(device.credential_id).decode(), "type": "public-key",
        "response": {
            "attestationObject": b64encode(bytes(made)).decode(), "clientDataJSON": b64encode(bytes(client)).decode(),
        },
    })


def algorithms():
    """Keys of the other kinds that are asked for, which attest themselves and log in; and keys of kinds that are not."""
    rsa_key, sha256_hash = rsa.generate_private_key(65537, 2048), hashes.SHA256()
    for kind, key, how in (
        (cose.ES384, ec.generate_private_key(ec.SECP384R1()), [ec.ECDSA(hashes.SHA384())]),
        (cose.RS256, rsa_key, [padding.PKCS1v15(), sha256_hash]),
    ):
        user, credential_id, options = register_key(kind, key, lambda message: key.sign(message, *how))
        assert kind.ALGORITHM in [one["alg"] for one in options["pubKeyCredParams"]], options
        for counter in (1, 2):
            options = call("POST", "/webauthn/login", user=user)["publicKey"]
            client = CollectedClientData.create("webauthn.get", from_b64url(options["challenge"]), ORIGIN)
            data = AuthenticatorData.create(sha256(RP_ID.encode()), 1, counter)
            signature = key.sign(data + client.hash, *how)
            for bit, expect in ((1, 400), (0, 200)):
                last = bytes([signature[-1] ^ bit])
                done = call("PUT", "/webauthn/login", user=user, expect=expect, body={
                    "id": b64url(credential_id), "rawId": b64url(credential_id), "type": "public-key",
                    "response": {
                        "authenticatorData": b64url(bytes(data)), "clientDataJSON": b64url(bytes(client)),
                        "signature": b64url(signature[:-1] + last),
                    },
                })
                assert done.get("code") == ("wrong_signature" if bit else None), done
    for kind, key in (
        (cose.EdDSA, ed25519.Ed25519PrivateKey.generate()),
        (cose.ES512, ec.generate_private_key(ec.SECP521R1())),
        (cose.ES256K, ec.generate_private_key(ec.SECP256K1())),
        (cose.PS256, rsa_key),
    ):
        refused = register_key(kind, key, None, expect=400)
        assert refused["code"] == "invalid_key" and "ES256, ES384 or RS256" in refused["message"], refused


def register_key(kind, key, sign, expect=200):
    """Registers a key of that kind; attested by itself, or by nobody when it does not sign."""
    begun = call("POST", "/webauthn/register")
    user, options, credential_id = begun["uuid"], begun["publicKey"], os.urandom(32)
    attested = AttestedCredentialData.create(bytes(16), credential_id, kind.from_cryptography_key(key.public_key()))
    data = AuthenticatorData.create(sha256(RP_ID.encode()), 0x41, 0, attested)
    client = CollectedClientData.create("webauthn.create", from_b64url(options["challenge"]), ORIGIN)
    made = AttestationObject.create("none", data, {})
    if sign:
        made = AttestationObject.create("packed", data, {"alg": kind.ALGORITHM, "sig": sign(data + client.hash)})
    done = call("PUT", "/webauthn/register", user=user, expect=expect, body={
        "id": b64url(credential_id), "rawId": b64url(credential_id), "type": "public-key",
        "response": {"attestationObject": b64url(bytes(made)), "clientDataJSON": b64url(bytes(client))},
    })
    return (user, credential_id, options) if expect == 200 else done


def one_connection():
    """A request that is refused before its body is read, and a good one after it, on one connection."""
    connection = http.client.HTTPConnection(urlsplit(ORACLE).netloc)
    right = {"X-MFA-ApiKey": API_KEY, "X-MFA-ApiSecret": API_SECRET}
    body, sockets = json.dumps({"issuer": "Acme", "label": "x" * 200, "filler": "y" * 60_000}), set()
    for headers, expect in ((right, 200), ({**right, "X-MFA-ApiSecret": "wrong"}, 401), ({}, 401), (right, 200)):
        connection.request("POST", "/totp", body, headers)
        # It would connect again without a word.
        sockets.add(connection.sock)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == expect, (answer.status, expect)
    assert len(sockets) == 1 and None not in sockets, sockets
    connection.close()


def fido2_client():
    token = U2fToken()
    client = Fido2Client(token, ORIGIN, user_interaction=UserInteraction())
    begun = call("POST", "/webauthn/register")
    user, options = begun["uuid"], begun["publicKey"]
    options["challenge"] = from_b64url(options["challenge"])
    options["user"]["id"] = from_b64url(options["user"]["id"])
    # Asked for more than the options do, so that the token's own attestation travels.
    options["attestation"] = "direct"
    made = client.make_credential(options)
    assert made.attestation_object.fmt == "fido-u2f", made
    call("PUT", "/webauthn/register", user=user, body={
        "id": b64url(token.handle), "rawId": b64url(token.handle), "type": "public-key",
        "response": {
            "attestationObject": b64url(bytes(made.attestation_object)), "clientDataJSON": b64url(bytes(made.client_data)),
        },
    })
    log_in(client, token, user)


def log_in(client, token, user):
    options = call("POST", "/webauthn/login", user=user)["publicKey"]
    options["challenge"] = from_b64url(options["challenge"])
    for credential in options["allowCredentials"]:
        credential["id"] = from_b64url(credential["id"])
    used = client.get_assertion(options).get_response(0)
    done = call("PUT", "/webauthn/login", user=user, body={
        "id": b64url(token.handle), "rawId": b64url(token.handle), "type": "public-key",
        "clientExtensionResults": {"appid": "extensions" in options},
        "response": {
            "authenticatorData": b64url(bytes(used.authenticator_data)), "clientDataJSON": b64url(bytes(used.client_data)),
            "signature": b64url(used.signature),
        },
    })
    assert done["key_handle_hash"] == b64url(sha256(token.handle)), done


def raw_u2f():
    token = U2fToken()
    ctap = Ctap1(token)
    application = sha256(APP_ID.encode())
    begun = call("POST", "/u2f", {"appId": APP_ID})
    user = begun["uuid"]
    client = client_data("finishEnrollment", begun["challenge"]["challenge"])
    made = ctap.register(sha256(client), application)
    made.verify(application, sha256(client))
    call("PUT", f"/u2f/{user}", {"signResult": {"registrationData": b64url(made), "clientData": b64url(client)}}, expect=204)
    for _ in range(2):
        begun = call("POST", f"/u2f/{user}/auth")
        client = client_data("getAssertion", begun["challenge"])
        signed = ctap.authenticate(sha256(client), application, from_b64url(begun["keyHandle"]))
        signed.verify(application, sha256(client), made.public_key)
        answer = {"signResult": {
            "signatureData": b64encode(signed).decode(), "clientData": b64url(client), "keyHandle": begun["keyHandle"]}}
        assert call("PUT", f"/u2f/{user}/auth", answer) == {"message": "Valid", "status": 200}
        call("PUT", f"/u2f/{user}/auth", answer, expect=400)
    appid(token, user)


def appid(token, user):
    """The same key by WebAuthn, under its app ID."""
    options = call("POST", "/webauthn/login", user=user)["publicKey"]
    assert options["extensions"] == {"appid": APP_ID}, options
    client = CollectedClientData.create("webauthn.get", from_b64url(options["challenge"]), ORIGIN)
    signed = Ctap1(token).authenticate(client.hash, sha256(APP_ID.encode()), from_b64url(options["allowCredentials"][0]["id"]))
    data = AuthenticatorData.create(sha256(APP_ID.encode()), signed.user_presence, signed.counter)
    done = call("PUT", "/webauthn/login", user=user, body={
        "id": b64url(token.handle), "rawId": b64url(token.handle), "type": "public-key",
        "clientExtensionResults": {"appid": True},
        "response": {
            "authenticatorData": b64url(bytes(data)), "clientDataJSON": b64url(bytes(client)),
            "signature": b64url(signed.signature),
        },
    })
    assert done["key_handle_hash"] == b64url(sha256(token.handle)), done
    call("DELETE", f"/u2f/{user}", expect=204)
    call("POST", f"/u2f/{user}/auth", expect=404)


def client_data(act, challenge):
    return json.dumps({"typ": f"navigator.id.{act}", "challenge": challenge, "origin": ORIGIN}).encode()


def embedding():
    """The example of docs/embedding.md, as its page would drive it."""
    program = Path(__file__).parents[3] / "docs/embedding/server.py"
    environment = {**os.environ, "QUORATE_URL": ORACLE, "API_KEY": API_KEY, "API_SECRET": API_SECRET, "PORT": "0"}
    server = subprocess.Popen(
        [sys.executable, "-B", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        origin = server.stdout.readline().split()[-1]
        base = origin.replace("localhost", "127.0.0.1")
        with urllib.request.urlopen(base) as page:
            assert b"navigator.credentials.create" in page.read()
        device, alice, mallory = SoftWebauthnDevice(), browser(), browser()
        for begin, finish, act in (
            ("/register/begin", "/register/finish", device.create), ("/login/begin", "/login/finish", device.get),
        ):
            options = page_call(alice, base, begin, {"name": "alice"})["publicKey"]
            options["challenge"] = from_b64url(options["challenge"])
            made = act({"publicKey": options}, origin)
            response = {name: b64encode(value).decode() for name, value in made["response"].items() if name != "userHandle"}
            credential = {"rawId": b64encode(made["rawId"]).decode(), "type": made["type"], "response": response}
            assert "key_handle_hash" in page_call(alice, base, finish, {"name": "alice", "credential": credential})
        # Who has not logged in can neither add a key to somebody's account nor remove it.
        for path in ("/register/begin", "/register/finish", "/forget"):
            try:
                page_call(mallory, base, path, {"name": "alice", "credential": {}})
                raise AssertionError(f"{path} for a stranger")
            except urllib.error.HTTPError as refused:
                assert refused.code == 403, refused
        assert page_call(alice, base, "/register/begin", {"name": "alice"})["publicKey"]["excludeCredentials"]
        page_call(alice, base, "/forget", {"name": "alice"})
        assert page_call(mallory, base, "/register/begin", {"name": "alice"})["uuid"], "the name is free again"
    finally:
        server.kill()
        server.wait()


def browser():
    """Somebody's browser: it keeps the cookies that it is given."""
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor())


def page_call(opener, base, path, body):
    with opener.open(base + path, data=json.dumps(body).encode()) as answer:
        return json.loads(answer.read() or b"{}")


for check in (soft_webauthn, packed, algorithms, one_connection, fido2_client, raw_u2f, embedding):
    check()
    print(f"{check.__name__}: ok")
