"""The commands of the library beside import and export: vocabularies and the plan."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from content import access_requests, explaining, insight, planning, service, sharing, vocabulary
from content.kinds import Facet
from kb import access, users
from kb.console import print_json, say

Installation = Callable[[], AbstractContextManager[Any]]
FACETS = click.Choice([facet.value for facet in Facet])


def tag_group(installation: Installation) -> click.Group:
    """`kb tag …` on the installation that the settings name."""

    @click.group(name="tag")
    def tag() -> None:
        """Vocabularies: list, put, merge, retire, undo."""

    @tag.command(name="list")
    @click.argument("facet", type=FACETS)
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def list_tags(facet: str, as_json: bool) -> None:
        """Tags of a facet with how many assets and deals carry each."""
        with installation() as opened, opened.database.reading() as session:
            rows = vocabulary.list_rows(session, access.operator(), Facet(facet))
        if as_json:
            names = ("key", "en", "zh", "synonyms", "position", "assets", "deals", "is_retired", "merged_into")
            print_json([{name: getattr(row, name) for name in names} for row in rows])
            return
        for row in rows:
            state = f"merged into {row.merged_into}" if row.merged_into else "retired" if row.is_retired else ""
            click.echo(f"{row.key}\t{row.en}\t{row.zh}\t{row.assets}\t{row.deals}\t{state}")

    @tag.command(name="put")
    @click.argument("facet", type=FACETS)
    @click.argument("key")
    @click.option("--en", default="", help="English label.")
    @click.option("--zh", default="", help="Chinese label.")
    @click.option("--synonym", "synonyms", multiple=True, help="Another word for it; may be repeated.")
    def put_tag(facet: str, key: str, en: str, zh: str, synonyms: tuple[str, ...]) -> None:
        """Create a tag, or bring it to these labels and synonyms."""
        with installation() as opened, opened.database.writing() as session:
            made = vocabulary.save(session, access.operator(), Facet(facet), key, en, zh, synonyms)
        say.print(f"{facet}:{made} is saved.", markup=False)

    @tag.command(name="merge")
    @click.argument("facet", type=FACETS)
    @click.argument("key")
    @click.argument("into")
    @click.option("--yes", is_flag=True, help="Do it; without, only what would change is told.")
    def merge_tags(facet: str, key: str, into: str, yes: bool) -> None:
        """Merge one tag into another: every asset and deal of it gets the other."""
        _change(installation, facet, key, into, yes=yes)

    @tag.command(name="retire")
    @click.argument("facet", type=FACETS)
    @click.argument("key")
    @click.option("--yes", is_flag=True, help="Do it; without, only what would change is told.")
    def retire_tag(facet: str, key: str, yes: bool) -> None:
        """Take a tag off every asset and deal."""
        _change(installation, facet, key, None, yes=yes)

    @tag.command(name="undo")
    @click.argument("change")
    def undo_change(change: str) -> None:
        """Put back what a merge or retirement moved, within a day."""
        with installation() as opened, opened.database.writing() as session:
            vocabulary.undo(session, access.operator(), change)
        say.print("Undone.", markup=False)

    return tag


def _change(installation: Installation, facet: str, key: str, into: str | None, *, yes: bool) -> None:
    with installation() as opened:
        with opened.database.reading() as session:
            told = vocabulary.preview(session, access.operator(), Facet(facet), key, into)
        say.print(f"{told.assets} assets and {told.deals} deals carry {key}.", markup=False)
        if not yes:
            say.print("Nothing was changed: say --yes to do it.", markup=False)
            return
        with opened.database.writing() as session:
            actor = access.operator()
            done = (
                vocabulary.merge(session, actor, Facet(facet), key, into)
                if into
                else vocabulary.retire(session, actor, Facet(facet), key)
            )
            change = done.public_id
    say.print(f"Done. Undo within a day: kb tag undo {change}", markup=False)


def explain_command(installation: Installation) -> click.Command:
    """`kb explain` on the installation that the settings name."""

    @click.command(name="explain")
    @click.argument("email")
    @click.argument("asset")
    @click.option("--deal", default="", help="Id of the deal, ours or the CRM's.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def explain(email: str, asset: str, deal: str, as_json: bool) -> None:
        """Why a person sees an asset (its id, or external: and its id) on a deal, or does not."""
        with installation() as opened, opened.database.reading() as session:
            found = explaining.explain(session, access.operator(), email, asset, deal)
        if as_json:
            print_json(
                {
                    "visible": found.is_visible,
                    "teased": found.is_teased,
                    "needed": {one.name: one.holds for one in found.needed},
                    "any_of": {one.name: one.holds for one in found.any_of},
                    "may": sorted(act.value for act in found.acts),
                }
            )
            return
        answer = "visible" if found.is_visible else "its title alone" if found.is_teased else "not visible"
        click.echo(f"{found.title}: {answer} for {found.person}")
        for heading, parts in (("all of", found.needed), ("one of", found.any_of)):
            for one in parts:
                click.echo(f"{heading}\t{'holds' if one.holds else 'does not hold'}\t{one.words}")

    return explain


def grant_group(installation: Installation) -> click.Group:
    """`kb grant …` on the installation that the settings name."""

    @click.group(name="grant")
    def grant() -> None:
        """Leave to read what a later stage unlocks: list, give, revoke."""

    @grant.command(name="list")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def list_grants(as_json: bool) -> None:
        """Grants in force, by their end."""
        with installation() as opened, opened.database.reading() as session:
            found = access_requests.list_grants(session, access.operator())
        rows = [
            {
                "grant": one.public_id,
                "asset": one.asset_id,
                "title": one.title,
                "to": one.granted_to,
                "until": one.until.isoformat(),
                "reason": one.reason,
            }
            for one in found
        ]
        if as_json:
            print_json(rows)
            return
        for row in rows:
            click.echo("\t".join(str(row[name]) for name in ("grant", "until", "to", "title", "reason")))

    @grant.command(name="give")
    @click.argument("email")
    @click.argument("asset")
    @click.option("--days", type=int, default=access_requests.DAYS, show_default=True, help="1 to 366.")
    @click.option("--reason", required=True, help="Why; it stands in the trail.")
    def give(email: str, asset: str, days: int, reason: str) -> None:
        """Let a person read an asset (its id, or external: and its id) whatever the deal's stage; it opens no tier."""
        with installation() as opened, opened.database.writing() as session:
            person = users.get_by_email(session, users.normal_email(email))
            row = service.get_editable(session, access.operator(), asset)
            until = access_requests.in_days(days)
            made = access_requests.give(session, access.operator(), row, person.id, reason.strip(), until)
            until = made.until
        say.print(f"Until {until:%Y-%m-%d}.", markup=False)

    @grant.command(name="revoke")
    @click.argument("grant_id", metavar="GRANT")
    def revoke(grant_id: str) -> None:
        """End a grant at once."""
        with installation() as opened, opened.database.writing() as session:
            access_requests.revoke(session, access.operator(), grant_id)
        say.print("It holds no longer.", markup=False)

    return grant


