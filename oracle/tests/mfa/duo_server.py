"""Duo's Auth API for tests, on a free port, over TLS when it is given a certificate. It says its port, and then, in a line of
JSON each, what it was asked. Signatures are checked with duo_client's own functions. Users steer it by their ids; who reads
its answers must not believe most of them. A line on standard input lets those go on who were told to wait."""

import argparse
import email.utils
import hashlib
import hmac
import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from duo_client import client as duo

TELEPHONE = {"device": "DP1", "type": "phone", "capabilities": ["auto", "push", "sms", "phone", "mobile_otp"], "new": 1}
PREAUTH = {
    "DUBYPASS": {"result": "allow", "status_msg": "welcome"},
    "DUENROLL": {"result": "enroll", "enroll_portal_url": "https://example.com/", "status_msg": "enroll"},
    "DULANDLINE": {"result": "auth", "devices": [{"device": "DP2", "capabilities": ["phone"]}]},
    "DUPOLICY": {"result": "deny", "status_msg": "not here"},
}
AUTH = {
    "DUAUTHBYPASS": {"result": "allow", "status": "bypass", "status_msg": "bypassed"},
    "DUDENY": {"result": "deny", "status": "deny", "status_msg": "Login request denied."},
    "DUFRAUD": {"result": "deny", "status": "fraud", "status_msg": "reported"},
    "DULOCKED": {"result": "deny", "status": "locked_out", "status_msg": "locked"},
    "DUODD": {"result": "allow", "status": "trusted_toaster", "status_msg": "odd"},
    "DUTIMEOUT": {"result": "deny", "status": "timeout", "status_msg": "Login timed out."},
    "DUWAITING": {"result": "waiting", "status": "pushed", "status_msg": "pushed"},
}
ALLOW = {"result": "allow", "status": "allow", "status_msg": "Success. Logging you in...", "new": {"field": []}}
go_on = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body, headers=()):
        self.send_response_only(status)
        self.send_header("Date", email.utils.formatdate(self.server.now(), usegmt=True))
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def ok(self, response):
        self.send(200, json.dumps({"stat": "OK", "response": response, "new": None}).encode())

    def fail(self, code, message):
        self.send(code // 100, json.dumps({"stat": "FAIL", "code": code, "message": message}).encode())

    def handle_request(self):
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        fields = json.loads(body) if body else {}
        asked = {"method": self.command, "path": url.path, "fields": fields, "host": self.headers["Host"]}
        print(json.dumps(asked), flush=True)
        if url.path == "/auth/v2/ping":
            return self.ok({"time": int(self.server.now())})
        date = self.headers.get("Date", "")
        if abs(email.utils.parsedate_to_datetime(date).timestamp() - self.server.now()) > 300:
            return self.fail(40105, "Bad request timestamp")
        parameters = duo.normalize_params(parse_qs(url.query, keep_blank_values=True))
        keys = (self.server.key, self.server.secret)
        right = duo.sign(*keys, self.command, "127.0.0.1", url.path, date, 5, parameters, body, hashlib.sha512)
        if not hmac.compare_digest(right, self.headers.get("Authorization", "")):
            return self.fail(40103, "Invalid signature in request credentials")
        if url.path == "/auth/v2/check":
            return self.ok({"time": int(self.server.now())})
        user = fields["user_id"].rstrip("X") if "user_id" in fields else fields["username"]
        if url.path == "/auth/v2/preauth":
            if user == "DUUNKNOWN":
                return self.fail(40002, "Invalid request parameters")
            return self.ok(PREAUTH.get(user, {"result": "auth", "devices": [TELEPHONE]}))
        return self.authenticate(user, fields)

    def authenticate(self, user, fields):
        if fields["factor"] == "passcode":
            return self.ok(ALLOW if fields["passcode"] == "123456" else AUTH["DUDENY"])
        if user == "DUBUSY":
            return self.send(429, b"{}", [("Retry-After", "17")])
        if user == "DUBROKEN":
            return self.send(500, json.dumps({"stat": "OK", "response": ALLOW}).encode())
        if user == "DUREDIRECT":
            return self.send(307, b"", [("Location", "/auth/v2/elsewhere")])
        if user == "DUGARBAGE":
            return self.send(200, b"<html>allow</html>")
        if user == "DUTWICE":
            return self.send(200, b'{"stat":"OK","response":{"result":"deny","result":"allow","status":"allow"}}')
        if user == "DUCUT":
            self.send_response_only(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(json.dumps({"stat": "OK", "response": ALLOW}).encode())
            self.close_connection = True
            return None
        if user == "DUENDLESS":
            self.send_response_only(200)
            self.end_headers()
            while True:
                self.wfile.write(b" " * 65536)
        if user == "DUSLOW":
            self.rfile.read(1)
            return None
        if user == "DUHOLD":
            go_on.wait()
        return self.ok(AUTH.get(user, ALLOW))

    def do_GET(self):
        try:
            self.handle_request()
        except OSError:
            self.close_connection = True

    do_POST = do_GET


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def finish_request(self, request, client_address):
        # The handshake is made here, where it holds up nobody else.
        super().finish_request(self.wrap(request), client_address)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--ahead", type=int, default=0)
    parser.add_argument("--certificate")
    parser.add_argument("--certificate-key")
    arguments = parser.parse_args()
    server = Server(("127.0.0.1", 0), Handler)
    server.key, server.secret = arguments.key, arguments.secret
    server.now = lambda: time.time() + arguments.ahead
    server.wrap = lambda request: request
    if arguments.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(arguments.certificate, arguments.certificate_key)
        server.wrap = lambda request: context.wrap_socket(request, server_side=True)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for _line in sys.stdin:
        go_on.set()


main()
