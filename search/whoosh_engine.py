# mypy: disable-error-code="no-untyped-call"
"""The embedded engine: a folder of Whoosh files, read into memory as one snapshot per commit.

Whoosh keeps the words; everything a search needs beyond its posting lists (who is visible, scores,
facets) is numpy on arrays. Whoosh's files are not trusted: every commit writes their checksums before
it becomes visible, files are read whole and checked before anything unpickles them (a memory map of
a file that shrinks would kill the process), and any exception on the way means IndexDamaged.

    root/current          name of the active folder, replaced atomically
    root/writer.lock      one writer over all processes
    root/<version>-<id>/  one Whoosh index and its checksums
"""

import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from threading import Lock, RLock
from typing import Any, Final, cast
from uuid import uuid4

import filelock
import numpy as np
from numpy.typing import NDArray
from whoosh.analysis.tokenizers import IDTokenizer
from whoosh.codec.whoosh3 import W3Codec, W3LeafMatcher, W3Segment
from whoosh.columns import VarBytesColumn
from whoosh.fields import COLUMN, TEXT, Schema
from whoosh.filedb.filestore import FileStorage
from whoosh.filedb.structfile import BufferFile, StructFile
from whoosh.index import TOC, FileIndex
from whoosh.reading import SegmentReader, TermNotFound
from whoosh.writing import SegmentWriter

from search import analysis, bm25
from search.analysis import Term
from search.bm25 import BOOSTS, K1, LEAST_OF_BEST, LEAST_SHARE, NORMS
from search.engine import (
    Entry,
    FacetTable,
    Fields,
    IndexBusy,
    IndexDamaged,
    IndexMissing,
    IntArray,
    Matches,
    Visible,
    ids_alone,
    places_in,
)

FORMAT: Final = f"v1a{analysis.VERSION}"
"""Begins the folder's name: a folder of another version counts as missing and is rebuilt."""

MOST_CACHED: Final = 3_000_000
"""Postings kept decoded per segment, and scored per snapshot (12 bytes each)."""
MOST_DEAD: Final = 1_000
"""More replaced or removed assets than this, and than living ones, and the next commit rewrites all segments."""
WRITE_MEMORY: Final = 512
"""Megabytes by Whoosh's own count before a commit spills to disk, which makes it three times as slow."""

LOOKS: Final = 20
"""How often to look again when a writer changes the files under our eyes."""

_NAME: Final = "MAIN"


def _words() -> TEXT:
    field = TEXT(analyzer=IDTokenizer(), phrase=False)
    field.scorable = False  # lengths are on the card; without Whoosh's own, writing is a fifth faster
    return field


_SCHEMA: Final = Schema(title=_words(), tags=_words(), body=_words(), card=COLUMN(VarBytesColumn()))
_TOC_FILE: Final = re.compile(rf"_{_NAME}_(\d+)\.toc")
_FOLDER: Final = re.compile(r"v\w+-[0-9a-f]{32}")
_CARD: Final = struct.Struct("<qIIIH")

Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
Postings = tuple[IntArray, Float32Array]
Sum = list[int]
Names = list[str]


def _go_on(_point: str) -> None:
    """The fail point of daily life."""


