"""Did you mean: by letters and by sound, and never a word that this reader's own library does not hold."""

import pytest

from content.kinds import Facet
from kb.access import Tier
from search import spelling, suggesting, wordbook
from tests.conftest import Browser, SignIn
from tests.factories import Make

TEXTS = ["肯德基 的 案例：迁移窗口，信创适配。", "Kubernetes platform migration and pricing objections"]
TITLES = [(1, "客户嫌贵怎么办"), (2, "Kubernetes in six weeks")]
BOOK = wordbook.made(TEXTS, TITLES, ["竞品甲", "price objection"], (), 2)
EVERYTHING = "\n".join([*TEXTS, *(title for _, title in TITLES), "竞品甲", "price objection"]).casefold()


def held(words: str) -> bool:
    return all(word in EVERYTHING for word in words.split())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("肯得基", "肯德基"),  # the same sound
        ("肯德鸡案例", "肯德基案例"),
        ("客护嫌贵", "客户嫌贵"),
        ("迁移创口", "迁移窗口"),
        ("信创是配", "信创适配"),
        ("竞品假", "竞品甲"),
        ("qianyi", "迁移"),  # an input method that was off
        ("kehu xiangui", "客户 嫌贵"),
        ("kuberntes", "kubernetes"),
        ("Migartion", "migration"),
        ("pricng objction", "pricing objection"),
        ("kubernetes", ""),
        ("客户嫌贵", ""),
        ("zqxv", ""),
        ("the", ""),
        ("火星基地", ""),
        ("", ""),
    ],
)
def test_another_spelling(typed: str, meant: str) -> None:
    assert spelling.corrected(typed, BOOK, held) == meant


def test_what_nobody_may_see_is_no_spelling() -> None:
    assert spelling.corrected("肯得基", BOOK, lambda _words: False) == ""


def meant(browser: Browser, words: str) -> object:
    answer = browser.get("/api/v1/search", query_string={"q": words})
    assert answer.json is not None
    return answer.json["did_you_mean"]


def test_a_reader_is_told_of_words_in_what_that_reader_may_see(make: Make, sign_in: SignIn) -> None:
    make.asset("Kubernetes platform", "Moving a platform to Kubernetes.")
    make.asset("Project Zanzibar", "The secret Zanzibar project.", tier=Tier.RESTRICTED)
    make.asset("信创适配清单", "信创适配", language="zh")
    make.index()
    rep, cleared = sign_in(make.user()), sign_in(make.user(clearance=Tier.RESTRICTED))
    assert meant(rep, "kuberntes") == "kubernetes"
    assert meant(rep, "信创是配") == "信创适配"
    assert meant(rep, "zanzibr") is None
    assert meant(cleared, "zanzibr") == "zanzibar"
    assert meant(rep, "kubernetes") is None
    page = rep.get("/search", query_string={"q": "kuberntes", "deal": ""}).text
    assert "Did you mean" in page
    assert "q=kubernetes" in page


def test_what_was_published_a_moment_ago_is_known(make: Make, sign_in: SignIn) -> None:
    rep = sign_in(make.user())
    assert meant(rep, "obseravbility") is None
    make.asset("Observability", "Observability for platforms.")
    make.index()
    assert meant(rep, "obseravbility") == "observability"


def suggested(browser: Browser, typed: str, deal: str = "") -> list[tuple[str, str]]:
    answer = browser.get("/api/v1/suggest", query_string={"q": typed, "deal": deal})
    assert answer.status_code == 200, answer.text
    assert answer.json is not None
    return [(one["kind"], one["text"]) for one in answer.json["suggestions"]]


