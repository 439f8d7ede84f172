"""Puts a backup in place: checked as a whole first, made ready beside, and taken over in one step.

Until that step (a rename on SQLite, a commit on PostgreSQL) the former installation stands as it was; from it on the
restored one does. A process that dies leaves one or the other, and what stood there before is kept aside.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Final
from uuid import uuid4

from filelock import FileLock, Timeout
from psycopg import Error as DriverError
from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from kb import archive, audit, backup, clock, crossing, migrate, outbox, tables
from kb.access import Actor, Permission, require
from kb.archive import Damaged, FromNewerRelease, Manifest, Progress, Reader
from kb.backup import FailPoint
from kb.config import Settings
from kb.db import Database
from kb.errors import Conflict, KbError
from kb.outbox import WishKind
from kb.sessions import SignedIn
from kb.tokens import ApiToken

LOCK: Final = "migrate.lock"
SQLITE: Final = "sqlite"
"""The kind of a backup that holds one file; the other kind holds a text for each table. Either goes into either."""
NOTHING: Final = frozenset({LOCK, "lost+found"})
"""What may lie in a folder that counts as empty."""
READY: Final = ".restoring-"
ASIDE: Final = "before-restore-"
BEFORE: Final = "before"
LOGS: Final = ("-wal", "-shm", "-journal")
LOCK_SECONDS: Final = 2
Say = Callable[[str], None]


class NotEmpty(Conflict):
    """A restore never takes the place of an installation unasked."""

    code = "not_empty"


class InUse(Conflict):
    """Somebody has the database open: two installations in one place would spoil both."""

    code = "in_use"


class CannotRestore(KbError):
    """It did not go through; the message says whether what stood there before still does."""

    code = "cannot_restore"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a backup is to be put in place."""

    force: bool = False
    """Move what stands there aside instead of refusing."""
    end_tokens: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did; `aside` is where the former installation is kept."""

    manifest: Manifest
    revision: str
    ended_sessions: int
    ended_tokens: int
    aside: str


class Restore:
    """One restore of one backup into the installation that the settings name."""

    def __init__(
        self,
        settings: Settings,
        actor: Actor,
        wanted: Wanted = Wanted(),
        say: Say = lambda _text: None,
        fail_point: FailPoint = lambda _name: None,
    ) -> None:
        require(actor, Permission.ADMINISTER)
        self._settings = settings
        self._actor = actor
        self._wanted = wanted
        self._say = say
        self._fail_point = fail_point
        self._is_taken_over = False
        self._database = Database(settings.sqlalchemy_url)
        self._stamp = clock.now().astimezone(settings.zone).strftime("%Y%m%d-%H%M%S-%f")

    def run(self, path: Path, progress: Progress = lambda _done, _all: None) -> Restored:
        """Check, make ready, take over; the index is gone afterwards and must be built."""
        try:
            with archive.opened(path) as reader:
                self._refuse_unfit(reader)
                self._refuse_occupied()
                self._say("Checking every sum")
                reader.verify(progress)
                self._fail_point("checked")
                return self._put_in_place(path, reader)
        except (OSError, sqlite3.Error, DBAPIError, DriverError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "orig", None) or error
            if self._is_taken_over:
                raise CannotRestore(f"The backup is restored, and then something failed: {reason}.") from None
            raise CannotRestore(f"The backup cannot be restored: {reason}. Nothing was replaced.") from None
        finally:
            self._database.close()

    def _refuse_unfit(self, reader: Reader) -> None:
        manifest = reader.manifest
        if not migrate.knows(manifest.state.revision):
            raise FromNewerRelease(
                f"The backup is at schema {manifest.state.revision}, which this release does not know: use a newer one."
            )
        wanted = (
            {archive.DATABASE}
            if manifest.database == SQLITE
            else {backup.table_member(table) for table in manifest.state.columns}
        )
        if missing := wanted - manifest.members.keys():
            raise Damaged(f"The backup lacks {min(missing)}: use another one.")

    def _refuse_occupied(self) -> None:
        """Before anything is made: something stands there, or there is no room."""
        folder = self._settings.data_dir
        occupied = [path.name for path in folder.iterdir() if not _counts_as_nothing(path)] if folder.exists() else []
        if occupied and not self._wanted.force:
            raise NotEmpty(
                f"{folder} is not empty ({', '.join(sorted(occupied)[:3])}): name another folder with KB_DATA_DIR, "
                "or move what is there aside with --force."
            )
        if self._database.is_sqlite and self._database_file.parent.resolve() != folder.resolve():
            raise CannotRestore(
                "A restore puts the database into the data folder: leave KB_DATABASE_URL empty, and move the file later."
            )

    @property
    def _database_file(self) -> Path:
        return Path(str(self._database.engine.url.database))

    def _put_in_place(self, path: Path, reader: Reader) -> Restored:
        folder = self._settings.data_dir
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder / LOCK):
            self._refuse_occupied()
            rescue(folder, self._stamp)
            self._refuse_without_room(reader)
            ready = folder / f"{READY}{uuid4().hex[:8]}"
            ready.mkdir(mode=0o700)
            try:
                take = self._take_sqlite if self._database.is_sqlite else self._take_postgresql
                return take(path, reader, ready)
            finally:
                rescue(folder, self._stamp)

    def _refuse_without_room(self, reader: Reader) -> None:
        free = shutil.disk_usage(self._settings.data_dir).free
        if reader.size > free:
            raise CannotRestore(
                f"The backup unpacks to {reader.size >> 20} MB and {free >> 20} MB are free: make room first."
            )

    # SQLite: the file is made ready beside and renamed

    def _take_sqlite(self, path: Path, reader: Reader, ready: Path) -> Restored:
        with _alone_in(self._database_file):
            self._say("Making the database ready")
            fresh = ready / archive.DATABASE
            if reader.manifest.database == SQLITE:
                reader.unpack(archive.DATABASE, fresh)
            else:
                self._crossed_into_file(fresh, reader)
            self._fail_point("unpacked")
            restored = self._make_ready(fresh, path, reader.manifest)
            self._fail_point("made_ready")
            self._keep_former(ready)
            self._place_files(reader, ready)
            self._place_secret(reader, ready)
            self._drop_index()
            self._fail_point("before_takeover")
            for end in LOGS:
                self._database_file.with_name(f"{self._database_file.name}{end}").unlink(missing_ok=True)
            fresh.replace(self._database_file)
            self._is_taken_over = True
            backup.keep_on_disk(self._settings.data_dir)
            self._fail_point("after_takeover")
        return replace(restored, aside=_set_aside(ready, self._stamp))

    def _crossed_into_file(self, fresh: Path, reader: Reader) -> None:
        """A new file of the backup's schema with the rows of PostgreSQL's tables."""
        told = reader.manifest.state
        self._say("Turning PostgreSQL's tables into SQLite's")
        fresh.touch(mode=0o600)
        database = Database(f"sqlite:///{fresh}")
        try:
            with database.engine.connect() as connection:
                driver = connection.connection.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                driver.execute("PRAGMA foreign_keys=OFF")  # the whole file is looked through afterwards
                with connection.begin():
                    migrate.upgrade_on(connection, told.revision)
                    crossing.into_sqlite(
                        connection, told.columns, lambda table: reader.chunks(backup.table_member(table))
                    )
        finally:
            database.close()

    def _make_ready(self, fresh: Path, path: Path, manifest: Manifest) -> Restored:
        """Check what was unpacked, bring it to this release's schema, and end what must not go on."""
        if mistakes := _mistakes(fresh):
            raise Damaged(f"The database in the backup is damaged ({mistakes}): use another backup.")
        database = Database(f"sqlite:///{fresh}")
        try:
            with database.engine.connect() as connection:
                _refuse_other_contents(connection, manifest)
            migrate.upgrade(replace(self._settings, data_dir=fresh.parent), database)
            with database.writing() as session:
                restored = self._settle_rows(session, path, manifest)
        finally:
            database.close()
        _fold_log(fresh)
        return restored

    # PostgreSQL: everything happens in one transaction

    def _take_postgresql(self, path: Path, reader: Reader, ready: Path) -> Restored:
        manifest, aside = reader.manifest, ""
        with self._database.engine.connect() as connection, connection.begin():
            if tables.others(connection):
                raise InUse("Other processes are connected to the database: stop `kb serve` and `kb worker` first.")
            if migrate.revision_on(connection) is not None or tables.names(connection):
                aside = self._move_schema_aside(connection)
            self._say("Filling the tables")
            migrate.upgrade_on(connection, manifest.state.revision)
            tables.plainly(connection)
            if manifest.database == SQLITE:
                self._crossed_from_file(connection, reader, ready / archive.DATABASE)
            else:
                self._fill(connection, reader)
            self._fail_point("unpacked")
            _refuse_other_contents(connection, manifest)
            migrate.upgrade_on(connection)
            with Session(connection) as session:
                restored = self._settle_rows(session, path, manifest)
                session.flush()
            self._fail_point("made_ready")
            self._keep_former(ready)
            self._place_files(reader, ready)
            self._place_secret(reader, ready)
            self._drop_index()
            self._fail_point("before_takeover")
        self._is_taken_over = True
        self._fail_point("after_takeover")
        kept = [name for name in (f"schema {aside}" if aside else "", _set_aside(ready, self._stamp)) if name]
        return replace(restored, aside=" and ".join(kept))

    @staticmethod
    def _crossed_from_file(connection: Connection, reader: Reader, fresh: Path) -> None:
        """The rows of SQLite's file in PostgreSQL's tables of the same schema."""
        reader.unpack(archive.DATABASE, fresh)
        try:
            if mistakes := _mistakes(fresh):
                raise Damaged(f"The database in the backup is damaged ({mistakes}): use another backup.")
            crossing.into_postgresql(connection, fresh)
        finally:
            fresh.unlink()

    def _fill(self, connection: Connection, reader: Reader) -> None:
        told = reader.manifest.state
        names = tables.names(connection)
        if set(names) != told.columns.keys():
            raise Damaged("The backup holds other tables than its schema has: use another one.")
        for name in names:
            tables.load(connection, name, told.columns[name], reader.chunks(backup.table_member(name)))
        tables.go_on_counting(connection, told.sequences)

    def _move_schema_aside(self, connection: Connection) -> str:
        if not self._wanted.force:
            raise NotEmpty("The database is not empty: name another one, or move what is there aside with --force.")
        schema = f"{ASIDE}{self._stamp}".replace("-", "_")
        tables.move_aside(connection, schema)
        return schema

    # both

    def _settle_rows(self, session: Session, path: Path, manifest: Manifest) -> Restored:
        """End every session, free what a worker held, verify the trail and add to it."""
        found = audit.verify(session)
        if not found.intact or found.head != manifest.state.audit_head:
            raise Damaged(f"The trail in the backup is broken ({found.reason or 'it ends elsewhere'}).")
        sessions = session.scalar(select(func.count()).select_from(SignedIn)) or 0
        session.execute(delete(SignedIn))
        outbox.release(session, list(WishKind))
        tokens = self._end_tokens(session) if self._wanted.end_tokens else 0
        revision = migrate.head()
        audit.record(
            session,
            self._actor,
            "backup.restore",
            "backup",
            path.name[:120],
            taken_at=manifest.taken_at,
            release=manifest.release,
            head=manifest.state.audit_head,
            sessions=sessions,
            tokens=tokens,
        )
        return Restored(manifest, revision, sessions, tokens, "")

    def _end_tokens(self, session: Session) -> int:
        alive = session.scalar(select(func.count()).where(ApiToken.revoked_at.is_(None))) or 0
        session.execute(update(ApiToken).where(ApiToken.revoked_at.is_(None)).values(revoked_at=clock.now()))
        return alive

    def _place_files(self, reader: Reader, ready: Path) -> None:
        """Add the files that are missing; those of the former installation stay where they are."""
        for name, member in reader.manifest.members.items():
            target = self._settings.data_dir / name
            if name.startswith(archive.FILES) and not _holds(target, member.sha256):
                reader.unpack(name, ready / name)
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                (ready / name).replace(target)

    def _keep_former(self, ready: Path) -> None:
        """A second name for all that is replaced, or might be swept once no row names it."""
        kept = [self._settings.secret_file, *sorted(self._settings.files_dir.rglob("*"))]
        if self._database.is_sqlite:
            kept += [self._database_file.with_name(f"{self._database_file.name}{end}") for end in ("", *LOGS)]
        for path in kept:
            if path.is_file() and not path.is_symlink() and path.stat().st_size:
                _keep(path, ready / BEFORE / path.relative_to(self._settings.data_dir))

    def _place_secret(self, reader: Reader, ready: Path) -> None:
        told = reader.manifest.members.get(archive.SECRET)
        if told is not None and not _holds(self._settings.secret_file, told.sha256):
            reader.unpack(archive.SECRET, ready / archive.SECRET)
            (ready / archive.SECRET).replace(self._settings.secret_file)

    def _drop_index(self) -> None:
        """The index belongs to the former rows; it is a copy, and is built anew."""
        shutil.rmtree(self._settings.index_dir, ignore_errors=True)


