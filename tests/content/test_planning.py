"""The content calendar: what falls on which day, who sees it, moving it, its feed and its table."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest
from sqlalchemy import event, select

from content import planning, submission
from content.kinds import AssetType
from content.models import Asset, CalendarAddress, PlanItem, Version
from content.planning import Kind, NewItem
from kb import clock
from kb.access import Role, Tier
from kb.errors import Forbidden, Invalid, NotFound
from kb.users import User, UserRole
from tests.factories import Make

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def items(make: Make, user: User, first: date, last: date, zone: ZoneInfo = SHANGHAI) -> list[planning.Item]:
    with make.service.database.reading() as db:
        return list(planning.list_items(db, make.actor(user), zone, first, last))


def scheduled(make: Make, at: datetime) -> tuple[Asset, Version]:
    make.stages()
    make.panel()
    marketer = make.user(Role.MARKETER)
    asset = make.asset(publish=False, tags=[make.stage_id("discovery")], owners=[marketer])
    with make.service.database.writing() as db:
        version = submission.submit(db, make.actor(marketer), asset.public_id)
        make.clear(version, db)
        submission.publish(db, make.actor(marketer), asset.public_id, at)
    return asset, version


def test_everything_stands_on_its_day_in_the_companys_zone(make_any: Make) -> None:
    make = make_any
    marketer = make.user(Role.MARKETER)
    today = clock.now().astimezone(SHANGHAI).date()
    late = datetime.combine(today + timedelta(days=3), datetime.min.time(), SHANGHAI) + timedelta(hours=23, minutes=30)
    scheduled(make, late.astimezone(UTC))
    ends = datetime.combine(today + timedelta(days=6), datetime.min.time(), SHANGHAI).astimezone(UTC)
    make.asset("Ends with day five", expires_at=ends)
    waiting = make.asset("Waits", publish=False, tags=[make.stage_id("discovery")], owners=[marketer])
    with make.service.database.writing() as db:
        submission.submit(db, make.actor(marketer), waiting.public_id)
        planning.add(db, make.actor(marketer), NewItem("New case", AssetType.CASE_STUDY, today + timedelta(days=1)))
    make.set_asset(make.asset("Was verified", asset_type=AssetType.BATTLE_CARD), verified_at=clock.now())
    found = {(item.kind, item.day - today) for item in items(make, marketer, today, today + timedelta(days=62))}
    assert {
        (Kind.IN_REVIEW, timedelta(0)), (Kind.PLANNED, timedelta(1)), (Kind.SCHEDULED, timedelta(3)),
        (Kind.EXPIRING, timedelta(5)), (Kind.VERIFY, timedelta(60)),
    } <= found  # fmt: skip


def test_an_hour_that_the_clocks_skip_or_repeat_is_kept_when_moved(make: Make) -> None:
    day = date(clock.now().year + 1, 6, 20)
    _, version = scheduled(make, datetime(day.year, day.month, day.day, 9, 0, tzinfo=BERLIN).astimezone(UTC))
    winter = date(day.year, 11, 20)
    with make.service.database.writing() as db:
        planning.move(db, make.actor(make.user(Role.MARKETER)), BERLIN, Kind.SCHEDULED, version.public_id, winter)
    with make.service.database.reading() as db:
        at = db.get_one(Version, version.id).publish_at
        assert at is not None
        assert at == datetime(day.year, 11, 20, 9, 0, tzinfo=BERLIN)


def test_nobody_sees_the_plans_of_assets_they_may_not_edit(make: Make) -> None:
    hidden = make.asset("Hidden", tier=Tier.CONFIDENTIAL, expires_at=clock.now() + timedelta(days=2))
    marketer, rep = make.user(Role.MARKETER), make.user(Role.REP)
    admin = make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL)
    today = clock.now().date()
    with make.service.database.writing() as db:
        item = planning.add(
            db, make.actor(admin), NewItem("Secret plan", AssetType.OTHER, today, asset=hidden.public_id)
        )
    assert items(make, marketer, today, today + timedelta(days=5)) == []
    assert {one.title for one in items(make, admin, today, today + timedelta(days=5))} >= {"Hidden", "Secret plan"}
    with pytest.raises(Forbidden):
        items(make, rep, today, today)
    for kind, public_id in ((Kind.PLANNED, item.public_id), (Kind.EXPIRING, hidden.public_id)):
        with pytest.raises(NotFound), make.service.database.writing() as db:
            planning.move(db, make.actor(marketer), SHANGHAI, kind, public_id, today + timedelta(days=4))


def test_a_later_end_waits_and_an_earlier_one_holds_at_once(make: Make) -> None:
    make.panel()
    marketer = make.actor(make.user(Role.MARKETER))
    end = clock.now() + timedelta(days=10)
    asset = make.asset(expires_at=end)
    day = end.astimezone(SHANGHAI).date()
    for way, outcome in ((3, "waits"), (-3, "moved")):
        with make.service.database.writing() as db:
            assert (
                planning.move(db, marketer, SHANGHAI, Kind.EXPIRING, asset.public_id, day + timedelta(days=way))
                == outcome
            )
    with make.service.database.reading() as db:
        assert db.get_one(Asset, asset.id).expires_at == end - timedelta(days=3)


def test_what_has_no_day_of_its_own_is_not_moved(make: Make) -> None:
    asset = make.asset()
    with pytest.raises(planning.NotMovable), make.service.database.writing() as db:
        planning.move(
            db, make.actor(make.user(Role.MARKETER)), SHANGHAI, Kind.VERIFY, asset.public_id, clock.now().date()
        )
    _, version = scheduled(make, clock.now() + timedelta(days=2))
    with pytest.raises(Invalid), make.service.database.writing() as db:
        planning.move(
            db, make.actor(make.user(Role.MARKETER)), SHANGHAI, Kind.SCHEDULED, version.public_id, date(2020, 1, 1)
        )


def test_the_feed_holds_what_its_person_may_edit_now(make: Make, sign_in: object) -> None:
    marketer = make.user(Role.MARKETER)
    make.asset("Ends, soon; really", expires_at=clock.now() + timedelta(days=5))
    browser = sign_in(marketer)  # type: ignore[operator]
    page = browser.post("/calendar/address")
    secret = next(part.split("/calendar/")[-1] for part in page.text.split(".ics") if "/calendar/" in part[-60:])
    nobody = sign_in(None)  # type: ignore[operator]
    got = nobody.get(f"/calendar/{secret}.ics")
    assert (got.status_code, got.mimetype) == (200, "text/calendar")
    events = icalendar.Calendar.from_ical(got.data).walk("VEVENT")
    told = {str(one["SUMMARY"]) for one in events}
    assert told == {"Expires · Ends, soon; really", "To be verified · Ends, soon; really"}
    assert nobody.get("/calendar/" + "x" * 43 + ".ics").status_code == 404
    with make.service.database.reading() as db:
        kept = db.scalars(select(CalendarAddress)).one()
        assert secret not in kept.secret_hash
    with make.service.database.writing() as db:
        db.delete(db.scalars(select(UserRole).where(UserRole.user_id == marketer.id)).one())
    assert nobody.get(f"/calendar/{secret}.ics").status_code == 404


def test_a_new_address_ends_the_former_one(make: Make, sign_in: object) -> None:
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]

    def address() -> str:
        page = browser.post("/calendar/address").text
        return str(next(part.split("/calendar/")[-1] for part in page.split(".ics") if "/calendar/" in part[-60:]))

    first, second = address(), address()
    assert [browser.get(f"/calendar/{one}.ics").status_code for one in (first, second)] == [404, 200]
    browser.post("/calendar/address/revoke")
    assert browser.get(f"/calendar/{second}.ics").status_code == 404


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@x", "\t=1", "|x", "%x", "＝1", "＋1", "－1", "＠x", " =1", "\ufeff=1"]
)
def test_A87_cells_that_look_like_formulas_are_text(make: Make, cell: str) -> None:
    marketer = make.actor(make.user(Role.MARKETER))
    day = date(2027, 2, 3)
    with make.service.database.writing() as db:
        planning.add(db, marketer, NewItem(f"x{cell}", AssetType.OTHER, day, note=f"{cell}"))
        db.scalars(select(PlanItem)).one().title = cell
        db.flush()
        made = planning.to_csv(
            planning.list_items(db, marketer, SHANGHAI, *planning.quarter("2027Q1")), planning.KIND_NAMES, ""
        )
    row = list(csv.reader(io.StringIO(made.decode("utf-8-sig"))))[1]
    assert row[3] == f"'{cell}"
    assert row[:2] == ["2027-W05", "2027-02-03"]


@pytest.mark.parametrize(
    ("word", "days"),
    [("2027Q1", (date(2027, 1, 1), date(2027, 3, 31))), ("2027q4", (date(2027, 10, 1), date(2027, 12, 31)))],
)
def test_a_quarter_is_three_months(word: str, days: tuple[date, date]) -> None:
    assert planning.quarter(word) == days


@pytest.mark.parametrize("word", ["", "2027", "2027Q5", "Q1", "99999Q1"])
def test_what_is_no_quarter_is_refused(word: str) -> None:
    with pytest.raises(Invalid):
        planning.quarter(word)


@pytest.mark.parametrize("view", ["week", "month", "quarter"])
def test_every_view_shows_its_items_and_asks_the_same_number_of_questions(
    make: Make, sign_in: object, view: str
) -> None:
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    asked: list[str] = []
    event.listen(make.service.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    counts = []
    for number in (1, 6):
        for _ in range(number):
            make.asset("On the calendar", expires_at=clock.now() + timedelta(minutes=30))
        asked.clear()
        page = browser.get(f"/calendar?view={view}&deal=")
        counts.append(len(asked))
        assert "On the calendar" in page.text
    assert counts[0] == counts[1]


def test_a_plan_item_leads_to_its_asset(make: Make, sign_in: object) -> None:
    marketer = make.user(Role.MARKETER)
    browser = sign_in(marketer)  # type: ignore[operator]
    browser.post("/calendar/items", data={"title": "Case of a bank", "type": "case_study", "due_on": "2027-03-01"})
    with make.service.database.reading() as db:
        item = db.scalars(select(PlanItem)).one()
    browser.post(
        "/assets/new", data={"title": "Case of a bank", "type": "case_study", "language": "en", "plan": item.public_id}
    )
    with make.service.database.reading() as db:
        assert db.scalars(select(PlanItem.asset_id)).one() == db.scalars(select(Asset.id)).one()
