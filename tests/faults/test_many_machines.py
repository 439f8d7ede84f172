"""Two machines on one PostgreSQL, one of them killed at random: nothing lost, nothing twice, nothing stale.

A machine is a process group with a data folder of its own: two web processes and a worker. What a machine has
acknowledged is kept in a ledger and looked for at the end; what is withdrawn on one is gone from the other.
"""

import os
import random
import time
from pathlib import Path

import pytest

from kb.access import Role
from kb.app import Service
from tests.factories import Make
from tests.faults.machines import PATIENCE, Ledger, holds, machines, token_of, until, until_shown, waiting

pytestmark = pytest.mark.postgresql
ROUNDS = 12 if os.environ.get("TESTS_ROUNDS") == "full" else 1
TEXTS = 60
ROUND_SECONDS = 120
"""At most, on a busy machine: a machine starts within thirty, and what a killed worker had claimed waits for a minute."""


@pytest.mark.timeout(300 + ROUNDS * ROUND_SECONDS)
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
        with ledger.at_work(people):
            for number in range(ROUNDS):
                victim, survivor = both if number % 2 else both[::-1]
                word = f"zebra{chr(ord('a') + number)}"  # a number would be found in the steady texts
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
        until(lambda: waiting(service) == 0, PATIENCE)
    assert len(ledger.acknowledged) > 10, "there was load"
    holds(service, ledger)
