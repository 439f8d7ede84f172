"""The content calendar: what is planned, in review, scheduled, expiring and to be verified, day by day."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, literal_column, or_, select
from sqlalchemy.orm import Session, defer, selectinload

from content import access_changes, drafting, publishing, reading, service
from content.kinds import VERIFY_EVERY_DAYS, AssetType, VersionState
from content.models import Asset, AssetOwner, PlanItem, Version
from content.visibility import editable_by
from kb import audit, clock, users
from kb.access import Actor, Permission, require
from kb.errors import N_, Conflict, Invalid, NotFound

LONGEST_TITLE: Final = 300
MOST_ITEMS: Final = 3_000
QUARTER: Final = re.compile(r"(\d{4})Q([1-4])")
SAFE_CELL: Final = re.compile(r"^[\s\ufeff]*[=+\-@\t\r|%＝＋－＠]")


class Kind(StrEnum):
    PLANNED = "planned"
    IN_REVIEW = "in_review"
    SCHEDULED = "scheduled"
    EXPIRING = "expiring"
    VERIFY = "verify"


KIND_NAMES: Mapping[Kind, str] = {
    Kind.PLANNED: N_("Planned"),
    Kind.IN_REVIEW: N_("In review"),
    Kind.SCHEDULED: N_("Scheduled"),
    Kind.EXPIRING: N_("Expires"),
    Kind.VERIFY: N_("To be verified"),
}
MOVABLE: Final = frozenset({Kind.PLANNED, Kind.SCHEDULED, Kind.EXPIRING})


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on one day; `at` where it has an hour."""

    kind: Kind
    id: str
    """Public id of the plan item, version or asset that is moved."""
    asset_id: str | None
    title: str
    type: AssetType
    language: str
    owners: tuple[str, ...]
    day: date
    at: datetime | None
    note: str = ""
    is_done: bool = False

    @property
    def is_movable(self) -> bool:
        return self.kind in MOVABLE and not self.is_done


@dataclass(frozen=True, slots=True)
class NewItem:
    """What is planned: by which day, by whom, for which asset."""

    title: str
    type: AssetType
    due_on: date
    owner_email: str = ""
    note: str = ""
    asset: str = ""


class NotMovable(Conflict):
    code, message = "not_movable", N_("Only what is planned, scheduled or expiring can be moved.")


def list_items(
    session: Session, actor: Actor, zone: ZoneInfo, first: date, last: date, *, mine: bool = False
) -> Sequence[Item]:
    """All that falls on these days, in order, among what the actor may edit; in a constant number of queries."""
    require(actor, Permission.EDIT)
    start, end = _midnight(first, zone), _midnight(last + timedelta(days=1), zone)
    whose = editable_by(actor)
    if mine:
        whose = and_(whose, Asset.id.in_(select(AssetOwner.asset_id).where(AssetOwner.user_id == actor.user_id)))
    whose = and_(whose, Asset.archived_at.is_(None))
    found = [*_planned(session, actor, first, last, mine=mine)]
    for kind, state, rule in _kinds(start, end):
        rows = session.execute(
            select(Asset, Version)
            .join(Version, Version.asset_id == Asset.id)
            .where(Version.state == literal_column(f"'{state.value}'"), rule, whose)
            .options(selectinload(Asset.owners), defer(Version.text, raiseload=True))
            .order_by(Asset.id)
            .limit(MOST_ITEMS)
        ).all()
        names = users.list_names(session, {owner.user_id for row in rows for owner in row.Asset.owners})
        found += [_found(kind, row.Asset, row.Version, names, zone) for row in rows]
    return sorted(found, key=lambda item: (item.day, list(Kind).index(item.kind), item.title))


def _found(kind: Kind, asset: Asset, version: Version, names: Mapping[int, str], zone: ZoneInfo) -> Item:
    at = _moment(kind, asset, version)
    return Item(
        kind,
        version.public_id if kind is Kind.SCHEDULED else asset.public_id,
        asset.public_id,
        version.title,
        AssetType(asset.type),
        version.language,
        tuple(sorted(names.get(owner.user_id, "") for owner in asset.owners)),
        _day(kind, at, zone),
        at if kind in {Kind.SCHEDULED, Kind.EXPIRING} else None,
    )


def _moment(kind: Kind, asset: Asset, version: Version) -> datetime:
    if kind is Kind.VERIFY:
        return reading.verify_due_at(asset.type, asset.verified_at, version.published_at or version.created_at)
    moments = {Kind.IN_REVIEW: version.frozen_at, Kind.SCHEDULED: version.publish_at, Kind.EXPIRING: asset.expires_at}
    return moments.get(kind) or version.created_at


