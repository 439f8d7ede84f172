"""Writing assets: create, change, tag; drafts are edited, everything else is frozen."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.sql.base import ExecutableOption

from content import likeness, markdown
from content.kinds import AssetType, Facet, Handling, VersionState
from content.models import Asset, AssetAudience, AssetOwner, AssetTag, Attachment, Contribution, Rendered, Version
from content.taxonomy import Label
from content.visibility import editable_by
from kb import clock
from kb.access import Actor, Tier
from kb.db import is_postgresql
from kb.errors import N_, Invalid, NotFound, TooLarge

MAX_TITLE_LENGTH = 300
EVIDENCE = re.compile(r"\[(?:证据|evidence)[:：]\s*([A-Za-z]-\d+)\]")
NEED_INDUSTRY_AND_PAIN = frozenset({AssetType.TALK_TRACK, AssetType.CASE_STUDY, AssetType.WHITE_PAPER})

LACKS = {
    "stage": N_("stage"),
    "owner": N_("owner"),
    "industry": N_("industry"),
    "pain_point": N_("pain point"),
    "fill_in": N_("places still to be filled in"),
}


@dataclass(frozen=True, slots=True)
class Wording:
    """What a customer can meet: the part of an asset that reviewers clear."""

    title: str
    text: str
    language: str
    handling: Handling
    nda: bool = False
    ai_generated: bool = False
    """Whether a generator made parts of it, of the text or of its pictures: that is said wherever it is shared."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What hangs on the asset and changes without review; ids are those of rows that exist."""

    type: AssetType
    tier: Tier = Tier.INTERNAL
    unlock_stage_id: int | None = None
    shows_teaser: bool = True
    tag_ids: frozenset[int] = frozenset()
    owner_ids: frozenset[int] = frozenset()
    team_ids: frozenset[int] = frozenset()
    expires_at: datetime | None = None
    translation_of_id: int | None = None
    extra: dict[str, object] = field(default_factory=dict)


def digest(wording: Wording, attachments: Iterable[tuple[str, str]] = ()) -> str:
    """SHA-256 over title, text, attachments (name and hash), language, handling, cited evidence and marks, in one canonical form."""
    parts: dict[str, object] = {
        "title": wording.title,
        "text": wording.text,
        "attachments": sorted([name, sha256] for name, sha256 in attachments),
        "language": wording.language,
        "handling": wording.handling.value,
        "nda": wording.nda,
        "evidence": cited_evidence(wording.text),
    }
    if wording.ai_generated:  # what was cleared before this could be said keeps its digest
        parts["ai_generated"] = True
    return hashlib.sha256(
        json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    ).hexdigest()


def cited_evidence(text: str) -> list[str]:
    """Ids of the evidence cited in the text, each once, in order of the id."""
    return sorted({match.group(1).upper() for match in EVIDENCE.finditer(text)})


def rendering_digest(text: str) -> str:
    return f"{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}-{markdown.RENDERER}"


def render(text: str) -> Rendered:
    """The kept form of a text; outside any transaction, since a hostile text takes seconds.

    A text that cannot be rendered is kept with the reason, and its source can still be read and searched.
    """
    key = rendering_digest(text)
    try:
        made = markdown.render(text)
    except markdown.CannotRender as reason:
        return Rendered(
            digest=key, html="", plain=text, sections=[], failed=reason.reason, likeness=likeness.sketch(text)
        )
    sections: list[dict[str, object]] = [
        {"anchor": s.anchor, "level": s.level, "title": s.title, "html": s.html, "plain": s.plain}
        for s in made.sections
    ]
    return Rendered(
        digest=key, html=made.html, plain=made.plain, sections=sections, failed="", likeness=likeness.sketch(made.plain)
    )


