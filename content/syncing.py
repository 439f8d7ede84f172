"""Incremental sync with other systems: rows in by cursor, changes of deals out by the log, refused rows sent again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import rejected
from content.crm import CsvImport
from content.deals import Deal, DealChange
from content.importing import Report
from content.rejected import KEYS, SyncCursor
from kb import clock
from kb.access import Actor, Permission, require
from kb.db import Database
from kb.errors import N_, Conflict, Invalid

KINDS: Final = tuple(KEYS)
MOST_ROWS: Final = 1_000
MOST_CHANGES: Final = 1_000
LONGEST_SOURCE: Final = 80


class CursorMoved(Conflict):
    """Somebody else sent rows of this source meanwhile, or an answer was lost."""

    code, message = "cursor_moved", N_("These rows begin where the last ones did not end: go on from the kept cursor.")

    def __init__(self, kept: str) -> None:
        super().__init__(cursor=kept)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a source has come; an empty cursor is the beginning."""

    cursor: str
    rows: int
    moved_at: datetime | None


def cursor_of(session: Session, actor: Actor, source: str, kind: str) -> Cursor:
    """Where the next rows of this source begin."""
    require(actor, Permission.IMPORT)
    _check(source, kind)
    kept = session.get(SyncCursor, (source, kind))
    return Cursor(kept.cursor, kept.rows, kept.moved_at) if kept else Cursor("", 0, None)


def take(
    database: Database, actor: Actor, source: str, kind: str, after: str, cursor: str, rows: Sequence[Mapping[str, str]]
) -> Report:
    """Take rows that follow `after`, and keep `cursor` as how far the source has come.

    Rows are upserts: what is sent twice changes nothing. Refused rows stay aside and do not hold the cursor back.
    Raises CursorMoved where `after` is not the kept cursor.
    """
    require(actor, Permission.IMPORT)
    _check(source, kind)
    with database.reading() as session:
        kept = cursor_of(session, actor, source, kind)
    if kept.cursor != after:
        raise CursorMoved(kept.cursor)
    report = CsvImport(database, actor, kind).run_rows(source, rows)
    with database.writing() as session:
        found = session.get(SyncCursor, (source, kind), with_for_update=True)
        if found is None:
            found = SyncCursor(source=source, kind=kind, cursor="", rows=0)
            session.add(found)
        if found.cursor != after:
            raise CursorMoved(found.cursor)
        found.cursor, found.moved_at = cursor, clock.now()
        found.rows += report.total - len(report.failed)
    return report


def send_again(database: Database, actor: Actor, reference: str, row: Mapping[str, str]) -> Report:
    """Take a refused row as corrected; it stays refused, with its new reason, where it still cannot be taken."""
    with database.reading() as session:
        kept = rejected.get(session, actor, reference)
    whole = {**kept.row, **{name: value.strip() for name, value in row.items() if name in CsvImport.KNOWN[kept.kind]}}
    report = CsvImport(database, actor, kept.kind).run_rows(kept.source, [whole])
    with database.writing() as session:
        if not report.failed:
            rejected.end_if_open(session, actor, reference)
        else:
            rejected.corrected(session, reference, whole, report.failed[0].code, report.failed[0].message)
    return report


@dataclass(frozen=True, slots=True)
class Change:
    """A deal that changed; a later change of the same deal comes again under a higher number."""

    number: int
    deal: str
    at: datetime


def changes(session: Session, actor: Actor, after: int, limit: int = MOST_CHANGES) -> Sequence[Change]:
    """Deals that changed after that number of the log, oldest first."""
    require(actor, Permission.IMPORT)
    rows = session.execute(
        select(DealChange.id, Deal.external_id, DealChange.at)
        .join(Deal, Deal.id == DealChange.deal_id)
        .where(DealChange.id > after)
        .order_by(DealChange.id)
        .limit(limit)
    )
    return [Change(*row) for row in rows]


def _check(source: str, kind: str) -> None:
    if kind not in KINDS:
        raise Invalid(N_("Rows are users, deals, stages or usage."), code="kind")
    if not 0 < len(source) <= LONGEST_SOURCE:
        raise Invalid(N_("A source has a name of at most 80 characters."), code="source")
