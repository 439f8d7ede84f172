"""How well words alone find the right paragraph, on questions people wrote; needs the shared corpus."""

import json
from math import log2
from pathlib import Path
from typing import Any

import pytest

from search import encoder, evaluate
from search.analysis import query_terms
from search.engine import Entry
from search.evaluate import Setting
from search.query import Mode
from search.whoosh_engine import WhooshEngine

XQUAD = Path(__file__).parents[3] / "shared" / "corpus" / "xquad"

pytestmark = [pytest.mark.corpus, pytest.mark.skipif(not XQUAD.is_dir(), reason="the corpus is not here")]


def lines(name: str, language: str) -> list[dict[str, Any]]:
    records = (json.loads(line) for line in (XQUAD / name).read_text(encoding="utf-8").splitlines())
    return [record for record in records if record["language"] == language]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_questions_find_their_paragraph(language: str, tmp_path: Path) -> None:
    numbers = {document["id"]: number for number, document in enumerate(lines("documents.jsonl", language))}
    engine = WhooshEngine(tmp_path / "index")
    engine.rebuild(
        Entry(numbers[document["id"]], "f", "", document["text"]) for document in lines("documents.jsonl", language)
    )
    right: dict[str, int] = {}
    for line in (XQUAD / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query_id, document_id, _ = line.split("\t")
        if document_id in numbers:
            right[query_id] = numbers[document_id]
    every = engine.all_ids()
    gains: list[float] = []
    found = totals = 0
    for query in lines("queries.jsonl", language):
        hits = engine.lexical(query_terms(query["text"]), every).asset_ids.tolist()
        totals += len(hits)
        place = hits.index(right[query["id"]]) if right[query["id"]] in hits else None
        found += place is not None
        gains.append(1 / log2(place + 2) if place is not None and place < 10 else 0.0)
    assert sum(gains) / len(gains) >= 0.96
    assert found / len(gains) >= 0.99
    assert totals / len(gains) < 12, "a total should mean something: these are of 240"


@pytest.mark.model
@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_meaning_finds_across_languages_and_both_beat_either() -> None:
    collection = evaluate.read(XQUAD)
    with evaluate.bench(collection, encoder.load()) as filled:
        whole = {mode: evaluate.measure(filled, Setting(mode)) for mode in Mode}
    assert whole[Mode.HYBRID]["ndcg@10"] >= 0.95, "the paragraph in both languages, from one library of both"
    figures = {mode: told["by_pair"] for mode, told in whole.items()}
    for pair, least in {"en>en": 0.97, "zh>zh": 0.97, "en>zh": 0.90, "zh>en": 0.90}.items():
        hybrid = figures[Mode.HYBRID][pair]["ndcg@10"]
        assert hybrid >= least, pair
        assert hybrid >= max(figures[mode][pair]["ndcg@10"] for mode in (Mode.LEXICAL, Mode.SEMANTIC)) - 0.005, pair
