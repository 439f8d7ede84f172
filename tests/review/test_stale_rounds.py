"""What came back and lies with its author is told once; what stands still goes up to the managers of those who were asked."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from kb import audit, clock, notices
from kb.access import Party, Role
from kb.users import User
from review import sla
from review.machine import Answer
from tests.factories import Make
from tests.review.test_rounds import OTHER, draft, newest, rewrite, say, submit

MONDAY = datetime(2026, 11, 2, 10, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


def at(monkeypatch: pytest.MonkeyPatch, **later: int) -> None:
    moment = (MONDAY + timedelta(**later)).astimezone(UTC)
    monkeypatch.setattr(clock, "now", lambda: moment)


def told(make: Make, who: User) -> list[str]:
    with make.service.database.reading() as db:
        return [one.kind for one in notices.list_newest(db, who.id)]


def test_what_came_back_and_lies_is_told_once(make_any: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch)
    make_any.stages()
    make_any.panel()
    author = make_any.user(Role.MARKETER)
    lying, taken_up = draft(make_any, author), draft(make_any, author)
    for asset in (lying, taken_up):
        submit(make_any, asset, author)
        for party in sorted(Party):
            answer = Answer.REQUEST_CHANGES if party is Party.LEGAL else Answer.APPROVE
            say(make_any, make_any.panel()[party], newest(make_any, asset), party, answer, "Say which system.")
    at(monkeypatch, days=7)
    rewrite(make_any, taken_up, author, OTHER)
    submit(make_any, taken_up, author)
    at(monkeypatch, days=11)
    assert sla.tell_stale(make_any.service.database) == 0  # nine working days
    at(monkeypatch, days=15)
    assert sla.tell_stale(make_any.service.database) == 1
    assert sla.tell_stale(make_any.service.database) == 0
    assert told(make_any, author).count("review_stale") == 1
    with make_any.service.database.reading() as db:
        assert audit.verify(db).intact


def test_what_stands_still_goes_to_the_managers_of_those_who_were_asked(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch)
    make.stages()
    head = make.user(Role.MANAGER)
    for party in Party:
        make.user(Role.REVIEWER, parties=[party], manager=head.email)
    coordinator = make.user(Role.COORDINATOR)
    submit(make, draft(make, author := make.user(Role.MARKETER)), author)
    for day in range(1, 12):
        at(monkeypatch, days=day)
        sla.tell_due(make.service.database)
    assert told(make, head).count("review_stuck") == 3
    assert told(make, coordinator).count("review_stuck") == 3
