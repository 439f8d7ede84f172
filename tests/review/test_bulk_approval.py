"""Several approvals at once: only where the round's policy allows it, a verdict each, refused one by one."""

import pytest
from sqlalchemy import select

from content.kinds import Handling
from content.models import Asset
from kb.access import SYSTEM, Party, Role
from kb.users import User
from review import inbox, policy, rounds
from review.models import Round, Verdict
from review.policy import Duty, Line
from tests.conftest import SignIn
from tests.factories import Make
from tests.review.test_rounds import draft, newest, submit


def allow(make: Make, *, bulk: bool = True) -> None:
    with make.service.database.writing() as db:
        duties = {Party.LEGAL: Duty(8), Party.SALES: Duty(8)}
        policy.change(db, SYSTEM, [Line(None, Handling.SPOKEN, duties, bulk)], 8)


def waiting(make: Make, author: User, count: int = 2) -> list[tuple[Asset, Round]]:
    found = []
    for _ in range(count):
        asset = draft(make, author)
        submit(make, asset, author)
        found.append((asset, newest(make, asset)))
    return found


@pytest.fixture
def author(make_any: Make) -> User:
    make_any.stages()
    make_any.panel()
    return make_any.user(Role.MARKETER)


def test_each_gets_a_verdict_of_its_own(make_any: Make, author: User) -> None:
    allow(make_any)
    legal = make_any.actor(make_any.panel()[Party.LEGAL])
    several = waiting(make_any, author)
    with make_any.service.database.reading() as db:
        assert all(row.is_for_bulk for row in inbox.queue(db, legal).rows)
    for _asset, row in several:
        with make_any.service.database.writing() as db:
            rounds.approve_in_bulk(db, legal, row.public_id, Party.LEGAL, row.digest)
    with make_any.service.database.reading() as db:
        given = db.scalars(select(Verdict)).all()
        assert [(one.party, one.digest) for one in given] == [("legal", row.digest) for _asset, row in several]
        assert not any(row.is_for_bulk for row in inbox.queue(db, legal).rows)


def test_it_is_not_allowed_unless_the_policy_says_so_when_the_round_began(make_any: Make, author: User) -> None:
    legal = make_any.actor(make_any.panel()[Party.LEGAL])
    ((_asset, row),) = waiting(make_any, author, 1)
    allow(make_any)  # too late for this round
    with make_any.service.database.writing() as db, pytest.raises(rounds.NotInBulk):
        rounds.approve_in_bulk(db, legal, row.public_id, Party.LEGAL, row.digest)
    allow(make_any, bulk=False)
    ((_asset, row),) = waiting(make_any, author, 1)
    with make_any.service.database.writing() as db, pytest.raises(rounds.NotInBulk):
        rounds.approve_in_bulk(db, legal, row.public_id, Party.LEGAL, row.digest)


def test_the_queue_and_the_interface_tell_what_was_not_counted(make: Make, sign_in: SignIn) -> None:
    make.stages()
    legal = make.panel()[Party.LEGAL]
    author = make.user(Role.MARKETER)
    admin = sign_in(make.user(Role.ADMIN))
    form = {"line": "*/spoken", "hours/*/spoken/legal": "8", "bulk/*/spoken": "1", "difference_hours": "8"}
    assert admin.post("/review-policy", data=form).status_code == 302
    assert 'name="bulk/*/spoken" value="1" checked' in admin.get("/review-policy").text
    (_, first), (_, second), (_, third) = waiting(make, author, 3)
    browser = sign_in(legal)
    page = browser.get("/reviews").text
    assert f'value="{first.public_id}:legal:{first.digest}"' in page
    stale = f"{second.public_id}:legal:{'0' * 64}"
    given = {"item": [f"{first.public_id}:legal:{first.digest}", stale, "nonsense", "x:legal:y"]}
    answer = browser.post("/reviews/approve", data=given, follow_redirects=True).text
    assert "1 approved." in answer
    assert "The text has changed since you looked at it" in answer
    assert "Tick what you approve" in browser.post("/reviews/approve", data={}, follow_redirects=True).text
    items = [{"review": one.public_id, "party": "legal", "digest": one.digest} for one in (first, second, third)]
    outcome = browser.post("/api/v1/reviews/approve", json={"items": items}).json["items"]
    assert [one["refused"] for one in outcome] == ["decided_already", "", ""]
    assert sign_in(author).post("/api/v1/reviews/approve", json={"items": items}).status_code == 403


def test_what_has_pictures_is_opened_by_legal(make_any: Make, author: User) -> None:
    allow(make_any)
    panel = make_any.panel()
    asset = make_any.asset(
        text="## Say\n\n![How](/attachments/abc)\n",
        publish=False,
        author=author,
        owners=[author],
        tags=[make_any.stage_id("discovery")],
    )
    submit(make_any, asset, author)
    row = newest(make_any, asset)
    with make_any.service.database.reading() as db:
        found = {
            party: inbox.queue(db, make_any.actor(panel[party])).rows[0].is_for_bulk
            for party in (Party.LEGAL, Party.SALES)
        }
    assert found == {Party.LEGAL: False, Party.SALES: True}
    with make_any.service.database.writing() as db, pytest.raises(rounds.NotInBulk):
        rounds.approve_in_bulk(db, make_any.actor(panel[Party.LEGAL]), row.public_id, Party.LEGAL, row.digest)
