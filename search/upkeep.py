"""Keeps the index true: compares it with the database, repairs, and rebuilds beside when it is damaged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from kb import outbox
from kb.db import Database
from kb.outbox import Wish, WishKind
from search import documents
from search.engine import Engine, Entry, IndexDamaged, IndexMissing

log = structlog.get_logger(__name__)
NOTHING = 0
"""The object of a wish that is about the whole index."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a comparison found; after a repair all of it is mended."""

    assets: int
    missing: int
    stale: int
    surplus: int
    was_damaged: bool = False
    waiting: int = 0

    @property
    def is_true(self) -> bool:
        return not (self.missing or self.stale or self.surplus or self.was_damaged)


def begin(engine: Engine) -> None:
    """Give a new installation its first, empty index; an index that is there is left alone."""
    with engine.exclusive():
        try:
            engine.probe()
        except IndexMissing:
            engine.rebuild(())


def check(database: Database, engine: Engine, *, repair: bool = True) -> Check:
    """Compare every entry with the database and repair what differs."""
    with engine.exclusive():
        try:
            engine.verify()
            known = engine.fingerprints()
        except IndexDamaged:
            if repair:
                _rebuild(database, engine)
            with database.reading() as session:
                return Check(len(documents.every_id(session)), 0, 0, 0, was_damaged=True)
        with database.reading() as session:
            wanted = {entry.asset_id: entry for entry in documents.every_entry(session, documents.every_id(session))}
            waiting = outbox.backlog(session).waiting
        missing = [entry for asset_id, entry in wanted.items() if asset_id not in known]
        stale = [
            entry for asset_id, entry in wanted.items() if known.get(asset_id, entry.fingerprint) != entry.fingerprint
        ]
        surplus = [asset_id for asset_id in known if asset_id not in wanted]
        if repair and (missing or stale or surplus):
            engine.apply([*missing, *stale], surplus)
    return Check(len(wanted), len(missing), len(stale), len(surplus), waiting=waiting)


def rebuild(database: Database, engine: Engine, progress: Callable[[int, int], None] = lambda _done, _all: None) -> int:
    """Fill a new index beside the present one and swap; returns the number of assets."""
    with engine.exclusive():
        return _rebuild(database, engine, progress)


def _rebuild(
    database: Database, engine: Engine, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> int:
    with database.reading() as session:
        ids = documents.every_id(session)

        def counted() -> Iterator[Entry]:
            for number, entry in enumerate(documents.every_entry(session, ids), start=1):
                yield entry
                progress(number, len(ids))

        engine.rebuild(counted())
    log.info("index.rebuilt", assets=len(ids))
    return len(ids)


def wish_rebuild(session: Session) -> None:
    """Ask the worker for a rebuild, unless it is asked already."""
    waiting = session.scalar(
        select(Wish.id).where(Wish.kind == WishKind.REBUILD_INDEX.value, Wish.dead_at.is_(None)).limit(1)
    )
    if waiting is None:
        outbox.add(session, WishKind.REBUILD_INDEX, NOTHING)
