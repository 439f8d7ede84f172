"""What people opened and used, for home and browse: own history, what is popular, what fits a deal.

Every function takes the ids that `reading.visible_ids` gave, so that nothing hidden is counted or listed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from sqlalchemy import Select, distinct, func, select
from sqlalchemy.orm import Session

from content import reading
from content.deals import Deal, DealContext, DealTag
from content.kinds import AssetType, Facet, UseKind
from content.models import Asset, AssetTag, UseEvent
from content.reading import IntArray, ReadableAsset
from content.taxonomy import Label, Vocabulary
from kb import clock
from kb.access import Actor
from kb.users import User

POPULAR_WITHIN: Final = timedelta(days=30)
USED_WITHIN: Final = timedelta(days=90)
MOST_RECENT: Final = 400
USES: Final = tuple(kind.value for kind in UseKind if kind.is_use)
OPENED: Final = (*USES, UseKind.VIEW.value)

ALL_INDUSTRIES: Final = "all"
MATCHES: Final[Mapping[str, float]] = {
    Facet.COMPETITOR.value: 3.0,
    Facet.PAIN_POINT.value: 3.0,
    Facet.STAGE.value: 2.0,
    Facet.INDUSTRY.value: 2.0,
}
"""What it is worth that an asset carries a tag of the deal; use by others settles the rest."""
ANY_INDUSTRY: Final = 0.5
OWN_LANGUAGE: Final = 1.0
LEAST: Final = 3.0
"""An asset fits a deal from here on: one strong tag, or two weaker ones."""
MOST_OF_A_TYPE: Final = 3
NO_BONUS: Final[Mapping[int, float]] = {}
LOOKED_AT: Final = 200
"""As many of the best by tags and use alone are weighed by language and story."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An asset and when this person or deal had it last."""

    asset: ReadableAsset
    at: datetime
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Use:
    """How much an asset is used in a period: events, different people, different deals."""

    uses: int = 0
    people: int = 0
    deals: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Used:
    asset: ReadableAsset
    use: Use


@dataclass(frozen=True, slots=True)
class Fitting:
    """An asset that suits a deal, and by which of the deal's tags."""

    asset: ReadableAsset
    because: tuple[Label, ...]
    use: Use = field(default_factory=Use)


def list_opened(
    session: Session, actor: Actor, deal: DealContext | None, visible: IntArray, vocabulary: Vocabulary, limit: int
) -> list[Opened]:
    """What this person opened or used last, each asset once."""
    rows = session.execute(
        select(UseEvent.asset_id, UseEvent.at)
        .where(UseEvent.user_id == actor.user_id, UseEvent.kind.in_(OPENED))
        .order_by(UseEvent.at.desc(), UseEvent.id.desc())
        .limit(MOST_RECENT)
    )
    last: dict[int, datetime] = {}
    for asset_id, at in rows:
        last.setdefault(asset_id, at)
    ids = _only(list(last), visible)[:limit]
    return [Opened(asset, last[asset.id]) for asset in reading.list_visible(session, actor, deal, ids, vocabulary)]


def list_used_on(
    session: Session, actor: Actor, deal: DealContext, visible: IntArray, vocabulary: Vocabulary, limit: int
) -> list[Opened]:
    """What anybody used on this deal, last first, with how."""
    rows = session.execute(
        select(UseEvent.asset_id, UseEvent.kind, func.max(UseEvent.at).label("at"))
        .where(UseEvent.deal_id == deal.id, UseEvent.kind.in_(USES))
        .group_by(UseEvent.asset_id, UseEvent.kind)
    )
    last: dict[int, datetime] = {}
    kinds: dict[int, set[str]] = {}
    for asset_id, kind, at in rows:
        last[asset_id] = max(at, last.get(asset_id, at))
        kinds.setdefault(asset_id, set()).add(kind)
    ids = _only(sorted(last, key=lambda asset_id: last[asset_id], reverse=True), visible)[:limit]
    return [
        Opened(asset, last[asset.id], frozenset(kinds[asset.id]))
        for asset in reading.list_visible(session, actor, deal, ids, vocabulary)
    ]


def list_popular(
    session: Session,
    actor: Actor,
    deal: DealContext | None,
    visible: IntArray,
    vocabulary: Vocabulary,
    limit: int,
    *,
    team_of: int | None = None,
) -> list[Used]:
    """What most people used in the last weeks; with `team_of`, on the deals of that manager's people."""
    known = uses(session, clock.now() - POPULAR_WITHIN, team_of=team_of)
    ids = _only(sorted(known, key=lambda asset_id: weight(known[asset_id], asset_id)), visible)[:limit]
    return [Used(asset, known[asset.id]) for asset in reading.list_visible(session, actor, deal, ids, vocabulary)]


def rows_by_use(session: Session, ids: IntArray) -> IntArray:
    """The places of these ids, most used in the last months first; what nobody used keeps its order behind."""
    known = uses(session, clock.now() - USED_WITHIN)
    rank = {asset_id: place for place, asset_id in enumerate(sorted(known, key=lambda one: weight(known[one], one)))}
    places = np.array([rank.get(int(asset_id), len(rank)) for asset_id in ids], np.int64)
    return np.argsort(places, kind="stable")


def uses(
    session: Session, since: datetime, asset_ids: Sequence[int] = (), *, team_of: int | None = None
) -> Mapping[int, Use]:
    """Use since a moment by asset id; views do not count."""
    statement = (
        select(
            UseEvent.asset_id,
            func.count(),
            func.count(distinct(UseEvent.user_id)),
            func.count(distinct(UseEvent.deal_id)),
            func.max(UseEvent.at),
        )
        .where(UseEvent.kind.in_(USES), UseEvent.at >= since)
        .group_by(UseEvent.asset_id)
    )
    if asset_ids:
        statement = statement.where(UseEvent.asset_id.in_(list(asset_ids)))
    if team_of is not None:
        statement = statement.where(UseEvent.deal_id.in_(_deals_of_team(team_of)))
    return {row[0]: Use(row[1], row[2], row[3], row[4]) for row in session.execute(statement)}


