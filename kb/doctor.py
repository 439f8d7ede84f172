"""Looks at an installation from outside: ok, or what to do."""

import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass

from kb import audit, config, migrate, outbox
from kb.config import Settings, prepare_data_dir
from kb.db import Database
from kb.errors import WrongSettings

LEAST_FREE_MB = 500


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    ok: bool
    message: str


Check = Callable[[Settings, Database], str]
"""Answers what is well; raises WrongSettings with what to do."""


def examine(further: dict[str, Check] | None = None) -> list[Finding]:
    """Settings first; where they are wrong nothing else can be asked."""
    try:
        settings = prepare_data_dir(config.load())
    except WrongSettings as mistake:
        return [Finding("settings", False, str(mistake).replace("\n", "; "))]
    database = Database(settings.sqlalchemy_url)
    checks: dict[str, Check] = {
        "folder": _folder,
        "disk": _disk,
        "database": _database,
        "queue": _queue,
        "audit": _audit,
        **(further or {}),
    }
    findings = [Finding("settings", True, f"read; database {database.engine.url.render_as_string(hide_password=True)}")]
    findings += [_finding(part, check, settings, database) for part, check in checks.items()]
    database.close()
    return findings


def _finding(part: str, check: Check, settings: Settings, database: Database) -> Finding:
    try:
        return Finding(part, True, check(settings, database))
    except WrongSettings as problem:
        return Finding(part, False, str(problem))
    except Exception as error:  # whatever is broken, the doctor says so and goes on
        return Finding(part, False, f"{type(error).__name__}: {error}".splitlines()[0][:200])


def _folder(settings: Settings, _database: Database) -> str:
    mode = stat.S_IMODE(settings.data_dir.stat().st_mode)
    if mode & 0o077:
        raise WrongSettings(f"{settings.data_dir} can be read by others (mode {mode:o}): chmod 700 {settings.data_dir}")
    return f"{settings.data_dir}, mode {mode:o}"


def _disk(settings: Settings, _database: Database) -> str:
    free = shutil.disk_usage(settings.data_dir).free // 1024**2
    if free < LEAST_FREE_MB:
        raise WrongSettings(f"only {free} MB free where {settings.data_dir} lies: make room before writes are refused")
    return f"{free} MB free"


def _database(_settings: Settings, database: Database) -> str:
    migrate.require_current(database)
    return f"schema {migrate.revision(database)}"


def _queue(_settings: Settings, database: Database) -> str:
    with database.reading() as session:
        backlog = outbox.backlog(session)
    if backlog.dead:
        raise WrongSettings(
            f"{backlog.dead} wishes failed eight times: see the error in table wish, mend it, then `kb index check`"
        )
    return f"{backlog.waiting} waiting"


def _audit(_settings: Settings, database: Database) -> str:
    with database.reading() as session:
        found = audit.verify(session)
    if not found.intact:
        raise WrongSettings(f"the trail is broken: {found.reason}")
    return f"{found.entries} entries, chain intact"
