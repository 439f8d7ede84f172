"""Who may read an asset: narrowing takes effect at once, widening waits until it is cleared."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import service
from content.kinds import Facet, VersionState
from content.models import AccessChange, Asset, AssetAudience, Version
from content.taxonomy import Tag
from kb import audit, clock
from kb.access import Actor, Permission, Tier, require
from kb.errors import N_, Conflict, Invalid
from kb.users import Team

WAITING: Final = "waiting"


@dataclass(frozen=True, slots=True)
class Access:
    """Tier, teams (none: all), stage that unlocks, teaser of it, and the moment at which it ends."""

    tier: Tier
    team_ids: frozenset[int]
    unlock_stage_id: int | None
    shows_teaser: bool
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What holds now, and the change that waits, if any."""

    now: Access
    waiting: AccessChange | None


class Reviewing(Protocol):
    """Those who judge a change that lets more people read; they tell the verdict by `clear` and `refuse`."""

    def begin_access(self, session: Session, actor: Actor, asset: Asset, change: AccessChange) -> None:
        """A change waits; raises where nobody could clear it."""

    def end_access(self, session: Session, actor: Actor, change: AccessChange) -> None:
        """It waits no longer."""


class _Reviewing:
    by: Reviewing | None = None


def set_reviewing(by: Reviewing | None) -> None:
    _Reviewing.by = by


class NothingWaits(Conflict):
    code, message = "nothing_waits", N_("No change of access is waiting any more.")


def of(asset: Asset) -> Access:
    """The access of an asset loaded with its audience."""
    return Access(
        Tier(asset.tier),
        frozenset(row.team_id for row in asset.audience),
        asset.unlock_stage_id,
        asset.shows_teaser,
        asset.expires_at,
    )


def narrowed(before: Access, wanted: Access, position: Callable[[int | None], int]) -> Access:
    """The part of a change that shuts somebody out and lets nobody in; `position` orders the stages, none is 0."""
    return Access(
        tier=max(before.tier, wanted.tier, key=lambda tier: tier.rank),
        team_ids=_narrowed_teams(before.team_ids, wanted.team_ids),
        unlock_stage_id=max(before.unlock_stage_id, wanted.unlock_stage_id, key=position),
        shows_teaser=before.shows_teaser and wanted.shows_teaser,
        expires_at=min((at for at in (before.expires_at, wanted.expires_at) if at is not None), default=None),
    )


def _narrowed_teams(before: frozenset[int], wanted: frozenset[int]) -> frozenset[int]:
    """No team at all means all teams; where none would be left, the former ones stay until the change is cleared."""
    if not before:
        return wanted
    return (before & wanted if wanted else before) or before


def change(session: Session, actor: Actor, asset: Asset, wanted: Access) -> Outcome:
    """Bring an asset loaded with its audience to this access, as far as it may be at once; the rest waits.

    Before anybody but its writers has read a word of it, there is nothing to widen: it takes effect whole.
    """
    require(actor, Permission.EDIT)
    _check(session, actor, wanted)
    before = of(asset)
    former = _waiting(session, asset)
    if before == wanted and former is None:
        return Outcome(before, None)
    at_once = narrowed(before, wanted, _positions(session)) if _was_submitted(session, asset) else wanted
    _apply(session, asset, at_once)
    if former is not None:
        _end(session, actor, former)
    waiting = _wait(session, actor, asset, wanted) if at_once != wanted else None
    told = {"before": _plain(before), "now": _plain(at_once)} | ({"waiting": _plain(wanted)} if waiting else {})
    audit.record(session, actor, "access.change", "asset", asset.public_id, **told)
    return Outcome(at_once, waiting)


def _wait(session: Session, actor: Actor, asset: Asset, wanted: Access) -> AccessChange:
    waiting = AccessChange(asset_id=asset.id, wanted=_plain(wanted), asked_by_id=actor.user_id)
    session.add(waiting)
    session.flush()
    if _Reviewing.by is not None:
        _Reviewing.by.begin_access(session, actor, asset, waiting)
    return waiting


def _end(session: Session, actor: Actor, waiting: AccessChange) -> None:
    waiting.state, waiting.ended_at = "taken_back", clock.now()
    session.flush()
    if _Reviewing.by is not None:
        _Reviewing.by.end_access(session, actor, waiting)


def find_waiting(session: Session, asset_id: int) -> Access | None:
    """The wider access that waits for clearance."""
    row = session.scalar(select(AccessChange).where(AccessChange.asset_id == asset_id, AccessChange.state == WAITING))
    return _access(row.wanted) if row is not None else None


