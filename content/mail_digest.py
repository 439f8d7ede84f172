"""Notices by mail: one digest of what is new and unread, as often as the person wants it; what is urgent goes at once."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from content import notice_words
from content.notice_words import WITH_DAY, Line
from kb import clock, language, mail, outbox, users
from kb.config import Settings
from kb.db import Database, take_turn
from kb.errors import N_
from kb.mail import Mail, NotSent
from kb.notices import Notice
from kb.outbox import Handler, NotNow, Wish, WishKind
from kb.users import Mails, User

EVERY: Final[Mapping[Mails, timedelta]] = {Mails.HOURLY: timedelta(hours=1), Mails.DAILY: timedelta(days=1)}
GATHER: Final = timedelta(minutes=5)
"""What came with it is in the same mail."""
AGAIN: Final = timedelta(minutes=10)
TOO_OLD: Final = timedelta(days=7)
AT_ONCE: Final = frozenset({"review_urgent", "urgent", "urgent_late", "recall", "recall_late", "review_stuck"})
MOST: Final = 50
LOOK_EVERY: Final = timedelta(seconds=5)
log = structlog.get_logger(__name__)


def sweep(database: Database, settings: Settings) -> Callable[[], None]:
    """The worker's look at who is to be mailed; does nothing where no mail server is named."""
    last: list[datetime] = []

    def look() -> None:
        now = clock.now()
        if not mail.is_on(settings) or (last and timedelta() <= now - last[0] < LOOK_EVERY):
            return
        last[:] = [now]
        wish_for_due(database)

    return look


def wish_for_due(database: Database) -> int:
    """Wish for a mail to whoever is to have one now, unless one is wished for; answers how many wishes."""
    wished = select(Wish.id).where(Wish.kind == WishKind.MAIL_DIGEST.value, Wish.object_id == User.id).correlate(User)
    due = select(User.id).where(_is_due(), ~wished.exists()).order_by(User.id).limit(MOST)
    with database.reading() as session:
        if session.scalar(due.limit(1)) is None:
            return 0
    with database.writing() as session:
        take_turn(session, WishKind.MAIL_DIGEST.value)
        people = session.scalars(due).all()
        for user_id in people:
            outbox.add(session, WishKind.MAIL_DIGEST, user_id)
    return len(people)


def _waiting(user_id: InstrumentedAttribute[int] | int) -> ColumnElement[bool]:
    """What is unread, not mailed yet, and not so old that a mail would only surprise."""
    fresh = Notice.at > clock.now() - TOO_OLD
    return and_(Notice.user_id == user_id, Notice.read_at.is_(None), Notice.mailed_at.is_(None), fresh)


def _is_due() -> ColumnElement[bool]:
    now = clock.now()
    waits = select(Notice.id).where(_waiting(User.id)).correlate(User)
    gathered = waits.where(Notice.at <= now - GATHER).exists()
    turns = [
        and_(User.mails == rhythm.value, or_(User.mailed_at.is_(None), User.mailed_at <= now - span))
        for rhythm, span in EVERY.items()
    ]
    at_once = and_(User.mails != Mails.NEVER.value, waits.where(Notice.kind.in_(AT_ONCE)).exists())
    return and_(User.deactivated_at.is_(None), or_(and_(gathered, or_(*turns)), at_once))


def sender(database: Database, settings: Settings) -> Handler:
    """Mails these people what waits for them; one that died after sending sends once more rather than never."""

    def send(user_ids: Sequence[int]) -> None:
        for user_id in user_ids:
            _send(database, settings, user_id)

    return send


def _send(database: Database, settings: Settings, user_id: int) -> None:
    with database.reading() as session:
        person = users.find(session, user_id)
        if person is None or person.deactivated_at is not None or person.mails == Mails.NEVER.value:
            return
        newest = (Notice.at.desc(), Notice.id.desc())
        rows = session.scalars(select(Notice).where(_waiting(user_id)).order_by(*newest).limit(MOST)).all()
        lines = notice_words.lines_of(session, users.actor_of(person), rows)
        made = _mail(settings, person, lines) if lines else None
        ids = [row.id for row in rows]
    try:
        if made is not None:
            mail.send(settings, made)
    except mail.Refused as error:
        log.warning("mail.refused", user=user_id, reason=str(error)[:200])
    except NotSent as error:  # the server is away: nothing is lost
        log.warning("mail.not_sent", user=user_id, reason=str(error)[:200])
        raise NotNow(AGAIN) from error
    with database.writing() as session:
        session.execute(update(Notice).where(Notice.id.in_(ids)).values(mailed_at=clock.now()))
        if made is not None:
            session.execute(update(User).where(User.id == user_id).values(mailed_at=clock.now()))


def _mail(settings: Settings, person: User, lines: Sequence[Line]) -> Mail:
    """In the person's language; a link opens the item after sign-in. It holds titles that they may see now, and no text."""
    say = language.translator(person.language or settings.language)
    parts = [f"{_sentence(say, settings.zone, line)}\n{_about(line)}{settings.base_url}{_path(line)}" for line in lines]
    first = _sentence(say, settings.zone, lines[0])
    subject = first if len(lines) == 1 else say(N_("%(n)s notices: %(first)s")) % {"n": len(lines), "first": first}
    greeting = say(N_("Hello %(name)s,")) % {"name": person.name}
    end = say(N_("How often this comes is set on your account page: %(address)s")) % {
        "address": f"{settings.base_url}/account/"
    }
    return Mail(person.email, subject, "\n\n".join([greeting, *parts, end]) + "\n")


def _sentence(say: Callable[[str], str], zone: ZoneInfo, line: Line) -> str:
    day = datetime.fromisoformat(line.about).astimezone(zone).date().isoformat() if line.kind in WITH_DAY else ""
    return say(line.words) % {"day": day, "about": line.about}


def _about(line: Line) -> str:
    return f"{line.title}\n" if line.title else ""


def _path(line: Line) -> str:
    if line.kind in notice_words.RECALLS:
        return "/recalls"
    if line.kind.startswith("urgent"):
        return "/urgent"
    if line.kind.startswith("access_"):
        return "/access-requests"
    if line.kind.startswith("share_"):
        return "/shares"
    if line.is_editable:
        return f"/assets/{line.asset_id}/{'review' if line.kind.startswith('review') else 'edit'}"
    return f"/assets/{line.asset_id}"
