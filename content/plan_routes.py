"""The content calendar on pages, as a feed, and as a table."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, jsonify, redirect, render_template, request, url_for
from flask_babel import force_locale, gettext
from werkzeug.wrappers import Response as AnyResponse

from content import calendar_feed, dealing, editing, planning
from content.kinds import AssetType
from content.planning import KIND_NAMES, Item, Kind, NewItem
from kb import clock, web
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid
from kb.web import PUBLIC, Area, actor, done, settings

area = Area("planning", __name__)

VIEWS = ("week", "month", "quarter")


def zone() -> ZoneInfo:
    return settings().zone


@area.get("/calendar", needs=Permission.EDIT)
def page() -> str:
    return _page()


def _page(new_address: str = "") -> str:
    view = request.args.get("view", "month")
    view = view if view in VIEWS else "month"
    today = clock.now().astimezone(zone()).date()
    on = _day_or(request.args.get("on", ""), today)
    first, last = _span(view, on)
    mine = request.args.get("mine") == "1"
    kind = request.args.get("kind", "")
    with reading_session() as db:
        items = planning.list_items(db, actor(), zone(), first, last, mine=mine)
        address = calendar_feed.find(db, actor())
        offered = editing.choices(db)
    shown = [item for item in items if item.kind == kind] if kind in set(Kind) else items
    days: dict[date, list[Item]] = {first + timedelta(days=at): [] for at in range((last - first).days + 1)}
    for item in shown:
        if item.day in days:
            days[item.day].append(item)
    return render_template(
        "content/calendar.html",
        view=view,
        on=on,
        today=today,
        weeks=_weeks(days),
        count=len(shown),
        kinds=list(Kind),
        names=KIND_NAMES,
        kind=kind if kind in set(Kind) else "",
        mine=mine,
        before=_step(view, on, -1),
        after=_step(view, on, 1),
        quarter=planning.quarter_of(on),
        types=list(AssetType),
        people=offered.people,
        address=address,
        new_address=new_address,
    )


def _weeks(days: Mapping[date, list[Item]]) -> Sequence[Sequence[tuple[date, list[Item]]]]:
    rows = list(days.items())
    return [rows[at : at + 7] for at in range(0, len(rows), 7)]


def _day_or(word: str, other: date) -> date:
    try:
        found = date.fromisoformat(word)
    except ValueError:
        return other
    return found if 2000 <= found.year <= 2100 else other


def _span(view: str, on: date) -> tuple[date, date]:
    """Whole weeks, from a Monday to a Sunday."""
    if view == "week":
        first, last = on, on
    elif view == "month":
        first = on.replace(day=1)
        last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    else:
        first, last = planning.quarter(planning.quarter_of(on))
    return first - timedelta(days=first.weekday()), last + timedelta(days=6 - last.weekday())


def _step(view: str, on: date, way: int) -> date:
    if view == "week":
        return on + timedelta(days=7 * way)
    months = way * (1 if view == "month" else 3)
    number = on.year * 12 + on.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


@area.post("/calendar/items", needs=Permission.EDIT)
def add() -> AnyResponse:
    form = request.form
    try:
        due_on = date.fromisoformat(form.get("due_on", ""))
    except ValueError:
        raise Invalid(gettext("Choose the day by which it is to be there."), code="day") from None
    word = form.get("type", "")
    kind = AssetType(word) if word in set(AssetType) else AssetType.OTHER
    new = NewItem(
        form.get("title", ""),
        kind,
        due_on,
        form.get("owner", "")[:254],
        form.get("note", ""),
        form.get("asset", "")[:220],
    )
    with writing() as db:
        planning.add(db, actor(), new)
    done(gettext("Planned."))
    return _back()


@area.post("/calendar/items/<item>/done", needs=Permission.EDIT)
def finish(item: str) -> AnyResponse:
    with writing() as db:
        planning.finish(db, actor(), item, done=request.form.get("done", "1") == "1")
    return _back()


@area.post("/calendar/items/<item>/drop", needs=Permission.EDIT)
def drop(item: str) -> AnyResponse:
    with writing() as db:
        planning.drop(db, actor(), item)
    done(gettext("Taken off the plan."))
    return _back()


@area.post("/calendar/move", needs=Permission.EDIT)
def move() -> AnyResponse:
    """Another day, by dragging or by a form."""
    form: Any = request.get_json(silent=True) or {} if request.is_json else request.form
    word, item = str(form.get("kind", "")), str(form.get("id", ""))[:24]
    try:
        day = date.fromisoformat(str(form.get("day", "")))
    except ValueError:
        raise Invalid(gettext("Choose the day by which it is to be there."), code="day") from None
    if word not in set(Kind):
        raise planning.NotMovable()
    with writing() as db:
        outcome = planning.move(db, actor(), zone(), Kind(word), item, day)
    told = (
        gettext("A later end lets people read longer: it waits until it is cleared.")
        if outcome == "waits"
        else gettext("Moved to %(day)s.", day=day.isoformat())
    )
    if request.is_json:
        return jsonify({"outcome": outcome, "message": told})
    done(told)
    return _back()


@area.post("/calendar/address", needs=Permission.EDIT)
def renew() -> str:
    with writing() as db:
        secret = calendar_feed.renew(db, actor())
    return _page(url_for("planning.feed", secret=secret, _external=True))


@area.post("/calendar/address/revoke", needs=Permission.EDIT)
def revoke() -> AnyResponse:
    with writing() as db:
        calendar_feed.revoke(db, actor())
    done(gettext("The address answers no more."))
    return _back()


@area.get("/calendar/<secret>.ics", needs=PUBLIC)
def feed(secret: str) -> Response:
    """The plan for a calendar program: whoever knows the address reads what its person may edit."""
    with reading_session() as db:
        who = calendar_feed.who(db, secret)
        with force_locale(who.language or "zh_Hans"):
            content = calendar_feed.calendar(db, who, zone(), _words, _link)
        is_to_note = calendar_feed.is_use_to_note(db, who)
    if is_to_note:
        with writing() as db:
            calendar_feed.note_use(db, who)
    return Response(content, mimetype="text/calendar")


def _words(item: Item) -> str:
    return f"{gettext(KIND_NAMES[item.kind])} · {item.title}"


def _link(item: Item) -> str:
    if item.asset_id:
        return url_for("content_editor.edit", reference=item.asset_id, _external=True)
    return url_for("planning.page", on=item.day.isoformat(), _external=True)


@area.get("/calendar/plan.csv", needs=Permission.EDIT)
def table() -> Response:
    """A quarter's plan for a spreadsheet."""
    first, last = planning.quarter(request.args.get("quarter", ""))
    with reading_session() as db:
        items = planning.list_items(db, actor(), zone(), first, last)
    names = {kind: gettext(name) for kind, name in KIND_NAMES.items()}
    response = Response(planning.to_csv(items, names, request.host_url.rstrip("/")), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="plan-{planning.quarter_of(first)}.csv"'
    return response


def _back() -> AnyResponse:
    return redirect(web.safe_next(request.form.get("next") or dealing.link("planning.page")))
