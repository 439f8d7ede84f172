"""From draft to cleared: submit, take back, put aside, restore; what reviewers decided is told here and changes the state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import drafting, lifecycle, publishing, section_templates, service, taxonomy
from content.drafting import Draft
from content.kinds import AssetType, VersionState
from content.lifecycle import Move
from content.models import Asset, Attachment, Rendered, Version
from kb import audit, clock
from kb.access import Actor, Permission, require
from kb.errors import N_, Conflict, Invalid, NotFound


class Incomplete(Invalid):
    """What reviewers and readers need is missing; `lacks` names it."""

    code, message = "incomplete", N_("Something is missing before this can be submitted. It is named beside the text.")


class Stopped(Conflict):
    """A check does not let the text pass as it stands."""


class Unreviewable(Conflict):
    """Nobody could ever clear it as things stand; the reason says what to change."""


class InReview(Conflict):
    """One version at a time is judged."""

    code, message = "in_review", N_("A version is in review already: take it back first.")


class OtherText(Conflict):
    """A decision belongs to the words it was given on."""

    code, message = "digest_changed", N_("The text has changed since you looked at it. Read it again, then decide.")


class NothingNew(Conflict):
    """The draft says what is published."""

    code, message = "nothing_new", N_("The draft is the same as the published version.")


class Reviewing(Protocol):
    """Those who judge; content tells them what happens to a version, and they tell the verdict by `clear` and `send_back`."""

    def check(self, session: Session, actor: Actor, asset: Asset, version: Version) -> None:
        """Look at a draft before it is frozen; raises what its author must do first."""

    def begin(
        self, session: Session, actor: Actor, asset: Asset, version: Version, *, publishes: bool, urgent: bool
    ) -> None:
        """A version was frozen and waits; raises where nobody could clear it, or where it is no urgent fix."""

    def end(self, session: Session, actor: Actor, version: Version) -> None:
        """It waits no longer: its author took it back."""


class _Reviewing:
    """Who judges; without anybody nothing is ever cleared."""

    by: Reviewing | None = None


def set_reviewing(by: Reviewing | None) -> None:
    _Reviewing.by = by


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an asset stands on the way to its readers; versions that are not there are None."""

    draft: Version | None
    in_review: Version | None
    approved: Version | None
    published: Version | None
    newest: Version | None
    lacks: tuple[str, ...]


def standing(session: Session, asset: Asset) -> Standing:
    """The asset's versions that matter now, in one query; `asset` is loaded with its tags and owners."""
    alive = (VersionState.DRAFT, VersionState.IN_REVIEW, VersionState.APPROVED, VersionState.PUBLISHED)
    rows = session.scalars(
        select(Version)
        .where(Version.asset_id == asset.id, Version.state.in_([state.value for state in alive]))
        .order_by(Version.number)
    ).all()
    by_state = {row.state: row for row in rows}
    newest = session.scalar(
        select(Version).where(Version.asset_id == asset.id).order_by(Version.number.desc()).limit(1)
    )
    return Standing(
        by_state.get(VersionState.DRAFT.value),
        by_state.get(VersionState.IN_REVIEW.value),
        by_state.get(VersionState.APPROVED.value),
        by_state.get(VersionState.PUBLISHED.value),
        newest,
        tuple(lacks(session, asset)),
    )


def is_returned(session: Session, asset: Asset) -> bool:
    """Whether the newest version that was frozen came back to its author."""
    state = session.scalar(
        select(Version.state)
        .where(Version.asset_id == asset.id, Version.state != VersionState.DRAFT.value)
        .order_by(Version.number.desc())
        .limit(1)
    )
    return state in {VersionState.CHANGES_REQUESTED.value, VersionState.REJECTED.value}


def lacks(session: Session, asset: Asset) -> Sequence[str]:
    """What an asset loaded with tags and owners needs before submission."""
    known = taxonomy.load(session).by_id
    labels = [known[row.tag_id] for row in asset.tags if row.tag_id in known]
    return service.lacks(AssetType(asset.type), labels, [row.user_id for row in asset.owners])


