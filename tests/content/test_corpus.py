"""Real content: every document of the shared corpus, and the sample company."""

from pathlib import Path

import pytest

from content import sample
from content.importing import AssetImport, Options
from kb.access import SYSTEM, operator
from kb.app import Service
from search import upkeep
from tests.conftest import CORPUS
from tests.factories import Make


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus does not lie beside the project")
@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/documents.jsonl")), ids=lambda path: path.parent.name)
def test_every_document_is_imported_once(service: Service, path: Path) -> None:
    importer = lambda: AssetImport(service.database, service.settings, operator(), Options(publish=True)).run([path])
    first, second = importer(), importer()
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert (first.created, first.failed) == (lines, [])
    assert (second.unchanged, second.created, second.updated, second.failed) == (lines, 0, 0, [])


def test_the_sample_company_loads_without_a_failure_and_again_without_a_change(service: Service, make: Make) -> None:
    first = sample.load(service.database, service.settings, SYSTEM)
    assert [report.failed for report in first] == [[], [], [], []]
    assert [report.created for report in first][2] == len(list((sample.FOLDER / "assets").glob("*.md")))
    second = sample.load(service.database, service.settings, SYSTEM)
    assert [(report.created, report.updated, report.failed) for report in second] == [(0, 0, [])] * 4
    make.index()
    assert upkeep.check(service.database, service.engine, repair=False).is_true
