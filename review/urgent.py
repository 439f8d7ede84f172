"""The green channel: a text that hurts a deal is reported, held, corrected in its passages alone, and live within 48 hours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from content import drafting, reading, service
from content.deals import Deal, DealContext, is_member
from content.kinds import AssetType, VersionState
from content.models import Asset, AssetOwner, Version
from content.reading import AssetPage
from content.submission import Unreviewable
from content.visibility import editable_by, exists_for, is_for
from kb import audit, clock, notices, users
from kb.access import SYSTEM, Actor, Party, Permission, Role, require
from kb.db import Database
from kb.errors import N_, Conflict, Forbidden, Invalid, NotFound
from kb.users import User, UserParty, UserRole
from review import passages, recalls
from review.models import Round, UrgentCase, UrgentReport

HOURS: Final = 48
MOST_PASSAGES: Final = 10
LONGEST: Final = 4_000
GRADES: Final = ("top", "high", "normal")
_AMOUNTS: Final[Mapping[str, Mapping[str, int]]] = yaml.safe_load(
    (Path(__file__).parent / "urgent.yaml").read_text(encoding="utf-8")
)["grades"]


class OutOfScope(Unreviewable):
    """An urgent fix changes the reported passages and nothing else."""

    code, message = (
        "out_of_scope",
        N_(
            "An urgent fix changes only the reported passages. Undo the rest, or submit it for an ordinary review: "
            "your draft is kept."
        ),
    )


class NoCase(Unreviewable):
    code, message = "no_case", N_("Nothing urgent is open for this asset: submit it for an ordinary review.")


class NotHeld(Conflict):
    code, message = "not_held", N_("It is not on hold.")


class CaseOpen(Conflict):
    code, message = (
        "case_open",
        N_("An urgent case is open: it goes back to its readers with the correction, or when the case is dismissed."),
    )


class NeedsDeal(Invalid):
    code, message = "deal_missing", N_("Choose the deal that it hurts: its amount says how urgent it is.")


@dataclass(frozen=True, slots=True)
class ReportShown:
    """One word from the field; `deal` is empty for who is not on its team."""

    deal: str
    damage: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CaseShown:
    """One case as its page and the list show it; `left` is negative where the 48 hours are over."""

    public_id: str
    asset_id: str
    title: str
    language: str
    type: AssetType
    number: int
    grade: str
    state: str
    begun_at: datetime
    due_at: datetime
    ended_at: datetime | None
    ended_by: str
    ended_reason: str
    left: timedelta
    is_held: bool
    passages: tuple[str, ...]
    reports: tuple[ReportShown, ...]
    round_id: str
    recall_id: str
    is_editable: bool
    may_end: bool

    @property
    def is_late(self) -> bool:
        return self.left < timedelta()


@dataclass(frozen=True, slots=True)
class Now:
    """Open cases with the end of the first one's 48 hours, and recalls that wait for answers on open deals."""

    cases: int
    first_due_at: datetime | None
    left: timedelta | None
    recalls: int
    answers_missing: int


@dataclass(frozen=True, slots=True)
class Share:
    """Rounds begun in the present quarter, and how many of them were urgent."""

    rounds: int
    urgent: int


def grade_of(amount: Decimal | None, currency: str) -> str:
    """How urgent, from the deal's amount in its currency."""
    for grade, least in _AMOUNTS.items():
        if amount is not None and amount >= least.get(currency.upper(), least["other"]):
            return grade
    return "normal"


# --- report ---


