"""The server as a process: it answers, ends cleanly with requests under way, and says in one line why it cannot start."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from kb import serving
from kb.config import Settings
from kb.errors import WrongSettings
from tests.conftest import SECRET
from tests.kb.conftest import Kb

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60
"""Seconds after which a test gives up; far more than any machine needs."""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


@contextmanager
def process(settings: Settings, *arguments: str, **more: str) -> Iterator["subprocess.Popen[str]"]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KB_")}
    environment = {
        **kept,
        "KB_DATA_DIR": str(settings.data_dir),
        "KB_SECRET_KEY": SECRET,
        "KB_REQUESTS_PER_MINUTE": "0",
        **more,
    }
    started = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.terminate()
        try:
            started.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            started.kill()
            started.communicate()
            raise


def get(port: int, address: str) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", address)
    answer: HTTPResponse = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def wait_for(started: "subprocess.Popen[str]", word: str) -> None:
    """Read its messages until one holds the word: from then on the socket listens."""
    assert started.stderr is not None
    seen = []
    for line in started.stderr:
        seen.append(line)
        if word in line:
            return
    pytest.fail(f"ended with {started.wait()}: {''.join(seen)}")


def test_kb_serve_answers_and_ends_with_0_on_sigterm(settings: Settings, port: int) -> None:
    with process(settings, "-m", "kb.cli", "serve", "--port", str(port)) as server:
        wait_for(server, f"127.0.0.1:{port}")
        assert get(port, "/healthz")[0] == 200
        assert get(port, "/sign-in")[0] == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0


def test_several_workers_answer_on_one_port_and_all_end(settings: Settings, port: int) -> None:
    with process(settings, "-m", "kb.cli", "serve", "--port", str(port), "--workers", "2") as server:
        wait_for(server, f"127.0.0.1:{port}")
        assert [get(port, "/healthz")[0] for _ in range(4)] == [200] * 4
        children = children_of(server.pid)
        assert len(children) == 3
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0
        assert [child for child in children if is_alive(child)] == []


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


SLOW = """
import sys
from pathlib import Path
from flask import Flask
from kb import serving
from kb.config import Settings

app = Flask("slow")

@app.get("/slow")
def slow() -> str:
    print("begun", flush=True)
    sys.stdin.readline()
    return "finished all the same"

serving.serve(app, Settings(data_dir=Path(sys.argv[2])), serving.listen("127.0.0.1", int(sys.argv[1])))
print("ended", flush=True)
"""


def test_F05_a_request_under_way_is_finished_before_the_end(settings: Settings, port: int) -> None:
    with process(
        settings,
        "-c",
        "import sys; print('ready', file=sys.stderr, flush=True)\n" + SLOW,
        str(port),
        str(settings.data_dir),
    ) as server:
        wait_for(server, "ready")
        connection = connected(port)
        connection.request("GET", "/slow")
        assert server.stdout is not None
        assert server.stdin is not None
        assert server.stdout.readline() == "begun\n"
        server.send_signal(signal.SIGTERM)
        server.stdin.write("go on\n")
        server.stdin.flush()
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"finished all the same")
        connection.close()
        assert server.wait(PATIENCE) == 0
        assert server.stdout.readline() == "ended\n"


def connected(port: int) -> HTTPConnection:
    """A connection to a server that is about to listen."""
    for _ in range(100_000):
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.connect()
        except ConnectionRefusedError:
            connection.close()
            continue
        return connection
    pytest.fail("nothing listens")


def test_a_port_that_is_taken_gives_one_clear_line(kb: Kb, port: int) -> None:
    with serving.listen("127.0.0.1", port):
        ran = kb("serve", "--port", port)
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.strip().splitlines()) == 1
    assert f"Port {port}" in ran.err
    assert "--port" in ran.err


@pytest.mark.parametrize("secret", ["", "change-me", "secret", "0123456789012345678901234567890"])
def test_A66_a_weak_secret_does_not_start(kb: Kb, port: int, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("KB_SECRET_KEY", secret or "short")
    ran = kb("serve", "--port", port)
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.strip().splitlines()) == 1
    assert "KB_SECRET_KEY" in ran.err


def test_A66_a_folder_open_to_all_does_not_start(kb: Kb, port: int, settings: Settings) -> None:
    settings.data_dir.chmod(0o777)
    ran = kb("serve", "--port", port)
    assert ran.code == 1
    assert "chmod 700" in ran.err


def test_A66_listening_beyond_this_machine_needs_the_address_people_type(kb: Kb, port: int) -> None:
    ran = kb("serve", "--host", "0.0.0.0", "--port", port)
    assert ran.code == 1
    assert "KB_BASE_URL" in ran.err
    with pytest.raises(WrongSettings):
        serving.check_address(Settings(), "192.168.1.5")
    serving.check_address(Settings(base_url="https://kb.company.example"), "0.0.0.0")


def test_an_empty_database_does_not_serve_and_says_how_to_begin(
    kb: Kb, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(tmp_path / "new"))
    ran = kb("serve", "--port", port)
    assert ran.code == 1
    assert "kb init" in ran.err