class WhooshEngine:
    """Engine over a folder on a local disk; many threads and processes read, one at a time writes."""

    takes_rules = False

    def __init__(
        self,
        root: Path,
        *,
        lock_timeout: float = 10.0,
        fail_point: Callable[[str], None] = _go_on,
    ) -> None:
        self._root = Path(root)
        self._lock_timeout = lock_timeout
        self._lock = self._new_lock()
        self._fail_point = fail_point
        self._opening = RLock()
        self._snapshot: _Snapshot | None = None

    # Writing

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Holds the writer lock; raises IndexBusy when it is not had in time."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._lock_owner != os.getpid():  # a lock cannot be taken along into a forked process
            self._lock = self._new_lock()
        try:
            self._lock.acquire(poll_interval=0.02)
        except filelock.Timeout:
            raise IndexBusy("another writer holds the search index") from None
        try:
            yield
        finally:
            self._lock.release()

    def _new_lock(self) -> filelock.BaseFileLock:
        self._lock_owner = os.getpid()
        return filelock.FileLock(self._root / "writer.lock", timeout=self._lock_timeout, mode=0o600)

    def upsert(self, entries: Iterable[Entry]) -> None:
        self.apply(entries, ())

    def remove(self, asset_ids: Iterable[int]) -> None:
        self.apply((), asset_ids)

    def apply(self, upserts: Iterable[Entry], removals: Iterable[int]) -> None:
        """Both in one commit; an id in both is removed."""
        gone = set(removals)
        wanted = {entry.asset_id: entry for entry in upserts if entry.asset_id not in gone}
        if not gone and not wanted:
            return
        with self.exclusive():
            snapshot = self._current()
            old = snapshot.documents_of(np.array(sorted(gone | wanted.keys()), np.int64))
            if not len(old) and not wanted:
                return
            dead = snapshot.dead + len(old)
            self._write(snapshot.folder, wanted.values(), old, compact=dead > max(MOST_DEAD, snapshot.count))

    def rebuild(self, entries: Iterable[Entry]) -> None:
        """Fills a new folder and swaps the pointer; searches go on with the old one until then."""
        with self.exclusive():
            self._sweep()
            folder = self._root / f"{FORMAT}-{uuid4().hex}"
            try:
                folder.mkdir(mode=0o700)
                with _damage_told(writing=True):
                    TOC.create(_CheckedStorage(folder, self._fail_point), _SCHEMA, _NAME)
                self._write(folder, entries, ())
                self._fail_point("before_swap")
                self._point_at(folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            self._fail_point("after_swap")
            self._sweep()

    def _write(
        self, folder: Path, entries: Iterable[Entry], old: Sequence[int] | IntArray, *, compact: bool = False
    ) -> None:
        storage = _CheckedStorage(folder, self._fail_point)
        with _damage_told(writing=True):
            # Whoosh's own lock file would outlive a killed process; ours is held already.
            writer = SegmentWriter(FileIndex(storage, _SCHEMA, _NAME), _lk=False, codec=_Codec(), limitmb=WRITE_MEMORY)
        try:
            with _damage_told(writing=True):
                for number in old:
                    writer.delete_document(int(number))
            written: set[int] = set()
            for entry in entries:
                if entry.asset_id in written:
                    raise ValueError(f"asset {entry.asset_id} is given twice")
                written.add(entry.asset_id)
                document = _document(entry)
                with _damage_told(writing=True):
                    writer.add_document(**document)
            self._fail_point("before_commit")
            with _damage_told(writing=True):
                writer.commit(optimize=compact)
        except BaseException:
            _abandon(writer)
            raise
        self._fail_point("after_commit")
        storage.sweep()

    def _point_at(self, folder: Path) -> None:
        beside = self._root / "current.new"
        beside.write_text(folder.name, encoding="ascii")
        beside.replace(self._root / "current")

    def _sweep(self) -> None:
        """Removes all folders but the active one: readers hold theirs in memory and follow the pointer."""
        try:
            active = (self._root / "current").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            active = ""
        for path in self._root.iterdir():
            if path.name != active and _FOLDER.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)

    # Reading

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def lexical(self, terms: Sequence[Term], visible: Visible, *, fields: Fields = Fields.ALL) -> Matches:
        with self._reading() as snapshot:
            return snapshot.search(terms, ids_alone(visible), fields)

    def facets_of(self, asset_ids: IntArray) -> FacetTable:
        with self._reading() as snapshot:
            return snapshot.facets_of(np.asarray(asset_ids, np.int64))

    def probe(self) -> None:
        with self._reading():
            pass

    def all_ids(self) -> IntArray:
        with self._reading() as snapshot:
            return snapshot.sorted_ids.copy()

    def fingerprints(self) -> dict[int, str]:
        with self._reading() as snapshot:
            return snapshot.fingerprints()

    def verify(self) -> None:
        """Reads every file from disk again; raises IndexDamaged where one is not what was written."""
        self.close()
        with self._reading():
            pass

    def close(self) -> None:
        with self._opening:
            self._snapshot = None

    @contextmanager
    def _reading(self) -> Iterator["_Snapshot"]:
        try:
            with _damage_told():
                yield self._current()
        except IndexDamaged:
            self.close()
            raise

    def _current(self) -> "_Snapshot":
        """The snapshot of the newest commit, kept until a newer one is seen."""
        snapshot = self._snapshot
        stamp = self._stamp()
        if snapshot is not None and snapshot.stamp == stamp:
            return snapshot
        with self._opening:
            for _ in range(LOOKS):
                stamp = self._stamp()
                snapshot = self._snapshot
                if snapshot is not None and snapshot.stamp == stamp:
                    return snapshot
                try:
                    with _damage_told():
                        self._snapshot = _Snapshot.load(self._root / stamp[0], stamp, snapshot)
                    return self._snapshot
                except IndexDamaged:
                    # A writer may have swept the files we were about to read: then there is a newer commit.
                    if self._stamp() == stamp:
                        raise
        raise IndexDamaged("the search index changes faster than it can be read")

    def _stamp(self) -> tuple[str, int]:
        """The active folder and its newest commit; cheap enough to ask at every search."""
        for _ in range(LOOKS):
            name = self._active()
            try:
                found = [int(m.group(1)) for m in map(_TOC_FILE.fullmatch, _names(self._root / name)) if m]
            except (FileNotFoundError, NotADirectoryError):
                if self._active() == name:
                    raise IndexMissing("the search index was deleted") from None
                continue  # swapped and swept between the two looks
            except OSError as error:
                raise IndexDamaged(f"the search index cannot be listed: {error}") from error
            if found:
                return name, max(found)
            # Nothing found may also mean that a commit or a sweep went on while the folder was listed.
        raise IndexDamaged("the search index has lost its table of contents")

    def _active(self) -> str:
        try:
            name = (self._root / "current").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise IndexMissing("there is no search index yet") from None
        except (OSError, UnicodeDecodeError) as error:
            raise IndexDamaged(f"the pointer to the search index cannot be read: {error}") from error
        if not _FOLDER.fullmatch(name):
            raise IndexDamaged("the pointer to the search index makes no sense")
        if not name.startswith(f"{FORMAT}-"):
            raise IndexMissing("the search index was built by another version")
        return name


