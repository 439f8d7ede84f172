"""Charts as SVG, drawn on the server by Vega-Lite: every colour is a token of the pages, so that they follow the theme.

Shape and place carry the meaning, colour only repeats it. Each chart stands beside a table of the same figures.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import vl_convert

from kb.lazily import Lazily

if TYPE_CHECKING:
    import altair as alt
else:
    alt = Lazily("altair")

WIDTH: Final = 640
BAR_HEIGHT: Final = 24
KEPT: Final = 512
INK, QUIET, LINE, ACCENT = "var(--ink)", "var(--quiet)", "var(--line)", "var(--accent)"
TONES: Final[Mapping[str, tuple[str, str]]] = {
    "helps": ("var(--good)", "triangle-up"),
    "hurts": ("var(--stop)", "triangle-down"),
    "unclear": (QUIET, "circle"),
}
"""Colour and shape of each verdict."""
ON_PAPER: Final[Mapping[str, str]] = {
    "--ink": "#1C1E22",
    "--quiet": "#5C626C",
    "--line": "#E4E1DA",
    "--accent": "#0E5A6B",
    "--good": "#2B7A4B",
    "--stop": "#B0261E",
}
_QUIET_AXIS: Final[Mapping[str, Any]] = {
    "labelColor": QUIET,
    "titleColor": QUIET,
    "gridColor": LINE,
    "domainColor": LINE,
    "tickColor": LINE,
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": 400,
    "labelLimit": 240,
    "labelFont": "sans-serif",
    "titleFont": "sans-serif",
}


def bars_by_week(weeks: Sequence[tuple[str, int]], title: str) -> str:
    """Uses by week: `weeks` are the Monday as year-month-day and the number."""
    rows = [{"week": day, "n": count} for day, count in weeks]
    every_fourth = [day for day, _ in weeks][::4]
    chart = (
        alt.Chart(_data(rows), width=WIDTH, height=140)
        .mark_bar(color=ACCENT)
        .encode(
            x=alt.X("week:O", title=None, axis=alt.Axis(labelAngle=0, values=every_fourth)),
            y=alt.Y("n:Q", title=title, axis=alt.Axis(tickMinStep=1, tickCount=4)),
        )
    )
    return _drawn(chart)


def intervals(rows: Sequence[tuple[str, float, float, float, str]], title: str) -> str:
    """A dot and its interval for each row (name, value, low, high, verdict), shares from -1 to 1, zero marked."""
    data = [
        {"name": name, "value": value, "low": low, "high": high, "tone": tone} for name, value, low, high, tone in rows
    ]
    names = [row[0] for row in rows]
    y = alt.Y("name:N", title=None, sort=names, axis=alt.Axis(grid=False))
    base = alt.Chart(_data(data), width=WIDTH - 200, height=max(1, len(rows)) * BAR_HEIGHT)
    colour = alt.Color(
        "tone:N", legend=None, scale=alt.Scale(domain=list(TONES), range=[colour for colour, _ in TONES.values()])
    )
    shape = alt.Shape(
        "tone:N", legend=None, scale=alt.Scale(domain=list(TONES), range=[shape for _, shape in TONES.values()])
    )
    axis = alt.Axis(format="+.0%", tickCount=5)
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=title, axis=axis), x2="high:Q", y=y, color=colour
    )
    dots = base.mark_point(size=80, filled=True, opacity=1).encode(x="value:Q", y=y, color=colour, shape=shape)
    zero = alt.Chart(_data([{"zero": 0}])).mark_rule(color=INK, strokeDash=[3, 3]).encode(x="zero:Q")
    return _drawn(zero + lines + dots)


def shares(rows: Sequence[tuple[str, str, float, float, float]], title: str) -> str:
    """Shares with their interval (group, name, value, low, high), each a bar from 0 to 1; groups stand one below another."""
    labels = [f"{group} · {name}" if group else name for group, name, *_ in rows]
    data = [
        {"label": label, "value": value, "low": low, "high": high}
        for label, (_, _, value, low, high) in zip(labels, rows, strict=True)
    ]
    base = alt.Chart(_data(data), width=WIDTH - 240, height=max(1, len(labels)) * BAR_HEIGHT)
    y = alt.Y("label:N", title=None, sort=labels, axis=alt.Axis(grid=False, labelLimit=230))
    axis = alt.Axis(format=".0%", tickCount=5)
    bars = base.mark_bar(color=ACCENT, opacity=0.35, height=12).encode(
        x=alt.X("value:Q", title=title, axis=axis, scale=alt.Scale(domain=[0, 1])), y=y
    )
    lines = base.mark_rule(color=INK, strokeWidth=1.5).encode(x="low:Q", x2="high:Q", y=y)
    dots = base.mark_point(color=INK, filled=True, size=40, opacity=1).encode(x="value:Q", y=y)
    return _drawn(bars + lines + dots)


def standalone(svg: str) -> bytes:
    """The drawing as a file of its own, in the colours of the light theme on white."""
    for name, colour in ON_PAPER.items():
        svg = svg.replace(f"var({name})", colour)
    return svg.encode()


def _data(rows: Sequence[Mapping[str, Any]]) -> "alt.Data":
    return alt.Data(values=[dict(row) for row in rows])  # type: ignore[no-untyped-call]  # the library's own class


def _drawn(chart: Any) -> str:
    whole = chart.configure(background="transparent").configure_view(stroke=None).configure_axis(**_QUIET_AXIS)
    return _svg(json.dumps(whole.to_dict(), sort_keys=True, ensure_ascii=False))


@lru_cache(maxsize=KEPT)
def _svg(spec: str) -> str:
    """The picture of a specification; text in it is escaped by the renderer, and no outside address is ever asked."""
    drawn: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return drawn
