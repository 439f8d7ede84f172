"""Passages and their vectors as rows: kept by encoder and text, so that nothing is embedded twice.

Every change of an encoder's rows moves its stamp in the same transaction; a process that holds the vectors
in memory reads what has a newer stamp than its own. An encoder that takes over from another fills its own
rows beside and becomes the active one when none is missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    delete,
    exists,
    func,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from content.kinds import VersionState
from content.models import Version
from kb import clock
from kb.db import Base, among
from kb.outbox import Wish, WishKind
from search.passages import VERSION as CUT
from search.passages import Passage

KEPT_RETIRED: Final = timedelta(days=1)
"""Vectors of an encoder that was replaced stay this long, for processes that still run with it."""
CHUNK: Final = 500

Vectors = NDArray[np.float32]


class EncoderState(StrEnum):
    FILLING = "filling"
    ACTIVE = "active"
    RETIRED = "retired"


class EncoderRow(Base):
    __tablename__ = "encoder"
    __table_args__ = (
        Index(
            "uq_encoder_one_active",
            "state",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
        CheckConstraint("state IN ('filling', 'active', 'retired')", name="state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    source: Mapped[str] = mapped_column(String(400))
    dimension: Mapped[int]
    means: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    stamp: Mapped[int] = mapped_column(default=0)
    changed_at: Mapped[datetime]


class Embedded(Base):
    """That an asset's passages stand there, of which version, and how they were cut; no version: it was taken out."""

    __tablename__ = "embedded"
    __table_args__ = (Index("ix_embedded_stamp", "encoder_id", "stamp"),)

    encoder_id: Mapped[int] = mapped_column(ForeignKey("encoder.id"), primary_key=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    version_id: Mapped[int | None] = mapped_column(ForeignKey("version.id"))
    cut: Mapped[str] = mapped_column(String(10))
    stamp: Mapped[int]


class PassageRow(Base):
    __tablename__ = "passage"
    __table_args__ = (Index("ix_passage_text", "encoder_id", "text_hash"),)

    encoder_id: Mapped[int] = mapped_column(ForeignKey("encoder.id"), primary_key=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    anchor: Mapped[str] = mapped_column(String(80))
    begins: Mapped[int]
    ends: Mapped[int]
    language: Mapped[str] = mapped_column(String(10))
    text_hash: Mapped[str] = mapped_column(String(32))


class VectorRow(Base):
    """A vector of length one as little-endian float16."""

    __tablename__ = "passage_vector"

    encoder_id: Mapped[int] = mapped_column(ForeignKey("encoder.id"), primary_key=True)
    text_hash: Mapped[str] = mapped_column(String(32), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)


@dataclass(frozen=True, slots=True)
class KnownEncoder:
    """An encoder whose vectors stand in the database; `source` is the setting it was loaded by."""

    id: int
    name: str
    source: str
    dimension: int
    stamp: int
    means: str
    state: EncoderState


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """The passages of some assets with their vectors, as parallel sequences."""

    asset_ids: NDArray[np.int64]
    anchors: list[str]
    spans: NDArray[np.int64]
    languages: list[str]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of the published assets have their vectors."""

    done: int
    all: int


def active(session: Session) -> KnownEncoder | None:
    """The encoder whose vectors answer searches now."""
    row = session.scalar(select(EncoderRow).where(EncoderRow.state == EncoderState.ACTIVE.value))
    return _known(row) if row else None


def find(session: Session, name: str) -> KnownEncoder | None:
    row = session.scalar(select(EncoderRow).where(EncoderRow.name == name))
    return _known(row) if row else None


def _known(row: EncoderRow) -> KnownEncoder:
    return KnownEncoder(row.id, row.name, row.source, row.dimension, row.stamp, row.means, EncoderState(row.state))


def register(session: Session, name: str, source: str, dimension: int, means: str) -> KnownEncoder:
    """Make an encoder known; the first one answers at once, a later one when it is filled."""
    row = session.scalar(select(EncoderRow).where(EncoderRow.name == name))
    if row is None:
        row = EncoderRow(name=name, state=EncoderState.FILLING.value, stamp=0)
        session.add(row)
    elif row.dimension != dimension:
        _remove_rows(session, [row.id])
        row.stamp += 1
    row.source, row.dimension, row.means, row.changed_at = source, dimension, means, clock.now()
    if active(session) is None:
        row.state = EncoderState.ACTIVE.value
    elif row.state == EncoderState.RETIRED.value:
        row.state = EncoderState.FILLING.value
    session.flush()
    return _known(row)


def switch(session: Session, encoder_id: int) -> None:
    """Let this encoder's vectors answer from now on."""
    present = session.scalar(select(EncoderRow).where(EncoderRow.state == EncoderState.ACTIVE.value).with_for_update())
    wanted = session.get_one(EncoderRow, encoder_id)
    if present is not None and present.id != encoder_id:
        present.state, present.changed_at = EncoderState.RETIRED.value, clock.now()
        session.flush()
    wanted.state, wanted.changed_at = EncoderState.ACTIVE.value, clock.now()


def behind(session: Session, encoder_id: int, limit: int, asset_ids: Sequence[int] | None = None) -> list[int]:
    """Assets, of these where some are named, whose rows are not those of the published version, or of none any more.

    Without those already wished for.
    """
    is_published = Version.state == VersionState.PUBLISHED.value
    wished = exists().where(Wish.kind == WishKind.EMBED_ASSET.value, Wish.object_id == Version.asset_id)
    missing = (
        select(Version.asset_id)
        .outerjoin(Embedded, (Embedded.encoder_id == encoder_id) & (Embedded.asset_id == Version.asset_id))
        .where(
            is_published,
            or_(Embedded.version_id.is_(None), Embedded.version_id != Version.id, Embedded.cut != CUT),
            ~wished,
            *(() if asset_ids is None else (among(session, Version.asset_id, asset_ids),)),
        )
        .order_by(Version.asset_id)
        .limit(limit)
    )
    found = list(session.scalars(missing))
    if len(found) < limit:
        gone = select(Embedded.asset_id).where(
            Embedded.encoder_id == encoder_id,
            Embedded.version_id.is_not(None),
            ~exists().where(Version.asset_id == Embedded.asset_id, is_published),
            ~exists().where(Wish.kind == WishKind.EMBED_ASSET.value, Wish.object_id == Embedded.asset_id),
            *(() if asset_ids is None else (among(session, Embedded.asset_id, asset_ids),)),
        )
        found += session.scalars(gone.order_by(Embedded.asset_id).limit(limit - len(found)))
    return found


def progress(session: Session, encoder_id: int) -> Progress:
    published = select(func.count()).select_from(Version).where(Version.state == VersionState.PUBLISHED.value)
    current = published.join(
        Embedded, (Embedded.encoder_id == encoder_id) & (Embedded.version_id == Version.id) & (Embedded.cut == CUT)
    )
    return Progress(session.scalar(current) or 0, session.scalar(published) or 0)


def known_texts(session: Session, encoder_id: int, hashes: Iterable[str]) -> set[str]:
    """Those of the texts that have a vector."""
    asked, found = sorted(set(hashes)), set[str]()
    for start in range(0, len(asked), CHUNK):
        statement = select(VectorRow.text_hash).where(VectorRow.encoder_id == encoder_id)
        found |= set(session.scalars(statement.where(VectorRow.text_hash.in_(asked[start : start + CHUNK]))))
    return found


def store(
    session: Session,
    encoder_id: int,
    wanted: Mapping[int, tuple[int | None, Sequence[Passage]]],
    new: Mapping[str, bytes],
) -> None:
    """Put these assets' passages in the place of the former ones; `new` are vectors by text that were not known before.

    `wanted[asset_id]` is the version and its passages; (None, ()) takes the asset out.
    """
    encoder = session.scalars(select(EncoderRow).where(EncoderRow.id == encoder_id).with_for_update()).one()
    encoder.stamp += 1
    have = known_texts(session, encoder_id, new)
    session.add_all(
        VectorRow(encoder_id=encoder_id, text_hash=name, vector=vector)
        for name, vector in new.items()
        if name not in have
    )
    session.execute(
        delete(PassageRow).where(PassageRow.encoder_id == encoder_id, PassageRow.asset_id.in_(list(wanted)))
    )
    rows = {
        row.asset_id: row
        for row in session.scalars(
            select(Embedded).where(Embedded.encoder_id == encoder_id, Embedded.asset_id.in_(list(wanted)))
        )
    }
    for asset_id, (version_id, passages) in wanted.items():
        row = rows.get(asset_id) or Embedded(encoder_id=encoder_id, asset_id=asset_id)
        row.version_id, row.cut, row.stamp = version_id, CUT, encoder.stamp
        session.add(row)
        session.add_all(_row(encoder_id, asset_id, position, passage) for position, passage in enumerate(passages))


def _row(encoder_id: int, asset_id: int, position: int, passage: Passage) -> PassageRow:
    return PassageRow(
        encoder_id=encoder_id,
        asset_id=asset_id,
        position=position,
        anchor=passage.anchor,
        begins=passage.start,
        ends=passage.end,
        language=passage.language,
        text_hash=passage.text_hash,
    )


def changed_since(session: Session, encoder_id: int, stamp: int) -> list[int]:
    """Assets whose rows have changed after this stamp, those taken out among them."""
    return list(
        session.scalars(select(Embedded.asset_id).where(Embedded.encoder_id == encoder_id, Embedded.stamp > stamp))
    )


def embedded_ids(session: Session, encoder_id: int) -> list[int]:
    """The assets that have vectors of this encoder."""
    return list(
        session.scalars(
            select(Embedded.asset_id).where(Embedded.encoder_id == encoder_id, Embedded.version_id.is_not(None))
        )
    )


def load(session: Session, encoder: KnownEncoder, asset_ids: Sequence[int] | None = None) -> Held:
    """Passages and vectors of these assets, or of all, in the order of asset and text."""
    found = [row for part in _parts(asset_ids) for row in session.execute(_with_vectors(encoder.id, part))]
    found = [row for row in found if len(row.vector) == 2 * encoder.dimension]
    vectors = (
        np.frombuffer(b"".join(row.vector for row in found), "<f2").astype(np.float32).reshape(-1, encoder.dimension)
    )
    return Held(
        np.array([row.asset_id for row in found], np.int64),
        [row.anchor for row in found],
        np.array([(row.begins, row.ends) for row in found], np.int64).reshape(-1, 2),
        [row.language for row in found],
        vectors,
    )


def _parts(asset_ids: Sequence[int] | None) -> Iterable[Sequence[int] | None]:
    if asset_ids is None:
        return [None]
    return [asset_ids[start : start + CHUNK] for start in range(0, len(asset_ids), CHUNK)]


def _with_vectors(encoder_id: int, asset_ids: Sequence[int] | None):  # type: ignore[no-untyped-def]  # a Select of seven columns
    statement = (
        select(
            PassageRow.asset_id,
            PassageRow.anchor,
            PassageRow.begins,
            PassageRow.ends,
            PassageRow.language,
            VectorRow.vector,
        )
        .join(
            VectorRow, (VectorRow.encoder_id == PassageRow.encoder_id) & (VectorRow.text_hash == PassageRow.text_hash)
        )
        .where(PassageRow.encoder_id == encoder_id)
        .order_by(PassageRow.asset_id, PassageRow.position)
    )
    return statement if asset_ids is None else statement.where(PassageRow.asset_id.in_(list(asset_ids)))


def packed(vector: Vectors) -> bytes:
    """A vector as it stands in its row."""
    return vector.astype("<f2").tobytes()


def prune(session: Session) -> None:
    """Remove the rows of encoders replaced some time ago, and vectors of texts that stand in no passage any more."""
    old = select(EncoderRow.id).where(
        EncoderRow.state == EncoderState.RETIRED.value, EncoderRow.changed_at < clock.now() - KEPT_RETIRED
    )
    ids = list(session.scalars(old))
    _remove_rows(session, ids)
    session.execute(delete(EncoderRow).where(EncoderRow.id.in_(ids)))
    used = exists().where(PassageRow.encoder_id == VectorRow.encoder_id, PassageRow.text_hash == VectorRow.text_hash)
    session.execute(delete(VectorRow).where(~used), execution_options={"synchronize_session": False})


def _remove_rows(session: Session, encoder_ids: Sequence[int]) -> None:
    for model in (PassageRow, Embedded, VectorRow):
        session.execute(
            delete(model).where(model.encoder_id.in_(encoder_ids)), execution_options={"synchronize_session": False}
        )
