"""Real content: every document of the shared corpus, and the sample company."""

from pathlib import Path

import pytest

from content.importing import AssetImport, Options
from kb.access import operator
from kb.app import Service
from tests.conftest import CORPUS


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus does not lie beside the project")
@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/documents.jsonl")), ids=lambda path: path.parent.name)
def test_every_document_is_imported_once(service: Service, path: Path) -> None:
    importer = lambda: AssetImport(service.database, service.settings, operator(), Options(publish=True)).run([path])
    first, second = importer(), importer()
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert (first.created, first.failed) == (lines, [])
    assert (second.unchanged, second.created, second.updated, second.failed) == (lines, 0, 0, [])
