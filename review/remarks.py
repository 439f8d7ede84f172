"""Remarks on a version in review: on a passage, with an answer, with words for it that its author may take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from content import drafting, service
from content.drafting import Draft
from content.kinds import VersionState
from content.models import Asset, Rendered, Version
from content.service import Wording
from kb import audit, clock, users
from kb.access import Actor, Permission, Role, require
from kb.errors import N_, Conflict, Forbidden, Invalid, NotFound
from review import passages
from review.models import Comment, Round, Step
from review.panel import READ, locked

LONGEST: Final = 4_000


class PassageGone(Conflict):
    code, message = (
        "passage_gone",
        N_("The passage does not stand in the text any more: take the words over by hand."),
    )


class TakenAlready(Conflict):
    code, message = "wording_taken", N_("These words were taken already.")


@dataclass(frozen=True, slots=True)
class Proposed:
    """A draft with suggested words in it, to be rendered and saved on the revision it goes on from."""

    reference: str
    revision: int
    wording: Wording


@dataclass(frozen=True, slots=True)
class Taken:
    """Words of a reviewer that an author took: `number` is the version into which they went."""

    by_id: int | None
    by: str
    quote: str
    wording: str
    number: int


def comment(
    session: Session, actor: Actor, public_id: str, quote: str, text: str, answers: str = "", wording: str = ""
) -> Comment:
    """A remark on a passage that stands in the version, or an answer to a remark.

    `wording` are words for the passage, which the author may take with one click.
    """
    require(actor, Permission.EDIT)
    row, asset, version = locked(session, actor, public_id)
    cleaned, passage = text.strip()[:LONGEST], quote.strip()
    if not cleaned and not wording.strip():
        raise Invalid(N_("Write what you want to say."), code="text_missing")
    former = _comment(session, row, answers) if answers else None
    if passage and not passages.stands_in(f"{version.title}\n{version.text}", passage):
        raise Invalid(N_("That passage does not stand in this version: mark it in the text."), code="quote_unknown")
    instead = wording.strip()[:LONGEST]
    if instead and not passage:
        raise Invalid(N_("Mark the passage for which you suggest other words."), code="quote_missing")
    parties = set(session.scalars(select(Step.party).where(Step.round_id == row.id)))
    mine = sorted(parties & {party.value for party in actor.parties}) if Role.REVIEWER in actor.roles else []
    made = Comment(
        round_id=row.id,
        answers_id=former.id if former is not None else None,
        user_id=actor.user_id,
        party=mine[0] if mine else "",
        quote=passage[:LONGEST],
        text=cleaned,
        wording=instead or None,
    )
    session.add(made)
    session.flush()
    audit.record(session, actor, "comment.add", "round", row.public_id, comment=made.public_id, asset=asset.public_id)
    return made


def _comment(session: Session, row: Round, public_id: str) -> Comment:
    found = session.scalar(select(Comment).where(Comment.public_id == public_id, Comment.round_id == row.id))
    if found is None:
        raise NotFound()
    return found


def resolve(session: Session, actor: Actor, public_id: str, comment_id: str) -> Comment:
    """The remark is dealt with; saying so again opens it."""
    require(actor, Permission.EDIT)
    row, _asset, _version = locked(session, actor, public_id)
    found = _comment(session, row, comment_id)
    if found.resolved_at is None:
        found.resolved_at, found.resolved_by_id = clock.now(), actor.user_id
    else:
        found.resolved_at = found.resolved_by_id = None
    session.flush()
    word = "resolve" if found.resolved_at else "reopen"
    audit.record(session, actor, f"comment.{word}", "round", row.public_id, comment=comment_id)
    return found


# --- suggested words ---


def propose(session: Session, actor: Actor, public_id: str, comment_id: str) -> Proposed:
    """The asset's draft with the suggested words in place of the passage; whoever suggested them does not take them."""
    require(actor, Permission.EDIT)
    row = session.scalar(select(Round).where(Round.public_id == public_id))
    if row is None:
        raise NotFound()
    version = session.get_one(Version, row.version_id)
    asset_id = session.get_one(Asset, version.asset_id).public_id
    before = drafting.get_draft(session, actor, asset_id)
    found = _comment(session, row, comment_id)
    if not found.wording:
        raise NotFound()
    if found.user_id == actor.user_id:
        raise Forbidden(N_("The author takes your words, so that you may still review them."), code="own_wording")
    if found.taken_at is not None:
        raise TakenAlready()
    title, text = (_replaced(part, found) for part in (before.title, before.text))
    if title is None and text is None:
        raise PassageGone()
    changes = {"text": text} if text is not None else {"title": title}
    return Proposed(asset_id, before.revision, drafting.wording_of(before, changes))


def _replaced(text: str, found: Comment) -> str | None:
    span = passages.place(text, found.quote)
    return f"{text[: span[0]]}{found.wording}{text[span[1] :]}" if span is not None else None


def take(
    session: Session, actor: Actor, public_id: str, comment_id: str, proposed: Proposed, rendered: Rendered
) -> Draft:
    """Save the draft with the suggested words, and remember whose they are; StaleDraft where it was saved meanwhile."""
    require(actor, Permission.EDIT)
    saved = drafting.put_draft(session, actor, proposed.reference, proposed.revision, proposed.wording, rendered)
    row = session.scalars(select(Round).where(Round.public_id == public_id)).one()
    found = session.scalars(
        select(Comment).where(Comment.public_id == comment_id, Comment.round_id == row.id).with_for_update()
    ).one()
    if found.taken_at is not None:
        raise TakenAlready()
    draft = service.find_version(session, service.get_editable(session, actor, proposed.reference), VersionState.DRAFT)
    assert draft is not None
    found.taken_at, found.taken_by_id, found.taken_version_id = clock.now(), actor.user_id, draft.id
    found.resolved_at, found.resolved_by_id = found.resolved_at or clock.now(), found.resolved_by_id or actor.user_id
    session.flush()
    told = {"comment": comment_id, "version": draft.number, "digest": saved.digest}
    audit.record(session, actor, "wording.take", "round", public_id, **told)
    return saved


def taken(session: Session, version: Version) -> Sequence[Taken]:
    """Words of reviewers that went into a version, or into those since the one that readers had before it."""
    former = session.scalar(
        select(func.coalesce(func.max(Version.number), 0)).where(
            Version.asset_id == version.asset_id, Version.number < version.number, Version.state.in_(READ)
        )
    )
    return [one for one in taken_of(session, version.asset_id) if (former or 0) < one.number <= version.number]


def taken_of(session: Session, asset_id: int) -> Sequence[Taken]:
    """All words of reviewers that authors of an asset took."""
    rows = session.execute(
        select(Comment, Version.number)
        .join(Version, Version.id == Comment.taken_version_id)
        .where(Version.asset_id == asset_id)
        .order_by(Comment.id)
    ).all()
    names = users.list_names(session, {row.Comment.user_id for row in rows if row.Comment.user_id})
    return [
        Taken(
            row.Comment.user_id,
            names.get(row.Comment.user_id or 0, ""),
            row.Comment.quote,
            row.Comment.wording or "",
            row.number,
        )
        for row in rows
    ]
