"""The history of an asset for its editors: versions, what changed between two, what changed in a translation's source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from content import comparing, drafting
from content.comparing import Comparison
from content.kinds import Handling, VersionState
from content.models import Asset, Contribution, Rendered, Version
from kb import users
from kb.access import Actor, Permission, require
from kb.errors import NotFound

PAGE = 50


class View(StrEnum):
    SOURCE = "source"
    RENDERED = "rendered"


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One version: who, when, and what it was for."""

    number: int
    state: VersionState
    title: str
    digest: str
    writers: tuple[str, ...]
    created_at: datetime
    published_at: datetime | None
    publish_at: datetime | None
    note: str
    is_unreviewed: bool
    is_bulk_load: bool


@dataclass(frozen=True, slots=True)
class History:
    asset_id: str
    title: str
    lines: tuple[HistoryLine, ...]
    total: int
    published: int | None
    """Number of the version that readers have."""


@dataclass(frozen=True, slots=True)
class VersionPage:
    """One version as it reads, and whether it is the one that counts."""

    asset_id: str
    line: HistoryLine
    language: str
    handling: Handling
    nda: bool
    ai_generated: bool
    html: str
    text: str
    failed: str
    published: int | None

    @property
    def is_current(self) -> bool:
        return self.line.number == self.published


@dataclass(frozen=True, slots=True)
class Changes:
    """Two versions beside each other; `before_html` and `after_html` in the rendered view alone."""

    asset_id: str
    before: VersionPage
    after: VersionPage
    view: View
    comparison: Comparison
    before_html: str
    after_html: str
    numbers: tuple[int, ...]

    @property
    def facts(self) -> Sequence[tuple[str, str, str]]:
        """What differs besides the text, as (what, before, after)."""
        rows = (
            ("title", self.before.line.title, self.after.line.title),
            ("language", self.before.language, self.after.language),
            ("handling", self.before.handling.value, self.after.handling.value),
            ("nda", str(self.before.nda), str(self.after.nda)),
            ("ai_generated", str(self.before.ai_generated), str(self.after.ai_generated)),
        )
        return [row for row in rows if row[1] != row[2]]


@dataclass(frozen=True, slots=True)
class SourcePage:
    """A translation beside its source: what the source said when it was translated, says now, and the translation."""

    asset_id: str
    translation: VersionPage
    source_id: str
    then: VersionPage
    now: VersionPage
    comparison: Comparison

    @property
    def is_behind(self) -> bool:
        return self.then.line.number != self.now.line.number


def list_versions(session: Session, actor: Actor, reference: str, offset: int = 0, limit: int = PAGE) -> History:
    """Versions newest first, in a constant number of queries."""
    asset, published, total = _asset(session, actor, reference)
    rows = session.scalars(
        select(Version)
        .where(Version.asset_id == asset.id)
        .options(defer(Version.text, raiseload=True))
        .order_by(Version.number.desc())
        .limit(limit)
        .offset(offset)
    ).all()
    names = _writers(session, [row.id for row in rows])
    title = rows[0].title if rows else ""
    return History(asset.public_id, title, tuple(_line(row, names) for row in rows), total, published)


def _asset(session: Session, actor: Actor, reference: str) -> tuple[Asset, int | None, int]:
    """The editable asset, the number of its published version, and how many versions it has."""
    require(actor, Permission.EDIT)
    asset = drafting.load_editable(session, actor, reference)
    published = session.scalar(
        select(Version.number).where(Version.asset_id == asset.id, Version.state == VersionState.PUBLISHED.value)
    )
    total = session.scalar(select(func.count()).select_from(Version).where(Version.asset_id == asset.id)) or 0
    return asset, published, total


def _writers(session: Session, version_ids: Sequence[int]) -> Mapping[int, tuple[str, ...]]:
    rows = session.execute(
        select(Contribution.version_id, Contribution.user_id).where(Contribution.version_id.in_(version_ids))
    ).all()
    names = users.list_names(session, {row.user_id for row in rows})
    return {
        version_id: tuple(sorted(names.get(row.user_id, "") for row in rows if row.version_id == version_id))
        for version_id in version_ids
    }


def _line(version: Version, writers: Mapping[int, tuple[str, ...]]) -> HistoryLine:
    return HistoryLine(
        version.number,
        VersionState(version.state),
        version.title,
        version.digest,
        writers.get(version.id, ()),
        version.created_at,
        version.published_at,
        version.publish_at,
        version.note,
        version.is_unreviewed,
        version.is_bulk_load,
    )


def get_version(session: Session, actor: Actor, reference: str, number: int) -> VersionPage:
    """One version as it reads; NotFound where the asset has none of that number."""
    asset, published, _ = _asset(session, actor, reference)
    return _page(session, asset, published, number)


def _page(session: Session, asset: Asset, published: int | None, number: int) -> VersionPage:
    version = session.scalar(select(Version).where(Version.asset_id == asset.id, Version.number == number))
    if version is None:
        raise NotFound()
    kept = session.get(Rendered, version.rendering_digest)
    return VersionPage(
        asset.public_id,
        _line(version, _writers(session, [version.id])),
        version.language,
        Handling(version.handling),
        version.nda,
        bool(version.ai_generated),
        kept.html if kept is not None else "",
        version.text,
        kept.failed if kept is not None else "not_rendered",
        published,
    )


def get_changes(
    session: Session, actor: Actor, reference: str, before: int | None, after: int | None, view: View
) -> Changes:
    """What changed between two versions of one asset: those named, else from what readers have to the newest."""
    asset, published, total = _asset(session, actor, reference)
    after = after or total
    before = before or (published if published and published < after else max(1, after - 1))
    old, new = _page(session, asset, published, before), _page(session, asset, published, after)
    numbers = session.scalars(
        select(Version.number).where(Version.asset_id == asset.id).order_by(Version.number.desc())
    ).all()
    htmls = comparing.rendered(old.html, new.html) if view is View.RENDERED else ("", "")
    return Changes(asset.public_id, old, new, view, comparing.compare(old.text, new.text), *htmls, tuple(numbers))


def get_source(session: Session, actor: Actor, reference: str) -> SourcePage:
    """A translation, and what its source has become since; NotFound where it has none, or none this editor may see."""
    asset, published, total = _asset(session, actor, reference)
    if asset.translation_of_id is None:
        raise NotFound()
    own = session.scalar(select(Version).where(Version.asset_id == asset.id).order_by(Version.number.desc()).limit(1))
    source_id = session.scalar(select(Asset.public_id).where(Asset.id == asset.translation_of_id))
    if own is None or source_id is None or not total:
        raise NotFound()
    source, source_published, _ = _asset(session, actor, source_id)
    if source_published is None:
        raise NotFound()
    translated_at = session.scalar(select(func.max(Version.published_at)).where(Version.asset_id == asset.id))
    then_number = session.scalar(
        select(func.max(Version.number)).where(
            Version.asset_id == source.id,
            Version.published_at <= (translated_at or own.created_at),
        )
    )
    now = _page(session, source, source_published, source_published)
    then = _page(session, source, source_published, then_number) if then_number else now
    translation = _page(session, asset, published, own.number)
    return SourcePage(asset.public_id, translation, source.public_id, then, now, comparing.compare(then.text, now.text))
