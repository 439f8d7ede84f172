"""The green channel for programs: report, hold, cases, recalls and their answers."""

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field

from content import dealing
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.db import reading as reading_session
from kb.web import Area, actor
from review import recalls, urgent
from review.recalls import Given, LineShown, RecallShown
from review.urgent import CaseShown

area = Area("urgent_api", __name__, url_prefix=PREFIX)

Reason = Annotated[str, Field(min_length=1, max_length=urgent.LONGEST)]


class ReportBody(Strict):
    """`deal` is the one it hurts; `passages` are wrong words copied out of the text."""

    deal: Annotated[str, Field(min_length=1, max_length=200)]
    damage: Reason
    passages: Annotated[list[Reason], Field(min_length=1, max_length=urgent.MOST_PASSAGES)]


class ReasonBody(Strict):
    reason: Reason


class RecallBody(Strict):
    """`replacement` is the id of a published asset, empty for none."""

    reason: Reason
    replacement: Annotated[str, Field(max_length=220)] = ""


class AnswerBody(Strict):
    """`note` says when and how it was corrected, or why nothing has to be; not needed where nothing was given."""

    answer: Literal["not_given", "corrected", "no_correction"]
    note: Annotated[str, Field(max_length=recalls.LONGEST)] = ""


class FieldReport(Shown):
    deal: str
    damage: str
    by: str
    at: datetime


class UrgentShown(Shown):
    """A case; `due_at` is 48 hours by the wall after its first report."""

    id: str
    asset: str
    title: str
    version: int
    grade: str
    state: str
    on_hold: bool
    begun_at: datetime
    due_at: datetime
    ended_at: datetime | None
    ended_reason: str
    passages: list[str]
    reports: list[FieldReport]
    review: str
    recall: str


class CasesShown(Shown):
    items: list[UrgentShown]


class HoldShown(Shown):
    asset: str
    held_at: datetime | None


class RecallLineShown(Shown):
    """One person's use on one deal, and what they say the customer got; `answer` is empty until they do."""

    id: str
    recall: str
    title: str
    used_by: str
    asked: str
    deal: str
    deal_open: bool
    versions: list[int]
    uses: int
    last_used_at: datetime
    replacement: str
    answer: str
    note: str
    answered_at: datetime | None
    escalated_at: datetime | None


class RecallLinesShown(Shown):
    items: list[RecallLineShown]


class WholeRecallShown(Shown):
    """`missing` counts lines without answer on deals that are open; over, once there is none."""

    id: str
    asset: str
    title: str
    version: int
    reason: str
    replacement: str
    begun_at: datetime
    told: int
    answered: int
    missing: int
    lines: list[RecallLineShown]


def _case(case: CaseShown) -> UrgentShown:
    return UrgentShown(
        id=case.public_id,
        asset=case.asset_id,
        title=case.title,
        version=case.number,
        grade=case.grade,
        state=case.state,
        on_hold=case.is_held,
        begun_at=case.begun_at,
        due_at=case.due_at,
        ended_at=case.ended_at,
        ended_reason=case.ended_reason,
        passages=list(case.passages),
        reports=[FieldReport(deal=one.deal, damage=one.damage, by=one.by, at=one.at) for one in case.reports],
        review=case.round_id,
        recall=case.recall_id,
    )


def _line(line: LineShown) -> RecallLineShown:
    return RecallLineShown(
        id=line.public_id,
        recall=line.recall_id,
        title=line.title,
        used_by=line.used_by,
        asked=line.asked,
        deal=line.deal,
        deal_open=line.is_deal_open,
        versions=list(line.versions),
        uses=line.uses,
        last_used_at=line.last_used_at,
        replacement=line.replacement,
        answer=line.answer.value if line.answer is not None else "",
        note=line.note,
        answered_at=line.answered_at,
        escalated_at=line.escalated_at,
    )


