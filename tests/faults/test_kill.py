"""Whatever step a process dies at: nothing is half done, no wish is lost, and the index follows the database."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from content import conversions, filestore, publishing, submission
from content.importing import AssetImport, Options
from content.kinds import VersionState
from content.models import Asset, Attachment, Conversion, StoredFile, Version
from kb import audit, clock, outbox
from kb.access import SYSTEM, Role, operator
from kb.app import Service
from kb.outbox import WishKind
from search import feed, upkeep
from tests.content.test_convert import deck, pdf, png
from tests.factories import Make
from tests.faults import crashing

ASSETS = 40
ROUNDS = 30 if os.environ.get("TESTS_ROUNDS") == "full" else 3
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(any_database: Service) -> Path:
    """The installation's folder, with files to import beside it."""
    found = any_database.settings.data_dir.parent
    (found / "assets").mkdir()
    for number in range(ASSETS):
        text = f"---\nexternal_id: KILL-{number}\ntitle: Crash case {number}\ntype: faq\n---\n## Say\n\nWord{number} 停机窗口 {number}\n"
        (found / "assets" / f"{number:03}.md").write_text(text, encoding="utf-8")
    return found


def run(service: Service, folder: Path, act: str, point: str, times: int = 1) -> int:
    command = [sys.executable, "-m", "tests.faults.crashing", act, point, str(times), str(folder)]
    if service.settings.database_url:
        command.append(service.settings.database_url)
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60).returncode


def import_all(service: Service, folder: Path):  # type: ignore[no-untyped-def]
    return AssetImport(service.database, service.settings, operator(), Options(publish=True)).run([folder / "assets"])


def assert_whole(service: Service) -> None:
    """No half state, the trail is intact, and after the worker's next turn the index equals the database."""
    with service.database.writing() as session:
        outbox.release(session, list(WishKind))
    engine = service.engine
    feed.FirstLook(service.database, engine)()
    outbox.drain(service.database, feed.handlers(service.database, engine))
    with service.database.reading() as session:
        assert outbox.backlog(session).waiting == 0
        assert audit.verify(session).intact
        versions = session.scalar(
            select(func.count()).select_from(Version).where(Version.state == VersionState.PUBLISHED.value)
        )
        assets = session.scalar(select(func.count(func.distinct(Version.asset_id))))
        assert session.scalar(select(func.count()).select_from(Asset)) == assets, "an asset without a version"
    found = upkeep.check(service.database, engine, repair=False)
    assert found.is_true, found
    assert found.assets == versions
    engine.close()


@pytest.mark.parametrize(
    ("point", "times"), [("rendered", 1), ("record_kept", 7), ("before_commit", 2), ("after_commit", 1)]
)
def test_F03_import_that_dies_is_resumed_without_doubles(
    any_database: Service, folder: Path, point: str, times: int
) -> None:
    assert run(any_database, folder, "import", point, times) == crashing.DIED
    assert_whole(any_database)
    report = import_all(any_database, folder)
    assert (report.created + report.unchanged, report.failed) == (ASSETS, [])
    assert_whole(any_database)
    assert import_all(any_database, folder).unchanged == ASSETS


@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
def test_F07_indexing_that_dies_is_done_again(any_database: Service, folder: Path, point: str) -> None:
    import_all(any_database, folder)
    assert run(any_database, folder, "index", point) == crashing.DIED
    with any_database.database.reading() as session:
        assert outbox.backlog(session).waiting > 0, "the wishes outlive the process"
    assert_whole(any_database)


@pytest.mark.parametrize("point", ["before_swap", "after_swap", "before_commit", "after_commit"])
def test_F08_rebuild_that_dies_leaves_the_former_index_or_the_new_one(
    any_database: Service, make_any: Make, point: str
) -> None:
    for _ in range(5):
        make_any.asset()
    make_any.index()
    if point.endswith("_commit") and not any_database.database.is_sqlite:
        point = "before_swap"  # there a rebuild is one commit
    assert run(any_database, any_database.settings.data_dir.parent, "rebuild", point) == crashing.DIED
    assert_whole(any_database)


@pytest.mark.parametrize("act", ["publish", "withdraw"])
@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
def test_F01_publishing_and_withdrawing_happen_whole_or_not_at_all(
    any_database: Service, make_any: Make, act: str, point: str
) -> None:
    asset = make_any.asset(publish=act == "withdraw")
    make_any.index()
    assert run(any_database, any_database.settings.data_dir.parent, act, point) == crashing.DIED
    with any_database.database.reading() as session:
        state = session.scalars(select(Version.state).where(Version.asset_id == asset.id)).one()
        traces = list(
            session.scalars(
                select(audit.AuditEntry.action)
                .where(audit.AuditEntry.action.in_(["version.load", "asset.withdraw"]))
                .order_by(audit.AuditEntry.sequence)
            )
        )
    happened = point == "after_commit"
    if act == "publish":
        assert (state, traces) == (("published", ["version.load"]) if happened else ("draft", []))
    else:
        assert (state, traces) == (
            ("withdrawn", ["version.load", "asset.withdraw"]) if happened else ("published", ["version.load"])
        )
    assert_whole(any_database)


