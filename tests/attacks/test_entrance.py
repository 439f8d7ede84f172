"""Signing in, sessions, tokens, foreign origins, headers."""

import ast
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask

from content import dealing
from kb import clock, config, throttle, tokens, users
from kb.access import SYSTEM, Permission, Role
from kb.app import Service, create_app
from kb.audit import AuditEntry
from kb.errors import WrongSettings
from kb.users import User
from kb.web import needs_of, safe_next
from tests.attacks.conftest import anonymous_form
from tests.conftest import ORIGIN, SECRET, Browser, SignIn
from tests.factories import PASSWORD, Make
from tests.leaks.surfaces import INVENTORY
from tests.leaks.world import NEVER, found_in, same_form

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = (
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "/%09/evil.example", "/\t/evil.example", "/\n/evil.example",
    "https:evil.example", "https://evil.example", "http:///evil.example", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "%2f%2fevil.example", "/%2f/evil.example",
    "/%2fevil.example", "/%5cevil.example", "/%255cevil.example", "/%252fevil.example", "http://127.0.0.1@evil.example", "//127.0.0.1@evil.example", "/\r\nLocation: //evil.example",
    "/\x00/evil.example", "／／evil.example", "\u3000//evil.example", " //evil.example", "", "evil.example", "?x", "#x", "/ /evil.example", "/\x7f/evil.example",
)  # fmt: skip


def whatwg(location: str) -> str:
    """Where a browser goes: blanks at the ends and tabs inside are dropped, a backslash is a slash."""
    cleaned = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(33))))).replace("\\", "/")
    return urlsplit(urljoin(f"{ORIGIN}/sign-in", cleaned)).netloc


@pytest.mark.parametrize("target", FOREIGN)
def test_A55_no_next_leaves_our_origin(target: str) -> None:
    assert whatwg(safe_next(target)) == "127.0.0.1"
    assert safe_next(safe_next(target)) == safe_next(target)
    assert whatwg(dealing.with_deal(safe_next(target), "D-1//evil.example")) == "127.0.0.1"


def test_A55_every_page_that_goes_on_stays_here(make: Make, sign_in: SignIn) -> None:
    user = make.user()
    make.password(user)
    asset = make.asset("Seen")
    browser = sign_in(user)
    for target in (
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/%2f/evil.example",
        "/%09/evil.example",
    ):
        anonymous = anonymous_form(sign_in(None))
        sent = [
            browser.get("/sign-in", query_string={"next": target}),
            browser.post("/account/language", data={"language": "en", "next": target}),
            browser.post(f"/assets/{asset.public_id}/events", data={"kind": "helpful", "next": target}),
            anonymous.post("/sign-in", data={"email": user.email, "password": PASSWORD, "next": target}),
        ]
        assert [(got.status_code, whatwg(got.headers["Location"])) for got in sent] == [(302, "127.0.0.1")] * 4
        for page in (
            browser.get("/deals/pick", query_string={"next": target}),
            sign_in(None).get("/sign-in", query_string={"next": target}),
        ):
            assert {
                whatwg(unescape(address)) for address in re.findall(r'(?:href|src|action)="([^"]*)"', page.text)
            } == {"127.0.0.1"}
            assert {whatwg(unescape(onward)) for onward in re.findall(r'name="next" value="([^"]*)"', page.text)} == {
                "127.0.0.1"
            }
    for path in (
        "/assets/a%0d%0aSet-Cookie:%20x=1",
        "/assets/%2f%2fevil.example",
        "/%0d%0aX:y",
        "/search?q=%0d%0aX-Evil:1",
    ):
        got = sign_in(None).get(path)
        assert "X-Evil" not in got.headers
        assert "x=1" not in got.headers.get("Set-Cookie", "")
        assert whatwg(got.headers.get("Location", "/")) == "127.0.0.1"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:443",
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "[::1].evil.example",
        "",
    ],
)
def test_A57_a_foreign_host_is_refused(make: Make, sign_in: SignIn, host: str) -> None:
    for path in ("/sign-in", "/", "/api/v1/search", "/api/v1/openapi.json"):
        got = sign_in(None).get(path, headers={"Host": host})
        assert got.status_code in ({400} if host else {200, 302, 400, 401})
        assert "evil.example" not in got.text + got.headers.get("Location", "")


