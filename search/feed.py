"""What the worker does for search: index what changed, rebuild what is broken."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog

from kb.db import Database
from kb.outbox import Handler, NotNow, WishKind
from kb.worker import Sweep
from search import documents, upkeep
from search.engine import Engine, Entry, IndexBusy, IndexDamaged

log = structlog.get_logger(__name__)


def _nothing_more(_asset_ids: Sequence[int]) -> None:
    """Where nobody waits for what was indexed."""


def handlers(
    database: Database, engine: Engine, then: Callable[[Sequence[int]], None] = _nothing_more
) -> Mapping[WishKind, Handler]:
    """`then` is told which assets were indexed."""

    def index(asset_ids: Sequence[int]) -> None:
        index_assets(database, engine, asset_ids)
        then(asset_ids)

    return {
        WishKind.INDEX_ASSET: index,
        WishKind.REBUILD_INDEX: partial(rebuild_index, database, engine),
    }


def sweeps(database: Database, engine: Engine) -> Sequence[Sweep]:
    return (FirstLook(database, engine),)


def index_assets(database: Database, engine: Engine, asset_ids: Sequence[int]) -> None:
    """Bring the index to the present state of these assets: the lock first, then the rows, then one commit."""
    try:
        with engine.exclusive():
            with database.reading() as session:
                found = documents.entries(session, asset_ids)
            shown = {entry.asset_id for entry in found}
            _apply(database, engine, found, [asset_id for asset_id in asset_ids if asset_id not in shown])
    except IndexBusy:
        raise NotNow from None


def _apply(database: Database, engine: Engine, found: list[Entry], gone: list[int]) -> None:
    try:
        engine.apply(found, gone)
    except IndexDamaged:
        upkeep.rebuild(database, engine)


def rebuild_index(database: Database, engine: Engine, _nothing: Sequence[int]) -> None:
    """Rebuild where the index is really damaged; the wish may have been fulfilled by another already."""
    try:
        with engine.exclusive():
            try:
                engine.verify()
            except IndexDamaged:
                upkeep.rebuild(database, engine)
    except IndexBusy:
        raise NotNow from None


class FirstLook:
    """Once after a start: an index that is missing or damaged is rebuilt before anybody asks."""

    def __init__(self, database: Database, engine: Engine) -> None:
        self._database = database
        self._engine = engine
        self._is_done = False

    def __call__(self) -> None:
        if self._is_done:
            return
        rebuild_index(self._database, self._engine, ())
        self._is_done = True
