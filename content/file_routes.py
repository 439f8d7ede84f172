"""Files on pages: upload, download, pictures inside texts, the text of an attachment, documents that become assets."""

import secrets
from typing import Any

from flask import Response, jsonify, redirect, render_template, request, send_file
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import conversions, dealing, files, filestore, usage
from content.files import Served
from content.filestore import Kept
from content.kinds import AssetType, UseKind
from kb import web
from kb.access import Permission
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid
from kb.web import Area, actor, done, settings

area = Area("content_files", __name__)

HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}


def received() -> Kept:
    """The upload of this request, in the store; Invalid where there is none."""
    upload = request.files.get("file")
    if upload is None or not upload.filename:
        raise Invalid(gettext("Choose a file."), code="file_missing")
    return filestore.keep(settings(), upload.stream, upload.filename)


def sent(served: Served, *, inline: bool = False) -> Response:
    """A file with the headers that keep it from doing anything here."""
    response = send_file(
        served.path, mimetype=served.media_type, as_attachment=not inline, download_name=served.filename, etag=False,
        conditional=False, max_age=0,
    )  # fmt: skip
    response.headers.update(HEADERS)
    return response


def note_download(served: Served, deal: Any) -> None:
    """What a reader takes away is a use, on its deal."""
    if served.asset is None:
        return
    event = usage.NewEvent(secrets.token_urlsafe(12), served.asset.public_id, UseKind.DOWNLOAD, surface="attachment")
    with writing() as db:
        usage.record(db, actor(), deal, event)


@area.get("/attachments/<attachment>", needs=Permission.SEARCH)
def download(attachment: str) -> Response:
    deal = dealing.chosen()
    with reading_session() as db:
        served = files.get_for_download(db, settings(), actor(), deal, attachment)
    note_download(served, deal)
    return sent(served)


@area.get("/attachments/<sha256>/<name>", needs=Permission.SEARCH)
def picture(sha256: str, name: str) -> Response:  # noqa: ARG001  # the name is for people who read the source
    with reading_session() as db:
        served = files.get_picture(db, settings(), actor(), dealing.chosen(), sha256)
    return sent(served, inline=True)


@area.get("/assets/<reference>/attachments/<attachment>/text", needs=Permission.SEARCH)
def text(reference: str, attachment: str) -> str:
    """What stands in a file, page by page; readable wherever the asset is."""
    with reading_session() as db:
        found = files.get_text(db, actor(), dealing.chosen(), reference, attachment)
    return render_template("content/file_text.html", found=found)


@area.post("/assets/<reference>/attachments", needs=Permission.EDIT)
def attach(reference: str) -> AnyResponse | tuple[AnyResponse, int]:
    """A file onto the draft, from the editor's script or from a form."""
    with reading_session() as db:
        files.list_of_newest(db, actor(), reference)  # who may not edit sends no bytes into the store
    kept = received()
    revision = request.form.get("revision", "")
    with writing() as db:
        line, now = files.attach(db, actor(), reference, kept, int(revision) if revision.isdecimal() else None)
    if web.wants_fragment():
        return jsonify(_told(line, now)), 201
    done(gettext("Attached."))
    return redirect(dealing.link("content_editor.edit", reference=reference, _anchor="files"))


def _told(line: files.FileLine, revision: int) -> dict[str, object]:
    stem = line.filename.rsplit(".", 1)[0]
    return {
        "id": line.public_id,
        "filename": line.filename,
        "media_type": line.kind.value,
        "size": line.size,
        "sha256": line.sha256,
        "markdown": f"![{stem}]({line.address})" if line.is_picture else "",
        "revision": revision,
    }


@area.get("/assets/<reference>/attachments", needs=Permission.EDIT)
def editable(reference: str) -> str:
    """The files of the draft as the editor shows them."""
    with reading_session() as db:
        found = files.list_of_newest(db, actor(), reference)
    return render_template("content/_files.html", files=found, reference=reference)


@area.post("/assets/<reference>/attachments/<attachment>/remove", needs=Permission.EDIT)
def remove(reference: str, attachment: str) -> AnyResponse:
    with writing() as db:
        files.remove(db, actor(), reference, attachment)
    done(gettext("Taken off the draft. Versions that hold it keep it."))
    return redirect(dealing.link("content_editor.edit", reference=reference, _anchor="files"))


@area.post("/assets/from-document", needs=Permission.EDIT)
def take_document() -> AnyResponse:
    """A document that is to become an asset."""
    kept = received()
    word = request.form.get("type", "")
    with writing() as db:
        row = conversions.start(db, actor(), kept, AssetType(word) if word in set(AssetType) else None)
    return redirect(dealing.link("content_files.conversion", conversion=row.public_id))


@area.get("/conversions/<conversion>", needs=Permission.EDIT)
def conversion(conversion: str) -> str | AnyResponse:
    """How far a document is; its own script asks again until it is done."""
    with reading_session() as db:
        found = conversions.get(db, actor(), conversion)
    if found.asset_id is not None and not web.wants_fragment():
        return redirect(dealing.link("content_editor.edit", reference=found.asset_id))
    template = "content/_conversion.html" if web.wants_fragment() else "content/conversion.html"
    return render_template(template, found=found)