@contextmanager
def _damage_told(*, writing: bool = False) -> Iterator[None]:
    """Whatever Whoosh raises on bad files becomes IndexDamaged; a disk that cannot be written stays OSError."""
    try:
        yield
    except (IndexDamaged, IndexBusy, MemoryError):
        raise
    except Exception as error:
        gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        if writing and isinstance(error, OSError) and not gone:
            raise
        raise IndexDamaged(f"the search index cannot be read: {error!r}") from error


def _abandon(writer: SegmentWriter) -> None:
    """Leaves nothing open or locked behind; the first error is on its way up already."""
    for close in (writer.cancel, writer.perdocwriter.close, writer.fieldwriter.close):
        with suppress(Exception):
            close()


def _names(folder: Path) -> Names:
    return [path.name for path in folder.iterdir()]


def _document(entry: Entry) -> dict[str, Any]:
    found = {
        "title": analysis.tokens(entry.title),
        "tags": analysis.tokens(entry.tags),
        "body": analysis.tokens(entry.body),
    }
    fingerprint = entry.fingerprint.encode()
    lengths = (len(words) for words in found.values())
    card = _CARD.pack(entry.asset_id, *lengths, len(fingerprint)) + fingerprint
    return {
        "card": card + np.array(entry.facets, "<i4").tobytes(),
        **{field: words for field, words in found.items() if words},
    }


class _Codec(W3Codec):
    """Names segments by uuid: Whoosh draws from `random`, which repeats itself in forked processes."""

    def new_segment(self, storage: FileStorage, indexname: str) -> W3Segment:  # noqa: ARG002 - Whoosh's signature
        return W3Segment(self, indexname, segid=uuid4().hex)


