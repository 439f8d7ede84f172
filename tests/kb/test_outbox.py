"""Later work: a wish is kept with its change, done once, tried again, and given up in the open."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Lock

import pytest
import time_machine
from sqlalchemy import select
from time_machine import Traveller

from kb import clock, outbox
from kb.app import Service
from kb.outbox import Backlog, NotNow, Wish, WishKind

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 11, 26, 1, 0, tzinfo=UTC)
INDEX, REBUILD = WishKind.INDEX_ASSET, WishKind.REBUILD_INDEX


@pytest.fixture
def time() -> Iterator[Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def wish(service: Service, *object_ids: int, kind: WishKind = INDEX, due_at: datetime | None = None) -> None:
    with service.database.writing() as session:
        for object_id in object_ids:
            outbox.add(session, kind, object_id, due_at)


def waiting(service: Service) -> list[int]:
    with service.database.reading() as session:
        return list(session.scalars(select(Wish.object_id).where(Wish.dead_at.is_(None)).order_by(Wish.id)))


def only(service: Service) -> Wish:
    with service.database.reading() as session:
        return session.scalars(select(Wish)).one()


def backlog(service: Service) -> Backlog:
    with service.database.reading() as session:
        return outbox.backlog(session)


class Work:
    """A handler that remembers what it was asked for and fails on the objects it is told to."""

    def __init__(self, *poison: int, error: Callable[[], Exception] = lambda: RuntimeError("no good")) -> None:
        self.done: list[int] = []
        self.batches: list[tuple[int, ...]] = []
        self.poison = set(poison)
        self.error = error

    def __call__(self, object_ids: Sequence[int]) -> None:
        self.batches.append(tuple(object_ids))
        if self.poison & set(object_ids):
            raise self.error()
        self.done += object_ids


def test_a_wish_is_done_once_and_gone(any_database: Service) -> None:
    work = Work()
    wish(any_database, 11, 12)
    assert outbox.drain(any_database.database, {INDEX: work}) == 2
    assert outbox.drain(any_database.database, {INDEX: work}) == 0
    assert (sorted(work.done), waiting(any_database)) == ([11, 12], [])


def test_a_wish_of_a_failed_transaction_is_gone(any_database: Service) -> None:
    with pytest.raises(ZeroDivisionError), any_database.database.writing() as session:
        outbox.add(session, INDEX, 11)
        session.flush()
        raise ZeroDivisionError
    assert waiting(any_database) == []


def test_a_wish_of_a_killed_process_is_gone_and_locks_nothing(any_database: Service) -> None:
    died = subprocess.run(
        [sys.executable, "-c", KILLED, any_database.settings.sqlalchemy_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert died.returncode == 9, died.stderr
    assert waiting(any_database) == []
    wish(any_database, 12)
    assert waiting(any_database) == [12]


KILLED = """
import os, sys
from kb import outbox
from kb.db import Database
with Database(sys.argv[1]).writing() as session:
    outbox.add(session, outbox.WishKind.INDEX_ASSET, 11)
    session.flush()
    os._exit(9)
