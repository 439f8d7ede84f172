"""Documents → Markdown, their pages' text, and pictures; the work is done by a caged child process a document."""

import base64
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from content.file_kinds import FileKind
from kb.errors import N_

CHILD: Final = Path(__file__).with_name("convert_child.py")
KEPT_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")
LARGEST_ANSWER: Final = 64 << 20
GRACE: Final = 3.0
"""Seconds for starting the child, beyond those for the document."""

log = logging.getLogger(__name__)


class Reason(StrEnum):
    TOO_SLOW = "too_slow"
    TOO_LARGE = "too_large"
    PASSWORD = "password"  # noqa: S105  # a reason, not a secret
    DAMAGED = "damaged"
    NO_TEXT = "no_text"
    FAILED = "failed"


MESSAGES: Mapping[Reason, str] = {
    Reason.TOO_SLOW: N_("Reading it takes too long. Split it, or paste its text."),
    Reason.TOO_LARGE: N_("It holds more than can be read. Split it, or save it with fewer and smaller pictures."),
    Reason.PASSWORD: N_("The file is locked with a password. Save it without one and try again."),
    Reason.DAMAGED: N_("The file is damaged or cut short. Open it in its program and save it anew."),
    Reason.NO_TEXT: N_("There is no text in it: it is scanned or made of pictures. Run text recognition on it first."),
    Reason.FAILED: N_("The file cannot be read. Save it anew in its program, or paste its text."),
}


class CannotConvert(Exception):
    """The document cannot be read; the file itself is kept."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a document, as we encoded it."""

    number: int
    media_type: str
    data: bytes
    alt: str


@dataclass(frozen=True, slots=True)
class Page:
    """The plain text of a page, slide or sheet."""

    number: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Converted:
    """A document as Markdown, with `picture:N` where a picture stands; `notes` say what was left out."""

    title: str
    markdown: str
    pictures: tuple[Picture, ...]
    pages: tuple[Page, ...]
    notes: tuple[str, ...]


def convert(path: Path, kind: FileKind, *, seconds: float = 20.0) -> Converted:
    """Headings, lists, tables, pictures and speaker notes of a document; raises CannotConvert."""
    told = _ask("convert", path, kind, seconds)
    pictures = tuple(
        Picture(int(one["number"]), str(one["media_type"]), base64.b64decode(one["data"]), str(one["alt"]))
        for one in told["pictures"]
    )
    return Converted(
        str(told["title"]), str(told["markdown"]), pictures, _pages(told["pages"]), tuple(map(str, told["notes"]))
    )


def read_pages(path: Path, kind: FileKind, *, seconds: float = 20.0) -> tuple[Page, ...]:
    """The text alone, page by page, for finding what stands in an attachment; raises CannotConvert."""
    return _pages(_ask("pages", path, kind, seconds)["pages"])


def clean_picture(path: Path, kind: FileKind, *, seconds: float = 10.0) -> tuple[bytes, str, int, int]:
    """A picture decoded and encoded anew, upright and without what it carried beside: bytes, media type, width, height."""
    told = _ask("picture", path, kind, seconds)
    return base64.b64decode(told["data"]), str(told["media_type"]), int(told["width"]), int(told["height"])


def stamp(path: Path, words: str, *, seconds: float = 20.0) -> bytes:
    """A pdf with words faintly across each page, in letters of Latin-1 alone; raises CannotConvert."""
    told = _ask("stamp", path, FileKind.PDF, seconds, words.encode("latin-1", "replace").decode("latin-1"))
    return base64.b64decode(told["data"])


def _pages(told: list[dict[str, Any]]) -> tuple[Page, ...]:
    return tuple(Page(int(one["number"]), str(one["title"]), str(one["text"])) for one in told)


def _ask(act: str, path: Path, kind: FileKind, seconds: float, words: str = "") -> dict[str, Any]:
    with path.open("rb") as document, tempfile.TemporaryFile() as answers:
        status = _run([act, kind.value, str(seconds), str(LARGEST_ANSWER), words], document, answers, seconds + GRACE)
        if answers.tell() == 0:
            answers.seek(0, os.SEEK_END)
        size = answers.tell()
        answers.seek(0)
        raw = answers.read(LARGEST_ANSWER + 1) if size else b""
    if status == -signal.SIGXCPU:
        raise CannotConvert(Reason.TOO_SLOW)
    try:
        told: dict[str, Any] = json.loads(raw)
    except ValueError:
        log.warning("document not read: the child ended with status %s", status)
        is_memory = status in {-signal.SIGKILL, -signal.SIGXFSZ}
        raise CannotConvert(Reason.TOO_LARGE if is_memory else Reason.FAILED) from None
    if "reason" in told:
        log.info("document not read: %s (%s)", told["reason"], told.get("cause", ""))
        raise CannotConvert(Reason(told["reason"]))
    return told


def _run(arguments: list[str], document: Any, answers: Any, seconds: float) -> int:
    """The bare environment keeps our secrets from the child; -I keeps content/ off its path."""
    child = subprocess.Popen(  # noqa: S603  # our own file, no shell
        [sys.executable, "-I", str(CHILD), *arguments],
        stdin=document,
        stdout=answers,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ},
        start_new_session=True,
        close_fds=True,
    )
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        raise CannotConvert(Reason.TOO_SLOW) from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
