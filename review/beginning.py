"""How a round begins: which parties are asked, to whom each part is offered, and by whose working time its clock runs."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import submission
from content.kinds import AssetType, Handling
from content.models import AccessChange, AskedParty, Asset, Version
from kb import audit, clock, notices
from kb.access import SYSTEM, Actor, Party
from kb.errors import N_
from review import away, calendars, hours, machine, offering, policy
from review.hours import Calendar
from review.machine import RoundState, StepState
from review.models import Round, Step, UrgentCase, Verdict
from review.panel import able, coordinators, writers
from review.policy import Duty

ROUND: Final = "round"


class NoPolicy(submission.Unreviewable):
    code, message = (
        "no_policy",
        N_("The review policy names nobody for this type and handling: an administrator completes it first."),
    )


class NobodyLeft(submission.Unreviewable):
    """`party` is the one that cannot be served."""

    code, message = (
        "nobody_left",
        N_("Nobody is left who may review this: whoever wrote on it may not, and nobody decides for two parties."),
    )


def begin(
    session: Session,
    actor: Actor,
    asset: Asset,
    version: Version,
    *,
    publishes: bool = False,
    change: AccessChange | None = None,
    case: UrgentCase | None = None,
) -> Round:
    """A round for a frozen version by the policy in force; refused where it could never be cleared."""
    in_force = policy.in_force(session)
    duties = in_force.duties(AssetType(asset.type), Handling(version.handling))
    if not duties:
        raise NoPolicy()
    without = writers(session, version) if change is None else ({actor.user_id} if actor.user_id else set())
    people = able(session, asset, list(duties), without)
    short = machine.lacking({party: duty.reviewers for party, duty in duties.items()}, people)
    if short is not None:
        raise NobodyLeft(party=short.value)
    now_asked, afterwards = (list(duties), []) if case is None else _on_duty(session, duties, people, case.due_at)
    row = Round(
        asset_id=asset.id,
        version_id=version.id,
        access_change_id=change.id if change is not None else None,
        digest=version.digest,
        policy_number=in_force.number,
        publishes=publishes,
        case_id=case.id if case is not None else None,
        afterwards=[party.value for party in afterwards] or None,
        begun_by_id=actor.user_id,
        begun_at=clock.now(),
    )
    session.add(row)
    session.flush()
    hours_of_difference = in_force.difference_hours
    _ask_parties(
        session, actor, row, asset, version, {one: duties[one] for one in now_asked}, people, hours_of_difference
    )
    return row


def begin_second_look(session: Session, first: Round, asset: Asset, version: Version, allowed: int) -> Round:
    """The round in which parties that were off duty look at what is live already; `allowed` in working hours."""
    duties = policy.by_number(session, first.policy_number).duties(AssetType(asset.type), Handling(version.handling))
    wanted = {
        Party(word): Duty(allowed, duties.get(Party(word), Duty(allowed)).reviewers) for word in first.afterwards or ()
    }
    row = Round(
        asset_id=asset.id,
        version_id=version.id,
        digest=version.digest,
        policy_number=first.policy_number,
        follows_id=first.id,
        begun_by_id=first.begun_by_id,
        begun_at=clock.now(),
    )
    session.add(row)
    session.flush()
    people = able(session, asset, list(wanted), writers(session, version))
    _ask_parties(session, SYSTEM, row, asset, version, wanted, people, allowed)
    return row


def _on_duty(
    session: Session, duties: Mapping[Party, Duty], people: Mapping[Party, set[int]], until: datetime
) -> tuple[list[Party], list[Party]]:
    """Parties that can decide before the 48 hours are over, and those that look afterwards; all at once where none can."""
    there = [
        party
        for party, duty in duties.items()
        if offering.count_on_duty(session, people[party], until) >= duty.reviewers
    ]
    if not there:
        return sorted(duties), []
    return sorted(there), sorted(set(duties) - set(there))


def _ask_parties(
    session: Session,
    actor: Actor,
    row: Round,
    asset: Asset,
    version: Version,
    duties: Mapping[Party, Duty],
    people: Mapping[Party, set[int]],
    difference_hours: int,
) -> None:
    case = session.get(UrgentCase, row.case_id) if row.case_id is not None else None
    taken: set[int] = set()
    for party in sorted(duties, key=lambda one: (len(people[one]), one)):  # who could do several is left to the others
        step = _begin_step(session, row, party, duties[party], difference_hours, case)
        _offer(session, row, step, asset, version, people[party] - taken or people[party])
        taken |= {step.offered_to_id} if step.offered_to_id is not None else set()
        _ask(session, actor, asset, party)
        _call(session, row, step, people[party])
    told: dict[str, object] = {"asset": asset.public_id, "version": version.number, "digest": version.digest}
    told["policy"] = row.policy_number
    if row.afterwards:
        told["afterwards"] = row.afterwards
    if row.follows_id is not None:
        told["second_look"] = True
    audit.record(session, actor, "round.begin", "round", row.public_id, parties=sorted(duties), **told)


def end(session: Session, actor: Actor, row: Round, state: RoundState) -> None:
    """Close a round; its parties see the asset's drafts no longer unless another one is open."""
    row.state, row.ended_at = state.value, clock.now()
    session.flush()
    left = select(Round.id).where(Round.asset_id == row.asset_id, Round.state == RoundState.OPEN.value)
    if session.scalar(left.limit(1)) is None:
        for asked in session.scalars(
            select(AskedParty).where(
                AskedParty.asset_id == row.asset_id, AskedParty.kind == ROUND, AskedParty.ended_at.is_(None)
            )
        ):
            asked.ended_at = row.ended_at
        session.flush()
    audit.record(session, actor, f"round.{state.value}", "round", row.public_id, digest=row.digest)


