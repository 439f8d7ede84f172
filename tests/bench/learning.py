"""What the order's learning from use and lift can do at worst: judged sets with made-up use that knows nothing of them.

`python -m tests.bench.learning DIR…` prints nDCG@10 and MRR@10 of each judged set without and with random use (a fifth of
the texts are said to help, a fifth to hurt, all are used on 0 to 200 deals). The weights are small enough while the
difference stays small: they settle near ties and do not overturn a clearly better match.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from search import encoder, evaluate, ranking
from search.ranking import Ranked, Signals

SEED = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=None)
    asked = parser.parse_args()
    plain, model = ranking.merge, encoder.load()
    for folder in asked.folders:
        told = []
        with evaluate.bench(evaluate.read(folder, asked.limit), model, lambda _step: None) as filled:
            for merge in (plain, learned(plain)):
                ranking.merge = merge
                found = evaluate.measure(filled, evaluate.Setting.of("hybrid"))
                told.append((found["ndcg@10"], found["mrr@10"]))
        ranking.merge = plain
        before, after = told
        print(f"{folder.name:<28} ndcg@10 {before[0]:.4f} -> {after[0]:.4f}   mrr@10 {before[1]:.4f} -> {after[1]:.4f}")


def learned(plain: Callable[[Signals], Ranked]) -> Callable[[Signals], Ranked]:
    """The same order with made-up use, always the same for a text."""

    def merge(signals: Signals) -> Ranked:
        draws = [np.random.default_rng((SEED, int(one))).random(2) for one in signals.asset_ids]
        effect = np.array([1.0 if one < 0.2 else -1.0 if one < 0.4 else 0.0 for one, _ in draws])
        deals = np.array([200 * two**3 for _, two in draws])
        return plain(replace(signals, effect=effect, deals=deals))

    return merge


if __name__ == "__main__":
    main()
