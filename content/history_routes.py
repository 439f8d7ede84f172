"""Pages of an asset's history: its versions, what changed, a translation beside its source."""

import re

from flask import redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import dealing, history, library, reading, submission
from content.history import View
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import NotFound
from kb.web import Area, actor, done

area = Area("content_versions", __name__)


@area.get("/assets/<reference>/versions", needs=Permission.EDIT)
def versions(reference: str) -> str:
    offset = min(max(0, request.args.get("offset", 0, type=int)), 1_000_000)
    with reading_session() as db:
        found = history.list_versions(db, actor(), reference, offset)
    before, after = offset - history.PAGE, offset + history.PAGE
    links = {
        "previous": dealing.link("content_versions.versions", reference=reference, offset=max(0, before))
        if offset
        else None,
        "next": dealing.link("content_versions.versions", reference=reference, offset=after)
        if found.total > after
        else None,
    }
    return render_template("content/versions.html", history=found, page_links=links)


@area.get("/assets/<reference>/history/<number>", needs=Permission.EDIT)
def version(reference: str, number: str) -> str:
    """One version as it was, for editors; it says when it is not the one that counts."""
    with reading_session() as db:
        found = history.get_version(db, actor(), reference, _number(number))
    return render_template("content/version.html", found=found)


@area.get("/assets/<reference>/versions/<number>", needs=Permission.SEARCH)
def link(reference: str, number: str) -> AnyResponse:
    """A link to a version leads readers to the one that counts, and tells them so; editors to the version meant."""
    wanted = _number(number)
    with reading_session() as db:
        asset = reading.get_visible(db, actor(), dealing.chosen(), reference)
        is_editable = actor().may(Permission.EDIT) and library.is_editable(db, actor(), asset.id)
    if wanted == asset.version_number:
        return redirect(dealing.link("content.asset", reference=asset.public_id))
    if is_editable:
        return redirect(dealing.link("content_versions.version", reference=asset.public_id, number=wanted))
    return redirect(dealing.link("content.asset", reference=asset.public_id, version=wanted))


@area.get("/assets/<reference>/compare", needs=Permission.EDIT)
def compare(reference: str) -> str:
    """Two versions side by side: as they read, or their source."""
    view = View.RENDERED if request.args.get("view") == View.RENDERED else View.SOURCE
    before, after = (_number(request.args[name]) if request.args.get(name) else None for name in ("before", "after"))
    with reading_session() as db:
        found = history.get_changes(db, actor(), reference, before, after, view)
    return render_template("content/compare.html", found=found)


@area.get("/assets/<reference>/source-changes", needs=Permission.EDIT)
def source(reference: str) -> str:
    with reading_session() as db:
        found = history.get_source(db, actor(), reference)
    return render_template("content/source.html", found=found)


@area.post("/assets/<reference>/restore", needs=Permission.EDIT)
def restore(reference: str) -> AnyResponse:
    number = _number(request.form.get("version", ""))
    with writing() as db:
        draft = submission.restore(db, actor(), reference, number)
    done(gettext("Version %(n)s is the new draft. What was the draft stands in the history.", n=number))
    return redirect(url_for("content_editor.edit", reference=draft.asset_id))


def _number(word: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", word):
        raise NotFound()
    return int(word)
