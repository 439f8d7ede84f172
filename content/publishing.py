"""Publishing, scheduling, expiring and withdrawing: takes effect on every surface with the commit."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from content import lifecycle, service
from content.kinds import VersionState
from content.lifecycle import Move
from content.models import Asset, ShareLink, Version
from kb import audit, clock, notices
from kb.access import SYSTEM, Actor, Permission, require
from kb.db import Database
from kb.errors import N_, Conflict, Invalid

LONGEST_AHEAD: Final = timedelta(days=366 * 2)
DUE_AT_ONCE: Final = 200

Gate = Callable[[Session, Version], bool]
Published = Callable[[Session, Actor, Version], None]
Withdrawn = Callable[[Session, Actor, Asset], None]
log = structlog.get_logger(__name__)


class _Review:
    """Who says that a version is cleared; until somebody does, nothing is publishable."""

    gate: Gate | None = None
    published: Published | None = None
    withdrawn: Withdrawn | None = None


class NotCleared(Conflict):
    """Legal, marketing and sales have not cleared this very text."""

    code, message = "not_cleared", N_("This version has not been cleared by all its reviewers.")


class TranslationsHeld(Conflict):
    """A source does not go without its translations, unless somebody says why."""

    code, message = (
        "translations_published",
        N_("Its translations are published. Withdraw them with it, or say why they stay."),
    )


def set_gate(gate: Gate | None) -> None:
    _Review.gate = gate


def set_after(published: Published | None, withdrawn: Withdrawn | None) -> None:
    """Who is told, in the same transaction, that a text took its place or was withdrawn."""
    _Review.published, _Review.withdrawn = published, withdrawn


def is_cleared(session: Session, version: Version) -> bool:
    """Whether the gate opens for this very text."""
    return _Review.gate is not None and _Review.gate(session, version)


def publish(session: Session, actor: Actor, version: Version) -> None:
    """Publish a cleared version in place of the present one; raises NotCleared where the gate does not open."""
    require(actor, Permission.PUBLISH)
    if not is_cleared(session, version):
        raise NotCleared()
    _replace(session, actor, version, Move.PUBLISH)


def schedule(session: Session, actor: Actor, version: Version, at: datetime) -> None:
    """Let a cleared version take its place at a moment to come; readers keep the present one until then."""
    require(actor, Permission.PUBLISH)
    if not is_cleared(session, version):
        raise NotCleared()
    check_moment(at)
    version.publish_at = at
    session.flush()
    _trace(session, actor, "version.schedule", version, publish_at=at.isoformat())


def check_moment(at: datetime) -> None:
    """Raise Invalid where nothing could happen at that moment."""
    if at <= clock.now():
        raise Invalid(N_("That moment has passed: choose a later one, or publish now."), code="moment_passed")
    if at > clock.now() + LONGEST_AHEAD:
        raise Invalid(N_("That is more than two years ahead."), code="moment_too_far")


def unschedule(session: Session, actor: Actor, version: Version) -> None:
    """Leave a cleared version waiting without a moment."""
    require(actor, Permission.PUBLISH)
    if version.state != VersionState.APPROVED.value or version.publish_at is None:
        raise lifecycle.WrongState()
    version.publish_at = None
    session.flush()
    _trace(session, actor, "version.unschedule", version)


def publish_due(database: Database, fail_point: Callable[[str], None] = lambda _name: None) -> int:
    """Publish what is due by the clock, each in a transaction of its own; safe on several machines at once."""
    with database.reading() as session:
        due = session.scalars(_due().order_by(Version.publish_at, Version.id).limit(DUE_AT_ONCE)).all()
    fail_point("due.found")
    return sum(_publish_due(database, version_id, fail_point) for version_id in due)


def sweep(database: Database) -> Callable[[], None]:
    """The worker's look at what is due."""

    def publish_what_is_due() -> None:
        publish_due(database)

    return publish_what_is_due


def _due() -> Select[int]:
    return select(Version.id).where(
        Version.state == VersionState.APPROVED.value,
        Version.publish_at <= clock.now(),
    )


def _publish_due(database: Database, version_id: int, fail_point: Callable[[str], None]) -> bool:
    with database.writing() as session:
        asset_id = session.scalar(select(Version.asset_id).where(Version.id == version_id))
        session.get(Asset, asset_id, with_for_update=True)
        if session.scalar(_due().where(Version.id == version_id)) is None:
            return False
        version = session.get_one(Version, version_id, with_for_update=True)
        if is_cleared(session, version):
            _replace(session, SYSTEM, version, Move.PUBLISH, scheduled=True)
            fail_point("due.published")
            return True
        version.publish_at = None  # somebody must look at it; asking again every second helps nobody
        session.flush()
        _trace(session, SYSTEM, "version.schedule_failed", version, reason=NotCleared.code)
    log.warning("publish.not_cleared", version=version_id)
    return False


