"""A mail server for tests: aiosmtpd on a free port, with TLS and a user when asked to. It says its port, and then, in a line
of JSON each, the mails that it has taken. Recipients steer it: nobody@ is refused, stalled@ is never answered."""

import argparse
import asyncio
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 there is no such user"
        if address.startswith("later@"):
            return "451 4.3.0 try again later"
        if address.startswith("stalled@"):
            await asyncio.Event().wait()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "user": session.auth_data,
            "encrypted": server.transport.get_extra_info("sslcontext") is not None,
            "greeting": session.host_name,
            "text": envelope.content.decode(),
        }
        print(json.dumps(taken), flush=True)
        return "250 taken"


def authenticate(user, password):
    def check(server, session, envelope, mechanism, data):
        right = data.login == user.encode() and data.password == password.encode()
        return AuthResult(success=right, auth_data=user if right else None)

    return check


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--encryption", choices=["none", "starttls", "tls"], required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    arguments = parser.parse_args()
    context = None
    if arguments.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(arguments.certificate, arguments.key)
    starttls = arguments.encryption == "starttls"
    options = {"hostname": "mail.test", "tls_context": context if starttls else None, "require_starttls": starttls}
    if arguments.user:
        options |= {
            "authenticator": authenticate(arguments.user, arguments.password),
            "auth_required": True,
            "auth_require_tls": starttls,
        }
    wrapped = context if arguments.encryption == "tls" else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), **options), "127.0.0.1", 0, ssl=wrapped)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
