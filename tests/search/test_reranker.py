"""A second look at the best hits: off unless named, only at what the reader may see, and never in the way."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kb.access import Tier
from kb.cli import cli
from kb.errors import WrongSettings
from search import evaluate, reranker, service
from search.encoder import CannotEncode
from search.engine import FloatArray
from search.evaluate import CannotEvaluate, Setting
from search.loading import ModelLoader
from search.query import Mode, Query
from search.reranker import FakeReranker, Reranker
from search.service import SearchPage
from tests.factories import Make


class Listening:
    """Likes what speaks of winter, and remembers what it was given to read."""

    name = "listening"

    def __init__(self, error: str = "") -> None:
        self.read: list[str] = []
        self._error = error

    def judge(self, query: str, passages: Sequence[str]) -> FloatArray:
        if self._error:
            raise CannotEncode(self._error)
        self.read += passages
        return np.array(["winter" in passage for passage in passages], np.float64)


def find(make: Make, second: Reranker | None, words: str, offset: int = 0, mode: str = "hybrid") -> SearchPage:
    loader = ModelLoader(lambda: second, what="reranker")
    loader.wait(5)
    finder = replace(make.service.finder, reranker=loader)
    with make.service.database.reading() as session:
        query = Query.of(words, limit=10, offset=offset, mode=mode)
        return service.search(session, finder, make.actor(make.user()), None, query, "en")


def titles(page: SearchPage) -> list[str]:
    return [hit.asset.title for hit in page.hits]


@pytest.fixture
def sparrows(make: Make) -> Make:
    make.asset("Sparrow A", "sparrow sparrow sparrow in summer")
    make.asset("Sparrow B", "## Cold\n\nsparrow in winter\n\n## Warm\n\nnothing")
    make.asset("Sparrow C", "sparrow winter, for few eyes", tier=Tier.RESTRICTED)
    make.index()
    return make


def test_the_best_hits_come_in_the_order_of_a_second_look(sparrows: Make) -> None:
    assert titles(find(sparrows, None, "sparrow"))[0] == "Sparrow A"
    page = find(sparrows, Listening(), "sparrow")
    assert titles(page) == ["Sparrow B", "Sparrow A"]
    assert page.hits[0].score > page.hits[1].score
    assert page.total == 2


def test_a_second_look_reads_title_and_passage_of_what_the_reader_may_see_alone(sparrows: Make) -> None:
    second = Listening()
    find(sparrows, second, "sparrow")
    assert sorted(second.read) == [
        "Sparrow A\nsparrow sparrow sparrow in summer",
        "Sparrow B\nCold\nsparrow in winter",
    ]


def test_an_exact_title_stays_where_it_is(make: Make) -> None:
    make.asset("winter tyres", "of winter, and of tyres, and of winter tyres")
    make.asset("tyres", "sparrow")
    make.index()
    assert titles(find(make, Listening(), "tyres"))[0] == "tyres"


def test_what_a_second_look_cannot_do_is_done_without(sparrows: Make) -> None:
    assert titles(find(sparrows, Listening("out of memory"), "sparrow")) == ["Sparrow A", "Sparrow B"]
    for mode in (Mode.LEXICAL, Mode.SEMANTIC):
        second = Listening()
        find(sparrows, second, "sparrow", mode=mode)
        assert second.read == [], "who asks for one way alone gets it"


def test_pages_further_on_stay_as_they_were_ranked(make: Make) -> None:
    for number in range(reranker.DEPTH + 5):
        make.asset(f"Sparrow {number:02}", "sparrow in winter" if number % 2 else "sparrow sparrow in summer")
    make.index()
    plain = [title for offset in (0, 10, 20) for title in titles(find(make, None, "sparrow", offset))]
    again = [title for offset in (0, 10, 20) for title in titles(find(make, Listening(), "sparrow", offset))]
    assert sorted(plain) == sorted(again), "nothing twice, nothing lost"
    assert plain[reranker.DEPTH :] == again[reranker.DEPTH :]
    assert plain[: reranker.DEPTH] != again[: reranker.DEPTH]


def test_words_stand_in_for_a_model() -> None:
    assert FakeReranker().judge("winter tyres", ["winter tyres", "winter", "rain"]).tolist() == [1.0, 0.5, 0.0]


def test_what_is_named_and_not_there_is_said_at_the_start() -> None:
    reranker.check("")
    reranker.check("cross-encoder/some-hub-name")
    with pytest.raises(WrongSettings, match="which is not a folder"):
        reranker.check("/nowhere/at/all")
    with pytest.raises(CannotEncode, match="which is not a folder"):
        reranker.load("/nowhere/at/all")
    assert reranker.load("") is None
    assert reranker.load("off") is None
    assert isinstance(reranker.load("fake"), FakeReranker)


def test_a_folder_without_a_model_is_told_and_leaves_searches_alone(tmp_path: Path, sparrows: Make) -> None:
    loader = ModelLoader(lambda: reranker.load(str(tmp_path)), source=str(tmp_path), what="reranker", retry_seconds=())
    assert loader.wait(60) is None
    assert "cannot be loaded" in loader.state
    finder = replace(sparrows.service.finder, reranker=loader)
    with sparrows.service.database.reading() as session:
        page = service.search(session, finder, sparrows.actor(sparrows.user()), None, Query.of("sparrow"), "en")
    assert titles(page) == ["Sparrow A", "Sparrow B"]


@pytest.mark.model
def test_a_cross_encoder_of_sentence_transformers_answers_a_number_a_pair(tmp_path: Path) -> None:
    folder = _tiny_model(tmp_path, labels=1)
    found = reranker.load(str(folder))
    assert found is not None
    judged = found.judge("sparrow", ["sparrow in winter", "summer"] * 8)
    assert judged.shape == (16,)
    assert ((judged > 0) & (judged < 1)).all()
    assert judged[::2] == pytest.approx(judged[0], abs=1e-5)
    assert found.judge("sparrow", []).shape == (0,)


class Broken:
    """A model that runs out of memory at its second question."""

    def __init__(self) -> None:
        self._asked = 0

    def predict(self, pairs: Sequence[object], **_how: object) -> FloatArray:
        self._asked += 1
        if self._asked > 1:
            raise RuntimeError("out of memory")
        return np.full(len(pairs), 0.5)


def test_a_model_that_fails_at_a_question_leaves_the_order_as_it_was(sparrows: Make) -> None:
    second = reranker.CrossEncoderReranker(Broken(), "broken", None)
    assert titles(find(sparrows, second, "sparrow")) == ["Sparrow A", "Sparrow B"]


@pytest.mark.model
def test_a_model_of_several_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotEncode, match=r"one number a pair|where"):
        reranker.load(str(_tiny_model(tmp_path, labels=3)))


def _tiny_model(folder: Path, labels: int) -> Path:
    """A classifier of random weights, as transformers keeps them."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sparrow", "winter", "summer", "in"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=labels,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_settings_of_a_measurement_are_read_as_they_are_written() -> None:
    assert Setting.of("hybrid") == Setting(Mode.HYBRID)
    assert Setting.of("hybrid:0.8") == Setting(Mode.HYBRID, 0.8)
    assert Setting.of("hybrid:1:0") == Setting(Mode.HYBRID, 1.0, 0.0)
    assert Setting.of("hybrid+again") == Setting(Mode.HYBRID, again=True)
    assert Setting.of("hybrid:1:0.7:0") == Setting(Mode.HYBRID, 1.0, 0.7, 0.0)
    for wrong in ("hybrid:", "hybrid:1:0:2:3", "hybrid+", "hybrid+twice", "both"):
        with pytest.raises(CannotEvaluate, match="is no setting"):
            Setting.of(wrong)


