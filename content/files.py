"""Files that belong to versions: put on drafts, frozen with them, served to those who may see the asset."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from content import convert, drafting, filestore, reading, service, visibility
from content.convert import CannotConvert
from content.deals import DealContext
from content.file_kinds import IMAGES, KIND_OF, MEDIA_TYPES, FileKind
from content.filestore import FailPoint, Kept, go_on
from content.kinds import VersionState
from content.models import Asset, Attachment, Contribution, FilePage, Rendered, StoredFile, Version
from content.reading import ReadableAsset
from content.visibility import Act
from kb import audit
from kb.access import Actor, Permission, require
from kb.config import Settings
from kb.db import Database
from kb.errors import N_, Forbidden, NotFound


class NotForYou(Forbidden):
    """Readable in the product; as a file it could leave the company."""

    code, message = (
        "no_download",
        N_(
            "This file may not be taken away here. Its text can be read; to send it, choose an open deal that allows it."
        ),
    )


@dataclass(frozen=True, slots=True)
class FileLine:
    """An attachment as pages show it."""

    public_id: str
    filename: str
    kind: FileKind
    size: int
    sha256: str
    pages: int
    state: str
    reason: str

    @property
    def is_picture(self) -> bool:
        return self.kind in IMAGES

    @property
    def address(self) -> str:
        """Where a text finds a picture."""
        return f"/attachments/{self.sha256}/{filestore.plain_name(self.filename)}"


@dataclass(frozen=True, slots=True)
class FileText:
    """What stands in an attachment, page by page."""

    asset: ReadableAsset
    line: FileLine
    pages: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, slots=True)
class Served:
    """A file to be sent."""

    path: Path
    media_type: str
    filename: str
    asset: ReadableAsset | None
    """What a reader took it from; None for editors, whose downloads are no use."""


# --- attachments of drafts ---


def attach(
    session: Session, actor: Actor, reference: str, kept: Kept, revision: int | None = None
) -> tuple[FileLine, int]:
    """Put a file on the draft, which is begun where there is none; answers the line and the draft's new revision."""
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    draft = _draft(session, actor, asset, revision)
    row = filestore.add_to(session, draft, kept)
    _changed(session, actor, draft)
    told = {"file": kept.filename, "sha256": kept.sha256, "version": draft.number}
    audit.record(session, actor, "attachment.add", "asset", asset.public_id, **told)
    return _line(
        row, session.scalars(select(StoredFile).where(StoredFile.sha256 == kept.sha256)).one(), 0
    ), draft.revision


def remove(session: Session, actor: Actor, reference: str, public_id: str, revision: int | None = None) -> int:
    """Take a file off the draft; versions that hold it keep it. Answers the draft's new revision."""
    require(actor, Permission.EDIT)
    asset = service.get_editable(session, actor, reference)
    named = session.scalar(
        select(Attachment)
        .join(Version, Version.id == Attachment.version_id)
        .where(Version.asset_id == asset.id, Attachment.public_id == public_id)
    )
    if named is None:
        raise NotFound()
    draft = _draft(session, actor, asset, revision)
    row = session.scalar(
        select(Attachment).where(
            Attachment.version_id == draft.id, Attachment.sha256 == named.sha256, Attachment.filename == named.filename
        )
    )
    if row is None:
        raise NotFound()
    session.delete(row)
    _changed(session, actor, draft)
    told = {"file": row.filename, "sha256": row.sha256, "version": draft.number}
    audit.record(session, actor, "attachment.remove", "asset", asset.public_id, **told)
    return draft.revision


def _draft(session: Session, actor: Actor, asset: Asset, revision: int | None) -> Version:
    draft = service.find_version(session, asset, VersionState.DRAFT)
    if revision is not None and revision != (draft.revision if draft is not None else 0):
        raise drafting.StaleDraft()
    if draft is not None:
        return draft
    newest = service.find_version(session, asset, *VersionState)
    if newest is None:
        raise NotFound()
    kept = session.get_one(Rendered, newest.rendering_digest)
    session.expunge(kept)
    return service.put_draft(session, actor, asset, service.wording_of(newest), kept)


def _changed(session: Session, actor: Actor, draft: Version) -> None:
    session.flush()
    draft.digest = service.digest(service.wording_of(draft), service.files_of(session, draft))
    draft.revision += 1
    if actor.user_id is not None and session.get(Contribution, (draft.id, actor.user_id)) is None:
        session.add(Contribution(version_id=draft.id, user_id=actor.user_id))
    session.flush()


# --- what is shown and served ---


def list_lines(session: Session, version_id: int) -> tuple[FileLine, ...]:
    """The files of a version in their order."""
    counts = select(FilePage.file_id, func.count().label("pages")).group_by(FilePage.file_id).subquery()
    rows = session.execute(
        select(Attachment, StoredFile, counts.c.pages)
        .join(StoredFile, StoredFile.sha256 == Attachment.sha256)
        .outerjoin(counts, counts.c.file_id == StoredFile.id)
        .where(Attachment.version_id == version_id)
        .order_by(Attachment.position)
    )
    return tuple(_line(row.Attachment, row.StoredFile, row.pages or 0) for row in rows)


