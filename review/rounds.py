"""Rounds of review: begun with a submission, decided by all parties' verdicts on one digest, ended or taken back."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from content import access_changes, publishing, service, submission
from content.kinds import AssetType, Handling, VersionState
from content.lifecycle import Move
from content.models import AccessChange, Asset, AssetOwner, Version
from kb import audit, clock, notices, users
from kb.access import SYSTEM, Actor, Party, Permission, Role, Tier, require
from kb.errors import N_, Conflict, Forbidden, Invalid, NotFound
from kb.users import User, UserParty, UserRole
from review import away, beginning, checking, checklist, machine, policy, remarks, second_look
from review import urgent as urgency
from review.beginning import NoPolicy, begin
from review.machine import Answer, RoundState, StepState
from review.models import Round, Step, Verdict
from review.panel import locked, writers
from review.policy import Policy

LONGEST: Final = 4_000


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
                Round.follows_id.is_(None),
                Round.state.in_([RoundState.OPEN.value, RoundState.APPROVED.value]),
            )
        )
        if found is not None:
            beginning.end(session, actor, found, RoundState.TAKEN_BACK)

    def begin_access(self, session: Session, actor: Actor, asset: Asset, change: AccessChange) -> None:
        begin(session, actor, asset, _read_or_next(session, asset), change=change)

    def end_access(self, session: Session, actor: Actor, change: AccessChange) -> None:
        found = session.scalar(
            select(Round).where(Round.access_change_id == change.id, Round.state == RoundState.OPEN.value)
        )
        if found is not None:
            beginning.end(session, actor, found, RoundState.TAKEN_BACK)


def _read_or_next(session: Session, asset: Asset) -> Version:
    """The version that more people are to read: what readers have, else what is on its way to them, else the newest."""
    submitted = set(VersionState) - {VersionState.DRAFT, VersionState.REJECTED}
    for states in ({VersionState.PUBLISHED}, {VersionState.APPROVED}, {VersionState.IN_REVIEW}, submitted):
        version = service.find_version(session, asset, *states)
        if version is not None:
            return version
    raise NoPolicy()


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
    row, asset, version = locked(session, actor, public_id)
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
    if row.access_change_id is None and any(one.by_id == actor.user_id for one in remarks.taken(session, version)):
        told["wording"] = "own"  # not a contribution: its author took it
    audit.record(session, actor, "verdict.give", "round", row.public_id, **told, ticks=said.ticks)
    _settle(session, actor, row, asset, version, step)
    return row


def approve_in_bulk(session: Session, actor: Actor, public_id: str, party: Party, digest: str) -> Round:
    """One of several approvals given at once from the queue: a verdict like every other, where the round's policy allows it."""
    require(actor, Permission.REVIEW)
    row, asset, version = locked(session, actor, public_id)
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
        and row.follows_id is None
        and edition.allows_bulk(AssetType(asset.type), Handling(version.handling))
    )


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
        beginning.offer_again(session, row, step)
    session.flush()
    states = session.scalars(select(Step.state).where(Step.round_id == row.id)).all()
    outcome = machine.round_after([StepState(word) for word in states])
    if outcome is RoundState.OPEN:
        return
    beginning.end(session, actor, row, outcome)
    if row.follows_id is not None:
        second_look.settle(session, row, asset, outcome)
    elif row.access_change_id is not None:
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
            Round.follows_id.is_(None),
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
    row, asset, version = locked(session, actor, public_id)
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
    row, _asset, _version = locked(session, actor, public_id)
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
    row, asset, version = locked(session, actor, public_id)
    step = _step(session, row, party)
    if party not in actor.parties and not actor.roles & {Role.COORDINATOR, Role.ADMIN}:
        raise NotYourParty()
    person = users.find_person(session, email)
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
