"""How fast reviews are: worked examples in working hours, rounds a text needed, what is late."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from content import submission
from content.models import Asset
from kb import clock
from kb.access import Party, Role
from kb.users import User
from review import figures
from review.machine import Answer
from tests.conftest import SignIn
from tests.factories import Make
from tests.review.test_rounds import OTHER, draft, newest, rewrite, say, submit

MONDAY = datetime(2026, 11, 23, 9, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


def at(monkeypatch: pytest.MonkeyPatch, **later: int) -> None:
    moment = (MONDAY + timedelta(**later)).astimezone(UTC)
    monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([5.0], 0.9, 5.0),
        (list(map(float, range(1, 11))), 0.9, 9.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, 2.0], 0.9, 2.0),
    ],
)
def test_the_percentile_is_of_the_nearest_rank(values: list[float], share: float, found: float) -> None:
    assert figures.percentile(values, share) == found


def one_after_changes(make: Make, monkeypatch: pytest.MonkeyPatch) -> tuple[Asset, User]:
    """Legal wants changes after an hour, all approve the second text an hour and a half after it came on Tuesday."""
    make.stages()
    panel = make.panel()
    author = make.user(Role.MARKETER)
    at(monkeypatch)
    asset = draft(make, author)
    submit(make, asset, author)
    at(monkeypatch, hours=1)
    say(make, panel[Party.LEGAL], newest(make, asset), Party.LEGAL, Answer.REQUEST_CHANGES, "clearer")
    for party in (Party.MARKETING, Party.SALES):
        say(make, panel[party], newest(make, asset), party)
    at(monkeypatch, days=1)
    rewrite(make, asset, author, OTHER)
    submit(make, asset, author)
    at(monkeypatch, days=1, hours=5)  # 14:00, of which 90 minutes are the break
    for party in Party:
        say(make, panel[party], newest(make, asset), party)
    return asset, author


def test_hours_are_worked_and_rounds_are_counted(make_any: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    _asset, author = one_after_changes(make_any, monkeypatch)
    with make_any.service.database.reading() as db:
        found = figures.of(db, make_any.actor(author))
    whole = {one.party: one for one in found.cycles if one.type is None}
    assert {
        party: (one.decided, one.median_hours, one.p90_hours, one.late) for party, one in whole.items()
    } == dict.fromkeys(Party, (2, 2.2, 3.5, 0.0))
    assert (found.cleared, found.rounds_per_text, found.first_time) == (1, 2.0, 0.0)
    assert sum(found.waiting.values()) == 0


def test_what_waits_too_long_is_late_and_nobody_counts_what_they_may_not_see(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_after_changes(make, monkeypatch)
    author, stranger = make.user(Role.MARKETER), make.user(Role.REVIEWER)
    with make.service.database.writing() as db:
        submission.submit(db, make.actor(author), draft(make, author).public_id)
    at(monkeypatch, days=7)
    with make.service.database.reading() as db:
        found = figures.of(db, make.actor(author), 30)
        nothing = figures.of(db, make.actor(stranger), 30)
    assert dict(found.late_now) == dict.fromkeys(Party, 1)
    assert (nothing.cycles, nothing.cleared, sum(nothing.waiting.values())) == ((), 0, 0)


def test_the_page_and_the_interface_say_the_same(make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = sign_in(make.user(Role.MARKETER))
    assert "Nothing decided in this period" in empty.get("/reviews/figures").text
    monkeypatch.undo()
    author = make.user(Role.MARKETER)
    make.stages()
    panel = make.panel()
    asset = draft(make, author)
    submit(make, asset, author)
    for party in Party:
        say(make, panel[party], newest(make, asset), party)
    browser = sign_in(author)
    page = browser.get("/reviews/figures?days=30").text
    assert "1 text was cleared in this period." in page
    assert "Cleared in the first round: 100 %" in page
    shown = browser.get("/api/v1/reviews/figures?days=30").json
    assert (shown["cleared"], shown["first_time"], {one["decided"] for one in shown["cycles"]}) == (1, 1.0, {1})
    assert browser.get("/api/v1/reviews/figures?days=0").status_code == 422
    assert sign_in(make.user()).get("/reviews/figures").status_code == 403
