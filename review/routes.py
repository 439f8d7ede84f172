"""Pages of the compliance rules, of the findings on a text, and of the registers."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from flask import Response, redirect, render_template, request
from flask_babel import get_locale, gettext
from werkzeug.wrappers import Response as AnyResponse

from content import dealing, filestore
from content.file_routes import sent
from content.filestore import Kept
from content.kinds import Handling
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid, KbError
from kb.web import Area, actor, done, settings, wants_fragment
from review import asking, checking, registers, rulebook
from review.compliance import Rule, Severity
from review.models import Evidence, ReferencePermission
from review.registers import EvidenceFields, EvidenceKind, Part, PermissionFields

area = Area("review", __name__)
OUTWARD: Final = (Handling.PUBLIC, Handling.NAMED, Handling.SPOKEN, Handling.INTERNAL)


def _language() -> str:
    return str(get_locale() or "en")


def _handling(word: str, default: Handling = Handling.PUBLIC) -> Handling:
    return Handling(word) if word in set(Handling) else default


def _day(name: str) -> date | None:
    """A day of a form; empty is none."""
    word = request.form.get(name, "").strip()
    if not word:
        return None
    try:
        return date.fromisoformat(word)
    except ValueError:
        raise Invalid(gettext("Give dates as year, month and day: 2027-03-31."), code=name) from None


def _listed(word: str) -> list[str]:
    return [part for part in re.split(r"[,，;；、\n]", word) if part.strip()]


# --- rules ---


@area.get("/compliance", needs=Permission.EDIT)
def rules() -> str:
    with reading_session() as db:
        pages = rulebook.list_rules(db)
        asked = asking.list_open(db, actor())
    return render_template(
        "review/rules.html", pages=pages, handlings=OUTWARD, text="", handling=Handling.PUBLIC, asked=asked
    )


@area.post("/compliance/check", needs=Permission.EDIT)
def check() -> str:
    """A text of nobody's, pasted to be looked at."""
    text, handling = request.form.get("text", ""), _handling(request.form.get("handling", ""))
    with reading_session() as db:
        pages = rulebook.list_rules(db)
        found = checking.check_text(db, text, handling) if text.strip() else []
    by_id = {page.rule.id: page for page in pages}
    told = [checking.Told(one, by_id[one.rule], None) for one in found]
    return render_template("review/rules.html", pages=pages, handlings=OUTWARD, text=text, handling=handling, told=told)


@area.get("/compliance/<rule>", needs=Permission.EDIT)
def rule_page(rule: str) -> str:
    with reading_session() as db:
        page = rulebook.get(db, rule)
    return _rule_page(page, page.rule)


@area.post("/compliance/<rule>/try", needs=Permission.EDIT)
def try_rule(rule: str) -> str:
    """What the rule, as it is filled in, would say of the library; nothing changes."""
    wanted = _filled(rule, request.form)
    with reading_session() as db:
        page = rulebook.get(db, rule)
        trial = checking.try_rule(db, actor(), wanted)
    return _rule_page(page, wanted, trial)


def _rule_page(page: rulebook.RulePage, wanted: Rule, trial: Any = None) -> str:
    return render_template(
        "review/rule.html", page=page, wanted=wanted, trial=trial, handlings=OUTWARD, severities=list(Severity)
    )


def _filled(rule: str, form: Mapping[str, str]) -> Rule:
    severity = {handling.value: form.get(f"severity-{handling.value}", "") for handling in Handling}
    return rulebook.read_rule(
        rule,
        is_on=form.get("on") == "1",
        severity={handling: word for handling, word in severity.items() if word},
        words=_listed(form.get("words", "")),
        excuses=_listed(form.get("excuses", "")),
    )


@area.post("/compliance/<rule>", needs=Permission.ADMINISTER)
def change_rule(rule: str) -> AnyResponse:
    with writing() as db:
        rulebook.change(db, actor(), _filled(rule, request.form))
    done(gettext("In force. Versions that are submitted from now on are checked by it."))
    return redirect(dealing.link("review.rule_page", rule=rule))


@area.post("/compliance/<rule>/reset", needs=Permission.ADMINISTER)
def reset_rule(rule: str) -> AnyResponse:
    with writing() as db:
        rulebook.reset(db, actor(), rule)
    done(gettext("The rule is as it ships again."))
    return redirect(dealing.link("review.rule_page", rule=rule))


# --- findings on an asset ---


