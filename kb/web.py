"""The edge: areas whose routes must say what they need, the guard, error pages, headers, paging."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import structlog
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.sansio.app import App
from flask_babel import gettext
from flask_login import current_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy.exc import DataError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, SecurityError
from werkzeug.wrappers import Response as AnyResponse

from kb import audit
from kb.access import Actor, Permission, require
from kb.config import Settings
from kb.db import writing
from kb.errors import N_, Conflict, Forbidden, Invalid, KbError, NotFound, SignInNeeded, Unavailable
from kb.pace import Pace

API_PREFIX = "/api/"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_ENDPOINTS = frozenset({"static", "bootstrap.static"})
UNCOUNTED = frozenset({"health.alive", "health.ready"})
"""Asked by what watches over the service, as often as it likes."""
FEED = "/feed.atom"
TOKEN_PAGES: Mapping[str, str] = {"/metrics": "Bearer", FEED: 'Basic realm="API token as password", charset="UTF-8"'}
"""Addresses outside the interface that programs call: they are told how to sign in instead of being sent to a form."""
MAX_QUERY_BYTES = 8_000

POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), clipboard-write=(self)",
}

log = structlog.get_logger(__name__)
csrf = CSRFProtect()


class _Public:
    """The word for a route that anybody may call."""

    def __repr__(self) -> str:
        return "PUBLIC"


PUBLIC: Final = _Public()
Needs = Permission | _Public


class Area(Blueprint):
    """A blueprint whose every route must say `needs=`: a permission, or PUBLIC."""

    def add_url_rule(  # type: ignore[override]  # `needs` is the point
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Any = None,
        provide_automatic_options: bool | None = None,
        *,
        needs: Needs,
        **options: Any,
    ) -> None:
        super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)
        name = f"{self.name}.{endpoint or view_func.__name__}"
        self.record(lambda state: _note_needs(state.app, name, needs))


def _note_needs(app: App, endpoint: str, needs: Needs) -> None:
    table = needs_of(app)
    if table.setdefault(endpoint, needs) is not needs:
        raise RuntimeError(f"{endpoint} states two needs: {table[endpoint]} and {needs}")


def needs_of(app: App) -> dict[str, Needs]:
    table: dict[str, Needs] = app.extensions.setdefault("kb_needs", {})
    return table


def init(app: Flask, requests_per_minute: int = 0) -> None:
    """Put the guard, the error pages and the headers on an application."""
    app.extensions["kb_pace"] = Pace(requests_per_minute)
    csrf.init_app(app)
    app.before_request(_guard)
    app.after_request(_finish)
    app.register_error_handler(KbError, _answer_refusal)
    app.register_error_handler(CSRFError, _answer_csrf)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(OperationalError, _answer_database)
    app.register_error_handler(PoolTimeout, _answer_database)
    app.register_error_handler(IntegrityError, _answer_collision)
    for unreadable in (DataError, UnicodeEncodeError, RecursionError):
        app.register_error_handler(unreadable, _answer_unreadable)
    app.register_error_handler(Exception, _answer_crash)


def actor() -> Actor:
    """Who is signed in; only for routes that need a permission."""
    found = g.get("actor")
    if not isinstance(found, Actor):
        raise SignInNeeded()
    return found


def settings() -> Settings:
    """Of the installation that answers this request."""
    found: Settings = current_app.extensions["kb_settings"]
    return found


def is_api() -> bool:
    """Whether programs call this address: they get problem documents, and no page to sign in."""
    return request.path.startswith(API_PREFIX) or request.path in TOKEN_PAGES


def wants_fragment() -> bool:
    """The page's own script asks for a part of the page."""
    return request.headers.get("X-Fragment") == "1"


def _guard() -> None:
    g.request_id = secrets.token_hex(6)
    if len(request.query_string) > MAX_QUERY_BYTES:
        raise Invalid(gettext("The address is too long."), code="address_too_long")
    if request.endpoint in OPEN_ENDPOINTS:
        return
    try:
        _identify()
    finally:  # a token that is none counts for the machine it comes from
        _count()
    if request.endpoint is None:
        return
    needs = needs_of(current_app).get(request.endpoint)
    if needs is None:
        raise NotFound()
    if not isinstance(needs, _Public):
        require(actor(), needs)
    if request.method not in SAFE_METHODS and not g.by_token:
        _refuse_foreign_origin()
        csrf.protect()


def _count() -> None:
    """Against the bound of whoever calls; health checks are free."""
    if request.endpoint not in UNCOUNTED:
        pace: Pace = current_app.extensions["kb_pace"]
        who = g.get("actor")
        pace.count(f"person {who.user_id}" if who is not None else f"machine {request.remote_addr}")


def _identify() -> None:
    """Ask Flask-Login who calls; the answer stands in `g` for this request."""
    person = current_user if current_user.is_authenticated else None
    g.actor = person.actor if person else None
    g.person = person.person if person else None
    g.by_token = bool(person and person.by_token)


def _refuse_foreign_origin() -> None:
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise CSRFError("The request came from another site.")
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise CSRFError("The request came from another origin.")


def _finish(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if request.endpoint in OPEN_ENDPOINTS and response.status_code in {200, 206, 304}:
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if request.args.get("v") else "public, max-age=300"
        )
    else:
        response.headers["Cache-Control"] = "private, no-store"
        response.headers["Vary"] = "Cookie, Authorization, Accept-Language"
    return response