def test_A57_forwarded_headers_change_nothing_unless_a_proxy_is_trusted(
    make: Make, sign_in: SignIn, service: Service
) -> None:
    headers = {
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Prefix": "/evil.example",
        "X-Host": "evil.example",
    }
    browser = sign_in(make.user())
    for path in ("/", "/search?q=x&deal=", "/api/v1/openapi.json", "/account/"):
        assert "evil.example" not in browser.get(path, headers=headers).text
    got = sign_in(None).get("/", headers=headers)
    assert got.headers["Location"] == "/sign-in?next=/"


def test_A58_signing_in_gives_a_new_id_and_ends_with_sign_out_password_or_rights(
    make: Make, sign_in: SignIn, service: Service
) -> None:
    user = make.user()
    make.password(user)
    browser = anonymous_form(sign_in(None))
    with browser.session_transaction(base_url=ORIGIN) as planted:
        planted["_user_id"], planted["last_deal"], planted["planted"] = "chosen by the attacker", "D-1", True
    anonymous_form(browser)
    assert browser.post("/sign-in", data={"email": user.email, "password": PASSWORD}).status_code == 302
    with browser.session_transaction(base_url=ORIGIN) as fresh:
        assert fresh["_user_id"] != "chosen by the attacker"
        assert not {"planted", "last_deal"} & set(fresh)
        copied = dict(fresh)
    thief = sign_in(None)
    with thief.session_transaction(base_url=ORIGIN) as cookie:
        cookie.update(copied)
    assert thief.get("/account/").status_code == 200
    browser.csrf = browser.get("/account/").text.partition('name="csrf-token" content="')[2].partition('"')[0]
    assert browser.post("/sign-out").status_code == 302
    assert thief.get("/account/").status_code == 302, "a copied cookie dies with the sign-out"
    for change in (lambda: make.password(user, "another long password"), lambda: _put(service, user, Role.ADMIN)):
        other = sign_in(user)
        change()
        assert other.get("/account/").status_code == 302
    first, second = sign_in(user), sign_in(user)
    changed = first.post(
        "/account/password",
        data={
            "present": "another long password",
            "password": "a third long password",
            "again": "a third long password",
        },
    )
    assert changed.status_code == 302
    assert (first.get("/account/").status_code, second.get("/account/").status_code) == (200, 302)


def _put(service: Service, user: User, role: Role) -> None:
    with service.database.writing() as session:
        users.put(session, SYSTEM, users.NewUser(user.email, roles=(role,)))


WRITES = [surface for surface in INVENTORY if surface.method == "POST"]
LOT = 24
"""Ways to write that are tried in one world: none of them changes anything, as is looked at after each."""


@pytest.mark.parametrize("first", range(0, len(WRITES), LOT))
def test_A59_no_write_without_our_token_and_origin(
    make: Make, sign_in: SignIn, app: Flask, rows: Callable[[], object], first: int
) -> None:
    admin = make.user(Role.ADMIN, Role.REVIEWER)
    asset = make.asset("Seen")
    browser, stranger = sign_in(admin), sign_in(make.user())
    rules = {rule.endpoint: rule.rule for rule in app.url_map.iter_rules()}
    form = {
        "reason": "x",
        "language": "en",
        "name": "x",
        "kind": "helpful",
        "email": admin.email,
        "password": "wrong",
        "present": PASSWORD,
        "again": "wrong",
    }
    body = {"reason": "x", "event_id": "csrf", "kind": "view", "asset": asset.public_id}
    anonymous = anonymous_form(sign_in(None)).csrf
    own = browser.csrf
    for surface in WRITES[first : first + LOT]:
        path = re.sub(r"<[^>]+>", asset.public_id, rules[surface.endpoint])
        before = rows()
        for token, headers in (
            ("", {}), (stranger.csrf, {}), (anonymous, {}), (own[::-1], {}), (own, {"Origin": "https://evil.example"}), (own, {"Origin": "null"}), (own, {"Origin": "http://["}),
            (own, {"Origin": "https://127.0.0.1.evil.example"}), (own, {"Sec-Fetch-Site": "cross-site"}), (own, {"Sec-Fetch-Site": "same-site"}), ("", {"Authorization": "Bearer kb_made_up"}), ("", {"X-HTTP-Method-Override": "POST"}),
        ):  # fmt: skip
            browser.csrf = ""
            for sent in (
                {"data": form},
                {"json": body},
                {"data": '{"reason":"x"}', "content_type": "text/plain"},
                {"query_string": form},
            ):
                got = browser.post(path, headers={**headers, **({"X-CSRFToken": token} if token else {})}, **sent)
                assert got.status_code == 400, (surface.endpoint, headers, sent)
        got = browser.get(path, query_string={**form, "_method": "POST", "csrf_token": own})
        # 422 is a read that knows none of these words
        assert got.status_code in {200, 302, 404, 405, 422}, surface.endpoint
        assert rows() == before, surface.endpoint


