"""API tokens: shown once, kept as a hash, never more than their owner may now."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select
from time_machine import Traveller

from kb import clock, tokens, users
from kb.access import SYSTEM, Actor, Permission, Role
from kb.errors import Forbidden, Invalid, NotFound
from kb.tokens import ApiToken
from kb.users import NewUser, User
from tests.conftest import ORIGIN
from tests.factories import Make


@pytest.fixture
def time() -> Iterator[Traveller]:
    with time_machine.travel(datetime(2026, 11, 26, 1, 0, tzinfo=UTC), tick=False) as traveller:
        yield traveller


def created(make: Make, user: User, *scopes: str, name: str = "CRM widget") -> str:
    with make.service.database.writing() as session:
        return tokens.create(session, make.actor(user), session.get_one(User, user.id), name, scopes)


def found(make: Make, token: str) -> Actor | None:
    with make.service.database.reading() as session:
        answer = tokens.find(session, token)
    return answer[0] if answer else None


def get(app: Flask, address: str, token: str, scheme: str = "Bearer"):  # type: ignore[no-untyped-def]
    return app.test_client().get(address, base_url=ORIGIN, headers={"Authorization": f"{scheme} {token}"})


def test_a_token_stands_for_its_owner(make_any: Make) -> None:
    user = make_any.user(Role.MARKETER)
    actor = found(make_any, created(make_any, user))
    assert actor is not None
    assert (actor.user_id, actor.permissions) == (user.id, make_any.actor(user).permissions)
    assert actor.token_id is not None


def test_scopes_narrow_what_the_token_may(make_any: Make) -> None:
    actor = found(make_any, created(make_any, make_any.user(Role.ADMIN), "search", "metrics"))
    assert actor is not None
    assert actor.permissions == {Permission.SEARCH, Permission.METRICS}


def test_a_scope_its_owner_does_not_hold_gives_nothing(make: Make) -> None:
    actor = found(make, created(make, make.user(Role.REP), "search", "administer"))
    assert actor is not None
    assert actor.permissions == {Permission.SEARCH}


def test_a_token_loses_what_its_owner_loses(make: Make) -> None:
    user = make.user(Role.ADMIN)
    token = created(make, user)
    with make.service.database.writing() as session:
        users.put(session, SYSTEM, NewUser(user.email, roles=(Role.REP,)))
    actor = found(make, token)
    assert actor is not None
    assert not actor.may(Permission.ADMINISTER)


@pytest.mark.parametrize("scope", ["root", "Search", "search administer", "*"])
def test_an_unknown_scope_is_refused_and_no_token_made(make: Make, scope: str) -> None:
    with pytest.raises(Invalid) as told:
        created(make, make.user(), "search", scope)
    assert told.value.code == "unknown_scope"
    with make.service.database.reading() as session:
        assert session.scalars(select(ApiToken)).all() == []


def test_only_a_hash_is_kept(make: Make) -> None:
    token = created(make, make.user())
    with make.service.database.reading() as session:
        row = session.scalars(select(ApiToken)).one()
    assert token.startswith("kb_")
    assert token not in str(vars(row))
    assert token.removeprefix("kb_") not in str(vars(row))


def test_an_expired_token_is_nobody(make: Make, time: Traveller) -> None:
    token = created(make, make.user())
    time.shift(timedelta(days=tokens.MOST_DAYS) - timedelta(seconds=1))
    assert found(make, token) is not None
    time.shift(timedelta(seconds=1))
    assert found(make, token) is None


def test_a_revoked_token_is_nobody_and_the_others_stay(make: Make) -> None:
    user = make.user()
    first, second = created(make, user), created(make, user)
    with make.service.database.reading() as session:
        line = next(row for row in session.scalars(select(ApiToken).order_by(ApiToken.id)))
    with make.service.database.writing() as session:
        tokens.revoke(session, make.actor(user), line.public_id)
    assert (found(make, first), found(make, second) is None) == (None, False)
    with make.service.database.writing() as session, pytest.raises(NotFound):
        tokens.revoke(session, make.actor(user), line.public_id)


def test_nobody_revokes_or_makes_or_lists_tokens_of_others(make: Make) -> None:
    owner, other = make.user(), make.user(Role.ADMIN)
    token = created(make, owner)
    with make.service.database.reading() as session:
        line = session.scalars(select(ApiToken)).one()
        assert tokens.list_own(session, make.actor(other)) == []
        assert [shown.public_id for shown in tokens.list_own(session, make.actor(owner))] == [line.public_id]
    with make.service.database.writing() as session:
        with pytest.raises(NotFound):
            tokens.revoke(session, make.actor(other), line.public_id)
        with pytest.raises(NotFound):
            tokens.create(session, make.actor(other), session.get_one(User, owner.id), "theirs")
    assert found(make, token) is not None


def test_a_token_of_a_deactivated_person_is_nobody(make: Make) -> None:
    user = make.user()
    token = created(make, user)
    with make.service.database.writing() as session:
        session.get_one(User, user.id).deactivated_at = clock.now()
    assert found(make, token) is None


def test_a_token_without_the_scope_makes_no_further_tokens(make: Make) -> None:
    user = make.user()
    actor = found(make, created(make, user, "search"))
    assert actor is not None
    with make.service.database.writing() as session, pytest.raises(Forbidden):
        tokens.create(session, actor, session.get_one(User, user.id), "more")


@pytest.mark.parametrize("name", ["", "   ", "\n"])
def test_a_token_says_where_it_is_used(make: Make, name: str) -> None:
    with pytest.raises(Invalid) as told:
        created(make, make.user(), name=name)
    assert told.value.code == "name_missing"


def test_the_api_takes_a_token_and_refuses_unknown_ones(app: Flask, make: Make) -> None:
    token = created(make, make.user())
    assert get(app, "/api/v1/search?q=x", token).status_code == 200
    for wrong in (token[:-1], token + "x", "kb_", "", token.removeprefix("kb_")):
        answer = get(app, "/api/v1/search?q=x", wrong)
        assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")
        assert answer.mimetype == "application/problem+json"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_pages_take_no_token(app: Flask, make: Make) -> None:
    token = created(make, make.user(Role.ADMIN))
    for page in ("/", "/search?q=x", "/account/", "/library"):
        assert get(app, page, token).status_code == 302


def test_a_token_in_the_address_or_under_another_scheme_is_nobody(app: Flask, make: Make) -> None:
    token = created(make, make.user())
    assert (
        app.test_client().get(f"/api/v1/search?token={token}&access_token={token}", base_url=ORIGIN).status_code == 401
    )
    assert get(app, "/api/v1/search", token, "Basic").status_code == 401


def test_a_scope_is_asked_for_over_http_too(app: Flask, make: Make) -> None:
    admin = make.user(Role.ADMIN)
    assert get(app, "/metrics", created(make, admin, "search")).status_code == 403
    assert get(app, "/metrics", created(make, admin, "metrics")).status_code == 200
    assert get(app, "/api/v1/search", created(make, admin, "metrics")).status_code == 403


def test_the_owner_sees_when_a_token_was_last_used(app: Flask, make: Make) -> None:
    user = make.user()
    token = created(make, user)
    with make.service.database.reading() as session:
        assert tokens.list_own(session, make.actor(user))[0].used_at is None
    get(app, "/api/v1/search", token)
    with make.service.database.reading() as session:
        assert tokens.list_own(session, make.actor(user))[0].used_at is not None
