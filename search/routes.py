"""Home, browse, feed, and the search page, whole or as the fragment its script asks for while somebody types."""

from flask import Response, current_app, g, render_template, request
from flask_babel import get_locale
from werkzeug.wrappers import Response as AnyResponse

from content import dealing, home
from kb import clock
from kb.access import Permission
from kb.db import reading, writing
from kb.errors import Invalid
from kb.web import Area, actor, wants_fragment
from search import duplicates, log, service, suggesting, upkeep
from search.query import FACETS, Mode, Query, Sort
from search.service import Finder, SearchPage

PAGE = 20
FEED = 50

area = Area("search", __name__)


@area.get("/", needs=Permission.SEARCH, endpoint="home")
def home_page() -> str:
    with reading() as session:
        found = home.page(session, actor(), dealing.chosen(), _language())
    return render_template("search/home.html", home=found)


@area.get("/browse", needs=Permission.SEARCH)
def browse() -> str:
    """Every value of every facet with how many visible assets carry it."""
    return render_template("search/browse.html", page=_listed(Query(limit=1)))


@area.get("/feed.atom", needs=Permission.SEARCH)
def feed() -> AnyResponse:
    """What was published last, as this reader may see it without a deal; filters as in the search page."""
    query = asked(FEED, words="")
    with reading() as session:
        page = service.search(session, _finder(), actor(), None, query, _language())
    updated = max((hit.asset.published_at for hit in page.hits), default=clock.now())
    response = Response(render_template("search/feed.xml", page=page, updated=updated), mimetype="application/atom+xml")
    response.add_etag()
    return response.make_conditional(request)


def _listed(query: Query) -> SearchPage:
    with reading() as session:
        return service.search(session, _finder(), actor(), dealing.chosen(), query, _language())


@area.get("/search", needs=Permission.SEARCH)
def results() -> str:
    query = asked(PAGE)
    page = find(query)
    links = {"previous": _page_link(query, page.previous_offset), "next": _page_link(query, page.next_offset)}
    template = "search/_results.html" if wants_fragment() else "search/results.html"
    return render_template(template, page=page, page_links=links)


@area.get("/suggest", needs=Permission.SEARCH)
def suggest() -> str:
    """What may be meant by the beginning of a query: the list that the search field's script asks for."""
    typed = request.args.get("q", "")
    return render_template("search/_suggestions.html", suggestions=suggestions_for(typed), typed=typed)


def suggestions_for(typed: str) -> tuple[suggesting.Suggestion, ...]:
    """Suggestions for this request's reader on this request's deal."""
    with reading() as session:
        return suggesting.suggest(session, _finder(), actor(), dealing.chosen(), typed, _language())


def asked(limit: int, words: str | None = None) -> Query:
    """The query in the address, checked; `words` in place of those that stand there."""
    filters = {facet: request.args.getlist(facet) for facet in FACETS}
    try:
        return Query.of(
            request.args.get("q", "") if words is None else words,
            filters,
            limit,
            max(0, request.args.get("offset", 0, type=int)),
            request.args.get("mode") or Mode.HYBRID,
            request.args.get("sort") or Sort.BEST,
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
        found = service.similar(session, _finder(), actor(), deal, reference, request.args.get("section", "")[:80])
    template = "search/_similar.html" if wants_fragment() else "search/similar.html"
    return render_template(template, found=found)


@area.get("/assets/<reference>/alike", needs=Permission.EDIT)
def alike(reference: str) -> str:
    """What in the library says the same as this draft: a page of its own, and a part of the editor."""
    with reading() as session:
        found = duplicates.find(session, _finder(), actor(), reference)
    template = "search/_alike.html" if wants_fragment() else "search/alike.html"
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
    sort = None if query.sort is Sort.BEST else query.sort.value
    return dealing.link("search.results", q=query.text, offset=offset, mode=mode_in_link(query), sort=sort, **filters)


def mode_in_link(query: Query) -> str | None:
    """The mode as links carry it: nothing for the usual one."""
    return None if query.mode is Mode.HYBRID else query.mode.value
