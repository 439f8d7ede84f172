"""Which assets say the same as a draft, by wording and by meaning, in its language or another."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from content import alike, drafting, likeness, markdown, service
from content.alike import Alike
from content.models import Asset, Rendered
from kb.access import Actor, Permission, require
from search.service import Finder

CLOSE: Final = 0.62
"""From this closeness of meaning on, another text is told. Over the sample company's pairs of translations the true one
is closer in nine of ten, and texts about something else stay below in ninety-seven of a hundred."""
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
    closeness = _close(session, finder, actor, asset, f"{draft.title}\n{_plain(session, draft.text)}")
    found = alike.list_alike(session, actor, asset, shares, closeness or {})
    return Alikes(draft.asset_id, draft.language, tuple(found), closeness is None)


def _rendered(session: Session, text: str) -> Rendered | None:
    return session.get(Rendered, service.rendering_digest(text))


def _sketch(session: Session, text: str) -> bytes | None:
    kept = _rendered(session, text)
    return kept.likeness if kept is not None else likeness.sketch(text)


def _plain(session: Session, text: str) -> str:
    kept = _rendered(session, text)
    return (kept.plain if kept is not None else text)[: markdown.MAX_BYTES]


def _close(session: Session, finder: Finder, actor: Actor, asset: Asset, text: str) -> dict[int, float] | None:
    asked = finder.meaning.ask(session, text)
    if asked is None:
        return None
    others = alike.editable_published(session, actor)
    near = asked.nearest(others[others != asset.id], MOST).near
    rows = zip(near.asset_ids.tolist(), near.closeness.tolist(), strict=True)
    return {int(asset_id): float(closeness) for asset_id, closeness in rows if closeness >= CLOSE}