def test_A59_no_get_changes_anything_but_views_and_searches(
    make: Make,
    sign_in: SignIn,
    app: Flask,
    rows: Callable[[], dict[str, object]],
    trail: Callable[[], list[AuditEntry]],
) -> None:
    admin = make.user(Role.ADMIN, Role.REVIEWER)
    asset = make.asset("Seen")
    make.index()
    browser = sign_in(admin)
    before, entries = rows(), len(trail())
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<path:[^>]+>", "app.css", re.sub(r"<(?!path)[^>]+>", asset.public_id, rule.rule))
        for method in ("GET", "HEAD", "OPTIONS"):
            for query in ("", "?q=Seen&deal=&reason=x&language=zh_Hans&name=x&kind=helpful&publish=1&delete=1"):
                with browser.open(path + query, method=method) as got:
                    assert got.status_code < 500
    after = rows()
    assert {name for name in after if after[name] != before[name]} <= {"use_event"}
    assert all("view" in row for row in after["use_event"])
    assert len(trail()) == entries


def test_A63_sign_in_says_the_same_of_known_and_unknown_people(make: Make, sign_in: SignIn, service: Service) -> None:
    known, without, gone = make.user(), make.user(), make.user()
    make.password(known), make.password(gone)
    with service.database.writing() as session:
        session.get_one(User, gone.id).deactivated_at = clock.now()
    browser = anonymous_form(sign_in(None))
    answers = []
    for email, password in (
        (known.email, "wrong password"),
        ("nobody@yunshu.example", "wrong password"),
        (without.email, "wrong password"),
        (gone.email, PASSWORD),
        (f" {known.email.upper()}", ""),
    ):
        got = browser.post("/sign-in", data={"email": email, "password": password})
        answers.append(same_form(got, email, email.strip()))
    assert {answer[0] for answer in answers} == {422}
    assert len({re.sub(r"autofocus|value=\"[^\"]*\"", "", answer[1]) for answer in answers}) == 1
    assert len({tuple(sorted(answer[2].items())) for answer in answers}) == 1


def test_A63_readers_never_meet_addresses_of_others(make: Make, sign_in: SignIn) -> None:
    owner = make.user(Role.MARKETER)
    asset = make.asset("Seen", owners=[owner])
    deal = make.deal(make.user())
    make.index()
    reader = make.user()
    make.set_deal(deal, owner_id=reader.id)
    browser = sign_in(reader)
    pages = [
        browser.get(path).text
        for path in (
            "/",
            "/search?q=Seen&deal=",
            f"/assets/{asset.public_id}?deal=",
            f"/api/v1/assets/{asset.public_id}",
            "/api/v1/search?q=Seen",
            "/deals/pick",
            "/api/v1/openapi.json",
        )
    ]
    assert owner.name in pages[2]
    assert all(owner.email not in page for page in pages)


def test_A64_the_throttle_holds_over_spellings_headers_and_processes(
    make: Make, sign_in: SignIn, service: Service
) -> None:
    user = make.user()
    make.password(user)
    spellings = [user.email, user.email.upper(), f" {user.email}", f"{user.email}\t", user.email.title()]
    processes = [create_app(service), create_app(service)]
    codes = []
    for number in range(throttle.TRIES_PER_OBJECT + 3):
        app = processes[number % 2]
        app.test_client_class = Browser
        browser = anonymous_form(app.test_client())
        form = {"email": spellings[number % 5], "password": f"wrong {number}", f"extra{number}": "x"}
        codes.append(
            browser.post(
                "/sign-in", data=form, headers={"X-Forwarded-For": f"10.0.0.{number}", "X-Real-IP": f"10.0.1.{number}"}
            ).status_code
        )
    assert codes == [422] * throttle.TRIES_PER_OBJECT + [429] * 3
    refused = anonymous_form(sign_in(None)).post("/sign-in", data={"email": user.email, "password": PASSWORD})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= throttle.WINDOW.total_seconds()
    for path in ("/sign-in/", "//sign-in", "/sign-in;x", "/SIGN-IN", "/api/v1/sign-in"):
        assert anonymous_form(sign_in(None)).post(
            path, data={"email": user.email, "password": PASSWORD}
        ).status_code in {308, 404, 405}


