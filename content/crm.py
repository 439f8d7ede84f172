"""Import of deals, stage histories and use events from CSV: upserts by id, every refused row with its reason."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session, selectinload

from content import spreadsheet, taxonomy
from content.deals import Deal, DealMember, DealStage, DealTag
from content.importing import BATCH, Progress, Report
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

Put = Callable[[Session, Row], Done]
MAX_ID_LENGTH = 120
BREATH = 0.01
"""Seconds between two batches in which those who wait to write get their turn: SQLite has no queue for them."""
YEARS = range(1970, 2101)
"""Years that a deal can have to do with; others are slips of the keyboard."""
MAX_AMOUNT = Decimal(10) ** 15
NDA_COLUMNS = ("nda_signed_on", "nda_until_on", "nda_reference")
"""The non-disclosure agreement with the customer; without the first column, what is on file stays."""


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
                put = self._desk(session)
                for number, row in batch:
                    self._put(session, put, path, number, row)
                self._record(session, name, before)
            progress(self.report.total)
            time.sleep(BREATH)
        if self._left_out:
            self._warn(path, "left_out", f"{self._left_out} rows were left out, as the mapping says")
        return self.report

    def _counted(self) -> tuple[int, int, int]:
        return self.report.created, self.report.updated, len(self.report.failed)

    def _record(self, session: Session, name: str, before: tuple[int, int, int]) -> None:
        """Leave an entry with the rows it speaks of, so that a run that dies has its trace too."""
        created, updated, failed = (now - then for now, then in zip(self._counted(), before, strict=True))
        if created or updated:
            told = {"mapping": self._columns.name} if self._columns is not None else {}
            counts = {"created": created, "updated": updated, "failed": failed}
            audit.record(session, self._actor, f"import.{self._kind}", "import", name[:120], **counts, **told)

    def _put(self, session: Session, put: Put, path: str, number: int, row: Row) -> None:
        try:
            if any("\x00" in value for value in row.values()):
                raise Invalid("The row holds a NUL character: save the file as CSV UTF-8.", code="broken_characters")
            ours = row if self._columns is None else self._columns.apply(row)
            if ours is None:
                self._left_out += 1
                return
            with session.begin_nested():
                outcome = put(session, ours)
        except KbError as error:
            self.report.failed.append(Failure(path, number, error.code, error.text))
        except (IntegrityError, DataError):
            told = "the database does not take this row: another one changed it meanwhile, or a value is too long"
            self.report.failed.append(Failure(path, number, "conflict", told))
        else:
            self.report.count(outcome)

    def _desk(self, session: Session) -> Put:
        if self._kind == "users":
            return lambda s, row: users.put(s, self._actor, users.new_user(row))
        if self._kind == "deals":
            return Deals(session, self._shift).put
        return Stages(session, self._shift).put if self._kind == "stages" else Usage(session, self._shift).put

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


def put_deal(session: Session, actor: Actor, row: Row, stages: Iterable[tuple[str, str]]) -> Done:
    """One deal with its history in the caller's transaction, by the rules of the import; raises Invalid."""
    require(actor, Permission.IMPORT)
    outcome = Deals(session, lambda at: at).put(session, row)
    desk = Stages(session, lambda at: at)
    changed = [
        desk.put(session, {"deal_external_id": row["external_id"], "stage": stage, "entered_at": entered_at})
        for stage, entered_at in stages
    ]
    if outcome is Done.UNCHANGED and Done.CREATED in changed:
        outcome = Done.UPDATED
    if outcome is not Done.UNCHANGED:
        audit.record(session, actor, "deal.put", "deal", row["external_id"], outcome=outcome.value)
    return outcome


