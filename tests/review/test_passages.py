"""Where marked words stand, and what a fix may change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review import passages

OLD = "## 报价\n\n标准版每年 **98,000 元**，含部署。\n\n三年合同另议。\n"


@pytest.mark.parametrize(
    ("passage", "found"),
    [
        ("标准版每年 98,000 元，含部署。", "标准版每年 **98,000 元**，含部署。"),
        ("98,000 元", "98,000 元**，"),
        ("三年合同另议", "三年合同另议。"),
        ("报价标准版", "报价\n\n标准版"),
    ],
)
def test_words_as_they_read_are_found_in_the_source(passage: str, found: str) -> None:
    span = passages.place(OLD, passage)
    assert span is not None
    assert OLD[slice(*span)] == found


@pytest.mark.parametrize("passage", ["88,000 元", "", "  ** ", "合同另议三年"])
def test_what_does_not_stand_there_has_no_place(passage: str) -> None:
    assert passages.place(OLD, passage) is None


@pytest.mark.parametrize(
    ("new", "allowed"),
    [
        (OLD, True),
        (OLD.replace("98,000", "89,000"), True),
        (OLD.replace("标准版每年 **98,000 元**，含部署。", "请按最新报价单。"), True),
        (OLD.replace("标准版每年 **98,000 元**，含部署。", ""), True),
        (OLD.replace("三年合同另议。", "三年合同八折。"), False),
        (OLD + "\n新的一句。\n", False),
        (OLD.replace("## 报价", "## 价格"), False),
        ("", False),
    ],
)
def test_only_the_passages_may_change(new: str, allowed: bool) -> None:
    assert passages.changes_only(OLD, new, ["标准版每年 98,000 元，含部署。"]) is allowed


def test_two_passages_keep_what_lies_between_them() -> None:
    both = ["标准版每年 98,000 元，含部署。", "三年合同另议"]
    new = OLD.replace("98,000", "89,000").replace("另议", "八折")
    assert passages.changes_only(OLD, new, both)
    assert not passages.changes_only(OLD, new.replace("\n\n", "\n\n加一句。\n\n", 2), both[:1])


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_whatever_stands_for_the_passage_the_rest_is_kept(before: str, after: str, old: str, new: str) -> None:
    """Of any text: with no letter of the passage anywhere else, replacing it is allowed and touching the rest is not."""
    whole = f"{before}\nQZXJ\n{after}"
    if "QZXJ" in "".join(sign for sign in before + after if sign.isalnum()) or passages.place(whole, "QZXJ") is None:
        return
    start, end = passages.place(whole, "QZXJ") or (0, 0)
    assert passages.changes_only(whole, whole[:start] + new + whole[end:], ["QZXJ"])
    assert not passages.changes_only(whole, f"#{old}{whole}"[: len(whole) - 1], []) or whole == ""
