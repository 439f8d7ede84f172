"""What waits for whom: the reviewers' queue, and one round as its page shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from content import access_changes, comparing, drafting, publishing, service, taxonomy
from content.access_changes import Access
from content.comparing import Comparison
from content.kinds import AssetType, Handling, VersionState
from content.models import Asset, Rendered, Version
from content.taxonomy import Label
from content.visibility import editable_by
from kb import clock, users
from kb.access import Actor, Party, Permission, Role, Tier, require
from kb.errors import NotFound
from review import beginning, checking, checklist, panel, policy, remarks, rounds, urgent
from review.checking import Checked
from review.machine import Answer, RoundState, StepState
from review.models import Comment, Round, Step, UrgentCase, Verdict
from review.policy import Policy
from review.remarks import Taken
from review.urgent import CaseShown

PAGE: Final = 50
AccessValue = Tier | tuple[str, ...] | Label | datetime | bool | None
ACCESS_PARTS: Final = ("tier", "teams", "stage", "teaser", "ends")


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One party's step of one round, as the queue shows it."""

    round_id: str
    asset_id: str
    title: str
    type: AssetType
    language: str
    handling: Handling
    number: int
    party: Party
    state: StepState
    round_state: RoundState
    due_at: datetime
    begun_at: datetime
    hours: int
    offered_to: str
    """Whom it was offered to, where nobody has taken it."""
    is_offered: bool
    """Whether that is the reader."""
    claimed_by: str
    is_mine: bool
    is_own_work: bool
    is_difference: bool
    is_access: bool
    is_second_look: bool
    """Whether readers have it already: an urgent fix that went live while this party was off duty."""
    left: timedelta
    digest: str
    is_for_bulk: bool
    """Whether the reader may approve it here, with others."""
    urgent_until: datetime | None
    """By the wall, where it corrects what hurts a deal."""

    @property
    def is_late(self) -> bool:
        return self.left < timedelta()

    @property
    def urgent_left(self) -> timedelta:
        """By the wall; nothing where it is not urgent."""
        return self.urgent_until - clock.now() if self.urgent_until is not None else timedelta()


@dataclass(frozen=True, slots=True)
class Queue:
    rows: tuple[QueueRow, ...]
    total: int
    late: int


@dataclass(frozen=True, slots=True)
class VerdictShown:
    by: str
    answer: Answer
    reason: str
    digest: str
    at: datetime
    ticks: tuple[str, ...]
    still_counts: bool


@dataclass(frozen=True, slots=True)
class StepShown:
    """One party: where it stands, its verdicts, and whether (and why not) the reader may decide for it."""

    party: Party
    state: StepState
    due_at: datetime
    hours: int
    reviewers: int
    left: timedelta
    offered_to: str
    is_offered: bool
    claimed_by: str
    is_mine: bool
    verdicts: tuple[VerdictShown, ...]
    to_tick: tuple[checklist.Tick, ...]
    """What is to be ticked before this party approves."""
    is_yours: bool
    """Whether the reader reviews for this party."""
    hindrance: str
    former_number: int | None


