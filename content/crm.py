"""Import of deals, stage histories and use events from CSV: upserts by id, every refused row with its reason."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import insert, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session, selectinload

from content import rejected, spreadsheet, taxonomy
from content.deals import Deal, DealMember, DealStage, DealTag
from content.importing import Progress, Report
from content.kinds import DealSource, Facet, Outcome, UseKind
from content.mapping import ColumnMap
from content.models import Asset, UseEvent, Version
from content.sources import Failure
from content.spreadsheet import Row, Sheet, Unreadable
from content.taxonomy import Tag
from kb import audit, clock, users
from kb.access import Actor, Permission, require
from kb.db import Database
from kb.errors import Invalid, KbError
from kb.users import Outcome as Done
from kb.users import User

BATCH = 500
"""Rows of one transaction: refused ones stand aside, the others are written together."""
MAX_ID_LENGTH = 120
BREATH = 0.01
"""Seconds between two batches in which those who wait to write get their turn: SQLite has no queue for them."""
YEARS = range(1970, 2101)
"""Years that a deal can have to do with; others are slips of the keyboard."""
MAX_AMOUNT = Decimal(10) ** 15
NDA_COLUMNS = ("nda_signed_on", "nda_until_on", "nda_reference")
"""The non-disclosure agreement with the customer; without the first column, what is on file stays."""


class Desk(Protocol):
    """Takes rows of one kind: all of a batch are looked up at once, each is checked before anything of it is changed."""

    def prepare(self, session: Session, rows: Sequence[Row]) -> None: ...

    def put(self, session: Session, row: Row) -> Done:
        """Raises Invalid and changes nothing, or takes the row; what it takes is written at the latest by `finish`."""

    def finish(self, session: Session) -> None: ...


class CsvImport:
    """One CSV file of people, deals, stages or usage."""

    REQUIRED: Mapping[str, frozenset[str]] = {
        "users": frozenset({"email", "role"}),
        "deals": frozenset({"external_id", "account", "created_at"}),
        "stages": frozenset({"deal_external_id", "stage", "entered_at"}),
        "usage": frozenset({"event_id", "asset_external_id", "user_email", "kind", "at"}),
    }

    KNOWN: Mapping[str, frozenset[str]] = {
        "users": frozenset({"email", "name", "role", "party", "clearance", "teams", "language", "manager"}),
        "deals": frozenset(
            [
                "external_id",
                "account",
                "owner_email",
                "industry",
                "segment",
                "amount",
                "currency",
                "stage",
                "created_at",
                "closed_at",
                "outcome",
                "competitor",
                "loss_reason",
                "members",
                "pain_points",
                "modified_at",
                *NDA_COLUMNS,
            ]
        ),
        "stages": frozenset({"deal_external_id", "stage", "entered_at"}),
        "usage": frozenset(
            ["event_id", "asset_external_id", "user_email", "kind", "deal_external_id", "at", "deal_source", "surface"]
        ),
    }
    """All columns of each kind; others are left alone."""

    def __init__(
        self,
        database: Database,
        actor: Actor,
        kind: str,
        shift: Callable[[datetime], datetime] = lambda at: at,
        columns: ColumnMap | None = None,
    ) -> None:
        require(actor, Permission.IMPORT)
        self._database = database
        self._actor = actor
        self._kind = kind
        self._shift = shift
        self._columns = columns
        self._left_out = 0
        self._outside = 0
        self._strange: set[tuple[Facet, str]] = set()
        self.report = Report()

    def run(self, path: Path, progress: Progress = lambda _done: None) -> Report:
        return self._run(str(path), path.name, self._rows(path), progress)

    def run_rows(self, name: str, rows: Iterable[Row], progress: Progress = lambda _done: None) -> Report:
        """The same for rows that stand in no file; `name` takes the file's place in reports."""
        return self._run(name, name, enumerate(rows, start=1), progress)

    def _run(self, path: str, name: str, rows: Iterable[tuple[int, Row]], progress: Progress) -> Report:
        for batch in _batches(rows):
            with self._database.writing() as session:
                before = self._counted()
                asks = not rejected.is_empty(session, self._kind)
                ready = [one for number, row in batch if (one := self._mapped(number, row)) is not None]
                told = self._together(session, ready) if self._kind != "users" else None
                done = list(told if told is not None else self._one_by_one(session, ready))
                for line in done:
                    self._tell(session, path, name, line)
                if asks:
                    key = rejected.KEYS[self._kind]
                    taken = [line.row.get(key, "")[:120] for line in done if line.outcome is not None]
                    rejected.accepted(session, self._kind, taken)
                self._record(session, name, before)
            progress(self.report.total)
            time.sleep(BREATH)
        if self._left_out:
            self._warn(path, "left_out", f"{self._left_out} rows were left out, as the mapping says")
        if self._outside:
            told_of = (
                "events lie before their deal was created or after it closed: they are kept and count towards no deal"
            )
            self._warn(path, "outside_deal", f"{self._outside} {told_of}")
        for facet in sorted({facet for facet, _ in self._strange}):
            words = sorted(word for one, word in self._strange if one is facet)
            shown = ", ".join(words[:10]) + (f" and {len(words) - 10} more" if len(words) > 10 else "")
            told_of = (
                f"the vocabulary has no {facet.value.replace('_', ' ')} {shown[:300]}: kept with the deals as words"
            )
            self._warn(path, f"unknown_{facet.value}", told_of)
        return self.report

    def _mapped(self, number: int, row: Row) -> "_Line | None":
        """The row in our columns; None where the mapping leaves it out."""
        try:
            if any("\x00" in value for value in row.values()):
                raise Invalid("The row holds a NUL character: save the file as CSV UTF-8.", code="broken_characters")
            ours = row if self._columns is None else self._columns.apply(row)
        except KbError as error:
            return _Line(number, row, refusal=(error.code, error.text))
        if ours is None:
            self._left_out += 1
            return None
        return _Line(number, ours)

    def _together(self, session: Session, lines: Sequence["_Line"]) -> "Sequence[_Line] | None":
        """All rows of a batch in one go; None where the database refuses one of them, and nothing is kept."""
        desk = self._desk(session)
        try:
            with session.begin_nested():
                desk.prepare(session, [line.row for line in lines if line.refusal is None])
                told = [self._taken(session, desk, line) for line in lines]
                desk.finish(session)
                session.flush()
        except (IntegrityError, DataError):
            session.expire_all()
            return None
        self._note(desk)
        return told

    def _one_by_one(self, session: Session, lines: Sequence["_Line"]) -> "Iterator[_Line]":
        desk = self._desk(session)
        for line in lines:
            try:
                with session.begin_nested():
                    if line.refusal is None:
                        desk.prepare(session, [line.row])
                    done = self._taken(session, desk, line)
                    desk.finish(session)
                    session.flush()
            except (IntegrityError, DataError):
                desk = self._desk(session)
                refusal = (
                    "the database does not take this row: another one changed it meanwhile, or a value is too long"
                )
                yield _Line(line.number, line.row, refusal=("conflict", refusal))
            else:
                yield done
        self._note(desk)

    def _note(self, desk: Desk) -> None:
        """What is worth a warning once a run."""
        if isinstance(desk, Usage):
            self._outside += desk.outside
        elif isinstance(desk, Deals):
            self._strange |= desk.strange

    @staticmethod
    def _taken(session: Session, desk: Desk, line: "_Line") -> "_Line":
        if line.refusal is not None:
            return line
        try:
            return _Line(line.number, line.row, outcome=desk.put(session, line.row))
        except KbError as error:
            return _Line(line.number, line.row, refusal=(error.code, error.text))

    def _tell(self, session: Session, path: str, name: str, line: "_Line") -> None:
        """Count the row; a refused one is kept until it is corrected, or until a row of its name is taken."""
        if line.outcome is not None:
            self.report.count(line.outcome)
        elif line.refusal is not None:
            code, message = line.refusal
            self.report.failed.append(Failure(path, line.number, code, message))
            if len(self.report.failed) <= rejected.MOST_OF_A_RUN:
                rejected.keep(session, self._kind, name, line.number, line.row, code, message)

    def _counted(self) -> tuple[int, int, int]:
        return self.report.created, self.report.updated, len(self.report.failed)

    def _record(self, session: Session, name: str, before: tuple[int, int, int]) -> None:
        """Leave an entry with the rows it speaks of, so that a run that dies has its trace too."""
        created, updated, failed = (now - then for now, then in zip(self._counted(), before, strict=True))
        if created or updated:
            told = {"mapping": self._columns.name} if self._columns is not None else {}
            counts = {"created": created, "updated": updated, "failed": failed}
            audit.record(session, self._actor, f"import.{self._kind}", "import", name[:120], **counts, **told)

    def _desk(self, session: Session) -> Desk:
        if self._kind == "users":
            return _People(self._actor)
        if self._kind == "deals":
            return Deals(session, self._shift)
        return Stages(session, self._shift) if self._kind == "stages" else Usage(session, self._shift)

    def _rows(self, path: Path) -> Iterator[tuple[int, Row]]:
        try:
            sheet = self._open(path)
        except Unreadable as refusal:
            self.report.failed.append(Failure(str(path), refusal.line, refusal.code, refusal.text))
            return
        for note in sheet.notes:
            self._warn(str(path), "guessed", note)
        self._warn_of_columns(sheet)
        for found in sheet.rows():
            if isinstance(found, Failure):
                self.report.failed.append(found)
            else:
                yield found

    def _open(self, path: Path) -> Sheet:
        """The table, with every column that is needed; raises Unreadable."""
        wanted, columns = self.KNOWN[self._kind], self._columns
        if columns is None:
            sheet = spreadsheet.read(path, wanted)
            missing = sorted(self.REQUIRED[self._kind] - set(sheet.columns))
        else:
            sheet = spreadsheet.read(path, columns.names, encoding=columns.encoding, delimiter=columns.delimiter)
            missing = columns.missing(sheet.columns)
        if missing:
            raise Unreadable("columns_missing", f"the first line must name the columns {', '.join(missing)}", 1)
        if columns is not None:
            self._columns = columns.fitted(sheet.columns, path.parent)
        return sheet

    def _warn_of_columns(self, sheet: Sheet) -> None:
        """Once a file: what of it is not read, and what the mapping would leave out by."""
        read = self.KNOWN[self._kind] | _OTHER_NAMES if self._columns is None else self._columns.names
        if ignored := [name for name in sheet.columns if name and name not in read]:
            shown = ", ".join(name[:40] for name in ignored[:10])
            more = f" and {len(ignored) - 10} more" if len(ignored) > 10 else ""
            self._warn(str(sheet.path), "columns_ignored", f"these columns are not read: {shown}{more}")
        if self._columns is not None and (absent := sorted(self._columns.skip.keys() - set(sheet.columns))):
            told = f"`skip` names columns the file has not: {', '.join(absent)}; no row was left out by them"
            self._warn(str(sheet.path), "columns_missing", told)

    def _warn(self, path: str, code: str, message: str) -> None:
        self.report.warnings.append(Failure(path, None, code, message))


