"""Kept searches for programs: one's own alone."""

from typing import Annotated, Literal

from flask import Response, jsonify
from pydantic import Field

from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec
from kb.db import reading, writing
from kb.web import Area, actor
from search import saved
from search.saved_routes import asked_in

area = Area("saved_api", __name__, url_prefix=PREFIX)

Words = Annotated[str, Field(max_length=120)]


class SavedBody(Strict):
    """The query as `/search` takes it, a name, and whether its owner is told of new matches."""

    q: Annotated[str, Field(max_length=400)] = ""
    filters: dict[str, list[Words]] = Field(default_factory=dict)
    mode: Literal["hybrid", "lexical", "semantic"] = "hybrid"
    sort: Literal["best", "new", "used", "verified"] = "best"
    name: Words = ""
    tells: bool = True


class SavedShown(Shown):
    id: str
    name: str
    q: str
    filters: dict[str, list[str]]
    mode: str
    sort: str
    tells: bool


class SavedListShown(Shown):
    items: list[SavedShown]


class TellsBody(Strict):
    tells: bool


@area.get("/searches", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=SavedListShown), tags=["search"])
def list_kept() -> Response:
    return list_all()


def list_all() -> Response:
    """One's kept searches, by name."""
    with reading() as session:
        kept = saved.list_kept(session, actor())
    return jsonify({"items": [_shown(one) for one in kept]})


@area.post("/searches", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_201=SavedShown), tags=["search"])
def keep(json: SavedBody) -> tuple[Response, int]:
    """Keep a search; the same one again changes its name and notices."""
    query = asked_in(json.q, json.filters, json.mode, json.sort)
    with writing() as session:
        reference = saved.keep(session, actor(), query, json.name, tells=json.tells)
        session.flush()
        kept = next(one for one in saved.list_kept(session, actor()) if one.public_id == reference)
    return jsonify(_shown(kept)), 201


@area.patch("/searches/<reference>", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=SavedListShown), tags=["search"])
def tell(reference: str, json: TellsBody) -> Response:
    """Switch the notices of a kept search on or off; answers with all of one's own."""
    with writing() as session:
        saved.tell(session, actor(), reference, tells=json.tells)
    return list_all()


@area.delete("/searches/<reference>", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=SavedListShown), tags=["search"])
def remove(reference: str) -> Response:
    """Keep a search no longer; answers with those that remain."""
    with writing() as session:
        saved.remove(session, actor(), reference)
    return list_all()


def _shown(one: saved.Kept) -> dict[str, object]:
    return {
        "id": one.public_id,
        "name": one.name,
        "q": one.text,
        "filters": {facet: list(values) for facet, values in one.filters.items()},
        "mode": one.mode.value,
        "sort": one.sort.value,
        "tells": one.tells,
    }
