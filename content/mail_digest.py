"""Notices by mail: one digest of what is new and unread, as often as the person wants it; what is urgent goes at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import ColumnElement, and_, or_, select

from content import notice_words
from content.notice_words import WITH_DAY, Line
from kb import clock, language, mail, users
from kb.config import Settings
from kb.db import Database
from kb.errors import N_
from kb.mail import Mail, NotSent
from kb.notices import Notice
from kb.users import Mails, User

EVERY: Final[Mapping[Mails, timedelta]] = {Mails.HOURLY: timedelta(hours=1), Mails.DAILY: timedelta(days=1)}
GATHER: Final = timedelta(minutes=5)
"""What came with it is in the same mail."""
AGAIN: Final = timedelta(minutes=10)
AT_ONCE: Final = frozenset({"review_urgent", "urgent", "urgent_late", "recall", "recall_late", "review_stuck"})
MOST: Final = 50
LOOK_EVERY: Final = timedelta(seconds=5)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one person is mailed, marked as mailed so that no other machine does."""

    user_id: int
    notice_ids: tuple[int, ...]
    former: datetime | None
    mail: Mail | None


def sweep(database: Database, settings: Settings) -> Callable[[], None]:
    """The worker's look at notices to be mailed; does nothing where no mail server is named."""
    until: list[datetime] = []

    def look() -> None:
        now = clock.now()
        if not mail.is_on(settings) or (until and now < until[0] <= now + AGAIN):
            return
        try:
            send_due(database, settings)
            until[:] = [now + LOOK_EVERY]
        except NotSent as error:  # the server is away: nothing is lost, and it is asked again later
            log.warning("mail.not_sent", reason=str(error)[:200])
            until[:] = [now + AGAIN]

    return look


def send_due(database: Database, settings: Settings) -> int:
    """Mail whoever is to be mailed now; answers how many mails went out. Raises NotSent where the server is away."""
    with database.reading() as session:
        due = session.scalars(select(User.id).where(_is_due()).order_by(User.id).limit(MOST)).all()
    return sum(_send(database, settings, user_id) for user_id in due)


def _waiting() -> ColumnElement[bool]:
    return and_(Notice.user_id == User.id, Notice.read_at.is_(None), Notice.mailed_at.is_(None))


def _is_due() -> ColumnElement[bool]:
    now = clock.now()
    waits = select(Notice.id).where(_waiting()).correlate(User)
    gathered = waits.where(Notice.at <= now - GATHER).exists()
    turns = [
        and_(User.mails == rhythm.value, or_(User.mailed_at.is_(None), User.mailed_at <= now - span))
        for rhythm, span in EVERY.items()
    ]
    at_once = and_(User.mails != Mails.NEVER.value, waits.where(Notice.kind.in_(AT_ONCE)).exists())
    return and_(User.deactivated_at.is_(None), or_(and_(gathered, or_(*turns)), at_once))


def _send(database: Database, settings: Settings, user_id: int) -> bool:
    taken = _take(database, settings, user_id)
    if taken is None or taken.mail is None:
        return False
    try:
        mail.send(settings, taken.mail)
    except mail.Refused as error:
        log.warning("mail.refused", user=user_id, reason=str(error)[:200])
        return False
    except NotSent:
        _give_back(database, taken)
        raise
    return True


def _take(database: Database, settings: Settings, user_id: int) -> _Taken | None:
    """Mark before sending: two machines never mail the same, and a mail that fails gives its notices back."""
    with database.writing() as session:
        person = session.get(User, user_id, with_for_update=True)
        if person is None or session.scalar(select(User.id).where(User.id == user_id, _is_due())) is None:
            return None
        rows = session.scalars(
            select(Notice)
            .where(Notice.user_id == user_id, Notice.read_at.is_(None), Notice.mailed_at.is_(None))
            .order_by(Notice.at.desc(), Notice.id.desc())
            .limit(MOST)
        ).all()
        now, former = clock.now(), person.mailed_at
        for row in rows:
            row.mailed_at = now
        whole = users.find(session, user_id)
        assert whole is not None
        lines = notice_words.lines_of(session, users.actor_of(whole), rows)
        if lines:
            person.mailed_at = now
        session.flush()
        made = _mail(settings, person, lines) if lines else None
        return _Taken(user_id, tuple(row.id for row in rows), former, made)


def _give_back(database: Database, taken: _Taken) -> None:
    """As if it had not been tried."""
    with database.writing() as session:
        for notice_id in taken.notice_ids:
            row = session.get(Notice, notice_id)
            if row is not None:
                row.mailed_at = None
        person = session.get(User, taken.user_id)
        if person is not None:
            person.mailed_at = taken.former


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
    if line.is_editable:
        return f"/assets/{line.asset_id}/{'review' if line.kind.startswith('review') else 'edit'}"
    return f"/assets/{line.asset_id}"
