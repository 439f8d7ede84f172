"""`kb compliance …`: findings on a text from the command line."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from content.kinds import Handling
from kb.console import print_json, say
from review import checking, rulebook
from review.compliance import Finding
from review.rulebook import RulePage

Installation = Callable[[], AbstractContextManager[Any]]
STYLES = {"block": "red", "warn": "yellow"}


def compliance_group(installation: Installation) -> click.Group:
    """`kb compliance …` on the installation that the settings name."""

    @click.group(name="compliance")
    def compliance() -> None:
        """The compliance check: a prompt to review, not legal advice."""

    @compliance.command(name="check")
    @click.argument("file", default="-", type=click.Path(path_type=Path, allow_dash=True))
    @click.option(
        "--handling",
        type=click.Choice([one.value for one in Handling]),
        required=True,
        help="What may leave: internal, spoken, named or public.",
    )
    @click.option("--language", type=click.Choice(["en", "zh"]), default="en", help="Language of basis and way out.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def check(file: Path, handling: str, language: str, as_json: bool) -> None:
        """Findings of the rules on a text (a file, or - for standard input)."""
        text = _read(file)
        with installation() as opened, opened.database.reading() as session:
            pages = {page.rule.id: page for page in rulebook.list_rules(session)}
            found = checking.check_text(session, text, Handling(handling))
        if as_json:
            print_json([_as_json(one, pages[one.rule], language) for one in found])
            return
        for one in found:
            page = pages[one.rule]
            line = text.count("\n", 0, max(one.start, 0)) + 1
            name = f"{page.title(language)} ({one.rule}, {one.severity.value})"
            say.print(f"line {line}: {name}: {one.quote}", style=STYLES.get(one.severity.value), markup=False)
            say.print(f"  {page.way_out(language)}", markup=False)
        say.print(f"{len(found)} findings, {sum(one.blocks for one in found)} of them blocking", markup=False)

    return compliance


def _read(file: Path) -> str:
    data = sys.stdin.buffer.read() if str(file) == "-" else _bytes_of(file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not UTF-8 text. Save it as UTF-8 and try again.") from None


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None


def _as_json(finding: Finding, page: RulePage, language: str) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "quote": finding.quote,
        "start": finding.start,
        "end": finding.end,
        "basis": page.basis(language),
    }
