"""Keeping vocabularies in order: merge, retire, reorder, release; with a preview, and undone within the day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from content import taxonomy
from content.deals import DealStage, DealTag
from content.kinds import Facet, VersionState
from content.models import Asset, AssetTag, Doubt, Version
from content.taxonomy import Tag, TagChange, TagSynonym
from content.visibility import editable_by
from kb import audit, clock
from kb.access import Actor, Permission, require
from kb.errors import N_, Conflict, Invalid, NotFound

UNDO_WITHIN: Final = timedelta(hours=24)
SHOWN: Final = 12
MOST_SYNONYMS: Final = 40
LONGEST_LABEL: Final = 120


class StillUsed(Conflict):
    """A stage that opens assets, or on which deals stand, cannot go."""

    code, message = (
        "stage_in_use",
        N_(
            "Assets open from this stage, or deals stand on it. Change those first; a stage is not merged or retired under them."
        ),
    )


class TooLate(Conflict):
    code, message = (
        "undo_too_late",
        N_("This can no longer be undone: more than a day has passed, or it was undone already."),
    )


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag as its keepers see it: labels, synonyms, and how many assets and deals carry it."""

    id: int
    key: str
    en: str
    zh: str
    synonyms: tuple[str, ...]
    position: int
    assets: int
    deals: int
    is_retired: bool
    merged_into: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A merge or retirement that can still be undone."""

    public_id: str
    kind: str
    facet: str
    en: str
    zh: str
    into_en: str
    into_zh: str
    at: datetime
    assets: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a merge or retirement will do; titles are those this person may edit."""

    tag: TagRow
    into: TagRow | None
    assets: int
    deals: int
    titles: tuple[str, ...]


def list_rows(session: Session, actor: Actor, facet: Facet) -> Sequence[TagRow]:
    """All tags of a facet in their order, retired ones last, in a constant number of queries."""
    require(actor, Permission.CURATE)
    tags = session.scalars(
        select(Tag)
        .where(Tag.facet == facet.value)
        .options(selectinload(Tag.synonyms))
        .order_by(Tag.retired_at.is_not(None), Tag.position, Tag.key)
    ).all()
    assets = _counts(session, select(AssetTag.tag_id, func.count()).group_by(AssetTag.tag_id))
    deals = _counts(session, select(DealTag.tag_id, func.count()).group_by(DealTag.tag_id))
    if facet is Facet.STAGE:
        stages = select(DealStage.stage_id, func.count(DealStage.deal_id.distinct())).group_by(DealStage.stage_id)
        deals = _counts(session, stages)
    keys = {tag.id: tag.key for tag in tags}
    return [_row(tag, assets, deals, keys) for tag in tags]


def _counts(session: Session, statement) -> Mapping[int, int]:  # type: ignore[no-untyped-def]  # any pair of columns
    return {row[0]: row[1] for row in session.execute(statement)}


def _row(tag: Tag, assets: Mapping[int, int], deals: Mapping[int, int], keys: Mapping[int, str]) -> TagRow:
    return TagRow(
        tag.id,
        tag.key,
        tag.label_en,
        tag.label_zh,
        tuple(sorted(one.text for one in tag.synonyms)),
        tag.position,
        assets.get(tag.id, 0),
        deals.get(tag.id, 0),
        tag.retired_at is not None,
        keys.get(tag.merged_into_id or 0, ""),
    )


def save(session: Session, actor: Actor, facet: Facet, key: str, en: str, zh: str, synonyms: Sequence[str]) -> str:
    """A tag with these labels, new where the key is empty or unknown; a retired one comes back. Answers its key."""
    taxonomy.require_keeper(actor, facet)
    english, chinese = en.strip()[:LONGEST_LABEL], zh.strip()[:LONGEST_LABEL]
    if not (english or chinese):
        raise Invalid(N_("Give it a label in at least one language."), code="label_missing")
    english, chinese = english or chinese, chinese or english
    words = [word.strip()[:LONGEST_LABEL] for word in synonyms if word.strip()][:MOST_SYNONYMS]
    made = key or taxonomy.key_of(english)
    if not made or any("\x00" in word for word in (made, english, chinese, *words)):
        raise Invalid(N_("The label needs letters or signs that can be read."), code="label")
    if not key and _find(session, facet, made) is not None:
        raise Conflict(N_("There is a tag of that name already: change that one."), code="tag_exists")
    taxonomy.put(session, actor, facet, made, english, chinese, words)
    return made


