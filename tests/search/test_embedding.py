"""Passages and vectors as rows: whatever falls behind is caught up, nothing is embedded twice, a change of encoder switches when full."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import func, select, update

from content.models import Asset
from kb import clock, outbox
from kb.app import Service
from kb.outbox import NotNow, WishKind
from search import embedding, encoder, feed, vectors
from search.embedding import Embedder
from search.encoder import EncoderLoader
from search.fake_encoder import FakeEncoder
from search.meaning import Meaning
from search.vectors import Embedded, EncoderRow, EncoderState, PassageRow, VectorRow
from tests.factories import Make

TEXT = (
    "## Say\n\nWe move one system at a time.\n\n## Proof\n\nTwelve systems moved in six weeks, all of them at night.\n"
)


class Counting(FakeEncoder):
    """Counts what it is asked to encode."""

    def __init__(self, name: str = "counting@1") -> None:
        self.name = name
        self.encoded: list[str] = []

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.encoded += texts
        return super().encode_passages(texts)


def meaning_with(model: FakeEncoder | None, source: str = "x") -> Meaning:
    """A process whose settings name this encoder; None is one that cannot be loaded."""

    def load() -> FakeEncoder:
        if model is None:
            raise encoder.CannotEncode("no such model")
        return model

    found = Meaning(EncoderLoader(load, source=source, retry_seconds=[]), lambda _source: load())
    found.wanted.wait(10)
    return found


@pytest.fixture
def make(any_database: Service) -> Iterator[Make]:
    yield Make(any_database)


def progress(make: Make) -> tuple[int, int]:
    with make.service.database.reading() as session:
        known = vectors.active(session)
        assert known is not None
        found = vectors.progress(session, known.id)
    return found.done, found.all


def count(make: Make, model: type) -> int:
    with make.service.database.reading() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_what_is_published_gets_its_passages_and_vectors(make: Make) -> None:
    model = Counting()
    make.asset("One", TEXT)
    make.asset("Draft", TEXT, publish=False)
    embedding.catch_up(make.service.database, meaning_with(model))
    assert progress(make) == (1, 1)
    assert count(make, PassageRow) == count(make, VectorRow) == 2
    assert [text.splitlines()[0] for text in model.encoded[-2:]] == ["One", "One"]


def test_nothing_is_embedded_twice(make: Make) -> None:
    model = Counting()
    asset = make.asset("One", TEXT)
    embedding.catch_up(make.service.database, meaning_with(model))
    before = list(model.encoded)
    embedding.catch_up(make.service.database, meaning_with(model))
    make.new_version(asset, TEXT + "\n## Follow-up\n\nWhat would a quiet weekend be worth to you, and to whom?\n")
    embedding.catch_up(make.service.database, meaning_with(model))
    new = model.encoded[len(before) :]
    assert len(new) == 1
    assert "quiet weekend" in new[0]
    assert count(make, PassageRow) == 3


def test_what_is_withdrawn_is_taken_out_and_its_vectors_pruned_at_the_next_start(make: Make) -> None:
    asset = make.asset("One", TEXT)
    model = Counting()
    embedding.catch_up(make.service.database, meaning_with(model))
    make.withdraw(asset)
    embedding.catch_up(make.service.database, meaning_with(model))
    assert count(make, PassageRow) == 0
    assert count(make, VectorRow) == 2, "it may come back soon"
    embedding.catch_up(make.service.database, meaning_with(model))
    assert count(make, VectorRow) == 0


def test_without_an_encoder_the_wish_waits_and_is_not_counted_as_failed(make: Make) -> None:
    embedder = Embedder(make.service.database, meaning_with(None))
    with pytest.raises(NotNow):
        embedder.embed([1])
    embedder.look()
    assert count(make, EncoderRow) == 0


def test_an_asset_that_is_gone_is_no_error(make: Make) -> None:
    model = Counting()
    asset = make.asset("One", TEXT, publish=False)
    Embedder(make.service.database, meaning_with(model)).embed([asset.id])
    assert count(make, PassageRow) == 0


def test_only_what_is_behind_is_wished_for_and_only_once(make: Make) -> None:
    for number in range(3):
        make.asset(f"Number {number}", TEXT)
    embedder = Embedder(make.service.database, meaning_with(Counting()), look_seconds=0)
    for _ in range(3):
        embedder.look()
    with make.service.database.reading() as session:
        wished = select(func.count()).where(outbox.Wish.kind == WishKind.EMBED_ASSET.value)
        assert session.scalar(wished) == 3


def wished(make: Make) -> list[int]:
    with make.service.database.reading() as session:
        wishes = select(outbox.Wish.object_id).where(outbox.Wish.kind == WishKind.EMBED_ASSET.value)
        return sorted(session.scalars(wishes))


def test_what_is_indexed_is_wished_for_though_the_look_rests(make_any: Make) -> None:
    """A large library is looked at seldom; what is published or withdrawn is embedded at once all the same."""
    database, kept = make_any.service.database, make_any.asset("Kept", TEXT)
    embedder = Embedder(database, meaning_with(Counting()), look_seconds=3_600)
    index = feed.handlers(database, make_any.service.engine, embedder.wish_for)
    outbox.drain(database, index)
    assert wished(make_any) == [], "nobody has looked yet, and the first look sees all"
    embedder.look()
    outbox.drain(database, embedder.handlers())
    fresh = make_any.asset("Fresh", TEXT)
    embedder.look()
    outbox.drain(database, index)
    assert wished(make_any) == [fresh.id], "and nothing of what has its vectors"
    outbox.drain(database, embedder.handlers())
    assert progress(make_any) == (2, 2)
    make_any.withdraw(kept)
    outbox.drain(database, index)
    assert wished(make_any) == [kept.id], "its rows go"


def test_a_waiting_model_makes_nothing_late(make: Make) -> None:
    make.asset("One", TEXT)
    make.index()
    with make.service.database.writing() as session:
        outbox.add(session, WishKind.EMBED_ASSET, 1, clock.now() - timedelta(hours=2))
    with make.service.database.reading() as session:
        found = outbox.backlog(session)
    assert (found.waiting, found.oldest_due_at) == (1, None)


def test_another_cut_embeds_anew_what_changes(make: Make) -> None:
    make.asset("One", TEXT)
    model = Counting()
    embedding.catch_up(make.service.database, meaning_with(model))
    before = len(model.encoded)
    with make.service.database.writing() as session:
        session.execute(update(Embedded).values(cut="0"), execution_options={"synchronize_session": False})
    assert progress(make) == (0, 1)
    embedding.catch_up(make.service.database, meaning_with(model))
    assert progress(make) == (1, 1)
    assert len(model.encoded) == before, "the same texts have their vectors already"


# --- another encoder ---


def states(make: Make) -> dict[str, str]:
    with make.service.database.reading() as session:
        return {row.name: row.state for row in session.scalars(select(EncoderRow))}


def test_a_new_encoder_fills_its_rows_beside_and_answers_when_none_is_missing(make: Make) -> None:
    for number in range(5):
        make.asset(f"Number {number}", TEXT)
    old, new = Counting("old@1"), Counting("new@1")
    embedding.catch_up(make.service.database, meaning_with(old, "old"))
    changing = Meaning(EncoderLoader(lambda: new, source="new", retry_seconds=[]), lambda _source: old)
    changing.wanted.wait(10)
    embedder = Embedder(make.service.database, changing, look_seconds=0)
    with make.service.database.reading() as session:
        known = vectors.active(session)
        assert known is not None
        changing._former_loader(known.source).wait(10)
    embedder.look()
    assert states(make) == {"old@1": EncoderState.ACTIVE, "new@1": EncoderState.FILLING}
    with make.service.database.reading() as session:
        assert changing.ask(session, "systems") is not None, "the former vectors answer meanwhile"
    outbox.drain(make.service.database, embedder.handlers(), 2)
    embedder.look()
    assert states(make) == {"old@1": EncoderState.RETIRED, "new@1": EncoderState.ACTIVE}
    assert progress(make) == (5, 5)


def test_a_former_encoder_that_cannot_be_loaded_gives_way_at_once(make: Make) -> None:
    make.asset("One", TEXT)
    embedding.catch_up(make.service.database, meaning_with(Counting("old@1"), "old"))

    def gone(_source: str) -> FakeEncoder:
        raise encoder.CannotEncode("the folder was removed")

    changed = Meaning(EncoderLoader(lambda: Counting("new@1"), source="new", retry_seconds=[]), gone)
    changed.wanted.wait(10)
    embedder = Embedder(make.service.database, changed, look_seconds=0)
    changed._former_loader("old").wait(10)
    embedder.look()
    assert states(make)["new@1"] == EncoderState.ACTIVE


def test_rows_of_a_retired_encoder_go_after_a_day(make: Make) -> None:
    make.asset("One", TEXT)
    embedding.catch_up(make.service.database, meaning_with(Counting("old@1"), "same"))
    embedding.catch_up(make.service.database, meaning_with(Counting("new@1"), "same"))
    assert states(make) == {"old@1": EncoderState.RETIRED, "new@1": EncoderState.ACTIVE}
    with make.service.database.writing() as session:
        old = session.scalars(select(EncoderRow).where(EncoderRow.name == "old@1")).one()
        old.changed_at = clock.now() - vectors.KEPT_RETIRED - timedelta(seconds=1)
        vectors.prune(session)
    assert states(make) == {"new@1": EncoderState.ACTIVE}
    assert count(make, VectorRow) == 2


def test_two_workers_may_embed_the_same_asset_at_once(make: Make) -> None:
    asset = make.asset("One", TEXT)
    first, second = (Embedder(make.service.database, meaning_with(Counting())) for _ in range(2))
    first.embed([asset.id])
    second.embed([asset.id])
    assert count(make, PassageRow) == count(make, VectorRow) == 2


class Ended(BaseException):
    """A worker's process is gone."""


