"""A restore gives back what was kept, refuses what is none of ours before anything is written, and loses nothing."""

import hashlib
import json
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from content.models import Asset
from kb import audit, backup, config, crossing, migrate, sessions, tokens
from kb.access import SYSTEM, Permission, Role
from kb.app import Service, open_service
from kb.archive import DATABASE, MANIFEST, Damaged, FromNewerRelease, Writer
from kb.audit import AuditEntry
from kb.config import Settings
from kb.db import Database
from kb.errors import Forbidden, KbError
from kb.restore import CannotRestore, InUse, NotEmpty, Restore, Restored, Wanted
from kb.sessions import SignedIn
from kb.tokens import ApiToken
from search import upkeep
from search.query import Query
from search.service import search
from tests.backups import fill, manifest_of, rewritten, rows, take, with_manifest
from tests.conftest import PostgreSql
from tests.factories import Make
from tests.kb.conftest import Kb


def restore(settings: Settings, path: Path, **wanted: bool) -> Restored:
    return Restore(settings, SYSTEM, Wanted(**wanted)).run(path)


@pytest.fixture
def kept(any_database: Service, make_any: Make, tmp_path: Path) -> Path:
    """A backup of an installation with something of everything; the key lies in the folder."""
    fill(make_any)
    any_database.settings.secret_file.write_text("the key of the former installation, in its folder")
    return take(any_database, tmp_path / "b.zip").path


@pytest.fixture
def plain(service: Service, make: Make, tmp_path: Path) -> Path:
    """The same on SQLite alone, for what the file decides before any database is asked."""
    fill(make)
    service.settings.secret_file.write_text("the key of the former installation, in its folder")
    return take(service, tmp_path / "b.zip").path


@pytest.fixture
def place(service: Service, tmp_path: Path) -> Settings:
    return replace(service.settings, data_dir=tmp_path / "elsewhere")


def test_all_rows_files_and_the_key_come_back_in_a_new_place(
    any_database: Service, kept: Path, new_place: Settings
) -> None:
    restored = restore(new_place, kept)
    place = Database(new_place.sqlalchemy_url)
    assert rows(place) == rows(any_database.database)
    place.close()
    assert (restored.aside, restored.ended_sessions, restored.revision) == ("", 0, migrate.head())
    for name, content in (("ab/abcdef", b"%PDF-1.7 \x00\xff"), ("cd/cdef01", b"")):
        assert (new_place.files_dir / name).read_bytes() == content
    assert new_place.secret_file.read_text() == "the key of the former installation, in its folder"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in new_place.data_dir.rglob("*") if path.is_file()}
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(new_place.data_dir.stat().st_mode) == 0o700
    assert [path.name for path in new_place.data_dir.iterdir() if path.name.startswith((".", "before"))] == []


def test_what_was_restored_works(any_database: Service, kept: Path, new_place: Settings) -> None:
    restore(new_place, kept)
    opened = open_service(new_place)
    assert upkeep.rebuild(opened.database, opened.engine) == 3
    assert upkeep.check(opened.database, opened.engine, repair=False).is_true
    with opened.database.reading() as session:
        page = search(session, opened.finder, SYSTEM, None, Query.of("停机窗口", {}, 10, 0, "lexical"), "zh")
        assert len(page.hits) == 3
        assert audit.verify(session).intact
    new = Make(opened)
    opened_asset = new.asset("made after the restore", external_id="AFTER")
    assert opened_asset.id > 4, "numbers go on where they were"
    opened.close()


def test_the_restore_stands_in_the_trail_after_all_that_was_there(
    any_database: Service, kept: Path, new_place: Settings
) -> None:
    told = manifest_of(kept)["state"]
    restore(new_place, kept)
    place = Database(new_place.sqlalchemy_url)
    with place.reading() as session:
        found = audit.verify(session)
        entry = session.get_one(AuditEntry, found.entries)
    place.close()
    assert (found.intact, found.entries) == (True, told["audit_entries"] + 1)
    assert (entry.action, entry.object_id, entry.previous_hash) == ("backup.restore", "b.zip", told["audit_head"])


