"""Which assets say the same as a draft, by wording and by meaning, in its language or another."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy.orm import Session

from content import alike, drafting, likeness, reading, service
from content.alike import Alike
from content.drafting import Draft
from content.models import Asset, Rendered
from kb.access import Actor, Permission, require
from search import passages
from search.service import Finder

CLOSE: Final = 0.56
CLOSE_ABROAD: Final = 0.37
"""From this agreement on, a text of the same language, or of another one, is told as close in meaning.

Measured with the bundled encoder on the sample company: its 34 translations lie at 0.37 to 0.51, each of them nearer
than every other text of that language, and the nearest other text reaches 0.37 for one asset in forty; reworded texts
of one language lie at 0.45 to 0.67, and the nearest other text reaches 0.56 for one in forty."""
MOST_PASSAGES: Final = 12
"""What a text is about stands in its first pages; more only makes whoever writes wait."""
MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Alikes:
    """What says the same; `limited` where only wordings could be compared."""

    asset_id: str
    language: str
    found: tuple[Alike, ...]
    limited: bool

    @property
    def doubles(self) -> int:
        """How many there are besides the asset's own translations."""
        return sum(not one.is_same_story for one in self.found)


def find(session: Session, finder: Finder, actor: Actor, reference: str) -> Alikes:
    """Assets the actor may edit that say much the same as this one's draft, or its newest text."""
    require(actor, Permission.EDIT)
    draft = drafting.get_draft(session, actor, reference)
    asset = drafting.load_editable(session, actor, draft.asset_id)
    shares = dict(alike.by_text(session, actor, asset.id, _sketch(session, draft.text)))
    closeness = _close(session, finder, actor, asset, draft)
    found = alike.list_alike(session, actor, asset, shares, closeness or {})
    return Alikes(draft.asset_id, draft.language, tuple(found), closeness is None)


def by_meaning(session: Session, finder: Finder, actor: Actor, asset_id: int) -> Alike | None:
    """The published asset of another story whose meaning is nearest to this one's newest text, if it is close."""
    require(actor, Permission.EDIT)
    asset = session.get_one(Asset, asset_id)
    draft = drafting.get_draft(session, actor, asset.public_id)
    closeness = _close(session, finder, actor, asset, draft)
    found = alike.list_alike(session, actor, asset, {}, closeness) if closeness else []
    return next((one for one in found if not one.is_same_story), None)


def _sketch(session: Session, text: str) -> bytes | None:
    kept = session.get(Rendered, service.rendering_digest(text))
    return kept.likeness if kept is not None else likeness.sketch(text)


def _close(session: Session, finder: Finder, actor: Actor, asset: Asset, draft: Draft) -> dict[int, float] | None:
    kept = session.get(Rendered, service.rendering_digest(draft.text))
    sections = reading.sections_of(kept.sections) if kept is not None else ()
    said = passages.of_asset(draft.title, draft.language, sections)[:MOST_PASSAGES]
    others = alike.editable_published(session, actor)
    found = finder.meaning.agreement(session, said, others[others != asset.id])
    if found is None:
        return None
    close = np.flatnonzero(found.closeness >= np.where(found.same_language, CLOSE, CLOSE_ABROAD))
    nearest = close[np.argsort(-found.closeness[close], kind="stable")][:MOST]
    rows = zip(found.asset_ids[nearest].tolist(), found.closeness[nearest].tolist(), strict=True)
    return {int(asset_id): float(closeness) for asset_id, closeness in rows}
