"""Publishing, withdrawing, and what may never happen to a version."""

from itertools import product

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from content import lifecycle, publishing
from content.kinds import VersionState
from content.lifecycle import MOVES, Move, WrongState
from content.models import Asset, Version
from kb.access import SYSTEM, Role
from kb.errors import Forbidden, Invalid
from tests.factories import Make


@pytest.mark.parametrize(("state", "move"), sorted(set(product(VersionState, Move)) - MOVES.keys()))
def test_a_move_that_is_not_in_the_table_is_refused(state: VersionState, move: Move) -> None:
    with pytest.raises(WrongState):
        lifecycle.after(state, move)


def test_without_a_gate_nothing_is_publishable(make: Make) -> None:
    asset = make.asset(publish=False)
    with pytest.raises(publishing.NotCleared), make.service.database.writing() as session:
        publishing.publish(session, SYSTEM, session.scalars(select(Version).where(Version.asset_id == asset.id)).one())


def test_a_new_version_takes_the_place_of_the_former_one(make_any: Make) -> None:
    asset = make_any.asset()
    make_any.new_version(asset, "## Say\n\nThe second text.\n")
    with make_any.service.database.reading() as session:
        states = session.execute(
            select(Version.number, Version.state).where(Version.asset_id == asset.id).order_by(Version.number)
        )
        assert [tuple(row) for row in states] == [(1, "superseded"), (2, "published")]


def test_the_database_keeps_one_published_version_an_asset(make_any: Make) -> None:
    asset = make_any.asset()
    make_any.new_version(asset, "Another text.", publish=False)
    with pytest.raises(DBAPIError), make_any.service.database.writing() as session:
        session.execute(text("UPDATE version SET state = 'published' WHERE state = 'draft'"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE version SET text = 'x'",
        "UPDATE version SET handling = 'public'",
        "UPDATE version SET digest = 'x'",
        "DELETE FROM version",
    ],
)
def test_a_frozen_version_cannot_be_changed_even_by_sql(make_any: Make, statement: str) -> None:
    make_any.asset()
    with pytest.raises(DBAPIError, match="frozen"), make_any.service.database.writing() as session:
        session.execute(text(statement))


def test_withdrawing_needs_a_reason_a_right_and_a_published_version(make: Make) -> None:
    asset, draft = make.asset(), make.asset(publish=False)
    rep = make.actor(make.user(Role.REP))
    for actor, target, reason, refusal in (
        (SYSTEM, asset, " ", Invalid),
        (rep, asset, "wrong", Forbidden),
        (SYSTEM, draft, "wrong", WrongState),
    ):
        with pytest.raises(refusal), make.service.database.writing() as session:
            publishing.withdraw(session, actor, session.get_one(Asset, target.id), reason)
