"""Pages of those who write: the editor, new assets, and every step from a draft to its readers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import access_changes, dealing, drafting, editing, files, planning, section_templates, service, submission
from content.access_changes import Access
from content.drafting import StaleDraft
from content.editing import Choices, Facts
from content.kinds import AssetType, Handling
from content.service import Wording
from kb import web
from kb.access import Permission, Tier
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid, TooLarge
from kb.web import Area, actor, done, settings

area = Area("content_editor", __name__)

LANGUAGES = ("zh", "en")


@area.get("/assets/new", needs=Permission.EDIT)
def new() -> str:
    """What to write: its type, its language, its title; or a document to begin from."""
    return _new(
        _type(request.args.get("type", "")), request.args.get("title", "")[:300], plan=request.args.get("plan", "")[:24]
    )


def _new(chosen: AssetType | None, title: str, **more: Any) -> str:
    return render_template(
        "content/new.html", types=list(AssetType), chosen=chosen, title=title, languages=LANGUAGES, **more
    )


@area.post("/assets/new", needs=Permission.EDIT)
def begin() -> AnyResponse | tuple[str, int]:
    asset_type = _type(request.form.get("type", "")) or AssetType.TALK_TRACK
    language = request.form.get("language", "")
    language = language if language in LANGUAGES else "zh"
    text = section_templates.text(asset_type, language)
    rendered = service.render(text)
    title = request.form.get("title", "")
    try:
        with writing() as db:
            draft = editing.begin(db, actor(), asset_type, language, title, rendered, text)
            if request.form.get("plan"):
                planning.begun(db, actor(), request.form["plan"][:24], draft.asset_id)
    except Invalid as refused:
        return _new(asset_type, title, wrong_title=gettext(refused.text)), 422
    return redirect(dealing.link("content_editor.edit", reference=draft.asset_id))


def _type(word: str) -> AssetType | None:
    return AssetType(word) if word in set(AssetType) else None


@area.get("/assets/<reference>/edit", needs=Permission.EDIT)
def edit(reference: str) -> str:
    with reading_session() as db:
        page = editing.get_page(db, actor(), reference)
        offered = editing.choices(db)
        attached = files.list_of_newest(db, actor(), reference)
    return _editor(page, offered, attached)


def _editor(page: editing.EditorPage, offered: Choices, attached: Sequence[files.FileLine], **more: Any) -> str:
    return render_template(
        "content/editor.html",
        page=page,
        choices=offered,
        labels=editing.labels_by_facet(offered.words),
        types=list(AssetType),
        handlings=list(Handling),
        tiers=[tier for tier in Tier if tier.rank <= actor().clearance.rank],
        languages=LANGUAGES,
        files=attached,
        **more,
    )


@area.post("/assets/<reference>/edit", needs=Permission.EDIT)
def save(reference: str) -> AnyResponse | tuple[str, int]:
    """Save the draft on the revision it started from; where somebody else saved, both texts and a merge are shown."""
    form = request.form
    wording = _wording(form)
    rendered = service.render(wording.text)
    try:
        with writing() as db:
            drafting.put_draft(db, actor(), reference, _number(form.get("revision", "")), wording, rendered)
    except StaleDraft:
        return _stale(reference, wording, form.get("base", "").replace("\r\n", "\n"))
    except (Invalid, TooLarge) as refused:
        return _refused(reference, wording, gettext(refused.text)), refused.status
    done(gettext("Saved."))
    return redirect(dealing.link("content_editor.edit", reference=reference))


def _refused(reference: str, wording: Wording, text: str) -> str:
    """The editor again, with what was typed and what is wrong with it."""
    with reading_session() as db:
        page = editing.get_page(db, actor(), reference)
        offered = editing.choices(db)
        attached = files.list_of_newest(db, actor(), reference)
    typed = replace(
        page.draft,
        title=wording.title,
        text=wording.text,
        language=wording.language,
        handling=wording.handling,
        nda=wording.nda,
        ai_generated=wording.ai_generated,
    )
    return _editor(
        replace(page, draft=typed), offered, attached, wrong=[("title" if not wording.title else "text", text)]
    )


def _stale(reference: str, mine: Wording, base: str) -> tuple[str, int]:
    """What the other saved, what one wrote oneself, and both together, to be saved on the newer revision."""
    with reading_session() as db:
        theirs = drafting.get_draft(db, actor(), reference)
    found = drafting.merge(theirs, mine, base)
    return render_template("content/stale.html", theirs=theirs, mine=mine, found=found, reference=reference), 412


def _wording(form: Mapping[str, str]) -> Wording:
    handling = form.get("handling", "")
    if handling not in set(Handling):
        raise Invalid(gettext("Choose what may leave the company."), code="handling")
    language = form.get("language", "")
    return Wording(
        form.get("title", "").strip(),
        form.get("text", "").replace("\r\n", "\n"),
        language if drafting.is_language(language) else "zh",
        Handling(handling),
        form.get("nda") == "1" and handling == Handling.NAMED.value,
        form.get("ai_generated") == "1",
    )


def _number(word: str) -> int:
    return int(word) if word.isdecimal() and len(word) < 10 else -1


@area.post("/preview", needs=Permission.EDIT)
def preview() -> str:
    """The text as readers will see it, by the same renderer; nothing is kept."""
    text = request.form.get("text", "").replace("\r\n", "\n")
    rendered = service.render(text) if text.strip() else None
    return render_template("content/_preview.html", rendered=rendered, language=request.form.get("language", "zh"))


@area.post("/assets/<reference>/facts", needs=Permission.EDIT)
def facts(reference: str) -> AnyResponse:
    form = request.form
    wanted = Facts(
        type=_type(form.get("type", "")) or AssetType.OTHER,
        tag_ids=frozenset(int(word) for word in form.getlist("tag") if word.isdecimal() and len(word) < 10),
        owner_emails=frozenset(word for word in form.getlist("owner") if word.strip()),
        source=form.get("source", "")[:220],
    )
    with writing() as db:
        changed = editing.set_facts(db, actor(), reference, wanted)
    done(gettext("Saved. It takes effect at once.") if changed else gettext("Nothing was changed."))
    return _back(reference)


@area.post("/assets/<reference>/translation-of", needs=Permission.EDIT)
def tie(reference: str) -> AnyResponse:
    with writing() as db:
        editing.tie(db, actor(), reference, request.form.get("source", "")[:220])
    done(gettext("Tied: readers find both languages together."))
    return _back(reference)


@area.post("/assets/<reference>/access", needs=Permission.EDIT)
def access(reference: str) -> AnyResponse:
    """Narrower at once; what lets more people read waits."""
    wanted = _access(request.form)
    try:
        with writing() as db:
            asset = service.get_editable(db, actor(), reference)
            found = access_changes.change(db, actor(), asset, wanted)
    except submission.Unreviewable as stopped:
        flash(gettext(stopped.text), "stop")
        return redirect(dealing.link("content_editor.edit", reference=reference, _anchor="access"))
    if found.waiting is not None:
        done(gettext("What narrows holds now. What lets more people read waits until it is cleared."))
    else:
        done(gettext("Saved. It takes effect at once."))
    return _back(reference)


def _access(form: Any) -> Access:
    tier = form.get("tier", "")
    stage = form.get("unlock_stage", "")
    return Access(
        Tier(tier) if tier in set(Tier) else Tier.INTERNAL,
        frozenset(int(word) for word in form.getlist("team") if word.isdecimal() and len(word) < 10),
        int(stage) if stage.isdecimal() and len(stage) < 10 else None,
        form.get("teaser") == "1",
        _moment(form.get("expires_on", ""), form.get("expires_at", "") or "23:59"),
    )


def _moment(day: str, hour: str) -> datetime | None:
    """A day and an hour in the company's time zone; None where no day is given."""
    if not day.strip():
        return None
    try:
        at = datetime.fromisoformat(f"{day.strip()}T{hour.strip() or '00:00'}")
        return at.replace(tzinfo=settings().zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(gettext("Give the day as 2027-03-31 and the hour as 09:00."), code="moment") from None


@area.post("/assets/<reference>/access/keep", needs=Permission.EDIT)
def keep_access(reference: str) -> AnyResponse:
    with writing() as db:
        access_changes.take_back(db, actor(), service.get_editable(db, actor(), reference))
    done(gettext("The access stays as it is."))
    return _back(reference)


@area.post("/assets/<reference>/submit", needs=Permission.EDIT)
def submit(reference: str) -> AnyResponse:
    revision = request.form.get("revision", "")
    try:
        with writing() as db:
            publishes = request.form.get("publish") == "1" and actor().may(Permission.PUBLISH)
            urgent = request.form.get("urgent") == "1" and actor().may(Permission.PUBLISH)
            known = _number(revision) if revision else None
            submission.submit(db, actor(), reference, known, publishes=publishes, urgent=urgent)
    except (submission.Incomplete, submission.Stopped, submission.Unreviewable) as stopped:
        flash(gettext(stopped.text), "stop")
        place = "facts" if isinstance(stopped, submission.Incomplete) else "findings"
        return redirect(dealing.link("content_editor.edit", reference=reference, _anchor=place))
    done(gettext("Submitted. Readers keep the present version meanwhile."))
    return _back(reference)


@area.post("/assets/<reference>/take-back", needs=Permission.EDIT)
def take_back(reference: str) -> AnyResponse:
    with writing() as db:
        submission.take_back(db, actor(), reference)
    done(gettext("Taken back. Go on writing from this text."))
    return _back(reference)


@area.post("/assets/<reference>/publish", needs=Permission.PUBLISH)
def publish(reference: str) -> AnyResponse:
    """Now, or at a day and hour of the company's time zone."""
    is_later = request.form.get("when") == "later"
    at = _moment(request.form.get("day", ""), request.form.get("hour", "")) if is_later else None
    if is_later and at is None:
        raise Invalid(gettext("Choose the day on which it is published."), code="moment")
    with writing() as db:
        submission.publish(db, actor(), reference, at)
    done(gettext("Scheduled. Readers keep the present version until then.") if at else gettext("Published."))
    return _back(reference)


@area.post("/assets/<reference>/unschedule", needs=Permission.PUBLISH)
def unschedule(reference: str) -> AnyResponse:
    with writing() as db:
        submission.unschedule(db, actor(), reference)
    done(gettext("No longer scheduled."))
    return _back(reference)


@area.post("/assets/<reference>/archive", needs=Permission.PUBLISH)
def archive(reference: str) -> AnyResponse:
    with writing() as db:
        submission.archive(db, actor(), reference, request.form.get("reason", ""))
    done(gettext("Archived: off the lists, kept with all its versions."))
    return redirect(dealing.link("content.library_page"))


@area.post("/assets/<reference>/revive", needs=Permission.PUBLISH)
def revive(reference: str) -> AnyResponse:
    with writing() as db:
        submission.revive(db, actor(), reference)
    done(gettext("Back on the lists. Publish a version to bring it to readers."))
    return _back(reference)


def _back(reference: str) -> AnyResponse:
    return redirect(web.safe_next(request.form.get("next")) if request.form.get("next") else url_for("content_editor.edit", reference=reference))  # fmt: skip
