"""What a customer sees: one version under a secret address, without an account, and nothing else of the product."""

import re
import threading
from io import BytesIO
from pathlib import Path

from flask import Response, make_response, redirect, render_template, request, send_file, session, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import convert, filestore, sharing
from content.convert import CannotConvert
from content.file_routes import HEADERS as FILE_HEADERS
from content.file_routes import sent
from content.files import Served
from content.sharing import Ended, Gate
from kb.db import reading, writing
from kb.errors import NotFound, TooMuch, Unavailable
from kb.web import PUBLIC, Area, settings

area = Area("shared", __name__)

PASSED = "shares"
MOST_PASSED = 20
MAX_INPUT = 400
HEADERS = {"X-Robots-Tag": "noindex, nofollow"}
"""Beside those of every page: the referrer stays with us, so that the address is told to nobody a text links to."""
AT_ONCE = threading.BoundedSemaphore(2)
"""Files that are marked at the same moment in this process."""

_PICTURE = re.compile(r'src="/attachments/([0-9a-f]{64})/([^"?]*)"')
_OURS = re.compile(r'<a ([^>]*?)href="(?!https?:|mailto:|#)[^"]*"')


@area.get("/s/<token>", needs=PUBLIC)
def page(token: str) -> Response | tuple[Response, int]:
    try:
        gate = _gate(token)
        if not _is_through(gate):
            return _asked(token, gate)
        with reading() as db:
            found = sharing.open_link(db, token)
        if _is_person():
            with writing() as db:
                sharing.note_opening(db, token, _email(gate))
    except Ended as over:
        return _over(over)
    sections = [(one, _for_outside(one.html, token)) for one in found.page.sections]
    return _answer(
        render_template("share/page.html", shared=found, sections=sections, token=token, company=settings().company)
    )


@area.post("/s/<token>", needs=PUBLIC)
def enter(token: str) -> AnyResponse | tuple[Response, int]:
    """What the link asked for: its password, the reader's address."""
    given, host = request.form, request.remote_addr or ""
    try:
        gate = _gate(token)
        email, password = given.get("email", "")[:MAX_INPUT], given.get("password", "")[:MAX_INPUT]
        with reading() as db:
            right = sharing.passes(db, token, email, password, host)
        if right is None:
            with writing() as db:
                sharing.note_wrong(db, token, host)
            return _asked(token, gate, gettext("That does not fit this link. Ask whoever sent it to you."), email), 422
    except Ended as over:
        return _over(over)
    except TooMuch as refusal:
        minutes = max(1, refusal.retry_after // 60)
        answer = _asked(token, gate, gettext("Too many tries. Wait %(minutes)s minutes.", minutes=minutes))
        answer.headers["Retry-After"] = str(refusal.retry_after)
        return answer, 429
    kept = dict(list(_passed().items())[1 - MOST_PASSED :])
    session[PASSED] = kept | {gate.public_id: right}
    return redirect(url_for("shared.page", token=token), 303)


@area.get("/s/<token>/pictures/<sha256>/<name>", needs=PUBLIC)
def picture(token: str, sha256: str, name: str) -> Response:  # noqa: ARG001  # the name is for people who read the source
    _require_through(token)
    with reading() as db:
        found = sharing.picture_of(db, token, sha256)
    if found is None:
        raise NotFound()
    return sent(Served(filestore.open_path(settings(), sha256), found[0], found[1], None), inline=True)


@area.get("/s/<token>/files/<attachment>", needs=PUBLIC)
def file(token: str, attachment: str) -> Response | tuple[Response, int]:
    """A file of the version; a pdf for a named person carries their address across its pages."""
    try:
        gate = _require_through(token)
        with reading() as db:
            found = sharing.file_of(db, token, attachment)
        path = filestore.open_path(settings(), found.sha256)
        answer = _marked(path, found) if found.words else sent(Served(path, found.media_type, found.filename, None))
        if request.method == "GET":
            with writing() as db:
                sharing.note_opening(db, token, _email(gate), found.filename)
    except Ended as over:
        return _over(over)
    return answer


def _marked(path: Path, found: sharing.SharedFile) -> Response:
    if not AT_ONCE.acquire(timeout=2):
        raise Unavailable(gettext("Many files are being made ready: try again in a moment."))
    try:
        data = convert.stamp(path, found.words)
    except CannotConvert:
        raise NotFound(gettext("This file cannot be made ready. Ask whoever sent you the link.")) from None
    finally:
        AT_ONCE.release()
    response = send_file(
        BytesIO(data), mimetype=found.media_type, as_attachment=True, download_name=found.filename, etag=False,
        conditional=False, max_age=0,
    )  # fmt: skip
    response.headers.update(FILE_HEADERS)
    return response


def _gate(token: str) -> Gate:
    with reading() as db:
        return sharing.gate_of(db, token)


def _passed() -> dict[str, str]:
    """Links that this browser has got through, with the address given."""
    kept = session.get(PASSED)
    return kept if isinstance(kept, dict) else {}


def _is_through(gate: Gate) -> bool:
    return gate.is_open or gate.public_id in _passed()


def _email(gate: Gate) -> str:
    return str(_passed().get(gate.public_id, "")) if gate.asks_email else ""


def _require_through(token: str) -> Gate:
    gate = _gate(token)
    if not _is_through(gate):
        raise Ended()
    return gate


def _is_person() -> bool:
    """A browser that somebody steers: what looks ahead at links in mails and chats does not say so."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Dest") == "document"


def _for_outside(html: str, token: str) -> str:
    """Rendered HTML with pictures under the link's own address, and without links into the product."""
    with_pictures = _PICTURE.sub(
        lambda found: f'src="{url_for("shared.picture", token=token, sha256=found[1], name=found[2])}"', html
    )
    return _OURS.sub(r"<a \1", with_pictures)


def _asked(token: str, gate: Gate, wrong: str = "", email: str = "") -> Response:
    return _answer(
        render_template("share/gate.html", token=token, gate=gate, wrong=wrong, email=email, company=settings().company)
    )


def _over(over: Ended) -> tuple[Response, int]:
    return _answer(render_template("share/over.html", text=gettext(over.text), company=settings().company)), 404


def _answer(html: str) -> Response:
    response = make_response(html)
    response.headers.update(HEADERS)
    return response
