"""Writes exports of Aegis and 2FAS under a password, from the apps' descriptions of their formats.

Shares no code with the Rust readers: scrypt and PBKDF2 come from the standard library, AES-GCM from PyPI's `cryptography`.
`exports.py FORMAT PASSWORD` reads the contents, JSON, from stdin and prints the file.
"""

import base64
import hashlib
import json
import os
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def split(sealed):
    return sealed[:-16], sealed[-16:]


def aegis_slot(password, master):
    """The app's own parameters: 32 MiB."""
    n, r, p, salt, nonce = 2**15, 8, 1, os.urandom(32), os.urandom(12)
    wrapping = hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=2**26, dklen=32)
    key, tag = split(AESGCM(wrapping).encrypt(nonce, master, None))
    params = {"nonce": nonce.hex(), "tag": tag.hex()}
    return {"type": 1, "uuid": "", "key": key.hex(), "key_params": params, "n": n, "r": r, "p": p, "salt": salt.hex()}


def aegis(contents, password):
    master, nonce = os.urandom(32), os.urandom(12)
    db, tag = split(AESGCM(master).encrypt(nonce, contents, None))
    header = {"slots": [aegis_slot(password, master)], "params": {"nonce": nonce.hex(), "tag": tag.hex()}}
    return {"version": 1, "header": header, "db": base64.b64encode(db).decode()}


def two_fas(contents, password):
    salt, nonce = os.urandom(256), os.urandom(12)
    key = hashlib.pbkdf2_hmac("sha256", password, salt, 10_000, 32)
    parts = [AESGCM(key).encrypt(nonce, contents, None), salt, nonce]
    encrypted = ":".join(base64.b64encode(part).decode() for part in parts)
    return {"services": [], "groups": [], "schemaVersion": 4, "servicesEncrypted": encrypted}


print(json.dumps({"aegis": aegis, "2fas": two_fas}[sys.argv[1]](sys.stdin.buffer.read(), sys.argv[2].encode())))
