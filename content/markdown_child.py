"""The child process that renders Markdown: `python -I markdown_child.py`, frames on stdin and stdout.

Nothing here may import our packages: the child is to know nothing but the text it is given.
Raw HTML in a text is shown as text ("Hi <name>" is no tag), so whatever is rendered was built by us;
nh3 has the last word all the same.
"""

import hashlib
import html
import json
import math
import os
import re
import resource
import signal
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import BinaryIO
from xml.etree import ElementTree

import markdown
import nh3
from markdown.extensions import Extension
from markdown.extensions.fenced_code import FencedCodeExtension
from markdown.extensions.footnotes import FootnoteExtension
from markdown.extensions.sane_lists import SaneListExtension
from markdown.extensions.tables import TableExtension
from markdown.inlinepatterns import InlineProcessor, SimpleTagInlineProcessor
from markdown.preprocessors import Preprocessor

MAX_DEPTH = 100
MAX_MEMORY = 1 << 30
LENGTH_BYTES = 4

UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufeff]")
SURROGATE = re.compile("[\ud800-\udfff]")
LINE_END = re.compile("\r\n?|[\u0085\u2028\u2029]")

EVIDENCE = r"\[(?:证据|evidence)[:\uff1a]\s*([A-Za-z]-[0-9]+)\]"  # as content/service.py looks for it
LIST_ITEM = re.compile(r"( *)((?:[-*+]|[0-9]{1,9}\.)[ ]{1,4})(?=[^ ])")
INTERRUPTS = re.compile(r"[-*+]|1\.")
TASK = re.compile(r"\s*\[([ xX])\]\s+")
HEADING = re.compile(r"h[1-6]")

CJK = "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
JOINED = re.compile(f"(?<=[{CJK}])[ \t]*\n[ \t]*(?=[{CJK}])")
BLANKS = re.compile("[ \t\n\xa0]+")
BREAK = "\x00"

VOID = frozenset({"br", "hr", "img"})
BLOCKS = frozenset({"p", "ul", "ol", "table", "pre", "blockquote", "hr", "h1", "h2", "h3", "h4", "h5", "h6"})


class TooDeep(Exception):
    """Elements nest deeper than in any honest text; parsing recurses and cleaning is quadratic in depth."""


# Text in


def tidied(text: str) -> str:
    """The text without characters that are invisible, reorder what is read, or cannot be encoded."""
    return UNWANTED.sub("", SURROGATE.sub("\ufffd", LINE_END.sub("\n", text)))


class EvidenceInline(InlineProcessor):
    """`[证据:E-7]` → a citation that remembers how it was written."""

    def handleMatch(  # type: ignore[override]  # the stub's base is the older Pattern signature
        self, m: re.Match[str], data: str
    ) -> tuple[ElementTree.Element, int, int]:
        cite = ElementTree.Element("cite", {"class": "evidence", "data-written": m.group(0)})
        cite.text = m.group(1)
        return cite, m.start(0), m.end(0)


class BreakInline(InlineProcessor):
    """`<br>`, the one tag that is honoured: tables have no other way to break a line."""

    def handleMatch(  # type: ignore[override]
        self, m: re.Match[str], data: str
    ) -> tuple[ElementTree.Element, int, int]:
        return ElementTree.Element("br"), m.start(0), m.end(0)


@dataclass(frozen=True, slots=True)
class Level:
    """An open list item: the columns of its marker and its text."""

    marker: int
    text: int
    numbered: bool

    def is_under(self, other: "Level") -> bool:
        """Two blanks nest, even after the wider "1. "."""
        return self.marker >= min(other.text, other.marker + 2)


