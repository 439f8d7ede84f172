"""Pages of figures: who sees which, what is withheld, and that tables can be taken along safely."""

import time
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import select

from content import dashboards, exported_table, insight, tallies
from content.dashboards import Filters
from content.deals import Deal
from content.insight import LEAST_SHOWN
from content.models import Asset
from kb import access
from kb.access import Role, Tier
from kb.errors import Forbidden, Invalid, NotFound
from tests.conftest import SignIn
from tests.content.test_insight import library, load, made_up
from tests.factories import Make

PAGES = ("/insight?days=0", "/insight/content?days=0", "/assets/external:FIRST/insight?days=0")


@pytest.fixture
def company(make: Make, tmp_path: Path) -> Make:
    load(make, tmp_path, made_up(library(make), deals=150))
    return make


def test_managers_see_team_and_library_and_reps_do_not(company: Make, sign_in: SignIn) -> None:
    lead, rep = sign_in(company.user(Role.MANAGER)), sign_in(company.user())
    for page in PAGES[:2]:
        assert lead.get(page).status_code == 200
        assert rep.get(page).status_code == 403
    assert rep.get(PAGES[2]).status_code == 200
    for call in (dashboards.team, lambda *a: dashboards.library(*a, "en")):
        with company.service.database.reading() as db, pytest.raises(Forbidden):
            call(db, company.actor(company.user()), Filters())


def test_what_one_may_not_see_stands_on_no_page_of_figures(company: Make, sign_in: SignIn) -> None:
    with company.service.database.reading() as db:
        hidden = db.scalars(select(Asset).where(Asset.external_id == "FIRST")).one()
    company.set_asset(hidden, tier=Tier.CONFIDENTIAL.value)
    lead = sign_in(company.user(Role.MANAGER))
    for page in PAGES[:2]:
        assert "Text FIRST" not in lead.get(page).text
        for kind in ("csv", "xlsx"):
            assert b"Text FIRST" not in lead.get(f"{page}&format={kind}").data
    for path in ("insight", "insight/deals"):
        forbidden = lead.get(f"/assets/external:FIRST/{path}")
        missing = lead.get(f"/assets/external:NOTHING/{path}")
        assert (forbidden.status_code, missing.status_code) == (404, 404)
    assert lead.get("/api/v1/assets/external:FIRST/insight").status_code == 404
    with company.service.database.reading() as db, pytest.raises(NotFound):
        dashboards.text_page(db, company.actor(company.user()), "FIRST", Filters(), "en")


def test_the_drill_down_names_ones_own_deals_and_counts_the_others(company: Make, sign_in: SignIn) -> None:
    with company.service.database.reading() as db:
        whole = dashboards.deals_of(db, access.operator(), "FIRST", Filters(0))
        stranger = dashboards.deals_of(db, company.actor(company.user()), "FIRST", Filters(0))
        used = insight.usage(db, access.operator(), "FIRST")[0]
        won = dashboards.deals_of(db, company.actor(company.user()), "FIRST", Filters(0), "won")
    assert (len(whole.rows) + whole.more, whole.others) == (used.deals, 0)
    assert (won.rows, won.others) == ([], 0), "how deals of others ended is told by no number"
    assert (stranger.rows, stranger.more) == ([], 0)
    assert stranger.others == len(whole.rows) + whole.more
    page = sign_in(company.user()).get("/assets/external:FIRST/insight/deals?days=0").text
    assert whole.rows[0].account not in page


def test_deals_whose_use_was_only_inferred_are_marked(company: Make) -> None:
    with company.service.database.reading() as db:
        found = dashboards.deals_of(db, access.operator(), "FIRST", Filters(0))
        second = dashboards.deals_of(db, access.operator(), "SECOND", Filters(0))
    assert {row.is_inferred for row in found.rows} == {True, False}
    assert {row.is_inferred for row in second.rows} == {False}


