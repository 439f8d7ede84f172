"""The child process that reads one document: `python -I convert_child.py ACT KIND SECONDS LARGEST WORDS < document > answer`.

Nothing here may import our packages. Every library that reads foreign files runs here, with little memory and time,
without network, and with nothing of ours in its environment.
"""

import base64
import contextlib
import ctypes
import io
import json
import lzma
import re
import resource
import socket
import sys
import time
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bs4 import BeautifulSoup
from markdownify import ATX, MarkdownConverter
from PIL import Image, ImageOps

ACT, KIND, SECONDS = [*sys.argv[1:4], "", "", "20"][:3]
LARGEST = int(sys.argv[4]) if len(sys.argv) > 4 else 64 << 20
WORDS = sys.argv[5] if len(sys.argv) > 5 else ""

if KIND == "docx":
    import mammoth
elif KIND == "pptx":
    from pptx import Presentation
    from pptx.enum.shapes import MSO_SHAPE_TYPE
elif KIND == "pdf":
    import pdfplumber
    import pypdfium2
    import pypdfium2.raw as pdfium
elif KIND == "xlsx":
    import openpyxl

MEMORY = 1 << 30
MOST_PICTURES = 60
MOST_PAGES = 400
MOST_STAMPED = 1_000
MOST_MARKDOWN = 900_000
MOST_PAGE_TEXT = 60_000
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 2_400
MOST_ENTRIES = 5_000
MOST_UNPACKED = 200 << 20
LARGEST_PART = 24 << 20
MOST_TAGS = 600_000
PICTURE_BYTES = 24 << 20

UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")
CJK = re.compile("[\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff00-\uffef]")
BULLET = re.compile(r"^\s*([•‣▪●○◦·■□➢✓–—\-\*]|\uf0b7|\uf0a7|\uf0d8)\s+")
NUMBER = re.compile(r"^\s*(\d{1,3})[.)、]\s+")
SPECIAL = re.compile(r"([\\`*_\[\]<>#|])")
LINE_START = re.compile(r"^(\s*)([-+>#]|\d+\.)(?=\s)")

DEADLINE = time.monotonic() + float(SECONDS or 20)


class Cannot(Exception):
    """A reason the parent knows, and its cause for the log."""

    def __init__(self, reason: str, cause: str = "") -> None:
        super().__init__(reason)
        self.reason, self.cause = reason, cause


def is_late(reserve: float = 3.0) -> bool:
    return time.monotonic() > DEADLINE - reserve


def tidied(text: str) -> str:
    return UNWANTED.sub("", text.encode("utf-8", "replace").decode("utf-8"))


def escaped(text: str) -> str:
    """Plain text as Markdown that reads the same."""
    return LINE_START.sub(lambda found: f"{found[1]}\\{found[2]}", SPECIAL.sub(r"\\\1", tidied(text)))


def one_line(text: str) -> str:
    return " ".join(tidied(text).split())


# --- pictures ---


class Album:
    """Pictures met so far, each encoded by us; those that cannot be are left out and counted."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []
        self.left_out = 0
        self._bytes = 0
        self._known: dict[bytes, int] = {}

    def add(self, raw: bytes, alt: str = "") -> int | None:
        """The number of the picture, or None where it is left out."""
        key = raw[:64] + len(raw).to_bytes(8, "big") + raw[-64:]
        if key in self._known:
            return self._known[key]
        if len(self.kept) >= MOST_PICTURES or is_late():
            self.left_out += 1
            return None
        try:
            made = encoded(raw)
        except Cannot:
            self.left_out += 1
            return None
        data: bytes = made["data"]
        if self._bytes + len(data) > PICTURE_BYTES:
            self.left_out += 1
            return None
        self._bytes += len(data)
        number = len(self.kept) + 1
        made |= {"number": number, "alt": one_line(alt)[:200], "data": base64.b64encode(data).decode()}
        self.kept.append(made)
        self._known[key] = number
        return number

    def mark(self, raw: bytes, alt: str = "") -> str:
        number = self.add(raw, alt)
        return f"![{escaped(one_line(alt)[:120])}](picture:{number})" if number else ""


def encoded(raw: bytes) -> dict[str, Any]:
    """A picture as PNG or JPEG of ours: upright, no larger than needed, without anything it carried beside."""
    try:
        with Image.open(io.BytesIO(raw), formats=("PNG", "JPEG", "GIF", "BMP", "TIFF")) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise Cannot("too_large", f"{picture.width}×{picture.height}")
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            is_photo = picture.format == "JPEG"
            upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            made = upright.convert("RGB") if is_photo else _flat(upright)
            plain = Image.new(made.mode, made.size)
            plain.paste(made)
            out = io.BytesIO()
            plain.save(out, "JPEG", quality=88, optimize=True) if is_photo else plain.save(out, "PNG", optimize=True)
    except Cannot:
        raise
    except Image.DecompressionBombError:
        raise Cannot("too_large") from None
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, EOFError, MemoryError, ZeroDivisionError) as error:
        raise Cannot("damaged", repr(error)[:200]) from None
    media_type = "image/jpeg" if is_photo else "image/png"
    return {"data": out.getvalue(), "media_type": media_type, "width": made.width, "height": made.height}


def _flat(picture: Image.Image) -> Image.Image:
    has_alpha = picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")


# --- zips ---

BROKEN_ZIP = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, OSError, ValueError,
)  # fmt: skip
"""What reading a damaged archive raises, whatever it was packed with."""


def checked(raw: bytes) -> zipfile.ZipFile:
    """An office file that unpacks to something reasonable, without entities and with plain names."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(raw))
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise Cannot("damaged", "no zip") from None
    if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > MOST_UNPACKED:
        raise Cannot("too_large", "unpacked")
    for entry in entries:
        name = entry.filename
        if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/"):
            raise Cannot("damaged", "name")
        if name.endswith((".xml", ".rels", ".vml")):
            check_part(archive, entry)
    return archive


