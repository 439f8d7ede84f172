"""Writing an asset's draft from outside: made new, read with its revision, saved only on the revision it started from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.base import ExecutableOption

from content import comparing, service
from content.comparing import Comparison
from content.importing import Desk, Options
from content.kinds import Handling, VersionState
from content.models import Asset, Rendered, Version
from content.service import Wording
from content.sources import Failure, Record
from content.visibility import editable_by
from kb import audit, users
from kb.access import Actor, Permission, Tier, require
from kb.config import Settings
from kb.errors import N_, Conflict, Invalid, KbError, NotFound

EXTERNAL = "external:"


@dataclass(frozen=True, slots=True)
class Draft:
    """What an editor works on; revision 0 is the published text, of which no draft was made yet."""

    asset_id: str
    title: str
    text: str
    language: str
    handling: Handling
    nda: bool
    ai_generated: bool
    revision: int
    digest: str


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version in the history of an asset."""

    number: int
    state: VersionState
    title: str
    language: str
    digest: str
    created_at: datetime
    created_by: str
    published_at: datetime | None
    note: str


@dataclass(frozen=True, slots=True)
class Merged:
    """A text that holds both changes; `lost` of one's own found no place in it."""

    text: str
    lost: int
    comparison: Comparison


class StaleDraft(Conflict):
    """Somebody else saved meanwhile; both texts are told, none is lost."""

    status, code, message = (
        412,
        "stale_draft",
        N_("Somebody else saved this draft meanwhile. Compare both texts and save again."),
    )


class RevisionNeeded(KbError):
    """A save must say which revision it started from."""

    status, code, message = 428, "revision_needed", N_("Say in If-Match which revision you started from.")


class AssetExists(Conflict):
    code, message = "asset_exists", N_("An asset with this external_id is here already: change its draft instead.")


def get_draft(session: Session, actor: Actor, reference: str) -> Draft:
    """The draft, else the newest text as revision 0; NotFound where the actor may not edit the asset."""
    require(actor, Permission.EDIT)
    asset = _editable(session, actor, reference)
    draft = service.find_version(session, asset, VersionState.DRAFT)
    newest = draft or service.find_version(session, asset, *VersionState)
    if newest is None:
        raise NotFound()
    return _shown(asset, newest, newest.revision if draft is not None else 0)


def put_draft(
    session: Session, actor: Actor, reference: str, revision: int, wording: Wording, rendered: Rendered
) -> Draft:
    """Save on the revision it started from; StaleDraft, with what stands there now, on any other."""
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    present = get_draft(session, actor, reference)
    if present.revision != revision:
        raise StaleDraft(present=_texts(present), yours={"title": wording.title, "text": wording.text})
    if present.revision and present.digest == service.digest(wording):
        return present
    version = service.put_draft(session, actor, asset, wording, rendered)
    audit.record(session, actor, "draft.save", "asset", asset.public_id, version=version.number, digest=version.digest)
    return _shown(asset, version, version.revision)


def create(
    session: Session, settings: Settings, actor: Actor, fields: Mapping[str, object], text: str, rendered: Rendered
) -> tuple[Draft, list[Failure]]:
    """A new asset with its draft, from the keys of a Markdown file; the author owns it where nobody is named.

    Raises Invalid with every mistake, AssetExists for an id that is taken; answers warnings such as unknown tags. Ids of
    other systems are given by those who import: to others a refusal would tell which hidden ones are taken.
    """
    require(actor, Permission.EDIT)
    given = {key: value for key, value in fields.items() if value not in (None, "", [])}
    external_id = str(given.get("external_id", "")).strip()
    if external_id:
        require(actor, Permission.IMPORT)
    if external_id and service.find_by_external_id(session, external_id) is not None:
        raise AssetExists()
    owners = given.get("owners") or _email(session, actor)
    desk = Desk(session, settings, actor, Options())
    record = Record("request", 0, {**given, "owners": owners}, text)
    _refuse_above_clearance(actor, given)
    asset = desk.create(record, rendered)
    draft = service.find_version(session, asset, VersionState.DRAFT)
    assert draft is not None
    return _shown(asset, draft, draft.revision), desk.warnings


