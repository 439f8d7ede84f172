"""Rounds of review: begun with a submission, decided by all parties' verdicts on one digest, ended or taken back."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from content import access_changes, publishing, service, submission
from content.kinds import AssetType, Handling, VersionState
from content.lifecycle import Move
from content.models import AccessChange, AskedParty, Asset, AssetOwner, Contribution, Version
from content.visibility import editable_by
from kb import audit, clock, notices, users
from kb.access import SYSTEM, Actor, Party, Permission, Role, Tier, require
from kb.errors import N_, Conflict, Forbidden, Invalid, NotFound
from kb.users import User, UserParty, UserRole
from review import away, calendars, checking, checklist, hours, machine, offering, passages, policy
from review import urgent as urgency
from review.hours import Calendar
from review.machine import Answer, RoundState, StepState
from review.models import Comment, Round, Step, UrgentCase, Verdict
from review.policy import Duty, Policy

ROUND: Final = "round"
LONGEST: Final = 4_000


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


class RoundOver(Conflict):
    code, message = "round_over", N_("This round is over: nothing was counted.")


class OwnWork(Forbidden):
    code, message = "own_work", N_("You wrote on this text: somebody else reviews it.")


class NotYourParty(Forbidden):
    code, message = "not_your_party", N_("You do not review for this party.")


class DecidedAlready(Conflict):
    code, message = (
        "decided_already",
        N_("You have given your verdict in this round; nobody decides twice, or for two parties."),
    )


class StepOver(Conflict):
    code, message = "step_over", N_("This party has decided already.")


class NotInBulk(Conflict):
    code, message = "not_in_bulk", N_("The policy wants this looked at by itself: open it.")


# --- who may ---


def writers(session: Session, version: Version) -> set[int]:
    """Who wrote on a text: on this version, and on those since the one that readers have, out of which it came."""
    published = session.scalar(
        select(Version.number)
        .where(
            Version.asset_id == version.asset_id,
            Version.number < version.number,
            Version.state.in_(_READ),
        )
        .order_by(Version.number.desc())
        .limit(1)
    )
    rows = session.scalars(
        select(Contribution.user_id)
        .join(Version, Version.id == Contribution.version_id)
        .where(
            Version.asset_id == version.asset_id,
            Version.number <= version.number,
            Version.number > (published or 0),
        )
    )
    return set(rows) | ({version.created_by_id} if version.created_by_id else set())


_text, _cleared = aliased(Version), aliased(Version)
_READ = (VersionState.PUBLISHED.value, VersionState.SUPERSEDED.value)


def is_own_work(actor: Actor) -> ColumnElement[bool]:
    """`writers` asked of many rounds at once: whether this person wrote on a round's text, or asked for its wider access."""
    me = actor.user_id or 0
    last = (
        select(func.coalesce(func.max(_cleared.number), 0))
        .where(_cleared.asset_id == Version.asset_id, _cleared.number < Version.number, _cleared.state.in_(_READ))
        .correlate(Version)
        .scalar_subquery()
    )
    wrote = (
        select(Contribution.version_id)
        .join(_text, _text.id == Contribution.version_id)
        .where(
            Contribution.user_id == me,
            _text.asset_id == Version.asset_id,
            _text.number <= Version.number,
            _text.number > last,
        )
        .correlate(Version)
        .exists()
    )
    of_text = or_(wrote, func.coalesce(Version.created_by_id, 0) == me)
    return case((Round.access_change_id.is_(None), of_text), else_=func.coalesce(Round.begun_by_id, 0) == me)


def able(session: Session, asset: Asset, parties: Sequence[Party], without: set[int]) -> Mapping[Party, set[int]]:
    """Active reviewers by party who are cleared for the asset's tier and did not write on the text."""
    tiers = [tier.value for tier in Tier if tier.rank >= Tier(asset.tier).rank]
    rows = session.execute(
        select(UserParty.party, User.id)
        .join(User, User.id == UserParty.user_id)
        .where(
            UserParty.party.in_([party.value for party in parties]),
            User.id.in_(select(UserRole.user_id).where(UserRole.role == Role.REVIEWER.value)),
            User.clearance.in_(tiers),
            User.deactivated_at.is_(None),
        )
    )
    found: dict[Party, set[int]] = {party: set() for party in parties}
    for row in rows:
        if row.id not in without:
            found[Party(row.party)].add(row.id)
    return found