@dataclass(frozen=True, slots=True)
class _Line:
    """A row on its way: refused with code and message, or taken with what came of it."""

    number: int
    row: Row
    refusal: tuple[str, str] | None = None
    outcome: Done | None = None


@dataclass(frozen=True, slots=True)
class _People:
    actor: Actor

    def prepare(self, session: Session, rows: Sequence[Row]) -> None:
        """People are looked up one by one."""

    def put(self, session: Session, row: Row) -> Done:
        return users.put(session, self.actor, users.new_user(row))

    def finish(self, session: Session) -> None:
        """Nothing waits."""


def put_deal(session: Session, actor: Actor, row: Row, stages: Iterable[tuple[str, str]]) -> Done:
    """One deal with its history in the caller's transaction, by the rules of the import; raises Invalid."""
    require(actor, Permission.IMPORT)
    outcome = Deals(session, lambda at: at).put(session, row)
    session.flush()
    desk = Stages(session, lambda at: at)
    changed = [
        desk.put(session, {"deal_external_id": row["external_id"], "stage": stage, "entered_at": entered_at})
        for stage, entered_at in stages
    ]
    session.flush()
    if outcome is Done.UNCHANGED and Done.CREATED in changed:
        outcome = Done.UPDATED
    if outcome is not Done.UNCHANGED:
        audit.record(session, actor, "deal.put", "deal", row["external_id"], outcome=outcome.value)
    return outcome