def rescue(folder: Path, stamp: str) -> None:
    """Clear away what an unfinished restore left, and keep what is the last copy of something."""
    for ready in folder.glob(f"{READY}*"):
        found = [path for path in (ready / BEFORE).rglob("*") if path.is_file()]
        if any(path.stat().st_nlink == 1 for path in found):
            for path in found:
                if path.parent == ready / BEFORE and path.stat().st_nlink > 1:
                    path.unlink()  # still in place: a second name for a live database would be opened some day
            _set_aside(ready, stamp)
        shutil.rmtree(ready, ignore_errors=True)


def _set_aside(ready: Path, stamp: str) -> str:
    """Give what was replaced its place beside and return it; nothing where nothing was."""
    before = ready / BEFORE
    if not before.exists():
        return ""
    names = (ready.with_name(f"{ASIDE}{stamp}{end}") for end in chain([""], map("-{}".format, count(2))))
    aside = next(path for path in names if not path.exists())
    before.rename(aside)
    return str(aside)


def _counts_as_nothing(path: Path) -> bool:
    return path.name in NOTHING or path.name.startswith((READY, ASIDE))


def _keep(path: Path, kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        kept.hardlink_to(path)
    except OSError:  # a disk without hard links
        shutil.copy2(path, kept)


def _holds(path: Path, sha256: str) -> bool:
    return path.is_file() and backup.sha256_of(path) == sha256


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        with FileLock(path, timeout=LOCK_SECONDS, mode=0o600):
            yield
    except Timeout:
        raise InUse(f"{path} is held by another restore or migration: wait until it has ended.") from None


@contextmanager
def _alone_in(path: Path) -> Iterator[None]:
    """Hold the database as it stands, folded into one file; raises InUse while another process has it open."""
    if not path.exists():
        yield
        return
    connection = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)
    try:
        _hold(connection, path)
        yield
    finally:
        connection.close()


def _hold(connection: sqlite3.Connection, path: Path) -> None:
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise InUse(f"Another process has {path} open: stop `kb serve` and `kb worker` first.") from None
    except sqlite3.DatabaseError:  # damaged: often the very reason for a restore
        return


def _mistakes(path: Path) -> str:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return backup.sqlite_mistakes(connection)
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()


def _refuse_other_contents(connection: Connection, manifest: Manifest) -> None:
    """What was filled in must be what the manifest says was taken out."""
    names = tables.names(connection)
    found = (migrate.revision_on(connection), dict(tables.counts(connection, names)))
    if found != (manifest.state.revision, dict(manifest.state.counts)):
        raise Damaged("The database in the backup holds other rows than its manifest says: use another backup.")


def _fold_log(path: Path) -> None:
    """One file on disk, without a log beside it."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    backup.keep_on_disk(path)
