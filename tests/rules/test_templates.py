"""What the policy of the pages allows is all that the templates hold."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "templates").rglob("*.html"))
STATIC = sorted(path for path in (ROOT / "kb" / "static").rglob("*") if path.suffix in {".js", ".css", ".svg", ".html"})

MARKED_SAFE = {
    ("templates/content/asset.html", "section.html"),
    ("templates/content/editor.html", "section.html"),
    ("templates/content/_preview.html", "rendered.html"),
    ("templates/content/version.html", "found.html"),
    ("templates/review/round.html", "round.html"),
    ("templates/review/report.html", "section.html"),
    ("templates/account/page.html", "setup.svg"),
    ("templates/share/page.html", "html"),
    ("templates/_parts/figures.html", "svg"),
    ("templates/content/compare.html", "found.before_html"),
    ("templates/content/compare.html", "found.after_html"),
    ("templates/search/similar.html", "found.section.html"),
    ("templates/content/source.html", "found.now.html"),
    ("templates/content/source.html", "found.translation.html"),
}
"""What is put out unescaped: cleaned by nh3 when it was rendered, or drawn by us (the picture for an authenticator)."""
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
"""Names, not addresses: nothing is fetched from them."""

COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
SAFE = re.compile(r"([\w.]+)(?:\s*\|\s*placed)?\s*\|\s*safe\b")


def read(path: Path) -> str:
    return COMMENT.sub("", path.read_text(encoding="utf-8"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_are_pages_to_look_at() -> None:
    assert len(PAGES) > 15
    assert {path.name for path in STATIC} >= {"app.css", "app.js", "theme.js"}


def test_nothing_but_cleaned_text_is_put_out_unescaped() -> None:
    found = {(name(path), match.group(1)) for path in PAGES for match in SAFE.finditer(read(path))}
    assert found == MARKED_SAFE


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_switches_escaping_off(path: Path) -> None:
    text = read(path)
    assert "autoescape" not in text
    assert "Markup" not in text
    assert len(re.findall(r"\|\s*safe\b", text)) == len(SAFE.findall(text))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_carries_style_or_handlers_in_attributes(path: Path) -> None:
    text = EXPRESSION.sub("", read(path))
    assert re.findall(r"\sstyle\s*=", text) == []
    assert re.findall(r"\son[a-z]+\s*=", text) == []
    assert re.findall(r"(?i)javascript:", text) == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_carries_script_or_style_of_its_own(path: Path) -> None:
    text = EXPRESSION.sub("", read(path))
    assert re.findall(r"<style\b", text) == []
    assert [tag for tag in re.findall(r"<script\b[^>]*>", text) if "src=" not in tag] == []
    assert [body for body in re.findall(r"<script\b[^>]*>(.*?)</script>", text, re.DOTALL) if body.strip()] == []


@pytest.mark.parametrize("path", [*PAGES, *STATIC], ids=name)
def test_no_page_names_an_outside_host(path: Path) -> None:
    found = set(re.findall(r"(?:https?:|wss?:)//[^\s\"'<>)]+", read(path)))
    found |= set(re.findall(r"(?:src|href|action)=\"//[^\"]+", read(path)))
    found |= set(re.findall(r"url\([\"']?(?:https?:)?//[^)]+", read(path)))
    assert found - NAMESPACES == set()


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_form_that_writes_carries_its_csrf_token(path: Path) -> None:
    for form in re.findall(r"<form\b.*?</form>", read(path), re.DOTALL):
        if re.search(r"method=\"post\"", form):
            assert re.search(r"\{\{\s*csrf\(\)\s*\}\}", form), form[:200]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_builds_an_address_of_ours_by_hand(path: Path) -> None:
    """Addresses come from url_for, link or static_url, so that a route that moves breaks a test and not a reader."""
    found = re.findall(r"(?:href|action|src)=\"(/[^\"{]*)\"", read(path))
    assert set(found) <= {"/"}


def test_scripts_do_not_turn_text_into_code_or_markup() -> None:
    banned = re.compile(
        r"\beval\(|new Function\(|document\.write\(|\.outerHTML\s*=|insertAdjacentHTML\(|setTimeout\(\s*[\"'`]"
    )
    found = [
        f"{name(path)}: {match.group()}"
        for path in STATIC
        if path.suffix == ".js"
        for match in banned.finditer(read(path))
    ]
    assert found == []
