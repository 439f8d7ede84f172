"""Owners say that an asset is still true: one click, in the audit trail."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import library, reading
from content.deals import DealContext
from content.models import Asset, AssetOwner, Doubt
from content.reading import ReadableAsset
from kb import audit, clock
from kb.access import Actor, Permission, require
from kb.errors import N_, Conflict, Forbidden


class NotYours(Forbidden):
    """Verification is a promise of those who know."""

    code, message = "not_owner", N_("Only an owner, or somebody who may publish it, verifies an asset.")


class Blocked(Conflict):
    """What it rests on no longer holds; a look does not change that."""

    code, message = (
        "verification_blocked",
        N_("It rests on something that no longer holds. Renew that record, or change the text."),
    )

    @property
    def abouts(self) -> tuple[str, ...]:
        """The records it rests on."""
        found = self.details.get("about", ())
        return tuple(str(one) for one in found) if isinstance(found, list | tuple) else ()


class NotBehind(Conflict):
    code, message = "not_behind", N_("This translation is not behind its source.")


def may_verify(session: Session, actor: Actor, asset_id: int) -> bool:
    """Whether this person is an owner, or may edit and publish it."""
    is_owner = select(AssetOwner.asset_id).where(AssetOwner.asset_id == asset_id, AssetOwner.user_id == actor.user_id)
    if actor.user_id is not None and session.scalar(is_owner) is not None:
        return True
    return actor.may(Permission.PUBLISH) and library.is_editable(session, actor, asset_id)


def verify(session: Session, actor: Actor, deal: DealContext | None, reference: str) -> ReadableAsset:
    """Mark a visible asset verified now; NotFound where it is hidden, NotYours where it is somebody else's."""
    require(actor, Permission.USE)
    found = reading.get_visible(session, actor, deal, reference)
    if not may_verify(session, actor, found.id):
        raise NotYours()
    asset = session.get_one(Asset, found.id, with_for_update=True)
    ended = _end_doubts(session, asset)
    asset.verified_at, asset.verified_by_id = clock.now(), actor.user_id
    session.flush()
    audit.record(session, actor, "asset.verify", "asset", asset.public_id, version=found.version_number, ended=ended)
    return reading.get_visible(session, actor, deal, reference)


def _end_doubts(session: Session, asset: Asset) -> list[str]:
    doubts = session.scalars(select(Doubt).where(Doubt.asset_id == asset.id)).all()
    blocking = [doubt.about for doubt in doubts if doubt.blocks_verification]
    if blocking:
        raise Blocked(about=blocking)
    for doubt in doubts:
        session.delete(doubt)
    return [f"{doubt.cause}: {doubt.about}" for doubt in doubts]


def confirm_translation(session: Session, actor: Actor, deal: DealContext | None, reference: str) -> ReadableAsset:
    """Say that a translation still matches its source as it is now; NotBehind where there is nothing to say."""
    require(actor, Permission.USE)
    found = reading.get_visible(session, actor, deal, reference)
    if not may_verify(session, actor, found.id):
        raise NotYours()
    if not found.is_behind:
        raise NotBehind()
    asset = session.get_one(Asset, found.id, with_for_update=True)
    asset.source_checked_at = clock.now()
    session.flush()
    audit.record(session, actor, "translation.check", "asset", asset.public_id, version=found.version_number)
    return reading.get_visible(session, actor, deal, reference)
