"""A49, A51, A53: requests that go out reach nothing inside, follow nothing, and read no more than their cap."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kb import outbound
from kb.outbound import Refused
from tests.attacks.test_mail_tls import Authority

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"


class Listener:
    """A server on this machine that notes every connection and answers with `reply`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.reply: Callable[[socket.socket], None] = lambda peer: peer.sendall(HEAD + b"\r\n{}")
        self.connections, self.hosts = 0, list[str]()
        self._tls, self._socket = tls, socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer: socket.socket) -> None:
        try:
            talk = self._tls.wrap_socket(peer, server_side=True) if self._tls else peer
            asked = talk.recv(65_536).decode("latin-1")
            self.hosts += [line.partition(": ")[2] for line in asked.split("\r\n") if line.lower().startswith("host:")]
            self.reply(talk)
            talk.close()
        except OSError:
            peer.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.close()


INSIDE = (
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.8", "172.16.9.9", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "::1", "::", "fc00::1", "fe80::1", "fe80::1%eth0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "224.0.0.1", "255.255.255.255", "198.18.0.1", "not an address",
)  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_A49_an_address_inside_is_never_called_whatever_its_spelling(address: str) -> None:
    assert not outbound.is_outside(address)
    with pytest.raises(Refused):
        outbound.get_json("https://login.example/", resolve=lambda _host, _port: [address])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "8.8.8.8"])
def test_an_address_of_the_internet_is_one(address: str) -> None:
    assert outbound.is_outside(address)


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/", "https://127.0.0.1:{port}/", "http://localhost:{port}/", "https://localhost:{port}/",
        "https://[::1]:{port}/", "https://0:{port}/", "https://2130706433:{port}/", "https://0x7f.1:{port}/",
        "https://127.0.0.1.:{port}/", "http://user@127.0.0.1:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/",
        "https://login:{port}/", "ftp://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "", "https://",
    ],
)  # fmt: skip
def test_A49_nothing_inside_is_reached_however_it_is_written(listener: Listener, target: str) -> None:
    with pytest.raises(Refused) as refused:
        outbound.get_json(target.format(port=listener.port))
    assert listener.connections == 0
    assert "127.0.0.1" not in refused.value.text, "the caller learns nothing of the network"


@pytest.mark.parametrize("port", [22, 25, 80, 5432, 6379, 8443])
def test_A49_outside_hosts_are_called_on_the_port_of_https_alone(port: int) -> None:
    with pytest.raises(Refused) as refused:
        outbound.get_json(f"https://login.example:{port}/", resolve=lambda _host, _port: ["93.184.216.34"])
    assert str(port) in refused.value.cause


def test_A51_one_private_address_among_several_is_enough_to_refuse(listener: Listener) -> None:
    with pytest.raises(Refused):
        outbound.get_json("https://login.example/", resolve=lambda _host, _port: ["93.184.216.34", "127.0.0.1"])
    assert listener.connections == 0


def test_A51_a_name_is_asked_once_and_the_answer_is_what_is_called(tmp_path: Path) -> None:
    """A resolver that answers differently the second time changes nothing: it is not asked again."""
    authority = Authority(tmp_path)
    server = Listener(authority.context("login.example"))
    asked: list[str] = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    trusted = ssl.create_default_context(cafile=str(authority.file))
    address = f"https://login.example:{server.port}/"
    assert outbound.get_json(address, ["login.example"], resolve=resolve, verify=trusted) == {}
    assert asked == ["login.example"]
    assert server.hosts == [f"login.example:{server.port}"]
    server.close()


@pytest.mark.parametrize(("host", "days_old"), [("other.example", 0), ("login.example", 60)])
def test_A53_a_certificate_that_does_not_hold_ends_it(tmp_path: Path, host: str, days_old: int) -> None:
    authority = Authority(tmp_path)
    server = Listener(authority.context(host, days_old))
    trusted = ssl.create_default_context(cafile=str(authority.file))
    address = f"https://login.example:{server.port}/"
    with pytest.raises(Refused):
        outbound.get_json(address, ["login.example"], resolve=lambda *_: ["127.0.0.1"], verify=trusted)
    assert server.hosts == [], "nothing was said to it"
    server.close()


def test_A53_a_certificate_that_signed_itself_ends_it(tmp_path: Path) -> None:
    server = Listener(Authority(tmp_path).context("login.example"))
    with pytest.raises(Refused):
        outbound.get_json(f"https://login.example:{server.port}/", ["login.example"], resolve=lambda *_: ["127.0.0.1"])
    assert server.hosts == []
    server.close()


def called(listener: Listener) -> None:
    outbound.get_json(f"http://127.0.0.1:{listener.port}/", ["127.0.0.1"])


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_A51_it_is_led_nowhere_else(listener: Listener, code: int) -> None:
    other = Listener()
    head = f"HTTP/1.1 {code} Elsewhere\r\nLocation: http://127.0.0.1:{other.port}/\r\nContent-Length: 0\r\n\r\n"
    listener.reply = lambda peer: peer.sendall(head.encode())
    with pytest.raises(Refused):
        called(listener)
    assert (listener.connections, other.connections) == (1, 0)
    other.close()


def test_A51_an_answer_without_end_is_cut_at_its_cap(listener: Listener) -> None:
    sent = [0]

    def flood(peer: socket.socket) -> None:
        peer.sendall(HEAD + b"\r\n")
        for _ in range(20_000):
            sent[0] += peer.send(b"x" * 65_536)

    listener.reply = flood
    with pytest.raises(Refused):
        called(listener)
    assert sent[0] < 20 << 20


def test_A51_a_packed_answer_is_not_unpacked(listener: Listener) -> None:
    bomb = gzip.compress(b"[" + b"0," * 5_000_000 + b"0]")
    head = HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    listener.reply = lambda peer: peer.sendall(head + bomb)
    with pytest.raises(Refused):
        called(listener)


def test_A51_an_answer_that_drips_is_given_up(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "READ_SECONDS", 1.0)

    def drip(peer: socket.socket) -> None:
        peer.sendall(HEAD + b"\r\n")
        for _ in range(100):
            peer.sendall(b"[")
            time.sleep(0.1)

    listener.reply = drip
    begun = time.monotonic()
    with pytest.raises(Refused):
        called(listener)
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("body", [b"[]", b"null", b"", b"{", b"[" * 9_000, b'"x"'])
def test_what_is_no_object_is_refused(listener: Listener, body: bytes) -> None:
    listener.reply = lambda peer: peer.sendall(HEAD + b"\r\n" + body)
    with pytest.raises(Refused):
        called(listener)
