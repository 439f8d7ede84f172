"""A marketer's work in a real browser: write, picture, two at once, publish, schedule, expire, withdraw, convert, re-tag."""

import re
import time
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from content.models import Asset, Version
from kb import clock, users
from kb.access import Party
from review import rounds
from review.checklist import Tick
from review.machine import Answer
from review.models import Round, Step
from tests.content.test_convert import deck, docx, paragraph, pdf, png
from tests.journeys.conftest import Demo, sign_in

pytestmark = pytest.mark.browser

REVIEWERS = {
    "legal": "su.qing@yunshu.example",
    "marketing": "ines.duarte@yunshu.example",
    "sales": "zhao.qiming@yunshu.example",
}
MARKETER, OTHER, REP = "chen.an@yunshu.example", "wu.tong@yunshu.example", "lin.yue@yunshu.example"
SHANGHAI = ZoneInfo("Asia/Shanghai")
PICTURE = """async () => {
  const canvas = new OffscreenCanvas(80, 40);
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#0E5A6B";
  pen.fillRect(0, 0, 80, 40);
  const data = new DataTransfer();
  data.items.add(new File([await canvas.convertToBlob()], "chart.png", { type: "image/png" }));
  document.getElementById("text").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""
COUNT = """addEventListener("click", (event) => event.isTrusted && sessionStorage.setItem("clicks", 1 + Number(sessionStorage.getItem("clicks"))), true);
addEventListener("keydown", (event) => event.isTrusted && (event.ctrlKey || event.metaKey) && event.key !== "Control" && sessionStorage.setItem("clicks", 1 + Number(sessionStorage.getItem("clicks"))), true);"""
POST = """async ([url, fields]) => {
  const body = new URLSearchParams({ ...fields, csrf_token: document.querySelector("meta[name=csrf-token]").content });
  return (await fetch(url, { method: "POST", body, redirect: "manual" })).status;
}"""


class Hand:
    """Counts what a person clicks and the chords they press, and how long it takes."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.add_init_script(COUNT)
        self._started = time.monotonic()
        self._clicks = 0

    def rests(self) -> None:
        """From here on it counts anew."""
        self._started, self._clicks = time.monotonic(), self._now()

    def _now(self) -> int:
        return int(self._page.evaluate("Number(sessionStorage.getItem('clicks'))"))

    def told(self, what: str) -> int:
        """Say what it took; answers the clicks."""
        clicks = self._now() - self._clicks
        print(f"{what}: {clicks} clicks or chords, {time.monotonic() - self._started:.1f} s")
        return clicks


def begin(page: Page, title: str, kind: str = "talk_track", language: str = "zh") -> str:
    """A new asset from its template; answers its id."""
    page.goto("/assets/new?deal=")
    page.fill("#title", title)
    page.check(f"input[name=type][value={kind}]")
    page.check(f"input[name=language][value={language}]")
    page.click("button.btn-primary")
    page.wait_for_selector("[data-editor]")
    page.wait_for_selector("html[data-ready]", state="attached")
    return str(page.get_attribute("[data-editor]", "data-reference"))