def list_versions(session: Session, actor: Actor, reference: str) -> list[VersionLine]:
    """All versions, newest first, for those who may edit the asset."""
    require(actor, Permission.EDIT)
    asset = _editable(session, actor, reference)
    versions = session.scalars(
        select(Version).where(Version.asset_id == asset.id).order_by(Version.number.desc())
    ).all()
    names = users.list_names(session, {v.created_by_id for v in versions if v.created_by_id is not None})
    return [_line(version, names) for version in versions]


def get_version(session: Session, actor: Actor, reference: str, number: int) -> tuple[VersionLine, str]:
    """One version with its text, for those who may edit the asset."""
    require(actor, Permission.EDIT)
    asset = _editable(session, actor, reference)
    version = session.scalar(select(Version).where(Version.asset_id == asset.id, Version.number == number))
    if version is None:
        raise NotFound()
    author = {version.created_by_id} if version.created_by_id is not None else set()
    return _line(version, users.list_names(session, author)), version.text


def is_reference(reference: str) -> ColumnElement[bool]:
    """The asset of that public id, or of `external:` and its id."""
    if reference.startswith(EXTERNAL):
        return Asset.external_id == reference.removeprefix(EXTERNAL)
    return Asset.public_id == reference


def load_editable(session: Session, actor: Actor, reference: str) -> Asset:
    """With tags, owners and audience, and without a lock: reading waits for nobody."""
    return _editable(session, actor, reference, *service.whole())


def _editable(session: Session, actor: Actor, reference: str, *options: ExecutableOption) -> Asset:
    asset = session.scalar(select(Asset).where(is_reference(reference), editable_by(actor)).options(*options))
    if asset is None:
        raise NotFound()
    return asset


def _shown(asset: Asset, version: Version, revision: int) -> Draft:
    return Draft(
        asset.public_id,
        version.title,
        version.text,
        version.language,
        Handling(version.handling),
        version.nda,
        bool(version.ai_generated),
        revision,
        version.digest,
    )


def _texts(draft: Draft) -> dict[str, object]:
    return {"revision": draft.revision, "title": draft.title, "text": draft.text}


def _line(version: Version, names: Mapping[int, str]) -> VersionLine:
    return VersionLine(
        version.number,
        VersionState(version.state),
        version.title,
        version.language,
        version.digest,
        version.created_at,
        names.get(version.created_by_id or 0, ""),
        version.published_at,
        version.note,
    )


def _email(session: Session, actor: Actor) -> list[str]:
    found = session.get(users.User, actor.user_id) if actor.user_id is not None else None
    return [found.email] if found else []


def _refuse_above_clearance(actor: Actor, given: Mapping[str, object]) -> None:
    tier = str(given.get("tier") or Tier.INTERNAL.value)
    if actor.is_user and tier in set(Tier) and Tier(tier).rank > actor.clearance.rank:
        raise Invalid(N_("The tier is above your clearance: you could not read it yourself."), code="tier")


def wording_of(draft: Draft, changes: Mapping[str, object]) -> Wording:
    """The draft with some of its parts changed."""
    base = Wording(draft.title, draft.text, draft.language, draft.handling, draft.nda, draft.ai_generated)
    return replace(base, **changes)  # type: ignore[arg-type]  # the edge has checked them


def merge(theirs: Draft, mine: Wording, base: str) -> Merged:
    """Both texts as one, and where they differ; without what both started from, nothing can be merged."""
    found = comparing.merge(base, mine.text, theirs.text) if base else comparing.Merge(theirs.text, 1)
    return Merged(found.text, found.lost, comparing.compare(theirs.text, mine.text))


def is_language(word: str) -> bool:
    return re.fullmatch(r"[a-z]{2,3}", word) is not None
