"""Pages of the review: the queue, one round with its verdicts and comments, and the policy."""

from collections.abc import Mapping
from datetime import date

from flask import flash, redirect, render_template, request
from flask_babel import get_locale, gettext, ngettext
from werkzeug.wrappers import Response as AnyResponse

from content import dealing, service
from content.kinds import AssetType, Handling
from kb.access import Party, Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Conflict, Forbidden, Invalid, NotFound
from kb.web import Area, actor, done
from review import absence, audit_sheet, calendars, checklist, figures, inbox, policy, profiles, remarks, rounds
from review.machine import Answer, StepState
from review.policy import Duty, Line
from review.profiles import Profile

area = Area("rounds", __name__)


def _party(word: str) -> Party | None:
    return Party(word) if word in set(Party) else None


def _wanted() -> Party:
    party = _party(request.form.get("party", ""))
    if party is None:
        raise NotFound()
    return party


@area.get("/reviews", needs=Permission.EDIT)
def queue() -> str:
    party = _party(request.args.get("party", ""))
    word = request.args.get("state", "open")
    state = StepState(word) if word in set(StepState) else StepState.OPEN
    offset = min(max(0, request.args.get("offset", 0, type=int)), 1_000_000)
    mine = request.args.get("mine") == "1" and state is StepState.OPEN
    with reading_session() as db:
        found = inbox.queue(db, actor(), party, state, inbox.PAGE, offset, mine=mine)
    kept = {
        "party": party.value if party else None,
        "state": None if state is StepState.OPEN else state.value,
        "mine": 1 if mine else None,
    }
    links = {
        "previous": dealing.link("rounds.queue", offset=max(0, offset - inbox.PAGE), **kept) if offset else "",
        "next": dealing.link("rounds.queue", offset=offset + inbox.PAGE, **kept)
        if offset + inbox.PAGE < found.total
        else "",
    }
    parties = inbox.parties_of(actor())
    return render_template(
        "review/queue.html", queue=found, party=party, state=state, links=links, parties=parties, mine=mine
    )


@area.get("/reviews/next", needs=Permission.REVIEW)
def following() -> AnyResponse:
    """The item that this person would look at next, else the empty queue."""
    with reading_session() as db:
        found = inbox.next_after(db, actor())
    return redirect(dealing.link("rounds.page", public_id=found[0]) if found else dealing.link("rounds.queue"))


@area.get("/reviews/figures", needs=Permission.EDIT)
def figures_page() -> str:
    """How long clearing takes, and what is late now."""
    days = request.args.get("days", 90, type=int)
    with reading_session() as db:
        found = figures.of(db, actor(), days if days in figures.PERIODS else 90)
    return render_template("review/figures.html", figures=found, periods=figures.PERIODS)


# --- who reviews what, and when ---


@area.get("/reviews/reviewers", needs=Permission.EDIT)
def reviewers() -> str:
    """Everybody who reviews: for which party, which texts, when, and how much waits for them."""
    with reading_session() as db:
        found = profiles.list_reviewers(db, actor())
    return render_template("review/reviewers.html", reviewers=found, countries=_countries())


@area.get("/reviews/reviewers/<public_id>", needs=Permission.EDIT)
def reviewer(public_id: str) -> str:
    return _reviewer(public_id)


def _reviewer(public_id: str, wrong: str = "", given: Profile | None = None) -> str:
    with reading_session() as db:
        found = profiles.find(db, actor(), public_id)
    if not found.may_change:
        raise Forbidden()
    return render_template(
        "review/reviewer.html",
        person=found,
        profile=given or found.profile,
        wrong=wrong,
        languages=profiles.LANGUAGES,
        types=list(AssetType),
        zones=sorted(calendars.ZONES),
        countries=_countries(),
        company=calendars.company(),
    )


