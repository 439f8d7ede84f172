"""Content gaps: what was searched and led nowhere, joined, weighed, owned; nobody named, nothing hidden told."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from content.deals import Deal
from content.models import UseEvent
from kb import cli, clock
from kb.access import Role, Tier
from kb.app import Service
from kb.users import User
from search import gaps
from search.gaps import Finding, Gap, GapState
from search.log import Search
from tests.conftest import SignIn, environment_of
from tests.factories import Make


def searched(
    make: Make, user: User, text: str, deal: Deal | None = None, *, hours: float = 2, total: int = 0
) -> Search:
    with make.service.database.writing() as session:
        row = Search(
            user_id=user.id,
            deal_id=deal.id if deal else None,
            text=text,
            mode="hybrid",
            total=total,
            at=clock.now() - timedelta(hours=hours),
        )
        session.add(row)
        session.flush()
        return row


def price(make: Make, deal: Deal, amount: int) -> None:
    with make.service.database.writing() as session:
        present = session.get_one(Deal, deal.id)
        present.amount, present.currency = Decimal(amount), "CNY"


def judged(make: Make, user: User, state: GapState | None = GapState.OPEN) -> list[gaps.GapLine]:
    while gaps.judge(make.service.database, make.service.finder):
        pass
    with make.service.database.reading() as session:
        return gaps.list_gaps(session, make.actor(user), state)


def test_searches_that_led_nowhere_are_joined_and_weighed_by_open_money(make_any: Make) -> None:
    make = make_any
    marketer, one, other = make.user(Role.MARKETER), make.user(teams=["East"]), make.user(teams=["West"])
    big, small, lost = make.deal(one), make.deal(other), make.deal(one, outcome=gaps.Outcome.LOST)
    for deal, amount in ((big, 300), (small, 50), (lost, 9_000)):
        price(make, deal, amount)
    for user, text, deal in (
        (one, "信创适配清单", big),
        (one, "信创适配清单", big),
        (other, "有没有信创适配清单", small),
        (one, "信创适配清单", lost),
        (other, "carbon footprint", small),
        (other, "ok", None),
    ):
        searched(make, user, text, deal)
    searched(make, one, "信创适配清单", big, hours=0.1)
    lines = judged(make, marketer)
    assert [(line.text, line.searches, line.people, line.deals) for line in lines] == [
        ("信创适配清单", 4, 2, 3),
        ("carbon footprint", 1, 1, 1),
        ("ok", 1, 1, 0),
    ]
    assert lines[0].amounts == (("CNY", Decimal(350)),), "each open deal once, closed ones not at all"
    assert lines[0].teams == ("East", "West")
    assert lines[0].finding is Finding.MISSING
    assert [one.text for one in lines[0].asked] == ["信创适配清单", "有没有信创适配清单"]
    assert judged(make, marketer) == lines, "judged once"


def test_a_search_that_led_to_a_look_or_a_use_is_no_gap(make: Make) -> None:
    asset = make.asset("Downtime", "downtime window")
    make.index()
    rep, marketer = make.user(), make.user(Role.MARKETER)
    row = searched(make, rep, "downtime window", total=1)
    with make.service.database.writing() as session:
        session.add(
            UseEvent(
                event_id="e1",
                asset_id=asset.id,
                user_id=rep.id,
                kind="view",
                deal_source="none",
                search_id=row.public_id,
                at=clock.now(),
            )
        )
    searched(make, rep, "window downtime", total=1)
    lines = judged(make, marketer)
    assert [(line.text, line.finding) for line in lines] == [("window downtime", Finding.NOT_FOUND)]
    assert [one.title for one in lines[0].existing] == ["Downtime"]


def test_what_is_locked_is_told_to_whom_it_may_be_told(make: Make) -> None:
    make.stages()
    make.asset("Discount rules", "discount rules of the last round", unlock="negotiation")
    make.asset("Merger plan", "merger plan of next year", tier=Tier.CONFIDENTIAL)
    make.index()
    rep = make.user()
    searched(make, rep, "discount rules last round")
    searched(make, rep, "merger plan next year")
    marketer, manager = make.user(Role.MARKETER, clearance=Tier.CONFIDENTIAL), make.user(Role.MANAGER)
    told = {line.text: (line.finding, [one.title for one in line.existing]) for line in judged(make, marketer)}
    assert told["discount rules last round"] == (Finding.LOCKED, ["Discount rules"])
    assert told["merger plan next year"] == (Finding.LOCKED, ["Merger plan"])
    told = {line.text: (line.finding, [one.title for one in line.existing]) for line in judged(make, manager)}
    assert told["discount rules last round"] == (Finding.LOCKED, ["Discount rules"])
    assert told["merger plan next year"] == (Finding.MISSING, []), "it does not exist for who is not cleared for it"


def test_a_gap_is_taken_answered_asked_again_and_dismissed(make: Make, sign_in: SignIn) -> None:
    marketer, rep = make.user(Role.MARKETER), make.user()
    searched(make, rep, "carbon footprint")
    line = judged(make, marketer)[0]
    asset = make.asset("Footprint", "carbon footprint")
    browser, other = sign_in(marketer), sign_in(make.user(Role.MARKETER))
    address = f"/api/v1/gaps/{line.public_id}"
    assert browser.post(address, json={"state": "taken"}).json["owner"] == marketer.name  # type: ignore[index]
    assert other.post(address, json={"state": "taken"}).status_code == 409
    assert browser.post(address, json={"state": "dismissed"}).status_code == 422
    assert browser.post(address, json={"state": "answered", "asset": "nothing-like-it"}).status_code == 404
    answered = browser.post(address, json={"state": "answered", "asset": asset.public_id}).json
    assert answered is not None
    assert (answered["state"], answered["answer"]) == ("answered", asset.public_id)
    searched(make, rep, "carbon footprint", hours=0.6)
    assert [one.state for one in judged(make, marketer, None)] == [GapState.ANSWERED], "asked before the answer"
    with make.service.database.writing() as session:
        session.execute(update(Gap).values(changed_at=clock.now() - timedelta(hours=5)))
    searched(make, rep, "Carbon footprint", hours=1)
    assert [one.state for one in judged(make, marketer, None)] == [GapState.OPEN], "asked again after it"
    page = browser.post(f"/gaps/{line.public_id}", data={"state": "dismissed", "reason": "we do not measure it"})
    assert page.status_code == 302
    assert "we do not measure it" in browser.get(f"/gaps/{line.public_id}?deal=").text
    assert browser.post(address, json={"state": "open"}).json["owner"] is None  # type: ignore[index]


def test_pages_name_nobody_and_are_for_those_who_measure(make: Make, sign_in: SignIn) -> None:
    rep = make.user(teams=["East"])
    searched(make, rep, "carbon footprint", make.deal(rep, account="Secret Customer"))
    marketer = make.user(Role.MARKETER)
    reference = judged(make, marketer)[0].public_id
    browser = sign_in(marketer)
    for path in ("/gaps?deal=", f"/gaps/{reference}?deal=", "/api/v1/gaps", f"/api/v1/gaps/{reference}"):
        told = browser.get(path).text
        assert "carbon footprint" in told
        assert rep.name not in told
        assert rep.email not in told
        assert "Secret Customer" not in told
        assert sign_in(rep).get(path).status_code == 403
    assert browser.get("/gaps/nothing?deal=").status_code == 404
    assert browser.post(f"/gaps/{reference}", data={"state": "gone"}).status_code == 422


def test_without_a_gap_the_page_says_so(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user(Role.MARKETER))
    assert "Every search has led somewhere" in browser.get("/gaps?deal=").text
    assert "None in this state" in browser.get("/gaps?deal=&state=taken").text


def test_the_command_reports_them(make: Make, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    searched(make, make.user(), "carbon footprint")
    for name, value in environment_of(service.settings.data_dir).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KB_ENCODER", "off")
    told = CliRunner().invoke(cli.cli, ["report", "gaps", "--json"])
    assert told.exit_code == 0, told.output
    assert [(one["text"], one["searches"]) for one in json.loads(told.stdout)] == [("carbon footprint", 1)]
    assert "carbon footprint" in CliRunner().invoke(cli.cli, ["report", "gaps"]).stdout


def test_after_half_a_year_a_search_is_nobodys(make: Make) -> None:
    rep = make.user()
    searched(make, rep, "old", hours=24 * 181)
    searched(make, rep, "new")
    with make.service.database.writing() as session:
        gaps.forget_names(session)
    with make.service.database.reading() as session:
        assert dict(session.execute(select(Search.text, Search.user_id)).all()) == {"old": None, "new": rep.id}  # type: ignore[arg-type]