@dataclass(frozen=True, slots=True)
class _DealRow:
    """All that one row says of a deal, checked."""

    fields: Mapping[str, object]
    members: frozenset[int]
    tags: frozenset[int]
    stage_id: int | None
    modified_at: datetime | None


class Deals:
    """Upserts deals with members, tags and, where the history is unknown, the present stage."""

    def __init__(self, session: Session, shift: Callable[[datetime], datetime]) -> None:
        self._vocabulary = taxonomy.load(session)
        self._users = _user_ids(session)
        self._shift = shift
        self._known: dict[str, Deal | None] = {}
        self._tags: dict[tuple[Facet, str], int | None] = {}
        self.strange: set[tuple[Facet, str]] = set()
        """Words that no vocabulary has: they stay with the deal as words."""

    def prepare(self, session: Session, rows: Sequence[Row]) -> None:
        wanted = {row.get("external_id", "").strip() for row in rows}
        self._known = dict.fromkeys(wanted)
        self._known |= {
            deal.external_id: deal
            for deal in session.scalars(
                select(Deal)
                .where(Deal.external_id.in_(wanted))
                .options(selectinload(Deal.members), selectinload(Deal.stages), selectinload(Deal.tags))
            )
        }

    def put(self, session: Session, row: Row) -> Done:
        external_id = _needed(row, "external_id")
        if len(external_id) > MAX_ID_LENGTH:
            raise Invalid(f"external_id has more than {MAX_ID_LENGTH} characters.", code="external_id")
        told = self._read(row)
        if external_id not in self._known:
            self.prepare(session, [row])
        deal = self._known[external_id]
        if deal is not None and deal.modified_at and told.modified_at and told.modified_at < deal.modified_at:
            return Done.UNCHANGED
        if deal is None:
            deal = Deal(external_id=external_id, members=[], stages=[], tags=[])
            self._fill(deal, told)
            session.add(deal)
            self._known[external_id] = deal
            return Done.CREATED
        before = _deal_state(deal)
        self._fill(deal, told)
        return Done.UPDATED if before != _deal_state(deal) else Done.UNCHANGED

    def finish(self, session: Session) -> None:
        """Rows stand in the session."""

    def _read(self, row: Row) -> _DealRow:
        created_at = self._shift(moment(row, "created_at"))
        closed_at = self._shift(moment(row, "closed_at")) if row.get("closed_at") else None
        outcome = _choice(row, "outcome", Outcome, Outcome.OPEN)
        if (closed_at is None) != (outcome == Outcome.OPEN.value):
            raise Invalid("A closed deal needs both outcome and closed_at, an open one neither.", code="outcome")
        if closed_at is not None and closed_at < created_at:
            raise Invalid("closed_at lies before created_at.", code="closed_at")
        fields: dict[str, object] = {
            "account": _needed(row, "account")[:200],
            "created_at": created_at,
            "closed_at": closed_at,
            "outcome": outcome,
            "segment": row.get("segment", "")[:80],
            "loss_reason": row.get("loss_reason", "")[:300],
            "amount": _amount(row),
            "currency": _currency(row),
            "owner_id": _user_id(self._users, row["owner_email"]) if row.get("owner_email") else None,
        }
        if NDA_COLUMNS[0] in row:
            fields |= dict(zip(NDA_COLUMNS, _nda(row), strict=True))
        modified_at = self._shift(moment(row, "modified_at")) if row.get("modified_at") else None
        if modified_at is not None:
            fields["modified_at"] = modified_at
        members = frozenset(_user_id(self._users, email) for email in _split(row.get("members", "")))
        tags, strange = set(), []
        for column, facet in _TAG_COLUMNS.items():
            for word in _split(row.get(column, "")):
                tag_id = self._tag(facet, word)
                if tag_id is None:
                    strange.append((facet, word))
                else:
                    tags.add(tag_id)
        self.strange.update(strange)
        fields["industry_word"] = next((word[:120] for facet, word in strange if facet is Facet.INDUSTRY), None)
        others = "; ".join(f"{facet.value}: {word}" for facet, word in strange if facet is not Facet.INDUSTRY)
        fields["other_words"] = others[:500] or None
        stage_id = self._stage(row["stage"]) if row.get("stage") else None
        return _DealRow(fields, members, frozenset(tags), stage_id, modified_at)

    def _fill(self, deal: Deal, told: _DealRow) -> None:
        for name, value in told.fields.items():
            if getattr(deal, name) != value:
                setattr(deal, name, value)
        _keep(deal.members, "user_id", set(told.members), lambda user_id: DealMember(user_id=user_id))
        _keep(deal.tags, "tag_id", set(told.tags), lambda tag_id: DealTag(tag_id=tag_id))
        if told.stage_id is not None:
            self._assume_stage(deal, told.stage_id)

    def _assume_stage(self, deal: Deal, stage_id: int) -> None:
        """The CRM says where the deal stands, not since when: kept as assumed, from creation or from now."""
        latest = max(deal.stages, key=lambda entry: (entry.entered_at, entry.id or 0), default=None)
        if latest is None:
            deal.stages.append(DealStage(stage_id=stage_id, entered_at=deal.created_at, is_assumed=True))
        elif latest.stage_id != stage_id:
            deal.stages.append(
                DealStage(stage_id=stage_id, entered_at=max(clock.now(), latest.entered_at), is_assumed=True)
            )

    def _stage(self, word: str) -> int:
        stage_id = self._tag(Facet.STAGE, word)
        if stage_id is None:
            raise Invalid(f"There is no stage {word[:60]!r}: add it to the vocabulary first.", code="unknown_stage")
        return stage_id

    def _tag(self, facet: Facet, word: str) -> int | None:
        if (facet, word) not in self._tags:
            label = self._vocabulary.find(facet.value, word)
            self._tags[facet, word] = None if label is None else label.id
        return self._tags[facet, word]