def assert_store_agrees(service: Service) -> None:
    """No version names a file that is not there; what nobody names yet is what doctor reports."""
    with service.database.reading() as session:
        state = filestore.examine(session, service.settings)
        known = set(session.scalars(select(StoredFile.sha256)))
        there = {path.name for path in service.settings.files_dir.glob("??/*")}
        assert state.missing == ()
        assert set(state.orphans) == there - known
        named = set(session.scalars(select(Attachment.sha256)))
        assert named <= known & there
        for version in session.scalars(select(Version)):
            assert publishing.digest_now(session, version) == version.digest


@pytest.mark.parametrize(
    ("point", "state"), [("due.found", "approved"), ("due.published", "approved"), ("due.committed", "published")]
)
def test_F01_a_scheduled_publication_that_dies_is_made_once(
    any_database: Service, make_any: Make, monkeypatch: pytest.MonkeyPatch, point: str, state: str
) -> None:
    make_any.stages()
    make_any.panel()
    asset = make_any.asset(publish=False, tags=[make_any.stage_id("discovery")], owners=[make_any.user(Role.MARKETER)])
    with any_database.database.writing() as session:
        version = submission.submit(session, SYSTEM, asset.public_id)
        make_any.clear(version, session)
        monkeypatch.setattr(publishing, "check_moment", lambda _at: None)
        submission.publish(session, SYSTEM, asset.public_id, clock.now() - timedelta(seconds=1))
    assert run(any_database, any_database.settings.data_dir.parent, "due", point) == crashing.DIED
    with any_database.database.reading() as session:
        assert session.scalars(select(Version.state)).one() == state
    publishing.publish_due(any_database.database)
    with any_database.database.reading() as session:
        assert session.scalars(select(Version.state)).one() == "published"
        told = session.scalars(select(audit.AuditEntry).where(audit.AuditEntry.action == "version.publish")).all()
        assert len(told) == 1
    assert_whole(any_database)


@pytest.mark.parametrize(
    "point", ["document.converted", "pictures.kept", "document.rendered", "before_commit", "after_commit"]
)
def test_F31_a_conversion_that_dies_is_made_once_and_loses_no_file(
    service: Service, make: Make, tmp_path: Path, point: str
) -> None:
    with deck(tmp_path / "deck.pptx", png(tmp_path / "p.png")).open("rb") as stream:
        kept = filestore.keep(service.settings, stream, "deck.pptx")
    with service.database.writing() as session:
        conversions.start(session, make.actor(make.user(Role.MARKETER)), kept, None)
    assert run(service, service.settings.data_dir.parent, "convert", point) == crashing.DIED
    assert_store_agrees(service)
    with service.database.reading() as session:
        ids = list(session.scalars(select(Conversion.id)))
    conversions.converter(service.database, service.settings)(ids)
    with service.database.reading() as session:
        assert session.scalars(select(Conversion.state)).one() == "done"
        assert session.scalar(select(func.count()).select_from(Asset)) == 1
    assert_store_agrees(service)


@pytest.mark.parametrize("point", ["received", "recognised", "placed", "before_commit", "after_commit"])
def test_F29_an_upload_that_dies_leaves_nothing_that_doctor_does_not_tell(
    service: Service, make: Make, point: str
) -> None:
    make.asset(publish=False)
    folder = service.settings.data_dir.parent
    pdf(folder / "offer.pdf", "The offer")
    assert run(service, folder, "upload", point) == crashing.DIED
    assert_store_agrees(service)
    with service.database.reading() as session:
        state = filestore.examine(session, service.settings)
    assert bool(state.orphans or state.partials) == (point != "after_commit")


def test_F03_import_killed_at_random_moments_loses_and_doubles_nothing(any_database: Service, folder: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    for _ in range(ROUNDS):
        _kill_import(any_database, folder, moments.uniform(1.0, 4.0))
        assert_whole(any_database)
    report = import_all(any_database, folder)
    assert (report.created + report.unchanged, report.failed) == (ASSETS, [])
    assert_whole(any_database)


def _kill_import(service: Service, folder: Path, after_seconds: float) -> None:
    command: Sequence[str] = [sys.executable, "-m", "kb.cli", "import", "assets", str(folder / "assets"), "--publish"]
    settings = {
        "KB_DATA_DIR": str(service.settings.data_dir),
        "KB_SECRET_KEY": service.settings.secret_key,
        "KB_REQUESTS_PER_MINUTE": "0",
        "KB_DATABASE_URL": service.settings.database_url,
    }
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(timeout=after_seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
