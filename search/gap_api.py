"""Content gaps for programs."""

from typing import Annotated, Literal

from flask import Response, jsonify
from pydantic import Field

from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec
from kb.db import reading, writing
from kb.web import Area, actor
from search import gaps
from search.gaps import GapState

area = Area("gap_api", __name__, url_prefix=PREFIX)


class GapsQuery(Strict):
    """`state`, or `all`; the gaps with the most open money first."""

    state: Literal["open", "taken", "answered", "dismissed", "all"] = "open"
    limit: Annotated[int, Field(ge=1, le=200)] = 100


class GapBody(Strict):
    """`asset` says what answers it; `reason` why nothing will be written."""

    state: Literal["open", "taken", "answered", "dismissed"]
    asset: Annotated[str, Field(max_length=220)] = ""
    reason: Annotated[str, Field(max_length=gaps.LONGEST_REASON)] = ""


class AmountShown(Shown):
    currency: str
    amount: str


class AskedShown(Shown):
    text: str
    count: int


class ExistingShown(Shown):
    id: str
    title: str


class GapShown(Shown):
    """`finding` is what most of its searches came to: missing, locked, not_found; the amounts are of open deals."""

    id: str
    text: str
    state: Literal["open", "taken", "answered", "dismissed"]
    owner: str | None
    finding: Literal["missing", "locked", "not_found"]
    findings: dict[str, int]
    searches: int
    people: int
    teams: list[str]
    deals: int
    open_amounts: list[AmountShown]
    asked: list[AskedShown]
    existing: list[ExistingShown]
    answer: str | None
    reason: str | None
    first_at: str
    last_at: str


class GapsShown(Shown):
    items: list[GapShown]


@area.get("/gaps", needs=Permission.MEASURE)
@spec.validate(resp=answers(HTTP_200=GapsShown), tags=["search"])
def list_gaps(query: GapsQuery) -> Response:
    """Searches that led nowhere, joined by what they mean."""
    with reading() as session:
        lines = gaps.list_gaps(session, actor(), None if query.state == "all" else GapState(query.state), query.limit)
    return jsonify({"items": [gaps.as_fields(line) for line in lines]})


@area.get("/gaps/<reference>", needs=Permission.MEASURE)
@spec.validate(resp=answers(HTTP_200=GapShown), tags=["search"])
def get_gap(reference: str) -> Response:
    with reading() as session:
        line = gaps.get_gap(session, actor(), reference)
    return jsonify(gaps.as_fields(line))


@area.post("/gaps/<reference>", needs=Permission.MEASURE)
@spec.validate(resp=answers(HTTP_200=GapShown), tags=["search"])
def move(reference: str, json: GapBody) -> Response:
    """Take it, say what answers it, dismiss it with a reason, or open it again."""
    with writing() as session:
        gaps.move(session, actor(), reference, json.state, json.asset, json.reason)
        session.flush()
        line = gaps.get_gap(session, actor(), reference)
    return jsonify(gaps.as_fields(line))
