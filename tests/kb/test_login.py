"""Signing in and out in a browser."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from time_machine import Traveller
from werkzeug.test import TestResponse

from kb.app import Service, create_app
from kb.audit import AuditEntry
from kb.sessions import SignedIn
from kb.throttle import SignInTry
from kb.users import User
from tests.conftest import ORIGIN, Browser, SignIn
from tests.factories import PASSWORD, Make

COOKIE = "__Host-kb"
pytestmark = pytest.mark.usefixtures("quick_passwords")


@pytest.fixture
def time() -> Iterator[Traveller]:
    with time_machine.travel(datetime(2026, 11, 26, 1, 0, tzinfo=UTC), tick=False) as traveller:
        yield traveller


def token_of(page: TestResponse) -> str:
    return page.text.partition('name="csrf_token" value="')[2].partition('"')[0]


class Door:
    """A browser at the sign-in page."""

    def __init__(self, app: Flask) -> None:
        app.test_client_class = Browser
        self.browser: FlaskClient = app.test_client()

    def enter(self, email: str, password: str = PASSWORD, next: str = "", **more: object) -> TestResponse:  # noqa: A002  # the field's name
        token = token_of(self.browser.get("/sign-in", headers={"Accept-Language": "en"}))
        form = {"email": email, "password": password, "next": next, "csrf_token": token}
        return self.browser.post("/sign-in", data=form, headers={"Accept-Language": "en"}, **more)  # type: ignore[arg-type]

    @property
    def cookie(self) -> str:
        found = self.browser.get_cookie(COOKIE, domain="127.0.0.1")
        assert found is not None
        return found.value

    def is_in(self) -> bool:
        return self.browser.get("/account/").status_code == 200


@pytest.fixture
def door(app: Flask) -> Callable[[], Door]:
    return lambda: Door(app)


def with_cookie(app: Flask, value: str) -> FlaskClient:
    app.test_client_class = Browser
    browser = app.test_client()
    browser.set_cookie(COOKIE, value, domain="127.0.0.1", secure=True)
    return browser


@pytest.fixture
def person(make: Make) -> User:
    user = make.user()
    make.password(user)
    return user


def test_the_right_password_opens_the_page_asked_for(door: Callable[[], Door], person: User) -> None:
    browser = door()
    asked = browser.browser.get("/search?q=price&stage=discovery")
    assert asked.status_code == 302
    onward = asked.location.partition("next=")[2]
    assert onward
    answer = browser.enter(person.email, next="/search?q=price&stage=discovery")
    assert (answer.status_code, answer.location) == (302, "/search?q=price&stage=discovery")
    assert browser.is_in()


def test_address_and_case_do_not_matter_but_the_password_does(door: Callable[[], Door], person: User) -> None:
    assert door().enter(f"  {person.email.upper()} ").status_code == 302
    assert door().enter(person.email, PASSWORD.upper()).status_code == 422


def test_a_wrong_password_is_answered_alike_for_known_and_unknown_people(
    door: Callable[[], Door], person: User
) -> None:
    known = door().enter(person.email, "wrong password")
    unknown = door().enter("nobody@yunshu.example", "wrong password")
    assert known.status_code == unknown.status_code == 422
    assert "E-mail and password do not fit together." in known.text

    def told(answer: TestResponse, email: str) -> str:
        return answer.text.replace(token_of(answer), "").replace(email, "")

    assert told(known, person.email) == told(unknown, "nobody@yunshu.example")
    assert dict(known.headers).keys() == dict(unknown.headers).keys()


def test_a_deactivated_person_is_answered_like_a_wrong_password(
    door: Callable[[], Door], person: User, make: Make
) -> None:
    with make.service.database.writing() as session:
        session.get_one(User, person.id).deactivated_at = datetime.now(UTC)
    assert door().enter(person.email).status_code == 422


def test_what_was_typed_stays_and_the_password_does_not(door: Callable[[], Door], person: User) -> None:
    answer = door().enter(person.email, "wrong password", next="/library")
    assert f'value="{person.email}"' in answer.text
    assert 'value="/library"' in answer.text
    assert "wrong password" not in answer.text


def test_the_eleventh_try_waits_even_with_the_right_password_and_in_a_new_process(
    door: Callable[[], Door], person: User, service: Service, time: Traveller
) -> None:
    for _ in range(10):
        assert door().enter(person.email, "wrong password").status_code == 422
    time.shift(timedelta(minutes=5))
    for app in (None, create_app(service)):
        answer = (Door(app) if app else door()).enter(person.email)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "600"
        assert "Wait 10 minutes" in answer.text
    time.shift(timedelta(minutes=10))
    assert door().enter(person.email).status_code == 302


@pytest.mark.parametrize(
    "spelling", [str.upper, lambda email: f" {email} ", lambda email: f"{email}\t"], ids=["case", "spaces", "tab"]
)
def test_other_spellings_of_an_address_are_the_same_address_to_the_throttle(
    door: Callable[[], Door], person: User, time: Traveller, spelling: Callable[[str], str]
) -> None:
    for _ in range(10):
        door().enter(spelling(person.email), "wrong password")
    assert door().enter(person.email).status_code == 429


def test_others_are_not_held_up_and_a_success_forgives(door: Callable[[], Door], person: User, make: Make) -> None:
    other = make.user()
    make.password(other)
    for _ in range(9):
        door().enter(person.email, "wrong password")
    assert door().enter(other.email).status_code == 302
    assert door().enter(person.email).status_code == 302
    assert door().enter(person.email, "wrong password").status_code == 422
    assert door().enter(person.email).status_code == 302


def test_tries_are_kept_as_hashes_and_only_for_their_window(
    door: Callable[[], Door], service: Service, time: Traveller
) -> None:
    door().enter("nobody@yunshu.example", "wrong password")
    with service.database.reading() as session:
        assert all("nobody" not in what for what in session.scalars(select(SignInTry.what)))
    time.shift(timedelta(minutes=16))
    door().enter("else@yunshu.example", "wrong password")
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(SignInTry)) == 2


def test_signing_in_gives_a_new_id_and_the_cookie_before_it_is_nobodys(
    app: Flask, door: Callable[[], Door], person: User
) -> None:
    browser = door()
    browser.browser.get("/sign-in")
    before = browser.cookie
    browser.enter(person.email)
    assert browser.cookie != before
    assert with_cookie(app, before).get("/account/").status_code == 302
    assert with_cookie(app, browser.cookie).get("/account/").status_code == 200


def test_a_cookie_copied_before_sign_out_is_dead_after_it(
    app: Flask, door: Callable[[], Door], person: User, service: Service
) -> None:
    browser = door()
    browser.enter(person.email)
    copied = browser.cookie
    token = token_of(browser.browser.get("/account/"))
    answer = browser.browser.post("/sign-out", data={"csrf_token": token})
    assert (answer.status_code, answer.location) == (302, "/sign-in")
    assert with_cookie(app, copied).get("/account/").status_code == 302
    with service.database.reading() as session:
        assert session.scalars(select(SignedIn)).all() == []


def test_a_new_password_keeps_this_browser_and_ends_the_others(
    app: Flask, door: Callable[[], Door], person: User
) -> None:
    here, there = door(), door()
    here.enter(person.email)
    there.enter(person.email)
    before = here.cookie
    token = token_of(here.browser.get("/account/"))
    form = {"present": PASSWORD, "password": "quite another one", "again": "quite another one", "csrf_token": token}
    assert here.browser.post("/account/password", data=form).status_code == 302
    assert (here.is_in(), there.is_in()) == (True, False)
    assert with_cookie(app, before).get("/account/").status_code == 302


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"present": "not it at all"}, "The present password is not right."),
        ({"again": "something else"}, "The two new passwords differ."),
        ({"password": "short", "again": "short"}, "Choose a password of at least 10 characters"),
    ],
    ids=["present", "again", "weak"],
)
def test_a_refused_new_password_says_why_and_changes_nothing(
    door: Callable[[], Door], person: User, changed: dict[str, str], said: str
) -> None:
    browser = door()
    browser.enter(person.email)
    token = token_of(browser.browser.get("/account/"))
    form = {
        "present": PASSWORD,
        "password": "quite another one",
        "again": "quite another one",
        "csrf_token": token,
        **changed,
    }
    answer = browser.browser.post("/account/password", data=form)
    assert answer.status_code == 422
    assert said in answer.text
    assert browser.is_in()
    assert door().enter(person.email).status_code == 302


def test_signing_in_and_out_and_failing_is_in_the_trail_without_passwords(
    door: Callable[[], Door], person: User, service: Service
) -> None:
    browser = door()
    browser.enter(person.email, "wrong password")
    browser.enter(person.email)
    browser.browser.post("/sign-out", data={"csrf_token": token_of(browser.browser.get("/account/"))})
    with service.database.reading() as session:
        entries = list(
            session.scalars(
                select(AuditEntry).where(AuditEntry.action.startswith("session.")).order_by(AuditEntry.sequence)
            )
        )
    assert [entry.action for entry in entries] == ["session.refused", "session.begin", "session.end"]
    assert PASSWORD not in str([entry.details for entry in entries])


def test_who_is_signed_in_is_sent_on_from_the_sign_in_page(sign_in: SignIn, make: Make) -> None:
    answer = sign_in(make.user()).get("/sign-in?next=/library")
    assert (answer.status_code, answer.location) == (302, "/library")


@pytest.mark.parametrize("form", [{}, {"csrf_token": ""}, {"csrf_token": "forged"}], ids=["none", "empty", "forged"])
def test_a_form_without_this_sessions_token_is_refused(app: Flask, person: User, form: dict[str, str]) -> None:
    app.test_client_class = Browser
    browser = app.test_client()
    browser.get("/sign-in")
    answer = browser.post("/sign-in", data={"email": person.email, "password": PASSWORD, **form})
    assert answer.status_code == 400
    assert "Set-Cookie" not in answer.headers or "_user_id" not in answer.headers["Set-Cookie"]
    assert browser.get("/account/").status_code == 302


def test_a_token_of_another_session_is_refused(door: Callable[[], Door], person: User, app: Flask) -> None:
    theirs = token_of(door().browser.get("/sign-in"))
    app.test_client_class = Browser
    browser = app.test_client()
    browser.get("/sign-in")
    assert (
        browser.post("/sign-in", data={"email": person.email, "password": PASSWORD, "csrf_token": theirs}).status_code
        == 400
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=lambda headers: next(iter(headers.values())),
)
def test_a_write_from_another_site_is_refused_even_with_the_token(
    sign_in: SignIn, make: Make, headers: dict[str, str]
) -> None:
    browser = sign_in(make.user(language="zh_Hans"))
    answer = browser.post(
        "/account/language", data={"language": "en"}, headers={"X-CSRFToken": browser.csrf, **headers}
    )
    assert answer.status_code == 400
    assert 'lang="zh-Hans"' in browser.get("/account/").text


def test_only_the_own_cookie_is_set_and_it_is_closed(door: Callable[[], Door], person: User) -> None:
    answer = door().enter(person.email)
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 1
    words = {word.strip() for word in cookies[0].split(";")}
    assert cookies[0].startswith(f"{COOKIE}=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= words
    assert not any(word.lower().startswith("domain") for word in words)


@pytest.mark.parametrize(
    "email", ["\x00@yunshu.example", "a" * 5_000, "\ud83d\ude00@x", "'; DROP TABLE user_account; --"]
)
def test_strange_addresses_are_wrong_and_never_an_error(door: Callable[[], Door], email: str) -> None:
    assert door().enter(email.encode("utf-16", "surrogatepass").decode("utf-16"), "x" * 5_000).status_code == 422
    assert ORIGIN.startswith("https://")
