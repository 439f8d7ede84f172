"""Seeing what is not unlocked: by id, by search, by numbers, by a deal of somebody else, after it was allowed."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from flask import Flask
from sqlalchemy import select

from content.kinds import Facet, Handling, Outcome, UseKind
from content.models import UseEvent
from kb import clock
from kb.access import Role, Tier
from kb.app import Service
from kb.audit import AuditEntry
from kb.web import OPEN_ENDPOINTS, PUBLIC, needs_of
from search import upkeep
from search.engine import IndexDamaged
from tests.conftest import SignIn
from tests.factories import Make
from tests.leaks.surfaces import INVENTORY, Kind
from tests.leaks.world import NEVER, found_in, same_form

READS = ("/assets/{}", "/assets/{}/source", "/api/v1/assets/{}")


def test_A01_hidden_equals_nonexistent_in_body_headers_and_log(
    make: Make, sign_in: SignIn, service_log: StringIO
) -> None:
    rep = make.user()
    hidden = [
        make.asset("zqTier", "zqTier body", tier=Tier.RESTRICTED, external_id="zq-tier"),
        make.asset("zqDraft", "zqDraft body", publish=False, external_id="zq-draft"),
        make.asset("zqLocked", "zqLocked body", unlock="negotiation", teaser=False, external_id="zq-locked"),
    ]
    make.index()
    browser = sign_in(rep)
    service_log.truncate(0)
    for path in READS:
        never = browser.get(path.format(NEVER))
        for asset in hidden:
            got = browser.get(path.format(asset.public_id))
            assert got.status_code == 404
            assert same_form(got, asset.public_id) == same_form(never, NEVER)
    assert found_in(service_log.getvalue(), ["zqTier", "zqDraft", "zqLocked", "zq-tier"]) == []


@pytest.mark.parametrize("where", ["query", "header", "cookie", "form"])
def test_A03_a_client_cannot_say_its_stage_tier_or_deal(make: Make, sign_in: SignIn, where: str) -> None:
    rep, other = make.user(), make.user()
    secret = make.asset("zqLocked", unlock="negotiation", teaser=False)
    foreign = make.deal(other, "after_sale", account="zqCustomer")
    make.deal(rep, "discovery")
    make.index()
    browser = sign_in(rep)
    claims = {
        "stage": "negotiation",
        "unlock_stage": "",
        "tier": "public",
        "clearance": "confidential",
        "role": "admin",
        "user_id": str(other.id),
        "deal_id": str(foreign.id),
        "public_id": foreign.public_id,
    }
    for path in READS:
        address = path.format(secret.public_id)
        if where == "query":
            found = [browser.get(address, query_string={name: value}) for name, value in claims.items()]
            found += [
                browser.get(address, query_string={"deal": one})
                for one in (foreign.external_id, foreign.public_id, str(foreign.id), f" {foreign.external_id}")
            ]
        elif where == "header":
            found = [
                browser.get(
                    address,
                    headers={
                        f"X-{name}": value,
                        "X-Deal": foreign.external_id,
                        "X-User": other.email,
                        "X-Original-URL": "/",
                        "X-HTTP-Method-Override": "GET",
                    },
                )
                for name, value in claims.items()
            ]
        elif where == "cookie":
            for name, value in (*claims.items(), ("deal", foreign.external_id), ("last_deal", foreign.external_id)):
                browser.set_cookie(name, value, domain="127.0.0.1")
            found = [browser.get(address)]
        else:
            found = [
                browser.post(
                    f"/assets/{secret.public_id}/events",
                    data={"kind": "helpful", "deal": foreign.external_id, **claims},
                )
            ]
            found += [
                browser.post(
                    "/api/v1/usage",
                    json={"event_id": "claim", "kind": "view", "asset": secret.public_id, "deal": foreign.external_id},
                )
            ]
        assert {got.status_code for got in found} <= {404, 422}
        assert [found_in(got.text, ["zqLocked", "zqCustomer"]) for got in found] == [[]] * len(found)


def test_A03_the_deal_kept_as_default_is_asked_again_each_time(
    make: Make, sign_in: SignIn, service_log: StringIO
) -> None:
    rep, other = make.user(), make.user()
    secret = make.asset("zqLocked", unlock="negotiation", teaser=False)
    deal = make.deal(rep, "negotiation", account="zqCustomer")
    make.index()
    browser = sign_in(rep)
    assert browser.get(f"/search?q=zqLocked&deal={deal.external_id}").text.count("zqLocked") > 1
    sent = browser.get(f"/assets/{secret.public_id}")
    assert (sent.status_code, sent.headers["Location"]) == (302, f"/assets/{secret.public_id}?deal={deal.external_id}")
    make.set_deal(deal, owner_id=other.id)
    after = browser.get(f"/assets/{secret.public_id}")
    assert after.status_code == 404
    assert (
        found_in(
            after.text + browser.get("/").text + browser.get("/deals/pick").text,
            [deal.external_id, "zqCustomer", "zqLocked"],
        )
        == []
    )
    assert "zqCustomer" not in service_log.getvalue()


@pytest.mark.parametrize(
    "loss", ["back", "lost", "reassigned", "team", "withdrawn", "held", "expired", "tier", "deactivated"]
)
def test_A04_what_was_open_closes_with_the_next_request(
    make: Make, sign_in: SignIn, service: Service, loss: str
) -> None:
    rep, other = make.user(teams=["east"]), make.user()
    asset = make.asset("zqLocked", "Text of zqLocked", unlock="negotiation", teaser=False, teams=["east"])
    deal = make.deal(rep, "negotiation")
    make.index()
    browser = sign_in(rep)
    paths = [path.format(asset.public_id) + f"?deal={deal.external_id}" for path in READS]
    before = [browser.get(path) for path in paths]
    assert [got.status_code for got in before] == [200] * 3
    lose = {
        "back": lambda: make.move_deal(deal, "discovery"),
        "lost": lambda: make.set_deal(deal, outcome=Outcome.LOST.value, closed_at=clock.now()),
        "reassigned": lambda: make.set_deal(deal, owner_id=other.id),
        "team": lambda: _leave_teams(service, rep.id),
        "withdrawn": lambda: make.withdraw(asset),
        "held": lambda: make.set_asset(asset, held_at=clock.now()),
        "expired": lambda: make.set_asset(asset, expires_at=clock.now() - timedelta(seconds=1)),
        "tier": lambda: make.set_asset(asset, tier=Tier.CONFIDENTIAL.value),
        "deactivated": lambda: _deactivate(service, rep.id),
    }
    lose[loss]()
    for path, former in zip(paths, before, strict=True):
        again = {
            "If-None-Match": former.headers.get("ETag", "*"),
            "If-Modified-Since": former.headers.get("Last-Modified", "Thu, 01 Jan 2032 00:00:00 GMT"),
        }
        for headers in ({}, again, {"Range": "bytes=0-20", **again}):
            got = browser.get(path, headers=headers)
            assert got.status_code in ({302, 401} if loss == "deactivated" else {404}), (path, headers)
            assert found_in(got.text, ["zqLocked"]) == []
    found = browser.get(f"/api/v1/search?q=zqLocked&deal={deal.external_id}")  # the index still holds it
    assert found.status_code in {401, 404} or (found.json["total"], found.json["hits"], found.json["locked"]) == (
        0,
        [],
        [],
    )
    event = browser.post(
        f"/assets/{asset.public_id}/events", json={"event_id": "late", "kind": "copy", "deal": deal.external_id}
    )
    assert event.status_code in {302, 400, 401, 404}


def _leave_teams(service: Service, user_id: int) -> None:
    from kb import users

    with service.database.writing() as session:
        user = users.find(session, user_id)
        assert user is not None
        user.teams.clear()


def _deactivate(service: Service, user_id: int) -> None:
    from kb.users import User

    with service.database.writing() as session:
        session.get_one(User, user_id).deactivated_at = clock.now()


def test_A05_ids_cannot_be_guessed_and_row_numbers_open_nothing(
    make: Make, sign_in: SignIn, rows: Callable[[], object]
) -> None:
    rep = make.user()
    seen, hidden = make.asset("Open"), make.asset("zqHidden", tier=Tier.RESTRICTED)
    deal = make.deal(make.user(), account="zqCustomer")
    make.index()
    assert len({make.asset().public_id for _ in range(20)}) == 20
    assert re.fullmatch(r"[\w-]{16}", hidden.public_id), "96 random bits"
    browser = sign_in(rep)
    browser.get(f"/assets/{seen.public_id}")  # the view that counts
    before = rows()
    numbers = [str(number) for number in range(-1, hidden.id + 3)] + [hex(hidden.id), f"{hidden.id}.0", f"0{hidden.id}"]
    for number in [
        *numbers,
        hidden.public_id.swapcase(),
        hidden.public_id[:-1],
        f"{hidden.public_id} ",
        f"external:{hidden.external_id}",
        "external:",
        "external:%",
    ]:
        for path in (*READS, "/assets/{}?deal=" + str(deal.id)):
            assert browser.get(path.format(number)).status_code == 404, number
        assert (
            browser.post(f"/assets/{number}/events", json={"event_id": f"g{number}", "kind": "view"}).status_code == 404
        )
        assert (
            browser.post("/api/v1/usage", json={"event_id": f"u{number}", "kind": "view", "asset": number}).status_code
            == 404
        )
        assert browser.post(f"/assets/{number}/withdraw", data={"reason": "x"}).status_code == 403
    page = browser.get(f"/api/v1/assets/{seen.public_id}").json
    assert not {"version_id", "owner_ids", "created_by"} & page.keys()
    assert found_in(json.dumps(page), [hidden.public_id, deal.public_id]) == []
    assert rows() == before


@pytest.mark.parametrize("damaged", [False, True], ids=["index", "database"])
def test_A07_search_finds_nothing_of_what_is_hidden_however_it_is_asked(
    make: Make, sign_in: SignIn, service: Service, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    author = make.user(Role.MARKETER, clearance=Tier.CONFIDENTIAL)
    tag = make.tag(Facet.PRODUCT, "zqtag", "zqtag english", "星云标签", ["zqsynonym"])
    hidden = make.asset(
        "zqtitle 星云计划",
        "## zqheading\n\nzqbody 绝密内容",
        tier=Tier.RESTRICTED,
        tags=[tag],
        owners=[author],
        author=author,
        external_id="zqfile-name",
    )
    make.asset("Ordinary", "Plain words")
    make.index()
    if damaged:
        monkeypatch.setattr(service.engine, "_current", _broken)
    browser = sign_in(make.user())
    asked = [
        "zqtitle",
        "星云计划",
        "星云",
        "zqheading",
        "zqbody",
        "绝密内容",
        "zqtag",
        "zqsynonym",
        "星云标签",
        "zqfile-name",
        hidden.public_id.lstrip("-"),  # what begins so would ask for everything else
        author.name,
        author.email,
    ]
    asked += [
        '"zqbody"',
        "zqbod*",
        "zqbody~",
        "zqbodi",
        "+zqbody",
        "title:zqtitle",
        f"id:{hidden.id}",
        "zq",
        "%zq%",
        "_qbody",
    ]
    for words in asked:
        found = browser.get("/api/v1/search", query_string={"q": words}).json
        assert (found["total"], found["hits"], found["locked"]) == (0, [], []), words
        assert found["limited"] == ("database_only" if damaged else None)
        page = browser.get("/search", query_string={"q": words, "deal": ""})
        own = r'value="[^"]*"|data-title="[^"]*"|<title>[^<]*|<h2>[^<]*|\?[^"]*|<a class="chip"[^>]*>[^<]*'
        echoed = re.sub(own, "", page.text)
        assert found_in(echoed, [hidden.public_id, "zqtitle", "zqbody", "绝密", "/assets/"]) == [], words
    for facet in ("product", "type", "language"):
        assert "zq" not in json.dumps(browser.get("/api/v1/search").json["facets"].get(facet, []))


def _broken() -> None:
    raise IndexDamaged("as a test wishes")


@pytest.mark.parametrize("damaged", [False, True], ids=["index", "database"])
def test_A07_the_strip_is_matched_on_title_and_tags_alone(
    make: Make, sign_in: SignIn, service: Service, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    tag = make.tag(Facet.PRODUCT, "zqtag", "zqtag", "zqtagzh")
    locked = make.asset("zqtitle", "## zqheading\n\nzqbody and more", unlock="negotiation", tags=[tag])
    make.index()
    if damaged:
        monkeypatch.setattr(service.engine, "_current", _broken)
    browser = sign_in(make.user())
    for words, shown in {
        "zqtitle": True,
        "zqtag": True,
        "zqbody": False,
        "zqheading": False,
        "zqtitle zqbody": True,
    }.items():
        found = browser.get("/api/v1/search", query_string={"q": words}).json
        assert found["locked"] == (
            [{"id": locked.public_id, "title": "zqtitle", "type": "faq", "unlock_stage": "negotiation"}]
            if shown
            else []
        ), words
        assert (found["total"], found["hits"]) == (0, [])
        assert found_in(json.dumps({**found, "query": "", "read_as": ""}), ["zqbody", "zqheading", "zqtag"]) == []


def test_A10_numbers_do_not_move_with_what_is_hidden(make: Make, sign_in: SignIn) -> None:
    rep = make.user()
    tag = make.tag(Facet.INDUSTRY, "finance", "Finance")
    make.asset("Seen sparrow", tags=[tag])
    make.index()
    browser = sign_in(rep)
    addresses = [
        "/api/v1/search?q=sparrow",
        "/api/v1/search",
        "/api/v1/search?industry=finance",
        "/api/v1/search?offset=1",
        "/api/v1/search?type=faq&language=en",
    ]
    before = [_numbers(browser.get(address).json) for address in addresses]
    pages = [_text(browser.get(address).text) for address in ("/", "/?deal=", "/search?industry=finance")]
    for how in (
        {"tier": Tier.RESTRICTED},
        {"publish": False},
        {"unlock": "negotiation", "teaser": False},
        {"teams": ["west"]},
        {"expires_at": clock.now()},
    ):
        make.asset("Hidden sparrow", "sparrow", tags=[tag], **how)
    make.index()
    assert [_numbers(browser.get(address).json) for address in addresses] == before
    assert [_text(browser.get(address).text) for address in ("/", "/?deal=", "/search?industry=finance")] == pages


def _numbers(found: dict[str, object]) -> dict[str, object]:
    return {name: found[name] for name in ("total", "facets", "locked")}


def _text(page: str) -> str:
    return re.sub(r'(csrf_?-?token" (?:content|value)=")[^"]+', "", page)


def test_A10_a_tag_that_only_hidden_assets_carry_looks_like_one_that_does_not_exist(
    make: Make, sign_in: SignIn
) -> None:
    tag = make.tag(Facet.PRODUCT, "zqproject", "zqlabel", "zqlabelzh", ["zqcodename"])
    make.asset(tier=Tier.RESTRICTED, tags=[tag])
    make.asset("Seen")
    make.index()
    browser = sign_in(make.user())
    for word in ("zqproject", "zqcodename"):
        for path in ("/search", "/api/v1/search"):
            got, never = (browser.get(path, query_string={"product": one, "deal": ""}) for one in (word, "zqnever"))
            assert found_in(got.text, ["zqlabel"]) == []
            assert re.sub(r'"took_ms":[\d.]+', "", same_form(got, word)[1]) == re.sub(
                r'"took_ms":[\d.]+', "", same_form(never, "zqnever")[1]
            )


@pytest.mark.parametrize(
    "words",
    [
        "zqsecret plain",
        "plain words zqsecret",
        "plain words",
        "what the customer says of zqsecret and of plain words on every other day",
    ],
)
def test_A11_scores_and_order_do_not_tell_which_words_a_hidden_text_holds(
    make: Make, sign_in: SignIn, words: str
) -> None:
    """Else anybody reads, word by word, what a confidential text holds: its words get common, and hits appear or move."""
    for number in range(4):
        make.asset(f"Plain {number}", "plain words " * (number + 1))
    hidden = [make.asset("Hidden", "zqother filler", tier=Tier.CONFIDENTIAL) for _ in range(6)]
    make.index()
    browser = sign_in(make.user())
    before = browser.get("/api/v1/search", query_string={"q": words}).json["hits"]
    for asset in hidden:
        make.new_version(asset, "zqsecret plain")
    make.index()
    after = browser.get("/api/v1/search", query_string={"q": words}).json["hits"]
    assert before or "zqsecret" in words
    assert [(hit["id"], hit["score"]) for hit in after] == [(hit["id"], hit["score"]) for hit in before]


def test_A11_translations_name_only_what_the_reader_sees(make: Make, sign_in: SignIn) -> None:
    source = make.asset("Source")
    make.asset("zqSeen", translation_of=source, language="zh")
    make.asset("zqHidden", translation_of=source, language="fr", tier=Tier.RESTRICTED)
    make.asset("zqTeased", translation_of=source, language="de", unlock="negotiation")
    make.index()
    page = sign_in(make.user()).get(f"/assets/{source.public_id}").text
    assert found_in(page, ["zqSeen", "zqHidden", "zqTeased"]) == ["zqSeen"]


def test_A27_nobody_signed_in_gets_past_sign_in_health_and_static(
    make: Make, sign_in: SignIn, app: Flask, service: Service
) -> None:
    make.asset("zqOpen", tier=Tier.PUBLIC)
    make.index()
    needs = needs_of(app)
    addresses = {surface.endpoint for surface in INVENTORY if surface.kind is Kind.PUBLIC}
    addresses |= {"planning.feed"}  # a secret address of one person: tests/content/test_planning.py
    addresses |= {
        "shared.page",
        "shared.enter",
        "shared.picture",
        "shared.file",
    }  # as secret: tests/attacks/test_sharing.py
    addresses |= {"sign_on.begin", "sign_on.back"}  # the way in itself: tests/attacks/test_sign_on.py
    assert {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if needs.get(rule.endpoint) is PUBLIC or rule.endpoint in OPEN_ENDPOINTS
    } == addresses
    ended = sign_in(make.user())
    with service.database.writing() as session:
        from kb.sessions import SignedIn

        session.query(SignedIn).update({"created_at": clock.now() - timedelta(days=2)})
    forged = sign_in(None)
    with forged.session_transaction(base_url="https://127.0.0.1") as cookie:
        cookie["_user_id"], cookie["_fresh"] = "1", True
    for browser in (sign_in(None), ended, forged):
        for rule in app.url_map.iter_rules():
            if rule.endpoint in addresses:
                continue
            path = re.sub(r"<[^>]+>", NEVER, rule.rule)
            for method in (rule.methods or set()) | {"HEAD"}:
                got = browser.open(path, method=method)
                assert got.status_code in (
                    {302, 400, 401, 405} if method not in {"GET", "HEAD", "OPTIONS"} else {302, 401, 405}
                ), (method, path, got.status_code)
                assert "zqOpen" not in got.text
                if got.status_code == 302:
                    assert got.headers["Location"].startswith("/sign-in?next=")
    assert sign_in(None).get("/docs").status_code == sign_in(None).get("/api/docs").status_code == 404


def test_A29_answers_are_kept_by_nobody_and_differ_by_reader(make: Make, sign_in: SignIn) -> None:
    mine, theirs = make.user(), make.user(clearance=Tier.RESTRICTED)
    secret = make.asset("zqSecret", "zqSecret text", tier=Tier.RESTRICTED)
    make.index()
    richer, poorer = sign_in(theirs), sign_in(mine)
    paths = [
        *(path.format(secret.public_id) for path in READS),
        "/search?q=zqSecret&deal=",
        "/api/v1/search?q=zqSecret",
        "/",
        "/library",
        "/deals/pick",
        "/account/",
        "/nothing",
    ]
    for path in paths:
        for browser in (richer, poorer, richer, poorer):  # warm, then asked by the other
            got = browser.get(path)
            assert got.headers["Cache-Control"] == "private, no-store"
            assert {"Cookie", "Authorization"} <= {word.strip() for word in got.headers["Vary"].split(",")}
            assert "ETag" not in got.headers
            if browser is poorer:
                assert (
                    found_in(
                        got.text.replace('value="zqSecret"', "").replace("q=zqSecret", ""),
                        ["zqSecret text", secret.public_id],
                    )
                    == []
                    or got.status_code == 404
                )
    token = poorer.get("/assets/" + secret.public_id)
    assert token.status_code == 404


@pytest.mark.parametrize("role", [Role.REP, Role.REVIEWER, Role.MANAGER, Role.COORDINATOR])
def test_A30_a_right_to_read_is_no_right_to_write(
    make: Make, sign_in: SignIn, rows: Callable[[], object], role: Role
) -> None:
    user = make.user(role)
    asset = make.asset("Seen", owners=[user])
    make.index()
    browser, before = sign_in(user), rows()
    for path, body in (
        (f"/assets/{asset.public_id}/withdraw", {"data": {"reason": "x"}}),
        (f"/api/v1/assets/{asset.public_id}/withdraw", {"json": {"reason": "x"}}),
    ):
        assert browser.post(path, **body).status_code == 403
    for method in ("PUT", "PATCH", "DELETE"):
        for path in READS:
            assert browser.open(path.format(asset.public_id), method=method).status_code == 405
    assert rows() == before


def test_A30_a_refused_write_leaves_exactly_one_entry(
    make: Make, sign_in: SignIn, trail: Callable[[], list[AuditEntry]]
) -> None:
    asset = make.asset("Seen")
    browser = sign_in(make.user())
    before = len(trail())
    assert browser.post(f"/assets/{asset.public_id}/withdraw", data={"reason": "x"}).status_code == 403
    assert [entry.object_id for entry in trail()[before:]] == [asset.public_id]


def test_A44_events_are_counted_once_and_only_for_what_the_reader_sees(
    make: Make, sign_in: SignIn, service: Service
) -> None:
    rep, other = make.user(), make.user()
    seen, hidden = make.asset("Seen", handling=Handling.NAMED), make.asset("Hidden", tier=Tier.RESTRICTED)
    locked = make.asset("Locked", unlock="negotiation")
    foreign, closed = make.deal(other, "after_sale"), make.deal(rep, "negotiation", outcome=Outcome.WON)
    make.index()
    browser = sign_in(rep)
    send = lambda asset, event, **more: browser.post(
        "/api/v1/usage", json={"event_id": event, "asset": asset.public_id, "kind": "copy", **more}
    )
    assert [send(seen, "one").json["recorded"] for _ in range(5)] == [True, False, False, False, False]
    assert [send(seen, f"other{n}").json["recorded"] for n in range(3)] == [False] * 3
    assert send(hidden, "h").status_code == send(hidden, "h2", kind="view").status_code == 404
    assert send(locked, "l").status_code == 403
    assert send(seen, "f", deal=foreign.external_id).status_code == 404
    for name, value in {
        "at": "2020-01-01T00:00:00+00:00",
        "user": other.email,
        "user_id": other.id,
        "was_unlocked": True,
        "version_id": 1,
    }.items():
        assert send(seen, f"x{name}", **{name: value}).status_code == 422
    assert send(seen, "closed", deal=closed.external_id, kind="share").status_code == 403
    with service.database.reading() as session:
        kept = session.scalars(select(UseEvent)).all()
    assert [(event.event_id, event.user_id, event.deal_id) for event in kept] == [("one", rep.id, None)]


def test_A44_a_use_while_locked_does_not_unlock_later(make: Make, sign_in: SignIn) -> None:
    """Past use must not be something a reader can make for themselves."""
    rep = make.user()
    locked = make.asset("zqLocked", unlock="negotiation", handling=Handling.NAMED)
    deal = make.deal(rep, "discovery")
    make.index()
    make.grant(rep, locked, until=clock.now() + timedelta(hours=1))
    browser = sign_in(rep)
    sent = browser.post(
        f"/assets/{locked.public_id}/events", json={"event_id": "by-grant", "kind": "copy", "deal": deal.external_id}
    )
    assert sent.status_code == 200
    make.use(rep, locked, UseKind.COPY, deal, was_unlocked=False)
    member = make.user()
    make.set_deal(deal, owner_id=member.id)
    got = sign_in(member).get(f"/assets/{locked.public_id}?deal={deal.external_id}")
    assert got.status_code == 403, "one person's grant must not open the asset to the whole deal for ever"


def test_A97_nobody_reads_figures_or_judgements_of_others(make: Make, sign_in: SignIn, app: Flask) -> None:
    rep, other = make.user(), make.user()
    asset = make.asset("Seen")
    make.use(other, asset, UseKind.NOT_HELPFUL)
    make.index()
    browser = sign_in(rep)
    page = browser.get(f"/assets/{asset.public_id}").text
    assert 'value="not_helpful" aria-pressed="false"' in page
    assert found_in(page + browser.get("/api/v1/search?q=Seen").text, [other.name, other.email]) == []
    assert browser.get("/metrics").status_code == 403
    assert all(hit["lift"] is None for hit in browser.get("/api/v1/search?q=Seen").json["hits"])


def test_A97_a_foreign_search_id_says_nothing_and_is_kept_as_a_word(make: Make, sign_in: SignIn) -> None:
    rep, other = make.user(), make.user()
    asset = make.asset("Seen")
    make.index()
    theirs = sign_in(other).get("/api/v1/search?q=zqTheirWords").json["search_id"]
    browser = sign_in(rep)
    got = browser.get(f"/assets/{asset.public_id}?search={theirs}")
    assert got.status_code == 200
    assert "zqTheirWords" not in got.text
    mine = browser.get("/api/v1/search?q=zqTheirWords").json["search_id"]
    assert mine not in {"", theirs}


def test_A99_stuffing_and_hidden_signs_do_not_beat_the_right_answer(make: Make, sign_in: SignIn) -> None:
    right = make.asset("Price track", "We answer the price with the price of waiting.")
    make.asset("Spam", "price " * 2_000 + "\u202eignore previous\u2069")
    make.asset("zqDraft price", "price", publish=False)
    make.index()
    hits = sign_in(make.user()).get("/api/v1/search?q=price track").json["hits"]
    assert hits[0]["id"] == right.public_id
    assert all("\u202e" not in hit["snippet"] + hit["passage"] for hit in hits)


def test_A08_nothing_but_the_reader_s_own_words_comes_back_where_nothing_is_found(
    make: Make, sign_in: SignIn, service: Service
) -> None:
    make.asset("zqHidden", "zqCanary in the text", tier=Tier.RESTRICTED)
    make.index()
    upkeep.check(service.database, service.engine)
    browser = sign_in(make.user())
    for words in ("z", "zq", "zqH", "zqHid", "zqHiden"):
        for path in ("/search", "/suggest", "/api/v1/search", "/api/v1/suggest"):
            told = browser.get(path, query_string={"q": words, "deal": ""}).text
            assert found_in(told, ["zqHidden"]) == [], path
    for misspelt in ("zqHiddn", "zqCanray", "zqcanry"):
        assert browser.get("/api/v1/search", query_string={"q": misspelt}).json["did_you_mean"] is None
    cleared = sign_in(make.user(clearance=Tier.RESTRICTED))
    assert cleared.get("/api/v1/search", query_string={"q": "zqCanray"}).json["did_you_mean"] == "zqcanary"
