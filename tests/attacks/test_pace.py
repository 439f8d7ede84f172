"""A91, A64: nobody asks faster than the bound; others, and what watches over the service, go on."""

from dataclasses import replace

import pytest
from flask import Flask

from kb import config, tokens
from kb.access import SYSTEM
from kb.app import Service, create_app
from kb.errors import WrongSettings
from kb.users import User
from tests.conftest import ORIGIN, Browser
from tests.factories import Make


@pytest.fixture
def paced(service: Service) -> Flask:
    app = create_app(replace(service, settings=replace(service.settings, requests_per_minute=5)))
    app.test_client_class = Browser
    return app


def bearer(make: Make, user: User) -> dict[str, str]:
    with make.service.database.writing() as db:
        token = tokens.create(db, SYSTEM, db.get_one(User, user.id), "pace")
    return {"Authorization": f"Bearer {token}"}


def test_A91_who_asks_too_fast_waits_and_nobody_else_does(make: Make, paced: Flask) -> None:
    fast, other = bearer(make, make.user()), bearer(make, make.user())
    browser = paced.test_client()
    codes = [browser.get("/api/v1/search?q=x", headers=fast).status_code for _ in range(8)]
    assert codes == [200] * 5 + [429] * 3
    refused = browser.get("/api/v1/search?q=x", headers=fast)
    assert refused.mimetype == "application/problem+json"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert browser.get("/api/v1/search?q=x", headers=other).status_code == 200
    assert {browser.get(path).status_code for path in ("/healthz", "/readyz") for _ in range(9)} <= {200, 503}


def test_A64_tries_without_a_name_count_for_the_machine(make: Make, paced: Flask) -> None:
    browser = paced.test_client()
    codes = [
        browser.get("/api/v1/search?q=x", headers={"Authorization": f"Bearer kb_{number}"}).status_code
        for number in range(9)
    ]
    assert codes == [401] * 5 + [429] * 4
    for address in ("/sign-in", "/s/guess", "/sign-in/sso", "/nowhere"):
        assert browser.get(address).status_code == 429
    assert browser.get("/sign-in", headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 429
    there = browser.get("/sign-in", environ_overrides={"REMOTE_ADDR": "198.51.100.7"}, base_url=ORIGIN)
    assert there.status_code == 200, "another machine is not kept waiting"


def test_a_bound_below_nothing_is_refused() -> None:
    with pytest.raises(WrongSettings, match="KB_REQUESTS_PER_MINUTE"):
        config.load({"KB_REQUESTS_PER_MINUTE": "-1"})
