"""Links for customers, contacts and agreements of deals, for programs."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field

from content import contacts, dealing, sharing
from content.contacts import Nda
from content.deals import DealContext
from content.share_routes import address_of
from content.sharing import Kind, LinkLine, Wanted
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.config import all_keys
from kb.db import reading as reading_session
from kb.web import Area, actor, settings

SECRETS = ("address",)
"""Who repeats a write reads the address from the link itself."""

area = Area("share_api", __name__, url_prefix=PREFIX)


class ShareBody(Strict):
    """`named` needs `deal` and `contact`, a contact of that deal; `open` is for public handling alone."""

    kind: Literal["named", "open"]
    deal: Annotated[str, Field(max_length=dealing.MAX_REFERENCE)] = ""
    contact: Annotated[str, Field(max_length=24)] = ""
    days: Annotated[int, Field(ge=1, le=sharing.MOST_DAYS)] = sharing.DAYS
    password: Annotated[str, Field(max_length=sharing.LONGEST_PASSWORD)] = ""
    asks_email: bool = False
    may_download: bool = False


class ExtendBody(Strict):
    days: Annotated[int, Field(ge=1, le=sharing.MOST_DAYS)] = sharing.DAYS


class ContactBody(Strict):
    name: Annotated[str, Field(min_length=1, max_length=contacts.LONGEST_NAME)]
    email: Annotated[str, Field(min_length=3, max_length=254)]


class NdaBody(Strict):
    """`until_on` null: without an end."""

    signed_on: date
    until_on: date | None = None
    reference: Annotated[str, Field(min_length=1, max_length=contacts.LONGEST_REFERENCE)]


class ContactShown(Shown):
    id: str
    name: str
    email: str


class NdaShown(Shown):
    signed_on: date
    until_on: date | None
    reference: str
    in_force: bool


class CustomerShown(Shown):
    """Whom something may be sent to on a deal."""

    contacts: list[ContactShown]
    nda: NdaShown | None


class OpeningShown(Shown):
    at: datetime
    kind: Literal["view", "download"]
    email: str
    filename: str


class ShareShown(Shown):
    """`title` and `asset` are empty where the caller may not see the text now."""

    id: str
    kind: Literal["named", "open"]
    state: Literal["live", "expired", "revoked", "outdated", "ended"]
    asset: str
    title: str
    version: int
    sender: str
    deal: str
    contact: ContactShown | None
    created_at: datetime
    expires_at: datetime
    asks_email: bool
    has_password: bool
    may_download: bool
    views: int
    downloads: int
    last_at: datetime | None


class SharesShown(Shown):
    items: list[ShareShown]


class OneShareShown(ShareShown):
    """`address` is given to its sender alone."""

    address: str
    openings: list[OpeningShown]


def _shown(line: LinkLine) -> dict[str, Any]:
    return {
        "id": line.public_id,
        "kind": line.kind.value,
        "state": line.state.value,
        "asset": line.asset_id,
        "title": line.title,
        "version": line.version,
        "sender": line.sender,
        "deal": line.deal,
        "contact": _contact(line.contact) if line.contact else None,
        "created_at": line.created_at,
        "expires_at": line.expires_at,
        "asks_email": line.asks_email,
        "has_password": line.has_password,
        "may_download": line.may_download,
        "views": line.views,
        "downloads": line.downloads,
        "last_at": line.last_at,
    }


def _contact(one: contacts.Contact) -> ContactShown:
    return ContactShown(id=one.public_id, name=one.name, email=one.email)


def _one(db: Any, public_id: str) -> OneShareShown:
    line, token = sharing.get(db, actor(), public_id, all_keys(settings()))
    seen = [
        OpeningShown(at=one.at, kind="download" if one.is_download else "view", email=one.email, filename=one.filename)
        for one in sharing.openings(db, actor(), public_id)
    ]
    return OneShareShown(**_shown(line), address=address_of(token) if token else "", openings=seen)


def _customer(db: Any, deal: DealContext) -> CustomerShown:
    nda = contacts.nda_of(db, actor(), deal)
    return CustomerShown(
        contacts=[_contact(one) for one in contacts.list_of(db, actor(), deal)],
        nda=NdaShown(signed_on=nda.signed_on, until_on=nda.until_on, reference=nda.reference, in_force=nda.is_in_force)
        if nda is not None
        else None,
    )


@area.post("/assets/<reference>/shares", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_201=OneShareShown), tags=["shares"])
def create(reference: str, json: ShareBody) -> Response:
    """A link for a customer, as the handling allows; counted as shared on the deal."""
    deal = dealing.named(json.deal)
    wanted = Wanted(Kind(json.kind), json.contact, json.days, json.password, json.asks_email, json.may_download)

    def act(db: Any) -> OneShareShown:
        made, _ = sharing.create(db, actor(), deal, reference, wanted, settings().secret_key)
        return _one(db, made)

    return write(act, 201, secrets=SECRETS)


@area.get("/shares", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=SharesShown), tags=["shares"])
def listed() -> SharesShown:
    """The caller's links, the newest first."""
    with reading_session() as db:
        return SharesShown(items=[ShareShown(**_shown(line)) for line in sharing.list_mine(db, actor())])


