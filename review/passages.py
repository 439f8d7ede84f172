"""Where marked words stand in a source, and whether a new text changes nothing beside them (pure)."""

import re
from collections.abc import Sequence

Span = tuple[int, int]


def place(text: str, passage: str) -> Span | None:
    """Where a passage stands, as start and end of the source; spaces and the signs of Markdown do not matter.

    A passage is marked where it is read, so that its letters and digits alone are looked for, in their order. The span
    runs to the end of its last sign that is neither letter, digit nor line end, so that a full stop goes with it.
    """
    spots = [number for number, sign in enumerate(text) if sign.isalnum()]
    wanted = "".join(sign for sign in passage if sign.isalnum())
    if not wanted:
        return None
    found = "".join(text[spot] for spot in spots).find(wanted)
    if found < 0:
        return None
    start, end = spots[found], spots[found + len(wanted) - 1] + 1
    while end < len(text) and not text[end].isalnum() and not text[end].isspace():
        end += 1
    return start, end


def places(text: str, passages: Sequence[str]) -> list[Span]:
    """The spans of those that stand in the text, in order, where they touch or overlap as one."""
    merged: list[Span] = []
    for start, end in sorted(span for span in (place(text, passage) for passage in passages) if span is not None):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def changes_only(old: str, new: str, passages: Sequence[str]) -> bool:
    """Whether all of `old` outside the passages stands in `new` unchanged and in order; what stands for them may be anything."""
    kept, last = [], 0
    for start, end in places(old, passages):
        kept.append(re.escape(old[last:start]))
        last = end
    kept.append(re.escape(old[last:]))
    return re.fullmatch("(?s:.*?)".join(kept), new) is not None


def stands_in(text: str, passage: str) -> bool:
    return place(text, passage) is not None
