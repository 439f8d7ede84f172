"""An encoder without a model, for quick tests: hashed words, with a small dictionary between the languages."""

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search import analysis

DIMENSION: Final = 128
LANGUAGE_SHARE: Final = 0.8
"""How much of every vector is only its language, as in real models."""

CONCEPTS: Final = (
    ("price", "expensive", "cost", "cheap", "贵", "价格", "便宜", "报价", "嫌贵"),
    ("bank", "banking", "finance", "银行", "金融"),
    ("migration", "migrate", "move", "迁移", "搬迁"),
    ("outage", "incident", "downtime", "故障", "宕机"),
    ("security", "compliance", "安全", "合规", "等保"),
    ("retail", "shop", "store", "零售", "门店"),
    ("logistics", "parcel", "delivery", "物流", "快递"),
    ("slow", "performance", "latency", "慢", "性能"),
)
_MEANING: Final = {
    token: f"concept {concept[0]}"
    for concept in CONCEPTS
    for word in concept
    for token in analysis.tokens(word)
    if len(token) > 1 or len(word) == 1
}


class FakeEncoder:
    """Deterministic everywhere; a query and a passage of the same words are close, and so are translations it knows."""

    name = "fake@1"
    dimension = DIMENSION

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return _encoded("query", texts)

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return _encoded("passage", texts)


def _encoded(side: str, texts: Sequence[str]) -> NDArray[np.float32]:
    return np.stack([_vector(side, text) for text in texts]) if texts else np.zeros((0, DIMENSION), np.float32)


def _vector(side: str, text: str) -> NDArray[np.float32]:
    words = np.zeros(DIMENSION)
    for token in analysis.tokens(text):
        meaning = _MEANING.get(token)
        words += 4 * _noise(meaning) if meaning else _noise(token)
    language = "zh" if any("\u3400" <= character <= "\u9fff" for character in text) else "en"
    length = np.linalg.norm(words) or 1.0
    mixed = (1 - LANGUAGE_SHARE) * words / length + LANGUAGE_SHARE * _noise(f"language {language} {side}") / np.sqrt(
        DIMENSION
    )
    normal: NDArray[np.float32] = (mixed / (np.linalg.norm(mixed) or 1.0)).astype(np.float32)
    return normal


def _noise(key: str) -> NDArray[np.float64]:
    """The same direction for the same key on every machine."""
    seed = int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:8], "little")
    found: NDArray[np.float64] = np.random.default_rng(seed).standard_normal(DIMENSION)
    return found
