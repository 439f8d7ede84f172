"""A model that dies, is slow, damaged, missing or another one: the service starts at once, answers by words, says so, catches up."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from kb import config, outbox
from kb.app import Service, create_app, open_service
from kb.outbox import WishKind
from search import embedding, encoder, unpack, upkeep, vectors
from search.encoder import CannotEncode, Encoder, EncoderLoader
from search.fake_encoder import FakeEncoder
from search.meaning import Meaning
from search.service import Finder
from search.vectors import EncoderRow, PassageRow, VectorRow
from tests.conftest import SECRET
from tests.factories import Make
from tests.faults import crashing
from tests.faults.test_kill import folder, import_all, run  # noqa: F401  # folder is a fixture
from tests.leaks.world import open_browser

SECONDS = 10
"""A start may take this long, whatever the model does."""


def with_model(service: Service, load: Callable[[], Encoder], **how: float) -> Service:
    """The same installation in a process whose settings name another model."""
    retry = how.get("retry", 0.05)
    meaning = Meaning(EncoderLoader(load, source="model", retry_seconds=[retry]), lambda _source: load())
    embedder = embedding.Embedder(service.database, meaning, mirror=embedding.mirror_of(service.database))
    return replace(service, finder=Finder(service.engine, meaning), embedder=embedder.worker())


def vectors_whole(service: Service) -> bool:
    """Every published asset has its passages, every passage its vector, and nothing waits."""
    with service.database.reading() as session:
        known = vectors.active(session)
        assert known is not None
        found = vectors.progress(session, known.id)
        passages = session.scalar(select(func.count()).select_from(PassageRow))
        have = session.scalar(
            select(func.count())
            .select_from(PassageRow)
            .join(
                VectorRow,
                (VectorRow.encoder_id == PassageRow.encoder_id) & (VectorRow.text_hash == PassageRow.text_hash),
            )
        )
        waiting = session.scalar(
            select(func.count()).select_from(outbox.Wish).where(outbox.Wish.kind == WishKind.EMBED_ASSET.value)
        )
    return found.done == found.all > 0 and passages == have and waiting == 0


@pytest.mark.parametrize(
    ("point", "times"),
    [("embed.read", 2), ("embed.encoded", 1), ("embed.stored", 3), ("embed.committed", 1)],
)
def test_F03_embedding_that_dies_goes_on_where_it_was(
    any_database: Service,
    folder: Path,  # noqa: F811
    point: str,
    times: int,
) -> None:
    import_all(any_database, folder)
    assert run(any_database, folder, "embed", point, times) == crashing.DIED
    opened = with_model(any_database, FakeEncoder)
    opened.meaning.wanted.wait(SECONDS)
    with any_database.database.writing() as session:
        outbox.release(session, [WishKind.EMBED_ASSET])
    embedding.catch_up(opened.database, opened.meaning)
    assert vectors_whole(opened)


@pytest.fixture
def ask(service: Service) -> Callable[[Service], dict[str, object]]:
    """Starts the web application of a process and searches in it."""
    make = Make(service)
    make.asset("停机窗口", "## 怎么说\n\n停机窗口由您来定，我们一次只搬一个系统。\n")
    make.index()
    user = make.user()

    def asked(opened: Service) -> dict[str, object]:

        started = time.monotonic()
        browser = open_browser(create_app(opened), opened, user)
        answer = browser.get("/api/v1/search", query_string={"q": "停机"})
        assert time.monotonic() - started < SECONDS
        assert answer.status_code == 200
        page = browser.get("/search", query_string={"q": "停机"}).text
        assert ("hourglass-split" in page) is (answer.json["limited"] is not None)
        assert [hit["title"] for hit in answer.json["hits"]] == ["停机窗口"]
        found: dict[str, object] = answer.json
        return found

    return asked


def test_F28_a_slow_model_delays_nothing_and_is_used_once_it_is_there(
    service: Service, ask: Callable[[Service], dict[str, object]]
) -> None:
    may_go_on = threading.Event()

    def slow() -> Encoder:
        may_go_on.wait(60)
        return FakeEncoder()

    opened = with_model(service, slow)
    assert ask(opened)["limited"] == "lexical_only"
    opened.embedder.once()
    may_go_on.set()
    opened.meaning.wanted.wait(SECONDS)
    embedding.catch_up(opened.database, opened.meaning)
    found = ask(opened)
    assert (found["limited"], found["mode"]) == (None, "hybrid")
    assert "meaning" in found["hits"][0]["why"]  # type: ignore[index]


def test_F28_a_model_that_cannot_be_loaded_is_tried_again(
    service: Service, ask: Callable[[Service], dict[str, object]]
) -> None:
    tries = []

    def at_last() -> Encoder:
        tries.append(1)
        if len(tries) < 3:
            raise CannotEncode("the folder is not there yet")
        return FakeEncoder()

    opened = with_model(service, at_last, retry=0.5)
    assert ask(opened)["limited"] == "lexical_only"
    until = time.monotonic() + SECONDS
    while opened.meaning.wanted.get() is None and time.monotonic() < until:
        threading.Event().wait(0.05)
    embedding.catch_up(opened.database, opened.meaning)
    assert ask(opened)["limited"] is None
    assert len(tries) == 3


class Wider(FakeEncoder):
    """Of the same name, and of another dimension: what a changed model under one name would be."""

    dimension = 64

    def encode_queries(self, texts):  # type: ignore[no-untyped-def]
        return super().encode_queries(texts)[:, :64]

    def encode_passages(self, texts):  # type: ignore[no-untyped-def]
        return super().encode_passages(texts)[:, :64]


def test_F28_a_model_of_another_dimension_is_embedded_anew(
    service: Service, ask: Callable[[Service], dict[str, object]]
) -> None:
    before = with_model(service, FakeEncoder)
    before.meaning.wanted.wait(SECONDS)
    embedding.catch_up(before.database, before.meaning)
    assert ask(before)["limited"] is None
    after = with_model(service, Wider)
    after.meaning.wanted.wait(SECONDS)
    assert ask(after)["limited"] == "lexical_only"
    embedding.catch_up(after.database, after.meaning)
    assert ask(after)["limited"] is None
    assert vectors_whole(after)
    assert ask(before)["limited"] == "lexical_only", "what still runs with the former one says so and does not fail"


def test_F28_a_model_that_fails_at_a_query_leaves_the_words(
    service: Service, ask: Callable[[Service], dict[str, object]]
) -> None:
    class Failing(FakeEncoder):
        def encode_queries(self, texts):  # type: ignore[no-untyped-def]
            if texts == ["停机"]:
                raise CannotEncode("the model answers nothing but zeros")
            return super().encode_queries(texts)

    opened = with_model(service, Failing)
    opened.meaning.wanted.wait(SECONDS)
    embedding.catch_up(opened.database, opened.meaning)
    assert ask(opened)["limited"] == "lexical_only"


def test_F28_a_missing_folder_and_a_missing_package_start_and_say_so(
    service: Service, ask: Callable[[Service], dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = open_service(
        config.load({}, data_dir=service.settings.data_dir, secret_key=SECRET, encoder=str(tmp_path / "gone"))
    )
    assert ask(gone)["limited"] == "lexical_only"
    gone.meaning.wanted.wait(SECONDS)
    assert gone.meaning.state.startswith("failed: KB_ENCODER names")
    gone.stop()
    monkeypatch.setattr(unpack, "packed_file", lambda: None)
    monkeypatch.setattr(encoder, "_open", lambda *_a, **_k: (_ for _ in ()).throw(OSError("no network")))
    absent = open_service(config.load({}, data_dir=service.settings.data_dir, secret_key=SECRET, encoder=""))
    assert ask(absent)["limited"] == "lexical_only"
    absent.meaning.wanted.wait(SECONDS)
    assert "no network" in absent.meaning.state
    absent.stop()


def test_F28_meaning_switched_off_is_no_lack(service: Service, ask: Callable[[Service], dict[str, object]]) -> None:
    assert ask(service)["limited"] is None
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(EncoderRow)) == 0
    assert upkeep.check(service.database, service.engine).is_true
