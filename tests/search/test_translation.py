"""Words in the other language: what the dictionary says, what it lacks, and what a reader finds by it."""

import pytest

from content.kinds import AssetType
from kb.access import Tier
from search import dictionary, service, translation
from search.dictionary import Dictionary
from search.query import Query
from search.service import SearchPage
from tests.factories import Make

LINES = [
    "# CC-CEDICT",
    "not a line of it",
    "價格 价格 [jia4 ge2] /price/CL:個|个[ge4]/",
    "價錢 价钱 [jia4 qian5] /price/cost (of a thing)/",
    "價 价 [jia4] /price; value/",
    "人工智能 人工智能 [ren2 gong1 zhi4 neng2] /artificial intelligence (AI)/",
    "數據庫 数据库 [shu4 ju4 ku4] /database/",
    "數據 数据 [shu4 ju4] /data/",
    "王 王 [Wang2] /surname Wang/",
    "王 王 [wang2] /ruler of a crowned kingdom/grand/",
    "並 并 [bing4] /variant of 並|并[bing4]/see 合併|合并[he2 bing4]/",
    "落實到每一個人 落实到每一个人 [x] /work/",
]


@pytest.fixture
def small() -> Dictionary:
    return Dictionary(LINES)


def test_a_word_is_called_by_single_tokens_as_the_index_has_them(small: Dictionary) -> None:
    assert small.english("价格") == ("price",)
    assert small.english("价钱") == ("price", "cost")
    assert small.english("价") == ("price", "valu")
    assert small.english("王") == ("grand",)


def test_what_no_single_word_says_is_said_together(small: Dictionary) -> None:
    assert small.apart("人工智能") == ("artifici", "intellig")
    assert small.english("人工智能") == ()
    assert small.apart("王") == (), "where one word does, several are not needed"


def test_pointers_to_other_words_notes_and_sentences_are_left_out(small: Dictionary) -> None:
    assert "并" not in small
    assert "落实到每一个人" not in small
    assert small.english("王") == ("grand",), "no surname"


def test_english_is_called_by_words_of_two_characters_first(small: Dictionary) -> None:
    assert small.chinese("price") == ("价格", "价钱")
    assert small.chinese("databas") == ("数据库",)
    assert small.chinese("wang") == ()


def test_the_dictionary_of_the_installation_knows_everyday_words() -> None:
    book = dictionary.load()
    assert "contract" in book.english("合同")
    assert "停机" in book
    assert {"客户", "顾客"} & set(book.chinese("custom"))
    assert book is dictionary.load()


def named(text: str) -> dict[str, float]:
    return {token: term.weight for term in translation.terms_of(text) for token in term.tokens}


def test_chinese_words_become_what_english_calls_them_and_how_they_sound() -> None:
    found = named("天眼查的合同价格")
    assert {"contract", "price"} <= set(found)
    assert "tianyancha" in found, "names are written as they sound"
    assert translation.terms_of("的了吗") == ()


def test_english_words_become_what_chinese_calls_them() -> None:
    found = named("how much is the contract for the database")
    assert "合同" in found
    assert "据库" in found, "of a longer word, the pair that is no word itself"
    assert "how" not in found


def test_what_has_no_other_language_asks_for_nothing() -> None:
    assert translation.terms_of("") == ()
    assert translation.terms_of("K8s 27001 !!") == ()
    assert len(translation.terms_of("合同价格数据客户报价" * 60)) <= translation.MOST


def find(make: Make, user, words: str, **options: str) -> SearchPage:  # type: ignore[no-untyped-def]
    with make.service.database.reading() as session:
        return service.search(
            session, make.service.finder, make.actor(user), None, Query.of(words, {}, **options), "zh"
        )


def test_a_reader_finds_the_english_text_by_chinese_words_without_a_model(make: Make) -> None:
    make.asset("Renewal", "## Terms\n\nThe contract ends in March; the price stays.\n", asset_type=AssetType.FAQ)
    make.asset("Certificates", "We hold SOC 2.")
    make.index()
    page = find(make, make.user(), "合同 价格")
    assert [hit.asset.title for hit in page.hits] == ["Renewal"]
    hit = page.hits[0]
    assert hit.why == (("translation",),), "no word of it stands there as it was typed"
    assert hit.passage is not None
    assert {text for text, is_marked in hit.passage.parts if is_marked} == {"contract", "price"}
    assert find(make, make.user(), "合同 价格", mode="lexical").hits == (), "words alone are words as they are typed"


def test_what_holds_words_of_both_languages_says_so(make: Make) -> None:
    make.asset("Renewal", "The contract ends in March; 续签 the price.")
    make.index()
    (hit,) = find(make, make.user(), "续签 合同 价格 三月").hits
    assert hit.why == (("words",), ("translation",))


def test_the_chinese_text_is_found_by_english_words(make: Make) -> None:
    make.asset("续签", "合同三月到期，价格不变。", language="zh")
    make.asset("证书", "我们有等保三级。", language="zh")
    make.index()
    page = find(make, make.user(), "contract price")
    assert [hit.asset.title for hit in page.hits] == ["续签"]
    assert ("translation",) in page.hits[0].why


def test_what_holds_the_words_as_typed_is_not_asked_for_elsewhere(make: Make) -> None:
    make.asset("合同", "合同价格", language="zh")
    make.asset("Contract", "The contract price.")
    make.index()
    page = find(make, make.user(), "合同价格")
    assert [(hit.asset.title, ("translation",) in hit.why) for hit in page.hits] == [("合同", False)]


def test_a_hidden_text_is_neither_found_nor_felt_by_the_other_language(make: Make) -> None:
    make.asset("Renewal", "The contract ends in March.")
    make.asset("Other", "Nothing of it, the price perhaps.")
    make.index()
    rep = make.user()
    before = find(make, rep, "合同 价格")
    for number in range(5):
        make.asset(f"Secret {number}", "The contract price. Contract, price.", tier=Tier.CONFIDENTIAL)
    make.index()
    after = find(make, rep, "合同 价格")
    assert [hit.asset.title for hit in before.hits] == [hit.asset.title for hit in after.hits] == ["Renewal", "Other"]
    told = [[hit.score for hit in page.hits] for page in (before, after)]
    assert told[0] == pytest.approx(told[1], rel=0.05), "only the mean length of a text is that of the whole index"
