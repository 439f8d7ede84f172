"""The review for programs: the queue, one round, a verdict, a comment."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field

from content import service
from content.kinds import AssetType
from content.taxonomy import Label
from kb.access import Party, Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Conflict, Forbidden, NotFound
from kb.web import Area, actor
from review import absence, audit_sheet, checklist, figures, inbox, profiles, remarks, rounds
from review.inbox import AccessValue, QueueRow, RoundPage
from review.inbox import CommentShown as Remark
from review.machine import Answer, StepState

area = Area("rounds_api", __name__, url_prefix=PREFIX)

Long = Annotated[str, Field(max_length=rounds.LONGEST)]


class QueueQuery(Strict):
    """`state` is that of a party's step; `mine`: without what a colleague has taken or was offered."""

    party: Party | None = None
    state: StepState = StepState.OPEN
    mine: bool = False
    limit: Annotated[int, Field(ge=1, le=200)] = inbox.PAGE
    offset: Annotated[int, Field(ge=0, le=100_000)] = 0


class VerdictBody(Strict):
    """`digest` names the words that were read; `reason` is needed unless it is an approval.

    `ticks`: what legal looked at; all of a step's `to_tick`, or it cannot approve.
    """

    party: Party
    verdict: Literal["approve", "request_changes", "reject"]
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    reason: Long = ""
    ticks: Annotated[list[checklist.Tick], Field(max_length=len(checklist.Tick))] = []


class CommentBody(Strict):
    """`quote` is a passage of the version, empty for a remark on the whole; `answers` the id of a comment.

    `wording`: words for the passage, which the author may take.
    """

    text: Long = ""
    quote: Long = ""
    answers: Annotated[str, Field(max_length=24)] = ""
    wording: Long = ""


class ItemShown(Shown):
    """One party's part of a round; `urgent_until` is the end of the 48 hours by the wall, for an urgent fix.

    `bulk`: the caller may approve it with others in one call.
    """

    id: str
    asset: str
    title: str
    type: str
    handling: str
    version: int
    party: str
    state: str
    due_at: datetime
    digest: str
    bulk: bool
    urgent_until: datetime | None
    offered_to: str
    claimed_by: str
    own_work: bool
    second_look: bool


class ReviewsShown(Shown):
    items: list[ItemShown]
    total: int
    late: int


class SaidShown(Shown):
    """A verdict as it was given."""

    party: str
    by: str
    verdict: str
    reason: str
    digest: str
    at: datetime


class VerdictShown(SaidShown):
    """`counts` is false where the reviewer has left the party since."""

    counts: bool
    ticks: list[str]


class StepShown(Shown):
    """`hindrance` says why the caller gives no verdict for this party; empty where they may."""

    party: str
    state: str
    due_at: datetime
    reviewers: int
    offered_to: str
    claimed_by: str
    hindrance: str
    to_tick: list[str]
    verdicts: list[VerdictShown]


class CommentShown(Shown):
    id: str
    by: str
    party: str
    quote: str
    text: str
    wording: str
    taken_by: str
    at: datetime
    resolved: bool
    answers: list["CommentShown"]


class AccessShown(Shown):
    """What becomes wider: `tier`, `teams` (empty: all), `stage` that opens it (empty: none), `teaser`, `ends`."""

    what: str
    before: str
    after: str


class WordingShown(Shown):
    """A reviewer's words that an author took: into version `version`, in place of `quote`."""

    by: str
    quote: str
    wording: str
    version: int


class ReviewShown(Shown):
    """A round: `digest` is what a verdict names; `access` says what an access-only round would change.

    `afterwards` are parties that look at an urgent fix once it is live, in a round that has `second_look`.
    """

    id: str
    asset: str
    title: str
    version: int
    state: str
    digest: str
    policy: int
    access_only: bool
    second_look: bool
    afterwards: list[str]
    access: list[AccessShown]
    begun_at: datetime
    ended_at: datetime | None
    text: str
    steps: list[StepShown]
    comments: list[CommentShown]
    wordings: list[WordingShown]


def _plain(value: AccessValue) -> str:
    """As programs read it: names with commas, keys of tags, moments in ISO 8601."""
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, Label):
        return value.key
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value).lower()


def _said(party: Party, said: audit_sheet.Said | inbox.VerdictShown) -> dict[str, Any]:
    return {
        "party": party.value,
        "by": said.by,
        "verdict": said.answer.value,
        "reason": said.reason,
        "digest": said.digest,
        "at": said.at,
    }