def test_sessions_end_and_tokens_end_when_asked(
    any_database: Service, make_any: Make, new_place: Settings, tmp_path: Path
) -> None:
    person = make_any.user()
    with any_database.database.writing() as session:
        sessions.open_for(session, person)
        tokens.create(session, SYSTEM, person, "script", [Permission.SEARCH])
    made = take(any_database, tmp_path / "b.zip")
    first = restore(new_place, made.path)
    assert (first.ended_sessions, first.ended_tokens, count(new_place, SignedIn)) == (1, 0, 0)
    second = restore(new_place, made.path, force=True, end_tokens=True)
    assert (second.ended_tokens, count(new_place, ApiToken)) == (1, 1)
    place = Database(new_place.sqlalchemy_url)
    with place.reading() as session:
        assert session.scalars(select(ApiToken.revoked_at)).one() is not None
    place.close()


def count(settings: Settings, table: type) -> int:
    place = Database(settings.sqlalchemy_url)
    with place.reading() as session:
        found = session.scalar(select(func.count()).select_from(table))
    place.close()
    return found or 0


def test_what_stands_there_is_refused_without_force_and_kept_with_it(
    any_database: Service, make_any: Make, new_place: Settings, tmp_path: Path
) -> None:
    make_any.asset(external_id="OLD")
    old = take(any_database, tmp_path / "old.zip")
    restore(new_place, old.path)
    new_place.secret_file.write_text("the key of what stood there before")
    make_any.asset(external_id="NEW")
    any_database.settings.secret_file.write_text("the key that comes with the backup")
    (new_place.files_dir / "ef").mkdir(parents=True)
    (new_place.files_dir / "ef" / "efef").write_bytes(b"only in what stood there")
    new = take(any_database, tmp_path / "new.zip")
    with pytest.raises(NotEmpty, match="--force"):
        restore(new_place, new.path)
    assert count(new_place, Asset) == 1
    restored = restore(new_place, new.path, force=True)
    assert count(new_place, Asset) == 2
    assert new_place.secret_file.read_text() == "the key that comes with the backup"
    former = former_place(new_place, restored)
    assert count(former, Asset) == 1
    assert former.secret_file.read_text() == "the key of what stood there before"
    assert (former.files_dir / "ef" / "efef").read_bytes() == b"only in what stood there"


def former_place(settings: Settings, restored: Restored) -> Settings:
    """Where the notice says that the former installation is."""
    (folder,) = settings.data_dir.glob("before-restore-*")
    assert str(folder) in restored.aside
    if not settings.database_url.startswith("postgresql"):
        return replace(settings, data_dir=folder)
    schema = restored.aside.split()[1]
    return replace(settings, data_dir=folder, database_url=f"{settings.database_url}&options=-csearch_path%3D{schema}")


def test_an_empty_folder_is_no_place_while_its_database_is_not_empty(
    any_database: Service, kept: Path, new_place: Settings, tmp_path: Path
) -> None:
    restore(new_place, kept)
    with pytest.raises((NotEmpty, CannotRestore)):
        restore(replace(new_place, data_dir=tmp_path / "third", database_url=new_place.sqlalchemy_url), kept)


def test_an_installation_that_runs_is_not_replaced_under_its_feet(any_database: Service, kept: Path) -> None:
    before = rows(any_database.database)
    with any_database.database.reading() as session:
        session.scalar(select(func.count()).select_from(Asset))
        with pytest.raises(InUse, match="kb serve"):
            restore(any_database.settings, kept, force=True)
    assert rows(any_database.database) == before


def test_an_installation_that_runs_elsewhere_is_not_replaced_either(
    service: Service, make: Make, tmp_path: Path
) -> None:
    make.asset()
    made = take(service, tmp_path / "b.zip")
    service.database.close()
    holds = f"import sqlite3; c = sqlite3.connect({str(service.settings.data_dir / 'kb.sqlite3')!r}); c.execute('SELECT * FROM asset').fetchall(); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(InUse):
            restore(service.settings, made.path, force=True)
    assert restore(service.settings, made.path, force=True).aside


