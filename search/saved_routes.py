"""The searches that a person keeps."""

from flask import redirect, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import dealing
from kb.access import Permission
from kb.db import reading, writing
from kb.errors import Invalid
from kb.web import Area, actor, done
from search import saved
from search.query import FACETS, Mode, Query, Sort

area = Area("saved", __name__)


@area.get("/searches", needs=Permission.SEARCH)
def page() -> str:
    with reading() as session:
        kept = saved.list_kept(session, actor())
    return render_template("search/saved.html", kept=kept)


@area.post("/searches", needs=Permission.SEARCH)
def keep() -> AnyResponse:
    """Keep the search of the page that was left, with notices of what is new."""
    query = asked_in(request.form.get("q", ""), {facet: request.form.getlist(facet) for facet in FACETS})
    with writing() as session:
        saved.keep(session, actor(), query, request.form.get("name", ""), tells=True)
    done(gettext("Kept. You are told when something new matches."))
    return redirect(dealing.link("saved.page"))


def asked_in(text: str, filters: dict[str, list[str]], mode: str = "", sort: str = "") -> Query:
    """A query as it is kept; `mode` and `sort` as in an address."""
    mode, sort = mode or request.form.get("mode", ""), sort or request.form.get("sort", "")
    try:
        return Query.of(text, filters, mode=mode or Mode.HYBRID, sort=sort or Sort.BEST)
    except ValueError as mistake:
        raise Invalid(str(mistake), code="query") from None


@area.post("/searches/<reference>/notices", needs=Permission.SEARCH)
def notices(reference: str) -> AnyResponse:
    with writing() as session:
        saved.tell(session, actor(), reference, tells=request.form.get("tells") == "1")
    return redirect(dealing.link("saved.page"))


@area.post("/searches/<reference>/remove", needs=Permission.SEARCH)
def remove(reference: str) -> AnyResponse:
    with writing() as session:
        saved.remove(session, actor(), reference)
    done(gettext("Removed."))
    return redirect(dealing.link("saved.page"))