def test_a_measurement_with_a_second_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "documents.jsonl").write_text(
        '{"id": "a", "title": "Bird", "text": "sparrow sparrow"}\n'
        '{"id": "b", "title": "Cold", "text": "sparrow in winter"}\n',
        encoding="utf-8",
    )
    (tmp_path / "queries.jsonl").write_text('{"id": "q", "text": "sparrow"}\n', encoding="utf-8")
    (tmp_path / "qrels.tsv").write_text("query_id\tdoc_id\trelevance\nq\tb\t1\n", encoding="utf-8")
    collection = evaluate.read(tmp_path)
    with evaluate.bench(collection, None, judge=Listening()) as filled:
        plain, again = (evaluate.measure(filled, Setting.of(one)) for one in ("hybrid", "hybrid+again"))
    assert plain["recall@1"] == 0.0
    assert again["recall@1"] == 1.0
    assert plain["ndcg@10_interval"][0] <= plain["ndcg@10"] <= plain["ndcg@10_interval"][1]
    monkeypatch.delenv("KB_RERANKER", raising=False)
    told = CliRunner().invoke(cli, ["eval", str(tmp_path), "--mode", "hybrid+again"], env={"KB_ENCODER": "fake"})
    assert "KB_RERANKER names no cross-encoder" in str(told.exception)
