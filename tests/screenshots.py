"""Renders every page type × two languages × wide and narrow × light and dark, to be looked at: `make screenshots`."""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from content import sample

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or "/usr/bin/chromium"
"""The headless shell is the same engine without the windows of a desktop browser: a page costs a quarter of the time."""
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {"wide": (1280, 900), "narrow": (390, 844)}
LANGUAGES = {"zh": "zh_Hans", "en": "en"}
THEMES = ("light", "dark")
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Sight:
    """One page to look at: who opens it, where, and what is pressed before."""

    name: str
    who: str
    path: str
    press: str = ""
    whole: bool = False
    narrow_only: bool = False

    def open(self, page: Page, base: str) -> None:
        """Go there, wait for the scripts, and press what is to be pressed."""
        page.goto(base + self.path)
        page.wait_for_selector("html[data-ready]", state="attached")
        if self.press.startswith("key:"):
            page.keyboard.press(self.press.removeprefix("key:"))
        elif self.press:
            page.locator(self.press).first.click()
            page.wait_for_timeout(150)


SIGHTS = (
    Sight("sign-in", "", "/sign-in"),
    Sight("home", "rep", "/?deal=D-1042"),
    Sight("home-no-deal", "rep", "/?deal="),
    Sight("home-owner", "marketer", "/?deal="),
    Sight("home-manager", "manager", "/?deal="),
    Sight("browse", "rep", "/browse"),
    Sight("search", "rep", "/search?q=客户嫌贵 还在比竞品甲&deal=D-1042"),
    Sight("search-filtered", "rep", "/search?q=迁移&pain_point=migration&type=case_study&deal=D-1042"),
    Sight("meaning", "rep", "/search?q=what if the move goes wrong and we are down all weekend&deal=D-1042"),
    Sight("search-drawer", "rep", "/search?q=迁移&deal=D-1042", press=".thumb [popovertarget=rail]", narrow_only=True),
    Sight("search-empty", "rep", "/search?q=zzzz&stage=solution&deal="),
    Sight("search-keys", "rep", "/?deal=", press="key:?"),
    Sight("brief", "rep", "/deals/D-1042/brief", whole=True),
    Sight("assist", "rep", "/assist?deal=D-1042"),
    Sight("insight-team", "manager", "/insight?days=0&deal=", whole=True),
    Sight("insight-content", "manager", "/insight/content?days=0&deal=", whole=True),
    Sight("insight-text", "manager", "/assets/external:TT-TIMELINE-EN/insight?days=0&deal=", whole=True),
    Sight("insight-deals", "manager", "/assets/external:TT-TIMELINE-EN/insight/deals?days=0&deal=", whole=True),
    Sight("refused-rows", "admin", "/imports", whole=True),
    Sight("asset", "rep", "/assets/external:TT-PRICE-ZH?deal=D-1042", whole=True),
    Sight("asset-english", "rep", "/assets/external:BC-COMPETICO-EN?deal=D-1042", whole=True),
    Sight("beside", "rep", "/assets/external:TT-PRICE-ZH?beside=en&deal=D-1042", whole=True),
    Sight("asset-owner", "marketer", "/assets/external:BC-COMPA-ZH?deal=", whole=True),
    Sight("similar", "rep", "/assets/external:TT-PRICE-ZH/similar?deal=D-1042"),
    Sight("deals", "rep", "/?deal=", press="a[data-deal-picker]:visible"),
    Sight("deals-page", "rep", "/deals/pick?next=/"),
    Sight("person", "admin", "/", press=".head [popovertarget=person]"),
    Sight("library", "admin", "/library"),
    Sight("library-empty", "admin", "/library?words=zzzz"),
    Sight("withdraw", "admin", "/assets/external:TT-PRICE-ZH/edit?deal=", press="[popovertarget=withdraw]"),
    Sight("board", "marketer", "/board?all=1&deal="),
    Sight("editor", "marketer", "/assets/external:TT-PRICE-ZH/edit?deal="),
    Sight("new", "marketer", "/assets/new?deal=", whole=True),
    Sight("history", "marketer", "/assets/external:TT-PRICE-ZH/versions?deal="),
    Sight("calendar", "marketer", "/calendar?deal="),
    Sight("calendar-quarter", "marketer", "/calendar?view=quarter&deal="),
    Sight("vocabularies", "marketer", "/vocabularies?deal="),
    Sight("tag-change", "marketer", "/vocabularies/pain_point/price/change?into=migration&deal="),
    Sight("compliance", "marketer", "/compliance?deal=", whole=True),
    Sight("rule", "admin", "/compliance/figure?deal=", whole=True),
    Sight("evidence", "marketer", "/evidence?deal="),
    Sight("evidence-page", "marketer", "/evidence/E-40?deal=", whole=True),
    Sight("permissions", "marketer", "/permissions?deal="),
    Sight("findings", "marketer", "/assets/external:BC-CLOUD-ZH/findings?deal="),
    Sight("reviews", "reviewer", "/reviews?deal="),
    Sight("review", "reviewer", "/assets/external:FAQ-SLA-ZH/review?deal=", whole=True),
    Sight("audit", "reviewer", "/assets/external:PB-METRICS-EN/audit?deal=", whole=True),
    Sight("review-absences", "reviewer", "/reviews/absences?deal=", whole=True),
    Sight("reviewers", "reviewer", "/reviews/reviewers?deal=", whole=True),
    Sight("reviewer", "reviewer", "/reviews/reviewers?deal=", press="main a.btn-plain >> nth=0", whole=True),
    Sight("review-figures", "reviewer", "/reviews/figures?deal=", whole=True),
    Sight("urgent-report", "rep", "/assets/external:TT-COMPB-ZH/urgent?deal=D-1061", whole=True),
    Sight("urgent", "marketer", "/urgent?deal="),
    Sight("urgent-case", "marketer", "/urgent?deal=", press=".line__title >> nth=0"),
    Sight("recalls", "rep", "/recalls?deal=", whole=True),
    Sight("recall", "marketer", "/recalls?deal=", press="a.line__title >> nth=0"),
    Sight("ask", "rep", "/search?q=价格&deal=D-1042", press=".later a >> nth=0", whole=True),
    Sight("access-requests", "marketer", "/access-requests?deal=", whole=True),
    Sight("shut", "marketer", "/library/shut?deal="),
    Sight(
        "explain",
        "admin",
        "/explain?person=lin.yue@yunshu.example&asset=external:CS-YUANSHAN-ZH&on=D-1042&deal=",
        whole=True,
    ),
    Sight("share", "rep", "/assets/external:WP-MIGRATION-ZH/share?deal=D-1042", whole=True),
    Sight("share-no-deal", "rep", "/assets/external:CS-QINGHE-ZH/share?deal=", whole=True),
    Sight("shares", "rep", "/shares?deal="),
    Sight("share-link", "rep", "/shares?deal=", press=".line__title >> nth=0", whole=True),
    Sight("deal", "rep", "/deals/D-1042?deal=D-1042", whole=True),
    Sight("people", "admin", "/people"),
    Sight("person", "admin", "/people", press=".line__title >> nth=0", whole=True),
    Sight("person-new", "admin", "/people/new", whole=True),
    Sight("programs", "admin", "/people?programs=1"),
    Sight("program-new", "admin", "/people/new?program=1", whole=True),
    Sight("policy", "admin", "/review-policy?deal=", whole=True),
    Sight("notices", "marketer", "/notices?deal="),
    Sight("gaps", "marketer", "/gaps?deal=", whole=True),
    Sight("saved", "rep", "/searches?deal="),
    Sight("stories", "rep", "/stories?deal=D-1042", whole=True),
    Sight("account", "admin", "/account/", whole=True),
    Sight("look", "admin", "/look", whole=True),
    Sight("locked", "rep", "/assets/external:CS-SWITCH-ZH?deal=D-1042"),
    Sight("not-found", "rep", "/assets/nothing"),
)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--base-url", help="a service that runs with the sample company; without it one is started")
    given.add_argument("--rep", default="lin.yue@yunshu.example")
    given.add_argument("--admin", default="")
    given.add_argument("--password", default="")
    given.add_argument("--out", type=Path, default=ROOT / "screenshots")
    given.add_argument("--only", default="", help="names that begin so")
    given.add_argument(
        "--axe", action="store_true", help="run axe on each page as well; ends with 1 if it finds something serious"
    )
    args = given.parse_args()

    people = {face.role: face.email for face in sample.faces()} | {"rep": args.rep}
    if args.admin:
        people["admin"] = args.admin
    args.out.mkdir(parents=True, exist_ok=True)
    with _service(args.base_url) as base, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        found = list(_look(browser, base, people, args.password or sample.PASSWORD, args.out, args.only, args.axe))
        browser.close()
    for line in found:
        print(line)
    print(f"{len(list(args.out.glob('*.png')))} pictures in {args.out}")
    sys.exit(1 if found else 0)


