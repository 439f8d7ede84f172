"""What a vector says of its language only, to be taken away: else texts cluster by language before meaning.

A multilingual model puts all Chinese passages near one another, and all English ones, so that a query hardly
ever reaches the other language. Subtracting the mean passage vector of each document's language, and the
mean query vector of the query's, mends that (on `xquad` with both languages in one index nDCG@10 rises
from about 0.6 to 0.87). The means are those of texts of our own, the same ones in both languages: means of a
library's own passages, drawn towards them or not, were no better on the judged sets (0.877 on `xquad`), and would
change all vectors whenever they were taken anew.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.prior_texts import PASSAGES, QUERIES

ZH, EN, OTHER = "zh", "en", "other"
LANGUAGES: Final = (ZH, EN, OTHER)

CHINESE_WEIGHT: Final = 2.5
"""A Chinese character says as much as this many letters."""
MAINLY: Final = 0.5

_WIDE: Final = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_FOREIGN: Final = re.compile("[\u3040-\u30ff\uac00-\ud7af\u0400-\u06ff\u0900-\u0e7f]")
_LETTER: Final = re.compile(r"[A-Za-z\u00c0-\u024f]")

Vectors = NDArray[np.float32]


def of_text(text: str, declared: str = "") -> str:
    """`zh`, `en` or `other` by the script; where that leaves it open, what the author declared."""
    foreign = len(_FOREIGN.findall(text))
    wide, letters = len(_WIDE.findall(text)) * CHINESE_WEIGHT, len(_LETTER.findall(text))
    if foreign > 0.2 * (wide + letters + foreign):
        return OTHER
    primary = declared.casefold().replace("_", "-").partition("-")[0]
    if wide > MAINLY * (wide + letters):
        return ZH
    if letters:
        return EN if primary in {"", EN, ZH} else OTHER
    return primary if primary in LANGUAGES else OTHER


def mixture(text: str) -> Mapping[str, float]:
    """How much of a query is of each language; the shares sum to one."""
    foreign = len(_FOREIGN.findall(text)) * CHINESE_WEIGHT
    wide, letters = len(_WIDE.findall(text)) * CHINESE_WEIGHT, len(_LETTER.findall(text))
    total = wide + letters + foreign
    if not total:
        return {OTHER: 1.0}
    shares = {ZH: wide / total, EN: letters / total, OTHER: foreign / total}
    return {language: share for language, share in shares.items() if share}


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """The mean vector of passages and of queries in each language, shape (dimension,); made for one encoder."""

    passages: Mapping[str, Vectors]
    queries: Mapping[str, Vectors]

    def query(self, vector: Vectors, text: str) -> Vectors:
        """A query's vector without its language, of length one."""
        mean = sum((share * self.queries[language] for language, share in mixture(text).items()), np.zeros_like(vector))
        return normal(vector - mean)

    def passage_means(self) -> Vectors:
        """Shape (len(LANGUAGES), dimension), in that order."""
        return np.stack([self.passages[language] for language in LANGUAGES])

    def to_json(self) -> str:
        kept = {"passages": _packed(self.passages), "queries": _packed(self.queries)}
        return json.dumps(kept | {"counted": 0})  # former releases, which may serve beside this one, ask for it

    @classmethod
    def from_json(cls, text: str) -> "Means":
        """Raises ValueError on anything that is not what to_json gave."""
        try:
            kept = json.loads(text)
            return cls(_unpacked(kept["passages"]), _unpacked(kept["queries"]))
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError("these are no language means") from error


def prior_texts() -> tuple[list[str], list[str]]:
    """Passages and queries to encode for the prior: first all Chinese ones, then the same in English."""
    return [text for language in (0, 1) for text in (pair[language] for pair in PASSAGES)], [
        text for language in (0, 1) for text in (pair[language] for pair in QUERIES)
    ]


def prior(passages: Vectors, queries: Vectors) -> Means:
    """The means of our own texts, encoded in the order of `prior_texts`."""
    return Means(_halves(passages), _halves(queries))


def normal(vectors: Vectors) -> Vectors:
    """Rows (or the one vector) of length one; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def _halves(vectors: Vectors) -> dict[str, Vectors]:
    half = len(vectors) // 2
    chinese, english = vectors[:half].mean(axis=0), vectors[half:].mean(axis=0)
    return {ZH: chinese, EN: english, OTHER: ((chinese + english) / 2).astype(np.float32)}


def _packed(means: Mapping[str, Vectors]) -> dict[str, str]:
    return {
        language: base64.b64encode(mean.astype("<f4").tobytes()).decode("ascii") for language, mean in means.items()
    }


def _unpacked(kept: Mapping[str, str]) -> dict[str, Vectors]:
    return {
        language: np.frombuffer(base64.b64decode(kept[language], validate=True), "<f4").astype(np.float32)
        for language in LANGUAGES
    }


def languages_of(texts: Sequence[str]) -> list[str]:
    """The language of each text by its script."""
    return [of_text(text) for text in texts]