class CommonLists(Preprocessor):
    """Lists as people write them: right under a paragraph, nested by two or three blanks."""

    def run(self, lines: list[str]) -> list[str]:
        result: list[str] = []
        levels: list[Level] = []
        after_blank, in_paragraph = True, False
        for line in lines:
            indent = len(line) - len(line.lstrip(" "))
            item = LIST_ITEM.match(line)
            if in_paragraph and not levels and item and not INTERRUPTS.match(item[2]):
                item = None  # a year at the start of a line of prose
            if not line.strip():
                result.append(line)
                in_paragraph = False
            elif item and (levels or indent < 4):
                level = Level(indent, item.end(2), item[2][0].isdigit())
                sibling = None
                while levels and not level.is_under(levels[-1]):
                    sibling = levels.pop()
                if in_paragraph or (sibling and sibling.numbered != level.numbered):
                    result.append("")
                result.append(" " * 4 * len(levels) + line[indent:])
                levels.append(level)
                if len(levels) > MAX_DEPTH // 2:
                    raise TooDeep
                in_paragraph = False
            else:
                if after_blank and not indent:
                    levels.clear()
                while len(levels) > 1 and indent < levels[-1].text:
                    levels.pop()
                nested = " " * (4 * len(levels) + max(0, indent - levels[-1].text)) if levels and indent else ""
                result.append(nested + line[indent:] if nested else line)
                in_paragraph = in_paragraph or after_blank
            after_blank = not line.strip()
        return result


class OurMarkdown(Extension):
    def extendMarkdown(self, md: markdown.Markdown) -> None:
        md.preprocessors.deregister("html_block")
        md.inlinePatterns.deregister("html")
        md.preprocessors.register(CommonLists(md), "common_lists", 22)
        md.inlinePatterns.register(EvidenceInline(EVIDENCE, md), "evidence", 178)
        md.inlinePatterns.register(BreakInline(r"<[bB][rR] ?/?>", md), "break", 90)
        md.inlinePatterns.register(SimpleTagInlineProcessor(r"(~~)(?![~ ])(.+?)~~", "del"), "struck", 65)


def to_html(text: str) -> str:
    """Markdown's HTML; a parser for each text, since one that has raised keeps half a state."""
    parser = markdown.Markdown(
        extensions=[
            TableExtension(use_align_attribute=True),
            FencedCodeExtension(),
            FootnoteExtension(PLACE_MARKER="\x02never\x03"),
            SaneListExtension(),
            OurMarkdown(),
        ],
        output_format="html",
    )
    return parser.convert(text)


# The tree


@dataclass(slots=True)
class Node:
    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Node | str"] = field(default_factory=list)


class TreeReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: UNWANTED.sub("", value or "") for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)
        if len(self._open) > MAX_DEPTH:
            raise TooDeep

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in (node.tag for node in self._open[1:]):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(UNWANTED.sub("", data))  # again: only here "&#8238;" is what it says


def read_tree(source: str) -> list[Node | str]:
    reader = TreeReader()
    reader.feed(source)
    reader.close()
    return reader.root.children


