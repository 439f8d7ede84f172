"""The matrix in memory: nearest among the visible, changes beside a view that somebody holds, places of passages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import languages
from search.languages import Means
from search.matrix import WHOLE, Matrix
from search.vectors import Held

DIMENSION = 8
ZERO = np.zeros(DIMENSION, np.float32)
NO_LANGUAGE = Means(dict.fromkeys(languages.LANGUAGES, ZERO), dict.fromkeys(languages.LANGUAGES, ZERO))


def held(*assets: int, seed: int = 0, passages: int = 2) -> Held:
    random = np.random.default_rng([seed, *assets])
    ids = np.repeat(np.array(sorted(assets), np.int64), passages)
    return Held(
        ids,
        [f"a{asset}-{number}" for asset in sorted(assets) for number in range(passages)],
        np.array([(10 * n, 10 * n + 5) for n in range(len(ids))], np.int64).reshape(-1, 2),
        ["en"] * len(ids),
        languages.normal(random.standard_normal((len(ids), DIMENSION)).astype(np.float32)),
    )


def direction(seed: int = 1) -> np.ndarray:  # type: ignore[type-arg]
    return languages.normal(np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32))


def everything(*assets: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(sorted(assets), np.int64)


def test_an_asset_is_as_close_as_its_best_passage_and_a_little_as_its_whole() -> None:
    rows = held(3, 7)
    matrix, asked = Matrix(rows, NO_LANGUAGE, 0), direction()
    near = matrix.nearest(asked, everything(3, 7), 10)
    of = dict(zip(near.asset_ids.tolist(), near.closeness.tolist(), strict=True))
    for asset in (3, 7):
        mine = rows.vectors[rows.asset_ids == asset]
        whole = languages.normal(mine.sum(axis=0)) @ asked
        assert of[asset] == pytest.approx(((mine @ asked).max() + WHOLE * whole) / (1 + WHOLE), abs=1e-5)
    assert near.closeness.tolist() == sorted(near.closeness.tolist(), reverse=True)


def test_the_best_passage_says_where_it_lies() -> None:
    rows = held(3, 7)
    matrix = Matrix(rows, NO_LANGUAGE, 0)
    near = matrix.nearest(rows.vectors[3], everything(3, 7), 1)
    assert near.asset_ids.tolist() == [7]
    assert matrix.spot(int(near.rows[0])).anchor == "a7-1"
    assert (matrix.spot(3).start, matrix.spot(3).end) == (30, 35)


def test_only_the_visible_are_found_and_the_rest_does_not_move_them() -> None:
    both, alone = Matrix(held(3, 7), NO_LANGUAGE, 0), Matrix(held(3, 7), NO_LANGUAGE, 0).with_changes([7], held(), 1)
    for asked in (direction(seed) for seed in range(5)):
        one, other = both.nearest(asked, everything(3), 10), alone.nearest(asked, everything(3, 7), 10)
        assert one.asset_ids.tolist() == other.asset_ids.tolist() == [3]
        assert one.closeness.tolist() == other.closeness.tolist()


def test_what_is_asked_for_besides_is_there_wherever_it_stands() -> None:
    matrix = Matrix(held(*range(1, 30)), NO_LANGUAGE, 0)
    every = matrix.nearest(direction(), everything(*range(1, 30)), 29).asset_ids
    last = np.sort(every[-2:])
    found = matrix.nearest(direction(), everything(*range(1, 30)), 3, also=last).asset_ids
    assert found.tolist() == [*every[:3].tolist(), *every[-2:].tolist()]


def test_an_older_view_stays_as_it_was() -> None:
    older = Matrix(held(3, 7), NO_LANGUAGE, 0)
    before = older.nearest(direction(), everything(3, 7, 9), 10)
    newer = older.with_changes([3, 9], held(3, 9, seed=5), 1).with_changes([7], held(), 2)
    after = older.nearest(direction(), everything(3, 7, 9), 10)
    assert before.asset_ids.tolist() == after.asset_ids.tolist()
    assert before.closeness.tolist() == after.closeness.tolist()
    assert sorted(newer.nearest(direction(), everything(3, 7, 9), 10).asset_ids.tolist()) == [3, 9]
    assert (len(older), len(newer), newer.stamp) == (2, 2, 2)


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, 5]), st.integers(0, 3), st.integers(0, 9)), max_size=25))
def test_after_any_changes_it_is_what_a_fresh_one_would_be(steps: list[tuple[int, int, int]]) -> None:
    matrix, rows = Matrix(held(), NO_LANGUAGE, 0), dict[int, Held]()
    for stamp, (asset, passages, seed) in enumerate(steps, start=1):
        new = held(asset, seed=seed, passages=passages) if passages else held()
        matrix = matrix.with_changes([asset], new, stamp)
        rows.pop(asset, None)
        if passages:
            rows[asset] = new
    visible = everything(1, 2, 3, 4, 5)
    found = matrix.nearest(direction(), visible, 5)
    expected = {
        asset: Matrix(one, NO_LANGUAGE, 0).nearest(direction(), visible, 1).closeness[0] for asset, one in rows.items()
    }
    assert dict(zip(found.asset_ids.tolist(), found.closeness.tolist(), strict=True)) == pytest.approx(
        expected, abs=1e-5
    )
    assert len(matrix) == len(rows)
    for asset, row in zip(found.asset_ids.tolist(), found.rows.tolist(), strict=True):
        assert matrix.spot(row).anchor in rows[asset].anchors


def test_an_empty_matrix_and_nobody_visible_find_nothing() -> None:
    assert len(Matrix(held(), NO_LANGUAGE, 0).nearest(direction(), everything(1), 5).asset_ids) == 0
    assert len(Matrix(held(1), NO_LANGUAGE, 0).nearest(direction(), everything(), 5).asset_ids) == 0


def test_the_middle_of_an_asset() -> None:
    rows = held(3, 7)
    matrix = Matrix(rows, NO_LANGUAGE, 0)
    middle = matrix.middle_of(3)
    assert middle is not None
    assert np.allclose(middle, languages.normal(rows.vectors[:2].mean(axis=0)), atol=1e-6)
    assert matrix.middle_of(4) is None
    assert matrix.with_changes([3], held(), 1).middle_of(3) is None