class Stages:
    """Upserts the moments at which deals entered their stages."""

    def __init__(self, session: Session, shift: Callable[[datetime], datetime]) -> None:
        self._vocabulary = taxonomy.load(session)
        self._shift = shift
        self._known: dict[str, Deal | None] = {}
        self._labels: dict[str, int] = {}

    def prepare(self, session: Session, rows: Sequence[Row]) -> None:
        wanted = {row.get("deal_external_id", "").strip() for row in rows}
        self._known = dict.fromkeys(wanted)
        found = select(Deal).where(Deal.external_id.in_(wanted)).options(selectinload(Deal.stages))
        self._known |= {deal.external_id: deal for deal in session.scalars(found)}

    def put(self, session: Session, row: Row) -> Done:
        external_id = _needed(row, "deal_external_id")
        if external_id not in self._known:
            self.prepare(session, [row])
        deal = self._known[external_id]
        if deal is None:
            raise Invalid(f"There is no deal {external_id[:80]!r}: import deals first.", code="unknown_deal")
        stage_id = self._stage(_needed(row, "stage"))
        entered_at = self._shift(moment(row, "entered_at"))
        same = [e for e in deal.stages if e.stage_id == stage_id and e.entered_at == entered_at]
        if any(not e.is_assumed for e in same):
            return Done.UNCHANGED
        for entry in list(deal.stages):
            if (
                entry.is_assumed
                and entry not in same
                and (entry.stage_id == stage_id or entry.entered_at == deal.created_at)
            ):
                deal.stages.remove(entry)
        if same:
            same[0].is_assumed = False
        else:
            deal.stages.append(DealStage(stage_id=stage_id, entered_at=entered_at))
        return Done.CREATED

    def finish(self, session: Session) -> None:
        """Rows stand in the session."""

    def _stage(self, word: str) -> int:
        if word not in self._labels:
            label = self._vocabulary.find(Facet.STAGE.value, word)
            if label is None:
                raise Invalid(
                    f"There is no stage {word[:60]!r}: it unlocks nothing and was not kept.", code="unknown_stage"
                )
            self._labels[word] = label.id
        return self._labels[word]


