"""The readers' only ways to an asset: every function here asks the one rule."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    union,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from content import filestore, taxonomy, visibility
from content.deals import DealContext
from content.filestore import PageText
from content.kinds import VERIFY_EVERY_DAYS, AssetType, Handling, VersionState
from content.models import Asset, AssetOwner, AssetTag, Doubt, Rendered, Version
from content.taxonomy import Label, Vocabulary
from content.visibility import Act, Unlock
from kb import clock, users
from kb.access import Actor, Tier
from kb.db import UtcDateTime, among_given, days_ago, given, is_postgresql
from kb.errors import N_, Forbidden, NotFound

IntArray = NDArray[np.int64]

EXTERNAL = "external:"
EXPIRES_SOON = timedelta(days=14)

_source = aliased(Version)
_is_behind = exists(
    select(_source.id)
    .where(
        _source.asset_id == Asset.translation_of_id,
        _source.state == VersionState.PUBLISHED.value,
        _source.published_at > Version.published_at,
        or_(Asset.source_checked_at.is_(None), _source.published_at > Asset.source_checked_at),
    )
    .correlate(Asset, Version)
)


@dataclass(frozen=True, slots=True)
class TextSection:
    """One heading and what stands under it."""

    anchor: str
    level: int
    title: str
    html: str
    plain: str


@dataclass(frozen=True, slots=True)
class ReadableAsset:
    """A published asset as this reader sees it on this deal."""

    id: int
    public_id: str
    external_id: str | None
    type: AssetType
    title: str
    language: str
    tier: Tier
    handling: Handling
    nda: bool
    ai_generated: bool
    tags: tuple[Label, ...]
    owners: tuple[str, ...]
    version_id: int
    version_public_id: str
    version_number: int
    published_at: datetime
    verified_at: datetime | None
    verify_due_at: datetime
    unlock: Unlock
    unlock_stage: Label | None
    acts: frozenset[Act]
    rendering_digest: str
    expires_at: datetime | None = None
    is_behind: bool = False
    """A translation whose source has been published anew since, and nobody said that it still matches."""
    doubts: tuple[tuple[str, str], ...] = ()
    """Other causes of being unverified: what kind, and about what."""

    @property
    def is_unverified(self) -> bool:
        return bool(self.doubts) or self.is_overdue

    @property
    def is_overdue(self) -> bool:
        """Nobody looked at it within the interval of its type."""
        return self.verify_due_at <= clock.now()

    @property
    def expires_soon(self) -> bool:
        return self.expires_at is not None and self.expires_at <= clock.now() + EXPIRES_SOON

    @property
    def unverified_days(self) -> int:
        return max(0, (clock.now() - self.verify_due_at).days)

    def tagged(self, facet: str) -> tuple[Label, ...]:
        return tuple(label for label in self.tags if label.facet == facet)


@dataclass(frozen=True, slots=True)
class Translation:
    """The same asset in another language."""

    public_id: str
    title: str
    language: str


@dataclass(frozen=True, slots=True)
class AssetPage:
    """All that the asset page shows."""

    asset: ReadableAsset
    html: str
    sections: tuple[TextSection, ...]
    cannot_render: str
    translations: tuple[Translation, ...]


@dataclass(frozen=True, slots=True)
class Teaser:
    """What may be known of an asset that a later stage unlocks."""

    id: int
    public_id: str
    external_id: str | None
    title: str
    type: AssetType
    language: str
    unlock_stage: Label


@dataclass(frozen=True, slots=True)
class Signal:
    """What ranking needs of an asset that was found visible before."""

    title: str
    language: str
    is_doubtful: bool
    """Unverified, or behind its source."""
    story_id: int = 0
    """The source it is a translation of, or itself where it is no translation."""


class StageLocked(Forbidden):
    """It is there, and a later stage of a deal unlocks it."""

    code, message = "stage_locked", N_("A later stage of the deal unlocks this.")

    def __init__(self, teaser: Teaser) -> None:
        super().__init__(
            asset=teaser.public_id,
            asset_title=teaser.title,
            asset_type=teaser.type.value,
            unlock_stage=teaser.unlock_stage.key,
        )
        self.teaser = teaser


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """What of the library a reader reaches on a deal: ids ascending; `locked` are those that may be teased."""

    visible: IntArray
    locked: IntArray


def reach(session: Session, actor: Actor, deal: DealContext | None) -> Reach:
    """Ids of all assets this reader may see, and of those of the "later stage" strip, in one statement.

    The database hands the ids over as one text, those of the strip below zero: ten thousand rows cost more to fetch
    than to find, and each is judged once.
    """
    joined = session.connection().scalar(_reached(actor, deal))
    found = np.fromstring(joined or "", dtype=np.int64, sep=",")
    return Reach(np.sort(found[found > 0]), np.sort(-found[found < 0]))


@visibility.kept
def _reached(actor: Actor, deal: DealContext | None) -> Select[str]:
    numbers = select((visibility.side_of(actor, deal) * Asset.id).label("number"))
    each = numbers.where(visibility.exists_for(actor)).subquery()
    return select(func.aggregate_strings(cast(each.c.number, String), ","))


def visible_ids(session: Session, actor: Actor, deal: DealContext | None) -> IntArray:
    """Ids of all assets this reader may see on this deal, ascending."""
    return reach(session, actor, deal).visible


def list_visible(
    session: Session, actor: Actor, deal: DealContext | None, ids: Sequence[int], vocabulary: Vocabulary | None = None
) -> list[ReadableAsset]:
    """Those of the ids that are visible, in the order given, in a constant number of queries."""
    vocabulary = vocabulary or taxonomy.load(session)
    rows = session.connection().execute(_published(actor, deal).where(Asset.id.in_(list(ids)))).all()
    read = _Read(session, vocabulary, deal, [row.id for row in rows])
    by_id = {row.id: read.asset(row) for row in rows}
    return [by_id[wanted] for wanted in ids if wanted in by_id]


def titles_since(session: Session, version_id: int, limit: int = 500) -> list[tuple[int, str]]:
    """Asset ids and titles of what was published after that version was made; whether somebody may see them is not asked."""
    statement = select(Version.asset_id, Version.title).where(
        Version.state == VersionState.PUBLISHED.value, Version.id > version_id
    )
    return [(row.asset_id, row.title) for row in session.execute(statement.order_by(Version.id.desc()).limit(limit))]


def count_tagged(session: Session, actor: Actor, deal: DealContext | None, tag_ids: Sequence[int]) -> Mapping[int, int]:
    """How many visible assets carry each of these tags; what none carries is left out."""
    statement = (
        select(AssetTag.tag_id, func.count())
        .join(Asset, Asset.id == AssetTag.asset_id)
        .where(AssetTag.tag_id.in_(list(tag_ids)), visibility.visible_to(actor, deal))
        .group_by(AssetTag.tag_id)
    )
    return {row[0]: row[1] for row in session.execute(statement)}


def order_by_newest(session: Session, ids: IntArray) -> IntArray:
    """These ids, published last first; they were found visible before."""
    statement = select(Version.asset_id).where(Version.state == VersionState.PUBLISHED.value)
    ordered = statement.order_by(Version.published_at.desc(), Version.asset_id.desc())
    newest = np.array(session.connection().scalars(ordered).all(), dtype=np.int64)
    return newest[np.isin(newest, ids)]


def rows_by_publication(session: Session, ids: IntArray) -> IntArray:
    """The places of these ids, published last first."""
    return _rows_in_order(order_by_newest(session, ids), ids)


looked_at = case((Asset.verified_at > Version.published_at, Asset.verified_at), else_=Version.published_at)
"""When somebody looked at a published version last: publication counts as a look."""


def rows_by_verification(session: Session, ids: IntArray) -> IntArray:
    """The places of these ids, looked at last first."""
    statement = (
        select(Asset.id)
        .join(Version, Version.asset_id == Asset.id)
        .where(Version.state == VersionState.PUBLISHED.value)
        .order_by(looked_at.desc(), Asset.id.desc())
    )
    ordered = np.array(session.connection().scalars(statement).all(), dtype=np.int64)
    return _rows_in_order(ordered[np.isin(ordered, ids)], ids)


def _rows_in_order(ordered: IntArray, ids: IntArray) -> IntArray:
    by_id = np.argsort(ids, kind="stable")
    return by_id[np.searchsorted(ids, ordered, sorter=by_id)]


def list_signals(session: Session, ids: Sequence[int]) -> Mapping[int, Signal]:
    """What ranking needs of these assets, in one query."""
    rows = session.connection().execute(_signals_of(postgresql=is_postgresql(session)), given(session, ids))
    return {
        asset_id: Signal(title, language, not is_trusted, source_id or asset_id)
        for asset_id, source_id, title, language, is_trusted in rows.all()
    }


def is_behind() -> ColumnElement[bool]:
    """Whether a published translation has fallen behind its source, as the database finds it."""
    return _is_behind


def is_verified() -> ColumnElement[bool]:
    """Whether a published asset is verified: looked at within its interval, and without doubts."""
    return _is_verified


def is_verified_until(now: datetime) -> ColumnElement[bool]:
    """The same at another moment, if nobody looks at it before."""
    return _is_verified_since(lambda days: literal(now - timedelta(days=days), UtcDateTime()))


def _is_verified_since(earliest: Callable[[int], ColumnElement[datetime]]) -> ColumnElement[bool]:
    """Whether `verify_due_at` lies ahead of a moment, told as what lay so many days before it; and nothing is in doubt."""
    types_of: dict[int, list[str]] = {}
    for kind, days in VERIFY_EVERY_DAYS.items():
        types_of.setdefault(days, []).append(kind.value)
    published_at = func.coalesce(Version.published_at, Version.created_at)
    in_time = (
        and_(
            Asset.type.in_(types),
            or_(published_at > earliest(days), func.coalesce(Asset.verified_at > earliest(days), false())),
        )
        for days, types in types_of.items()
    )
    return and_(or_(*in_time), Asset.id.not_in(select(Doubt.asset_id)))


_is_verified = _is_verified_since(days_ago)
_signals = (
    select(
        Asset.id,
        Asset.translation_of_id,
        Version.title,
        Version.language,
        and_(_is_verified, ~_is_behind).label("trusted"),
    )
    .join(Version, Version.asset_id == Asset.id)
    .where(Version.state == VersionState.PUBLISHED.value)
)


@cache
def _signals_of(*, postgresql: bool) -> Select[int, int | None, str, str, bool]:
    return _signals.where(among_given(Asset.id, postgresql=postgresql))


def list_translations(
    session: Session,
    actor: Actor,
    deal: DealContext | None,
    asset_ids: Sequence[int],
    visible: IntArray | None = None,
) -> Mapping[int, tuple[Translation, ...]]:
    """What is visible of the same stories in other languages, by asset id; `visible` where that was asked already."""
    sources = {
        row.id: row.translation_of_id or row.id
        for row in session.execute(select(Asset.id, Asset.translation_of_id).where(Asset.id.in_(list(asset_ids))))
    }
    if not sources:
        return {}
    wanted = sorted(set(sources.values()))
    rows = session.execute(
        select(Asset.id, Asset.translation_of_id, Asset.public_id, Version.title, Version.language)
        .join(Version, Version.asset_id == Asset.id)
        .where(
            Asset.id.in_(_told_alike(wanted)),
            Version.state == VersionState.PUBLISHED.value,
            visibility.visible_to(actor, deal) if visible is None else true(),
        )
        .order_by(Version.language, Asset.id)
    ).all()
    if visible is not None:
        seen = np.isin([row.id for row in rows], visible).tolist()
        rows = [row for row, is_visible in zip(rows, seen, strict=True) if is_visible]
    return {
        asset_id: tuple(
            Translation(row.public_id, row.title, row.language)
            for row in rows
            if row.id != asset_id and (row.translation_of_id or row.id) == source
        )
        for asset_id, source in sources.items()
    }


def _told_alike(sources: Sequence[int]) -> CompoundSelect[Any]:
    """Ids of sources and of what translates them; as an alternative in one condition, all versions would be read."""
    return union(
        select(Asset.id).where(Asset.id.in_(sources)), select(Asset.id).where(Asset.translation_of_id.in_(sources))
    )


def translation_ids(session: Session, asset_id: int) -> list[int]:
    """The asset and all that tell the same in another language, whoever may see them: for leaving them out."""
    source = session.scalar(select(Asset.translation_of_id).where(Asset.id == asset_id)) or asset_id
    return list(session.scalars(select(Asset.id).where((Asset.id == source) | (Asset.translation_of_id == source))))


def list_teasers(
    session: Session, actor: Actor, deal: DealContext | None, ids: Sequence[int], vocabulary: Vocabulary
) -> list[Teaser]:
    """Title, type and stage of those of the ids that may be teased, in the order given."""
    if not ids:
        return []
    rows = session.connection().execute(_locked(actor, deal).where(Asset.id.in_(list(ids))))
    by_id = {row.id: _teaser(row, vocabulary) for row in rows}
    return [by_id[wanted] for wanted in ids if wanted in by_id]


def get_visible(session: Session, actor: Actor, deal: DealContext | None, reference: str) -> ReadableAsset:
    """The asset of that id; StageLocked where it may be teased, NotFound for every other one."""
    vocabulary = taxonomy.load(session)
    row = session.execute(_published(actor, deal).where(_is(reference))).first()
    if row is not None:
        return _Read(session, vocabulary, deal, [row.id]).asset(row)
    locked = session.execute(_locked(actor, deal).where(_is(reference))).first()
    if locked is None:
        raise NotFound()
    raise StageLocked(_teaser(locked, vocabulary))


def get_page(session: Session, actor: Actor, deal: DealContext | None, reference: str) -> AssetPage:
    """The asset with its rendered text and sections, as kept; reading never renders."""
    asset = get_visible(session, actor, deal, reference)
    rendered = session.get(Rendered, asset.rendering_digest)
    if rendered is None:
        return AssetPage(asset, "", (), "not_rendered", _translations(session, actor, deal, asset))
    return AssetPage(
        asset,
        rendered.html,
        sections_of(rendered.sections),
        rendered.failed,
        _translations(session, actor, deal, asset),
    )


def get_beside(
    session: Session, actor: Actor, deal: DealContext | None, page: AssetPage, language: str
) -> AssetPage | None:
    """The same story in another language, to stand beside; None where this reader sees none."""
    other = next((found for found in page.translations if found.language == language), None)
    return get_page(session, actor, deal, other.public_id) if other else None


def list_sections(session: Session, assets: Iterable[ReadableAsset]) -> Mapping[int, tuple[TextSection, ...]]:
    """Sections by asset id, and after them the pages of its files, for assets that were found visible before."""
    wanted = list(assets)
    digests = {asset.rendering_digest for asset in wanted}
    rows = session.execute(select(Rendered.digest, Rendered.sections).where(Rendered.digest.in_(digests)))
    by_digest = {digest: sections_of(sections) for digest, sections in rows}
    pages = filestore.texts_of(session, [asset.version_id for asset in wanted])
    return {
        asset.id: by_digest.get(asset.rendering_digest, ()) + page_sections(pages.get(asset.version_id, ()))
        for asset in wanted
    }


def page_sections(pages: Iterable[PageText]) -> tuple[TextSection, ...]:
    """Pages of files, told as sections, so that they are searched alike."""
    return tuple(TextSection(page.anchor, 2, page.heading, "", page.text) for page in pages)


def get_text(session: Session, actor: Actor, deal: DealContext | None, reference: str) -> tuple[ReadableAsset, str]:
    """The published Markdown of a visible asset."""
    asset = get_visible(session, actor, deal, reference)
    return asset, session.scalars(select(Version.text).where(Version.id == asset.version_id)).one()


# Columns, not rows of models: a search reads twenty assets, and most of the time went into making objects of them.
_SHOWN = (
    Asset.id,
    Asset.public_id,
    Asset.external_id,
    Asset.type,
    Asset.tier,
    Asset.unlock_stage_id,
    Asset.verified_at,
    Asset.expires_at,
    Version.id.label("version_id"),
    Version.public_id.label("version_public_id"),
    Version.number,
    Version.title,
    Version.language,
    Version.handling,
    Version.nda,
    Version.ai_generated,
    Version.rendering_digest,
    func.coalesce(Version.published_at, Version.created_at).label("published_at"),
    _is_behind.label("behind"),
)


@visibility.kept
def _published(actor: Actor, deal: DealContext | None) -> Select[Any]:
    return _current(visibility.visible_to(actor, deal), *_SHOWN, visibility.unlocked_by(actor, deal).label("unlock"))


def _current(rule: ColumnElement[bool], *columns: InstrumentedAttribute[Any] | ColumnElement[Any]) -> Select[Any]:
    joined = select(*columns).join(Version, Version.asset_id == Asset.id)
    return joined.where(Version.state == VersionState.PUBLISHED.value, rule)


def _is(reference: str) -> ColumnElement[bool]:
    if reference.startswith(EXTERNAL):
        return Asset.external_id == reference.removeprefix(EXTERNAL)
    return Asset.public_id == reference


class _Read:
    """Turns rows into values, with the names they need loaded once."""

    def __init__(
        self, session: Session, vocabulary: Vocabulary, deal: DealContext | None, asset_ids: Sequence[int]
    ) -> None:
        self._vocabulary = vocabulary
        self._deal = deal
        self._tags = _pairs(session, AssetTag.asset_id, AssetTag.tag_id, asset_ids)
        self._owners = _pairs(session, AssetOwner.asset_id, AssetOwner.user_id, asset_ids)
        self._names = users.list_names(session, {one for owners in self._owners.values() for one in owners})
        self._doubts = list_doubts(session, asset_ids)

    def asset(self, row: Row[Any]) -> ReadableAsset:
        unlock, handling = Unlock(row.unlock), Handling(row.handling)
        return ReadableAsset(
            id=row.id,
            public_id=row.public_id,
            external_id=row.external_id,
            type=AssetType(row.type),
            title=row.title,
            language=row.language,
            tier=Tier(row.tier),
            handling=handling,
            nda=row.nda,
            ai_generated=bool(row.ai_generated),
            tags=self._labels(row.id),
            owners=tuple(sorted(self._names.get(user_id, "") for user_id in self._owners.get(row.id, ()))),
            version_id=row.version_id,
            version_public_id=row.version_public_id,
            version_number=row.number,
            published_at=row.published_at,
            verified_at=row.verified_at,
            verify_due_at=verify_due_at(row.type, row.verified_at, row.published_at),
            unlock=unlock,
            unlock_stage=self._vocabulary.by_id.get(row.unlock_stage_id or 0),
            acts=visibility.acts(handling, unlock, self._deal, row.nda),
            rendering_digest=row.rendering_digest,
            expires_at=row.expires_at,
            is_behind=bool(row.behind),
            doubts=self._doubts.get(row.id, ()),
        )

    def _labels(self, asset_id: int) -> tuple[Label, ...]:
        known = self._vocabulary.by_id
        found = [known[tag_id] for tag_id in self._tags.get(asset_id, ()) if tag_id in known]
        return tuple(sorted(found, key=lambda label: (label.facet, label.position, label.key)))


def _pairs(
    session: Session,
    of: InstrumentedAttribute[int],
    what: InstrumentedAttribute[int],
    asset_ids: Sequence[int],
) -> Mapping[int, list[int]]:
    """By asset id, the other column of a table of pairs."""
    found: dict[int, list[int]] = {}
    for asset_id, other in session.connection().execute(select(of, what).where(of.in_(list(asset_ids)))).all():
        found.setdefault(asset_id, []).append(other)
    return found


def list_doubts(session: Session, asset_ids: Sequence[int]) -> Mapping[int, tuple[tuple[str, str], ...]]:
    """Causes of being unverified by asset id, in one query."""
    rows = session.connection().execute(
        select(Doubt.asset_id, Doubt.cause, Doubt.about).where(Doubt.asset_id.in_(asset_ids)).order_by(Doubt.since_at)
    )
    found: dict[int, tuple[tuple[str, str], ...]] = {}
    for row in rows:
        found[row.asset_id] = (*found.get(row.asset_id, ()), (row.cause, row.about))
    return found


def verify_due_at(asset_type: str, verified_at: datetime | None, published_at: datetime) -> datetime:
    """When somebody must look again: an interval by type after the last verification or publication."""
    base = max(published_at, verified_at) if verified_at else published_at
    return base + timedelta(days=VERIFY_EVERY_DAYS[AssetType(asset_type)])


@visibility.kept
def _locked(actor: Actor, deal: DealContext | None) -> Select[int, str, str | None, str, int | None, str, str]:
    return (
        select(
            Asset.id,
            Asset.public_id,
            Asset.external_id,
            Asset.type,
            Asset.unlock_stage_id,
            Version.title,
            Version.language,
        )
        .join(Version, Version.asset_id == Asset.id)
        .where(Version.state == VersionState.PUBLISHED.value, visibility.locked_for(actor, deal))
    )


def _teaser(row: Row[int, str, str | None, str, int | None, str, str], vocabulary: Vocabulary) -> Teaser:
    stage = vocabulary.by_id[row.unlock_stage_id or 0]
    return Teaser(row.id, row.public_id, row.external_id, row.title, AssetType(row.type), row.language, stage)


def sections_of(rendered: Iterable[Mapping[str, object]]) -> tuple[TextSection, ...]:
    """Sections as they are kept with a rendering."""
    return tuple(
        TextSection(str(s["anchor"]), int(str(s["level"])), str(s["title"]), str(s["html"]), str(s["plain"]))
        for s in rendered
    )


def _translations(
    session: Session, actor: Actor, deal: DealContext | None, asset: ReadableAsset
) -> tuple[Translation, ...]:
    source = session.scalar(select(Asset.translation_of_id).where(Asset.id == asset.id)) or asset.id
    statement = _current(visibility.visible_to(actor, deal), Asset.public_id, Version.title, Version.language).where(
        or_(Asset.id == source, Asset.translation_of_id == source), Asset.id != asset.id
    )
    return tuple(Translation(row.public_id, row.title, row.language) for row in session.execute(statement))
