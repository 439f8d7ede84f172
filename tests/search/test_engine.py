"""What every engine must do, held by all of them."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kb.db import Database
from search.analysis import Term, query_terms
from search.engine import Engine, Entry, Fields, IndexMissing, IntArray, Matches
from search.postgres_engine import SAMPLE, PostgresEngine
from search.whoosh_engine import WhooshEngine

ENGINES = ("whoosh", "postgres", "postgres-large")
"""The last one treats every library as too large for its sample."""

CHINESE = (
    "客户嫌贵、还在比竞品甲：把单价换成三年总账。常听到的几句：“你们太贵了”“甲家报得低两成”“预算就这么多”。"
    "多数时候对方手里只有两张首年报价单，还没有人算过后两年。迁移要停多久？核心系统一分钟都不能停。"
)
LIBRARY = [
    Entry(11, "f11", "客户嫌贵怎么办", CHINESE, "价格 · pricing", (1, 7)),
    Entry(
        5,
        "f5",
        "You cost more than Competitor A",
        "The buyer says you're too expensive. Compare three years.",
        "价格 · pricing",
        (2, 7),
    ),
    Entry(
        42,
        "f42",
        "客戶怕停機",
        "遷移窗口怎麼談：老平臺照跑，新平臺在旁邊跑同一批作業。K8s 也行。",
        "停机 · downtime",
        (1,),
    ),
    Entry(7, "f7", "Certificates", "We hold ISO/IEC 27001 and SOC 2.", "合规 · compliance"),
    Entry(900, "f900", "Year-end offer", "Sign by December; downtime is not an issue.", "", (2, 3)),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test on every engine."""
    if "unbuilt" in metafunc.fixturenames:
        marks = {name: [pytest.mark.postgresql] if name != "whoosh" else [] for name in ENGINES}
        metafunc.parametrize("unbuilt", [pytest.param(name, marks=marks[name]) for name in ENGINES], indirect=True)


@pytest.fixture
def unbuilt(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "whoosh":
        engine: Engine = WhooshEngine(tmp_path / "index")
        yield engine
        engine.close()
        return
    server = request.getfixturevalue("postgresql_server")
    url = server.empty_database()
    database = Database(url)
    is_large = request.param == "postgres-large"
    yield PostgresEngine(database, sample=0, most_named=0) if is_large else PostgresEngine(database, sample=SAMPLE)
    database.close()
    server.drop(url)


@pytest.fixture
def empty(unbuilt: Engine) -> Engine:
    unbuilt.rebuild([])
    return unbuilt


@pytest.fixture
def engine(empty: Engine) -> Engine:
    empty.apply(LIBRARY, ())
    return empty


def ids(*numbers: int) -> IntArray:
    return np.array(numbers, np.int64)


def find(engine: Engine, text: str, *visible: int, fields: Fields = Fields.ALL) -> list[int]:
    seen = ids(*sorted(visible)) if visible else engine.all_ids()
    found: list[int] = engine.lexical(query_terms(text), seen, fields=fields).asset_ids.tolist()
    return found


def assert_consistent(matches: Matches) -> None:
    lengths = {
        len(matches.asset_ids),
        len(matches.scores),
        len(matches.coverage),
        len(matches.share),
        len(matches.title_share),
    }
    assert lengths == {len(matches)}
    assert matches.asset_ids.dtype == np.int64
    assert (np.diff(matches.scores) <= 0).all()
    for part in (matches.coverage, matches.share, matches.title_share):
        assert ((part >= 0) & (part <= 1)).all()
    assert (matches.scores > 0).all()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("客户嫌贵", 11),
        ("貴", 11),
        ("太贵", 11),
        ("停机", 42),
        ("K8s", 42),
        ("ＩＳＯ27001", 7),
        ("expensive", 5),
        ("competitor a", 5),
        ("價格", 11),
        ("year end", 900),
    ],
)
def test_the_best_asset_comes_first(engine: Engine, query: str, first: int) -> None:
    matches = engine.lexical(query_terms(query), engine.all_ids())
    assert matches.asset_ids[0] == first
    assert_consistent(matches)


def test_only_visible_assets_are_found(engine: Engine) -> None:
    assert find(engine, "price pricing 价格") == [5, 11] or find(engine, "price pricing 价格") == [11, 5]
    assert find(engine, "price pricing 价格", 5, 7) == [5]
    assert find(engine, "price pricing 价格", 7, 900) == []
    assert len(engine.lexical(query_terms("pricing"), ids())) == 0


def test_hidden_assets_do_not_push_weaker_visible_ones_out(engine: Engine) -> None:
    assert 900 in find(engine, "停机 downtime", 900)


def test_unknown_words_find_nothing(engine: Engine) -> None:
    for text in ("quantum", "火星", "zq zq9", "", "…", "🙂"):
        assert find(engine, text) == [], text
    assert len(engine.lexical([], engine.all_ids())) == 0


def test_operators_are_words(engine: Engine) -> None:
    for text in (
        "title:客户",
        "asset_id:5",
        "*",
        "NOT zq",
        "pric*",
        "card:[0 TO 9]",
        "e^5",
        '"a b"~99999999',
        "(" * 2_000,
        "NOT " * 500,
    ):
        find(engine, text)
    assert find(engine, "tags:quantum") == []


