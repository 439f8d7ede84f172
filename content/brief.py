"""What to read before a call: for one deal, the words that fit it and have not been used on it yet, each with its why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from content import activity, deal_notes, reading, saying, tallies, taxonomy
from content.activity import Fitting, Opened
from content.cohorts import Finding
from content.deal_notes import Note
from content.deals import DealContext
from content.insight import LEAST_SHOWN
from content.kinds import AssetType, VersionState
from content.models import Asset, Version
from content.reading import IntArray, ReadableAsset, TextSection
from content.taxonomy import Label, Vocabulary
from kb.access import Actor, Permission, require

TALK_TRACKS: Final = 3
CASES: Final = 2
CARDS: Final = 1
OBJECTIONS: Final = 4
SENT: Final = 12
HELPS: Final = 2.0
HURTS: Final = -3.0
DOUBTED: Final = -0.5
"""What it is worth, beside the deal's tags, that a text is known to help or to hurt, and that nobody verified it."""


@dataclass(frozen=True, slots=True)
class BriefLine:
    """A text for the call: what to say of it, why it is here, and what colleagues noted on this deal."""

    asset: ReadableAsset
    section: TextSection | None
    because: tuple[Label, ...]
    finding: Finding | None
    deals: int
    """Deals that used it lately."""
    notes: Sequence[Note]


@dataclass(frozen=True, slots=True)
class Objection:
    """How a customer may put it, and the talk track that answers."""

    words: str
    asset: ReadableAsset


@dataclass(frozen=True, slots=True)
class Brief:
    deal: DealContext
    tags: tuple[Label, ...]
    """Industry, competitors and pain points of the deal."""
    talk_tracks: Sequence[BriefLine]
    cases: Sequence[BriefLine]
    cards: Sequence[BriefLine]
    objections: Sequence[Objection]
    sent: Sequence[Opened]
    """What was used with this customer, last first; it is not proposed again."""

    @property
    def is_empty(self) -> bool:
        return not (self.talk_tracks or self.cases or self.cards or self.sent)


def of_deal(session: Session, actor: Actor, deal: DealContext, language: str) -> Brief:
    """The brief of a deal that `deals.get_context` gave this actor; `language` is zh or en."""
    require(actor, Permission.SEARCH)
    words = taxonomy.load(session)
    visible = reading.visible_ids(session, actor, deal)
    found = tallies.findings(tallies.present(session))
    bonus = _bonus(session, visible, found)
    chosen: dict[AssetType, Sequence[Fitting]] = {}
    for kind, most in (
        (AssetType.TALK_TRACK, TALK_TRACKS + OBJECTIONS),
        (AssetType.CASE_STUDY, CASES),
        (AssetType.BATTLE_CARD, CARDS),
    ):
        of_kind = _of_type(session, visible, kind)
        chosen[kind] = activity.list_fitting(session, actor, deal, of_kind, words, language, most, bonus, most)
    chosen[AssetType.BATTLE_CARD] = _against(session, deal, words, chosen[AssetType.BATTLE_CARD])
    everything = [one.asset for fitting in chosen.values() for one in fitting]
    sections = reading.list_sections(session, everything)
    notes = deal_notes.of_assets(session, actor, deal, [asset.id for asset in everything])

    def lines(kind: AssetType, most: int) -> Sequence[BriefLine]:
        return [_line(one, sections, found, notes) for one in chosen[kind][:most]]

    tags = activity.tags_of(session, deal, words)
    return Brief(
        deal,
        tuple(label for label in tags.values() if label.facet != "stage" and label.key != activity.ALL_INDUSTRIES),
        lines(AssetType.TALK_TRACK, TALK_TRACKS),
        lines(AssetType.CASE_STUDY, CASES),
        lines(AssetType.BATTLE_CARD, CARDS),
        [
            Objection(said, one.asset)
            for one in chosen[AssetType.TALK_TRACK]
            if (said := saying.customer_words(sections.get(one.asset.id, ())))
        ][:OBJECTIONS],
        activity.list_used_on(session, actor, deal, visible, words, SENT),
    )


def _against(session: Session, deal: DealContext, words: Vocabulary, cards: Sequence[Fitting]) -> Sequence[Fitting]:
    """Where the competitor is known, only a card against it."""
    rivals = {tag_id for tag_id, label in activity.tags_of(session, deal, words).items() if label.facet == "competitor"}
    return [one for one in cards if not rivals or rivals & {label.id for label in one.because}]


def _of_type(session: Session, visible: IntArray, kind: AssetType) -> IntArray:
    ids = np.array(session.scalars(select(Asset.id).where(Asset.type == kind.value)).all(), np.int64)
    return np.intersect1d(visible, ids)


def _bonus(session: Session, visible: IntArray, found: Mapping[int, Finding]) -> Mapping[int, float]:
    trusted = select(Asset.id).join(Version, Version.asset_id == Asset.id)
    is_live = Version.state == VersionState.PUBLISHED.value
    verified = set(session.scalars(trusted.where(is_live, reading.is_verified())))
    worth = {"helps": HELPS, "hurts": HURTS}
    return {
        asset_id: (worth.get(found[asset_id].verdict, 0.0) if asset_id in found else 0.0)
        + (0.0 if asset_id in verified else DOUBTED)
        for asset_id in visible.tolist()
    }


def _line(
    one: Fitting,
    sections: Mapping[int, tuple[TextSection, ...]],
    found: Mapping[int, Finding],
    notes: Mapping[int, Sequence[Note]],
) -> BriefLine:
    useful = saying.sayable(one.asset, [part for part in sections.get(one.asset.id, ()) if part.plain.strip()])
    finding = found.get(one.asset.id)
    told = finding if finding is not None and finding.exposed >= LEAST_SHOWN else None
    return BriefLine(
        one.asset,
        next(iter(useful), None),
        one.because,
        told,
        one.use.deals,
        notes.get(one.asset.id, ()),
    )
