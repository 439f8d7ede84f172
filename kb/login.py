"""Signing in and out, and the throttle that survives restarts and counts over all processes."""

from dataclasses import dataclass

from flask import Flask, current_app, g, redirect, render_template, request, session, url_for
from flask_babel import gettext
from flask_login import LoginManager, UserMixin, login_user, logout_user
from sqlalchemy.orm import Session
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response as AnyResponse

from kb import audit, clock, second_factor, sessions, throttle, tokens, users
from kb.access import SYSTEM, Actor, Permission
from kb.db import reading, writing
from kb.errors import N_, Forbidden, SignInNeeded, TooMuch
from kb.web import FEED, PUBLIC, Area, actor, is_api, safe_next

MAX_INPUT = 400
PENDING = "second_factor"
PATIENCE = 300
"""Seconds for the second step."""

area = Area("login", __name__)
manager = LoginManager()
manager.session_protection = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The password was right, and the second factor is asked for."""

    user_id: int
    epoch: int


@dataclass
class SignedInPerson(UserMixin):  # type: ignore[misc]  # Flask-Login carries no types
    """What Flask-Login keeps: its id is the secret of the session row."""

    token: str
    actor: Actor
    person: users.Person
    by_token: bool = False

    def get_id(self) -> str:
        return self.token


class NoPasswords(Forbidden):
    """Single sign-on alone lets in."""

    code, message = "no_passwords", N_("Nobody signs in with a password here: use the single sign-on.")


def init(app: Flask) -> None:
    manager.init_app(app)
    app.register_blueprint(area)


@manager.user_loader  # type: ignore[untyped-decorator]
def _from_session(token: str) -> SignedInPerson | None:
    with reading() as db:
        found = sessions.find(db, token)
        due = found is not None and sessions.is_due_for_touch(db, token)
    if due:
        with writing() as db:
            sessions.touch(db, token)
    return SignedInPerson(token, *found) if found else None


@manager.request_loader  # type: ignore[untyped-decorator]
def _from_header(incoming: Request) -> SignedInPerson | None:
    """A token, for programs alone: pages take none, and feed readers give it as a password."""
    token = _token_of(incoming)
    if token is None:
        return None
    with reading() as db:
        found = tokens.find(db, token.strip())
        due = found is not None and tokens.is_due_for_touch(db, token.strip())
    if found is None:
        raise SignInNeeded(gettext("The token is unknown, expired or revoked."), code="invalid_token")
    if due:
        with writing() as db:
            tokens.touch(db, token.strip())
    return SignedInPerson("", *found, by_token=True)


def _token_of(incoming: Request) -> str | None:
    given = incoming.authorization
    if given is None or not is_api():
        return None
    if given.type == "basic":
        return given.password or "" if incoming.path == FEED else None
    return given.token or "" if given.type == "bearer" else None


@area.get("/sign-in", needs=PUBLIC)
def page() -> AnyResponse | str:
    if g.actor is not None:
        return redirect(safe_next(request.args.get("next")))
    return render_template("login/sign_in.html", next=safe_next(request.args.get("next")), email="", error="")


@area.post("/sign-in", needs=PUBLIC)
def sign_in() -> AnyResponse | tuple[str, int] | tuple[str, int, dict[str, str]]:
    if not current_app.config["KB_LOCAL_SIGN_IN"]:
        raise NoPasswords()
    email = request.form.get("email", "")[:MAX_INPUT]
    password = request.form.get("password", "")[:MAX_INPUT]
    onward = safe_next(request.form.get("next"))
    try:
        token = attempt(email, password, request.remote_addr or "", request.headers.get("User-Agent", ""))
    except TooMuch as refusal:
        text = gettext("Too many tries. Wait %(minutes)s minutes.", minutes=max(1, refusal.retry_after // 60))
        return (
            render_template("login/sign_in.html", next=onward, email=email, error=text),
            429,
            {"Retry-After": str(refusal.retry_after)},
        )
    if isinstance(token, Pending):
        session.clear()
        session[PENDING] = [token.user_id, token.epoch, int(clock.now().timestamp())]
        return redirect(url_for("login.code_page", next=onward))
    if token is None:
        text = gettext("E-mail and password do not fit together.")
        return render_template("login/sign_in.html", next=onward, email=email, error=text), 422
    begin(token)
    return redirect(onward)


@area.get("/sign-in/code", needs=PUBLIC)
def code_page() -> AnyResponse | str:
    onward = safe_next(request.args.get("next"))
    if _waiting() is None:
        return redirect(url_for("login.page", next=onward))
    return render_template("login/code.html", next=onward, error="")


@area.post("/sign-in/code", needs=PUBLIC)
def sign_in_with_code() -> AnyResponse | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """The second step: a code of the authenticator, or one for a lost one."""
    onward, waiting = safe_next(request.form.get("next")), _waiting()
    if waiting is None:
        session.pop(PENDING, None)
        return redirect(url_for("login.page", next=onward))
    given = request.form.get("code", "")[:MAX_INPUT]
    agent, host = request.headers.get("User-Agent", ""), request.remote_addr or ""
    try:
        token = attempt_code(waiting.user_id, waiting.epoch, given, host, agent)
    except TooMuch as refusal:
        session.pop(PENDING, None)
        text = gettext("Too many tries. Wait %(minutes)s minutes.", minutes=max(1, refusal.retry_after // 60))
        return (
            render_template("login/sign_in.html", next=onward, email="", error=text),
            429,
            {"Retry-After": str(refusal.retry_after)},
        )
    if token is None:
        return render_template("login/code.html", next=onward, error=gettext(second_factor.WrongCode.message)), 422
    begin(token)
    return redirect(onward)


def _waiting() -> Pending | None:
    """Whose password was right in this browser within five minutes."""
    kept = session.get(PENDING)
    if not isinstance(kept, list) or len(kept) != 3 or not all(isinstance(one, int) for one in kept):
        return None
    user_id, epoch, at = kept
    return Pending(user_id, epoch) if 0 <= clock.now().timestamp() - at <= PATIENCE else None


def begin(token: str) -> None:
    """Turn the browser's session into this one: a new id, nothing of the former one kept."""
    session.clear()
    signed_in = _from_session(token)
    assert signed_in is not None
    login_user(signed_in)


