"""The loop: awake within a second of a wish, and not to be ended by any one mistake."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Queue
from time import monotonic

import pytest
from sqlalchemy.exc import OperationalError

from kb import outbox, worker
from kb.app import Service
from kb.db import Database
from kb.outbox import NotNow, Wish, WishKind
from kb.worker import Worker

PATIENCE = 20
"""Seconds after which a test gives up; far more than any machine needs."""


def wish(database: Database, object_id: int) -> None:
    with database.writing() as session:
        outbox.add(session, WishKind.INDEX_ASSET, object_id)


@contextmanager
def running(service: Service, handler: outbox.Handler, *sweeps: worker.Sweep) -> Iterator[Worker]:
    loop = Worker(service.database, {WishKind.INDEX_ASSET: handler}, sweeps)
    thread = worker.start_in_background(loop)
    try:
        yield loop
    finally:
        loop.stop()
        wish(service.database, 0)
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only being woken helps: the sweep comes far too late."""
    monkeypatch.setattr(worker, "SWEEP_SECONDS", 600.0)
    monkeypatch.setattr(worker, "LISTEN_SECONDS", 600.0)


@pytest.mark.usefixtures("no_sweep")
def test_a_wish_of_another_connection_wakes_the_worker_within_a_second(any_database: Service) -> None:
    done: Queue[int] = Queue()
    elsewhere = Database(any_database.settings.sqlalchemy_url)

    def work(object_ids: Sequence[int]) -> None:
        for object_id in object_ids:
            done.put(object_id)

    took = []
    with running(any_database, work):
        for number in range(1, 6):
            started = monotonic()
            wish(elsewhere, number)
            assert done.get(timeout=PATIENCE) == number
            took.append(monotonic() - started)
    elsewhere.close()
    assert sorted(took)[2] < 1.0, took


@pytest.mark.usefixtures("no_sweep")
def test_commits_wake_it_but_do_not_make_it_sweep(any_database: Service) -> None:
    """Each search commits what was asked: a sweep for each would cost more than the searches."""
    done: Queue[int] = Queue()
    swept: list[int] = []
    with running(any_database, lambda object_ids: done.put(object_ids[0]), lambda: swept.append(1)):
        for number in range(1, 4):
            wish(any_database.database, number)
            assert done.get(timeout=PATIENCE) == number
    assert swept == [1]


def test_what_waited_while_no_worker_ran_is_done_at_its_start(any_database: Service) -> None:
    done: Queue[int] = Queue()
    wish(any_database.database, 11)
    with running(any_database, lambda object_ids: done.put(object_ids[0])):
        assert done.get(timeout=PATIENCE) == 11


def test_a_crashed_workers_lease_does_not_hold_up_the_next_start(service: Service) -> None:
    wish(service.database, 11)
    with service.database.writing() as session:
        assert outbox.claim(session, [WishKind.INDEX_ASSET]) is not None
    done: Queue[int] = Queue()
    with running(service, lambda object_ids: done.put(object_ids[0])):
        assert done.get(timeout=PATIENCE) == 11


def test_a_database_that_is_lost_is_waited_for(any_database: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SWEEP_SECONDS", 0.01)
    drain, failures = outbox.drain, [OperationalError("SELECT", {}, Exception("gone"))] * 3

    def unsteady(*arguments: object) -> int:
        if failures:
            raise failures.pop()
        return drain(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox, "drain", unsteady)
    done: Queue[int] = Queue()
    wish(any_database.database, 11)
    with running(any_database, lambda object_ids: done.put(object_ids[0])):
        assert done.get(timeout=PATIENCE) == 11
    assert failures == []


@pytest.mark.parametrize("mistake", [RuntimeError, NotNow])
def test_one_sweep_that_fails_stops_neither_the_others_nor_the_wishes(
    service: Service, mistake: Callable[[], Exception]
) -> None:
    swept, done = [], []

    def broken() -> None:
        raise mistake()

    loop = Worker(service.database, {WishKind.INDEX_ASSET: done.extend}, [broken, lambda: swept.append(1)])
    wish(service.database, 11)
    assert loop.once() == 1
    assert (swept, done) == ([1], [11])
    with service.database.reading() as session:
        assert session.query(Wish).count() == 0
