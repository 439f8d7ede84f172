"""A rep who types: suggestions, another spelling, operators, a kept search; a marketer who sees what is missing."""

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import Demo, sign_in
from tests.journeys.test_marketer import Hand
from tests.journeys.test_sharing import is_sound

pytestmark = pytest.mark.browser

REP, MARKETER = "lin.yue@yunshu.example", "chen.an@yunshu.example"


def test_a_rep_is_led_to_what_was_meant(page: Page, demo: Demo) -> None:
    sign_in(page, REP)
    Hand(page).rests()
    page.goto("/?deal=")
    page.press("body", "/")
    page.keyboard.type("khxg", delay=20)
    line = page.locator("#suggestions [role=option]").first
    expect(line).to_contain_text("客户嫌贵")
    is_sound(page)
    page.press("#q", "ArrowDown")
    expect(page.locator("#q")).to_have_attribute("aria-activedescendant", "suggestion-1")
    page.press("#q", "Enter")
    expect(page.locator("h1")).to_contain_text("客户嫌贵")

    page.fill("#q", "客护嫌贵")
    page.press("#q", "Enter")
    page.click(".meant a")
    expect(page.locator("#q")).to_have_value("客户嫌贵")
    expect(page.locator(".meant")).to_have_count(0)
    expect(page.locator("[data-hit-link]").first).to_contain_text("客户嫌贵")

    page.fill("#q", "嫌贵 类型:话术 -停机")
    page.press("#q", "Enter")
    expect(page.locator(".found__head .chip")).to_have_count(2)
    is_sound(page)
    page.locator(".found__head .chip").first.click()
    expect(page.locator("#q")).to_have_value("嫌贵 类型:话术")
    expect(page.locator(".found__head .chip")).to_have_count(1)
    page.press("#q", "Escape")

    page.click("form.keep button")
    expect(page.locator("main .line__title")).to_have_text("嫌贵 类型:话术")
    is_sound(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("main .line__title")
    expect(page.locator("#q")).to_have_value("嫌贵 类型:话术")
    page.fill("#q", "价格")
    expect(page.locator("#suggestions")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_marketer_takes_the_gap_with_the_most_money(page: Page, demo: Demo) -> None:
    sign_in(page, MARKETER)
    page.goto("/gaps?deal=")
    expect(page.locator("main .line__title").first).to_have_text("信创适配清单", timeout=30_000)
    is_sound(page)
    page.locator("main .line__title").first.click()
    expect(page.locator("main")).to_contain_text("有没有信创适配的清单")
    page.click("main button.btn-primary")
    expect(page.locator("main input[name=state][value=taken]")).to_have_count(0)
    expect(page.locator("main")).to_contain_text("已认领")
    is_sound(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.click("a[href*='/assets/new']")
    expect(page.locator("[name=title]")).to_have_value("信创适配清单")