class _CheckedStorage(FileStorage):
    """Reads whole files and checks them against the sums their commit wrote."""

    def __init__(self, folder: Path, fail_point: Callable[[str], None] = _go_on) -> None:
        super().__init__(str(folder), supports_mmap=False)
        self._fail_point = fail_point
        self._sums: dict[str, Sum] = {}

    def list(self) -> Names:
        return _names(Path(self.folder))  # Whoosh's own hides errors

    def open_file(self, name: str, **kwargs: Any) -> StructFile:
        if not name.endswith((".toc", ".seg")):
            return cast(StructFile, super().open_file(name, **kwargs))  # parts of a segment that is being written
        if toc := _TOC_FILE.fullmatch(name):
            self._sums = self._read_sums(int(toc.group(1)))
        content = Path(self.folder, name).read_bytes()
        if self._sums.get(name) != [len(content), zlib.crc32(content)]:
            raise IndexDamaged(f"{name} is not what was written")
        return BufferFile(content, name=name)

    def rename_file(self, oldname: str, newname: str, safe: bool = False) -> None:
        """The moment of commit: the sums are there before the table of contents is."""
        if toc := _TOC_FILE.fullmatch(newname):
            self._write_sums(int(toc.group(1)), oldname, newname)
            self._fail_point("in_commit")
        super().rename_file(oldname, newname, safe)

    def sweep(self) -> None:
        """Removes what killed writers left and the sums of earlier commits."""
        newest = max(int(m.group(1)) for m in map(_TOC_FILE.fullmatch, self.list()) if m)
        for name in self.list():
            if name in (f"sums_{newest}.json", f"_{_NAME}_{newest}.toc"):
                continue
            path = Path(self.folder, name)
            if name.startswith(("sums_", f"_{_NAME}_")):
                path.unlink(missing_ok=True)
            elif path.is_dir():
                shutil.rmtree(path, ignore_errors=True)

    def _read_sums(self, generation: int) -> dict[str, Sum]:
        sums = json.loads(Path(self.folder, f"sums_{generation}.json").read_bytes())
        if not isinstance(sums, dict):
            raise IndexDamaged("the checksums of the search index make no sense")
        return sums

    def _write_sums(self, generation: int, toc: str, toc_name: str) -> None:
        sums = {name: self._sums.get(name) or self._sum(name) for name in self.list() if name.endswith(".seg")}
        sums[toc_name] = self._sum(toc)
        Path(self.folder, f"sums_{generation}.json").write_text(json.dumps(sums), encoding="ascii")

    def _sum(self, name: str) -> Sum:
        content = Path(self.folder, name).read_bytes()
        return [len(content), zlib.crc32(content)]