def test_titles_are_suggested_by_letters_and_by_sound(make: Make, sign_in: SignIn) -> None:
    make.asset("客户嫌贵怎么办", "算三年总账。", language="zh")
    make.asset("You cost more than Competitor A", "Compare three years.")
    make.index()
    rep = sign_in(make.user())
    for typed in ("客户", "嫌贵", "khxg", "kehuxian", "xiangui"):
        assert ("asset", "客户嫌贵怎么办") in suggested(rep, typed), typed
    for typed in ("you c", "compet", "cost competitor"):
        assert ("asset", "You cost more than Competitor A") in suggested(rep, typed), typed
    assert suggested(rep, "") == suggested(rep, "  ") == suggested(rep, "zq") == []
    page = rep.get("/suggest", query_string={"q": "khxg", "deal": ""}).text
    assert "客户嫌贵怎么办" in page


def test_nothing_hidden_is_suggested_in_any_way(make: Make, sign_in: SignIn) -> None:
    secret = make.tag(Facet.PRODUCT, "zanzibar", "Zanzibar", "桑给巴尔", ["zz top"])
    make.asset("Zanzibar roadmap", "Zanzibar", tier=Tier.RESTRICTED, tags=[secret])
    make.stages()
    make.asset("Zanzibar later", "Zanzibar", unlock="negotiation")
    make.index()
    user = make.user()
    rep, cleared = sign_in(user), sign_in(make.user(clearance=Tier.RESTRICTED))
    for typed in ("z", "zan", "zanz", "zanzibar", "zanzibar r", "桑给", "sjbe", "zz"):
        assert suggested(rep, typed) == [], typed
    assert ("asset", "Zanzibar roadmap") in suggested(cleared, "zanz")
    assert ("tag", "Zanzibar") in suggested(cleared, "桑给")
    late = make.deal(user, "negotiation")
    assert suggested(rep, "zanz", late.external_id) == [("asset", "Zanzibar later")]
    assert rep.get("/api/v1/suggest?q=z&deal=no-such-deal").status_code == 404


def test_hidden_titles_push_no_visible_one_out(make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggesting, "LOOKED_AT", 3)
    for number in range(9):
        make.asset(f"Zan {number}", tier=Tier.RESTRICTED)
    make.asset("Zanzibar for everybody, with a long title that comes last")
    assert suggested(sign_in(make.user()), "zan") == [
        ("asset", "Zanzibar for everybody, with a long title that comes last")
    ]


def test_a_title_that_was_changed_is_known_by_its_present_words_alone(make: Make, sign_in: SignIn) -> None:
    asset = make.asset("Zanzibar roadmap", "words")
    make.index()
    rep = sign_in(make.user())
    assert suggested(rep, "zanz") == [("asset", "Zanzibar roadmap")]
    make.new_version(asset, "words", title="Roadmap")
    assert suggested(rep, "zanz") == []
    assert suggested(rep, "road") == [("asset", "Roadmap")]


def test_a_search_is_told_to_others_when_two_people_used_what_it_found_and_the_reader_holds_its_words(
    make: Make, sign_in: SignIn
) -> None:
    asset = make.asset("Downtime window", "The downtime window of a migration is ten minutes.")
    make.asset("Zanzibar", "The downtime window of Zanzibar.", tier=Tier.RESTRICTED)
    make.index()
    users = [make.user(), make.user(clearance=Tier.RESTRICTED)]
    for number, user in enumerate(users):
        browser = sign_in(user)
        for words in ("downtime window migration", "downtime window zanzibar"):
            found = browser.get("/api/v1/search", query_string={"q": words}).json
            assert found is not None
            event = {
                "event_id": f"{number}-{words}",
                "kind": "copy",
                "asset": asset.public_id,
                "search": found["search_id"],
            }
            assert browser.post("/api/v1/usage", json=event).status_code == 202
    make.asset("Another", "so that words are read anew")
    make.index()
    other = sign_in(make.user())
    told = suggested(other, "downtime")
    assert ("search", "downtime window migration") in told
    assert ("search", "downtime window zanzibar") not in told
    assert ("search", "downtime window zanzibar") in suggested(sign_in(users[1]), "downtime")
