"""One change of many assets: first told what it will do to each, then done in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased, selectinload

from content import editing, taxonomy, verifying
from content.kinds import AssetType
from content.models import Asset, Version
from content.reading import StageLocked
from content.visibility import editable_by
from kb import audit, users
from kb.access import Actor, Permission, require
from kb.errors import N_, Invalid, KbError

MOST: Final = 200
_other = aliased(Version)


class Act(StrEnum):
    ADD_TAG = "add_tag"
    REMOVE_TAG = "remove_tag"
    ADD_OWNER = "add_owner"
    SET_OWNER = "set_owner"
    VERIFY = "verify"


class Effect(StrEnum):
    """What the change does to one asset."""

    CHANGED = "changed"
    SAME = "same"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done: the tag's id for tags, the address for owners."""

    act: Act
    tag_id: int = 0
    email: str = ""


@dataclass(frozen=True, slots=True)
class BulkRow:
    public_id: str
    title: str
    type: AssetType
    language: str
    effect: Effect
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What a change does, or did, to each asset that was chosen and may be edited."""

    change: Change
    what: str
    rows: tuple[BulkRow, ...]

    def count(self, effect: Effect) -> int:
        return sum(row.effect is effect for row in self.rows)

    @property
    def changed(self) -> int:
        return self.count(Effect.CHANGED)


def preview(session: Session, actor: Actor, references: Sequence[str], change: Change, language: str) -> BulkResult:
    """What the change would do; nothing is written."""
    return _run(session, actor, references, change, language, _would)


def apply(session: Session, actor: Actor, references: Sequence[str], change: Change, language: str) -> BulkResult:
    """Do it: all that can be changed is, with an entry in the trail each; the rest says why not."""
    return _run(session, actor, references, change, language, _do)


Doing = Callable[[Session, Actor, Asset, Change, int], tuple[Effect, str]]


def _run(
    session: Session, actor: Actor, references: Sequence[str], change: Change, language: str, doing: Doing
) -> BulkResult:
    require(actor, Permission.EDIT)
    wanted = list(dict.fromkeys(reference for reference in references if reference))
    if not wanted:
        raise Invalid(N_("Choose at least one asset."), code="none_chosen")
    if len(wanted) > MOST:
        raise Invalid(N_("At most 200 assets at once."), code="too_many")
    what, owner_id = _subject(session, change, language)
    last = select(func.max(_other.number)).where(_other.asset_id == Asset.id).correlate(Asset).scalar_subquery()
    rows = session.execute(
        select(Asset, Version.title, Version.language)
        .join(Version, and_(Version.asset_id == Asset.id, Version.number == last))
        .where(Asset.public_id.in_(wanted), editable_by(actor))
        .options(selectinload(Asset.tags), selectinload(Asset.owners))
        .order_by(Asset.id)
        .with_for_update(of=Asset)
    ).all()
    done = [(row, *doing(session, actor, row.Asset, change, owner_id)) for row in rows]
    return BulkResult(
        change,
        what,
        tuple(
            BulkRow(row.Asset.public_id, row.title, AssetType(row.Asset.type), row.language, effect, reason)
            for row, effect, reason in done
        ),
    )


def _subject(session: Session, change: Change, language: str) -> tuple[str, int]:
    """The tag's or person's name, and the person's id; raises Invalid for what is not there."""
    if change.act in {Act.ADD_TAG, Act.REMOVE_TAG}:
        label = taxonomy.load(session).by_id.get(change.tag_id)
        if label is None:
            raise Invalid(N_("Choose a tag that is in use."), code="unknown_tag")
        return label.text(language), 0
    if change.act is Act.VERIFY:
        return "", 0
    found = users.find_person(session, users.normal_email(change.email) if change.email.strip() else "")
    if found is None:
        raise Invalid(N_("An owner you named is not here. Choose people from the list."), code="unknown_owner")
    return found.name, found.id


def _wanted(asset: Asset, change: Change, owner_id: int) -> tuple[frozenset[int], frozenset[int]]:
    tags = frozenset(row.tag_id for row in asset.tags)
    owners = frozenset(row.user_id for row in asset.owners)
    if change.act is Act.ADD_TAG:
        return tags | {change.tag_id}, owners
    if change.act is Act.REMOVE_TAG:
        return tags - {change.tag_id}, owners
    return tags, owners | {owner_id} if change.act is Act.ADD_OWNER else frozenset({owner_id})


def _would(session: Session, actor: Actor, asset: Asset, change: Change, owner_id: int) -> tuple[Effect, str]:
    if change.act is Act.VERIFY:
        may = verifying.may_verify(session, actor, asset.id)
        return (Effect.CHANGED, "") if may else (Effect.REFUSED, verifying.NotYours.message)
    tags = frozenset(row.tag_id for row in asset.tags)
    owners = frozenset(row.user_id for row in asset.owners)
    return (Effect.SAME if (tags, owners) == _wanted(asset, change, owner_id) else Effect.CHANGED), ""


def _do(session: Session, actor: Actor, asset: Asset, change: Change, owner_id: int) -> tuple[Effect, str]:
    if change.act is Act.VERIFY:
        return _verify(session, actor, asset)
    effect, reason = _would(session, actor, asset, change, owner_id)
    if effect is Effect.CHANGED:
        editing.keep(asset, *_wanted(asset, change, owner_id))
        session.flush()
        told = {"act": change.act.value, "tag": change.tag_id or None, "owner": owner_id or None}
        audit.record(session, actor, "asset.change", "asset", asset.public_id, bulk=True, **told)
    return effect, reason


def _verify(session: Session, actor: Actor, asset: Asset) -> tuple[Effect, str]:
    try:
        verifying.verify(session, actor, None, asset.public_id)
    except StageLocked:
        return Effect.REFUSED, N_("Verify it on a deal that opens it.")
    except KbError as refused:
        return Effect.REFUSED, refused.text
    return Effect.CHANGED, ""