def check(wording: Wording) -> None:
    """Raise Invalid with what to do where a text cannot be kept."""
    if not wording.title.strip():
        raise Invalid(N_("Give it a title."), code="title_missing")
    if len(wording.title) > MAX_TITLE_LENGTH:
        raise Invalid(
            f"The title has {len(wording.title)} characters; at most {MAX_TITLE_LENGTH} are kept.",
            code="title_too_long",
        )
    if not wording.text.strip():
        raise Invalid(N_("The text is empty."), code="text_missing")
    if len(wording.text.encode("utf-8", "surrogatepass")) > markdown.MAX_BYTES:
        raise TooLarge(
            f"The text is larger than {markdown.MAX_BYTES // 1000} kB: cut it into several assets.",
            code="text_too_large",
        )
    for value in (wording.title, wording.text):
        if "\x00" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
            raise Invalid(
                "The text holds a NUL or a broken character: save the file as UTF-8.", code="broken_characters"
            )
    if wording.nda and wording.handling is not Handling.NAMED:
        raise Invalid("`nda` goes with the handling `named` alone.", code="nda_without_named")


def lacks(asset_type: AssetType, tags: Iterable[Label], owner_ids: Iterable[int]) -> list[str]:
    """What must be added before this can be submitted for review."""
    facets = {label.facet for label in tags}
    missing = [] if Facet.STAGE.value in facets else ["stage"]
    missing += [] if list(owner_ids) else ["owner"]
    if asset_type in NEED_INDUSTRY_AND_PAIN:
        missing += [facet for facet in ("industry", "pain_point") if facet not in facets]
    return missing


def create(session: Session, actor: Actor, external_id: str | None, attributes: Attributes) -> Asset:
    """A new asset without a version yet."""
    asset = Asset(
        external_id=external_id,
        type=attributes.type.value,
        tier=attributes.tier.value,
        created_by_id=actor.user_id,
        extra={},
        tags=[],
        owners=[],
        audience=[],
    )
    session.add(asset)
    set_attributes(session, asset, attributes)
    return asset


def set_attributes(session: Session, asset: Asset, wanted: Attributes) -> bool:
    """Bring an asset loaded with tags, owners and audience to these attributes; True when something changed."""
    before = _attributes(asset)
    asset.type, asset.tier = wanted.type.value, wanted.tier.value
    asset.unlock_stage_id, asset.shows_teaser = wanted.unlock_stage_id, wanted.shows_teaser
    asset.expires_at, asset.translation_of_id, asset.extra = (
        wanted.expires_at,
        wanted.translation_of_id,
        dict(wanted.extra),
    )
    _keep(asset.tags, "tag_id", wanted.tag_ids, lambda tag_id: AssetTag(tag_id=tag_id))
    _keep(asset.owners, "user_id", wanted.owner_ids, lambda user_id: AssetOwner(user_id=user_id))
    _keep(asset.audience, "team_id", wanted.team_ids, lambda team_id: AssetAudience(team_id=team_id))
    session.flush()
    return _attributes(asset) != before


def _keep(rows: list[Any], attribute: str, wanted: frozenset[int], make: Callable[[int], Any]) -> None:
    present = {getattr(row, attribute): row for row in rows}
    for value in present.keys() - wanted:
        rows.remove(present[value])
    rows.extend(make(value) for value in sorted(wanted - present.keys()))


def _attributes(asset: Asset) -> Attributes:
    return Attributes(
        AssetType(asset.type),
        Tier(asset.tier),
        asset.unlock_stage_id,
        asset.shows_teaser,
        frozenset(row.tag_id for row in asset.tags),
        frozenset(row.user_id for row in asset.owners),
        frozenset(row.team_id for row in asset.audience),
        asset.expires_at,
        asset.translation_of_id,
        dict(asset.extra),
    )


def is_known_by(external_id: str) -> ColumnElement[bool]:
    """The asset of that id; one that has none is known by its public id, under which it is exported."""
    unnamed = and_(Asset.external_id.is_(None), Asset.public_id == external_id)
    return or_(Asset.external_id == external_id, unnamed)


def find_by_external_id(session: Session, external_id: str) -> Asset | None:
    return session.scalar(select(Asset).where(is_known_by(external_id)).options(*whole()).with_for_update())


def get_editable(session: Session, actor: Actor, reference: str) -> Asset:
    """An asset the actor may edit; NotFound for every other one."""
    matches = (
        Asset.external_id == reference.removeprefix("external:")
        if reference.startswith("external:")
        else Asset.public_id == reference
    )
    asset = session.scalar(select(Asset).where(matches, editable_by(actor)).options(*whole()).with_for_update())
    if asset is None:
        raise NotFound()
    return asset


