"""The unpacked model: what its manifest says, each way it can be spoilt, and several processes at once."""

import json
import multiprocessing
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from search import unpack
from search.unpack import CannotUnpack

bundled = pytest.mark.skipif(unpack.packed_file() is None, reason="the bundled model is not installed")


def packed_file() -> Path:
    found = unpack.packed_file()
    assert found is not None
    return found


def folders(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()]


def unpack_here(cache: str) -> str:
    """In a process of its own: the name of the folder it got."""
    return str(unpack.ensure(packed_file(), Path(cache)))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The model's folder as two processes made it at once."""
    cache = tmp_path_factory.mktemp("edges") / "models"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(unpack_here, [str(cache)] * 2, chunksize=1)
    assert first == second
    assert folders(cache) == [Path(first)]
    yield Path(first)
    shutil.rmtree(cache, ignore_errors=True)


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder to spoil; its files are hard links, so they are replaced and never written into."""
    cache = tmp_path / "models"
    copy = cache / whole.name
    shutil.copytree(whole, copy, copy_function=lambda source, target: Path(target).hardlink_to(source))
    cache.chmod(0o700)
    yield copy
    shutil.rmtree(cache, ignore_errors=True)


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def flip_a_bit(model: Path) -> None:
    content = bytearray((model / "model.safetensors").read_bytes())
    content[-1] ^= 1
    replace(model / "model.safetensors", bytes(content))


def change_the_manifest(model: Path) -> None:
    replace(model / "manifest.json", json.dumps({"files": {}}).encode())


SPOILT: dict[str, Callable[[Path], object]] = {
    "a bit of the weights": flip_a_bit,
    "pooling": lambda model: replace(model / "1_Pooling" / "config.json", b"{}"),
    "a file more": lambda model: (model / "modeling.py").write_text("raise SystemExit"),
    "a file more within": lambda model: (model / "1_Pooling" / "modeling.py").write_text("raise SystemExit"),
    "no manifest": lambda model: (model / "manifest.json").unlink(),
    "an empty manifest": lambda model: replace(model / "manifest.json", b""),
    "a manifest of nothing": change_the_manifest,
    "a manifest that is a list": lambda model: replace(model / "manifest.json", b"[]"),
    "writable by the group": lambda model: model.chmod(0o770),
}


@pytest.mark.model
@bundled
def test_the_manifest_names_source_format_and_every_file(whole: Path) -> None:
    written = json.loads((whole / "manifest.json").read_text())
    assert (written["source"], written["format"]) == (unpack.digest(packed_file()), unpack.FORMAT)
    assert written["files"].keys() | {"manifest.json"} == {path.name for path in whole.iterdir()}
    assert whole.name == f"multilingual-e5-small-{written['source'][:16]}-{unpack.FORMAT}"
    assert not whole.stat().st_mode & 0o077


@pytest.mark.model
@bundled
def test_the_weights_are_a_whole_safetensors_file(whole: Path) -> None:
    with (whole / "model.safetensors").open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__")
    spans = sorted(tensor["data_offsets"] for tensor in header.values())
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] + 8 + length == (whole / "model.safetensors").stat().st_size


@pytest.mark.model
@bundled
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_each_way_to_spoil_the_folder_is_noticed(model: Path, spoil: Callable[[Path], object]) -> None:
    unpack.check(model)
    spoil(model)
    with pytest.raises(CannotUnpack) as refused:
        unpack.check(model)
    assert "\n" not in str(refused.value)


@pytest.mark.model
@bundled
def test_what_is_spoilt_and_what_a_kill_left_is_cleared_away(model: Path) -> None:
    flip_a_bit(model)
    (model / "modeling.py").write_text("raise SystemExit")
    model.chmod(0o777)
    left = model.with_name(f"{model.name}.0123456789abcdef")
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    other = model.with_name("multilingual-e5-small-of-another-version-1")
    other.mkdir()
    assert unpack.ensure(packed_file(), model.parent) == model
    unpack.check(model)
    assert sorted(folders(model.parent)) == sorted([model, other])


def test_a_cache_that_others_may_write_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "model.bin"
    packed.write_bytes(unpack.MAGIC)
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(CannotUnpack, match="written by others"):
        unpack.ensure(packed, cache)
    assert list(cache.iterdir()) == []


@pytest.mark.model
@bundled
@pytest.mark.parametrize("kept", [4, 40, 100_000, 8_000_000])
def test_a_model_cut_anywhere_leaves_nothing_behind(tmp_path: Path, kept: int) -> None:
    packed = tmp_path / "model.bin"
    with packed_file().open("rb") as file:
        packed.write_bytes(file.read(kept))
    with pytest.raises(CannotUnpack, match="cannot be unpacked"):
        unpack.ensure(packed, tmp_path / "cache")
    assert folders(tmp_path / "cache") == []


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotUnpack, match="cannot be unpacked"):
        unpack.ensure(tmp_path / "nothing.bin", tmp_path / "cache")


def test_each_block_has_its_own_scale_and_low_nibbles_come_first() -> None:
    low, high = list(range(16)), list(reversed(range(16)))
    nibbles = bytes(one | two << 4 for one, two in zip(low, high, strict=True))
    content = struct.pack("<e", 2.0) + nibbles + struct.pack("<e", -0.25) + nibbles
    found = unpack._values(np.frombuffer(content, np.uint8).reshape(2, unpack.BLOCK_BYTES))
    assert found.dtype == np.float32
    assert found.tolist() == [(value - 8) * scale for scale in (2.0, -0.25) for value in [*low, *high]]


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (1.0, 0x3F80),
        (-1.0, 0xBF80),
        (1.0 + 2**-8, 0x3F80),
        (1.0 + 2**-8 + 2**-16, 0x3F81),
        (1.0 + 3 * 2**-8, 0x3F82),
        (1.0 + 2**-7, 0x3F81),
        (2.0 - 2**-9, 0x4000),
        (0.0, 0x0000),
        (-0.0, 0x8000),
        (float("inf"), 0x7F80),
    ],
)
def test_bfloat16_by_hand(value: float, bits: int) -> None:
    assert unpack._as_bfloat16(np.array([value], np.float32)) == struct.pack("<H", bits)
