"""What of a text is said to a customer, and what is for the rep alone."""

from collections.abc import Sequence
from typing import Final

from content.kinds import AssetType
from content.reading import ReadableAsset, TextSection

TRIGGERS: Final = frozenset({"触发", "trigger"})
"""Headings of a talk track's section that holds the customer's own words."""
NOT_SAID: Final = TRIGGERS | {"为什么有效", "why it works"}
"""Headings of a talk track's sections that are for the rep alone: when to use it, and why it works."""
LONGEST_WORDS: Final = 160


def sayable(asset: ReadableAsset, sections: Sequence[TextSection]) -> list[TextSection]:
    """A talk track's trigger holds the customer's words, which nobody wants to copy: what can be said comes in its place."""
    if asset.type is not AssetType.TALK_TRACK:
        return list(sections)
    rest = [section for section in sections if section.title.strip().casefold() not in NOT_SAID]
    return rest or list(sections)


def customer_words(sections: Sequence[TextSection]) -> str:
    """How the customer puts it, as the talk track's trigger has it; empty where it has none."""
    trigger = next((one for one in sections if one.title.strip().casefold() in TRIGGERS), None)
    if trigger is None:
        return ""
    lines = [line.strip(" -•*>") for line in trigger.plain.splitlines() if line.strip(" -•*>")]
    kept = [line for line in lines if line.strip().casefold() not in TRIGGERS]
    return kept[0][:LONGEST_WORDS] if kept else ""
