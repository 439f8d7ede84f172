"""Every page as a browser sees it: nothing serious for axe, no request to another host, no wider than the screen."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext

from content import sample
from tests.journeys.conftest import Demo, sign_in
from tests.screenshots import LANGUAGES, SIGHTS, WIDTHS, Sight, axe_findings, speak

SIDES = [
    ("zh", "wide", "light"),
    ("en", "narrow", "dark"),
    pytest.param(("zh", "narrow", "light"), marks=pytest.mark.soak),
    pytest.param(("en", "wide", "dark"), marks=pytest.mark.soak),
]
EVERYWHERE = os.environ.get("TESTS_ROUNDS") == "full"
"""Axe looks at each page on one of the two sides in turn, and on all four in the long rounds."""
FACES = {face.role: face.email for face in sample.faces()}
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=SIDES, ids="-".join)
def visitors(request: pytest.FixtureRequest, chromium: Browser, demo: Demo) -> Iterator[dict[str, BrowserContext]]:
    """One signed-in profile a role, all in one language, width and theme."""
    language, width, theme = request.param
    across, down = WIDTHS[width]
    opened: dict[str, BrowserContext] = {}
    spoken: dict[str, str] = {}
    for who in sorted({sight.who for sight in SIGHTS}):
        opened[who] = chromium.new_context(
            base_url=demo.url,
            viewport={"width": across, "height": down},
            color_scheme=theme,
            locale="zh-CN" if language == "zh" else "en-GB",
            has_touch=width == "narrow",
            is_mobile=width == "narrow",
            reduced_motion="reduce",
        )
        if who:
            page = opened[who].new_page()
            sign_in(page, FACES[who])
            spoken[who] = "zh_Hans" if page.get_attribute("html", "lang") == "zh-Hans" else "en"
            speak(page, demo.url, LANGUAGES[language])
            page.close()
    opened["width"] = width  # type: ignore[assignment]  # beside the profiles, for what is seen on one width alone
    yield opened
    for who, former in spoken.items():  # the language is the person's, and others use the same company
        page = opened[who].new_page()
        page.goto("/")
        speak(page, demo.url, former)
    for context in opened.values():
        if isinstance(context, BrowserContext):
            context.close()


@pytest.mark.parametrize("sight", SIGHTS, ids=lambda sight: sight.name)
def test_every_page_is_sound(visitors: dict[str, BrowserContext], demo: Demo, sight: Sight) -> None:
    if sight.narrow_only and visitors["width"] == "wide":  # type: ignore[comparison-overlap]
        return
    page = visitors[sight.who].new_page()
    troubles: list[str] = []
    own = urlsplit(demo.url).netloc
    page.on("request", lambda asked: troubles.append(asked.url) if _is_foreign(asked.url, own) else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("response", lambda got: troubles.append(f"{got.status} {got.url}") if got.status >= 500 else None)
    sight.open(page, demo.url)
    across = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    troubles += [f"{across} px wider than the screen"] if across > 0 else []
    if EVERYWHERE or SIGHTS.index(sight) % 2 == (visitors["width"] == "narrow"):  # type: ignore[comparison-overlap]
        troubles += axe_findings(page)
    page.close()
    assert troubles == []


def _is_foreign(url: str, own: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme not in {"data", "blob"} and parts.netloc != own
