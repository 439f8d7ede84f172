"""Opportunities of the CRM: members, stage history, outcome, and the context they give to a reader."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Date,
    ForeignKey,
    Index,
    Numeric,
    ScalarSelect,
    Select,
    String,
    UniqueConstraint,
    and_,
    case,
    event,
    func,
    insert,
    or_,
    select,
    text,
)
from sqlalchemy.orm import (
    Mapped,
    ORMExecuteState,
    Session,
    UOWTransaction,
    aliased,
    mapped_column,
    relationship,
    selectinload,
)

from content.kinds import Facet, Outcome
from content.taxonomy import AFTER_SALE, Label, Tag, Vocabulary
from kb import clock
from kb.access import Actor
from kb.db import Base, public_id, this_moment
from kb.errors import N_, NotFound
from kb.users import User

MAX_LISTED = 50


class Deal(Base):
    __tablename__ = "deal"
    __table_args__ = (CheckConstraint("outcome IN ('open', 'won', 'lost', 'no_decision')", name="outcome"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    external_id: Mapped[str] = mapped_column(String(120), unique=True)
    account: Mapped[str] = mapped_column(String(200))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"), index=True)
    segment: Mapped[str] = mapped_column(String(80), default="")
    amount: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    currency: Mapped[str] = mapped_column(String(3), default="")
    outcome: Mapped[str] = mapped_column(String(20), default=Outcome.OPEN.value)
    loss_reason: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    modified_at: Mapped[datetime | None]
    """When the CRM changed it last, where it says so: what is older than that does not overwrite it."""
    industry_word: Mapped[str | None] = mapped_column(String(120))
    other_words: Mapped[str | None] = mapped_column(String(500))
    """What the CRM says of industry, competitor and pain points in words that no vocabulary has."""
    nda_signed_on: Mapped[date | None] = mapped_column(Date)
    nda_until_on: Mapped[date | None] = mapped_column(Date)
    nda_reference: Mapped[str | None] = mapped_column(String(120))

    members: Mapped[list["DealMember"]] = relationship(lazy="raise", cascade="all, delete-orphan")
    stages: Mapped[list["DealStage"]] = relationship(lazy="raise", cascade="all, delete-orphan")
    tags: Mapped[list["DealTag"]] = relationship(lazy="raise", cascade="all, delete-orphan")


class DealMember(Base):
    __tablename__ = "deal_member"

    deal_id: Mapped[int] = mapped_column(ForeignKey("deal.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), primary_key=True, index=True)


class DealContact(Base):
    """A person at the customer to whom something may be sent on this deal."""

    __tablename__ = "deal_contact"
    __table_args__ = (
        Index(
            "uq_deal_contact_one_address",
            "deal_id",
            "email",
            unique=True,
            sqlite_where=text("removed_at IS NULL"),
            postgresql_where=text("removed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    deal_id: Mapped[int] = mapped_column(ForeignKey("deal.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str] = mapped_column(String(254))
    added_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    added_at: Mapped[datetime] = mapped_column(default=clock.now)
    removed_at: Mapped[datetime | None]


class DealStage(Base):
    """The deal entered a stage; `is_assumed` where the CRM gave the stage but not the moment."""

    __tablename__ = "deal_stage"
    __table_args__ = (
        UniqueConstraint("deal_id", "stage_id", "entered_at"),
        Index("ix_deal_stage_deal_entered", "deal_id", "entered_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    deal_id: Mapped[int] = mapped_column(ForeignKey("deal.id", ondelete="CASCADE"))
    stage_id: Mapped[int] = mapped_column(ForeignKey("tag.id"))
    entered_at: Mapped[datetime]
    is_assumed: Mapped[bool] = mapped_column(default=False)


class DealTag(Base):
    """Industry, competitor and pain points of the deal."""

    __tablename__ = "deal_tag"

    deal_id: Mapped[int] = mapped_column(ForeignKey("deal.id", ondelete="CASCADE"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tag.id"), primary_key=True)


class DealChange(Base):
    """The change log: what of a deal, its stages or its tags changed, one row for each transaction's flush.

    The deal's number stands without a key, so that the log outlives what it speaks of.
    """

    __tablename__ = "deal_change"
    id: Mapped[int] = mapped_column(primary_key=True)
    deal_id: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=clock.now)


def keep_change_log() -> None:
    """Listen on every session of this process; safe to call again."""
    if not event.contains(Session, "after_flush", _log_changes):
        event.listen(Session, "after_flush", _log_changes)
        event.listen(Session, "do_orm_execute", _refuse_bulk_writes)


class UnseenByFigures(RuntimeError):
    """A bulk statement would change deals behind the change log's back."""


