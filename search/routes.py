"""The search page, whole or as the fragment that its script asks for while somebody types."""

from flask import current_app, g, render_template, request
from flask_babel import get_locale

from content import dealing
from kb.access import Permission
from kb.db import reading, writing
from kb.errors import Invalid
from kb.web import Area, actor, wants_fragment
from search import log, service, upkeep
from search.engine import Engine
from search.query import FACETS, Query
from search.service import SearchPage

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
        return Query.of(request.args.get("q", ""), filters, limit, max(0, request.args.get("offset", 0, type=int)))
    except ValueError as mistake:
        raise Invalid(str(mistake), code="query") from None


def find(query: Query) -> SearchPage:
    """Search for this request's reader on this request's deal, and keep the search by a short write of its own."""
    deal = dealing.chosen()
    engine: Engine = current_app.extensions["search_engine"]
    with reading() as session:
        page = service.search(session, engine, actor(), deal, query, _language())
    g.search_id = ""
    if query.text and not query.offset:
        with writing() as session:
            g.search_id = log.record(session, actor(), deal, query.text, query.mode.value, page.total)
    if page.limited:
        with writing() as session:
            upkeep.wish_rebuild(session)
    return service.with_id(page, g.search_id)


def _language() -> str:
    locale = get_locale()
    return locale.language if locale else "zh"


def _page_link(query: Query, offset: int | None) -> str | None:
    if offset is None:
        return None
    filters = {facet: sorted(values) for facet, values in query.filters.items()}
    return dealing.link("search.results", q=query.text, offset=offset, **filters)