def test_title_and_tags_can_be_searched_alone(engine: Engine) -> None:
    assert find(engine, "expensive", fields=Fields.TITLE_TAGS) == []
    assert find(engine, "downtime", fields=Fields.TITLE_TAGS) == [42]


def test_title_counts_more_than_body(empty: Engine) -> None:
    empty.apply(
        [Entry(1, "a", "Other things", "pricing and more " * 2), Entry(2, "b", "Pricing", "other things and more")], ()
    )
    matches = empty.lexical([Term("price")], empty.all_ids())
    assert matches.asset_ids.tolist() == [2, 1]
    assert matches.title_share.tolist() == [1.0, 0.0]


def test_coverage_grows_with_what_is_held(engine: Engine) -> None:
    matches = engine.lexical(query_terms("迁移 K8s 平台 quantum"), engine.all_ids())
    assert matches.asset_ids[0] == 42
    assert 0 < matches.coverage[0] < 1
    assert matches.share[0] < 1


def test_an_upsert_replaces(engine: Engine) -> None:
    engine.upsert([Entry(5, "new", "Brand new title", "nothing else", "", (9,))])
    assert find(engine, "expensive") == []
    assert find(engine, "brand new") == [5]
    assert engine.fingerprints()[5] == "new"
    assert engine.all_ids().tolist() == [5, 7, 11, 42, 900]


def test_the_last_of_two_entries_for_one_asset_counts(engine: Engine) -> None:
    engine.upsert([Entry(1, "a", "apple", ""), Entry(1, "b", "banana", "")])
    assert (find(engine, "apple"), find(engine, "banana")) == ([], [1])


def test_removed_assets_are_gone_and_unknown_ids_no_error(engine: Engine) -> None:
    engine.remove([5, 123456])
    engine.remove([])
    assert find(engine, "expensive") == []
    assert engine.all_ids().tolist() == [7, 11, 42, 900]
    assert 5 not in engine.fingerprints()


def test_an_id_to_add_and_remove_is_removed(engine: Engine) -> None:
    engine.apply([Entry(1, "a", "apple", ""), Entry(2, "b", "banana", "")], [1, 5])
    assert engine.all_ids().tolist() == [2, 7, 11, 42, 900]


def test_fingerprints_and_ids_agree(engine: Engine) -> None:
    assert engine.fingerprints() == {entry.asset_id: entry.fingerprint for entry in LIBRARY}
    assert engine.all_ids().tolist() == sorted(entry.asset_id for entry in LIBRARY)


def test_facet_codes_come_by_row(engine: Engine) -> None:
    table = engine.facets_of(ids(900, 3, 11, 7))
    assert sorted(zip(table.rows.tolist(), table.codes.tolist(), strict=True)) == [(0, 2), (0, 3), (2, 1), (2, 7)]
    assert len(engine.facets_of(ids()).rows) == 0


def test_rebuild_replaces_everything(engine: Engine) -> None:
    engine.rebuild([Entry(1, "a", "apple", "")])
    assert engine.all_ids().tolist() == [1]
    assert (find(engine, "expensive"), find(engine, "apple")) == ([], [1])


def test_a_failed_rebuild_leaves_the_old_index(engine: Engine) -> None:
    def entries() -> Iterator[Entry]:
        yield Entry(1, "a", "apple", "")
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError):
        engine.rebuild(entries())
    assert find(engine, "expensive") == [5]
    engine.upsert([Entry(1, "a", "apple", "")])
    assert find(engine, "apple") == [1]


def test_searches_go_on_during_a_rebuild(engine: Engine) -> None:
    def entries() -> Iterator[Entry]:
        assert find(engine, "expensive") == [5]
        yield Entry(1, "a", "apple", "")

    engine.rebuild(entries())
    assert find(engine, "expensive") == []


def test_writing_inside_the_lock_is_possible(engine: Engine) -> None:
    with engine.exclusive():
        engine.upsert([Entry(1, "a", "apple", "")])
        engine.rebuild([Entry(2, "b", "banana", "")])
    assert engine.all_ids().tolist() == [2]


def test_an_empty_index_answers(empty: Engine) -> None:
    assert len(empty.lexical(query_terms("price"), ids(1, 2))) == 0
    assert len(empty.all_ids()) == 0
    assert empty.fingerprints() == {}
    assert len(empty.facets_of(ids(1)).rows) == 0
    empty.verify()


def test_an_index_nobody_built_is_missing(unbuilt: Engine) -> None:
    engine = unbuilt
    for call in (engine.all_ids, engine.fingerprints, engine.verify):
        with pytest.raises(IndexMissing):
            call()
    with pytest.raises(IndexMissing):
        engine.upsert([Entry(1, "a", "apple", "")])
    engine.rebuild([])
    assert len(engine.all_ids()) == 0


def test_a_closed_engine_opens_again(engine: Engine) -> None:
    engine.close()
    assert find(engine, "expensive") == [5]


