"""People: what a row of words makes of a person, and what ends when rights change."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from kb import clock, sessions, users
from kb.access import SYSTEM, Actor, Party, Permission, Role, Tier
from kb.app import Service
from kb.audit import AuditEntry
from kb.errors import Conflict, Forbidden, Invalid, NotFound
from kb.users import NewUser, Outcome, Team, User
from tests.factories import PASSWORD, Make


def put(service: Service, new: NewUser, actor: Actor = SYSTEM) -> Outcome:
    with service.database.writing() as session:
        return users.put(session, actor, new)


def actor(service: Service, email: str) -> Actor:
    with service.database.reading() as session:
        return users.actor_of(users.get_by_email(session, email))


def test_roles_parties_clearance_and_teams_become_the_actors(make_any: Make) -> None:
    service = make_any.service
    new = NewUser(
        "su.qing@yunshu.example",
        "苏晴",
        (Role.REVIEWER, Role.MARKETER),
        (Party.LEGAL,),
        Tier.RESTRICTED,
        ("east", "legal"),
        "zh_Hans",
    )
    assert put(service, new) is Outcome.CREATED
    found = actor(service, "su.qing@yunshu.example")
    assert (found.roles, found.parties) == ({Role.REVIEWER, Role.MARKETER}, {Party.LEGAL})
    assert (found.clearance, found.language, found.is_user) == (Tier.RESTRICTED, "zh_Hans", True)
    with service.database.reading() as session:
        assert set(session.scalars(select(Team.name).where(Team.id.in_(found.team_ids)))) == {"east", "legal"}


def test_the_same_again_is_unchanged_and_another_value_updates(make_any: Make) -> None:
    service = make_any.service
    new = NewUser("lin@yunshu.example", "Lin", (Role.REP,), teams=("east",))
    assert put(service, new) is Outcome.CREATED
    assert put(service, new) is Outcome.UNCHANGED
    assert (
        put(service, NewUser("lin@yunshu.example", "Lin", (Role.REP, Role.MANAGER), teams=("west",))) is Outcome.UPDATED
    )
    found = actor(service, "lin@yunshu.example")
    assert found.roles == {Role.REP, Role.MANAGER}
    assert len(found.team_ids) == 1


def test_an_update_leaves_the_password_and_what_is_not_given(make: Make) -> None:
    put(make.service, NewUser("lin@yunshu.example", "Lin Yue", language="en", password=PASSWORD))
    put(make.service, NewUser("lin@yunshu.example", roles=(Role.MANAGER,)))
    with make.service.database.reading() as session:
        user = users.get_by_email(session, "lin@yunshu.example")
        assert (user.name, user.language) == ("Lin Yue", "en")
        assert users.verify_password(user, PASSWORD)


@pytest.mark.parametrize(
    "changed",
    [{"roles": (Role.MANAGER,)}, {"clearance": Tier.PUBLIC}, {"teams": ("west",)}, {"parties": (Party.SALES,)}],
    ids=["role", "clearance", "team", "party"],
)
def test_a_change_of_rights_ends_open_sessions(make: Make, changed: dict[str, object]) -> None:
    put(make.service, NewUser("lin@yunshu.example", teams=("east",)))
    with make.service.database.writing() as session:
        token = sessions.open_for(session, users.get_by_email(session, "lin@yunshu.example"))
    values: dict[str, object] = {"email": "lin@yunshu.example", "teams": ("east",), **changed}
    assert put(make.service, NewUser(**values)) is Outcome.UPDATED  # type: ignore[arg-type]
    with make.service.database.reading() as session:
        assert sessions.find(session, token) is None


def test_an_unchanged_person_stays_signed_in(make: Make) -> None:
    new = NewUser("lin@yunshu.example", teams=("east",))
    put(make.service, new)
    with make.service.database.writing() as session:
        token = sessions.open_for(session, users.get_by_email(session, "lin@yunshu.example"))
    assert put(make.service, new) is Outcome.UNCHANGED
    with make.service.database.reading() as session:
        assert sessions.find(session, token) is not None


def test_only_who_administers_adds_people(make: Make) -> None:
    for role in set(Role) - {Role.ADMIN}:
        with pytest.raises(Forbidden):
            put(make.service, NewUser("new@yunshu.example"), make.actor(make.user(role)))
    assert put(make.service, NewUser("new@yunshu.example"), make.actor(make.user(Role.ADMIN))) is Outcome.CREATED


def test_an_address_is_taken_once_whatever_its_case(make_any: Make) -> None:
    with make_any.service.database.writing() as session:
        users.add(session, SYSTEM, users.new_user({"email": " Lin@Yunshu.Example ", "role": "rep"}))
        with pytest.raises(Conflict):
            users.add(session, SYSTEM, users.new_user({"email": "lin@yunshu.example", "role": "rep"}))
    with make_any.service.database.reading() as session:
        assert users.get_by_email(session, "LIN@yunshu.example").email == "lin@yunshu.example"


@pytest.mark.parametrize(
    "address",
    ["", "lin", "@yunshu.example", "lin@", "a b@c.d", "lin@y,x", "<lin@y.z>", "lin@@y", "lin@y@z", "l" * 65 + "@y.z"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Invalid) as told:
        users.normal_email(address)
    assert told.value.code == "invalid_email"


def test_every_mistake_of_a_row_is_told_together() -> None:
    with pytest.raises(Invalid) as told:
        users.new_user({"email": "nobody", "role": "boss", "party": "finance", "clearance": "secret", "language": "fr"})
    for word in ("nobody", "boss", "finance", "secret", "fr"):
        assert word in told.value.text


@pytest.mark.parametrize("separator", [",", ";", "，", "；", "、", " , "])
def test_words_are_separated_as_people_do(separator: str) -> None:
    new = users.new_user({"email": "x@y.z", "role": f"Rep{separator}marketer", "teams": f"east{separator}west"})
    assert new.roles == (Role.REP, Role.MARKETER)
    assert new.teams == ("east", "west")


def test_an_unknown_manager_is_refused_and_nothing_is_kept(make_any: Make) -> None:
    with pytest.raises(NotFound):
        put(make_any.service, NewUser("lin@yunshu.example", manager="nobody@yunshu.example"))
    with make_any.service.database.reading() as session:
        assert users.find_by_email(session, "lin@yunshu.example") is None


@pytest.mark.parametrize("weak", ["", "123456789", "weak@yunshu.example", "WEAK@yunshu.example"])
def test_weak_passwords_are_refused(make: Make, weak: str) -> None:
    put(make.service, NewUser("weak@yunshu.example"))
    with pytest.raises(users.WeakPassword), make.service.database.writing() as session:
        users.set_password(session, SYSTEM, users.get_by_email(session, "weak@yunshu.example"), weak)


def test_passwords_are_kept_as_argon2_hashes_alone(make: Make) -> None:
    user = make.user()
    make.password(user)
    with make.service.database.reading() as session:
        kept = session.scalars(select(User.password_hash).where(User.id == user.id)).one()
        assert kept.startswith("$argon2id$")
        assert PASSWORD not in kept
        assert PASSWORD not in str([entry.details for entry in session.scalars(select(AuditEntry))])


def test_nobody_and_people_without_password_or_place_cannot_sign_in(make: Make, quick_passwords: None) -> None:
    person, gone = make.user(), make.user()
    make.password(gone)
    with make.service.database.writing() as session:
        session.get_one(User, gone.id).deactivated_at = clock.now()
    with make.service.database.reading() as session:
        assert not users.verify_password(None, PASSWORD)
        assert not users.verify_password(users.find(session, person.id), "")
        assert not users.verify_password(users.find(session, person.id), PASSWORD)
        assert not users.verify_password(users.find(session, gone.id), PASSWORD)


def test_a_deactivated_person_is_no_actor(make: Make) -> None:
    user = make.user(Role.ADMIN)
    with make.service.database.writing() as session:
        session.get_one(User, user.id).deactivated_at = clock.now()
    with pytest.raises(NotFound):
        make.actor(user)


def test_the_own_password_needs_the_present_one(make: Make, quick_passwords: None) -> None:
    user = make.user()
    make.password(user)
    with make.service.database.writing() as session, pytest.raises(users.WrongPassword):
        users.change_own_password(session, make.actor(user), "not it at all", "another password")
    with make.service.database.writing() as session:
        users.change_own_password(session, make.actor(user), PASSWORD, "another password")
    with make.service.database.reading() as session:
        assert users.verify_password(users.find(session, user.id), "another password")
        assert not users.verify_password(users.find(session, user.id), PASSWORD)


def test_names_too_long_for_the_database_are_refused_by_word(make_any: Make) -> None:
    """PostgreSQL keeps to the length of a column, SQLite does not: the refusal must not come from there."""
    with pytest.raises(Invalid):
        put(make_any.service, users.new_user({"email": "lin@yunshu.example", "role": "rep", "name": "n" * 300}))
    with pytest.raises(Invalid):
        put(make_any.service, users.new_user({"email": "lin@yunshu.example", "role": "rep", "teams": "t" * 200}))


def test_a_change_of_rights_is_in_the_trail(make: Make) -> None:
    put(make.service, NewUser("lin@yunshu.example"))
    put(make.service, NewUser("lin@yunshu.example", roles=(Role.ADMIN,)), make.actor(make.user(Role.ADMIN)))
    with make.service.database.reading() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence.desc())).first()
    assert entry is not None
    assert (entry.action, entry.details["roles"]) == ("user.change", ["admin"])
    assert entry.actor.startswith("person")


def test_the_database_refuses_two_people_of_one_address(make_any: Make) -> None:
    user = make_any.user()
    with pytest.raises(DBAPIError), make_any.service.database.writing() as session:
        session.execute(
            text(
                "INSERT INTO user_account (public_id, email, name, password_hash, clearance, language, epoch, created_at) SELECT 'other', email, name, '', clearance, '', 1, created_at FROM user_account WHERE id = :id"
            ),
            {"id": user.id},
        )


def test_permissions_follow_the_present_roles(make: Make) -> None:
    user = make.user(Role.ADMIN)
    assert make.actor(user).may(Permission.ADMINISTER)
    put(make.service, NewUser(user.email, roles=(Role.REP,)))
    assert not make.actor(user).may(Permission.ADMINISTER)