@dataclass(frozen=True, slots=True)
class _DealSpan:
    id: int
    created_at: datetime
    closed_at: datetime | None

    def holds(self, at: datetime) -> bool:
        return self.created_at <= at and (self.closed_at is None or at <= self.closed_at)


@dataclass(frozen=True, slots=True)
class _Text:
    """What of an asset an event needs: when readers had which version, and how far a deal must be."""

    id: int
    unlocks_from: int | None
    published: Sequence[tuple[datetime, int]]

    def version_at(self, at: datetime) -> int | None:
        """The version readers had at that moment, else the first one."""
        before = [version_id for published_at, version_id in self.published if published_at <= at]
        return before[-1] if before else self.published[0][1] if self.published else None


@dataclass(slots=True)
class _Stored:
    """What a batch of events refers to."""

    events: set[str] = field(default_factory=set)
    deals: dict[str, _DealSpan] = field(default_factory=dict)
    stages: dict[int, list[tuple[datetime, int, int]]] = field(default_factory=dict)


class Usage:
    """Takes use events once each, by their id; one outside the life of its deal is kept, and counts while it lies in it."""

    def __init__(self, session: Session, shift: Callable[[datetime], datetime]) -> None:
        self._users = _user_ids(session)
        self._shift = shift
        self._assets: dict[str, _Text | None] = {}
        self._stored = _Stored()
        self._new: list[dict[str, object]] = []
        self.outside = 0

    def prepare(self, session: Session, rows: Sequence[Row]) -> None:
        ids = {row.get("event_id", "") for row in rows}
        deals = {row.get("deal_external_id", "") for row in rows} - {""}
        spans = session.execute(
            select(Deal.external_id, Deal.id, Deal.created_at, Deal.closed_at).where(Deal.external_id.in_(deals))
        )
        self._stored = _Stored(
            set(session.scalars(select(UseEvent.event_id).where(UseEvent.event_id.in_(ids)))),
            {row.external_id: _DealSpan(row.id, row.created_at, row.closed_at) for row in spans},
        )
        for external_id in {row.get("asset_external_id", "").strip() for row in rows} - self._assets.keys():
            self._assets[external_id] = _text(session, external_id)

    def put(self, session: Session, row: Row) -> Done:
        event_id = _needed(row, "event_id")
        if len(event_id) > 80:
            raise Invalid("event_id has more than 80 characters.", code="event_id")
        if event_id in self._stored.events:
            return Done.UNCHANGED
        at = self._shift(moment(row, "at"))
        asset = self._assets.get(_needed(row, "asset_external_id"))
        if asset is None:
            raise Invalid(
                f"There is no asset {row['asset_external_id'][:80]!r}: import assets first.", code="unknown_asset"
            )
        deal = self._deal(row)
        source = _choice(row, "deal_source", DealSource, DealSource.CHOSEN if deal else DealSource.NONE)
        if (deal is None) != (source == DealSource.NONE.value):
            raise Invalid("deal_source must be `none` exactly where no deal is given.", code="deal_source")
        user_id = _user_id(self._users, _needed(row, "user_email"))
        kind = _choice(row, "kind", UseKind, None)
        self._new.append(
            {
                "event_id": event_id,
                "asset_id": asset.id,
                "version_id": asset.version_at(at),
                "user_id": user_id,
                "kind": kind,
                "deal_id": deal.id if deal else None,
                "deal_source": source,
                "surface": row.get("surface", "")[:40] or "import",
                "at": at,
                "was_unlocked": self._was_unlocked(session, asset, deal, at),
            }
        )
        self.outside += deal is not None and not deal.holds(at)
        self._stored.events.add(event_id)
        return Done.CREATED

    def finish(self, session: Session) -> None:
        if self._new:
            session.execute(insert(UseEvent), self._new)
            self._new = []

    def _deal(self, row: Row) -> _DealSpan | None:
        external_id = row.get("deal_external_id", "")
        if not external_id:
            return None
        if external_id not in self._stored.deals:
            raise Invalid(f"There is no deal {external_id[:80]!r}: import deals first.", code="unknown_deal")
        return self._stored.deals[external_id]

    def _was_unlocked(self, session: Session, asset: _Text, deal: _DealSpan | None, at: datetime) -> bool:
        """Whether the deal had reached the asset's unlock stage by that moment."""
        if asset.unlocks_from is None:
            return True
        if deal is None or not deal.holds(at):
            return False
        if deal.id not in self._stored.stages:
            rows = session.execute(
                select(DealStage.entered_at, DealStage.id, Tag.position)
                .join(Tag, Tag.id == DealStage.stage_id)
                .where(DealStage.deal_id == deal.id)
            )
            self._stored.stages[deal.id] = sorted((row[0], row[1], row[2]) for row in rows)
        before = [position for entered_at, _, position in self._stored.stages[deal.id] if entered_at <= at]
        return bool(before) and before[-1] >= asset.unlocks_from