@area.post("/sign-out", needs=Permission.ACCOUNT)
def sign_out() -> AnyResponse:
    with writing() as db:
        sessions.close(db, session.get("_user_id", ""))
        audit.record(db, actor(), "session.end", "user", actor().public_id)
    logout_user()
    session.clear()
    return redirect(url_for("login.page"))


def attempt(email: str, password: str, host: str, agent: str = "") -> str | Pending | None:
    """Check the password and open a session; None when it is wrong, TooMuch when the throttle holds.

    Pending where a second factor is asked for: nobody is signed in yet.
    """
    keys = _keys(email, host)
    with reading() as db:
        throttle.refuse(db, keys)
        user = users.find_person(db, email)
        fits = users.verify_password(user, password)
    with writing() as db:
        if user is None or not fits:
            _note_failure(db, keys)
            return None
        fresh = users.find(db, user.id)
        if fresh is None or fresh.password_hash != user.password_hash or fresh.deactivated_at is not None:
            return None
        if second_factor.is_on(db, fresh.id):
            return Pending(fresh.id, fresh.epoch)
        throttle.forget(db, keys)
        audit.record(db, users.actor_of(fresh), "session.begin", "user", fresh.public_id)
        return sessions.open_for(db, fresh, agent, host)


def attempt_code(user_id: int, epoch: int, code: str, host: str, agent: str = "") -> str | None:
    """Check the second factor of somebody whose password was right; None where it is not, TooMuch as with passwords."""
    with reading() as db:
        user = users.find(db, user_id)
        if user is None or user.deactivated_at is not None or user.epoch != epoch:
            return None
        keys = _keys(user.email, host)
        throttle.refuse(db, keys)
    with writing() as db:
        fresh = users.find(db, user_id)
        if fresh is None or fresh.deactivated_at is not None or fresh.epoch != epoch:
            return None
        if not second_factor.takes(db, user_id, code):
            _note_failure(db, keys)
            return None
        throttle.forget(db, keys)
        audit.record(db, users.actor_of(fresh), "session.begin", "user", fresh.public_id, second_factor=True)
        return sessions.open_for(db, fresh, agent, host)


def _keys(email: str, host: str) -> throttle.Keys:
    return throttle.keys_of("address", " ".join(email.casefold().split()), host)


def _note_failure(db: Session, keys: throttle.Keys) -> None:
    throttle.note(db, keys)
    audit.record(db, SYSTEM, "session.refused", "sign_in", keys[0][0][:16])
