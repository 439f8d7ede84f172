"""Pages of figures: one text, the team, the whole library, and the deals behind a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from flask import Response, render_template, request
from flask_babel import get_locale, gettext
from werkzeug.wrappers import Response as AnyResponse

from content import charts, dashboards, exported_table
from content.dashboards import PERIODS, Filters, Share, Slice, StageLine, TextLine, TextPage
from content.kinds import TYPE_NAMES
from content.ledger import SECONDS_A_DAY
from kb.access import Permission
from kb.db import reading
from kb.web import Area, actor

area = Area("insight", __name__)
DRAWN: Final = 12
"""Rows of a chart; the table has them all."""
FORMATS: Final = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def _language() -> str:
    return str(get_locale() or "zh_Hans")


def _filters() -> Filters:
    return dashboards.filters_of(request.args)


def _file(name: str, head: Sequence[str], rows: Sequence[Sequence[exported_table.Cell]]) -> AnyResponse:
    kind = request.args["format"]
    made = exported_table.as_csv(head, rows) if kind == "csv" else exported_table.as_workbook(name, head, rows)
    answer = Response(made, mimetype=FORMATS[kind])
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _wanted_chart(drawn: Mapping[str, Any]) -> AnyResponse | None:
    """The drawing that the address asks for as a file; None where it asks for none, or there is none."""
    svg = drawn.get(f"{request.args.get('chart', '')}_chart") if request.args.get("format") == "svg" else None
    if not svg:
        return None
    answer = Response(charts.standalone(svg), mimetype="image/svg+xml")
    answer.headers["Content-Disposition"] = f'attachment; filename="{request.args["chart"]}.svg"'
    answer.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return answer


def _wants_file() -> bool:
    return request.args.get("format", "") in FORMATS


def _page(template: str, filters: Filters, **values: Any) -> str:
    return render_template(template, filters=filters, periods=PERIODS, narrowed=narrowed, **values)


@area.get("/assets/<reference>/insight", needs=Permission.SEARCH)
def asset(reference: str) -> str | AnyResponse:
    """What is known of one text's use."""
    filters = _filters()
    with reading() as db:
        page = dashboards.text_page(db, actor(), reference, filters, _language())
    drawn = _text_charts(page)
    if chart := _wanted_chart(drawn):
        return chart
    if _wants_file():
        of_slices = {"stages": page.stages, "segments": page.segments, "versions": page.versions}
        if (name := request.args.get("table", "")) in of_slices:
            return _file(name, *_slices_table(of_slices[name]))
        days = [(_day(monday), views, uses) for monday, views, uses in page.weeks]
        return _file("weeks", [gettext("Week of"), gettext("Views"), gettext("Uses")], days)
    return _page("content/insight.html", filters, page=page, **drawn)


def _text_charts(page: TextPage) -> Mapping[str, Any]:
    weeks = [(_day(monday), uses) for monday, _, uses in page.weeks]
    finding = page.line.finding
    lift = finding.difference if finding else None
    return {
        "weeks": weeks,
        "weeks_chart": charts.bars_by_week(weeks, gettext("Uses")) if any(n for _, n in weeks) else "",
        "lift_chart": charts.intervals(
            [(gettext("Lift"), lift.value, lift.interval.low, lift.interval.high, finding.verdict)],
            gettext("Difference in the share of deals won"),
        )
        if finding and lift
        else "",
        "stage_chart": _slices_chart(page.stages),
    }


def _slices_chart(slices: Sequence[Slice]) -> Any:
    rows = [("", one.name, *_drawable(one.win)) for one in slices if one.win.value is not None]
    return charts.shares(rows, gettext("Share of closed deals won")) if rows else ""


def _drawable(share: Share) -> tuple[float, float, float]:
    low, high = (share.interval.low, share.interval.high) if share.interval else (0.0, 0.0)
    return share.value or 0.0, low, high


def _day(at: float) -> str:
    return datetime.fromtimestamp(at * SECONDS_A_DAY, UTC).date().isoformat()


@area.get("/assets/<reference>/insight/deals", needs=Permission.SEARCH)
def deals(reference: str) -> str:
    """The deals behind a text's figures: one's own by name."""
    filters, outcome = _filters(), request.args.get("outcome", "")
    with reading() as db:
        found = dashboards.deals_of(db, actor(), reference, filters, outcome)
    return _page("content/insight_deals.html", filters, found=found, outcome=outcome)


@area.get("/insight", needs=Permission.MEASURE)
def team() -> str | AnyResponse:
    """How much of the work uses content, and how those deals end."""
    filters = _filters()
    with reading() as db:
        page = dashboards.team(db, actor(), filters)
    drawn = {"win_chart": _win_chart(page.assisted, page.others), "funnel_chart": _funnel_chart(page.stages)}
    if chart := _wanted_chart(drawn):
        return chart
    if _wants_file():
        if request.args.get("table") == "funnel":
            return _file("stages", *_funnel_table(page.stages))
        if request.args.get("table") == "wins":
            named = ((gettext("used content"), page.assisted), (gettext("used none"), page.others))
            head = [gettext("Deals"), gettext("Closed deals"), *_win_heads()]
            return _file("wins", head, [[name, one.n, *_win_cells(one)] for name, one in named])
        return _file("team", *_text_table(page.lines))
    return _page("content/team.html", filters, page=page, **drawn)


