"""A marketer's home: what waits for whom, most urgent first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, func, literal_column, or_, select
from sqlalchemy.orm import Session, aliased, defer, selectinload

from content import reading, service, taxonomy
from content.kinds import AssetType, VersionState
from content.models import AccessChange, Asset, AssetOwner, Contribution, MissingOnBoard, Version
from content.service import LACKS
from content.taxonomy import Vocabulary
from content.visibility import editable_by
from kb import clock, users
from kb.access import Actor, Permission, require

SHORT: Final = 8
LONG: Final = 300


class Part(StrEnum):
    """Parts of the board, in the order in which they stand."""

    RETURNED = "returned"
    FIELD = "field"
    DRAFTS = "drafts"
    WAITING = "waiting"
    ACCESS = "access"
    CLEARED = "cleared"
    SCHEDULED = "scheduled"
    EXPIRING = "expiring"
    LACKING = "lacking"


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One asset on the board, with the version that put it there and the moment that matters."""

    public_id: str
    title: str
    type: AssetType
    language: str
    number: int
    state: VersionState
    at: datetime | None
    owners: tuple[str, ...]
    lacks: tuple[str, ...]
    credit: str


@dataclass(frozen=True, slots=True)
class BoardPart:
    part: Part
    rows: tuple[BoardRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Board:
    parts: tuple[BoardPart, ...]
    mine: bool

    @property
    def total(self) -> int:
        return sum(part.total for part in self.parts)


_newer = aliased(Version)
_is_newest = ~(select(_newer.id).where(_newer.asset_id == Version.asset_id, _newer.number > Version.number).exists())
_is_kept = Asset.archived_at.is_(None)


def _in_state(state: VersionState) -> ColumnElement[bool]:
    """As a literal, so that the partial index of the state answers."""
    return Version.state == literal_column(f"'{state.value}'")


def page(session: Session, actor: Actor, *, mine: bool, only: Part | None = None) -> Board:
    """The board of this person, or of everybody whose assets they may edit; in a constant number of queries.

    A part shows its first rows; asked for alone, many more.
    """
    require(actor, Permission.EDIT)
    words = taxonomy.load(session)
    whose = and_(editable_by(actor), _is_kept, *([_is_mine(actor)] if mine else []))
    parts = []
    for part, (condition, at, order) in _parts().items():
        if only not in {None, part}:
            continue
        statement = (
            select(Asset, Version, at.label("at"))
            .join(Version, Version.asset_id == Asset.id)
            .where(condition, whose)
            .options(selectinload(Asset.tags), selectinload(Asset.owners), defer(Version.text, raiseload=True))
        )
        total = (
            session.scalar(select(func.count()).select_from(statement.with_only_columns(Version.id).subquery())) or 0
        )
        rows = (
            session.execute(statement.order_by(order, Asset.id).limit(LONG if only else SHORT)).all() if total else []
        )
        parts.append((part, rows, total))
    people = {owner.user_id for _, rows, _ in parts for row in rows for owner in row.Asset.owners}
    people |= {row.Asset.created_by_id for _, rows, _ in parts for row in rows if row.Asset.created_by_id is not None}
    names = users.list_names(session, people)
    return Board(
        tuple(BoardPart(part, tuple(_row(row, words, names) for row in rows), total) for part, rows, total in parts),
        mine,
    )


Rule = tuple[ColumnElement[bool], ColumnElement[Any], ColumnElement[Any]]


def _parts() -> Mapping[Part, Rule]:
    """Which version puts an asset into which part, the moment shown, and the order."""
    now = clock.now()
    created = Version.created_at.expression
    published = _in_state(VersionState.PUBLISHED)
    access = select(AccessChange.asset_id).where(AccessChange.state == "waiting")
    lacking = select(MissingOnBoard.asset_id)
    is_returned = Version.state.in_([VersionState.CHANGES_REQUESTED.value, VersionState.REJECTED.value])
    draft = _in_state(VersionState.DRAFT)
    return {
        Part.RETURNED: (and_(is_returned, _is_newest), Version.frozen_at.expression, Version.frozen_at.asc()),
        Part.FIELD: (and_(draft, Asset.is_from_field, Version.number == 1), created, created.asc()),
        Part.DRAFTS: (and_(draft, or_(~Asset.is_from_field, Version.number > 1)), created, created.desc()),
        Part.WAITING: (_in_state(VersionState.IN_REVIEW), Version.frozen_at.expression, Version.frozen_at.asc()),
        Part.ACCESS: (and_(published, Asset.id.in_(access)), created, created.asc()),
        Part.CLEARED: (
            and_(_in_state(VersionState.APPROVED), Version.publish_at.is_(None)),
            Version.frozen_at.expression,
            Version.frozen_at.asc(),
        ),
        Part.SCHEDULED: (
            and_(_in_state(VersionState.APPROVED), Version.publish_at.is_not(None)),
            Version.publish_at.expression,
            Version.publish_at.asc(),
        ),
        Part.EXPIRING: (
            and_(published, Asset.expires_at > now, Asset.expires_at <= now + reading.EXPIRES_SOON),
            Asset.expires_at.expression,
            Asset.expires_at.asc(),
        ),
        Part.LACKING: (and_(published, Asset.id.in_(lacking)), Version.published_at.expression, Asset.id.asc()),
    }


def _is_mine(actor: Actor) -> ColumnElement[bool]:
    """Owned, begun or written on by this person."""
    owned = select(AssetOwner.asset_id).where(AssetOwner.user_id == actor.user_id)
    written = (
        select(_newer.asset_id)
        .join(Contribution, Contribution.version_id == _newer.id)
        .where(Contribution.user_id == actor.user_id)
    )
    return or_(Asset.id.in_(owned), Asset.created_by_id == actor.user_id, Asset.id.in_(written), Asset.is_from_field)


def _row(row: Row[Asset, Version, datetime | None], words: Vocabulary, names: Mapping[int, str]) -> BoardRow:
    asset, version = row.Asset, row.Version
    labels = [words.by_id[tag.tag_id] for tag in asset.tags if tag.tag_id in words.by_id]
    owners: Sequence[int] = [owner.user_id for owner in asset.owners]
    lacks = service.lacks(AssetType(asset.type), labels, owners)
    return BoardRow(
        asset.public_id,
        version.title,
        AssetType(asset.type),
        version.language,
        version.number,
        VersionState(version.state),
        row.at,
        tuple(sorted(names.get(user_id, "") for user_id in owners)),
        tuple(LACKS[what] for what in lacks),
        names.get(asset.created_by_id or 0, "") if asset.is_from_field else "",
    )
