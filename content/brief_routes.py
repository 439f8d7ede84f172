"""The page before a call, and notes on a text for a deal."""

from flask import g, redirect, render_template, request
from flask_babel import get_locale, gettext
from werkzeug.wrappers import Response as AnyResponse

from content import brief, deal_notes, dealing
from kb import web
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid
from kb.web import Area, actor, done

area = Area("brief", __name__)


@area.get("/deals/<reference>/brief", needs=Permission.SEARCH)
def page(reference: str) -> str:
    """What to say on the next call; every link and copy of the page is on this deal."""
    deal = dealing.of_path(reference)
    g.deal = deal
    language = "zh" if str(get_locale()).startswith("zh") else "en"
    with reading_session() as db:
        found = brief.of_deal(db, actor(), deal, language)
    return render_template("content/brief.html", brief=found, deal=deal)


@area.post("/assets/<reference>/note", needs=Permission.USE)
def note(reference: str) -> AnyResponse:
    """One's own note on this text for the chosen deal; an empty one takes it away."""
    deal = dealing.chosen()
    if deal is None:
        raise Invalid(gettext("Choose a deal first: a note belongs to one."), code="deal")
    with writing() as db:
        deal_notes.put(db, actor(), deal, reference, request.form.get("text", ""))
    done(gettext("The note is kept: the deal's team sees it."))
    return redirect(web.safe_next(request.form.get("next") or dealing.link("content.asset", reference=reference)))
