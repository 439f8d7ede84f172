"""Whom something may be sent to on a deal: people at the customer, and the non-disclosure agreement with them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from content.deals import Deal, DealContact, DealContext, UnknownDeal, is_in_force, is_member
from kb import audit, clock, users
from kb.access import Actor, Permission, require
from kb.errors import N_, Conflict, Invalid, NotFound

MOST = 200
LONGEST_NAME = 120
LONGEST_REFERENCE = 120
PLAIN = re.compile(r"[!-~]+")
FARTHEST = timedelta(days=365 * 30)


class KnownAlready(Conflict):
    code, message = "known_contact", N_("Somebody with this address is a contact of this deal already.")


@dataclass(frozen=True, slots=True)
class Contact:
    """A person at the customer."""

    public_id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Nda:
    """The non-disclosure agreement of a deal; `reference` is what finds it, such as the number of the contract."""

    signed_on: date
    until_on: date | None
    reference: str

    @property
    def is_in_force(self) -> bool:
        return is_in_force(self.signed_on, self.until_on)


def list_of(session: Session, actor: Actor, deal: DealContext) -> Sequence[Contact]:
    """The contacts of a deal by name, for its members."""
    row = _deal(session, actor, deal)
    rows = session.scalars(
        select(DealContact)
        .where(DealContact.deal_id == row.id, DealContact.removed_at.is_(None))
        .order_by(DealContact.name, DealContact.id)
    )
    return [Contact(one.public_id, one.name, one.email) for one in rows]


def nda_of(session: Session, actor: Actor, deal: DealContext) -> Nda | None:
    """The agreement on the file of a deal, in force or not."""
    row = _deal(session, actor, deal)
    if row.nda_signed_on is None:
        return None
    return Nda(row.nda_signed_on, row.nda_until_on, row.nda_reference or "")


def add(session: Session, actor: Actor, deal: DealContext, name: str, email: str) -> Contact:
    """Put a person at the customer on a deal; raises KnownAlready where the address is there."""
    require(actor, Permission.USE)
    row = _deal(session, actor, deal)
    cleaned, address = " ".join(name.split()), users.normal_email(email) if email.strip() else ""
    if not 0 < len(cleaned) <= LONGEST_NAME:
        raise Invalid(N_("Give the contact's name, at most 120 characters."), code="contact_name")
    if not PLAIN.fullmatch(address):
        raise Invalid(N_("Give the contact's e-mail address."), code="contact_email")
    present = _present(session, row)
    if any(one.email == address for one in present):
        raise KnownAlready()
    if len(present) >= MOST:
        raise Conflict(N_("A deal has at most 200 contacts."), code="many_contacts")
    made = DealContact(deal_id=row.id, name=cleaned, email=address, added_by_id=actor.user_id, added_at=clock.now())
    session.add(made)
    session.flush()
    audit.record(session, actor, "contact.add", "deal", row.public_id, contact=made.public_id)
    return Contact(made.public_id, made.name, made.email)


def remove(session: Session, actor: Actor, deal: DealContext, public_id: str) -> None:
    """Take a contact off a deal; links to them are dead from then on."""
    require(actor, Permission.USE)
    row = _deal(session, actor, deal)
    found = next((one for one in _present(session, row) if one.public_id == public_id), None)
    if found is None:
        raise NotFound()
    found.removed_at = clock.now()
    audit.record(session, actor, "contact.remove", "deal", row.public_id, contact=found.public_id)


def set_nda(session: Session, actor: Actor, deal: DealContext, nda: Nda | None) -> None:
    """Put the agreement with the customer on file, or say that there is none any more."""
    require(actor, Permission.USE)
    row = _deal(session, actor, deal)
    if nda is not None:
        _check(nda)
    row.nda_signed_on = nda.signed_on if nda else None
    row.nda_until_on = nda.until_on if nda else None
    row.nda_reference = nda.reference.strip() if nda else None
    told = (
        {"signed_on": str(nda.signed_on), "until_on": str(nda.until_on or ""), "reference": nda.reference}
        if nda
        else {}
    )
    audit.record(session, actor, "nda.set" if nda else "nda.remove", "deal", row.public_id, **told)


def _check(nda: Nda) -> None:
    today = clock.now().date()
    if nda.signed_on > today + timedelta(days=1):  # it may be tomorrow already where the customer sits
        raise Invalid(N_("The agreement cannot have been signed in the future."), code="nda_signed")
    if nda.until_on is not None and not nda.signed_on <= nda.until_on <= today + FARTHEST:
        raise Invalid(N_("The agreement must end after it was signed, within 30 years."), code="nda_until")
    if not 0 < len(nda.reference.strip()) <= LONGEST_REFERENCE:
        raise Invalid(N_("Say where the agreement is found, such as the number of the contract."), code="nda_reference")


def _deal(session: Session, actor: Actor, deal: DealContext) -> Deal:
    row = session.scalar(select(Deal).where(Deal.id == deal.id, is_member(actor)))
    if row is None:
        raise UnknownDeal()
    return row


def _present(session: Session, row: Deal) -> Sequence[DealContact]:
    return session.scalars(
        select(DealContact).where(DealContact.deal_id == row.id, DealContact.removed_at.is_(None))
    ).all()