def _call(session: Session, row: Round, step: Step, people: set[int]) -> None:
    """Tell the one it is offered to; where it is urgent or several are to decide, all of the party who are there.

    Where nobody is, the coordinators.
    """
    there = people - away.which(session, people)
    if step.offered_to_id is not None and row.case_id is None and step.reviewers == 1:
        there = {step.offered_to_id}
    kind = "review_urgent" if row.case_id is not None else "review"
    for user_id in sorted(there):
        notices.tell(session, user_id, kind, row.asset_id, f"review:{row.id}:{step.party}")
    if not there:
        tell_unmanned(session, row, step, f"unmanned:{row.id}:{step.party}")


def tell_unmanned(session: Session, row: Round, step: Step, key: str) -> None:
    """Nobody is there who could: the coordinators look after it."""
    for user_id in sorted(coordinators(session)):
        notices.tell(session, user_id, "review_unmanned", row.asset_id, key, party=step.party)


def _begin_step(
    session: Session, row: Round, party: Party, duty: Duty, difference_hours: int, case: UrgentCase | None
) -> Step:
    """A party's part, by the company's working time until it is offered to somebody."""
    former = approved_last(session, row.asset_id, party)
    is_difference = row.access_change_id is not None or former is not None
    step = Step(
        round_id=row.id,
        party=party.value,
        hours=min(duty.hours, difference_hours) if is_difference else duty.hours,
        reviewers=duty.reviewers,
        former_version_id=former,
    )
    _start_clock(row, step, case)
    session.add(step)
    session.flush()
    return step


def _start_clock(row: Round, step: Step, case: UrgentCase | None) -> None:
    """By the step's working time; of an urgent fix it is due no later than the 48 hours by the wall."""
    calendar = calendar_of(step)
    due_at = hours.due(row.begun_at, step.hours, calendar)
    step.due_at = min(due_at, max(case.due_at, row.begun_at)) if case is not None else due_at
    step.tell_at = hours.due(row.begun_at, step.hours * 0.75, calendar)


def calendar_of(step: Step) -> Calendar:
    """Whose working time this step's clock counts."""
    return calendars.of(step.zone or "", step.country or "")


def _offer(session: Session, row: Round, step: Step, asset: Asset, version: Version, people: Collection[int]) -> None:
    """Offer a new step; its clock counts the working time of whom it is offered to."""
    wanted = offering.Wanted(version.language, AssetType(asset.type), row.begun_at, step.hours)
    chosen = offering.choose(session, people, wanted)
    if chosen is None:
        return
    step.offered_to_id, profile = chosen
    step.offered_at = clock.now()
    if step.reviewers == 1:
        step.zone, step.country = profile.zone, profile.country
    _start_clock(row, step, session.get(UrgentCase, row.case_id) if row.case_id is not None else None)
    session.flush()


def offer_again(session: Session, row: Round, step: Step, *, tells: bool = True) -> int | None:
    """Offer an open step to somebody else, whose clock runs on; None where nobody is left, who is then everybody's."""
    asset, version = session.get_one(Asset, row.asset_id), session.get_one(Version, row.version_id)
    without = writers(session, version) if row.access_change_id is None else {row.begun_by_id or 0}
    said = set(session.scalars(select(Verdict.user_id).where(Verdict.round_id == row.id)))
    elsewhere = set(
        session.scalars(
            select(Step.offered_to_id).where(
                Step.round_id == row.id,
                Step.id != step.id,
                Step.state == StepState.OPEN.value,
                Step.offered_to_id.is_not(None),
            )
        )
    )
    people = able(session, asset, [Party(step.party)], without)[Party(step.party)] - said - {step.offered_to_id or 0}
    wanted = offering.Wanted(version.language, AssetType(asset.type), row.begun_at, step.hours)
    chosen = offering.choose(session, people - elsewhere or people, wanted)
    step.offered_to_id, step.offered_at = (chosen[0], clock.now()) if chosen is not None else (None, None)
    session.flush()
    if tells and step.offered_to_id is not None:
        key = f"offered:{step.id}:{step.offered_to_id}"
        notices.tell(session, step.offered_to_id, "review", row.asset_id, key)
    return step.offered_to_id


def approved_last(session: Session, asset_id: int, party: Party) -> int | None:
    """The version of which this party last said yes; who approved is asked about the difference from it alone."""
    return session.scalar(
        select(Round.version_id)
        .join(Step, Step.round_id == Round.id)
        .where(
            Round.asset_id == asset_id,
            Round.access_change_id.is_(None),  # who let more people read has not judged the words
            Step.party == party.value,
            Step.state == StepState.APPROVED.value,
        )
        .order_by(Step.ended_at.desc(), Step.id.desc())
        .limit(1)
    )


def _ask(session: Session, actor: Actor, asset: Asset, party: Party) -> None:
    """Reviewers of the party see the asset's versions from now on."""
    open_ = select(AskedParty.id).where(
        AskedParty.asset_id == asset.id,
        AskedParty.party == party.value,
        AskedParty.kind == ROUND,
        AskedParty.ended_at.is_(None),
    )
    if session.scalar(open_) is None:
        session.add(AskedParty(asset_id=asset.id, party=party.value, kind=ROUND, asked_by_id=actor.user_id))
        session.flush()


def left(step: Step) -> timedelta:
    """Working time until it is due; negative where it is over."""
    now, calendar = clock.now(), calendar_of(step)
    if step.due_at >= now:
        return hours.between(now, step.due_at, calendar)
    return -hours.between(step.due_at, now, calendar)
