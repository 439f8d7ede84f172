"""The page beside a call: paste or stream what is said, and read what to answer."""

from flask import current_app, render_template, request
from flask_babel import get_locale

from content import dealing
from kb.access import Permission
from kb.db import reading
from kb.web import Area, actor, wants_fragment
from search import assist
from search.assist import Answer
from search.service import Finder

area = Area("assist", __name__)


def answer_to(transcript: str, deal: str | None = None) -> Answer:
    """What to say, for this request's reader on the deal of the address or on the one named."""
    finder: Finder = current_app.extensions["search_finder"]
    locale = get_locale()
    chosen = dealing.chosen() if deal is None else dealing.named(deal)
    with reading() as session:
        return assist.assist(session, finder, actor(), chosen, transcript, locale.language if locale else "zh")


@area.get("/assist", needs=Permission.SEARCH)
def page() -> str:
    """An empty page; what is said is never kept in an address."""
    return render_template("search/assist.html", answer=None, said="")


@area.post("/assist", needs=Permission.SEARCH)
def answer() -> str:
    """The passages for what was said, as the part that the page's script asks for, or whole without a script."""
    said = request.form.get("said", "")[-assist.LONGEST :]
    found = answer_to(said)
    template = "search/_assist.html" if wants_fragment() else "search/assist.html"
    return render_template(template, answer=found, said=said)
