"""A running demonstration and a real browser."""

import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from content import sample
from kb import config
from kb.db import Database
from tests.conftest import KB, environment_of
from tests.screenshots import CHROMIUM, CHROMIUM_ARGS

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


@dataclass(frozen=True)
class Demo:
    """A served sample company, with its database open for looking."""

    url: str
    database: Database


@pytest.fixture(scope="session")
def demo(loaded: Path) -> Iterator[Demo]:
    """The sample company in a folder of its own, served as a process of its own."""
    folder = Path(tempfile.mkdtemp(prefix="kbdemo")) / "data"
    shutil.copytree(loaded, folder)
    environment = environment_of(folder)
    port = _free_port()
    server = subprocess.Popen([*KB, "serve", "--port", str(port)], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url)
        database = Database(config.load({}, data_dir=folder).sqlalchemy_url)
        yield Demo(url, database)
        database.close()
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder.parent, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_ready(url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(f"{url} was not ready within {START_SECONDS} s")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed (apt-get install chromium fonts-noto-cjk)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def _close_what_was_opened(chromium: Browser) -> Iterator[None]:
    """Profiles that a journey opened for other people go with it: open pages go on costing."""
    before = set(chromium.contexts)
    yield
    for opened in set(chromium.contexts) - before:
        opened.close()


@pytest.fixture
def context(chromium: Browser, demo: Demo) -> Iterator[BrowserContext]:
    """A fresh browser profile that may read the clipboard; any script error or broken policy fails the test."""
    found = chromium.new_context(
        base_url=demo.url,
        locale="zh-CN",
        permissions=["clipboard-read", "clipboard-write"],
        viewport={"width": 1280, "height": 900},
    )
    problems: list[str] = []
    found.on("weberror", lambda error: problems.append(str(error.error)))
    found.on(
        "console",
        lambda message: (
            problems.append(message.text)
            if message.type == "error" and "Content Security Policy" in message.text
            else None
        ),
    )
    yield found
    found.close()
    assert problems == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def sign_in(page: Page, email: str) -> None:
    page.goto("/sign-in")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", sample.PASSWORD)
    page.press("input[name=password]", "Enter")
    page.wait_for_selector("html[data-ready]")