def _logged_path() -> str:
    """The path as logs may hold it: where a secret is part of the address, without it."""
    secret = (request.view_args or {}).get("token") or (request.view_args or {}).get("secret")
    return request.path.replace(str(secret), "…") if secret else request.path


def _answer_refusal(error: KbError) -> AnyResponse:
    if isinstance(error, Forbidden | NotFound) and request.method not in SAFE_METHODS and g.get("actor") is not None:
        _trace_refusal(error)
    if isinstance(error, SignInNeeded) and not is_api() and not wants_fragment():
        return redirect(url_for("login.page", next=_here()))
    headers = {"Retry-After": str(retry)} if (retry := getattr(error, "retry_after", None)) else {}
    if isinstance(error, SignInNeeded):
        headers["WWW-Authenticate"] = TOKEN_PAGES.get(request.path, "Bearer")
    return answer(error.status, error.code, gettext(error.text), error.details, headers)


def _trace_refusal(error: KbError) -> None:
    """A refused write leaves one entry: who tried what on which object, and why not."""
    reference = next(iter((request.view_args or {}).values()), "")
    with writing() as session:
        audit.record(session, g.actor, "denied", str(request.endpoint)[:40], str(reference)[:120], reason=error.code)


def _here() -> str:
    if request.method not in SAFE_METHODS:
        return "/"
    return request.full_path if request.query_string else request.path


def _answer_csrf(error: CSRFError) -> AnyResponse:
    log.info("csrf.refused", reason=error.description, path=_logged_path())
    return answer(
        400,
        "csrf",
        gettext(
            "This page was open for too long or in another session. Your text is still in the form: go back, reload in a second tab, and send again."
        ),
    )


def _answer_http(error: HTTPException) -> AnyResponse:
    if isinstance(error, SecurityError):  # no page: its links ask for the host, which is what is wrong
        return Response("400", 400, mimetype="text/plain")
    if isinstance(error.response, AnyResponse):
        return error.response
    if isinstance(error, RequestEntityTooLarge):
        return answer(
            413, "too_large", gettext("This is larger than %(mb)s MB.", mb=current_app.config["KB_MAX_UPLOAD_MB"])
        )
    if error.code is not None and 300 <= error.code < 400:
        return AnyResponse.force_type(error.get_response())
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name.lower() in {"allow", "retry-after"}}
    return answer(status, *_WORDS.get(status, ("error", N_("This cannot be done."))), headers=headers)


_WORDS: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", N_("This request cannot be read.")),
    404: ("not_found", N_("Nothing is here.")),
    405: ("method_not_allowed", N_("This address does not take that kind of request.")),
    415: ("unsupported_media_type", N_("This kind of content is not taken here.")),
}


def _answer_database(error: Exception) -> AnyResponse:
    log.error("database.unavailable", error=str(getattr(error, "orig", error))[:200], request_id=g.get("request_id"))
    return answer(503, Unavailable.code, gettext(Unavailable.message), headers={"Retry-After": "5"})


def _answer_collision(error: Exception) -> AnyResponse:
    """Somebody else wrote the same at the same moment, and the database kept one of the two."""
    log.info("write.collided", path=_logged_path(), error=str(getattr(error, "orig", error))[:200])
    return answer(409, Conflict.code, gettext(Conflict.message))


def _answer_unreadable(error: Exception) -> AnyResponse:
    """A NUL, half a character, JSON without end: nobody can keep these, so the caller is told, not the operator."""
    log.info("request.unreadable", path=_logged_path(), error=type(error).__name__)
    return answer(422, Invalid.code, gettext(Invalid.message))


def _answer_crash(error: Exception) -> AnyResponse:
    log.exception("request.failed", path=_logged_path(), request_id=g.get("request_id"), error=type(error).__name__)
    return answer(500, "error", gettext("Something went wrong on our side. Nothing was changed."))


def answer(
    status: int,
    code: str,
    text: str,
    details: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> AnyResponse:
    """One refusal in the form the caller reads: a page, or a problem document (RFC 9457)."""
    request_id = g.get("request_id", "")
    if is_api():
        body = {
            "type": "about:blank",
            "title": code,
            "status": status,
            "code": code,
            "detail": text,
            "request_id": request_id,
            **(details or {}),
        }
        response: Response = jsonify(body)
        response.mimetype = "application/problem+json"
    else:
        response = Response(_page(status, code, text, request_id), mimetype="text/html")
    response.status_code = status
    response.headers.update(headers or {})
    return response


def _page(status: int, code: str, text: str, request_id: str) -> str:
    try:
        return render_template("errors/error.html", status=status, code=code, text=gettext(text), request_id=request_id)
    except Exception:  # the error page itself needs parts that may be what failed
        log.exception("error_page.failed")
        return f"<!doctype html><title>{status}</title><p>{status} · {request_id}</p>"


def safe_next(target: str | None) -> str:
    """A path of our own to go on to, or `/`: never another host, however it is spelt."""
    raw = target or "/"
    for form in (raw, unquote(raw), unquote(unquote(raw))):
        if (
            not form.startswith("/")
            or form.startswith(("//", "/\\"))
            or "\\" in form
            or any(ord(c) < 33 or ord(c) == 127 for c in form)
        ):
            return "/"
        if urlsplit(form).netloc:
            return "/"
    return raw


def done(text: str) -> None:
    """Say on the next page what was done."""
    flash(text, "done")


View = Callable[..., Any]
