"""Which kinds of files are taken, told by what is in them and never by their name."""

import lzma
import zipfile
import zlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from kb.errors import N_, Invalid

HEAD: Final = 4_096
MOST_ENTRIES: Final = 5_000
MOST_BYTES: Final = 200 << 20


class FileKind(StrEnum):
    PDF = "pdf"
    DOCX = "docx"
    PPTX = "pptx"
    XLSX = "xlsx"
    PNG = "png"
    JPEG = "jpeg"
    HTML = "html"


MEDIA_TYPES: Mapping[FileKind, str] = {
    FileKind.PDF: "application/pdf",
    FileKind.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    FileKind.PPTX: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    FileKind.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileKind.PNG: "image/png",
    FileKind.JPEG: "image/jpeg",
    FileKind.HTML: "text/html",
}
KIND_OF: Mapping[str, FileKind] = {media_type: kind for kind, media_type in MEDIA_TYPES.items()}
ENDINGS: Mapping[FileKind, str] = {
    FileKind.PDF: ".pdf",
    FileKind.DOCX: ".docx",
    FileKind.PPTX: ".pptx",
    FileKind.XLSX: ".xlsx",
    FileKind.PNG: ".png",
    FileKind.JPEG: ".jpg",
    FileKind.HTML: ".html",
}
IMAGES: Final = frozenset({FileKind.PNG, FileKind.JPEG})
CONVERTIBLE: Final = frozenset({FileKind.DOCX, FileKind.PPTX, FileKind.PDF, FileKind.HTML})
READABLE: Final = frozenset({FileKind.PDF, FileKind.DOCX, FileKind.PPTX, FileKind.XLSX})

_MAIN_PARTS: Mapping[str, FileKind] = {
    "wordprocessingml.document.main+xml": FileKind.DOCX,
    "wordprocessingml.template.main+xml": FileKind.DOCX,
    "presentationml.presentation.main+xml": FileKind.PPTX,
    "presentationml.slideshow.main+xml": FileKind.PPTX,
    "presentationml.template.main+xml": FileKind.PPTX,
    "spreadsheetml.sheet.main+xml": FileKind.XLSX,
    "spreadsheetml.template.main+xml": FileKind.XLSX,
}
_HTML_BEGINNINGS: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<article", b"<h1", b"<p", b"<div")


class Refused(Invalid):
    """The file is none of those that are taken; the message says what to do."""

    status, code, message = (
        415,
        "unsupported_type",
        N_("This kind of file is not taken. Give a pdf, docx, pptx, xlsx, png or jpg."),
    )


def refused(code: str, message: str) -> Refused:
    return Refused(message, code=code)


def recognise(path: Path, filename: str) -> FileKind:
    """The kind of a file by its content; raises Refused with what to do for every other one."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        raise refused("empty_file", N_("The file is empty."))
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return FileKind.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return FileKind.JPEG
    if head.startswith(b"PK\x03\x04"):
        return _office(path)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        raise _old(filename)
    if b"%PDF-" in head[:1024] and not _is_markup(head):
        return FileKind.PDF
    return _text(head, filename)


def _old(filename: str) -> Refused:
    if filename.lower().endswith((".docx", ".pptx", ".xlsx")):
        return refused("password", N_("The file is locked with a password. Save it without one and try again."))
    return refused("old_format", N_("This is the format of Office before 2007. Save it as docx, pptx or xlsx."))


def _is_markup(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _text(head: bytes, filename: str) -> FileKind:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start[:1024]:
        raise refused("svg_not_taken", N_("An SVG can carry programs and is not taken. Save the picture as PNG."))
    is_named = filename.lower().endswith((".html", ".htm"))
    if is_named and (start.startswith(_HTML_BEGINNINGS) or b"<html" in start or b"<body" in start):
        return FileKind.HTML
    raise Refused()


BROKEN_ZIP: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, OSError, ValueError,
)  # fmt: skip
"""What reading a damaged archive raises, whatever it was packed with."""


def _office(path: Path) -> FileKind:
    damaged = refused("damaged", N_("The file is damaged or cut short. Open it in its program and save it anew."))
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise refused(
                    "too_large_inside", N_("The file unpacks to more than is taken. Save it with fewer pictures.")
                )
            names = {entry.filename for entry in entries}
            if "[Content_Types].xml" not in names:
                raise Refused()
            with archive.open("[Content_Types].xml") as part:
                types = part.read(1 << 20).decode("utf-8", "replace")
    except BROKEN_ZIP:
        raise damaged from None
    kind = next((kind for name, kind in _MAIN_PARTS.items() if name in types), None)
    if kind is None:
        if "macroEnabled" in types:
            raise refused("macros", N_("The file carries macros and is not taken. Save it as docx, pptx or xlsx."))
        raise Refused()
    main = {FileKind.DOCX: "word/", FileKind.PPTX: "ppt/", FileKind.XLSX: "xl/"}[kind]
    if not any(name.startswith(main) and name.endswith(".xml") for name in names):
        raise damaged
    return kind
