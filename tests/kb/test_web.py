"""The edge: where one may be sent, which hosts are answered, what every answer carries."""

from dataclasses import replace

import pytest
from flask import Flask, Response
from hypothesis import given
from hypothesis import strategies as st

from kb import web
from kb.app import Service, create_app
from kb.config import Settings
from kb.web import PUBLIC, safe_next
from tests.conftest import ORIGIN, SignIn
from tests.factories import Make


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "/\\/evil.example",
        "/\t/evil.example", "/%09/evil.example", "/%2fevil.example", "%2f%2fevil.example", "/%5cevil.example", "/%255cevil.example",
        "https://evil.example", "https:evil.example", "http:///evil.example", "HTTPS://evil.example", "javascript:alert(1)",
        "data:text/html,x", "vbscript:x", "http://127.0.0.1@evil.example", "/a\r\nSet-Cookie: x=1", "/a%0d%0aX: 1", "/\x00", "/%00",
        " //evil.example", "evil.example", "?next=//evil.example", "#x", "／／evil.example", "/a\x7f", "/ /evil.example", "",
    ],
)  # fmt: skip
def test_A55_no_spelling_leads_to_another_place(target: str) -> None:
    assert safe_next(target) == "/"


@pytest.mark.parametrize(
    "target",
    ["/", "/search?q=price&deal=D-1", "/assets/abc#section", "/search?q=%E4%BB%B7%E6%A0%BC", "/sign-in?next=/library"],
)
def test_A55_addresses_of_our_own_are_kept(target: str) -> None:
    assert safe_next(target) == target


def test_A55_no_address_at_all_is_the_start() -> None:
    assert safe_next(None) == "/"


@given(st.text(alphabet="/\\%25fF0c9a.:@?#ehtps \t\r\n\x00／", max_size=30))
def test_A55_whatever_is_kept_is_a_plain_path(target: str) -> None:
    kept = safe_next(target)
    assert kept.startswith("/")
    assert not kept.startswith(("//", "/\\"))
    assert not any(ord(sign) < 33 for sign in kept)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:443", "127.0.0.1@evil.example", "[::2]"]
)
def test_A57_another_host_is_refused_and_never_repeated(app: Flask, host: str) -> None:
    for address in ("/sign-in", "/", "/healthz", "/api/v1/search"):
        answer = app.test_client().get(address, base_url=ORIGIN, headers={"Host": host})
        assert answer.status_code == 400
        assert "evil" not in answer.text + str(answer.headers)


