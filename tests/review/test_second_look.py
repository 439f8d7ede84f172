"""An urgent fix waits for nobody who is off duty: they look again within five working days of its going live."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from content.models import Doubt, Version
from content.verifying import Blocked, verify
from kb import audit, clock
from kb.access import Party, Role
from kb.users import User
from review import calendars, hours, inbox
from review.machine import Answer
from review.models import Absence, Round, Step
from tests.conftest import SignIn
from tests.factories import Make
from tests.review.test_rounds import say
from tests.review.test_urgent import RIGHT, Scene

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
FRIDAY_NIGHT = datetime(2026, 11, 27, 19, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.fixture(autouse=True)
def _monday(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, MONDAY)


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(clock, "now", lambda: moment.astimezone(UTC))


class Fix(Scene):
    """An urgent fix that is submitted while a party is away."""

    def __init__(self, make: Make, *away: Party) -> None:
        super().__init__(make)
        for party in away:
            self.send_away(make.panel()[party])
        self.report()
        self.write(RIGHT)
        self.version = self.submit()

    def send_away(self, who: User) -> None:
        with self.database.writing() as db:
            span = {"starts_at": clock.now(), "ends_at": clock.now() + timedelta(days=9)}
            db.add(Absence(user_id=who.id, deputies=[], created_at=clock.now(), **span))

    def rounds(self) -> Sequence[Round]:
        with self.database.reading() as db:
            return db.scalars(select(Round).order_by(Round.id)).all()

    def steps(self, row: Round) -> dict[str, Step]:
        with self.database.reading() as db:
            return {step.party: step for step in db.scalars(select(Step).where(Step.round_id == row.id))}

    def say(self, party: Party, answer: Answer = Answer.APPROVE) -> None:
        say(self.make, self.make.panel()[party], self.rounds()[-1], party, answer, "The old price stands.")

    def go_live(self) -> None:
        for party in sorted(Party):
            if party.value in self.steps(self.rounds()[0]):
                self.say(party)

    def state(self) -> str:
        with self.database.reading() as db:
            return db.get_one(Version, self.version.id).state

    def doubts(self) -> list[tuple[str, str]]:
        with self.database.reading() as db:
            return [(one.cause, one.about) for one in db.scalars(select(Doubt))]


def test_who_is_off_duty_is_asked_afterwards(make_any: Make) -> None:
    fix = Fix(make_any, Party.LEGAL)
    first = fix.rounds()[0]
    assert set(fix.steps(first)) == {"marketing", "sales"}
    assert first.afterwards == ["legal"]
    fix.go_live()
    assert fix.state() == "published"
    _, second = fix.rounds()
    assert (second.follows_id, second.state, second.case_id) == (first.id, "open", None)
    (step,) = fix.steps(second).values()
    assert (step.party, step.due_at) == ("legal", hours.due(MONDAY, 40, calendars.company()))
    fix.say(Party.LEGAL)
    assert [row.state for row in fix.rounds()] == ["approved", "approved"]
    assert (fix.doubts(), fix.is_held(), fix.state()) == ([], False, "published")
    with fix.database.reading() as db:
        assert audit.verify(db).intact


def test_all_are_asked_at_once_where_all_are_on_duty_or_none_is(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    fix = Fix(make)
    assert (set(fix.steps(fix.rounds()[0])), fix.rounds()[0].afterwards) == (set(Party), None)
    fix.go_live()
    assert len(fix.rounds()) == 1
    at(monkeypatch, FRIDAY_NIGHT)  # nobody works before Sunday night: nobody clears it alone
    night = Fix(make)
    assert set(night.steps(night.rounds()[-1])) == set(Party)


def test_an_ordinary_review_waits_for_everybody(make: Make) -> None:
    scene = Scene(make)
    with scene.database.writing() as db:
        span = {"starts_at": clock.now(), "ends_at": clock.now() + timedelta(days=9)}
        db.add(Absence(user_id=make.panel()[Party.LEGAL].id, deputies=[], created_at=clock.now(), **span))
    scene.write(RIGHT)
    scene.submit(is_urgent=False)
    with scene.database.reading() as db:
        assert set(db.scalars(select(Step.party))) == {party.value for party in Party}


def test_changes_leave_it_live_and_unverified_until_the_next_text(make_any: Make) -> None:
    fix = Fix(make_any, Party.LEGAL)
    fix.go_live()
    fix.say(Party.LEGAL, Answer.REQUEST_CHANGES)
    assert fix.doubts() == [("second_look", "legal")]
    assert (fix.state(), fix.is_held()) == ("published", False)
    assert "review_changes_requested" in fix.told(fix.owner)
    with pytest.raises(Blocked), fix.database.writing() as db:
        verify(db, make_any.actor(fix.owner), None, fix.asset.public_id)
    make_any.new_version(fix.asset, RIGHT + "\nAsk for the list.\n")
    assert fix.doubts() == []


def test_a_no_takes_it_from_its_readers_until_the_next_text(make: Make) -> None:
    fix = Fix(make, Party.LEGAL)
    fix.go_live()
    assert fix.reads(fix.rep)
    fix.say(Party.LEGAL, Answer.REJECT)
    assert (fix.is_held(), fix.reads(fix.rep)) == (True, False)
    make.new_version(fix.asset, RIGHT + "\nAsk for the list.\n")
    assert (fix.is_held(), fix.reads(fix.rep)) == (False, True)


def test_the_next_text_or_a_withdrawal_ends_the_second_look(make_any: Make) -> None:
    fix = Fix(make_any, Party.LEGAL)
    fix.go_live()
    make_any.new_version(fix.asset, RIGHT + "\nAsk for the list.\n")
    assert [row.state for row in fix.rounds() if row.follows_id] == ["taken_back"]
    other = Fix(make_any)  # legal is still away
    other.go_live()
    make_any.withdraw(other.asset)
    assert [row.state for row in other.rounds() if row.follows_id] == ["taken_back", "taken_back"]


def test_another_of_the_party_may_give_it(make: Make) -> None:
    fix = Fix(make, Party.LEGAL)
    fix.go_live()
    colleague = make.user(Role.REVIEWER, parties=[Party.LEGAL])
    with fix.database.reading() as db:
        page = inbox.get_page(db, make.actor(colleague), fix.rounds()[-1].public_id)
        assert page.deciding is not None
        assert inbox.queue(db, make.actor(colleague)).rows[0].is_second_look
    say(make, colleague, fix.rounds()[-1], Party.LEGAL)
    assert fix.rounds()[-1].state == "approved"


def test_the_pages_say_what_it_is(make: Make, sign_in: SignIn) -> None:
    fix = Fix(make, Party.LEGAL)
    first = fix.rounds()[0]
    browser = sign_in(make.panel()[Party.MARKETING])
    assert "within five working days" in browser.get(f"/reviews/{first.public_id}?deal=").text
    fix.go_live()
    legal = sign_in(make.panel()[Party.LEGAL])
    assert "live already: look again" in legal.get("/reviews?deal=").text
    page = legal.get(f"/reviews/{fix.rounds()[-1].public_id}?deal=").text
    assert "Readers have it already" in page
    shown = legal.get(f"/api/v1/reviews/{fix.rounds()[-1].public_id}").json
    assert (shown["second_look"], shown["afterwards"]) == (True, [])
    fix.say(Party.LEGAL, Answer.REQUEST_CHANGES)
    assert "legal wants changes" in sign_in(fix.rep).get(f"/assets/{fix.asset.public_id}?deal=").text
    assert (
        "looked at again after an urgent fix went live"
        in sign_in(fix.owner).get(f"/assets/{fix.asset.public_id}/audit?deal=").text
    )
