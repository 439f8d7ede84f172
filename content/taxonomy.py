"""Controlled vocabularies: stages, industries, pain points … with two labels, order and synonyms."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from content.kinds import Facet
from kb import audit
from kb.access import Actor, Permission, require
from kb.db import Base, public_id

AFTER_SALE = "after_sale"
ALL_INDUSTRIES = "all"


class Tag(Base):
    """One value of a facet. The stages are the tags of the facet `stage`, in the order of `position`."""

    __tablename__ = "tag"
    __table_args__ = (UniqueConstraint("facet", "key"), Index("ix_tag_facet_position", "facet", "position"))

    id: Mapped[int] = mapped_column(primary_key=True)
    facet: Mapped[str] = mapped_column(String(20))
    key: Mapped[str] = mapped_column(String(80))
    label_en: Mapped[str] = mapped_column(String(120))
    label_zh: Mapped[str] = mapped_column(String(120))
    position: Mapped[int]
    retired_at: Mapped[datetime | None]
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("tag.id"))

    synonyms: Mapped[list["TagSynonym"]] = relationship(lazy="raise", cascade="all, delete-orphan")


class TagSynonym(Base):
    __tablename__ = "tag_synonym"

    tag_id: Mapped[int] = mapped_column(ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True)
    text: Mapped[str] = mapped_column(String(120), primary_key=True)


class TagChange(Base):
    """A merge or retirement with all it moved, so that it can be undone within the day."""

    __tablename__ = "tag_change"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    kind: Mapped[str] = mapped_column(String(20))
    tag_id: Mapped[int] = mapped_column(ForeignKey("tag.id"), index=True)
    into_id: Mapped[int | None] = mapped_column(ForeignKey("tag.id"))
    moved: Mapped[dict[str, object]] = mapped_column(JSON)
    at: Mapped[datetime]
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    undone_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Label:
    """A tag as pages and answers show it."""

    id: int
    facet: str
    key: str
    en: str
    zh: str
    position: int
    synonyms: tuple[str, ...] = ()

    def text(self, language: str) -> str:
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All tags in use, by id and by facet and key."""

    by_id: Mapping[int, Label]

    def facet(self, facet: str) -> list[Label]:
        return sorted(
            (label for label in self.by_id.values() if label.facet == facet),
            key=lambda label: (label.position, label.key),
        )

    def find(self, facet: str, word: str) -> Label | None:
        """The tag of that key, label or synonym, whatever its case."""
        word = word.strip()
        wanted = word.casefold()
        labels = self.facet(facet)
        exact = sorted((one for one in labels if one.key in {word, wanted}), key=lambda one: one.key != word)
        loose = [
            label
            for label in labels
            if wanted in {label.en.casefold(), label.zh.casefold(), *(s.casefold() for s in label.synonyms)}
            or label.key == key_of(wanted)
        ]
        return next(iter(exact + loose), None)


def key_of(word: str) -> str:
    """A stable key out of any word: lower case, runs of other signs as one underscore; Chinese stays."""
    return re.sub(r"[^\w]+", "_", word.strip().casefold()).strip("_")[:80]


def load(session: Session) -> Vocabulary:
    """All tags in use, in two plain queries: every request asks for them."""
    synonyms: dict[int, list[str]] = {}
    connection = session.connection()
    for tag_id, text in connection.execute(select(TagSynonym.tag_id, TagSynonym.text).order_by(TagSynonym.text)):
        synonyms.setdefault(tag_id, []).append(text)
    columns = (Tag.id, Tag.facet, Tag.key, Tag.label_en, Tag.label_zh, Tag.position)
    rows = connection.execute(select(*columns).where(Tag.retired_at.is_(None))).all()
    return Vocabulary({row[0]: Label(*row, tuple(synonyms.get(row[0], ()))) for row in rows})


def put(
    session: Session,
    actor: Actor,
    facet: Facet,
    key: str,
    en: str,
    zh: str,
    synonyms: Iterable[str] = (),
    position: int | None = None,
    *,
    revive: bool = True,
) -> bool:
    """Create a tag or bring it to these labels, a retired one back into use; True when something changed."""
    require_keeper(actor, facet)
    tag = session.scalar(
        select(Tag).where(Tag.facet == facet.value, Tag.key == key).options(selectinload(Tag.synonyms))
    )
    wanted = {word.strip() for word in synonyms if word.strip()}
    if tag is None:
        tag = Tag(
            facet=facet.value,
            key=key,
            position=position if position is not None else _next_position(session, facet),
            synonyms=[],
            label_en="",
            label_zh="",
        )
        session.add(tag)
    place = tag.position if position is None else position
    if tag.retired_at is not None and not revive:
        return False
    before = (tag.label_en, tag.label_zh, tag.position, {s.text for s in tag.synonyms})
    if before == (en, zh, place, wanted) and tag.retired_at is None:
        return False
    tag.retired_at = tag.merged_into_id = None
    tag.label_en, tag.label_zh, tag.position = en, zh, place
    tag.synonyms = [s for s in tag.synonyms if s.text in wanted] + [
        TagSynonym(text=text) for text in sorted(wanted - {s.text for s in tag.synonyms})
    ]
    session.flush()
    audit.record(session, actor, "tag.put", "tag", f"{facet.value}:{key}", en=en, zh=zh, synonyms=sorted(wanted))
    return True


STAGES: Mapping[str, tuple[str, str]] = {
    "awareness": ("Awareness", "初步接触"),
    "discovery": ("Discovery", "需求确认"),
    "solution": ("Solution", "方案报价"),
    "negotiation": ("Negotiation", "深度洽谈"),
    AFTER_SALE: ("After-sale", "成交售后"),
}
"""With these an empty installation begins; administrators change them as they like."""


def begin(session: Session, actor: Actor) -> None:
    """Give an installation that has no stages the usual ones."""
    if session.scalar(select(Tag.id).where(Tag.facet == Facet.STAGE.value).limit(1)) is None:
        for place, (key, (en, zh)) in enumerate(STAGES.items(), start=1):
            put(session, actor, Facet.STAGE, key, en, zh, position=place)


def require_keeper(actor: Actor, facet: Facet) -> None:
    """Marketers keep the vocabularies; the stages, which open and lock, are kept by administrators."""
    require(actor, Permission.ADMINISTER if facet is Facet.STAGE else Permission.CURATE)


def _next_position(session: Session, facet: Facet) -> int:
    positions = session.scalars(select(Tag.position).where(Tag.facet == facet.value)).all()
    return max(positions, default=0) + 1
