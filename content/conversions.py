"""Documents that become assets: kept, converted by the worker, and made into a draft exactly once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import convert, document_import, filestore, importing, service
from content.convert import CannotConvert, Converted
from content.file_kinds import CONVERTIBLE, KIND_OF
from content.filestore import FailPoint, Kept
from content.kinds import DEFAULT_HANDLING, AssetType
from content.models import Asset, Conversion, Rendered, StoredFile
from content.service import Wording
from kb import audit, clock, outbox, users
from kb.access import SYSTEM, Actor, Permission, require
from kb.config import Settings
from kb.db import Database
from kb.errors import N_, Invalid, NotFound
from kb.outbox import WishKind


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a document is: waiting, done with its asset, or failed with the reason in words."""

    public_id: str
    filename: str
    state: str
    message: str
    asset_id: str | None


def start(session: Session, actor: Actor, kept: Kept, asset_type: AssetType | None) -> Conversion:
    """Begin with a document that lies in the store; Invalid for what cannot become a text."""
    require(actor, Permission.EDIT)
    if kept.kind not in CONVERTIBLE:
        raise Invalid(
            N_("Only docx, pptx, pdf and html become a text. Attach this file to an asset instead."),
            code="not_convertible",
        )
    chosen = asset_type or document_import.GUESSED_TYPE.get(kept.kind, AssetType.OTHER)
    row = Conversion(
        file_id=filestore.store(session, kept).id,
        filename=kept.filename,
        type=chosen.value,
        created_by_id=actor.user_id,
    )
    session.add(row)
    session.flush()
    outbox.add(session, WishKind.CONVERT_FILE, row.id)
    audit.record(session, actor, "document.take", "conversion", row.public_id, file=kept.filename, sha256=kept.sha256)
    return row


def get(session: Session, actor: Actor, public_id: str) -> Progress:
    """One's own document; NotFound for those of others."""
    require(actor, Permission.EDIT)
    row = session.scalar(select(Conversion).where(Conversion.public_id == public_id))
    if row is None or (actor.is_user and row.created_by_id != actor.user_id):
        raise NotFound()
    asset_id = session.scalar(select(Asset.public_id).where(Asset.id == row.asset_id)) if row.asset_id else None
    message = convert.MESSAGES[convert.Reason(row.reason)] if row.state == "failed" else ""
    return Progress(row.public_id, row.filename, row.state, message, asset_id)


def converter(
    database: Database, settings: Settings, fail_point: FailPoint = lambda _name: None
) -> Callable[[Sequence[int]], None]:
    """The handler that turns documents into drafts; what cannot be read says why and is done."""

    def handle(ids: Sequence[int]) -> None:
        for conversion_id in ids:
            _convert(database, settings, conversion_id, fail_point)

    return handle


def _convert(database: Database, settings: Settings, conversion_id: int, fail_point: FailPoint) -> None:
    with database.reading() as session:
        row = session.get(Conversion, conversion_id)
        stored = session.get(StoredFile, row.file_id) if row is not None else None
        person = users.find(session, row.created_by_id) if row is not None and row.created_by_id else None
    if row is None or stored is None or row.state != "waiting":
        return
    original = Kept(stored.sha256, KIND_OF[stored.media_type], stored.size, row.filename)
    try:
        made = convert.convert(filestore.open_path(settings, stored.sha256), original.kind)
    except (CannotConvert, NotFound) as cannot:
        reason = cannot.reason if isinstance(cannot, CannotConvert) else convert.Reason.FAILED
        with database.writing() as session:
            _end(session, conversion_id, "failed", reason=reason.value)
        return
    fail_point("document.converted")
    text, pictures = filestore.with_pictures(settings, made, row.filename)
    fail_point("pictures.kept")
    rendered = service.render(text)
    fail_point("document.rendered")
    with database.writing() as session:
        if _end(session, conversion_id, "done"):
            actor = users.actor_of(person) if person is not None else SYSTEM
            asset = _draft(session, actor, AssetType(row.type), made, text, rendered, [original, *pictures])
            session.get_one(Conversion, conversion_id).asset_id = asset.id
            told = {"file": row.filename, "sha256": stored.sha256, "notes": list(made.notes)}
            audit.record(session, actor, "asset.convert", "asset", asset.public_id, **told)
        fail_point("before_commit")
    fail_point("after_commit")


def _end(session: Session, conversion_id: int, state: str, reason: str = "") -> bool:
    """False where somebody else was first."""
    row = session.get(Conversion, conversion_id, with_for_update=True)
    if row is None or row.state != "waiting":
        return False
    row.state, row.reason, row.ended_at = state, reason, clock.now()
    session.flush()
    return True


def _draft(
    session: Session,
    actor: Actor,
    asset_type: AssetType,
    made: Converted,
    text: str,
    rendered: Rendered,
    kept: Sequence[Kept],
) -> Asset:
    owners = frozenset({actor.user_id}) if actor.user_id is not None else frozenset[int]()
    asset = service.create(session, actor, None, service.Attributes(type=asset_type, owner_ids=owners))
    language = importing.guess_language(text)
    title = made.title[: service.MAX_TITLE_LENGTH] or kept[0].filename
    draft = service.put_draft(
        session, actor, asset, Wording(title, text, language, DEFAULT_HANDLING[asset_type]), rendered
    )
    for one in kept[: filestore.MOST_ATTACHMENTS]:
        filestore.add_to(session, draft, one)
    draft.digest = service.digest(service.wording_of(draft), service.files_of(session, draft))
    session.flush()
    return asset