def _day(kind: Kind, at: datetime, zone: ZoneInfo) -> date:
    """The day in the company's time zone; what ends at midnight ends with the day before."""
    local = at.astimezone(zone)
    return (local - timedelta(seconds=1)).date() if kind is Kind.EXPIRING and local.time() == time.min else local.date()


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def _kinds(start: datetime, end: datetime) -> Iterable[tuple[Kind, VersionState, ColumnElement[bool]]]:
    """Which rows fall between two moments, by kind."""
    shown = Asset.withdrawn_at.is_(None)
    live = and_(shown, or_(Asset.expires_at.is_(None), Asset.expires_at > clock.now()))
    yield Kind.IN_REVIEW, VersionState.IN_REVIEW, and_(Version.frozen_at >= start, Version.frozen_at < end)
    yield Kind.SCHEDULED, VersionState.APPROVED, and_(Version.publish_at >= start, Version.publish_at < end)
    # an end at midnight belongs to the day before
    yield Kind.EXPIRING, VersionState.PUBLISHED, and_(shown, Asset.expires_at > start, Asset.expires_at <= end)
    yield Kind.VERIFY, VersionState.PUBLISHED, and_(live, _due_between(start, end))


def _due_between(start: datetime, end: datetime) -> ColumnElement[bool]:
    """Whose interval after the last look ends between two moments: the moments are moved, not the column."""
    types_of: dict[int, list[str]] = {}
    for kind, days in VERIFY_EVERY_DAYS.items():
        types_of.setdefault(days, []).append(kind.value)
    return or_(
        *(
            and_(
                Asset.type.in_(types),
                reading.looked_at >= start - timedelta(days=days),
                reading.looked_at < end - timedelta(days=days),
            )
            for days, types in types_of.items()
        )
    )


def _planned(session: Session, actor: Actor, first: date, last: date, *, mine: bool) -> Iterable[Item]:
    """Plan items belong to all who write; those about an asset only to who may edit it."""
    known = or_(PlanItem.asset_id.is_(None), PlanItem.asset_id.in_(select(Asset.id).where(editable_by(actor))))
    rule = and_(PlanItem.due_on >= first, PlanItem.due_on <= last, known)
    if mine:
        rule = and_(rule, or_(PlanItem.owner_id == actor.user_id, PlanItem.created_by_id == actor.user_id))
    rows = session.execute(
        select(PlanItem, Asset.public_id).outerjoin(Asset, Asset.id == PlanItem.asset_id).where(rule).limit(MOST_ITEMS)
    ).all()
    names = users.list_names(session, {row.PlanItem.owner_id for row in rows if row.PlanItem.owner_id is not None})
    for row in rows:
        item = row.PlanItem
        owners = (names[item.owner_id],) if item.owner_id in names else ()
        yield Item(
            Kind.PLANNED, item.public_id, row[1], item.title, AssetType(item.type), "", owners, item.due_on, None,
            item.note, item.done_at is not None,
        )  # fmt: skip


# --- plan items ---


def add(session: Session, actor: Actor, new: NewItem) -> PlanItem:
    """Something to be written by a day."""
    require(actor, Permission.EDIT)
    title = new.title.strip()
    if not title or len(title) > LONGEST_TITLE:
        raise Invalid(N_("Say in a few words what is planned."), code="title")
    owner = users.find_person(session, users.normal_email(new.owner_email)) if new.owner_email.strip() else None
    if new.owner_email.strip() and owner is None:
        raise Invalid(N_("An owner you named is not here. Choose people from the list."), code="unknown_owner")
    asset = drafting.load_editable(session, actor, new.asset) if new.asset else None
    item = PlanItem(
        title=title,
        type=new.type.value,
        due_on=new.due_on,
        owner_id=owner.id if owner is not None else actor.user_id,
        asset_id=asset.id if asset is not None else None,
        note=new.note.strip()[:2_000],
        created_by_id=actor.user_id,
    )
    session.add(item)
    session.flush()
    audit.record(session, actor, "plan.add", "plan_item", item.public_id, title=title, due_on=str(new.due_on))
    return item


def _item(session: Session, actor: Actor, public_id: str) -> PlanItem:
    require(actor, Permission.EDIT)
    known = or_(PlanItem.asset_id.is_(None), PlanItem.asset_id.in_(select(Asset.id).where(editable_by(actor))))
    item = session.scalar(select(PlanItem).where(PlanItem.public_id == public_id, known).with_for_update())
    if item is None:
        raise NotFound()
    return item