def move(session: Session, actor: Actor, facet: Facet, key: str, before: str) -> None:
    """Put a tag before another one, or at the end; of stages this changes what opens what."""
    taxonomy.require_keeper(actor, facet)
    tags = list(
        session.scalars(
            select(Tag).where(Tag.facet == facet.value, Tag.retired_at.is_(None)).order_by(Tag.position, Tag.key)
        )
    )
    moved = next((tag for tag in tags if tag.key == key), None)
    if moved is None:
        raise NotFound()
    tags.remove(moved)
    place = next((at for at, tag in enumerate(tags) if tag.key == before), len(tags))
    tags.insert(place, moved)
    order = [tag.key for tag in tags]
    for position, tag in enumerate(tags, start=1):
        if tag.position != position:
            tag.position = position
    session.flush()
    audit.record(session, actor, "tag.move", "tag", f"{facet.value}:{key}", order=order)


def opened_by(session: Session, actor: Actor) -> Mapping[str, int]:
    """How many assets open from which stage, by its key: what a new order of the stages touches."""
    require(actor, Permission.CURATE)
    rows = session.execute(select(Tag.key, func.count()).join(Asset, Asset.unlock_stage_id == Tag.id).group_by(Tag.key))
    return {row[0]: row[1] for row in rows}


def preview(session: Session, actor: Actor, facet: Facet, key: str, into: str | None) -> Preview:
    """What merging into another tag, or retiring where `into` is None, will do; nothing is written."""
    taxonomy.require_keeper(actor, facet)
    tag, target = _pair(session, facet, key, into)
    rows = {row.id: row for row in list_rows(session, actor, facet)}
    titles = session.scalars(
        select(Version.title)
        .join(Asset, Asset.id == Version.asset_id)
        .join(AssetTag, AssetTag.asset_id == Asset.id)
        .where(AssetTag.tag_id == tag.id, Version.state == VersionState.PUBLISHED.value, editable_by(actor))
        .order_by(Version.title)
        .limit(SHOWN)
    )
    row = rows[tag.id]
    return Preview(row, rows[target.id] if target is not None else None, row.assets, row.deals, tuple(titles))


def merge(session: Session, actor: Actor, facet: Facet, key: str, into: str) -> TagChange:
    """Every asset and deal of one tag gets the other; labels and synonyms go on as synonyms, so that old words find."""
    return _change(session, actor, facet, key, into)


def retire(session: Session, actor: Actor, facet: Facet, key: str) -> TagChange:
    """Take a tag off every asset and deal, and out of every list."""
    return _change(session, actor, facet, key, None)


def _change(session: Session, actor: Actor, facet: Facet, key: str, into: str | None) -> TagChange:
    taxonomy.require_keeper(actor, facet)
    tag, target = _pair(session, facet, key, into, lock=True)
    _refuse_stage_in_use(session, facet, tag)
    asset_ids, gained = _move_assets(session, tag, target)
    deal_ids, deals_gained = _move_deals(session, tag, target)
    words = _pass_words_on(tag, target) if target is not None else []
    tag.retired_at, tag.merged_into_id = clock.now(), target.id if target is not None else None
    change = TagChange(
        kind="merge" if target is not None else "retire",
        tag_id=tag.id,
        into_id=target.id if target is not None else None,
        moved={"assets": asset_ids, "gained": gained, "deals": deal_ids, "deals_gained": deals_gained, "words": words},
        at=clock.now(),
        by_id=actor.user_id,
    )
    session.add(change)
    session.flush()
    told = {"into": target.key if target is not None else None, "assets": len(asset_ids), "deals": len(deal_ids)}
    audit.record(session, actor, f"tag.{change.kind}", "tag", f"{facet.value}:{key}", change=change.public_id, **told)
    return change


