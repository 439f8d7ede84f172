"""Parties that were off duty when an urgent fix went live look at it again within five working days."""

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from content.models import Asset, Doubt, Version
from kb import audit
from kb.access import SYSTEM, Actor
from review import beginning, calendars, urgent
from review.machine import RoundState, StepState
from review.models import Round, Step

WORKING_DAYS: Final = 5
CAUSE: Final = "second_look"


def published(session: Session, actor: Actor, version: Version) -> None:
    """A text took its place: those who were off duty look at it; what was wrong with the former one is over."""
    urgent.published(session, actor, version)
    _end_former(session, actor, version.asset_id)
    first = session.scalar(
        select(Round).where(
            Round.version_id == version.id,
            Round.access_change_id.is_(None),
            Round.follows_id.is_(None),
            Round.state == RoundState.APPROVED.value,
        )
    )
    if first is not None and first.afterwards:
        allowed = int(WORKING_DAYS * calendars.company().hours_a_day)
        beginning.begin_second_look(session, first, session.get_one(Asset, version.asset_id), version, allowed)


def withdrawn(session: Session, actor: Actor, asset: Asset) -> None:
    """The asset went: nothing is left to look at."""
    urgent.withdrawn(session, actor, asset)
    _end_former(session, actor, asset.id)


def _end_former(session: Session, actor: Actor, asset_id: int) -> None:
    open_ = select(Round).where(
        Round.asset_id == asset_id, Round.follows_id.is_not(None), Round.state == RoundState.OPEN.value
    )
    for row in session.scalars(open_).all():
        beginning.end(session, actor, row, RoundState.TAKEN_BACK)
    doubts = session.scalars(select(Doubt).where(Doubt.asset_id == asset_id, Doubt.cause == CAUSE)).all()
    for doubt in doubts:
        session.delete(doubt)
    asset = session.get_one(Asset, asset_id)
    if doubts and asset.held_at is not None and urgent.open_case(session, asset_id) is None:
        asset.held_at = None
        audit.record(session, actor, "asset.lift_hold", "asset", asset.public_id, reason=CAUSE)
    session.flush()


def settle(session: Session, row: Round, asset: Asset, outcome: RoundState) -> None:
    """What those who looked again want: changes leave it live and doubted until the next text, a no takes it from its readers."""
    if outcome is RoundState.APPROVED:
        return
    parties = session.scalars(
        select(Step.party).where(
            Step.round_id == row.id,
            Step.state.in_([StepState.CHANGES_REQUESTED.value, StepState.REJECTED.value]),
        )
    ).all()
    for party in parties:
        if session.get(Doubt, (asset.id, CAUSE, party)) is None:
            session.add(Doubt(asset_id=asset.id, cause=CAUSE, about=party, blocks_verification=True))
    session.flush()
    if outcome is RoundState.REJECTED and asset.held_at is None:
        urgent.hold_at_once(session, SYSTEM, asset, CAUSE)
