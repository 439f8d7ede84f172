"""What legal ticks before it approves a version with pictures, or a deck."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from content.file_kinds import MEDIA_TYPES, FileKind
from content.kinds import AssetType
from content.models import Asset, Attachment, Version
from kb.access import Party
from kb.errors import N_


class Tick(StrEnum):
    FLAG = "flag"
    MAP = "map"
    PORTRAIT = "portrait"
    LOGO = "logo"
    FONT = "font"
    STOCK_LICENCE = "stock_licence"


TICK_NAMES: Mapping[Tick, str] = {
    Tick.FLAG: N_("No national flag or emblem, or its use is allowed"),
    Tick.MAP: N_("No map, or one that has its approval number"),
    Tick.PORTRAIT: N_("No face, or the person has agreed"),
    Tick.LOGO: N_("No logo of others, or they have agreed"),
    Tick.FONT: N_("Every typeface is licensed for this"),
    Tick.STOCK_LICENCE: N_("Every picture is ours or licensed"),
}


def is_needed(session: Session, asset: Asset, version: Version) -> bool:
    """Whether there is anything to look at: a picture in the text or beside it, slides, or a deck by its type."""
    if asset.type == AssetType.DECK.value or "![" in version.text:
        return True
    shows = or_(Attachment.media_type.startswith("image/"), Attachment.media_type == MEDIA_TYPES[FileKind.PPTX])
    found = select(Attachment.id).where(Attachment.version_id == version.id, shows)
    return session.scalar(found.limit(1)) is not None


def missing(session: Session, asset: Asset, version: Version, party: Party, ticks: Collection[str]) -> Sequence[Tick]:
    """What this party has still to tick before it approves; nothing for any but legal."""
    if party is not Party.LEGAL or not is_needed(session, asset, version):
        return []
    return [tick for tick in Tick if tick.value not in ticks]
