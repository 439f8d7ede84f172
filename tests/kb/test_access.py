"""Who may do what: the whole table, as an auditor reads it."""

import getpass

import pytest

from kb import access
from kb.access import GRANTS, SYSTEM, Actor, ActorKind, Permission, Role, Tier, operator, require
from kb.errors import Forbidden

EVERYBODY = {"search", "use", "account"}
TABLE = {
    "rep": EVERYBODY,
    "marketer": EVERYBODY | {"edit", "publish", "curate", "prove", "measure"},
    "reviewer": EVERYBODY | {"edit", "prove", "review"},
    "manager": EVERYBODY | {"measure"},
    "coordinator": EVERYBODY | {"edit", "measure"},
    "admin": EVERYBODY | {"edit", "publish", "curate", "prove", "measure", "import", "administer", "metrics"},
}


def person(*roles: Role, scopes: frozenset[Permission] | None = None) -> Actor:
    return Actor(ActorKind.USER, "somebody", user_id=1, roles=frozenset(roles), scopes=scopes)


def test_the_table_grants_exactly_this() -> None:
    assert {role.value: {p.value for p in granted} for role, granted in GRANTS.items()} == TABLE
    assert set(GRANTS) == set(Role)


def test_several_roles_add_up_and_no_role_grants_nothing() -> None:
    assert person(Role.REP, Role.MARKETER).permissions == GRANTS[Role.MARKETER]
    assert person(Role.REVIEWER, Role.MARKETER).may(Permission.PUBLISH)
    assert person().permissions == frozenset()


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize("role", Role)
def test_require_lets_through_what_the_table_grants_and_nothing_else(role: Role, permission: Permission) -> None:
    if permission.value in TABLE[role.value]:
        require(person(role), permission)
    else:
        with pytest.raises(Forbidden):
            require(person(role), permission)


def test_scopes_narrow_and_never_widen() -> None:
    token = person(Role.REP, scopes=frozenset({Permission.SEARCH, Permission.ADMINISTER}))
    assert token.permissions == {Permission.SEARCH}
    assert person(Role.ADMIN, scopes=frozenset()).permissions == frozenset()


def test_system_and_operator_may_do_everything_and_are_named_in_the_trail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SYSTEM.permissions == operator().permissions == frozenset(Permission)
    assert SYSTEM.name == "system"
    monkeypatch.setattr(getpass, "getuser", lambda: "lin")
    assert operator().name == "operator:lin"


def test_an_operator_without_a_name_still_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert operator().name == "operator:unknown"


def test_tiers_are_ordered_from_open_to_closed() -> None:
    assert [tier.value for tier in sorted(Tier, key=lambda tier: tier.rank)] == [
        "public",
        "internal",
        "restricted",
        "confidential",
    ]
    assert access.Actor(ActorKind.USER, "x").clearance is Tier.PUBLIC