_LOGGED = (Deal, DealStage, DealTag)


def _refuse_bulk_writes(state: ORMExecuteState) -> None:
    mapper = state.bind_mapper
    writes = state.is_update or state.is_delete or state.is_insert
    if writes and mapper is not None and mapper.class_ in _LOGGED:
        raise UnseenByFigures(f"change {mapper.class_.__name__} through its objects")


def _log_changes(session: Session, _context: UOWTransaction) -> None:
    rows = (*session.new, *session.dirty, *session.deleted)
    touched = {row.id if isinstance(row, Deal) else row.deal_id for row in rows if isinstance(row, _LOGGED)}
    if touched:
        now = clock.now()
        values = [{"deal_id": deal_id, "at": now} for deal_id in sorted(touched)]
        session.connection().execute(insert(DealChange), values)


_stage, _last = aliased(Tag), aliased(Tag)
_after_sale = func.coalesce(
    select(func.max(_last.position)).where(_last.facet == Facet.STAGE.value, _last.key == AFTER_SALE).scalar_subquery(),
    select(func.max(_last.position)).where(_last.facet == Facet.STAGE.value).scalar_subquery(),
)
"""How far a won deal is: after-sale, or the last stage where the list has none of that key."""


@dataclass(frozen=True, slots=True)
class DealContext:
    """The deal a reader works on; what it unlocks is asked of the database each time."""

    id: int
    public_id: str
    external_id: str
    account: str
    outcome: Outcome
    stage: Label | None
    has_nda: bool = False
    """A non-disclosure agreement with the customer is on file and in force today."""

    @property
    def is_open(self) -> bool:
        return self.outcome is Outcome.OPEN


class UnknownDeal(NotFound):
    """No such deal, or not one of this person's."""

    code, message = "unknown_deal", N_("This deal does not exist, or you are not on its team.")


def is_member(actor: Actor) -> ColumnElement[bool]:
    """Owner, members and the owner's manager; the operator and the system see all deals."""
    if not actor.is_user:
        return Deal.id.is_not(None)
    on_team = select(DealMember.deal_id).where(DealMember.user_id == actor.user_id)
    managed = select(User.id).where(User.manager_id == actor.user_id)
    return or_(Deal.owner_id == actor.user_id, Deal.id.in_(on_team), Deal.owner_id.in_(managed))


def current_stage_id() -> ScalarSelect[int]:
    """The stage entered last and not in the future, of the deal in the surrounding query."""
    return (
        select(DealStage.stage_id)
        .where(DealStage.deal_id == Deal.id, DealStage.entered_at <= this_moment)
        .order_by(DealStage.entered_at.desc(), DealStage.id.desc())
        .limit(1)
        .correlate(Deal)
        .scalar_subquery()
    )


def reached_position(actor: Actor, deal: DealContext) -> ScalarSelect[int | None]:
    """How far the deal is for this member: the order of its stage; after-sale when won; null when lost or not a member's."""
    position = select(_stage.position).where(_stage.id == current_stage_id()).correlate(Deal).scalar_subquery()
    reached = case(
        (Deal.outcome == Outcome.WON.value, _after_sale), (Deal.outcome == Outcome.OPEN.value, position), else_=None
    )
    return select(reached).where(Deal.id == deal.id, is_member(actor)).scalar_subquery()


def get_context(session: Session, actor: Actor, vocabulary: Vocabulary, reference: str) -> DealContext:
    """The deal of that id (ours or the CRM's) as context; raises UnknownDeal where it is none of the actor's."""
    row = session.execute(
        _listing().where(or_(Deal.public_id == reference, Deal.external_id == reference), is_member(actor))
    ).first()
    if row is None:
        raise UnknownDeal()
    return _context(row[0], row[1], vocabulary)


