"""How well searches are answered on judged sets: before and after, each mode, each pair of languages, with intervals.

`python -m tests.bench.ranking ../shared/corpus/xquad ../shared/corpus/streampark-stories`. "Before" is the hybrid order
in which no asset leads the question on. Every set is told whole, and by the half of its questions that nothing was chosen
by (drawn by the judged document, so that no document is on both sides).
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from search import encoder, evaluate
from search.evaluate import Collection, Setting

SETTINGS = ("lexical", "semantic", "hybrid:1:0", "hybrid")
FIGURES = ("ndcg@10", "recall@10", "recall@100")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    model = encoder.load()
    rows = [row for folder in asked.folders for row in measured(folder, model)]
    if asked.json:
        print(json.dumps(rows))
    else:
        Console(width=160).print(table(rows))


def measured(folder: Path, model: encoder.Encoder | None) -> list[dict[str, Any]]:
    """One row a half, setting and pair of languages; `all` has both languages in one library."""
    whole = evaluate.read(folder)
    found = []
    with evaluate.bench(whole, model) as filled:
        for part, questions in (("whole", whole.questions), ("held back", held_back(whole))):
            filled.collection = Collection(whole.documents, questions, whole.grades)
            for setting in SETTINGS if questions else ():
                told = evaluate.measure(filled, Setting.of(setting))
                for pair, row in {"all": told, **told["by_pair"]}.items():
                    low, high = row["ndcg@10_interval"]
                    kept = {name: row[name] for name in FIGURES}
                    found.append(
                        {
                            "set": folder.name,
                            "part": part,
                            "pair": pair,
                            "setting": setting,
                            "queries": row["queries"],
                            **kept,
                            "low": low,
                            "high": high,
                        }
                    )
    return found


def held_back(collection: Collection) -> tuple[evaluate.Question, ...]:
    """The half of the questions whose document nothing was chosen by."""

    def is_held_back(question: evaluate.Question) -> bool:
        first = min(collection.grades[question.id])
        return int(hashlib.md5(first.encode()).hexdigest(), 16) % 2 == 1

    return tuple(question for question in collection.questions if is_held_back(question))


def table(rows: Sequence[dict[str, Any]]) -> Table:
    found = Table(box=None)
    for name in ("set", "part", "pair", "setting", "queries", *FIGURES, "95 % of ndcg@10"):
        found.add_column(name, justify="left" if name in ("set", "part", "pair", "setting") else "right")
    for row in sorted(rows, key=lambda one: (one["set"], one["part"] != "whole", one["pair"])):
        figures = [f"{row[name]:.3f}" for name in FIGURES]
        found.add_row(
            row["set"],
            row["part"],
            row["pair"],
            row["setting"],
            str(row["queries"]),
            *figures,
            f"{row['low']:.3f}–{row['high']:.3f}",
        )
    return found


if __name__ == "__main__":
    main()
