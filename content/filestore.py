"""Where the bytes of files lie: once by their hash, outside the web root; and the rows that know of them."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Final

from sqlalchemy import CompoundSelect, delete, select, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from content import convert, file_kinds
from content.convert import CannotConvert, Converted
from content.file_kinds import ENDINGS, IMAGES, KIND_OF, MEDIA_TYPES, READABLE, FileKind
from content.models import Attachment, Conversion, FilePage, StoredFile, Version
from kb import clock, outbox
from kb.config import Settings
from kb.db import Database, is_postgresql
from kb.errors import N_, Conflict, Invalid, NotFound, TooLarge
from kb.outbox import WishKind

CHUNK: Final = 1 << 20
MOST_ATTACHMENTS: Final = 60
LONGEST_NAME: Final = 200
SEARCHED: Final = 200_000
"""Characters of a version's files that search takes."""
KEPT_UNUSED: Final = timedelta(days=1)
SHA256: Final = re.compile(r"[0-9a-f]{64}")
PARTIAL: Final = ".partial"
_SPLIT_NAME: Final = re.compile(r"[/\\]")

FailPoint = Callable[[str], None]


def go_on(_point: str) -> None:
    """The fail point of daily life."""


class TooMany(Conflict):
    code, message = "too_many_files", N_("A version holds at most 60 files. Remove some, or link to them.")


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that lies in the store, and may not have a row yet."""

    sha256: str
    kind: FileKind
    size: int
    filename: str

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.kind]


def path_of(root: Path, sha256: str) -> Path:
    """Where the bytes of that hash lie."""
    if not SHA256.fullmatch(sha256):
        raise NotFound()
    return root / sha256[:2] / sha256


def clean_name(raw: str, kind: FileKind) -> str:
    """A file's name without folders, control signs or what reorders text, with an ending that tells the truth."""
    last = _SPLIT_NAME.split(unicodedata.normalize("NFC", raw))[-1]
    shown = "".join(sign for sign in last if sign.isprintable() and unicodedata.category(sign) not in {"Cf", "Cs"})
    stem = shown.strip(" .")[:LONGEST_NAME] or "file"
    known = {ENDINGS[kind], ".jpeg"} if kind is FileKind.JPEG else {ENDINGS[kind]}
    dot = stem.rfind(".")
    if dot > 0 and stem[dot:].lower() in known:
        return stem
    return f"{stem[:dot] if dot > 0 and stem[dot:].lower() in _ALL_ENDINGS else stem}{ENDINGS[kind]}"


_ALL_ENDINGS: Final = frozenset({*ENDINGS.values(), ".jpeg", ".htm"})


def plain_name(filename: str) -> str:
    """A name for an address in Markdown: no sign that would end it."""
    return re.sub(r"[^\w.\-]+", "-", filename).strip("-") or "file"


def keep(settings: Settings, stream: IO[bytes], filename: str, fail_point: FailPoint = go_on) -> Kept:
    """Put an upload into the store, outside any transaction; pictures are encoded anew. Raises Refused or TooLarge."""
    root = settings.files_dir
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = root / f"{secrets.token_hex(12)}{PARTIAL}"
    try:
        _receive(stream, partial, settings.max_upload_mb)
        fail_point("received")
        kind = file_kinds.recognise(partial, filename)
        if kind in IMAGES:
            kind = _encode(partial, kind)
        sha256, size = _sum(partial)
        fail_point("recognised")
        _place(root, partial, sha256)
        fail_point("placed")
    finally:
        partial.unlink(missing_ok=True)
    return Kept(sha256, kind, size, clean_name(filename, kind))


def keep_bytes(settings: Settings, data: bytes, kind: FileKind, filename: str) -> Kept:
    """Put bytes of our own making into the store."""
    root = settings.files_dir
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = root / f"{secrets.token_hex(12)}{PARTIAL}"
    try:
        _write(partial, data)
        sha256, size = _sum(partial)
        _place(root, partial, sha256)
    finally:
        partial.unlink(missing_ok=True)
    return Kept(sha256, kind, size, clean_name(filename, kind))