def _recall(found: RecallShown) -> WholeRecallShown:
    return WholeRecallShown(
        id=found.public_id,
        asset=found.asset_id,
        title=found.title,
        version=found.number,
        reason=found.reason,
        replacement=found.replacement,
        begun_at=found.begun_at,
        told=found.told,
        answered=found.answered,
        missing=found.missing,
        lines=[_line(line) for line in found.lines],
    )


@area.post("/assets/<reference>/urgent", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_201=UrgentShown), tags=["urgent"])
def report(reference: str, json: ReportBody) -> Response:
    """Say that a visible text hurts a deal: begins the asset's urgent case, or joins the one that is open."""
    deal = dealing.named(json.deal)

    def act(db: Any) -> UrgentShown:
        case = urgent.report(db, actor(), deal, reference, json.damage, json.passages)
        return _case(urgent.get_case(db, actor(), case.public_id))

    return write(act, 201)


@area.get("/urgent", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=CasesShown), tags=["urgent"])
def cases() -> CasesShown:
    """Urgent cases that concern the caller, open ones first."""
    with reading_session() as db:
        return CasesShown(items=[_case(case) for case in urgent.list_cases(db, actor())])


@area.post("/urgent/<public_id>/dismiss", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=UrgentShown), tags=["urgent"])
def dismiss(public_id: str, json: ReasonBody) -> Response:
    """Nothing has to change: a held asset goes back to its readers."""

    def act(db: Any) -> UrgentShown:
        urgent.dismiss(db, actor(), public_id, json.reason)
        return _case(urgent.get_case(db, actor(), public_id))

    return write(act)


@area.post("/assets/<reference>/hold", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=HoldShown), tags=["urgent"])
def hold(reference: str, json: ReasonBody) -> Response:
    """Take an asset from every reader at once: owners, marketers, legal and managers may."""

    def act(db: Any) -> HoldShown:
        asset = urgent.hold(db, actor(), reference, json.reason)
        return HoldShown(asset=asset.public_id, held_at=asset.held_at)

    return write(act)


@area.post("/assets/<reference>/hold/lift", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=HoldShown), tags=["urgent"])
def lift(reference: str, json: ReasonBody) -> Response:
    """Give a held asset back to its readers; 409 `case_open` while an urgent case is."""

    def act(db: Any) -> HoldShown:
        asset = urgent.lift(db, actor(), reference, json.reason)
        return HoldShown(asset=asset.public_id, held_at=asset.held_at)

    return write(act)


@area.post("/assets/<reference>/recall", needs=Permission.PUBLISH)
@spec.validate(resp=answers(HTTP_201=WholeRecallShown), tags=["urgent"])
def recall(reference: str, json: RecallBody) -> Response:
    """Withdraw an asset and tell who used it in the last 180 days."""

    def act(db: Any) -> WholeRecallShown:
        found = recalls.recall(db, actor(), reference, json.reason, json.replacement)
        return _recall(recalls.get(db, actor(), found.public_id))

    return write(act, 201)


@area.get("/recalls", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=RecallLinesShown), tags=["urgent"])
def mine() -> RecallLinesShown:
    """What the caller is asked, unanswered first."""
    with reading_session() as db:
        return RecallLinesShown(items=[_line(line) for line in recalls.list_mine(db, actor())])


@area.get("/recalls/<public_id>", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=WholeRecallShown), tags=["urgent"])
def one(public_id: str) -> WholeRecallShown:
    """A recall with every line, for who may edit the asset."""
    with reading_session() as db:
        return _recall(recalls.get(db, actor(), public_id))


@area.post("/recalls/lines/<line>", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=RecallLinesShown), tags=["urgent"])
def answer(line: str, json: AnswerBody) -> Response:
    """Say what the customer got; answers what the caller is asked as it stands then."""

    def act(db: Any) -> RecallLinesShown:
        recalls.answer(db, actor(), line, Given(json.answer), json.note)
        return RecallLinesShown(items=[_line(one) for one in recalls.list_mine(db, actor())])

    return write(act)
