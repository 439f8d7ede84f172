"""What the editor shows and changes besides the text: facts, access, where the asset stands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import access_changes, drafting, reading, service, submission, taxonomy, visibility
from content.access_changes import Access
from content.drafting import Draft
from content.kinds import DEFAULT_HANDLING, AssetType, Facet, VersionState
from content.models import Asset, AssetOwner, AssetTag, Rendered, Version
from content.reading import TextSection
from content.service import LACKS, Wording
from content.taxonomy import Label, Vocabulary
from kb import audit, users
from kb.access import Actor, Permission, require
from kb.errors import N_, Invalid
from kb.users import Team, User

MOST_OWNERS: Final = 20


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may own an asset."""

    id: int
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One version in a few words: its number, words' digest, and the moments that matter."""

    number: int
    state: VersionState
    digest: str
    frozen_at: datetime | None
    publish_at: datetime | None
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class EditorPage:
    """All that the editor's page needs."""

    public_id: str
    external_id: str | None
    type: AssetType
    draft: Draft
    tag_ids: frozenset[int]
    owners: tuple[Person, ...]
    access: Access
    waiting: Access | None
    source: tuple[str, str] | None
    """Public id and title of the asset it translates."""
    in_review: Mark | None
    approved: Mark | None
    published: Mark | None
    newest_number: int
    lacks: tuple[str, ...]
    sections: tuple[TextSection, ...]
    is_archived: bool
    is_live: bool
    is_held: bool
    translations_published: int
    is_returned: bool
    """Whether reviewers sent the newest frozen version back, or rejected it."""

    @property
    def has_draft(self) -> bool:
        return self.draft.revision > 0


