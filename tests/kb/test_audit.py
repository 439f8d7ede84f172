"""The trail: what was changed, added or removed is found and named."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from kb import audit
from kb.access import SYSTEM, operator
from kb.app import Service
from kb.audit import AuditEntry, Verdict


def record(service: Service, count: int) -> Verdict:
    """Add entries, each in a transaction of its own, and note the head as an outsider would."""
    for number in range(1, count + 1):
        with service.database.writing() as session:
            audit.record(session, SYSTEM, "asset.withdraw", "asset", f"A-{number}", reason="价格错了", number=number)
    with service.database.reading() as session:
        return audit.verify(session)


class _Undo(Exception):
    """Ends a test's tampering without a trace."""


def tampered(service: Service, change: Callable[[Session], object]) -> Verdict:
    """What the verification says after somebody with every right on the database made this change."""
    found: Verdict | None = None
    try:
        with service.database.writing() as session:
            _lift_protection(session)
            change(session)
            session.flush()
            session.expunge_all()
            found = audit.verify(session)
            raise _Undo
    except _Undo:
        assert found is not None
        return found


def _lift_protection(session: Session) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_keep"))
    else:
        session.execute(text("DROP TRIGGER audit_entry_keep_update"))
        session.execute(text("DROP TRIGGER audit_entry_keep_delete"))


def run(statement: str) -> Callable[[Session], object]:
    return lambda session: session.execute(text(statement))


def test_an_empty_trail_is_intact(any_database: Service) -> None:
    with any_database.database.reading() as session:
        assert audit.verify(session) == Verdict(0, audit.GENESIS)


def test_an_untouched_trail_verifies_with_its_head(any_database: Service) -> None:
    found = record(any_database, 5)
    assert found.intact
    assert found.entries == 5
    with any_database.database.reading() as session:
        assert found.head == session.get_one(AuditEntry, 5).hash


def test_an_entry_holds_who_did_what_to_what_and_when(any_database: Service) -> None:
    record(any_database, 1)
    with any_database.database.reading() as session:
        entry = session.get_one(AuditEntry, 1)
    assert (entry.actor, entry.action, entry.object_type, entry.object_id) == (
        "system",
        "asset.withdraw",
        "asset",
        "A-1",
    )
    assert entry.details == {"reason": "价格错了", "number": 1}
    assert entry.at.utcoffset() == timedelta(0)


def test_a_changed_value_in_any_column_is_found_and_named(any_database: Service) -> None:
    record(any_database, 6)
    changes: dict[str, object] = {
        "actor": "somebody else",
        "actor_id": 7,
        "token_id": 9,
        "action": "asset.withdrew",
        "object_type": "assets",
        "object_id": "A-03",
        "details": {"reason": "价格错了。", "number": 3},
        "previous_hash": "f" * 64,
        "hash": "f" * 64,
    }
    assert set(changes) == {column.name for column in AuditEntry.__table__.columns} - {"sequence", "at"}
    for column, value in changes.items():
        found = tampered(
            any_database,
            lambda s, c=column, v=value: s.execute(
                update(AuditEntry.__table__).where(AuditEntry.__table__.c.sequence == 3).values({c: v})
            ),
        )
        assert (found.intact, found.broken_at) == (False, 3), column
        assert found.reason.startswith("row 3 "), column


def test_a_moved_moment_is_found_and_named(any_database: Service) -> None:
    record(any_database, 4)

    def later_by_a_microsecond(session: Session) -> None:
        entry = session.get_one(AuditEntry, 2)
        entry.at += timedelta(microseconds=1)

    found = tampered(any_database, later_by_a_microsecond)
    assert (found.broken_at, found.reason) == (2, "row 2 was changed")


def test_a_new_number_for_a_row_is_found_and_named(any_database: Service) -> None:
    record(any_database, 4)
    assert (
        tampered(any_database, run("UPDATE audit_entry SET sequence = 50 WHERE sequence = 2")).reason
        == "row 2 is missing"
    )
    assert (
        tampered(any_database, run("UPDATE audit_entry SET sequence = 9 WHERE sequence = 4")).reason
        == "row 4 is missing"
    )