class Deals:
    """Upserts deals with members, tags and, where the history is unknown, the present stage."""

    def __init__(self, session: Session, shift: Callable[[datetime], datetime]) -> None:
        self._vocabulary = taxonomy.load(session)
        self._users = _user_ids(session)
        self._shift = shift

    def put(self, session: Session, row: Row) -> Done:
        external_id = _needed(row, "external_id")
        if len(external_id) > MAX_ID_LENGTH:
            raise Invalid(f"external_id has more than {MAX_ID_LENGTH} characters.", code="external_id")
        deal = session.scalar(
            select(Deal)
            .where(Deal.external_id == external_id)
            .options(selectinload(Deal.members), selectinload(Deal.stages), selectinload(Deal.tags))
        )
        outcome = Done.UPDATED
        if deal is None:
            deal, outcome = Deal(external_id=external_id, members=[], stages=[], tags=[]), Done.CREATED
            session.add(deal)
        before = None if outcome is Done.CREATED else _deal_state(deal)
        self._fill(deal, row)
        session.flush()
        return outcome if before != _deal_state(deal) else Done.UNCHANGED

    def _fill(self, deal: Deal, row: Row) -> None:
        deal.account = _needed(row, "account")[:200]
        deal.created_at = self._shift(moment(row, "created_at"))
        deal.closed_at = self._shift(moment(row, "closed_at")) if row.get("closed_at") else None
        deal.outcome = _choice(row, "outcome", Outcome, Outcome.OPEN)
        if (deal.closed_at is None) != (deal.outcome == Outcome.OPEN.value):
            raise Invalid("A closed deal needs both outcome and closed_at, an open one neither.", code="outcome")
        if deal.closed_at is not None and deal.closed_at < deal.created_at:
            raise Invalid("closed_at lies before created_at.", code="closed_at")
        deal.segment, deal.loss_reason = row.get("segment", "")[:80], row.get("loss_reason", "")[:300]
        deal.amount, deal.currency = _amount(row), _currency(row)
        deal.owner_id = self._user(row["owner_email"]) if row.get("owner_email") else None
        if NDA_COLUMNS[0] in row:
            deal.nda_signed_on, deal.nda_until_on, deal.nda_reference = _nda(row)
        members = {self._user(email) for email in _split(row.get("members", ""))}
        _keep(deal.members, "user_id", members, lambda user_id: DealMember(user_id=user_id))
        tags = {
            self._tag(facet, word) for column, facet in _TAG_COLUMNS.items() for word in _split(row.get(column, ""))
        }
        _keep(deal.tags, "tag_id", tags, lambda tag_id: DealTag(tag_id=tag_id))
        self._assume_stage(deal, row)

    def _assume_stage(self, deal: Deal, row: Row) -> None:
        """The CRM says where the deal stands, not since when: kept as assumed, from creation or from now."""
        if not row.get("stage"):
            return
        stage_id = self._tag(Facet.STAGE, row["stage"])
        latest = max(deal.stages, key=lambda entry: (entry.entered_at, entry.id or 0), default=None)
        if latest is None:
            deal.stages.append(DealStage(stage_id=stage_id, entered_at=deal.created_at, is_assumed=True))
        elif latest.stage_id != stage_id:
            deal.stages.append(
                DealStage(stage_id=stage_id, entered_at=max(clock.now(), latest.entered_at), is_assumed=True)
            )

    def _user(self, email: str) -> int:
        return _user_id(self._users, email)

    def _tag(self, facet: Facet, word: str) -> int:
        label = self._vocabulary.find(facet.value, word)
        if label is None:
            raise Invalid(
                f"There is no {facet.value.replace('_', ' ')} {word[:60]!r}: add it to the vocabulary first.",
                code=f"unknown_{facet.value}",
            )
        return label.id


class Stages:
    """Upserts the moments at which deals entered their stages."""

    def __init__(self, session: Session, shift: Callable[[datetime], datetime]) -> None:
        self._vocabulary = taxonomy.load(session)
        self._shift = shift

    def put(self, session: Session, row: Row) -> Done:
        deal = session.scalar(
            select(Deal).where(Deal.external_id == _needed(row, "deal_external_id")).options(selectinload(Deal.stages))
        )
        if deal is None:
            raise Invalid(
                f"There is no deal {row['deal_external_id'][:80]!r}: import deals first.", code="unknown_deal"
            )
        label = self._vocabulary.find(Facet.STAGE.value, _needed(row, "stage"))
        if label is None:
            raise Invalid(
                f"There is no stage {row['stage'][:60]!r}: it unlocks nothing and was not kept.", code="unknown_stage"
            )
        entered_at = self._shift(moment(row, "entered_at"))
        if any(not e.is_assumed and e.stage_id == label.id and e.entered_at == entered_at for e in deal.stages):
            return Done.UNCHANGED
        for entry in [
            e for e in deal.stages if e.is_assumed and (e.stage_id == label.id or e.entered_at == deal.created_at)
        ]:
            deal.stages.remove(entry)
        session.flush()
        deal.stages.append(DealStage(stage_id=label.id, entered_at=entered_at))
        session.flush()
        return Done.CREATED


