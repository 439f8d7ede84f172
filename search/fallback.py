"""Answers from the database while the index is being rebuilt: slower and plainer, but never wrong about who sees what."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import ColumnElement, case, func, literal, or_, select
from sqlalchemy.orm import Session

from content.kinds import VersionState
from content.models import Asset, AssetTag, Rendered, Version
from content.taxonomy import Tag, TagSynonym
from search import documents
from search.analysis import Term
from search.engine import FacetTable, Fields, IntArray, Matches, Visible, ids_alone

MOST_TERMS = 8
MOST_IDS = 30_000
CHUNK = 500


def lexical(session: Session, terms: Sequence[Term], visible: Visible, *, fields: Fields = Fields.ALL) -> Matches:
    """Visible assets whose text, title or tags hold the words, by how much of the query's weight they hold."""
    visible = ids_alone(visible)
    used = sorted(terms, key=lambda term: -term.weight)[:MOST_TERMS]
    if not used or not len(visible):
        return Matches.none()
    total = sum(term.weight for term in used)
    share = (
        sum(
            (case((_holds(term.text, fields), literal(term.weight)), else_=literal(0.0)) for term in used), literal(0.0)
        )
        / total
    )
    statement = (
        select(Asset.id, share.label("share"))
        .join(Version, Version.asset_id == Asset.id)
        .outerjoin(Rendered, Rendered.digest == Version.rendering_digest)
        .where(Version.state == VersionState.PUBLISHED.value, or_(*(_holds(term.text, fields) for term in used)))
    )
    rows = [(row.id, float(row.share)) for row in session.execute(statement)]
    allowed = set(visible.tolist())
    kept = sorted(
        ((asset_id, part) for asset_id, part in rows if asset_id in allowed and part >= 0.25),
        key=lambda pair: (-pair[1], pair[0]),
    )
    ids = np.array([asset_id for asset_id, _ in kept], np.int64)
    shares = np.array([part for _, part in kept], np.float64)
    return Matches(ids, shares, shares, shares, np.zeros(len(ids)))


def _holds(word: str, fields: Fields) -> ColumnElement[bool]:
    pattern = "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    tagged = (
        select(AssetTag.asset_id)
        .join(Tag, Tag.id == AssetTag.tag_id)
        .outerjoin(TagSynonym, TagSynonym.tag_id == Tag.id)
        .where(or_(*(column.ilike(pattern, escape="\\") for column in (Tag.label_en, Tag.label_zh, TagSynonym.text))))
    )
    found = or_(Version.title.ilike(pattern, escape="\\"), Asset.id.in_(tagged))
    return (
        found
        if fields is Fields.TITLE_TAGS
        else or_(found, func.coalesce(Rendered.plain, Version.text).ilike(pattern, escape="\\"))
    )


def facets_of(session: Session, asset_ids: IntArray) -> FacetTable:
    """The same codes the index holds, read from the rows."""
    position = {int(asset_id): row for row, asset_id in enumerate(asset_ids)}
    rows: list[int] = []
    codes: list[int] = []
    ids = list(position)
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK]
        for asset_id, tag_id in session.execute(
            select(AssetTag.asset_id, AssetTag.tag_id).where(AssetTag.asset_id.in_(part))
        ):
            rows.append(position[asset_id])
            codes.append(documents.tag_code(tag_id))
        kinds = select(Asset.id, Asset.type, Version.language).join(Version, Version.asset_id == Asset.id)
        for asset_id, asset_type, language in session.execute(
            kinds.where(Asset.id.in_(part), Version.state == VersionState.PUBLISHED.value)
        ):
            rows += [position[asset_id]] * 2
            codes += [documents.type_code(asset_type), documents.language_code(language)]
    return FacetTable(np.array(rows, np.int64), np.array(codes, np.int64))
