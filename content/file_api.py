"""Attachments for programs."""

import json
from typing import Any

from flask import Response, request

from content import deals, files, taxonomy
from content.api import DealQuery
from content.file_routes import note_download, received, sent
from kb.access import Permission
from kb.api import PREFIX, Shown, answers, spec
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid
from kb.web import Area, actor, settings

area = Area("file_api", __name__, url_prefix=PREFIX)


class AttachmentShown(Shown):
    """A file on the draft; `markdown` puts a picture into the text, `revision` is the draft's new one."""

    id: str
    filename: str
    media_type: str
    size: int
    sha256: str
    url: str
    markdown: str
    revision: int


class RemovedShown(Shown):
    id: str
    revision: int


@area.post("/assets/<reference>/attachments", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_201=AttachmentShown, more=(412,)), tags=["files"])
def attach(reference: str) -> Response:
    """A file (multipart, field `file`) onto the draft, which is begun where there is none; `If-Match` is optional."""
    with reading_session() as db:
        files.list_of_newest(db, actor(), reference)
    kept = received()
    with writing() as db:
        line, now = files.attach(db, actor(), reference, kept, _revision())
    stem = line.filename.rsplit(".", 1)[0]
    shown = AttachmentShown(
        id=line.public_id,
        filename=line.filename,
        media_type=kept.media_type,
        size=line.size,
        sha256=line.sha256,
        url=f"{PREFIX}/attachments/{line.public_id}",
        markdown=f"![{stem}]({line.address})" if line.is_picture else "",
        revision=now,
    )
    response = Response(json.dumps(shown.model_dump(mode="json"), ensure_ascii=False), 201, mimetype="application/json")
    response.headers["ETag"] = f'"{now}"'
    return response


def _revision() -> int | None:
    given = request.headers.get("If-Match")
    if given is None:
        return None
    number = given.removeprefix("W/").strip('"')
    if not number.isdecimal() or len(number) > 9:
        raise Invalid(code="revision")
    return int(number)


@area.delete("/assets/<reference>/attachments/<attachment>", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=RemovedShown, more=(412,)), tags=["files"])
def remove(reference: str, attachment: str) -> Response:
    """Take a file off the draft; versions that hold it keep it."""
    with writing() as db:
        now = files.remove(db, actor(), reference, attachment, _revision())
    shown = RemovedShown(id=attachment, revision=now)
    return Response(json.dumps(shown.model_dump(mode="json")), 200, mimetype="application/json")


@area.get("/attachments/<attachment>", needs=Permission.SEARCH)
@spec.validate(resp=answers(), tags=["files"])
def download(attachment: str, query: DealQuery) -> Response:
    """The file, for editors of the asset, and for readers whose deal allows taking it."""
    with reading_session() as db:
        deal = _deal(db, query.deal)
        served = files.get_for_download(db, settings(), actor(), deal, attachment)
    note_download(served, deal)
    return sent(served)


def _deal(db: Any, reference: str) -> deals.DealContext | None:
    return deals.get_context(db, actor(), taxonomy.load(db), reference) if reference else None
