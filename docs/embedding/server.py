#!/usr/bin/env python3
"""A login service in one file, to show how an application uses the oracle: it knows its users, the oracle knows their
security keys. Python's standard library only.

    QUORATE_URL=http://127.0.0.1:8080 API_KEY=… API_SECRET=… [PORT=3000] python3 server.py

The API secret never leaves this program: browsers talk to it, and it talks to the oracle.
"""

import json
import os
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = int(os.environ.get("PORT", "3000"))
ORACLE = os.environ["QUORATE_URL"].rstrip("/")
PAGE = Path(__file__).with_name("index.html").read_bytes()

# What a real application has in its database: which user of the oracle is which of its own.
UUIDS = {}


def oracle(method, path, name, body=None):
    """Status and JSON of the oracle's answer. The headers say for which relying party and which user."""
    headers = {
        "Content-Type": "application/json",
        "X-MFA-ApiKey": os.environ["API_KEY"],
        "X-MFA-ApiSecret": os.environ["API_SECRET"],
        "x-mfa-RPDisplayName": "Quorate demo",
        "x-mfa-RPID": "localhost",
        "x-mfa-RPOrigin": f"http://localhost:{PORT}",
        "x-mfa-Username": name,
        "x-mfa-UserDisplayName": name,
    }
    if name in UUIDS:
        headers["x-mfa-UserUUID"] = UUIDS[name]
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(ORACLE + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def register_begin(name, _):
    status, answer = oracle("POST", "/webauthn/register", name)
    if status == 200:
        UUIDS.setdefault(name, answer["uuid"])
    return status, answer


def register_finish(name, credential):
    return oracle("PUT", "/webauthn/register", name, credential)


def login_begin(name, _):
    if name not in UUIDS:
        return 404, {"message": "nobody of that name has a key here"}
    return oracle("POST", "/webauthn/login", name)


def login_finish(name, credential):
    status, answer = oracle("PUT", "/webauthn/login", name, credential)
    # Here a real application begins a session, if the password was right as well.
    return status, answer


def forget(name, _):
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
            status, answer = act(str(request["name"]), request.get("credential"))
        except (KeyError, TypeError, ValueError):
            status, answer = 400, {"message": "not a request of this page"}
        except urllib.error.URLError:
            status, answer = 503, {"message": "the oracle is out of reach"}
        return self.answer(status, b"" if status == 204 else json.dumps(answer).encode(), "application/json")

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    PORT = server.server_port
    print(f"listening on http://localhost:{PORT}", flush=True)
    server.serve_forever()
