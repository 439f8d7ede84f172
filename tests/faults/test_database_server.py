"""F06 and F33 on PostgreSQL: the database server ends at any moment, and comes back.

While it is away readers are told so and see nothing they may not; what was acknowledged before is there afterwards,
once; the service needs no restart of its own.
"""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text

from kb import config
from kb.access import Tier
from kb.app import Service, open_service
from search import encoder, upkeep
from tests.conftest import SECRET, PostgreSql, running_postgresql
from tests.factories import Make
from tests.faults.machines import PATIENCE, Ledger, Machine, holds, machines, token_of, until, until_shown, waiting

pytestmark = pytest.mark.postgresql
ROUNDS = 20 if os.environ.get("TESTS_ROUNDS") == "full" else 2
TEXTS = 40
BACK = 20.0
"""Seconds in which the service answers again: five on a machine that does nothing else."""


@pytest.fixture
def server() -> Iterator[PostgreSql]:
    """A server of one's own: nobody else's tests end with it."""
    with running_postgresql() as running:
        yield running


@pytest.fixture
def service(server: PostgreSql, tmp_path: Path) -> Iterator[Service]:
    opened = open_service(
        config.load(
            {},
            data_dir=tmp_path / "own",
            secret_key=SECRET,
            database_url=server.new_database(),
            encoder=encoder.OFF,
            requests_per_minute=0,
        )
    )
    upkeep.begin(opened.engine)
    yield opened
    opened.close()


def stop(server: PostgreSql) -> None:
    """As if the power went: nothing is written down."""
    server.control("-m", "immediate", "stop")


def start(server: PostgreSql) -> None:
    server.control("-l", str(server.server.log), "restart")


class Watch:
    """Somebody who keeps searching for what they may not see, and for what they may."""

    def __init__(self, machine: Machine, token: str) -> None:
        self._machine = machine
        self._token = token
        self.answers: dict[int, int] = {}
        self.leaked: list[object] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                status, told = self._machine.ask("GET", "/api/v1/search?q=steady+window&mode=lexical", self._token)
            except OSError:
                status, told = 0, None
            self.answers[status] = self.answers.get(status, 0) + 1
            if "Hidden" in str(told):
                self.leaked.append(told)
            time.sleep(0.05)


def test_F33_the_server_is_restarted_under_load(service: Service, server: PostgreSql, tmp_path: Path) -> None:
    make = Make(service)
    steady = [make.asset(f"Steady {number}", f"The steady window {number}.").public_id for number in range(TEXTS)]
    make.asset("Hidden", "steady window of few", tier=Tier.RESTRICTED)
    read = token_of(service, make.user())
    with machines(tmp_path, service.settings.sqlalchemy_url, "one") as (machine,):
        until(lambda: waiting(service) == 0, PATIENCE)
        ledger = Ledger([machine], steady)
        people = {name: token_of(service, make.user()) for name in ("a", "b")}
        with Watch(machine, read) as watch, ledger.at_work(people):
            for number in range(ROUNDS):
                time.sleep(0.5)
                stop(server)
                time.sleep(1.0)
                assert machine.ask("GET", "/readyz", "")[0] == 503
                assert machine.ask("GET", "/healthz", "")[0] == 200, "nobody need start it anew"
                start(server)
                until(lambda: machine.ask("GET", "/readyz", "")[0] == 200, BACK)
                until_shown(machine, read, "steady", None)
                until(lambda: is_back(service), BACK)
                word = f"zebra{number}"
                make.asset(f"Fresh {word}", f"Something of {word}.")
                until_shown(machine, read, word, f"Fresh {word}")
        until(lambda: waiting(service) == 0, PATIENCE)
    assert watch.leaked == []
    assert set(watch.answers) <= {200, 503, 0}, watch.answers
    assert watch.answers.get(200)
    holds(service, ledger)


def test_F06_everything_ends_at_once(service: Service, server: PostgreSql, tmp_path: Path) -> None:
    make = Make(service)
    steady = [make.asset(f"Steady {number}", f"The steady window {number}.").public_id for number in range(TEXTS)]
    read = token_of(service, make.user())
    with machines(tmp_path, service.settings.sqlalchemy_url, "one") as (machine,):
        ledger = Ledger([machine], steady)
        with ledger.at_work({name: token_of(service, make.user()) for name in ("a", "b")}):
            for number in range(max(1, ROUNDS // 2)):
                word = f"zebra{number}"
                make.asset(f"Fresh {word}", f"Something of {word}.")
                time.sleep(0.1 * number)
                machine.kill()
                stop(server)
                start(server)
                until(lambda: is_back(service), BACK)
                machine.start()
                machine.wait()
                until_shown(machine, read, word, f"Fresh {word}")
        until(lambda: waiting(service) == 0, PATIENCE)
    holds(service, ledger)


def test_what_is_acknowledged_is_on_the_disk(service: Service) -> None:
    """Loss of power is not simulated: that the server waits for its disk is read from it."""
    with service.database.reading() as session:
        told = {name: session.scalar(text(f"SHOW {name}")) for name in ("fsync", "synchronous_commit", "jit")}
    assert told == {"fsync": "on", "synchronous_commit": "on", "jit": "off"}


def is_back(service: Service) -> bool:
    try:
        with service.database.reading() as session:
            return session.scalar(select(1)) == 1
    except Exception:
        return False