def list_fitting(
    session: Session,
    actor: Actor,
    deal: DealContext,
    visible: IntArray,
    vocabulary: Vocabulary,
    language: str,
    limit: int,
    bonus: Mapping[int, float] = NO_BONUS,
    of_a_type: int = MOST_OF_A_TYPE,
) -> list[Fitting]:
    """What suits a deal by its stage, industry, pain points and competitor, and was not used on it yet.

    `bonus` adds to the order of what fits by its tags, and never lets in what does not.
    """
    wanted = tags_of(session, deal, vocabulary)
    carried = _carried(session, wanted, vocabulary)
    used = _told_on(session, deal)
    known = uses(session, clock.now() - USED_WITHIN)
    score = {
        asset_id: fit + math.log1p(known.get(asset_id, Use()).deals) / 2 + bonus.get(asset_id, 0.0)
        for asset_id in _only([asset_id for asset_id in carried if asset_id not in used], visible)
        if (fit := _fit(carried[asset_id])) >= LEAST
    }
    signals = reading.list_signals(session, _best(score)[:LOOKED_AT])
    score = {i: score[i] + OWN_LANGUAGE * (signal.language == language) for i, signal in signals.items()}
    ids = _one_a_story(_best(score), signals)[: 5 * limit]
    chosen = _spread(reading.list_visible(session, actor, deal, ids, vocabulary), limit, of_a_type)
    return [
        Fitting(
            asset,
            tuple(label for label in carried[asset.id] if label.key != ALL_INDUSTRIES),
            known.get(asset.id, Use()),
        )
        for asset in chosen
    ]


def _told_on(session: Session, deal: DealContext) -> set[int]:
    """What was used on the deal, in whichever language: the same story is not proposed again."""
    events = select(UseEvent.asset_id).where(UseEvent.deal_id == deal.id, UseEvent.kind.in_(USES))
    source = func.coalesce(Asset.translation_of_id, Asset.id)
    stories = select(source).where(Asset.id.in_(events))
    return set(session.scalars(select(Asset.id).where(source.in_(stories))))


def _best(score: Mapping[int, float]) -> list[int]:
    return sorted(score, key=lambda asset_id: (-score[asset_id], asset_id))


def tags_of(session: Session, deal: DealContext, vocabulary: Vocabulary) -> dict[int, Label]:
    """The deal's tags and its stage, by id; and the tag of all industries."""
    ids = set(session.scalars(select(DealTag.tag_id).where(DealTag.deal_id == deal.id)))
    wanted = {tag_id: vocabulary.by_id[tag_id] for tag_id in ids if tag_id in vocabulary.by_id}
    if deal.stage is not None:
        wanted[deal.stage.id] = deal.stage
    everybody = vocabulary.find(Facet.INDUSTRY.value, ALL_INDUSTRIES)
    if everybody is not None:
        wanted[everybody.id] = everybody
    return wanted


def _carried(session: Session, wanted: Mapping[int, Label], vocabulary: Vocabulary) -> dict[int, list[Label]]:
    """Which of the wanted tags each asset carries, the telling ones first."""
    rows = session.execute(select(AssetTag.asset_id, AssetTag.tag_id).where(AssetTag.tag_id.in_(list(wanted))))
    carried: dict[int, list[Label]] = {}
    for asset_id, tag_id in rows:
        carried.setdefault(asset_id, []).append(vocabulary.by_id[tag_id])
    for labels in carried.values():
        labels.sort(key=lambda label: (-_worth(label), label.facet, label.position))
    return carried


def _fit(labels: Sequence[Label]) -> float:
    """Two pain points are worth more than one, but not twice as much."""
    worth: dict[str, float] = {}
    for label in labels:
        worth[label.facet] = worth.get(label.facet, 0.0) / 2 + _worth(label)
    return sum(worth.values())


def _worth(label: Label) -> float:
    if label.key == ALL_INDUSTRIES and label.facet == Facet.INDUSTRY.value:
        return ANY_INDUSTRY
    return MATCHES.get(label.facet, 0.0)


def _one_a_story(ids: Sequence[int], signals: Mapping[int, reading.Signal]) -> list[int]:
    seen: set[int] = set()
    kept = []
    for asset_id in ids:
        if signals[asset_id].story_id not in seen:
            seen.add(signals[asset_id].story_id)
            kept.append(asset_id)
    return kept


def _spread(assets: Sequence[ReadableAsset], limit: int, of_a_type: int) -> list[ReadableAsset]:
    """The first of them, of no type more than a few."""
    counts: dict[AssetType, int] = {}
    kept = []
    for asset in assets:
        counts[asset.type] = counts.get(asset.type, 0) + 1
        if counts[asset.type] <= of_a_type:
            kept.append(asset)
    return kept[:limit]


def weight(use: Use, asset_id: int) -> tuple[int, int, int, int]:
    """Many people count more than one busy one."""
    return -use.people, -use.deals, -use.uses, asset_id


def _only(ids: Sequence[int], visible: IntArray) -> list[int]:
    if not ids:
        return []
    seen = np.isin(np.array(ids, np.int64), visible)
    return [asset_id for asset_id, is_seen in zip(ids, seen.tolist(), strict=True) if is_seen]


def _deals_of_team(manager_id: int) -> Select[int]:
    people = select(User.id).where(User.manager_id == manager_id)
    return select(Deal.id).where(Deal.owner_id.in_(people))
