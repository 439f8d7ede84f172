"""The two transactions: reading changes nothing, writing keeps all or nothing."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from kb import clock, db
from kb.app import Service
from kb.db import ReadOnly
from kb.outbox import Wish, WishKind
from kb.users import Team, UserTeam

SHANGHAI = timezone(timedelta(hours=8))


def names(service: Service) -> set[str]:
    with service.database.reading() as session:
        return set(session.scalars(select(Team.name)))


def add_team(service: Service, name: str) -> int:
    with service.database.writing() as session:
        team = Team(name=name)
        session.add(team)
        session.flush()
        return team.id


def test_a_reading_session_cannot_add_change_or_delete_objects(any_database: Service) -> None:
    team_id = add_team(any_database, "east")
    with any_database.database.reading() as session, pytest.raises(ReadOnly):
        session.add(Team(name="new"))
        session.flush()
    with any_database.database.reading() as session, pytest.raises(ReadOnly):
        session.get_one(Team, team_id).name = "changed"
        session.commit()
    with any_database.database.reading() as session, pytest.raises(ReadOnly):
        session.delete(session.get_one(Team, team_id))
        session.commit()
    assert names(any_database) == {"east"}


@pytest.mark.parametrize("of_table", [False, True], ids=["model", "table"])
def test_a_reading_session_cannot_write_by_core_statements(any_database: Service, of_table: bool) -> None:
    add_team(any_database, "east")
    target = Team.__table__ if of_table else Team
    for statement in (insert(target).values(name="new"), update(target).values(name="changed"), delete(target)):
        with any_database.database.reading() as session, pytest.raises((ReadOnly, DBAPIError)):
            session.execute(statement)
            session.commit()
    assert names(any_database) == {"east"}


@pytest.mark.parametrize("by_connection", [False, True], ids=["session", "connection"])
def test_a_reading_session_cannot_write_by_raw_sql(any_database: Service, by_connection: bool) -> None:
    add_team(any_database, "east")
    for statement in (
        "INSERT INTO team (name) VALUES ('new')",
        "UPDATE team SET name = 'changed'",
        "DELETE FROM team",
        "CREATE TABLE stolen (id INTEGER)",
    ):
        with any_database.database.reading() as session, pytest.raises(DBAPIError, match=r"read.?only"):
            (session.connection() if by_connection else session).execute(text(statement))
            session.commit()
    assert names(any_database) == {"east"}


def test_a_connection_that_read_may_write_in_its_next_use(any_database: Service) -> None:
    for name in ("east", "west"):
        assert name not in names(any_database)
        add_team(any_database, name)
    assert names(any_database) == {"east", "west"}


def test_a_failed_transaction_leaves_nothing(any_database: Service) -> None:
    with pytest.raises(ZeroDivisionError), any_database.database.writing() as session:
        session.add(Team(name="half"))
        session.flush()
        raise ZeroDivisionError
    assert names(any_database) == set()


def test_reading_sees_one_state_of_sqlite_while_others_write(service: Service) -> None:
    add_team(service, "before")
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Team)) == 1
        add_team(service, "after")
        assert session.scalar(select(func.count()).select_from(Team)) == 1
    assert names(service) == {"before", "after"}


def test_the_bound_database_is_the_one_that_opens(service: Service) -> None:
    with db.writing() as session:
        session.add(Team(name="bound"))
    with db.reading() as session:
        assert session.scalar(select(Team.name)) == "bound"
    assert names(service) == {"bound"}


def test_a_time_without_zone_is_refused(any_database: Service) -> None:
    naive = datetime(2026, 11, 26, 9, 30)  # noqa: DTZ001
    with pytest.raises(StatementError, match="without zone"), any_database.database.writing() as session:
        session.add(Wish(kind=WishKind.INDEX_ASSET.value, object_id=1, due_at=naive))
        session.flush()
    with any_database.database.reading() as session, pytest.raises(StatementError, match="without zone"):
        session.scalar(select(Wish.id).where(Wish.due_at < naive))


def test_times_come_back_as_the_same_moment_in_utc(any_database: Service) -> None:
    moment = datetime(2026, 11, 26, 0, 30, 1, 234567, tzinfo=SHANGHAI)
    with any_database.database.writing() as session:
        session.add(Wish(kind=WishKind.INDEX_ASSET.value, object_id=1, due_at=moment))
    with any_database.database.reading() as session:
        kept = session.scalars(select(Wish.due_at)).one()
        assert session.scalar(select(Wish.id).where(Wish.due_at == moment)) is not None
    assert kept == moment
    assert kept.tzinfo is UTC


def test_every_pooled_sqlite_connection_is_safe_against_crash_and_lock(service: Service) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(service.database.engine.connect()) for _ in range(12)]
        for connection in connections:
            kept = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
            connection.rollback()
            assert kept == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_foreign_keys_hold(any_database: Service) -> None:
    with pytest.raises(IntegrityError), any_database.database.writing() as session:
        session.add(UserTeam(user_id=999, team_id=999))
        session.flush()


@pytest.mark.parametrize("rounds", [20])
def test_F12_eight_writers_lose_no_update(any_database: Service, rounds: int) -> None:
    with any_database.database.writing() as session:
        session.add(Wish(id=1, kind=WishKind.INDEX_ASSET.value, object_id=1, due_at=clock.now(), attempts=0))

    def write(_number: int) -> None:
        for _ in range(rounds):
            with any_database.database.writing() as session:
                wish = session.scalars(select(Wish).where(Wish.id == 1).with_for_update()).one()
                wish.attempts += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    with any_database.database.reading() as session:
        assert session.get_one(Wish, 1).attempts == 8 * rounds


def test_readers_are_not_stopped_by_a_writer(any_database: Service) -> None:
    with any_database.database.writing() as writer:
        writer.add(Team(name="not yet"))
        writer.flush()
        assert names(any_database) == set()
    assert names(any_database) == {"not yet"}


def test_public_ids_hold_96_random_bits() -> None:
    made = {db.public_id() for _ in range(200)}
    assert len(made) == 200
    assert {len(one) for one in made} == {16}
