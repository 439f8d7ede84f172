"""A backup holds everything that cannot be made again, is read back, and never takes the place of something unasked."""

import hashlib
import json
import stat
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import select, text

from kb import archive, audit, backup, clock, migrate, tables
from kb.access import SYSTEM, Role
from kb.app import Service
from kb.audit import AuditEntry
from kb.backup import CannotBackUp, FileInUse
from kb.db import Database
from kb.errors import Forbidden
from tests.backups import CHANGES_BY_RESTORING, fill, manifest_of, rows, take
from tests.factories import Make
from tests.kb.conftest import Kb


def test_a_backup_holds_database_files_and_key_and_nothing_that_can_be_made_again(
    any_database: Service, make_any: Make, tmp_path: Path
) -> None:
    fill(make_any)
    make_any.index()
    any_database.settings.secret_file.write_text("a key that signs, kept in the folder")
    made = take(any_database, tmp_path / "b.zip")
    with zipfile.ZipFile(made.path) as archived:
        names = set(archived.namelist())
    databases = {name for name in names if name == archive.DATABASE or name.startswith(archive.TABLES)}
    assert names - databases == {"manifest.json", "secret.key", "files/ab/abcdef", "files/cd/cdef01"}
    copied = (rows(any_database.database).keys() | CHANGES_BY_RESTORING) - tables.OF_THE_SCHEMA
    assert len(databases) == (1 if any_database.database.is_sqlite else len(copied))
    assert (made.files, made.rows > 20) == (2, True)


def test_the_manifest_says_what_is_inside(any_database: Service, make_any: Make, tmp_path: Path) -> None:
    fill(make_any)
    with any_database.database.reading() as session:
        trail = audit.verify(session)
    made = take(any_database, tmp_path / "b.zip")
    told = manifest_of(made.path)
    assert (told["format"], told["release"], told["database"]) == (
        archive.FORMAT,
        archive.release(),
        any_database.database.engine.dialect.name,
    )
    state = told["state"]
    assert (state["revision"], state["audit_entries"], state["audit_head"]) == (
        migrate.head(),
        trail.entries,
        trail.head,
    )
    assert {name: state["counts"][name] for name in ("asset", "version", "use_event")} == {
        "asset": 4,
        "version": 5,
        "use_event": 1,
    }
    with zipfile.ZipFile(made.path) as archived:
        for name, member in told["members"].items():
            content = archived.read(name)
            assert (member["size"], member["sha256"]) == (len(content), hashlib.sha256(content).hexdigest()), name
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()


def test_only_its_owner_reads_it_and_nothing_is_left_beside(service: Service, make: Make, tmp_path: Path) -> None:
    made = take(service, tmp_path / "b.zip")
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"data", "b.zip"}


def test_it_stands_in_the_trail_with_its_sum(any_database: Service, tmp_path: Path) -> None:
    made = take(any_database, tmp_path / "b.zip")
    with any_database.database.reading() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence.desc())).first()
        assert audit.verify(session).intact
        assert backup.last_taken_at(session) == entry.at if entry else False
    assert entry is not None
    assert (entry.action, entry.object_id, entry.details["sha256"]) == ("backup.create", "b.zip", made.sha256)