def check_part(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    if entry.file_size > LARGEST_PART:
        raise Cannot("too_large", entry.filename)
    content = read_part(archive, entry)
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"} or content[:4] in {b"<\x00?\x00", b"\x00<\x00?"}:
        content = content.decode("utf-16", "replace").encode()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise Cannot("damaged", "doctype")
    if content.count(b"<") > MOST_TAGS:
        raise Cannot("too_large", f"tags in {entry.filename}")


def read_part(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(entry) as part:
            content = part.read(LARGEST_PART + 1)
    except BROKEN_ZIP as error:
        raise Cannot("damaged", repr(error)[:100]) from None
    if len(content) > LARGEST_PART:
        raise Cannot("too_large", entry.filename)
    return content


STRICT = (
    (b"http://purl.oclc.org/ooxml/officeDocument/relationships/metadata/coreProperties", b"http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties"),
    (b"http://purl.oclc.org/ooxml/officeDocument/relationships", b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"),
    (b"http://purl.oclc.org/ooxml/wordprocessingml/main", b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"),
    (b"http://purl.oclc.org/ooxml/presentationml/main", b"http://schemas.openxmlformats.org/presentationml/2006/main"),
    (b"http://purl.oclc.org/ooxml/spreadsheetml/main", b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"),
    (b"http://purl.oclc.org/ooxml/drawingml/wordprocessingDrawing", b"http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"),
    (b"http://purl.oclc.org/ooxml/drawingml/main", b"http://schemas.openxmlformats.org/drawingml/2006/main"),
    (b"http://purl.oclc.org/ooxml/drawingml/chart", b"http://schemas.openxmlformats.org/drawingml/2006/chart"),
    (b"http://purl.oclc.org/ooxml/drawingml/picture", b"http://schemas.openxmlformats.org/drawingml/2006/picture"),
)  # fmt: skip


def transitional(archive: zipfile.ZipFile, raw: bytes) -> bytes:
    """The strict form of ISO 29500 in the names that readers know."""
    names = [entry for entry in archive.infolist() if entry.filename.endswith((".xml", ".rels"))]
    if not any(b"purl.oclc.org/ooxml" in read_part(archive, entry) for entry in names[:40]):
        return raw
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for entry in archive.infolist():
            content = read_part(archive, entry)
            if entry.filename.endswith((".xml", ".rels")):
                for old, new in STRICT:
                    content = content.replace(old, new)
            made.writestr(entry.filename, content)
    return out.getvalue()


def core_title(archive: zipfile.ZipFile) -> str:
    try:
        content = archive.read("docProps/core.xml")[:200_000]
    except (KeyError, *BROKEN_ZIP):
        return ""
    found = re.search(rb"<dc:title[^>]*>([^<]{1,600})</dc:title>", content)
    return one_line(BeautifulSoup(found[1], "html.parser").get_text()) if found else ""


# --- html ---


class Converter(MarkdownConverter):  # type: ignore[misc]  # the library carries no types
    """HTML → Markdown: pictures of ours keep their place, all others go."""

    def convert_img(self, el: Any, text: str, parent_tags: Any) -> str:  # noqa: ARG002  # the library's hook
        source = el.get("src") or ""
        return f"![{escaped(one_line(el.get('alt') or '')[:120])}]({source})" if source.startswith("picture:") else ""


def to_markdown(html: str) -> str:
    made = Converter(
        heading_style=ATX, bullets="-", escape_asterisks=True, escape_underscores=True, escape_misc=False,
        table_infer_header=True, strong_em_symbol="*",
    ).convert(html)  # fmt: skip
    return re.sub("(?: *\ue000)+ *", "<br>", str(made))


HIDDEN = ("script", "style", "nav", "noscript", "iframe", "object", "embed", "template", "svg", "form", "link", "meta")


def cleaned_html(soup: BeautifulSoup, album: Album) -> str:
    for tag in soup.find_all(HIDDEN):
        tag.decompose()
    for tag in soup.select("[hidden]"):
        tag.decompose()
    for box in soup.find_all("input"):
        is_ticked = box.has_attr("checked")
        box.replace_with("☑ " if is_ticked else "☐ ") if box.get("type") == "checkbox" else box.decompose()
    for picture in soup.find_all("img"):
        source = str(picture.get("src") or "")
        found = re.match(r"data:image/(?:png|jpe?g|gif);base64,(.+)", source, re.DOTALL)
        if found:
            try:
                number = album.add(base64.b64decode(found[1]), str(picture.get("alt") or ""))
            except ValueError:
                number = None
            picture["src"] = f"picture:{number}" if number else ""
        elif not source.startswith("picture:"):
            picture["src"] = ""
    for cell in soup.find_all(["td", "th"]):
        flatten(soup, cell)
    for link in soup.find_all("a"):
        if not re.match(r"(https?:|mailto:)", str(link.get("href") or "")):
            link.unwrap()
    return str(soup.body or soup)


def flatten(soup: BeautifulSoup, cell: Any) -> None:
    """A table's cell holds lines alone: paragraphs, list items and rows of inner tables are told apart by breaks."""
    for inner in cell.find_all("table"):
        rows = [
            " · ".join(one_line(part.get_text(" ")) for part in row.find_all(["td", "th"]))
            for row in inner.find_all("tr")
        ]
        lines = soup.new_tag("p")
        for row in rows:
            lines.append(row)
            lines.append(soup.new_tag("br"))
        inner.replace_with(lines)
    for item in cell.find_all("li"):
        item.insert(0, "• ")
        item.append(soup.new_tag("br"))
        item.unwrap()
    for block in cell.find_all(["p", "div", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6"]):
        block.append(soup.new_tag("br"))
        block.unwrap()
    breaks = cell.find_all("br")
    while breaks and not "".join(str(one) for one in breaks[-1].next_siblings).strip():
        breaks.pop().decompose()
    for one in breaks:
        one.replace_with("\ue000")


def convert_html(raw: bytes) -> dict[str, Any]:
    album = Album()
    soup = BeautifulSoup(raw[:8_000_000], "html.parser")
    if sum(1 for _ in soup.descendants) > MOST_TAGS:
        raise Cannot("too_large", "tags")
    title = one_line(soup.title.get_text()) if soup.title else ""
    return finished(title, to_markdown(cleaned_html(soup, album)), album, ())


# --- docx ---

STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='标题'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='toc 1'] => !
p[style-name='toc 2'] => !
p[style-name='toc 3'] => !
p[style-name='toc 4'] => !
p[style-name='toc 5'] => !
p[style-name='TOC Heading'] => !
p[style-name='Quote'] => blockquote:fresh
p[style-name='Intense Quote'] => blockquote:fresh
"""


def convert_docx(raw: bytes) -> dict[str, Any]:
    archive = checked(raw)
    whole = transitional(archive, raw)
    album = Album()

    def place(image: Any) -> dict[str, str]:
        with image.open() as file:
            number = album.add(file.read(40 << 20), image.alt_text or "")
        return {"src": f"picture:{number}"} if number else {"src": ""}

    try:
        made = mammoth.convert_to_html(
            io.BytesIO(whole), convert_image=mammoth.images.img_element(place), style_map=STYLES,
            include_embedded_style_map=False,
        )  # fmt: skip
    except KeyError:
        raise Cannot("damaged", "part") from None
    soup = BeautifulSoup(made.value, "html.parser")
    text = to_markdown(cleaned_html(soup, album))
    return finished(core_title(archive), text, album, ())


# --- pptx ---


def convert_pptx(raw: bytes) -> dict[str, Any]:
    archive = checked(raw)
    deck = Presentation(io.BytesIO(transitional(archive, raw)))
    album = Album()
    parts: list[str] = []
    pages: list[dict[str, Any]] = []
    is_cut = False
    for number, slide in enumerate(deck.slides, start=1):
        if number > MOST_PAGES or is_late():
            is_cut = True
            break
        title, body, notes = slide_parts(slide, album)
        plain = "\n".join(filter(None, [title, *(plain_of(part) for part in body), notes]))
        pages.append({"number": number, "title": title[:300], "text": plain})
        parts.append(f"## {escaped(title)}" if title else f"## {number}")
        parts += body
        if notes:
            label = "备注" if CJK.search(notes) else "Notes"
            parts.append("\n".join(f"> {line}" for line in f"**{label}:** {escaped_lines(notes)}".split("\n")))
    title = core_title(archive)
    if title.casefold() in {"", "powerpoint presentation", "powerpoint 演示文稿", "presentation"}:
        title = next((page["title"] for page in pages if page["title"]), "")
    return finished(title, "\n\n".join(parts), album, pages, is_cut=is_cut, keeps_heading=True)


def escaped_lines(text: str) -> str:
    return "\n".join(escaped(line) for line in text.replace("\v", "\n").splitlines() if line.strip())


def plain_of(markdown: str) -> str:
    return re.sub(r"!\[[^\]]*\]\([^)]*\)", "", markdown).replace("\\", "")


def slide_parts(slide: Any, album: Album) -> tuple[str, list[str], str]:
    found = slide.shapes.title
    title = one_line(found.text_frame.text) if found is not None and found.has_text_frame else ""
    body: list[str] = []
    for shape in ordered(slide.shapes):
        if found is not None and shape.shape_id == found.shape_id:
            continue
        try:
            body += [part for part in shape_parts(shape, album) if part.strip()]
        except (KeyError, ValueError, AttributeError, IndexError, TypeError, NotImplementedError):
            continue  # one odd shape does not cost the slide
    if (
        not title
        and body
        and len(plain_of(body[0])) < 120
        and "\n" not in body[0]
        and not body[0].startswith(("|", "!"))
    ):
        title = one_line(plain_of(body.pop(0)))
    notes = ""
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = tidied(slide.notes_slide.notes_text_frame.text).strip()
    return title, body, notes


def ordered(shapes: Iterable[Any]) -> list[Any]:
    """From top to bottom, then from left to right."""
    return sorted(shapes, key=lambda shape: ((shape.top or 0) // 200_000, shape.left or 0))


def shape_parts(shape: Any, album: Album) -> Iterator[str]:
    if shape.shape_type == MSO_SHAPE_TYPE.GROUP:
        for inner in ordered(shape.shapes):
            yield from shape_parts(inner, album)
    elif getattr(shape, "has_table", False) and shape.has_table:
        yield table([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif getattr(shape, "has_chart", False) and shape.has_chart:
        yield chart(shape.chart)
    elif hasattr(shape, "image"):
        yield album.mark(shape.image.blob, picture_name(shape))
    elif shape.has_text_frame:
        yield frame(shape.text_frame, is_label=not shape.is_placeholder)


def picture_name(shape: Any) -> str:
    name = shape._element._nvXxPr.cNvPr.get("descr") or ""
    return "" if re.search(r"\.(png|jpe?g|gif)$", name, re.IGNORECASE) else name


def frame(text_frame: Any, *, is_label: bool = False) -> str:
    lines = [(paragraph.level, one_line(paragraph.text)) for paragraph in text_frame.paragraphs]
    lines = [(level, text) for level, text in lines if text]
    if is_label and len(lines) <= 3 and sum(len(text) for _, text in lines) <= 60:
        return escaped(" ".join(text for _, text in lines))
    if len(lines) <= 1 and not any(level for level, _ in lines):
        return "\n".join(escaped(text) for _, text in lines)
    return "\n".join(f"{'  ' * level}- {escaped(BULLET.sub('', text))}" for level, text in lines)


def chart(found: Any) -> str:
    plot = found.plots[0]
    series = list(plot.series)
    head = ["", *(one_line(str(one.name)) for one in series)]
    rows = [
        [str(name), *("" if at >= len(one.values) else str(one.values[at]) for one in series)]
        for at, name in enumerate(plot.categories)
    ]
    return table([head, *rows[:200]])


def table(rows: Sequence[Sequence[str | None]]) -> str:
    cells = [
        ["<br>".join(escaped(line) for line in (cell or "").splitlines() if line.strip()) for cell in row]
        for row in rows
    ]
    cells = [row for row in cells if any(row)]
    if not cells:
        return ""
    width = max(map(len, cells))
    if width == 1:
        return "\n\n".join(row[0].replace("<br>", "\n\n") for row in cells)
    lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in cells]
    return "\n".join([lines[0], f"|{' --- |' * width}", *lines[1:]])


# --- pdf ---


def open_pdf(raw: bytes) -> Any:
    try:
        return pypdfium2.PdfDocument(raw)
    except pypdfium2.PdfiumError as error:
        raise Cannot("password" if "assword" in str(error) else "damaged", str(error)[:100]) from None


def pdf_pages(raw: bytes) -> list[dict[str, Any]]:
    document = open_pdf(raw)
    pages = []
    for number in range(1, min(len(document), MOST_PAGES) + 1):
        if is_late(1.0):
            break
        try:
            text = document[number - 1].get_textpage().get_text_bounded()
        except pypdfium2.PdfiumError:
            continue
        pages.append({"number": number, "title": "", "text": text.replace("\r\n", "\n").replace("\ufffe", "")})
    return pages


# --- a pdf with words across its pages ---


def stamped(raw: bytes) -> dict[str, Any]:
    """The same pdf with WORDS faintly across each page; a locked or damaged one is refused, never passed on unmarked."""
    document = open_pdf(raw)
    if len(document) > MOST_STAMPED:
        raise Cannot("too_large", "pages")
    encoded_words = (WORDS + "\0").encode("utf-16-le")
    letters = (ctypes.c_ushort * (len(encoded_words) // 2)).from_buffer_copy(encoded_words)
    for number in range(len(document)):
        if is_late():
            raise Cannot("too_slow", "stamp")
        page = document[number]
        width, height = page.get_size()
        size = max(9.0, min(width, height) / 28)
        for share in (0.2, 0.5, 0.8):
            text = pdfium.FPDFPageObj_NewTextObj(document, b"Helvetica", size)
            pdfium.FPDFText_SetText(text, letters)
            pdfium.FPDFPageObj_SetFillColor(text, 110, 110, 110, 70)
            pdfium.FPDFPageObj_Transform(text, 0.906, 0.423, -0.423, 0.906, width * 0.12, height * share - height * 0.1)
            pdfium.FPDFPage_InsertObject(page, text)
        if not pdfium.FPDFPage_GenerateContent(page):
            raise Cannot("damaged", "stamp")
        page.close()
    made = io.BytesIO()
    document.save(made)
    return {"data": base64.b64encode(made.getvalue()).decode()}


class Line:
    """Words of one line of a column: its text, size and place."""

    __slots__ = ("bold", "bottom", "right", "size", "text", "top", "x")

    def __init__(self, words: list[dict[str, Any]]) -> None:
        self.text = joined(words)
        sizes = Counter[float]()
        for word in words:
            sizes[round(float(word["size"]), 1)] += len(word["text"])
        self.size = sizes.most_common(1)[0][0]
        self.bold = all(
            "bold" in str(word["fontname"]).lower() or "black" in str(word["fontname"]).lower() for word in words
        )
        self.top, self.bottom = min(w["top"] for w in words), max(w["bottom"] for w in words)
        self.x, self.right = min(w["x0"] for w in words), max(w["x1"] for w in words)


def joined(words: list[dict[str, Any]]) -> str:
    text = ""
    former = None
    for word in words:
        gap = former is not None and word["x0"] - former["x1"] > 0.12 * float(word["size"])
        is_chinese = bool(text) and bool(CJK.match(text[-1])) and bool(CJK.match(word["text"][:1] or " "))
        text += (" " if gap and not is_chinese else "") + word["text"]
        former = word
    return tidied(unicodedata.normalize("NFC", text)).strip()


def rows_of(words: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    rows: list[list[dict[str, Any]]] = []
    for word in sorted(words, key=lambda one: (round(one["bottom"], 0), one["x0"])):
        if rows and abs(word["bottom"] - rows[-1][0]["bottom"]) <= max(2.0, 0.35 * float(word["size"])):
            rows[-1].append(word)
        else:
            rows.append([word])
    return [sorted(row, key=lambda one: one["x0"]) for row in rows]


def gutter(words: list[dict[str, Any]], width: float) -> float | None:
    """Where the white space between two columns lies, or None."""
    if len(words) < 60:
        return None
    best, least = None, len(words)
    for x in range(int(width * 0.35), int(width * 0.65), 4):
        crossing = sum(word["x0"] - 3 < x < word["x1"] + 3 for word in words)
        if crossing < least:
            best, least = float(x), crossing
    if best is None or least > 0.04 * len(words):
        return None
    left = sum(word["x1"] <= best for word in words)
    if not 0.25 <= left / len(words) <= 0.75:
        return None
    rows = rows_of(words)
    both = sum(row[0]["x1"] < best < row[-1]["x0"] + 1 for row in rows)
    return best if both >= 0.4 * len(rows) else None


def lines_of(words: list[dict[str, Any]], width: float) -> list[Line]:
    """Lines in the order in which they are read."""
    middle = gutter(words, width)
    if middle is None:
        return [Line(row) for row in rows_of(words)]
    found: list[Line] = []
    left: list[Line] = []
    right: list[Line] = []
    for row in rows_of(words):
        if any(word["x0"] - 3 < middle < word["x1"] + 3 for word in row):
            found += [*left, *right, Line(row)]
            left, right = [], []
            continue
        sides = [word for word in row if word["x1"] <= middle], [word for word in row if word["x1"] > middle]
        left += [Line(sides[0])] if sides[0] else []
        right += [Line(sides[1])] if sides[1] else []
    return [*found, *left, *right]


def convert_pdf(raw: bytes) -> dict[str, Any]:
    pages = pdf_pages(raw)
    if not any(page["text"].strip() for page in pages):
        raise Cannot("no_text")
    album = Album()
    try:
        document = pdfplumber.open(io.BytesIO(raw))
        read = read_pdf(document)
        title = one_line(str((document.metadata or {}).get("Title") or ""))
    except Cannot:
        raise
    except Exception as error:  # the reader of layouts gives up on what the other one reads
        text = "\n\n".join(escaped_lines(page["text"]) for page in pages)
        return finished("", text, album, pages, notes=["layout_lost"], cause=repr(error)[:100])
    body = Counter[float]()
    for lines, _, _ in read:
        for line in lines:
            body[line.size] += len(line.text)
    repeated = running_lines(read)
    size = body.most_common(1)[0][0] if body else 10.0
    larger = sorted(
        {line.size for lines, _, _ in read for line in lines if line.size >= size * 1.15 and line.text not in repeated},
        reverse=True,
    )
    parts: list[str] = []
    for number, (lines, tables, pictures) in enumerate(read, start=1):
        kept = [line for line in lines if line.text and not is_running(line, repeated)]
        parts += flowed(kept, tables, pictures_of(document, number, pictures, album), larger)
    if (
        re.search(r"\.(docx?|pptx?|indd|tex|pdf)$|^(untitled|microsoft (word|powerpoint))", title, re.IGNORECASE)
        or len(title) < 3
    ):
        title = ""
    return finished(title, "\n\n".join(parts), album, pages, is_cut=len(read) < len(pages))


ReadPage = tuple[list[Line], list[tuple[float, str]], list[tuple[float, tuple[float, float, float, float]]]]


def read_pdf(document: Any) -> list[ReadPage]:
    found: list[ReadPage] = []
    for page in document.pages[:MOST_PAGES]:
        if is_late(6.0):
            break
        words = page.dedupe_chars().extract_words(  # letters drawn twice to look bold
            extra_attrs=["size", "fontname"], keep_blank_chars=False, x_tolerance_ratio=0.12
        )
        tables: list[tuple[float, str]] = []
        boxes = []
        for one in page.find_tables() if len(page.rects) + len(page.lines) < 2_000 else []:
            rows = [[tidied(cell or "") for cell in row] for row in one.extract()]
            filled = sum(bool(cell.strip()) for row in rows for cell in row)
            total = sum(map(len, rows))
            if len(rows) > 1 and max(map(len, rows)) > 1 and filled >= 0.4 * total:
                tables.append((one.bbox[1], table(rows)))
                boxes.append(one.bbox)
        outside = [
            w
            for w in words
            if not any(
                b[0] - 1 <= w["x0"] and w["x1"] <= b[2] + 1 and b[1] - 1 <= w["top"] and w["bottom"] <= b[3] + 1
                for b in boxes
            )
        ]
        pictures = [
            (image["top"], (image["x0"], image["top"], image["x1"], image["bottom"]))
            for image in page.images
            if image["x1"] - image["x0"] >= 90 and image["bottom"] - image["top"] >= 60
            and (image["x1"] - image["x0"]) * (image["bottom"] - image["top"]) < 0.9 * float(page.width) * float(page.height)
        ]  # fmt: skip
        found.append((lines_of(outside, float(page.width)), tables, pictures[:6]))
        page.close()
    return found


def pictures_of(
    document: Any, number: int, boxes: list[tuple[float, tuple[float, float, float, float]]], album: Album
) -> list[tuple[float, str]]:
    """Parts of the page where it shows pictures, drawn as they stand there."""
    if not boxes or len(album.kept) >= 20 or is_late(5.0):
        album.left_out += len(boxes)
        return []
    page = document.pages[number - 1]
    found = []
    try:
        drawn = page.to_image(resolution=120).original
    except Exception:  # a page that cannot be drawn keeps its text
        album.left_out += len(boxes)
        return []
    scale = 120 / 72
    for top, box in boxes:
        edges = tuple(int(max(0, edge) * scale) for edge in box)
        out = io.BytesIO()
        piece = drawn.crop((edges[0], edges[1], min(edges[2], drawn.width), min(edges[3], drawn.height)))
        if piece.width < 40 or piece.height < 40:
            continue
        piece.convert("RGB").save(out, "PNG")
        mark = album.mark(out.getvalue())
        if mark:
            found.append((top, mark))
    return found


def running_lines(read: list[ReadPage]) -> set[str]:
    """Headers and footers: what stands at the edge of many pages, numbers apart."""
    if len(read) < 3:
        return set()
    seen = Counter[str]()
    for lines, _, _ in read:
        ordered_lines = sorted((line for line in lines if line.text), key=lambda line: line.top)
        for text in {_shape(line.text) for line in [*ordered_lines[:2], *ordered_lines[-2:]]}:
            seen[text] += 1
    return {text for text, count in seen.items() if count >= max(3, 0.4 * len(read))}


def _shape(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def is_running(line: Line, repeated: set[str]) -> bool:
    return _shape(line.text) in repeated or re.fullmatch(r"[-–—\s]*\d{1,4}[-–—\s]*", line.text) is not None


def flowed(
    lines: list[Line],
    tables: list[tuple[float, str]],
    pictures: list[tuple[float, str]],
    larger: list[float],
) -> list[str]:
    """Lines → headings, list items and paragraphs; tables and pictures between them by their height on the page."""
    parts: list[str] = []
    waiting = sorted([*tables, *pictures])
    paragraph = ""
    former: Line | None = None
    edge = max((line.right for line in lines), default=0.0)

    def end() -> None:
        nonlocal paragraph
        if paragraph.strip():
            parts.append(paragraph)
        paragraph = ""

    for line in lines:
        while waiting and waiting[0][0] <= line.top:
            end()
            parts.append(waiting.pop(0)[1])
        is_heading = line.size in larger[:6] and len(line.text) <= 120
        is_bold = (
            line.bold and len(line.text) <= 80 and not line.text.endswith((".", "。", ",", "，", ";", "；", ":", "："))
        )
        if is_heading or (is_bold and (former is None or not former.bold)):
            level = 2 + min(2, larger.index(line.size)) if is_heading else 4
            same = (
                former is not None
                and not paragraph
                and parts
                and parts[-1].startswith("#" * level + " ")
                and former.size == line.size
                and line.top - former.bottom < line.size
            )
            if same:
                parts[-1] = glued(parts[-1], escaped(line.text))
            else:
                end()
                parts.append(f"{'#' * level} {escaped(line.text)}")
            former = line
            continue
        bullet, number = BULLET.match(line.text), NUMBER.match(line.text)
        if bullet or number:
            end()
            rest = escaped(line.text[(bullet or number).end() :])  # type: ignore[union-attr]
            paragraph = f"- {rest}" if bullet else f"{number[1]}. {rest}"  # type: ignore[index]
        elif paragraph and former is not None and is_same_paragraph(former, line, edge):
            paragraph = glued(paragraph, escaped(line.text))
        else:
            end()
            paragraph = escaped(line.text)
        former = line
    end()
    return grouped([*parts, *(text for _, text in waiting)])


def is_same_paragraph(former: Line, line: Line, edge: float) -> bool:
    is_near = -line.size < line.top - former.bottom < 0.9 * line.size
    is_full = former.right >= edge - 6 * former.size or former.text.endswith("-")
    return (
        is_near and abs(former.size - line.size) < 0.6 and (is_full or line.x > former.x + 1 or len(former.text) > 60)
    )


def glued(text: str, more: str) -> str:
    if re.search(r"[A-Za-z]-$", text) and re.match(r"[a-z]", more):
        return text[:-1] + more
    if CJK.search(text[-1:]) and CJK.match(more[:1]):
        return text + more
    return f"{text} {more}"


def grouped(parts: list[str]) -> list[str]:
    """List items that follow each other stand together."""
    found: list[str] = []
    for part in parts:
        is_item = re.match(r"(- |\d+\. )", part) is not None
        if is_item and found and re.match(r"(- |\d+\. )", found[-1]):
            found[-1] += f"\n{part}"
        else:
            found.append(part)
    return found


# --- xlsx ---


def xlsx_pages(raw: bytes) -> list[dict[str, Any]]:
    checked(raw)
    book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True, keep_links=False)
    pages = []
    for number, sheet in enumerate(book.worksheets[:100], start=1):
        lines, size = [], 0
        for row in sheet.iter_rows(max_row=5_000, max_col=100, values_only=True):
            line = "\t".join(one_line(str(cell)) for cell in row if cell is not None)
            size += len(line)
            if line:
                lines.append(line)
            if size > MOST_PAGE_TEXT or is_late():
                break
        pages.append({"number": number, "title": one_line(str(sheet.title)), "text": "\n".join(lines)})
    return pages


# --- answers ---


def finished(
    title: str,
    text: str,
    album: Album,
    pages: Sequence[dict[str, Any]],
    *,
    is_cut: bool = False,
    notes: Sequence[str] = (),
    cause: str = "",
    keeps_heading: bool = False,
) -> dict[str, Any]:
    told = list(notes)
    body = tidied(text).replace("\r\n", "\n")
    body = re.sub(r"[ \t]+\n", "\n", body)
    body = re.sub(r"\n{3,}", "\n\n", body).strip() + "\n"
    if not re.sub(r"!\[[^\]]*\]\([^)]*\)|[#>\-\s|*\d]", "", body):
        raise Cannot("no_text")
    title, body = headed("" if re.fullmatch(r"[\W\d_]*|\(.*\)", title) else title, body, keeps_heading=keeps_heading)
    if len(body) > MOST_MARKDOWN:
        body, is_cut = body[:MOST_MARKDOWN].rpartition("\n")[0] + "\n", True
    if is_cut:
        told.append("cut_off")
    if album.left_out:
        told.append("pictures_left_out")
    used = {int(number) for number in re.findall(r"\(picture:(\d+)\)", body)}
    pictures = [one for one in album.kept if one["number"] in used]
    made = list(pages) or split_pages(body)
    return {
        "title": title[:300],
        "markdown": body,
        "pictures": pictures,
        "pages": capped(made),
        "notes": told,
        "cause": cause,
    }


def headed(title: str, body: str, *, keeps_heading: bool) -> tuple[str, str]:
    """The title, and headings from the second level down; a first heading that is the title is left out."""
    heads = list(re.finditer(r"^#{1,6} (.+)$\n?", body, re.MULTILINE))
    names = [bare(head[1]) for head in heads]
    if not title:
        lines = [bare(line) for line in body.splitlines()]
        title = next((name for name in [*names[:8], *lines] if len(re.sub(r"[\W\d_]", "", name)) > 1), "")[:120]
    if not keeps_heading and title in names[:2] and heads[names.index(title)].start() < 400:
        first = heads[names.index(title)]
        body = (body[: first.start()] + body[first.end() :]).lstrip("\n")
    levels = [len(found) for found in re.findall(r"^(#{1,6}) ", body, re.MULTILINE)]
    shift = 2 - min(levels) if levels and min(levels) < 2 else 0
    if shift:
        body = re.sub(r"^(#{1,6}) ", lambda found: "#" * min(6, len(found[1]) + shift) + " ", body, flags=re.MULTILINE)
    return title, body or f"{escaped(title)}\n"


def bare(line: str) -> str:
    """A line of Markdown without its marks."""
    return one_line(re.sub(r"!\[[^\]]*\]\([^)]*\)|[#>|*]|\\(?=\W)", " ", line))


def split_pages(body: str) -> list[dict[str, Any]]:
    """A document without pages: one for each part under a heading of the first level it has."""
    pages: list[dict[str, Any]] = []
    for part in re.split(r"^(?=## )", body, flags=re.MULTILINE):
        if part.strip():
            found = re.match(r"## (.+)\n?", part)
            pages.append(
                {"number": len(pages) + 1, "title": plain_of(found[1]).strip() if found else "", "text": plain_of(part)}
            )
    return pages


def capped(pages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "number": page["number"],
            "title": tidied(page["title"])[:300],
            "text": tidied(page["text"])[:MOST_PAGE_TEXT].strip(),
        }
        for page in pages[:MOST_PAGES]
    ]


def answer(raw: bytes) -> dict[str, Any]:
    if ACT == "stamp":
        return stamped(raw)
    if ACT == "picture":
        made = encoded(raw)
        return made | {"data": base64.b64encode(made["data"]).decode()}
    convert: dict[str, Callable[[bytes], dict[str, Any]]] = {
        "docx": convert_docx,
        "pptx": convert_pptx,
        "pdf": convert_pdf,
        "html": convert_html,
    }
    if ACT == "convert":
        return convert[KIND](raw)
    pages = (
        {"pdf": pdf_pages, "xlsx": xlsx_pages}[KIND](raw) if KIND in {"pdf", "xlsx"} else convert[KIND](raw)["pages"]
    )
    found = capped(pages)
    if not any(page["text"] for page in found):
        raise Cannot("no_text")
    return {"pages": found}


def limit(kind: int, wanted: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def shut_in() -> None:
    """No network, little memory and time, no further processes, no large files."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).unshare(0x40000000)  # a network of its own, with nothing in it; needs rights we may not have

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network here")

    socket.socket = refuse  # type: ignore[misc,assignment]
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    limit(resource.RLIMIT_AS, MEMORY)
    limit(resource.RLIMIT_CPU, int(float(SECONDS or 20)) + 2)
    limit(resource.RLIMIT_FSIZE, LARGEST)
    limit(resource.RLIMIT_NOFILE, 64)
    limit(resource.RLIMIT_CORE, 0)


def main() -> None:
    shut_in()
    try:
        told = answer(sys.stdin.buffer.read())
    except Cannot as cannot:
        told = {"reason": cannot.reason, "cause": cannot.cause}
    except MemoryError:
        told = {"reason": "too_large", "cause": "memory"}
    except RecursionError:
        told = {"reason": "damaged", "cause": "nesting"}
    except Exception as error:  # any library may fail in any way on any file
        told = {"reason": "damaged", "cause": repr(error)[:200]}
    sys.stdout.write(json.dumps(told))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
