"""What tests of backups share: rows to compare, a full installation, archives that were tampered with."""

import json
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, select

from kb import backup
from kb.access import SYSTEM
from kb.app import Service
from kb.archive import MANIFEST
from kb.backup import Backup
from kb.db import Database
from tests.factories import Make

CHANGES_BY_RESTORING = frozenset({"signed_in", "audit_entry"})
"""Sessions end, and the trail gains a row."""


def rows(database: Database) -> Mapping[str, list[str]]:
    """Every row of every table that a restore leaves as it was, in a form that can be compared."""
    metadata = MetaData()
    with database.engine.connect() as connection:
        metadata.reflect(connection)
        return {
            table.name: sorted(repr(tuple(map(_plain, row))) for row in connection.execute(select(table)))
            for table in metadata.sorted_tables
            if table.name not in CHANGES_BY_RESTORING
        }


def _plain(cell: object) -> object:
    """A moment in UTC without its zone, which one kind of database gives and the other does not."""
    return cell.astimezone(UTC).replace(tzinfo=None) if isinstance(cell, datetime) and cell.tzinfo else cell


def fill(make: Make) -> None:
    """People, texts, a deal, uses, and files that attachments would name."""
    person = make.user(teams=["east"])
    assets = [make.asset(f"停机窗口 {number}", owners=[person], unlock="solution") for number in range(3)]
    make.new_version(assets[0], "## Say\n\nA second text, “怎么说”.\n")
    make.asset("a draft", publish=False)
    make.use(person, assets[0], deal=make.deal(person))
    for name, content in (("ab/abcdef", b"%PDF-1.7 \x00\xff"), ("cd/cdef01", b"")):
        path = make.service.settings.files_dir / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)


def take(service: Service, path: Path) -> Backup:
    return backup.create(service.database, service.settings, SYSTEM, path)


def manifest_of(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read(MANIFEST))
        return found


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None], mode: int = 0o600) -> Path:
    """The same archive with other members; the manifest is one of them, and is left as the change leaves it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    other = path.with_name(f"changed-{path.name}")
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return other


def with_manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], None]:
    """A change of the manifest's fields alone."""

    def changed(members: dict[str, bytes]) -> None:
        told = json.loads(members[MANIFEST])
        change(told)
        members[MANIFEST] = json.dumps(told).encode()

    return changed
