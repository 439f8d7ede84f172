"""The file a backup is: a zip whose manifest names every member with its size and SHA-256.

Reading trusts nothing: names, sizes and sums are checked before a byte is written anywhere.
"""

import hashlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kb.errors import Invalid

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "database.sqlite3"
SECRET: Final = "secret.key"  # noqa: S105  # the name of the file
FILES: Final = "files/"
TABLES: Final = "tables/"
CHUNK: Final = 1 << 20
MAX_MANIFEST_BYTES: Final = 64 << 20
MAX_RATIO: Final = 200
"""How many times larger than the file its contents may be; deflate alone can reach 1,032 on a bomb."""
ALWAYS_ALLOWED: Final = 64 << 20
MODE: Final = 0o600 << 16
_UNREADABLE: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError,
)  # fmt: skip

Progress = Callable[[int, int], None]
"""Told of bytes done, and of how many."""


class Damaged(Invalid):
    """The file is no backup, or not the one that was written."""

    code = "backup_damaged"


class FromNewerRelease(Invalid):
    """The backup holds what this release does not know."""

    code = "backup_too_new"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Member(_Part):
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Numbering(_Part):
    """Where the numbering of a PostgreSQL table stands."""

    table: str
    column: str
    last: int


class State(_Part):
    """What the database held at the moment of the copy."""

    revision: str
    counts: Mapping[str, int]
    audit_entries: int
    audit_head: str
    columns: Mapping[str, tuple[str, ...]] = {}
    sequences: tuple[Numbering, ...] = ()


class Manifest(_Part):
    format: int
    release: str
    taken_at: str
    database: str = Field(pattern="^(sqlite|postgresql)$")
    state: State
    members: Mapping[str, Member]


def release() -> str:
    """The version of this program."""
    return metadata.version("yunshu-kb")


def is_newer(one: str, other: str) -> bool:
    return _numbers(one) > _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("+")[0].split(".") if part.isdecimal())


class Writer:
    """Fills a new archive, member by member, and sums what it writes."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED)
        path.chmod(0o600)
        self.members: dict[str, Member] = {}

    def add(self, name: str, chunks: Iterable[bytes | bytearray | memoryview]) -> None:
        """Write one member from its pieces."""
        digest, size = hashlib.sha256(), 0
        with self._zip.open(_entry(name), "w", force_zip64=True) as member:
            for chunk in chunks:
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self.members[name] = Member(size=size, sha256=digest.hexdigest())

    def add_file(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            self.add(name, iter(lambda: file.read(CHUNK), b""))

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, which makes the file a backup."""
        self._zip.writestr(_entry(MANIFEST), manifest.model_dump_json(indent=1))

    def close(self) -> None:
        self._zip.close()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, MODE
    return entry


class Reader:
    """An archive whose outside has been checked: names, sizes, manifest. Its sums are checked as it is read."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._zip = archive
        self._entries = _checked_entries(archive.infolist(), size)
        self.manifest = _manifest(archive, self._entries)
        if self._entries.keys() - {MANIFEST} != self.manifest.members.keys():
            raise Damaged("The backup holds other members than its manifest names: nothing was restored.")

    @property
    def size(self) -> int:
        """How many bytes it takes unpacked."""
        return sum(member.size for member in self.manifest.members.values())

    def verify(self, progress: Progress = lambda _done, _all: None) -> None:
        """Read everything and compare each sum, without writing anything."""
        done = 0
        for name in self.manifest.members:
            for chunk in self.chunks(name):
                done += len(chunk)
                progress(done, self.size)

    def chunks(self, name: str) -> Iterator[bytes]:
        """One member in pieces; raises Damaged at its end where it is not what was written."""
        told, digest, size = self.manifest.members[name], hashlib.sha256(), 0
        with _readable(name), self._zip.open(self._entries[name]) as member:
            while chunk := member.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > told.size:
                    break
                yield chunk
        if (size, digest.hexdigest()) != (told.size, told.sha256):
            raise Damaged(f"{name} in the backup is not what was written: its sum differs. Use another backup.")

    def unpack(self, name: str, path: Path) -> None:
        """Write one member to a new file of mode 600 that outlives a power cut."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("xb") as file:
            path.chmod(0o600)
            for chunk in self.chunks(name):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """The backup in this file; raises Damaged or FromNewerRelease with what to do."""
    if not path.is_file():
        raise Damaged(f"{path} is not a file.")
    with _readable(path.name):
        archive = zipfile.ZipFile(path)
    with archive:
        yield Reader(archive, path.stat().st_size)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except Damaged:
        raise
    except _UNREADABLE as error:
        raise Damaged(
            f"{name} is damaged or cut short ({error or type(error).__name__}). Use another backup."
        ) from None


def _checked_entries(entries: list[zipfile.ZipInfo], size: int) -> Mapping[str, zipfile.ZipInfo]:
    """The entries by name; raises Damaged for names that lead elsewhere, doubles, bombs and what we never write."""
    for entry in entries:
        if not is_safe(entry.orig_filename):
            raise Damaged(f"The backup names {entry.orig_filename[:80]!r}, which no backup does: nothing was restored.")
        if entry.flag_bits & 1 or entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise Damaged(f"{entry.filename} is packed as no backup is: nothing was restored.")
    by_name = {entry.filename: entry for entry in entries}
    if len(by_name) != len(entries):
        raise Damaged("The backup names a member twice: nothing was restored.")
    if sum(entry.compress_size for entry in entries) > size:
        raise Damaged("Members of the backup lie over each other: nothing was restored.")
    if sum(entry.file_size for entry in entries) > max(MAX_RATIO * size, ALWAYS_ALLOWED):
        raise Damaged(f"The backup would unpack to more than {MAX_RATIO} times its size: nothing was restored.")
    return by_name


def is_safe(name: str) -> bool:
    """Whether a member may have this name: one of ours, or a plain path below one of our two folders."""
    if name in {MANIFEST, DATABASE, SECRET}:
        return True
    parts = PurePosixPath(name).parts
    plain = all(part not in {"..", "."} for part in parts) and not any(sign in name for sign in "\\\x00")
    return plain and name.startswith((FILES, TABLES)) and len(parts) > 1 and "/".join(parts) == name


def _manifest(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> Manifest:
    entry = entries.get(MANIFEST)
    if entry is None or entry.file_size > MAX_MANIFEST_BYTES:
        raise Damaged("The file has no manifest: it is no backup of `kb backup`.")
    with _readable(MANIFEST):
        raw = archive.read(entry)
        _refuse_newer(json.loads(raw))
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise Damaged(f"The backup's manifest is not as `kb backup` writes it ({place}).") from None


def _refuse_newer(told: object) -> None:
    """Before anything else is read: a newer release may have put other things there."""
    if not isinstance(told, dict) or not isinstance(told.get("format"), int):
        raise Damaged("The backup's manifest is not as `kb backup` writes it (format).")
    made_by = str(told.get("release", ""))[:40]
    if told["format"] > FORMAT or is_newer(made_by, release()):
        raise FromNewerRelease(
            f"The backup was made by release {made_by}, this is {release()}: restore it with that release or a newer one."
        )
