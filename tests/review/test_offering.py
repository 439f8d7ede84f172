"""To whom an item is offered: language, type, least open, there before it is due; whose working time its clock counts."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from content.kinds import AssetType
from content.models import Asset
from kb import audit, clock, notices
from kb.access import Party, Role, Tier
from kb.errors import Forbidden, Invalid, NotFound
from kb.users import User, UserParty
from review import absence, beginning, hours, inbox, policy, profiles, rounds, sla
from review.calendars import of as calendar_of
from review.machine import Answer
from review.models import Round, Step
from review.policy import Duty, Line
from tests.conftest import SignIn
from tests.factories import Make
from tests.review.test_rounds import draft, newest, say, submit

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=SHANGHAI)


@pytest.fixture(autouse=True)
def _monday(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)


def at(monkeypatch: pytest.MonkeyPatch, **later: int) -> None:
    moment = (MONDAY + timedelta(**later)).astimezone(UTC)
    monkeypatch.setattr(clock, "now", lambda: moment)


class Desk:
    """A panel with further people of legal, and an author."""

    def __init__(self, make: Make, more: int = 2) -> None:
        make.stages()
        self.make, self.database = make, make.service.database
        self.legal = [make.panel()[Party.LEGAL], *(self.reviewer() for _ in range(more))]
        self.coordinator = make.user(Role.COORDINATOR)
        self.author = make.user(Role.MARKETER)

    def reviewer(self, *parties: Party) -> User:
        return self.make.user(Role.REVIEWER, parties=parties or [Party.LEGAL], clearance=Tier.CONFIDENTIAL)

    def says(self, who: User, **profile: object) -> None:
        with self.database.writing() as db:
            profiles.put(db, self.make.actor(who), who.public_id, **profile)  # type: ignore[arg-type]

    def submit(self) -> Asset:
        asset = draft(self.make, self.author)
        submit(self.make, asset, self.author)
        return asset

    def step(self, asset: Asset, party: Party = Party.LEGAL) -> Step:
        with self.database.reading() as db:
            return db.scalars(
                select(Step)
                .join(Round, Round.id == Step.round_id)
                .where(Round.asset_id == asset.id, Step.party == party.value)
                .order_by(Step.id.desc())
            ).first()  # type: ignore[return-value]

    def told(self, who: User) -> list[str]:
        with self.database.reading() as db:
            return [one.kind for one in notices.list_newest(db, who.id)]


def test_items_are_shared_out_by_least_open(make_any: Make) -> None:
    desk = Desk(make_any)
    offered = [desk.step(desk.submit()).offered_to_id for _ in range(6)]
    assert sorted(offered[:3]) == sorted(offered[3:]) == sorted(one.id for one in desk.legal)
    assert desk.told(desk.legal[0]) == ["review", "review"]  # nobody is told of what was offered to a colleague


def test_it_goes_to_who_reviews_the_language_and_type(make: Make) -> None:
    desk = Desk(make)
    desk.says(desk.legal[0], languages=["zh"])
    desk.says(desk.legal[1], types=["white_paper"])
    desk.says(desk.legal[2], languages=["en"], types=["faq"])
    assert {desk.step(desk.submit()).offered_to_id for _ in range(4)} == {
        desk.legal[2].id
    }  # English questions and answers


def test_where_nobody_reviews_such_a_text_it_is_offered_all_the_same(make: Make) -> None:
    desk = Desk(make, more=0)
    desk.says(desk.legal[0], types=["deck"])
    assert desk.step(desk.submit()).offered_to_id == desk.legal[0].id


def test_who_is_away_beyond_the_due_time_is_never_offered_and_who_is_back_before_comes_last(make: Make) -> None:
    desk = Desk(make, more=1)
    first, second = desk.legal
    with desk.database.writing() as db:
        absence.put(db, make.actor(first), MONDAY.date(), date(2026, 12, 18), [])
    assert [desk.step(desk.submit()).offered_to_id for _ in range(3)] == [second.id] * 3
    with desk.database.writing() as db:
        absence.put(db, make.actor(second), MONDAY.date(), MONDAY.date(), [])
    assert desk.step(desk.submit()).offered_to_id == second.id  # back tomorrow, before it is due


def test_with_everybody_away_nobody_is_offered_and_the_coordinator_is_told(make: Make) -> None:
    desk = Desk(make, more=0)
    with desk.database.writing() as db:
        absence.put(db, make.actor(desk.legal[0]), MONDAY.date(), date(2026, 12, 18), [])
    assert desk.step(desk.submit()).offered_to_id is None
    assert desk.told(desk.coordinator) == ["review_unmanned"]


def test_one_person_is_not_offered_two_parties_of_a_round(make: Make) -> None:
    desk = Desk(make, more=0)
    both = desk.reviewer(Party.LEGAL, Party.MARKETING)
    with desk.database.writing() as db:
        db.delete(db.get_one(UserParty, (make.panel()[Party.MARKETING].id, Party.MARKETING.value)))
    for _ in range(3):
        asset = desk.submit()
        assert desk.step(asset, Party.MARKETING).offered_to_id == both.id
        assert desk.step(asset).offered_to_id == desk.legal[0].id


def test_the_clock_counts_the_working_time_of_whom_it_is_offered_to(make_any: Make) -> None:
    desk = Desk(make_any, more=0)
    desk.says(desk.legal[0], zone="Europe/Berlin", country="DE")
    step = desk.step(desk.submit())
    assert (step.zone, step.country) == ("Europe/Berlin", "DE")
    assert step.due_at == hours.due(MONDAY, step.hours, calendar_of("Europe/Berlin", "DE"))
    assert step.due_at != hours.due(MONDAY, step.hours, calendar_of())
    desk.says(desk.legal[0], zone="", country="")
    with desk.database.reading() as db:
        running = db.get_one(Step, step.id)
        assert running.due_at == step.due_at  # a clock that runs keeps the time it began with
        assert beginning.left(running) == timedelta(hours=step.hours)


def test_a_claim_is_idle_by_the_working_time_of_whoever_has_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(make, more=0)
    desk.says(desk.legal[0], zone="America/Los_Angeles", country="US")
    asset = desk.submit()
    with desk.database.writing() as db:
        rounds.claim(db, make.actor(desk.legal[0]), newest(make, asset).public_id, Party.LEGAL)
    at(monkeypatch, hours=12)  # a working day in Shanghai, a night in Los Angeles
    assert sla.return_idle(desk.database) == 0
    at(monkeypatch, hours=24 + 18)
    assert sla.return_idle(desk.database) == 1


def test_what_nobody_took_at_three_quarters_is_everybodys(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(make, more=1)
    step = desk.step(asset := desk.submit())
    other = next(one for one in desk.legal if one.id != step.offered_to_id)
    assert desk.told(other) == []
    monkeypatch.setattr(clock, "now", lambda: step.tell_at)
    sla.tell_due(desk.database)
    assert desk.step(asset).offered_to_id is None
    assert desk.told(other) == ["review_due"]


def test_what_was_offered_to_who_has_left_goes_to_somebody_else(make_any: Make) -> None:
    desk = Desk(make_any, more=1)
    asset = desk.submit()
    gone = desk.step(asset).offered_to_id
    with desk.database.writing() as db:
        db.get_one(User, gone).deactivated_at = clock.now()
    assert sla.offer_again(desk.database) == 1
    assert desk.step(asset).offered_to_id not in {gone, None}
    assert sla.offer_again(desk.database) == 0


def test_an_absence_that_begins_moves_what_was_only_offered(make: Make) -> None:
    desk = Desk(make, more=1)
    asset = desk.submit()
    step = desk.step(asset)
    who, other = sorted(desk.legal, key=lambda one: one.id != step.offered_to_id)
    with desk.database.writing() as db:
        absence.put(db, make.actor(who), MONDAY.date(), MONDAY.date(), [])
    after = desk.step(asset)
    assert (after.offered_to_id, after.claimed_by_id, after.due_at) == (other.id, None, step.due_at)
    assert "review" in desk.told(other)
    assert desk.told(desk.coordinator) == []


def test_where_two_are_to_decide_the_second_is_offered_after_the_first_verdict(make: Make) -> None:
    desk = Desk(make, more=2)
    administrator = make.user(Role.ADMIN)
    with desk.database.writing() as db:
        lines = [
            Line(
                line.type,
                line.handling,
                {party: Duty(duty.hours, 2 if party is Party.LEGAL else 1) for party, duty in line.duties.items()},
            )
            for line in policy.in_force(db).lines
        ]
        policy.change(db, make.actor(administrator), lines, 8)
    asset = desk.submit()
    assert all(desk.told(one) == ["review"] for one in desk.legal)
    first = next(one for one in desk.legal if one.id == desk.step(asset).offered_to_id)
    say(make, first, newest(make, asset), Party.LEGAL, Answer.APPROVE)
    assert desk.step(asset).offered_to_id not in {first.id, None}


def test_the_queue_says_whose_it_is_and_the_menu_counts_ones_own(make: Make) -> None:
    desk = Desk(make, more=1)
    assets = [desk.submit() for _ in range(4)]
    who = desk.legal[0]
    actor = make.actor(who)
    with desk.database.reading() as db:
        assert inbox.queue(db, actor).total == 4
        mine = inbox.queue(db, actor, mine=True)
        assert (mine.total, all(row.is_offered for row in mine.rows)) == (2, True)
        assert inbox.waiting_for(db, actor) == 2
        found = inbox.next_after(db, actor)
    assert found is not None
    first_of_mine = next(one for one in assets if desk.step(one).offered_to_id == who.id)
    assert found[0] == newest(make, first_of_mine).public_id


def test_who_gives_it_back_is_not_offered_it_any_more(make: Make) -> None:
    desk = Desk(make, more=1)
    asset = desk.submit()
    who = next(one for one in desk.legal if one.id == desk.step(asset).offered_to_id)
    found = newest(make, asset)
    with desk.database.writing() as db:
        rounds.claim(db, make.actor(who), found.public_id, Party.LEGAL)
        rounds.release(db, make.actor(who), found.public_id, Party.LEGAL)
    assert desk.step(asset).offered_to_id is None


# --- profiles ---


def test_a_profile_is_ones_own_or_the_coordinators_to_change(make: Make) -> None:
    desk = Desk(make, more=1)
    one, other = desk.legal
    for allowed in (one, desk.coordinator):
        with desk.database.writing() as db:
            found = profiles.put(db, make.actor(allowed), one.public_id, languages=["zh"], country="de")
            assert (found.languages, found.country) == ({"zh"}, "DE")
    for refused in (other, desk.author):
        with pytest.raises(Forbidden), desk.database.writing() as db:
            profiles.put(db, make.actor(refused), one.public_id)
    with pytest.raises(NotFound), desk.database.writing() as db:
        profiles.put(db, make.actor(desk.coordinator), desk.author.public_id)  # does not review
    with desk.database.reading() as db:
        assert audit.verify(db).intact


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"zone": "Mars/Olympus"}, "profile_zone"),
        ({"zone": "../etc/passwd"}, "profile_zone"),
        ({"country": "ZZ"}, "profile_country"),
        ({"languages": ["xx"]}, "profile_choice"),
        ({"types": ["poem"]}, "profile_choice"),
    ],
)
def test_what_nobody_could_work_by_is_refused(make: Make, wrong: dict[str, object], code: str) -> None:
    desk = Desk(make, more=0)
    with pytest.raises(Invalid) as refused:
        desk.says(desk.legal[0], **wrong)
    assert refused.value.code == code


def test_the_page_is_filled_in_and_kept_when_it_is_wrong(make: Make, sign_in: SignIn) -> None:
    desk = Desk(make, more=0)
    who = desk.legal[0]
    browser = sign_in(who)
    assert who.name in browser.get("/reviews/reviewers").text
    address = f"/reviews/reviewers/{who.public_id}"
    wrong = browser.post(address, data={"language": ["zh"], "zone": "nowhere", "country": "DE"})
    assert wrong.status_code == 422
    assert 'value="nowhere"' in wrong.text
    browser.post(address, data={"language": ["zh"], "type": ["deck"], "zone": "Europe/Berlin", "country": "DE"})
    with desk.database.reading() as db:
        found = profiles.get(db, who.id)
    assert (found.languages, found.types, found.zone, found.country) == (
        {"zh"},
        {AssetType.DECK},
        "Europe/Berlin",
        "DE",
    )
    assert "Germany" in browser.get("/reviews/reviewers").text
    assert sign_in(desk.author).get(address).status_code == 403
    assert sign_in(desk.author).get("/reviews/reviewers").status_code == 200


def test_programs_read_and_set_it(make: Make, sign_in: SignIn) -> None:
    desk = Desk(make, more=0)
    who = desk.legal[0]
    browser = sign_in(who)
    put = browser.put(f"/api/v1/reviews/reviewers/{who.public_id}", json={"languages": ["en"], "zone": "Asia/Tokyo"})
    assert put.status_code == 200
    shown = {one["id"]: one for one in browser.get("/api/v1/reviews/reviewers").json["items"]}
    assert (shown[who.public_id]["languages"], shown[who.public_id]["zone"]) == (["en"], "Asia/Tokyo")
    assert browser.put(f"/api/v1/reviews/reviewers/{who.public_id}", json={"zone": "x"}).status_code == 422