def coordinators(session: Session) -> set[int]:
    """Who is told where nobody else is left."""
    return set(
        session.scalars(
            select(UserRole.user_id)
            .join(User, User.id == UserRole.user_id)
            .where(UserRole.role == Role.COORDINATOR.value, User.deactivated_at.is_(None))
        )
    )


def sees(actor: Actor) -> ColumnElement[bool]:
    """Which rounds a person looks at: of assets they edit, and those in which their party was asked, if the tier is theirs."""
    rule = editable_by(actor)
    if Role.REVIEWER in actor.roles and actor.parties:
        asked = select(Step.round_id).where(Step.party.in_([party.value for party in actor.parties]))
        tiers = [tier.value for tier in Tier if tier.rank <= actor.clearance.rank]
        rule = or_(rule, and_(Round.id.in_(asked), Asset.tier.in_(tiers)))
    return rule


# --- begin and end ---


class Desk:
    """What content tells of its versions and changes of access, as rounds."""

    def check(self, session: Session, actor: Actor, asset: Asset, version: Version) -> None:
        checking.stop_submission(session, actor, asset, version)

    def begin(
        self, session: Session, actor: Actor, asset: Asset, version: Version, *, publishes: bool, urgent: bool
    ) -> None:
        case = urgency.case_for(session, asset, version) if urgent else None
        begin(session, actor, asset, version, publishes=publishes, case=case)

    def end(self, session: Session, actor: Actor, version: Version) -> None:
        found = session.scalar(
            select(Round).where(
                Round.version_id == version.id,
                Round.access_change_id.is_(None),
                Round.state.in_([RoundState.OPEN.value, RoundState.APPROVED.value]),
            )
        )
        if found is not None:
            _end(session, actor, found, RoundState.TAKEN_BACK)

    def begin_access(self, session: Session, actor: Actor, asset: Asset, change: AccessChange) -> None:
        begin(session, actor, asset, _read_or_next(session, asset), change=change)

    def end_access(self, session: Session, actor: Actor, change: AccessChange) -> None:
        found = session.scalar(
            select(Round).where(Round.access_change_id == change.id, Round.state == RoundState.OPEN.value)
        )
        if found is not None:
            _end(session, actor, found, RoundState.TAKEN_BACK)


def _read_or_next(session: Session, asset: Asset) -> Version:
    """The version that more people are to read: what readers have, else what is on its way to them, else the newest."""
    submitted = set(VersionState) - {VersionState.DRAFT, VersionState.REJECTED}
    for states in ({VersionState.PUBLISHED}, {VersionState.APPROVED}, {VersionState.IN_REVIEW}, submitted):
        version = service.find_version(session, asset, *states)
        if version is not None:
            return version
    raise NoPolicy()


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
    row = Round(
        asset_id=asset.id,
        version_id=version.id,
        access_change_id=change.id if change is not None else None,
        digest=version.digest,
        policy_number=in_force.number,
        publishes=publishes,
        case_id=case.id if case is not None else None,
        begun_by_id=actor.user_id,
        begun_at=clock.now(),
    )
    session.add(row)
    session.flush()
    taken: set[int] = set()
    for party in sorted(duties, key=lambda one: (len(people[one]), one)):  # who could do several is left to the others
        step = _begin_step(session, row, party, duties[party], in_force.difference_hours, case)
        _offer(session, row, step, asset, version, people[party] - taken or people[party])
        taken |= {step.offered_to_id} if step.offered_to_id is not None else set()
        _ask(session, actor, asset, party)
        _call(session, row, step, people[party])
    told = {"asset": asset.public_id, "version": version.number, "digest": version.digest, "policy": in_force.number}
    audit.record(session, actor, "round.begin", "round", row.public_id, parties=sorted(duties), **told)
    return row


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


def _end(session: Session, actor: Actor, row: Round, state: RoundState) -> None:
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


# --- verdicts ---


