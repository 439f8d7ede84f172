"""Links for customers, attacked: by who may not send, by guessing, after the right to send is gone, by forged hosts."""

import re

import pytest
from flask import Flask

from content.kinds import Handling
from kb import clock
from kb.access import Role, Tier
from kb.users import User
from tests.conftest import ORIGIN, Browser, SignIn
from tests.factories import Make
from tests.leaks.world import NEVER, found_in


def link_to(browser: Browser, reference: str, **body: object) -> tuple[str, str]:
    """Id and path of a new open link."""
    made = browser.post(f"/api/v1/assets/{reference}/shares", json={"kind": "open"} | body)
    assert made.status_code == 201, made.text
    assert made.json is not None
    return made.json["id"], made.json["address"].removeprefix(ORIGIN)


def anybody(app: Flask) -> Browser:
    app.test_client_class = Browser
    browser = app.test_client()
    assert isinstance(browser, Browser)
    return browser


def test_A22_no_link_is_made_to_what_its_maker_may_not_see(make: Make, sign_in: SignIn) -> None:
    make.stages()
    rep, other = make.user(), make.user()
    deal, foreign = make.deal(rep, "discovery"), make.deal(other, "after_sale", account="zqCustomer")
    hidden = [
        make.asset("zqTier", tier=Tier.RESTRICTED, handling=Handling.PUBLIC),
        make.asset("zqDraft", publish=False, handling=Handling.PUBLIC),
        make.asset("zqLocked", unlock="negotiation", teaser=False, handling=Handling.PUBLIC),
    ]
    browser = sign_in(rep)
    for body in ({"kind": "open"}, {"kind": "named", "deal": deal.external_id, "contact": "x" * 16}):
        never = browser.post(f"/api/v1/assets/{NEVER}/shares", json=body)
        assert never.status_code == 404
        for asset in hidden:
            got = browser.post(f"/api/v1/assets/{asset.public_id}/shares", json=body)
            assert (got.status_code, got.json["code"]) == (404, never.json["code"])  # type: ignore[index]
            assert browser.get(f"/assets/{asset.public_id}/share?deal=").status_code == 404
    through = browser.post(
        f"/api/v1/assets/{hidden[2].public_id}/shares", json={"kind": "open", "deal": foreign.external_id}
    )
    assert through.status_code == 404
    assert found_in(through.text, ["zqCustomer", "zqLocked"]) == []


def test_A22_a_link_dies_with_the_text_the_tier_its_maker_or_by_hand(make: Make, sign_in: SignIn, app: Flask) -> None:
    rep = make.user()
    visitor = anybody(app)

    def fresh(person: User = rep) -> tuple[object, str, str]:
        asset = make.asset("Lighthouse", handling=Handling.PUBLIC)
        public_id, path = link_to(sign_in(person), asset.public_id)
        assert visitor.get(path).status_code == 200
        return asset, public_id, path

    asset, _, path = fresh()
    make.withdraw(asset)  # type: ignore[arg-type]
    assert visitor.get(path).status_code == 404
    asset, _, path = fresh()
    make.set_asset(asset, tier=Tier.CONFIDENTIAL.value)  # type: ignore[arg-type]
    assert visitor.get(path).status_code == 404
    asset, public_id, path = fresh()
    assert sign_in(rep).post(f"/shares/{public_id}/revoke").status_code == 302
    assert visitor.get(path).status_code == 404
    asset, _, path = fresh()
    make.set_asset(asset, expires_at=clock.now())  # type: ignore[arg-type]
    assert visitor.get(path).status_code == 404
    leaver = make.user()
    _, _, path = fresh(leaver)
    with make.service.database.writing() as db:
        db.get_one(User, leaver.id).deactivated_at = clock.now()
    dead = visitor.get(path)
    assert dead.status_code == 404
    assert "Lighthouse" not in dead.text


