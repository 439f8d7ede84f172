"""Search for programs: the same answer as `kb search --json`."""

from typing import Annotated, Literal

from flask import Response, jsonify
from pydantic import Field

from content.api import FacetsQuery
from kb.access import Permission
from kb.api import PREFIX, Shown, answers, spec
from kb.errors import Invalid
from kb.web import Area
from search import answer
from search.query import Query
from search.routes import find

area = Area("search_api", __name__, url_prefix=PREFIX)


class SearchQuery(FacetsQuery):
    q: Annotated[str, Field(max_length=2_000)] = ""
    mode: Literal["hybrid", "lexical", "semantic"] = "hybrid"
    sort: Literal["best", "new", "used", "verified"] = "best"
    limit: Annotated[int, Field(ge=1, le=50)] = 20
    offset: Annotated[int, Field(ge=0, le=10_000)] = 0


class AlsoShown(Shown):
    id: str
    title: str
    language: str


class LiftShown(Shown):
    """How much more often like deals were won that used it, with its 95 % interval; `n` deals used it."""

    value: float
    low: float
    high: float
    n: int
    verdict: Literal["helps", "hurts", "unclear", "not_enough_data"]


class HitShown(Shown):
    id: str
    external_id: str | None
    title: str
    type: str
    language: str
    score: float
    snippet: str
    passage: str
    anchor: str
    section: str
    why: list[str]
    unverified: bool
    handling: str
    lift: LiftShown | None
    also: list[AlsoShown]


class CountShown(Shown):
    key: str
    count: int


class LockedShown(Shown):
    id: str
    title: str
    type: str
    unlock_stage: str


class SearchShown(Shown):
    query: str
    mode: str
    took_ms: float
    total: int
    hits: list[HitShown]
    facets: dict[str, list[CountShown]]
    locked: list[LockedShown]
    limited: Literal["lexical_only", "database_only"] | None
    search_id: str


@area.get("/search", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=SearchShown), tags=["search"])
def search(query: SearchQuery) -> Response:
    """Search what the caller may see, on a deal where one is given."""
    try:
        asked = Query.of(query.q, query.filters(), query.limit, query.offset, query.mode, query.sort)
    except ValueError as mistake:
        raise Invalid(str(mistake), code="query") from None
    return jsonify(answer.as_json(find(asked)))