class Adapter:
    """Turns Markdown's tree into ours, section by section, numbering footnotes as they are cited."""

    def __init__(self, notes: Mapping[str, Node]) -> None:
        self._notes = notes
        self._numbers: dict[str, int] = {}
        self._cited: list[str] = []  # in this section
        self._listed: set[str] = set()

    def footnotes(self, *, last: bool) -> list[Node | str]:
        """What the section cites, so that it is copied along; the last one also has what nobody cites."""
        if last:
            for name in [name for name in self._notes if name not in self._numbers]:
                self._cite(name)
        items: list[Node | str] = [self._footnote(name) for name in self._cited]  # grows as notes cite notes
        self._cited = []
        return [Node("ol", {"class": "footnotes"}, items)] if items else []

    def _footnote(self, name: str) -> Node:
        attributes = {"value": str(self._numbers[name])}
        if name not in self._listed:  # only its first appearance is the target of links
            attributes["id"] = f"s-note-{self._numbers[name]}"
            self._listed.add(name)
        return Node("li", attributes, self.adapt(without_backlink(self._notes[name].children)))

    def _cite(self, name: str) -> int:
        if name not in self._cited:
            self._cited.append(name)
        return self._numbers.setdefault(name, len(self._numbers) + 1)

    def heading(self, node: Node, anchor: str) -> Node:
        return Node(_shifted(node.tag), {"id": anchor}, self.adapt(node.children))

    def adapt(self, nodes: Iterable[Node | str], *, in_link: bool = False) -> list[Node | str]:
        return [node if isinstance(node, str) else self._adapt(node, in_link) for node in nodes]

    def _adapt(self, node: Node, in_link: bool) -> Node | str:
        if node.tag == "img":
            return _picture(node, in_link)
        if node.tag == "sup":
            return self._footnote_mark(node)
        children = self.adapt(node.children, in_link=in_link or node.tag == "a")
        if node.tag == "li":
            _tick(children)
        return Node(_shifted(node.tag), node.attributes, children)

    def _footnote_mark(self, node: Node) -> Node | str:
        link = next((child for child in node.children if isinstance(child, Node)), Node("a"))
        name = link.attributes.get("href", "#")[1:]
        if name not in self._notes:
            return "".join(_texts([node]))
        number = self._cite(name)
        return Node("sup", {}, [Node("a", {"href": f"#s-note-{number}"}, [str(number)])])


def _shifted(tag: str) -> str:
    """Headings go down by one: the page's own title is its h1."""
    return f"h{min(6, int(tag[1]) + 1)}" if HEADING.fullmatch(tag) else tag


def _picture(node: Node, in_link: bool) -> Node | str:
    """A picture of ours, or a link: no reader's browser calls a foreign host."""
    source = node.attributes.get("src", "")
    text = node.attributes.get("alt") or node.attributes.get("title") or source
    if allowed_picture(source):
        return node
    if in_link or not allowed_link(source):
        return text if allowed_link(source) else node.attributes.get("alt", "")
    return Node("a", {"href": source}, [text])


def _tick(children: list[Node | str]) -> None:
    """`[x]` at the start of a list item → a ticked box as a character; form fields are not allowed."""
    for index, child in enumerate(children):
        if isinstance(child, Node):
            if child.tag == "p":
                _tick(child.children)
            return
        if child.strip():
            if task := TASK.match(child):
                children[index] = ("☐ " if task.group(1) == " " else "☑ ") + child[task.end() :]
            return


def take_footnotes(nodes: list[Node | str]) -> dict[str, Node]:
    """Removes Markdown's list of footnotes from the tree; name → its list item."""
    for node in nodes:
        if isinstance(node, Node) and node.attributes.get("class") == "footnote":
            nodes.remove(node)
            return {item.attributes["id"]: item for item in _items(node)}
    return {}


def _items(node: Node) -> Iterator[Node]:
    for child in node.children:
        if isinstance(child, Node) and child.tag == "ol":
            yield from (item for item in child.children if isinstance(item, Node))


def without_backlink(nodes: Iterable[Node | str]) -> list[Node | str]:
    kept: list[Node | str] = []
    for node in nodes:
        if isinstance(node, str):
            kept.append(node.rstrip("\xa0"))
        elif node.attributes.get("class") != "footnote-backref":
            kept.append(Node(node.tag, node.attributes, without_backlink(node.children)))
    return kept


# HTML out


def allowed_link(address: str) -> bool:
    """http, https, mailto, or a path, query or fragment of our own; nothing a browser reads as a host."""
    if re.search(r"[\x00-\x20\x7f\\]", address):
        return False
    return re.match(r"https?://[^/?#]|mailto:[^/]|[?#]|/(?!/)|[^:/?#]+(?:[/?#]|\Z)", address, re.IGNORECASE) is not None


def allowed_picture(address: str) -> bool:
    """An attachment, or a path relative to the page, that cannot climb to another of our addresses."""
    plain = address.lower().replace("%2e", ".")
    if not allowed_link(address) or ".." in plain or "%2f" in plain or "%5c" in plain:
        return False
    return re.match(r"/attachments/|(?!https?:|mailto:)[^/?#]", plain) is not None