def lacking(found: Standing, text: str) -> Sequence[str]:
    """What is missing, the places of a template that are still to be filled in included."""
    return [*found.lacks, *(["fill_in"] if section_templates.is_unfilled(text) else [])]


def submit(
    session: Session,
    actor: Actor,
    reference: str,
    revision: int | None = None,
    *,
    publishes: bool = False,
    urgent: bool = False,
) -> Version:
    """Freeze the draft and hand it to review; with `revision`, only as it was seen.

    With `publishes`, which asks for the right to publish, it goes to its readers with the last approval. An `urgent` fix
    always does; it changes only the passages that were reported.
    """
    publishes = publishes or urgent
    if publishes:
        require(actor, Permission.PUBLISH)
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    draft = service.find_version(session, asset, VersionState.DRAFT)
    if draft is None:
        raise lifecycle.WrongState()
    if revision is not None and draft.revision != revision:
        raise OtherText()
    missing = [*lacks(session, asset), *(["fill_in"] if section_templates.is_unfilled(draft.text) else [])]
    if missing:
        raise Incomplete(lacks=missing)
    if service.find_version(session, asset, VersionState.IN_REVIEW) is not None:
        raise InReview()
    published = service.find_version(session, asset, VersionState.PUBLISHED)
    service.check(service.wording_of(draft))
    draft.digest = publishing.digest_now(session, draft)
    if published is not None and published.digest == draft.digest:
        raise NothingNew()
    if _Reviewing.by is not None:
        _Reviewing.by.check(session, actor, asset, draft)
    _freeze(draft, Move.SUBMIT)
    session.flush()
    _trace(session, actor, "version.submit", asset, draft)
    if _Reviewing.by is not None:
        _Reviewing.by.begin(session, actor, asset, draft, publishes=publishes, urgent=urgent)
    return draft


def _freeze(version: Version, *moves: Move) -> None:
    state = VersionState(version.state)
    for move in moves:
        state = lifecycle.after(state, move)
    version.state, version.frozen_at = state.value, version.frozen_at or clock.now()


def take_back(session: Session, actor: Actor, reference: str) -> Version:
    """End the wait of the version in review, else of the approved one; its text stays in the history to go on from."""
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    version = service.find_version(session, asset, VersionState.IN_REVIEW) or service.find_version(
        session, asset, VersionState.APPROVED
    )
    if version is None:
        raise lifecycle.WrongState()
    _take_back(session, actor, asset, version)
    return version


def _take_back(session: Session, actor: Actor, asset: Asset, version: Version) -> None:
    _freeze(version, Move.TAKE_BACK)
    version.publish_at = None
    session.flush()
    _trace(session, actor, "version.take_back", asset, version)
    if _Reviewing.by is not None:
        _Reviewing.by.end(session, actor, version)


def clear(session: Session, actor: Actor, asset: Asset, version: Version) -> None:
    """All who must have cleared the version in review; an older cleared one that still waits gives way to it."""
    former = service.find_version(session, asset, VersionState.APPROVED)
    if former is not None:
        _take_back(session, actor, asset, former)
    _freeze(version, Move.APPROVE)
    version.approved_digest = version.digest
    session.flush()
    _trace(session, actor, "version.clear", asset, version)


def send_back(session: Session, actor: Actor, asset: Asset, version: Version, move: Move) -> None:
    """Reviewers did not clear it: changes are wanted, or it is rejected."""
    _freeze(version, move)
    session.flush()
    _trace(session, actor, f"version.{move.value}", asset, version)


def get_approved(session: Session, actor: Actor, reference: str) -> Version:
    """The cleared version of an editable asset, locked; WrongState where there is none."""
    require(actor, Permission.PUBLISH)
    asset = service.get_editable(session, actor, reference)
    version = service.find_version(session, asset, VersionState.APPROVED)
    if version is None:
        raise lifecycle.WrongState()
    return version


