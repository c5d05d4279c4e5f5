#!/usr/bin/env python3
"""Takes events by POST: checks the signature, does nothing twice, and tells what came.

    receiver.py SECRETS-FILE PORT-FILE

One line for each new event. The port is written to PORT-FILE once it listens.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

TOLERANCE = 300  # seconds: an older delivery is one that somebody sends again
SECRETS = [
    base64.b64decode(line.removeprefix("whsec_")) for line in Path(sys.argv[1]).read_text().split()
]
seen = set()


def is_genuine(headers, body):
    sent = headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > TOLERANCE:
        return False
    signed = f"{headers['webhook-id']}.{sent}.".encode() + body
    given = headers.get("webhook-signature", "").split()
    wanted = [
        "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        for secret in SECRETS
    ]
    return any(hmac.compare_digest(one, other) for one in given for other in wanted)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if not is_genuine(self.headers, body):
            self.answer(401)
            return
        event = json.loads(body)
        key = (event["source"], event["id"])
        if key not in seen:  # deliveries are repeated after a crash or a lost answer
            seen.add(key)
            print(event["sequence"].lstrip("0"), event["type"], event.get("subject", ""), flush=True)
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
Path(sys.argv[2]).write_text(str(server.server_port))
server.serve_forever()