@dataclass(frozen=True, slots=True)
class CommentShown:
    public_id: str
    by: str
    party: str
    quote: str
    text: str
    wording: str
    """Words for the passage, which an author may take."""
    taken_by: str
    may_take: bool
    at: datetime
    resolved_by: str
    answers: tuple["CommentShown", ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed since a version, and in whose eyes that matters."""

    number: int
    comparison: Comparison
    facts: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class AccessFact:
    """One part of who may read, as it is and as it is to be: a tier, names of teams, a stage or none, a moment or none."""

    what: str
    before: AccessValue
    after: AccessValue


@dataclass(frozen=True, slots=True)
class RoundPage:
    public_id: str
    asset_id: str
    type: AssetType
    title: str
    language: str
    handling: Handling
    nda: bool
    ai_generated: bool
    number: int
    state: RoundState
    digest: str
    is_intact: bool
    policy_number: int
    publishes: bool
    is_access: bool
    is_second_look: bool
    afterwards: tuple[Party, ...]
    """Parties that look at an urgent fix once it is live."""
    urgent: CaseShown | None
    """The case it corrects, with its clock by the wall."""
    access: tuple[AccessFact, ...]
    """What becomes wider, while the round is open."""
    begun_by: str
    begun_at: datetime
    ended_at: datetime | None
    note: str
    html: str
    failed: str
    text: str
    writers: tuple[str, ...]
    steps: tuple[StepShown, ...]
    comments: tuple[CommentShown, ...]
    is_editable: bool
    """Whether the reader may write on its asset."""
    appeal: tuple[str, ...]
    """To whom a no is taken, in order; empty where nobody said no."""
    wordings: tuple[Taken, ...]
    """Reviewers' words that stand in it; taking them made nobody a writer."""
    since_published: Difference | None
    since_approved: Difference | None
    checked: Checked | None

    @property
    def deciding(self) -> StepShown | None:
        """The step for which the reader may decide now."""
        return next((step for step in self.steps if step.is_yours and not step.hindrance), None)


def _rows(actor: Actor, party: Party | None, state: StepState) -> Select[Step, Round, Asset, Version, bool, datetime]:
    statement = (
        select(Step, Round, Asset, Version, panel.is_own_work(actor).label("own"), UrgentCase.due_at.label("wall"))
        .join(Round, Round.id == Step.round_id)
        .join(Asset, Asset.id == Round.asset_id)
        .join(Version, Version.id == Round.version_id)
        .outerjoin(UrgentCase, UrgentCase.id == Round.case_id)
        .where(Step.state == state.value, panel.sees(actor))
    )
    if state is StepState.OPEN:
        statement = statement.where(Round.state == RoundState.OPEN.value)
    parties = _parties(actor, party)
    return statement.where(Step.party.in_([one.value for one in parties]))


def _parties(actor: Actor, party: Party | None) -> Sequence[Party]:
    """Those one decides for; coordinators and administrators look at every queue."""
    every = bool(actor.roles & {Role.COORDINATOR, Role.ADMIN}) or not actor.is_user
    offered = list(Party) if every else sorted(actor.parties) if Role.REVIEWER in actor.roles else []
    return [one for one in offered if party in {None, one}]


def parties_of(actor: Actor) -> Sequence[Party]:
    """Whose queues this person looks at."""
    return _parties(actor, None)


def queue(
    session: Session,
    actor: Actor,
    party: Party | None = None,
    state: StepState = StepState.OPEN,
    limit: int = PAGE,
    offset: int = 0,
    *,
    mine: bool = False,
) -> Queue:
    """What waits, urgent first, then due first; `total` and `late` count all of it.

    `mine`: what this person has taken, was offered, or what waits for anybody of their parties.
    """
    require(actor, Permission.EDIT)
    statement = _rows(actor, party, state)
    if mine:
        statement = statement.where(_is_for(actor))
    order = (Round.case_id.is_(None), Step.due_at) if state is StepState.OPEN else (Step.ended_at.desc(),)
    rows = session.execute(statement.order_by(*order, Step.id).limit(limit).offset(offset)).all()
    counted = statement.with_only_columns(Step.id, Step.due_at).subquery()
    total = session.scalar(select(func.count()).select_from(counted)) or 0
    late = 0
    if state is StepState.OPEN:
        late = session.scalar(select(func.count()).select_from(counted).where(counted.c.due_at < clock.now())) or 0
    names = users.list_names(
        session, {one for row in rows for one in (row.Step.claimed_by_id, row.Step.offered_to_id) if one}
    )
    editions = {one.number: one for one in policy.list_editions(session)}
    shown = [row.Round.id for row in rows]
    said = set(
        session.scalars(select(Verdict.round_id).where(Verdict.user_id == actor.user_id, Verdict.round_id.in_(shown)))
    )
    shown_rows = tuple(_row(row, actor, names, editions, said) for row in rows)
    return Queue(
        tuple(_without_pictures(session, row, one) for row, one in zip(rows, shown_rows, strict=True)), total, late
    )


def _without_pictures(
    session: Session, row: Row[Step, Round, Asset, Version, bool, datetime], shown: QueueRow
) -> QueueRow:
    """What has to be ticked is opened, and approved by itself."""
    if shown.is_for_bulk and checklist.missing(session, row.Asset, row.Version, shown.party, ()):
        return replace(shown, is_for_bulk=False)
    return shown


def _row(
    row: Row[Step, Round, Asset, Version, bool, datetime],
    actor: Actor,
    names: Mapping[int, str],
    editions: Mapping[int, Policy],
    said: set[int],
) -> QueueRow:
    step, one, asset, version = row.Step, row.Round, row.Asset, row.Version
    return QueueRow(
        one.public_id,
        asset.public_id,
        version.title,
        AssetType(asset.type),
        version.language,
        Handling(version.handling),
        version.number,
        Party(step.party),
        StepState(step.state),
        RoundState(one.state),
        step.due_at,
        one.begun_at,
        step.hours,
        _offered_to(step, names),
        _is_offered(step, actor),
        names.get(step.claimed_by_id or 0, ""),
        step.claimed_by_id is not None and step.claimed_by_id == actor.user_id,
        bool(row.own),
        step.former_version_id is not None,
        one.access_change_id is not None,
        one.follows_id is not None,
        beginning.left(step),
        one.digest,
        step.state == StepState.OPEN.value
        and Party(step.party) in actor.parties
        and Role.REVIEWER in actor.roles
        and not row.own
        and one.id not in said
        and step.claimed_by_id in {None, actor.user_id}
        and rounds.is_for_bulk(one, asset, version, editions),
        row.wall,
    )


def _is_offered(step: Step, actor: Actor) -> bool:
    return step.claimed_by_id is None and step.offered_to_id is not None and step.offered_to_id == actor.user_id


def _offered_to(step: Step, names: Mapping[int, str]) -> str:
    open_ = step.state == StepState.OPEN.value and step.claimed_by_id is None
    return names.get(step.offered_to_id or 0, "") if open_ else ""


def _is_for(actor: Actor) -> ColumnElement[bool]:
    """What a person has taken or was offered, and what was offered to nobody."""
    whose = func.coalesce(Step.claimed_by_id, Step.offered_to_id)
    return or_(whose.is_(None), whose == (actor.user_id or 0))


def waiting_for(session: Session, actor: Actor) -> int:
    """How many open steps wait for this person, for the menu: not what was offered to a colleague."""
    if not actor.may(Permission.REVIEW) or not actor.parties:
        return 0
    statement = _decidable(actor, None).where(_is_for(actor)).with_only_columns(func.count())
    return session.scalar(statement) or 0


def _decidable(actor: Actor, party: Party | None) -> Select[Step, Round, Asset, Version, bool, datetime]:
    """Open steps on which this person could decide: not their own work, no verdict of theirs yet, no colleague's claim."""
    said = select(Verdict.round_id).where(Verdict.user_id == (actor.user_id or 0))
    return _rows(actor, party, StepState.OPEN).where(
        Round.id.not_in(said),
        ~panel.is_own_work(actor),
        or_(Step.claimed_by_id.is_(None), Step.claimed_by_id == actor.user_id),
        Step.party.in_([one.value for one in actor.parties]),
    )


def next_after(session: Session, actor: Actor, party: Party | None = None) -> tuple[str, Party] | None:
    """The round and party that this person would look at next: urgent first, then what is theirs, then due first."""
    if not actor.may(Permission.REVIEW):
        return None
    found = session.execute(
        _decidable(actor, party).order_by(Round.case_id.is_(None), ~_is_for(actor), Step.due_at, Step.id).limit(1)
    ).first()
    return (found.Round.public_id, Party(found.Step.party)) if found is not None else None


def newest_of(session: Session, actor: Actor, reference: str) -> str:
    """The newest round of an asset, empty where it has none; NotFound where it is not this person's to see."""
    require(actor, Permission.EDIT)
    found = session.scalar(
        select(Round.public_id)
        .join(Asset, Asset.id == Round.asset_id)
        .where(drafting.is_reference(reference), panel.sees(actor))
        .order_by(Round.id.desc())
        .limit(1)
    )
    if found is None:
        drafting.load_editable(session, actor, reference)
        return ""
    return found


def get_page(session: Session, actor: Actor, public_id: str) -> RoundPage:
    """A round with everything one needs to decide on it; NotFound where it is not this person's to see."""
    require(actor, Permission.EDIT)
    found = session.execute(
        select(Round, Asset, Version)
        .join(Asset, Asset.id == Round.asset_id)
        .join(Version, Version.id == Round.version_id)
        .where(Round.public_id == public_id, panel.sees(actor))
    ).first()
    if found is None:
        raise NotFound()
    row, asset, version = found.Round, found.Asset, found.Version
    kept = session.get(Rendered, version.rendering_digest)
    wrote = panel.writers(session, version)
    people = wrote | ({row.begun_by_id} if row.begun_by_id else set())
    names = users.list_names(session, people)
    steps = _steps(session, actor, row, asset, version)
    mine = next((step for step in steps if step.is_yours), None)
    may_decide = any(step.is_yours and not step.hindrance for step in steps)  # who writes could not any more
    is_editable = session.scalar(select(Asset.id).where(Asset.id == row.asset_id, editable_by(actor))) is not None
    handling = Handling(version.handling)
    return RoundPage(
        row.public_id,
        asset.public_id,
        AssetType(asset.type),
        version.title,
        version.language,
        handling,
        version.nda,
        bool(version.ai_generated),
        version.number,
        RoundState(row.state),
        row.digest,
        publishing.digest_now(session, version) == row.digest,
        row.policy_number,
        row.publishes,
        row.access_change_id is not None,
        row.follows_id is not None,
        tuple(Party(word) for word in row.afterwards or ()),
        urgent.of_round(session, actor, row.case_id),
        _access(session, asset) if row.access_change_id is not None and row.state == RoundState.OPEN.value else (),
        names.get(row.begun_by_id or 0, ""),
        row.begun_at,
        row.ended_at,
        version.note,
        kept.html if kept is not None else "",
        kept.failed if kept is not None else "not_rendered",
        version.text,
        tuple(sorted(names[one] for one in wrote if one in names)),
        steps,
        _comments(session, actor, row, is_editable and not may_decide),
        is_editable,
        _appeal(session, row, steps),
        tuple(remarks.taken(session, version)) if row.access_change_id is None else (),
        _since_published(session, version) if row.access_change_id is None else None,
        _since(session, version, mine.former_number) if mine is not None and mine.former_number else None,
        checking.check_version(session, asset, version),
    )


def _access(session: Session, asset: Asset) -> tuple[AccessFact, ...]:
    """What differs between the access that holds and the one that waits; `asset` comes without its audience."""
    session.refresh(asset, ["audience"])
    now, wanted = access_changes.of(asset), access_changes.find_waiting(session, asset.id)
    if wanted is None:
        return ()
    known = taxonomy.load(session).by_id
    teams = users.list_teams(session, now.team_ids | wanted.team_ids)

    def parts(access: Access) -> tuple[AccessFact, ...]:
        stage = known.get(access.unlock_stage_id or 0)
        names = tuple(sorted(teams[one] for one in access.team_ids))
        values = (access.tier, names, stage, access.shows_teaser, access.expires_at)
        return tuple(AccessFact(what, value, value) for what, value in zip(ACCESS_PARTS, values, strict=True))

    return tuple(
        AccessFact(old.what, old.before, new.after)
        for old, new in zip(parts(now), parts(wanted), strict=True)
        if old.before != new.after
    )


def _steps(session: Session, actor: Actor, row: Round, asset: Asset, version: Version) -> tuple[StepShown, ...]:
    found = session.scalars(select(Step).where(Step.round_id == row.id).order_by(Step.party)).all()
    said = session.scalars(select(Verdict).where(Verdict.round_id == row.id).order_by(Verdict.id)).all()
    people = {one.user_id for one in said}
    people |= {one for step in found for one in (step.claimed_by_id, step.offered_to_id) if one}
    names = users.list_names(session, people)
    valid = rounds.valid_approvals(session, row)
    numbers = {
        one.id: one.number
        for one in session.execute(select(Version.id, Version.number).where(Version.asset_id == asset.id))
    }
    return tuple(
        StepShown(
            Party(step.party),
            StepState(step.state),
            step.due_at,
            step.hours,
            step.reviewers,
            beginning.left(step),
            _offered_to(step, names),
            _is_offered(step, actor),
            names.get(step.claimed_by_id or 0, ""),
            step.claimed_by_id is not None and step.claimed_by_id == actor.user_id,
            tuple(
                VerdictShown(
                    names.get(one.user_id, ""),
                    Answer(one.answer),
                    one.reason,
                    one.digest,
                    one.at,
                    tuple(one.ticks or ()),
                    one.answer != Answer.APPROVE.value or valid.get(step.party, 0) > 0,
                )
                for one in said
                if one.step_id == step.id
            ),
            () if row.access_change_id else tuple(checklist.missing(session, asset, version, Party(step.party), ())),
            Role.REVIEWER in actor.roles and Party(step.party) in actor.parties,
            rounds.hindrance(session, actor, row, asset, version, step),
            numbers.get(step.former_version_id or 0),
        )
        for step in found
    )


def _appeal(session: Session, row: Round, steps: Sequence[StepShown]) -> tuple[str, ...]:
    """The coordinators, then the executive whom the policy names: they talk, they do not decide."""
    if all(step.state is not StepState.REJECTED for step in steps):
        return ()
    names = users.list_names(session, panel.coordinators(session))
    executive = policy.by_number(session, row.policy_number).executive
    return (*sorted(names.values()), *([executive] if executive else []))


def _comments(session: Session, actor: Actor, row: Round, may_take: bool) -> tuple[CommentShown, ...]:
    found = session.scalars(select(Comment).where(Comment.round_id == row.id).order_by(Comment.id)).all()
    people = {who for one in found for who in (one.user_id, one.resolved_by_id, one.taken_by_id) if who}
    names = users.list_names(session, people)

    def shown(one: Comment, answers: tuple[CommentShown, ...]) -> CommentShown:
        by, resolved = names.get(one.user_id or 0, ""), names.get(one.resolved_by_id or 0, "")
        return CommentShown(
            one.public_id,
            by,
            one.party,
            one.quote,
            one.text,
            one.wording or "",
            names.get(one.taken_by_id or 0, "") if one.taken_at else "",
            bool(one.wording) and one.taken_at is None and may_take and one.user_id != actor.user_id,
            one.at,
            resolved if one.resolved_at else "",
            answers,
        )

    return tuple(
        shown(one, tuple(shown(other, ()) for other in found if other.answers_id == one.id))
        for one in found
        if one.answers_id is None
    )


def _since_published(session: Session, version: Version) -> Difference | None:
    number = session.scalar(
        select(Version.number).where(
            and_(Version.asset_id == version.asset_id, Version.state == VersionState.PUBLISHED.value),
            Version.id != version.id,
        )
    )
    return _since(session, version, number) if number is not None else None


def _since(session: Session, version: Version, number: int) -> Difference | None:
    old = session.scalar(select(Version).where(Version.asset_id == version.asset_id, Version.number == number))
    if old is None or old.id == version.id:
        return None
    facts = (
        ("title", old.title, version.title),
        ("language", old.language, version.language),
        ("handling", old.handling, version.handling),
        ("nda", str(old.nda), str(version.nda)),
        ("ai_generated", str(bool(old.ai_generated)), str(bool(version.ai_generated))),
        ("files", _files(session, old), _files(session, version)),
    )
    return Difference(
        number, comparing.compare(old.text, version.text), tuple(fact for fact in facts if fact[1] != fact[2])
    )


def _files(session: Session, version: Version) -> str:
    return ", ".join(f"{name} ({sha256[:8]})" for name, sha256 in sorted(service.files_of(session, version)))
