"""What a notice says, to whoever may still see what it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from content.models import Asset, Version
from content.visibility import editable_by, visible_to
from kb import notices
from kb.access import Actor, Permission, require
from kb.errors import N_

WORDS: Mapping[str, str] = {
    "due": N_("Verify it by %(day)s."),
    "unverified": N_("Unverified since %(day)s."),
    "behind": N_("Its source was published anew: bring the translation up to date, or say that it still matches."),
    "expires": N_("Expires on %(day)s."),
    "doubt": N_("Unverified: %(about)s."),
    "asked": N_("You are asked to look at what the compliance check stops: %(about)s."),
    "review": N_("A version waits for your verdict."),
    "review_due": N_("Three quarters of its time are gone: a version waits for your verdict."),
    "review_late": N_("A review is late: nobody of this party has decided in time."),
    "review_stuck": N_("A review stands still at one and a half times its time: give it to somebody else."),
    "review_approved": N_("All reviewers have cleared it."),
    "review_changes_requested": N_("It came back: reviewers want changes."),
    "review_rejected": N_("It was rejected."),
    "story": N_("A colleague sent a draft from the field: %(about)s."),
    "published": N_("What you sent is published. Thank you."),
}
"""Sentences by kind of notice; those about a day hold its moment in `about`."""
WITH_DAY = frozenset({"due", "unverified", "expires"})

_newer = aliased(Version)


@dataclass(frozen=True, slots=True)
class Line:
    """One notice as pages show it."""

    kind: str
    words: str
    about: str
    title: str
    language: str
    asset_id: str
    is_editable: bool
    at: datetime
    is_read: bool


def list_lines(session: Session, actor: Actor, limit: int = 50) -> Sequence[Line]:
    """The newest notices of a person about what they may see or edit now; the others are not told any more."""
    require(actor, Permission.ACCOUNT)
    if actor.user_id is None:
        return []
    told = [one for one in notices.list_newest(session, actor.user_id, limit) if one.kind in WORDS]
    last = select(func.max(_newer.number)).where(_newer.asset_id == Asset.id).correlate(Asset).scalar_subquery()
    editable = editable_by(actor)
    rows = session.execute(
        select(Asset.id, Asset.public_id, Version.title, Version.language, editable.label("editable"))
        .join(Version, and_(Version.asset_id == Asset.id, Version.number == last))
        .where(Asset.id.in_([one.object_id for one in told]), or_(editable, visible_to(actor, None)))
    )
    known = {row.id: row for row in rows}
    may_edit = actor.may(Permission.EDIT)
    return [
        Line(
            one.kind,
            WORDS[one.kind],
            str(one.details.get("about", "")),
            row.title,
            row.language,
            row.public_id,
            may_edit and bool(row.editable),
            one.at,
            one.is_read,
        )
        for one in told
        if (row := known.get(one.object_id)) is not None
    ]
