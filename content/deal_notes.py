"""Notes per text and deal: budget, names, what to leave out. Seen by the deal's members and their manager alone.

No search finds them, no export takes them along, and they are shown only beside a text that the reader sees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import reading
from content.deals import DealContext
from content.models import DealNote
from content.reading import ReadableAsset
from kb import audit, clock, users
from kb.access import Actor, Permission, require
from kb.errors import N_, Invalid

LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True)
class Note:
    """One person's note on a text for this deal."""

    author: str
    text: str
    written_at: datetime
    is_own: bool


def of_assets(
    session: Session, actor: Actor, deal: DealContext, asset_ids: Sequence[int]
) -> Mapping[int, Sequence[Note]]:
    """Notes by text, the oldest first; `deal` is one that `deals.get_context` gave this actor."""
    require(actor, Permission.SEARCH)
    rows = session.scalars(
        select(DealNote)
        .where(DealNote.deal_id == deal.id, DealNote.asset_id.in_(list(asset_ids)))
        .order_by(DealNote.written_at, DealNote.id)
    ).all()
    names = users.list_names(session, {row.author_id for row in rows})
    found: dict[int, list[Note]] = {}
    for row in rows:
        note = Note(names.get(row.author_id, ""), row.text, row.written_at, row.author_id == actor.user_id)
        found.setdefault(row.asset_id, []).append(note)
    return found


def of_text(session: Session, actor: Actor, deal: DealContext, reference: str) -> Sequence[Note]:
    """Notes on one visible text; NotFound for what is hidden."""
    asset = reading.get_visible(session, actor, deal, reference)
    return of_assets(session, actor, deal, [asset.id]).get(asset.id, ())


def on_deal(session: Session, actor: Actor, deal: DealContext) -> Sequence[tuple[ReadableAsset, Sequence[Note]]]:
    """All notes of a deal, beside the texts that this reader sees on it."""
    require(actor, Permission.SEARCH)
    ids = session.scalars(select(DealNote.asset_id).where(DealNote.deal_id == deal.id).distinct()).all()
    notes = of_assets(session, actor, deal, ids)
    return [(asset, notes[asset.id]) for asset in reading.list_visible(session, actor, deal, list(ids))]


def put(session: Session, actor: Actor, deal: DealContext, reference: str, text: str) -> None:
    """Keep one's own note on a visible text for this deal; an empty one takes it away. NotFound, Invalid."""
    require(actor, Permission.USE)
    asset = reading.get_visible(session, actor, deal, reference)
    words = text.strip()
    if len(words) > LONGEST:
        raise Invalid(N_("The note is too long: at most 2,000 characters."), code="note")
    note = session.scalar(
        select(DealNote).where(
            DealNote.deal_id == deal.id, DealNote.asset_id == asset.id, DealNote.author_id == actor.user_id
        )
    )
    if actor.user_id is None or (note is None and not words) or (note is not None and note.text == words):
        return
    if not words:
        session.delete(note)
    elif note is None:
        session.add(DealNote(deal_id=deal.id, asset_id=asset.id, author_id=actor.user_id, text=words))
    else:
        note.text, note.written_at = words, clock.now()
    session.flush()
    audit.record(
        session, actor, "note.put" if words else "note.remove", "deal", deal.external_id, asset=asset.public_id
    )
