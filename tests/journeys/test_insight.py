"""A rep ten minutes before a call and in it; a lead on the first of the month: what works, what hurts, on which deals."""

import time
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from content.deals import Deal
from content.models import UseEvent
from tests.journeys.conftest import Demo, sign_in
from tests.journeys.test_marketer import Hand
from tests.journeys.test_sharing import is_sound

pytestmark = pytest.mark.browser

REP, LEAD = "lin.yue@yunshu.example", "zhao.qiming@yunshu.example"


def uses_on(demo: Demo, deal: str) -> int:
    with demo.database.reading() as db:
        row = db.scalars(select(Deal).where(Deal.external_id == deal)).one()
        return len(db.scalars(select(UseEvent).where(UseEvent.deal_id == row.id, UseEvent.kind == "copy")).all())


def test_a_rep_reads_the_brief_copies_from_it_and_is_answered_in_the_call(page: Page, demo: Demo) -> None:
    sign_in(page, REP)
    hand = Hand(page)
    page.goto("/?deal=D-1042")
    hand.rests()
    started = time.monotonic()
    page.click("main a[href*='/brief']")
    expect(page.locator("h1")).to_have_text("澜江银行")
    print(f"brief: {time.monotonic() - started:.2f} s")
    expect(page.locator("#tracks ~ ul > li, section[aria-labelledby=tracks] li")).to_have_count(3)
    expect(page.locator("section[aria-labelledby=cases] li")).to_have_count(2)
    expect(page.locator("section[aria-labelledby=tracks]")).to_contain_text("价格贵")
    is_sound(page)
    pages = page.pdf(format="A4", margin={"top": "10mm", "bottom": "10mm"})
    assert pages.count(b"/Type /Page\n") + pages.count(b"/Type /Page ") <= 1

    before = uses_on(demo, "D-1042")
    said = page.locator("section[aria-labelledby=tracks] template").first.evaluate("one => one.innerHTML")
    page.locator("section[aria-labelledby=tracks] [data-copy]").first.click()
    expect(page.locator("#toasts")).to_contain_text("D-1042")
    assert page.evaluate("navigator.clipboard.readText()").strip() == said.strip()
    assert uses_on(demo, "D-1042") == before + 1
    assert hand.told("brief and first copy") <= 4

    page.locator("section[aria-labelledby=tracks] h3 a").first.click()
    page.fill("#note", "预算 80 万封顶")
    page.click("form:has(#note) button")
    expect(page.locator("#note")).to_have_value("预算 80 万封顶")
    is_sound(page)

    page.goto("/assist?deal=D-1042")
    is_sound(page)
    page.fill("#said", "好的，我们看一下。等保三级过了吗？")
    expect(page.locator("[data-assist-answer] .hit")).not_to_have_count(0)
    expect(page.locator("[data-assist-answer]")).to_contain_text("等保三级")
    page.fill("#said", "今天天气不错。")
    expect(page.locator("[data-assist-answer] .hit")).to_have_count(0)
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/assist?deal=D-1042", "/deals/D-1042/brief"):
        page.goto(path)
        is_sound(page)


def test_a_lead_finds_what_hurts_and_the_very_deals(page: Page, tmp_path: Path) -> None:
    sign_in(page, LEAD)
    hand = Hand(page)
    page.goto("/insight?days=0&deal=")
    hand.rests()
    expect(page.locator(".figure")).to_have_count(4)
    is_sound(page)
    page.click("main .tabs a[href*='/insight/content']")
    page.click("main .tabs a[href*='days=0']")
    is_sound(page)
    page.click("section[aria-labelledby=hurting] a >> nth=0")
    expect(page.locator("h1")).to_contain_text("Eighteen months")
    expect(page.locator("section[aria-labelledby=lift] svg")).to_have_count(1)
    is_sound(page)
    page.click("section[aria-labelledby=deals] .line a >> nth=0")
    expect(page.locator("main .hit__kind")).to_contain_text("D-")
    assert hand.told("what hurts, down to the deal") <= 4

    page.goto("/insight/content?days=0&deal=")
    with page.expect_download() as begun:
        page.click("a[href*='format=xlsx']")
    begun.value.save_as(tmp_path / "content.xlsx")
    sheet = openpyxl.load_workbook(BytesIO((tmp_path / "content.xlsx").read_bytes())).active
    assert sheet is not None
    assert sheet.max_row > 30
    page.set_viewport_size({"width": 390, "height": 844})
    for path in (
        "/insight?days=0&deal=",
        "/insight/content?days=0&deal=",
        "/assets/external:TT-TIMELINE-EN/insight?deal=",
    ):
        page.goto(path)
        is_sound(page)
