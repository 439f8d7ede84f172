"""Search for programs: the same answer as `kb search --json`."""

from typing import Annotated, Literal

from flask import Response, jsonify
from pydantic import Field

from content.api import FacetsQuery
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec
from kb.errors import Invalid
from kb.web import Area
from search import answer
from search.query import Query
from search.routes import find, suggestions_for

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


class NoteShown(Shown):
    """Why something was read otherwise than typed: unclosed, empty, unknown_value, exact_none; and about what."""

    code: str
    about: str


class ReadAsShown(Shown):
    """What the typed text was understood as: words, exact phrases, exclusions, words of the title, typed filters."""

    words: str
    exact: list[str]
    without: list[str]
    title: list[str]
    filters: dict[str, list[str]]
    notes: list[NoteShown]


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
    did_you_mean: str | None
    read_as: ReadAsShown


class SuggestQuery(Strict):
    """`deal` is read from the address as everywhere."""

    q: Annotated[str, Field(max_length=2_000)] = ""
    deal: Annotated[str, Field(max_length=120)] = ""


class SuggestionShown(Shown):
    """`id`, `type` and `language` belong to an asset; `facet`, `key` and `count` to a tag."""

    kind: Literal["asset", "tag", "search"]
    text: str
    id: str | None
    type: str | None
    language: str | None
    facet: str | None
    key: str | None
    count: int | None


class SuggestShown(Shown):
    query: str
    suggestions: list[SuggestionShown]


@area.get("/suggest", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=SuggestShown), tags=["search"])
def suggest(query: SuggestQuery) -> Response:
    """Titles, tags and successful searches that go on from what is typed, from what the caller may see on the deal."""
    return jsonify(answer.suggestions_as_json(query.q, suggestions_for(query.q)))


@area.get("/search", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=SearchShown), tags=["search"])
def search(query: SearchQuery) -> Response:
    """Search what the caller may see, on a deal where one is given."""
    try:
        asked = Query.of(query.q, query.filters(), query.limit, query.offset, query.mode, query.sort)
    except ValueError as mistake:
        raise Invalid(str(mistake), code="query") from None
    return jsonify(answer.as_json(find(asked)))