def test_many_workers_share_what_is_to_be_embedded_and_one_that_ends_is_taken_over(make: Make) -> None:
    assets = 24
    for number in range(assets):
        make.asset(f"Number {number}", f"## Say\n\nSystem {number} moved at night.\n")
    models = [Counting() for _ in range(3)]
    workers = [Embedder(make.service.database, meaning_with(model), look_seconds=0) for model in models]
    workers[0].look()
    failures: list[Exception] = []
    embed = workers[0].handlers()[WishKind.EMBED_ASSET]

    done: list[int] = []

    def ends_after_one_lot(asset_ids: Sequence[int]) -> None:
        if done:
            raise Ended
        embed(asset_ids)
        done.extend(asset_ids)

    with pytest.raises(Ended):
        outbox.drain(make.service.database, {WishKind.EMBED_ASSET: ends_after_one_lot}, 2)
    assert progress_of(make, models[0].name) == (2, assets), "what is done is kept, and counted"
    with make.service.database.writing() as session:  # a minute later
        session.execute(update(outbox.Wish).values(lease_until=clock.now() - timedelta(seconds=1)))

    def work(worker: Embedder) -> None:
        try:
            outbox.drain(make.service.database, worker.handlers(), 2)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert progress_of(make, models[0].name) == (assets, assets)
    encoded = [text for model in models for text in model.encoded if text.startswith("Number ")]
    assert len(encoded) == len(set(encoded)) == assets, "nothing is made twice, whoever makes it"


