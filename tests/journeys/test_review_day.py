"""A day of reviewers in a real browser: from the mail to the item, own words and own work, absence, the printed sheet; a manager."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from content import sample
from kb import audit
from review.models import Round
from tests.journeys.conftest import Demo, sign_in
from tests.journeys.test_marketer import MARKETER, Hand, write
from tests.journeys.test_reviewer import LEGAL, MARKETING, SALES, as_, hand_in, open_review, state

pytestmark = pytest.mark.browser

OTHER_MARKETING = "maya.okafor@yunshu.example"
PASSAGE = "三天之内一定迁完"
WORDS = "按约定的日程迁移"


def ready(page: Page) -> None:
    page.wait_for_selector("html[data-ready]", state="attached")


def approve(page: Page, reference: str) -> None:
    open_review(page, reference)
    page.keyboard.press("a")
    expect(page.locator(".toasts")).to_contain_text(re.compile("已通过|Approved"))


def test_J3_the_link_of_a_mail_opens_the_item_after_sign_in(page: Page, chromium: Browser, demo: Demo) -> None:
    sign_in(page, MARKETER)
    reference = hand_in(page, "邮件里的链接", "## 话术\n\n先对账，再切换。\n")
    mail = chromium.new_context(base_url=demo.url, locale="zh-CN").new_page()
    mail.goto(f"/assets/{reference}/review")
    expect(mail).to_have_url(re.compile("/sign-in"))
    mail.fill("input[name=email]", LEGAL)
    mail.fill("input[name=password]", sample.PASSWORD)
    mail.press("input[name=password]", "Enter")
    expect(mail).to_have_url(re.compile("/reviews/"))
    expect(mail.locator("h1")).to_have_text("邮件里的链接")
    ready(mail)
    expect(mail.locator(".review__side")).to_contain_text("已分给你")
    mail.evaluate("sessionStorage.setItem('clicks', 0)")
    hand = Hand(mail)
    mail.keyboard.press("a")
    expect(mail.locator(".toasts")).to_contain_text("已通过")
    assert hand.told("from the link of the mail, once signed in") <= 1


def test_J3_words_that_legal_suggested_are_taken_and_legal_still_decides(
    page: Page, chromium: Browser, demo: Demo
) -> None:
    sign_in(page, MARKETER)
    reference = hand_in(page, "法务改过的话", f"## 话术\n\n{PASSAGE}。\n\n先看账。\n")
    legal = as_(chromium, demo, LEGAL)
    open_review(legal, reference)
    legal.locator("[data-quotable] p").first.click(click_count=3)
    legal.click("#comments summary:has-text('建议改写')")
    legal.fill("#comments > form [name=wording]", f"{WORDS}。")
    legal.click("#comments > form > div button")
    expect(legal.locator("#comments .remark ins")).to_have_text(f"{WORDS}。")
    expect(legal.locator("button:has-text('采用这段文字')")).to_have_count(0)
    legal.fill("[data-verdicts] [name=reason]", "改成这样就可以")
    legal.click("[data-verdicts] button[value=request_changes]")
    expect(legal.locator(".toasts")).to_contain_text("已要求修改")
    for email in (MARKETING, SALES):
        approve(as_(chromium, demo, email), reference)
    hand = Hand(page)
    open_review(page, reference)
    hand.rests()
    page.click("button:has-text('采用这段文字')")
    expect(page.locator(".toasts")).to_contain_text("已写入草稿")
    page.click("a:has-text('打开编辑器')")
    ready(page)
    expect(page.locator("#text")).to_have_value(re.compile(WORDS))
    page.click(".work__bar [data-submit]")
    page.wait_for_selector(".standing a[href*='/review']")
    assert hand.told("the author takes legal's words and submits again") <= 3
    open_review(legal, reference)
    expect(legal.locator(".review__side")).to_contain_text("文字出自你")
    legal.keyboard.press("a")
    expect(legal.locator(".toasts")).to_contain_text("已通过")
    for email in (MARKETING, SALES):
        approve(as_(chromium, demo, email), reference)
    assert state(demo, reference)[-1] == "published"


def test_J3_own_work_is_offered_to_a_colleague_and_says_why(page: Page, chromium: Browser, demo: Demo) -> None:
    author = as_(chromium, demo, MARKETING)  # Inês reviews for marketing, and writes
    reference = hand_in(author, "自己写的文章", "## Say\n\nWe look at the books first.\n")
    open_review(author, reference)
    expect(author.locator("[data-verdicts]")).to_have_count(0)
    expect(author.locator(".review__side")).to_contain_text(re.compile("You wrote on this text"))
    expect(author.locator(".review__side")).to_contain_text("Offered to Maya Okafor.")
    colleague = as_(chromium, demo, OTHER_MARKETING)
    colleague.goto("/reviews?mine=1&deal=")
    expect(colleague.locator(".queue", has_text="自己写的文章")).to_contain_text("offered to you")
    approve(colleague, reference)


def test_J3_absence_is_entered_and_cancelled(chromium: Browser, demo: Demo) -> None:
    page = as_(chromium, demo, MARKETING)
    page.goto("/reviews?deal=")
    ready(page)
    hand = Hand(page)
    hand.rests()
    page.click("a:has-text('Absence')")
    page.fill("[name=first]", "2031-03-05")
    page.fill("[name=last]", "2031-03-07")
    page.select_option("[name=deputy_1]", OTHER_MARKETING)
    page.click("button:has-text('Enter')")
    expect(page.locator(".lines .queue", has_text="2031-03-05")).to_contain_text("Maya Okafor")
    assert hand.told("absence with a deputy") <= 3
    page.click("button:has-text('Cancel it')")
    expect(page.locator(".lines .queue", has_text="2031-03-05")).to_have_count(0)


def test_J3_a_no_is_not_overruled_and_says_where_to_take_it(page: Page, chromium: Browser, demo: Demo) -> None:
    sign_in(page, MARKETER)
    reference = hand_in(page, "被否决的说法", "## 话术\n\n先看账，再谈价。\n")
    legal = as_(chromium, demo, LEGAL)
    open_review(legal, reference)
    legal.fill("[data-verdicts] [name=reason]", "这样不能说")
    legal.keyboard.press("Tab")
    legal.click("[data-verdicts] button[value=reject]")
    expect(legal.locator(".toasts")).to_contain_text("已驳回")
    sales = as_(chromium, demo, SALES)
    open_review(sales, reference)
    expect(sales.locator("[data-verdicts]")).to_have_count(0)
    expect(sales.locator("main")).to_contain_text("否决不能被推翻")
    expect(sales.locator("main")).to_contain_text("何芸")
    assert state(demo, reference) == ["rejected"]


def test_J3_the_audit_sheet_is_printed_in_two_clicks(page: Page, chromium: Browser, demo: Demo) -> None:
    sign_in(page, MARKETER)
    reference = hand_in(page, "要打印的一篇", "## 话术\n\n先对账，再切换。\n")
    for email in (LEGAL, MARKETING, SALES):
        approve(as_(chromium, demo, email), reference)
    legal = as_(chromium, demo, LEGAL)
    open_review(legal, reference)
    hand = Hand(legal)
    hand.rests()
    legal.click("a:has-text('审计表')")
    ready(legal)
    assert hand.told("to the audit sheet") <= 1
    with demo.database.reading() as db:
        digest = db.scalars(select(Round.digest).order_by(Round.id.desc())).first()
        assert audit.verify(db).intact
    sheet = legal.locator("main")
    for words in ("苏晴", "Inês Duarte", "赵启明", str(digest)):
        expect(sheet).to_contain_text(words)
    legal.emulate_media(media="print")
    expect(legal.locator(".head")).to_be_hidden()
    assert len(legal.pdf(format="A4")) > 10_000


def test_a_manager_sees_how_fast_reviews_are_and_decides_for_sales(page: Page, chromium: Browser, demo: Demo) -> None:
    sign_in(page, MARKETER)
    reference = hand_in(page, "经理要看的一篇", "## 话术\n\n先对账，再切换。\n")
    manager = as_(chromium, demo, SALES)
    hand = Hand(manager)
    hand.rests()
    manager.click(".head__nav a:has-text('审核')")
    ready(manager)
    manager.click(".queue .line__title:has-text('经理要看的一篇')")
    ready(manager)
    manager.keyboard.press("a")
    expect(manager.locator(".toasts")).to_contain_text("已通过")
    assert hand.told("a manager decides for sales") <= 3
    manager.goto("/reviews?deal=")
    manager.click("a:has-text('审核用时')")
    expect(manager.locator("main")).to_contain_text("销售")
    manager.goto("/urgent?deal=")
    expect(manager.locator("main")).to_contain_text(re.compile(r"本季度 \d+ 轮审核中有 \d+ 轮紧急"))
    assert state(demo, reference) == ["in_review"]


def test_the_author_keeps_one_list_of_what_came_back(page: Page, chromium: Browser, demo: Demo) -> None:
    sign_in(page, MARKETER)
    hand = Hand(page)
    hand.rests()
    reference = hand_in(page, "一张清单", "## 话术\n\n先对账，再切换。\n")
    hand.told("an author writes and submits")
    for email, reason in ((LEGAL, "写明依据"), (MARKETING, "Name the edition"), (SALES, "写得短一些")):
        reviewer = as_(chromium, demo, email)
        open_review(reviewer, reference)
        reviewer.fill("[data-verdicts] [name=reason]", reason)
        reviewer.click("[data-verdicts] button[value=request_changes]")
        expect(reviewer.locator(".toasts")).to_contain_text(re.compile("已要求修改|Changes requested"))
    page.goto("/board?deal=")
    page.click(".part:has(#part-returned) .line__title:has-text('一张清单')")
    ready(page)
    page.click(".standing a:has-text('查看审核意见')")
    for reason in ("写明依据", "Name the edition", "写得短一些"):
        expect(page.locator(".review__side")).to_contain_text(reason)
    page.click("a:has-text('打开编辑器')")
    ready(page)
    write(page, "## 话术\n\n先对账十天，再切换。\n")
    page.click(".work__bar [data-submit]")
    page.wait_for_selector(".standing a[href*='/review']")
    assert state(demo, reference)[-1] == "in_review"
