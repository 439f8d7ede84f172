"""One machine after the other: the former release serves while the next migrates, and after it, until it is its turn."""

import threading
import time
from collections import Counter
from http.client import HTTPException
from pathlib import Path

import pytest

from kb import migrate
from kb.app import Service
from tests.factories import Make
from tests.faults.machines import PATIENCE, Ledger, machines, token_of, until, until_shown, waiting
from tests.rules.test_migrations import newer

pytestmark = pytest.mark.postgresql
TEXTS = 40


def test_the_former_release_serves_while_the_next_migrates(
    postgresql_database: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, make = postgresql_database, Make(postgresql_database)
    steady = [make.asset(f"Steady {number}", f"The steady window {number}.").public_id for number in range(TEXTS)]
    read = token_of(service, make.user())
    answers: Counter[int] = Counter()
    with machines(tmp_path, service.settings.sqlalchemy_url, "one") as (machine,):
        until(lambda: waiting(service) == 0, PATIENCE)
        ledger = Ledger([machine], steady)
        stop = threading.Event()

        def search() -> None:
            while not stop.is_set():
                try:
                    answers[machine.ask("GET", "/api/v1/search?q=steady&mode=lexical", read)[0]] += 1
                except (OSError, HTTPException):  # while it is killed and started
                    time.sleep(0.1)

        threads = [
            threading.Thread(target=search),
            threading.Thread(target=ledger.run, args=("a", token_of(service, make.user()))),
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        with monkeypatch.context() as release:
            release.setattr(migrate, "FOLDER", newer(tmp_path, "9001", keeps_former=True))
            migrate.upgrade(service.settings, service.database)
        assert migrate.revision(service.database) == "9001"
        make.asset("Fresh after", "Something of zebra.")
        until_shown(machine, read, "zebra", "Fresh after")
        machine.kill()  # a process that ends meanwhile comes back, though the schema is newer than it
        machine.start()
        machine.wait()
        until_shown(machine, read, "zebra", "Fresh after")
        ledger.stop.set()
        stop.set()
        for thread in threads:
            thread.join(30)
    assert set(answers) == {200}, answers
    assert ledger.wrong == []
    assert ledger.acknowledged
