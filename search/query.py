"""Typed text and chosen filters become one checked value (pure)."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from search import syntax
from search.syntax import Parsed

FACETS: Final = (
    "stage",
    "industry",
    "pain_point",
    "solution",
    "product",
    "competitor",
    "persona",
    "region",
    "type",
    "language",
)
LONGEST_ACCEPTED: Final = 2_000
LONGEST_USED: Final = 400
MOST_VALUES: Final = 50
LARGEST_LIMIT: Final = 50
LARGEST_OFFSET: Final = 10_000


class Mode(StrEnum):
    """By words and meaning, by words alone, by meaning alone."""

    HYBRID = "hybrid"
    LEXICAL = "lexical"
    SEMANTIC = "semantic"


class Sort(StrEnum):
    """The order of what is found: how well it answers, published last, used by most, verified last."""

    BEST = "best"
    NEW = "new"
    USED = "used"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class Query:
    """What a reader asks for; `text` may be empty, which means: whatever the filters leave."""

    text: str = ""
    filters: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    limit: int = 20
    offset: int = 0
    mode: Mode = Mode.HYBRID
    sort: Sort = Sort.BEST
    """Without words there is no best: then it means the newest."""
    parsed: Parsed = syntax.NOTHING
    """The text taken apart: words, exact phrases, exclusions, fields."""

    @property
    def order(self) -> Sort:
        return Sort.NEW if self.sort is Sort.BEST and not self.text else self.sort

    @classmethod
    def of(
        cls,
        text: str,
        filters: Mapping[str, Iterable[str]] | None = None,
        limit: int = 20,
        offset: int = 0,
        mode: str = Mode.HYBRID,
        sort: str = Sort.BEST,
    ) -> Self:
        """Checks what came from outside; raises ValueError with a sentence fit for the reader."""
        if len(text) > LONGEST_ACCEPTED:
            raise ValueError(f"The query is too long: at most {LONGEST_ACCEPTED:,} characters.")
        if not 1 <= limit <= LARGEST_LIMIT:
            raise ValueError(f"The limit must be between 1 and {LARGEST_LIMIT}.")
        if not 0 <= offset <= LARGEST_OFFSET:
            raise ValueError(f"The offset must be between 0 and {LARGEST_OFFSET:,}.")
        if mode not in list(Mode):
            raise ValueError(f"Unknown mode {printable(mode)!r}: use one of {', '.join(Mode)}.")
        if sort not in list(Sort):
            raise ValueError(f"Unknown order {printable(sort)!r}: use one of {', '.join(Sort)}.")
        words = printable(text)[:LONGEST_USED].strip()
        chosen = _chosen(filters or {})
        return cls(words, chosen, limit, offset, Mode(mode), Sort(sort), syntax.parse(words))


def printable(text: str) -> str:
    """The text on one line without control characters, direction marks and broken surrogates."""
    kept = (" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Zs") else c for c in text)
    return " ".join("".join(c for c in kept if unicodedata.category(c) not in ("Cf", "Cs", "Co", "Cn")).split())


def _chosen(filters: Mapping[str, Iterable[str]]) -> Mapping[str, frozenset[str]]:
    chosen: dict[str, frozenset[str]] = {}
    for facet in FACETS:
        values = filters.get(facet, ())
        kept = frozenset(printable(value) for value in ((values,) if isinstance(values, str) else values)) - {""}
        if len(kept) > MOST_VALUES:
            raise ValueError(f"Too many values for {facet}: at most {MOST_VALUES}.")
        if kept:
            chosen[facet] = kept
    if unknown := sorted(printable(facet) for facet in set(filters) - set(FACETS)):
        raise ValueError(f"Unknown filter: {', '.join(unknown)}.")
    return MappingProxyType(chosen)