def test_A64_many_addresses_from_one_host_are_stopped_too(
    make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "TRIES_PER_HOST", 5)
    browser = anonymous_form(sign_in(None))
    codes = [
        browser.post(
            "/sign-in", data={"email": f"person{number}@yunshu.example", "password": "Summer2026!"}
        ).status_code
        for number in range(7)
    ]
    assert codes == [422] * 5 + [429] * 2


def test_A65_no_secret_is_compared_by_equality() -> None:
    secret = re.compile(r"token|signature|secret|password|csrf", re.IGNORECASE)
    allowed = {
        "fresh.password_hash != user.password_hash",
        "wanted != request.form.get('again', '')",
        "password.casefold() == user.email",
        "CalendarAddress.secret_hash == _hash(secret[:200])",  # hashes of 256 random bits, looked up by an index
    }
    found = set()
    for path in [*ROOT.glob("kb/*.py"), *ROOT.glob("content/*.py"), *ROOT.glob("search/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
                written = ast.unparse(node)
                names = {
                    part.id if isinstance(part, ast.Name) else part.attr
                    for part in ast.walk(node)
                    if isinstance(part, ast.Name | ast.Attribute)
                }
                if any(secret.search(name) for name in names) and not written.startswith(("ApiToken.", "SignedIn.")):
                    found.add(written)
    assert {written for written in found if "token" not in written or "_hash" not in written} <= allowed | {
        w for w in found if re.search(r"token\.(cjk|text|start|end)|tokens\(|words ==|\.token\b", w)
    }


@pytest.mark.parametrize(
    "given",
    [
        {"secret_key": "short"},
        {"secret_key": "x" * 31},
        {"base_url": "http://kb.company.example"},
        {"base_url": "evil"},
        {"timezone": "Moon"},
        {"database_url": "mysql://x"},
        {"trusted_proxies": -1},
    ],
)
def test_A66_weak_settings_do_not_start(given: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(WrongSettings):
        config.load({}, **{"data_dir": tmp_path, "secret_key": SECRET, **given})


def test_A66_a_folder_that_others_may_write_and_a_cookie_of_another_key_are_refused(
    make: Make, sign_in: SignIn, service: Service, tmp_path: Path
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(WrongSettings):
        config.prepare_data_dir(config.load({}, data_dir=folder, secret_key=SECRET))
    other = create_app(service)
    other.secret_key = "x" * 40
    other.test_client_class = Browser
    forger = other.test_client()
    with forger.session_transaction(base_url=ORIGIN) as cookie:
        cookie["_user_id"] = "x"
    forged = forger.get_cookie("__Host-kb", domain="127.0.0.1").value
    browser = sign_in(None)
    browser.set_cookie("__Host-kb", forged, domain="127.0.0.1")
    assert browser.get("/account/").status_code == 302


def test_A67_cookies_and_headers_on_every_answer(make: Make, sign_in: SignIn, app: Flask) -> None:
    asset = make.asset("Seen")
    make.index()
    browser, anonymous = sign_in(make.user(Role.ADMIN, Role.REVIEWER)), sign_in(None)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    answers = [
        anonymous.get("/sign-in"),
        anonymous.get("/"),
        anonymous.get("/api/v1/search"),
        anonymous.get("/static/app.css"),
        anonymous.get("/static/nothing"),
        anonymous.get("/healthz"),
    ]
    answers += [
        browser.get(path)
        for path in (
            "/",
            f"/assets/{asset.public_id}?deal=",
            f"/assets/{asset.public_id}/source",
            "/api/v1/search",
            "/nothing",
            "/api/v1/nothing",
            "/search?offset=99999999",
            "/metrics",
            "/look",
            "/search?" + "x" * 9000,
        )
    ]
    answers += [
        browser.put("/search"),
        browser.post("/account/language", data={"language": "x"}),
        browser.post("/api/v1/usage", data=b"x" * 1000, headers={"Content-Length": str(10**9)}),
    ]
    for got in answers:
        got.close()
        where = (got.request.path, got.status_code)
        assert got.headers["X-Content-Type-Options"] == "nosniff", where
        assert got.headers["X-Frame-Options"] == "DENY", where
        policy = got.headers["Content-Security-Policy"]
        assert "unsafe" not in policy, where
        assert "default-src" in policy and ("frame-ancestors 'none'" in policy or policy.startswith("sandbox")), where
        assert got.headers["Referrer-Policy"] == "same-origin", where
        assert "max-age=" in got.headers["Strict-Transport-Security"], where
        assert not {"Server", "X-Powered-By"} & set(got.headers.keys()), where
        assert got.headers["Cache-Control"] == "private, no-store" or (
            got.request.path.startswith("/static/") and got.status_code == 200
        ), where
        for cookie in got.headers.getlist("Set-Cookie"):
            assert cookie.startswith("__Host-kb=")
            assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
            assert "Domain" not in cookie


def test_A94_no_page_may_be_framed_and_no_origin_is_let_in(make: Make, sign_in: SignIn, app: Flask) -> None:
    browser = sign_in(make.user(Role.ADMIN, Role.REVIEWER))
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", NEVER, rule.rule)
        for origin in ("null", "https://evil.example", "https://127.0.0.1.evil.example", ORIGIN):
            for method in ("GET", "OPTIONS"):
                got = browser.open(
                    path, method=method, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
                )
                assert not [name for name, _ in got.headers if name.lower().startswith("access-control")]
                assert "frame-ancestors 'none'" in got.headers["Content-Security-Policy"] or got.headers[
                    "Content-Security-Policy"
                ].startswith("sandbox")


def test_A46_a_token_does_what_scope_and_owner_allow_now(
    make: Make, sign_in: SignIn, service: Service, app: Flask
) -> None:
    owner, other = make.user(Role.MARKETER), make.user()
    asset = make.asset("Seen")
    make.index()
    with service.database.writing() as session:
        made = {
            scope: tokens.create(
                session, SYSTEM, users.get_by_email(session, owner.email), "t", [scope] if scope else []
            )
            for scope in ("search", "use", "metrics", "administer", "")
        }
    ask = lambda token, method, path, **more: (
        sign_in(None).open(path, method=method, headers={"Authorization": f"Bearer {token}"}, **more).status_code
    )
    event = {"event_id": "t", "kind": "view", "asset": asset.public_id}
    assert ask(made["search"], "GET", "/api/v1/search") == 200
    assert [ask(made[scope], "GET", "/api/v1/search") for scope in ("use", "metrics", "administer")] == [403] * 3
    assert ask(made["search"], "POST", "/api/v1/usage", json=event) == 403
    assert ask(made["search"], "POST", f"/api/v1/assets/{asset.public_id}/withdraw", json={"reason": "x"}) == 403
    assert ask(made["metrics"], "GET", "/metrics") == 403, "a scope gives nothing that the owner has not"
    for path in ("/", "/account/", "/search", f"/assets/{asset.public_id}", "/library"):
        assert ask(made[""], "GET", path) == 302, "pages take no token"
    for path in (
        "/account/tokens",
        "/account/password",
        "/account/language",
        "/sign-out",
        f"/assets/{asset.public_id}/withdraw",
    ):
        assert ask(made[""], "POST", path, data={"name": "more", "reason": "x"}) in {302, 400, 401}
    for wrong in (
        made["search"][:-1],
        made["search"] + "x",
        made["search"].upper(),
        "kb_",
        "",
        tokens.PREFIX + made["use"],
        made["search"].replace("kb_", "", 1),
    ):
        assert ask(wrong, "GET", "/api/v1/search") == 401
    assert sign_in(None).get(
        "/api/v1/search", query_string={"token": made[""], "access_token": made[""]}
    ).status_code in {401, 422}
    assert sign_in(other).get("/api/v1/search", headers={"Authorization": f"Bearer {made['']}"}).status_code == 200
    assert (
        sign_in(other)
        .post("/api/v1/assets/x/withdraw", json={"reason": "x"}, headers={"Authorization": f"Bearer {made['']}"})
        .status_code
        == 403
    ), "the cookie says who asks"
    mine = sign_in(owner).get("/account/").text
    assert all(token not in mine for token in made.values())
    token_id = re.search(r"/account/tokens/([\w-]+)/revoke", mine).group(1)
    assert sign_in(other).post(f"/account/tokens/{token_id}/revoke").status_code == 404
    _put(service, owner, Role.REP)
    assert ask(made[""], "POST", f"/api/v1/assets/{asset.public_id}/withdraw", json={"reason": "x"}) == 403, "demoted"
    with service.database.writing() as session:
        for row in session.query(tokens.ApiToken):
            row.expires_at = clock.now() - timedelta(seconds=1)
    assert ask(made["search"], "GET", "/api/v1/search") == 401


def test_A48_whoever_is_deactivated_is_out_with_every_key(make: Make, sign_in: SignIn, service: Service) -> None:
    user = make.user()
    make.password(user)
    browser = sign_in(user)
    with service.database.writing() as session:
        token = tokens.create(session, SYSTEM, users.get_by_email(session, user.email), "t")
        session.get_one(User, user.id).deactivated_at = clock.now()
    assert browser.get("/").status_code == 302
    assert sign_in(None).get("/api/v1/search", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert (
        anonymous_form(sign_in(None)).post("/sign-in", data={"email": user.email, "password": PASSWORD}).status_code
        == 422
    )


def test_A41_no_field_beyond_the_known_is_taken(
    make: Make, sign_in: SignIn, app: Flask, rows: Callable[[], object]
) -> None:
    asset = make.asset("Seen")
    browser = sign_in(make.user(Role.MARKETER))
    before = rows()
    extra = {
        "state": "published",
        "tier": "public",
        "author_id": 1,
        "owner_ids": [1],
        "approved_by": 1,
        "published_at": "2020-01-01",
        "id": 1,
        "digest": "0" * 64,
        "is_bulk_load": True,
        "user_id": 1,
        "at": "2020-01-01",
        "was_unlocked": True,
    }
    for name, value in extra.items():
        for path, body in (
            (f"/api/v1/assets/{asset.public_id}/withdraw", {"reason": "x"}),
            ("/api/v1/usage", {"event_id": "x", "kind": "view", "asset": asset.public_id}),
            (f"/assets/{asset.public_id}/events", {"event_id": "x", "kind": "view"}),
        ):
            got = browser.post(path, json={**body, name: value})
            assert got.status_code == 422, (path, name)
            assert str(value) not in got.text or value in {1}
    assert rows() == before


@pytest.mark.parametrize("value", ["true", 1, True, [True], {"$ne": 0}, None, ["copy"], {"kind": "view"}])
def test_A39_wrong_types_are_refused(make: Make, sign_in: SignIn, rows: Callable[[], object], value: object) -> None:
    asset = make.asset("Seen")
    browser, before = sign_in(make.user(Role.MARKETER)), rows()
    for field in ("event_id", "kind", "asset", "deal", "deal_source", "search", "remark"):
        if field != "kind" and isinstance(value, str):
            continue
        assert (
            browser.post(
                "/api/v1/usage", json={"event_id": "x", "kind": "view", "asset": asset.public_id, field: value}
            ).status_code
            == 422
        ), field
    for body in ([], [{}], "text", 1, True, None):
        assert browser.post("/api/v1/usage", json=body).status_code == 422
    assert rows() == before


def test_A40_no_route_gives_rights(
    app: Flask, make: Make, sign_in: SignIn, rows: Callable[[], dict[str, object]]
) -> None:
    user = make.user(Role.MANAGER)
    browser, before = sign_in(user), rows()["user_role"]
    browser.post(
        "/account/language",
        data={"language": "en", "role": "admin", "clearance": "confidential", "email": "x@y.example"},
    )
    browser.post(
        "/account/tokens",
        data={"name": "x", "scope": ["administer", "publish", "import"], "owner": "1", "user_id": "1"},
    )
    assert rows()["user_role"] == before
    found = browser.get("/account/")
    assert user.email in found.text
    assert (
        found_in(" ".join(rule.rule for rule in app.url_map.iter_rules()), ["user", "role", "invite", "impersonat"])
        == []
    )
    assert set(needs_of(app).values()) <= {*Permission, needs_of(app)["login.page"]}
