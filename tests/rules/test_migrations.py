"""The migrations make what the models say, on both databases."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, inspect, text

from kb import migrate, promises
from kb.app import Service
from kb.config import Settings
from kb.db import Base, Database
from kb.errors import WrongSettings
from tests.factories import Make

FOLDER = migrate.FOLDER
SCRIPTS = sorted((FOLDER / "versions").glob("[0-9]*.py"))


def test_migrated_database_equals_the_models(any_database: Service) -> None:
    with any_database.database.engine.connect() as connection:
        found = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(found, Base.metadata) == []


def test_checks_of_the_models_stand_in_the_database(any_database: Service) -> None:
    """Alembic does not compare them, and they are what holds when the code is wrong."""
    inspector = inspect(any_database.database.engine)
    for table in Base.metadata.sorted_tables:
        wanted = {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}
        assert {str(c["name"]) for c in inspector.get_check_constraints(table.name)} == wanted, table.name


def test_partial_indexes_are_partial_in_the_database(any_database: Service) -> None:
    inspector = inspect(any_database.database.engine)
    dialect = any_database.database.engine.dialect.name
    indexes = {index["name"]: index for index in inspector.get_indexes("version")}
    for state in ("draft", "in_review", "published"):
        index = indexes[f"uq_version_one_{state}"]
        assert index["unique"]
        assert state in str(index["dialect_options"][f"{dialect}_where"])


def test_there_is_one_head_and_one_line_of_revisions() -> None:
    scripts = ScriptDirectory(str(FOLDER))
    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1
    assert len(list(scripts.walk_revisions())) == len(SCRIPTS)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_migrations_only_go_forward(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not hasattr(module, "downgrade")
    assert path.stem.startswith(module.revision)
    assert not re.search(r"^(from|import) (content|search|review)\b", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_migrating_again_changes_nothing(any_database: Service) -> None:
    assert migrate.revision(any_database.database) == migrate.head()
    migrate.upgrade(any_database.settings, any_database.database)
    assert migrate.revision(any_database.database) == migrate.head()
    migrate.require_current(any_database.database)


@pytest.mark.parametrize("promise", ["UPDATE schema_promise SET oldest = '9999'", "DELETE FROM schema_promise"])
def test_a_database_of_an_unknown_release_is_not_touched(any_database: Service, promise: str) -> None:
    with any_database.database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text(promise))
    with pytest.raises(WrongSettings, match=r"9999.*kb migrate"):
        migrate.require_current(any_database.database)


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.stem >= "0023"], ids=lambda path: path.stem)
def test_every_migration_says_whether_the_former_release_goes_on(path: Path) -> None:
    assert re.search(r"^keeps_former = (True|False)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_a_promise_reaches_back_over_migrations_that_only_add(tmp_path: Path) -> None:
    scripts = ScriptDirectory(str(newer(tmp_path, "9001", keeps_former=True)))
    assert promises.oldest_served(scripts, "9001") == "0022"
    assert promises.oldest_served(ScriptDirectory(str(FOLDER)), "0022") == "0022"
    newer(tmp_path, "9002", after="9001", keeps_former=False)
    newer(tmp_path, "9003", after="9002", keeps_former=True)
    assert promises.oldest_served(ScriptDirectory(str(tmp_path / "migrations")), "9003") == "9002"


@pytest.mark.parametrize("keeps_former", [True, False])
def test_a_former_release_goes_on_with_a_newer_schema_where_it_is_promised(
    any_database: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps_former: bool
) -> None:
    with monkeypatch.context() as release:
        release.setattr(migrate, "FOLDER", newer(tmp_path, "9001", keeps_former=keeps_former))
        migrate.upgrade(any_database.settings, any_database.database)
        migrate.require_current(any_database.database)
    assert migrate.revision(any_database.database) == "9001"
    if keeps_former:
        migrate.require_current(any_database.database)
        assert Make(any_database).asset("Written by the former release").id
    else:
        with pytest.raises(WrongSettings, match=r"9001.*kb migrate"):
            migrate.require_current(any_database.database)


def newer(folder: Path, revision: str, *, keeps_former: bool, after: str = "") -> Path:
    """The migrations of a release that is still to come."""
    place = folder / "migrations"
    if not place.exists():
        shutil.copytree(FOLDER, place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "versions" / f"{revision}_to_come.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import op\n"
        f"revision = '{revision}'\ndown_revision = '{after or migrate.head()}'\nkeeps_former = {keeps_former}\n"
        "def upgrade():\n"
        f"    op.create_table('to_come_{revision}', sa.Column('id', sa.Integer(), primary_key=True))\n"
        f"    op.add_column('asset', sa.Column('to_come_{revision}', sa.String(20), nullable=True))\n"
        f"    op.create_index('ix_to_come_{revision}', 'asset', ['to_come_{revision}'])\n",
        encoding="utf-8",
    )
    return place


def test_an_empty_database_says_how_to_begin(tmp_path: Path) -> None:
    database = Database(Settings(data_dir=tmp_path).sqlalchemy_url)
    with pytest.raises(WrongSettings, match=r"kb init.*kb demo"):
        migrate.require_current(database)
    database.close()


def test_every_time_in_the_database_is_kept_in_utc() -> None:
    kinds = {
        type(column.type).__name__
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name.endswith("_at")
    }
    assert kinds == {"UtcDateTime"}


def test_times_end_in_at_and_days_in_on() -> None:
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            kind = type(column.type).__name__
            if kind == "UtcDateTime":
                assert column.name == "at" or column.name.endswith(("_at", "until")), f"{table.name}.{column.name}"
            if kind == "Date":
                assert column.name.endswith("_on"), f"{table.name}.{column.name}"
