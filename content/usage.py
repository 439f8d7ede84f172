"""Records what was viewed, copied or judged helpful, on which deal; each counted once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from content import reading
from content.deals import DealContext
from content.kinds import DealSource, UseKind
from content.models import UseEvent
from content.reading import ReadableAsset
from content.visibility import Act, Unlock
from kb import clock, users
from kb.access import Actor, Permission, require
from kb.db import take_turn
from kb.errors import N_, Forbidden, Invalid

VIEW_WINDOW = timedelta(minutes=30)
USE_WINDOW = timedelta(minutes=60)
MAX_REMARK_LENGTH = 500
MOST_REMARKS = 20
JUDGEMENTS = (UseKind.HELPFUL, UseKind.NOT_HELPFUL)

_ACT_OF = {UseKind.COPY: Act.COPY, UseKind.SHARE: Act.SHARE, UseKind.PRESENT: Act.SHARE, UseKind.DOWNLOAD: Act.DOWNLOAD}


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One event as a page or a program reports it."""

    event_id: str
    asset: str
    kind: UseKind
    surface: str = ""
    search_id: str = ""
    section: str = ""
    remark: str = ""
    deal_source: DealSource = DealSource.CHOSEN


class NotAllowedByHandling(Forbidden):
    """The handling of the asset does not allow this."""

    code, message = "handling", N_("The handling of this asset does not allow this here.")


def record(session: Session, actor: Actor, deal: DealContext | None, event: NewEvent) -> bool:
    """Keep one event about a visible asset; False when it was kept before or falls into the window of a former one.

    Events on a deal that is closed are kept without the deal: nothing counts towards it any more.
    """
    require(actor, Permission.USE)
    if not 0 < len(event.event_id) <= 80:
        raise Invalid(N_("An event needs an id of at most 80 characters."), code="event_id")
    asset = reading.get_visible(session, actor, deal, event.asset)
    needed = _ACT_OF.get(event.kind, Act.READ)
    if needed not in asset.acts:
        raise NotAllowedByHandling()
    take_turn(session, f"use:{actor.user_id}")
    counted = deal if deal is not None and deal.is_open else None
    if counted is not None and event.deal_source is DealSource.NONE:
        raise Invalid(N_("An event on a deal needs a deal_source other than `none`."), code="deal_source")
    if _is_known(session, event.event_id):
        return False
    if _is_repeat(session, actor, asset, counted, event.kind):
        return _add_word(session, actor, asset, event)
    session.add(
        UseEvent(
            event_id=event.event_id,
            asset_id=asset.id,
            version_id=asset.version_id,
            user_id=actor.user_id,
            kind=event.kind.value,
            deal_id=counted.id if counted else None,
            deal_source=event.deal_source.value if counted else DealSource.NONE.value,
            surface=event.surface[:40],
            search_id=event.search_id[:24],
            section=event.section[:80],
            remark=event.remark.strip()[:MAX_REMARK_LENGTH],
            at=clock.now(),
            was_unlocked=asset.unlock
            in {Unlock.OPEN, Unlock.DEAL},  # one person's grant opens nothing to the deal's whole team
        )
    )
    return True


def _add_word(session: Session, actor: Actor, asset: ReadableAsset, event: NewEvent) -> bool:
    """A judgement may get its word later: it then stands with the judgement that was counted."""
    word = event.remark.strip()[:MAX_REMARK_LENGTH]
    if event.kind not in JUDGEMENTS or not word:
        return False
    last = session.scalars(_judgements_of(actor, asset)).first()
    if last is None or last.remark == word:
        return False
    last.remark = word
    return True


def _is_known(session: Session, event_id: str) -> bool:
    return session.scalar(select(UseEvent.id).where(UseEvent.event_id == event_id)) is not None


def _is_repeat(session: Session, actor: Actor, asset: ReadableAsset, deal: DealContext | None, kind: UseKind) -> bool:
    """Views are one per person, asset and 30 minutes; uses one per person, asset, deal and kind in 60."""
    if kind in JUDGEMENTS:
        return own_judgement(session, actor, asset) is kind
    same = select(UseEvent.id).where(
        UseEvent.user_id == actor.user_id, UseEvent.asset_id == asset.id, UseEvent.kind == kind.value
    )
    if kind is UseKind.VIEW:
        same = same.where(UseEvent.at > clock.now() - VIEW_WINDOW)
    else:
        same = same.where(
            UseEvent.at > clock.now() - USE_WINDOW,
            UseEvent.deal_id.is_(None) if deal is None else UseEvent.deal_id == deal.id,
        )
    return session.scalar(same.limit(1)) is not None


def own_judgement(session: Session, actor: Actor, asset: ReadableAsset) -> UseKind | None:
    """What this person said last of the asset: helpful, not helpful, nothing."""
    last = session.scalars(_judgements_of(actor, asset)).first()
    return UseKind(last.kind) if last else None


def _judgements_of(actor: Actor, asset: ReadableAsset) -> Select[UseEvent]:
    return (
        select(UseEvent)
        .where(
            UseEvent.user_id == actor.user_id,
            UseEvent.asset_id == asset.id,
            UseEvent.kind.in_([kind.value for kind in JUDGEMENTS]),
        )
        .order_by(UseEvent.at.desc(), UseEvent.id.desc())
        .limit(1)
    )


@dataclass(frozen=True, slots=True)
class Remark:
    """What a reader said of an asset, for those who may edit it."""

    who: str
    at: datetime
    kind: UseKind
    text: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """How many people find an asset helpful or not, by their last word, and what they wrote."""

    helpful: int
    not_helpful: int
    remarks: tuple[Remark, ...]


def opinion(session: Session, asset_id: int) -> Opinion:
    """For editors alone: the caller has asked `library.is_editable`."""
    rows = session.scalars(
        select(UseEvent)
        .where(UseEvent.asset_id == asset_id, UseEvent.kind.in_([kind.value for kind in JUDGEMENTS]))
        .order_by(UseEvent.at.desc(), UseEvent.id.desc())
    ).all()
    last: dict[int | None, UseEvent] = {}
    for row in rows:
        last.setdefault(row.user_id, row)
    said = [row for row in rows if row.remark][:MOST_REMARKS]
    names = users.list_names(session, {row.user_id for row in said if row.user_id is not None})
    kinds = [UseKind(row.kind) for row in last.values()]
    return Opinion(
        kinds.count(UseKind.HELPFUL),
        kinds.count(UseKind.NOT_HELPFUL),
        tuple(Remark(names.get(row.user_id or 0, ""), row.at, UseKind(row.kind), row.remark) for row in said),
    )
