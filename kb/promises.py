"""Which former releases may go on with a newer schema, so that machines are upgraded one after the other.

A migration that only adds says `keeps_former = True`: releases of the revision before it read and write as they did.
Whoever migrates writes down the oldest revision that this holds for, in the same transaction; a former release that
finds a schema it does not know asks there whether it may serve.
"""

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, String, delete, insert, inspect, select
from sqlalchemy.orm import Mapped, mapped_column

from kb.db import Base


class SchemaPromise(Base):
    """One row: the oldest revision whose release may serve on this schema."""

    __tablename__ = "schema_promise"

    id: Mapped[int] = mapped_column(primary_key=True)
    oldest: Mapped[str] = mapped_column(String(32))


def oldest_served(scripts: ScriptDirectory, revision: str) -> str:
    """The oldest revision that every migration from there up to this one has kept working."""
    script = scripts.get_revision(revision)
    while script.down_revision is not None and getattr(script.module, "keeps_former", False):
        script = scripts.get_revision(str(script.down_revision))
    return str(script.revision)


def keep(connection: Connection, scripts: ScriptDirectory, revision: str) -> None:
    """Write it down; a schema from before there were promises makes none."""
    if not inspect(connection).has_table(SchemaPromise.__tablename__):
        return
    oldest = oldest_served(scripts, revision)
    if of(connection) == oldest:
        return
    connection.execute(delete(SchemaPromise))
    connection.execute(insert(SchemaPromise).values(id=1, oldest=oldest))


def of(connection: Connection) -> str | None:
    """The oldest revision that may serve here; None where nothing is promised."""
    if not inspect(connection).has_table(SchemaPromise.__tablename__):
        return None
    return connection.scalar(select(SchemaPromise.oldest))
