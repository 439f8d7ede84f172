"""What people search and do not find, with whose it is and how far it has come."""

from flask import redirect, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import dealing
from kb.access import Permission
from kb.db import reading, writing
from kb.web import Area, actor, done
from search import gaps
from search.gaps import GapState

area = Area("gaps", __name__)


@area.get("/gaps", needs=Permission.MEASURE)
def page() -> str:
    """Gaps of one state, those with the most open money first."""
    wanted = request.args.get("state", GapState.OPEN.value)
    state = GapState(wanted) if wanted in list(GapState) else GapState.OPEN
    with reading() as session:
        lines = gaps.list_gaps(session, actor(), state)
        counts = gaps.count_open(session, actor())
    return render_template("search/gaps.html", lines=lines, counts=counts, state=state, states=list(GapState))


@area.get("/gaps/<reference>", needs=Permission.MEASURE)
def one(reference: str) -> str:
    """One gap: how it was asked, by how many, and what says it already."""
    with reading() as session:
        line = gaps.get_gap(session, actor(), reference)
    return render_template("search/gap.html", line=line)


@area.post("/gaps/<reference>", needs=Permission.MEASURE)
def move(reference: str) -> AnyResponse:
    """Take it, say what answers it, dismiss it with a reason, or open it again."""
    wanted = request.form.get("state", "")
    with writing() as session:
        gaps.move(session, actor(), reference, wanted, request.form.get("asset", ""), request.form.get("reason", ""))
    done(gettext("Noted"))
    return redirect(dealing.link("gaps.one", reference=reference))
