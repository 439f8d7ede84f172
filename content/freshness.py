"""What wants a look before customers hear it: unverified, behind, expiring, unused; and the reminders of its owners."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select
from sqlalchemy.orm import Session, defer, selectinload

from content import activity, reading
from content.activity import Use
from content.kinds import AssetType, VersionState
from content.models import Asset, AssetOwner, Version
from content.visibility import editable_by
from kb import clock, notices, users
from kb.access import Actor, Permission, require
from kb.db import Database

UNVERIFIED_FOR: Final = timedelta(days=90)
UNUSED_FOR: Final = timedelta(days=180)
REMIND_BEFORE: Final = timedelta(days=7)
REMIND_EVERY: Final = timedelta(hours=1)
TOLD_ELSEWHERE: Final = frozenset({"second_look"})
"""Doubts of which the owners hear by another notice."""


@dataclass(frozen=True, slots=True)
class StaleRow:
    """A published asset that wants its owner, with how much it is used."""

    asset_id: int
    public_id: str
    title: str
    type: AssetType
    language: str
    owners: tuple[str, ...]
    due_at: datetime
    is_overdue: bool
    is_behind: bool
    doubts: tuple[tuple[str, str], ...]
    use: Use

    @property
    def overdue_days(self) -> int:
        return max(0, (clock.now() - self.due_at).days)


def hot_but_stale(session: Session, actor: Actor, limit: int, *, mine: bool = False) -> tuple[Sequence[StaleRow], int]:
    """Unverified or behind, most used first, among what the actor may edit; and how many there are."""
    require(actor, Permission.EDIT)
    stale = or_(~reading.is_verified(), reading.is_behind())
    ids = list(session.connection().scalars(_ids(and_(stale, _whose(actor, mine=mine)))))
    known = activity.uses(session, clock.now() - activity.USED_WITHIN)
    ids.sort(key=lambda asset_id: activity.weight(known.get(asset_id, Use()), asset_id))
    return _rows(session, ids[:limit], known), len(ids)


def archive_proposals(
    session: Session, actor: Actor, limit: int, *, mine: bool = False
) -> tuple[Sequence[StaleRow], int]:
    """Published, unverified for long and used by nobody: to be retired, unless somebody stands up for it."""
    require(actor, Permission.EDIT)
    rows = session.connection().execute(
        _ids(and_(~reading.is_verified(), _whose(actor, mine=mine))).add_columns(
            Asset.type, Asset.verified_at, Version.published_at
        )
    )
    now = clock.now()
    old = [
        row[0]
        for row in rows
        if row[3] is not None and reading.verify_due_at(row[1], row[2], row[3]) <= now - UNVERIFIED_FOR
    ]
    used = activity.uses(session, now - UNUSED_FOR)
    ids = [asset_id for asset_id in old if asset_id not in used]
    return _rows(session, ids[:limit], used), len(ids)


def _whose(actor: Actor, *, mine: bool) -> ColumnElement[bool]:
    """What is archived wants nobody."""
    rule = and_(editable_by(actor), Asset.archived_at.is_(None), Asset.withdrawn_at.is_(None))
    return and_(rule, Asset.id.in_(_owned(actor))) if mine else rule


def _owned(actor: Actor) -> Select[int]:
    return select(AssetOwner.asset_id).where(AssetOwner.user_id == actor.user_id)


def _ids(rule: ColumnElement[bool]) -> Select[int]:
    return (
        select(Asset.id)
        .join(Version, Version.asset_id == Asset.id)
        .where(Version.state == VersionState.PUBLISHED.value, rule)
        .order_by(Asset.id)
    )


def _rows(session: Session, ids: Sequence[int], known: Mapping[int, Use]) -> Sequence[StaleRow]:
    rows = session.execute(
        select(Asset, Version, reading.is_behind().label("behind"))
        .join(Version, Version.asset_id == Asset.id)
        .where(Version.state == VersionState.PUBLISHED.value, Asset.id.in_(list(ids)))
        .options(selectinload(Asset.owners), defer(Version.text, raiseload=True))
    ).all()
    names = users.list_names(session, {owner.user_id for row in rows for owner in row.Asset.owners})
    doubts = reading.list_doubts(session, [row.Asset.id for row in rows])
    made = {row.Asset.id: _row(row, names, doubts, known) for row in rows}
    return [made[asset_id] for asset_id in ids if asset_id in made]


def _row(
    row: Row[Asset, Version, bool],
    names: Mapping[int, str],
    doubts: Mapping[int, tuple[tuple[str, str], ...]],
    known: Mapping[int, Use],
) -> StaleRow:
    asset, version = row.Asset, row.Version
    due_at = reading.verify_due_at(asset.type, asset.verified_at, version.published_at or version.created_at)
    return StaleRow(
        asset.id,
        asset.public_id,
        version.title,
        AssetType(asset.type),
        version.language,
        tuple(sorted(names.get(owner.user_id, "") for owner in asset.owners)),
        due_at,
        due_at <= clock.now(),
        bool(row.behind),
        doubts.get(asset.id, ()),
        known.get(asset.id, Use()),
    )


# --- reminders ---


def sweep(database: Database) -> Callable[[], None]:
    """Once an hour the owners are reminded; a notice's key keeps the same from being told twice, on any machine."""
    looked_at: datetime | None = None

    def remind_owners() -> None:
        nonlocal looked_at
        now = clock.now()
        if looked_at is not None and now - looked_at < REMIND_EVERY:
            return
        looked_at = now
        remind(database)

    return remind_owners