def _text(session: Session, external_id: str) -> _Text | None:
    row = session.execute(
        select(Asset.id, Tag.position)
        .outerjoin(Tag, Tag.id == Asset.unlock_stage_id)
        .where(Asset.external_id == external_id)
    ).first()
    if row is None:
        return None
    published = session.execute(
        select(Version.published_at, Version.id)
        .where(Version.asset_id == row.id, Version.published_at.is_not(None))
        .order_by(Version.published_at)
    )
    return _Text(row.id, row.position, [(since, version_id) for since, version_id in published if since is not None])


_OTHER_NAMES = frozenset({"roles", "parties", "team"})
"""What people's columns may be called too."""
_TAG_COLUMNS = {"industry": Facet.INDUSTRY, "competitor": Facet.COMPETITOR, "pain_points": Facet.PAIN_POINT}


def _needed(row: Row, column: str) -> str:
    value = row.get(column, "").strip()
    if not value or "\x00" in value:
        raise Invalid(f"{column} is empty.", code=f"{column}_missing")
    return value


def moment(row: Row, column: str) -> datetime:
    """A time with offset; a time without one is refused rather than guessed."""
    raw = _needed(row, column)
    try:
        at = datetime.fromisoformat(raw)
    except ValueError:
        raise Invalid(f"{column} {raw[:40]!r} is not a time such as 2026-03-01T09:30:00+08:00.", code=column) from None
    if at.year not in YEARS:
        raise Invalid(f"{column} {raw[:40]!r} lies outside the years {YEARS[0]} to {YEARS[-1]}.", code=column)
    if at.tzinfo is None:
        raise Invalid(f"{column} {raw[:40]!r} has no offset: write it such as 2026-03-01T09:30:00+08:00.", code=column)
    return at


