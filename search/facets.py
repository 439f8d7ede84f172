"""Counts over a pool of assets, and the pool narrowed by what is chosen (pure, numpy)."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.engine import FacetTable, IntArray

_NO_FACET: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class Narrowed:
    """What the filters leave, in the pool's order.

    `rows` are positions in the pool before. `counts` gives for each facet how many assets carry each
    code, narrowed by the other facets' choices only; codes nobody carries are left out.
    """

    pool: IntArray
    rows: IntArray
    counts: Mapping[str, Mapping[int, int]]


def narrow(
    pool: IntArray,
    table: FacetTable,
    selected: Mapping[str, Set[int]],
    facet_of: Mapping[int, str],
) -> Narrowed:
    """Several values of one facet are OR, several facets AND; an empty choice narrows nothing.

    A code that `facet_of` does not know is never counted; choosing only unknown codes leaves nothing.
    """
    chosen = {facet: codes for facet, codes in selected.items() if codes}
    names = sorted(set(facet_of.values()) | chosen.keys())
    facets = _facet_numbers(table.codes, facet_of, names)
    fails = {
        facet: ~_carriers(len(pool), table, facets == names.index(facet), codes) for facet, codes in chosen.items()
    }
    failed = sum((fail.astype(np.int64) for fail in fails.values()), np.zeros(len(pool), np.int64))
    rows = np.flatnonzero(failed == 0)
    counts = {
        name: _counts(table, (facets == number) & (failed - fails.get(name, _never(pool)) == 0)[table.rows])
        for number, name in enumerate(names)
    }
    return Narrowed(pool[rows], rows, counts)


def _never(pool: IntArray) -> NDArray[np.bool_]:
    return np.zeros(len(pool), np.bool_)


def _facet_numbers(codes: IntArray, facet_of: Mapping[int, str], names: list[str]) -> IntArray:
    size = max(int(codes.max(initial=0)), max(facet_of, default=0)) + 1
    numbers = np.full(size, _NO_FACET, np.int64)
    for code, name in facet_of.items():
        numbers[code] = names.index(name)
    return numbers[codes]


def _carriers(size: int, table: FacetTable, within: NDArray[np.bool_], codes: Set[int]) -> NDArray[np.bool_]:
    carriers = np.zeros(size, np.bool_)
    carriers[table.rows[within & np.isin(table.codes, np.array(sorted(codes), np.int64))]] = True
    return carriers


def _counts(table: FacetTable, kept: NDArray[np.bool_]) -> dict[int, int]:
    counts = np.bincount(table.codes[kept])
    codes = np.flatnonzero(counts)
    return dict(zip(codes.tolist(), counts[codes].tolist(), strict=True))