def export_plan(installation: Installation) -> click.Command:
    """`kb export plan` on the installation that the settings name."""

    @click.command(name="plan")
    @click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
    @click.option("--quarter", required=True, help="Such as 2027Q1.")
    @click.option("--as", "email", metavar="EMAIL", help="Only what this person may edit.")
    def plan(file: Path, quarter: str, email: str | None) -> None:
        """Write a quarter of the content calendar as CSV; cells like formulas begin with an apostrophe."""
        first, last = planning.quarter(quarter)
        with installation() as opened:
            with opened.database.reading() as session:
                actor = access.operator()
                if email:
                    actor = users.actor_of(users.get_by_email(session, users.normal_email(email)))
                items = planning.list_items(session, actor, opened.settings.zone, first, last)
            base_url = opened.settings.base_url
        file.write_bytes(planning.to_csv(items, planning.KIND_NAMES, base_url))
        say.print(f"{len(items)} items of {quarter} are in {file}.", markup=False)

    return plan


def share_group(installation: Installation) -> click.Group:
    """`kb share …` on the installation that the settings name."""

    @click.group(name="share")
    def share() -> None:
        """Links for customers: list them, end them."""

    @share.command(name="list")
    @click.option("--deal", default="", help="Only those sent on this deal, by the CRM's id.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def list_links(deal: str, as_json: bool) -> None:
        """Links by the newest: to whom, by whom, whether they open, how often they did."""
        with installation() as opened, opened.database.reading() as session:
            lines = [one for one in sharing.list_all(session, access.operator()) if deal in ("", one.deal)]
        rows = [
            {
                "id": one.public_id,
                "state": one.state.value,
                "kind": one.kind.value,
                "asset": one.asset_id,
                "title": one.title,
                "sender": one.sender,
                "deal": one.deal,
                "contact": one.contact.email if one.contact else "",
                "until": one.expires_at.isoformat(),
                "views": one.views,
                "downloads": one.downloads,
            }
            for one in lines
        ]
        if as_json:
            print_json(rows)
            return
        for row in rows:
            shown = ("id", "state", "until", "views", "downloads", "sender", "deal", "contact", "title")
            click.echo("\t".join(str(row[name]) for name in shown))
        if not rows:
            say.print("No link was sent.", markup=False)

    @share.command(name="revoke")
    @click.argument("link")
    def revoke_link(link: str) -> None:
        """End a link at once."""
        with installation() as opened, opened.database.writing() as session:
            sharing.revoke(session, access.operator(), link)
        say.print("The link opens nothing any more.", markup=False)

    return share


def report_group(installation: Installation) -> click.Group:
    """`kb report …` on the installation that the settings name."""

    @click.group(name="report")
    def report() -> None:
        """Figures of use and outcome."""

    @report.command(name="lift")
    @click.option("--asset", default="", metavar="ID", help="Only this text, by its id or the other system's.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def lift(asset: str, as_json: bool) -> None:
        """Whether deals that used a text are won more often than like deals that did not."""
        with installation() as opened, opened.database.reading() as session:
            lines = insight.lift(session, access.operator(), asset)
        if as_json:
            print_json([insight.as_fields(line) for line in lines])
            return
        for line in lines:
            told = "" if line.lift is None else f"{line.lift:+.1%}"
            if line.lift_interval is not None:
                told += f" ({line.lift_interval.low:+.1%} to {line.lift_interval.high:+.1%})"
            rate = "" if line.win_rate is None else f"{line.win_rate:.0%}"
            click.echo(f"{line.verdict}\t{told}\t{rate}\t{line.exposed}\t{line.unexposed}\t{line.title}")
        if not lines:
            say.print("No deal has used a text yet.", markup=False)

    @report.command(name="usage")
    @click.option("--asset", default="", metavar="ID", help="Only this text, by its id or the other system's.")
    @click.option("--days", type=click.IntRange(0, 3_660), default=0, help="Back from now; 0: all time.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def usage(asset: str, days: int, as_json: bool) -> None:
        """How much each text is used, by how many people, on how many deals."""
        with installation() as opened, opened.database.reading() as session:
            lines = insight.usage(session, access.operator(), asset, days)
        if as_json:
            print_json([insight.usage_fields(line) for line in lines])
            return
        for line in lines:
            rate = "" if line.win_rate is None else f"{line.win_rate:.0%} of {line.closed} won"
            click.echo(f"{line.uses}\t{line.views}\t{line.people}\t{line.deals}\t{rate}\t{line.title}")
        if not lines:
            say.print("Nothing was used yet.", markup=False)

    return report