def report(
    session: Session, actor: Actor, deal: DealContext | None, reference: str, damage: str, quoted: Sequence[str]
) -> UrgentCase:
    """Say that a text hurts a deal; joins the case that is open for the asset, else begins one and its 48 hours."""
    require(actor, Permission.USE)
    found = reading.get_visible(session, actor, deal, reference)
    if deal is None:
        raise NeedsDeal()
    cleaned = damage.strip()[:LONGEST]
    marked = list(dict.fromkeys(one.strip()[:LONGEST] for one in quoted if one.strip()))
    if not cleaned:
        raise Invalid(
            N_("Say what it does to the deal: those who are called at night will ask."), code="damage_missing"
        )
    if not 1 <= len(marked) <= MOST_PASSAGES:
        raise Invalid(N_("Copy the wrong words out of the text, one passage a line, at most ten."), code="passages")
    asset = session.get_one(Asset, found.id, with_for_update=True)
    version = session.get_one(Version, found.version_id)
    whole = f"{version.title}\n{version.text}"
    for one in marked:
        if not passages.stands_in(whole, one):
            raise Invalid(N_("These words do not stand in the text: copy them from it."), code="passage_unknown")
    row = session.get_one(Deal, deal.id)
    grade = grade_of(row.amount, row.currency)
    case, now = open_case(session, asset.id), clock.now()
    if case is None:
        case = UrgentCase(
            asset_id=asset.id,
            version_id=version.id,
            passages=marked,
            grade=grade,
            begun_at=now,
            due_at=now + timedelta(hours=HOURS),
        )
        session.add(case)
    else:
        case.passages = list(dict.fromkeys([*case.passages, *marked]))[: MOST_PASSAGES * 2]
        case.grade = min(case.grade, grade, key=GRADES.index)
    session.flush()
    session.add(UrgentReport(case_id=case.id, deal_id=row.id, damage=cleaned, by_id=actor.user_id, at=now))
    session.flush()
    told = {"asset": asset.public_id, "deal": row.public_id, "grade": case.grade, "passages": marked}
    audit.record(session, actor, "urgent.report", "urgent_case", case.public_id, damage=cleaned, **told)
    for user_id in sorted(_concerned(session, asset, case, row)):
        notices.tell(session, user_id, "urgent", asset.id, f"urgent:{case.id}:{row.id}")
    if case.grade == "top" and asset.held_at is None:
        hold_at_once(session, SYSTEM, asset, cleaned)
    return case


def _concerned(session: Session, asset: Asset, case: UrgentCase, deal: Deal) -> set[int]:
    """Owners and coordinators; of the top grade the leads of all parties and the deal's owner with their manager too."""
    wanted = or_(
        User.id.in_(select(AssetOwner.user_id).where(AssetOwner.asset_id == asset.id)),
        User.id.in_(select(UserRole.user_id).where(UserRole.role == Role.COORDINATOR.value)),
    )
    if case.grade == "top":
        leads = select(UserParty.user_id).join(UserRole, UserRole.user_id == UserParty.user_id)
        manager = select(User.manager_id).where(User.id == deal.owner_id).scalar_subquery()
        wanted = or_(
            wanted,
            User.id.in_(leads.where(UserRole.role == Role.MANAGER.value)),
            User.id == deal.owner_id,
            User.id == manager,
        )
    return set(session.scalars(select(User.id).where(wanted, User.deactivated_at.is_(None))))


def to_report(session: Session, actor: Actor, deal: DealContext | None, reference: str) -> AssetPage:
    """The asset as it reads, out of which the wrong words are copied."""
    require(actor, Permission.USE)
    return reading.get_page(session, actor, deal, reference)


def open_case(session: Session, asset_id: int) -> UrgentCase | None:
    """The open case of an asset; there is at most one."""
    return session.scalar(select(UrgentCase).where(UrgentCase.asset_id == asset_id, UrgentCase.state == "open"))


# --- hold ---


def _holds(actor: Actor) -> bool:
    """Whose role lets them hold what they see; owners may hold what is theirs."""
    if not actor.is_user:
        return True
    return bool(actor.roles & {Role.MARKETER, Role.MANAGER, Role.ADMIN}) or (
        Role.REVIEWER in actor.roles and Party.LEGAL in actor.parties
    )


def _reach(actor: Actor) -> ColumnElement[bool]:
    owned = Asset.id.in_(select(AssetOwner.asset_id).where(AssetOwner.user_id == actor.user_id))
    return or_(owned, editable_by(actor), exists_for(actor)) if _holds(actor) else owned


def may_hold(session: Session, actor: Actor, asset_id: int) -> bool:
    """Owners, marketers, legal and managers may take an asset that they see from its readers."""
    return session.scalar(select(Asset.id).where(Asset.id == asset_id, _reach(actor))) is not None


