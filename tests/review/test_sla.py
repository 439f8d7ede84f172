"""Clocks of reviews: who is told when, each once; what somebody left lying returns."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from content import submission
from content.models import Asset
from kb import audit, clock, notices
from kb.access import Party, Role
from kb.users import User
from review import rounds, sla
from review.models import Round, Step
from tests.factories import Make

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=SHANGHAI)


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(clock, "now", lambda: moment.astimezone(UTC))


def waiting(make: Make) -> tuple[Asset, Round]:
    make.stages()
    make.panel()
    author = make.user(Role.MARKETER)
    asset = make.asset(publish=False, author=author, tags=[make.stage_id("discovery")], owners=[author])
    with make.service.database.writing() as db:
        submission.submit(db, make.actor(author), asset.public_id)
    with make.service.database.reading() as db:
        return asset, db.scalars(select(Round)).one()


def told(make: Make, who: User) -> list[str]:
    with make.service.database.reading() as db:
        return sorted(one.kind for one in notices.list_newest(db, who.id) if one.kind != "review")


def test_the_three_levels_are_told_to_whom_they_concern(make_any: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make, database = make_any, make_any.service.database
    coordinator = make.user(Role.COORDINATOR)
    lead = make.user(Role.MANAGER, Role.REVIEWER, parties=[Party.SALES])
    at(monkeypatch, MONDAY)
    waiting(make)
    sales, legal = make.panel()[Party.SALES], make.panel()[Party.LEGAL]
    at(monkeypatch, MONDAY + timedelta(hours=8))
    assert sla.tell_due(database) == 0
    at(monkeypatch, MONDAY.replace(day=24, hour=14, minute=30))  # 12 of 16 working hours, and 12 of 24
    assert [sla.tell_due(database), sla.tell_due(database)] == [2, 0]
    assert (told(make, sales), told(make, legal), told(make, coordinator)) == (["review_due"], [], [])
    at(monkeypatch, MONDAY.replace(day=24, hour=18, minute=30))
    sla.tell_due(database)
    assert "review_late" in told(make, lead)
    assert told(make, coordinator) == ["review_late"], "marketing has no lead of its own"
    at(monkeypatch, MONDAY.replace(day=25, hour=18, minute=30))
    sla.tell_due(database)
    assert "review_stuck" in told(make, coordinator)
    at(monkeypatch, MONDAY.replace(day=30))
    for _ in range(4):
        sla.tell_due(database)
    assert sla.tell_due(database) == 0
    with database.reading() as db:
        reminded = [
            (entry.details["party"], entry.details["percent"])
            for entry in db.scalars(select(audit.AuditEntry).where(audit.AuditEntry.action == "step.remind"))
        ]
        assert sorted(reminded) == [(party.value, level) for party in sorted(Party) for level in (75, 100, 150)]
        assert audit.verify(db).intact


def test_what_is_over_is_told_to_nobody(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, MONDAY)
    asset, _ = waiting(make)
    with make.service.database.writing() as db:
        submission.take_back(db, make.actor(make.user(Role.ADMIN)), asset.public_id)
    at(monkeypatch, MONDAY + timedelta(days=20))
    assert sla.tell_due(make.service.database) == 0
    assert told(make, make.panel()[Party.LEGAL]) == []


def test_what_lies_idle_for_a_working_day_returns(make_any: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make, database = make_any, make_any.service.database
    at(monkeypatch, MONDAY + timedelta(hours=8, minutes=30))
    _, found = waiting(make)
    with database.writing() as db:
        rounds.claim(db, make.actor(make.panel()[Party.LEGAL]), found.public_id, Party.LEGAL)
    at(monkeypatch, MONDAY.replace(day=24, hour=17, minute=29))
    assert sla.return_idle(database) == 0
    at(monkeypatch, MONDAY.replace(day=24, hour=17, minute=30))
    assert [sla.return_idle(database), sla.return_idle(database)] == [1, 0]
    with database.reading() as db:
        assert db.scalars(select(Step.claimed_by_id)).all() == [None, None, None]
        assert audit.verify(db).intact