"""


def test_the_same_object_wished_for_twice_is_worked_on_once_a_batch(any_database: Service) -> None:
    work = Work()
    wish(any_database, 11, 12, 11)
    assert outbox.drain(any_database.database, {INDEX: work}) == 3
    assert work.batches == [(11, 12)]


def test_each_kind_goes_to_its_handler_and_kinds_without_one_wait(any_database: Service) -> None:
    index, rebuild = Work(), Work()
    wish(any_database, 11)
    wish(any_database, 0, kind=REBUILD)
    wish(any_database, 12)
    assert outbox.drain(any_database.database, {INDEX: index}) == 2
    assert (index.done, waiting(any_database)) == ([11, 12], [0])
    assert outbox.drain(any_database.database, {INDEX: index, REBUILD: rebuild}) == 1
    assert (index.done, rebuild.done) == ([11, 12], [0])


def test_a_wish_for_later_waits_for_its_moment(any_database: Service, time: Traveller) -> None:
    work = Work()
    wish(any_database, 11, due_at=START + timedelta(hours=1))
    assert outbox.drain(any_database.database, {INDEX: work}) == 0
    time.shift(timedelta(hours=1))
    assert outbox.drain(any_database.database, {INDEX: work}) == 1
    assert work.done == [11]


def test_large_backlogs_are_done_batch_by_batch(any_database: Service) -> None:
    work = Work()
    wish(any_database, *range(1, 26))
    assert outbox.drain(any_database.database, {INDEX: work}, limit=10) == 25
    assert [len(batch) for batch in work.batches] == [10, 10, 5]


def test_a_failure_is_tried_again_with_growing_gaps_until_it_is_a_dead_letter(
    any_database: Service, time: Traveller
) -> None:
    work = Work(11)
    wish(any_database, 11)
    gaps = []
    for attempt in range(1, 8):
        outbox.drain(any_database.database, {INDEX: work})
        found = only(any_database)
        assert (found.attempts, found.dead_at, found.lease_until) == (attempt, None, None)
        assert found.error == "RuntimeError: no good"
        gaps.append((found.due_at - clock.now()).total_seconds())
        assert outbox.drain(any_database.database, {INDEX: work}) == 0
        assert len(work.batches) == attempt
        time.shift(gaps[-1])
    assert gaps == [1, 2, 4, 8, 16, 32, 64]
    outbox.drain(any_database.database, {INDEX: work})
    assert only(any_database).dead_at == clock.now()
    assert (backlog(any_database).waiting, backlog(any_database).dead) == (0, 1)
    time.shift(timedelta(days=30))
    assert outbox.drain(any_database.database, {INDEX: work}) == 0
    assert len(work.batches) == 8


def test_a_dead_letter_gets_its_tries_again_when_a_person_says_so(any_database: Service, time: Traveller) -> None:
    work = Work(11)
    wish(any_database, 11)
    for _ in range(8):
        outbox.drain(any_database.database, {INDEX: work})
        time.shift(timedelta(minutes=5))
    work.poison.clear()
    with any_database.database.writing() as session:
        assert outbox.revive(session) == 1
    assert outbox.drain(any_database.database, {INDEX: work}) == 1
    assert (work.done, backlog(any_database)) == ([11], Backlog(0, 0, None))


def test_one_poison_wish_does_not_stop_the_others(any_database: Service, time: Traveller) -> None:
    work = Work(13)
    wish(any_database, 11, 12, 13, 14)
    outbox.drain(any_database.database, {INDEX: work})
    time.shift(timedelta(seconds=1))
    assert outbox.drain(any_database.database, {INDEX: work}) == 3
    assert sorted(work.done) == [11, 12, 14]
    assert waiting(any_database) == [13]
    wish(any_database, 15)
    assert outbox.drain(any_database.database, {INDEX: work}) == 1


def test_not_now_is_tried_again_soon_and_not_counted(any_database: Service, time: Traveller) -> None:
    work = Work(11, error=NotNow)
    wish(any_database, 11)
    for _ in range(20):
        assert outbox.drain(any_database.database, {INDEX: work}) == 0
        found = only(any_database)
        assert (found.attempts, found.dead_at, found.error, found.due_at - clock.now()) == (
            0,
            None,
            "",
            timedelta(seconds=1),
        )
        time.shift(timedelta(seconds=1))
    work.poison.clear()
    assert outbox.drain(any_database.database, {INDEX: work}) == 1


def test_a_lease_keeps_others_off_until_it_expires(any_database: Service, time: Traveller) -> None:
    wish(any_database, 11)
    with any_database.database.writing() as session:
        first = outbox.claim(session, [INDEX])
    assert first is not None
    work = Work()
    assert outbox.drain(any_database.database, {INDEX: work}) == 0
    time.shift(outbox.LEASE)
    assert outbox.drain(any_database.database, {INDEX: work}) == 0
    time.shift(timedelta(seconds=1))
    assert outbox.drain(any_database.database, {INDEX: work}) == 1
    assert (first.object_ids, work.done) == ((11,), [11])


def test_leases_of_a_crashed_worker_can_be_ended_at_once(any_database: Service) -> None:
    wish(any_database, 11)
    with any_database.database.writing() as session:
        outbox.claim(session, [INDEX])
    with any_database.database.writing() as session:
        outbox.release(session, [INDEX])
    assert outbox.drain(any_database.database, {INDEX: Work()}) == 1


def test_two_drains_at_once_never_do_the_same_wish(any_database: Service) -> None:
    wish(any_database, *range(1, 61))
    done: list[int] = []
    lock, together = Lock(), Barrier(2)

    def work(object_ids: Sequence[int]) -> None:
        with lock:
            done.extend(object_ids)

    def drain(_number: int) -> int:
        together.wait(timeout=10)
        return outbox.drain(any_database.database, {INDEX: work}, limit=3)

    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(drain, range(2)))
    rest = outbox.drain(any_database.database, {INDEX: work})
    assert sum(counts) + rest == 60
    assert sorted(done) == list(range(1, 61))


def test_the_reason_of_a_failure_is_kept_short(any_database: Service) -> None:
    wish(any_database, 11)
    outbox.drain(any_database.database, {INDEX: Work(11, error=lambda: RuntimeError("x" * 10_000))})
    assert len(only(any_database).error) == 500
