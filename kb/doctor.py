"""Looks at an installation from outside: ok, or what to do."""

import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import func, select

from kb import audit, backup, clock, config, mail, migrate, outbox, second_factor, users
from kb.access import Role
from kb.audit import AuditEntry
from kb.config import LOOPBACK, Settings, prepare_data_dir
from kb.db import Database
from kb.errors import WrongSettings
from kb.single_sign_on import Provider

LEAST_FREE_MB = 500
ROOM = 3
"""How many times its size a database should have free: for a backup's copy, the backup, and growth."""
BACKUP_EVERY = timedelta(days=7)
LEAST_SIGNS = 10
"""A key of fewer different characters is a pattern, not a secret."""


@dataclass(frozen=True, slots=True)
class Finding:
    part: str
    ok: bool
    message: str
    advice: bool = False
    """It works, and something is better done."""

    @property
    def mark(self) -> str:
        return "note" if self.advice else "ok  " if self.ok else "LOOK"


class Advice(Exception):
    """What a check would do in the operator's place; nothing is broken."""


Check = Callable[[Settings, Database], str]
"""Answers what is well; raises WrongSettings with what to do, or Advice."""


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
        "backup": _backup,
        "key": _key,
        "address": _address,
        "mail": lambda settings, _database: mail.check(settings),
        "sign-on": lambda settings, _database: _sign_on(settings),
        "admins": _admins,
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
    except Advice as advice:
        return Finding(part, True, str(advice), advice=True)
    except Exception as error:  # whatever is broken, the doctor says so and goes on
        return Finding(part, False, f"{type(error).__name__}: {error}".splitlines()[0][:200])


def _sign_on(settings: Settings) -> str:
    if not settings.oidc_issuer:
        return "off: people sign in with passwords"
    told = Provider(settings).check()
    return told if settings.local_sign_in else f"{told}; no passwords"


def _admins(settings: Settings, database: Database) -> str:
    """Administrators who sign in with a password alone are what a guesser looks for."""
    with database.reading() as session:
        admins = users.with_roles(session, Role.ADMIN)
        bare = [one for one in admins if not second_factor.is_on(session, one)]
        names = sorted(users.list_emails(session, bare).values())
    if not admins:
        raise Advice("nobody administers: `kb user add ADDRESS --role admin`")
    if bare and settings.local_sign_in:
        raise Advice(f"no second factor: {', '.join(names[:5])}{' …' if len(names) > 5 else ''} (their account page)")
    return f"{len(admins)}, each with a second factor" if not bare else f"{len(admins)}, by single sign-on"


def _folder(settings: Settings, _database: Database) -> str:
    mode = stat.S_IMODE(settings.data_dir.stat().st_mode)
    if mode & 0o077:
        raise WrongSettings(f"{settings.data_dir} can be read by others (mode {mode:o}): chmod 700 {settings.data_dir}")
    return f"{settings.data_dir}, mode {mode:o}"


def _disk(settings: Settings, database: Database) -> str:
    free = shutil.disk_usage(settings.data_dir).free // 1024**2
    if free < LEAST_FREE_MB:
        raise WrongSettings(f"only {free} MB free where {settings.data_dir} lies: make room before writes are refused")
    name = database.engine.url.database if database.is_sqlite else None
    size = Path(name).stat().st_size // 1024**2 if name else 0
    if free < ROOM * size:
        raise Advice(f"{free} MB free and a database of {size} MB: a backup and its restoring need {ROOM} times that")
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


def _backup(_settings: Settings, database: Database) -> str:
    """Advice after a week: an installation of yesterday, or somebody's first look around, is not told off."""
    with database.reading() as session:
        taken_at = backup.last_taken_at(session)
        began_at = session.scalar(select(func.min(AuditEntry.at)))
    week_ago = clock.now() - BACKUP_EVERY
    if taken_at is None and (began_at is None or began_at > week_ago):
        return "none yet; `kb backup FILE` makes one while the service goes on"
    if taken_at is None or taken_at <= week_ago:
        last = f"the last one is {(clock.now() - taken_at).days} days old" if taken_at else "there has never been one"
        raise Advice(f"{last}: let `kb backup FILE` run every night, and keep the file on another machine")
    return f"made {taken_at:%Y-%m-%d %H:%M} UTC"


def _key(settings: Settings, _database: Database) -> str:
    path = settings.secret_file
    if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise WrongSettings(f"{path} can be read by others: chmod 600 {path}")
    if len(set(settings.secret_key)) < LEAST_SIGNS:
        raise WrongSettings("KB_SECRET_KEY is a pattern that can be guessed: leave it empty and one is made")
    if former := config.former_keys(settings):
        raise Advice(
            f"{len(former)} former keys still hold: 12 hours after the rotation everybody has a new cookie, then "
            "`kb key forget`, or empty KB_FORMER_SECRET_KEYS"
        )
    return f"{path}, mode 600" if path.is_file() else "given by KB_SECRET_KEY"


def _address(settings: Settings, database: Database) -> str:
    if weak := [*_weak_web(settings), *_weak_connection(database)]:
        raise Advice("; ".join(weak))
    return settings.base_url or "this machine alone"


def _weak_web(settings: Settings) -> list[str]:
    parts, found = urlsplit(settings.base_url), []
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        found.append("passwords and texts travel readable: put https in front and remove KB_ALLOW_HTTP")
    elif settings.allow_http:
        found.append("KB_ALLOW_HTTP=1 is not needed here: remove it")
    if settings.is_https and not settings.trusted_proxies:
        found.append("https comes from a proxy: set KB_TRUSTED_PROXIES=1, else all people count as one address")
    if settings.trusted_proxies and not settings.base_url:
        found.append("KB_TRUSTED_PROXIES believes what any sender says: set KB_BASE_URL and let only the proxy in")
    if settings.log_level == "DEBUG":
        found.append("KB_LOG_LEVEL=DEBUG writes much more than is needed: INFO is enough")
    return found


def _weak_connection(database: Database) -> list[str]:
    url = database.engine.url
    is_near = database.is_sqlite or not url.host or url.host in LOOPBACK or url.host.startswith("/")
    if is_near or url.query.get("sslmode") in {"require", "verify-ca", "verify-full"}:
        return []
    return ["rows travel to the database server readable: add ?sslmode=require to KB_DATABASE_URL"]
