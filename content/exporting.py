"""Writes assets as the Markdown files that `kb import assets` reads: what was imported comes back, byte by byte in the text."""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from content import reading, sources, taxonomy
from content.importing import FACET_KEYS
from content.kinds import VersionState
from content.models import Asset, Version
from content.taxonomy import Vocabulary
from kb import audit
from kb.access import Actor, Permission, require
from kb.config import Settings
from kb.errors import Conflict, KbError
from kb.users import Team, User

BATCH: Final = 100
LONGEST_NAME: Final = 120
SHOWN: Final = (VersionState.PUBLISHED, VersionState.DRAFT, VersionState.WITHDRAWN)
"""What of an asset is written: what readers see, else what editors work on, else what was withdrawn last."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """How many assets were written, and how many of them no reader sees at present."""

    folder: Path
    assets: int
    unpublished: int


class FolderInUse(Conflict):
    """An export never writes among other files."""

    code = "folder_in_use"


def export(
    session: Session,
    settings: Settings,
    actor: Actor,
    folder: Path,
    reader: Actor | None = None,
    progress: Progress = lambda _done: None,
) -> Exported:
    """Write all assets into a new folder, or what `reader` may see; the folder appears when all of it is there.

    Raises FolderInUse where something stands there already, and KbError where it cannot be written.
    """
    require(actor, Permission.IMPORT)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderInUse(f"{folder} is not an empty folder: name a new one.")
    beside = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    try:
        beside.mkdir(parents=True)
        written = _write_all(session, settings, beside, reader, progress)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    except OSError as error:
        raise KbError(f"{folder} cannot be written: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Exported(folder, written.assets, written.unpublished)


def record(session: Session, actor: Actor, exported: Exported, reader: Actor | None = None) -> None:
    """Leave the entry that says what left the house."""
    seen_by = reader.name if reader else ""
    audit.record(
        session, actor, "asset.export", "export", exported.folder.name[:120], assets=exported.assets, seen_by=seen_by
    )


def _write_all(
    session: Session, settings: Settings, folder: Path, reader: Actor | None, progress: Progress
) -> Exported:
    desk = _Desk(session, settings)
    names: set[str] = set()
    unpublished = 0
    for asset, version in _chosen(session, reader):
        name = _file_name(asset.external_id or asset.public_id, names)
        (folder / name).write_bytes(desk.file(asset, version).encode())
        unpublished += version.state != VersionState.PUBLISHED.value
        progress(len(names))
    return Exported(folder, len(names), unpublished)


def _chosen(session: Session, reader: Actor | None) -> Iterator[tuple[Asset, Version]]:
    """Every asset with the version to write, in the order of their ids."""
    ids = session.scalars(select(Asset.id).order_by(Asset.id)).all()
    if reader is not None:
        seen = set(reading.visible_ids(session, reader, None).tolist())
        ids = [asset_id for asset_id in ids if asset_id in seen]
    states = (VersionState.PUBLISHED,) if reader is not None else SHOWN
    for start in range(0, len(ids), BATCH):
        statement = (
            select(Asset)
            .where(Asset.id.in_(ids[start : start + BATCH]))
            .order_by(Asset.id)
            .options(*(selectinload(part) for part in (Asset.tags, Asset.owners, Asset.audience, Asset.versions)))
        )
        for asset in session.scalars(statement):
            newest = {VersionState(version.state): version for version in asset.versions}
            shown = next((newest[state] for state in states if state in newest), None)
            if shown is not None:
                yield asset, shown
        session.expunge_all()


class _Desk:
    """Turns rows into files, with names looked up once."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self._settings = settings
        self._vocabulary: Vocabulary = taxonomy.load(session)
        self._emails = {row.id: row.email for row in session.execute(select(User.id, User.email))}
        self._teams = {row.id: row.name for row in session.execute(select(Team.id, Team.name))}
        rows = session.execute(select(Asset.id, Asset.external_id, Asset.public_id))
        self._ids = {asset_id: external_id or public_id for asset_id, external_id, public_id in rows}

    def file(self, asset: Asset, version: Version) -> str:
        front = yaml.safe_dump(
            self._fields(asset, version), allow_unicode=True, sort_keys=False, width=1_000_000, default_flow_style=None
        )
        blank = "\n" if version.text.startswith(("\n", "\r\n")) else ""
        return f"---\n{front}---\n{blank}{version.text}"

    def _fields(self, asset: Asset, version: Version) -> Mapping[str, object]:
        fields: dict[str, object] = {
            "external_id": asset.external_id or asset.public_id,
            "title": version.title,
            "type": asset.type,
            "language": version.language,
            "stages": self._tags(asset, "stages"),
            "unlock_stage": self._stage(asset),
            **{key: self._tags(asset, key) for key in FACET_KEYS if key != "stages"},
            "tier": asset.tier,
            "handling": version.handling,
            "nda": version.nda,
            "audience": sorted(self._teams[row.team_id] for row in asset.audience),
            "owners": sorted(self._emails[row.user_id] for row in asset.owners),
            "expires_on": self._last_day(asset),
            "translation_of": self._ids.get(asset.translation_of_id or 0),
        }
        if not asset.shows_teaser:
            fields["teaser"] = False
        if version.state != VersionState.PUBLISHED.value:
            fields["state"] = version.state
        return fields | {key: value for key, value in asset.extra.items() if key not in sources.KNOWN_KEYS}

    def _tags(self, asset: Asset, key: str) -> list[str]:
        labels = [self._vocabulary.by_id[row.tag_id] for row in asset.tags if row.tag_id in self._vocabulary.by_id]
        mine = [label for label in labels if label.facet == FACET_KEYS[key].value]
        return [label.key for label in sorted(mine, key=lambda label: (label.position, label.key))]

    def _stage(self, asset: Asset) -> str | None:
        label = self._vocabulary.by_id.get(asset.unlock_stage_id or 0)
        return label.key if label else None

    def _last_day(self, asset: Asset) -> object:
        """The last day on which it may be read, in the company's time zone."""
        if asset.expires_at is None:
            return None
        return (asset.expires_at.astimezone(self._settings.zone) - timedelta(microseconds=1)).date()


def _file_name(external_id: str, taken: set[str]) -> str:
    """A name that every file system takes, told apart by a hash where it had to be changed or stands there already."""
    plain = re.sub(r"[^\w.-]", "_", external_id)[:LONGEST_NAME].lstrip(".") or "asset"
    if plain != external_id or plain.casefold() in taken:
        plain = f"{plain}-{hashlib.sha256(external_id.encode()).hexdigest()[:8]}"
    taken.add(plain.casefold())
    return f"{plain}.md"
