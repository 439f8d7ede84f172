"""Home, orders and the asset page in a browser: what is fitting, copied, said and printed."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from content import sample
from tests.journeys.conftest import Demo, sign_in

FACES = {face.role: face.email for face in sample.faces()}
pytestmark = pytest.mark.browser

# --- home ---


def test_typing_on_home_shows_results_and_back_brings_home_again(page: Page) -> None:
    sign_in(page, FACES["rep"])
    page.goto("/?deal=D-1042")
    expect(page.get_by_role("heading", name="适合这个商机")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("客户嫌贵")
    expect(page.locator("[data-hit] mark").first).to_be_visible()
    assert "q=" in page.url
    page.go_back()
    expect(page.get_by_role("heading", name="适合这个商机")).to_be_visible()


def test_a_deal_on_home_opens_what_fits_it(page: Page) -> None:
    sign_in(page, FACES["rep"])
    page.goto("/?deal=")
    line = page.locator(".deal-line").first
    account = line.locator("strong").inner_text()
    line.click()
    page.wait_for_url(re.compile(r"deal=D-\d+"))
    expect(page.get_by_role("heading", name=account, level=1)).to_be_visible()
    expect(page.locator("[aria-labelledby=fits] [data-hit]").first).to_be_visible()


def test_an_order_is_chosen_and_kept_by_filters(page: Page) -> None:
    sign_in(page, FACES["rep"])
    page.goto("/search?deal=")
    page.select_option("#f-sort", "used")
    page.wait_for_url(re.compile("sort=used"))
    page.locator("[data-facet=type] input").first.check()
    page.wait_for_url(re.compile("type="))
    assert "sort=used" in page.url
    assert page.eval_on_selector("#f-sort", "field => field.value") == "used"


# --- the asset ---

PRICE = "/assets/external:TT-PRICE-ZH?deal=D-1042"


def test_copy_with_formatting_gives_a_document_markup_and_a_chat_plain_text(page: Page) -> None:
    sign_in(page, FACES["rep"])
    page.goto("/assets/external:TT-DOWNTIME-ZH?deal=D-1042")
    section = page.locator(".section", has=page.get_by_role("heading", name="为什么有效"))
    section.hover()
    section.locator("[data-copy-rich]").click()
    expect(page.locator("#toasts")).to_contain_text("D-1042")
    held = page.evaluate(
        """async () => {
            const [item] = await navigator.clipboard.read();
            const text = async (kind) => (await item.getType(kind)).text();
            return { html: await text("text/html"), plain: await text("text/plain") };
        }"""
    )
    assert "<li>" in held["html"]
    assert "<" not in held["plain"]
    assert held["plain"] == section.locator("template").evaluate("part => part.content.textContent")


def test_a_word_goes_to_the_owners_after_the_judgement(page: Page, context: BrowserContext, demo: Demo) -> None:
    sign_in(page, FACES["rep"])
    page.goto("/assets/external:TT-K8S-ZH?deal=")
    expect(page.locator("#remark")).to_be_hidden()
    page.get_by_role("button", name="没用").last.click()
    page.locator("#remark").fill("客户问的是容灾，这里没有")
    page.get_by_role("button", name="发送").click()
    expect(page.locator("#remark")).to_have_value("")
    page.context.clear_cookies()
    sign_in(page, FACES["marketer"])
    page.goto("/assets/external:TT-K8S-ZH?deal=")
    expect(page.get_by_text("客户问的是容灾，这里没有")).to_be_visible()


def test_both_languages_side_by_side(page: Page) -> None:
    sign_in(page, FACES["rep"])
    page.goto(PRICE)
    page.get_by_role("link", name="两种语言对照").click()
    expect(page.get_by_role("heading", name="怎么说")).to_be_visible()
    expect(page.get_by_role("heading", name="Say", exact=True)).to_be_visible()


def test_an_asset_prints_on_paper_without_the_frame(page: Page) -> None:
    sign_in(page, FACES["rep"])
    page.goto(PRICE)
    page.emulate_media(media="print")
    expect(page.locator(".head")).to_be_hidden()
    expect(page.locator(".copy").first).to_be_hidden()
    expect(page.get_by_role("heading", name="怎么说")).to_be_visible()
    assert page.pdf(format="A4").count(b"/Type /Page\n") <= 3