class Usage:
    """Takes use events once each, by their id."""

    def __init__(self, session: Session, shift: Callable[[datetime], datetime]) -> None:
        self._users = _user_ids(session)
        self._shift = shift
        self._assets: dict[str, Asset | None] = {}
        self._deals: dict[str, Deal | None] = {}
        self._published: dict[int, list[tuple[datetime, int]]] = {}

    def put(self, session: Session, row: Row) -> Done:
        event_id = _needed(row, "event_id")
        if len(event_id) > 80:
            raise Invalid("event_id has more than 80 characters.", code="event_id")
        if session.scalar(select(UseEvent.id).where(UseEvent.event_id == event_id)) is not None:
            return Done.UNCHANGED
        at = self._shift(moment(row, "at"))
        asset = self._asset(session, _needed(row, "asset_external_id"))
        if asset is None:
            raise Invalid(
                f"There is no asset {row['asset_external_id'][:80]!r}: import assets first.", code="unknown_asset"
            )
        deal = self._deal(session, row, at)
        source = _choice(row, "deal_source", DealSource, DealSource.CHOSEN if deal else DealSource.NONE)
        if (deal is None) != (source == DealSource.NONE.value):
            raise Invalid("deal_source must be `none` exactly where no deal is given.", code="deal_source")
        session.add(
            UseEvent(
                event_id=event_id,
                asset_id=asset.id,
                version_id=self._version_at(session, asset, at),
                user_id=_user_id(self._users, _needed(row, "user_email")),
                kind=_choice(row, "kind", UseKind, None),
                deal_id=deal.id if deal else None,
                deal_source=source,
                surface=row.get("surface", "")[:40] or "import",
                at=at,
                was_unlocked=_was_unlocked(session, asset, deal, at),
            )
        )
        session.flush()
        return Done.CREATED

    def _deal(self, session: Session, row: Row, at: datetime) -> Deal | None:
        if not row.get("deal_external_id"):
            return None
        external_id = row["deal_external_id"]
        if external_id not in self._deals:
            self._deals[external_id] = session.scalar(select(Deal).where(Deal.external_id == external_id))
        deal = self._deals[external_id]
        if deal is None:
            raise Invalid(f"There is no deal {external_id[:80]!r}: import deals first.", code="unknown_deal")
        if at < deal.created_at or (deal.closed_at is not None and at > deal.closed_at):
            raise Invalid(
                "The event lies before the deal was created or after it closed: nothing counts towards it then.",
                code="outside_deal",
            )
        return deal

    def _asset(self, session: Session, external_id: str) -> Asset | None:
        if external_id not in self._assets:
            self._assets[external_id] = session.scalar(select(Asset).where(Asset.external_id == external_id))
        return self._assets[external_id]

    def _version_at(self, session: Session, asset: Asset, at: datetime) -> int | None:
        """The version readers had at that moment, else the first one."""
        if asset.id not in self._published:
            rows = session.execute(
                select(Version.published_at, Version.id)
                .where(Version.asset_id == asset.id, Version.published_at.is_not(None))
                .order_by(Version.published_at)
            )
            self._published[asset.id] = [(since, version_id) for since, version_id in rows if since is not None]
        known = self._published[asset.id]
        before = [version_id for published_at, version_id in known if published_at <= at]
        return before[-1] if before else known[0][1] if known else None


def _was_unlocked(session: Session, asset: Asset, deal: Deal | None, at: datetime) -> bool:
    """Whether the deal had reached the asset's unlock stage by that moment."""
    if asset.unlock_stage_id is None:
        return True
    if deal is None:
        return False
    needed = session.scalars(select(Tag.position).where(Tag.id == asset.unlock_stage_id)).one()
    then = session.scalar(
        select(Tag.position)
        .join(DealStage, DealStage.stage_id == Tag.id)
        .where(DealStage.deal_id == deal.id, DealStage.entered_at <= at)
        .order_by(DealStage.entered_at.desc(), DealStage.id.desc())
        .limit(1)
    )
    return then is not None and then >= needed


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
        if len(batch) == BATCH * 2:
            yield batch
            batch = []
    if batch:
        yield batch
