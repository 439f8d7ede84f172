"""Who sees which asset: one SQL rule that every reading surface goes through.

A rule is built once per reader and deal and kept: it holds no row and no moment, both are asked of the
database and the clock each time it runs.
"""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast

from sqlalchemy import ColumnElement, and_, case, exists, false, func, literal, literal_column, not_, or_, select, true
from sqlalchemy.orm import aliased

from content.deals import Deal, DealContext, is_member, reached_position
from content.kinds import Facet, Handling, UseKind, VersionState
from content.models import AskedParty, Asset, AssetAudience, AssetOwner, Contribution, Grant, UseEvent, Version
from content.taxonomy import Tag
from kb.access import Actor, Role, Tier
from kb.db import this_moment

KEPT = 400
"""Readers on deals whose statements are kept: about 150 kB each in a process."""

Asked = ParamSpec("Asked")
Rule = TypeVar("Rule")


def kept(rule: Callable[Asked, Rule]) -> Callable[Asked, Rule]:
    """For what is made of reader and deal alone: making a statement takes longer than running it."""
    return cast("Callable[Asked, Rule]", lru_cache(maxsize=KEPT)(rule))


VISIBLE, LOCKED = 1, -1
USES = tuple(kind.value for kind in UseKind if kind.is_use)


# Built once: aliases made anew for each question cost more than the question.
_published, _written, _newest, _team = aliased(Version), aliased(Version), aliased(Version), aliased(AssetAudience)
# The state is written out, not bound, so that a database uses the index of published versions alone; and it is looked
# up asset by asset, so that twenty assets cost twenty looks and not a list of all that is published.
_has_published = exists(
    select(_published.id).where(
        _published.asset_id == Asset.id,
        _published.state == literal_column(f"'{VersionState.PUBLISHED.value}'"),
    )
).correlate(Asset)
_is_for_everybody = Asset.id.not_in(select(_team.asset_id))


class Act(StrEnum):
    """What a reader may do with a visible asset."""

    READ = "read"
    COPY = "copy"
    SHARE = "share"
    DOWNLOAD = "download"
    OPEN_LINK = "open_link"


class Unlock(StrEnum):
    """Why the stage does not stand in the way."""

    OPEN = "open"
    DEAL = "deal"
    GRANT = "grant"
    PAST_USE = "past_use"


@kept
def visible_to(actor: Actor, deal: DealContext | None) -> ColumnElement[bool]:
    """Which assets this reader may see; every reading surface goes through it."""
    return and_(exists_for(actor), _is_unlocked(actor, deal))


@kept
def locked_for(actor: Actor, deal: DealContext | None) -> ColumnElement[bool]:
    """Assets of which a reader may learn title, type and required stage, and nothing else."""
    return and_(exists_for(actor), Asset.shows_teaser, ~_is_unlocked(actor, deal))


@kept
def side_of(actor: Actor, deal: DealContext | None) -> ColumnElement[int]:
    """Where an asset that exists for this reader stands: VISIBLE, LOCKED behind a later stage, or 0, unseen there."""
    return case((_is_unlocked(actor, deal), VISIBLE), (Asset.shows_teaser, LOCKED), else_=0)


@kept
def exists_for(actor: Actor) -> ColumnElement[bool]:
    """Rules 1 to 3: what fails them is not there for this reader."""
    return and_(_is_live(), _is_cleared_for(actor), _is_audience(actor))


def is_for(actor: Actor) -> ColumnElement[bool]:
    """Rules 2 and 3 alone: tier and audience, whether or not readers have the asset now."""
    return and_(_is_cleared_for(actor), _is_audience(actor))


@kept
def unlocked_by(actor: Actor, deal: DealContext | None) -> ColumnElement[str]:
    """Why a visible asset is not locked, as one of Unlock."""
    return case(
        (_needs_no_stage(actor), literal(Unlock.OPEN.value)),
        (_is_reached(actor, deal), literal(Unlock.DEAL.value)),
        (_has_grant(actor), literal(Unlock.GRANT.value)),
        else_=literal(Unlock.PAST_USE.value),
    )


def conditions(actor: Actor, deal: DealContext | None) -> dict[str, ColumnElement[bool]]:
    """The parts of which `visible_to` is made, by name: all of NEEDED hold, and any of ANY_OF."""
    return {
        "published": _has_published,
        "not_withdrawn": Asset.withdrawn_at.is_(None),
        "not_held": Asset.held_at.is_(None),
        "not_expired": func.coalesce(Asset.expires_at > this_moment, true()),
        "cleared": _is_cleared_for(actor),
        "audience": _is_audience(actor),
        "no_stage": _needs_no_stage(actor),
        "stage_reached": _is_reached(actor, deal),
        "used_on_deal": _was_used_on(actor, deal),
        "granted": _has_grant(actor),
    }


NEEDED = ("published", "not_withdrawn", "not_held", "not_expired", "cleared", "audience")
ANY_OF = ("no_stage", "stage_reached", "used_on_deal", "granted")


