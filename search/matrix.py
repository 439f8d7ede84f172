"""The vectors of all passages in memory, without what they say of their language only, and the nearest of them.

A view is never changed: a newer one shares the memory of the older one and has rows of its own behind it.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from search import languages, vectors
from search.engine import FloatArray, IntArray, Visible, ids_alone
from search.languages import Means
from search.vectors import Held, KnownEncoder

ROOM: Final = 1.25
MOST_DEAD: Final = 0.5
WHOLE: Final = 0.3
"""How much all of an asset counts beside its best passage: neutral on single paragraphs, and on stories asked for in the
other language nDCG@10 rises from 0.80 to 0.88."""
FEW: Final = 10
"""As many assets of a language as this count as much as all languages together do."""
TINY: Final = 1e-6

Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where in an asset a passage lies: its section and the characters of the section's plain text."""

    anchor: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Assets by their best passage, nearest first: parallel arrays; `rows` are the passages."""

    asset_ids: IntArray
    closeness: FloatArray
    rows: IntArray

    def __len__(self) -> int:
        return len(self.asset_ids)

    @classmethod
    def none(cls) -> "Near":
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How far assets and one text say the same: parallel arrays in no order; which are in the text's language."""

    asset_ids: IntArray
    closeness: FloatArray
    same_language: BoolArray

    @classmethod
    def none(cls) -> "Agreement":
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.bool_))