def remind(database: Database) -> int:
    """Tell owners what is due, behind, doubted or expires; answers how many assets that concerns."""
    now = clock.now()
    with database.reading() as session:
        rows = session.execute(
            select(Asset, Version, reading.is_behind().label("behind"))
            .join(Version, Version.asset_id == Asset.id)
            .where(
                Version.state == VersionState.PUBLISHED.value,
                Asset.withdrawn_at.is_(None),
                or_(
                    ~reading.is_verified_until(now + REMIND_BEFORE),
                    reading.is_behind(),
                    Asset.expires_at.between(now, now + reading.EXPIRES_SOON),
                ),
            )
            .options(selectinload(Asset.owners), defer(Version.text, raiseload=True))
        ).all()
        doubts = reading.list_doubts(session, [row.Asset.id for row in rows])
        told = [
            (owner.user_id, row.Asset.id, kind, key, about)
            for row in rows
            for kind, key, about in _causes(row, doubts.get(row.Asset.id, ()), now)
            for owner in row.Asset.owners
        ]
        known = notices.known_keys(session, {key for _, _, _, key, _ in told})
    fresh = [one for one in told if (one[0], one[3]) not in known]
    if fresh:
        with database.writing() as session:
            for user_id, asset_id, kind, key, about in fresh:
                notices.tell(session, user_id, kind, asset_id, key, about=about)
    return len({asset_id for _, asset_id, _, _, _ in told})


def _short(about: str) -> str:
    return hashlib.sha256(about.encode()).hexdigest()[:16]


def _causes(
    row: Row[Asset, Version, bool], doubts: Sequence[tuple[str, str]], now: datetime
) -> list[tuple[str, str, str]]:
    """Kind, key and what it is about; the key holds the moment, so that the next time is told again."""
    asset, version = row.Asset, row.Version
    due_at = reading.verify_due_at(asset.type, asset.verified_at, version.published_at or version.created_at)
    found = []
    if due_at <= now:
        found.append(("unverified", f"unverified:{asset.id}:{due_at:%Y%m%d}", due_at.isoformat()))
    elif due_at <= now + REMIND_BEFORE:
        found.append(("due", f"due:{asset.id}:{due_at:%Y%m%d}", due_at.isoformat()))
    if row.behind:
        found.append(("behind", f"behind:{asset.id}:{version.number}", ""))
    if asset.expires_at is not None and now < asset.expires_at <= now + reading.EXPIRES_SOON:
        found.append(("expires", f"expires:{asset.id}:{asset.expires_at:%Y%m%d}", asset.expires_at.isoformat()))
    found += [
        ("doubt", f"doubt:{asset.id}:{cause}:{_short(about)}", about)
        for cause, about in doubts
        if cause not in TOLD_ELSEWHERE
    ]
    return found