def decide(
    session: Session,
    actor: Actor,
    public_id: str,
    party: Party,
    answer: Answer,
    digest: str,
    reason: str = "",
    ticks: Collection[str] = (),
) -> Round:
    """Give one verdict on the words that were read; the last one that is needed ends the round.

    `ticks` are what legal looked at in pictures and decks: all of `checklist.Tick`, or it cannot approve them.
    """
    require(actor, Permission.REVIEW)
    row, asset, version = _locked(session, actor, public_id)
    step = _step(session, row, party)
    _refuse(session, actor, row, asset, version, step)
    if digest != row.digest or digest != publishing.digest_now(session, version):
        raise submission.OtherText()
    cleaned = reason.strip()[:LONGEST]
    if answer is not Answer.APPROVE and not cleaned:
        raise Invalid(N_("Say what is to change, or why it cannot be: the author goes by it."), code="reason_missing")
    is_yes_to_text = answer is Answer.APPROVE and row.access_change_id is None
    if is_yes_to_text and checklist.missing(session, asset, version, party, ticks):
        raise Invalid(N_("It has pictures: tick what you have looked at before you approve."), code="ticks_missing")
    assert actor.user_id is not None
    said = Verdict(
        round_id=row.id,
        step_id=step.id,
        party=party.value,
        user_id=actor.user_id,
        answer=answer.value,
        digest=digest,
        reason=cleaned,
        ticks=[tick.value for tick in checklist.Tick if tick.value in ticks],
    )
    session.add(said)
    session.flush()
    told = {"party": party.value, "answer": answer.value, "digest": digest, "reason": cleaned, "asset": asset.public_id}
    audit.record(session, actor, "verdict.give", "round", row.public_id, **told, ticks=said.ticks)
    _settle(session, actor, row, asset, version, step)
    return row


def approve_in_bulk(session: Session, actor: Actor, public_id: str, party: Party, digest: str) -> Round:
    """One of several approvals given at once from the queue: a verdict like every other, where the round's policy allows it."""
    require(actor, Permission.REVIEW)
    row, asset, version = _locked(session, actor, public_id)
    if checklist.missing(session, asset, version, party, ()):
        raise NotInBulk()
    if not is_for_bulk(row, asset, version, {one.number: one for one in policy.list_editions(session)}):
        raise NotInBulk()
    return decide(session, actor, public_id, party, Answer.APPROVE, digest)


def is_for_bulk(row: Round, asset: Asset, version: Version, editions: Mapping[int, Policy]) -> bool:
    """By the edition that the round began with; what is urgent or widens access is looked at one by one."""
    edition = editions.get(row.policy_number)
    return (
        edition is not None
        and row.case_id is None
        and row.access_change_id is None
        and edition.allows_bulk(AssetType(asset.type), Handling(version.handling))
    )


def _locked(session: Session, actor: Actor, public_id: str) -> tuple[Round, Asset, Version]:
    """The round with its asset and version, locked in that order of all who change them."""
    asset = session.scalar(
        select(Asset)
        .join(Round, Round.asset_id == Asset.id)
        .where(Round.public_id == public_id, sees(actor))
        .options(*service.whole())
        .with_for_update(of=Asset)
    )
    if asset is None:
        raise NotFound()
    row = session.scalars(select(Round).where(Round.public_id == public_id).with_for_update()).one()
    return row, asset, session.get_one(Version, row.version_id)


def _step(session: Session, row: Round, party: Party) -> Step:
    step = session.scalar(select(Step).where(Step.round_id == row.id, Step.party == party.value))
    if step is None:
        raise NotYourParty()
    return step


def _refuse(session: Session, actor: Actor, row: Round, asset: Asset, version: Version, step: Step) -> None:
    """Raise why this person gives no verdict for that party now."""
    if Role.REVIEWER not in actor.roles or Party(step.party) not in actor.parties:
        raise NotYourParty()
    if actor.user_id in (writers(session, version) if row.access_change_id is None else {row.begun_by_id}):
        raise OwnWork()
    given = select(Verdict.id).where(Verdict.round_id == row.id, Verdict.user_id == actor.user_id)
    if session.scalar(given) is not None:
        raise DecidedAlready()
    if row.state != RoundState.OPEN.value:
        raise RoundOver()
    if step.state != StepState.OPEN.value:
        raise StepOver()
    if Tier(asset.tier).rank > actor.clearance.rank:
        raise NotFound()


def hindrance(session: Session, actor: Actor, row: Round, asset: Asset, version: Version, step: Step) -> str:
    """Why this person gives no verdict for that party, in words; empty where they may."""
    try:
        _refuse(session, actor, row, asset, version, step)
    except (Forbidden, Conflict) as refused:
        return refused.text
    return ""


