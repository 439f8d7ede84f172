"""A session lives by its row: it ends by age, by idleness, by sign-out and by a change of the person."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import func, select
from time_machine import Traveller

from kb import clock, sessions, users
from kb.access import SYSTEM
from kb.sessions import IDLE, LIFETIME, SignedIn
from kb.users import User
from tests.factories import Make

SECOND = timedelta(seconds=1)


@pytest.fixture
def time() -> Iterator[Traveller]:
    with time_machine.travel(datetime(2026, 11, 26, 1, 0, tzinfo=UTC), tick=False) as traveller:
        yield traveller


def opened(make: Make, user: User) -> str:
    with make.service.database.writing() as session:
        return sessions.open_for(session, session.get_one(User, user.id))


def alive(make: Make, token: str) -> bool:
    with make.service.database.reading() as session:
        return sessions.find(session, token) is not None


def touch(make: Make, token: str) -> None:
    with make.service.database.writing() as session:
        sessions.touch(session, token)


def test_a_session_stands_for_its_person(make_any: Make) -> None:
    user = make_any.user()
    token = opened(make_any, user)
    with make_any.service.database.reading() as session:
        found = sessions.find(session, token)
    assert found is not None
    assert (found[0].user_id, found[1].email) == (user.id, user.email)


@pytest.mark.parametrize("wrong", ["", "x", "\ud800", "0" * 500])
def test_an_unknown_secret_is_nobody(make: Make, wrong: str) -> None:
    opened(make, make.user())
    assert not alive(make, wrong)


def test_only_a_hash_of_the_secret_is_kept(make: Make) -> None:
    token = opened(make, make.user())
    with make.service.database.reading() as session:
        row = session.scalars(select(SignedIn)).one()
    assert token not in str(vars(row))
    assert len(row.token_hash) == 64


def test_idle_sessions_end(make: Make, time: Traveller) -> None:
    token = opened(make, make.user())
    time.shift(IDLE)
    assert alive(make, token)
    time.shift(SECOND)
    assert not alive(make, token)
    touch(make, token)
    assert not alive(make, token)


def test_use_keeps_a_session_alive_up_to_its_absolute_age(make: Make, time: Traveller) -> None:
    token = opened(make, make.user())
    begun = clock.now()
    while clock.now() + timedelta(hours=3) < begun + LIFETIME:
        time.shift(timedelta(hours=3))
        touch(make, token)
    time.move_to(begun + LIFETIME)
    touch(make, token)
    assert alive(make, token)
    time.shift(SECOND)
    assert not alive(make, token)


def test_a_touch_is_due_at_most_every_five_minutes(make: Make, time: Traveller) -> None:
    token = opened(make, make.user())
    with make.service.database.reading() as session:
        assert not sessions.is_due_for_touch(session, token)
        time.shift(sessions.TOUCH_EVERY + SECOND)
        assert sessions.is_due_for_touch(session, token)
    touch(make, token)
    with make.service.database.reading() as session:
        assert not sessions.is_due_for_touch(session, token)


def test_sign_out_ends_this_session_and_no_other(make: Make) -> None:
    user, other = make.user(), make.user()
    here, there, theirs = opened(make, user), opened(make, user), opened(make, other)
    with make.service.database.writing() as session:
        sessions.close(session, here)
    assert (alive(make, here), alive(make, there), alive(make, theirs)) == (False, True, True)


def test_a_new_password_ends_every_session_of_the_person(make: Make) -> None:
    user, other = make.user(), make.user()
    tokens, theirs = [opened(make, user) for _ in range(3)], opened(make, other)
    with make.service.database.writing() as session:
        users.set_password(session, SYSTEM, session.get_one(User, user.id), "a new long password")
    assert [alive(make, token) for token in tokens] == [False] * 3
    assert alive(make, theirs)
    assert alive(make, opened(make, user))


def test_a_deactivated_person_is_out_at_once(make: Make) -> None:
    user = make.user()
    token = opened(make, user)
    with make.service.database.writing() as session:
        session.get_one(User, user.id).deactivated_at = clock.now()
    assert not alive(make, token)


def test_rows_of_sessions_that_are_over_do_not_pile_up(make: Make, time: Traveller) -> None:
    user = make.user()
    for _ in range(3):
        opened(make, user)
        time.shift(LIFETIME + SECOND)
    opened(make, user)
    with make.service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(SignedIn)) == 1
