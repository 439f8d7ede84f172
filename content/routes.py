"""Pages of the library: the asset, the editors' list, the deal picker, the parts page."""

import secrets

from flask import Response, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext, ngettext
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from content import (
    access_requests,
    activity,
    deal_notes,
    dealing,
    editing,
    files,
    library,
    publishing,
    reading,
    service,
    stories,
    usage,
    verifying,
)
from content.api import EventBody
from content.deals import DealContext
from content.kinds import UseKind, VersionState
from content.reading import StageLocked
from kb import clock, web
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid
from kb.web import Area, actor, done, safe_next

PAGE = 50

area = Area("content", __name__)


@area.get("/assets/<reference>", needs=Permission.SEARCH)
def asset(reference: str) -> str | tuple[str, int]:
    deal = dealing.chosen()
    try:
        with reading_session() as db:
            page = reading.get_page(db, actor(), deal, reference)
            beside = reading.get_beside(db, actor(), deal, page, request.args.get("beside", ""))
            judgement = usage.own_judgement(db, actor(), page.asset)
            editable = actor().may(Permission.EDIT) and library.is_editable(db, actor(), page.asset.id)
            may_verify = verifying.may_verify(db, actor(), page.asset.id)
            credit = stories.credit(db, page.asset.id)
            attached = files.list_lines(db, page.asset.version_id)
            opinion = usage.opinion(db, page.asset.id) if editable else None
            notes = deal_notes.of_assets(db, actor(), deal, [page.asset.id]) if deal is not None else {}
            use = activity.uses(db, clock.now() - activity.USED_WITHIN, [page.asset.id]).get(page.asset.id)
    except StageLocked as locked:
        with writing() as db:
            access_requests.note_try(db, actor(), locked.teaser.id)
        return render_template("errors/locked.html", teaser=locked.teaser), 403
    search_id = request.args.get("search", "")[:24]
    _note_view(page.asset.public_id, search_id)
    return render_template(
        "content/asset.html",
        page=page,
        beside=beside,
        opinion=opinion,
        use=use,
        may_verify=may_verify,
        judgement=judgement,
        search_id=search_id,
        is_editable=editable,
        files=attached,
        credit=credit,
        notes=notes.get(page.asset.id, ()),
        linked_version=_linked_version(page.asset.version_number),
    )


def _linked_version(current: int) -> str:
    """The number of another version that a link named, for saying that this one counts."""
    number = request.args.get("version", "")
    return number if number.isdecimal() and len(number) < 10 and int(number) != current else ""


def _note_view(reference: str, search_id: str) -> None:
    """A view is a write of its own, after the reading; a person who cannot be counted still reads."""
    event = usage.NewEvent(secrets.token_urlsafe(12), reference, UseKind.VIEW, surface="asset", search_id=search_id)
    with writing() as db:
        usage.record(db, actor(), dealing.chosen(), event)


@area.get("/assets/<reference>/source", needs=Permission.SEARCH)
def source(reference: str) -> Response:
    """The Markdown as published, as a file: what to read when a text cannot be displayed."""
    with reading_session() as db:
        found, text = reading.get_text(db, actor(), dealing.chosen(), reference)
    response = Response(text, mimetype="text/plain")
    response.headers["Content-Disposition"] = f'attachment; filename="{found.public_id}.md"'
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


@area.post("/assets/<reference>/events", needs=Permission.USE)
def use(reference: str) -> AnyResponse:
    """One use event, from the page's script as JSON or from a form without script."""
    if request.is_json:
        event, deal = _from_script(reference)
    else:
        event, deal = _from_form(reference), dealing.chosen()
    with writing() as db:
        recorded = usage.record(db, actor(), deal, event)
    if request.is_json:
        return jsonify({"recorded": recorded, "deal": deal.external_id if deal and deal.is_open else None})
    done(gettext("Thank you: the owners see it."))
    return redirect(safe_next(request.form.get("next")))


def _from_script(reference: str) -> tuple[usage.NewEvent, DealContext | None]:
    try:
        body = EventBody.model_validate(request.get_json(silent=True) or {})
    except ValidationError:
        raise Invalid(gettext("Some fields are missing or cannot be read."), code="invalid") from None
    event = usage.NewEvent(
        body.event_id, reference, UseKind(body.kind), body.surface, body.search, body.section, body.remark
    )
    return event, dealing.named(body.deal)