def _countries() -> Mapping[str, str]:
    """Names by code, in the reader's language and its order."""
    names = get_locale().territories
    return dict(sorted(((code, names.get(code, code)) for code in calendars.COUNTRIES), key=lambda item: item[1]))


@area.post("/reviews/reviewers/<public_id>", needs=Permission.EDIT)
def change_reviewer(public_id: str) -> AnyResponse | tuple[str, int]:
    languages, types = request.form.getlist("language"), request.form.getlist("type")
    zone, country = request.form.get("zone", "").strip()[:64], request.form.get("country", "").strip()[:8]
    try:
        with writing() as db:
            profiles.put(db, actor(), public_id, languages=languages, types=types, zone=zone, country=country)
    except Invalid as refused:
        kinds = frozenset(AssetType(word) for word in types if word in set(AssetType))
        given = Profile(frozenset(languages), kinds, zone, country)
        return _reviewer(public_id, gettext(refused.text), given), 422
    done(gettext("Saved. New items go by it; clocks that run stay as they are."))
    return redirect(dealing.link("rounds.reviewers"))


# --- absence ---


@area.get("/reviews/absences", needs=Permission.EDIT)
def absences() -> str:
    return _absences({}, "")


def _absences(given: Mapping[str, object], wrong: str) -> str:
    with reading_session() as db:
        found = absence.list_shown(db, actor())
        colleagues = absence.list_colleagues(db, actor()) if actor().may(Permission.REVIEW) else ()
    return render_template("review/absences.html", absences=found, colleagues=colleagues, given=given, wrong=wrong)


@area.post("/reviews/absences", needs=Permission.REVIEW)
def be_absent() -> AnyResponse | tuple[str, int]:
    given = {name: request.form.get(name, "") for name in ("first", "last", "deputy_1", "deputy_2", "deputy_3")}
    try:
        first, last = _day(given["first"]), _day(given["last"])
        emails = [given[name] for name in ("deputy_1", "deputy_2", "deputy_3")]
        with writing() as db:
            absence.put(db, actor(), first, last, emails)
    except (Invalid, Conflict) as refused:
        return _absences(given, gettext(refused.text)), refused.status
    done(gettext("Noted. What you have taken moves to your deputy when it begins."))
    return redirect(dealing.link("rounds.absences"))


def _day(word: str) -> date:
    try:
        return date.fromisoformat(word)
    except ValueError:
        raise Invalid(gettext("Choose the first day and the last."), code="span") from None


@area.post("/reviews/absences/<public_id>/cancel", needs=Permission.EDIT)
def cancel_absence(public_id: str) -> AnyResponse:
    with writing() as db:
        absence.cancel(db, actor(), public_id)
    done(gettext("Cancelled. What has moved stays where it is."))
    return redirect(dealing.link("rounds.absences"))


@area.get("/reviews/<public_id>", needs=Permission.EDIT)
def page(public_id: str) -> str:
    return _page(public_id)


def _page(public_id: str, wrong: str = "", given: dict[str, str] | None = None) -> str:
    view = request.args.get("view", "")
    with reading_session() as db:
        found = inbox.get_page(db, actor(), public_id)
    offered = [
        name
        for name, there in (
            ("approved", found.since_approved is not None),
            ("published", found.since_published is not None),
            ("text", True),
        )
        if there
    ]
    chosen = view if view in offered else offered[0]
    return render_template(
        "review/round.html",
        tick_names=checklist.TICK_NAMES,
        round=found,
        view=chosen,
        offered=offered,
        wrong=wrong,
        given=given or {},
    )


@area.get("/assets/<reference>/review", needs=Permission.EDIT)
def of_asset(reference: str) -> AnyResponse:
    """The newest round of an asset; its history where nobody has reviewed it yet."""
    with reading_session() as db:
        found = inbox.newest_of(db, actor(), reference)
    if not found:
        return redirect(dealing.link("content_versions.versions", reference=reference))
    return redirect(dealing.link("rounds.page", public_id=found))


