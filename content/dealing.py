"""The deal in context at the edge: it stands in the address; the session keeps only the last one as default."""

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import g, redirect, request, session, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from content import deals, taxonomy
from content.deals import DealContext, UnknownDeal
from kb.access import Actor
from kb.db import reading
from kb.web import SAFE_METHODS, actor, is_api, safe_next, wants_fragment

PARAMETER = "deal"
LAST = "last_deal"
MAX_REFERENCE = 120
AREAS = frozenset(
    {
        "search",
        "content",
        "content_editor",
        "content_versions",
        "content_board",
        "content_files",
        "vocabulary",
        "planning",
        "stories",
        "notices",
        "access",
        "account",
        "sharing",
        "insight",
        "assist",
        "gaps",
        "saved",
    }
)
"""Pages on which a deal in the address becomes the default, and a missing one is filled in."""


def chosen() -> DealContext | None:
    """The deal in this request's address, checked once; UnknownDeal where it is none of the actor's."""
    if not hasattr(g, "deal"):
        g.deal = named(request.args.get(PARAMETER, "") or request.form.get(PARAMETER, ""))
    found: DealContext | None = g.deal
    return found


def named(reference: str) -> DealContext | None:
    """The deal of that id, none for no id; UnknownDeal where it is none of the actor's."""
    return of_path(reference) if reference else None


def of_path(reference: str) -> DealContext:
    """The deal that an address names in its path; UnknownDeal where it is none of the actor's."""
    with reading() as db:
        return deals.get_context(db, actor(), taxonomy.load(db), reference[:MAX_REFERENCE])


def list_open(db: Session, who: Actor, words: str) -> Sequence[DealContext]:
    return deals.list_open(db, who, taxonomy.load(db), words)


def remember() -> AnyResponse | None:
    """Before a page: keep the deal of the address as default, or put the default into the address."""
    if g.get("actor") is None or is_api() or request.blueprint not in AREAS or request.method not in SAFE_METHODS:
        return None
    if PARAMETER in request.args:
        deal = chosen()
        if not wants_fragment() and session.get(LAST, "") != (wanted := deal.external_id if deal else ""):
            session[LAST] = wanted
        return None
    if wants_fragment() or not session.get(LAST):
        return None
    try:
        deal = named(session[LAST])
    except UnknownDeal:
        session.pop(LAST)
        return None
    return redirect(with_deal(request.full_path, deal.external_id if deal else ""))


def with_deal(address: str, reference: str) -> str:
    """The address with this deal in it; an empty reference says "no deal" on purpose."""
    parts = urlsplit(address)
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key != PARAMETER]
    return urlunsplit(("", "", parts.path, urlencode([*kept, (PARAMETER, reference)]), parts.fragment))


def link(endpoint: str, **values: object) -> str:
    """An address of ours that carries the deal of this page."""
    deal = g.get("deal")
    return url_for(endpoint, **{PARAMETER: deal.external_id if deal else "", **values})  # type: ignore[arg-type]  # any values


def for_templates() -> dict[str, object]:
    deal = g.get("deal")
    return {"deal": deal, "deal_param": deal.external_id if deal else "", "link": link, "here_path": _here()}


def _here() -> str:
    """Where to come back to: this page, or the one the deal is being picked for."""
    if request.endpoint == "content.pick_deal":
        return safe_next(request.args.get("next"))
    return request.full_path if request.query_string else request.path
