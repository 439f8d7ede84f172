"""Machines of an installation on PostgreSQL as tests start, ask and kill them, and a ledger of what they acknowledged."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import func, select

from content.models import UseEvent
from kb import audit, outbox, tokens
from kb.access import SYSTEM, Permission
from kb.app import Service
from kb.users import User
from search import upkeep
from search.postgres_engine import PostgresEngine
from tests.conftest import ROOT, SECRET

START_SECONDS = 120
PATIENCE = 90.0
"""Seconds: what a worker had claimed when it was killed waits for its lease of one minute."""


@dataclass
class Machine:
    """A `kb serve` of two web processes and a worker, in a process group that is killed as one."""

    folder: Path
    database_url: str
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KB_")}
        environment |= {
            "KB_DATA_DIR": str(self.folder),
            "KB_DATABASE_URL": self.database_url,
            "KB_SECRET_KEY": SECRET,
            "KB_ENCODER": "off",
            "KB_LOG_LEVEL": "ERROR",
            "KB_REQUESTS_PER_MINUTE": "0",
        }
        command = [sys.executable, "-m", "kb.cli", "serve", "--port", str(self.port), "--workers", "2"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
        )

    def wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                if self.ask("GET", "/readyz", "")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError("the machine did not start")

    def kill(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, method: str, path: str, token: str, body: object = None) -> tuple[int, object]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(
                method,
                path,
                json.dumps(body) if body is not None else None,
                {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            told = answer.read()
            return answer.status, json.loads(told) if told else None
        finally:
            connection.close()

    def titles(self, token: str, words: str) -> list[str]:
        status, told = self.ask("GET", f"/api/v1/search?q={quote(words)}&mode=lexical", token)
        assert status == 200, told
        assert isinstance(told, dict)
        return [hit["title"] for hit in told["hits"]]


@contextmanager
def machines(folder: Path, database_url: str, *names: str) -> Iterator[list[Machine]]:
    both = [Machine(folder / name, database_url) for name in names or ("one", "other")]
    for one in both:
        one.folder.mkdir(mode=0o700)
        one.start()
    try:
        for one in both:
            one.wait()
        yield both
    finally:
        for one in both:
            if one.process is not None and one.process.poll() is None:
                os.killpg(one.process.pid, signal.SIGTERM)
        for one in both:
            if one.process is not None:
                one.process.wait(30)


@dataclass
class Ledger:
    """Uses that a machine has acknowledged, sent again and again until one does."""

    both: list[Machine]
    assets: list[str]
    acknowledged: set[str] = field(default_factory=set)
    wrong: list[object] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, name: str, token: str) -> None:
        """One person looks at one text after the other, slowly enough for machines to come and go meanwhile."""
        source = random.Random(name)
        for number, asset in enumerate(self.assets):
            event = {"event_id": f"{name}-{number}", "asset": asset, "kind": "view"}
            while not self.stop.is_set() and not self._is_taken(source.choice(self.both), token, event):
                time.sleep(0.05)
            time.sleep(0.2)

    @contextmanager
    def at_work(self, people: Mapping[str, str]) -> Iterator[None]:
        """These people, by name and token, beside what is done meanwhile."""
        threads = [threading.Thread(target=self.run, args=one) for one in people.items()]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(60)

    def _is_taken(self, machine: Machine, token: str, event: dict[str, str]) -> bool:
        try:
            status, told = machine.ask("POST", "/api/v1/usage", token, event)
        except (OSError, HTTPException):
            return False
        if status == 202:
            self.acknowledged.add(event["event_id"])
        elif status != 503:
            self.wrong.append((status, told))
        return status != 503


def until(found: Callable[[], bool], seconds: float) -> float:
    """How long it took to become true."""
    started = time.monotonic()
    while not found():
        assert time.monotonic() - started < seconds, "it did not become true"
        time.sleep(0.05)
    return time.monotonic() - started


def until_shown(machine: Machine, token: str, words: str, title: str | None) -> float:
    """How long it took until a machine showed just this, or anything; a machine that is slow to answer is asked again."""

    def is_shown() -> bool:
        try:
            found = machine.titles(token, words)
        except (TimeoutError, HTTPException):
            return False
        return bool(found) if title is None else found == [title]

    return until(is_shown, PATIENCE)


def token_of(service: Service, user: User, *scopes: Permission) -> str:
    with service.database.writing() as session:
        return tokens.create(session, SYSTEM, session.get_one(User, user.id), "many machines")


def waiting(service: Service) -> int:
    """Wishes that nobody has done yet."""
    with service.database.reading() as session:
        return outbox.backlog(session).waiting


def holds(service: Service, ledger: Ledger) -> None:
    """Nothing acknowledged is lost, nothing is there twice, trail and index are true."""
    assert ledger.wrong == []
    assert ledger.acknowledged
    with service.database.reading() as session:
        kept = session.scalars(select(UseEvent.event_id)).all()
        assert len(kept) == len(set(kept))
        assert ledger.acknowledged <= set(kept)
        assert audit.verify(session).intact
        dead = select(func.count()).select_from(outbox.Wish).where(outbox.Wish.dead_at.is_not(None))
        assert session.scalar(dead) == 0
    assert upkeep.check(service.database, PostgresEngine(service.database), repair=False).is_true
