"""What changed between two texts, word by word in Chinese too, within bounds; and two texts as one."""

import random
import time

import pytest

from content import comparing


def marked(text: str, tag: str) -> list[str]:
    return [part.split(f"</{tag}>")[0] for part in text.split(f"<{tag}>")[1:]]


def test_words_within_lines_are_told_in_chinese_and_english() -> None:
    found = comparing.compare("标题\n\n我们一次只迁移一个系统。\n", "标题\n\n我们每次只迁移两个系统。\nNew line.\n")
    changed = [row for row in found.rows if row.is_changed]
    assert [[text for text, is_new in row.after or () if is_new] for row in changed] == [
        ["每次", "两个"],
        ["New line."],
    ]
    assert [[text for text, is_gone in row.before or () if is_gone] for row in changed] == [["一次", "一个"], []]
    assert (found.removed, found.added) == (1, 2)


def test_equal_runs_are_folded_and_nothing_is_lost() -> None:
    old = "\n".join(f"line {number}" for number in range(60))
    found = comparing.compare(old, old.replace("line 30", "line thirty"))
    assert sum(row.folded for row in found.rows) + sum(not row.folded for row in found.rows) == 60
    assert comparing.compare(old, old).is_same


def test_what_reads_differently_is_marked_and_stays_well_formed() -> None:
    left, right = comparing.rendered(
        "<p>一次只<strong>迁移</strong> &lt;b&gt;</p>", "<p>每次只<strong>切换</strong> &lt;b&gt;</p>"
    )
    assert marked(left, "del") == ["一次", "迁移"]
    assert marked(right, "ins") == ["每次", "切换"]
    assert "<strong><del>迁移</del></strong> &lt;b&gt;</p>" in left


@pytest.mark.parametrize("kind", ["one long line", "random lines", "brackets", "changed lines"])
def test_A86_hostile_texts_are_compared_in_time(kind: str) -> None:
    source = random.Random(7)
    texts = {
        "one long line": tuple("".join(source.choice("ab cd") for _ in range(490_000)) for _ in range(2)),
        "random lines": tuple("\n".join(str(source.random()) for _ in range(20_000)) for _ in range(2)),
        "brackets": ("[" * 50_000, "[" * 49_000),
        "changed lines": tuple("\n".join(f"a {source.random()} b" for _ in range(9_000)) for _ in range(2)),
    }[kind]
    started = time.monotonic()
    comparing.compare(*texts)
    comparing.merge(texts[0][:100_000], texts[1][:100_000], texts[0][:90_000])
    assert time.monotonic() - started < 20


def test_two_changes_at_different_places_become_one_text() -> None:
    base = "one\ntwo\nthree\nfour\nfive\n"
    merged = comparing.merge(base, base.replace("two", "TWO"), base.replace("five", "five and six"))
    assert (merged.text, merged.lost) == ("one\nTWO\nthree\nfour\nfive and six\n", 0)


def test_a_change_whose_place_is_gone_is_counted_and_not_guessed() -> None:
    merged = comparing.merge("alpha beta gamma delta", "alpha beta gamma DELTA EPSILON", "完全不同的文字")
    assert merged.text == "完全不同的文字"
    assert merged.lost == 1
