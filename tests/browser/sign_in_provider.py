"""A provider of OpenID Connect on loopback: whoever gives a name is signed in by it.

It does what the standard asks of a provider for the flow with a code: a client with a secret, a
code that is good once, PKCE where it is asked for, and an ID token signed by a key that it shows.
"""

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

__all__ = ["CLIENT", "SECRET", "provider"]

CLIENT, SECRET = "bloodcell-lab", "secret-of-the-tests"
FORM = """<!doctype html><title>Sign in</title><form method="post" action="/sign-in">
<label>Name <input name="name"></label>{hidden}<button>Go on</button></form>"""


class Provider(ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        self.asked: dict[str, dict[str, str]] = {}


class Handler(BaseHTTPRequestHandler):
    server: Provider

    def log_message(self, *words: Any) -> None:
        pass

    def answer(self, content: Any, kind: str = "application/json", status: int = 200) -> None:
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def form(self) -> dict[str, str]:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        return {k: v[0] for k, v in parse_qs(body).items()}

    def do_GET(self) -> None:
        address, parts = self.server.address, urlsplit(self.path)
        if parts.path == "/.well-known/openid-configuration":
            self.answer(
                {
                    "issuer": address,
                    "authorization_endpoint": f"{address}/authorize",
                    "token_endpoint": f"{address}/token",
                    "jwks_uri": f"{address}/keys",
                    "response_types_supported": ["code"],
                    "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                    "code_challenge_methods_supported": ["S256"],
                }
            )
        elif parts.path == "/keys":
            self.answer({"keys": [self.server.key.as_dict(private=False)]})
        elif parts.path == "/authorize":
            fields = (
                f'<input type="hidden" name="{html.escape(k)}" value="{html.escape(v[0])}">'
                for k, v in parse_qs(parts.query).items()
            )
            self.answer(FORM.format(hidden="".join(fields)), "text/html")
        else:
            self.answer({}, status=404)

    def do_POST(self) -> None:
        given = self.form()
        if self.path == "/sign-in":
            code = secrets.token_urlsafe()
            self.server.asked[code] = given
            back = urlencode({"code": code, "state": given["state"]})
            self.send_response(303)
            self.send_header("Location", f"{given['redirect_uri']}?{back}")
            self.end_headers()
            return
        asked = self.server.asked.pop(given.get("code", ""), None)
        if asked is None or not self.is_the_client(given) or not proves(asked, given):
            self.answer({"error": "invalid_grant"}, status=400)
            return
        now = int(time.time())
        claims = {
            "iss": self.server.address, "aud": CLIENT, "iat": now, "exp": now + 600,
            "sub": asked["name"], "name": asked["name"], "email": f"{asked['name']}@example.org",
        }  # fmt: skip
        claims |= {"nonce": asked["nonce"]} if "nonce" in asked else {}
        key = self.server.key
        token = jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)
        self.answer(
            {"access_token": "x", "token_type": "Bearer", "expires_in": 600, "id_token": token}
        )

    def is_the_client(self, given: dict[str, str]) -> bool:
        kind, _, coded = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            return base64.b64decode(coded).decode() == f"{CLIENT}:{SECRET}"
        return (given.get("client_id"), given.get("client_secret")) == (CLIENT, SECRET)


def proves(asked: dict[str, str], given: dict[str, str]) -> bool:
    """Whether who brings the code is who asked for it."""
    if asked["redirect_uri"] != given.get("redirect_uri"):
        return False
    if "code_challenge" not in asked:
        return True
    digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]


@contextmanager
def provider() -> Iterator[Provider]:
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
