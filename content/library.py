"""The editors' list: every asset they may edit, with its newest version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session, defer, selectinload

from content import service, taxonomy
from content.kinds import AssetType, VersionState
from content.models import Asset, Version
from content.service import LACKS, LibraryRow
from content.visibility import editable_by
from kb import users
from kb.access import Actor, Permission, require


@dataclass(frozen=True, slots=True)
class LibraryPage:
    rows: Sequence[LibraryRow]
    total: int


def is_editable(session: Session, actor: Actor, asset_id: int) -> bool:
    return session.scalar(select(Asset.id).where(Asset.id == asset_id, editable_by(actor))) is not None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which assets the list shows: by words of title or id, by the newest version's state, archived ones or the others."""

    words: str = ""
    state: VersionState | None = None
    archived: bool = False


def list_rows(
    session: Session, actor: Actor, shown: Filter = Filter(), *, limit: int = 50, offset: int = 0
) -> LibraryPage:
    """Assets the actor may edit, changed last first, in a constant number of queries."""
    require(actor, Permission.EDIT)
    statement = _newest(actor, shown)
    total = (
        session.scalar(
            select(func.count()).select_from(statement.with_only_columns(Asset.id).order_by(None).subquery())
        )
        or 0
    )
    rows = session.execute(
        statement.order_by(Version.created_at.desc(), Asset.id.desc()).limit(limit).offset(offset)
    ).all()
    assets = [row[0] for row in rows]
    vocabulary = taxonomy.load(session)
    names = users.list_names(session, {owner.user_id for asset in assets for owner in asset.owners})
    published = set(
        session.scalars(
            select(Version.asset_id).where(
                Version.asset_id.in_([a.id for a in assets]), Version.state == VersionState.PUBLISHED.value
            )
        )
    )
    return LibraryPage(
        [_row(asset, version, vocabulary, names, asset.id in published) for asset, version in rows], total
    )


def count_states(session: Session, actor: Actor) -> list[tuple[VersionState, int]]:
    """How many assets the actor may edit have their newest version in which state, in the order of a version's life."""
    require(actor, Permission.EDIT)
    newest = _newest(actor, Filter()).with_only_columns(Version.state, func.count()).group_by(Version.state)
    counts = {state: count for state, count in session.execute(newest.options())}  # noqa: C416  # rows are not pairs to mypy
    return [(state, counts[state.value]) for state in VersionState if counts.get(state.value)]


def _newest(actor: Actor, shown: Filter) -> Select[Asset, Version]:
    last = select(func.max(Version.number)).where(Version.asset_id == Asset.id).correlate(Asset).scalar_subquery()
    statement = (
        select(Asset, Version)
        .join(Version, and_(Version.asset_id == Asset.id, Version.number == last))
        .where(editable_by(actor), Asset.archived_at.is_not(None) if shown.archived else Asset.archived_at.is_(None))
        .options(selectinload(Asset.tags), selectinload(Asset.owners), defer(Version.text, raiseload=True))
    )
    if shown.state is not None:
        statement = statement.where(Version.state == shown.state.value)
    if shown.words.strip():
        pattern = f"%{escape_like(shown.words.strip())}%"
        statement = statement.where(
            or_(Version.title.ilike(pattern, escape="\\"), Asset.external_id.ilike(pattern, escape="\\"))
        )
    return statement


def escape_like(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _row(
    asset: Asset, version: Version, vocabulary: taxonomy.Vocabulary, names: Mapping[int, str], has_published: bool
) -> LibraryRow:
    tags = [vocabulary.by_id[row.tag_id] for row in asset.tags if row.tag_id in vocabulary.by_id]
    lacks = service.lacks(AssetType(asset.type), tags, [owner.user_id for owner in asset.owners])
    states = [VersionState.PUBLISHED.value] if has_published else []
    return LibraryRow(
        public_id=asset.public_id,
        external_id=asset.external_id,
        title=version.title,
        type=AssetType(asset.type),
        language=version.language,
        state=VersionState(version.state),
        version_number=version.number,
        owners=tuple(sorted(names.get(owner.user_id, "") for owner in asset.owners)),
        updated_at=version.published_at or version.created_at,
        is_live=service.is_live(asset, states),
        lacks=tuple(LACKS[what] for what in lacks),
    )