def _settle(session: Session, actor: Actor, row: Round, asset: Asset, version: Version, step: Step) -> None:
    given = session.scalars(select(Verdict.answer).where(Verdict.step_id == step.id)).all()
    state = machine.step_after(step.reviewers, [Answer(word) for word in given])
    if state is not StepState.OPEN:
        step.state, step.ended_at = state.value, clock.now()
    else:
        step.claimed_by_id = step.claimed_at = None  # whoever had it has spoken: another reviewer is wanted
        offer_again(session, row, step)
    session.flush()
    states = session.scalars(select(Step.state).where(Step.round_id == row.id)).all()
    outcome = machine.round_after([StepState(word) for word in states])
    if outcome is RoundState.OPEN:
        return
    _end(session, actor, row, outcome)
    if row.access_change_id is not None:
        _settle_access(session, actor, row, asset, outcome)
    elif outcome is RoundState.APPROVED:
        submission.clear(session, actor, asset, version)
        if row.publishes and is_cleared(session, version):  # not, where a reviewer has left the party meanwhile
            publishing.publish(session, SYSTEM, version)
    else:
        move = Move.REJECT if outcome is RoundState.REJECTED else Move.REQUEST_CHANGES
        submission.send_back(session, actor, asset, version, move)
    _tell(session, row, asset, version, outcome)


def _settle_access(session: Session, actor: Actor, row: Round, asset: Asset, outcome: RoundState) -> None:
    assert row.access_change_id is not None
    if outcome is RoundState.APPROVED:
        access_changes.clear(session, actor, asset, row.access_change_id)
    else:
        access_changes.refuse(session, actor, asset, row.access_change_id)


def _tell(session: Session, row: Round, asset: Asset, version: Version, outcome: RoundState) -> None:
    """The author and the owners learn what came of it."""
    people = writers(session, version) if row.access_change_id is None else set()
    people |= set(session.scalars(select(AssetOwner.user_id).where(AssetOwner.asset_id == asset.id)))
    people |= {row.begun_by_id} if row.begun_by_id is not None else set()
    for user_id in sorted(people):
        notices.tell(session, user_id, f"review_{outcome.value}", asset.id, f"decided:{row.id}")


# --- the gate ---


def is_cleared(session: Session, version: Version) -> bool:
    """Whether all parties of its round approved this very text, and those who did still may."""
    row = session.scalar(
        select(Round).where(
            Round.version_id == version.id,
            Round.access_change_id.is_(None),
            Round.state == RoundState.APPROVED.value,
        )
    )
    if row is None or version.state != VersionState.APPROVED.value:
        return False
    if not (row.digest == version.digest == version.approved_digest == publishing.digest_now(session, version)):
        return False
    steps = session.scalars(select(Step).where(Step.round_id == row.id)).all()
    counts = valid_approvals(session, row)
    return bool(steps) and all(counts.get(step.party, 0) >= step.reviewers >= 1 for step in steps)


def valid_approvals(session: Session, row: Round) -> Mapping[str, int]:
    """Approvals of the round's digest by party, of people who are still reviewers of that party."""
    rows = session.execute(
        select(Verdict.party, func.count())
        .join(UserParty, (UserParty.user_id == Verdict.user_id) & (UserParty.party == Verdict.party))
        .join(UserRole, (UserRole.user_id == Verdict.user_id) & (UserRole.role == Role.REVIEWER.value))
        .join(User, User.id == Verdict.user_id)
        .where(
            Verdict.round_id == row.id,
            Verdict.digest == row.digest,
            Verdict.answer == Answer.APPROVE.value,
            User.deactivated_at.is_(None),
        )
        .group_by(Verdict.party)
    )
    return {row.party: row[1] for row in rows}


# --- claims ---


def claim(session: Session, actor: Actor, public_id: str, party: Party) -> Step:
    """Say that one looks at it; the others see whose it is."""
    require(actor, Permission.REVIEW)
    row, asset, version = _locked(session, actor, public_id)
    step = _step(session, row, party)
    _refuse(session, actor, row, asset, version, step)
    if step.claimed_by_id not in {None, actor.user_id}:
        raise Conflict(N_("A colleague has taken it."), code="claimed")
    step.claimed_by_id, step.claimed_at = actor.user_id, clock.now()
    session.flush()
    audit.record(session, actor, "step.claim", "round", row.public_id, party=party.value)
    return step


