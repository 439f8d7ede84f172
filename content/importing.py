"""Bulk import of assets, idempotent by external id: one bad record never stops or undoes the others."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from content import alike, document_import, filestore, publishing, service, sources, taxonomy, visibility
from content.alike import Alike
from content.kinds import DEFAULT_HANDLING, AssetType, Facet, Handling, VersionState
from content.models import Asset, MissingOnBoard, Rendered
from content.service import Attributes, Wording
from content.sources import Failure, Record
from content.taxonomy import Label, Vocabulary
from kb import audit, clock
from kb.access import Actor, Permission, Tier, require
from kb.config import Settings
from kb.db import Database
from kb.errors import Invalid, KbError
from kb.users import Outcome, Team, User

BATCH = 25
LEAST_CHINESE = 0.2
FACET_KEYS: Mapping[str, Facet] = {
    "stages": Facet.STAGE,
    "industries": Facet.INDUSTRY,
    "pain_points": Facet.PAIN_POINT,
    "solutions": Facet.SOLUTION,
    "products": Facet.PRODUCT,
    "competitors": Facet.COMPETITOR,
    "personas": Facet.PERSONA,
    "regions": Facet.REGION,
}
LANGUAGE = re.compile(r"[a-z]{2,3}")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
CJK = re.compile(r"[\u3400-\u9fff]")
LATIN = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Options:
    """How an import behaves."""

    publish: bool = False
    create_tags: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Worded:
    """An asset whose text an import wrote, and where the record stands."""

    path: str
    line: int | None
    asset_id: int


@dataclass(slots=True)
class Report:
    """What an import did, as `kb import --json` prints it."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: list[Failure] = field(default_factory=list)
    warnings: list[Failure] = field(default_factory=list)
    worded: list["Worded"] = field(default_factory=list)
    """What got a new text, for those who compare by meaning."""

    def count(self, outcome: Outcome) -> None:
        setattr(self, outcome.value, getattr(self, outcome.value) + 1)

    @property
    def total(self) -> int:
        return self.created + self.updated + self.unchanged + len(self.failed)

    def as_json(self) -> dict[str, object]:
        rows = {
            name: [{"path": f.path, "line": f.line, "code": f.code, "message": f.message} for f in getattr(self, name)]
            for name in ("failed", "warnings")
        }
        return {"created": self.created, "updated": self.updated, "unchanged": self.unchanged, **rows}


Choice = TypeVar("Choice", bound=StrEnum)
Progress = Callable[[int], None]
FailPoint = Callable[[str], None]
"""Called with the name of a step; tests end the process there."""


