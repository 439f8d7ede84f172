"""Nearness in PostgreSQL gives what the matrix in memory gives: exactly in a small library, nearly in a large one."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import literal, select, text
from sqlalchemy.orm import Session

from content.models import Asset
from kb import clock, outbox
from kb.app import Service
from kb.db import Database
from kb.outbox import WishKind
from search import embedding, languages, postgres_near, vectors
from search.embedding import Embedder
from search.encoder import EncoderLoader
from search.engine import IntArray, Scope, Sides
from search.fake_encoder import FakeEncoder
from search.languages import Means
from search.matrix import Keeper
from search.meaning import Meaning
from search.passages import Passage
from search.postgres_near import Mirror, PostgresKeeper, PostgresSpace, WholeSpace
from search.vectors import Embedded, KnownEncoder
from tests.factories import Make

pytestmark = pytest.mark.postgresql
DIMENSION = 32
ASSETS = 60


def passage(asset: int, number: int) -> Passage:
    language = "zh" if asset % 2 else "en"
    return Passage(f"s{number}", 10 * number, 10 * number + 9, language, "", f"{asset}-{number}")


def vector_of(asset: int, number: int) -> np.ndarray:
    drawn = np.random.default_rng(1_000 * asset + number).standard_normal(DIMENSION).astype(np.float32)
    drawn += np.random.default_rng(asset % 6).standard_normal(DIMENSION).astype(np.float32)  # six subjects
    return languages.normal(drawn)


@pytest.fixture
def large(postgresql_database: Service) -> Iterator[tuple[Service, list[int]]]:
    make = Make(postgresql_database)
    ids = [make.asset(f"asset {n}", language="zh" if n % 2 else "en").id for n in range(ASSETS)]
    yield postgresql_database, ids


def embed(database: Database, ids: list[int], assets: dict[int, int]) -> KnownEncoder:
    """Store vectors of `assets[id]` passages each; 0 takes it out."""
    zeros = {name: np.zeros(DIMENSION, np.float32) for name in languages.LANGUAGES}
    means = Means(zeros, zeros)
    with database.writing() as session:
        known = vectors.register(session, "made-up", "made-up", DIMENSION, means.to_json())
        new, wanted = {}, {}
        for asset_id, count in assets.items():
            cut = [passage(asset_id, number) for number in range(count)]
            new |= {one.text_hash: vectors.packed(vector_of(asset_id, n)) for n, one in enumerate(cut)}
            version = session.scalar(text("SELECT id FROM version WHERE asset_id = :asset").bindparams(asset=asset_id))
            wanted[asset_id] = (version if count else None, cut)
        vectors.store(session, known.id, wanted, new)
        vectors.switch(session, known.id)
    with database.reading() as session:
        found = vectors.active(session)
    assert found is not None
    return found


def spaces(session: Session, known: KnownEncoder) -> tuple[WholeSpace, PostgresSpace]:
    in_memory = WholeSpace(session, Keeper().refreshed(session, known))
    in_database = PostgresKeeper(size=20).refreshed(session, known)
    assert isinstance(in_database, PostgresSpace)
    return in_memory, in_database


def asked(seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed % 6).standard_normal(DIMENSION).astype(np.float32)
    return languages.normal(drawn + 0.3 * np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32))


def test_a_large_library_is_answered_as_from_memory(large: tuple[Service, list[int]]) -> None:
    service, ids = large
    known = embed(service.database, ids, {asset_id: 1 + asset_id % 3 for asset_id in ids})
    assert postgres_near.catch_up(service.database, known, index_from=10)
    agreed, closest = [], []
    with service.database.reading() as session:
        whole, near = spaces(session, known)
        for seed in range(12):
            expected = whole.nearest(asked(seed), np.array(ids, np.int64), 10)
            found = near.nearest(asked(seed), np.array(ids, np.int64), 10)
            agreed.append(len(np.intersect1d(expected.asset_ids, found.asset_ids)) / 10)
            closest.append(expected.asset_ids[0] == found.asset_ids[0])
            assert whole.spot(int(expected.rows[0])).anchor == near.spot(int(found.rows[0])).anchor or not closest[-1]
    assert np.mean(agreed) >= 0.9
    assert np.mean(closest) >= 0.9


def test_a_rule_and_ids_say_the_same_and_what_words_found_is_measured(large: tuple[Service, list[int]]) -> None:
    service, ids = large
    known = embed(service.database, ids, dict.fromkeys(ids, 2))
    postgres_near.catch_up(service.database, known, index_from=10)
    some = ids[::3]
    also = np.array(ids[-9::3], np.int64)
    with service.database.reading() as session:
        for space in spaces(session, known):
            by_rule = space.nearest(asked(3), Scope(Asset.id.in_(some)), 5, also[np.isin(also, some)])
            by_ids = space.nearest(asked(3), np.array(some, np.int64), 5, also[np.isin(also, some)])
            assert by_rule.asset_ids.tolist() == by_ids.asset_ids.tolist()
            assert set(by_rule.asset_ids.tolist()) <= set(some)
            assert set(also[np.isin(also, some)].tolist()) <= set(by_rule.asset_ids.tolist())
            assert space.nearest(asked(3), Scope(Asset.id < 0), 5).asset_ids.tolist() == []


def test_sides_ask_after_each_asset_once_for_all_scopes_of_a_reader() -> None:
    asked_for: list[list[int]] = []

    def told(_sides: Sides, ids: IntArray) -> list[tuple[int, int]]:
        asked_for.append(ids.tolist())
        return [(int(one), 1 if one % 2 == 0 else -1) for one in ids if one < 10][::-1]

    sides = Sides(Asset.id < 10, literal(0))
    even, odd = Scope(Asset.id > 0, sides, 1), Scope(Asset.id > 0, sides, -1)
    assert even.seen(np.array([4, 1, 2, 10]), told).tolist() == [True, False, True, False]
    assert odd.seen(np.array([4, 1, 2, 10]), told).tolist() == [False, True, False, False]
    assert odd.seen(np.array([9, 2, 6, 2]), told).tolist() == [True, False, False, False]
    assert even.seen(np.array([], np.int64), told).tolist() == []
    assert asked_for == [[1, 2, 4, 10], [6, 9]]


def test_changes_are_followed_and_gone_encoders_forgotten(large: tuple[Service, list[int]]) -> None:
    service, ids = large
    known = embed(service.database, ids, dict.fromkeys(ids, 2))
    mirror = Mirror(service.database)
    mirror(known)
    keeper = PostgresKeeper(size=20)
    with service.database.reading() as session:
        assert len(keeper.refreshed(session, known)) == ASSETS
    newer = embed(service.database, ids, {ids[0]: 0, ids[1]: 3})
    mirror(newer)
    with service.database.reading() as session:
        space = keeper.refreshed(session, newer)
        assert len(space) == ASSETS - 1
        everything: IntArray = np.array(ids, np.int64)
        assert ids[0] not in space.nearest(vector_of(ids[0], 0), everything, ASSETS).asset_ids
        nearest = space.nearest(vector_of(ids[1], 2), everything, 1)
        assert nearest.asset_ids.tolist() == [ids[1]]
        assert space.spot(int(nearest.rows[0])).anchor == "s2"
        middle = space.middle_of(ids[1], "s2")
        assert middle is not None
        assert middle @ vector_of(ids[1], 2) > 0.999
        assert space.middle_of(ids[0]) is None
        best = space.best_of(ids[1], vector_of(ids[1], 2))
        assert best is not None
        assert best @ vector_of(ids[1], 2) > 0.999
        assert space.best_of(ids[0], vector_of(ids[0], 0)) is None


class Model(FakeEncoder):
    def __init__(self, name: str) -> None:
        self.name = name


def process_with(wanted: Model, source: str, former: Model | None = None) -> Meaning:
    """What a process of these settings knows of meaning; `former` is what it loads for vectors of another source."""
    found = Meaning(
        EncoderLoader(lambda: wanted, source=source, retry_seconds=[]),
        lambda _source: former,
        PostgresKeeper(size=20),
    )
    found.wanted.wait(10)
    return found


def test_a_change_of_the_model_leaves_no_search_without_meaning(large: tuple[Service, list[int]]) -> None:
    """Two sets of vectors beside one another, each under its own index, then a swap: searches go on all the while."""
    service, ids = large
    database = service.database
    old, new = Model("old@1"), Model("new@1")
    embedding.catch_up(database, process_with(old, "old"))
    asking = process_with(new, "new", old)
    embedder = Embedder(database, asking, look_seconds=0, mirror=embedding.mirror_of(database))

    def answered() -> str:
        """Whose vectors answered; there is always somebody."""
        with database.reading() as session:
            active = vectors.active(session)
            assert active is not None
            asking._encoder_of(active) or asking._former_loader(active.source).wait(10)
            found = asking.ask(session, "asset 7")
            assert found is not None
            assert isinstance(found.matrix, PostgresSpace)
            assert len(found.nearest(Scope(Asset.id.in_(ids)), 5).near) >= 5
            return active.name

    assert answered() == "old@1"
    embedder.look()
    told: list[str] = []
    embed = embedder.handlers()[WishKind.EMBED_ASSET]

    def asked_meanwhile(asset_ids: Sequence[int]) -> None:
        embed(asset_ids)
        told.append(answered())

    outbox.drain(database, {WishKind.EMBED_ASSET: asked_meanwhile}, 7)
    assert told == ["old@1"] * -(-ASSETS // 7), "until none of the new ones is missing"
    embedder.look()
    assert answered() == "new@1"
    with database.writing() as session:
        former = session.scalars(select(vectors.EncoderRow).where(vectors.EncoderRow.name == "old@1")).one()
        former.changed_at = clock.now() - vectors.KEPT_RETIRED - timedelta(seconds=1)
        vectors.prune(session)
    with database.writing() as session:  # something changes, so that the mirror looks
        session.delete(session.scalars(select(Embedded).where(Embedded.asset_id == ids[0])).one())
    embedding.catch_up(database, asking)
    with database.engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'kb_index' AND tablename LIKE 'passage_%'")
        ).all()
    assert len(tables) == 1, "the former vectors are gone a day later"
    assert answered() == "new@1"


def test_another_process_at_it_is_left_alone_and_a_small_library_stays_in_memory(
    large: tuple[Service, list[int]],
) -> None:
    service, ids = large
    known = embed(service.database, ids, dict.fromkeys(ids, 1))
    with service.database.engine.connect() as other, postgres_near._alone(other) as is_alone:
        assert is_alone
        assert not postgres_near.catch_up(service.database, known)
    with service.database.reading() as session:
        assert isinstance(PostgresKeeper(size=20).refreshed(session, known), WholeSpace), "nothing is there yet"
    postgres_near.catch_up(service.database, known)
    with service.database.reading() as session:
        assert isinstance(PostgresKeeper(size=ASSETS).refreshed(session, known), WholeSpace)