@area.get("/shares/<public_id>", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=OneShareShown), tags=["shares"])
def one(public_id: str) -> OneShareShown:
    """A link, and what the customer did with it."""
    with reading_session() as db:
        return _one(db, public_id)


@area.post("/shares/<public_id>/revoke", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=OneShareShown), tags=["shares"])
def revoke(public_id: str) -> Response:
    """End a link at once."""

    def act(db: Any) -> OneShareShown:
        sharing.revoke(db, actor(), public_id)
        return _one(db, public_id)

    return write(act, secrets=SECRETS)


@area.post("/shares/<public_id>/extend", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=OneShareShown), tags=["shares"])
def extend(public_id: str, json: ExtendBody) -> Response:
    """Let a link hold so many days from now."""

    def act(db: Any) -> OneShareShown:
        sharing.extend(db, actor(), public_id, json.days)
        return _one(db, public_id)

    return write(act, secrets=SECRETS)


@area.post("/shares/<public_id>/move-on", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=OneShareShown), tags=["shares"])
def move_on(public_id: str) -> Response:
    """Let a link show the version that counts now."""

    def act(db: Any) -> OneShareShown:
        sharing.move_on(db, actor(), public_id)
        return _one(db, public_id)

    return write(act, secrets=SECRETS)


@area.get("/deals/<reference>/customer", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=CustomerShown), tags=["deals"])
def customer(reference: str) -> CustomerShown:
    """Contacts and agreement of one of the caller's deals."""
    deal = dealing.of_path(reference)
    with reading_session() as db:
        return _customer(db, deal)


@area.post("/deals/<reference>/contacts", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_201=CustomerShown), tags=["deals"])
def add_contact(reference: str, json: ContactBody) -> Response:
    """A person at the customer to whom something may be sent."""
    deal = dealing.of_path(reference)

    def act(db: Any) -> CustomerShown:
        contacts.add(db, actor(), deal, json.name, json.email)
        return _customer(db, deal)

    return write(act, 201)


@area.delete("/deals/<reference>/contacts/<contact>", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=CustomerShown), tags=["deals"])
def remove_contact(reference: str, contact: str) -> Response:
    """Take a contact off; links to them open nothing any more."""
    deal = dealing.of_path(reference)

    def act(db: Any) -> CustomerShown:
        contacts.remove(db, actor(), deal, contact)
        return _customer(db, deal)

    return write(act)


@area.put("/deals/<reference>/nda", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=CustomerShown), tags=["deals"])
def set_nda(reference: str, json: NdaBody) -> Response:
    """The non-disclosure agreement with the customer."""
    deal = dealing.of_path(reference)

    def act(db: Any) -> CustomerShown:
        contacts.set_nda(db, actor(), deal, Nda(json.signed_on, json.until_on, json.reference))
        return _customer(db, deal)

    return write(act)


@area.delete("/deals/<reference>/nda", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=CustomerShown), tags=["deals"])
def remove_nda(reference: str) -> Response:
    """No agreement is on file any more."""
    deal = dealing.of_path(reference)

    def act(db: Any) -> CustomerShown:
        contacts.set_nda(db, actor(), deal, None)
        return _customer(db, deal)

    return write(act)
