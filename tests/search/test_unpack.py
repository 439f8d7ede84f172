"""The bundled model unpacked once: whole, checked, repaired, and made by one while the others wait."""

import shutil
import stat
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from search import unpack
from search.unpack import CannotUnpack

needs_model = [
    pytest.mark.model,
    pytest.mark.skipif(unpack.packed_file() is None, reason="the bundled model is not installed"),
]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of its own with the model unpacked by two at once."""
    folder = tmp_path_factory.mktemp("cache") / "models"
    packed = unpack.packed_file()
    assert packed is not None
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: unpack.ensure(packed, folder), range(2)))
    assert found[0] == found[1]
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def model(cache: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the cache to spoil, by hard links; what is spoilt is replaced, never written into."""
    copy = tmp_path / "models"
    shutil.copytree(cache, copy, copy_function=lambda source, target: Path(target).hardlink_to(source))
    copy.chmod(0o700)
    (folder,) = [path for path in copy.iterdir() if path.is_dir()]
    yield folder
    shutil.rmtree(copy, ignore_errors=True)


def packed_file() -> Path:
    found = unpack.packed_file()
    assert found is not None
    return found


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.mark.model
@needs_model[1]
def test_unpacked_it_is_whole_private_and_left_alone(cache: Path) -> None:
    (folder,) = [path for path in cache.iterdir() if path.is_dir()]
    unpack.check(folder)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".safetensors"}
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert unpack.ensure(packed_file(), cache) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.model
@needs_model[1]
@pytest.mark.parametrize("damage", ["truncated", "missing", "config", "stranger"])
def test_a_damaged_folder_is_noticed(model: Path, damage: str) -> None:
    if damage == "truncated":
        replace(model / "model.safetensors", (model / "model.safetensors").read_bytes()[:1_000_000])
    elif damage == "missing":
        (model / "tokenizer.json").unlink()
    elif damage == "config":
        replace(model / "config.json", b"{}")
    else:
        (model / "modeling.py").write_text("raise SystemExit")
    with pytest.raises(CannotUnpack):
        unpack.check(model)


@pytest.mark.model
@needs_model[1]
def test_a_truncated_folder_is_made_anew(model: Path) -> None:
    replace(model / "model.safetensors", b"cut short")
    assert unpack.ensure(packed_file(), model.parent) == model
    unpack.check(model)
    assert [path for path in model.parent.iterdir() if path.is_dir()] == [model]


@pytest.mark.model
@needs_model[1]
def test_a_folder_that_others_may_write_is_refused(model: Path) -> None:
    model.chmod(0o777)
    with pytest.raises(CannotUnpack, match="written by others"):
        unpack.check(model)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 something else", unpack.MAGIC + b"\x00" * 40, unpack.MAGIC + b"\xff" * 400]
)
def test_a_file_that_is_not_the_model_leaves_nothing_behind(tmp_path: Path, content: bytes) -> None:
    packed = tmp_path / "model.bin"
    packed.write_bytes(content)
    with pytest.raises(CannotUnpack, match="cannot be unpacked"):
        unpack.ensure(packed, tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


@pytest.mark.model
@needs_model[1]
def test_a_model_cut_short_leaves_nothing_behind(tmp_path: Path) -> None:
    packed = tmp_path / "model.bin"
    packed.write_bytes(packed_file().read_bytes()[:30_000_000])
    with pytest.raises(CannotUnpack, match="ends before"):
        unpack.ensure(packed, tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_four_bit_blocks_by_hand() -> None:
    nibbles = bytes([0x80 | n for n in range(16)])
    block = np.frombuffer(struct.pack("<e", 0.5) + nibbles, np.uint8).reshape(1, unpack.BLOCK_BYTES)
    found = unpack._values(block)
    assert found[:16].tolist() == [(n - 8) * 0.5 for n in range(16)]
    assert found[16:].tolist() == [0.0] * 16


def test_bfloat16_rounds_to_even() -> None:
    values = np.array([1.0, 1.00390625, 1.01171875, -2.5, 0.0], np.float32)
    bits = np.frombuffer(unpack._as_bfloat16(values), "<u2").astype(np.uint32) << 16
    assert bits.view(np.float32).tolist() == [1.0, 1.0, 1.015625, -2.5, 0.0]


@pytest.mark.model
@needs_model[1]
def test_a_cache_opened_to_others_later_is_refused(model: Path) -> None:
    model.parent.chmod(0o777)
    with pytest.raises(CannotUnpack, match="written by others"):
        unpack.ensure(packed_file(), model.parent)