def hold(session: Session, actor: Actor, reference: str, reason: str) -> Asset:
    """Take an asset from every reader at once, until it is lifted or corrected."""
    require(actor, Permission.USE)
    asset = session.scalar(select(Asset).where(drafting.is_reference(reference), _reach(actor)).with_for_update())
    if asset is None:
        raise NotFound() if _holds(actor) else Forbidden()  # the same for what is there and what is not
    if service.find_version(session, asset, VersionState.PUBLISHED) is None or asset.held_at is not None:
        raise Conflict(N_("Readers do not have it: there is nothing to hold."), code="not_live")
    if not reason.strip():
        raise Invalid(N_("Say why: those who look for it will ask."), code="reason_missing")
    hold_at_once(session, actor, asset, reason.strip()[:LONGEST])
    return asset


def hold_at_once(session: Session, actor: Actor, asset: Asset, reason: str) -> None:
    """Take a locked asset from its readers; its owners are told. The caller has asked who may."""
    asset.held_at = clock.now()
    session.flush()
    audit.record(session, actor, "asset.hold", "asset", asset.public_id, reason=reason)
    for user_id in session.scalars(select(AssetOwner.user_id).where(AssetOwner.asset_id == asset.id)).all():
        if user_id != actor.user_id:
            notices.tell(session, user_id, "held", asset.id, f"held:{asset.id}:{asset.held_at.isoformat()}")


def lift(session: Session, actor: Actor, reference: str, reason: str) -> Asset:
    """Give a held asset back to its readers; not while an urgent case is open."""
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    if not _may_end(actor):
        raise Forbidden()
    if asset.held_at is None:
        raise NotHeld()
    if open_case(session, asset.id) is not None:
        raise CaseOpen()
    if not reason.strip():
        raise Invalid(N_("Say why: those who look for it will ask."), code="reason_missing")
    asset.held_at = None
    session.flush()
    audit.record(session, actor, "asset.lift_hold", "asset", asset.public_id, reason=reason.strip()[:LONGEST])
    return asset


def _may_end(actor: Actor) -> bool:
    return actor.may(Permission.PUBLISH) or (Role.REVIEWER in actor.roles and Party.LEGAL in actor.parties)


# --- the fast round ---


def case_for(session: Session, asset: Asset, draft: Version) -> UrgentCase:
    """The case that a draft corrects; raises where there is none, or where the draft changes anything else."""
    case = open_case(session, asset.id)
    if case is None:
        raise NoCase()
    old = service.find_version(session, asset, VersionState.PUBLISHED) or session.get_one(Version, case.version_id)
    same = _marks(old) == _marks(draft)
    files = sorted(service.files_of(session, old)) == sorted(service.files_of(session, draft))
    wording = passages.changes_only(old.title, draft.title, case.passages)
    if not (same and files and wording and passages.changes_only(old.text, draft.text, case.passages)):
        raise OutOfScope()
    return case


def _marks(version: Version) -> tuple[str, str, bool, bool]:
    return version.language, version.handling, version.nda, bool(version.ai_generated)


# --- the end ---


def published(session: Session, actor: Actor, version: Version) -> None:
    """A text took its place: where it says none of the reported words, the case is over and past users are told."""
    case = open_case(session, version.asset_id)
    if case is None or version.id == case.version_id:
        return
    whole = f"{version.title}\n{version.text}"
    if any(passages.stands_in(whole, one) for one in case.passages):
        return
    case.fixed_version_id = version.id
    _end(session, actor, case, "corrected")
    wrong = _last_wrong(session, case, version.number)
    recalls.begin(session, actor, case.asset_id, wrong, _words(case), case.asset_id, case.id)


def withdrawn(session: Session, actor: Actor, asset: Asset) -> None:
    """The asset went altogether: that ends the case too, with nothing in its place."""
    case = open_case(session, asset.id)
    if case is not None:
        _end(session, actor, case, "withdrawn")
        recalls.begin(session, actor, asset.id, _last_wrong(session, case), _words(case), None, case.id)


def _last_wrong(session: Session, case: UrgentCase, before: int | None = None) -> int:
    """The newest text that readers had, up to which uses count: the one that was reported, or a later one as wrong."""
    had = (VersionState.PUBLISHED.value, VersionState.SUPERSEDED.value, VersionState.WITHDRAWN.value)
    found = select(Version.id).where(Version.asset_id == case.asset_id, Version.state.in_(had))
    if before is not None:
        found = found.where(Version.number < before)
    return session.scalar(found.order_by(Version.number.desc()).limit(1)) or case.version_id


