"""Two machines on one PostgreSQL, one of them killed at random: nothing lost, nothing twice, nothing stale.

A machine is a process group with a data folder of its own: two web processes and a worker. What a machine has
acknowledged is kept in a ledger and looked for at the end; what is withdrawn on one is gone from the other.
"""

import os
import random
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from content.models import UseEvent
from kb import audit, outbox
from kb.access import Role
from kb.app import Service
from search import upkeep
from search.postgres_engine import PostgresEngine
from tests.factories import Make
from tests.faults.machines import PATIENCE, Ledger, machines, token_of, until, until_shown, waiting

pytestmark = pytest.mark.postgresql
ROUNDS = 12 if os.environ.get("TESTS_ROUNDS") == "full" else 1
TEXTS = 60


def test_one_of_two_machines_is_killed_at_random(postgresql_database: Service, tmp_path: Path) -> None:
    service, make = postgresql_database, Make(postgresql_database)
    steady = [make.asset(f"Steady {number}", f"The steady window {number}.").public_id for number in range(TEXTS)]
    marketer, rep = make.user(Role.MARKETER), make.user()
    write, read = token_of(service, marketer), token_of(service, rep)
    source = random.Random(7)
    url = service.settings.sqlalchemy_url
    with machines(tmp_path, url) as both:
        ledger = Ledger(both, steady)
        people = {name: token_of(service, make.user()) for name in ("a", "b", "c")}
        threads = [threading.Thread(target=ledger.run, args=one) for one in people.items()]
        for thread in threads:
            thread.start()
        for number in range(ROUNDS):
            victim, survivor = both if number % 2 else both[::-1]
            word = f"zebra{number}"
            asset = make.asset(f"Fresh {word}", f"Something of {word}.")
            time.sleep(source.random() * 0.3)
            victim.kill()
            until_shown(survivor, read, word, f"Fresh {word}")
            reason = {"reason": "withdrawn while a machine was away"}
            status, told = survivor.ask("POST", f"/api/v1/assets/{asset.public_id}/withdraw", write, reason)
            assert status in (200, 204), told
            assert survivor.titles(read, word) == []
            victim.start()
            victim.wait()
            assert victim.titles(read, word) == [], "a machine that comes back shows what is, not what was"
            make.asset(f"Later {word}", f"Later of {word}.")
            for one in both:
                until_shown(one, read, word, f"Later {word}")
        ledger.stop.set()
        for thread in threads:
            thread.join(30)
        until(lambda: waiting(service) == 0, PATIENCE)
    assert ledger.wrong == []
    assert len(ledger.acknowledged) > 10, "there was load"
    with service.database.reading() as session:
        kept = session.scalars(select(UseEvent.event_id)).all()
        assert len(kept) == len(set(kept))
        assert ledger.acknowledged <= set(kept)
        assert audit.verify(session).intact
        assert (
            session.scalar(select(func.count()).select_from(outbox.Wish).where(outbox.Wish.dead_at.is_not(None))) == 0
        )
    assert upkeep.check(service.database, PostgresEngine(service.database), repair=False).is_true