def whole() -> Sequence[ExecutableOption]:
    """Load tags, owners and audience with an asset."""
    return selectinload(Asset.tags), selectinload(Asset.owners), selectinload(Asset.audience)


def find_version(session: Session, asset: Asset, *states: VersionState) -> Version | None:
    """The newest version of the asset in one of these states."""
    wanted = [state.value for state in states]
    return session.scalar(
        select(Version)
        .where(Version.asset_id == asset.id, Version.state.in_(wanted))
        .order_by(Version.number.desc())
        .limit(1)
    )


def put_draft(
    session: Session, actor: Actor, asset: Asset, wording: Wording, rendered: Rendered, like: Version | None = None
) -> Version:
    """Write the asset's draft, new or in place of the present one; published versions are never touched.

    A new draft takes over the files of the version it goes on from: the newest one, or the one it is `like`.
    """
    check(wording)
    keep_rendering(session, rendered)
    draft = find_version(session, asset, VersionState.DRAFT)
    if draft is None:
        draft = _new_draft(session, actor, asset, like or find_version(session, asset, *VersionState))
    draft.title, draft.text, draft.language = wording.title.strip(), wording.text, wording.language
    draft.handling, draft.nda, draft.ai_generated = wording.handling.value, wording.nda, wording.ai_generated
    draft.cited_evidence, draft.digest = cited_evidence(wording.text), digest(wording, files_of(session, draft))
    draft.rendering_digest = rendered.digest
    draft.revision += 1
    session.flush()
    if actor.user_id is not None and session.get(Contribution, (draft.id, actor.user_id)) is None:
        session.add(Contribution(version_id=draft.id, user_id=actor.user_id))
    return draft


def _new_draft(session: Session, actor: Actor, asset: Asset, former: Version | None) -> Version:
    number = (session.scalar(select(func.max(Version.number)).where(Version.asset_id == asset.id)) or 0) + 1
    draft = Version(
        asset_id=asset.id,
        number=number,
        state=VersionState.DRAFT.value,
        created_by_id=actor.user_id,
        revision=0,
        title="",
        text="",
        language="",
        handling=Handling.INTERNAL.value,
    )
    session.add(draft)
    session.flush()
    if former is not None:
        rows = session.scalars(
            select(Attachment).where(Attachment.version_id == former.id).order_by(Attachment.position)
        )
        session.add_all(
            Attachment(
                version_id=draft.id,
                position=row.position,
                filename=row.filename,
                media_type=row.media_type,
                size=row.size,
                sha256=row.sha256,
            )
            for row in rows.all()
        )
        session.flush()
    return draft


def wording_of(version: Version) -> Wording:
    """What stands in a version."""
    return Wording(
        version.title,
        version.text,
        version.language,
        Handling(version.handling),
        version.nda,
        bool(version.ai_generated),
    )


def files_of(session: Session, version: Version) -> Sequence[tuple[str, str]]:
    """Name and hash of each file that belongs to a version."""
    rows = session.execute(select(Attachment.filename, Attachment.sha256).where(Attachment.version_id == version.id))
    return [(row.filename, row.sha256) for row in rows]


def keep_rendering(session: Session, rendered: Rendered) -> None:
    """Keep it once; two writers of the same text do not disturb each other."""
    insert = (postgresql if is_postgresql(session) else sqlite).insert
    values = {
        "digest": rendered.digest,
        "html": rendered.html,
        "plain": rendered.plain,
        "sections": rendered.sections,
        "failed": rendered.failed,
        "likeness": rendered.likeness,
    }
    session.execute(insert(Rendered).values(values).on_conflict_do_nothing())


@dataclass(frozen=True, slots=True)
class LibraryRow:
    """One asset in the editors' library: its newest version, and whether readers have one."""

    public_id: str
    external_id: str | None
    title: str
    type: AssetType
    language: str
    state: VersionState
    version_number: int
    owners: tuple[str, ...]
    updated_at: datetime
    is_live: bool
    lacks: tuple[str, ...]


def is_live(asset: Asset, states: Iterable[str]) -> bool:
    now = clock.now()
    return (
        VersionState.PUBLISHED.value in states
        and asset.withdrawn_at is None
        and asset.held_at is None
        and (asset.expires_at is None or asset.expires_at > now)
    )
