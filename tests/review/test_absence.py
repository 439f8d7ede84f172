"""Absence: what somebody has taken moves to a deputy when it begins, and nothing is given to who is away."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from content.models import Asset
from kb import audit, clock, notices
from kb.access import Party, Role, Tier
from kb.errors import Conflict, Forbidden, Invalid, NotFound
from kb.users import User
from review import absence, away, rounds, sla
from review.models import Absence, Step
from tests.conftest import SignIn
from tests.factories import Make
from tests.review.test_rounds import draft, newest, submit

MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
WEDNESDAY, FRIDAY = date(2026, 11, 25), date(2026, 11, 27)


@pytest.fixture(autouse=True)
def _monday(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)


def at(monkeypatch: pytest.MonkeyPatch, **later: int) -> None:
    moment = (MONDAY + timedelta(**later)).astimezone(UTC)
    monkeypatch.setattr(clock, "now", lambda: moment)


class Scene:
    """An open round that the panel's legal reviewer has taken, and further people of legal."""

    def __init__(self, make: Make, deputies: int = 2) -> None:
        make.stages()
        self.make, self.database = make, make.service.database
        self.legal = make.panel()[Party.LEGAL]
        self.deputies = [
            make.user(Role.REVIEWER, parties=[Party.LEGAL], clearance=Tier.CONFIDENTIAL) for _ in range(deputies)
        ]
        self.coordinator = make.user(Role.COORDINATOR)
        self.author = make.user(Role.MARKETER)
        self.asset: Asset = draft(make, self.author)
        submit(make, self.asset, self.author)
        self.round = newest(make, self.asset)
        with self.database.writing() as db:
            rounds.claim(db, make.actor(self.legal), self.round.public_id, Party.LEGAL)

    def be_away(self, who: User | None = None, first: date = WEDNESDAY, *deputies: User) -> str:
        with self.database.writing() as db:
            emails = [one.email for one in deputies]
            return absence.put(db, self.make.actor(who or self.legal), first, FRIDAY, emails).public_id

    def step(self) -> Step:
        with self.database.reading() as db:
            return db.scalars(select(Step).where(Step.party == "legal")).one()

    def told(self, who: User) -> list[str]:
        with self.database.reading() as db:
            return [one.kind for one in notices.list_newest(db, who.id)]