@dataclass(frozen=True, slots=True)
class Choices:
    """What the pickers offer."""

    words: Vocabulary
    people: tuple[Person, ...]
    teams: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What hangs on the asset and changes without a round."""

    type: AssetType
    tag_ids: frozenset[int]
    owner_emails: frozenset[str]
    source: str
    """Public id, or `external:` and the id, of the asset this one translates; empty for none."""


def get_page(session: Session, actor: Actor, reference: str) -> EditorPage:
    """The draft, else the newest text, of an asset the actor may edit; NotFound for every other one."""
    draft = drafting.get_draft(session, actor, reference)
    asset = drafting.load_editable(session, actor, draft.asset_id)
    standing = submission.standing(session, asset)
    newest = standing.draft or standing.newest
    kept = session.get(Rendered, newest.rendering_digest) if newest is not None else None
    return EditorPage(
        public_id=asset.public_id,
        external_id=asset.external_id,
        type=AssetType(asset.type),
        draft=draft,
        tag_ids=frozenset(row.tag_id for row in asset.tags),
        owners=_people(session, [row.user_id for row in asset.owners]),
        access=access_changes.of(asset),
        waiting=access_changes.find_waiting(session, asset.id),
        source=_source(session, actor, asset),
        in_review=_mark(standing.in_review),
        approved=_mark(standing.approved),
        published=_mark(standing.published),
        newest_number=standing.newest.number if standing.newest is not None else 0,
        lacks=tuple(LACKS[what] for what in submission.lacking(standing, draft.text)),
        sections=reading.sections_of(kept.sections) if kept is not None else (),
        is_archived=asset.archived_at is not None,
        is_held=asset.held_at is not None,
        is_live=service.is_live(asset, [VersionState.PUBLISHED.value] if standing.published else []),
        translations_published=submission.translations_published(session, asset),
        is_returned=submission.is_returned(session, asset),
    )


def _mark(version: Version | None) -> Mark | None:
    if version is None:
        return None
    return Mark(
        version.number,
        VersionState(version.state),
        version.digest,
        version.frozen_at,
        version.publish_at,
        version.published_at,
    )


def _people(session: Session, user_ids: Iterable[int]) -> tuple[Person, ...]:
    rows = session.execute(select(User.id, User.name, User.email).where(User.id.in_(list(user_ids))))
    return tuple(sorted((Person(*row) for row in rows), key=lambda one: one.name))


def _source(session: Session, actor: Actor, asset: Asset) -> tuple[str, str] | None:
    """As far as the actor knows of it."""
    if asset.translation_of_id is None:
        return None
    known = visibility.editable_by(actor) | visibility.visible_to(actor, None)
    row = session.execute(
        select(Asset.public_id, Version.title)
        .join(Version, Version.asset_id == Asset.id)
        .where(Asset.id == asset.translation_of_id, known)
        .order_by(Version.number.desc())
        .limit(1)
    ).first()
    return (row.public_id, row.title) if row is not None else None


def choices(session: Session) -> Choices:
    """Everything that can be chosen."""
    people = session.execute(select(User.id, User.name, User.email).order_by(User.name))
    teams = session.execute(select(Team.id, Team.name).order_by(Team.name))
    return Choices(
        taxonomy.load(session), tuple(Person(*row) for row in people), tuple((row.id, row.name) for row in teams)
    )


def begin(
    session: Session, actor: Actor, asset_type: AssetType, language: str, title: str, rendered: Rendered, text: str
) -> Draft:
    """A new asset with the sections of its type, owned by who begins it."""
    require(actor, Permission.EDIT)
    owners = frozenset({actor.user_id}) if actor.user_id is not None else frozenset[int]()
    asset = service.create(session, actor, None, service.Attributes(type=asset_type, owner_ids=owners))
    wording = Wording(title, text, language, DEFAULT_HANDLING[asset_type])
    version = service.put_draft(session, actor, asset, wording, rendered)
    audit.record(session, actor, "asset.create", "asset", asset.public_id, digest=version.digest)
    return drafting.get_draft(session, actor, asset.public_id)


def set_facts(session: Session, actor: Actor, reference: str, facts: Facts) -> bool:
    """Bring type, tags, owners and source to these; True when something changed. What was there before is audited."""
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    before = _facts(asset)
    known = taxonomy.load(session).by_id
    retired = {row.tag_id for row in asset.tags} - known.keys()
    if facts.tag_ids - known.keys():
        raise Invalid(N_("A tag you chose is no longer in use. Choose again."), code="unknown_tag")
    asset.type = facts.type.value
    keep(asset, facts.tag_ids | retired, _owner_ids(session, facts.owner_emails))
    asset.translation_of_id = _source_id(session, actor, asset, facts.source)
    session.flush()
    after = _facts(asset)
    if after == before:
        return False
    audit.record(session, actor, "asset.change", "asset", asset.public_id, before=before, after=after)
    return True


def tie(session: Session, actor: Actor, reference: str, source: str) -> None:
    """Make an asset the translation of another one the actor knows."""
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    before = asset.translation_of_id
    asset.translation_of_id = _source_id(session, actor, asset, source)
    session.flush()
    audit.record(
        session, actor, "asset.tie", "asset", asset.public_id, before=before, translation_of=asset.translation_of_id
    )


def keep(asset: Asset, tag_ids: frozenset[int], owner_ids: frozenset[int]) -> None:
    """Bring an asset loaded with tags and owners to these."""
    tags, owners = {row.tag_id: row for row in asset.tags}, {row.user_id: row for row in asset.owners}
    for tag_id in tags.keys() - tag_ids:
        asset.tags.remove(tags[tag_id])
    for user_id in owners.keys() - owner_ids:
        asset.owners.remove(owners[user_id])
    asset.tags.extend(AssetTag(tag_id=tag_id) for tag_id in sorted(tag_ids - tags.keys()))
    asset.owners.extend(AssetOwner(user_id=user_id) for user_id in sorted(owner_ids - owners.keys()))


def _facts(asset: Asset) -> Mapping[str, object]:
    return {
        "type": asset.type,
        "tags": sorted(row.tag_id for row in asset.tags),
        "owners": sorted(row.user_id for row in asset.owners),
        "translation_of": asset.translation_of_id,
    }


def _owner_ids(session: Session, emails: frozenset[str]) -> frozenset[int]:
    wanted = {users.normal_email(email) for email in emails if email.strip()}
    if len(wanted) > MOST_OWNERS:
        raise Invalid(N_("At most 20 owners: those who answer for it, not all who read it."), code="too_many_owners")
    rows = session.execute(select(User.email, User.id).where(User.email.in_(wanted), User.is_service.is_not(True)))
    found = {row.email: row.id for row in rows}
    if wanted - found.keys():
        raise Invalid(N_("An owner you named is not here. Choose people from the list."), code="unknown_owner")
    return frozenset(found.values())


def _source_id(session: Session, actor: Actor, asset: Asset, source: str) -> int | None:
    if not source.strip():
        return None
    known = visibility.editable_by(actor) | visibility.visible_to(actor, None)
    row = session.execute(
        select(Asset.id, Asset.translation_of_id).where(drafting.is_reference(source.strip()), known)
    ).first()
    if row is None:
        raise Invalid(N_("There is no such asset to translate. Choose it from the list."), code="unknown_source")
    if row.id == asset.id or row.translation_of_id is not None:
        raise Invalid(
            N_("A translation belongs to an original, not to itself or to another translation."), code="source"
        )
    return int(row.id)


def find_sources(
    session: Session, actor: Actor, words: str, language: str, limit: int = 10
) -> Sequence[tuple[str, str]]:
    """Originals the actor may edit whose title holds the words, in another language than this."""
    require(actor, Permission.EDIT)
    rows = session.execute(
        select(Asset.public_id, Version.title)
        .join(Version, Version.asset_id == Asset.id)
        .where(
            visibility.editable_by(actor),
            Asset.translation_of_id.is_(None),
            Version.state == VersionState.PUBLISHED.value,
            Version.language != language,
            Version.title.contains(words.strip(), autoescape=True),
        )
        .order_by(Version.title)
        .limit(limit)
    )
    return [(row.public_id, row.title) for row in rows]


def labels_by_facet(words: Vocabulary) -> Mapping[str, Sequence[Label]]:
    return {facet.value: words.facet(facet.value) for facet in Facet}
