"""Every text of the interface stands in the Chinese catalogue, and nothing else does."""

import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from kb.language import CATALOGUE, read_catalogue

ROOT = Path(__file__).resolve().parents[2]
KEYWORDS = {"_": None, "gettext": None, "N_": None, "ngettext": (1, 2)}
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")

MessageId = str | tuple[str, ...]


@cache
def in_the_code() -> dict[MessageId, set[str]]:
    """Each text with the files that use it."""
    found: dict[MessageId, set[str]] = {}
    for folder, method in [
        ("templates", "jinja2"),
        *((package, "python") for package in ("kb", "content", "search", "review")),
    ]:
        ending = "html" if method == "jinja2" else "py"
        for file, _line, message, _comments, _context in extract_from_dir(
            ROOT / folder,
            [(f"**.{ending}", method)],
            {f"**.{ending}": {"silent": "false"}},
            KEYWORDS,
            (),
            directory_filter=lambda _folder: True,
        ):
            key = tuple(message[:2]) if isinstance(message, tuple | list) else message
            found.setdefault(key, set()).add(f"{folder}/{file}")
    found.pop("", None)
    return found


@cache
def in_the_catalogue() -> dict[MessageId, Message]:
    return {tuple(m.id) if isinstance(m.id, list | tuple) else m.id: m for m in read_catalogue() if m.id}


def texts(message: Message) -> list[str]:
    return list(message.string) if isinstance(message.string, list | tuple) else [message.string]


def test_texts_are_found_in_templates_and_in_code() -> None:
    files = {file for used in in_the_code().values() for file in used}
    assert len(in_the_code()) > 150
    assert {"templates/base.html", "templates/_parts/hit.html", "kb/errors.py", "content/kinds.py"} <= files


def test_every_text_is_translated() -> None:
    missing = {str(key): sorted(used) for key, used in in_the_code().items() if key not in in_the_catalogue()}
    assert missing == {}


def test_the_catalogue_holds_no_text_that_nothing_shows() -> None:
    assert sorted(str(key) for key in in_the_catalogue().keys() - in_the_code().keys()) == []


def test_no_translation_is_empty_or_a_guess() -> None:
    messages = in_the_catalogue().values()
    assert [m.id for m in messages if not all(text and text.strip() for text in texts(m))] == []
    assert [m.id for m in messages if m.fuzzy] == []


def test_translations_keep_their_placeholders() -> None:
    wrong = []
    for key, message in in_the_catalogue().items():
        wanted = [set(PLACEHOLDER.findall(text)) for text in ([key] if isinstance(key, str) else key)]
        given = [set(PLACEHOLDER.findall(text or "")) for text in texts(message)]
        if any(names != max(wanted, key=len) for names in given):
            wrong.append((key, message.string))
    assert wrong == []


def test_translations_fill_their_placeholders() -> None:
    """A stray % in a translation would end a page with an error."""
    for key, message in in_the_catalogue().items():
        names = set(PLACEHOLDER.findall(key if isinstance(key, str) else key[-1]))
        for text in texts(message):
            if names:
                assert (text or "") % dict.fromkeys(names, "1")


def test_translations_are_chinese_where_the_text_is_words() -> None:
    words = re.compile(r"[A-Za-z]{3,}")
    same = [
        m.id for m in in_the_catalogue().values() if isinstance(m.id, str) and m.string == m.id and words.search(m.id)
    ]
    assert [text for text in same if text not in {"API", "FAQ", "NDA"}] == []


@pytest.mark.parametrize("line", ["msgid", "msgstr"])
def test_the_catalogue_is_one_file_without_leftovers(line: str) -> None:
    text = CATALOGUE.read_text(encoding="utf-8")
    with CATALOGUE.open("rb") as file:
        assert not read_po(file, locale="zh_Hans").obsolete
    assert line in text
    assert "#~" not in text
    assert "/work" not in text
    assert not re.search(r"(^|[\s\"])/(home|root|tmp|Users|work)/", text)
    assert not re.search(r"^#: /", text, re.MULTILINE)