def dismiss(session: Session, actor: Actor, public_id: str, reason: str) -> UrgentCase:
    """The text is right, or it hurts nobody: its readers have it back."""
    require(actor, Permission.EDIT)
    asset_id = session.scalar(
        select(Asset.id)
        .join(UrgentCase, UrgentCase.asset_id == Asset.id)
        .where(UrgentCase.public_id == public_id, editable_by(actor))
        .with_for_update(of=Asset)  # before the case, as publication does: only one of the two ends it
    )
    if asset_id is None:
        raise NotFound()
    case = session.scalars(select(UrgentCase).where(UrgentCase.public_id == public_id).with_for_update()).one()
    if not _may_end(actor):
        raise Forbidden()
    if case.state != "open":
        raise Conflict(N_("This case is over."), code="case_over")
    if not reason.strip():
        raise Invalid(N_("Say why nothing has to change: who reported it will ask."), code="reason_missing")
    case.ended_reason = reason.strip()[:LONGEST]
    _end(session, actor, case, "dismissed")
    return case


def _end(session: Session, actor: Actor, case: UrgentCase, state: str) -> None:
    case.state, case.ended_at, case.ended_by_id = state, clock.now(), actor.user_id
    asset = session.get_one(Asset, case.asset_id)
    asset.held_at = None
    session.flush()
    told = {"asset": asset.public_id, "reason": case.ended_reason, "late": case.ended_at > case.due_at}
    audit.record(session, actor, f"urgent.{state}", "urgent_case", case.public_id, **told)
    for user_id in set(session.scalars(select(UrgentReport.by_id).where(UrgentReport.case_id == case.id))):
        if user_id is not None:
            notices.tell(session, user_id, f"urgent_{state}", asset.id, f"urgent_end:{case.id}")


def _words(case: UrgentCase) -> str:
    """What was wrong, in the words of the passages: those who used it know them, and no deal is named."""
    return "\n".join(case.passages)[:LONGEST]


def sweep(database: Database) -> Callable[[], None]:
    """The worker's look at cases whose 48 hours are over."""

    def look() -> None:
        with database.reading() as session:
            late = session.scalars(_late().limit(100)).all()
        for case_id in late:
            _tell_late(database, case_id)

    return look


def _late() -> Any:
    return select(UrgentCase.id).where(
        UrgentCase.state == "open", UrgentCase.told_late_at.is_(None), UrgentCase.due_at <= clock.now()
    )


def _tell_late(database: Database, case_id: int) -> None:
    with database.writing() as session:
        case = session.get_one(UrgentCase, case_id, with_for_update=True)
        if session.scalar(_late().where(UrgentCase.id == case_id)) is None:
            return
        case.told_late_at = clock.now()
        roles = select(UserRole.user_id).where(UserRole.role.in_([Role.COORDINATOR.value, Role.ADMIN.value]))
        owners = select(AssetOwner.user_id).where(AssetOwner.asset_id == case.asset_id)
        people = select(User.id).where(or_(User.id.in_(roles), User.id.in_(owners)), User.deactivated_at.is_(None))
        for user_id in session.scalars(people).all():
            notices.tell(session, user_id, "urgent_late", case.asset_id, f"urgent_late:{case.id}")
        session.flush()
        audit.record(session, SYSTEM, "urgent.late", "urgent_case", case.public_id)


# --- looking ---


def sees(actor: Actor) -> ColumnElement[bool]:
    """Cases of assets that one edits; and of those that are for this person, where they reported it or it hurts a deal of theirs."""
    theirs = (
        select(UrgentReport.case_id)
        .join(Deal, Deal.id == UrgentReport.deal_id)
        .where(or_(UrgentReport.by_id == actor.user_id, is_member(actor)))
    )
    return or_(editable_by(actor), and_(UrgentCase.id.in_(theirs), is_for(actor)))


def list_cases(session: Session, actor: Actor, limit: int = 100) -> Sequence[CaseShown]:
    """Open ones by the end of their 48 hours, then those that are over, newest first."""
    require(actor, Permission.USE)
    rows = session.scalars(
        select(UrgentCase)
        .join(Asset, Asset.id == UrgentCase.asset_id)
        .where(sees(actor))
        .order_by(UrgentCase.state != "open", UrgentCase.ended_at.desc(), UrgentCase.due_at)
        .limit(limit)
    ).all()
    return [_shown(session, actor, row) for row in rows]