def _item(row: QueueRow) -> ItemShown:
    return ItemShown(
        id=row.round_id,
        asset=row.asset_id,
        title=row.title,
        type=row.type.value,
        handling=row.handling.value,
        version=row.number,
        party=row.party.value,
        state=row.state.value,
        due_at=row.due_at,
        digest=row.digest,
        bulk=row.is_for_bulk,
        urgent_until=row.urgent_until,
        offered_to=row.offered_to,
        claimed_by=row.claimed_by,
        own_work=row.is_own_work,
        second_look=row.is_second_look,
    )


def _remark(one: Remark) -> CommentShown:
    return CommentShown(
        id=one.public_id,
        by=one.by,
        party=one.party,
        quote=one.quote,
        text=one.text,
        wording=one.wording,
        taken_by=one.taken_by,
        at=one.at,
        resolved=bool(one.resolved_by),
        answers=[_remark(answer) for answer in one.answers],
    )


def _review(page: RoundPage) -> ReviewShown:
    return ReviewShown(
        id=page.public_id,
        asset=page.asset_id,
        title=page.title,
        version=page.number,
        state=page.state.value,
        digest=page.digest,
        policy=page.policy_number,
        access_only=page.is_access,
        second_look=page.is_second_look,
        afterwards=[party.value for party in page.afterwards],
        access=[AccessShown(what=one.what, before=_plain(one.before), after=_plain(one.after)) for one in page.access],
        begun_at=page.begun_at,
        ended_at=page.ended_at,
        text=page.text,
        steps=[
            StepShown(
                party=step.party.value,
                state=step.state.value,
                due_at=step.due_at,
                reviewers=step.reviewers,
                offered_to=step.offered_to,
                claimed_by=step.claimed_by,
                hindrance=step.hindrance,
                to_tick=[tick.value for tick in step.to_tick],
                verdicts=[
                    VerdictShown(**_said(step.party, said), counts=said.still_counts, ticks=list(said.ticks))
                    for said in step.verdicts
                ],
            )
            for step in page.steps
        ],
        comments=[_remark(one) for one in page.comments],
        wordings=[
            WordingShown(by=one.by, quote=one.quote, wording=one.wording, version=one.number) for one in page.wordings
        ],
    )


@area.get("/reviews", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=ReviewsShown), tags=["reviews"])
def listed(query: QueueQuery) -> ReviewsShown:
    """What waits for the caller's parties, due first; coordinators and administrators see every party's."""
    with reading_session() as db:
        found = inbox.queue(db, actor(), query.party, query.state, query.limit, query.offset, mine=query.mine)
    return ReviewsShown(items=[_item(row) for row in found.rows], total=found.total, late=found.late)


class ProfileBody(Strict):
    """No language or type means all; `zone` an IANA name, `country` an ISO code of two letters, empty for the company's."""

    languages: Annotated[list[Literal["zh", "en"]], Field(max_length=len(profiles.LANGUAGES))] = []
    types: Annotated[list[AssetType], Field(max_length=len(AssetType))] = []
    zone: Annotated[str, Field(max_length=64)] = ""
    country: Annotated[str, Field(max_length=8)] = ""


class ReviewerShown(Shown):
    """`load`: open items that they have taken or were offered."""

    id: str
    name: str
    parties: list[str]
    languages: list[str]
    types: list[str]
    zone: str
    country: str
    load: int
    away: bool


class ReviewersShown(Shown):
    items: list[ReviewerShown]


def _reviewers(db: Any) -> ReviewersShown:
    return ReviewersShown(
        items=[
            ReviewerShown(
                id=one.public_id,
                name=one.name,
                parties=[party.value for party in one.parties],
                languages=sorted(one.profile.languages),
                types=sorted(kind.value for kind in one.profile.types),
                zone=one.profile.zone,
                country=one.profile.country,
                load=one.load,
                away=one.is_away,
            )
            for one in profiles.list_reviewers(db, actor())
        ]
    )


@area.get("/reviews/reviewers", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=ReviewersShown), tags=["reviews"])
def reviewers() -> ReviewersShown:
    """Everybody who reviews: for which party, which texts, when, and how much waits for them."""
    with reading_session() as db:
        return _reviewers(db)


@area.put("/reviews/reviewers/<public_id>", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=ReviewersShown), tags=["reviews"])
def put_reviewer(public_id: str, json: ProfileBody) -> Response:
    """What somebody reviews and when they work: of oneself, or of anybody as coordinator or administrator."""

    def act(db: Any) -> ReviewersShown:
        profiles.put(
            db,
            actor(),
            public_id,
            languages=json.languages,
            types=[kind.value for kind in json.types],
            zone=json.zone,
            country=json.country,
        )
        return _reviewers(db)

    return write(act)


