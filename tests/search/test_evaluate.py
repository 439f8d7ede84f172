"""The measurer measured: figures against hand-computed ones, clear refusals, and the interval of a difference."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kb import cli
from kb.errors import KbError
from search import evaluate
from search.evaluate import CannotEvaluate, Setting
from search.fake_encoder import FakeEncoder
from search.query import Mode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = [
        {"id": "d1", "title": "Price", "text": "The price is too expensive for the bank.", "language": "en"},
        {"id": "d2", "title": "价格", "text": "银行觉得价格太贵。", "language": "zh"},
        {"id": "d3", "title": "Outage", "text": "The outage of the shop lasted two hours.", "language": "en"},
        {"id": "d4", "title": "故障", "text": "门店宕机了两个小时。", "language": "zh"},
    ]
    queries = [
        {"id": "q1", "text": "too expensive", "language": "en"},
        {"id": "q2", "text": "门店宕机"},
        {"id": "unjudged", "text": "anything"},
    ]
    qrels = [("q1", "d1", "2"), ("q1", "d2", "1"), ("q2", "d4", "1"), ("q2", "d3", "1"), ("q2", "d1", "0")]
    (tmp_path / "documents.jsonl").write_text("\n".join(map(json.dumps, documents)), encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    rows = ["query_id\tdoc_id\trelevance", *("\t".join(row) for row in qrels)]
    (tmp_path / "qrels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def test_a_folder_is_read_and_what_it_leaves_open_is_found_out(folder: Path) -> None:
    found = evaluate.read(folder)
    assert [question.id for question in found.questions] == ["q1", "q2"]
    assert [question.language for question in found.questions] == ["en", "zh"]
    assert found.grades["q2"] == {"d4": 1.0, "d3": 1.0}, "a grade of 0 is no judgement for it"
    assert len(evaluate.read(folder, limit=1).questions) == 1


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("documents.jsonl", '{"id": "d1", "text": "x"}\n{"id": ', "documents.jsonl:2 is not JSON"),
        ("documents.jsonl", "[1]", "documents.jsonl:1 is not an object"),
        ("documents.jsonl", '{"text": "x"}', "documents.jsonl:1 has no id"),
        ("queries.jsonl", '{"id": "q1"}', "queries.jsonl:1 has no text"),
        ("qrels.tsv", "head\nq1 d1 1", "qrels.tsv:2 is not query, document and grade"),
        ("qrels.tsv", "head\nq1\td9\t1", "qrels.tsv:2 judges 'd9'"),
        ("qrels.tsv", "head\n", "no query that has a judgement"),
    ],
)
def test_a_wrong_folder_is_refused_with_its_line(folder: Path, file: str, text: str, message: str) -> None:
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(CannotEvaluate, match=message):
        evaluate.read(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotEvaluate, match=r"documents\.jsonl cannot be read"):
        evaluate.read(tmp_path)


def test_figures_of_one_query() -> None:
    found = evaluate.figures(["x", "a", "b"], {"a": 1.0, "b": 3.0, "c": 1.0})
    ideal = 3 / np.log2(2) + 1 / np.log2(3) + 1 / np.log2(4)
    assert found["ndcg@10"] == pytest.approx((1 / np.log2(3) + 3 / np.log2(4)) / ideal)
    assert found["mrr@10"] == 0.5
    assert (found["recall@1"], found["recall@10"], found["recall@100"]) == (
        0.0,
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
    )
    assert evaluate.figures([], {"a": 1.0})["ndcg@10"] == 0


def test_each_mode_and_pair_is_measured(folder: Path) -> None:
    with evaluate.bench(evaluate.read(folder), FakeEncoder()) as filled:
        assert filled.pairs() == [("en", "en"), ("en", "zh"), ("zh", "en"), ("zh", "zh")]
        rows = {mode: evaluate.measure(filled, Setting(mode)) for mode in Mode}
    for row in rows.values():
        assert (row["documents"], row["queries"]) == (4, 2)
        assert set(row["by_pair"]) == {"en>en", "en>zh", "zh>en", "zh>zh"}
        assert row["by_pair"]["en>en"]["ndcg@10"] == 1
        assert set(row["ms_per_query"]) == {"p50", "p95"}
    assert rows[Mode.LEXICAL]["by_pair"]["en>zh"]["ndcg@10"] == 0, "no word is shared"
    assert rows[Mode.HYBRID]["by_pair"]["en>zh"]["ndcg@10"] == 1
    assert rows[Mode.HYBRID]["ndcg@10"] > rows[Mode.LEXICAL]["ndcg@10"]


def test_the_interval_of_a_difference_holds_what_it_should() -> None:
    random = np.random.default_rng(4)
    second = random.random(400)
    better = evaluate.compared(np.clip(second + 0.05 + random.normal(0, 0.05, 400), 0, 1), second)
    assert 0 < better.low < better.difference < better.high
    same = evaluate.compared(second, second)
    assert (same.difference, same.low, same.high, same.better, same.worse) == (0, 0, 0, 0, 0)
    noise = evaluate.compared(second + random.normal(0, 0.2, 400), second)
    assert noise.low < 0 < noise.high


@pytest.mark.parametrize(("text", "mode", "weight"), [("hybrid", Mode.HYBRID, 1.0), ("hybrid:0.8", Mode.HYBRID, 0.8)])
def test_a_setting_is_a_mode_and_a_weight(text: str, mode: Mode, weight: float) -> None:
    assert Setting.of(text) == Setting(mode, weight)


@pytest.mark.parametrize("text", ["", "fast", "hybrid:much"])
def test_an_unknown_setting_is_refused(text: str) -> None:
    with pytest.raises(CannotEvaluate, match="is no setting"):
        Setting.of(text)


def run(*arguments: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(cli.cli, ["eval", *arguments])


def test_the_command_prints_one_json_value_and_makes_no_installation(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KB_ENCODER", "fake")
    found = json.loads(run(str(folder), "--json").stdout)
    assert found["mode"] == "hybrid"
    assert {"documents", "queries", "ndcg@10", "mrr@10", "recall@1", "recall@10", "recall@100", "ms_per_query"} < set(
        found
    )
    every = json.loads(run(str(folder), "--mode", "all", "--json").stdout)
    assert [row["mode"] for row in every] == ["hybrid", "lexical", "semantic"]
    compared = json.loads(run(str(folder), "--against", "lexical", "--json").stdout)
    assert compared["first"] > compared["second"]
    assert not (tmp_path / "kb-data").exists()


def test_the_command_says_what_is_wrong(folder: Path) -> None:
    refused = run(str(folder), "--mode", "semantic")
    assert isinstance(refused.exception, KbError)
    assert "KB_ENCODER is off" in refused.exception.text
    assert json.loads(run(str(folder), "--mode", "lexical", "--json").stdout)["mode"] == "lexical"