def get_case(session: Session, actor: Actor, public_id: str) -> CaseShown:
    require(actor, Permission.USE)
    row = session.scalar(
        select(UrgentCase)
        .join(Asset, Asset.id == UrgentCase.asset_id)
        .where(UrgentCase.public_id == public_id, sees(actor))
    )
    if row is None:
        raise NotFound()
    return _shown(session, actor, row)


def of_asset(session: Session, actor: Actor, reference: str) -> CaseShown | None:
    """The open case of an asset, for who may see it."""
    row = session.scalar(
        select(UrgentCase)
        .join(Asset, Asset.id == UrgentCase.asset_id)
        .where(drafting.is_reference(reference), UrgentCase.state == "open", sees(actor))
    )
    return _shown(session, actor, row) if row is not None else None


def of_round(session: Session, actor: Actor, case_id: int | None) -> CaseShown | None:
    """The case that a round corrects; the caller has asked who sees the round."""
    return _shown(session, actor, session.get_one(UrgentCase, case_id)) if case_id is not None else None


def _shown(session: Session, actor: Actor, case: UrgentCase) -> CaseShown:
    asset, version = session.get_one(Asset, case.asset_id), session.get_one(Version, case.version_id)
    editable = session.scalar(select(Asset.id).where(Asset.id == asset.id, editable_by(actor))) is not None
    mine = set(session.scalars(select(Deal.id).where(is_member(actor))).all()) if actor.is_user else None
    reports = session.execute(
        select(UrgentReport, Deal).join(Deal, Deal.id == UrgentReport.deal_id).where(UrgentReport.case_id == case.id)
    ).all()
    names = users.list_names(
        session, {one for one in (*(row.UrgentReport.by_id for row in reports), case.ended_by_id) if one}
    )
    round_id = session.scalar(
        select(Round.public_id).where(Round.case_id == case.id).order_by(Round.id.desc()).limit(1)
    )
    return CaseShown(
        case.public_id,
        asset.public_id,
        version.title,
        version.language,
        AssetType(asset.type),
        version.number,
        case.grade,
        case.state,
        case.begun_at,
        case.due_at,
        case.ended_at,
        names.get(case.ended_by_id or 0, ""),
        case.ended_reason,
        case.due_at - (case.ended_at or clock.now()),
        asset.held_at is not None,
        tuple(case.passages),
        tuple(
            ReportShown(
                f"{row.Deal.external_id} · {row.Deal.account}"
                if mine is None or row.Deal.id in mine or row.UrgentReport.by_id == actor.user_id
                else row.Deal.external_id
                if editable
                else "",
                row.UrgentReport.damage,
                names.get(row.UrgentReport.by_id or 0, ""),
                row.UrgentReport.at,
            )
            for row in reports
            if editable or mine is None or row.Deal.id in mine or row.UrgentReport.by_id == actor.user_id
        ),
        (round_id or "") if editable else "",
        recalls.of_case(session, case.id) if editable else "",
        editable,
        editable and _may_end(actor) and case.state == "open",
    )


def now(session: Session, actor: Actor) -> Now:
    """What is urgent among the assets that a person edits, for the board."""
    require(actor, Permission.EDIT)
    cases = session.execute(
        select(func.count(UrgentCase.id), func.min(UrgentCase.due_at))
        .join(Asset, Asset.id == UrgentCase.asset_id)
        .where(UrgentCase.state == "open", editable_by(actor))
    ).one()
    found, missing = recalls.count_open(session, actor)
    left = cases[1] - clock.now() if cases[1] is not None else None
    return Now(cases[0], cases[1], left, found, missing)


def share(session: Session, actor: Actor) -> Share:
    """How many rounds began in this quarter, and how many of them were urgent; for editors."""
    require(actor, Permission.EDIT)
    now = clock.now()
    first = now.replace(month=3 * ((now.month - 1) // 3) + 1, day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = session.execute(
        select(func.count(Round.id), func.count(Round.case_id))
        .join(Asset, Asset.id == Round.asset_id)
        .where(and_(Round.begun_at >= first, editable_by(actor)))
    ).one()
    return Share(rows[0], rows[1])