def test_A57_proxy_headers_count_for_nothing_without_a_proxy(app: Flask) -> None:
    answer = app.test_client().get(
        "/",
        base_url=ORIGIN,
        headers={"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "Forwarded": "host=evil.example"},
    )
    assert answer.status_code == 302
    assert "evil" not in answer.location


def test_A57_the_configured_address_is_the_only_one(service: Service) -> None:
    app = create_app(replace(service, settings=replace(service.settings, base_url="https://kb.company.example")))
    assert app.test_client().get("/sign-in", base_url="https://kb.company.example").status_code == 200
    assert app.test_client().get("/sign-in", base_url=ORIGIN).status_code == 400


@pytest.mark.parametrize(
    ("base_url", "name", "secure"),
    [
        ("", "__Host-kb", True),
        ("https://kb.company.example", "__Host-kb", True),
        ("http://localhost:8000", "__Host-kb", True),
        ("http://kb.company.example", "kb", False),
    ],
)
def test_the_cookie_is_host_bound_wherever_browsers_allow_it(
    service: Service, base_url: str, name: str, secure: bool
) -> None:
    app = create_app(
        replace(
            service,
            settings=Settings(
                data_dir=service.settings.data_dir,
                secret_key=service.settings.secret_key,
                base_url=base_url,
                allow_http=True,
            ),
        )
    )
    assert (app.config["SESSION_COOKIE_NAME"], app.config["SESSION_COOKIE_SECURE"]) == (name, secure)


@pytest.fixture
def breaking(app: Flask) -> Flask:
    """An application with a page that breaks."""

    def page() -> Response:
        raise RuntimeError("the secret detail")

    app.add_url_rule("/breaks", "breaks", page)
    app.add_url_rule("/api/v1/breaks", "api_breaks", page)
    web.needs_of(app).update(breaks=PUBLIC, api_breaks=PUBLIC)
    return app


ANSWERS = [
    ("GET", "/sign-in", 200),
    ("GET", "/", 302),
    ("GET", "/healthz", 200),
    ("GET", "/no-such-page", 404),
    ("GET", "/api/v1/no-such-thing", 404),
    ("GET", "/api/v1/search", 401),
    ("DELETE", "/sign-in", 405),
    ("POST", "/sign-in", 400),
    ("GET", "/breaks", 500),
    ("GET", "/api/v1/breaks", 500),
    ("GET", f"/search?q={'x' * 9_000}", 422),
    ("GET", "/static/no-such-file.css", 404),
    ("GET", "/static/app.css", 200),
]


@pytest.mark.parametrize(("method", "address", "status"), ANSWERS, ids=lambda value: str(value)[:30])
def test_A67_every_answer_carries_the_headers(breaking: Flask, method: str, address: str, status: int) -> None:
    answer = breaking.test_client().open(address, method=method, base_url=ORIGIN)
    answer.close()
    assert answer.status_code == status
    policy = answer.headers["Content-Security-Policy"]
    for rule in (
        "default-src 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ):
        assert rule in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Strict-Transport-Security"]
    assert "Access-Control-Allow-Origin" not in answer.headers
    if address == "/static/app.css":
        assert "public" in answer.headers["Cache-Control"]
    else:
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert {"Cookie", "Authorization"} <= {word.strip() for word in answer.headers["Vary"].split(",")}


def test_A67_a_body_too_large_is_refused_with_the_headers(service: Service) -> None:
    app = create_app(replace(service, settings=replace(service.settings, max_upload_mb=1)))
    answer = app.test_client().post("/sign-in", data={"email": "x" * 1_100_000}, base_url=ORIGIN)
    assert answer.status_code == 413
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["Content-Security-Policy"]


def test_no_hsts_without_https(app: Flask) -> None:
    assert "Strict-Transport-Security" not in app.test_client().get("/healthz", base_url="http://127.0.0.1").headers


def test_stamped_files_are_kept_for_ever_and_others_for_minutes(app: Flask) -> None:
    for address, for_ever in (("/static/app.css?v=1", True), ("/static/app.css", False)):
        with app.test_client().get(address, base_url=ORIGIN) as answer:
            assert ("immutable" in answer.headers["Cache-Control"]) is for_ever


def test_a_crash_says_nothing_but_an_id(breaking: Flask) -> None:
    page = breaking.test_client().get("/breaks", base_url=ORIGIN)
    problem = breaking.test_client().get("/api/v1/breaks", base_url=ORIGIN)
    for text in (page.text, problem.text):
        assert "secret detail" not in text
        assert "Traceback" not in text
        assert "RuntimeError" not in text
    assert problem.mimetype == "application/problem+json"
    assert problem.json["code"] == "error"
    assert problem.json["request_id"]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("/api/v1/search", "sign_in_needed"),
        ("/api/v1/nothing", "not_found"),
        ("/api/v1/assets/nothing", "sign_in_needed"),
    ],
)
def test_refusals_of_the_api_are_problem_documents(app: Flask, address: str, code: str) -> None:
    answer = app.test_client().get(address, base_url=ORIGIN)
    assert answer.mimetype == "application/problem+json"
    assert {"type", "title", "status", "code", "detail", "request_id"} <= answer.json.keys()
    assert (answer.json["code"], answer.json["status"]) == (code, answer.status_code)


def test_a_fragment_without_sign_in_is_401_and_a_page_goes_to_sign_in(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/search?q=x", base_url=ORIGIN, headers={"X-Fragment": "1"}).status_code == 401
    answer = client.get("/search?q=x", base_url=ORIGIN)
    assert (answer.status_code, answer.location) == (302, "/sign-in?next=/search?q%3Dx")


def test_a_page_beyond_ones_rights_is_403_and_says_whom_to_ask(sign_in: SignIn, make: Make) -> None:
    answer = sign_in(make.user()).get("/look")
    assert answer.status_code == 403
    assert "ask an admin" in answer.text


def test_405_names_what_is_taken(app: Flask) -> None:
    answer = app.test_client().delete("/healthz", base_url=ORIGIN)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
