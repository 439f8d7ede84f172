"""Cases A71, A73, A78 and F30 on the level of the renderer; the browser's proof of A71 is a journey."""

import contextlib
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content import markdown
from content.markdown import CannotRender, Rendering, render

ROOT = Path(markdown.__file__).parents[1]

TAGS = frozenset(
    [
        "p",
        "br",
        "hr",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "strong",
        "em",
        "del",
        "code",
        "pre",
        "blockquote",
        "ul",
        "ol",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "a",
        "img",
        "sup",
        "cite",
    ]
)
ATTRIBUTES = frozenset(["href", "title", "rel", "src", "alt", "start", "value", "align", "class", "id"])
OWN_ID = re.compile(r"s-(?:[0-9a-f]{12}(?:-\d+)?|note-\d+)")


@pytest.fixture(scope="module", autouse=True)
def _no_child_left() -> Iterator[None]:
    yield
    markdown.close()


class Reader(HTMLParser):
    """Collects elements and text as an independent reader of the HTML sees them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.comments = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        self.comments += data

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attributes[name] for seen, attributes in self.elements if seen == tag and name in attributes]


def assert_harmless(html: str) -> None:
    reader = Reader(html)
    assert not reader.comments
    for tag, attributes in reader.elements:
        assert tag in TAGS
        assert attributes.keys() <= ATTRIBUTES
        assert OWN_ID.fullmatch(attributes.get("id", "s-note-1"))
        assert attributes.get("class", "evidence") in {"evidence", "footnotes"}
        assert re.match(r"https?://[^/\\]|mailto:|[/?#]?[^/:\\]*(?:[/?#]|$)", attributes.get("href", ""), re.IGNORECASE)
        assert not re.match(r"[a-zA-Z]+:|//", attributes.get("src", ""))


def refused(text: str, timeout: float = 2.0) -> str:
    with pytest.raises(CannotRender) as caught:
        render(text, timeout=timeout)
    return caught.value.reason


def child_pid() -> int:
    render("warm")
    child = markdown._cage._child
    assert child is not None
    return child.process.pid


def anchors(rendering: Rendering) -> dict[str, str]:
    return {section.title: section.anchor for section in rendering.sections}


# Hostile text

SCRIPTS = [
    "<script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "<img/src/onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=javascript:alert(1)></object>",
    "<embed src=javascript:alert(1)>",
    "<form action=javascript:alert(1)><button>x</button></form>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<a href=javascript:alert(1)>x</a>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css'</style>",
    "<div style='background:url(javascript:alert(1))'>x</div>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<p id=search name=search class=btn>clobber</p>",
    # mutation
    "<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><p title='</template><img src=x onerror=alert(1)>'>",
    "<svg><foreignObject><math><mi xlink:href='data:x,<script>alert(1)</script>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?php <img src=x onerror=alert(1)> ?>",
    # by way of Markdown
    "para {: onclick=alert(1) }",
    "# Heading {: #search onclick=alert(1) }",
    "# <img src=x onerror=alert(1)>",
    "```{.x #search onclick=alert(1)}\ncode\n```",
    '```x"onclick="alert(1)\ncode\n```',
    "`<img src=x onerror=alert(1)>`",
    '[x](https://a.example "\\" onmouseover=\\"alert(1)")',
    "![x\" onerror=\"alert(1)](/attachments/1/a.png 'y\" onload=\"alert(1)')",
    '<https://a.example/"onclick="alert(1)>',
    "text[^x\"onclick=\"alert(1)]\n\n[^x\"onclick=\"alert(1)]: <img src=x onerror=alert(1)>",
    "*[x]: <img src=x onerror=alert(1)>\n\nx",
    "| <img src=x onerror=alert(1)> | b |\n|:-:|--|\n| <svg onload=alert(1)> | c |",
    "&lt;img src=x onerror=alert(1)&gt; &#60;script&#62;alert(1)&#60;/script&#62;",
    "<br onclick=alert(1)> <br/onclick=alert(1)>",
    "[证据:E-7<img src=x onerror=alert(1)>] [证据:E-7](javascript:alert(1))",
    "\x02wzxhzdk:0\x03 \x02amp\x03 \x02klzzwxh:0000\x03 \x0260\x03script\x0262\x03",
]  # fmt: skip


@pytest.mark.parametrize("text", SCRIPTS)
def test_A71_no_script_survives(text: str) -> None:
    for variant in (text, f"> - {text}", f"before\n\n{text}\n\nafter"):
        assert_harmless(render(variant).html)


def test_A71_raw_html_is_shown_as_it_was_written() -> None:
    rendering = render("Hi <name>, <b>hello</b> <!-- note -->")
    assert Reader(rendering.html).words.strip() == "Hi <name>, <b>hello</b> <!-- note -->"
    assert rendering.plain == "Hi <name>, <b>hello</b> <!-- note -->"


PIECES = [piece for script in SCRIPTS for piece in re.split(r"(?<=[>\s])", script) if piece]
PIECES += [
    "[",
    "](",
    ")",
    "![",
    "*",
    "`",
    "\n",
    "\n\n",
    "    ",
    "- ",
    "1. ",
    "> ",
    "|",
    "---",
    "[^1]",
    "[^1]: ",
    "&#58;",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_A71_no_mixture_of_pieces_does_harm(text: str) -> None:
    rendering = render(text)
    assert_harmless(rendering.html)
    for section in rendering.sections:
        assert_harmless(section.html)


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=[])))
def test_any_text_is_rendered(text: str) -> None:
    rendering = render(text)
    (rendering.html + rendering.plain).encode()
    assert_harmless(rendering.html)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java&#10;script:alert(1)", "&#106;avascript:alert(1)",
        "java&Tab;script:alert(1)", "javascript&colon;alert(1)", "&#x01;javascript:alert(1)", "vbscript:x",
        "data:text/html,<script>alert(1)</script>", "blob:https://x/y", "file:///etc/passwd", "//evil.example",
        "///evil.example", r"/\evil.example", r"\\evil.example", "/&#9;/evil.example", "http:///evil.example",
        "https:evil.example", "ssh://x", "tel:1",
    ],
)  # fmt: skip
def test_A73_script_and_foreign_addresses_are_removed(address: str) -> None:
    for text in (
        f"[x]({address})",
        f"[x](<{address}>)",
        f"[x][r]\n\n[r]: {address}",
        f"<{address}>",
        f"![x]({address})",
    ):
        reader = Reader(render(text).html)
        assert not reader.attributes("a", "href"), text
        assert not reader.attributes("img", "src"), text


@pytest.mark.parametrize(
    "address",
    ["https://a.example/b?c=d&e=f#g", "HTTP://a.example", "mailto:a@b.example", "/assets/x", "#s-1", "?q=1", "a/b"],
)
def test_honest_links_stay(address: str) -> None:
    reader = Reader(render(f"[x]({address})").html)
    assert reader.attributes("a", "href") == [address]
    assert reader.attributes("a", "rel") == ["noopener nofollow"]


@pytest.mark.parametrize(
    "address", ["https://evil.example/x.png", "/logout", "/attachments/../logout", "/attachments/%2e%2E/x"]
)
def test_A78_pictures_from_elsewhere_become_links(address: str) -> None:
    reader = Reader(render(f"![chart]({address})").html)
    assert "img" not in dict(reader.elements)
    assert reader.attributes("a", "href") == [address]
    assert reader.words.strip() == "chart"


@pytest.mark.parametrize("address", ["//evil.example/x.png", "data:image/png;base64,AAAA", r"\\evil.example\x.png"])
def test_A78_pictures_that_cannot_be_linked_become_their_text(address: str) -> None:
    assert render(f"![chart]({address})").html == "<p>chart</p>\n"


def test_A78_a_linked_picture_from_elsewhere_becomes_the_links_text() -> None:
    html = render("[![chart](https://evil.example/x.png)](https://a.example)").html
    assert Reader(html).attributes("a", "href") == ["https://a.example"]
    assert Reader(html).words.strip() == "chart"


@pytest.mark.parametrize("address", ["/attachments/42/chart.png", "media/chart.png", "chart.png"])
def test_our_own_pictures_stay(address: str) -> None:
    assert Reader(render(f"![chart]({address})").html).attributes("img", "src") == [address]


def test_invisible_and_reordering_characters_are_removed() -> None:
    rendering = render("a\x00b\ud800c\u202ed\u2066e &#8238;f&#x2066;g")
    assert rendering.plain == "ab\ufffdcde fg"


# Hostile size


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "[a](" * 20_000, "[" * 1_000_000], ids=["brackets", "links", "megabyte"]
)
def test_F30_quadratic_text_is_given_up_and_the_next_is_rendered(text: str) -> None:
    render("warm")
    start = time.monotonic()
    assert refused(text) == "too_slow"
    given_up = time.monotonic()
    assert render("next").plain == "next"
    assert given_up - start < 3.0
    assert time.monotonic() - given_up < 2.0


@pytest.mark.parametrize(
    "text",
    ["".join(" " * width * depth + "- a\n" for depth in range(500)) for width in (2, 4)]
    + [">" * 5_000 + " a", "> " * 500 + "a", "> - " * 500 + "a"],
    ids=["list", "wide list", "quote", "spaced quote", "list in quote"],
)
def test_F30_deep_text_is_refused(text: str) -> None:
    assert refused(text) == "too_deep"
    assert render("next").plain == "next"


@pytest.mark.parametrize(
    "text",
    [
        "<div>" * 20_000,
        "<div>" * 100_000,
        "a\n: b\n" * 20_000,
        "\x00" * 100_000,
        "`" * 20_000,
        "&" * 20_000,
        "#" * 20_000,
    ],
    ids=["div", "more div", "definitions", "nul", "ticks", "ampersands", "hashes"],
)
def test_F30_odd_text_ends_in_time(text: str) -> None:
    start = time.monotonic()
    with contextlib.suppress(CannotRender):
        assert_harmless(render(text).html)
    assert time.monotonic() - start < 3.0


def test_F30_footnotes_by_the_thousand_end_in_time() -> None:
    text = "".join(f"a[^{n}] " for n in range(5_000)) + "\n\n" + "".join(f"[^{n}]: b\n" for n in range(5_000))
    assert refused(text, timeout=0.5) == "too_slow"


@pytest.mark.parametrize("text", ["a" * 1_000_001, "字" * 333_334, "a" * 50_000_000])
def test_F30_large_text_is_refused_before_anything_runs(text: str) -> None:
    markdown.close()
    assert refused(text) == "too_large"
    assert markdown._cage._child is None


# The child


def test_threads_get_their_own_answers() -> None:
    with ThreadPoolExecutor(8) as pool:
        rendered = pool.map(render, [f"# Title {n}\n\n" + f"body {n} " * n for n in range(80)])
        assert [rendering.sections[0].title for rendering in rendered] == [f"Title {n}" for n in range(80)]


def test_a_slow_text_does_not_spoil_another_threads() -> None:
    with ThreadPoolExecutor(3) as pool:
        slow = pool.submit(refused, "[" * 20_000, 0.5)
        others = [pool.submit(render, f"text {n}") for n in range(6)]
        assert slow.result() == "too_slow"
        assert [other.result().plain for other in others] == [f"text {n}" for n in range(6)]


def test_a_killed_child_is_replaced() -> None:
    pid = child_pid()
    os.kill(pid, signal.SIGKILL)
    assert render("again").plain == "again"
    assert child_pid() != pid


def test_a_stopped_child_is_given_up_and_replaced() -> None:
    os.kill(child_pid(), signal.SIGSTOP)
    assert refused("a" * 900_000, timeout=0.3) == "too_slow"
    assert render("again").plain == "again"


def test_the_child_stays_warm_and_ignores_an_interrupt() -> None:
    pid = child_pid()
    os.kill(pid, signal.SIGINT)
    assert render("again").plain == "again"
    assert child_pid() == pid


def test_a_refused_text_leaves_no_trace_in_the_next() -> None:
    assert refused("[r]: https://evil.example\n\n[^1]: note\n\n" + ">" * 5_000) == "too_deep"
    assert render("[r] a[^1]").html == "<p>[r] a[^1]</p>\n"
    render("[r]: https://a.example\n\n[^1]: note")
    assert render("[r] a[^1]").html == "<p>[r] a[^1]</p>\n"


def test_closing_ends_the_child_and_may_be_repeated() -> None:
    handle = os.pidfd_open(child_pid())
    markdown.close()
    markdown.close()
    assert _has_ended(handle)
    assert render("again").plain == "again"


def test_a_forked_process_takes_a_child_of_its_own() -> None:
    pid = child_pid()
    fork = os.fork()
    if not fork:
        try:
            os._exit(0 if child_pid() != pid else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    assert child_pid() == pid


def test_the_child_ends_with_its_parent() -> None:
    script = "import os, sys\nfrom content import markdown\nmarkdown.render('x')\n"
    script += "print(markdown._cage._child.process.pid, flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        handle = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    assert _has_ended(handle)


def _has_ended(handle: int) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    ended = bool(poll.poll(5_000))
    os.close(handle)
    return ended


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_child_has_limits_and_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_SECRET_KEY", "canary")
    markdown.close()
    process = Path("/proc") / str(child_pid())
    assert b"canary" not in (process / "environ").read_bytes()
    limits = (process / "limits").read_text()
    assert re.search(r"Max address space +1073741824 ", limits)
    assert re.search(r"Max cpu time +\d+ ", limits)
    assert re.search(r"Max file size +0 ", limits)


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit")
def test_the_limit_of_cpu_time_moves_with_each_text() -> None:
    pid = child_pid()
    before, _ = resource.prlimit(pid, resource.RLIMIT_CPU)
    after = before
    for _ in range(1_000):
        render("*a" * 2_000)
        after, _ = resource.prlimit(pid, resource.RLIMIT_CPU)
        if after > before:
            break
    assert after > before


# Sections

TWO_PARTS = "# 客户嫌贵\n\n先问预算。\n\n## 竞品对比\n\n表格如下。\n"
TWO_PARTS_MOVED = "前言\n\n## 竞品对比\n\n表格如下。\n\n### 新的一节\n\n# 客户嫌贵\n\n先问预算。\n"


def test_sections_of_every_level_with_the_text_before_them() -> None:
    rendering = render("intro\n\n# One\n\na\n\n### Three\n\nSetext *two*\n===\n\nb\n\n###### Six\n\nc")
    assert [(section.level, section.title, section.plain) for section in rendering.sections] == [
        (0, "", "intro"), (1, "One", "a"), (3, "Three", ""), (1, "Setext two", "b"), (6, "Six", "c"),
    ]  # fmt: skip
    assert re.findall(r"<(h\d)", rendering.html) == ["h2", "h4", "h2", "h6"]


def test_chinese_headings_get_distinct_anchors() -> None:
    rendering = render(TWO_PARTS + "# 报价\n\n# 客户嫌贵\n")
    found = [section.anchor for section in rendering.sections]
    assert len(set(found)) == 4
    assert all(re.fullmatch(r"s-[0-9a-f]{12}(-\d+)?", anchor) for anchor in found)
    assert found[3] == found[0] + "-2"
    assert re.findall(r'id="([^"]+)"', rendering.html) == found


def test_a_moved_section_keeps_its_anchor() -> None:
    before, after = anchors(render(TWO_PARTS)), anchors(render(TWO_PARTS_MOVED))
    assert before.items() <= after.items()


def test_a_section_keeps_its_anchor_when_its_level_marks_or_case_change() -> None:
    variants = ["# Too dear?", "#### Too dear?", "# **Too** dear?", "# TOO  DEAR?", "# Too dear？"]
    assert len({render(text).sections[0].anchor for text in variants}) == 1


def test_headings_inside_quotes_and_lists_open_no_section() -> None:
    rendering = render("# One\n\n> # Quoted\n\n- # Listed\n")
    assert [section.title for section in rendering.sections] == ["One"]
    assert "Quoted" in rendering.sections[0].plain


@pytest.mark.parametrize(
    "text", [TWO_PARTS, TWO_PARTS_MOVED, "a\n\n# B\n\n- c\n\n| d | e |\n|---|---|\n| f | g |\n\nh[^1]\n\n[^1]: i"]
)
def test_sections_together_hold_the_same_text_as_the_page(text: str) -> None:
    rendering = render(text)
    together = "".join(section.title + Reader(section.html).words for section in rendering.sections)
    assert "".join(together.split()) == "".join(Reader(rendering.html).words.split())
    parts = [part for section in rendering.sections for part in (section.title, section.plain) if part]
    assert rendering.plain == "\n\n".join(parts)


def test_an_empty_text_has_no_sections() -> None:
    assert render(" \n\n") == Rendering(html="", plain="", sections=())


# Marks and plain text


def test_evidence_is_cited_in_html_and_left_as_written_in_plain_text() -> None:
    rendering = render("快 3 倍[证据:E-7], faster [evidence:E-12] `[证据:E-7]` [证据:<b>]")
    assert rendering.html == (
        '<p>快 3 倍<cite class="evidence">E-7</cite>, faster <cite class="evidence">E-12</cite> '
        "<code>[证据:E-7]</code> [证据:&lt;b&gt;]</p>\n"
    )
    assert rendering.plain == "快 3 倍[证据:E-7], faster [evidence:E-12] [证据:E-7] [证据:<b>]"


def test_plain_text_in_english() -> None:
    text = """\