def clear(session: Session, actor: Actor, asset: Asset, change_id: int) -> Access:
    """All who must have cleared the wider access: it takes effect, unless it was taken back meanwhile."""
    waiting = _waiting(session, asset)
    if waiting is None or waiting.id != change_id:
        raise NothingWaits()
    before, wanted = of(asset), _access(waiting.wanted)
    _apply(session, asset, wanted)
    waiting.state, waiting.ended_at = "applied", clock.now()
    session.flush()
    told = {"before": _plain(before), "now": _plain(wanted)}
    audit.record(session, actor, "access.widen", "asset", asset.public_id, **told)
    return wanted


def refuse(session: Session, actor: Actor, asset: Asset, change_id: int) -> None:
    """Reviewers did not clear it: the narrower access stays."""
    waiting = _waiting(session, asset)
    if waiting is None or waiting.id != change_id:
        raise NothingWaits()
    waiting.state, waiting.ended_at = "taken_back", clock.now()
    session.flush()
    audit.record(session, actor, "access.refuse", "asset", asset.public_id)


def take_back(session: Session, actor: Actor, asset: Asset) -> None:
    """Leave the access as it is."""
    require(actor, Permission.EDIT)
    waiting = _waiting(session, asset)
    if waiting is None:
        raise NothingWaits()
    _end(session, actor, waiting)
    audit.record(session, actor, "access.take_back", "asset", asset.public_id)


def _waiting(session: Session, asset: Asset) -> AccessChange | None:
    return session.scalar(
        select(AccessChange).where(AccessChange.asset_id == asset.id, AccessChange.state == WAITING).with_for_update()
    )


def _was_submitted(session: Session, asset: Asset) -> bool:
    unread = (VersionState.DRAFT, VersionState.CHANGES_REQUESTED, VersionState.REJECTED)
    found = select(Version.id).where(
        Version.asset_id == asset.id, Version.state.not_in([state.value for state in unread])
    )
    return session.scalar(found.limit(1)) is not None


def _check(session: Session, actor: Actor, wanted: Access) -> None:
    if actor.is_user and wanted.tier.rank > actor.clearance.rank:
        raise Invalid(N_("The tier is above your clearance: you could not read it yourself."), code="tier")
    if wanted.unlock_stage_id is not None:
        stage = session.get(Tag, wanted.unlock_stage_id)
        if stage is None or stage.facet != Facet.STAGE.value or stage.retired_at is not None:
            raise Invalid(N_("There is no such stage: choose one from the list."), code="unknown_stage")
    known = set(session.scalars(select(Team.id).where(Team.id.in_(wanted.team_ids))))
    if known != wanted.team_ids:
        raise Invalid(N_("There is no such team: choose one from the list."), code="unknown_team")


def _positions(session: Session) -> Callable[[int | None], int]:
    rows = session.execute(select(Tag.id, Tag.position).where(Tag.facet == Facet.STAGE.value))
    places = {row.id: row.position + 1 for row in rows}
    return lambda stage_id: 0 if stage_id is None else places.get(stage_id, 0)


def _apply(session: Session, asset: Asset, wanted: Access) -> None:
    asset.tier, asset.unlock_stage_id = wanted.tier.value, wanted.unlock_stage_id
    asset.shows_teaser, asset.expires_at = wanted.shows_teaser, wanted.expires_at
    present = {row.team_id: row for row in asset.audience}
    for team_id in present.keys() - wanted.team_ids:
        asset.audience.remove(present[team_id])
    asset.audience.extend(AssetAudience(team_id=team_id) for team_id in sorted(wanted.team_ids - present.keys()))
    session.flush()


def _plain(access: Access) -> dict[str, object]:
    """As JSON keeps it."""
    found: dict[str, object] = asdict(access)
    return found | {
        "tier": access.tier.value,
        "team_ids": sorted(access.team_ids),
        "expires_at": access.expires_at.isoformat() if access.expires_at else None,
    }


def _access(kept: Mapping[str, object]) -> Access:
    teams, stage, ends = kept["team_ids"], kept["unlock_stage_id"], kept["expires_at"]
    assert isinstance(teams, list)
    return Access(
        Tier(str(kept["tier"])),
        frozenset(int(team_id) for team_id in teams),
        int(str(stage)) if stage is not None else None,
        bool(kept["shows_teaser"]),
        datetime.fromisoformat(str(ends)) if ends else None,
    )


def until(session: Session, actor: Actor, reference: str, expires_at: datetime | None) -> Outcome:
    """Change the moment at which an asset ends, and nothing else; without one it does not end."""
    asset = service.get_editable(session, actor, reference)
    waiting = _waiting(session, asset)
    base = _access(waiting.wanted) if waiting is not None else of(asset)
    return change(session, actor, asset, replace(base, expires_at=expires_at))