class FiguresQuery(Strict):
    days: Annotated[int, Field(ge=1, le=366)] = 90


class AbsenceBody(Strict):
    """From the first day to the last, in the company's time zone; deputies by address, in the order they are asked."""

    first: date
    last: date
    deputies: Annotated[list[Annotated[str, Field(max_length=254)]], Field(max_length=absence.MOST_DEPUTIES)] = []


class AbsenceShown(Shown):
    id: str
    who: str
    first: date
    last: date
    deputies: list[str]
    now: bool


class AbsencesShown(Shown):
    items: list[AbsenceShown]


def _absences(db: Any) -> AbsencesShown:
    return AbsencesShown(
        items=[
            AbsenceShown(
                id=one.public_id,
                who=one.who,
                first=one.first,
                last=one.last,
                deputies=list(one.deputies),
                now=one.is_now,
            )
            for one in absence.list_shown(db, actor())
        ]
    )


@area.get("/reviews/absences", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=AbsencesShown), tags=["reviews"])
def absences() -> AbsencesShown:
    """The caller's absences, present and to come; coordinators and administrators see everybody's."""
    with reading_session() as db:
        return _absences(db)


@area.post("/reviews/absences", needs=Permission.REVIEW)
@spec.validate(resp=answers(HTTP_201=AbsencesShown), tags=["reviews"])
def be_absent(json: AbsenceBody) -> Response:
    """Be away; what the caller has taken moves to a deputy when it begins."""

    def act(db: Any) -> AbsencesShown:
        absence.put(db, actor(), json.first, json.last, json.deputies)
        return _absences(db)

    return write(act, 201)


@area.post("/reviews/absences/<public_id>/cancel", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=AbsencesShown), tags=["reviews"])
def cancel_absence(public_id: str) -> Response:
    """Back early, or not away after all."""

    def act(db: Any) -> AbsencesShown:
        absence.cancel(db, actor(), public_id)
        return _absences(db)

    return write(act)


class CycleShown(Shown):
    """Working hours from submission to the decision; `type` is empty for all types; `late` a share from 0 to 1."""

    party: str
    type: str
    decided: int
    median_hours: float
    p90_hours: float
    late: float


class FiguresShown(Shown):
    """`rounds_per_text` and `first_time` are of texts that were cleared; `waiting` and `late_now` are by party."""

    days: int
    cycles: list[CycleShown]
    cleared: int
    rounds_per_text: float
    first_time: float
    waiting: dict[str, int]
    late_now: dict[str, int]


@area.get("/reviews/figures", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=FiguresShown), tags=["reviews"])
def figures_shown(query: FiguresQuery) -> FiguresShown:
    """How long clearing takes by party and type, rounds a text needs, and what is late now."""
    with reading_session() as db:
        found = figures.of(db, actor(), query.days)
    return FiguresShown(
        days=found.days,
        cycles=[
            CycleShown(**{**asdict(one), "party": one.party.value, "type": one.type.value if one.type else ""})
            for one in found.cycles
        ],
        cleared=found.cleared,
        rounds_per_text=found.rounds_per_text,
        first_time=found.first_time,
        waiting={party.value: count for party, count in found.waiting.items()},
        late_now={party.value: count for party, count in found.late_now.items()},
    )


@area.get("/reviews/<public_id>", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=ReviewShown), tags=["reviews"])
def shown(public_id: str) -> ReviewShown:
    """One round with its text, steps, verdicts and comments."""
    with reading_session() as db:
        return _review(inbox.get_page(db, actor(), public_id))


class AuditRoundShown(Shown):
    state: str
    access_only: bool
    policy: int
    digest: str
    begun_by: str
    begun_at: datetime
    ended_at: datetime | None
    verdicts: list[SaidShown]


class AuditProofShown(Shown):
    key: str
    statement: str
    issuer: str
    valid_until: date | None


class AuditVersionShown(Shown):
    number: int
    title: str
    state: str
    handling: str
    digest: str
    writers: list[str]
    frozen_at: datetime | None
    published_at: datetime | None
    bulk_load: bool
    unreviewed: bool
    rounds: list[AuditRoundShown]
    evidence: list[AuditProofShown]


class AuditWaiverShown(Shown):
    rule: str
    passage: str
    reason: str
    evidence: str
    by: str
    at: datetime
    revoked_at: datetime | None


class AuditEntryShown(Shown):
    """`hash` chains the row to the one before; `kb audit verify` reads them all."""

    sequence: int
    at: datetime
    actor: str
    action: str
    hash: str


