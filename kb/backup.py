"""Takes a backup: one file with a consistent copy of the database, the files and the key; service goes on meanwhile.

The database is copied at one moment, the files after it: bytes lie there before a row names them, so that no row
lacks its file. The index is left out, since it is rebuilt; vectors are rows and come along.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from psycopg import Error as DriverError
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from kb import archive, audit, clock, migrate, tables
from kb.access import Actor, Permission, require
from kb.archive import Manifest, Progress, State, Writer
from kb.audit import GENESIS, AuditEntry
from kb.config import Settings
from kb.db import Database
from kb.errors import Conflict, KbError

ACTION: Final = "backup.create"
LEFT_OVER: Final = timedelta(hours=6)
"""A half-made backup older than this belongs to a process that died."""
FailPoint = Callable[[str], None]
"""Called with the name of a step; tests end the process there."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made and read back."""

    path: Path
    size: int
    sha256: str
    manifest: Manifest

    @property
    def rows(self) -> int:
        return sum(self.manifest.state.counts.values())

    @property
    def files(self) -> int:
        return sum(name.startswith(archive.FILES) for name in self.manifest.members)


class FileInUse(Conflict):
    """A backup never takes the place of something else unasked."""

    code = "file_in_use"


class CannotBackUp(KbError):
    """The backup was not made; what stood there before still does."""

    code = "cannot_back_up"


def create(
    database: Database,
    settings: Settings,
    actor: Actor,
    path: Path,
    *,
    replace: bool = False,
    progress: Progress = lambda _done, _all: None,
    fail_point: FailPoint = lambda _name: None,
) -> Backup:
    """Write the backup beside `path`, read it back, note it in the trail, and put it in place by one rename."""
    require(actor, Permission.ADMINISTER)
    if database.is_sqlite and not Path(str(database.engine.url.database)).is_file():
        raise CannotBackUp(f"There is no installation in {settings.data_dir}: KB_DATA_DIR names its folder.")
    if path.is_dir() or (path.exists() and not replace):
        raise FileInUse(f"{path} is there already: name another file, or replace it with --force.")
    try:
        with _workplace(path) as folder:
            fresh = folder / "archive"
            manifest = _write(database, settings, folder, fail_point)
            fail_point("written")
            with archive.opened(fresh) as reader:
                reader.verify(progress)
            made = Backup(path, fresh.stat().st_size, sha256_of(fresh), manifest)
            keep_on_disk(fresh)
            with database.writing() as session:
                _record(session, actor, made)
            fail_point("recorded")
            fresh.replace(path)
            keep_on_disk(path.parent)
            fail_point("in_place")
            return made
    except (OSError, sqlite3.Error, DriverError) as error:
        raise CannotBackUp(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}.") from None


def last_taken_at(session: Session) -> datetime | None:
    """When the trail says that a backup was made, last."""
    newest = select(AuditEntry.at).where(AuditEntry.action == ACTION).order_by(AuditEntry.sequence.desc())
    return session.scalar(newest.limit(1))


@contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A folder beside the backup for what is not ready; those of processes that died are cleared away."""
    for left in path.parent.glob(f".{path.name}.*.partial"):
        age = clock.now().timestamp() - left.stat().st_mtime
        if age > LEFT_OVER.total_seconds():
            shutil.rmtree(left, ignore_errors=True)
    folder = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(database: Database, settings: Settings, folder: Path, fail_point: FailPoint) -> Manifest:
    with closing(Writer(folder / "archive")) as writer:
        taken_at = clock.now()
        copy = _copy_sqlite if database.is_sqlite else _copy_postgresql
        state = copy(database, folder, writer, fail_point)
        fail_point("database_copied")
        _copy_files(settings, writer)
        manifest = Manifest(
            format=archive.FORMAT,
            release=archive.release(),
            taken_at=taken_at.isoformat(),
            database=database.engine.dialect.name,
            state=state,
            members=writer.members,
        )
        writer.finish(manifest)
    return manifest


def _copy_sqlite(database: Database, folder: Path, writer: Writer, fail_point: FailPoint) -> State:
    """By SQLite's own copying, out of one reading transaction: writers are neither stopped nor seen half way."""
    copy = folder / archive.DATABASE
    with database.reading() as session:
        connection = session.connection()
        state = state_of(connection)
        fail_point("moment_fixed")
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        with _single_file(copy) as target:
            source.backup(target)
    writer.add_file(archive.DATABASE, copy)
    copy.unlink()
    return state


@contextmanager
def _single_file(path: Path) -> Iterator[sqlite3.Connection]:
    """A database without a log beside it when it is closed; raises CannotBackUp where what was copied is damaged."""
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
        connection.execute("PRAGMA journal_mode=DELETE")
        if mistakes := sqlite_mistakes(connection):
            raise CannotBackUp(f"The database is damaged ({mistakes}): restore the last backup, or ask for help.")
    finally:
        connection.close()


def sqlite_mistakes(connection: sqlite3.Connection) -> str:
    """What a look through the whole database finds wrong; empty where it is sound."""
    told = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    if told != ["ok"]:
        return "; ".join(told)
    dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
    return f"a row of {dangling[0]} refers to a missing one of {dangling[2]}" if dangling else ""


def _copy_postgresql(database: Database, _folder: Path, writer: Writer, fail_point: FailPoint) -> State:
    """Table by table as text, in one transaction that sees one moment."""
    engine = database.engine.execution_options(isolation_level="REPEATABLE READ", kb_write=False)
    with engine.connect() as connection, connection.begin():
        tables.plainly(connection)
        state = state_of(connection)
        fail_point("moment_fixed")
        for name, columns in state.columns.items():
            writer.add(table_member(name), tables.dump(connection, name, columns))
        return state


def table_member(table: str) -> str:
    return f"{archive.TABLES}{table}.copy"


def state_of(connection: Connection) -> State:
    """What the database holds at the moment this transaction sees; raises CannotBackUp for an unknown schema."""
    revision = migrate.revision_on(connection)
    if revision is None or not migrate.knows(revision):
        raise CannotBackUp(
            "The database is empty: there is nothing to keep."
            if revision is None
            else f"The database is at schema {revision}, which this release does not know: use the newest release."
        )
    names = tables.names(connection)
    last = connection.execute(text("SELECT sequence, hash FROM audit_entry ORDER BY sequence DESC LIMIT 1")).first()
    on_postgresql = connection.dialect.name == "postgresql"
    return State(
        revision=revision,
        counts=tables.counts(connection, names),
        audit_entries=last.sequence if last else 0,
        audit_head=last.hash if last else GENESIS,
        columns={name: tables.columns(connection, name) for name in names} if on_postgresql else {},
        sequences=tables.numberings(connection, names) if on_postgresql else (),
    )


def _copy_files(settings: Settings, writer: Writer) -> None:
    if settings.secret_file.is_file():
        writer.add_file(archive.SECRET, settings.secret_file)
    for path in sorted(settings.files_dir.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        name = f"{archive.FILES}{path.relative_to(settings.files_dir).as_posix()}"
        if not archive.is_safe(name):
            raise CannotBackUp(f"{path} has a name that no backup can hold: rename or remove it.")
        try:
            writer.add_file(name, path)
        except FileNotFoundError:  # swept since the folder was read: no row of the copy names it
            continue


def _record(session: Session, actor: Actor, made: Backup) -> None:
    audit.record(
        session,
        actor,
        ACTION,
        "backup",
        made.path.name[:120],
        sha256=made.sha256,
        size=made.size,
        taken_at=made.manifest.taken_at,
        head=made.manifest.state.audit_head,
    )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep_on_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
