"""What a notice says, to whoever may still see what it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, or_, select
from sqlalchemy.orm import Session

from content.models import Asset, Version
from content.visibility import editable_by, names_it, visible_to
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
    "review_unmanned": N_("Everybody of a party is away, with no deputy left: give a review to somebody."),
    "review_approved": N_("All reviewers have cleared it."),
    "review_changes_requested": N_("It came back: reviewers want changes."),
    "review_stale": N_(
        "It came back ten working days ago, and nobody has gone on with it: submit it again, or archive it."
    ),
    "review_rejected": N_("It was rejected."),
    "review_urgent": N_("Urgent: a correction waits for your verdict."),
    "urgent": N_("Urgent: a colleague reports that this hurts a deal. Correct it within 48 hours."),
    "urgent_late": N_("The 48 hours are over, and the urgent case is still open."),
    "urgent_corrected": N_("What you reported is corrected, and past users are told."),
    "urgent_withdrawn": N_("What you reported was withdrawn, and past users are told."),
    "urgent_dismissed": N_("What you reported was looked at: it stays as it is."),
    "held": N_("It is on hold: no reader finds it until that is lifted."),
    "recall": N_("A text that you used was called back: say what the customer got."),
    "recall_late": N_("One of your people has not answered a recall for a day, on an open deal."),
    "access_asked": N_("A colleague asks to read what a later stage unlocks."),
    "access_granted": N_("You may read what you asked for."),
    "access_refused": N_("What you asked for stays shut: see why."),
    "share_opened": N_("A customer has opened what you sent."),
    "share_outdated": N_(
        "What you sent is published anew: your link opens nothing until you let it show the new version."
    ),
    "story": N_("A colleague sent a draft from the field: %(about)s."),
    "published": N_("What you sent is published. Thank you."),
    "saved_match": N_("New, and matches a search you keep: %(about)s."),
}
"""Sentences by kind of notice; those about a day hold its moment in `about`."""
WITH_DAY = frozenset({"due", "unverified", "expires"})

RECALLS: frozenset[str] = frozenset({"recall", "recall_late"})
"""Told to whoever used a text and may not see it any more: the way to their answers, without its title then."""


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
    return lines_of(session, actor, notices.list_newest(session, actor.user_id, limit))


def lines_of(session: Session, actor: Actor, found: Sequence[notices.Told | notices.Notice]) -> Sequence[Line]:
    """These notices of a person, as far as they may see now what each is about."""
    told = [one for one in found if one.kind in WORDS]
    editable = editable_by(actor)
    rows = session.execute(
        select(Asset.id, Asset.public_id, Version.title, Version.language, editable.label("editable"))
        .join(Version, names_it(editable))
        .where(Asset.id.in_([one.object_id for one in told]), or_(editable, visible_to(actor, None)))
    )
    known = {row.id: row for row in rows}
    may_edit = actor.may(Permission.EDIT)
    return [
        Line(
            one.kind,
            WORDS[one.kind],
            str(one.details.get("about", "")),
            *_what(known.get(one.object_id), may_edit),
            one.at,
            one.is_read if isinstance(one, notices.Told) else one.read_at is not None,
        )
        for one in told
        if is_led_elsewhere(one.kind) or one.object_id in known
    ]


def is_led_elsewhere(kind: str) -> bool:
    """Whether it leads to one's recalls, urgent cases, access requests or links, which ask for themselves what one may see."""
    return kind in RECALLS or kind.startswith(("urgent", "access_", "share_"))


def _what(row: Row[int, str, str, str, bool] | None, may_edit: bool) -> tuple[str, str, str, bool]:
    """Title, language, id of what it is about, and whether it opens in the editor."""
    if row is None:
        return "", "", "", False
    return row.title, row.language, row.public_id, may_edit and bool(row.editable)