class AssetImport:
    """One run over files; each batch is one transaction, each record in it stands or falls alone."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        actor: Actor,
        options: Options,
        fail_point: FailPoint = lambda _name: None,
    ) -> None:
        require(actor, Permission.IMPORT)
        self._database = database
        self._settings = settings
        self._actor = actor
        self._options = options
        self._fail_point = fail_point
        self._watch = alike.Watch(actor)
        self.report = Report()

    def run(self, paths: Iterable[Path], progress: Progress = lambda _done: None) -> Report:
        """Import the files; records that translate one not imported yet come after all others."""
        waiting: list[Record] = []
        for batch in _batches(self._records(paths)):
            waiting += self._import(batch, last_try=False)
            progress(self.report.total)
        for batch in _batches(iter(waiting)):
            self._import(batch, last_try=True)
            progress(self.report.total)
        return self.report

    def _records(self, paths: Iterable[Path]) -> Iterator[Record]:
        for path in sources.list_files(paths):
            for found in self._read(path):
                if isinstance(found, Failure):
                    self.report.failed.append(found)
                else:
                    yield found

    def _read(self, path: Path) -> Iterator[Record | Failure]:
        if not document_import.is_document(path):
            yield from sources.read(path)
            return
        found = document_import.read(self._database, self._settings, path)
        if found is None:
            self.report.count(Outcome.UNCHANGED)
        else:
            yield found

    def _import(self, batch: list[Record], *, last_try: bool) -> list[Record]:
        rendered = self._render([record.text for record in batch])
        self._fail_point("rendered")
        waiting: list[Record] = []
        outcomes: list[Outcome] = []
        with self._database.writing() as session:
            self._watch.begin(session)
            desk = Desk(session, self._settings, self._actor, self._options)
            for record in batch:
                try:
                    with session.begin_nested():
                        outcomes.append(desk.put(record, rendered.get(record.text), last_try=last_try))
                except _SourceMissing:
                    waiting.append(record)
                except KbError as error:
                    self._fail(record, error.code, error.text)
                except IntegrityError:
                    self._fail(
                        record, "conflict", "somebody else changed this asset at the same moment: import it again"
                    )
                self._fail_point("record_kept")
            warnings = desk.warnings + [found for told in desk.worded if (found := self._near(session, *told))]
            self._fail_point("before_commit")
        self._fail_point("after_commit")
        self.report.warnings += warnings
        self.report.worded += [Worded(record.path, record.line, asset.id) for record, asset, _ in desk.worded]
        for outcome in outcomes:
            self.report.count(outcome)
        return waiting

    def _near(self, session: Session, record: Record, asset: Asset, sketch: bytes | None) -> Failure | None:
        found = self._watch.look(session, asset, sketch)
        return near_duplicate(record.path, record.line, found) if found is not None else None

    def _fail(self, record: Record, code: str, message: str) -> None:
        self.report.failed.append(Failure(record.path, record.line, code, message))

    def _render(self, texts: list[str]) -> dict[str, Rendered]:
        """Render what is not kept yet, outside the transaction; texts that are refused anyway are left out."""
        wanted = {text: service.rendering_digest(text) for text in texts if text.strip() and "\x00" not in text}
        with self._database.reading() as session:
            kept = {
                row.digest: row for row in session.scalars(select(Rendered).where(Rendered.digest.in_(wanted.values())))
            }
        return {text: kept.get(digest) or service.render(text) for text, digest in wanted.items()}


def near_duplicate(path: str, line: int | None, found: Alike) -> Failure:
    """The warning about a text that the library has already in much the same words or with the same meaning."""
    name = f"external:{found.external_id}" if found.external_id else found.public_id
    how = f"{found.share:.0%} of its wording is that of" if found.share else "it means much the same as"
    advice = "keep one of them" if found.share else "keep one of them, or tie them with translation_of"
    return Failure(path, line, "near_duplicate", f"{how} “{found.title}” ({name}): {advice}")


class _SourceMissing(Exception):
    """The asset this one translates has not been imported yet."""


class Desk:
    """Turns records into assets within one transaction, with names resolved against what the database holds."""

    def __init__(self, session: Session, settings: Settings, actor: Actor, options: Options) -> None:
        self._session = session
        self._settings = settings
        self._actor = actor
        self._options = options
        self._vocabulary: Vocabulary = taxonomy.load(session)
        people = select(User.email, User.id).where(User.is_service.is_not(True))
        self._users = {row.email: row.id for row in session.execute(people)}
        self._teams = {row.name: row.id for row in session.execute(select(Team.name, Team.id))}
        self.warnings: list[Failure] = []
        self.worded: list[tuple[Record, Asset, bytes | None]] = []

    def put(self, record: Record, rendered: Rendered | None, *, last_try: bool) -> Outcome:
        """Create, update or leave one asset; raises Invalid with every mistake of the record."""
        reading = _Fields(record, self)
        external_id = reading.external_id()
        asset = service.find_by_external_id(self._session, external_id) if external_id else None
        may_publish = self._options.publish and reading.may_publish()
        asset_type = reading.choice("type", AssetType, AssetType.OTHER)
        wording = reading.wording(asset_type)
        attributes = reading.attributes(asset_type, last_try=last_try)
        reading.finish()
        service.check(wording)
        if asset is None:
            asset = service.create(self._session, self._actor, external_id, attributes)
            outcome, changed = Outcome.CREATED, True
        else:
            changed = service.set_attributes(self._session, asset, attributes)
            outcome = Outcome.UPDATED
        rendered = rendered or service.render(wording.text)
        reworded = self._put_version(asset, wording, rendered, attributes, record, publish=may_publish)
        if not changed and not reworded:
            return Outcome.UNCHANGED
        if may_publish:
            self._note_lacks(asset, self._lacks(attributes))
        audit.record(
            self._session,
            self._actor,
            "asset.import",
            "asset",
            asset.public_id,
            external_id=external_id,
            outcome=outcome.value,
        )
        if reworded:
            self.worded.append((record, asset, rendered.likeness))
        return outcome

    def create(self, record: Record, rendered: Rendered) -> Asset:
        """A new asset with its draft; raises Invalid with every mistake of the record."""
        reading = _Fields(record, self)
        external_id = reading.external_id(is_needed=False)
        asset_type = reading.choice("type", AssetType, AssetType.OTHER)
        wording = reading.wording(asset_type)
        attributes = reading.attributes(asset_type, last_try=True)
        reading.finish()
        service.check(wording)
        asset = service.create(self._session, self._actor, external_id or None, attributes)
        version = service.put_draft(self._session, self._actor, asset, wording, rendered)
        audit.record(self._session, self._actor, "asset.create", "asset", asset.public_id, digest=version.digest)
        return asset

    def _put_version(
        self,
        asset: Asset,
        wording: Wording,
        rendered: Rendered,
        attributes: Attributes,
        record: Record,
        *,
        publish: bool,
    ) -> bool:
        """Bring draft or published version to this wording; True when something changed."""
        # what was withdrawn on purpose does not come back by the same import
        shown = service.find_version(self._session, asset, VersionState.PUBLISHED, VersionState.WITHDRAWN)
        draft = service.find_version(self._session, asset, VersionState.DRAFT)
        newest = draft or shown
        files = [(kept.filename, kept.sha256) for kept in record.kept]
        digest = service.digest(wording, files or (service.files_of(self._session, newest) if newest else ()))
        if newest is not None and newest.digest == digest and (newest is not draft or not publish):
            if newest.rendering_digest == rendered.digest:
                return False
            service.keep_rendering(self._session, rendered)
            newest.rendering_digest = rendered.digest
            return True
        version = service.put_draft(self._session, self._actor, asset, wording, rendered)
        if record.kept:
            filestore.set_files(self._session, version, record.kept)
            version.digest = service.digest(wording, service.files_of(self._session, version))
        if publish:
            publishing.load(self._session, self._actor, version, self._lacks(attributes))
        return True

    def _lacks(self, attributes: Attributes) -> list[str]:
        tags = [self._vocabulary.by_id[tag_id] for tag_id in attributes.tag_ids]
        return service.lacks(attributes.type, tags, attributes.owner_ids)

    def _note_lacks(self, asset: Asset, lacks: list[str]) -> None:
        """Bring the board to what the asset lacks now."""
        noted = {
            row.what: row
            for row in self._session.scalars(select(MissingOnBoard).where(MissingOnBoard.asset_id == asset.id))
        }
        for what in noted.keys() - set(lacks):
            self._session.delete(noted[what])
        self._session.add_all(
            MissingOnBoard(asset_id=asset.id, what=what, since_on=clock.now().date())
            for what in lacks
            if what not in noted
        )

    def tag(self, facet: Facet, word: str) -> Label | None:
        """The tag a word names, made where the import may make tags."""
        found = self._vocabulary.find(facet.value, word)
        if found is None and self._options.create_tags and taxonomy.key_of(word):
            taxonomy.put(
                self._session, self._actor, facet, taxonomy.key_of(word), word.strip()[:120], word.strip()[:120]
            )
            self._vocabulary = taxonomy.load(self._session)
            found = self._vocabulary.find(facet.value, word)
        return found

    def user_id(self, email: str) -> int | None:
        return self._users.get(email.strip().casefold())

    def team_id(self, name: str) -> int | None:
        return self._teams.get(name.strip())

    def asset_id(self, external_id: str) -> int | None:
        """The asset of that id, as far as the actor knows of it: a hidden one is answered like none."""
        known = or_(visibility.editable_by(self._actor), visibility.visible_to(self._actor, None))
        return self._session.scalar(select(Asset.id).where(service.is_known_by(external_id), known))

    @property
    def default_owner(self) -> str:
        return self._options.owner

    def end_of_day(self, day: date) -> datetime:
        """The moment a day ends in the company's time zone."""
        return datetime.combine(day + timedelta(days=1), time.min, self._settings.zone)


