"""Both engines give the same answers: on judged questions by their figures, in the service by what a reader is shown."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from content.kinds import AssetType, Facet
from kb.access import Tier
from kb.app import Service, create_app
from kb.db import Database
from search import evaluate, suggesting, upkeep
from search import service as searching
from search.evaluate import Collection, Setting
from search.postgres_engine import DRAWN, ITEM, Docs, Lexicon, PostgresEngine
from search.query import Mode, Query
from search.service import Finder, SearchPage
from tests.conftest import CORPUS, PostgreSql
from tests.factories import Make

SETS = ("xquad", "streampark-stories", "kubernetes-case-studies")
QUERIES = 120
"""Of each set; as many in Chinese as in English where it has both."""
AGREED = 0.01


@pytest.fixture
def empty_database(postgresql_server: PostgreSql) -> Iterator[Database]:
    url = postgresql_server.empty_database()
    database = Database(url)
    yield database
    database.close()
    postgresql_server.drop(url)


def some(folder: Path) -> Collection:
    read = evaluate.read(folder)
    step = max(1, len(read.questions) // QUERIES)
    return Collection(read.documents, read.questions[::step], read.grades)


@pytest.mark.corpus
@pytest.mark.postgresql
@pytest.mark.parametrize("name", SETS)
def test_judged_questions_are_answered_alike(name: str, empty_database: Database) -> None:
    """A library within the sample exactly so; a larger one, whose sample is a third of it, no worse."""
    if not (CORPUS / name).exists():
        pytest.skip("the shared corpus does not lie beside the project")
    collection = some(CORPUS / name)
    setting = Setting(Mode.LEXICAL)
    with evaluate.bench(collection, None) as embedded:
        expected = evaluate.measure(embedded, setting)
    whole, sampled = (
        PostgresEngine(empty_database),
        PostgresEngine(empty_database, sample=int(len(collection.documents) / 3 / DRAWN), most_named=0),
    )
    with evaluate.bench(collection, None, engine=whole) as filled:
        found = evaluate.measure(filled, setting)
    assert compared(found) == pytest.approx(compared(expected), abs=0.001)
    with evaluate.bench(collection, None, engine=sampled) as filled:
        found = evaluate.measure(filled, setting)
    short = {figure: value - compared(found)[figure] for figure, value in compared(expected).items()}
    assert max(short.values()) <= AGREED, short


def compared(figures: Mapping[str, Any]) -> dict[str, float]:
    of_pairs = {pair: of_pair["ndcg@10"] for pair, of_pair in figures["by_pair"].items()}
    return {"ndcg@10": figures["ndcg@10"], "recall@10": figures["recall@10"], **of_pairs}


@pytest.fixture(params=["as it is", "as if it were large"])
def finder(request: pytest.FixtureRequest, any_database: Service) -> Finder:
    if any_database.database.is_sqlite or request.param == "as it is":
        return any_database.finder
    return Finder(PostgresEngine(any_database.database, sample=3, most_named=0), any_database.meaning)


def test_readers_are_shown_the_same(make_any: Make, finder: Finder) -> None:
    make = make_any
    make.stages()
    finance = make.tag(Facet.INDUSTRY, "finance", "Finance", "金融", ["bank"])
    source = make.asset("客户嫌贵怎么办", "## 怎么说\n\n把单价换成三年总账。\n", language="zh", tags=[finance])
    make.asset("They say it is too expensive", "Compare three years of cost.", translation_of=source, tags=[finance])
    make.asset(
        "银行客户案例",
        "一家银行把核心系统搬了家，停机十分钟。",
        language="zh",
        tags=[finance],
        asset_type=AssetType.CASE_STUDY,
    )
    make.asset("Discount rules", "three years discount rules", unlock="negotiation", tags=[finance])
    make.asset("Hidden three years", "three years", tier=Tier.RESTRICTED, tags=[finance])
    make.index()
    upkeep.check(make.service.database, finder.engine)
    user = make.user()
    rep, cleared = make.actor(user), make.actor(make.user(clearance=Tier.RESTRICTED))
    deal = make.context(user, make.deal(user, "negotiation"))

    def find(words: str, who=rep, on=None, **filters: list[str]) -> SearchPage:  # type: ignore[no-untyped-def]
        with make.service.database.reading() as session:
            return searching.search(session, finder, who, on, Query.of(words, filters, 50), "zh")

    def titles(page: SearchPage) -> list[str]:
        return sorted(hit.asset.title for hit in page.hits)

    english = find("three years")
    assert titles(english) == ["They say it is too expensive"]
    assert [teaser.title for teaser in english.locked] == []
    assert [teaser.title for teaser in find("discount").locked] == ["Discount rules"]
    assert titles(find("three years", on=deal)) == ["Discount rules", "They say it is too expensive"]
    assert titles(find("three years", cleared)) == ["Hidden three years", "They say it is too expensive"]
    assert [one.title for one in find("嫌贵").hits[0].also] == ["They say it is too expensive"]
    bank = find("bank")
    assert bank.total == 3
    assert {(block.facet, value.key, value.count) for block in bank.facets for value in block.values} == {
        ("industry", "finance", 3),
        ("type", "faq", 2),
        ("type", "case_study", 1),
        ("language", "zh", 2),
        ("language", "en", 1),
    }
    assert titles(find("bank", type=["case_study"])) == ["银行客户案例"]
    assert titles(find("")) == titles(find("bank"))
    assert titles(find("银行 -嫌贵")) == ["银行客户案例"]
    assert titles(find('"three years of cost"')) == ["They say it is too expensive"]
    assert find("expnsive").meant == "expensive"
    assert find("hiden years").meant == ""
    with make.service.database.reading() as session:
        told = suggesting.suggest(session, finder, rep, None, "khxg", "zh")
    assert [one.text for one in told] == ["客户嫌贵怎么办"]


@pytest.mark.postgresql
def test_pages_of_an_installation_on_postgresql(postgresql_database: Service) -> None:
    make = Make(postgresql_database)
    make.asset("Downtime window", "The downtime window is ten minutes.")
    make.index()
    app = create_app(postgresql_database)
    client = app.test_client()
    told = client.get("/readyz", base_url="https://127.0.0.1").json
    assert told is not None
    assert told["index"] == "ok"
    with postgresql_database.database.reading() as session:
        found = searching.search(
            session, postgresql_database.finder, make.actor(make.user()), None, Query.of("downtime"), "en"
        )
    assert found.total == 1
    assert found.limited is None


@pytest.mark.postgresql
def test_who_sees_little_of_a_large_library_finds_all_of_it(postgresql_database: Service) -> None:
    """More hidden texts hold the word than candidates are fetched."""
    make = Make(postgresql_database)
    for number in range(30):
        make.asset(f"sparrow hidden {number}", "sparrow", tier=Tier.RESTRICTED)
    seen = {make.asset(f"sparrow seen {number}", "sparrow").id for number in range(3)}
    engine = PostgresEngine(make.service.database, sample=12, most=2, most_named=0)
    upkeep.rebuild(make.service.database, engine)
    finder = Finder(engine, make.service.meaning)
    with make.service.database.reading() as session:
        page = searching.search(session, finder, make.actor(make.user()), None, Query.of("sparrow"), "en")
    assert {hit.asset.id for hit in page.hits} == seen


@pytest.mark.postgresql
def test_hidden_texts_do_not_crowd_out_the_few_that_may_be_seen(postgresql_database: Service) -> None:
    """Who sees most of a large library finds the few texts on a word that stands in many hidden ones."""
    make = Make(postgresql_database)
    for number in range(30):
        make.asset(f"sparrow hidden {number}", "sparrow", tier=Tier.RESTRICTED)
    seen = {make.asset(f"sparrow seen {number}", "sparrow").id for number in range(3)}
    for number in range(60):
        make.asset(f"pigeon {number}", "pigeon")
    engine = PostgresEngine(make.service.database, sample=60, most=2, most_named=0)
    upkeep.rebuild(make.service.database, engine)
    finder = Finder(engine, make.service.meaning)
    with make.service.database.reading() as session:
        page = searching.search(session, finder, make.actor(make.user()), None, Query.of("sparrow"), "en")
    assert {hit.asset.id for hit in page.hits} == seen


def test_words_of_a_sample_brought_on_are_those_of_one_drawn_anew() -> None:
    source = np.random.default_rng(5)

    def drawn(ids: list[int]) -> Docs:
        rows = []
        for asset_id in ids:
            tokens = np.zeros(source.integers(0, 9), ITEM)
            tokens["hash"] = np.sort(source.choice(40, len(tokens), replace=False)) - 20
            tokens["body"] = source.integers(1, 5, len(tokens))
            rows.append((asset_id, 1, 0, len(tokens), tokens.tobytes()))
        return Docs.of(rows)

    docs = drawn(list(range(1, 31)))
    lexicon = Lexicon.of(docs)
    for changed, new in (([3, 4, 9], [4, 9]), ([31], [31]), ([1, 2], []), ([99], []), (list(range(1, 32)), [7])):
        newer = drawn(new)
        stay = ~np.isin(docs.asset_ids, changed)
        docs, lexicon = docs.with_changes(np.array(changed), newer), lexicon.with_changes(stay, newer)
        anew = Lexicon.of(docs)
        assert np.array_equal(lexicon.hashes, anew.hashes)
        assert np.array_equal(lexicon.owners, anew.owners)
        assert np.array_equal(lexicon.tokens, anew.tokens)
