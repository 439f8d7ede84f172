"""Nearness of meaning for searches: the encoder that is loaded, the vectors that are stored, and which go together."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

import numpy as np
from sqlalchemy.orm import Session
from threadpoolctl import threadpool_limits

from search import passages, vectors
from search.encoder import CannotEncode, Encoder, EncoderLoader
from search.engine import IntArray, Visible
from search.languages import Means, normal
from search.loading import OFF
from search.matrix import Agreement, Keeper, Near, Spot
from search.passages import Passage
from search.vectors import KnownEncoder

LONGEST_QUERY: Final = 128
"""In tokens of a multilingual model: more of a pasted message costs time and blurs what it is about."""
NEAREST: Final = 100
"""Assets that meaning alone may add to those that hold the words."""
ALIKE: Final = 0.35
ENCODING: Final = 2
REMEMBERED: Final = 1_000

QueryVector = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


class Space(Protocol):
    """Passages by meaning: `Matrix` in memory, or a database."""

    means: Means

    def __len__(self) -> int: ...

    def spot(self, row: int) -> Spot: ...

    def nearest(self, vector: QueryVector, visible: Visible, limit: int, also: IntArray | None = None) -> Near: ...

    def agreement(self, passages: QueryVector, declared: Sequence[str], visible: Visible) -> Agreement: ...

    def middle_of(self, asset_id: int, anchor: str = "") -> QueryVector | None: ...

    def best_of(self, asset_id: int, vector: QueryVector) -> QueryVector | None: ...


class SpaceKeeper(Protocol):
    """One process's way to the passages as they stand now."""

    def refreshed(self, session: Session, encoder: KnownEncoder) -> Space: ...


@dataclass(frozen=True, slots=True, eq=False)
class Nearby:
    """The nearest assets of one search, and where their best passages lie."""

    near: Near
    matrix: "Space"

    def spots(self, floor: float) -> "Spots":
        """The best passages of those assets that are at least so close."""
        close = self.near.closeness >= floor
        rows = zip(self.near.asset_ids[close].tolist(), self.near.rows[close].tolist(), strict=True)
        return Spots(self.matrix, dict(rows))


class Spots(Mapping[int, Spot]):
    """Best passages by asset id, looked up when somebody asks: a page shows twenty of thousands."""

    def __init__(self, matrix: "Space", rows: Mapping[int, int]) -> None:
        self._matrix = matrix
        self._rows = rows

    def __getitem__(self, asset_id: int) -> Spot:
        return self._matrix.spot(self._rows[asset_id])

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A query's direction of meaning, and the passages it can be compared with."""

    matrix: "Space"
    vector: QueryVector

    def led_by(self, asset_id: int, weight: float) -> "Asked":
        """The same question, led on by the best passage of an asset that answers it."""
        best = self.matrix.best_of(asset_id, self.vector)
        return self if best is None else Asked(self.matrix, normal(self.vector + weight * best))

    def nearest(self, visible: Visible, limit: int = NEAREST, also: IntArray | None = None) -> Nearby:
        return Nearby(self.matrix.nearest(self.vector, visible, limit, also), self.matrix)


def _on_one_core() -> None:
    """Of this thread alone: OpenMP keeps the number of its threads by caller."""
    threadpool_limits(limits=1, user_api="openmp")


class _QueryVectors:
    """Vectors of the last queries, and those being made: turning a page or choosing a filter asks the same again.

    Few threads make them, each on one core: a query is short, and what searches for its words beside it needs the others.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(ENCODING, thread_name_prefix="kb-query", initializer=_on_one_core)
        self._made: OrderedDict[tuple[str, str], Future[QueryVector]] = OrderedDict()
        self._lock = Lock()

    def of(self, encoder: Encoder, text: str) -> "Future[QueryVector]":
        key = (encoder.name, text)
        with self._lock:
            made = self._made.get(key)
            if made is None or (made.done() and made.exception() is not None):
                made = self._made[key] = self._threads.submit(lambda: encoder.encode_queries([text])[0])
            self._made.move_to_end(key)
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return made


class _PassageVectors:
    """Vectors of the last passages of drafts: most of a draft is as it was when it was saved a moment ago."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, str], QueryVector] = OrderedDict()
        self._lock = Lock()

    def of(self, encoder: Encoder, texts: Sequence[str]) -> QueryVector:
        """One row a text; one caller at a time, since an encoder takes all cores anyway."""
        with self._lock:
            new = [text for text in dict.fromkeys(texts) if (encoder.name, text) not in self._made]
            if new:
                for text, vector in zip(new, encoder.encode_passages(new), strict=True):
                    self._made[encoder.name, text] = vector
            found = np.stack([self._made[encoder.name, text] for text in texts])
            for text in texts:
                self._made.move_to_end((encoder.name, text))
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return found