def _from_form(reference: str) -> usage.NewEvent:
    kind = request.form.get("kind", "")
    if kind not in {UseKind.HELPFUL, UseKind.NOT_HELPFUL}:
        raise Invalid(gettext("Some fields are missing or cannot be read."), code="invalid")
    event_id = request.form.get("event_id", "")[:80] or secrets.token_urlsafe(12)
    return usage.NewEvent(event_id, reference, UseKind(kind), surface="asset", remark=request.form.get("remark", ""))


@area.post("/assets/<reference>/verify", needs=Permission.USE)
def verify(reference: str) -> AnyResponse:
    try:
        with writing() as db:
            found = verifying.verify(db, actor(), dealing.chosen(), reference)
    except verifying.Blocked as blocked:
        ended = gettext(", ").join(str(one) for one in blocked.abouts)
        told = gettext(
            "It rests on %(what)s, which no longer holds. Renew that record, or change the text.", what=ended
        )
        raise verifying.Blocked(told) from None
    done(gettext("Verified: next due %(day)s.", day=found.verify_due_at.date().isoformat()))
    return redirect(safe_next(request.form.get("next")))


@area.post("/assets/<reference>/translation-checked", needs=Permission.USE)
def confirm_translation(reference: str) -> AnyResponse:
    with writing() as db:
        verifying.confirm_translation(db, actor(), dealing.chosen(), reference)
    done(gettext("Noted: the translation still matches."))
    return redirect(safe_next(request.form.get("next")))


@area.post("/assets/<reference>/withdraw", needs=Permission.PUBLISH)
def withdraw(reference: str) -> AnyResponse:
    with writing() as db:
        found = service.get_editable(db, actor(), reference)
        reason, keep = request.form.get("reason", ""), request.form.get("keep_translations", "")
        with_it = publishing.withdraw(db, actor(), found, reason, keep)
    done(_withdrawn(len(with_it)))
    return redirect(url_for("content.library_page"))


def _withdrawn(translations: int) -> str:
    if not translations:
        return str(gettext("Withdrawn: no reader finds it any more."))
    return str(
        ngettext(
            "Withdrawn with %(num)s translation: no reader finds them any more.",
            "Withdrawn with %(num)s translations: no reader finds them any more.",
            translations,
        )
    )


@area.get("/library", needs=Permission.EDIT, endpoint="library_page")
def library_page() -> str:
    words = request.args.get("words", "")[:200]
    state = request.args.get("state", "")
    archived = request.args.get("archived") == "1"
    offset = max(0, request.args.get("offset", 0, type=int))
    chosen = VersionState(state) if state in set(VersionState) else None
    with reading_session() as db:
        shown = library.Filter(words=words, state=chosen, archived=archived)
        found = library.list_rows(db, actor(), shown, limit=PAGE, offset=min(offset, 1_000_000))
        offered = editing.choices(db)
    kept = {"words": words, "state": chosen.value if chosen else "", "archived": "1" if archived else None}
    links = {
        "previous": dealing.link("content.library_page", **kept, offset=max(0, offset - PAGE)) if offset else None,
        "next": dealing.link("content.library_page", **kept, offset=offset + PAGE)
        if found.total > offset + PAGE
        else None,
    }
    return render_template(
        "content/library.html",
        rows=found.rows,
        total=found.total,
        words=words,
        state=chosen,
        states=list(VersionState),
        archived=archived,
        labels=editing.labels_by_facet(offered.words),
        choices=offered,
        page_links=links,
    )


@area.get("/deals/pick", needs=Permission.SEARCH)
def pick_deal() -> str:
    """The actor's open deals; choosing one goes back to the page with the deal in its address."""
    words = request.args.get("words", "")[:200]
    onward = safe_next(request.args.get("next"))
    with reading_session() as db:
        found = dealing.list_open(db, actor(), words)
    choices = [(deal, dealing.with_deal(onward, deal.external_id)) for deal in found]
    template = "content/_deals.html" if web.wants_fragment() else "content/pick_deal.html"
    return render_template(
        template, choices=choices, words=words, next=onward, no_deal_url=dealing.with_deal(onward, ""), deals=found
    )


@area.get("/look", needs=Permission.ADMINISTER)
def look() -> str:
    """Every part in every state; pages are built from these."""
    return render_template("content/look.html", now=clock.now())
