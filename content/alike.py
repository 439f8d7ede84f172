"""Which assets of the library say the same, by what stands in them: asked when somebody saves or imports."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from content import likeness
from content.kinds import AssetType, VersionState
from content.models import Asset, Rendered, Version
from content.visibility import editable_by
from kb.access import Actor
from kb.db import Database

MOST: Final = 5
FILL: Final = 100

_END: Final = "\uffff"
_other = aliased(Version)


@dataclass(frozen=True, slots=True)
class Alike:
    """An asset that says much the same; `share` of the wording in common, `closeness` of meaning, each 0 to 1."""

    asset_id: int
    public_id: str
    external_id: str | None
    title: str
    type: AssetType
    language: str
    state: VersionState
    share: float = 0.0
    closeness: float = 0.0
    is_same_story: bool = False
    """Tied to the asset as its translation or source."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """The newest text of many assets, as sketches in one matrix; rows of `asset_ids` belong together."""

    asset_ids: NDArray[np.int64]
    sketches: likeness.Sketches

    def like(
        self, sketch: bytes, leave_out: Sequence[int] = (), floor: float = likeness.ALIKE
    ) -> list[tuple[int, float]]:
        """Asset ids and shares, most alike first."""
        if not len(self.asset_ids):
            return []
        found = likeness.shares(sketch, self.sketches)
        chosen = np.flatnonzero((found >= floor) & ~np.isin(self.asset_ids, list(leave_out)))
        ordered = chosen[np.argsort(-found[chosen], kind="stable")][:MOST]
        return [(int(self.asset_ids[row]), float(found[row])) for row in ordered]

    def with_one(self, asset_id: int, sketch: bytes) -> "Known":
        return Known(np.append(self.asset_ids, asset_id), np.concatenate([self.sketches, likeness.stack([sketch])]))


def known(session: Session, actor: Actor) -> Known:
    """The newest text of every asset the actor may edit and that is not archived."""
    last = select(func.max(_other.number)).where(_other.asset_id == Asset.id).correlate(Asset).scalar_subquery()
    statement = (
        select(Asset.id, Rendered.likeness)
        .join_from(Asset, Version, and_(Version.asset_id == Asset.id, Version.number == last))
        .join_from(Version, Rendered, Rendered.digest == Version.rendering_digest)
        .where(editable_by(actor), Asset.archived_at.is_(None), Rendered.likeness.is_not(None))
    )
    rows = session.connection().execute(statement).all()
    return Known(np.array([row[0] for row in rows], np.int64), likeness.stack([row[1] or b"" for row in rows]))


def by_text(session: Session, actor: Actor, asset_id: int, sketch: bytes | None) -> list[tuple[int, float]]:
    """Assets the actor may edit whose wording is much the same, the asset itself left out."""
    return known(session, actor).like(sketch, [asset_id]) if sketch is not None else []


def list_alike(
    session: Session, actor: Actor, asset: Asset, shares: dict[int, float], closeness: dict[int, float]
) -> list[Alike]:
    """What is known of these assets, as far as the actor may edit them, most alike first."""
    ids = shares.keys() | closeness.keys()
    last = select(func.max(_other.number)).where(_other.asset_id == Asset.id).correlate(Asset).scalar_subquery()
    rows = session.execute(
        select(Asset, Version.title, Version.language, Version.state)
        .join(Version, and_(Version.asset_id == Asset.id, Version.number == last))
        .where(Asset.id.in_(ids), editable_by(actor), Asset.archived_at.is_(None))
    ).all()
    story = asset.translation_of_id or asset.id
    found = [
        Alike(
            row.Asset.id,
            row.Asset.public_id,
            row.Asset.external_id,
            row.title,
            AssetType(row.Asset.type),
            row.language,
            VersionState(row.state),
            shares.get(row.Asset.id, 0.0),
            closeness.get(row.Asset.id, 0.0),
            story in {row.Asset.id, row.Asset.translation_of_id},
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (one.is_same_story, -max(one.share, one.closeness), one.asset_id))


class Watch:
    """What a bulk import brings that the library says already, or an earlier record of the same import."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._known: Known | None = None

    def begin(self, session: Session) -> None:
        """Take in what the library holds; before the first record is written."""
        if self._known is None:
            self._known = known(session, self._actor)

    def look(self, session: Session, asset: Asset, sketch: bytes | None) -> Alike | None:
        """The asset of another story that is most alike by wording; None where nothing is."""
        if sketch is None or self._known is None:
            return None
        shares = dict(self._known.like(sketch, [asset.id]))
        self._known = self._known.with_one(asset.id, sketch)
        found = list_alike(session, self._actor, asset, shares, {}) if shares else []
        return next((one for one in found if not one.is_same_story), None)


def editable_published(session: Session, actor: Actor) -> NDArray[np.int64]:
    """Ids of the published assets the actor may edit: those that can be compared by meaning."""
    ids = session.connection().scalars(
        select(Asset.id)
        .join(Version, Version.asset_id == Asset.id)
        .where(editable_by(actor), Version.state == VersionState.PUBLISHED.value)
        .order_by(Asset.id)
    )
    return np.array(ids.all(), np.int64)


def sweep(database: Database) -> Callable[[], None]:
    """Sketches of texts that were kept before there were any, a few at a time."""
    seen = ""

    def fill() -> None:
        """Goes through the texts once, by their digests; too short ones stay without."""
        nonlocal seen
        if seen is _END:
            return
        with database.reading() as session:
            rows = session.execute(
                select(Rendered.digest, Rendered.plain)
                .where(Rendered.likeness.is_(None), Rendered.digest > seen)
                .order_by(Rendered.digest)
                .limit(FILL)
            ).all()
        made = {row.digest: sketch for row in rows if (sketch := likeness.sketch(row.plain)) is not None}
        if made:
            with database.writing() as session:
                for row in session.scalars(select(Rendered).where(Rendered.digest.in_(made))):
                    row.likeness = made[row.digest]
        seen = rows[-1].digest if rows else _END

    return fill
