"""Fixtures of the platform's tests: the `kb` command in this process, and password hashes that cost little."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any, Protocol

import pytest
import structlog
from argon2 import PasswordHasher

from kb import cli, users
from kb.config import Settings
from tests.conftest import SECRET


@pytest.fixture
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same hash with the least cost, where a test signs in many times."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(users, "_hasher", cheap)
    users._nobodys_hash.cache_clear()
    yield
    users._nobodys_hash.cache_clear()


@dataclass(frozen=True)
class Ran:
    """What a command answered."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON value on standard output; fails where there is anything else."""
        return json.loads(self.out)


class Kb(Protocol):
    def __call__(self, *arguments: object, stdin: str = "") -> Ran: ...


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests reaches the command."""
    for name in [name for name in os.environ if name.startswith("KB_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def kb(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: Settings,
    bare_environment: None,
) -> Iterator[Kb]:
    """Runs `kb …` on a migrated, empty installation as a shell would see it."""
    monkeypatch.setenv("KB_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("KB_SECRET_KEY", SECRET)

    def run(*arguments: object, stdin: str = "") -> Ran:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["kb", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", StringIO(stdin))
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    yield run
    structlog.reset_defaults()
    logging.raiseExceptions = True
