"""The urgent path in a real browser: from the report of a wrong figure to the last answer of who had used it."""

import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.conftest import Demo, sign_in
from tests.journeys.test_marketer import MARKETER, Hand
from tests.journeys.test_reviewer import LEGAL, MARKETING, SALES, as_

pytestmark = pytest.mark.browser

REP = "lin.yue@yunshu.example"
TITLE = "“我们自己团队能做”：一张纸分两栏"
WRONG = "两年后，最早那批开发还留下一半以上的有 5 家"
RIGHT = "两年后，最早那批开发还留下一半以上的有 4 家"


def ready(page: Page) -> None:
    page.wait_for_selector("html[data-ready]", state="attached")


def test_J3_from_the_report_to_the_acknowledged_recall(page: Page, chromium: Browser, demo: Demo) -> None:
    started = time.monotonic()
    rep, marketer = page, as_(chromium, demo, MARKETER)
    sign_in(rep, REP)
    hand = Hand(rep)
    rep.goto("/search?q=自己团队能做&deal=D-1055")
    rep.click(f"[data-hit-link]:has-text('{TITLE[1:9]}')")
    ready(rep)
    address = rep.url
    rep.locator(".section__copy button[data-copy]").first.click()
    expect(rep.locator(".said")).to_contain_text("已复制")
    hand.rests()
    rep.click("a:has-text('上报紧急错误')")
    rep.fill("#damage", "对方的 CTO 看过访谈原文，说是 4 家。")
    rep.fill("#passages", WRONG)
    rep.click("button:has-text('上报')")
    expect(rep.locator("main")).to_contain_text("最高级别")
    expect(rep.locator("main")).to_contain_text(re.compile("还剩 4[78]"))
    assert hand.told("report") <= 4
    assert rep.goto(address).status == 404, "of the top grade: on hold from that moment"  # type: ignore[union-attr]

    marketer.goto("/urgent?deal=")
    marketer.click(f".line__title:has-text('{TITLE[1:9]}')")
    marketer.click("a:has-text('撰写更正')")
    ready(marketer)
    expect(marketer.locator(".notice--stop")).to_contain_text(WRONG)
    area = marketer.locator("#text")
    area.fill(area.input_value().replace(WRONG, RIGHT).replace("水平摆在那儿", "水平在那儿"))
    marketer.click(".work__bar [data-submit]")
    expect(marketer.locator("[role=alert], .said--stop").first).to_contain_text("紧急更正只能修改上报的段落")
    ready(marketer)
    area = marketer.locator("#text")
    area.fill(area.input_value().replace("水平在那儿", "水平摆在那儿"))
    marketer.click(".work__bar [data-submit]")
    marketer.wait_for_selector(".standing a[href*='/review']")

    for email in (LEGAL, MARKETING, SALES):
        reviewer = as_(chromium, demo, email)
        reviewer.goto("/reviews?deal=")
        reviewer.click(f".queue .line__title:has-text('{TITLE[1:9]}')")
        ready(reviewer)
        expect(reviewer.locator("[data-quotable] ins")).to_contain_text("4")
        reviewer.keyboard.press("a")
        expect(reviewer.locator(".toasts")).to_contain_text(re.compile("已通过|Approved"))

    assert rep.goto(address).status == 200  # type: ignore[union-attr]
    expect(rep.locator("main")).to_contain_text(RIGHT)
    rep.click("[popovertarget=person]")
    rep.click(".menu a:has-text('召回')")
    line = rep.locator(".line", has_text="晴川医院集团").filter(has_text=TITLE)
    line.locator("input[value=corrected]").check()
    line.locator("[name=note]").fill("当场改口，会后补了邮件。")
    line.locator("button").click()
    expect(rep.locator(".toasts")).to_contain_text("已记录")
    marketer.goto("/recalls?deal=")
    marketer.click(f"a.line__title:has-text('{TITLE[1:9]}')")
    expect(marketer.locator("tr", has_text="晴川医院集团")).to_contain_text("当场改口")
    print(f"from the report to the answer {time.monotonic() - started:.1f} s")