def test_every_one_and_two_characters_of_a_document_find_it(engine: Engine) -> None:
    for entry in LIBRARY[::2]:
        for text in (entry.title, entry.body):
            for start in range(len(text)):
                for part in (text[start : start + 1], text[start : start + 2]):
                    if all("\u4e00" <= character <= "\u9fff" for character in part):
                        assert entry.asset_id in find(engine, part), part


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    texts=st.lists(
        st.text(st.sampled_from("的了客户嫌贵停机是在遷移數據庫，。 aK8"), min_size=1, max_size=60),
        min_size=1,
        max_size=4,
    ),
)
def test_any_short_part_of_any_document_finds_it(empty: Engine, data: st.DataObject, texts: list[str]) -> None:
    empty.rebuild(Entry(number, "f", "", text) for number, text in enumerate(texts))
    number = data.draw(st.integers(0, len(texts) - 1))
    start = data.draw(st.integers(0, len(texts[number]) - 1))
    part = texts[number][start : start + data.draw(st.integers(1, 2))]
    if all("\u4e00" <= character <= "\u9fff" for character in part):
        assert number in find(empty, part)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=()), max_size=120))
def test_no_query_raises(engine: Engine, text: str) -> None:
    assert_consistent(engine.lexical(query_terms(text), engine.all_ids()))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=()), max_size=120))
def test_any_text_can_be_indexed(empty: Engine, text: str) -> None:
    empty.upsert([Entry(1, "f", text, text, text, (1,))])
    assert empty.all_ids().tolist() == [1]


def test_many_threads_read_while_one_writes(engine: Engine) -> None:
    wrong: list[object] = []

    def read() -> None:
        for _ in range(40):
            try:
                if find(engine, "expensive") != [5]:
                    wrong.append("not found")
            except Exception as error:  # the thread must not swallow it
                wrong.append(error)

    readers = [Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for number in range(12):
        engine.upsert([Entry(1_000 + number, "f", f"filler {number}", CHINESE)])
    engine.rebuild([*LIBRARY, Entry(2_000, "f", "filler", CHINESE)])
    for reader in readers:
        reader.join()
    assert wrong == []


def test_what_is_asked_together_is_answered_as_one_by_one(engine: Engine) -> None:
    alone = find(engine, "expensive"), find(engine, "停机"), engine.facets_of(ids(5, 11)).codes.tolist()
    with engine.together():
        with engine.together():
            assert find(engine, "expensive") == alone[0]
        assert (find(engine, "停机"), engine.facets_of(ids(5, 11)).codes.tolist()) == alone[1:]
    engine.apply([Entry(8, "f8", "Also expensive", "Very.")], ())
    with engine.together():
        assert set(find(engine, "expensive")) == {*alone[0], 8}


def test_a_rebuild_beside_disturbs_nothing_that_is_asked_together(engine: Engine) -> None:
    rebuilding = Thread(target=engine.rebuild, args=([Entry(8, "f8", "Expensive", "Very.")],))
    with engine.together():
        before = find(engine, "expensive", 5, 8)
        rebuilding.start()
        rebuilding.join(0.3)
        assert find(engine, "expensive", 5, 8) in (before, [8])
    rebuilding.join()
    assert find(engine, "expensive", 5, 8) == [8]


def test_after_damage_what_is_asked_together_goes_on(unbuilt: Engine) -> None:
    with unbuilt.together():
        for _ in range(2):
            with pytest.raises(IndexMissing):
                find(unbuilt, "expensive", 5)
    unbuilt.rebuild(LIBRARY)
    assert find(unbuilt, "expensive", 5) == [5]


def test_tokens_that_mean_the_same_count_as_one_word(engine: Engine) -> None:
    everything = engine.all_ids()
    either = engine.lexical([Term("expens", 1.0, ("downtim", "nowher"))], everything)
    alone = [set(engine.lexical([Term(token)], everything).asset_ids.tolist()) for token in ("expens", "downtim")]
    assert set(either.asset_ids.tolist()) == alone[0] | alone[1] == {5, 42, 900}
    assert either.share.tolist() == [1.0, 1.0, 1.0]
    assert engine.lexical([Term("nowher", 1.0, ("neverwher",))], everything).asset_ids.tolist() == []


def test_words_of_several_names_are_held_together(engine: Engine) -> None:
    terms = [Term("offer", 1.0, ("quot", "certif")), Term("decemb", 1.0, ("soc",))]
    found = engine.lexical(terms, engine.all_ids())
    assert set(found.asset_ids.tolist()) == {7, 900}
    assert found.share.tolist() == [1.0, 1.0]
    again = engine.lexical([Term("certif", 1.0, ("quot", "offer")), Term("soc", 1.0, ("decemb",))], engine.all_ids())
    assert again.scores == pytest.approx(found.scores), "whichever name comes first"


def test_a_name_that_stands_for_two_words_counts_for_both(engine: Engine) -> None:
    found = engine.lexical([Term("sign", 1.0, ("decemb",)), Term("contract", 1.0, ("decemb",))], engine.all_ids())
    assert (found.asset_ids.tolist(), found.share.tolist()) == ([900], [1.0])