def list_of_newest(session: Session, actor: Actor, reference: str) -> tuple[FileLine, ...]:
    """The files of the draft, else of the newest version, for editors."""
    asset = drafting.load_editable(session, actor, reference)
    newest = service.find_version(session, asset, VersionState.DRAFT) or service.find_version(
        session, asset, *VersionState
    )
    return list_lines(session, newest.id) if newest is not None else ()


def _line(row: Attachment, stored: StoredFile, pages: int) -> FileLine:
    kind = KIND_OF[row.media_type]
    return FileLine(row.public_id, row.filename, kind, row.size, row.sha256, pages, stored.state, stored.reason)


def get_text(session: Session, actor: Actor, deal: DealContext | None, reference: str, public_id: str) -> FileText:
    """The text of an attachment of the published version, for every reader who sees the asset."""
    asset = reading.get_visible(session, actor, deal, reference)
    line = next((one for one in list_lines(session, asset.version_id) if one.public_id == public_id), None)
    if line is None:
        raise NotFound()
    rows = session.execute(
        select(FilePage.number, FilePage.title, FilePage.text)
        .join(StoredFile, StoredFile.id == FilePage.file_id)
        .where(StoredFile.sha256 == line.sha256)
        .order_by(FilePage.number)
    )
    return FileText(asset, line, tuple((row.number, row.title, row.text) for row in rows))


def get_for_download(
    session: Session, settings: Settings, actor: Actor, deal: DealContext | None, public_id: str
) -> Served:
    """A file for its editors, and for readers whose deal allows taking it; NotFound for everybody else."""
    found = session.execute(
        select(Attachment, Version.asset_id, Asset.public_id)
        .join(Version, Version.id == Attachment.version_id)
        .join(Asset, Asset.id == Version.asset_id)
        .where(Attachment.public_id == public_id)
    ).first()
    if found is None:
        raise NotFound()
    row = found.Attachment
    if actor.may(Permission.EDIT) and _is_editable(session, actor, found.asset_id):
        return Served(filestore.open_path(settings, row.sha256), row.media_type, row.filename, None)
    asset = reading.get_visible(session, actor, deal, found[2])
    if asset.version_id != row.version_id:
        raise NotFound()
    if Act.DOWNLOAD not in asset.acts:
        raise NotForYou()
    return Served(filestore.open_path(settings, row.sha256), row.media_type, row.filename, asset)


def _is_editable(session: Session, actor: Actor, asset_id: int) -> bool:
    rule = visibility.editable_by(actor)
    return session.scalar(select(Asset.id).where(Asset.id == asset_id, rule)) is not None


def get_picture(session: Session, settings: Settings, actor: Actor, deal: DealContext | None, sha256: str) -> Served:
    """A picture inside a text: shown where an asset the actor sees, or may edit, holds it."""
    holding = (
        select(Attachment.media_type, Attachment.filename)
        .join(Version, Version.id == Attachment.version_id)
        .join(Asset, Asset.id == Version.asset_id)
        .where(Attachment.sha256 == sha256, Attachment.media_type.in_([MEDIA_TYPES[kind] for kind in IMAGES]))
        .limit(1)
    )
    published = Version.state == VersionState.PUBLISHED.value
    row = session.execute(holding.where(published, visibility.visible_to(actor, deal))).first()
    if row is None and actor.may(Permission.EDIT):
        row = session.execute(holding.where(visibility.editable_by(actor))).first()
    if row is None:
        raise NotFound()
    return Served(filestore.open_path(settings, sha256), row.media_type, row.filename, None)


# --- reading what stands in them ---


Afterwards = Callable[[Session, Sequence[int]], None]
"""Told of the assets whose searchable text has grown, in the same transaction."""


def reader(
    database: Database, settings: Settings, afterwards: Afterwards, fail_point: FailPoint = go_on
) -> Callable[[Sequence[int]], None]:
    """The handler that reads the text of stored files; a file that cannot be read says why and is done."""

    def read(file_ids: Sequence[int]) -> None:
        for file_id in file_ids:
            _read(database, settings, file_id, afterwards, fail_point)

    return read


def _read(database: Database, settings: Settings, file_id: int, afterwards: Afterwards, fail_point: FailPoint) -> None:
    with database.reading() as session:
        row = session.get(StoredFile, file_id)
    if row is None or row.state != "waiting":
        return
    try:
        pages = convert.read_pages(filestore.open_path(settings, row.sha256), KIND_OF[row.media_type])
        state, reason = "read", ""
    except CannotConvert as cannot:
        pages, state, reason = (), "unreadable", cannot.reason.value
    except NotFound:
        pages, state, reason = (), "unreadable", "missing"
    fail_point("file.read")
    with database.writing() as session:
        stored = session.get(StoredFile, file_id, with_for_update=True)
        if stored is None or stored.state != "waiting":
            return
        stored.state, stored.reason = state, reason
        session.execute(delete(FilePage).where(FilePage.file_id == file_id))
        session.add_all(
            FilePage(file_id=file_id, number=page.number, title=page.title, text=page.text) for page in pages
        )
        session.flush()
        carrying = select(Version.asset_id).join(Attachment, Attachment.version_id == Version.id)
        ids = session.scalars(
            carrying.where(Attachment.sha256 == stored.sha256, Version.state == VersionState.PUBLISHED.value).distinct()
        ).all()
        afterwards(session, ids)
        fail_point("file.kept")