def _pair(session: Session, facet: Facet, key: str, into: str | None, *, lock: bool = False) -> tuple[Tag, Tag | None]:
    tag = _find(session, facet, key, lock=lock)
    if tag is None or tag.retired_at is not None:
        raise NotFound()
    if into is None:
        return tag, None
    target = _find(session, facet, into, lock=lock)
    if target is None or target.retired_at is not None or target.id == tag.id:
        raise Invalid(N_("Choose another tag of the same list to merge into."), code="merge_into")
    return tag, target


def _find(session: Session, facet: Facet, key: str, *, lock: bool = False) -> Tag | None:
    statement = select(Tag).where(Tag.facet == facet.value, Tag.key == key).options(selectinload(Tag.synonyms))
    return session.scalar(statement.with_for_update() if lock else statement)


def _refuse_stage_in_use(session: Session, facet: Facet, tag: Tag) -> None:
    if facet is not Facet.STAGE:
        return
    assets = session.scalar(select(func.count()).select_from(Asset).where(Asset.unlock_stage_id == tag.id)) or 0
    deals = session.scalar(select(func.count(DealStage.deal_id.distinct())).where(DealStage.stage_id == tag.id)) or 0
    if assets or deals:
        raise StillUsed(assets=assets, deals=deals)


def _move_assets(session: Session, tag: Tag, target: Tag | None) -> tuple[list[int], list[int]]:
    """Ids of all that carried the tag, and of those among them that gained the other."""
    rows = session.scalars(select(AssetTag).where(AssetTag.tag_id == tag.id)).all()
    ids = sorted(row.asset_id for row in rows)
    have = set(session.scalars(select(AssetTag.asset_id).where(AssetTag.tag_id == target.id))) if target else set()
    gained = [asset_id for asset_id in ids if target is not None and asset_id not in have]
    for row in rows:
        session.delete(row)
    if target is not None:
        session.add_all(AssetTag(asset_id=asset_id, tag_id=target.id) for asset_id in gained)
    session.flush()
    return ids, gained


def _move_deals(session: Session, tag: Tag, target: Tag | None) -> tuple[list[int], list[int]]:
    rows = session.scalars(select(DealTag).where(DealTag.tag_id == tag.id)).all()
    ids = sorted(row.deal_id for row in rows)
    have = set(session.scalars(select(DealTag.deal_id).where(DealTag.tag_id == target.id))) if target else set()
    gained = [deal_id for deal_id in ids if target is not None and deal_id not in have]
    for row in rows:
        session.delete(row)
    if target is not None:
        session.add_all(DealTag(deal_id=deal_id, tag_id=target.id) for deal_id in gained)
    session.flush()
    return ids, gained


def _pass_words_on(tag: Tag, target: Tag) -> list[str]:
    """Key, labels and synonyms of one tag as synonyms of the other; answers those that were new to it."""
    known = {target.key, target.label_en, target.label_zh, *(one.text for one in target.synonyms)}
    words = [
        word
        for word in dict.fromkeys([tag.key, tag.label_en, tag.label_zh, *(one.text for one in tag.synonyms)])
        if word not in known
    ]
    target.synonyms.extend(TagSynonym(text=word) for word in words)
    return words


def list_undoable(session: Session, actor: Actor) -> Sequence[ChangeRow]:
    """Merges and retirements of the last day that still stand."""
    require(actor, Permission.CURATE)
    tags = {tag.id: tag for tag in session.scalars(select(Tag))}
    changes = session.scalars(
        select(TagChange)
        .where(TagChange.undone_at.is_(None), TagChange.at > clock.now() - UNDO_WITHIN)
        .order_by(TagChange.at.desc())
    )
    return [_change_row(change, tags) for change in changes]


