"""Pages of the green channel: report, hold, cases with their clock, and recalls with their answers."""

from flask import redirect, render_template, request
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import dealing
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Conflict, Invalid, NotFound
from kb.web import Area, actor, done
from review import recalls, urgent
from review.recalls import Given

area = Area("urgent", __name__)


# --- report and hold ---


@area.get("/assets/<reference>/urgent", needs=Permission.USE)
def form(reference: str) -> str:
    return _form(reference, {}, "")


def _form(reference: str, given: dict[str, str], wrong: str) -> str:
    with reading_session() as db:
        page = urgent.to_report(db, actor(), dealing.chosen(), reference)
    return render_template("review/report.html", asset=page.asset, sections=page.sections, given=given, wrong=wrong)


@area.post("/assets/<reference>/urgent", needs=Permission.USE)
def report(reference: str) -> AnyResponse | tuple[str, int]:
    given = {name: request.form.get(name, "") for name in ("damage", "passages")}
    try:
        with writing() as db:
            case = urgent.report(
                db, actor(), dealing.chosen(), reference, given["damage"], given["passages"].splitlines()
            )
            public_id = case.public_id
    except Invalid as refused:
        return _form(reference, given, gettext(refused.text)), 422
    done(gettext("Reported. The clock runs: 48 hours until it is corrected and past users are told."))
    return redirect(dealing.link("urgent.case", public_id=public_id))


@area.post("/assets/<reference>/hold", needs=Permission.USE)
def hold(reference: str) -> AnyResponse:
    with writing() as db:
        urgent.hold(db, actor(), reference, request.form.get("reason", ""))
    done(gettext("On hold: no reader finds it from now on."))
    if actor().may(Permission.EDIT):
        return redirect(dealing.link("content_editor.edit", reference=reference))
    return redirect(dealing.link("search.home"))


@area.post("/assets/<reference>/hold/lift", needs=Permission.EDIT)
def lift(reference: str) -> AnyResponse:
    with writing() as db:
        urgent.lift(db, actor(), reference, request.form.get("reason", ""))
    done(gettext("Its readers have it back."))
    return redirect(dealing.link("content_editor.edit", reference=reference))


# --- cases ---


@area.get("/urgent", needs=Permission.USE)
def cases() -> str:
    with reading_session() as db:
        found = urgent.list_cases(db, actor())
        share = urgent.share(db, actor()) if actor().may(Permission.EDIT) else None
    return render_template("review/urgent.html", cases=found, share=share)


@area.get("/urgent/<public_id>", needs=Permission.USE)
def case(public_id: str) -> str:
    return _case(public_id)


def _case(public_id: str, wrong: str = "", reason: str = "") -> str:
    with reading_session() as db:
        found = urgent.get_case(db, actor(), public_id)
    return render_template("review/case.html", case=found, wrong=wrong, reason=reason)


@area.post("/urgent/<public_id>/dismiss", needs=Permission.EDIT)
def dismiss(public_id: str) -> AnyResponse | tuple[str, int]:
    reason = request.form.get("reason", "")
    try:
        with writing() as db:
            urgent.dismiss(db, actor(), public_id, reason)
    except (Invalid, Conflict) as refused:
        return _case(public_id, gettext(refused.text), reason), refused.status
    done(gettext("Dismissed: who reported it is told."))
    return redirect(dealing.link("urgent.case", public_id=public_id))


# --- recalls ---


@area.post("/assets/<reference>/recall", needs=Permission.PUBLISH)
def recall(reference: str) -> AnyResponse:
    with writing() as db:
        found = recalls.recall(
            db, actor(), reference, request.form.get("reason", ""), request.form.get("replacement", "")[:220]
        )
        public_id = found.public_id
    done(gettext("Withdrawn, and those who used it are told."))
    return redirect(dealing.link("urgent.one_recall", public_id=public_id))


@area.get("/recalls", needs=Permission.USE, endpoint="recalls")
def list_recalls() -> str:
    return _recalls()


def _recalls(wrong: str = "", line: str = "", given: dict[str, str] | None = None) -> str:
    with reading_session() as db:
        mine = recalls.list_mine(db, actor())
        people = recalls.list_mine(db, actor(), of_my_people=True)
        edited = recalls.list_recalls(db, actor()) if actor().may(Permission.EDIT) else ()
    return render_template(
        "review/recalls.html", mine=mine, people=people, recalls=edited, wrong=wrong, line=line, given=given or {}
    )


@area.get("/recalls/<public_id>", needs=Permission.EDIT)
def one_recall(public_id: str) -> str:
    with reading_session() as db:
        found = recalls.get(db, actor(), public_id)
    return render_template("review/recall.html", recall=found)


@area.post("/recalls/lines/<line>", needs=Permission.USE)
def answer(line: str) -> AnyResponse | tuple[str, int]:
    word, note = request.form.get("answer", ""), request.form.get("note", "")
    if word not in set(Given):
        raise NotFound()
    try:
        with writing() as db:
            recalls.answer(db, actor(), line, Given(word), note)
    except (Invalid, Conflict) as refused:
        return _recalls(gettext(refused.text), line, {"answer": word, "note": note}), refused.status
    done(gettext("Noted. Thank you."))
    return redirect(dealing.link("urgent.recalls"))