@area.get("/assets/<reference>/audit", needs=Permission.EDIT)
def audit(reference: str) -> str:
    """Who cleared which words, when and on what; made to be printed."""
    with reading_session() as db:
        sheet = audit_sheet.get(db, actor(), reference)
    return render_template("review/audit.html", sheet=sheet)


@area.post("/reviews/<public_id>/verdict", needs=Permission.REVIEW)
def decide(public_id: str) -> AnyResponse | tuple[str, int]:
    """One verdict; afterwards the next item is open at once."""
    word = request.form.get("answer", "")
    if word not in set(Answer):
        raise NotFound()
    reason, ticks = request.form.get("reason", ""), request.form.getlist("tick")
    try:
        with writing() as db:
            rounds.decide(
                db, actor(), public_id, _wanted(), Answer(word), request.form.get("digest", "")[:64], reason, ticks
            )
    except (Invalid, Conflict) as refused:  # nothing was counted: the page as it is now, with what was typed
        return _page(
            public_id, gettext(refused.text), {"answer": word, "reason": reason, "ticks": ",".join(ticks)}
        ), refused.status
    said = {
        Answer.APPROVE: gettext("Approved."),
        Answer.REQUEST_CHANGES: gettext("Changes requested. The others may still finish."),
        Answer.REJECT: gettext("Rejected. The round is over."),
    }
    done(said[Answer(word)])
    return following()


@area.post("/reviews/approve", needs=Permission.REVIEW)
def approve_many() -> AnyResponse:
    """Several approvals from the queue, each in a transaction of its own; what is refused stays and is told."""
    approved, refused = 0, []
    for word in request.form.getlist("item")[: inbox.PAGE]:
        public_id, _, rest = word.partition(":")
        named, _, digest = rest.partition(":")
        party = _party(named)
        if party is None:
            continue
        try:
            with writing() as db:
                rounds.approve_in_bulk(db, actor(), public_id, party, digest)
            approved += 1
        except (Conflict, Forbidden, NotFound) as not_now:
            refused.append(gettext(not_now.text))
    if approved:
        done(ngettext("%(num)s approved.", "%(num)s approved.", approved))
    for text in sorted(set(refused)):
        flash(text, "stop")
    if not approved and not refused:
        flash(gettext("Tick what you approve."), "stop")
    return redirect(dealing.link("rounds.queue", party=request.form.get("shown") or None))


@area.post("/reviews/<public_id>/claim", needs=Permission.REVIEW)
def claim(public_id: str) -> AnyResponse:
    with writing() as db:
        rounds.claim(db, actor(), public_id, _wanted())
    done(gettext("It is yours: the others see that."))
    return redirect(dealing.link("rounds.page", public_id=public_id))


@area.post("/reviews/<public_id>/release", needs=Permission.EDIT)
def release(public_id: str) -> AnyResponse:
    with writing() as db:
        rounds.release(db, actor(), public_id, _wanted())
    done(gettext("Back in the queue."))
    return redirect(dealing.link("rounds.page", public_id=public_id))


@area.post("/reviews/<public_id>/hand-over", needs=Permission.EDIT)
def hand_over(public_id: str) -> AnyResponse | tuple[str, int]:
    email = request.form.get("email", "")[:254]
    try:
        with writing() as db:
            rounds.hand_over(db, actor(), public_id, _wanted(), email)
    except Invalid as refused:
        return _page(public_id, gettext(refused.text), {"email": email}), 422
    done(gettext("Handed over."))
    return redirect(dealing.link("rounds.page", public_id=public_id))