class Meaning:
    """What a process knows of meaning.

    `wanted` loads the encoder of the settings. While another one's vectors still answer, that one is loaded
    too (`load` takes its setting), so that a change of the setting never leaves searches without meaning.
    """

    def __init__(
        self, wanted: EncoderLoader, load: Callable[[str], Encoder | None], keeper: SpaceKeeper | None = None
    ) -> None:
        self.wanted = wanted
        self._load = load
        self._former: tuple[str, EncoderLoader] | None = None
        self._keeper: SpaceKeeper = keeper or Keeper()
        self._vectors = _QueryVectors()
        self._passages = _PassageVectors()

    @property
    def is_off(self) -> bool:
        """Whether the settings want words only."""
        return self.wanted.is_off

    def start(self) -> None:
        """Begin to load what the settings name."""
        self.wanted.start()

    def stop(self) -> None:
        self.wanted.stop()
        if self._former is not None:
            self._former[1].stop()

    def ask(self, session: Session, text: str) -> Asked | None:
        """What a query means, or None where nothing can be compared now: no encoder, no vectors yet, an error."""
        if self.is_off:
            return None
        known = vectors.active(session)
        encoder = self._encoder_of(known) if known else None
        if known is None or encoder is None:
            return None
        matrix = self._keeper.refreshed(session, known)
        if not len(matrix):
            return None
        asked = first_words(text)
        try:
            vector = self._vectors.of(encoder, asked).result()
        except CannotEncode:
            return None
        return Asked(matrix, matrix.means.query(vector, asked))

    def direction(self, session: Session, text: str) -> tuple[str, QueryVector] | None:
        """The encoder's name and a query's vector without its language; None where no encoder is ready."""
        encoder = None if self.is_off else self.wanted.get()
        known = vectors.find(session, encoder.name) if encoder is not None else None
        if encoder is None or known is None:
            return None
        asked = first_words(text)
        try:
            vector = self._vectors.of(encoder, asked).result()
        except CannotEncode:
            return None
        return encoder.name, Means.from_json(known.means).query(vector, asked)

    def agreement(self, session: Session, said: Sequence[Passage], visible: Visible) -> Agreement | None:
        """How far visible assets say what a text's passages say; None where nothing can be compared now."""
        known = None if self.is_off else vectors.active(session)
        encoder = self._encoder_of(known) if known else None
        if known is None or encoder is None:
            return None
        matrix = self._keeper.refreshed(session, known)
        if not len(matrix):
            return None
        try:
            own = self._passages.of(encoder, [passage.embedded for passage in said])
        except CannotEncode:
            return None
        return matrix.agreement(own, [passage.language for passage in said], visible)

    def foresee(self, text: str) -> None:
        """Begin to encode what `ask` will be asked in a moment, beside what is done until then."""
        encoder = None if self.is_off else self.wanted.get()
        if encoder is not None:
            self._vectors.of(encoder, first_words(text))

    def like(self, session: Session, asset_id: int, visible: Visible, limit: int, anchor: str = "") -> Nearby | None:
        """The assets most like this one or a section of it, itself among them; None where nothing can be compared now."""
        known = None if self.is_off else vectors.active(session)
        if known is None:
            return None
        matrix = self._keeper.refreshed(session, known)
        middle = matrix.middle_of(asset_id, anchor)
        if middle is None:
            return None
        near = matrix.nearest(middle, visible, limit)
        close = near.closeness >= ALIKE
        return Nearby(Near(near.asset_ids[close], near.closeness[close], near.rows[close]), matrix)

    def _encoder_of(self, known: KnownEncoder) -> Encoder | None:
        wanted = self.wanted.get()
        if wanted is not None and _is_of(wanted, known):
            return wanted
        former = self._former_loader(known.source) if known.source != self.wanted.source else None
        encoder = former.get() if former else None
        return encoder if encoder is not None and _is_of(encoder, known) else None

    def _former_loader(self, source: str) -> EncoderLoader:
        if self._former is None or self._former[0] != source:
            self._former = (source, EncoderLoader(lambda: self._load(source), source=source))
            self._former[1].start()
        return self._former[1]

    def can_answer_with(self, known: KnownEncoder) -> bool | None:
        """Whether this process has the encoder of these vectors; None while it is still being loaded."""
        if self._encoder_of(known) is not None:
            return True
        loader = self.wanted if known.source == self.wanted.source else self._former_loader(known.source)
        return None if loader.state == "loading" else False

    @property
    def state(self) -> str:
        """`off`, `loading`, `ready`, or `failed: …` with the reason."""
        return OFF if self.is_off else self.wanted.state


def _is_of(encoder: Encoder, known: KnownEncoder) -> bool:
    return (encoder.name, encoder.dimension) == (known.name, known.dimension)


def first_words(text: str) -> str:
    """As much of a text as is asked for its meaning."""
    if passages.size(text) <= LONGEST_QUERY:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if passages.size(text[:middle]) <= LONGEST_QUERY else (low, middle - 1)
    return text[:low]