class _Part:
    """One immutable segment: its cards as arrays, its posting lists decoded as they are asked for."""

    def __init__(self, storage: FileStorage, segment: Any) -> None:
        self._reader = SegmentReader(storage, _SCHEMA, segment)
        self._reading = Lock()  # the readers of one segment share their place in its file
        self._postings: dict[tuple[str, str], Postings | None] = {}
        self._cached = 0
        cards = list(self._reader.column_reader("card"))
        if len(cards) != segment.doc_count_all():
            raise IndexDamaged("a segment has lost documents")
        heads = [_CARD.unpack_from(card) for card in cards]
        table = np.array(heads, np.int64).reshape(-1, 5)
        self.asset_ids: IntArray = table[:, 0].copy()
        self.lengths = {field: table[:, i].astype(np.float32) for i, field in enumerate(BOOSTS, start=1)}
        tails = [card[_CARD.size :] for card in cards]
        self.fingerprints = [tail[: head[4]].decode() for head, tail in zip(heads, tails, strict=True)]
        codes = [tail[head[4] :] for head, tail in zip(heads, tails, strict=True)]
        self.facet_counts: IntArray = np.array([len(code) // 4 for code in codes], np.int64)
        self.facet_codes: IntArray = np.frombuffer(b"".join(codes), "<i4").astype(np.int64)

    def __len__(self) -> int:
        return len(self.asset_ids)

    def postings(self, field: str, token: str) -> Postings | None:
        """Document numbers within the segment and frequencies, or None for an unknown token."""
        key = (field, token)
        with self._reading:
            if key not in self._postings:
                found = self._read(field, token)
                self._cached += len(found[0]) if found else 1
                if self._cached > MOST_CACHED:
                    self._postings.clear()
                    self._cached = 0
                self._postings[key] = found
            return self._postings[key]

    def _read(self, field: str, token: str) -> Postings | None:
        try:
            matcher = self._reader.postings(field, token)
        except TermNotFound:
            return None
        numbers: list[int] = []
        weights: list[float] = []
        while matcher.is_active():
            if isinstance(matcher, W3LeafMatcher):  # a block at a time: ten times as fast as one by one
                matcher._read_ids()
                matcher._read_weights()
                numbers.extend(cast(Iterable[int], matcher._ids))
                weights.extend(cast(Iterable[float], matcher._weights))
                matcher._next_block()
            else:
                numbers.append(matcher.id())
                weights.append(matcher.weight())
                matcher.next()
        return np.array(numbers, np.int64), np.array(weights, np.float32)


@dataclass(frozen=True, slots=True)
class _Impact:
    """Where a token occurs among the live documents, and how much (BM25F, 0..k1 + 1)."""

    documents: IntArray
    strength: Float32Array
    headed: IntArray  # documents that hold it in title or tags


_NOWHERE: Final = _Impact(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64))


class _Snapshot:
    """The index as of one commit, wholly in memory and never changed."""

    def __init__(self, folder: Path, stamp: tuple[str, int], parts: list[_Part], segments: list[Any]) -> None:
        self.folder = folder
        self.stamp = stamp
        self.parts = {segment.segment_id(): part for segment, part in zip(segments, parts, strict=True)}
        self._parts = parts
        self._bases = np.cumsum([0, *(len(part) for part in parts)])
        self._ids = np.concatenate([np.zeros(0, np.int64), *(part.asset_ids for part in parts)])
        self._live = np.ones(len(self._ids), np.bool_)
        for base, segment in zip(self._bases, segments, strict=False):
            for number in segment.deleted_docs():
                self._live[base + number] = False
        self.count = int(self._live.sum())
        self.dead = len(self._live) - self.count
        live = np.flatnonzero(self._live)
        self._by_id = live[np.argsort(self._ids[live], kind="stable")]
        self.sorted_ids: IntArray = self._ids[self._by_id]
        if len(np.unique(self.sorted_ids)) != len(self.sorted_ids):
            raise IndexDamaged("an asset is in the search index twice")
        self._norms = {field: self._norm(field) for field in BOOSTS}
        counts = np.concatenate([np.zeros(0, np.int64), *(part.facet_counts for part in parts)])
        self._facet_ends = np.cumsum(counts)
        self._facet_counts = counts
        self._facet_codes = np.concatenate([np.zeros(0, np.int64), *(part.facet_codes for part in parts)])
        self._impacts: dict[tuple[tuple[str, ...], Fields], _Impact] = {}
        self._cached = 0
        self._caching = Lock()

    @classmethod
    def load(cls, folder: Path, stamp: tuple[str, int], before: "_Snapshot | None") -> "_Snapshot":
        """Reads a commit; segments that the snapshot before had are taken over."""
        storage = _CheckedStorage(folder)
        toc = TOC.read(storage, _NAME, gen=stamp[1], schema=_SCHEMA)
        known = before.parts if before is not None and before.folder == folder else {}
        parts = [known.get(segment.segment_id()) or _Part(storage, segment) for segment in toc.segments]
        return cls(folder, stamp, parts, toc.segments)

    def _norm(self, field: str) -> Float32Array:
        lengths = np.concatenate([np.zeros(0, np.float32), *(part.lengths[field] for part in self._parts)])
        mean = float(lengths[self._live].mean()) if self.count else 0.0
        b = NORMS[field]
        return (1 - b + b * lengths / max(mean, 1.0)).astype(np.float32)

    def documents_of(self, asset_ids: IntArray) -> IntArray:
        """Document numbers of those assets that are in the index."""
        places, found = places_in(self.sorted_ids, asset_ids)
        return self._by_id[places[found]]

    def fingerprints(self) -> dict[int, str]:
        every = [fingerprint for part in self._parts for fingerprint in part.fingerprints]
        return {int(self._ids[number]): every[number] for number in self._by_id}

    def facets_of(self, asset_ids: IntArray) -> FacetTable:
        places, found = places_in(self.sorted_ids, asset_ids)
        rows = np.flatnonzero(found)
        documents = self._by_id[places[found]]
        counts = self._facet_counts[documents]
        starts = self._facet_ends[documents] - counts
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return FacetTable(np.repeat(rows, counts), self._facet_codes[np.repeat(starts, counts) + within])

    def search(self, terms: Sequence[Term], visible: IntArray, fields: Fields) -> Matches:
        seen = np.zeros(len(self._ids), np.bool_)
        seen[self.documents_of(visible)] = True
        weighed = self._weighed(terms, fields, seen)
        total = sum(weight for weight, _ in weighed)
        if not len(visible) or total <= 0:
            return Matches.none()
        scores = np.zeros(len(self._ids))
        share = np.zeros(len(self._ids))
        for weight, impact in weighed:
            scores[impact.documents] += weight * impact.strength
            share[impact.documents] += weight / total
        hits = np.flatnonzero(seen & (share >= LEAST_SHARE))
        if not len(hits):
            return Matches.none()
        hits = hits[share[hits] >= LEAST_OF_BEST * share[hits].max()]
        headed = np.zeros(len(self._ids))
        for weight, impact in weighed:
            headed[impact.headed] += weight / total
        order = hits[np.lexsort((self._ids[hits], -scores[hits]))]
        return Matches(
            asset_ids=self._ids[order],
            scores=scores[order],
            coverage=np.minimum(scores[order] / (total * (K1 + 1)), 1.0),
            share=np.minimum(share[order], 1.0),
            title_share=np.minimum(headed[order], 1.0),
        )

    def _weighed(self, terms: Sequence[Term], fields: Fields, seen: BoolArray) -> list[tuple[float, _Impact]]:
        """Each term's weight times its rarity among what is seen, or scores would tell the words of hidden texts; unknown words count as the rarest."""
        found = [self._impact(term.tokens, fields) for term in terms]
        held_by = [int(seen[impact.documents].sum()) for impact in found]
        return [(weight, found[place]) for place, weight in bm25.weights(terms, held_by, int(seen.sum()))]

    def _impact(self, tokens: tuple[str, ...], fields: Fields) -> _Impact:
        key = (tokens, fields)
        impact = self._impacts.get(key)
        if impact is None:
            impact = self._measure(tokens, fields)
            with self._caching:
                self._cached += len(impact.documents) + 1
                if self._cached > MOST_CACHED:
                    self._impacts = {}
                    self._cached = 0
                self._impacts[key] = impact
        return impact

    def _measure(self, tokens: tuple[str, ...], fields: Fields) -> _Impact:
        """Of tokens that mean the same, as if they were one."""
        searched = ("title", "tags") if fields is Fields.TITLE_TAGS else tuple(BOOSTS)
        frequency: Float32Array | None = None
        headed: list[IntArray] = []
        for base, part in zip(self._bases, self._parts, strict=False):
            for field, token in product(searched, tokens):
                postings = part.postings(field, token)
                if postings is None:
                    continue
                if frequency is None:
                    frequency = np.zeros(len(self._ids), np.float32)
                documents = postings[0] + base
                frequency[documents] += BOOSTS[field] * postings[1] / self._norms[field][documents]
                if field != "body":
                    headed.append(documents)
        if frequency is None:
            return _NOWHERE
        frequency[~self._live] = 0
        documents = np.flatnonzero(frequency)
        strength = frequency[documents] * (K1 + 1) / (frequency[documents] + K1)
        heads = np.unique(np.concatenate([np.zeros(0, np.int64), *headed]))
        return _Impact(documents, strength.astype(np.float32), heads[self._live[heads]])
