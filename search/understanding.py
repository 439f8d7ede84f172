"""A typed query against the vocabulary: which words are looked for, which filters were typed, what was left as words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from content.kinds import LANGUAGE_NAMES, TYPE_NAMES, AssetType
from content.taxonomy import Label, Vocabulary
from search import analysis, syntax
from search.analysis import Term
from search.query import Query

TYPE_WORDS: Final[Mapping[str, AssetType]] = {
    "话术": AssetType.TALK_TRACK,
    "客户案例": AssetType.CASE_STUDY,
    "案例": AssetType.CASE_STUDY,
    "case": AssetType.CASE_STUDY,
    "白皮书": AssetType.WHITE_PAPER,
    "竞品对比": AssetType.BATTLE_CARD,
    "对比卡": AssetType.BATTLE_CARD,
    "常见问题": AssetType.FAQ,
    "产品介绍": AssetType.PRODUCT_BRIEF,
    "行业报告": AssetType.INDUSTRY_REPORT,
    "报告": AssetType.INDUSTRY_REPORT,
    "演示文稿": AssetType.DECK,
    "ppt": AssetType.DECK,
    "演示脚本": AssetType.DEMO_SCRIPT,
    "其他": AssetType.OTHER,
}
"""What the types are called beside their keys and English names."""
LANGUAGE_WORDS: Final[Mapping[str, str]] = {"chinese": "zh", "中文": "zh", "english": "en", "英文": "en", "英语": "en"}
UNKNOWN_VALUE: Final = "unknown_value"
EXACT_NONE: Final = "exact_none"
"""Notes beside those of `syntax`: a field's value that nothing is called; exact words that nothing holds."""


@dataclass(frozen=True, slots=True)
class Typed:
    """One operator as pages show it: `kind` is exact, without, title or a facet; `rest` is the query without it."""

    kind: str
    text: str
    label: Label | None
    rest: str


@dataclass(frozen=True, slots=True)
class Understood:
    """`words` go to word and meaning; `filters` are the chosen ones and the typed ones together."""

    words: str
    terms: Sequence[Term]
    filters: Mapping[str, frozenset[str]]
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    titled: tuple[str, ...] = ()
    typed: tuple[Typed, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    """Kind of note and what it is about."""

    @property
    def narrows_by_text(self) -> bool:
        return bool(self.phrases or self.excluded or self.titled)


Carried = Callable[[int], bool]
"""Whether a tag of this id stands on anything that the reader may see."""


def understand(query: Query, vocabulary: Vocabulary, is_carried: Carried) -> Understood:
    """What a query asks for; a typed value that nothing is called is read as words, and a note says so.

    A tag that stands on nothing the reader may see is not told from one that never was.
    """
    parsed = query.parsed
    if parsed.is_plain:
        return Understood(
            parsed.words, analysis.query_terms(parsed.words), query.filters, notes=tuple((n, "") for n in parsed.notes)
        )
    words = [parsed.words] if parsed.words else []
    filters = {facet: set(values) for facet, values in query.filters.items()}
    titled: list[str] = []
    typed = [Typed(kind, said, None, syntax.without(query.text, raw)) for kind, said, raw in syntax.operators(parsed)]
    notes: list[tuple[str, str]] = [(note, "") for note in parsed.notes]
    for asked in parsed.fields:
        rest = syntax.without(query.text, asked.raw)
        if asked.facet == syntax.TITLE:
            titled += asked.values
            words += asked.values
            typed += [Typed(syntax.TITLE, value, None, rest) for value in asked.values]
            continue
        for value in asked.values:
            found = _value(asked.facet, value, vocabulary)
            if found is None or (found[2] is not None and not is_carried(found[2].id)):
                words.append(value)
                notes.append((UNKNOWN_VALUE, value))
                continue
            key, name, label = found
            filters.setdefault(asked.facet, set()).add(key)
            typed.append(Typed(asked.facet, name, label, rest))
    joined = " ".join(words)
    return Understood(
        joined,
        analysis.query_terms(joined),
        MappingProxyType({facet: frozenset(values) for facet, values in filters.items()}),
        parsed.phrases,
        parsed.excluded,
        tuple(titled),
        tuple(typed),
        tuple(notes),
    )


def _value(facet: str, word: str, vocabulary: Vocabulary) -> tuple[str, str, Label | None] | None:
    """Key, English name and tag of a typed value; None where nothing is called so."""
    folded = analysis.fold(word).strip()
    if facet == "type":
        by_name = {analysis.fold(name): kind for kind, name in TYPE_NAMES.items()}
        by_key = {kind.value: kind for kind in AssetType}
        kind = by_key.get(folded.replace(" ", "_")) or by_name.get(folded) or TYPE_WORDS.get(folded)
        return (kind.value, TYPE_NAMES[kind], None) if kind else None
    if facet == "language":
        code = LANGUAGE_WORDS.get(folded) or (folded if folded in LANGUAGE_NAMES else None)
        return (code, LANGUAGE_NAMES[code], None) if code else None
    label = vocabulary.find(facet, word) or vocabulary.find(facet, folded)
    return (label.key, label.en, label) if label else None