def _change_row(change: TagChange, tags: Mapping[int, Tag]) -> ChangeRow:
    tag, into = tags[change.tag_id], tags.get(change.into_id or 0)
    return ChangeRow(
        change.public_id,
        change.kind,
        tag.facet,
        tag.label_en,
        tag.label_zh,
        into.label_en if into else "",
        into.label_zh if into else "",
        change.at,
        len(_ids(change, "assets")),
    )


def _ids(change: TagChange, name: str) -> list[int]:
    found = change.moved.get(name, [])
    return [int(one) for one in found] if isinstance(found, list) else []


def undo(session: Session, actor: Actor, public_id: str) -> TagChange:
    """Put back what a merge or retirement moved, within the day; what was tagged by hand since then stays as it is."""
    require(actor, Permission.CURATE)
    change = session.scalar(select(TagChange).where(TagChange.public_id == public_id).with_for_update())
    if change is None:
        raise NotFound()
    tag = session.get_one(Tag, change.tag_id)
    taxonomy.require_keeper(actor, Facet(tag.facet))
    if change.undone_at is not None or change.at <= clock.now() - UNDO_WITHIN:
        raise TooLate()
    tag.retired_at = tag.merged_into_id = None
    _restore_assets(session, change)
    _restore_deals(session, change)
    if change.into_id is not None:
        words = change.moved.get("words", [])
        target = session.scalars(select(Tag).where(Tag.id == change.into_id).options(selectinload(Tag.synonyms))).one()
        for one in [one for one in target.synonyms if isinstance(words, list) and one.text in words]:
            target.synonyms.remove(one)
    change.undone_at = clock.now()
    session.flush()
    audit.record(session, actor, "tag.undo", "tag", f"{tag.facet}:{tag.key}", change=change.public_id)
    return change


def _restore_assets(session: Session, change: TagChange) -> None:
    there = set(session.scalars(select(Asset.id).where(Asset.id.in_(_ids(change, "assets")))))
    have = set(session.scalars(select(AssetTag.asset_id).where(AssetTag.tag_id == change.tag_id)))
    session.add_all(AssetTag(asset_id=asset_id, tag_id=change.tag_id) for asset_id in sorted(there - have))
    gained = _ids(change, "gained")
    for row in session.scalars(
        select(AssetTag).where(AssetTag.tag_id == change.into_id, AssetTag.asset_id.in_(gained))
    ).all():
        session.delete(row)
    session.flush()


def _restore_deals(session: Session, change: TagChange) -> None:
    have = set(session.scalars(select(DealTag.deal_id).where(DealTag.tag_id == change.tag_id)))
    session.add_all(
        DealTag(deal_id=deal_id, tag_id=change.tag_id) for deal_id in _ids(change, "deals") if deal_id not in have
    )
    for row in session.scalars(
        select(DealTag).where(DealTag.tag_id == change.into_id, DealTag.deal_id.in_(_ids(change, "deals_gained")))
    ).all():
        session.delete(row)
    session.flush()


def release(session: Session, actor: Actor, key: str, name: str) -> int:
    """A new version of a product: what speaks of it is unverified until somebody has looked. Answers how many."""
    taxonomy.require_keeper(actor, Facet.PRODUCT)
    told = name.strip()[:80]
    if not told:
        raise Invalid(N_("Name the new version, such as V5.2."), code="release_missing")
    tag, _ = _pair(session, Facet.PRODUCT, key, None)
    about = f"{tag.label_zh if tag.label_zh == tag.label_en else tag.label_en} {told}"[:200]
    ids = session.scalars(
        select(AssetTag.asset_id)
        .join(Version, Version.asset_id == AssetTag.asset_id)
        .where(AssetTag.tag_id == tag.id, Version.state == VersionState.PUBLISHED.value)
    ).all()
    known = set(session.scalars(select(Doubt.asset_id).where(Doubt.cause == "product_release", Doubt.about == about)))
    session.add_all(
        Doubt(asset_id=asset_id, cause="product_release", about=about) for asset_id in ids if asset_id not in known
    )
    session.flush()
    audit.record(session, actor, "product.release", "tag", f"{tag.facet}:{key}", name=told, assets=len(ids))
    return len(ids)
