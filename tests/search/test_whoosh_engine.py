"""The embedded engine where disks and processes fail: damage, locks, kill -9, two processes."""

import errno
import gc
import os
import random
import shutil
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from search import whoosh_engine
from search.analysis import query_terms
from search.engine import Entry, IndexBusy, IndexDamaged, IndexMissing
from search.whoosh_engine import WhooshEngine

QUERIES = ("价格 停机", "pricing downtime", "filler 7", "word3 word11")
LIBRARY = [
    Entry(
        number,
        f"f{number}",
        f"价格 pricing {number}",
        f"停机 downtime filler word{number % 13} " * (1 + number % 5),
        "标签 · tag",
        (number % 3,),
    )
    for number in range(1, 180)
]
Answers = list[list[int]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An index of three commits: two segments and removed documents."""
    engine = WhooshEngine(tmp_path / "index")
    engine.rebuild(LIBRARY[:170])
    engine.apply(LIBRARY[170:], [3, 4])
    engine.upsert([LIBRARY[5]])
    return tmp_path / "index"


def answers(engine: WhooshEngine) -> Answers:
    every = engine.all_ids()
    found = [engine.lexical(query_terms(query), every).asset_ids.tolist() for query in QUERIES]
    table = engine.facets_of(every)
    return [*found, every.tolist(), sorted(engine.fingerprints()), table.rows.tolist(), table.codes.tolist()]


def folder(root: Path) -> Path:
    return root / (root / "current").read_text()


def files(root: Path, kind: str) -> list[Path]:
    return [root / "current"] if kind == "current" else sorted(folder(root).glob(f"*.{kind}"))


def in_child(work: Callable[[], object]) -> int:
    """Runs work in a forked process and returns how it ended: 0, 1 for an exception, or minus the signal."""
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            work()
            ended = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(ended)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(point: str) -> Callable[[str], None]:
    def fail(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return fail


# Damage


def empty(path: Path, chance: random.Random) -> None:
    path.write_bytes(b"")


def truncate(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def zero(path: Path, chance: random.Random) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip_a_bit(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def grow(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + b"\x80\x04more")


def delete(path: Path, chance: random.Random) -> None:
    path.unlink()


def become_a_folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


HARMS = (empty, truncate, zero, flip_a_bit, grow, delete, become_a_folder)


@pytest.mark.parametrize("kind", ["toc", "seg", "json", "current"])
@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_damage_is_told_or_harmless_and_rebuild_heals(
    root: Path, kind: str, harm: Callable[[Path, random.Random], None]
) -> None:
    opened = WhooshEngine(root)
    expected = answers(opened)
    sound = {path: path.read_bytes() for path in (root / "current", *folder(root).iterdir())}
    for seed in range(12 if harm in (flip_a_bit, truncate) else 1):
        chance = random.Random(seed)
        harm(chance.choice(files(root, kind)), chance)
        for engine in (WhooshEngine(root), opened):
            with suppress(IndexDamaged):
                assert answers(engine) == expected
        with suppress(IndexDamaged):
            WhooshEngine(root).upsert([LIBRARY[7]])
        if seed:
            for path in folder_files(root, sound):
                path.unlink()
            for path, content in sound.items():
                path.write_bytes(content)
            assert answers(opened) == expected
    fresh = WhooshEngine(root)
    if (root / "current").is_dir():
        (root / "current").rmdir()
    fresh.rebuild(LIBRARY)
    assert len(fresh.all_ids()) == len(opened.all_ids()) == len(LIBRARY)
    opened.verify()


def folder_files(root: Path, sound: dict[Path, bytes]) -> list[Path]:
    return [path for path in next(iter(set(sound) - {root / "current"})).parent.iterdir() if path not in sound]


def test_damage_to_a_segment_never_passes_as_an_answer(root: Path) -> None:
    segment = files(root, "seg")[0]
    content = segment.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 60)):
        segment.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with pytest.raises(IndexDamaged):
            answers(WhooshEngine(root))
    segment.write_bytes(content)
    WhooshEngine(root).verify()


def test_damage_behind_an_open_engine_is_found_by_verify(root: Path) -> None:
    engine = WhooshEngine(root)
    expected = answers(engine)
    truncate(files(root, "seg")[0], random.Random(1))
    assert answers(engine) == expected
    with pytest.raises(IndexDamaged):
        engine.verify()


def test_a_planted_table_of_contents_is_not_unpickled(root: Path) -> None:
    newest = files(root, "toc")[-1]
    planted = newest.with_name("_MAIN_99.toc")
    planted.write_bytes(newest.read_bytes())
    with pytest.raises(IndexDamaged):
        WhooshEngine(root).all_ids()


def test_a_deleted_index_is_missing_and_can_be_built_again(root: Path) -> None:
    engine = WhooshEngine(root)
    engine.verify()
    shutil.rmtree(folder(root))
    with pytest.raises(IndexMissing):
        engine.all_ids()
    shutil.rmtree(root)
    with pytest.raises(IndexMissing):
        engine.upsert(LIBRARY[:1])
    engine.rebuild(LIBRARY)
    assert len(engine.all_ids()) == len(LIBRARY)


@pytest.mark.parametrize("name", ["../../etc", "", "/", "v0-" + "0" * 32, "\u8def", "v1a1"])
def test_a_pointer_elsewhere_is_not_followed(root: Path, name: str) -> None:
    (root / "current").write_text(name, encoding="utf-8")
    with pytest.raises(IndexDamaged):
        WhooshEngine(root).all_ids()


def test_an_index_of_another_version_is_missing(root: Path) -> None:
    old = folder(root)
    other = old.with_name("v0a0-" + old.name.partition("-")[2])
    old.rename(other)
    (root / "current").write_text(other.name)
    with pytest.raises(IndexMissing, match="another version"):
        WhooshEngine(root).all_ids()
    WhooshEngine(root).rebuild(LIBRARY)
    assert not other.exists()


# Full disks


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Whoosh leaves a half-made writer to the collector
@pytest.mark.parametrize("step", ["create_file", "rename_file", "_write_sums"])
def test_a_full_disk_keeps_the_old_index_and_no_lock(root: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = WhooshEngine(root, lock_timeout=0.5)
    expected = answers(engine)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(whoosh_engine._CheckedStorage, step, full)
        with pytest.raises(OSError, match="No space left"):
            engine.upsert([Entry(5_000, "f", "late", "late")])
        with pytest.raises(OSError, match="No space left"):
            engine.rebuild(LIBRARY)
    assert answers(engine) == expected
    engine.upsert([Entry(5_000, "f", "late", "late")])
    assert 5_000 in engine.all_ids()
    WhooshEngine(root, lock_timeout=0.5).upsert([Entry(5_001, "f", "late", "late")])
    assert 5_001 in engine.all_ids()
    gc.collect()


# Locks


def test_a_lock_held_elsewhere_means_busy_within_the_timeout(root: Path) -> None:
    told, tell = os.pipe()
    waits, release = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(release)
        with WhooshEngine(root).exclusive():
            os.write(tell, b"held")
            os.read(waits, 1)
        os._exit(0)
    os.close(waits)
    os.read(told, 4)
    engine = WhooshEngine(root, lock_timeout=0.05)
    writes: list[Callable[[], None]] = [
        lambda: engine.upsert(LIBRARY[:1]),
        lambda: engine.remove([1]),
        lambda: engine.rebuild(LIBRARY),
    ]
    try:
        for write in writes:
            with pytest.raises(IndexBusy):
                write()
        assert len(engine.all_ids()) == len(LIBRARY) - 2
    finally:
        os.close(release)
        os.waitpid(child, 0)
        os.close(told)
        os.close(tell)
    engine.upsert(LIBRARY[2:3])
    assert 3 in engine.all_ids()


def test_two_engines_of_one_process_exclude_each_other(root: Path) -> None:
    with WhooshEngine(root).exclusive(), pytest.raises(IndexBusy):
        WhooshEngine(root, lock_timeout=0.02).upsert(LIBRARY[:1])


def test_lock_files_of_a_killed_writer_do_not_matter(root: Path) -> None:
    (folder(root) / "MAIN_WRITELOCK").write_bytes(b"")
    (folder(root) / "MAIN.tmp").mkdir()
    (folder(root) / "MAIN.tmp" / "run").write_bytes(b"x")
    engine = WhooshEngine(root, lock_timeout=0.5)
    engine.upsert([Entry(5_000, "f", "late", "late")])
    assert 5_000 in engine.all_ids()
    assert not (folder(root) / "MAIN.tmp").exists()


# kill -9


@pytest.mark.parametrize("point", ["before_commit", "in_commit", "after_commit"])
def test_a_writer_killed_in_a_commit_leaves_the_old_or_the_new_state(root: Path, point: str) -> None:
    reader = WhooshEngine(root)
    before = answers(reader)
    assert (
        in_child(lambda: WhooshEngine(root, fail_point=kill_at(point)).apply([Entry(5_000, "f", "late", "late")], [7]))
        == -signal.SIGKILL
    )
    found = {len(answers(engine)[4]) for engine in (reader, WhooshEngine(root))}
    assert found == {len(before[4])}
    assert (5_000 in reader.all_ids()) == (7 not in reader.all_ids()) == (point == "after_commit")
    writer = WhooshEngine(root, lock_timeout=0.5)
    writer.apply([Entry(5_000, "g", "late", "late")], [7])
    assert reader.fingerprints()[5_000] == "g"
    writer.rebuild(LIBRARY)
    assert len(reader.all_ids()) == len(LIBRARY)


@pytest.mark.parametrize("point", ["before_commit", "in_commit", "after_commit", "before_swap", "after_swap"])
def test_a_rebuild_killed_anywhere_leaves_a_whole_index(root: Path, point: str) -> None:
    reader = WhooshEngine(root)
    before = answers(reader)
    assert in_child(lambda: WhooshEngine(root, fail_point=kill_at(point)).rebuild(LIBRARY)) == -signal.SIGKILL
    swapped = point == "after_swap"
    assert len(reader.all_ids()) == (len(LIBRARY) if swapped else len(before[4]))
    WhooshEngine(root, lock_timeout=0.5).rebuild(LIBRARY)
    assert len(reader.all_ids()) == len(LIBRARY)
    assert sorted(path.name for path in root.iterdir()) == sorted(["current", "writer.lock", folder(root).name])


def test_many_kills_leave_a_bounded_number_of_files(root: Path) -> None:
    points = ["before_commit", "in_commit", "after_commit"]
    for number in range(18):
        work = WhooshEngine(root, fail_point=kill_at(points[number % 3]))
        assert in_child(partial(work.upsert, [Entry(6_000 + number, "f", "late", "late")])) == -signal.SIGKILL
    engine = WhooshEngine(root, lock_timeout=0.5)
    assert [asset_id for asset_id in engine.all_ids() if asset_id >= 6_000] == [
        6_000 + number for number in range(2, 18, 3)
    ]
    engine.upsert([Entry(7_000, "f", "late", "late")])
    segments = len(files(root, "seg"))
    assert len(list(folder(root).iterdir())) == segments + 2
    engine.verify()


# Two processes


def test_a_reader_sees_what_another_process_committed(root: Path) -> None:
    reader = WhooshEngine(root)
    reader.all_ids()
    for number in range(4):
        assert in_child(partial(WhooshEngine(root).upsert, [Entry(5_000 + number, "f", f"unique{number}", "")])) == 0
        assert reader.lexical(query_terms(f"unique{number}"), reader.all_ids()).asset_ids.tolist() == [5_000 + number]
    assert in_child(lambda: WhooshEngine(root).rebuild(LIBRARY[:10])) == 0
    assert len(reader.all_ids()) == 10


def test_reading_while_another_process_commits_and_rebuilds_never_fails(root: Path) -> None:
    def write() -> None:
        engine = WhooshEngine(root)
        for number in range(25):
            engine.upsert([Entry(5_000 + number, "f", "late", "late")])
            if number % 8 == 0:
                engine.rebuild(LIBRARY[:40])

    child = os.fork()
    if child == 0:
        try:
            write()
            os._exit(0)
        finally:
            os._exit(1)
    reader = WhooshEngine(root)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        assert len(answers(reader)[0]) > 0
        assert len(WhooshEngine(root).all_ids()) >= 40


# Files


def test_nobody_else_may_read_the_folders(root: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in (root, folder(root))} == {0o700}


def test_an_index_full_of_dead_entries_is_rewritten(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whoosh_engine, "MOST_DEAD", 20)
    engine = WhooshEngine(root)
    for _ in range(3):
        engine.upsert(LIBRARY)
    assert engine._current().dead < len(LIBRARY)
    assert engine.all_ids().tolist() == [entry.asset_id for entry in LIBRARY]
    assert np.array_equal(engine.facets_of(engine.all_ids()).codes, [entry.facets[0] for entry in LIBRARY])
