"""Providers of OpenID Connect for tests: a real one in a process of its own, and one that lies as it is told."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT = "kb-under-test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RealProvider:
    """The provider process: people are put there, and signed in as a browser would."""

    issuer: str

    def put(self, subject: str, **claims: object) -> None:
        httpx2.put(f"{self.issuer}/users/{subject}", json=claims).raise_for_status()

    def sign_in(self, address: str, subject: str) -> str:
        """Where the browser is sent after the person has signed in there."""
        answer = httpx2.post(address, data={"sub": subject})
        assert answer.status_code == 302, answer.text[:300]
        return str(answer.headers["Location"])

    def deny(self, address: str) -> str:
        return str(httpx2.post(address, data={"action": "deny"}).headers["Location"])


@contextmanager
def real_provider() -> Iterator[RealProvider]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        issuer = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                httpx2.get(f"{issuer}/.well-known/openid-configuration").raise_for_status()
                break
            except httpx2.HTTPError:
                time.sleep(0.1)
        yield RealProvider(issuer)
    finally:
        process.terminate()
        process.wait(10)


Change = Callable[[dict[str, Any], dict[str, Any]], str | None]
"""Changes header and claims of the next id token, or answers one of its own."""


@dataclass
class LyingProvider:
    """Answers what it is told to; `change` alters what it would sign."""

    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    change: Change = lambda _header, _claims: None
    published: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    token_body: bytes | None = None
    codes: list[str] = field(default_factory=list)
    nonce: str = ""

    def id_token(self) -> str:
        now = int(time.time())
        header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        claims = {
            "iss": self.issuer, "aud": CLIENT, "sub": "s-1", "iat": now, "exp": now + 300, "nonce": self.nonce,
            "email": "ana@yunshu.example", "email_verified": True, **self.claims,
        }  # fmt: skip
        own = self.change(header, claims)
        return own if own is not None else jwt.encode(header, claims, self.key, algorithms=[header["alg"]])

    def come_back(self, address: str) -> str:
        """Path and query by which a browser comes back; the nonce of the way there goes into the token."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        self.nonce = asked["nonce"]
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?code=c-1&state={asked['state']}"


@contextmanager
def lying_provider() -> Iterator[LyingProvider]:
    provider = LyingProvider()

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            return

        def _send(self, body: object) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            base = provider.issuer
            if self.path.endswith("openid-configuration"):
                endpoints = {name: f"{base}/{path}" for name, path in ENDPOINTS.items()}
                self._send({"issuer": base, **endpoints, **provider.published})
            elif self.path == "/keys":
                self._send(KeySet([provider.key]).as_dict(private=False))
            else:
                self._send(provider.userinfo or {})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if provider.token_body is not None:
                self._send(provider.token_body)
                return
            self._send({"access_token": "at", "token_type": "Bearer", "id_token": provider.id_token()})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()


ENDPOINTS = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "jwks_uri": "keys",
    "userinfo_endpoint": "userinfo",
}
