"""Pages of the vocabularies: labels, synonyms, order, merge, retire, new versions of products."""

import re

from flask import redirect, render_template, request
from flask_babel import gettext, ngettext
from werkzeug.wrappers import Response as AnyResponse

from content import dealing, vocabulary
from content.kinds import Facet
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import NotFound
from kb.web import Area, actor, done

area = Area("vocabulary", __name__)


@area.get("/vocabularies", needs=Permission.CURATE)
def page() -> str:
    facet = _facet(request.args.get("facet") or Facet.PAIN_POINT.value)
    may_keep = facet is not Facet.STAGE or actor().may(Permission.ADMINISTER)
    with reading_session() as db:
        rows = vocabulary.list_rows(db, actor(), facet)
        undoable = vocabulary.list_undoable(db, actor())
        opened = vocabulary.opened_by(db, actor()) if facet is Facet.STAGE else {}
    return render_template(
        "content/vocabularies.html",
        facet=facet,
        facets=list(Facet),
        rows=[row for row in rows if not row.is_retired],
        retired=[row for row in rows if row.is_retired],
        undoable=undoable,
        opened=opened,
        may_keep=may_keep,
    )


def _facet(word: str) -> Facet:
    if word not in set(Facet):
        raise NotFound()
    return Facet(word)


@area.post("/vocabularies/<facet>", needs=Permission.CURATE)
def save(facet: str) -> AnyResponse:
    form = request.form
    synonyms = [word for word in re.split(r"[,，;；、\n]", form.get("synonyms", "")) if word.strip()]
    with writing() as db:
        vocabulary.save(
            db, actor(), _facet(facet), form.get("key", "")[:80], form.get("en", ""), form.get("zh", ""), synonyms
        )
    done(gettext("Saved. Search knows it within a second."))
    return _back(facet)


@area.post("/vocabularies/<facet>/<key>/move", needs=Permission.CURATE)
def move(facet: str, key: str) -> AnyResponse:
    with writing() as db:
        vocabulary.move(db, actor(), _facet(facet), key, request.form.get("before", ""))
    return _back(facet)


@area.get("/vocabularies/<facet>/<key>/change", needs=Permission.CURATE)
def preview(facet: str, key: str) -> str:
    """What merging or retiring will do, before it is done."""
    found = _facet(facet)
    into = request.args.get("into", "") or None
    with reading_session() as db:
        what = vocabulary.preview(db, actor(), found, key, into)
    return render_template("content/tag_change.html", facet=found, preview=what)


@area.post("/vocabularies/<facet>/<key>/change", needs=Permission.CURATE)
def change(facet: str, key: str) -> AnyResponse:
    found, into = _facet(facet), request.form.get("into", "")
    with writing() as db:
        if into:
            vocabulary.merge(db, actor(), found, key, into)
        else:
            vocabulary.retire(db, actor(), found, key)
    done(gettext("Merged. It can be undone for a day.") if into else gettext("Retired. It can be undone for a day."))
    return _back(facet)


@area.post("/vocabularies/undo", needs=Permission.CURATE)
def undo() -> AnyResponse:
    with writing() as db:
        vocabulary.undo(db, actor(), request.form.get("change", "")[:24])
    done(gettext("Undone: tags, assets and deals are as before."))
    return _back(request.form.get("facet", ""))


@area.post("/vocabularies/product/<key>/release", needs=Permission.CURATE)
def release(key: str) -> AnyResponse:
    with writing() as db:
        count = vocabulary.release(db, actor(), key, request.form.get("name", ""))
    done(
        ngettext(
            "%(num)s asset is unverified until somebody has looked at it.",
            "%(num)s assets are unverified until somebody has looked at them.",
            count,
        )
    )
    return _back(Facet.PRODUCT.value)


def _back(facet: str) -> AnyResponse:
    return redirect(dealing.link("vocabulary.page", facet=facet if facet in set(Facet) else None))
