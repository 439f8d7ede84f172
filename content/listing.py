"""Lists of visible assets for programs: filtered, ordered, and paged by a cursor that stands still while others publish."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, and_, literal, or_, select
from sqlalchemy.orm import Session

from content import reading, taxonomy, visibility
from content.deals import DealContext
from content.kinds import Facet, VersionState
from content.models import Asset, AssetTag, Version
from content.reading import ReadableAsset
from content.taxonomy import Vocabulary
from kb.access import Actor, Permission, require
from kb.db import UtcDateTime
from kb.errors import N_, Invalid

LONGEST_CURSOR: Final = 1_000


class Order(StrEnum):
    """Published last first, verified last first (publication counts as a look), or by title."""

    NEW = "new"
    VERIFIED = "verified"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class ListPage:
    """Some assets, and where to go on; no cursor after the last of them."""

    assets: Sequence[ReadableAsset]
    next_cursor: str | None


class BadCursor(Invalid):
    code, message = "cursor", N_("This cursor is not one of ours, or belongs to another order: begin without it.")


_KEYS: Mapping[Order, ColumnElement[datetime | None] | ColumnElement[str]] = {
    Order.NEW: Version.published_at.expression,
    Order.VERIFIED: reading.looked_at,
    Order.TITLE: Version.title.expression,
}


def list_page(
    session: Session,
    actor: Actor,
    deal: DealContext | None,
    filters: Mapping[str, Sequence[str]],
    order: Order,
    limit: int,
    cursor: str = "",
) -> ListPage:
    """A page of what this reader may see on this deal; filters of one facet are alternatives, facets narrow."""
    require(actor, Permission.SEARCH)
    words = taxonomy.load(session)
    key = _KEYS[order]
    statement = (
        select(Asset.id, key.label("key"))
        .join(Version, Version.asset_id == Asset.id)
        .where(Version.state == VersionState.PUBLISHED.value, visibility.visible_to(actor, deal))
        .where(*_conditions(filters, words))
    )
    if cursor:
        statement = statement.where(_after(key, order, cursor))
    ordered = (key.asc(), Asset.id.asc()) if order is Order.TITLE else (key.desc(), Asset.id.desc())
    rows = session.execute(statement.order_by(*ordered).limit(limit + 1)).all()
    assets = reading.list_visible(session, actor, deal, [row[0] for row in rows[:limit]], words)
    last = rows[limit - 1] if len(rows) > limit else None
    return ListPage(assets, _cursor(order, last[1], last[0]) if last is not None else None)


def _conditions(filters: Mapping[str, Sequence[str]], words: Vocabulary) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for facet, values in filters.items():
        if not values:
            continue
        if facet == "type":
            found.append(Asset.type.in_(values))
        elif facet == "language":
            found.append(Version.language.in_([value.casefold() for value in values]))
        else:
            labels = [label.id for value in values if (label := words.find(Facet(facet).value, value))]
            found.append(Asset.id.in_(select(AssetTag.asset_id).where(AssetTag.tag_id.in_(labels))))
    return found


def _after(key: ColumnElement[datetime | None] | ColumnElement[str], order: Order, cursor: str) -> ColumnElement[bool]:
    value, asset_id = _read(order, cursor)
    bound = literal(value, UtcDateTime() if isinstance(value, datetime) else None)
    if order is Order.TITLE:
        return or_(key > bound, and_(key == bound, Asset.id > asset_id))
    return or_(key < bound, and_(key == bound, Asset.id < asset_id))


def _cursor(order: Order, value: datetime | str | None, asset_id: int) -> str:
    shown = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([order.value, shown, asset_id]).encode()).decode().rstrip("=")


def _read(order: Order, cursor: str) -> tuple[datetime | str, int]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        name, value, asset_id = json.loads(base64.b64decode(padded[:LONGEST_CURSOR], altchars=b"-_", validate=True))
        if name != order.value or not isinstance(value, str) or type(asset_id) is not int or abs(asset_id) > 2**62:
            raise BadCursor()
        if "\x00" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
            raise BadCursor()
        at = value if order is Order.TITLE else datetime.fromisoformat(value)
        if isinstance(at, datetime) and at.tzinfo is None:
            raise BadCursor()
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise BadCursor() from None
    return at, asset_id
