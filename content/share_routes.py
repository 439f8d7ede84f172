"""Pages of what is sent to customers: making a link, one's links, a deal with its contacts and agreement."""

from datetime import date

from flask import redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from content import contacts, deal_notes, dealing, reading, sharing
from content.contacts import Nda
from content.sharing import Kind, Wanted
from content.visibility import Act
from kb.access import Permission
from kb.config import all_keys
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Conflict, Invalid
from kb.web import Area, actor, done, settings

area = Area("sharing", __name__)


def address_of(token: str) -> str:
    """Where a customer opens a link: on the address that people type, where one is set."""
    base = settings().base_url.rstrip("/") or request.host_url.rstrip("/")
    return base + url_for("shared.page", token=token)


def number(text: str) -> int:
    """A number as a form sends it; 0 where it is none."""
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def day(text: str) -> date | None:
    """A day as a form sends it; None where there is none."""
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise Invalid(gettext("Give the day as year-month-day."), code="bad_day") from None


@area.get("/assets/<reference>/share", needs=Permission.USE)
def form(reference: str) -> str:
    return _form(reference)


def _form(reference: str, wrong: str = "", given: dict[str, str] | None = None) -> str:
    deal = dealing.chosen()
    with reading_session() as db:
        asset = reading.get_visible(db, actor(), deal, reference)
        people = contacts.list_of(db, actor(), deal) if deal is not None else ()
        nda = contacts.nda_of(db, actor(), deal) if deal is not None else None
        links = sharing.list_of_asset(db, actor(), asset)
    may = {Kind.NAMED: Act.SHARE in asset.acts, Kind.OPEN: Act.OPEN_LINK in asset.acts}
    return render_template(
        "content/share.html",
        asset=asset,
        may=may,
        people=people,
        nda=nda,
        links=links,
        days=sharing.DAYS,
        most_days=sharing.MOST_DAYS,
        wrong=wrong,
        given=given or {},
    )


@area.post("/assets/<reference>/share", needs=Permission.USE)
def create(reference: str) -> AnyResponse | tuple[str, int]:
    deal, fields = dealing.chosen(), request.form.to_dict()
    try:
        with writing() as db:
            contact = fields.get("contact", "")
            kind = Kind.OPEN if fields.get("kind") == Kind.OPEN else Kind.NAMED
            if kind is Kind.NAMED and deal is not None and fields.get("email", "").strip():
                contact = contacts.add(db, actor(), deal, fields.get("name", ""), fields["email"]).public_id
            wanted = Wanted(
                kind,
                contact,
                number(fields.get("days", "")),
                fields.get("password", ""),
                fields.get("asks_email") == "1",
                fields.get("may_download") == "1",
            )
            made, _ = sharing.create(db, actor(), deal, reference, wanted, settings().secret_key)
    except (Invalid, contacts.KnownAlready) as refused:
        return _form(reference, gettext(refused.text), fields), 422
    done(gettext("The link is ready: copy it into your mail or chat."))
    return redirect(dealing.link("sharing.page", public_id=made))


@area.get("/shares", needs=Permission.USE)
def mine() -> str:
    """One's own links; those of all for who administers."""
    of_all = request.args.get("all") == "1" and actor().may(Permission.ADMINISTER)
    with reading_session() as db:
        lines = sharing.list_all(db, actor()) if of_all else sharing.list_mine(db, actor())
    return render_template("content/shares.html", lines=lines, of_all=of_all)


@area.get("/shares/<public_id>", needs=Permission.USE)
def page(public_id: str) -> str:
    return _page(public_id)


def _page(public_id: str, wrong: str = "") -> str:
    with reading_session() as db:
        line, token = sharing.get(db, actor(), public_id, all_keys(settings()))
        openings = sharing.openings(db, actor(), public_id)
    return render_template(
        "content/share_link.html",
        line=line,
        address=address_of(token) if token else "",
        openings=openings,
        days=sharing.DAYS,
        most_days=sharing.MOST_DAYS,
        wrong=wrong,
    )


