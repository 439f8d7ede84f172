"""The ledger: whatever came in whichever order, kept up piece by piece, is the same as counted anew, to the last digit."""

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from content import dashboards, insight, ledger, tallies
from content.crm import CsvImport
from content.deals import Deal
from content.kinds import UseKind
from content.ledger import Keeper
from content.models import UseEvent
from content.tallies import Period
from kb import access, clock, config
from kb.access import SYSTEM
from kb.app import open_service
from search import encoder, upkeep
from tests.content.test_insight import BEGIN, Rows, library, made_up
from tests.factories import Make

MINUTE = timedelta(minutes=1)


def send(make: Make, kind: str, rows: list[dict[str, str]]) -> None:
    CsvImport(make.service.database, SYSTEM, kind).run_rows("test", rows)


def figures(make: Make) -> object:
    """Everything that is told, by names that do not depend on the order of arrival."""
    with make.service.database.reading() as db:
        lines = [insight.as_fields(line) | {"asset": ""} for line in insight.lift(db, access.operator())]
        used = [insight.usage_fields(line) | {"asset": ""} for line in insight.usage(db, access.operator())]
        pages = [
            dashboards.text_page(db, access.operator(), name, dashboards.Filters(0), "en")
            for name in ("FIRST", "SECOND")
        ]
        money = [
            (page.money, page.in_stage, page.to_close, page.stages, page.segments, page.line.could) for page in pages
        ]
    return sorted(lines, key=str), sorted(used, key=str), money


def amounts(rows: Rows) -> Rows:
    for number, row in enumerate(rows["deals"]):
        row |= {"amount": f"{1000 + number}.{number % 100:02d}", "currency": "CNY" if number % 3 else "USD"}
    return rows


def test_the_order_of_arrival_repeats_and_pieces_change_no_digit(make_any: Make) -> None:
    """Events before their stages, stages before outcomes; open deals that close later, and one that is opened again."""
    rows = amounts(made_up(library(make_any), deals=80))
    for kind in ("deals", "stages", "usage"):
        send(make_any, kind, rows[kind])
    plain = figures(make_any)
    draw = random.Random(11)
    early = [
        {**row, "outcome": "open", "closed_at": "", "modified_at": "2025-01-01T00:00:00+00:00"} for row in rows["deals"]
    ]
    with make_any.service.database.writing() as db:
        for deal in db.scalars(select(Deal)):
            deal.outcome, deal.closed_at = "open", None
    final = [{**row, "modified_at": "2026-06-01T00:00:00+00:00"} for row in rows["deals"]]
    send(make_any, "deals", draw.sample(early, len(early)))
    figures(make_any)
    send(make_any, "deals", draw.sample([*final, *early, *final], 3 * len(final)))
    for kind in ("usage", "stages"):
        send(make_any, kind, draw.sample(rows[kind] * 2, 2 * len(rows[kind])))
    assert figures(make_any) == plain