def with_pictures(settings: Settings, made: Converted, filename: str) -> tuple[str, list[Kept]]:
    """The text with the addresses of its pictures, which lie in the store then."""
    text, found = made.markdown, []
    stem = filename.rsplit(".", 1)[0]
    for picture in made.pictures:
        kind = KIND_OF[picture.media_type]
        kept = keep_bytes(settings, picture.data, kind, f"{stem}-{picture.number}{ENDINGS[kind]}")
        address = f"/attachments/{kept.sha256}/{plain_name(kept.filename)}"
        text = text.replace(f"](picture:{picture.number})", f"]({address})")
        found.append(kept)
    return text, found


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(data)


def _receive(stream: IO[bytes], partial: Path, most_mb: int) -> None:
    size = 0
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > most_mb << 20:
                raise TooLarge(
                    N_("The file is larger than this service takes. Save it with smaller pictures, or split it.")
                )
            file.write(chunk)


def _encode(partial: Path, kind: FileKind) -> FileKind:
    try:
        data, media_type, _, _ = convert.clean_picture(partial, kind)
    except CannotConvert as reason:
        raise Invalid(convert.MESSAGES[reason.reason], code=reason.reason.value) from None
    partial.unlink()
    _write(partial, data)
    return KIND_OF[media_type]