class Matrix:
    """The passages as of one stamp; shape of the vectors is (n, dimension), rows of length one, an asset's rows together."""

    def __init__(self, held: Held, means: Means, stamp: int) -> None:
        self.stamp = stamp
        self.means = means
        self._room = np.zeros((0, held.vectors.shape[1]), np.float32)
        self._groups = _Groups.none()
        self._append(held)

    def __len__(self) -> int:
        """How many assets have passages here."""
        return int(self._groups.live.sum())

    def with_changes(self, changed: Sequence[int], held: Held, stamp: int) -> "Matrix":
        """The same with these assets' rows in place of their former ones."""
        newer = object.__new__(Matrix)
        newer.stamp, newer.means, newer._room = stamp, self.means, self._room
        newer._groups = self._groups.without(np.array(changed, np.int64))
        if newer._groups.live.sum() < MOST_DEAD * len(newer._groups.live):
            newer._compact()
        newer._append(held)
        return newer

    def _append(self, held: Held) -> None:
        start = self._groups.rows
        end = start + len(held.asset_ids)
        if end > len(self._room):
            room = np.zeros((int(end * ROOM) + 64, self._room.shape[1]), np.float32)
            room[:start] = self._room[:start]
            self._room = room
        added = without_language(held, self.means)
        self._room[start:end] = added
        self._groups = self._groups.and_then(held, added)

    def _compact(self) -> None:
        rows, self._groups = self._groups.living()
        self._room = self._room[rows]

    def spot(self, row: int) -> Spot:
        begins, ends = self._groups.spans[row]
        return Spot(self._groups.anchors[row], int(begins), int(ends))

    def nearest(self, vector: Float32Array, visible: Visible, limit: int, also: IntArray | None = None) -> Near:
        """The `limit` visible assets nearest to a vector of length one, and those of `also` wherever they stand.

        An asset is as close as its best passage, and in a smaller part as all of it: of two that have one
        good paragraph each, the one that is about the matter as a whole comes first. The visible assets of
        each language are measured by their own mean and spread, since a query is closer to its own language.
        """
        groups, visible = self._groups, ids_alone(visible)
        if not groups.rows or not len(visible):
            return Near.none()
        of_rows = self._room[: groups.rows] @ vector
        best = np.maximum.reduceat(of_rows, groups.starts)
        whole = np.add.reduceat(of_rows, groups.starts) * groups.share
        closeness = self.closeness_of(best, whole)
        allowed = self._allowed(visible)
        closeness[allowed] = Fairness.of(closeness[allowed], groups.languages[allowed]).applied(
            closeness[allowed], groups.languages[allowed]
        )
        order = allowed[np.lexsort((groups.assets[allowed], -closeness[allowed]))]
        wanted = np.arange(len(order)) < limit
        if also is not None and len(also):
            wanted |= np.isin(groups.assets[order], also)
        chosen = order[wanted]
        return Near(groups.assets[chosen], closeness[chosen], groups.best_rows(of_rows, best)[chosen])

    @staticmethod
    def closeness_of(best: NDArray[Any], whole: NDArray[Any]) -> FloatArray:
        """An asset's closeness by its best passage and by all of it."""
        return ((best + WHOLE * whole) / (1 + WHOLE)).astype(np.float64)

    def _allowed(self, visible: IntArray) -> IntArray:
        """The groups of visible assets that still stand here."""
        groups = self._groups
        largest = int(max(groups.assets.max(), visible.max()))
        return np.flatnonzero(_mask(visible, largest)[groups.assets] & groups.live)

    def asset_ids(self) -> IntArray:
        """Whose passages are here, in no order."""
        return self._groups.assets[self._groups.live]

    def fairness(self, vector: Float32Array, visible: IntArray) -> "Fairness":
        """How near the visible assets of each language are to a vector on the whole."""
        groups = self._groups
        if not groups.rows or not len(visible):
            return Fairness({}, 0.0, 1.0)
        of_rows = self._room[: groups.rows] @ vector
        whole = np.add.reduceat(of_rows, groups.starts) * groups.share
        allowed = self._allowed(visible)
        closeness = self.closeness_of(np.maximum.reduceat(of_rows, groups.starts), whole)[allowed]
        return Fairness.of(closeness, groups.languages[allowed])

    def agreement(self, passages: Float32Array, declared: Sequence[str], visible: Visible) -> Agreement:
        """How far each visible asset says what these passages say, and they what it says: a text and its double.

        `passages` are an encoder's vectors of one text, one row each, in the languages of `declared`. An asset's
        closeness is the mean over both sides of how near each passage's best counterpart on the other side is.
        """
        groups, visible = self._groups, ids_alone(visible)
        if not groups.rows or not len(visible) or not len(passages):
            return Agreement.none()
        own = languages.normal(passages - self.means.passage_means()[number_of(declared)])
        near = self._room[: groups.rows] @ own.T
        forth = np.maximum.reduceat(near, groups.starts, axis=0).mean(axis=1)
        sizes = np.diff(groups.starts, append=groups.rows)
        back = np.add.reduceat(near.max(axis=1), groups.starts) / sizes
        allowed = self._allowed(visible)
        most = np.bincount(number_of(declared)).argmax()
        closeness = ((forth + back) / 2)[allowed].astype(np.float64)
        return Agreement(groups.assets[allowed], closeness, groups.languages[allowed] == most)

    def middle_of(self, asset_id: int, anchor: str = "") -> Float32Array | None:
        """What an asset is about, or one section of it: the mean of its passages, of length one; None where it has none."""
        part = self._slice(asset_id)
        if part is None:
            return None
        groups = self._groups
        rows = [row for row in range(part.start, part.stop) if not anchor or groups.anchors[row] == anchor]
        return languages.normal(self._room[rows].mean(axis=0)) if rows else None

    def best_of(self, asset_id: int, vector: Float32Array) -> Float32Array | None:
        """The passage of an asset that is nearest to a vector; None where it has none."""
        part = self._slice(asset_id)
        return None if part is None else self._room[part][int((self._room[part] @ vector).argmax())]

    def _slice(self, asset_id: int) -> slice | None:
        found = np.flatnonzero((self._groups.assets == asset_id) & self._groups.live)
        return self._groups.slice_of(int(found[0])) if len(found) else None


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Whose rows are whose: one group of rows an asset, as parallel arrays; `share` is one over the length of the rows' sum."""

    starts: IntArray
    assets: IntArray
    live: BoolArray
    share: Float32Array
    languages: IntArray
    anchors: list[str]
    spans: IntArray

    @classmethod
    def none(cls) -> "_Groups":
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, np.zeros(0, np.bool_), np.zeros(0, np.float32), nothing, [], nothing.reshape(0, 2))

    @property
    def rows(self) -> int:
        return len(self.anchors)

    def slice_of(self, group: int) -> slice:
        end = self.starts[group + 1] if group + 1 < len(self.starts) else self.rows
        return slice(int(self.starts[group]), int(end))

    def best_rows(self, of_rows: Float32Array, best: Float32Array) -> IntArray:
        """The first row of each group that is as close as its best."""
        sizes = np.diff(self.starts, append=self.rows)
        reach = np.flatnonzero(of_rows == np.repeat(best, sizes))[::-1]
        found = np.zeros(len(self.starts), np.int64)
        found[np.searchsorted(self.starts, reach, side="right") - 1] = reach
        return found

    def without(self, asset_ids: IntArray) -> "_Groups":
        return replace(self, live=self.live & ~np.isin(self.assets, asset_ids))

    def and_then(self, held: Held, vectors: Float32Array) -> "_Groups":
        if not len(held.asset_ids):
            return self
        starts = np.flatnonzero(np.diff(held.asset_ids, prepend=-1))
        return _Groups(
            np.concatenate((self.starts, starts + self.rows)),
            np.concatenate((self.assets, held.asset_ids[starts])),
            np.concatenate((self.live, np.ones(len(starts), np.bool_))),
            np.concatenate((self.share, together(vectors, starts))),
            np.concatenate((self.languages, number_of(held.languages)[starts])),
            [*self.anchors, *held.anchors],
            np.concatenate((self.spans, held.spans)),
        )

    def living(self) -> tuple[IntArray, "_Groups"]:
        """The rows to keep, and the groups as they stand afterwards."""
        kept = np.flatnonzero(self.live)
        slices = [self.slice_of(int(group)) for group in kept]
        rows = np.concatenate([np.zeros(0, np.int64), *(np.arange(part.start, part.stop) for part in slices)])
        sizes = np.array([part.stop - part.start for part in slices], np.int64)
        return rows, _Groups(
            np.cumsum(sizes) - sizes,
            self.assets[kept],
            self.live[kept],
            self.share[kept],
            self.languages[kept],
            [self.anchors[row] for row in rows],
            self.spans[rows],
        )