@area.post("/shares/<public_id>/revoke", needs=Permission.USE)
def revoke(public_id: str) -> AnyResponse:
    with writing() as db:
        sharing.revoke(db, actor(), public_id)
    done(gettext("The link opens nothing any more."))
    return redirect(dealing.link("sharing.page", public_id=public_id))


@area.post("/shares/<public_id>/extend", needs=Permission.USE)
def extend(public_id: str) -> AnyResponse | tuple[str, int]:
    try:
        with writing() as db:
            sharing.extend(db, actor(), public_id, number(request.form.get("days", "")))
    except (Invalid, sharing.NoMoreChanges) as refused:
        return _page(public_id, gettext(refused.text)), 422
    done(gettext("It holds longer now."))
    return redirect(dealing.link("sharing.page", public_id=public_id))


@area.post("/shares/<public_id>/move-on", needs=Permission.USE)
def move_on(public_id: str) -> AnyResponse:
    with writing() as db:
        sharing.move_on(db, actor(), public_id)
    done(gettext("The same address shows the version that counts now."))
    return redirect(dealing.link("sharing.page", public_id=public_id))


# --- a deal ---


@area.get("/deals/<reference>", needs=Permission.USE)
def deal(reference: str) -> str:
    return _deal(reference)


def _deal(reference: str, wrong: str = "", given: dict[str, str] | None = None) -> str:
    chosen = dealing.of_path(reference)
    dealing.chosen()  # stays in the header when a form is refused
    with reading_session() as db:
        people = contacts.list_of(db, actor(), chosen)
        nda = contacts.nda_of(db, actor(), chosen)
        links = sharing.list_on(db, actor(), chosen)
        notes = deal_notes.on_deal(db, actor(), chosen)
    return render_template(
        "content/deal.html",
        shown=chosen,
        people=people,
        nda=nda,
        links=links,
        notes=notes,
        wrong=wrong,
        given=given or {},
    )


def _on(reference: str, word: str) -> AnyResponse:
    done(word)
    return redirect(dealing.link("sharing.deal", reference=reference))


@area.post("/deals/<reference>/contacts", needs=Permission.USE)
def add_contact(reference: str) -> AnyResponse | tuple[str, int]:
    fields = request.form.to_dict()
    chosen = dealing.of_path(reference)
    try:
        with writing() as db:
            contacts.add(db, actor(), chosen, fields.get("name", ""), fields.get("email", ""))
    except (Invalid, Conflict) as refused:
        return _deal(reference, gettext(refused.text), fields), 422
    return _on(reference, gettext("On the deal."))


@area.post("/deals/<reference>/contacts/<contact>/remove", needs=Permission.USE)
def remove_contact(reference: str, contact: str) -> AnyResponse:
    chosen = dealing.of_path(reference)
    with writing() as db:
        contacts.remove(db, actor(), chosen, contact)
    return _on(reference, gettext("Taken off. Links to them open nothing any more."))


@area.post("/deals/<reference>/nda", needs=Permission.USE)
def set_nda(reference: str) -> AnyResponse | tuple[str, int]:
    fields = request.form.to_dict()
    chosen = dealing.of_path(reference)
    try:
        nda = None if fields.get("remove") == "1" else _nda(fields)
        with writing() as db:
            contacts.set_nda(db, actor(), chosen, nda)
    except Invalid as refused:
        return _deal(reference, gettext(refused.text), fields), 422
    return _on(reference, gettext("The agreement is on file.") if nda else gettext("No agreement is on file any more."))


def _nda(fields: dict[str, str]) -> Nda:
    signed_on = day(fields.get("signed_on", ""))
    if signed_on is None:
        raise Invalid(gettext("Say on which day the agreement was signed."), code="nda_signed")
    return Nda(signed_on, day(fields.get("until_on", "")), fields.get("reference", ""))