def test_the_figures_of_the_team_add_up(company: Make) -> None:
    with company.service.database.reading() as db:
        page = dashboards.team(db, access.operator(), Filters(0))
        parts = [dashboards.team(db, access.operator(), Filters(0, segment=one)) for one in page.segments]
    assert page.segments == ["m", "s"]
    assert page.open_deals == 150 == sum(part.open_deals for part in parts)
    assert page.touched == sum(part.touched for part in parts)
    assert page.assisted.n + page.others.n == 150
    assert page.assisted.interval is not None
    assert page.assisted.value is not None
    assert page.assisted.interval.low < page.assisted.value < page.assisted.interval.high
    assert [line.stage.key for line in page.stages] == ["discovery", "solution"]
    assert page.stages[0].entered == 150
    with company.service.database.reading() as db:
        mine = dashboards.team(db, company.actor(company.user(Role.MANAGER)), Filters(0, team="mine"))
    assert mine.open_deals == 0


def test_a_filter_tells_nothing_of_the_few_deals_it_leaves_out(company: Make) -> None:
    assert dashboards.share(6, 10, 0).value == 0.6
    assert dashboards.share(6, 10, 7).value == 0.6
    assert dashboards.share(6, 10, 3).value is None
    with company.service.database.writing() as db:
        few = db.scalars(select(Deal).where(Deal.segment == "s")).all()[3:]
        for deal in few:
            deal.segment = "m"
    with company.service.database.reading() as db:
        page = dashboards.team(db, access.operator(), Filters(0, segment="m"))
        board = dashboards.library(db, access.operator(), Filters(0, segment="m"), "en")
    assert page.assisted.n > 100
    assert page.assisted.value is None, "with the whole, it would tell of three deals"
    assert board.lines[0].win.value is None


def test_the_library_ranks_by_lift_and_use_and_names_what_nobody_used(company: Make) -> None:
    with company.service.database.reading() as db:
        page = dashboards.library(db, access.operator(), Filters(0), "en")
        faq = dashboards.library(db, access.operator(), Filters(0, type="faq"), "en")
        none = dashboards.library(db, access.operator(), Filters(0, type="deck"), "en")
    assert [line.external_id for line in page.lines] == ["FIRST", "SECOND"]
    assert [line.external_id for line in page.never] == ["NEVER"]
    assert page.reuse == 2 / 3
    assert page.lines[0].reuse is not None
    assert page.lines[0].tally.deals <= page.lines[0].could
    assert [one.tally.uses for one in page.types] == [sum(line.tally.uses for line in page.lines)]
    assert len(faq.lines) == 2
    assert none.lines == []


def test_small_groups_are_withheld_and_with_a_single_one_another() -> None:
    assert tallies.quiet([10, 3, 8], LEAST_SHOWN) == {1, 2}
    assert tallies.quiet([10, 3, 4], LEAST_SHOWN) == {1, 2}
    assert tallies.quiet([10, 0, 8], LEAST_SHOWN) == frozenset()
    assert tallies.quiet([3], LEAST_SHOWN) == {0}


def test_the_text_page_tells_its_limits_and_the_interface_the_same(company: Make, sign_in: SignIn) -> None:
    lead = sign_in(company.user(Role.MANAGER))
    page = lead.get(PAGES[2]).text
    assert "It does not prove" in page
    assert "<svg" in page
    told = lead.get("/api/v1/assets/external:FIRST/insight?days=0").json
    assert told is not None
    assert told["lift"]["verdict"] in {"helps", "unclear"}
    assert told["usage"]["deals"] <= told["could"]
    assert lead.get("/assets/external:FIRST/insight?days=31").status_code == 422
    assert "fewer than five closed deals" in lead.get("/assets/external:SECOND/insight?days=0").text


@pytest.mark.parametrize("risky", ["=1+1", "+1", "-1", "@x", "\tx", "|x"])
def test_tables_taken_along_hold_no_formula(risky: str) -> None:
    head, rows = ["Title", "n"], [[risky, 2], ["plain", None]]
    assert exported_table.as_csv(head, rows).decode("utf-8-sig").splitlines()[1].lstrip('"').startswith("'")
    sheet = openpyxl.load_workbook(BytesIO(exported_table.as_workbook("x", head, rows))).active
    assert sheet is not None
    cells = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert cells == [["Title", "n"], [f"'{risky}", 2], ["plain", None]]


