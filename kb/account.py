"""One's own page: password, language, API tokens."""

from collections.abc import Sequence

from flask import current_app, redirect, render_template, request, url_for
from flask import session as flask_session
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from kb import login, second_factor, sessions, tokens, users
from kb.access import Permission
from kb.config import LANGUAGES
from kb.db import reading, writing
from kb.errors import Invalid, NotFound
from kb.web import Area, actor, done, safe_next

area = Area("account", __name__, url_prefix="/account")


@area.get("/", needs=Permission.ACCOUNT)
def page() -> str:
    return _page()


def _page(
    errors: dict[str, str] | None = None,
    new_token: str = "",
    setup: second_factor.Setup | None = None,
    recovery: Sequence[str] = (),
) -> str:
    with reading() as session:
        kept = tokens.list_own(session, actor())
        rhythm = users.own_mails(session, actor())
        factor = second_factor.standing(session, actor().user_id)
        browsers = sessions.list_own(session, actor(), flask_session.get("_user_id", ""))
    scopes = sorted(permission.value for permission in actor().permissions)
    return render_template(
        "account/page.html",
        rhythm=rhythm,
        browsers=browsers,
        factor=factor,
        setup=setup,
        recovery=recovery,
        has_mail=current_app.config["KB_HAS_MAIL"],
        tokens=kept,
        languages=LANGUAGES,
        errors=errors or {},
        new_token=new_token,
        scopes=scopes,
    )


@area.post("/language", needs=Permission.ACCOUNT)
def language() -> AnyResponse:
    with writing() as session:
        users.set_own_language(session, actor(), request.form.get("language", ""))
    return redirect(safe_next(request.form.get("next")) if request.form.get("next") else url_for("account.page"))


@area.post("/mails", needs=Permission.ACCOUNT)
def mails() -> AnyResponse:
    with writing() as session:
        users.set_own_mails(session, actor(), request.form.get("mails", ""))
    done(gettext("Noted."))
    return redirect(url_for("account.page"))


@area.post("/password", needs=Permission.ACCOUNT)
def password() -> AnyResponse | tuple[str, int]:
    present, wanted = request.form.get("present", ""), request.form.get("password", "")
    if wanted != request.form.get("again", ""):
        return _page({"again": gettext("The two new passwords differ.")}), 422
    try:
        with writing() as session:
            user = users.change_own_password(session, actor(), present, wanted)
            token = sessions.open_for(session, user)
    except users.WrongPassword as mistake:
        return _page({"present": gettext(mistake.text)}), 422
    except Invalid as mistake:
        return _page({"password": gettext(mistake.text)}), 422
    login.begin(token)
    done(gettext("Password changed. Other browsers are signed out."))
    return redirect(url_for("account.page"))


@area.post("/second-factor", needs=Permission.ACCOUNT)
def begin_second_factor() -> str | tuple[str, int]:
    """A secret for the authenticator; nothing is asked for until its code was typed."""
    try:
        with writing() as session:
            setup = second_factor.begin(session, actor(), request.form.get("present", "")[:400])
    except users.WrongPassword as mistake:
        return _page({"present-second": gettext(mistake.text)}), 422
    return _page(setup=setup)


@area.post("/second-factor/confirm", needs=Permission.ACCOUNT)
def confirm_second_factor() -> str | tuple[str, int]:
    try:
        with writing() as session:
            codes = second_factor.confirm(session, actor(), request.form.get("code", "")[:40])
    except second_factor.WrongCode as mistake:
        with reading() as session:
            setup = second_factor.pending(session, actor())
        return _page({"code": gettext(mistake.text)}, setup=setup), 422
    return _page(recovery=codes)


@area.post("/second-factor/remove", needs=Permission.ACCOUNT)
def remove_second_factor() -> AnyResponse | tuple[str, int]:
    try:
        with writing() as session:
            second_factor.remove(session, actor(), request.form.get("present", "")[:400])
    except users.WrongPassword as mistake:
        return _page({"present-second": gettext(mistake.text)}), 422
    done(gettext("No code is asked for any more."))
    return redirect(url_for("account.page"))


@area.post("/sessions/end", needs=Permission.ACCOUNT)
def end_others() -> AnyResponse:
    """Sign out every other browser."""
    with writing() as session:
        sessions.close_others(session, actor(), flask_session.get("_user_id", ""))
    done(gettext("Every other browser is signed out."))
    return redirect(url_for("account.page"))


@area.post("/tokens", needs=Permission.ACCOUNT)
def create_token() -> str | tuple[str, int]:
    try:
        with writing() as session:
            owner = users.find(session, actor().user_id or 0)
            if owner is None:
                raise NotFound()
            token = tokens.create(session, actor(), owner, request.form.get("name", ""), request.form.getlist("scope"))
    except Invalid as mistake:
        return _page({"name": gettext(mistake.text)}), 422
    return _page(new_token=token)


@area.post("/tokens/<token_id>/revoke", needs=Permission.ACCOUNT)
def revoke_token(token_id: str) -> AnyResponse:
    with writing() as session:
        tokens.revoke(session, actor(), token_id)
    done(gettext("Token revoked. Programs that use it are refused from now on."))
    return redirect(url_for("account.page"))
