"""The only way out: requests to addresses that somebody has set, never into the network the service itself stands in.

A name is resolved once, every address it has is looked at, and the connection goes to one of those: a name that
answers differently a moment later changes nothing. No redirect is followed, and no answer is read beyond its cap.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import httpx2

from kb.config import LOOPBACK
from kb.errors import N_, Unavailable

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
LARGEST_ANSWER: Final = 256 * 1024
HTTPS: Final = 443

Resolve = Callable[[str, int], Sequence[str]]
"""All addresses of a name."""


class Refused(Unavailable):
    """The address may not be called, or its answer may not be read; the cause stands in the log, not in the answer."""

    code, message = "outbound", N_("The other side does not answer as it should. Try again in a moment.")

    def __init__(self, cause: str) -> None:
        super().__init__()
        self.cause = cause


def addresses_of(host: str, port: int) -> Sequence[str]:
    """All addresses of a name as the system's resolver knows them."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_outside(address: str) -> bool:
    """Whether an address is one of the public internet: neither ours nor the network's own, in whatever spelling."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return is_outside(str(inner))
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_outside(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


class GuardedTransport(httpx2.BaseTransport):
    """Connects to what a name was found to be; `inside` names hosts of the company's own network that may be called."""

    def __init__(
        self,
        inside: Iterable[str] = (),
        resolve: Resolve = addresses_of,
        verify: Any = True,  # what httpx2 takes: True, or an SSL context
    ) -> None:
        self._inside = frozenset(name.casefold() for name in inside)
        self._resolve = resolve
        self._transport = httpx2.HTTPTransport(verify=verify, retries=0, trust_env=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host.casefold()
        address = self._address(request.url.scheme, host, request.url.port)
        request.headers["Host"] = request.url.netloc.decode("ascii")
        request.headers["Accept-Encoding"] = "identity"
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        response = self._transport.handle_request(request)
        try:
            return self._read(host, response)
        finally:
            response.close()

    def _read(self, host: str, response: httpx2.Response) -> httpx2.Response:
        """The whole answer, up to its cap and within its time however slowly it drips; no leading on, nothing packed."""
        if response.is_redirect:
            raise Refused(f"{host} leads elsewhere")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(f"{host} answers packed")
        until, size, parts = time.monotonic() + READ_SECONDS, 0, []
        for part in response.iter_raw():
            size += len(part)
            if size > LARGEST_ANSWER:
                raise Refused(f"{host} answers too much")
            if time.monotonic() > until:
                raise Refused(f"{host} answers too slowly")
            parts.append(part)
        return httpx2.Response(response.status_code, headers=response.headers, content=b"".join(parts))

    def _address(self, scheme: str, host: str, port: int | None) -> str:
        is_inside = host in self._inside
        if scheme != "https" and not (scheme == "http" and is_inside and host in LOOPBACK):
            raise Refused(f"{host} is not called by https")
        if not is_inside and (port or HTTPS) != HTTPS:
            raise Refused(f"{host} is called on port {port}")
        try:
            found = self._resolve(host, port or HTTPS)
        except OSError as error:
            raise Refused(f"{host} is not known: {type(error).__name__}") from None
        if not found or not (is_inside or all(is_outside(one) for one in found)):
            raise Refused(f"{host} lies inside the network: name it in KB_INSIDE_HOSTS if it may be called")
        return found[0]

    def close(self) -> None:
        self._transport.close()


def client_options(inside: Iterable[str] = (), resolve: Resolve = addresses_of, verify: Any = True) -> dict[str, Any]:
    """Arguments with which any httpx2 client goes through the guard; libraries make clients of their own."""
    return {
        "transport": GuardedTransport(inside, resolve, verify),
        "timeout": httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        "follow_redirects": False,
        "trust_env": False,
    }


def get_json(address: str, inside: Iterable[str] = (), **further: Any) -> dict[str, Any]:
    """What an address answers, as a JSON object; raises Refused."""
    headers = further.pop("headers", {})
    try:
        with httpx2.Client(**client_options(inside, **further)) as session:
            response = session.get(address, headers={"Accept": "application/json", **headers})
            found = response.json() if response.status_code == 200 else None
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, RecursionError) as error:
        raise Refused(f"{type(error).__name__} at {address[:200]}") from None
    if not isinstance(found, dict):
        raise Refused(f"{address[:200]} answers {response.status_code} without an object")
    return found
