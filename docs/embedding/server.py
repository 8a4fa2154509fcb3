#!/usr/bin/env python3
"""A login service in one file, to show how an application uses the oracle: it knows its users, the oracle knows their
security keys. Python's standard library only.

    QUORATE_URL=http://127.0.0.1:8080 API_KEY=… API_SECRET=… [PORT=3000] python3 server.py

The API secret never leaves this program: browsers talk to it, and it talks to the oracle.
"""

import json
import os
import secrets
import urllib.error
import urllib.request
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = int(os.environ.get("PORT", "3000"))
MISSING = [name for name in ("QUORATE_URL", "API_KEY", "API_SECRET") if not os.environ.get(name)]
if MISSING:
    raise SystemExit(f"server.py: set {', '.join(MISSING)}: docs/embedding.md says how")
ORACLE = os.environ["QUORATE_URL"].rstrip("/")
API_KEY, API_SECRET = os.environ["API_KEY"], os.environ["API_SECRET"]
PAGE = Path(__file__).with_name("index.html").read_bytes()

# What a real application has in its database: which user of the oracle is which of its own.
UUIDS = {}
# By cookie: the UUID of the user who is logged in there, and which account without a key is being made there.
SESSIONS = {}


def oracle(method, path, name, body=None, uuid=None):
    """Status and JSON of the oracle's answer. The headers say for which relying party and which user."""
    headers = {
        "Content-Type": "application/json",
        "X-MFA-ApiKey": API_KEY,
        "X-MFA-ApiSecret": API_SECRET,
        "x-mfa-RPDisplayName": "Quorate demo",
        "x-mfa-RPID": "localhost",
        "x-mfa-RPOrigin": f"http://localhost:{PORT}",
        "x-mfa-Username": name,
        "x-mfa-UserDisplayName": name,
    }
    uuid = uuid or UUIDS.get(name)
    if uuid:
        headers["x-mfa-UserUUID"] = uuid
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(ORACLE + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def register_begin(name, _, session):
    # Whoever may add a key to an account can log in to it from then on.
    if name in UUIDS and session.get("user") != UUIDS[name]:
        return 403, {"message": "that name is taken: to add a key to it, log in first"}
    status, answer = oracle("POST", "/webauthn/register", name)
    if status == 200:
        session["registering"] = name, answer["uuid"]
    return status, answer


def register_finish(name, credential, session):
    begun, uuid = session.get("registering", (None, None))
    if begun != name or UUIDS.get(name, uuid) != uuid:
        return 403, {"message": "begin again: nothing of that name was begun here"}
    status, answer = oracle("PUT", "/webauthn/register", name, credential, uuid)
    if status == 200 and UUIDS.setdefault(name, uuid) == uuid:
        session["user"] = uuid
    return status, answer


def login_begin(name, _, session):
    if name not in UUIDS:
        return 404, {"message": "nobody of that name has a key here"}
    return oracle("POST", "/webauthn/login", name)


def login_finish(name, credential, session):
    uuid = UUIDS.get(name)
    status, answer = oracle("PUT", "/webauthn/login", name, credential, uuid)
    # A real application does this only if the password was right as well.
    if status == 200:
        session["user"] = uuid
    return status, answer


def forget(name, _, session):
    if name in UUIDS and session.get("user") != UUIDS[name]:
        return 403, {"message": "log in first"}
    status, answer = oracle("DELETE", "/webauthn/user", name) if name in UUIDS else (204, {})
    if status == 204:
        UUIDS.pop(name, None)
    return status, answer


ROUTES = {
    "/register/begin": register_begin, "/register/finish": register_finish,
    "/login/begin": login_begin, "/login/finish": login_finish, "/forget": forget,
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/":
            self.answer(200, PAGE, "text/html; charset=utf-8")
        else:
            self.answer(404, b"", "text/plain")

    def do_POST(self):
        act = ROUTES.get(self.path)
        if act is None:
            return self.answer(404, b"{}", "application/json")
        try:
            request = json.loads(self.rfile.read(min(int(self.headers["Content-Length"]), 65536)))
            token, session = self.session()
            status, answer = act(str(request["name"]), request.get("credential"), session)
        except (KeyError, TypeError, ValueError):
            token, status, answer = None, 400, {"message": "not a request of this page"}
        except urllib.error.URLError:
            status, answer = 503, {"message": "the oracle is out of reach"}
        return self.answer(status, b"" if status == 204 else json.dumps(answer).encode(), "application/json", token)

    def session(self):
        """What is known of the browser that asks, by its cookie; a new one gets one that nobody can guess."""
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("session")
        token = cookie.value if cookie and cookie.value in SESSIONS else secrets.token_urlsafe()
        return token, SESSIONS.setdefault(token, {})

    def answer(self, status, body, kind, token=None):
        self.send_response(status)
        if token:
            self.send_header("Set-Cookie", f"session={token}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    PORT = server.server_port
    print(f"listening on http://localhost:{PORT}", flush=True)
    server.serve_forever()
