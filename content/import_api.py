"""Incremental sync for programs: rows in by cursor, refused rows, the change log of deals."""

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response, jsonify
from pydantic import Field

from content import rejected, syncing
from content.importing import Report
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.db import current, reading
from kb.web import Area, actor

area = Area("import_api", __name__, url_prefix=PREFIX)
Kind = Literal["users", "deals", "stages", "usage"]
Word = Annotated[str, Field(max_length=2_000)]


class SyncBody(Strict):
    """`after` is the kept cursor, empty at the beginning; `rows` have the columns of the CSV files, all as text."""

    after: Annotated[str, Field(max_length=200)] = ""
    cursor: Annotated[str, Field(min_length=1, max_length=200)]
    rows: Annotated[list[dict[str, Word]], Field(max_length=syncing.MOST_ROWS)]


class CursorShown(Shown):
    cursor: str
    rows: int
    moved_at: datetime | None


class FailedShown(Shown):
    line: int | None
    code: str
    message: str


class TakenShown(Shown):
    """`line` counts the rows sent, from 1."""

    created: int
    updated: int
    unchanged: int
    failed: list[FailedShown]


class RefusedShown(Shown):
    id: str
    kind: str
    key: str
    source: str
    line: int | None
    row: dict[str, str]
    code: str
    message: str
    at: datetime


class RefusedListShown(Shown):
    items: list[RefusedShown]


class RefusedQuery(Strict):
    kind: Kind | None = None


class RowBody(Strict):
    """The columns to correct; the others stay as they were sent."""

    row: dict[str, Word]


class ChangeShown(Shown):
    number: int
    deal: str
    at: datetime


class ChangesShown(Shown):
    """`cursor` is the number to go on after."""

    items: list[ChangeShown]
    cursor: int


class ChangesQuery(Strict):
    after: Annotated[int, Field(ge=0, le=2**62)] = 0
    limit: Annotated[int, Field(ge=1, le=syncing.MOST_CHANGES)] = 200


def _taken(report: Report) -> dict[str, Any]:
    return {
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "failed": [{"line": one.line, "code": one.code, "message": one.message} for one in report.failed],
    }


@area.get("/sync/<source>/<kind>", needs=Permission.IMPORT)
@spec.validate(resp=answers(HTTP_200=CursorShown), tags=["import"])
def cursor(source: str, kind: str) -> CursorShown:
    """How far this source has sent rows of this kind."""
    with reading() as db:
        found = syncing.cursor_of(db, actor(), source, kind)
    return CursorShown(cursor=found.cursor, rows=found.rows, moved_at=found.moved_at)


@area.post("/sync/<source>/<kind>", needs=Permission.IMPORT)
@spec.validate(resp=answers(HTTP_200=TakenShown), tags=["import"])
def take(source: str, kind: str, json: SyncBody) -> Response:
    """Take rows that follow the kept cursor; what is refused is listed, kept, and can be corrected."""
    return jsonify(_taken(syncing.take(current(), actor(), source, kind, json.after, json.cursor, json.rows)))


@area.get("/imports/rejected", needs=Permission.IMPORT)
@spec.validate(resp=answers(HTTP_200=RefusedListShown), tags=["import"])
def refused(query: RefusedQuery) -> RefusedListShown:
    """Rows that wait to be corrected, newest first."""
    with reading() as db:
        rows = rejected.list_open(db, actor(), query.kind or "")
    return RefusedListShown(
        items=[
            RefusedShown(
                id=one.public_id, kind=one.kind, key=one.key, source=one.source, line=one.line, row=dict(one.row),
                code=one.code, message=one.message, at=one.at,
            )
            for one in rows
        ]
    )  # fmt: skip


@area.post("/imports/rejected/<reference>", needs=Permission.IMPORT)
@spec.validate(resp=answers(HTTP_200=TakenShown), tags=["import"])
def send_again(reference: str, json: RowBody) -> Response:
    """Take a refused row with these columns corrected."""
    return jsonify(_taken(syncing.send_again(current(), actor(), reference, json.row)))


@area.delete("/imports/rejected/<reference>", needs=Permission.IMPORT)
@spec.validate(resp=answers(HTTP_200=RefusedListShown), tags=["import"])
def set_aside(reference: str) -> Response:
    """Set a refused row aside; answers with what still waits."""

    def act(db: Any) -> RefusedListShown:
        rejected.end(db, actor(), reference, "set_aside")
        return RefusedListShown(items=[])

    return write(act)


@area.get("/changes/deals", needs=Permission.IMPORT)
@spec.validate(resp=answers(HTTP_200=ChangesShown), tags=["import"])
def changes(query: ChangesQuery) -> ChangesShown:
    """Deals that changed, oldest first, after a number of the change log."""
    with reading() as db:
        found = syncing.changes(db, actor(), query.after, query.limit)
    items = [ChangeShown(number=one.number, deal=one.deal, at=one.at) for one in found]
    return ChangesShown(items=items, cursor=items[-1].number if items else query.after)
