"""Browse, orders in the address, and the feed for programs."""

from xml.etree import ElementTree

import pytest

from content.kinds import Facet
from kb import tokens
from kb.access import SYSTEM, Permission, Tier
from kb.users import User
from tests.conftest import SignIn
from tests.factories import Make

ATOM = "{http://www.w3.org/2005/Atom}"


def titles(text: str) -> list[str | None]:
    return [entry.findtext(f"{ATOM}title") for entry in ElementTree.fromstring(text).iter(f"{ATOM}entry")]


def token_of(make: Make, user: User, *scopes: str) -> str:
    with make.service.database.writing() as session:
        return tokens.create(session, SYSTEM, session.get_one(User, user.id), "feed reader", scopes)


def test_the_feed_lists_what_this_reader_sees_newest_first(make: Make, sign_in: SignIn) -> None:
    make.asset("older <b> & older")
    make.asset("above clearance", tier=Tier.CONFIDENTIAL)
    make.asset("of a later stage", unlock="negotiation")
    make.asset("newer")
    make.index()
    user = make.user()
    answer = sign_in(user).get("/feed.atom")
    assert answer.mimetype == "application/atom+xml"
    assert titles(answer.text) == ["newer", "older <b> & older"]
    again = sign_in(user).get("/feed.atom", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.text) == (304, "")


def test_the_feed_takes_filters(make: Make, sign_in: SignIn) -> None:
    price = make.tag(Facet.PAIN_POINT, "price")
    make.asset("about price", tags=[price])
    make.asset("about nothing")
    make.index()
    browser = sign_in(make.user())
    assert titles(browser.get("/feed.atom?pain_point=price").text) == ["about price"]
    assert titles(browser.get("/feed.atom?pain_point=unknown").text) == []


def test_a_feed_reader_signs_in_with_a_token_as_its_password(make: Make, sign_in: SignIn) -> None:
    make.asset("published")
    make.index()
    token = token_of(make, make.user())
    nobody = sign_in(None)
    refused = nobody.get("/feed.atom")
    assert (refused.status_code, refused.headers["WWW-Authenticate"].partition(" ")[0]) == (401, "Basic")
    assert titles(nobody.get("/feed.atom", auth=("anything", token)).text) == ["published"]
    assert titles(nobody.get("/feed.atom", headers={"Authorization": f"Bearer {token}"}).text) == ["published"]
    assert nobody.get("/feed.atom", auth=("anything", "kb_wrong")).status_code == 401
    assert nobody.get("/", auth=("anything", token)).status_code == 302, "pages take no token"
    assert nobody.get("/api/v1/search", auth=("anything", token)).status_code == 401, "the API takes bearers alone"


def test_a_token_without_the_scope_gets_no_feed(make: Make, sign_in: SignIn) -> None:
    token = token_of(make, make.user(), Permission.USE.value)
    assert sign_in(None).get("/feed.atom", auth=("anything", token)).status_code == 403


def test_browse_leads_to_what_it_counts(make: Make, sign_in: SignIn) -> None:
    price = make.tag(Facet.PAIN_POINT, "price", "Price objection", "价格贵")
    for number in range(3):
        make.asset(f"about price {number}", tags=[price])
    make.index()
    browser = sign_in(make.user(language="zh"))
    shelves = browser.get("/browse").text
    assert "价格贵" in shelves
    assert browser.get("/search?pain_point=price").text.count("data-hit>") == 3


@pytest.mark.parametrize("order", ["new", "used", "verified"])
def test_the_order_stands_in_the_address_and_in_the_next_page(make: Make, sign_in: SignIn, order: str) -> None:
    for number in range(22):
        make.asset(f"asset {number}")
    make.index()
    page = sign_in(make.user()).get("/search", query_string={"sort": order}).text
    assert f"sort={order}" in page.partition('class="pager"')[2]
    assert f'value="{"" if order == "new" else order}" selected' in page


def test_an_unknown_order_is_refused(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user())
    assert browser.get("/search?sort=luck").status_code == 422
    assert browser.get("/api/v1/search?sort=luck").status_code == 422
