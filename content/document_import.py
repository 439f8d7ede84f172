"""Documents in a bulk import: each file is one record, converted once and kept with its original."""

from pathlib import Path
from typing import Final

from sqlalchemy import select

from content import convert, filestore, service
from content.convert import CannotConvert
from content.file_kinds import CONVERTIBLE, FileKind
from content.kinds import AssetType
from content.models import Asset, Attachment, Version
from content.sources import DOCUMENTS, Failure, Record
from kb.config import Settings
from kb.db import Database
from kb.errors import KbError

GUESSED_TYPE: Final = {FileKind.PPTX: AssetType.DECK, FileKind.PDF: AssetType.WHITE_PAPER}


def is_document(path: Path) -> bool:
    return path.suffix.lower() in DOCUMENTS


def read(database: Database, settings: Settings, path: Path) -> Record | Failure | None:
    """The document as a record with its files in the store; None where it is here already, as it is."""
    try:
        with path.open("rb") as stream:
            kept = filestore.keep(settings, stream, path.name)
        if kept.kind not in CONVERTIBLE:
            return Failure(str(path), None, "not_convertible", "only docx, pptx, pdf and html become a text")
        if _is_here(database, path.stem, kept.sha256):
            return None
        made = convert.convert(filestore.open_path(settings, kept.sha256), kept.kind)
    except CannotConvert as cannot:
        return Failure(str(path), None, cannot.reason.value, convert.MESSAGES[cannot.reason])
    except KbError as refused:
        return Failure(str(path), None, refused.code, refused.text)
    except FileNotFoundError:
        return Failure(str(path), None, "not_found", "there is no such file or folder")
    except OSError as error:
        return Failure(str(path), None, "unreadable", error.strerror or "the file cannot be read")
    text, pictures = filestore.with_pictures(settings, made, path.name)
    kind = GUESSED_TYPE.get(kept.kind, AssetType.OTHER)
    fields = {"external_id": path.stem, "title": made.title or path.stem, "type": kind.value}
    return Record(str(path), 0, fields, text, (kept, *pictures))


def _is_here(database: Database, external_id: str, sha256: str) -> bool:
    """Whether the newest version of that asset came from these very bytes."""
    with database.reading() as session:
        asset = session.scalar(select(Asset).where(service.is_known_by(external_id)))
        if asset is None:
            return False
        newest = select(Version.id).where(Version.asset_id == asset.id).order_by(Version.number.desc()).limit(1)
        held = select(Attachment.id).where(
            Attachment.version_id == newest.scalar_subquery(), Attachment.sha256 == sha256
        )
        return session.scalar(held.limit(1)) is not None
