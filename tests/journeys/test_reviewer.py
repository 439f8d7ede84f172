"""A reviewer's afternoon in a real browser: due first, by keyboard, next item at once; the author gets one list."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from content.models import Asset, Version
from tests.journeys.conftest import Demo, sign_in
from tests.journeys.test_marketer import COUNT, MARKETER, Hand, begin, complete, write

pytestmark = pytest.mark.browser

LEGAL, MARKETING, SALES = "su.qing@yunshu.example", "ines.duarte@yunshu.example", "zhao.qiming@yunshu.example"
ALL = {"legal": LEGAL, "marketing": MARKETING, "sales": SALES}


def as_(chromium: Browser, demo: Demo, email: str) -> Page:
    found = chromium.new_context(base_url=demo.url, locale="zh-CN", viewport={"width": 1280, "height": 900}).new_page()
    found.add_init_script(COUNT)
    sign_in(found, email)
    return found


def hand_in(page: Page, title: str, text: str) -> str:
    reference = begin(page, title)
    write(page, text)
    complete(page)
    page.click(".work__bar [data-submit]")
    page.wait_for_selector(".standing a[href*='/review']")
    return reference


def state(demo: Demo, reference: str) -> list[str]:
    with demo.database.reading() as db:
        rows = select(Version.state).join(Asset, Asset.id == Version.asset_id).where(Asset.public_id == reference)
        return list(db.scalars(rows.order_by(Version.number)))


def open_review(page: Page, reference: str) -> None:
    page.goto(f"/assets/{reference}/review?deal=")
    page.wait_for_selector("html[data-ready]", state="attached")


def test_J3_legal_decides_by_keyboard_and_the_next_item_is_open(page: Page, chromium: Browser, demo: Demo) -> None:
    sign_in(page, MARKETER)
    first = hand_in(page, "审核旅程之一", "## 话术\n\n我们一次只迁一套系统。\n")
    second = hand_in(page, "审核旅程之二", "## 话术\n\n每天早上给一张对数表。\n")
    legal = as_(chromium, demo, LEGAL)
    legal.click(".head__nav a:has-text('审核')")
    expect(legal.locator(".queue")).not_to_have_count(0)
    open_review(legal, first)
    hand = Hand(legal)
    hand.rests()
    legal.keyboard.press("r")
    expect(legal.locator("[data-verdicts] [name=reason]")).to_be_focused()
    legal.keyboard.type("写明迁哪一套")
    legal.locator("body").click(position={"x": 5, "y": 300})
    legal.keyboard.press("r")
    legal.wait_for_url(re.compile(r"/reviews/[^/]+\?"))
    expect(legal.locator("[data-verdicts]")).to_be_visible()
    open_review(legal, second)
    legal.keyboard.press("a")
    expect(legal.locator(".toasts")).to_contain_text("已通过")
    assert hand.told("two verdicts of legal") <= 3
    # what she decided shows, and she cannot decide again
    open_review(legal, second)
    expect(legal.locator("[data-verdicts]")).to_have_count(0)
    for email in (MARKETING, SALES):
        other = as_(chromium, demo, email)
        for reference in (first, second):
            open_review(other, reference)
            other.keyboard.press("a")
            expect(other.locator(".toasts")).to_contain_text(re.compile("已通过|Approved"))
    assert state(demo, first) == ["changes_requested"]
    assert state(demo, second) == ["published"], "with the last approval it is with its readers"
    page.goto(f"/assets/{first}/edit?deal=")
    page.click(".standing a:has-text('查看审核意见')")
    expect(page.locator(".review__side")).to_contain_text("写明迁哪一套")
    expect(page.locator(".review__side")).to_contain_text("苏晴")


def test_J3_a_remark_on_marked_words_and_only_the_difference_afterwards(
    page: Page, chromium: Browser, demo: Demo
) -> None:
    sign_in(page, MARKETER)
    reference = hand_in(page, "审核旅程之三", "## 话术\n\n连续十天对得上，才切换。\n\n先看账。\n")
    legal, sales = as_(chromium, demo, LEGAL), as_(chromium, demo, SALES)
    open_review(sales, reference)
    sales.keyboard.press("a")
    expect(sales.locator(".toasts")).to_contain_text("已通过")
    open_review(legal, reference)
    legal.locator("[data-quotable] p").first.click(click_count=3)
    expect(legal.locator("[data-quote]")).to_have_value("连续十天对得上，才切换。")
    legal.fill("#comments > form textarea[name=text]", "写“十个工作日”")
    legal.click("#comments > form button")
    expect(legal.locator("#comments .remark")).to_contain_text("十个工作日")
    page.click(".standing a[href*='/review']")
    expect(page.locator("#comments blockquote")).to_have_text("连续十天对得上，才切换。")
    page.goto(f"/assets/{reference}/edit?deal=")
    page.wait_for_selector("html[data-ready]", state="attached")
    page.click(".standing form[action$='/take-back'] button")
    page.wait_for_selector("html[data-ready]", state="attached")
    write(page, "## 话术\n\n连续十个工作日对得上，才切换。\n\n先看账。\n")
    page.click(".work__bar [data-submit]")
    page.wait_for_selector(".standing a[href*='/review']")
    open_review(sales, reference)
    expect(sales.locator(".review .tabs [aria-current]")).to_have_text("你上次通过后的改动")
    expect(sales.locator("[data-quotable] ins")).to_have_text(re.compile("工作"))
    open_review(legal, reference)
    legal.fill("[data-verdicts] [name=reason]", "不能说")
    legal.click("[data-verdicts] button[value=reject]")
    expect(legal.locator(".toasts")).to_contain_text("已驳回")
    assert state(demo, reference)[-1] == "rejected"
    open_review(sales, reference)
    expect(sales.locator("[data-verdicts]")).to_have_count(0)
