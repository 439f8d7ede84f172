"""Pages of what a later stage unlocks: asking for it, deciding, grants, and what could not be opened."""

from flask import redirect, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import access_requests, dealing, explaining
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid, NotFound
from kb.web import Area, actor, done

area = Area("access", __name__)


@area.get("/assets/<reference>/ask", needs=Permission.USE)
def asking(reference: str) -> AnyResponse | str:
    return _asking(reference)


def _asking(reference: str, wrong: str = "", given: str = "") -> AnyResponse | str:
    try:
        with reading_session() as db:
            found = access_requests.teaser(db, actor(), dealing.chosen(), reference)
    except access_requests.NothingToAsk:
        return redirect(dealing.link("content.asset", reference=reference))
    return render_template("content/ask.html", teaser=found, wrong=wrong, given=given)


@area.post("/assets/<reference>/ask", needs=Permission.USE)
def ask(reference: str) -> AnyResponse | tuple[AnyResponse | str, int]:
    reason = request.form.get("reason", "")
    try:
        with writing() as db:
            access_requests.ask(db, actor(), dealing.chosen(), reference, reason)
    except Invalid as refused:
        return _asking(reference, gettext(refused.text), reason), 422
    done(gettext("Asked. The answer comes as a notice."))
    return redirect(dealing.link("access.requests"))


@area.get("/access-requests", needs=Permission.USE)
def requests() -> str:
    return _requests()


def _requests(wrong: str = "", which: str = "", given: dict[str, str] | None = None) -> str:
    with reading_session() as db:
        return render_template(
            "content/access_requests.html",
            asked=access_requests.list_for_me(db, actor()),
            mine=access_requests.list_mine(db, actor()),
            grants=access_requests.list_grants(db, actor()),
            days=access_requests.DAYS,
            wrong=wrong,
            which=which,
            given=given or {},
        )


@area.post("/access-requests/<public_id>/decide", needs=Permission.USE)
def decide(public_id: str) -> AnyResponse | tuple[str, int]:
    answer, days = request.form.get("answer", ""), request.form.get("days", "")
    try:
        with writing() as db:
            if request.form.get("decision") == "allow":
                number = int(days) if days.isdecimal() and len(days) < 5 else 0
                access_requests.allow(db, actor(), public_id, answer, access_requests.in_days(number))
            else:
                access_requests.refuse(db, actor(), public_id, answer)
    except Invalid as refused:
        return _requests(gettext(refused.text), public_id, {"answer": answer, "days": days}), 422
    done(gettext("Decided. Whoever asked is told."))
    return redirect(dealing.link("access.requests"))


@area.post("/access-requests/<public_id>/withdraw", needs=Permission.USE)
def withdraw(public_id: str) -> AnyResponse:
    with writing() as db:
        access_requests.withdraw(db, actor(), public_id)
    done(gettext("Withdrawn."))
    return redirect(dealing.link("access.requests"))


@area.post("/grants/<public_id>/revoke", needs=Permission.USE)
def revoke(public_id: str) -> AnyResponse:
    with writing() as db:
        access_requests.revoke(db, actor(), public_id)
    done(gettext("It holds no longer."))
    return redirect(dealing.link("access.requests"))


@area.get("/library/shut", needs=Permission.EDIT)
def shut() -> str:
    """What readers came to and could not open."""
    with reading_session() as db:
        found = access_requests.shut(db, actor())
    return render_template("content/shut.html", rows=found)


@area.get("/explain", needs=Permission.ADMINISTER)
def explain() -> str | tuple[str, int]:
    """Why somebody sees an asset on a deal, or does not."""
    given = {name: request.args.get(name, "").strip()[:254] for name in ("person", "asset", "on")}
    found, wrong = None, ""
    if given["person"] and given["asset"]:
        try:
            with reading_session() as db:
                found = explaining.explain(db, actor(), given["person"], given["asset"], given["on"])
        except NotFound as unknown:
            wrong = gettext(unknown.text)
    page = render_template("content/explain.html", found=found, wrong=wrong, given=given)
    return (page, 404) if wrong else page