def load(session: Session, actor: Actor, version: Version, lacks: list[str]) -> None:
    """Publish as part of an operator's or admin's bulk load: without review, audited, with what is missing."""
    require(actor, Permission.IMPORT)
    version.is_bulk_load = True
    _replace(session, actor, version, Move.LOAD, lacks=lacks)


def _replace(session: Session, actor: Actor, version: Version, move: Move, **details: object) -> None:
    state = lifecycle.after(VersionState(version.state), move)
    now = clock.now()
    present = _published(session, version.asset_id)
    if present is not None:
        present.state = lifecycle.after(VersionState.PUBLISHED, Move.SUPERSEDE).value
        session.flush()
    version.state, version.published_at, version.frozen_at = state.value, now, version.frozen_at or now
    asset = session.get_one(Asset, version.asset_id)
    asset.withdrawn_at = asset.archived_at = None
    session.flush()
    if asset.is_from_field and asset.created_by_id is not None:
        notices.tell(session, asset.created_by_id, "published", asset.id, f"published:{asset.id}")
    _trace(session, actor, f"version.{move.value}", version, asset=asset.public_id, **details)
    _tell_senders(session, asset.id, version.id)
    if _Review.published is not None:
        _Review.published(session, actor, version)


def _tell_senders(session: Session, asset_id: int, version_id: int) -> None:
    """Who sent an older version by a link learns that it shows nothing until they move it on."""
    rows = session.execute(
        select(ShareLink.public_id, ShareLink.created_by_id).where(
            ShareLink.asset_id == asset_id,
            ShareLink.version_id != version_id,
            ShareLink.revoked_at.is_(None),
            ShareLink.expires_at > clock.now(),
        )
    )
    for row in rows.all():
        key = f"share-outdated:{row.public_id}:{version_id}"
        notices.tell(session, row.created_by_id, "share_outdated", asset_id, key)


def _published(session: Session, asset_id: int) -> Version | None:
    return session.scalar(
        select(Version)
        .where(Version.asset_id == asset_id, Version.state == VersionState.PUBLISHED.value)
        .with_for_update()
    )


def _trace(session: Session, actor: Actor, action: str, version: Version, **details: object) -> None:
    told = {"number": version.number, "digest": version.digest, **details}
    audit.record(session, actor, action, "version", version.public_id, **told)


def withdraw(
    session: Session, actor: Actor, asset: Asset, reason: str, keep_translations: str | None = ""
) -> Sequence[str]:
    """Take the published version from every reader at once, and its translations; answers the public ids of those.

    `keep_translations` says why they stay; None refuses with TranslationsHeld where there are any, so that somebody
    decides.
    """
    require(actor, Permission.PUBLISH)
    cleaned = reason.strip()
    if not cleaned:
        raise Invalid(N_("Say why it is withdrawn: those who used it will ask."), code="reason_missing")
    version = _published(session, asset.id)
    if version is None:
        raise lifecycle.WrongState()
    translations = _published_translations(session, asset.id)
    if translations and keep_translations is None:
        raise TranslationsHeld(translations=len(translations))
    kept = (keep_translations or "").strip()[:1000]
    _withdraw(session, actor, asset, version, cleaned, **({"translations_kept": kept} if kept and translations else {}))
    if kept:
        return ()
    for translation, its_version in translations:
        _withdraw(session, actor, translation, its_version, cleaned, source=asset.public_id)
    return [translation.public_id for translation, _ in translations]


def published_translations(session: Session, asset_id: int) -> int:
    """How many translations of an asset are published, whoever may see them."""
    return len(_published_translations(session, asset_id))


def _published_translations(session: Session, asset_id: int) -> Sequence[tuple[Asset, Version]]:
    rows = session.execute(
        select(Asset, Version)
        .join(Version, Version.asset_id == Asset.id)
        .where(Asset.translation_of_id == asset_id, Version.state == VersionState.PUBLISHED.value)
        .order_by(Asset.id)
        .with_for_update()
    )
    return [(row.Asset, row.Version) for row in rows]


def _withdraw(session: Session, actor: Actor, asset: Asset, version: Version, reason: str, **details: object) -> None:
    version.state = lifecycle.after(VersionState.PUBLISHED, Move.WITHDRAW).value
    asset.withdrawn_at = clock.now()
    session.flush()
    told = {"reason": reason[:1000], "digest": version.digest, **details}
    audit.record(session, actor, "asset.withdraw", "asset", asset.public_id, **told)
    if _Review.withdrawn is not None:
        _Review.withdrawn(session, actor, asset)


def digest_now(session: Session, version: Version) -> str:
    """The digest of what a version holds at this moment, to be compared with the one that was cleared."""
    return service.digest(service.wording_of(version), service.files_of(session, version))
