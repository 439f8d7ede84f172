"""How commands speak: results on standard output, messages and progress on standard error."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

REFUSED = 1
say = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


@contextmanager
def progress(text: str) -> Iterator[Callable[..., None]]:
    """A bar on standard error where there is a screen; call it with what is done and, if known, of how many."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=say, transient=True, disable=not say.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total=None: bar.update(task, completed=done, total=total)
