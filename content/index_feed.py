"""Any change that search shows adds a wish to index it, in the same transaction; nobody has to remember."""

from sqlalchemy import event, func, insert, select
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction

from content.models import Asset, AssetTag, Version
from content.taxonomy import Tag, TagSynonym
from kb import clock
from kb.db import is_postgresql
from kb.outbox import CHANNEL, Wish, WishKind

WATCHED = (Asset, Version, AssetTag, Tag, TagSynonym)
_TABLES = frozenset(model.__tablename__ for model in WATCHED)


class UnseenByIndex(RuntimeError):
    """A bulk statement would change what search shows without a wish."""


def install() -> None:
    """Listen on every session of this process; safe to call again."""
    if not event.contains(Session, "after_flush", _wish_for_changes):
        event.listen(Session, "after_flush", _wish_for_changes)
        event.listen(Session, "do_orm_execute", _refuse_bulk_writes)


def _refuse_bulk_writes(state: ORMExecuteState) -> None:
    if not (state.is_update or state.is_delete or state.is_insert):
        return
    mapper = state.bind_mapper
    if mapper is not None and mapper.local_table.description in _TABLES:
        raise UnseenByIndex(f"change {mapper.class_.__name__} through its objects, so that the index follows")


def _wish_for_changes(session: Session, _context: UOWTransaction) -> None:
    changed = [row for row in (*session.new, *session.dirty, *session.deleted) if isinstance(row, WATCHED)]
    touched = {asset_id for row in changed if (asset_id := _asset_id(row)) is not None}
    tags = {row.id if isinstance(row, Tag) else row.tag_id for row in changed if isinstance(row, Tag | TagSynonym)}
    if tags:
        touched |= set(session.connection().scalars(select(AssetTag.asset_id).where(AssetTag.tag_id.in_(tags))))
    if not touched:
        return
    now = clock.now()
    rows = [
        {"kind": WishKind.INDEX_ASSET.value, "object_id": asset_id, "due_at": now, "attempts": 0, "error": ""}
        for asset_id in sorted(touched)
    ]
    session.connection().execute(insert(Wish), rows)
    if is_postgresql(session):
        session.connection().execute(select(func.pg_notify(CHANNEL, "")))


def _asset_id(row: object) -> int | None:
    if isinstance(row, Asset):
        return row.id
    return row.asset_id if isinstance(row, Version | AssetTag) else None
