"""What may be typed beside plain words: operators where they stand apart, words everywhere else, nothing lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.kinds import AssetType, Facet
from kb.access import Tier
from search import service, syntax
from search.query import Query
from search.service import SearchPage
from search.syntax import EMPTY, UNCLOSED
from tests.conftest import Browser, SignIn
from tests.factories import Make


@pytest.mark.parametrize(
    ("text", "words", "phrases", "excluded", "fields"),
    [
        ("客户嫌贵", "客户嫌贵", (), (), ()),
        ('"three years" price', "three years price", ("three years",), (), ()),
        ("客户说“你们太贵了”怎么办", "客户说“你们太贵了”怎么办", (), (), ()),
        ("“你们太贵了”", "你们太贵了", ("你们太贵了",), (), ()),
        ("迁移 -停机", "迁移", (), ("停机",), ()),
        ('price -"first year"', "price", (), ("first year",), ()),
        ("year-end - offer", "year-end - offer", (), (), ()),
        ("discount -5%", "discount -5%", (), (), ()),
        ("type:case 银行", "银行", (), (), (("type", ("case",)),)),
        ("行业：金融,制造 价格", "价格", (), (), (("industry", ("金融", "制造")),)),
        ('title:"三年总账"', "", (), (), (("title", ("三年总账",)),)),
        ("10:30 https://example.com/a?b=c", "10:30 https://example.com/a?b=c", (), (), ()),
        ("type: price", "type: price", (), (), ()),
        ("", "", (), (), ()),
    ],
)
def test_a_query_is_taken_apart(
    text: str, words: str, phrases: tuple[str, ...], excluded: tuple[str, ...], fields: tuple[object, ...]
) -> None:
    parsed = syntax.parse(text)
    assert (parsed.words, parsed.phrases, parsed.excluded) == (words, phrases, excluded)
    assert tuple((one.facet, one.values) for one in parsed.fields) == fields


@pytest.mark.parametrize(("text", "note"), [('"price now', UNCLOSED), ('"" price', EMPTY), ("type:, price", EMPTY)])
def test_what_makes_no_sense_is_read_as_words_and_said(text: str, note: str) -> None:
    parsed = syntax.parse(text)
    assert parsed.notes == (note,)
    assert "price" in parsed.words.split()


@given(st.text(st.sampled_from('ab贵 "“”-:：，,'), max_size=40))
def test_every_text_gives_an_answer_and_operators_can_be_taken_away(text: str) -> None:
    text = " ".join(text.split())
    parsed = syntax.parse(text)
    for _, said, raw in syntax.operators(parsed):
        assert said
        assert raw in text
        assert len(syntax.without(text, raw)) < len(text)
    letters = {sign for sign in text if sign.isalnum()}
    kept = "".join((parsed.words, *parsed.excluded, *(one.raw for one in parsed.fields)))
    assert letters <= set(kept)


def find(make: Make, user: object, words: str) -> SearchPage:
    with make.service.database.reading() as session:
        actor = make.actor(user)  # type: ignore[arg-type]
        return service.search(session, make.service.finder, actor, None, Query.of(words), "zh")


def titles(page: SearchPage) -> list[str]:
    return sorted(hit.asset.title for hit in page.hits)


def test_exact_words_exclusions_and_fields_narrow_what_is_found(make: Make) -> None:
    bank = make.tag(Facet.INDUSTRY, "finance", "Finance", "金融", ["bank"])
    make.asset("Three years", "Compare three years of cost, not the first year.", tags=[bank])
    make.asset("Years apart", "Three of them waited for years; the cost was high.", asset_type=AssetType.CASE_STUDY)
    make.asset("三年总账", "把单价换成三年总账，客户嫌贵的是首年。", language="zh", tags=[bank])
    make.index()
    rep = make.user()
    assert titles(find(make, rep, "three years cost")) == ["Three years", "Years apart"]
    assert titles(find(make, rep, '"three years" cost')) == ["Three years"]
    assert titles(find(make, rep, "years cost -compare")) == ["Years apart"]
    assert titles(find(make, rep, 'years -"first year"')) == ["Years apart"]
    assert titles(find(make, rep, "cost industry:bank")) == ["Three years"]
    assert titles(find(make, rep, "cost 类型：案例")) == ["Years apart"]
    assert titles(find(make, rep, "-cost")) == ["三年总账"]
    assert titles(find(make, rep, "title:总账")) == ["三年总账"]
    assert titles(find(make, rep, "title:嫌贵")) == []
    assert titles(find(make, rep, "“三年总账”")) == ["三年总账"]
    assert find(make, rep, "行业:金融").total == 2


def test_exact_words_that_nothing_holds_and_unknown_values_fall_back_to_words(make: Make) -> None:
    make.asset("Three years", "Three of them waited for years.")
    make.index()
    rep = make.user()
    loosely = find(make, rep, '"three years of waiting"')
    assert [code for code, _ in loosely.asked.notes] == ["exact_none"]
    assert titles(loosely) == ["Three years"]
    unknown = find(make, rep, "industry:Atlantis years")
    assert unknown.asked.notes == (("unknown_value", "Atlantis"),)
    assert titles(unknown) == ["Three years"]


def test_a_tag_that_stands_on_nothing_visible_is_not_told_from_one_that_never_was(make: Make, sign_in: SignIn) -> None:
    secret = make.tag(Facet.PRODUCT, "zanzibar", "Zanzibar label", "桑给巴尔")
    make.asset("Roadmap", "years of it", tier=Tier.RESTRICTED, tags=[secret])
    make.asset("Three years", "Three years of cost.")
    make.index()
    rep, cleared = sign_in(make.user()), sign_in(make.user(clearance=Tier.RESTRICTED))

    def told(browser: Browser, words: str) -> dict[str, object]:
        return browser.get("/api/v1/search", query_string={"q": words}).json["read_as"]  # type: ignore[index]

    for word in ("zanzibar", "桑给巴尔"):
        known, never = told(rep, f"years product:{word}"), told(rep, "years product:nothing")
        assert known["notes"] == [{"code": "unknown_value", "about": word}]
        assert known["filters"] == never["filters"] == {}
        assert "Zanzibar label" not in rep.get("/search", query_string={"q": f"product:{word}", "deal": ""}).text
    assert told(cleared, "years product:桑给巴尔")["filters"] == {"product": ["zanzibar"]}


def test_a_page_shows_what_was_understood_and_how_to_take_it_away(make: Make, sign_in: SignIn) -> None:
    finance = make.tag(Facet.INDUSTRY, "finance", "Finance", "金融")
    make.asset("Three years", "Three years of cost.", tags=[finance])
    make.index()
    browser = sign_in(make.user())
    page = browser.get("/search", query_string={"q": 'cost -downtime industry:finance "three', "deal": ""}).text
    assert "without “downtime”" in page
    assert "A quotation mark is not closed" in page
    assert "q=cost+industry:finance+%22three" in page, "the chip takes the exclusion away and leaves the rest"
    told = browser.get("/api/v1/search", query_string={"q": 'cost -downtime "three years"'}).json
    assert told is not None
    assert told["read_as"]["without"] == ["downtime"]
    assert told["read_as"]["exact"] == ["three years"]
    assert told["read_as"]["notes"] == []