@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 10_000), pieces=st.integers(1, 5))
def test_any_shuffle_split_and_repetition_gives_the_same_figures(
    seed: int, pieces: int, tmp_path: Path, sqlite_template: Path
) -> None:
    draw = random.Random(seed)
    with (
        installation(tmp_path / f"a{uuid4().hex}", sqlite_template) as first,
        installation(tmp_path / f"b{uuid4().hex}", sqlite_template) as second,
    ):
        owners = library(first)
        assert library(second) == owners
        rows = amounts(made_up(owners, seed=seed, deals=30))
        for kind in ("deals", "stages", "usage"):
            send(first, kind, rows[kind])
        send(second, "deals", draw.sample(rows["deals"], len(rows["deals"])))
        mixed = [(kind, row) for kind in ("stages", "usage") for row in rows[kind]]
        mixed += draw.sample(mixed, len(mixed) // 3)
        draw.shuffle(mixed)
        for begin in range(pieces):
            for kind in draw.sample(("stages", "usage"), 2):
                send(second, kind, [row for one, row in mixed[begin::pieces] if one == kind])
            if draw.random() < 0.5:
                figures(second)
        assert figures(second) == figures(first)


def test_kept_up_piece_by_piece_it_is_the_same_as_read_anew(make_any: Make) -> None:
    rows = made_up(library(make_any), deals=60)
    keeper, database = Keeper(), make_any.service.database
    draw = random.Random(5)
    send(make_any, "deals", rows["deals"])
    for part in range(4):
        for kind in ("stages", "usage"):
            send(make_any, kind, rows[kind][part::4])
        changed = draw.sample(rows["deals"], 10)
        send(make_any, "deals", [{**row, "segment": f"s{part}"} for row in changed])
        with database.reading() as db:
            kept = keeper.of(db)
            assert ledger.differences(kept, ledger.read(db)) == []
    with database.reading() as db:
        assert keeper.recount(db) == []
        assert len(kept.events.id) == db.scalar(select(func.count()).select_from(UseEvent))


def test_a_recount_names_what_was_changed_behind_the_log(make: Make) -> None:
    send(make, "deals", made_up(library(make), deals=5)["deals"])
    keeper = Keeper()
    with make.service.database.reading() as db:
        keeper.of(db)
    with make.service.database.writing() as db:
        db.connection().exec_driver_sql("UPDATE deal SET outcome = 'no_decision'")
    with make.service.database.reading() as db:
        assert keeper.recount(db) == ["deals.outcome"]
        assert keeper.recount(db) == []


def test_the_first_look_of_a_day_counts_anew_and_tells_what_differed(make: Make) -> None:
    send(make, "deals", made_up(library(make), deals=5)["deals"])
    keeper, database = Keeper(), make.service.database
    with database.reading() as db:
        keeper.of(db)
    with database.writing() as db:
        db.connection().exec_driver_sql("UPDATE deal SET outcome = 'no_decision'")
    with database.reading() as db:
        assert set(keeper.of(db).deals.outcome.tolist()) != {3}, "nobody said so"
    tomorrow = time_machine.travel(clock.now() + timedelta(days=1), tick=False)
    with tomorrow, capture_logs() as told, database.reading() as db:
        assert set(keeper.of(db).deals.outcome.tolist()) == {3}
    assert [(line["event"], line.get("columns")) for line in told] == [("figures.differ", ["deals.outcome"])]


def test_bulk_statements_that_figures_would_not_see_are_refused(make: Make) -> None:
    with make.service.database.writing() as db, pytest.raises(RuntimeError, match="Deal"):
        db.execute(update(Deal).values(segment="x"))


def test_views_and_uses_close_together_count_once_whatever_their_order(make: Make) -> None:
    owners = library(make)
    rows = made_up(owners, deals=1)
    send(make, "deals", [{**rows["deals"][0], "closed_at": "", "outcome": "open"}])
    minutes = [0, 20, 45, 61, 75, 200]

    def event(number: int, kind: str, minute: int) -> dict[str, str]:
        at = BEGIN + timedelta(days=90) + minute * MINUTE
        return {
            "event_id": f"{kind}-{number}", "asset_external_id": "FIRST", "user_email": owners[0], "kind": kind,
            "deal_external_id": "L-0", "at": at.isoformat(), "deal_source": "chosen",
        }  # fmt: skip

    events = [event(n, kind, minute) for kind in ("view", "copy") for n, minute in enumerate(minutes)]
    send(make, "usage", events[::-1])
    with make.service.database.reading() as db:
        (line,) = insight.usage(db, access.operator(), "FIRST")
        assert line.views == 4, "at 0, 45, 75 and 200 minutes"
        assert line.uses == 3, "at 0, 61 and 200 minutes"


def test_events_outside_the_life_of_a_deal_are_kept_and_count_once_it_reaches_them(make: Make) -> None:
    owners = library(make)
    deal = {**made_up(owners, deals=1)["deals"][0]}
    event = {
        "event_id": "early", "asset_external_id": "FIRST", "user_email": owners[0], "kind": UseKind.COPY.value,
        "deal_external_id": "L-0", "at": (BEGIN - timedelta(days=200)).isoformat(), "deal_source": "chosen",
    }  # fmt: skip
    send(make, "deals", [deal])
    report = CsvImport(make.service.database, SYSTEM, "usage").run_rows("test", [event])
    assert (report.created, [one.code for one in report.warnings]) == (1, ["outside_deal"])
    with make.service.database.reading() as db:
        assert insight.usage(db, access.operator(), "FIRST")[0].deals == 0
    send(make, "deals", [{**deal, "created_at": (BEGIN - timedelta(days=300)).isoformat()}])
    with make.service.database.reading() as db:
        assert insight.usage(db, access.operator(), "FIRST")[0].deals == 1
        book = tallies.count(ledger.read(db))
        assert len(book.counted.at) == 1
        assert tallies.counts(book, Period(since=0)).keys() == {book.counted.asset[0]}


def test_the_import_of_a_word_no_vocabulary_has_keeps_it_for_the_strata(make: Make) -> None:
    owners = library(make)
    rows = [{**row, "industry": "mining" if n % 2 else "fishing", "competitor": "nobody"} for n, row in
            enumerate(made_up(owners, deals=4)["deals"])]  # fmt: skip
    report = CsvImport(make.service.database, SYSTEM, "deals").run_rows("test", rows)
    assert report.created == 4
    assert {one.code for one in report.warnings} == {"unknown_industry", "unknown_competitor"}
    with make.service.database.reading() as db:
        assert set(ledger.read(db).deals.industry.tolist()) == {"mining", "fishing"}


@contextmanager
def installation(folder: Path, template: Path) -> Iterator[Make]:
    """One of its own, for a property that needs a new one each time."""
    folder.mkdir(mode=0o700)
    shutil.copyfile(template, folder / "kb.sqlite3")
    opened = open_service(config.load({}, data_dir=folder, secret_key="k" * 40, encoder=encoder.OFF))
    upkeep.begin(opened.engine)
    try:
        yield Make(opened)
    finally:
        opened.close()
