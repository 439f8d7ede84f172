"""Refused rows of imports: each with its reason, to be corrected and sent again, or set aside."""

from flask import redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import rejected, syncing
from content.crm import CsvImport
from kb.access import Permission
from kb.db import current, reading, writing
from kb.web import Area, actor, done

area = Area("imports", __name__)


@area.get("/imports", needs=Permission.IMPORT)
def page() -> str:
    """What waits to be corrected, newest first."""
    kind = request.args.get("kind", "")
    with reading() as db:
        counts = rejected.count_open(db)
        rows = rejected.list_open(db, actor(), kind if kind in syncing.KINDS else "")
    columns = {one: sorted(CsvImport.KNOWN[one]) for one in syncing.KINDS}
    return render_template("content/imports.html", rows=rows, counts=counts, kind=kind, columns=columns)


@area.post("/imports/<reference>", needs=Permission.IMPORT)
def send_again(reference: str) -> AnyResponse:
    """The row as corrected; where it still cannot be taken, it stays with its new reason."""
    row = {name.removeprefix("row."): value for name, value in request.form.items() if name.startswith("row.")}
    report = syncing.send_again(current(), actor(), reference, row)
    if report.failed:
        done(gettext("Still refused: %(why)s", why=report.failed[0].message))
    else:
        done(gettext("Taken."))
    return redirect(url_for("imports.page"))


@area.post("/imports/<reference>/aside", needs=Permission.IMPORT)
def set_aside(reference: str) -> AnyResponse:
    with writing() as db:
        rejected.end(db, actor(), reference, "set_aside")
    done(gettext("Set aside."))
    return redirect(url_for("imports.page"))
