"""Real content: every document of the shared corpus, and the sample company."""

from pathlib import Path
from typing import Any

import pytest

from content.importing import AssetImport, Options
from kb.access import operator
from kb.app import Service
from tests.conftest import CORPUS

LARGE = {"xquad"}
"""Thousands of paragraphs: a matter of the long rounds."""


def _corpus(path: Path) -> Any:
    name = path.parent.name
    return pytest.param(path, id=name, marks=[pytest.mark.soak] if name in LARGE else [])


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus does not lie beside the project")
@pytest.mark.parametrize("path", [_corpus(path) for path in sorted(CORPUS.glob("*/documents.jsonl"))])
def test_every_document_is_imported_once(service: Service, path: Path) -> None:
    importer = lambda: AssetImport(service.database, service.settings, operator(), Options(publish=True)).run([path])
    first, second = importer(), importer()
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert (first.created, first.failed) == (lines, [])
    assert (second.unchanged, second.created, second.updated, second.failed) == (lines, 0, 0, [])