We **save** time,
as [this study](https://a.example) shows:
- first   point
- second
  - below
1. another list

Then
1. one
2. two<br>more

> quoted *words*

| Plan | Price |
|:-----|------:|
| Pro  | 5 \\| 6 |

- [ ] ask
- [x] tell

---

```sql
SELECT  1;

-- done
```

~~gone~~ &amp; https://b.example ![chart](/attachments/1/a.png)
"""
    assert render(text).plain == (
        "We save time, as this study shows:\n\n"
        "- first point\n- second\n  - below\n\n1. another list\n\n"
        "Then\n\n1. one\n2. two\n   more\n\n"
        "quoted words\n\n"
        "Plan\tPrice\nPro\t5 | 6\n\n"
        "- ☐ ask\n- ☑ tell\n\n"
        "SELECT  1;\n\n-- done\n\n"
        "gone & https://b.example chart"
    )


def test_plain_text_in_chinese() -> None:
    text = """\
客户说**太贵**，
先问预算。
再看 ROI
数据：
- 第一点
- 第二点

3. 三
4. 四

| 方案 | 价格 |
|------|------|
| 标准 | ￥5  |
"""
    assert render(text).plain == (
        "客户说太贵，先问预算。再看 ROI 数据：\n\n- 第一点\n- 第二点\n\n3. 三\n4. 四\n\n方案\t价格\n标准\t￥5"
    )


def test_a_child_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    markdown.close()
    with monkeypatch.context() as patch:
        patch.setattr(markdown, "CHILD", tmp_path / "missing.py")
        assert refused("x") == "failed"
        patch.setattr(sys, "executable", str(tmp_path / "missing"))
        assert refused("x") == "failed"
    assert render("again").plain == "again"


def test_a_paragraph_between_items_keeps_their_numbers() -> None:
    text = "1. first\n\n   more of it\n2. second\n   - below\n3. third"
    assert render(text).plain == "1. first\n   more of it\n2. second\n   - below\n3. third"


def test_a_year_at_the_start_of_a_line_is_no_list() -> None:
    assert render("It was founded in\n2019. It grew.").plain == "It was founded in 2019. It grew."


def test_code_keeps_what_looks_like_a_list() -> None:
    code = "x\n- a\n  - b\n1. c"
    assert render(f"```\n{code}\n```").plain == code
    assert render("p\n\n    - a\n      - b\n").plain == "p\n\n- a\n  - b"


def test_table_alignment_is_an_attribute() -> None:
    html = render("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | 3 |").html
    assert Reader(html).attributes("th", "align") == ["left", "center", "right"]
    assert Reader(html).attributes("td", "align") == ["left", "center", "right"]


def test_footnotes_stand_with_the_section_that_cites_them() -> None:
    rendering = render("# A\n\na[^x] b[^y]\n\n# B\n\nc[^x] d[^none]\n\n[^y]: second\n[^x]: first *note*\n[^z]: uncited")
    first, second = rendering.sections
    assert first.plain == "a[1] b[2]\n\n[1] first note\n[2] second"
    assert second.plain == "c[1] d[^none]\n\n[1] first note\n[3] uncited"
    assert render("[^1]:\n\na[^1]").plain == "a[1]\n\n[1]"
    targets = Reader(rendering.html).attributes("li", "id")
    assert targets == ["s-note-1", "s-note-2", "s-note-3"]
    assert {href[1:] for href in Reader(rendering.html).attributes("a", "href")} <= set(targets)
