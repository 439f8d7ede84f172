"""Every way in states what it needs."""

import pytest
from flask import Flask

from kb import web
from kb.access import Permission
from kb.web import PUBLIC, Area, needs_of
from tests.conftest import ORIGIN, SignIn
from tests.factories import Make

WITHOUT_NEEDS = {"static", "bootstrap.static"}
FOR_ANYBODY = {
    "login.code_page",
    "login.page",
    "login.sign_in_with_code",
    "login.sign_in",
    "health.alive",
    "health.ready",
    "planning.feed",
    "sign_on.begin",
    "sign_on.back",
    "shared.page",
    "shared.enter",
    "shared.picture",
    "shared.file",
}  # the calendar and what is shared by a secret address


def endpoints(app: Flask) -> set[str]:
    return {rule.endpoint for rule in app.url_map.iter_rules()}


def test_every_endpoint_states_its_needs_but_the_files_of_the_pages(app: Flask) -> None:
    assert endpoints(app) - set(needs_of(app)) == WITHOUT_NEEDS
    assert web.OPEN_ENDPOINTS == WITHOUT_NEEDS


def test_needs_are_a_permission_or_public_and_name_no_route_that_is_gone(app: Flask) -> None:
    table = needs_of(app)
    assert set(table) <= endpoints(app)
    assert {name for name, needs in table.items() if not isinstance(needs, Permission)} == FOR_ANYBODY
    assert all(table[name] is PUBLIC for name in FOR_ANYBODY)


def test_a_route_without_needs_is_refused_where_it_is_written() -> None:
    area = Area("forgotten", __name__)
    with pytest.raises(TypeError, match="needs"):

        @area.get("/forgotten")
        def page() -> str:
            return ""

    with pytest.raises(TypeError, match="needs"):
        area.add_url_rule("/forgotten", "page", lambda: "")


def test_one_endpoint_with_two_needs_does_not_start() -> None:
    area = Area("twice", __name__)
    area.add_url_rule("/one", "page", _nothing, needs=PUBLIC)
    area.add_url_rule("/two", "page", _nothing, needs=Permission.ADMINISTER)
    with pytest.raises(RuntimeError, match=r"twice\.page"):
        Flask("two").register_blueprint(area)


def _nothing() -> str:
    return ""


def test_an_endpoint_that_slipped_past_the_areas_is_not_there_for_anybody(
    app: Flask, sign_in: SignIn, make: Make
) -> None:
    app.add_url_rule("/slipped", "slipped", _nothing)
    assert app.test_client().get("/slipped", base_url=ORIGIN).status_code == 404
    assert sign_in(make.user()).get("/slipped").status_code == 404


def test_all_areas_of_the_product_are_areas_and_not_plain_blueprints(app: Flask) -> None:
    plain = {name for name, blueprint in app.blueprints.items() if not isinstance(blueprint, Area)}
    assert plain == {"bootstrap"}


def test_no_route_takes_a_write_by_get(app: Flask) -> None:
    """Whoever reads by GET does so at an address that takes GET alone, or the write has its own."""
    both = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
    }
    assert both == set()


def test_addresses_carry_public_ids_and_never_numbers(app: Flask) -> None:
    converters = {
        type(converter).__name__
        for rule in app.url_map.iter_rules()
        if rule.endpoint not in WITHOUT_NEEDS
        for converter in rule._converters.values()
    }
    assert converters <= {"UnicodeConverter"}
