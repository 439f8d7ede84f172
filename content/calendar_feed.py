"""The calendar for people's own programs, under an address only they know."""

import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import planning
from content.models import CalendarAddress
from content.planning import Item
from kb import audit, clock, users
from kb.access import Actor, Permission, require
from kb.errors import NotFound
from kb.lazily import Lazily

if TYPE_CHECKING:
    import icalendar
else:
    icalendar = Lazily("icalendar")

SECRET_BYTES: Final = 32
BACK: Final = timedelta(days=30)
AHEAD: Final = timedelta(days=180)
NOTE_USE_EVERY: Final = timedelta(hours=1)


def renew(session: Session, actor: Actor) -> str:
    """A new secret address, in place of the former one; it is told this once."""
    require(actor, Permission.EDIT)
    if actor.user_id is None:
        raise NotFound()
    secret = secrets.token_urlsafe(SECRET_BYTES)
    row = session.get(CalendarAddress, actor.user_id, with_for_update=True)
    if row is None:
        row = CalendarAddress(user_id=actor.user_id, secret_hash="")
        session.add(row)
    row.secret_hash, row.created_at, row.used_at = _hash(secret), clock.now(), None
    session.flush()
    audit.record(session, actor, "calendar.address", "user", actor.public_id)
    return secret


def revoke(session: Session, actor: Actor) -> None:
    """The address answers no more."""
    require(actor, Permission.EDIT)
    row = session.get(CalendarAddress, actor.user_id) if actor.user_id is not None else None
    if row is None:
        raise NotFound()
    session.delete(row)
    session.flush()
    audit.record(session, actor, "calendar.revoke", "user", actor.public_id)


def find(session: Session, actor: Actor) -> CalendarAddress | None:
    return session.get(CalendarAddress, actor.user_id) if actor.user_id is not None else None


def who(session: Session, secret: str) -> Actor:
    """Whose address this is, with the rights that person has now; NotFound for every other word."""
    row = session.scalar(select(CalendarAddress).where(CalendarAddress.secret_hash == _hash(secret[:200])))
    person = users.find(session, row.user_id) if row is not None else None
    actor = users.actor_of(person) if person is not None else None
    if actor is None or not actor.may(Permission.EDIT):
        raise NotFound()
    return actor


def is_use_to_note(session: Session, actor: Actor) -> bool:
    row = find(session, actor)
    return row is not None and (row.used_at is None or row.used_at < clock.now() - NOTE_USE_EVERY)


def note_use(session: Session, actor: Actor) -> None:
    row = find(session, actor)
    if row is not None:
        row.used_at = clock.now()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def calendar(
    session: Session, actor: Actor, zone: ZoneInfo, words: Callable[[Item], str], link: Callable[[Item], str]
) -> bytes:
    """The plan of the last month and the next half year as iCalendar (RFC 5545); titles alone, no texts."""
    today = clock.now().astimezone(zone).date()
    made = icalendar.Calendar()
    made.add("prodid", "-//Knowledge base//Content calendar//EN")
    made.add("version", "2.0")
    made.add("x-wr-timezone", str(zone))
    for item in planning.list_items(session, actor, zone, today - BACK, today + AHEAD):
        event = icalendar.Event()
        event.add("uid", f"{item.kind.value}-{item.id}@knowledge-base")
        event.add("dtstamp", clock.now())
        event.add("dtstart", item.at if item.at is not None else item.day)
        event.add("summary", words(item))
        event.add("url", link(item))
        made.add_component(event)
    return bytes(made.to_ical())