@area.get("/assets/<reference>/findings", needs=Permission.EDIT)
def findings(reference: str) -> str:
    """What stands in the draft, or in the newest text."""
    with reading_session() as db:
        checked = checking.check_draft(db, actor(), reference)
        asked_at = asking.since(db, actor(), reference)
    return _findings(reference, checked, asked_at, is_whole=not wants_fragment())


@area.post("/assets/<reference>/findings", needs=Permission.EDIT)
def findings_of_typed(reference: str) -> str:
    """The same on what is being typed, before it is saved."""
    form = request.form
    with reading_session() as db:
        checked = checking.check_draft(
            db, actor(), reference, form.get("text", ""), form.get("title", ""), _handling(form.get("handling", ""))
        )
        asked_at = asking.since(db, actor(), reference)
    return _findings(reference, checked, asked_at, is_whole=False)


def _findings(reference: str, checked: checking.Checked, asked_at: datetime | None, *, is_whole: bool) -> str:
    name = "review/findings.html" if is_whole else "review/_findings.html"
    return render_template(
        name, checked=checked, reference=reference, may_waive=checking.may_waive(actor()), asked_at=asked_at
    )


@area.post("/assets/<reference>/ask-legal", needs=Permission.EDIT)
def ask_legal(reference: str) -> AnyResponse:
    with writing() as db:
        asking.ask(db, actor(), reference, request.form.get("note", ""))
    done(gettext("Legal is asked. They see this draft until they have answered."))
    return redirect(dealing.link("content_editor.edit", reference=reference, _anchor="findings"))


@area.post("/assets/<reference>/answered", needs=Permission.PROVE)
def answered(reference: str) -> AnyResponse:
    with writing() as db:
        asking.answer(db, actor(), reference)
    done(gettext("Answered."))
    return redirect(dealing.link("review.rules"))


@area.post("/assets/<reference>/waivers", needs=Permission.PROVE)
def waive(reference: str) -> AnyResponse:
    form = request.form
    with writing() as db:
        checking.waive(
            db,
            actor(),
            reference,
            form.get("rule", ""),
            form.get("passage", ""),
            form.get("reason", ""),
            form.get("evidence", ""),
        )
    done(gettext("Waived, with your name and reason. It holds while the passage stays as it is."))
    return redirect(dealing.link("content_editor.edit", reference=reference, _anchor="findings"))


@area.post("/assets/<reference>/waivers/<waiver>/revoke", needs=Permission.PROVE)
def revoke(reference: str, waiver: str) -> AnyResponse:
    with writing() as db:
        checking.revoke(db, actor(), reference, waiver)
    done(gettext("The finding counts again."))
    return redirect(dealing.link("content_editor.edit", reference=reference, _anchor="findings"))


# --- the registers ---


def _upload() -> Kept | None:
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        return None
    return filestore.keep(settings(), upload.stream, upload.filename)


@area.get("/evidence", needs=Permission.EDIT)
def evidence_list() -> str:
    return _evidence_list()


def _evidence_list(wrong: Sequence[tuple[str, str]] = (), given: Mapping[str, str] | None = None) -> str:
    words = request.args.get("q", "")[:200]
    with reading_session() as db:
        rows = registers.list_evidence(db, actor(), words)
    return render_template(
        "review/evidence.html", rows=rows, words=words, kinds=registers.KIND_NAMES, wrong=wrong, given=given or {}
    )


def _evidence_fields() -> EvidenceFields:
    form = request.form
    kind, number = form.get("kind", ""), form.get("number", "").strip().upper().removeprefix("E-")
    if kind not in set(EvidenceKind):
        raise Invalid(gettext("Choose what kind of evidence it is."), code="kind")
    if number and not (number.isdecimal() and len(number) < 10):
        raise Invalid(gettext("A number such as 7 or E-7, or nothing for the next one."), code="number")
    return EvidenceFields(
        EvidenceKind(kind),
        form.get("statement", ""),
        form.get("issuer", ""),
        _day("dated_on"),
        form.get("scope", ""),
        _day("valid_until"),
        int(number or 0),
    )


@area.post("/evidence", needs=Permission.PROVE)
def add_evidence() -> AnyResponse | tuple[str, int]:
    try:
        fields, kept = _evidence_fields(), _upload()
        with writing() as db:
            record = registers.put_evidence(db, actor(), "", fields, kept)
            key = registers.key_of(record.number)
    except KbError as refused:
        return _evidence_list([(f"new-{refused.code}", gettext(refused.text))], request.form), refused.status
    done(gettext("On file as %(key)s. Cite it as [evidence:%(key)s].", key=key))
    return redirect(dealing.link("review.evidence_page", key=key))