def _sum(path: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _place(root: Path, partial: Path, sha256: str) -> None:
    """Whole and on the disk before anything names it."""
    target = path_of(root, sha256)
    target.parent.mkdir(exist_ok=True, mode=0o700)
    if target.exists() and not target.is_symlink():
        os.utime(target)  # it is wanted again: the sweep leaves it alone
        return
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    for folder in (target.parent, root):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def open_path(settings: Settings, sha256: str) -> Path:
    """The file of that hash; NotFound where it is gone, or is none of ours."""
    path = path_of(settings.files_dir, sha256)
    if path.is_symlink() or not path.is_file() or not path.resolve().is_relative_to(settings.files_dir.resolve()):
        raise NotFound()
    return path


def store(session: Session, kept: Kept) -> StoredFile:
    """The row of a file in the store, with a wish to read its text where it has one."""
    insert = (postgresql if is_postgresql(session) else sqlite).insert
    values = {
        "sha256": kept.sha256,
        "media_type": kept.media_type,
        "size": kept.size,
        "state": "waiting" if kept.kind in READABLE else "none",
        "reason": "",
        "created_at": clock.now(),
    }
    made = session.execute(insert(StoredFile).values(values).on_conflict_do_nothing().returning(StoredFile.id)).first()
    row = session.scalars(select(StoredFile).where(StoredFile.sha256 == kept.sha256)).one()
    if made is not None and row.state == "waiting":
        outbox.add(session, WishKind.READ_FILE, row.id)
    return row


def add_to(session: Session, draft: Version, kept: Kept) -> Attachment:
    """The same file under the same name is there once."""
    store(session, kept)
    rows = session.scalars(
        select(Attachment).where(Attachment.version_id == draft.id).order_by(Attachment.position)
    ).all()
    same = next((row for row in rows if (row.sha256, row.filename) == (kept.sha256, kept.filename)), None)
    if same is not None:
        return same
    if len(rows) >= MOST_ATTACHMENTS:
        raise TooMany()
    row = Attachment(
        version_id=draft.id,
        position=rows[-1].position + 1 if rows else 1,
        filename=kept.filename,
        media_type=kept.media_type,
        size=kept.size,
        sha256=kept.sha256,
    )
    session.add(row)
    session.flush()
    return row


def set_files(session: Session, draft: Version, wanted: Iterable[Kept]) -> None:
    """Bring a draft to exactly these files."""
    kept = list(wanted)[:MOST_ATTACHMENTS]
    named = {(one.sha256, one.filename) for one in kept}
    for row in session.scalars(select(Attachment).where(Attachment.version_id == draft.id)).all():
        if (row.sha256, row.filename) not in named:
            session.delete(row)
    session.flush()
    for one in kept:
        add_to(session, draft, one)


@dataclass(frozen=True, slots=True)
class PageText:
    """What stands on one page of a file that belongs to a version."""

    attachment_id: str
    filename: str
    number: int
    title: str
    text: str

    @property
    def anchor(self) -> str:
        return f"file-{self.attachment_id}-p{self.number}"

    @property
    def heading(self) -> str:
        return f"{self.filename} · {self.title}" if self.title else self.filename


def texts_of(session: Session, version_ids: Iterable[int]) -> Mapping[int, Sequence[PageText]]:
    """The pages of the files of versions, as much of each version as search takes, in one query."""
    rows = session.execute(
        select(
            Attachment.version_id,
            Attachment.public_id,
            Attachment.filename,
            FilePage.number,
            FilePage.title,
            FilePage.text,
        )
        .join(StoredFile, StoredFile.sha256 == Attachment.sha256)
        .join(FilePage, FilePage.file_id == StoredFile.id)
        .where(Attachment.version_id.in_(list(version_ids)))
        .order_by(Attachment.version_id, Attachment.position, FilePage.number)
    )
    found: dict[int, list[PageText]] = {}
    room: dict[int, int] = {}
    for row in rows:
        left = room.setdefault(row.version_id, SEARCHED)
        if left > 0 and row.text:
            page = PageText(row.public_id, row.filename, row.number, row.title, row.text[:left])
            found.setdefault(row.version_id, []).append(page)
            room[row.version_id] = left - len(page.text)
    return found


@dataclass(frozen=True, slots=True)
class StoreState:
    """What the store and its rows say of each other."""

    files: int
    orphans: tuple[str, ...]
    missing: tuple[str, ...]
    partials: int


def examine(session: Session, settings: Settings) -> StoreState:
    """Files without a row, rows without their file, and what was never finished."""
    known = set(session.scalars(select(StoredFile.sha256)))
    there = {path.name for path in _stored(settings.files_dir)}
    partials = sum(1 for _ in settings.files_dir.glob(f"*{PARTIAL}")) if settings.files_dir.exists() else 0
    return StoreState(len(there), tuple(sorted(there - known)), tuple(sorted(known - there)), partials)


def _stored(root: Path) -> Iterable[Path]:
    if not root.exists():
        return
    for path in root.glob("??/*"):
        if SHA256.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            yield path


def sweep(database: Database, settings: Settings) -> Callable[[], None]:
    """Once an hour: what nothing names any more, and is older than a day, goes."""
    looked_at: datetime | None = None

    def tidy() -> None:
        nonlocal looked_at
        now = clock.now()
        if looked_at is not None and now - looked_at < timedelta(hours=1):
            return
        looked_at = now
        clear(database, settings)

    return tidy


class _Uses:
    """Other places than attachments that name stored files by their hash."""

    columns: tuple[InstrumentedAttribute[str | None], ...] = ()


def set_uses(*columns: InstrumentedAttribute[str | None]) -> None:
    """Say which columns of other areas keep stored files from being tidied away."""
    _Uses.columns = columns


def clear(database: Database, settings: Settings) -> int:
    """Remove files and rows that nothing names and that are older than a day; answers how many files went."""
    before = clock.now() - KEPT_UNUSED
    with database.writing() as session:
        used: CompoundSelect[str] = union_all(
            select(Attachment.sha256), *(select(column).where(column.is_not(None)) for column in _Uses.columns)
        )
        converting = select(Conversion.file_id)
        for row in session.scalars(
            select(StoredFile).where(
                StoredFile.sha256.not_in(used), StoredFile.id.not_in(converting), StoredFile.created_at < before
            )
        ):
            session.execute(delete(FilePage).where(FilePage.file_id == row.id))
            session.delete(row)
    with database.reading() as session:
        known = set(session.scalars(select(StoredFile.sha256)))
    gone = 0
    partials = settings.files_dir.glob(f"*{PARTIAL}") if settings.files_dir.exists() else ()
    for path in (*partials, *(path for path in _stored(settings.files_dir) if path.name not in known)):
        with contextlib.suppress(FileNotFoundError):
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                path.unlink()
                gone += 1
    return gone


def copy_to(settings: Settings, sha256: str, target: Path) -> None:
    """The bytes of a stored file at another place, for exports."""
    shutil.copyfile(open_path(settings, sha256), target)
