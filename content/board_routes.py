"""The board, and one change of many assets."""

from flask import redirect, render_template, request
from flask_babel import get_locale, gettext, ngettext
from werkzeug.wrappers import Response as AnyResponse

from content import board, bulk, dealing, freshness
from content.board import Part
from content.bulk import Act, Change
from kb import web
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid
from kb.web import Area, actor, done

area = Area("content_board", __name__)

STALE, OLD = 10, 5


@area.get("/board", needs=Permission.EDIT, endpoint="page")
def board_page() -> str:
    mine = request.args.get("all") != "1"
    part = request.args.get("part", "")
    only = Part(part) if part in set(Part) else None
    with reading_session() as db:
        found = board.page(db, actor(), mine=mine, only=only)
        stale, stale_total = freshness.hot_but_stale(db, actor(), STALE, mine=mine) if only is None else ((), 0)
        old, old_total = freshness.archive_proposals(db, actor(), OLD, mine=mine) if only is None else ((), 0)
    return render_template(
        "content/board.html",
        board=found,
        only=only,
        stale=stale,
        stale_total=stale_total,
        old=old,
        old_total=old_total,
    )


@area.post("/bulk", needs=Permission.EDIT)
def preview() -> str:
    """What the change would do to each; nothing is written yet."""
    change, chosen = _asked()
    with reading_session() as db:
        found = bulk.preview(db, actor(), chosen, change, _language())
    return render_template("content/bulk.html", result=found, chosen=chosen)


@area.post("/bulk/apply", needs=Permission.EDIT)
def apply() -> AnyResponse:
    change, chosen = _asked()
    with writing() as db:
        found = bulk.apply(db, actor(), chosen, change, _language())
    done(ngettext("%(num)s asset changed.", "%(num)s assets changed.", found.changed))
    return redirect(web.safe_next(request.form.get("next") or dealing.link("content_board.page")))


def _asked() -> tuple[Change, list[str]]:
    word = request.form.get("act", "")
    if word not in set(Act):
        raise Invalid(gettext("Choose what is to be done with them."), code="act")
    tag = request.form.get("tag", "")
    tag_id = int(tag) if tag.isdecimal() and len(tag) < 10 else 0
    return Change(Act(word), tag_id, request.form.get("email", "")[:254]), request.form.getlist("asset")[
        : bulk.MOST + 1
    ]


def _language() -> str:
    locale = get_locale()
    return str(locale) if locale else "zh_Hans"