def _mask(ids: IntArray, largest: int) -> BoolArray:
    mask = np.zeros(largest + 1, np.bool_)
    mask[ids] = True
    return mask


@dataclass(frozen=True, slots=True)
class Fairness:
    """Mean and spread of each language's closeness, and of all: by them languages are brought to one measure."""

    languages: Mapping[int, tuple[float, float]]
    mean: float
    spread: float

    @classmethod
    def of(cls, closeness: FloatArray, of_language: IntArray) -> "Fairness":
        """Few assets of a language move little; a single language is measured as it is."""
        present = np.unique(of_language)
        if len(present) < 2:
            return cls({}, 0.0, 1.0)
        groups = [of_language == language for language in present]
        surely = np.array([group.sum() / (group.sum() + FEW) for group in groups])
        means = surely * [closeness[group].mean() for group in groups] + (1 - surely) * closeness.mean()
        spreads = surely * [closeness[group].std() for group in groups] + (1 - surely) * closeness.std()
        each = {
            int(language): (float(mean), float(spread))
            for language, mean, spread in zip(present, means, spreads, strict=True)
        }
        return cls(each, float(means.mean()), float(spreads.mean()))

    def applied(self, closeness: FloatArray, of_language: IntArray) -> FloatArray:
        """The same closeness by one measure for all languages; what was never met stays as it is."""
        fair = closeness.copy()
        for language, (mean, spread) in self.languages.items():
            group = of_language == language
            fair[group] = (closeness[group] - mean) / max(spread, TINY) * self.spread + self.mean
        return fair


def number_of(of_language: Sequence[str]) -> IntArray:
    """Each language as its place in `languages.LANGUAGES`."""
    number = {language: place for place, language in enumerate(languages.LANGUAGES)}
    return np.array([number.get(language, number[languages.OTHER]) for language in of_language], np.int64)


def together(vectors: Float32Array, starts: IntArray) -> Float32Array:
    """One over the length of the sum of each group of rows: by it a sum of products becomes a cosine."""
    lengths = np.linalg.norm(np.add.reduceat(vectors, starts, axis=0), axis=1)
    share: Float32Array = (1 / np.maximum(lengths, TINY)).astype(np.float32)
    return share


def without_language(held: Held, means: Means) -> Float32Array:
    if not len(held.asset_ids):
        return held.vectors
    return languages.normal(held.vectors - means.passage_means()[number_of(held.languages)])


class Keeper:
    """One process's matrix, brought up to the database's stamp whenever somebody asks for it."""

    def __init__(self) -> None:
        self._held: tuple[tuple[int, int], Matrix] | None = None
        self._refreshing = threading.Lock()

    def refreshed(self, session: Session, encoder: KnownEncoder) -> Matrix:
        key = (encoder.id, encoder.dimension)
        held = self._held
        if held is not None and held[0] == key and held[1].stamp >= encoder.stamp:
            return held[1]
        with self._refreshing:
            held = self._held
            if held is None or held[0] != key:
                matrix = Matrix(vectors.load(session, encoder), Means.from_json(encoder.means), encoder.stamp)
            elif held[1].stamp < encoder.stamp:
                changed = vectors.changed_since(session, encoder.id, held[1].stamp)
                matrix = held[1].with_changes(changed, vectors.load(session, encoder, changed), encoder.stamp)
            else:
                return held[1]
            self._held = (key, matrix)
            return matrix
