"""A second factor: asked for after the password, taken once, slowed down when guessed, lost without being locked out."""

from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from kb import audit, clock, people, second_factor, users
from kb.access import SYSTEM, Role
from kb.errors import Conflict, Forbidden, NotFound
from kb.second_factor import SecondFactor
from kb.users import User
from tests.conftest import Browser, SignIn
from tests.factories import PASSWORD, Make

NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


class Phone:
    """Somebody whose authenticator is set up."""

    def __init__(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        self.make, self.patch = make, monkeypatch
        self.at()
        self.user: User = make.user()
        make.password(self.user)
        actor = make.actor(self.user)
        with make.service.database.writing() as db:
            self.secret = second_factor.begin(db, actor, PASSWORD).secret
        with make.service.database.writing() as db:
            self.recovery = second_factor.confirm(db, actor, self.code())
        self.at(minutes=5)

    def at(self, **later: int) -> None:
        moment = NOON + timedelta(**later)
        self.patch.setattr(clock, "now", lambda: moment)

    def code(self) -> str:
        return pyotp.TOTP(self.secret).at(clock.now())

    def password(self, browser: Browser) -> str:
        """The first step; answers where it leads."""
        take_token(browser, "/sign-in")
        answer = browser.post("/sign-in", data={"email": self.user.email, "password": PASSWORD})
        take_token(browser, "/sign-in/code")
        return answer.headers.get("Location", "")


def take_token(browser: Browser, address: str) -> None:
    page = browser.get(address)
    browser.csrf = page.text.partition('name="csrf_token" value="')[2].partition('"')[0] or browser.csrf


def test_the_password_alone_lets_nobody_in(make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    phone, browser = Phone(make, monkeypatch), sign_in(None)
    assert "/sign-in/code" in phone.password(browser)
    assert browser.get("/account/").status_code == 302
    assert browser.post("/sign-in/code", data={"code": "000000"}).status_code == 422
    assert browser.get("/account/").status_code == 302
    assert browser.post("/sign-in/code", data={"code": phone.code()}).status_code == 302
    assert browser.get("/account/").status_code == 200
    with make.service.database.reading() as db:
        begun = [one for one in db.query(audit.AuditEntry) if one.action == "session.begin"]
        assert [one.details.get("second_factor") for one in begun] == [True]


def test_a_code_is_taken_once(make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = Phone(make, monkeypatch)
    used = phone.code()
    for wanted in (302, 422):
        browser = sign_in(None)
        phone.password(browser)
        assert browser.post("/sign-in/code", data={"code": used}).status_code == wanted


def test_clocks_may_differ_by_one_step(make_any: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = Phone(make_any, monkeypatch)
    code = phone.code()
    for seconds, taken in ((300 + 65, False), (300 + 29, True)):
        phone.at(seconds=seconds)
        with make_any.service.database.writing() as db:
            assert second_factor.takes(db, phone.user.id, code) is taken


def test_guessing_is_slowed_down(make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    phone, browser = Phone(make, monkeypatch), sign_in(None)
    phone.password(browser)
    answers = [browser.post("/sign-in/code", data={"code": f"{number:06}"}).status_code for number in range(12)]
    assert answers[:10] == [422] * 10
    assert answers[10] == 429
    fresh = sign_in(None)
    take_token(fresh, "/sign-in")
    assert fresh.post("/sign-in", data={"email": phone.user.email, "password": PASSWORD}).status_code == 429


def test_the_second_step_ends_after_five_minutes_and_with_the_epoch(
    make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, browser, other = Phone(make, monkeypatch), sign_in(None), sign_in(None)
    phone.password(browser)
    phone.password(other)
    phone.at(minutes=11)
    assert browser.post("/sign-in/code", data={"code": phone.code()}).headers["Location"].startswith("/sign-in")
    assert browser.get("/account/").status_code == 302
    phone.at(minutes=6)
    with make.service.database.writing() as db:
        users.set_password(db, SYSTEM, db.get_one(User, phone.user.id), "another long password")
    assert other.post("/sign-in/code", data={"code": phone.code()}).status_code == 422
    assert sign_in(None).get("/sign-in/code").status_code == 302  # without a password before it
    stranger = sign_in(None)
    take_token(stranger, "/sign-in")
    assert stranger.post("/sign-in/code", data={"code": phone.code()}).status_code == 302


def test_a_recovery_code_lets_in_once(make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = Phone(make, monkeypatch)
    assert len(set(phone.recovery)) == second_factor.RECOVERY_CODES
    for wanted in (302, 422):
        browser = sign_in(None)
        phone.password(browser)
        assert browser.post("/sign-in/code", data={"code": phone.recovery[0].upper()}).status_code == wanted
    with make.service.database.reading() as db:
        assert second_factor.standing(db, phone.user.id).recovery_left == 7
        row = db.get_one(SecondFactor, phone.user.id)
        assert not any(code.replace("-", "") in str(row.recovery) for code in phone.recovery)


def test_from_the_account_page(make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON)
    user = make.user()
    make.password(user)
    browser = sign_in(user)
    assert browser.post("/account/second-factor", data={"present": "wrong"}).status_code == 422
    page = browser.post("/account/second-factor", data={"present": PASSWORD}).text
    secret = page.split('<p class="note"><code>')[1].split("<")[0]
    assert "<svg" in page
    wrong = browser.post("/account/second-factor/confirm", data={"code": "000000"})
    assert (wrong.status_code, secret in wrong.text) == (422, True)
    with make.service.database.reading() as db:
        assert not second_factor.is_on(db, user.id)  # nothing is asked for before it was confirmed
    done = browser.post("/account/second-factor/confirm", data={"code": pyotp.TOTP(secret).at(NOON)}).text
    assert done.count("-") > 8
    assert secret not in browser.get("/account/").text
    assert browser.post("/account/second-factor", data={"present": PASSWORD}).status_code == 409
    assert browser.post("/account/second-factor/remove", data={"present": "wrong"}).status_code == 422
    assert browser.post("/account/second-factor/remove", data={"present": PASSWORD}).status_code == 302
    with make.service.database.reading() as db:
        assert not second_factor.is_on(db, user.id)


def test_an_administrator_resets_what_was_lost(make: Make, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = Phone(make, monkeypatch)
    admin, theirs = sign_in(make.user(Role.ADMIN)), sign_in(phone.user)
    assert "Reset the second factor" in admin.get(f"/people/{phone.user.public_id}").text
    assert admin.post(f"/people/{phone.user.public_id}/second-factor").status_code == 302
    assert theirs.get("/account/").status_code == 302
    assert "code" not in phone.password(sign_in(None))
    assert admin.post(f"/people/{phone.user.public_id}/second-factor").status_code == 409
    with pytest.raises(Forbidden), make.service.database.writing() as db:
        people.reset_second_factor(db, make.actor(make.user(Role.MARKETER)), phone.user.public_id)
    with pytest.raises(Conflict), make.service.database.writing() as db:
        second_factor.remove(db, make.actor(phone.user), PASSWORD)
    with pytest.raises(NotFound), make.service.database.writing() as db:
        second_factor.confirm(db, make.actor(make.user()), "000000")
