"""The search page, whole or as the fragment that its script asks for while somebody types."""

from flask import current_app, g, render_template, request
from flask_babel import get_locale

from content import dealing
from kb.access import Permission
from kb.db import reading, writing
from kb.errors import Invalid
from kb.web import Area, actor, wants_fragment
from search import log, service, upkeep
from search.query import FACETS, Mode, Query
from search.service import Finder, SearchPage

PAGE = 20

area = Area("search", __name__)


@area.get("/", needs=Permission.SEARCH)
def home() -> str:
    return results()


@area.get("/search", needs=Permission.SEARCH)
def results() -> str:
    query = asked(PAGE)
    page = find(query)
    links = {"previous": _page_link(query, page.previous_offset), "next": _page_link(query, page.next_offset)}
    template = "search/_results.html" if wants_fragment() else "search/results.html"
    return render_template(template, page=page, page_links=links)


def asked(limit: int) -> Query:
    """The query in the address, checked."""
    filters = {facet: request.args.getlist(facet) for facet in FACETS}
    try:
        return Query.of(
            request.args.get("q", ""),
            filters,
            limit,
            max(0, request.args.get("offset", 0, type=int)),
            request.args.get("mode") or Mode.HYBRID,
        )
    except ValueError as mistake:
        raise Invalid(str(mistake), code="query") from None


def find(query: Query) -> SearchPage:
    """Search for this request's reader on this request's deal, and keep the search by a short write of its own."""
    deal = dealing.chosen()
    with reading() as session:
        page = service.search(session, _finder(), actor(), deal, query, _language())
    g.search_id = ""
    if query.text and not query.offset:
        with writing() as session:
            g.search_id = log.record(session, actor(), deal, query.text, query.mode.value, page.total)
    if page.limited == service.DATABASE_ONLY:
        with writing() as session:
            upkeep.wish_rebuild(session)
    return service.with_id(page, g.search_id)


@area.get("/assets/<reference>/similar", needs=Permission.SEARCH)
def similar(reference: str) -> str:
    """Assets of like meaning: a page of its own, and the strip that the asset's page asks for."""
    deal = dealing.chosen()
    with reading() as session:
        found = service.similar(session, _finder(), actor(), deal, reference)
    template = "search/_similar.html" if wants_fragment() else "search/similar.html"
    return render_template(template, found=found)


def _finder() -> Finder:
    finder: Finder = current_app.extensions["search_finder"]
    return finder


def _language() -> str:
    locale = get_locale()
    return locale.language if locale else "zh"


def _page_link(query: Query, offset: int | None) -> str | None:
    if offset is None:
        return None
    filters = {facet: sorted(values) for facet, values in query.filters.items()}
    return dealing.link("search.results", q=query.text, offset=offset, mode=mode_in_link(query), **filters)


def mode_in_link(query: Query) -> str | None:
    """The mode as links carry it: nothing for the usual one."""
    return None if query.mode is Mode.HYBRID else query.mode.value