def _choice(row: Row, column: str, choices: type[StrEnum], default: StrEnum | None) -> str:
    raw = row.get(column, "").strip().casefold()
    if not raw and default is not None:
        return str(default.value)
    if raw not in {choice.value for choice in choices}:
        raise Invalid(f"{column} {raw[:40]!r} is none of {', '.join(choices)}.", code=f"unknown_{column}")
    return raw


def _amount(row: Row) -> Decimal | None:
    raw = row.get("amount", "")
    if not raw:
        return None
    try:
        amount = Decimal(raw)
    except InvalidOperation:
        raise Invalid(f"amount {raw[:40]!r} is not a number such as 920000.00.", code="amount") from None
    if not amount.is_finite() or not 0 <= amount < MAX_AMOUNT:
        raise Invalid(f"amount {raw[:40]!r} must be 0 or more.", code="amount")
    return amount.quantize(Decimal("0.01"))


def _nda(row: Row) -> tuple[date | None, date | None, str | None]:
    signed_on, until_on = (_day(row, column) for column in NDA_COLUMNS[:2])
    if signed_on is None:
        return None, None, None
    if until_on is not None and until_on < signed_on:
        raise Invalid("nda_until_on lies before nda_signed_on.", code="nda_until_on")
    return signed_on, until_on, row.get(NDA_COLUMNS[2], "")[:120]