def test_a_damaged_database_gives_way_and_is_kept(service: Service, make: Make, tmp_path: Path) -> None:
    make.asset()
    made = take(service, tmp_path / "b.zip")
    service.database.close()
    file = service.settings.data_dir / "kb.sqlite3"
    file.write_bytes(b"nothing that SQLite knows" * 1000)
    restored = restore(service.settings, made.path, force=True)
    assert count(service.settings, Asset) == 1
    assert (Path(restored.aside) / "kb.sqlite3").read_bytes().startswith(b"nothing that SQLite knows")


def test_a_disk_without_hard_links_keeps_copies(
    service: Service, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = take(service, tmp_path / "b.zip")
    make.asset()
    service.database.close()

    def cannot(_path: Path, _target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", cannot)
    restored = restore(service.settings, made.path, force=True)
    assert (count(service.settings, Asset), count(replace(service.settings, data_dir=Path(restored.aside)), Asset)) == (
        0,
        1,
    )


def test_the_key_of_the_environment_stays_there(service: Service, tmp_path: Path) -> None:
    made = take(service, tmp_path / "b.zip")
    place = replace(service.settings, data_dir=tmp_path / "new")
    restore(place, made.path)
    assert not place.secret_file.exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.99, 0.9999])
def test_F27_a_backup_cut_short_is_refused_before_anything_is_written(
    plain: Path, place: Settings, share: float
) -> None:
    whole = plain.read_bytes()
    plain.write_bytes(whole[: int(len(whole) * share)])
    refused(place, plain, Damaged)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.25, 0.4, 0.55, 0.8, 0.95, 0.999])
def test_F27_a_changed_byte_is_refused_before_anything_is_written(plain: Path, place: Settings, share: float) -> None:
    whole = bytearray(plain.read_bytes())
    whole[int(len(whole) * share)] ^= 0x55
    plain.write_bytes(whole)
    try:
        restore(place, plain)
    except Damaged:
        assert not place.data_dir.exists()
    else:  # a byte that nothing depends on, such as a date of the zip
        database = Database(place.sqlalchemy_url)
        with database.reading() as session:
            assert audit.verify(session).intact
        database.close()


def refused(settings: Settings, path: Path, kind: type[KbError], said: str = ".") -> None:
    with pytest.raises(kind, match=said):
        restore(settings, path)
    assert not settings.data_dir.exists(), "nothing is made before the backup has been checked"


def tampered(members: dict[str, bytes]) -> None:
    name = next(iter(members))
    members[name] = members[name][:-1] + b"!"


def lacks_database(members: dict[str, bytes]) -> None:
    gone = [name for name in members if name not in {MANIFEST, "secret.key"}]
    told = json.loads(members[MANIFEST])
    for name in gone:
        del members[name], told["members"][name]
    members[MANIFEST] = json.dumps(told).encode()


