"""Commands about who may do what: people, programs, their tokens, and the key that signs cookies."""

import secrets
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import click

from kb import access, audit, config, people, tokens, users
from kb.console import print_json, say

Installation = Callable[[], AbstractContextManager[Any]]


def user_group(installation: Installation) -> click.Group:
    """`kb user …` on the installation that the settings name."""

    @click.group(name="user")
    def user() -> None:
        """People."""

    @user.command(name="add")
    @click.argument("email")
    @click.option(
        "--role",
        "roles",
        multiple=True,
        required=True,
        metavar="R[,R]",
        help=f"One or more of {', '.join(access.Role)}.",
    )
    @click.option(
        "--party", "parties", multiple=True, metavar="P[,P]", help=f"For reviewers: {', '.join(access.Party)}."
    )
    @click.option(
        "--clearance",
        default=access.Tier.INTERNAL.value,
        show_default=True,
        metavar="T",
        help=f"One of {', '.join(access.Tier)}.",
    )
    @click.option("--team", "teams", multiple=True, metavar="T")
    @click.option("--name", default="")
    @click.option("--language", default="", help="zh or en; empty: as the browser says.")
    @click.option(
        "--password-stdin", is_flag=True, help="Read the password from standard input; else one is made and printed."
    )
    def add_user(
        email: str,
        roles: tuple[str, ...],
        parties: tuple[str, ...],
        clearance: str,
        teams: tuple[str, ...],
        name: str,
        language: str,
        password_stdin: bool,
    ) -> None:
        """Add a person and print the password, unless it was given."""
        password = sys.stdin.readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(12)
        fields = {
            "email": email,
            "name": name,
            "role": ",".join(roles),
            "party": ",".join(parties),
            "clearance": clearance,
            "teams": ",".join(teams),
            "language": language,
        }
        with installation() as opened, opened.database.writing() as session:
            users.add(session, access.operator(), users.with_password(users.new_user(fields), password))
        if not password_stdin:
            click.echo(password)

    @user.command(name="add-program")
    @click.argument("name")
    @click.option(
        "--role", "roles", multiple=True, required=True, metavar="R[,R]", help="What it may, as a person's roles."
    )
    @click.option("--clearance", default=access.Tier.INTERNAL.value, show_default=True, metavar="T")
    @click.option("--team", "teams", multiple=True, metavar="T")
    def add_program(name: str, roles: tuple[str, ...], clearance: str, teams: tuple[str, ...]) -> None:
        """Add an account for a program and print its name alone: give it to `kb token create`."""
        fields = {"name": name, "role": ",".join(roles), "clearance": clearance}
        with installation() as opened, opened.database.writing() as session:
            public_id = people.add_service(session, access.operator(), fields, teams)
            made = people.get(session, access.operator(), public_id).line.email
        click.echo(made)

    @user.command(name="list")
    @click.option("--left", is_flag=True, help="Who may not sign in any more.")
    @click.option("--programs", is_flag=True, help="The accounts of programs.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON value on standard output.")
    def list_users(left: bool, programs: bool, as_json: bool) -> None:
        """Who may sign in, by name."""
        with installation() as opened, opened.database.reading() as session:
            found = people.list_people(
                session, access.operator(), active=not left, services=programs, limit=100_000
            ).rows
        if as_json:
            print_json(
                [
                    {
                        "email": one.email,
                        "name": one.name,
                        "roles": list(one.roles),
                        "parties": list(one.parties),
                        "clearance": one.clearance,
                        "teams": list(one.teams),
                        "manager": one.manager,
                    }
                    for one in found
                ]
            )
            return
        for one in found:
            click.echo(f"{one.email}\t{one.name}\t{','.join(one.roles)}\t{one.clearance}\t{','.join(one.teams)}")

    @user.command(name="deactivate")
    @click.argument("email")
    @click.option("--reason", default="", help="Why; it stands in the trail.")
    def deactivate_user(email: str, reason: str) -> None:
        """Nobody signs in as this person any more; sessions and tokens end at once."""
        with installation() as opened, opened.database.writing() as session:
            people.deactivate(session, access.operator(), users.get_by_email(session, email).public_id, reason)
        say.print("Signed out everywhere.", markup=False)

    @user.command(name="reactivate")
    @click.argument("email")
    def reactivate_user(email: str) -> None:
        """The person may sign in again, with the former password; tokens stay ended."""
        with installation() as opened, opened.database.writing() as session:
            people.reactivate(session, access.operator(), users.get_by_email(session, email).public_id)
        say.print("May sign in again.", markup=False)

    return user


def key_group(installation: Installation) -> click.Group:
    """`kb key …` on the installation that the settings name."""

    @click.group(name="key")
    def key() -> None:
        """The key that signs cookies, in the data folder."""

    @key.command(name="rotate")
    def rotate_key() -> None:
        """A new key, without signing anybody out; the service takes it when it is started again."""
        with installation() as opened:
            kept = config.rotate_secret(opened.settings)
            with opened.database.writing() as session:
                audit.record(session, access.operator(), "key.rotate", "installation", "key", former=kept)
        say.print("Start the service again. After 12 hours let the former key go: kb key forget", markup=False)

    @key.command(name="forget")
    def forget_keys() -> None:
        """Let no former key hold any more."""
        with installation() as opened:
            gone = config.forget_secrets(opened.settings)
            with opened.database.writing() as session:
                audit.record(session, access.operator(), "key.forget", "installation", "key", former=gone)
        say.print(f"{gone} former keys hold no longer, from the next start on.", markup=False)

    return key


def token_group(installation: Installation) -> click.Group:
    """`kb token …` on the installation that the settings name."""

    @click.group(name="token")
    def token() -> None:
        """API tokens."""

    @token.command(name="create")
    @click.argument("email")
    @click.option("--days", type=click.IntRange(1, tokens.MOST_DAYS), default=tokens.MOST_DAYS, show_default=True)
    @click.option(
        "--scope",
        "scopes",
        multiple=True,
        metavar="S",
        help=f"One or more of {', '.join(access.Permission)}; none: all that the person may.",
    )
    @click.option("--name", default="command line", show_default=True)
    def create_token(email: str, scopes: tuple[str, ...], name: str, days: int) -> None:
        """Make a token for a person or program and print it alone."""
        with installation() as opened, opened.database.writing() as session:
            created = tokens.create(
                session,
                access.operator(),
                users.get_by_email(session, email),
                name,
                [s for scope in scopes for s in scope.split(",")],
                days,
            )
        click.echo(created)

    return token
