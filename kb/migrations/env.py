"""Alembic's entry: knows every model, runs on the engine or the connection it is given."""

from alembic import context
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import content.deals
import content.models
import content.taxonomy
import kb.audit
import kb.login
import kb.notices
import kb.outbox
import kb.promises
import kb.sessions
import kb.tokens
import kb.users
import review.models
import search.gaps
import search.log
import search.quality
import search.saved
import search.vectors
from kb.db import Base

MODELS = (
    content.deals,
    content.models,
    content.taxonomy,
    kb.audit,
    kb.login,
    kb.notices,
    kb.outbox,
    kb.promises,
    kb.sessions,
    kb.tokens,
    kb.users,
    review.models,
    search.log,
    search.vectors,
)


def run() -> None:
    given = context.config.attributes.get("connection")
    if given is not None:
        migrate(given)
        return
    with context.config.attributes["engine"].connect() as connection:
        migrate(connection)


def migrate(connection: Connection) -> None:
    """Run on a connection; in its transaction where it has begun one."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(748201)")
        context.run_migrations()
        revision = context.get_context().get_current_revision()
        if revision is not None:
            kb.promises.keep(connection, ScriptDirectory.from_config(context.config), revision)


run()