@area.get("/evidence/<key>", needs=Permission.EDIT)
def evidence_page(key: str) -> str:
    return _evidence_page(key)


def _evidence_page(key: str, wrong: Sequence[tuple[str, str]] = (), given: Mapping[str, str] | None = None) -> str:
    with reading_session() as db:
        row = registers.get_row(db, actor(), key)
        citing = registers.list_citing(db, actor(), row.key)
    return render_template(
        "review/evidence_page.html",
        row=row,
        citing=citing,
        kinds=registers.KIND_NAMES,
        wrong=wrong,
        given=given or {},
    )


@area.post("/evidence/<key>", needs=Permission.PROVE)
def change_evidence(key: str) -> AnyResponse | tuple[str, int]:
    try:
        fields, kept = _evidence_fields(), _upload()
        with writing() as db:
            registers.put_evidence(db, actor(), key, fields, kept)
    except Invalid as refused:
        told = [(f"change-{refused.code}", gettext(refused.text))]
        return _evidence_page(key, told, request.form), refused.status
    done(gettext("Saved. What rests on it was looked at again."))
    return redirect(dealing.link("review.evidence_page", key=key))


@area.post("/evidence/<key>/withdraw", needs=Permission.PROVE)
def withdraw_evidence(key: str) -> AnyResponse:
    with writing() as db:
        registers.withdraw_evidence(db, actor(), key, request.form.get("reason", ""))
    done(gettext("Withdrawn. What cites it is unverified from now on."))
    return redirect(dealing.link("review.evidence_page", key=key))


@area.get("/evidence/<key>/file", needs=Permission.EDIT)
def evidence_file(key: str) -> Response:
    with reading_session() as db:
        served = registers.get_file(db, settings(), actor(), Evidence, key)
    return sent(served)


@area.get("/permissions", needs=Permission.EDIT)
def permission_list() -> str:
    return _permission_list()


def _permission_list(wrong: Sequence[tuple[str, str]] = (), given: Any = None, given_for: str = "") -> str:
    words = request.args.get("q", "")[:200]
    with reading_session() as db:
        rows = registers.list_permissions(db, actor(), words)
    return render_template(
        "review/permissions.html",
        rows=rows,
        words=words,
        parts=registers.PART_NAMES,
        handlings=OUTWARD[:3],
        wrong=wrong,
        given=given or {},
        given_for=given_for,
        ticked=given.getlist("covers") if given is not None else ["name"],
    )


def _permission_fields() -> PermissionFields:
    form = request.form
    handling = form.get("handling", "")
    if handling not in set(Handling):
        raise Invalid(gettext("Choose how far it may go: spoken, named or public."), code="handling")
    covers = frozenset(Part(part) for part in form.getlist("covers") if part in set(Part))
    return PermissionFields(
        form.get("customer", ""),
        Handling(handling),
        tuple(_listed(form.get("aliases", ""))),
        covers,
        _day("valid_until"),
        form.get("note", ""),
    )


@area.post("/permissions", needs=Permission.PROVE)
def add_permission() -> AnyResponse | tuple[str, int]:
    return _put_permission("")


@area.post("/permissions/<permission>", needs=Permission.PROVE)
def change_permission(permission: str) -> AnyResponse | tuple[str, int]:
    return _put_permission(permission)


def _put_permission(public_id: str) -> AnyResponse | tuple[str, int]:
    try:
        fields, kept = _permission_fields(), _upload()
        with writing() as db:
            registers.put_permission(db, actor(), public_id, fields, kept)
    except Invalid as refused:
        told = [(f"{public_id or 'new'}-{refused.code}", gettext(refused.text))]
        return _permission_list(told, request.form, public_id), refused.status
    done(gettext("Saved. The compliance check knows it at once."))
    return redirect(dealing.link("review.permission_list"))


@area.post("/permissions/<permission>/withdraw", needs=Permission.PROVE)
def withdraw_permission(permission: str) -> AnyResponse:
    with writing() as db:
        registers.withdraw_permission(db, actor(), permission, request.form.get("reason", ""))
    done(gettext("Withdrawn. Texts that name this customer are unverified from now on."))
    return redirect(dealing.link("review.permission_list"))


@area.get("/permissions/<permission>/file", needs=Permission.EDIT)
def permission_file(permission: str) -> Response:
    with reading_session() as db:
        served = registers.get_file(db, settings(), actor(), ReferencePermission, permission)
    return sent(served)
