"""Single sign-on at the edge: to the company's provider and back, tied to this browser."""

from flask import Flask, current_app, g, redirect, render_template, request, session, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from kb import audit, clock, login, sessions, single_sign_on, users
from kb.access import SYSTEM
from kb.config import Settings
from kb.db import writing
from kb.errors import KbError, NotFound
from kb.single_sign_on import Begun, NoAccount, NotTrusted, Provider
from kb.web import PUBLIC, Area, safe_next, settings

ON_ITS_WAY = "sign_on"
PATIENCE = 600
"""Seconds between going to the provider and coming back."""
MAX_INPUT = 4_000

area = Area("sign_on", __name__)


def init(app: Flask, settings: Settings) -> None:
    app.extensions["kb_sign_on"] = Provider(settings) if settings.oidc_issuer else None
    app.register_blueprint(area)


def _provider() -> Provider:
    found: Provider | None = current_app.extensions["kb_sign_on"]
    if found is None:
        raise NotFound()
    return found


def _back() -> str:
    return settings().base_url.rstrip("/") + url_for("sign_on.back")


@area.get("/sign-in/sso", needs=PUBLIC)
def begin() -> AnyResponse | tuple[str, int]:
    provider = _provider()
    if g.actor is not None:  # a link on another site signs nobody out
        return redirect(safe_next(request.args.get("next")))
    try:
        begun = provider.begin(_back())
    except single_sign_on.Silent as silent:
        return _again(gettext(silent.text), silent.status)
    onward = safe_next(request.args.get("next"))
    session.clear()
    session[ON_ITS_WAY] = [begun.state, begun.nonce, begun.verifier, onward, int(clock.now().timestamp())]
    return redirect(begun.address)


@area.get("/sign-in/sso/back", needs=PUBLIC)
def back() -> AnyResponse | tuple[str, int]:
    """The provider sends the browser here; whatever does not belong to a sign-in begun in it is refused."""
    provider = _provider()
    found = _on_its_way(session.pop(ON_ITS_WAY, None))
    given = request.args
    if found is None or given.get("state", "") != found[0].state:
        return _again(gettext("This sign-in took too long, or was begun in another window. Begin again."), 400)
    begun, onward = found
    try:
        if given.get("iss", settings().oidc_issuer) != settings().oidc_issuer:
            raise NotTrusted("iss")
        if given.get("error"):
            raise NotTrusted(f"error {given['error'][:40]}")
        with writing() as db:
            single_sign_on.spend(db, begun.state)
        claims = provider.claims(given.get("code", "")[:MAX_INPUT], begun, _back())
        with writing() as db:
            user = single_sign_on.person_of(db, settings(), provider.groups, claims)
            audit.record(db, users.actor_of(user), "session.begin", "user", user.public_id, sign_on=True)
            token = sessions.open_for(db, user, request.headers.get("User-Agent", ""), request.remote_addr or "")
    except (NotTrusted, NoAccount) as refused:
        _trace(refused)
        return _again(gettext(refused.text), refused.status)
    except single_sign_on.Silent as silent:
        return _again(gettext(silent.text), silent.status)
    login.begin(token)
    return redirect(onward)


def _on_its_way(kept: object) -> tuple[Begun, str] | None:
    if not isinstance(kept, list) or len(kept) != 5 or not isinstance(kept[4], int):
        return None
    state, nonce, verifier, onward, at = kept
    if not 0 <= clock.now().timestamp() - at <= PATIENCE:
        return None
    return Begun("", str(state), str(nonce), str(verifier)), safe_next(str(onward))


def _trace(refused: KbError) -> None:
    with writing() as db:
        cause = getattr(refused, "cause", refused.code)
        audit.record(db, SYSTEM, "session.refused", "sign_on", refused.code, cause=str(cause)[:200])


def _again(text: str, status: int) -> tuple[str, int]:
    return render_template("login/sign_in.html", next="/", email="", error=text), status
