"""Publishing and withdrawing: takes effect on every surface with the commit."""

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import lifecycle
from content.kinds import VersionState
from content.lifecycle import Move
from content.models import Asset, Version
from kb import audit, clock
from kb.access import Actor, Permission, require
from kb.errors import N_, Conflict, Invalid

Gate = Callable[[Session, Version], bool]


class _Review:
    """Who says that a version is cleared; until somebody does, nothing is publishable."""

    gate: Gate | None = None


class NotCleared(Conflict):
    """Legal, marketing and sales have not cleared this very text."""

    code, message = "not_cleared", N_("This version has not been cleared by all its reviewers.")


def set_gate(gate: Gate | None) -> None:
    _Review.gate = gate


def publish(session: Session, actor: Actor, version: Version) -> None:
    """Publish a cleared version in place of the present one; raises NotCleared where the gate does not open."""
    require(actor, Permission.PUBLISH)
    if _Review.gate is None or not _Review.gate(session, version):
        raise NotCleared()
    _replace(session, actor, version, Move.PUBLISH)


def load(session: Session, actor: Actor, version: Version, lacks: list[str]) -> None:
    """Publish as part of an operator's or admin's bulk load: without review, audited, with what is missing."""
    require(actor, Permission.IMPORT)
    version.is_bulk_load = True
    _replace(session, actor, version, Move.LOAD, lacks=lacks)


def _replace(session: Session, actor: Actor, version: Version, move: Move, **details: object) -> None:
    state = lifecycle.after(VersionState(version.state), move)
    now = clock.now()
    present = session.scalar(
        select(Version)
        .where(Version.asset_id == version.asset_id, Version.state == VersionState.PUBLISHED.value)
        .with_for_update()
    )
    if present is not None:
        present.state = lifecycle.after(VersionState.PUBLISHED, Move.SUPERSEDE).value
        session.flush()
    version.state, version.published_at, version.frozen_at = state.value, now, version.frozen_at or now
    asset = session.get_one(Asset, version.asset_id)
    asset.withdrawn_at = None
    session.flush()
    audit.record(
        session,
        actor,
        f"version.{move.value}",
        "version",
        version.public_id,
        asset=asset.public_id,
        number=version.number,
        digest=version.digest,
        **details,
    )


def withdraw(session: Session, actor: Actor, asset: Asset, reason: str) -> None:
    """Take the published version from every reader at once."""
    require(actor, Permission.PUBLISH)
    cleaned = reason.strip()
    if not cleaned:
        raise Invalid(N_("Say why it is withdrawn: those who used it will ask."), code="reason_missing")
    version = session.scalar(
        select(Version)
        .where(Version.asset_id == asset.id, Version.state == VersionState.PUBLISHED.value)
        .with_for_update()
    )
    if version is None:
        raise lifecycle.WrongState()
    version.state = lifecycle.after(VersionState.PUBLISHED, Move.WITHDRAW).value
    asset.withdrawn_at = clock.now()
    session.flush()
    audit.record(
        session, actor, "asset.withdraw", "asset", asset.public_id, reason=cleaned[:1000], digest=version.digest
    )