@pytest.mark.parametrize("row", [1, 3])
def test_a_removed_row_is_found_and_named(any_database: Service, row: int) -> None:
    record(any_database, 5)
    found = tampered(any_database, run(f"DELETE FROM audit_entry WHERE sequence = {row}"))
    assert not found.intact
    assert found.reason == f"row {row} is missing"


def test_a_removed_row_is_found_even_when_the_rest_is_counted_anew(any_database: Service) -> None:
    record(any_database, 5)

    def remove_and_close_up(session: Session) -> None:
        session.execute(text("DELETE FROM audit_entry WHERE sequence = 3"))
        for number in (4, 5):
            session.execute(text(f"UPDATE audit_entry SET sequence = {number - 1} WHERE sequence = {number}"))

    found = tampered(any_database, remove_and_close_up)
    assert (found.broken_at, found.reason) == (3, "row 3 does not follow row 2")


def test_an_inserted_row_is_found_and_named(any_database: Service) -> None:
    record(any_database, 5)

    def forge(session: Session) -> None:
        for number in (5, 4, 3):
            session.execute(text(f"UPDATE audit_entry SET sequence = {number + 1} WHERE sequence = {number}"))
        session.expire_all()
        before = session.get_one(AuditEntry, 2)
        forged = AuditEntry(
            sequence=3,
            at=before.at,
            actor="legal",
            actor_id=None,
            token_id=None,
            action="version.approve",
            object_type="version",
            object_id="V",
            details={},
            previous_hash=before.hash,
        )
        forged.hash = audit.digest(forged)
        session.add(forged)

    found = tampered(any_database, forge)
    assert not found.intact
    assert found.reason.startswith("row 4 ")


def test_a_cut_tail_shows_against_a_head_noted_elsewhere(any_database: Service) -> None:
    noted = record(any_database, 5)
    found = tampered(any_database, run("DELETE FROM audit_entry WHERE sequence > 3"))
    assert (found.entries, found.head == noted.head) == (3, False)
    assert (noted.entries, noted.intact) == (5, True)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET actor = 'nobody' WHERE sequence = 1",
        "DELETE FROM audit_entry WHERE sequence = 1",
        "DELETE FROM audit_entry",
    ],
)
def test_the_database_itself_refuses_change_and_removal(any_database: Service, statement: str) -> None:
    before = record(any_database, 2)
    with pytest.raises(DBAPIError, match="append-only"), any_database.database.writing() as session:
        session.execute(text(statement))
    with any_database.database.reading() as session:
        assert audit.verify(session) == before


def test_replacing_or_emptying_is_refused_too(any_database: Service) -> None:
    before = record(any_database, 2)
    statement = (
        "INSERT OR REPLACE INTO audit_entry SELECT * FROM audit_entry WHERE sequence = 1"
        if any_database.database.is_sqlite
        else "TRUNCATE audit_entry"
    )
    with pytest.raises(DBAPIError, match="append-only"), any_database.database.writing() as session:
        session.execute(text(statement))
    with any_database.database.reading() as session:
        assert audit.verify(session) == before


def test_writers_at_the_same_moment_keep_one_chain(any_database: Service) -> None:
    def write(number: int) -> None:
        for _ in range(5):
            with any_database.database.writing() as session:
                audit.record(session, SYSTEM, "asset.change", "asset", f"A-{number}")
                audit.record(session, operator(), "asset.tag", "asset", f"A-{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    with any_database.database.reading() as session:
        found = audit.verify(session)
    assert (found.intact, found.entries) == (True, 80)


def test_what_was_rolled_back_leaves_no_entry_and_no_gap(any_database: Service) -> None:
    record(any_database, 1)
    with pytest.raises(_Undo), any_database.database.writing() as session:
        audit.record(session, SYSTEM, "asset.change", "asset", "never")
        session.flush()
        raise _Undo
    with any_database.database.writing() as session:
        audit.record(session, SYSTEM, "asset.change", "asset", "kept")
        with pytest.raises(_Undo), session.begin_nested():
            audit.record(session, SYSTEM, "asset.change", "asset", "half")
            session.flush()
            raise _Undo
        audit.record(session, SYSTEM, "asset.change", "asset", "kept too")
    with any_database.database.reading() as session:
        found = audit.verify(session)
        assert (found.intact, found.entries) == (True, 3)
        assert [session.get_one(AuditEntry, n).object_id for n in (1, 2, 3)] == ["A-1", "kept", "kept too"]