def _win_chart(assisted: Share, others: Share) -> Any:
    named = ((gettext("used content"), assisted), (gettext("used none"), others))
    rows = [("", name, *_drawable(one)) for name, one in named if one.value is not None]
    return charts.shares(rows, gettext("Share of closed deals won")) if rows else ""


def _funnel_chart(stages: Sequence[StageLine]) -> Any:
    rows = [
        (line.stage.text(_language()), name, *_drawable(one))
        for line in stages
        for name, one in ((gettext("with use"), line.went_on_used), (gettext("without"), line.went_on_others))
        if one.value is not None
    ]
    return charts.shares(rows, gettext("Share that went on")) if rows else ""


@area.get("/insight/content", needs=Permission.MEASURE)
def library() -> str | AnyResponse:
    """Every text with figures, best first, and what wants attention."""
    filters = _filters()
    with reading() as db:
        page = dashboards.library(db, actor(), filters, _language())
    if _wants_file():
        of_slices = {"types": page.types, "tags": page.tags}
        if (name := request.args.get("table", "")) in of_slices:
            return _file(name, *_slices_table(of_slices[name]))
        return _file("content", *_text_table(page.lines))
    with_lift = [line for line in page.lines if line.finding and line.finding.difference]
    chosen = with_lift if len(with_lift) <= DRAWN else [*with_lift[: DRAWN - 4], *with_lift[-4:]]
    rows = [
        (line.title[:60], one.value, one.interval.low, one.interval.high, line.verdict)
        for line in chosen
        if line.finding and (one := line.finding.difference)
    ]
    drawn = {"lift_chart": charts.intervals(rows, gettext("Difference in the share of deals won")) if rows else ""}
    return _wanted_chart(drawn) or _page("content/insight_library.html", filters, page=page, **drawn)


def _win_heads() -> Sequence[str]:
    return [gettext("Win rate"), gettext("Win rate, low"), gettext("Win rate, high")]


def _win_cells(one: Share) -> Sequence[float | None]:
    return [one.value, one.interval.low if one.interval else None, one.interval.high if one.interval else None]


def _slices_table(slices: Sequence[Slice]) -> tuple[Sequence[str], Sequence[Sequence[exported_table.Cell]]]:
    head = [gettext("Name"), gettext("Uses"), gettext("Deals"), gettext("Closed deals"), *_win_heads()]
    rows = [
        [gettext(one.name), one.tally.uses, one.tally.deals, one.tally.closed, *_win_cells(one.win)] for one in slices
    ]
    return head, rows


def _funnel_table(stages: Sequence[StageLine]) -> tuple[Sequence[str], Sequence[Sequence[exported_table.Cell]]]:
    head = [
        gettext("Stage"), gettext("Entered"), gettext("Used content there"), gettext("Went on"), gettext("Ended there"),
        gettext("Went on, with use"), gettext("Went on, without"),
    ]  # fmt: skip
    rows: list[Sequence[exported_table.Cell]] = [
        [line.stage.text(_language()), line.entered, line.used, line.went_on, line.ended, line.went_on_used.value,
         line.went_on_others.value]
        for line in stages
    ]  # fmt: skip
    return head, rows


def _text_table(lines: Sequence[TextLine]) -> tuple[Sequence[str], Sequence[Sequence[exported_table.Cell]]]:
    """The lines as a sheet: shares from 0 to 1, empty where a figure is withheld or not known."""
    head = [
        gettext("Title"), gettext("Type"), gettext("Language"), gettext("Id"), gettext("Views"), gettext("Uses"),
        gettext("People"), gettext("Deals"), gettext("Deals that could"), gettext("Reuse"), gettext("Closed deals"),
        gettext("Win rate"), gettext("Win rate, low"), gettext("Win rate, high"), gettext("Lift"), gettext("Lift, low"),
        gettext("Lift, high"), gettext("Verdict"), gettext("Influenced by n deals"),
    ]  # fmt: skip
    rows = []
    for line in lines:
        lift = line.finding.difference if line.finding else None
        rows.append(
            [
                line.title, gettext(TYPE_NAMES[line.type]), line.language, line.external_id or line.public_id,
                line.tally.views, line.tally.uses, line.tally.people, line.tally.deals, line.could, line.reuse,
                line.tally.closed, line.win.value, line.win.interval.low if line.win.interval else None,
                line.win.interval.high if line.win.interval else None, lift.value if lift else None,
                lift.interval.low if lift else None, lift.interval.high if lift else None, line.verdict,
                line.finding.exposed if line.finding else None,
            ]
        )  # fmt: skip
    return head, rows


def narrowed(filters: Filters, **changed: Any) -> Mapping[str, Any]:
    """The filters of an address with some changed; what narrows nothing is left out."""
    wanted = replace(filters, **changed)
    words = {name: getattr(wanted, name) for name in ("segment", "type", "tag", "team")}
    return {name: word for name, word in words.items() if word} | ({"days": wanted.days} if wanted.days != 90 else {})