CHANGES: dict[str, tuple[Callable[[dict[str, bytes]], None], type[KbError], str]] = {
    "a changed member": (tampered, Damaged, "sum differs"),
    "a member more": (lambda members: members.update({"files/more": b"x"}), Damaged, "other members"),
    "a member less": (lambda members: members.pop("files/ab/abcdef"), Damaged, "other members"),  # type: ignore[dict-item, return-value]
    "an index": (lambda members: members.update({"index/current": b"\x80\x04."}), Damaged, "no backup does"),
    "a way out": (lambda members: members.update({"files/../../out": b"x"}), Damaged, "no backup does"),
    "the root": (lambda members: members.update({"/etc/cron.d/x": b"x"}), Damaged, "no backup does"),
    "a Windows way out": (lambda members: members.update({"files\\..\\x": b"x"}), Damaged, "no backup does"),
    "no manifest": (lambda members: members.pop(MANIFEST), Damaged, "no manifest"),  # type: ignore[dict-item, return-value]
    "no JSON": (lambda members: members.update({MANIFEST: b"{"}), Damaged, "damaged"),
    "deep JSON": (lambda members: members.update({MANIFEST: b"[" * 100_000}), Damaged, "damaged"),
    "another JSON": (lambda members: members.update({MANIFEST: b"[1]"}), Damaged, "not as `kb backup` writes it"),
    "no database": (lacks_database, Damaged, "lacks"),
    "a size that lies": (with_manifest(lambda told: told["members"]["secret.key"].update(size=5)), Damaged, "sum differs"),
    "a sum that lies": (with_manifest(lambda told: told["members"]["secret.key"].update(sha256="0" * 64)), Damaged, "sum differs"),
    "a negative size": (with_manifest(lambda told: told["members"]["secret.key"].update(size=-1)), Damaged, "members.secret.key.size"),
    "a field more": (with_manifest(lambda told: told.update(run="rm")), Damaged, "run"),
    "a newer form": (with_manifest(lambda told: told.update(format=2, release="9.0.0")), FromNewerRelease, "release 9.0.0"),
    "a newer release": (with_manifest(lambda told: told.update(release="99.1")), FromNewerRelease, "release 99.1"),
    "an unknown schema": (with_manifest(lambda told: told["state"].update(revision="9999")), FromNewerRelease, "9999"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_A80_a_backup_that_is_not_as_it_was_written_is_refused_before_anything_is_written(
    plain: Path, place: Settings, what: str
) -> None:
    change, kind, said = CHANGES[what]
    refused(place, rewritten(plain, change), kind, said)
    assert not (plain.parent / "out").exists()


LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "other counts": lambda told: told["state"]["counts"].update(asset=99),
    "another end of the trail": lambda told: told["state"].update(audit_head="0" * 64),
}


@pytest.mark.parametrize("what", LIES)
def test_rows_that_are_not_those_of_the_manifest_leave_no_half_installation(
    kept: Path, new_place: Settings, what: str
) -> None:
    with pytest.raises(Damaged):
        restore(new_place, rewritten(kept, with_manifest(LIES[what])))
    assert [path.name for path in new_place.data_dir.iterdir()] == ["migrate.lock"]
    assert restore(new_place, kept).aside == "", "the place is still empty"


def test_A80_names_twice_and_packed_members_are_refused(plain: Path, place: Settings, tmp_path: Path) -> None:
    twice = tmp_path / "twice.zip"
    twice.write_bytes(plain.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(twice, "a") as archive:
        archive.writestr("secret.key", "another")
    refused(place, twice, Damaged, "twice")
    packed = tmp_path / "packed.zip"
    packed.write_bytes(plain.read_bytes())
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("files/x", "x" * 100)
    refused(place, packed, Damaged, "packed")


def test_A80_a_bomb_is_refused_by_its_size_alone(plain: Path, place: Settings, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    writer = Writer(bomb)
    writer.add("files/zeros", (bytes(1 << 20) for _ in range(300)))
    writer.close()
    assert bomb.stat().st_size < 1_000_000
    refused(place, bomb, Damaged, "times its size")


def test_A80_a_member_that_calls_itself_a_link_becomes_a_plain_file(plain: Path, place: Settings) -> None:
    def link(members: dict[str, bytes]) -> None:
        members["files/link"] = b"/etc/passwd"
        told = json.loads(members[MANIFEST])
        told["members"]["files/link"] = {"size": 11, "sha256": hashlib.sha256(b"/etc/passwd").hexdigest()}
        members[MANIFEST] = json.dumps(told).encode()

    restore(place, rewritten(plain, link, mode=0o120777))
    assert not (place.files_dir / "link").is_symlink()
    assert (place.files_dir / "link").read_bytes() == b"/etc/passwd"


def test_a_database_of_no_kind_is_refused(kept: Path, new_place: Settings, tmp_path: Path) -> None:
    refused(new_place, rewritten(kept, with_manifest(lambda told: told.update(database="oracle"))), KbError, "database")


@pytest.fixture
def other_place(request: pytest.FixtureRequest, any_database: Service, tmp_path: Path) -> Iterator[Settings]:
    """An empty place on the other kind of database."""
    folder = tmp_path / "across"
    if not any_database.database.is_sqlite:
        yield config.load({}, data_dir=folder, encoder="off")
        return
    server: PostgreSql = request.getfixturevalue("postgresql_server")
    url = server.empty_database()
    yield config.load({}, data_dir=folder, database_url=url, encoder="off")
    server.drop(url)


@pytest.mark.postgresql
def test_a_company_moves_to_the_other_kind_of_database_and_back(
    any_database: Service, kept: Path, other_place: Settings, new_place: Settings, tmp_path: Path
) -> None:
    restored = restore(other_place, kept)
    assert restored.revision == migrate.head()
    across = open_service(other_place)
    assert rows(across.database) == rows(any_database.database)
    assert upkeep.rebuild(across.database, across.engine) == 3
    with across.database.reading() as session:
        page = search(session, across.finder, SYSTEM, None, Query.of("停机窗口", {}, 10, 0, "lexical"), "zh")
        assert len(page.hits) == 3
        assert audit.verify(session).intact
    Make(across).asset("made after the move", external_id="AFTER")
    again = take(across, tmp_path / "again.zip").path
    moved = rows(across.database)
    across.close()
    restore(new_place, again)
    back = open_service(new_place)
    assert rows(back.database) == moved
    with back.database.reading() as session:
        assert audit.verify(session).intact
        assert session.scalar(select(Asset.id).where(Asset.external_id == "AFTER"))
    back.close()


@pytest.mark.parametrize(
    ("written", "cells"),
    [
        (b"1\ta\\\\b\\nc\t\\N", ["1", "a\\b\nc", None]),
        (b"\t\xe5\xae\xa2", ["", "客"]),
        (b"\\\\N\t\\t", ["\\N", "\t"]),
    ],
)
def test_what_copy_wrote_is_read_to_the_last_sign(written: bytes, cells: list[str | None]) -> None:
    halves = (written[:3], written[3:] + b"\n")
    assert list(crossing._written_rows(halves)) == [cells]


def test_what_is_no_file_is_refused(place: Settings, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.zip"):
        refused(place, path, Damaged, "not a file")
    (tmp_path / "text.zip").write_text("a text")
    refused(place, tmp_path / "text.zip", Damaged, "damaged")


def test_a_disk_too_small_is_refused_before_anything_is_unpacked(
    plain: Path, place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kb.restore.shutil.disk_usage", lambda _path: type("Usage", (), {"free": 10}))
    with pytest.raises(CannotRestore, match="make room"):
        restore(place, plain)


@pytest.mark.parametrize("point", ["unpacked", "made_ready", "before_takeover"])
def test_F29_a_full_disk_leaves_what_stood_there(
    any_database: Service, make_any: Make, new_place: Settings, tmp_path: Path, point: str
) -> None:
    make_any.asset()
    restore(new_place, take(any_database, tmp_path / "old.zip").path)
    make_any.asset()
    new = take(any_database, tmp_path / "new.zip")

    def full(name: str) -> None:
        if name == point:
            raise OSError(28, "No space left on device")

    with pytest.raises(CannotRestore, match="No space left"):
        Restore(new_place, SYSTEM, Wanted(force=True), fail_point=full).run(new.path)
    assert count(new_place, Asset) == 1
    assert [path.name for path in new_place.data_dir.iterdir() if path.name.startswith((".", "before"))] == []
    restore(new_place, new.path, force=True)
    assert count(new_place, Asset) == 2


def test_what_fails_after_the_last_step_is_not_told_as_if_nothing_had_happened(plain: Path, place: Settings) -> None:
    def broken(name: str) -> None:
        if name == "after_takeover":
            raise OSError(5, "Input/output error")

    with pytest.raises(CannotRestore, match="is restored, and then"):
        Restore(place, SYSTEM, fail_point=broken).run(plain)
    assert count(place, Asset) == 4


def test_F25_a_backup_of_an_older_schema_is_brought_forward(
    any_database: Service, new_place: Settings, tmp_path: Path
) -> None:
    old = Database(new_place.sqlalchemy_url)
    new_place.data_dir.mkdir(mode=0o700)
    with old.engine.connect() as connection, connection.begin():
        migrate.upgrade_on(connection, "0001")
        connection.execute(text("INSERT INTO team (name) VALUES ('east')"))
    made = backup.create(old, new_place, SYSTEM, tmp_path / "old.zip")
    old.close()
    assert made.manifest.state.revision == "0001"
    restored = restore(new_place, made.path, force=True)
    assert (restored.manifest.state.revision, restored.revision) == ("0001", migrate.head())
    place = Database(new_place.sqlalchemy_url)
    migrate.require_current(place)
    with place.reading() as session:
        assert session.scalar(text("SELECT name FROM team")) == "east"
        assert audit.verify(session).intact
    place.close()


def test_only_administrators_and_the_operator_restore(service: Service, make: Make) -> None:
    for role in set(Role) - {Role.ADMIN}:
        with pytest.raises(Forbidden):
            Restore(service.settings, make.actor(make.user(role)))


@pytest.mark.postgresql
def test_extensions_of_the_database_stay_in_use(
    postgresql_server: PostgreSql, settings: Settings, tmp_path: Path
) -> None:
    url = postgresql_server.new_database()
    place = replace(settings, database_url=url)
    database = Database(url)
    with database.engine.begin() as connection:
        connection.execute(text("CREATE EXTENSION vector"))
    made = backup.create(database, place, SYSTEM, tmp_path / "b.zip")
    database.close()
    restore(place, made.path, force=True)
    with database.engine.connect() as connection:
        assert connection.scalar(text("SELECT '[1,2]'::vector <-> '[1,5]'::vector")) == 3
    database.close()
    postgresql_server.drop(url)


def test_A90_an_index_is_never_taken_from_a_backup(service: Service, make: Make, tmp_path: Path) -> None:
    make.asset()
    make.index()
    made = take(service, tmp_path / "b.zip")
    place = replace(service.settings, data_dir=tmp_path / "new")
    restore(place, made.path)
    assert not place.index_dir.exists()


def test_the_commands_go_there_and_back(kb: Kb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kb("user", "add", "lin@yunshu.example", "--role", "rep")
    (tmp_path / "faq.md").write_text("---\nexternal_id: FAQ-1\ntitle: Encrypted\n---\nAll data is encrypted.\n")
    kb("import", "assets", tmp_path / "faq.md", "--publish")
    assert kb("backup", tmp_path / "b.zip").code == 0
    monkeypatch.setenv("KB_DATA_DIR", str(tmp_path / "new"))
    ran = kb("restore", tmp_path / "b.zip", "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert (told["indexed"], told["ended_sessions"], told["aside"], told["revision"]) == (1, 0, "", migrate.head())
    assert kb("search", "encrypted", "--json").json()["total"] == 1
    assert kb("audit", "verify").code == 0
    assert {f["part"]: f["ok"] for f in kb("doctor", "--json").json()}["index"]
    ran = kb("restore", tmp_path / "b.zip")
    assert (ran.code, ran.out, len(ran.err.strip().splitlines())) == (1, "", 1)
    ran = kb("restore", tmp_path / "b.zip", "--force")
    assert (ran.code, ran.out) == (0, "")
    assert "before-restore-" in ran.err
    assert kb("restore", tmp_path / "none.zip").code == 1


def test_a_backup_of_sqlite_is_one_file_without_a_log(service: Service, tmp_path: Path) -> None:
    made = take(service, tmp_path / "b.zip")
    with zipfile.ZipFile(made.path) as archive:
        header = archive.read(DATABASE)[:20]
    assert header.startswith(b"SQLite format 3\x00")
    assert header[18:20] == b"\x01\x01", "not the write-ahead form"