def keep_attribute(tag: str, name: str, value: str) -> str | None:
    kept = True
    match name:
        case "href":
            kept = allowed_link(value)
        case "src":
            kept = allowed_picture(value)
        case "id":
            kept = re.fullmatch(r"s-(?:[0-9a-f]{12}(?:-[0-9]+)?|note-[0-9]+)", value) is not None
        case "class":
            kept = value == {"cite": "evidence", "ol": "footnotes"}[tag]
        case "align":
            kept = value in {"left", "center", "right"}
        case "start" | "value":
            kept = re.fullmatch(r"[0-9]{1,9}", value) is not None
    return value if kept else None


HEADING_ATTRIBUTES = {f"h{level}": {"id"} for level in range(2, 7)}
CLEANER = nh3.Cleaner(
    tags={
        "p", "br", "hr", "h2", "h3", "h4", "h5", "h6", "strong", "em", "del", "code", "pre", "blockquote",
        "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "a", "img", "sup", "cite",
    },
    attributes={
        "a": {"href", "title"},
        "img": {"src", "alt", "title"},
        "ol": {"start", "class"},
        "li": {"id", "value"},
        "th": {"align"},
        "td": {"align"},
        "cite": {"class"},
        **HEADING_ATTRIBUTES,
    },
    attribute_filter=keep_attribute,
    link_rel="noopener nofollow",
    url_schemes={"http", "https", "mailto"},
)  # fmt: skip


def clean_html(nodes: Iterable[Node | str]) -> str:
    return CLEANER.clean("".join(_tags(nodes)))


