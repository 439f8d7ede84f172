"""What the first page shows: a deal's next words, one's own history, what others use, what one looks after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from content import activity, deals, library, reading, taxonomy
from content.activity import Fitting, Opened, Use, Used
from content.deals import DealContext, DealLine
from content.kinds import VersionState
from content.models import Asset, AssetOwner, MissingOnBoard
from content.reading import IntArray, ReadableAsset
from content.taxonomy import Vocabulary
from kb import clock
from kb.access import Actor, Permission, Role, require

FITTING: Final = 6
SHORT: Final = 5
DEALS: Final = 8
CARE: Final = 8


class Care(StrEnum):
    """Why an asset wants its owner."""

    UNVERIFIED = "unverified"
    BEHIND = "behind"
    EXPIRES = "expires"
    LACKS = "lacks"


@dataclass(frozen=True, slots=True)
class CareLine:
    """An asset of this owner that wants a look, how much it is used, and why."""

    asset: ReadableAsset
    reasons: tuple[Care, ...]
    use: Use


@dataclass(frozen=True, slots=True)
class Home:
    """The parts of the first page; an empty one is not shown, unless it says what would stand there."""

    deals: Sequence[DealLine]
    fitting: Sequence[Fitting]
    used_here: Sequence[Opened]
    opened: Sequence[Opened]
    popular: Sequence[Used]
    newest: Sequence[ReadableAsset]
    team: Sequence[Used]
    care: Sequence[CareLine]
    leads_team: bool
    states: Sequence[tuple[VersionState, int]]
    """For editors: how many assets they may edit stand where, by their newest version."""
    owns: bool
    total: int


def page(session: Session, actor: Actor, deal: DealContext | None, language: str) -> Home:
    """Everything for this person, on this deal where one is chosen; `language` is zh or en."""
    require(actor, Permission.SEARCH)
    words = taxonomy.load(session)
    visible = reading.visible_ids(session, actor, deal)
    leads_team = Role.MANAGER in actor.roles and actor.user_id is not None
    care, owns = _care(session, actor, deal, visible, words)
    return Home(
        deals=deals.list_moving(session, actor, words, DEALS),
        fitting=activity.list_fitting(session, actor, deal, visible, words, language, FITTING)
        if deal is not None and deal.is_open
        else (),
        used_here=activity.list_used_on(session, actor, deal, visible, words, SHORT) if deal is not None else (),
        opened=activity.list_opened(session, actor, deal, visible, words, SHORT),
        popular=activity.list_popular(session, actor, deal, visible, words, SHORT),
        newest=_newest(session, actor, deal, visible, words),
        team=activity.list_popular(session, actor, deal, visible, words, SHORT, team_of=actor.user_id)
        if leads_team
        else (),
        care=care,
        leads_team=leads_team,
        states=library.count_states(session, actor) if actor.may(Permission.EDIT) else (),
        owns=owns,
        total=len(visible),
    )


def _newest(
    session: Session, actor: Actor, deal: DealContext | None, visible: IntArray, words: Vocabulary
) -> list[ReadableAsset]:
    ids = [int(asset_id) for asset_id in reading.order_by_newest(session, visible)[:SHORT]]
    return reading.list_visible(session, actor, deal, ids, words)


def _care(
    session: Session, actor: Actor, deal: DealContext | None, visible: IntArray, words: Vocabulary
) -> tuple[list[CareLine], bool]:
    """What this person owns and should look at, much used first; and whether there is anything owned at all."""
    mine = select(AssetOwner.asset_id).where(AssetOwner.user_id == actor.user_id)
    owned = np.intersect1d(visible, np.array(session.scalars(mine).all(), np.int64))
    if not len(owned):
        return [], False
    ids = owned.tolist()
    lacking = set(session.scalars(select(MissingOnBoard.asset_id).where(MissingOnBoard.asset_id.in_(mine)).distinct()))
    soon = Asset.expires_at <= clock.now() + reading.EXPIRES_SOON
    ending = set(session.scalars(select(Asset.id).where(Asset.id.in_(mine), soon)))
    doubtful = {asset_id for asset_id, signal in reading.list_signals(session, ids).items() if signal.is_doubtful}
    known = activity.uses(session, clock.now() - activity.USED_WITHIN)
    waiting = [asset_id for asset_id in ids if asset_id in doubtful | ending | lacking]
    waiting.sort(key=lambda asset_id: activity.weight(known.get(asset_id, Use()), asset_id))
    assets = reading.list_visible(session, actor, deal, waiting[:CARE], words)
    return [CareLine(one, _reasons(one, one.id in lacking), known.get(one.id, Use())) for one in assets], True


def _reasons(asset: ReadableAsset, lacks: bool) -> tuple[Care, ...]:
    found: Mapping[Care, bool] = {
        Care.UNVERIFIED: asset.is_unverified,
        Care.BEHIND: asset.is_behind,
        Care.EXPIRES: asset.expires_soon,
        Care.LACKS: lacks,
    }
    return tuple(care for care, is_so in found.items() if is_so)
