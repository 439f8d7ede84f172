"""Backups taken under load, and processes that die while they take or restore one: the former state or the new one."""

import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet
from sqlalchemy import func, select, text

from content.models import Asset, UseEvent, Version
from kb import audit, backup, users
from kb.access import SYSTEM, Role
from kb.app import Service, open_service
from kb.config import Settings
from kb.db import Database
from kb.restore import Restore, Wanted
from kb.users import NewUser, User
from search import feed, upkeep
from tests.backups import fill, manifest_of, rows, take
from tests.factories import Make
from tests.faults import crashing
from tests.faults.test_kill import ROOT, ROUNDS, assert_whole, run

WRITERS = 3
SECONDS = 60


class Writer(threading.Thread):
    """Writes through the services, one thing after another, and remembers what was acknowledged."""

    def __init__(self, make: Make, number: int, stop: threading.Event) -> None:
        super().__init__(name=f"writer-{number}", daemon=True)
        self.make, self.number, self.stop_asked = make, number, stop
        self.acknowledged: list[str] = []
        self.mistakes: list[BaseException] = []

    def run(self) -> None:
        try:
            while not self.stop_asked.is_set():
                self._write(f"W{self.number}-{len(self.acknowledged)}")
        except BaseException as mistake:  # shown by the test, which is another thread
            self.mistakes.append(mistake)

    def _write(self, name: str) -> None:
        with self.make.service.database.writing() as session:
            person = users.add(session, SYSTEM, NewUser(f"{name}@yunshu.example".casefold(), roles=(Role.REP,)))
        asset = self.make.asset(f"title of {name}", f"## Say\n\nText of {name}\n", external_id=name)
        self.make.use(person, asset)
        self.acknowledged.append(name)


@pytest.fixture
def load(any_database: Service, make_any: Make) -> Iterator[Callable[[int], list[list[str]]]]:
    """Starts the writers; called with a number it waits until each has written so many, and says what they have."""
    stop = threading.Event()
    writers = [Writer(make_any, number, stop) for number in range(WRITERS)]
    for writer in writers:
        writer.start()

    def acknowledged(at_least: int) -> list[list[str]]:
        pause = threading.Event()
        for _ in range(SECONDS * 50):
            assert [writer.mistakes for writer in writers] == [[]] * WRITERS
            if all(len(writer.acknowledged) >= at_least for writer in writers):
                break
            pause.wait(0.02)
        return [list(writer.acknowledged) for writer in writers]

    yield acknowledged
    stop.set()
    for writer in writers:
        writer.join(SECONDS)
        assert writer.mistakes == []


def test_F27_a_backup_under_load_is_one_moment_and_restores_whole(
    any_database: Service, new_place: Settings, tmp_path: Path, load: Callable[[int], list[list[str]]]
) -> None:
    before = load(3)
    made = take(any_database, tmp_path / "b.zip")
    after = load(len(max(load(0), key=len)) + 1)
    Restore(new_place, SYSTEM).run(made.path)
    opened = open_service(new_place)
    upkeep.rebuild(opened.database, opened.engine)
    with opened.database.reading() as session:
        there = set(session.scalars(select(Asset.external_id)))
        events = session.scalar(select(func.count()).select_from(UseEvent)) or 0
        loads = session.scalar(
            select(func.count()).select_from(audit.AuditEntry).where(audit.AuditEntry.action == "version.load")
        )
        published = session.scalar(select(func.count()).select_from(Version).where(Version.state == "published"))
        people = session.scalar(select(func.count()).select_from(User)) or 0
    for first, last in zip(before, after, strict=True):
        found = [name for name in last if name in there]
        assert found == last[: len(found)], "what was written later is not there without what came before"
        assert len(found) >= len(first), "what was acknowledged before is there"
    assert len(there) < sum(map(len, after)), "writing went on"
    assert loads == published == len(there), "each text is published with its trace"
    assert events <= len(there) <= people <= events + 2 * WRITERS
    assert_whole(opened)
    opened.close()


def test_F27_writers_go_on_while_a_backup_reads_and_are_not_seen_by_it(
    any_database: Service, make_any: Make, tmp_path: Path
) -> None:
    make_any.asset()

    def write(name: str) -> None:
        if name == "moment_fixed":
            make_any.asset(external_id="MEANWHILE")

    backup.create(any_database.database, any_database.settings, SYSTEM, tmp_path / "b.zip", fail_point=write)
    assert manifest_of(tmp_path / "b.zip")["state"]["counts"]["asset"] == 1
    place = replace(any_database.settings, data_dir=tmp_path / "new", database_url="")
    if any_database.database.is_sqlite:
        Restore(place, SYSTEM).run(tmp_path / "b.zip")
        assert len(rows(Database(place.sqlalchemy_url))["asset"]) == 1
    assert len(rows(any_database.database)["asset"]) == 2


