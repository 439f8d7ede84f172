"""From a case study to the customer's screen and back: what is sent, what opens, what the sender learns of it."""

import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.journeys.conftest import Demo, sign_in
from tests.journeys.test_marketer import Hand
from tests.screenshots import axe_findings

pytestmark = pytest.mark.browser

REP = "daniel.reed@yunshu.example"
CONTACT = "nur.aisyah@tasik.example"
TITLE = "Halden Savings: leaving Competitor A without a price war"


def customer_of(chromium: Browser, width: int = 1280) -> Page:
    """Somebody at the customer: a browser that has never been here."""
    profile = chromium.new_context(locale="en-GB", viewport={"width": width, "height": 844})
    return profile.new_page()


def is_sound(page: Page) -> None:
    assert axe_findings(page) == []
    across = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert across <= 0


def test_a_rep_sends_a_case_study_and_sees_that_it_was_opened(page: Page, chromium: Browser, demo: Demo) -> None:
    sign_in(page, REP)
    hand = Hand(page)
    page.goto("/assets/external:CS-HALDEN-EN?deal=D-0988")
    hand.rests()
    page.click("main a[href*='/share']")
    page.fill("input[name=password]", "lantern in the fog")
    page.check("input[name=asks_email]")
    page.click("main .btn-primary")
    address = page.inner_text(".secret code")
    page.click(".secret [data-copy]")
    assert page.evaluate("navigator.clipboard.readText()") == address
    assert hand.told("link for a customer") <= 4

    customer = customer_of(chromium)
    customer.goto(address)
    is_sound(customer)
    assert TITLE not in customer.content()
    customer.fill("#email", CONTACT)
    customer.fill("#password", "lantern in the fug")
    customer.click("button")
    expect(customer.locator("[role=alert]")).to_contain_text("does not fit")
    customer.fill("#password", "lantern in the fog")
    started = time.monotonic()
    customer.click("button")
    expect(customer.locator("h1")).to_have_text(TITLE)
    print(f"open: {time.monotonic() - started:.2f} s")
    expect(customer.locator(".top")).to_contain_text("For Nur Aisyah Rahman")
    expect(customer.locator("footer")).to_contain_text(REP)
    is_sound(customer)
    assert customer.locator("a[href^='/assets'], a[href^='/sign-in'], form").count() == 0
    phone = customer_of(chromium, 390)
    phone.goto(address)
    is_sound(phone)

    page.reload()
    expect(page.locator("main")).to_contain_text(CONTACT)
    expect(page.locator("main ul.lines")).to_have_count(1)
    page.goto("/notices?deal=")
    expect(page.locator("main")).to_contain_text(TITLE)

    page.goto("/shares?deal=")
    page.click(f".line__title:has-text('{TITLE}') >> nth=0")
    page.click("[popovertarget=end]:not([popovertargetaction])")
    page.click("#end .btn-stop")
    customer.reload()
    expect(customer.locator("h1")).to_have_text("Nothing to open")
    assert TITLE not in customer.content()
    is_sound(customer)
    customer.context.close()
    phone.context.close()
