"""A mail server that wants STARTTLS and a login, and keeps what it takes.

Usage: smtp_sink.py CERTIFICATE KEY PASSWORD FOLDER

Writes its port to FOLDER/port and each mail, as Python reads it, to FOLDER/mails (one JSON a line).
Ends when its stdin does.
"""

import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

certificate, key, password, folder = sys.argv[1:]


class Sink:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
        with open(os.path.join(folder, "mails"), "a", encoding="utf-8") as file:
            told = {
                "to": envelope.rcpt_tos,
                "encrypted": session.ssl is not None,
                "user": session.auth_data,
                "headers": {name.lower(): str(value) for name, value in mail.items()},
                "parts": parts,
            }
            file.write(json.dumps(told) + "\n")
        return "250 taken"


def login(server, session, envelope, mechanism, data):
    if data.password.decode() == password:
        return AuthResult(success=True, auth_data=data.login.decode())
    return AuthResult(success=False, handled=False)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
controller = Controller(
    Sink(),
    hostname="127.0.0.1",
    port=int(os.environ["SMTP_PORT"]),
    tls_context=context,
    require_starttls=True,
    auth_required=True,
    authenticator=login,
)
controller.start()
with open(os.path.join(folder, "port"), "w", encoding="utf-8") as file:
    file.write(os.environ["SMTP_PORT"])
sys.stdin.read()
controller.stop()