def list_open(session: Session, actor: Actor, vocabulary: Vocabulary, words: str = "") -> list[DealContext]:
    """The actor's open deals, by account, for the header's picker."""
    statement = _listing().where(and_(Deal.outcome == Outcome.OPEN.value, is_member(actor)))
    if words.strip():
        pattern = "%" + words.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        statement = statement.where(
            or_(Deal.account.ilike(pattern, escape="\\"), Deal.external_id.ilike(pattern, escape="\\"))
        )
    rows = session.execute(statement.order_by(Deal.account, Deal.external_id).limit(MAX_LISTED))
    return [_context(row[0], row[1], vocabulary) for row in rows]


@dataclass(frozen=True, slots=True)
class DealLine:
    """An open deal as home shows it: `since` is when it entered its stage."""

    deal: DealContext
    amount: Decimal | None
    currency: str
    since: datetime | None


def list_moving(session: Session, actor: Actor, vocabulary: Vocabulary, limit: int) -> list[DealLine]:
    """The actor's open deals that moved last."""
    entered_at = (
        select(func.max(DealStage.entered_at))
        .where(DealStage.deal_id == Deal.id, DealStage.entered_at <= this_moment)
        .correlate(Deal)
        .scalar_subquery()
    )
    rows = session.execute(
        _listing()
        .add_columns(entered_at.label("since"))
        .where(Deal.outcome == Outcome.OPEN.value, is_member(actor))
        .order_by(func.coalesce(entered_at, Deal.created_at).desc(), Deal.id.desc())
        .limit(limit)
    )
    return [DealLine(_context(row[0], row[1], vocabulary), row[0].amount, row[0].currency, row.since) for row in rows]


@dataclass(frozen=True, slots=True)
class DealPage:
    """One deal with its history, for its members."""

    line: DealLine
    owner: str
    industry: str
    segment: str
    competitors: tuple[str, ...]
    pain_points: tuple[str, ...]
    loss_reason: str
    created_at: datetime
    closed_at: datetime | None
    stages: tuple[tuple[str, datetime], ...]


def get_page(session: Session, actor: Actor, vocabulary: Vocabulary, reference: str) -> DealPage:
    """The deal of that id with its stages; UnknownDeal where it is none of the actor's."""
    context = get_context(session, actor, vocabulary, reference)
    deal = session.scalars(
        select(Deal).where(Deal.id == context.id).options(selectinload(Deal.stages), selectinload(Deal.tags))
    ).one()
    labels = [vocabulary.by_id[tag.tag_id] for tag in deal.tags if tag.tag_id in vocabulary.by_id]

    def keys(facet: Facet) -> tuple[str, ...]:
        return tuple(sorted(label.key for label in labels if label.facet == facet.value))

    entered = sorted((stage.entered_at, stage.id, stage.stage_id) for stage in deal.stages)
    owner = session.get(User, deal.owner_id) if deal.owner_id is not None else None
    return DealPage(
        line=DealLine(context, deal.amount, deal.currency, entered[-1][0] if entered else None),
        owner=owner.email if owner else "",
        industry=next(iter(keys(Facet.INDUSTRY)), ""),
        segment=deal.segment,
        competitors=keys(Facet.COMPETITOR),
        pain_points=keys(Facet.PAIN_POINT),
        loss_reason=deal.loss_reason,
        created_at=deal.created_at,
        closed_at=deal.closed_at,
        stages=tuple((vocabulary.by_id[tag_id].key, at) for at, _, tag_id in entered if tag_id in vocabulary.by_id),
    )


def _listing() -> Select[Deal, int]:
    return select(Deal, current_stage_id())


def _context(deal: Deal, stage_id: int | None, vocabulary: Vocabulary) -> DealContext:
    return DealContext(
        deal.id,
        deal.public_id,
        deal.external_id,
        deal.account,
        Outcome(deal.outcome),
        vocabulary.by_id.get(stage_id or 0),
        is_in_force(deal.nda_signed_on, deal.nda_until_on),
    )


def is_in_force(signed_on: date | None, until_on: date | None) -> bool:
    """Whether an agreement holds today; without an end it holds on."""
    today = clock.now().date()
    return signed_on is not None and signed_on <= today and (until_on is None or today <= until_on)
