"""Nothing answers that the inventory does not know."""

from collections.abc import Iterator

import click
from flask import Flask

from kb import cli
from kb.web import needs_of
from tests.leaks.surfaces import COMMANDS, INVENTORY, Kind


def test_every_route_and_method_is_in_the_inventory_and_the_other_way_round(app: Flask) -> None:
    served = {
        (method, rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == {(surface.method, surface.endpoint) for surface in INVENTORY}


def test_every_route_needs_what_the_inventory_says(app: Flask) -> None:
    needs = needs_of(app)
    assert {surface.endpoint: needs.get(surface.endpoint) for surface in INVENTORY} == {
        surface.endpoint: surface.needs for surface in INVENTORY
    }


def test_every_surface_about_one_asset_says_how_it_is_called() -> None:
    assert [s.endpoint for s in INVENTORY if s.kind in {Kind.READS_ONE, Kind.EDITS_ONE} and s.call is None] == []


def test_every_command_is_in_the_inventory_and_the_other_way_round() -> None:
    assert set(_commands(cli.cli)) == set(COMMANDS)


def _commands(command: click.Command, name: str = "") -> Iterator[str]:
    if isinstance(command, click.Group):
        for word, part in command.commands.items():
            yield from _commands(part, f"{name} {word}".strip())
    else:
        yield name
