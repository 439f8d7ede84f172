"""Fixtures of the attacks: logs as the service writes them, cheap hashes, and what the database holds."""

import logging
from collections.abc import Callable, Iterator
from io import StringIO

import pytest
import structlog
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import event, select

from kb import users
from kb.app import Service, configure_logging, create_app
from kb.audit import AuditEntry
from kb.db import Base
from kb.users import User
from tests.conftest import Browser
from tests.leaks.world import hurry, open_browser

TRACES = frozenset({"audit_entry", "search", "sign_in_try", "signed_in", "alembic_version"})
"""Tables that a mere attempt may write to."""

Rows = dict[str, list[tuple[object, ...]]]


@pytest.fixture(autouse=True)
def service_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """Everything the service would write to its log, through the processors it uses in production."""
    kept, root = StringIO(), logging.getLogger()
    before, level = structlog.get_config(), root.level
    configure_logging("DEBUG")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(kept), cache_logger_on_first_use=False)
    handler = logging.StreamHandler(kept)
    root.addHandler(handler)
    yield kept
    root.removeHandler(handler)
    root.setLevel(level)
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def _quick(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hash with the least cost, and no waiting for the disk."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(users, "_hasher", cheap)
    event.listen(service.database.engine, "connect", hurry)
    service.database.engine.dispose()


@pytest.fixture
def rows(service: Service) -> Callable[[], Rows]:
    """All rows but traces of the attempt: equal before and after means that nothing changed."""

    def read() -> Rows:
        with service.database.reading() as session:
            tables = [table for table in Base.metadata.sorted_tables if table.name not in TRACES]
            return {
                table.name: [tuple(row) for row in session.execute(select(table).order_by(*table.primary_key.columns))]
                for table in tables
            }

    return read


@pytest.fixture
def trail(service: Service) -> Callable[[], list[AuditEntry]]:
    def read() -> list[AuditEntry]:
        with service.database.reading() as session:
            return list(session.scalars(select(AuditEntry).order_by(AuditEntry.sequence)))

    return read


@pytest.fixture
def enter_any(any_database: Service) -> Callable[[User | None], Browser]:
    """A signed-in browser on each of the databases."""
    app: Flask = create_app(any_database)
    return lambda user: open_browser(app, any_database, user)


def anonymous_form(browser: Browser) -> Browser:
    """Give a browser that nobody is signed in with the token of the sign-in form."""
    browser.csrf = browser.get("/sign-in").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    assert browser.csrf
    return browser