def test_A22_tokens_are_not_guessed_and_every_dead_link_reads_alike(make: Make, sign_in: SignIn, app: Flask) -> None:
    rep = make.user()
    asset = make.asset("Lighthouse", handling=Handling.PUBLIC)
    browser = sign_in(rep)
    public_id, path = link_to(browser, asset.public_id)
    token = path.removeprefix("/s/")
    assert len(token) * 6 >= 256
    assert token not in browser.get("/api/v1/shares").text
    visitor = anybody(app)
    browser.post(f"/shares/{public_id}/revoke")
    ended = visitor.get(path)
    for guess in (public_id, "a" * 43, token[:-2] + "xx", token.lower(), "%00", "x" * 3_000):
        got = visitor.get(f"/s/{guess}")
        assert got.status_code == 404
        assert got.data == ended.data or guess in ("%00",)
    assert visitor.get("/s/").status_code == 404, "no list of links"


def test_A22_a_link_shows_its_own_version_and_nothing_beside(make: Make, sign_in: SignIn, app: Flask) -> None:
    rep = make.user()
    asset = make.asset("Lighthouse", "Old words zqOld", handling=Handling.PUBLIC)
    make.new_version(asset, "New words zqNew")
    other = make.asset("zqOther", handling=Handling.PUBLIC)
    _, path = link_to(sign_in(rep), asset.public_id)
    visitor = anybody(app)
    page = visitor.get(path)
    assert "zqNew" in page.text
    assert found_in(page.text, ["zqOld", "zqOther", other.public_id, asset.public_id, rep.email]) == []
    assert visitor.get(f"{path}/files/{other.public_id}").status_code == 404
    assert visitor.get(f"{path}/pictures/{'0' * 64}/x.png").status_code == 404
    for method in ("PUT", "DELETE", "PATCH"):
        assert visitor.open(path, method=method).status_code in {400, 405}


def test_A22_a_link_of_somebody_else_is_not_there(make: Make, sign_in: SignIn) -> None:
    rep, other = make.user(), make.user()
    asset = make.asset("Lighthouse", handling=Handling.PUBLIC)
    public_id, _ = link_to(sign_in(rep), asset.public_id)
    stranger = sign_in(other)
    assert stranger.get(f"/api/v1/shares/{public_id}").status_code == 404
    for act, body in (("revoke", {}), ("extend", {"days": 3}), ("move-on", {})):
        assert stranger.post(f"/api/v1/shares/{public_id}/{act}", json=body).status_code == 404
        assert stranger.post(f"/shares/{public_id}/{act}", data={"days": "3"}).status_code == 404
    assert stranger.get("/api/v1/shares").json == {"items": []}


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-Host", "Forwarded"])
def test_A57_a_forged_host_never_gets_into_a_link(make: Make, sign_in: SignIn, name: str) -> None:
    asset = make.asset("Lighthouse", handling=Handling.PUBLIC)
    value = "host=evil.example" if name == "Forwarded" else "evil.example"
    made = sign_in(make.user()).post(
        f"/api/v1/assets/{asset.public_id}/shares", json={"kind": "open"}, headers={name: value}
    )
    assert made.status_code in {201, 400}
    assert "evil.example" not in made.text


def test_A48_a_deactivated_person_leaves_no_open_link_behind(make: Make, sign_in: SignIn, app: Flask) -> None:
    rep, admin = make.user(), make.user(Role.ADMIN)
    asset = make.asset("Lighthouse", handling=Handling.PUBLIC)
    _, path = link_to(sign_in(rep), asset.public_id)
    gone = sign_in(admin).post(f"/people/{rep.public_id}/deactivate")
    assert gone.status_code == 302
    assert anybody(app).get(path).status_code == 404


def test_A71_a_shared_page_runs_nothing_and_asks_nothing_of_others(make: Make, sign_in: SignIn, app: Flask) -> None:
    text = '<script>alert(1)</script><img src=x onerror=alert(2)>\n\n[go](javascript:alert(3)) <a href="//evil.example">x</a>'
    asset = make.asset('"><script>alert(4)</script>', text, handling=Handling.PUBLIC)
    _, path = link_to(sign_in(make.user()), asset.public_id)
    page = anybody(app).get(path)
    assert page.status_code == 200
    assert re.search(r"<script|<[^>]*\s(?:on\w+=|href=\"(?:javascript:|//))", page.text) is None
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'; ")