class _Fields:
    """Reads one record's keys, gathers every mistake, and tells them together."""

    def __init__(self, record: Record, desk: Desk) -> None:
        self._record = record
        self._fields = record.fields
        self._desk = desk
        self._mistakes: list[str] = []
        self._code = "invalid"

    def finish(self) -> None:
        if self._mistakes:
            raise Invalid(" ".join(self._mistakes), code=self._code)

    def _wrong(self, code: str, message: str) -> None:
        if not self._mistakes:
            self._code = code
        self._mistakes.append(message)

    def _warn(self, code: str, message: str) -> None:
        self._desk.warnings.append(Failure(self._record.path, self._record.line, code, message))

    def external_id(self, *, is_needed: bool = True) -> str:
        value = str(self._fields.get("external_id", "")).strip()
        if not value and is_needed:
            self._wrong(
                "external_id_missing",
                "`external_id` (or `id`) is missing: without it a second import would double the asset.",
            )
        if len(value) > 200 or "\x00" in value:
            self._wrong("external_id", "`external_id` has more than 200 characters or broken ones.")
        return value[:200]

    def choice(self, key: str, choices: type[Choice], default: Choice) -> Choice:
        raw = self._fields.get(key)
        if raw is None or raw == "":
            return default
        word = str(raw).strip().casefold().replace(" ", "_").replace("-", "_")
        try:
            return choices(word)
        except ValueError:
            self._wrong(f"unknown_{key}", f"{key} {str(raw)[:60]!r} is none of {', '.join(choices)}.")
            return default

    def may_publish(self) -> bool:
        """An export says of an asset that was not published that it is none: a bulk load leaves it so."""
        state = str(self._fields.get("state") or VersionState.PUBLISHED.value)
        if state not in set(VersionState):
            self._wrong("unknown_state", f"state {state[:40]!r} is none of {', '.join(VersionState)}.")
        return state == VersionState.PUBLISHED.value

    def wording(self, asset_type: AssetType) -> Wording:
        handling = self.choice("handling", Handling, DEFAULT_HANDLING[asset_type])
        marks = [self._flag(key, default=False) for key in ("nda", "ai_generated")]
        return Wording(self._title(), self._record.text, self._language(), handling, *marks)

    def _title(self) -> str:
        title = self._fields.get("title")
        if isinstance(title, str | int | float) and str(title).strip():
            return str(title).strip()
        heading = HEADING.search(self._record.text)
        return heading.group(1).strip()[: service.MAX_TITLE_LENGTH] if heading else ""

    def _language(self) -> str:
        given = str(self._fields.get("language") or "").strip().casefold().replace("_", "-").partition("-")[0]
        if not given:
            return guess_language(self._record.text)
        if not LANGUAGE.fullmatch(given):
            self._wrong("unknown_language", f"language {given[:20]!r} is not a code such as zh or en.")
        return given[:10]

    def _flag(self, key: str, *, default: bool) -> bool:
        value = self._fields.get(key, default)
        if isinstance(value, bool):
            return value
        if str(value).strip().casefold() in {"yes", "true", "1"}:
            return True
        if str(value).strip().casefold() in {"no", "false", "0", ""}:
            return False
        self._wrong(key, f"{key} must be true or false.")
        return default

    def attributes(self, asset_type: AssetType, *, last_try: bool) -> Attributes:
        return Attributes(
            type=asset_type,
            tier=self.choice("tier", Tier, Tier.INTERNAL),
            unlock_stage_id=self._unlock_stage(),
            shows_teaser=self._flag("teaser", default=True),
            tag_ids=frozenset(label.id for label in self._tags()),
            owner_ids=self._owners(),
            team_ids=self._audience(),
            expires_at=self._expiry(),
            translation_of_id=self._source(last_try=last_try),
            extra=self._extra(),
        )

    def _words(self, key: str) -> list[str]:
        value = self._fields.get(key)
        if value is None:
            return []
        values = value if isinstance(value, list) else re.split(r"[,;，；、]", str(value))
        return [str(word).strip() for word in values if str(word).strip()]

    def _tags(self) -> list[Label]:
        found = []
        for key, facet in FACET_KEYS.items():
            for word in self._words(key):
                label = self._desk.tag(facet, word)
                if label is None:
                    self._warn(
                        "unknown_tag",
                        f"{key}: there is no {facet.value.replace('_', ' ')} {word[:60]!r}; add it, or import with --create-tags",
                    )
                else:
                    found.append(label)
        return found

    def _unlock_stage(self) -> int | None:
        word = str(self._fields.get("unlock_stage") or "").strip()
        if not word:
            return None
        label = self._desk.tag(Facet.STAGE, word)
        if label is None:
            self._wrong(
                "unknown_stage",
                f"unlock_stage {word[:60]!r} is no stage: left out it would be open to all, so nothing was imported.",
            )
        return label.id if label else None

    def _owners(self) -> frozenset[int]:
        found = set()
        for email in self._words("owners") or ([self._desk.default_owner] if self._desk.default_owner else []):
            user_id = self._desk.user_id(email)
            if user_id is None:
                self._warn("unknown_owner", f"owners: there is no user {email[:80]}; add the person, or give --owner")
            else:
                found.add(user_id)
        return frozenset(found)

    def _audience(self) -> frozenset[int]:
        found = set()
        for name in self._words("audience"):
            team_id = self._desk.team_id(name)
            if team_id is None:
                self._wrong(
                    "unknown_team",
                    f"audience: there is no team {name[:60]!r}: left out it would be open to all, so nothing was imported.",
                )
            else:
                found.add(team_id)
        return frozenset(found)

    def _expiry(self) -> datetime | None:
        value = self._fields.get("expires_on")
        if value is None or value == "":
            return None
        if isinstance(value, datetime):
            value = value.date()
        try:
            day = value if isinstance(value, date) else date.fromisoformat(str(value).strip())
            return self._desk.end_of_day(day)
        except (ValueError, OverflowError):
            self._wrong("expires_on", f"expires_on {str(value)[:40]!r} is not a date such as 2027-03-31.")
            return None

    def _source(self, *, last_try: bool) -> int | None:
        external_id = str(self._fields.get("translation_of") or "").strip()
        if not external_id:
            return None
        source_id = self._desk.asset_id(external_id)
        if source_id is None and not last_try and not self._mistakes:
            raise _SourceMissing
        if source_id is None:
            self._wrong(
                "unknown_source",
                f"translation_of {external_id[:80]!r} is not an asset here: import its source with it.",
            )
        return source_id

    def _extra(self) -> dict[str, object]:
        try:
            return {key: _plain(value) for key, value in self._fields.items() if key not in sources.KNOWN_KEYS}
        except RecursionError:
            self._wrong("odd_value", "Some values are nested too deep.")
            return {}


def _plain(value: object) -> object:
    """The value as JSON can keep it."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return str(value)


def guess_language(text: str) -> str:
    """zh where at least a fifth of the words are Chinese signs, else en."""
    chinese = len(CJK.findall(text))
    return "zh" if chinese > LEAST_CHINESE * (chinese + len(LATIN.findall(text))) else "en"


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
