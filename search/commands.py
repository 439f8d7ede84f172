"""The commands of search beside `kb search`, `kb eval` and `kb index`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from kb import access
from kb.console import print_json, say
from search import gaps, quality
from search.gaps import GapState

Installation = Callable[[], AbstractContextManager[Any]]


def gaps_command(installation: Installation) -> click.Command:
    """`kb report gaps` on the installation that the settings name."""

    @click.command(name="gaps")
    @click.option(
        "--state",
        type=click.Choice([*(state.value for state in GapState), "all"]),
        default=GapState.OPEN.value,
        show_default=True,
    )
    @click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def report_gaps(state: str, limit: int, as_json: bool) -> None:
        """Searches that led nowhere, joined by what they mean, those with the most open money first."""
        with installation() as opened:
            opened.meaning.start()
            opened.meaning.wanted.wait(60)
            while gaps.judge(opened.database, opened.finder):
                pass
            with opened.database.reading() as session:
                wanted = None if state == "all" else GapState(state)
                lines = gaps.list_gaps(session, access.operator(), wanted, limit)
        if as_json:
            print_json([gaps.as_fields(line) for line in lines])
            return
        for line in lines:
            money = ", ".join(f"{amount:,.0f} {currency}" for currency, amount in line.amounts)
            click.echo(f"{line.finding.value}\t{line.searches}\t{line.people}\t{money}\t{line.owner}\t{line.text}")
        if not lines:
            say.print("Every search has led somewhere.", markup=False)

    return report_gaps


def judged_command(installation: Installation) -> click.Command:
    """`kb export judged` on the installation that the settings name."""

    @click.command(name="judged")
    @click.argument("folder", type=click.Path(path_type=Path))
    def export_judged(folder: Path) -> None:
        """Searches and what was used after them, with the published texts, as `kb eval` reads them; audited."""
        with installation() as opened:
            count = quality.export(opened.database, access.operator(), folder)
        say.print(f"{count} questions in {folder}. Measure with: kb eval {folder}", markup=False)

    return export_judged