def _tags(nodes: Iterable[Node | str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield html.escape(node, quote=False)
            continue
        attributes = "".join(f' {name}="{html.escape(value)}"' for name, value in node.attributes.items())
        yield f"<{node.tag}{attributes}>"
        if node.tag not in VOID:
            yield from _tags(node.children)
            yield f"</{node.tag}>"


# Plain text out


def plain_text(nodes: Iterable[Node | str]) -> str:
    """As one would paste it into a mail or chat: no marks but those of lists, table cells parted by tabs."""
    return "\n\n".join(_paragraphs(nodes))


def _paragraphs(nodes: Iterable[Node | str]) -> Iterator[str]:
    run: list[Node | str] = []
    for node in nodes:
        if isinstance(node, str) or node.tag not in BLOCKS:
            run.append(node)
            continue
        yield from filter(None, [one_line(run)])
        run.clear()
        yield from filter(None, _block(node))
    yield from filter(None, [one_line(run)])


def _block(node: Node) -> Iterator[str]:
    match node.tag:
        case "ul" | "ol":
            yield "\n".join(_list(node))
        case "table":
            yield "\n".join(_rows(node))
        case "pre":
            yield "".join(_texts(node.children)).strip("\n")
        case "blockquote":
            yield from _paragraphs(node.children)
        case _:
            yield one_line(node.children)


def _list(node: Node) -> Iterator[str]:
    number = int(node.attributes.get("start", "1"))
    for item in node.children:
        if isinstance(item, str):
            continue
        mark = f"{number}. " if node.tag == "ol" else "- "
        if node.attributes.get("class") == "footnotes":
            mark = f"[{item.attributes['value']}] "
        text = "\n".join(_paragraphs(item.children))
        yield (mark + text.replace("\n", "\n" + " " * len(mark))).rstrip()
        number += 1


def _rows(node: Node) -> Iterator[str]:
    for child in node.children:
        if isinstance(child, Node) and child.tag == "tr":
            cells = (cell for cell in child.children if isinstance(cell, Node))
            yield "\t".join(one_line(cell.children).replace("\n", " ") for cell in cells)
        elif isinstance(child, Node):
            yield from _rows(child)


def one_line(nodes: Iterable[Node | str]) -> str:
    """The text of a paragraph: only `<br>` breaks it, and a line end between Chinese characters is nothing."""
    text = BLANKS.sub(" ", JOINED.sub("", "".join(_texts(nodes))))
    return "\n".join(line.strip(" ") for line in text.split(BREAK)).strip("\n")


def _texts(nodes: Iterable[Node | str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif node.tag == "br":
            yield BREAK
        elif node.tag == "img":
            yield node.attributes.get("alt", "")
        elif node.tag == "cite":
            yield node.attributes["data-written"]
        elif node.tag == "sup":
            yield f"[{''.join(_texts(node.children))}]"
        else:
            yield from _texts(node.children)


# Sections


class Anchors:
    """Names for headings made from their words, so that a section keeps its anchor wherever it moves."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def name(self, title: str) -> str:
        words = " ".join(unicodedata.normalize("NFKC", title).casefold().split())
        anchor = "s-" + hashlib.sha256(words.encode()).hexdigest()[:12]
        self._seen[anchor] = self._seen.get(anchor, 0) + 1
        return anchor if self._seen[anchor] == 1 else f"{anchor}-{self._seen[anchor]}"


def split(nodes: Iterable[Node | str]) -> Iterator[tuple[Node | None, list[Node | str]]]:
    """Each heading with what follows it; first what stands before any heading, if anything does."""
    heading: Node | None = None
    body: list[Node | str] = []
    for node in nodes:
        if isinstance(node, Node) and HEADING.fullmatch(node.tag):
            if heading or any(isinstance(part, Node) or part.strip() for part in body):
                yield heading, body
            heading, body = node, []
        else:
            body.append(node)
    if heading or any(isinstance(part, Node) or part.strip() for part in body):
        yield heading, body


def render(text: str) -> dict[str, object]:
    nodes = read_tree(to_html(tidied(text)))
    notes = take_footnotes(nodes)
    adapter, anchors = Adapter(notes), Anchors()
    page: list[str] = []
    plain: list[str] = []
    sections: list[dict[str, object]] = []
    parts = list(split(nodes))
    if notes and not parts:
        parts = [(None, [])]
    for heading, content in parts:
        title, anchor, level = "", "s-top", 0
        if heading:
            title = one_line(heading.children).replace("\n", " ")
            anchor, level = anchors.name(title), int(heading.tag[1])
            page.append(clean_html([adapter.heading(heading, anchor)]) + "\n")
        body = adapter.adapt(content)
        body += adapter.footnotes(last=content is parts[-1][1])
        section = {"html": clean_html(body).strip("\n"), "plain": plain_text(body)}
        page.append(section["html"] + "\n")
        plain += filter(None, [title, section["plain"]])
        sections.append({"anchor": anchor, "level": level, "title": title, **section})
    return {"html": "".join(page), "plain": "\n\n".join(plain), "sections": sections}


# The process


def answer(text: str) -> dict[str, object]:
    try:
        return render(text)
    except (RecursionError, TooDeep):
        return {"reason": "too_deep"}
    except Exception as error:  # whatever a text does to the library, the caller gets an answer
        return {"reason": "failed", "cause": type(error).__name__}


def limit(kind: int, wanted: int) -> None:
    """Lower the soft limit; the hard one stays, for the limit of CPU time is moved before each text."""
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def limit_time(seconds: float) -> None:
    """Ends us by SIGXCPU even when the parent that would have killed us is gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds) + 1)


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the parent closes its end."""
    send(answers, {"ready": True})
    while length := questions.read(LENGTH_BYTES):
        question = json.loads(questions.read(int.from_bytes(length, "big")))
        limit_time(question["seconds"])
        send(answers, answer(question["text"]))


def send(answers: BinaryIO, message: dict[str, object]) -> None:
    frame = json.dumps(message).encode("ascii")
    answers.write(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
    answers.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit(resource.RLIMIT_AS, MAX_MEMORY)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print of a library must not break a frame
    to_html("warm *up*")
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
