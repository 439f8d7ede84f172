"""Which language a reader gets."""

import pytest
from flask import Flask

from kb import language
from tests.conftest import ORIGIN, SignIn
from tests.factories import Make

CHINESE, ENGLISH = 'lang="zh-Hans"', 'lang="en"'


@pytest.mark.parametrize(
    ("tags", "chosen"),
    [
        (["zh-CN"], "zh_Hans"), (["zh-TW"], "zh_Hans"), (["zh"], "zh_Hans"), (["zh-Hans-CN"], "zh_Hans"), (["ZH_cn"], "zh_Hans"),
        (["en"], "en"), (["en-GB"], "en"), (["fr"], None), ([], None), (["*"], None), (["fr", "en-US", "zh"], "en"), (["fr-FR", "zh-HK"], "zh_Hans"),
        (["zh-CN", "en"], "zh_Hans"), (["en", "zh-CN"], "en"),
    ],
)  # fmt: skip
def test_browsers_are_matched_by_primary_tag_in_their_order(tags: list[str], chosen: str | None) -> None:
    assert language.from_browser(tags) == chosen


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", CHINESE),
        ("zh-TW", CHINESE),
        ("en-US,en;q=0.9", ENGLISH),
        ("en;q=0.4,zh;q=0.9", CHINESE),
        ("fr-FR,fr;q=0.9", CHINESE),
        ("", CHINESE),
        ("rubbish;;q=x", CHINESE),
    ],
)
def test_the_page_speaks_the_browsers_language_else_the_companys(app: Flask, accept: str, page: str) -> None:
    answer = app.test_client().get("/sign-in", base_url=ORIGIN, headers={"Accept-Language": accept})
    assert page in answer.text.partition(">")[2][:60]


def test_words_are_translated(app: Flask) -> None:
    client = app.test_client()
    assert "Sign in" in client.get("/sign-in", base_url=ORIGIN, headers={"Accept-Language": "en"}).text
    chinese = client.get("/sign-in", base_url=ORIGIN, headers={"Accept-Language": "zh-CN"}).text
    assert "登录" in chinese
    assert "Sign in" not in chinese


@pytest.mark.parametrize(
    ("own", "accept", "page"),
    [("en", "zh-CN", ENGLISH), ("zh_Hans", "en", CHINESE), ("", "en", ENGLISH), ("", "zh", CHINESE)],
)
def test_the_persons_choice_goes_over_the_browsers(
    sign_in: SignIn, make: Make, own: str, accept: str, page: str
) -> None:
    browser = sign_in(make.user(language=own))
    assert page in browser.get("/account/", headers={"Accept-Language": accept}).text[:200]


def test_a_person_changes_the_language_for_good(sign_in: SignIn, make: Make) -> None:
    browser = sign_in(make.user(language="en"))
    assert browser.post("/account/language", data={"language": "zh_Hans"}).status_code == 302
    assert CHINESE in browser.get("/account/", headers={"Accept-Language": "en"}).text[:200]
    assert browser.post("/account/language", data={"language": "fr"}).status_code == 422


@pytest.mark.parametrize(("accept", "said"), [("zh-CN", "这里什么也没有"), ("en", "Nothing is here.")])
def test_an_unknown_address_answers_in_the_readers_language(app: Flask, accept: str, said: str) -> None:
    answer = app.test_client().get("/no/such/page", base_url=ORIGIN, headers={"Accept-Language": accept})
    assert answer.status_code == 404
    if accept == "en":
        assert said in answer.text
    else:
        assert CHINESE in answer.text[:200]
        assert "Nothing is here." not in answer.text


def test_the_signed_in_person_reads_an_unknown_address_in_the_own_language(sign_in: SignIn, make: Make) -> None:
    browser = sign_in(make.user(language="zh_Hans"))
    assert CHINESE in browser.get("/no/such/page", headers={"Accept-Language": "en"}).text[:200]


def test_refusals_of_the_api_speak_the_callers_language(app: Flask) -> None:
    english = app.test_client().get("/api/v1/search", base_url=ORIGIN, headers={"Accept-Language": "en"}).json
    chinese = app.test_client().get("/api/v1/search", base_url=ORIGIN, headers={"Accept-Language": "zh-CN"}).json
    assert english["detail"] == "Sign in first."
    assert english["code"] == chinese["code"]
    assert english["detail"] != chinese["detail"]