def test_the_sheet_of_the_team_opens_and_has_a_line_for_each_text(company: Make, sign_in: SignIn) -> None:
    lead = sign_in(company.user(Role.MANAGER))
    answer = lead.get("/insight?days=0&format=xlsx")
    assert answer.headers["Content-Disposition"].endswith('"team.xlsx"')
    sheet = openpyxl.load_workbook(BytesIO(answer.data)).active
    assert sheet is not None
    rows = list(sheet.iter_rows(values_only=True))
    assert [row[0] for row in rows] == ["Title", "Text FIRST", "Text SECOND"]


def test_a_drawing_is_taken_along_in_colours_of_its_own(company: Make, sign_in: SignIn) -> None:
    lead = sign_in(company.user(Role.MANAGER))
    for address, chart in ((PAGES[0], "win"), (PAGES[0], "funnel"), (PAGES[1], "lift"), (PAGES[2], "stage")):
        answer = lead.get(f"{address}&format=svg&chart={chart}")
        assert answer.mimetype == "image/svg+xml"
        assert "var(" not in answer.text
        assert answer.text.startswith("<svg")
    assert lead.get(f"{PAGES[0]}&format=svg&chart=none").mimetype == "text/html"


@pytest.mark.parametrize(
    ("address", "table", "first"),
    [
        (PAGES[0], "funnel", "Stage"), (PAGES[0], "wins", "Deals"), (PAGES[1], "types", "Name"), (PAGES[1], "tags", "Name"),
        (PAGES[2], "stages", "Name"), (PAGES[2], "segments", "Name"), (PAGES[2], "versions", "Name"), (PAGES[2], "", "Week of"),
    ],
)  # fmt: skip
def test_every_table_is_taken_along(company: Make, sign_in: SignIn, address: str, table: str, first: str) -> None:
    lead = sign_in(company.user(Role.MANAGER))
    lines = lead.get(f"{address}&format=csv&table={table}").data.decode("utf-8-sig").splitlines()
    assert lines[0].startswith(first)
    assert len(lines) > 1 or table in {"tags", "versions"}


def test_an_empty_company_says_what_would_stand_there(make: Make, sign_in: SignIn) -> None:
    lead = sign_in(make.user(Role.MANAGER))
    assert "No deals in this period" in lead.get("/insight").text
    assert "Nothing to measure yet" in lead.get("/insight/content").text
    with pytest.raises(Invalid):
        dashboards.filters_of({"days": "7"})


def test_where_counting_takes_long_pages_show_the_last_count_while_the_next_is_made(
    company: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "QUICK", -1.0)
    monkeypatch.setattr(tallies, "REST", 0.0)
    database = company.service.database
    with database.reading() as db:
        first = tallies.present(db)
    with database.reading() as db:
        asset = db.scalars(select(Asset).where(Asset.external_id == "NEVER")).one()
    company.use(company.user(), asset)
    for _ in range(200):
        with database.reading() as db:
            found = tallies.present(db)
        if found is not first:
            break
        time.sleep(0.05)
    assert len(found.counted.at) == len(first.counted.at) + 1
    assert tallies.counts(found, tallies.Period())[asset.id].uses == 1


def test_hits_carry_the_lift_of_what_is_known(company: Make, sign_in: SignIn) -> None:
    company.index()
    rep = sign_in(company.user())
    hits = {hit["external_id"]: hit for hit in rep.get("/api/v1/search?q=Text").json["hits"]}  # type: ignore[index]
    assert hits["NEVER"]["lift"] is None
    lift = hits["FIRST"]["lift"]
    assert lift["low"] < lift["value"] < lift["high"]
    assert lift["n"] >= 30
    assert lift["verdict"] == "helps"
    assert "points won" in rep.get("/search?q=Text&deal=").text