def write(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Control+s")
    expect(page.locator("[data-status]")).to_contain_text(re.compile("已保存|Saved"))


def complete(page: Page) -> None:
    """The tags without which nothing is submitted."""
    page.click("#facts > summary")
    for facet in ("stage", "industry", "pain_point"):
        page.locator(f'[data-picked="{facet}"] input[name=tag]').first.check()
    page.click("#facts form > div > button.btn-primary")
    page.wait_for_selector("[data-editor]")


def clear(page: Page, demo: Demo) -> None:
    """Submit, not to be published at once; the reviewers of all parties approve."""
    reference = str(page.get_attribute("[data-editor]", "data-reference"))
    page.uncheck(".work__bar input[name=publish]")
    page.click(".work__bar [data-submit]")
    page.wait_for_selector(".standing a[href*='/review']")
    approve(demo, reference)
    page.reload()
    page.wait_for_selector(".standing form[action$='/publish']")


def approve(demo: Demo, reference: str) -> None:
    with demo.database.writing() as db:
        found = db.scalars(
            select(Round)
            .join(Asset, Asset.id == Round.asset_id)
            .where(Asset.public_id == reference)
            .order_by(Round.id.desc())
        ).first()
        assert found is not None
        for party in db.scalars(select(Step.party).where(Step.round_id == found.id)).all():
            person = users.actor_of(users.get_by_email(db, REVIEWERS[party]))
            rounds.decide(db, person, found.public_id, Party(party), Answer.APPROVE, found.digest, ticks=list(Tick))


def found_by_rep(page: Page, words: str) -> bool:
    answer = page.request.get("/api/v1/search", params={"q": words, "mode": "lexical"})
    return any(words in hit["title"] for hit in answer.json()["hits"])


@pytest.fixture
def rep(chromium: Browser, demo: Demo) -> Page:
    found = chromium.new_context(base_url=demo.url, locale="zh-CN").new_page()
    sign_in(found, REP)
    return found


def wait_until(is_so: object, seconds: float = 5.0) -> float:
    """How long until it is so."""
    started = time.monotonic()
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() - started < seconds
        time.sleep(0.05)
    return time.monotonic() - started


def test_J2_from_a_template_to_readers_with_a_picture_and_without_a_lost_word(
    page: Page, rep: Page, demo: Demo
) -> None:
    hand = Hand(page)
    sign_in(page, MARKETER)
    started, title = time.monotonic(), "量子茶话术"
    hand.rests()
    begin(page, title)
    expect(page.locator("#text")).to_have_value(re.compile("## 触发\n\n【填写"))
    write(page, "## 触发\n\n“你们的茶太贵。”\n\n## 话术\n\n我们一起看三年的**总成本**。\n")
    expect(page.locator("[data-preview] strong")).to_have_text("总成本")
    page.locator("#text").focus()
    page.keyboard.press("Control+End")
    page.evaluate(PICTURE)
    expect(page.locator("#text")).to_have_value(re.compile(r"!\[chart\]\(/attachments/[0-9a-f]{64}/chart.png\)"))
    expect(page.locator("[data-preview] img")).to_have_js_property("naturalWidth", 80)
    complete(page)
    clear(page, demo)
    page.click(".standing form[action$='/publish'] button.btn-primary")
    expect(page.locator(".standing")).to_contain_text("已发布")
    assert wait_until(lambda: found_by_rep(rep, title)) < 3.0
    assert hand.told("from a template to its readers, with a picture") <= 16
    assert time.monotonic() - started < 60


def test_two_people_at_once_lose_nothing(page: Page, chromium: Browser, demo: Demo) -> None:
    sign_in(page, MARKETER)
    reference = begin(page, "两人同写")
    write(page, "## 话术\n\n第一行。\n\n第二行。\n\n第三行。\n")
    other = chromium.new_context(base_url=demo.url, locale="zh-CN").new_page()
    sign_in(other, OTHER)
    other.goto(f"/assets/{reference}/edit?deal=")
    other.wait_for_selector("html[data-ready]", state="attached")
    write(other, "## 话术\n\n第一行，吴彤改过。\n\n第二行。\n\n第三行。\n")
    page.fill("#text", "## 话术\n\n第一行。\n\n第二行。\n\n第三行，陈安改过。\n")
    page.press("#text", "Control+s")
    page.wait_for_selector("h1:has-text('期间有人保存过')")
    merged = page.input_value("#text")
    assert "吴彤改过" in merged
    assert "陈安改过" in merged
    page.click("button.btn-primary")
    page.wait_for_selector("[data-editor]")
    with demo.database.reading() as db:
        text = db.scalars(select(Version.text).join(Asset).where(Asset.public_id == reference)).one()
    assert "吴彤改过" in text
    assert "陈安改过" in text


def test_a_scheduled_version_appears_an_expired_one_goes_and_a_withdrawn_one_too(
    page: Page, rep: Page, demo: Demo
) -> None:
    sign_in(page, MARKETER)
    title = "三体咖啡话术"
    reference = begin(page, title)
    write(page, "## 话术\n\n准时出现的咖啡。\n")
    complete(page)
    clear(page, demo)
    at = clock.now().astimezone(SHANGHAI) + timedelta(seconds=2)
    day, hour = at.date().isoformat(), at.strftime("%H:%M:%S")
    page.evaluate(POST, [f"/assets/{reference}/publish", {"when": "later", "day": day, "hour": hour}])
    assert not found_by_rep(rep, title)
    wait_until(lambda: clock.now() >= at.replace(microsecond=0), 5)
    assert wait_until(lambda: found_by_rep(rep, title)) < 2.5
    end = clock.now().astimezone(SHANGHAI) + timedelta(seconds=3)
    fields = {
        "tier": "internal",
        "teaser": "1",
        "expires_on": end.date().isoformat(),
        "expires_at": end.strftime("%H:%M:%S"),
    }
    page.evaluate(POST, [f"/assets/{reference}/access", fields])
    assert rep.request.get(f"/assets/{reference}?deal=").status == 200
    wait_until(lambda: clock.now() >= end, 5)
    assert (rep.request.get(f"/assets/{reference}?deal=").status, found_by_rep(rep, title)) == (404, False)


def test_withdrawing_asks_why_and_comparing_and_restoring_bring_words_back(page: Page, rep: Page, demo: Demo) -> None:
    hand = Hand(page)
    sign_in(page, MARKETER)
    title = "星际馒头话术"
    reference = begin(page, title)
    write(page, "## 话术\n\n我们一次只迁移一个系统。\n")
    complete(page)
    clear(page, demo)
    page.click(".standing form[action$='/publish'] button.btn-primary")
    write(page, "## 话术\n\n我们每次只迁移两个系统。\n")
    hand.rests()
    page.click("a:has-text('我改了什么')")
    expect(page.locator(".diff del")).to_have_text(["一次", "一个"])
    expect(page.locator(".diff ins")).to_have_text(["每次", "两个"])
    page.click("a:has-text('历史')")
    page.click("button[popovertarget=restore-1]")
    page.click("#restore-1 button.btn-primary")
    expect(page.locator("#text")).to_have_value(re.compile("一次只迁移一个系统"))
    assert hand.told("compared and restored") <= 4
    hand.rests()
    page.click("button[popovertarget=withdraw]")
    page.fill("#reason", "说法过时")
    page.click("#withdraw button.btn-stop")
    page.wait_for_url("**/library**")
    assert hand.told("withdrawn") <= 3
    assert rep.request.get(f"/assets/{reference}?deal=").status == 404
    assert not found_by_rep(rep, title)


@pytest.mark.parametrize("ending", ["pptx", "docx", "pdf", "html"])
def test_each_kind_of_document_becomes_a_draft(page: Page, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"offer.{ending}"
    if ending == "pptx":
        deck(path, png(tmp_path / "p.png"))
    elif ending == "docx":
        docx(path, paragraph("The marmalade procedure takes eleven minutes."))
    elif ending == "pdf":
        pdf(path, "The marmalade procedure takes eleven minutes.")
    else:
        path.write_text("<html><body><h1>Offer</h1><p>The marmalade procedure takes eleven minutes.</p></body></html>")
    sign_in(page, MARKETER)
    page.goto("/assets/new?deal=")
    page.wait_for_selector("html[data-ready]", state="attached")
    started = time.monotonic()
    page.set_input_files("#document", path)
    page.wait_for_selector("[data-editor]", timeout=30_000)
    assert time.monotonic() - started < 30
    expect(page.locator("#text")).to_have_value(
        re.compile("Wait for the question" if ending == "pptx" else "marmalade")
    )
    expect(page.locator("#files")).to_contain_text(f"offer.{ending}")


def test_many_are_re_tagged_after_a_look_at_what_changes(page: Page) -> None:
    hand = Hand(page)
    sign_in(page, MARKETER)
    page.goto("/library?deal=")
    page.wait_for_selector("html[data-ready]", state="attached")
    hand.rests()
    page.check("[data-tick-all]")
    page.select_option("[data-act]", "add_tag")
    page.select_option("select[name=tag]", index=9)
    page.click(".bulk button.btn-primary")
    changed = page.locator("td:has-text('会改动')").count()
    assert changed
    page.click(f"button.btn-primary:has-text('{changed}')")
    expect(page.locator(".toasts")).to_contain_text(str(changed))
    assert hand.told("re-tagged after a look") <= 5


def test_J2_the_morning_on_the_board(page: Page, demo: Demo) -> None:
    hand = Hand(page)
    sign_in(page, MARKETER)
    hand.rests()
    page.click("a:has-text('工作台')")
    page.wait_for_selector("html[data-ready]", state="attached")
    expect(page.locator("#part-stale")).to_be_visible()
    assert hand.told("the board") <= 1
    # not the battle card of which a rep's journey says for how long nobody has verified it: both see one company
    page.goto("/board?all=1&deal=")
    stale = page.locator("[aria-labelledby=part-stale] .line:has-text('报价之后客户不回消息')")
    title = stale.first.locator(".line__title").inner_text()
    hand.rests()
    stale.first.locator("button:has-text('核实')").click()
    expect(page.locator(".toasts")).to_be_visible()
    assert hand.told(f"verified “{title}”") <= 2
    page.goto("/board?all=1&deal=")
    blocked = page.locator("[aria-labelledby=part-stale] .line:has-text('云厂商自带的数据套件')")
    blocked.locator("a:has-text('E-40')").click()
    page.wait_for_url("**/evidence/E-40**")


def test_dragging_re_plans(page: Page) -> None:
    sign_in(page, MARKETER)
    page.goto("/calendar?deal=")
    page.wait_for_selector("html[data-ready]", state="attached")
    page.click("button[popovertarget=plan-new]")
    page.fill("#plan-title", "拖动的案例")
    page.click("#plan-new button.btn-primary")
    page.wait_for_selector(".due--planned")
    page.wait_for_selector("html[data-ready]", state="attached")
    item = page.locator(".due--planned:has-text('拖动的案例')")
    target = page.locator(".calendar__week:has(.is-today) .calendar__day:not(.is-today)").first
    day = target.get_attribute("data-day")
    item.drag_to(target)
    expect(page.locator(".toasts")).to_contain_text(str(day))
    page.reload()
    expect(page.locator(f".calendar__day[data-day='{day}']")).to_contain_text("拖动的案例")


def test_a_claim_is_flagged_proved_or_waived_by_legal_before_it_is_submitted(
    page: Page, chromium: Browser, demo: Demo
) -> None:
    sign_in(page, MARKETER)
    begin(page, "效率的说法", "faq")
    page.select_option("select[name=handling]", "public")
    claim = "采用云枢后，部署效率提升 82%。"
    page.fill("#text", f"## 简短回答\n\n{claim}")
    count = page.locator("[data-findings-count]")
    expect(count).to_have_text("1", timeout=5_000)
    page.click("#findings > summary")
    page.click("#findings [data-show]")
    assert (
        page.evaluate("document.getElementById('text').value.slice(text.selectionStart, text.selectionEnd)")
        == "提升 82%"
    )
    page.fill("#text", f"## 简短回答\n\n{claim[:-1]}[证据:E-17]。")
    began = time.monotonic()
    expect(count).to_have_text("", timeout=3_000)
    print(f"the finding went {time.monotonic() - began:.2f} s after the evidence was cited")
    write(page, f"## 简短回答\n\n{claim}")
    complete(page)
    page.wait_for_selector("html[data-ready]", state="attached")
    reference = page.get_attribute("[data-editor]", "data-reference")
    page.locator("[data-submit]:visible").first.click()
    expect(page.locator("[role=alert], .notice--stop").first).to_contain_text("合规检查")
    page.goto(f"/assets/{reference}/findings")
    page.click("summary:has-text('请法务看一下')")
    page.fill("#ask-note", "验收报告里有这个数")
    page.click("button:has-text('请法务看')")
    page.wait_for_selector("[data-editor]")
    other = chromium.new_context(base_url=demo.url, locale="zh-CN")
    lawyer = other.new_page()
    sign_in(lawyer, "su.qing@yunshu.example")
    lawyer.goto("/compliance")
    lawyer.click("a:has-text('拦下了什么')")
    lawyer.click("summary:has-text('豁免')")
    lawyer.fill("#reason-1", "验收报告第三页，口径一致")
    lawyer.click("button:has-text('豁免这一处')")
    lawyer.wait_for_selector("[data-editor]")
    other.close()
    page.goto(f"/assets/{reference}/edit")
    page.wait_for_selector("html[data-ready]", state="attached")
    page.locator("[data-submit]:visible").first.click()
    expect(page.locator(".standing")).to_contain_text("审核中")