def finish(session: Session, actor: Actor, public_id: str, *, done: bool = True) -> None:
    """It is written; or it is not, after all."""
    item = _item(session, actor, public_id)
    item.done_at = clock.now() if done else None
    session.flush()
    audit.record(session, actor, "plan.done" if done else "plan.open", "plan_item", item.public_id)


def drop(session: Session, actor: Actor, public_id: str) -> None:
    """It is not wanted any more."""
    item = _item(session, actor, public_id)
    session.delete(item)
    session.flush()
    audit.record(session, actor, "plan.drop", "plan_item", public_id, title=item.title, due_on=str(item.due_on))


def begun(session: Session, actor: Actor, public_id: str, reference: str) -> None:
    """Tie a plan item to the asset that was begun for it; an item that is gone is no reason not to write."""
    item = session.scalar(select(PlanItem).where(PlanItem.public_id == public_id, PlanItem.asset_id.is_(None)))
    if item is not None:
        item.asset_id = drafting.load_editable(session, actor, reference).id
        session.flush()


# --- moving ---


def move(session: Session, actor: Actor, zone: ZoneInfo, kind: Kind, public_id: str, day: date) -> str:
    """Re-plan to another day, the hour kept; answers what happened: moved, or waits (a later end widens access)."""
    if kind is Kind.PLANNED:
        item = _item(session, actor, public_id)
        before, item.due_on = item.due_on, day
        session.flush()
        audit.record(session, actor, "plan.move", "plan_item", public_id, before=str(before), due_on=str(day))
        return "moved"
    if kind is Kind.SCHEDULED:
        return _move_scheduled(session, actor, zone, public_id, day)
    if kind is Kind.EXPIRING:
        return _move_expiry(session, actor, zone, public_id, day)
    raise NotMovable()


def _move_scheduled(session: Session, actor: Actor, zone: ZoneInfo, public_id: str, day: date) -> str:
    require(actor, Permission.PUBLISH)
    version = session.scalar(
        select(Version)
        .join(Asset, Asset.id == Version.asset_id)
        .where(Version.public_id == public_id, editable_by(actor))
        .with_for_update(of=Version)
    )
    if version is None:
        raise NotFound()
    if version.state != VersionState.APPROVED.value or version.publish_at is None:
        raise NotMovable()
    hour = version.publish_at.astimezone(zone).time()
    publishing.schedule(session, actor, version, datetime.combine(day, hour, zone).astimezone(UTC))
    return "moved"


def _move_expiry(session: Session, actor: Actor, zone: ZoneInfo, public_id: str, day: date) -> str:
    asset = service.get_editable(session, actor, public_id)
    if asset.expires_at is None:
        raise NotMovable()
    local = asset.expires_at.astimezone(zone)
    ends_at_midnight = local.time() == time.min
    moment = datetime.combine(day + timedelta(days=1 if ends_at_midnight else 0), local.time(), zone).astimezone(UTC)
    if moment <= clock.now():
        raise Invalid(N_("That day has passed. To take it away now, withdraw it."), code="moment_passed")
    found = access_changes.until(session, actor, public_id, moment)
    return "waits" if found.waiting is not None else "moved"


# --- the plan as a table ---


def quarter(word: str) -> tuple[date, date]:
    """First and last day of a quarter such as 2027Q1; Invalid for what is none."""
    found = QUARTER.fullmatch(word.strip().upper())
    if found is None or not 2000 <= int(found[1]) <= 2100:
        raise Invalid(N_("Name the quarter as 2027Q1."), code="quarter")
    year, number = int(found[1]), int(found[2])
    first = date(year, 3 * number - 2, 1)
    last = (date(year + number // 4, 3 * number % 12 + 1, 1)) - timedelta(days=1)
    return first, last


def quarter_of(day: date) -> str:
    return f"{day.year}Q{(day.month - 1) // 3 + 1}"


def to_csv(items: Sequence[Item], names: Mapping[Kind, str], base_url: str) -> bytes:
    """The plan for a spreadsheet: UTF-8 with its mark; cells that a program would calculate begin with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["week", "day", "kind", "title", "type", "owners", "done", "note", "link"])
    for item in items:
        year, week, _ = item.day.isocalendar()
        link = f"{base_url}/assets/{item.asset_id}/edit" if item.asset_id else ""
        row = [
            f"{year}-W{week:02d}",
            item.day.isoformat(),
            names[item.kind],
            item.title,
            item.type.value,
            "; ".join(item.owners),
            "yes" if item.is_done else "",
            item.note,
            link,
        ]
        writer.writerow([guarded(cell) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def guarded(cell: str) -> str:
    """A cell that begins like a formula, as text: readers take the leading apostrophe off again."""
    return f"'{cell}" if SAFE_CELL.match(cell) else cell
