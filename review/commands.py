"""`kb compliance …` and `kb review …`: findings on a text, what waits for reviewers, what is urgent or called back."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from content.kinds import Handling
from kb import access
from kb.access import Party
from kb.console import print_json, say
from review import checking, inbox, recalls, rulebook, urgent
from review.compliance import Finding
from review.rulebook import RulePage

Installation = Callable[[], AbstractContextManager[Any]]
MOST = 1_000
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


def review_group(installation: Installation) -> click.Group:
    """`kb review …` on the installation that the settings name."""

    @click.group(name="review")
    def review() -> None:
        """What waits for reviewers, what is urgent, and what is called back."""

    @review.command(name="queue")
    @click.option("--party", type=click.Choice([one.value for one in Party]), help="Of one party alone.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def queue(party: str | None, as_json: bool) -> None:
        """What waits for a verdict: urgent first, then due first."""
        with installation() as opened, opened.database.reading() as session:
            found = inbox.queue(session, access.operator(), Party(party) if party else None, limit=MOST)
        rows = [
            {
                "review": row.round_id,
                "asset": row.asset_id,
                "title": row.title,
                "party": row.party.value,
                "due_at": row.due_at.isoformat(),
                "late": row.is_late,
                "urgent": row.urgent_until is not None,
                "who": row.claimed_by or row.offered_to,
            }
            for row in found.rows
        ]
        if as_json:
            print_json(rows)
            return
        for row in rows:
            state = "urgent" if row["urgent"] else "late" if row["late"] else ""
            click.echo("\t".join(str(row[name]) for name in ("due_at", "party", "title", "who")) + f"\t{state}")
        say.print(f"{found.total} wait, {found.late} of them late", markup=False)

    @review.command(name="cases")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def cases(as_json: bool) -> None:
        """Urgent cases: open ones by the end of their 48 hours, then those that are over."""
        with installation() as opened, opened.database.reading() as session:
            found = urgent.list_cases(session, access.operator(), MOST)
        rows = [
            {
                "case": one.public_id,
                "asset": one.asset_id,
                "title": one.title,
                "grade": one.grade,
                "state": one.state,
                "due_at": one.due_at.isoformat(),
                "held": one.is_held,
                "passages": list(one.passages),
            }
            for one in found
        ]
        if as_json:
            print_json(rows)
            return
        for row in rows:
            click.echo("\t".join(str(row[name]) for name in ("due_at", "state", "grade", "title", "asset")))
        say.print(f"{sum(row['state'] == 'open' for row in rows)} of {len(rows)} cases are open", markup=False)

    @review.command(name="recalls")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def list_recalls(as_json: bool) -> None:
        """Recalls, newest first, with the answers that are missing on open deals."""
        with installation() as opened, opened.database.reading() as session:
            found = recalls.list_recalls(session, access.operator(), MOST)
        rows = [
            {
                "recall": one.public_id,
                "asset": one.asset_id,
                "title": one.title,
                "begun_at": one.begun_at.isoformat(),
                "told": one.told,
                "answered": one.answered,
                "missing": one.missing,
            }
            for one in found
        ]
        if as_json:
            print_json(rows)
            return
        for row in rows:
            click.echo("\t".join(str(row[name]) for name in ("begun_at", "told", "answered", "missing", "title")))
        say.print(f"{sum(bool(row['missing']) for row in rows)} of {len(rows)} recalls are open", markup=False)

    @review.command(name="hold")
    @click.argument("asset")
    @click.option("--reason", required=True, help="Why; it stands in the trail.")
    def hold(asset: str, reason: str) -> None:
        """Take an asset (its id, or external: and its id) from every reader at once."""
        with installation() as opened, opened.database.writing() as session:
            urgent.hold(session, access.operator(), asset, reason)
        say.print("On hold. Give it back with: kb review lift", markup=False)

    @review.command(name="lift")
    @click.argument("asset")
    @click.option("--reason", required=True, help="Why; it stands in the trail.")
    def lift(asset: str, reason: str) -> None:
        """Give a held asset back to its readers."""
        with installation() as opened, opened.database.writing() as session:
            urgent.lift(session, access.operator(), asset, reason)
        say.print("Its readers have it again.", markup=False)

    @review.command(name="recall")
    @click.argument("asset")
    @click.option("--reason", required=True, help="What is wrong with it; those who used it read this.")
    @click.option("--replacement", default="", help="Id of the asset that takes its place.")
    def recall(asset: str, reason: str, replacement: str) -> None:
        """Withdraw an asset, and ask everybody who used it within 180 days what the customer got."""
        with installation() as opened, opened.database.writing() as session:
            begun = recalls.recall(session, access.operator(), asset, reason, replacement)
            told = recalls.get(session, access.operator(), begun.public_id).told
        say.print(f"Withdrawn. {told} uses are asked about.", markup=False)

    return review
