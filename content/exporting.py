"""Writes assets as the Markdown files that `kb import assets` reads: what was imported comes back, byte by byte in the text.

A person's export holds what that person may read, and of the keys only what pages show to readers.
"""

import hashlib
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from content import reading, sources, taxonomy
from content.importing import FACET_KEYS, FailPoint, Progress
from content.kinds import VersionState
from content.models import Asset, Version
from content.taxonomy import Tag, Vocabulary
from kb import audit
from kb.access import Actor, Permission, require
from kb.config import Settings
from kb.db import Database
from kb.errors import Conflict, KbError
from kb.users import Team, User

BATCH: Final = 100
LONGEST_NAME: Final = 120
"""In bytes: a Chinese sign takes three, and file systems take 255 with the rest of the name."""
LINE_ENDS: Final = re.compile("[\n\r\x85\u2028\u2029]")
RESERVED: Final = re.compile(r"(?i)con|prn|aux|nul|com\d|lpt\d")
"""Names that Windows keeps for itself."""
SHOWN: Final = (VersionState.PUBLISHED, VersionState.DRAFT, VersionState.WITHDRAWN)
"""What of an asset is written: what readers see, else what editors work on, else what was withdrawn last."""


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
    database: Database,
    settings: Settings,
    actor: Actor,
    folder: Path,
    reader: Actor | None = None,
    progress: Progress = lambda _done: None,
    fail_point: FailPoint = lambda _name: None,
) -> Exported:
    """Write all assets into a new folder, or what `reader` may see; the folder appears when all of it is there.

    The trail names the export before it appears. Raises FolderInUse where something stands there already, and KbError
    where it cannot be written.
    """
    require(actor, Permission.IMPORT)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderInUse(f"{folder} is not an empty folder: name a new one.")
    beside = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    try:
        beside.mkdir(parents=True)
        with database.reading() as session:
            written = _write_all(session, settings, beside, reader, progress)
        fail_point("written")
        found = Exported(folder, written.assets, written.unpublished)
        with database.writing() as session:
            _record(session, actor, found, reader)
        fail_point("recorded")
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    except OSError as error:
        raise KbError(f"{folder} cannot be written: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return found


def _record(session: Session, actor: Actor, exported: Exported, reader: Actor | None) -> None:
    """Leave the entry that says what left the house, and as whom it was read."""
    seen_by = reader.name if reader else ""
    audit.record(
        session, actor, "asset.export", "export", exported.folder.name[:120], assets=exported.assets, seen_by=seen_by
    )


def _write_all(
    session: Session, settings: Settings, folder: Path, reader: Actor | None, progress: Progress
) -> Exported:
    chosen = _chosen(session, reader)
    desk, names = _Desk(session, settings, chosen, reader), file_names(chosen)
    unpublished = 0
    for done, (asset, version) in enumerate(_loaded(session, list(chosen), reader), start=1):
        (folder / names[asset.id]).write_bytes(desk.file(asset, version).encode())
        unpublished += not _is_live(asset, version)
        progress(done)
    return Exported(folder, len(chosen), unpublished)


def _states(reader: Actor | None) -> Sequence[VersionState]:
    return SHOWN if reader is None else (VersionState.PUBLISHED,)


def _chosen(session: Session, reader: Actor | None) -> Mapping[int, str]:
    """The assets to write with the ids they are known by, in the order of their rows."""
    states = [state.value for state in _states(reader)]
    has_text = Asset.id.in_(select(Version.asset_id).where(Version.state.in_(states)))
    rows = session.execute(select(Asset.id, Asset.external_id, Asset.public_id).where(has_text).order_by(Asset.id))
    ids = {asset_id: external_id or public_id for asset_id, external_id, public_id in rows}
    if reader is None:
        return ids
    seen = set(reading.visible_ids(session, reader, None).tolist())
    return {asset_id: known_by for asset_id, known_by in ids.items() if asset_id in seen}


def _loaded(session: Session, ids: Sequence[int], reader: Actor | None) -> Iterator[tuple[Asset, Version]]:
    """Every asset with the version to write."""
    for start in range(0, len(ids), BATCH):
        statement = (
            select(Asset)
            .where(Asset.id.in_(ids[start : start + BATCH]))
            .order_by(Asset.id)
            .options(*(selectinload(part) for part in (Asset.tags, Asset.owners, Asset.audience, Asset.versions)))
        )
        for asset in session.scalars(statement):
            newest = {VersionState(version.state): version for version in asset.versions}
            yield asset, next(newest[state] for state in _states(reader) if state in newest)
        session.expunge_all()


def _is_live(asset: Asset, version: Version) -> bool:
    """Published and not on hold: what is not live must not become so by coming back."""
    return version.state == VersionState.PUBLISHED.value and asset.held_at is None


class _Desk:
    """Turns rows into files, with names looked up once."""

    def __init__(self, session: Session, settings: Settings, chosen: Mapping[int, str], reader: Actor | None) -> None:
        self._settings = settings
        self._reader = reader
        self._ids = chosen if reader is not None else _all_ids(session)
        self._vocabulary: Vocabulary = taxonomy.load(session)
        self._stages = {
            row.id: row.key for row in session.execute(select(Tag.id, Tag.key))
        }  # retired ones too: they lock
        self._emails = {row.id: row.email for row in session.execute(select(User.id, User.email))}
        self._teams = {row.id: row.name for row in session.execute(select(Team.id, Team.name))}

    def file(self, asset: Asset, version: Version) -> str:
        front = yaml.dump(
            self._fields(asset, version),
            Dumper=_Dumper,
            allow_unicode=True,
            sort_keys=False,
            width=1_000_000,
            default_flow_style=None,
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
            "unlock_stage": self._stages.get(asset.unlock_stage_id or 0),
            **{key: self._tags(asset, key) for key in FACET_KEYS if key != "stages"},
            "tier": asset.tier,
            "handling": version.handling,
            "nda": version.nda,
            "audience": self._audience(asset),
            "owners": sorted(self._emails[row.user_id] for row in asset.owners) if self._reader is None else [],
            "expires_on": self._last_day(asset),
            "translation_of": self._ids.get(asset.translation_of_id or 0),
        }
        if version.ai_generated:
            fields["ai_generated"] = True
        if not asset.shows_teaser:
            fields["teaser"] = False
        if not _is_live(asset, version):
            fields["state"] = VersionState.DRAFT.value
        if self._reader is not None:
            return fields
        return fields | {key: value for key, value in asset.extra.items() if key not in sources.KNOWN_KEYS}

    def _audience(self, asset: Asset) -> list[str]:
        """The teams it is for; of those, a person learns their own."""
        teams = {row.team_id for row in asset.audience}
        if self._reader is not None:
            teams &= self._reader.team_ids
        return sorted(self._teams[team_id] for team_id in teams)

    def _tags(self, asset: Asset, key: str) -> list[str]:
        labels = [self._vocabulary.by_id[row.tag_id] for row in asset.tags if row.tag_id in self._vocabulary.by_id]
        mine = [label for label in labels if label.facet == FACET_KEYS[key].value]
        return [label.key for label in sorted(mine, key=lambda label: (label.position, label.key))]

    def _last_day(self, asset: Asset) -> object:
        """The last day on which it may be read, in the company's time zone."""
        if asset.expires_at is None:
            return None
        return (asset.expires_at.astimezone(self._settings.zone) - timedelta(microseconds=1)).date()


def _all_ids(session: Session) -> Mapping[int, str]:
    rows = session.execute(select(Asset.id, Asset.external_id, Asset.public_id))
    return {asset_id: external_id or public_id for asset_id, external_id, public_id in rows}


class _Dumper(yaml.SafeDumper):
    """Writes line ends inside a value as escapes: as they stand, YAML would read some of them as others."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = '"' if LINE_ENDS.search(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def file_names(known_by: Mapping[int, str]) -> Mapping[int, str]:
    """A name for each asset that every file system takes; it depends on the ids alone, not on their order.

    Where an id had to be changed, or two would be one file where case or accents do not count, a hash tells them apart.
    """
    plain = {asset_id: _plain_name(one) for asset_id, one in known_by.items()}
    times = Counter(map(_folded, plain.values()))
    return {
        asset_id: f"{name}.md"
        if name == known_by[asset_id] and times[_folded(name)] == 1 and not RESERVED.fullmatch(name.partition(".")[0])
        else f"{name}-{hashlib.sha256(known_by[asset_id].encode()).hexdigest()[:8]}.md"
        for asset_id, name in plain.items()
    }


def _plain_name(known_by: str) -> str:
    name = re.sub(r"[^\w.-]", "_", known_by).lstrip(".")
    return name.encode()[:LONGEST_NAME].decode(errors="ignore") or "asset"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