def test_what_was_taken_moves_when_it_begins_and_the_clock_runs_on(
    make_any: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(make_any)
    scene.be_away(None, WEDNESDAY, scene.deputies[1], scene.deputies[0])
    look, due = absence.sweep(scene.database), scene.step().due_at
    at(monkeypatch, days=1)
    look()
    assert scene.step().claimed_by_id == scene.legal.id
    at(monkeypatch, days=2)
    look()
    look()
    assert (scene.step().claimed_by_id, scene.step().due_at) == (scene.deputies[1].id, due)
    with scene.database.reading() as db:
        moves = db.scalars(select(audit.AuditEntry).where(audit.AuditEntry.action == "step.move")).all()
        assert len(moves) == 1
        assert audit.verify(db).intact


def test_it_moves_at_once_where_it_begins_today(make: Make) -> None:
    scene = Scene(make)
    scene.be_away(None, MONDAY.date(), scene.deputies[0])
    assert scene.step().claimed_by_id == scene.deputies[0].id


def test_deputies_who_wrote_left_or_are_away_are_passed_over(make: Make) -> None:
    scene = Scene(make, deputies=3)
    first, second, third = scene.deputies
    with scene.database.writing() as db:
        db.get_one(User, first.id).deactivated_at = clock.now()
    with scene.database.writing() as db:
        db.add(Absence(user_id=second.id, starts_at=clock.now(), ends_at=clock.now() + timedelta(days=9), deputies=[]))
    with pytest.raises(Invalid):
        scene.be_away(None, MONDAY.date(), first)  # who has left is nobody's deputy
    scene.be_away(None, MONDAY.date(), second, third)
    assert scene.step().claimed_by_id == third.id


def test_a_deputy_who_is_not_cleared_for_the_text_is_passed_over(make_any: Make) -> None:
    scene = Scene(make_any, deputies=1)
    low = make_any.user(Role.REVIEWER, parties=[Party.LEGAL], clearance=Tier.INTERNAL)
    make_any.set_asset(scene.asset, tier=Tier.RESTRICTED.value)
    scene.be_away(None, MONDAY.date(), low, scene.deputies[0])
    assert scene.step().claimed_by_id == scene.deputies[0].id


def test_with_no_deputy_left_the_coordinator_is_told(make_any: Make) -> None:
    scene = Scene(make_any, deputies=1)
    writer = scene.deputies[0]
    scene.be_away(writer, MONDAY.date())
    scene.be_away(None, MONDAY.date(), writer)
    assert scene.step().claimed_by_id is None
    assert set(scene.told(scene.coordinator)) == {"review_unmanned"}


def test_nothing_is_given_to_who_is_away_until_it_is_due(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(make)
    gone, there = scene.deputies
    scene.be_away(gone, MONDAY.date())
    with scene.database.writing() as db, pytest.raises(Invalid) as refused:
        rounds.hand_over(db, make.actor(scene.legal), scene.round.public_id, Party.LEGAL, gone.email)
    assert refused.value.code == "absent"
    other = draft(make, scene.author)
    submit(make, other, scene.author)
    assert "review" in scene.told(there)
    assert scene.told(gone) == []
    with scene.database.reading() as db:
        assert away.which(db, [gone.id, there.id]) == {gone.id}
    at(monkeypatch, days=6)
    with scene.database.reading() as db:
        assert away.which(db, [gone.id, there.id]) == set()
    assert sla.tell_due(scene.database) > 0


def test_a_round_that_begins_while_all_of_a_party_are_away_is_the_coordinators(make: Make) -> None:
    scene = Scene(make, deputies=0)
    scene.be_away(None, MONDAY.date())
    other = draft(make, scene.author)
    submit(make, other, scene.author)
    with scene.database.reading() as db:
        told = [one for one in notices.list_newest(db, scene.coordinator.id) if one.object_id == other.id]
    assert [one.kind for one in told] == ["review_unmanned"]


@pytest.mark.parametrize(
    ("first", "last"),
    [(FRIDAY, WEDNESDAY), (date(2026, 11, 2), date(2026, 11, 3)), (WEDNESDAY, date(2028, 1, 1))],
)
def test_a_span_that_is_none_is_refused(make: Make, first: date, last: date) -> None:
    scene = Scene(make)
    with scene.database.writing() as db, pytest.raises(Invalid):
        absence.put(db, make.actor(scene.legal), first, last, [])


def test_deputies_are_of_ones_party_and_nobody_is_away_twice(make: Make) -> None:
    scene = Scene(make)
    sales = make.panel()[Party.SALES]
    for wrong in ([sales.email], [scene.legal.email], ["nobody@yunshu.example"], [scene.deputies[0].email] * 2):
        with scene.database.writing() as db, pytest.raises(Invalid):
            absence.put(db, make.actor(scene.legal), WEDNESDAY, FRIDAY, wrong)
    scene.be_away()
    with scene.database.writing() as db, pytest.raises(absence.Overlaps):
        absence.put(db, make.actor(scene.legal), FRIDAY, FRIDAY, [])
    with scene.database.writing() as db, pytest.raises(Forbidden):
        absence.put(db, make.actor(scene.author), WEDNESDAY, FRIDAY, [])


def test_one_cancels_ones_own_and_a_coordinator_anybodys(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(make)
    mine = scene.be_away()
    with scene.database.writing() as db, pytest.raises(NotFound):
        absence.cancel(db, make.actor(scene.deputies[0]), mine)
    with scene.database.reading() as db:
        assert absence.list_shown(db, make.actor(scene.deputies[0])) == []
        assert len(absence.list_shown(db, make.actor(scene.coordinator))) == 1
    with scene.database.writing() as db:
        absence.cancel(db, make.actor(scene.coordinator), mine)
    with scene.database.writing() as db, pytest.raises(Conflict):
        absence.cancel(db, make.actor(scene.legal), mine)
    at(monkeypatch, days=2)
    absence.sweep(scene.database)()
    assert scene.step().claimed_by_id == scene.legal.id


def test_the_page_and_the_interface(make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(make)
    monkeypatch.undo()
    legal, coordinator = sign_in(scene.legal), sign_in(scene.coordinator)
    assert "Nobody is away" in coordinator.get("/reviews/absences").text
    page = legal.get("/reviews/absences").text
    assert scene.deputies[0].name in page
    wrong = legal.post("/reviews/absences", data={"first": "soon", "last": "", "deputy_1": scene.deputies[1].email})
    assert wrong.status_code == 422
    assert f'value="{scene.deputies[1].email}" selected' in wrong.text
    today = clock.now().date()
    until = today + timedelta(days=3)
    given = {"first": today.isoformat(), "last": until.isoformat(), "deputy_1": scene.deputies[1].email}
    assert legal.post("/reviews/absences", data=given).status_code == 302
    assert scene.deputies[1].name in coordinator.get("/reviews/absences").text
    (shown,) = legal.get("/api/v1/reviews/absences").json["items"]
    assert (shown["last"], shown["deputies"]) == (until.isoformat(), [scene.deputies[1].name])
    assert legal.post(f"/api/v1/reviews/absences/{shown['id']}/cancel").json == {"items": []}
    body = {"first": "2027-03-01", "last": "2027-03-02", "deputies": [scene.deputies[0].email]}
    assert legal.post("/api/v1/reviews/absences", json=body).status_code == 201
    assert sign_in(scene.author).post("/api/v1/reviews/absences", json=body).status_code == 403
    found = legal.get("/api/v1/reviews/absences").json["items"][0]["id"]
    assert legal.post(f"/reviews/absences/{found}/cancel").status_code == 302
