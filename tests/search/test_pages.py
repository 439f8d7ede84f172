"""Search by meaning on the pages: modes in the address, notices, the other language offered, similar assets."""

import re
from collections.abc import Iterator

import pytest

from kb import config
from kb.access import Role, Tier
from kb.app import Service, open_service
from kb.config import Settings
from search import encoder, upkeep
from tests.conftest import SECRET, SignIn
from tests.factories import Make

PRICE_ZH = "## 怎么说\n\n价格贵，先别降价，和客户算三年总账。\n"
PRICE_EN = "## Say\n\nThe price is expensive? Compare the cost of three years first.\n"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return config.load({}, data_dir=settings.data_dir, secret_key=SECRET, encoder=encoder.FAKE, requests_per_minute=0)


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    opened = open_service(settings)
    upkeep.begin(opened.engine)
    opened.meaning.wanted.wait(10)
    yield opened
    opened.close()


@pytest.fixture
def make(service: Service) -> Make:
    return Make(service)


def ready(make: Make) -> None:
    make.index()
    make.embed()


def test_the_other_language_is_found_and_offered(make: Make, sign_in: SignIn) -> None:
    chinese = make.asset("价格异议", PRICE_ZH, language="zh")
    english = make.asset("Price objection", PRICE_EN, language="en", translation_of=chinese)
    alone = make.asset("门店宕机", "## 怎么说\n\n门店宕机两小时，怎么向客户解释。\n", language="zh")
    ready(make)
    browser = sign_in(make.user(language="en"))
    hits = browser.get("/api/v1/search", query_string={"q": "too expensive"}).json["hits"]
    assert [hit["id"] for hit in hits][:2] == [english.public_id, chinese.public_id], "the reader's language first"
    assert hits[0]["also"] == [{"id": chinese.public_id, "title": "价格异议", "language": "zh"}]
    shop = browser.get("/api/v1/search", query_string={"q": "outage of the shop"}).json["hits"]
    assert shop[0]["id"] == alone.public_id, "no word is shared"
    assert shop[0]["why"] == ["meaning"]
    assert "meaning" in browser.get("/search", query_string={"q": "outage of the shop"}).text


def test_a_translation_that_is_hidden_is_not_offered(make: Make, sign_in: SignIn) -> None:
    chinese = make.asset("价格异议", PRICE_ZH, language="zh", teams=["west"])
    make.asset("Price objection", PRICE_EN, language="en", translation_of=chinese)
    ready(make)
    browser = sign_in(make.user(teams=["east"]))
    got = browser.get("/api/v1/search", query_string={"q": "too expensive"})
    assert [hit["also"] for hit in got.json["hits"]] == [[]]
    assert "价格异议" not in got.text


def test_the_mode_stands_in_the_address_and_in_its_links(make: Make, sign_in: SignIn) -> None:
    for number in range(25):
        make.asset(f"Price {number}", PRICE_EN)
    ready(make)
    browser = sign_in(make.user())
    page = browser.get("/search", query_string={"q": "price", "mode": "lexical"}).text
    assert "mode=lexical" in page
    assert 'value="lexical" id="f-mode-lexical" form="find" checked' in page
    usual = browser.get("/search", query_string={"q": "price"}).text
    assert "mode=" not in usual.partition('<ol class="hits">')[2]
    assert browser.get("/search", query_string={"q": "price", "mode": "psychic"}).status_code == 422
    assert browser.get("/api/v1/search", query_string={"q": "price", "mode": "semantic"}).json["mode"] == "semantic"


def test_similar_assets_without_itself_and_its_translations(make: Make, sign_in: SignIn) -> None:
    seed = make.asset("价格异议", PRICE_ZH, language="zh")
    make.asset("Price objection", PRICE_EN, language="en", translation_of=seed)
    like = make.asset("Cost question", "## Say\n\nThe cost is too expensive, the price too.\n")
    ready(make)
    browser = sign_in(make.user())
    page = browser.get(f"/assets/{seed.public_id}").text
    assert f'data-fragment="/assets/{seed.public_id}/similar' in page
    whole = browser.get(f"/assets/{seed.public_id}/similar")
    part = browser.get(f"/assets/{seed.public_id}/similar", headers={"X-Fragment": "1"})
    assert "<html" in whole.text
    assert "<html" not in part.text
    for text in (whole.text, part.text):
        assert like.public_id in text
        assert "Price objection" not in text
    assert "价格异议" not in part.text


def test_more_like_one_section(make: Make, sign_in: SignIn) -> None:
    seed = make.asset(
        "Objections", "## Price\n\nThe price is too expensive.\n\n## Weather\n\nRain and wind tomorrow.\n"
    )
    price = make.asset("Cost question", "## Say\n\nThe price is too expensive, they say.\n")
    weather = make.asset("Forecast", "## Say\n\nRain and wind tomorrow, they say.\n")
    make.asset("Hidden forecast", "## Say\n\nRain and wind tomorrow.\n", tier=Tier.RESTRICTED)
    ready(make)
    browser = sign_in(make.user())
    page = browser.get(f"/assets/{seed.public_id}?deal=").text
    sections = dict(zip(("price", "weather"), re.findall(r"similar\?[^\"]*section=([\w-]+)", page), strict=True))
    for name, expected, other in (("price", price, weather), ("weather", weather, price)):
        told = browser.get(
            f"/assets/{seed.public_id}/similar", query_string={"section": sections[name], "deal": ""}
        ).text
        assert told.index(expected.public_id) < (told.find(other.public_id) if other.public_id in told else len(told))
        assert "they say." in told
        assert "Hidden forecast" not in told
    assert browser.get(f"/assets/{seed.public_id}/similar?section=nothing&deal=").status_code == 404


def test_similar_says_what_it_lacks(make: Make, sign_in: SignIn) -> None:
    alone = make.asset("Alone", PRICE_EN)
    browser = sign_in(make.user(language="en"))
    assert "not ready yet" in browser.get(f"/assets/{alone.public_id}/similar").text
    ready(make)
    assert "Nothing else here is like it" in browser.get(f"/assets/{alone.public_id}/similar").text
    assert browser.get("/assets/nothing/similar").status_code == 404


def test_readiness_tells_of_the_encoder(make: Make, sign_in: SignIn) -> None:
    answer = sign_in(make.user(Role.ADMIN)).get("/readyz")
    assert answer.json["encoder"] == "ok: ready"
