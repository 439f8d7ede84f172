"""Which language a reader gets, and the catalogue it comes from, read at start without a compile step."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, current_app, g, has_request_context, request
from flask_babel import Domain, get_locale

from kb.config import LANGUAGES

CATALOGUE = Path(__file__).parent / "translations" / "zh_Hans" / "LC_MESSAGES" / "messages.po"


def read_catalogue(path: Path = CATALOGUE) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale="zh_Hans")


class PoDomain(Domain):  # type: ignore[misc]  # Flask-Babel carries no types
    """Serves translations straight from the .po file."""

    def __init__(self) -> None:
        super().__init__(domain="messages")

    def get_translations(self) -> NullTranslations:
        locale = get_locale()
        return chinese() if locale is not None and locale.language == "zh" else NullTranslations()


def serve_catalogue(app: Flask) -> None:
    """Make the .po file the application's catalogue."""
    app.extensions["babel"].instance.domain_instance = PoDomain()


def _compiled(catalogue: Catalog) -> Translations:
    buffer = BytesIO()
    write_mo(buffer, catalogue)
    buffer.seek(0)
    return Translations(buffer)


@lru_cache(maxsize=1)
def chinese() -> Translations:
    return _compiled(read_catalogue())


def translator(code: str) -> Callable[[str], str]:
    """Translates outside of a request, such as for a mail; other languages than Chinese keep the words of the code."""
    return chinese().gettext if code == "zh_Hans" else str


def choose() -> str:
    """The person's language, else the browser's, else the company's."""
    if not has_request_context():
        return str(current_app.config["KB_LANGUAGE"])
    person = g.get("person")
    if person is not None and person.language in LANGUAGES:
        return str(person.language)
    return from_browser([tag for tag, _ in request.accept_languages]) or str(current_app.config["KB_LANGUAGE"])


def from_browser(tags: Sequence[str]) -> str | None:
    """Match by primary tag, in the browser's order: `zh-CN` and `zh-TW` are Chinese."""
    for tag in tags:
        primary = tag.replace("_", "-").partition("-")[0].casefold()
        if primary == "zh":
            return "zh_Hans"
        if primary == "en":
            return "en"
    return None
