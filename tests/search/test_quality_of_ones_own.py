"""The library's own questions: what was used after a search judges it, every day, with an alarm; and as a judged set."""

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from content.models import Asset, UseEvent
from kb import cli, clock
from kb.access import SYSTEM
from kb.errors import Conflict, Invalid
from kb.users import User
from search import evaluate, quality
from search.evaluate import Setting
from search.log import Search
from search.quality import QualityFell, SearchQuality
from search.query import Mode
from tests.conftest import environment_of
from tests.factories import Make

SUBJECTS = (
    "downtime",
    "price",
    "migration",
    "security",
    "backup",
    "audit",
    "latency",
    "storage",
    "training",
    "invoice",
)
SUBJECTS += ("budget", "region", "tenant", "catalogue", "lineage", "policy", "session", "review", "approval", "quote")


def used(make: Make, user: User, text: str, asset: Asset, kind: str = "copy") -> None:
    with make.service.database.writing() as session:
        row = Search(user_id=user.id, deal_id=None, text=text, mode="hybrid", total=1, at=clock.now())
        session.add(row)
        session.flush()
        session.add(
            UseEvent(
                event_id=f"{row.id}-{kind}",
                asset_id=asset.id,
                user_id=user.id,
                kind=kind,
                deal_source="none",
                search_id=row.public_id,
                at=clock.now(),
            )
        )


@pytest.fixture
def library(make: Make) -> list[Asset]:
    """A text on each subject, each searched for and copied."""
    rep = make.user()
    assets = [make.asset(f"About {word}", f"All that is to be said of {word}.") for word in SUBJECTS]
    make.index()
    for word, asset in zip(SUBJECTS, assets, strict=True):
        used(make, rep, f"{word} -nothing", asset)
    return assets


def test_a_question_is_judged_by_the_most_that_was_done_after_it(make: Make) -> None:
    rep, one, other = make.user(), make.asset("One"), make.asset("Other")
    used(make, rep, "downtime", one, "view")
    used(make, rep, "downtime", one, "copy")
    used(make, rep, "downtime", other, "view")
    used(make, rep, "price", one, "not_helpful")
    with make.service.database.reading() as session:
        assert [(q.text, dict(q.grades)) for q in quality.questions(session)] == [
            ("downtime", {one.id: 3.0, other.id: 1.0})
        ]


def test_a_day_is_measured_and_a_fall_is_told(make: Make, library: list[Asset]) -> None:
    database, finder = make.service.database, make.service.finder
    assert "not measured" in quality.state(database)
    first = quality.check(database, finder)
    assert first is not None
    assert (first.questions, round(first.ndcg, 3)) == (len(SUBJECTS), 1.0)
    assert "1.00 on 20 questions" in quality.state(database)
    for asset in library[:6]:
        make.withdraw(asset)
    make.index()
    quality.check(database, finder)
    with pytest.raises(QualityFell, match=r"usually 1\.00"):
        quality.state(database)


def test_too_few_questions_say_nothing(make: Make) -> None:
    used(make, make.user(), "downtime", make.asset("Downtime"))
    make.index()
    assert quality.check(make.service.database, make.service.finder) is None


def test_the_sweep_measures_once_a_day(make: Make, library: list[Asset]) -> None:
    run = quality.sweep(make.service.database, make.service.finder)
    run()
    run()
    quality.sweep(make.service.database, make.service.finder)()
    with make.service.database.reading() as session:
        assert session.query(SearchQuality).count() == 1


def test_a_fall_is_measured_against_the_usual() -> None:
    assert not quality.has_fallen(0.5, [])
    assert quality.has_fallen(0.80, [0.9, 0.9, 0.95])
    assert not quality.has_fallen(0.82, [0.9, 0.9, 0.95])


def test_the_judgements_are_taken_out_as_kb_eval_reads_them(
    make: Make, library: list[Asset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "judged"
    for name, value in environment_of(make.service.settings.data_dir).items():
        monkeypatch.setenv(name, value)
    told = CliRunner().invoke(cli.cli, ["export", "judged", str(folder)])
    assert told.exit_code == 0, told.output
    collection = evaluate.read(folder)
    assert (len(collection.documents), len(collection.questions)) == (20, 20)
    with evaluate.bench(collection, None) as filled:
        assert evaluate.measure(filled, Setting(Mode.LEXICAL))["ndcg@10"] == 1.0
    with pytest.raises(Conflict):
        quality.export(make.service.database, SYSTEM, folder)


def test_without_judgements_there_is_nothing_to_take_out(make: Make, tmp_path: Path) -> None:
    make.asset("Alone")
    with pytest.raises(Invalid):
        quality.export(make.service.database, SYSTEM, tmp_path / "judged")
    assert not (tmp_path / "judged").exists()


def test_old_searches_judge_no_more(make: Make) -> None:
    asset = make.asset("Old")
    used(make, make.user(), "downtime", asset)
    with make.service.database.writing() as session:
        session.query(Search).one().at = clock.now() - timedelta(days=100)
    with make.service.database.reading() as session:
        assert quality.questions(session) == []
