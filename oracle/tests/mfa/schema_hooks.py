"""Hooks of PyPI's `schemathesis`: without them most of what it makes up ends at a missing key or an unknown id, and nothing
behind those is reached. Three requests of four carry right credentials and headers, every other one names something that the
oracle has given out; the rest stay as they were made up. The credentials are in `QUORATE_SCHEMA_HEADERS`, JSON.
"""

import itertools
import json
import os

import schemathesis

CREDENTIALS = json.loads(os.environ["QUORATE_SCHEMA_HEADERS"])
# Of an operator; a session that is to go on must not be ended by one, nor the ticket itself.
TICKET = {"authorization": CREDENTIALS.pop("authorization")}
PARTY = {"x-mfa-RPID": "example.com", "x-mfa-RPOrigin": "https://login.example.com"}
# What is kept of the answer of which route, and the routes whose paths or headers then name it.
GIVEN = {"/sessions": "/sessions/", "/totp": "/totp/", "/u2f": "/u2f/", "/webauthn/register": "/webauthn/"}

numbers = itertools.count()
known = {root: [] for root in GIVEN.values()}


@schemathesis.hook
def before_call(context, case, kwargs):
    number = next(numbers)
    headers = case.headers
    # Wrong credentials make an address wait. Each request comes from one of its own.
    headers["X-Forwarded-For"] = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    if number % 4:
        headers.update(CREDENTIALS)
        if case.path.startswith(("/audit", "/principals", "/system", "/whoami")):
            headers.update(TICKET)
        if "/webauthn/" in case.path:
            headers.update(PARTY)
    ids = next((ids for root, ids in known.items() if case.path.startswith(root)), [])
    # The events of a session that goes on do not end.
    if number % 2 and ids and not case.path.endswith("/events"):
        one = ids[number % len(ids)]
        for name in {"id", "uuid"} & case.path_parameters.keys():
            case.path_parameters[name] = one
        if "/webauthn/" in case.path:
            headers["x-mfa-UserUUID"] = one


@schemathesis.hook
def after_call(context, case, response):
    root = GIVEN.get(case.path)
    if root and case.method.upper() == "POST" and response.status_code == 200:
        made = response.json()
        known[root].append(made.get("uuid") or made["id"])