@area.post("/reviews/<public_id>/comments", needs=Permission.EDIT)
def comment(public_id: str) -> AnyResponse | tuple[str, int]:
    given = {name: request.form.get(name, "") for name in ("quote", "text", "answers", "wording")}
    try:
        with writing() as db:
            remarks.comment(
                db, actor(), public_id, given["quote"], given["text"], given["answers"][:24], given["wording"]
            )
    except Invalid as refused:
        return _page(public_id, gettext(refused.text), given), 422
    done(gettext("The author sees it with the verdict."))
    return redirect(dealing.link("rounds.page", public_id=public_id, _anchor="comments"))


@area.post("/reviews/<public_id>/comments/<comment_id>/take", needs=Permission.EDIT)
def take_wording(public_id: str, comment_id: str) -> AnyResponse | tuple[str, int]:
    """Suggested words into the draft; rendered between two transactions, since a hostile text takes seconds."""
    try:
        with reading_session() as db:
            proposed = remarks.propose(db, actor(), public_id, comment_id)
        rendered = service.render(proposed.wording.text)
        with writing() as db:
            remarks.take(db, actor(), public_id, comment_id, proposed, rendered)
    except Conflict as refused:
        return _page(public_id, gettext(refused.text)), refused.status
    done(gettext("Taken into the draft. Whose words they are is kept with it."))
    return redirect(dealing.link("rounds.page", public_id=public_id, _anchor=f"c-{comment_id}"))


@area.post("/reviews/<public_id>/comments/<comment_id>/resolve", needs=Permission.EDIT)
def resolve(public_id: str, comment_id: str) -> AnyResponse:
    with writing() as db:
        remarks.resolve(db, actor(), public_id, comment_id)
    return redirect(dealing.link("rounds.page", public_id=public_id, _anchor="comments"))


# --- the policy ---


@area.get("/review-policy", needs=Permission.EDIT, endpoint="policy_page")
def policy_page() -> str:
    return _policy()


def _policy(wrong: str = "") -> str:
    with reading_session() as db:
        editions = policy.list_editions(db)
    return render_template(
        "review/policy.html",
        policy=editions[0],
        editions=editions,
        wrong=wrong,
        parties=list(Party),
        handlings=list(Handling),
        types=list(AssetType),
    )


@area.post("/review-policy", needs=Permission.ADMINISTER)
def change_policy() -> AnyResponse | tuple[str, int]:
    """The whole table as it stands in the form: a new edition."""
    try:
        lines, difference = _filled()
        with writing() as db:
            policy.change(db, actor(), lines, difference, request.form.get("executive", ""))
    except Invalid as refused:
        return _policy(gettext(refused.text)), 422
    done(gettext("In force for rounds that begin from now on."))
    return redirect(dealing.link("rounds.policy_page"))


def _filled() -> tuple[list[Line], int]:
    lines = []
    for key in request.form.getlist("line"):
        kind, _, handling = key.partition("/")
        if handling not in set(Handling) or (kind != policy.ANY and kind not in set(AssetType)):
            raise Invalid(gettext("Choose a type and a handling from the list."), code="policy_line")
        if request.form.get(f"drop/{key}") == "1":
            continue
        duties = {}
        for party in Party:
            hours = request.form.get(f"hours/{key}/{party.value}", "").strip()
            if hours:
                duties[party] = Duty(_number(hours), _number(request.form.get(f"reviewers/{key}/{party.value}", "1")))
        is_bulk = request.form.get(f"bulk/{key}") == "1"
        lines.append(Line(None if kind == policy.ANY else AssetType(kind), Handling(handling), duties, is_bulk))
    kind, handling = request.form.get("new_type", ""), request.form.get("new_handling", "")
    if kind in set(AssetType) and handling in set(Handling):
        known = {line.handling: line for line in lines if line.type is None}
        like = known.get(Handling(handling))
        lines.append(
            Line(AssetType(kind), Handling(handling), like.duties if like else {}, bool(like and like.is_bulk))
        )
    return lines, _number(request.form.get("difference_hours", ""))


def _number(word: str) -> int:
    return int(word) if word.strip().isdecimal() and len(word.strip()) < 5 else 0