def test_what_stands_there_is_replaced_only_when_asked(service: Service, make: Make, tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    path.write_text("something of mine")
    with pytest.raises(FileInUse):
        take(service, path)
    assert path.read_text() == "something of mine"
    backup.create(service.database, service.settings, SYSTEM, path, replace=True)
    assert manifest_of(path)["format"] == archive.FORMAT
    with pytest.raises(FileInUse):
        backup.create(service.database, service.settings, SYSTEM, tmp_path, replace=True)


@pytest.mark.parametrize("point", ["database_copied", "written", "recorded"])
def test_F29_a_full_disk_leaves_the_former_backup(service: Service, make: Make, tmp_path: Path, point: str) -> None:
    former = take(service, tmp_path / "b.zip").path.read_bytes()

    def full(name: str) -> None:
        if name == point:
            raise OSError(28, "No space left on device")

    make.asset()
    with pytest.raises(CannotBackUp, match="No space left"):
        backup.create(
            service.database,
            service.settings,
            SYSTEM,
            tmp_path / "b.zip",
            replace=True,
            fail_point=full,
        )
    assert (tmp_path / "b.zip").read_bytes() == former
    assert {path.name for path in tmp_path.iterdir()} == {"data", "b.zip"}


def test_a_folder_that_is_not_there_is_a_refusal(service: Service, tmp_path: Path) -> None:
    with pytest.raises(CannotBackUp, match="No such file"):
        take(service, tmp_path / "nowhere" / "b.zip")


def test_what_a_killed_backup_left_is_cleared_away_once_it_is_old(service: Service, tmp_path: Path) -> None:
    left = tmp_path / ".b.zip.12345678.partial"
    left.mkdir()
    (left / "archive").write_bytes(b"half")
    take(service, tmp_path / "b.zip")
    assert left.exists(), "it may belong to a backup under way"
    with time_machine.travel(clock.now() + timedelta(days=1)):
        backup.create(service.database, service.settings, SYSTEM,
                      tmp_path / "b.zip", replace=True)  # fmt: skip
    assert not left.exists()


def test_only_administrators_and_the_operator_back_up(service: Service, make: Make, tmp_path: Path) -> None:
    for role in set(Role) - {Role.ADMIN}:
        with pytest.raises(Forbidden):
            backup.create(service.database, service.settings, make.actor(make.user(role)), tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_no_installation_and_an_empty_one_are_refused_without_a_trace(tmp_path: Path, service: Service) -> None:
    url = f"sqlite:///{tmp_path / 'none' / 'kb.sqlite3'}"
    with pytest.raises(CannotBackUp, match="no installation"):
        backup.create(Database(url), service.settings, SYSTEM, tmp_path / "b")
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty.sqlite3").touch()
    with pytest.raises(CannotBackUp, match="nothing to keep"):
        backup.create(Database(f"sqlite:///{tmp_path / 'empty.sqlite3'}"), service.settings,
                      SYSTEM, tmp_path / "b")  # fmt: skip


def test_a_schema_of_another_release_is_refused(any_database: Service, tmp_path: Path) -> None:
    with any_database.database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CannotBackUp, match="9999"):
        take(any_database, tmp_path / "b.zip")


def test_a_damaged_database_is_not_kept_as_if_it_were_sound(service: Service, make: Make, tmp_path: Path) -> None:
    make.asset()
    with service.database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("INSERT INTO asset_tag (asset_id, tag_id) VALUES (1, 4711)")
    with pytest.raises(CannotBackUp, match="asset_tag"):
        take(service, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_a_name_that_no_archive_holds_is_told_not_left_out(service: Service, tmp_path: Path) -> None:
    service.settings.files_dir.mkdir()
    (service.settings.files_dir / "back\\slash").write_text("x")
    with pytest.raises(CannotBackUp, match="rename"):
        take(service, tmp_path / "b.zip")


def test_links_among_the_files_are_not_followed(service: Service, tmp_path: Path) -> None:
    service.settings.files_dir.mkdir()
    (tmp_path / "secret").write_text("of somebody else")
    (service.settings.files_dir / "link").symlink_to(tmp_path / "secret")
    assert take(service, tmp_path / "b.zip").files == 0


def test_the_command_prints_one_value(kb: Kb, tmp_path: Path) -> None:
    ran = kb("backup", tmp_path / "b.zip", "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["file"] == str(tmp_path / "b.zip")
    assert told["sha256"] == hashlib.sha256((tmp_path / "b.zip").read_bytes()).hexdigest()
    assert told["bytes"] == (tmp_path / "b.zip").stat().st_size
    ran = kb("backup", tmp_path / "b.zip")
    assert (ran.code, ran.out) == (1, "")
    assert "--force" in ran.err
    ran = kb("backup", tmp_path / "b.zip", "--force")
    assert (ran.code, ran.out) == (0, "")
    assert "as safely as the installation" in ran.err


def test_the_command_makes_no_installation_by_looking_for_one(
    kb: Kb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(tmp_path / "none"))
    ran = kb("backup", tmp_path / "b.zip")
    assert (ran.code, len(ran.err.strip().splitlines())) == (1, 1)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [("0.2.1", "0.2.0", True), ("0.2.0", "0.2.0", False), ("0.1.9", "0.2", False), ("0.10.0", "0.9.9", True), ("1.0+x", "0.9", True)],
)  # fmt: skip
def test_releases_are_compared_by_their_numbers(one: str, other: str, newer: bool) -> None:
    assert archive.is_newer(one, other) is newer


@pytest.mark.parametrize("name", ["files/a", "files/a/b.c", "tables/asset.copy", "manifest.json", "secret.key"])
def test_names_of_ours_are_safe(name: str) -> None:
    assert archive.is_safe(name)


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "files/../x", "files/./x", "files//x", "files/", "files", "files/..", "files/a/../../x",
     "files\\x", "files/a\\..\\x", "files/a\x00b", "index/current", "x", "", "Files/x", "tables/../../x", "files/a/"],
)  # fmt: skip
def test_A80_names_that_lead_elsewhere_are_not(name: str) -> None:
    assert not archive.is_safe(name)
