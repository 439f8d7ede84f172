"""A process that dies on purpose: `python -m tests.faults.crashing ACT POINT TIMES FOLDER [DATABASE_URL]`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from content import conversions, files, filestore, publishing
from content.importing import AssetImport, Options
from content.kinds import VersionState
from content.models import Asset, Conversion, Version
from kb import backup, config, outbox
from kb.access import SYSTEM, operator
from kb.app import Service, open_service
from kb.restore import Restore, Wanted
from search import encoder, feed, upkeep
from search.embedding import Embedder
from search.engine import Engine
from search.postgres_engine import PostgresEngine
from search.whoosh_engine import WhooshEngine
from tests.conftest import SECRET

DIED = 9


def die_at(point: str, times: int) -> Callable[[str], None]:
    """A fail point that ends the process without any clean-up the n-th time it passes the named step."""
    passed = 0

    def fail(name: str) -> None:
        nonlocal passed
        passed += name == point
        if name == point and passed >= times:
            os._exit(DIED)

    return fail


def engine_of(opened: Service, fail: Callable[[str], None]) -> Engine:
    """The engine of this installation's database, with a fail point."""
    if opened.database.is_sqlite:
        return WhooshEngine(opened.settings.index_dir, fail_point=fail)
    return PostgresEngine(opened.database, fail_point=fail)


def main(act: str, point: str, times: int, folder: Path, url: str = "") -> None:
    """Do one act in an installation and die at the named step."""
    given = {"data_dir": folder / "data", "secret_key": SECRET, "encoder": encoder.FAKE} | (
        {"database_url": url} if url else {}
    )
    opened = open_service(config.load({}, **given))
    fail = die_at(point, times)
    if act == "import":
        importer = AssetImport(opened.database, opened.settings, operator(), Options(publish=True), fail)
        importer.run([folder / "assets"])
    elif act == "index":
        engine = engine_of(opened, fail)
        outbox.drain(opened.database, feed.handlers(opened.database, engine))
    elif act == "rebuild":
        upkeep.rebuild(opened.database, engine_of(opened, fail))
    elif act == "embed":
        opened.meaning.wanted.wait(60)
        embedder = Embedder(opened.database, opened.meaning, fail, look_seconds=0)
        embedder.look()
        outbox.drain(opened.database, embedder.handlers(), 2)
    elif act == "publish":
        _publish(opened, fail)
    elif act == "due":
        publishing.publish_due(opened.database, fail)
        fail("due.committed")
    elif act == "convert":
        with opened.database.reading() as session:
            ids = list(session.scalars(select(Conversion.id)))
        conversions.converter(opened.database, opened.settings, fail)(ids)
    elif act == "upload":
        with (folder / "offer.pdf").open("rb") as stream:
            kept = filestore.keep(opened.settings, stream, "offer.pdf", fail)
        with opened.database.writing() as session:
            files.attach(session, SYSTEM, session.scalars(select(Asset.public_id)).first() or "", kept)
            fail("before_commit")
        fail("after_commit")
    elif act == "backup":
        backup.create(opened.database, opened.settings, SYSTEM, folder / "b.zip", replace=True, fail_point=fail)
    elif act == "restore":
        Restore(opened.settings, SYSTEM, Wanted(force=True), fail_point=fail).run(folder / "b.zip")
    elif act == "withdraw":
        with opened.database.writing() as session:
            asset = session.scalars(select(Asset).order_by(Asset.id)).first()
            assert asset is not None
            publishing.withdraw(session, SYSTEM, asset, "wrong price")
            fail("before_commit")
        fail("after_commit")


def _publish(opened, fail) -> None:  # type: ignore[no-untyped-def]
    with opened.database.writing() as session:
        draft = session.scalars(select(Version).where(Version.state == VersionState.DRAFT.value)).first()
        assert draft is not None
        publishing.load(session, SYSTEM, draft, [])
        fail("before_commit")
    fail("after_commit")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), *sys.argv[5:])