def editable_by(actor: Actor) -> ColumnElement[bool]:
    """Whose drafts and versions an editor sees, in the editors' pages alone."""
    if not actor.is_user or actor.roles & {Role.ADMIN, Role.COORDINATOR}:
        return true()
    theirs = or_(
        Asset.created_by_id == actor.user_id,
        Asset.id.in_(select(AssetOwner.asset_id).where(AssetOwner.user_id == actor.user_id)),
        Asset.id.in_(
            select(_written.asset_id)
            .join(Contribution, Contribution.version_id == _written.id)
            .where(Contribution.user_id == actor.user_id)
        ),
    )
    if Role.REVIEWER in actor.roles and actor.parties:
        asked = select(AskedParty.asset_id).where(
            AskedParty.party.in_(sorted(actor.parties)), AskedParty.ended_at.is_(None)
        )
        theirs = or_(theirs, and_(Asset.id.in_(asked), _is_cleared_for(actor)))
    if Role.MARKETER in actor.roles:
        return or_(theirs, and_(_is_cleared_for(actor), _is_audience(actor)))
    return theirs


def names_it(edits: ColumnElement[bool]) -> ColumnElement[bool]:
    """Which version tells an asset's title: the newest where `edits` holds, for everybody else the published one.

    Beside Asset and Version in the query. A draft's title is a draft too.
    """
    last = select(func.max(_newest.number)).where(_newest.asset_id == Asset.id).correlate(Asset).scalar_subquery()
    reads_only = not_(func.coalesce(edits, false()))  # of an asset that nobody made, the rule says neither
    is_published = Version.state == VersionState.PUBLISHED.value
    return and_(Version.asset_id == Asset.id, or_(and_(edits, Version.number == last), and_(reads_only, is_published)))


def may(handling: Handling, unlock: Unlock, act: Act, deal: DealContext | None, nda: bool = False) -> bool:
    """What the handling allows with an asset that is visible; sending is for a customer on a deal.

    `nda`: it leaves only under a non-disclosure agreement that is on the deal's file and in force.
    """
    if act is Act.READ:
        return True
    if unlock is Unlock.PAST_USE:
        return False
    if act is Act.COPY:
        return handling.rank >= Handling.SPOKEN.rank
    if act is Act.OPEN_LINK:
        return handling is Handling.PUBLIC
    return handling.rank >= Handling.NAMED.rank and deal is not None and deal.is_open and (deal.has_nda or not nda)


def acts(handling: Handling, unlock: Unlock, deal: DealContext | None, nda: bool) -> frozenset[Act]:
    """All that may be done with a visible asset on this deal."""
    return frozenset(act for act in Act if may(handling, unlock, act, deal, nda))


def _is_live() -> ColumnElement[bool]:
    return and_(
        Asset.withdrawn_at.is_(None),
        Asset.held_at.is_(None),
        func.coalesce(Asset.expires_at > this_moment, true()),  # as an alternative, it would be looked up row by row
        _has_published,
    )


def _is_cleared_for(actor: Actor) -> ColumnElement[bool]:
    return (
        Asset.tier.in_([tier.value for tier in Tier if tier.rank <= actor.clearance.rank]) if actor.is_user else true()
    )


def _is_audience(actor: Actor) -> ColumnElement[bool]:
    if not actor.is_user:
        return true()
    if not actor.team_ids:
        return _is_for_everybody
    return or_(
        _is_for_everybody,
        Asset.id.in_(select(AssetAudience.asset_id).where(AssetAudience.team_id.in_(sorted(actor.team_ids)))),
    )


def _is_unlocked(actor: Actor, deal: DealContext | None) -> ColumnElement[bool]:
    return or_(_needs_no_stage(actor), _is_reached(actor, deal), _was_used_on(actor, deal), _has_grant(actor))


def _needs_no_stage(actor: Actor) -> ColumnElement[bool]:
    return Asset.unlock_stage_id.is_(None) if actor.is_user else true()


def _is_reached(actor: Actor, deal: DealContext | None) -> ColumnElement[bool]:
    if deal is None:
        return false()
    stages = select(Tag.id).where(Tag.facet == Facet.STAGE.value, Tag.position <= reached_position(actor, deal))
    return and_(Asset.unlock_stage_id.is_not(None), Asset.unlock_stage_id.in_(stages))


def _was_used_on(actor: Actor, deal: DealContext | None) -> ColumnElement[bool]:
    """Used on this very deal while it was unlocked, by anybody of the deal's team."""
    if deal is None:
        return false()
    used = select(UseEvent.asset_id).where(UseEvent.deal_id == deal.id, UseEvent.kind.in_(USES), UseEvent.was_unlocked)
    return and_(_still_member(actor, deal), Asset.id.in_(used))


def _still_member(actor: Actor, deal: DealContext) -> ColumnElement[bool]:
    return exists(select(Deal.id).where(Deal.id == deal.id, is_member(actor)))


def _has_grant(actor: Actor) -> ColumnElement[bool]:
    if actor.user_id is None:
        return false()
    granted = select(Grant.asset_id).where(
        Grant.user_id == actor.user_id, Grant.revoked_at.is_(None), Grant.until > this_moment
    )
    return Asset.id.in_(granted)