def later(point: str) -> ParameterSet:
    """A step that differs little from its neighbours: left to the long rounds."""
    return pytest.param(point, marks=pytest.mark.soak)


BACKUP_POINTS = [later("moment_fixed"), "database_copied", later("written"), "recorded", "in_place"]


@pytest.mark.parametrize("point", BACKUP_POINTS)
def test_F27_a_backup_that_dies_leaves_the_former_file_or_the_new_one(
    any_database: Service, make_any: Make, tmp_path: Path, point: str
) -> None:
    fill(make_any)
    former = take(any_database, tmp_path / "b.zip")
    make_any.asset(external_id="SINCE")
    assert run(any_database, tmp_path, "backup", point) == crashing.DIED
    is_new = point == "in_place"
    assert (hashlib.sha256((tmp_path / "b.zip").read_bytes()).hexdigest() == former.sha256) is not is_new
    assert manifest_of(tmp_path / "b.zip")["state"]["counts"]["asset"] == 4 + is_new
    assert_whole(any_database)


@pytest.fixture
def standing(any_database: Service, make_any: Make, new_place: Settings, tmp_path: Path) -> Settings:
    """An installation of three assets and its key where a backup of four waits to be restored."""
    for number in range(3):
        make_any.asset(external_id=f"OLD-{number}")
    any_database.settings.secret_file.write_text("the key of what stands there, to be kept")
    first = take(any_database, tmp_path / "first.zip")
    place = replace(new_place, data_dir=tmp_path / "place" / "data")
    Restore(place, SYSTEM).run(first.path)
    fill(make_any)
    take(any_database, tmp_path / "place" / "b.zip")
    return place


def open_place(place: Settings) -> Service:
    opened = open_service(place)
    feed.FirstLook(opened.database, opened.engine)()
    return opened


def kept_aside(place: Settings) -> list[Mapping[str, list[str]]]:
    """The rows of every installation that a restore put aside here."""
    if not place.database_url:
        files = place.data_dir.glob("before-restore-*/kb.sqlite3")
        return [rows(Database(f"sqlite:///{file}")) for file in files]
    here = Database(place.database_url)
    with here.engine.connect() as connection:
        schemas = connection.scalars(
            text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'before_restore_%'")
        ).all()
    here.close()
    asides = [Database(f"{place.database_url}&options=-csearch_path%3D{schema}") for schema in schemas]
    found = [rows(aside) for aside in asides]
    for aside in asides:
        aside.close()
    return found


RESTORE_POINTS = [later("checked"), later("unpacked"), "made_ready", "before_takeover", "after_takeover"]


@pytest.mark.parametrize("point", RESTORE_POINTS)
def test_F27_a_restore_that_dies_leaves_the_former_installation_or_the_new_one(
    any_database: Service, standing: Settings, point: str
) -> None:
    opened = open_place(standing)
    former = rows(opened.database)
    opened.close()
    assert run(opened, standing.data_dir.parent, "restore", point) == crashing.DIED
    opened = open_place(standing)
    found = rows(opened.database)
    assert_whole(opened)
    if point == "after_takeover":
        assert found == rows(any_database.database)
    else:
        assert found == former
    opened.close()
    Restore(standing, SYSTEM, Wanted(force=True)).run(standing.data_dir.parent / "b.zip")
    opened = open_place(standing)
    assert rows(opened.database) == rows(any_database.database), "a second run completes it"
    assert_whole(opened)
    opened.close()
    assert point != "after_takeover" or former in kept_aside(standing), "nothing of what stood there is lost"
    left = {path.name.partition("-2")[0] for path in standing.data_dir.iterdir()}
    assert left <= {"kb.sqlite3", "secret.key", "migrate.lock", "index", "files", "before-restore"}, left


def test_F27_restores_killed_at_random_moments_leave_one_or_the_other(
    any_database: Service, standing: Settings
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    opened = open_place(standing)
    states = [rows(opened.database), rows(any_database.database)]
    opened.close()
    for _ in range(ROUNDS):
        _kill_restore(standing, moments.uniform(0.7, 2.5))
        opened = open_place(standing)
        found = rows(opened.database)
        assert_whole(opened)
        opened.close()
        assert any(all(found[name] == state[name] for name in state if name != "wish") for state in states)


def _kill_restore(place: Settings, after_seconds: float) -> None:
    settings = {"KB_DATA_DIR": str(place.data_dir), "KB_DATABASE_URL": place.database_url}
    command = [sys.executable, "-m", "kb.cli", "restore", str(place.data_dir.parent / "b.zip"), "--force"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(timeout=after_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
