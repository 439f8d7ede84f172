"""Kept searches: one's own alone, with notices of what is new and matches, as far as one may see it."""

from datetime import timedelta

import time_machine
from sqlalchemy import update

from content.kinds import AssetType, Facet
from kb import clock, notices
from kb.access import Tier
from kb.users import User
from search import saved
from search.query import Query
from search.saved import SavedSearch
from tests.conftest import SignIn
from tests.factories import Make


def kept(make: Make, user: User, text: str, **filters: list[str]) -> str:
    with make.service.database.writing() as session:
        reference = saved.keep(session, make.actor(user), Query.of(text, filters), "", tells=True)
        session.execute(update(SavedSearch).values(told_at=clock.now() - timedelta(hours=1)))
        return reference


def told(make: Make, user: User) -> list[int]:
    with make.service.database.reading() as session:
        return sorted(one.object_id for one in notices.list_newest(session, user.id) if one.kind == saved.NOTICE)


def look(make: Make) -> int:
    make.index()
    with time_machine.travel(clock.now() + timedelta(minutes=1), tick=True):
        return saved.look(make.service.database, make.service.finder)


def test_its_owner_is_told_once_of_what_is_new_and_matches(make: Make) -> None:
    finance = make.tag(Facet.INDUSTRY, "finance", "Finance", "金融")
    with time_machine.travel(clock.now() - timedelta(days=1), tick=True):
        old = make.asset("Old downtime window", "downtime window")
    rep, other = make.user(), make.user()
    kept(make, rep, "downtime window")
    kept(make, other, "", industry=["finance"], type=["case_study"])
    new = make.asset("Downtime window", "The downtime window of a migration.", tags=[finance])
    case = make.asset("Bank story", "A bank moved.", tags=[finance], asset_type=AssetType.CASE_STUDY)
    make.asset("Hidden downtime window", "downtime window", tier=Tier.RESTRICTED)
    look(make)
    assert told(make, rep) == [new.id]
    assert told(make, other) == [case.id]
    look(make)
    assert told(make, rep) == [new.id]
    assert old.id not in told(make, rep)


def test_it_is_quiet_when_it_is_told_to_be(make: Make, sign_in: SignIn) -> None:
    rep = make.user()
    reference = kept(make, rep, "downtime")
    browser = sign_in(rep)
    assert browser.patch(f"/api/v1/searches/{reference}", json={"tells": False}).json["items"][0]["tells"] is False  # type: ignore[index]
    make.asset("Downtime", "downtime")
    look(make)
    assert told(make, rep) == []


def test_it_is_kept_from_the_page_of_results_and_is_ones_own(make: Make, sign_in: SignIn) -> None:
    rep = make.user()
    browser, other = sign_in(rep), sign_in(make.user())
    assert "No search is kept" in browser.get("/searches?deal=").text
    assert "Keep this search" in browser.get("/search?q=downtime&deal=").text
    form = {"q": "downtime -price", "industry": ["finance", "retail"], "sort": "new"}
    assert browser.post("/searches", data=form).status_code == 302
    assert browser.post("/searches", data=form).status_code == 302
    listed = browser.get("/api/v1/searches").json["items"]  # type: ignore[index]
    assert [(one["name"], one["filters"], one["sort"]) for one in listed] == [
        ("downtime -price", {"industry": ["finance", "retail"]}, "new")
    ]
    page = browser.get("/searches?deal=").text
    assert "q=downtime+-price" in page
    assert "industry=finance&amp;industry=retail" in page
    reference = listed[0]["id"]
    assert other.get("/api/v1/searches").json == {"items": []}
    for answer in (
        other.delete(f"/api/v1/searches/{reference}"),
        other.patch(f"/api/v1/searches/{reference}", json={"tells": True}),
        other.post(f"/searches/{reference}/remove"),
        other.post(f"/searches/{reference}/notices", data={"tells": "1"}),
    ):
        assert answer.status_code == 404
    assert browser.post(f"/searches/{reference}/notices", data={"tells": ""}).status_code == 302
    assert "Tell me" in browser.get("/searches?deal=").text
    assert browser.post(f"/searches/{reference}/remove").status_code == 302
    assert browser.get("/api/v1/searches").json == {"items": []}


def test_an_empty_search_and_too_many_are_refused(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user())
    assert browser.post("/api/v1/searches", json={"q": " "}).json["code"] == "nothing_to_keep"  # type: ignore[index]
    assert browser.post("/api/v1/searches", json={"q": "x", "filters": {"colour": ["red"]}}).status_code == 422
    for number in range(saved.MOST):
        assert browser.post("/api/v1/searches", json={"q": f"words {number}"}).status_code == 201
    assert browser.post("/api/v1/searches", json={"q": "one more"}).json["code"] == "too_many_searches"  # type: ignore[index]