def publish(session: Session, actor: Actor, reference: str, at: datetime | None = None) -> Version:
    """Publish the cleared version now, or at a moment to come."""
    version = get_approved(session, actor, reference)
    if at is None:
        publishing.publish(session, actor, version)
    else:
        publishing.schedule(session, actor, version, at)
    return version


def unschedule(session: Session, actor: Actor, reference: str) -> Version:
    version = get_approved(session, actor, reference)
    publishing.unschedule(session, actor, version)
    return version


def restore(session: Session, actor: Actor, reference: str, number: int) -> Draft:
    """An older text as the new draft; the present draft is put aside into the history first, so that nothing is lost."""
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    old = session.scalar(select(Version).where(Version.asset_id == asset.id, Version.number == number))
    if old is None:
        raise NotFound()
    draft = service.find_version(session, asset, VersionState.DRAFT)
    if draft is old:
        raise lifecycle.WrongState()
    if draft is not None:
        _put_aside(session, actor, asset, draft)
    fresh = service.put_draft(session, actor, asset, service.wording_of(old), _rendering(session, old), like=old)
    fresh.note = ""
    session.flush()
    _trace(session, actor, "version.restore", asset, fresh, restored=old.number)
    return drafting.get_draft(session, actor, asset.public_id)


def _rendering(session: Session, version: Version) -> Rendered:
    kept = session.get(Rendered, version.rendering_digest)
    assert kept is not None
    session.expunge(kept)
    return kept


def _put_aside(session: Session, actor: Actor, asset: Asset, draft: Version) -> None:
    draft.digest = publishing.digest_now(session, draft)
    _freeze(draft, Move.SUBMIT, Move.TAKE_BACK)
    session.flush()
    _trace(session, actor, "version.put_aside", asset, draft)


def archive(session: Session, actor: Actor, reference: str, reason: str) -> Asset:
    """Retire an asset: withdrawn from readers where it is published, and off the lists of work; found again by its filter."""
    require(actor, Permission.PUBLISH)
    asset = service.get_editable(session, actor, reference)
    if not reason.strip():
        raise Invalid(N_("Say why it is archived: others will ask."), code="reason_missing")
    for state in (VersionState.IN_REVIEW, VersionState.APPROVED):
        version = service.find_version(session, asset, state)
        if version is not None:
            _take_back(session, actor, asset, version)
    if service.find_version(session, asset, VersionState.PUBLISHED) is not None:
        publishing.withdraw(session, actor, asset, reason)
    asset.archived_at = clock.now()
    session.flush()
    audit.record(session, actor, "asset.archive", "asset", asset.public_id, reason=reason.strip()[:1000])
    return asset


def revive(session: Session, actor: Actor, reference: str) -> Asset:
    """Back from the archive to the lists of work; readers see it again only by a new publication."""
    require(actor, Permission.PUBLISH)
    asset = service.get_editable(session, actor, reference)
    if asset.archived_at is None:
        raise lifecycle.WrongState()
    asset.archived_at = None
    session.flush()
    audit.record(session, actor, "asset.revive", "asset", asset.public_id)
    return asset


def _trace(session: Session, actor: Actor, action: str, asset: Asset, version: Version, **details: object) -> None:
    told: Mapping[str, object] = {
        "asset": asset.public_id,
        "number": version.number,
        "digest": version.digest,
        **details,
    }
    audit.record(session, actor, action, "version", version.public_id, **told)


def translations_published(session: Session, asset: Asset) -> int:
    return publishing.published_translations(session, asset.id)


def attachments_of(session: Session, version: Version) -> Sequence[Attachment]:
    """The files of a version in their order."""
    return session.scalars(
        select(Attachment).where(Attachment.version_id == version.id).order_by(Attachment.position)
    ).all()