def _day(row: Row, column: str) -> date | None:
    raw = row.get(column, "").strip()
    if not raw:
        return None
    try:
        day = date.fromisoformat(raw)
    except ValueError:
        raise Invalid(f"{column} {raw[:40]!r} is not a day such as 2026-03-01.", code=column) from None
    if day.year not in YEARS:
        raise Invalid(f"{column} {raw[:40]!r} lies outside the years {YEARS[0]} to {YEARS[-1]}.", code=column)
    return day


def _currency(row: Row) -> str:
    raw = row.get("currency", "").upper()
    if raw and not (len(raw) == 3 and raw.isascii() and raw.isalpha()):
        raise Invalid(f"currency {raw[:20]!r} is not a code such as CNY.", code="currency")
    return raw


def _user_ids(session: Session) -> dict[str, int]:
    return {row.email: row.id for row in session.execute(select(User.email, User.id))}


def _user_id(known: Mapping[str, int], email: str) -> int:
    found = known.get(email.strip().casefold())
    if found is None:
        raise Invalid(f"There is no user {email[:80]}: add the person first.", code="unknown_user")
    return found


def _split(raw: str) -> list[str]:
    return [word.strip() for word in raw.replace(",", ";").split(";") if word.strip()]


def _keep(rows: list[Any], attribute: str, wanted: set[int], make: Callable[[int], Any]) -> None:
    present = {getattr(row, attribute): row for row in rows}
    for value in present.keys() - wanted:
        rows.remove(present[value])
    rows.extend(make(value) for value in sorted(wanted - present.keys()))


def _deal_state(deal: Deal) -> tuple[object, ...]:
    return (
        deal.account,
        deal.owner_id,
        deal.segment,
        deal.amount,
        deal.currency,
        deal.outcome,
        deal.loss_reason,
        (deal.industry_word, deal.other_words, deal.modified_at),
        deal.created_at,
        deal.closed_at,
        (deal.nda_signed_on, deal.nda_until_on, deal.nda_reference),
        frozenset(m.user_id for m in deal.members),
        frozenset(t.tag_id for t in deal.tags),
        frozenset((s.stage_id, s.entered_at, s.is_assumed) for s in deal.stages),
    )


def _batches(rows: Iterable[tuple[int, Row]]) -> Iterator[list[tuple[int, Row]]]:
    batch: list[tuple[int, Row]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
