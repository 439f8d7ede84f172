"""The interface for programs: lists, drafts, deals, keys that make a write happen once, scopes."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from content.deals import Deal
from content.kinds import AssetType, Facet
from content.models import Asset, UseEvent, Version
from kb import api, clock, idempotency, tokens
from kb.access import SYSTEM, Permission, Role, Tier
from kb.app import Service
from kb.idempotency import KeptAnswer
from kb.users import User
from kb.web import needs_of
from tests.conftest import Browser, SignIn
from tests.factories import Make

DAY = timedelta(days=1)


def count(make: Make, table: type[object]) -> int:
    with make.service.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


# --- lists ---


def walk(browser: Browser, **query: object) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        answer = browser.get("/api/v1/assets", query_string={"limit": 2, "cursor": cursor, **query})
        assert answer.status_code == 200, answer.text
        found += [item["title"] for item in answer.json["items"]]
        cursor = answer.json["next_cursor"]
        if cursor is None:
            return found


def publish(make: Make, title: str, days_ago: int, **more: object) -> Asset:
    asset = make.asset(title, **more)  # type: ignore[arg-type]
    with make.service.database.writing() as session:
        for version in session.scalars(select(Version).where(Version.asset_id == asset.id)):
            version.published_at = clock.now() - days_ago * DAY
    return asset


def test_the_list_is_paged_in_every_order(make: Make, sign_in: SignIn) -> None:
    for title, days in (("c", 5), ("a", 4), ("d", 3), ("b", 2), ("价", 1)):
        publish(make, title, days)
    looked_at = publish(make, "e", 9)
    make.set_asset(looked_at, verified_at=clock.now() - timedelta(hours=1))
    browser = sign_in(make.user())
    assert walk(browser) == ["价", "b", "d", "a", "c", "e"]
    assert walk(browser, sort="verified") == ["e", "价", "b", "d", "a", "c"]
    assert walk(browser, sort="title") == ["a", "b", "c", "d", "e", "价"]


def test_what_is_published_meanwhile_shifts_no_page(make: Make, sign_in: SignIn) -> None:
    for number in range(4):
        publish(make, f"asset {number}", 10 - number)
    browser = sign_in(make.user())
    first = browser.get("/api/v1/assets?limit=2").json
    publish(make, "newer", 0)
    second = browser.get("/api/v1/assets", query_string={"limit": 2, "cursor": first["next_cursor"]}).json
    assert [item["title"] for item in first["items"] + second["items"]] == [f"asset {n}" for n in (3, 2, 1, 0)]
    assert second["next_cursor"] is None


def test_filters_narrow_and_alternatives_widen(make: Make, sign_in: SignIn) -> None:
    price, migration = make.tag(Facet.PAIN_POINT, "price"), make.tag(Facet.PAIN_POINT, "migration")
    publish(make, "price", 1, tags=[price])
    publish(make, "migration", 2, tags=[migration])
    publish(make, "card", 3, tags=[price], asset_type=AssetType.BATTLE_CARD)
    publish(make, "中文", 4, tags=[price], language="zh")
    browser = sign_in(make.user())
    assert walk(browser, pain_point="price") == ["price", "card", "中文"]
    assert walk(browser, pain_point=["price", "migration"]) == ["price", "migration", "card", "中文"]
    assert walk(browser, pain_point="price", type="battle_card") == ["card"]
    assert walk(browser, language="zh") == ["中文"]
    assert walk(browser, pain_point="unknown") == []


@pytest.mark.parametrize(
    "cursor", ["x", "W10", "bm90IGpzb24", "WyJuZXciLCAieCIsIDFd", "WyJ0aXRsZSIsICJhIiwgMV0", "é", "A" * 1_001]
)
def test_a_cursor_that_is_none_of_ours_is_refused(make: Make, sign_in: SignIn, cursor: str) -> None:
    answer = sign_in(make.user()).get("/api/v1/assets", query_string={"cursor": cursor})
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")


# --- drafts ---


def test_a_new_asset_lands_as_a_draft_of_its_author(make: Make, sign_in: SignIn) -> None:
    make.stages()
    author = make.user(Role.MARKETER)
    browser = sign_in(author)
    made = browser.post(
        "/api/v1/assets",
        json={
            "title": "A new track",
            "text": "## Say\n\nHello.\n",
            "type": "talk_track",
            "stages": ["solution", "nowhere"],
        },
    )
    assert made.status_code == 201, made.text
    assert (made.json["revision"], made.headers["ETag"]) == (1, '"1"')
    assert "nowhere" in made.json["warnings"][0]
    history = browser.get(f"/api/v1/assets/{made.json['id']}/versions").json["items"]
    assert [(one["number"], one["state"], one["created_by"]) for one in history] == [(1, "draft", author.name)]
    assert browser.get(f"/api/v1/assets/{made.json['id']}").status_code == 404, "no reader sees a draft"
    with make.service.database.reading() as session:
        asset = session.scalars(select(Asset).where(Asset.public_id == made.json["id"])).one()
        assert asset.external_id is None


def test_every_mistake_of_a_new_asset_is_told(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user(Role.MARKETER))
    bad = {"title": "t", "text": "x", "type": "poem", "tier": "secret", "unlock_stage": "never", "audience": ["nobody"]}
    answer = browser.post("/api/v1/assets", json=bad)
    assert answer.status_code == 422
    for word in ("poem", "secret", "never", "nobody"):
        assert word in answer.json["detail"]
    assert (
        browser.post("/api/v1/assets", json={"title": "t", "text": "x", "tier": "confidential"}).json["code"] == "tier"
    )
    assert (
        browser.post("/api/v1/assets", json={"title": "t", "text": "x", "colour": "red"}).json["errors"][0]["field"]
        == "colour"
    )
    assert count(make, Asset) == 0


def test_an_id_that_is_taken_is_a_conflict(make: Make, sign_in: SignIn) -> None:
    make.asset("first", external_id="ONE")
    body = {"title": "t", "text": "x", "external_id": "ONE"}
    answer = sign_in(make.user(Role.ADMIN)).post("/api/v1/assets", json=body)
    assert (answer.status_code, answer.json["code"]) == (409, "asset_exists")


def test_nobody_finds_out_by_writing_what_is_hidden(make: Make, sign_in: SignIn) -> None:
    make.asset("hidden", external_id="HIDDEN", tier=Tier.CONFIDENTIAL)
    seen = make.asset("seen", external_id="SEEN")
    unnamed = make.asset("made in the browser")
    make.set_asset(unnamed, external_id=None)
    browser = sign_in(make.user(Role.MARKETER))

    def write(**more: str) -> tuple[int, str]:
        answer = browser.post("/api/v1/assets", json={"title": "t", "text": "x", **more})
        return answer.status_code, answer.json.get("detail", "").replace("HIDDEN", "…").replace("NOTHING", "…")

    assert write(external_id="HIDDEN") == write(external_id="NOTHING")
    assert write(external_id="HIDDEN")[0] == 403
    assert write(translation_of="HIDDEN") == write(translation_of="NOTHING")
    assert write(translation_of="HIDDEN")[0] == 422
    assert write(translation_of="SEEN")[0] == 201
    assert write(translation_of=unnamed.public_id)[0] == 201
    with make.service.database.reading() as session:
        sources = set(session.scalars(select(Asset.translation_of_id).where(Asset.translation_of_id.is_not(None))))
    assert sources == {seen.id, unnamed.id}


def test_a_draft_is_saved_on_the_revision_it_started_from_and_on_no_other(make: Make, sign_in: SignIn) -> None:
    asset = make.asset("published", "## Say\n\nThe published words.\n")
    browser, other = sign_in(make.user(Role.MARKETER)), sign_in(make.user(Role.MARKETER))
    path = f"/api/v1/assets/{asset.public_id}/draft"
    start = browser.get(path)
    assert (start.json["revision"], start.json["text"]) == (0, "## Say\n\nThe published words.\n")
    assert browser.put(path, json={"text": "mine"}).status_code == 428
    mine = browser.put(path, json={"text": "mine"}, headers={"If-Match": start.headers["ETag"]})
    assert (mine.status_code, mine.headers["ETag"]) == (200, '"1"')
    theirs = other.put(path, json={"text": "theirs"}, headers={"If-Match": '"0"'})
    assert theirs.status_code == 412
    assert theirs.json["present"] == {"revision": 1, "title": "published", "text": "mine"}
    assert theirs.json["yours"]["text"] == "theirs"
    again = other.put(path, json={"text": "both"}, headers={"If-Match": '"1"'})
    assert again.json["revision"] == 2
    same = other.put(path, json={"text": "both"}, headers={"If-Match": '"2"'})
    assert same.json["revision"] == 2, "what changes nothing makes no revision"
    assert sign_in(make.user()).get(f"/api/v1/assets/{asset.public_id}").json["text"].startswith("## Say"), (
        "readers keep theirs"
    )


def test_only_who_may_edit_sees_drafts_and_versions(make: Make, sign_in: SignIn) -> None:
    asset = make.asset("an asset", tier=Tier.CONFIDENTIAL)
    draft = make.asset("a draft", publish=False)
    for role, status in ((Role.REP, 403), (Role.MARKETER, 404), (Role.ADMIN, 200)):
        browser = sign_in(make.user(role))
        for path in ("draft", "versions", "versions/1"):
            assert browser.get(f"/api/v1/assets/{asset.public_id}/{path}").status_code == status, (role, path)
    marketer = sign_in(make.user(Role.MARKETER))
    assert marketer.get(f"/api/v1/assets/{draft.public_id}/draft").json["revision"] == 1
    for number in ("0", "2", "x", "1e9", "99999999999"):
        assert marketer.get(f"/api/v1/assets/{draft.public_id}/versions/{number}").status_code == 404


# --- deals ---

DEAL = {"account": "Harbour Bank", "created_at": "2026-03-01T09:00:00+08:00", "amount": "920000.00", "currency": "CNY"}


def test_a_deal_is_put_with_its_history_and_put_again_without_a_change(make: Make, sign_in: SignIn) -> None:
    make.stages()
    owner = make.user()
    body = DEAL | {
        "owner_email": owner.email,
        "stage": "solution",
        "stages": [
            {"stage": "awareness", "entered_at": "2026-03-01T09:00:00+08:00"},
            {"stage": "solution", "entered_at": "2026-04-01T09:00:00+08:00"},
        ],
    }
    admin = sign_in(make.user(Role.ADMIN))
    outcomes = [admin.put("/api/v1/deals/D-7", json=body).json["outcome"] for _ in range(2)]
    outcomes.append(admin.put("/api/v1/deals/D-7", json=body | {"account": "Harbour Bank plc"}).json["outcome"])
    assert outcomes == ["created", "unchanged", "updated"]
    seen = sign_in(owner).get("/api/v1/deals/D-7").json
    assert (seen["account"], seen["amount"], seen["stage"]) == ("Harbour Bank plc", "920000.00", "solution")
    assert [one["stage"] for one in seen["stages"]] == ["awareness", "solution"]
    assert sign_in(make.user()).get("/api/v1/deals/D-7").status_code == 404
    assert sign_in(owner).put("/api/v1/deals/D-7", json=body).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"created_at": "2026-03-01T09:00:00"},
        {"amount": "-1"},
        {"currency": "YUAN"},
        {"outcome": "won"},
        {"owner_email": "nobody@yunshu.example"},
        {"stage": "nowhere"},
        {"stages": [{"stage": "nowhere", "entered_at": "2026-03-01T09:00:00+08:00"}]},
        {"colour": "red"},
    ],
)
def test_a_deal_that_cannot_be_leaves_nothing(make: Make, sign_in: SignIn, wrong: Mapping[str, object]) -> None:
    make.stages()
    answer = sign_in(make.user(Role.ADMIN)).put("/api/v1/deals/D-7", json=DEAL | wrong)
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert count(make, Deal) == 0


# --- once ---


def test_a_write_with_a_key_happens_once_and_answers_alike(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user(Role.MARKETER))
    body = {"title": "once", "text": "x"}
    first = browser.post("/api/v1/assets", json=body, headers={"Idempotency-Key": "k-1"})
    second = browser.post("/api/v1/assets", json=body, headers={"Idempotency-Key": "k-1"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    assert second.headers["ETag"] == first.headers["ETag"]
    assert (first.headers.get("Idempotent-Replayed"), second.headers["Idempotent-Replayed"]) == (None, "true")
    assert count(make, Asset) == 1
    reused = browser.post("/api/v1/assets", json=body | {"title": "other"}, headers={"Idempotency-Key": "k-1"})
    assert (reused.status_code, reused.json["code"]) == (422, "idempotency_key_reused")
    other = sign_in(make.user(Role.MARKETER)).post("/api/v1/assets", json=body, headers={"Idempotency-Key": "k-1"})
    assert other.json["id"] != first.json["id"], "keys belong to a person"


def test_the_revision_belongs_to_what_a_key_stands_for(make: Make, sign_in: SignIn) -> None:
    asset = make.asset("an asset")
    browser, path = sign_in(make.user(Role.MARKETER)), f"/api/v1/assets/{asset.public_id}/draft"
    answers = [
        browser.put(path, json={"text": "mine"}, headers={"If-Match": revision, "Idempotency-Key": "k"})
        for revision in ('"0"', '"0"', '"1"')
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert answers[2].json["code"] == "idempotency_key_reused"


def test_a_refused_write_may_be_tried_again_with_its_key(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user(Role.ADMIN))
    taken = make.asset("first", external_id="ONE")
    body = {"title": "t", "text": "x", "external_id": "ONE"}
    assert browser.post("/api/v1/assets", json=body, headers={"Idempotency-Key": "k"}).status_code == 409
    make.set_asset(taken, external_id="OTHER")
    assert browser.post("/api/v1/assets", json=body, headers={"Idempotency-Key": "k"}).status_code == 201


@pytest.mark.parametrize("key", ["", " ", "k" * 81, "a b", "é"])
def test_a_bad_key_is_refused_before_anything_happens(make: Make, sign_in: SignIn, key: str) -> None:
    browser = sign_in(make.user(Role.MARKETER))
    answer = browser.post("/api/v1/assets", json={"title": "t", "text": "x"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key")
    assert count(make, Asset) == 0


def test_many_at_once_with_one_key_are_one_write(make_any: Make) -> None:
    user = make_any.user(Role.MARKETER)
    actor = make_any.actor(user)
    asset = make_any.asset("an asset")
    done: list[int] = []

    def act(session: object) -> tuple[int, object]:
        done.append(1)
        return 200, {"id": asset.public_id}

    def write(_number: int) -> idempotency.Answer:
        with make_any.service.database.writing() as session:
            return idempotency.once(session, actor, idempotency.Request.of("k", b"same"), act)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(write, range(16)))
    assert len(done) == 1
    assert {answer.body for answer in answers} == {f'{{"id":"{asset.public_id}"}}'}
    assert sum(not answer.is_replayed for answer in answers) == 1


def test_kept_answers_are_forgotten_after_a_day(make: Make, sign_in: SignIn, service: Service) -> None:
    browser = sign_in(make.user(Role.MARKETER))
    browser.post("/api/v1/assets", json={"title": "once", "text": "x"}, headers={"Idempotency-Key": "k"})
    idempotency.sweep(service.database)()
    assert count(make, KeptAnswer) == 1
    with time_machine.travel(clock.now() + idempotency.KEPT + timedelta(minutes=1)):
        idempotency.sweep(service.database)()
    assert count(make, KeptAnswer) == 0


def test_use_events_answer_alike_with_a_key(make: Make, sign_in: SignIn) -> None:
    asset = make.asset("an asset")
    browser = sign_in(make.user())
    body = {"event_id": "e-1", "asset": asset.public_id, "kind": "copy", "deal_source": "none"}
    answers = [browser.post("/api/v1/usage", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [(answer.status_code, answer.json) for answer in answers] == [(202, {"recorded": True})] * 2
    assert browser.post("/api/v1/usage", json=body).json == {"recorded": False}, "seen before, and still no error"
    assert count(make, UseEvent) == 1


# --- scopes and the document ---


def test_a_token_does_what_its_scopes_allow_and_nothing_else(make: Make, sign_in: SignIn, app: Flask) -> None:
    admin = make.user(Role.ADMIN, Role.REVIEWER)  # between them they hold every right
    routes = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith(api.PREFIX)]
    assert len(routes) > 10
    browser = sign_in(None)
    for scope in Permission:
        with make.service.database.writing() as session:
            token = tokens.create(session, SYSTEM, session.get_one(User, admin.id), f"for {scope}", [scope.value])
        for rule in routes:
            method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))
            path = rule.rule.replace("<reference>", "none").replace("<external_id>", "none").replace("<number>", "1")
            answer = browser.open(
                path, method=method, json={} if method != "GET" else None, headers={"Authorization": f"Bearer {token}"}
            )
            allowed = needs_of(app)[rule.endpoint] is scope
            assert (answer.status_code == 403) == (not allowed), (scope, method, path, answer.text[:200])
            if not allowed:
                assert answer.json["permission"] == needs_of(app)[rule.endpoint].value  # type: ignore[union-attr]


REFUSALS: list[tuple[Callable[[Browser], object], int]] = [
    (lambda b: b.get("/api/v1/nothing"), 404),
    (lambda b: b.delete("/api/v1/assets"), 405),
    (lambda b: b.post("/api/v1/assets", data="title=x", content_type="text/plain"), 415),
    (lambda b: b.post("/api/v1/assets", data="{", content_type="application/json"), 400),
    (lambda b: b.get("/api/v1/assets?limit=0"), 422),
    (lambda b: b.get("/api/v1/assets?colour=red"), 422),
    (lambda b: b.get("/api/v1/assets/none"), 404),
    (lambda b: b.get("/api/v1/assets?deal=none"), 404),
]


@pytest.mark.parametrize(("ask", "status"), REFUSALS)
def test_every_refusal_is_a_problem_document(
    make: Make, sign_in: SignIn, ask: Callable[[Browser], object], status: int
) -> None:
    answer = ask(sign_in(make.user(Role.ADMIN)))
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")  # type: ignore[attr-defined]
    assert {"type", "title", "status", "code", "detail", "request_id"} <= answer.json.keys()  # type: ignore[attr-defined]


def test_the_document_names_every_route(app: Flask, make: Make, sign_in: SignIn) -> None:
    document = sign_in(make.user()).get("/api/v1/openapi.json").json
    served = {
        (method.lower(), rule.rule.replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(api.PREFIX) and rule.endpoint != "api.openapi"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    written = {(method, path) for path, operations in document["paths"].items() for method in operations}
    assert written >= served
    assert document["openapi"] == "3.1.0"
    writes = [(m, p) for m, p in served if m != "get"]
    for method, path in writes:
        names = {parameter["name"] for parameter in document["paths"][path][method]["parameters"]}
        assert "Idempotency-Key" in names, (method, path)
    assert "If-Match" in {p["name"] for p in document["paths"]["/api/v1/assets/{reference}/draft"]["put"]["parameters"]}


def test_two_who_make_the_same_at_once_are_a_conflict_and_no_crash(
    make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looked before either wrote, as two machines on one database may."""
    make.asset("first", external_id="ONE")
    monkeypatch.setattr("content.service.find_by_external_id", lambda _session, _external_id: None)
    browser = sign_in(make.user(Role.ADMIN))
    answer = browser.post("/api/v1/assets", json={"title": "t", "text": "x", "external_id": "ONE"})
    assert (answer.status_code, answer.json["code"]) == (409, "conflict")
    assert count(make, Asset) == 1