def progress_of(make: Make, name: str) -> tuple[int, int]:
    with make.service.database.reading() as session:
        known = vectors.find(session, name)
        assert known is not None
        found = vectors.progress(session, known.id)
    return found.done, found.all


# --- the matrix follows the rows ---


def test_a_process_sees_what_another_has_embedded_since(make: Make) -> None:
    model = Counting()
    reader, worker = meaning_with(model), meaning_with(model)
    first = make.asset("Bank migration", "## Say\n\nThe bank moved one system at a time.\n")
    embedding.catch_up(make.service.database, worker)
    visible = np.array([first.id, first.id + 1], np.int64)

    def found() -> list[int]:
        with make.service.database.reading() as session:
            asked = reader.ask(session, "the bank moved")
            assert asked is not None
            return sorted(asked.nearest(visible).near.asset_ids.tolist())

    assert found() == [first.id]
    second = make.asset("Another bank", "## Say\n\nAnother bank moved too.\n")
    visible = np.array([first.id, second.id], np.int64)
    assert found() == [first.id]
    embedding.catch_up(make.service.database, worker)
    assert found() == [first.id, second.id]
    make.withdraw(first)
    embedding.catch_up(make.service.database, worker)
    assert found() == [second.id]


def test_a_row_of_a_wrong_length_is_left_out_and_nothing_breaks(make: Make) -> None:
    make.asset("One", TEXT)
    model = Counting()
    embedding.catch_up(make.service.database, meaning_with(model))
    with make.service.database.writing() as session:
        row = session.scalars(select(VectorRow)).first()
        assert row is not None
        row.vector = b"\x00" * 10
    with make.service.database.reading() as session:
        known = vectors.active(session)
        assert known is not None
        assert len(vectors.load(session, replace(known)).asset_ids) == 1
        assert session.scalar(select(func.count()).select_from(Asset)) == 1