class AuditShown(Shown):
    id: str
    external_id: str | None
    title: str
    versions: list[AuditVersionShown]
    waivers: list[AuditWaiverShown]
    trail: list[AuditEntryShown]


def _audited(line: audit_sheet.VersionLine) -> AuditVersionShown:
    return AuditVersionShown(
        number=line.number,
        title=line.title,
        state=line.state.value,
        handling=line.handling.value,
        digest=line.digest,
        writers=list(line.writers),
        frozen_at=line.frozen_at,
        published_at=line.published_at,
        bulk_load=line.is_bulk_load,
        unreviewed=line.is_unreviewed,
        rounds=[
            AuditRoundShown(
                state=row.state.value,
                access_only=row.is_access,
                policy=row.policy_number,
                digest=row.digest,
                begun_by=row.begun_by,
                begun_at=row.begun_at,
                ended_at=row.ended_at,
                verdicts=[SaidShown(**_said(said.party, said)) for said in row.said],
            )
            for row in line.rounds
        ],
        evidence=[AuditProofShown(**asdict(proof)) for proof in line.proofs],
    )


@area.get("/assets/<reference>/audit", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=AuditShown), tags=["reviews"])
def audit(reference: str) -> AuditShown:
    """Who cleared which words of an asset, when and on what, with its rows of the trail."""
    with reading_session() as db:
        sheet = audit_sheet.get(db, actor(), reference)
    return AuditShown(
        id=sheet.asset_id,
        external_id=sheet.external_id,
        title=sheet.title,
        versions=[_audited(line) for line in sheet.versions],
        waivers=[AuditWaiverShown(**asdict(row)) for row in sheet.waivers],
        trail=[AuditEntryShown(**asdict(entry)) for entry in sheet.entries],
    )


@area.post("/reviews/<public_id>/verdicts", needs=Permission.REVIEW)
@spec.validate(resp=answers(HTTP_201=ReviewShown), tags=["reviews"])
def decide(public_id: str, json: VerdictBody) -> Response:
    """Give one verdict on the words that were read; 409 `digest_changed` where they are others now."""

    def act(db: Any) -> ReviewShown:
        rounds.decide(db, actor(), public_id, json.party, Answer(json.verdict), json.digest, json.reason, json.ticks)
        return _review(inbox.get_page(db, actor(), public_id))

    return write(act, 201)


class BulkItem(Strict):
    review: Annotated[str, Field(max_length=24)]
    party: Party
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class BulkApproval(Strict):
    items: Annotated[list[BulkItem], Field(min_length=1, max_length=inbox.PAGE)]


class BulkOutcome(Shown):
    """`refused` is a code, empty where the approval was counted."""

    review: str
    party: str
    refused: str


class BulkOutcomes(Shown):
    items: list[BulkOutcome]


@area.post("/reviews/approve", needs=Permission.REVIEW)
@spec.validate(resp=answers(HTTP_200=BulkOutcomes), tags=["reviews"])
def approve_many(json: BulkApproval) -> BulkOutcomes:
    """Approve several where the policy allows it: a verdict each, in a transaction each; sending it again counts nothing twice."""
    outcomes = []
    for item in json.items:
        refused = ""
        try:
            with writing() as db:
                rounds.approve_in_bulk(db, actor(), item.review, item.party, item.digest)
        except (Conflict, Forbidden, NotFound) as not_now:
            refused = not_now.code
        outcomes.append(BulkOutcome(review=item.review, party=item.party.value, refused=refused))
    return BulkOutcomes(items=outcomes)


@area.post("/reviews/<public_id>/comments", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_201=ReviewShown), tags=["reviews"])
def comment(public_id: str, json: CommentBody) -> Response:
    """A remark on a quoted passage, or an answer to one."""

    def act(db: Any) -> ReviewShown:
        remarks.comment(db, actor(), public_id, json.quote, json.text, json.answers, json.wording)
        return _review(inbox.get_page(db, actor(), public_id))

    return write(act, 201)


@area.post("/reviews/<public_id>/comments/<comment_id>/take", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=ReviewShown), tags=["reviews"])
def take_wording(public_id: str, comment_id: str) -> Response:
    """Suggested words into the draft, in place of their passage; whoever suggested them may still review it."""
    with reading_session() as db:
        proposed = remarks.propose(db, actor(), public_id, comment_id)
    rendered = service.render(proposed.wording.text)

    def act(db: Any) -> ReviewShown:
        remarks.take(db, actor(), public_id, comment_id, proposed, rendered)
        return _review(inbox.get_page(db, actor(), public_id))

    return write(act)