def release(session: Session, actor: Actor, public_id: str, party: Party) -> Step:
    """Back to the party's queue: by whoever has it, or by a coordinator."""
    require(actor, Permission.EDIT)
    row, _asset, _version = _locked(session, actor, public_id)
    step = _step(session, row, party)
    if step.claimed_by_id is None:
        raise Conflict(N_("Nobody has taken it."), code="not_claimed")
    if step.claimed_by_id != actor.user_id and not actor.roles & {Role.COORDINATOR, Role.ADMIN}:
        raise Forbidden()
    if step.offered_to_id == step.claimed_by_id:
        step.offered_to_id = step.offered_at = None  # whoever gives it back is not offered it any more
    step.claimed_by_id = step.claimed_at = None
    session.flush()
    audit.record(session, actor, "step.release", "round", row.public_id, party=party.value)
    return step


def hand_over(session: Session, actor: Actor, public_id: str, party: Party, email: str) -> Step:
    """Give it to a colleague of the party who may decide it: by whoever has it or could, or by a coordinator."""
    require(actor, Permission.EDIT)
    row, asset, version = _locked(session, actor, public_id)
    step = _step(session, row, party)
    if party not in actor.parties and not actor.roles & {Role.COORDINATOR, Role.ADMIN}:
        raise NotYourParty()
    person = users.find_by_email(session, email)
    if person is None or person.deactivated_at is not None:
        raise Invalid(N_("There is nobody of that address who could review this."), code="unknown_person")
    _refuse_other(session, users.actor_of(person), row, asset, version, step)
    if away.which(session, [person.id], step.due_at):
        raise Invalid(N_("This person is away until it is due: choose somebody else."), code="absent")
    step.claimed_by_id, step.claimed_at = person.id, clock.now()
    session.flush()
    audit.record(session, actor, "step.hand_over", "round", row.public_id, party=party.value, to=person.public_id)
    notices.tell(session, person.id, "review", asset.id, f"handed:{row.id}:{party.value}:{clock.now().isoformat()}")
    return step


def _refuse_other(session: Session, other: Actor, row: Round, asset: Asset, version: Version, step: Step) -> None:
    if row.state != RoundState.OPEN.value or step.state != StepState.OPEN.value:
        raise RoundOver()
    try:
        _refuse(session, other, row, asset, version, step)
    except (Forbidden, Conflict, NotFound):
        raise Invalid(N_("There is nobody of that address who could review this."), code="unknown_person") from None


# --- comments ---


def comment(session: Session, actor: Actor, public_id: str, quote: str, text: str, answers: str = "") -> Comment:
    """A remark on a passage that stands in the version, or an answer to a remark."""
    require(actor, Permission.EDIT)
    row, asset, version = _locked(session, actor, public_id)
    cleaned, passage = text.strip()[:LONGEST], quote.strip()
    if not cleaned:
        raise Invalid(N_("Write what you want to say."), code="text_missing")
    former = _comment(session, row, answers) if answers else None
    if passage and not passages.stands_in(f"{version.title}\n{version.text}", passage):
        raise Invalid(N_("That passage does not stand in this version: mark it in the text."), code="quote_unknown")
    parties = set(session.scalars(select(Step.party).where(Step.round_id == row.id)))
    mine = sorted(parties & {party.value for party in actor.parties}) if Role.REVIEWER in actor.roles else []
    made = Comment(
        round_id=row.id,
        answers_id=former.id if former is not None else None,
        user_id=actor.user_id,
        party=mine[0] if mine else "",
        quote=passage[:LONGEST],
        text=cleaned,
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
    row, _asset, _version = _locked(session, actor, public_id)
    found = _comment(session, row, comment_id)
    if found.resolved_at is None:
        found.resolved_at, found.resolved_by_id = clock.now(), actor.user_id
    else:
        found.resolved_at = found.resolved_by_id = None
    session.flush()
    word = "resolve" if found.resolved_at else "reopen"
    audit.record(session, actor, f"comment.{word}", "round", row.public_id, comment=comment_id)
    return found


def left(step: Step) -> timedelta:
    """Working time until it is due; negative where it is over."""
    now, calendar = clock.now(), calendar_of(step)
    if step.due_at >= now:
        return hours.between(now, step.due_at, calendar)
    return -hours.between(step.due_at, now, calendar)
