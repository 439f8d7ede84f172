"""Brings a database to the present schema, one process at a time; migrations only go forward."""

from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import Connection

from kb import promises
from kb.config import Settings
from kb.db import Database
from kb.errors import WrongSettings

FOLDER = Path(__file__).parent / "migrations"
log = structlog.get_logger(__name__)


def _config(database: Database) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["engine"] = database.engine
    return config


def upgrade_on(connection: Connection, target: str = "head") -> None:
    """Apply what is missing up to that revision, in the transaction that the caller has begun."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def knows(wanted: str) -> bool:
    """Whether this release has that revision."""
    return wanted in {script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions()}


def upgrade(settings: Settings, database: Database) -> None:
    """Apply what is missing; other processes of this machine wait, those elsewhere wait in the database."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(settings.data_dir / "migrate.lock", mode=0o600):
        command.upgrade(_config(database), "head")


def head() -> str:
    found = ScriptDirectory(str(FOLDER)).get_current_head()
    assert found is not None
    return found


def revision(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return revision_on(connection)


def revision_on(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def require_current(database: Database) -> None:
    """Refuse to run on a schema this release does not know, unless whoever made it promised that this one may go on."""
    with database.engine.connect() as connection:
        present, promised = revision_on(connection), promises.of(connection)
    if present is None:
        raise WrongSettings("The database is empty: run `kb init` first, or `kb demo` to look around.")
    if present == head():
        return
    if not knows(present) and promised is not None and knows(promised):
        log.warning("schema.newer", schema=present, release=head())
        return
    raise WrongSettings(
        f"The database is at schema {present}, this release needs {head()}: run `kb migrate` with the newest release."
    )