@contextmanager
def _service(base_url: str | None) -> Iterator[str]:
    """The service to look at: the given one, or the sample company on a free port with data of its own."""
    if base_url:
        yield base_url.rstrip("/")
        return
    with tempfile.TemporaryDirectory(prefix="kb-screenshots-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KB_")} | {
            "KB_DATA_DIR": folder
        }
        command = [sys.executable, "-m", "kb.cli"]
        subprocess.run(
            [*command, "demo", "--data", folder, "--no-serve"],
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        port = _free_port()
        server = subprocess.Popen(
            [*command, "serve", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _await(f"http://127.0.0.1:{port}/sign-in", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str, server: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            raise SystemExit(f"kb serve ended with {server.returncode}")
        try:
            urllib.request.urlopen(url, timeout=2).close()  # our own address on this machine
            return
        except (URLError, OSError):
            time.sleep(0.2)
    raise SystemExit("kb serve does not answer")


def _look(
    browser: Browser, base: str, people: dict[str, str], password: str, out: Path, only: str, axe: bool
) -> Iterator[str]:
    for short, language in LANGUAGES.items():
        for width, (across, down) in WIDTHS.items():
            for theme in THEMES:
                visitors = {"": ""} | people
                for who, email in visitors.items():
                    sights = [
                        s
                        for s in SIGHTS
                        if s.who == who and s.name.startswith(only) and not (s.narrow_only and width == "wide")
                    ]
                    if not sights:
                        continue
                    context = browser.new_context(
                        viewport={"width": across, "height": down},
                        color_scheme=theme,  # type: ignore[arg-type]  # one of the two words it takes
                        locale="zh-CN" if short == "zh" else "en-GB",
                        has_touch=width == "narrow",
                        is_mobile=width == "narrow",
                        reduced_motion="reduce",
                    )
                    if email:
                        _sign_in(context, base, email, password, language)
                    for sight in sights:
                        yield from _shoot(context, base, sight, out / f"{sight.name}.{short}.{width}.{theme}.png", axe)
                    context.close()


def _sign_in(context: BrowserContext, base: str, email: str, password: str, language: str) -> None:
    page = context.new_page()
    page.goto(f"{base}/sign-in")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.click("form button")
    page.wait_for_selector("meta[name=csrf-token]", state="attached")
    speak(page, base, language)
    page.close()


def speak(page: Page, base: str, language: str) -> None:
    """Choose the language of the person who is signed in on this page."""
    token = page.get_attribute("meta[name=csrf-token]", "content") or ""
    page.context.request.post(
        f"{base}/account/language",
        form={"csrf_token": token, "language": language, "next": "/"},
        headers={"Origin": base},
    )


def _shoot(context: BrowserContext, base: str, sight: Sight, target: Path, axe: bool) -> Iterator[str]:
    page = context.new_page()
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(f"script: {error}"))
    page.on(
        "console",
        lambda message: (
            trouble.append(f"console: {message.text}") if "Content Security Policy" in message.text else None
        ),
    )
    sight.open(page, base)
    across = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if across > 0:
        trouble.append(f"{across} px wider than the screen")
    if axe:
        trouble += axe_findings(page)
    page.screenshot(path=str(target), full_page=sight.whole)
    page.close()
    for line in trouble:
        yield f"{target.name}: {line}"


def axe_findings(page: Page) -> list[str]:
    """Serious and critical findings of axe, one line each."""
    package = find_spec("axe_playwright_python")
    if package is None or package.origin is None:
        return ["axe-playwright-python is not installed"]
    page.evaluate(next(Path(package.origin).parent.rglob("axe.min.js")).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({ resultTypes: ['violations'], preload: false })")["violations"]
    return [
        re.sub(r"\s+", " ", f"axe {rule['impact']}: {rule['id']} at {[node['target'] for node in rule['nodes']][:3]}")
        for rule in found
        if rule["impact"] in {"serious", "critical"}
    ]


if __name__ == "__main__":
    main()
