"""The bundled model in 8-bit integers, as CTranslate2 runs it: a query takes one core a third of the time.

It is made once, out of the package's file and without torch, into a folder beside the unpacked one: the weights,
sentencepiece's tokenizer, and the characters that are changed before it. A child process makes it, since that takes some
seconds and half a gigabyte. The vectors agree with the package's own (cosine ≥ 0.998, a test holds it).
"""

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search import unpack
from search.unpack import KEPT_TILDE, PROMPTS, STAND_IN, CannotUnpack, Packed

FORM: Final = "int8-1"
"""Part of the folder's name; its number is raised when the folder changes."""
TOKENIZER, CHARACTERS = "tokenizer.spm", "characters.json"
CALM: Final = 10
CHILD_SECONDS: Final = 600
THREADS: Final = 2

Vectors = NDArray[np.float32]


def ensure(packed: Path, cache: Path) -> Path:
    """The folder, checked as any form of the model is; made in a child process where it is missing.

    Raises CannotUnpack.
    """
    if not unpack.is_whole(unpack.folder_of(packed, cache, FORM)):
        _make_in_a_child(packed, cache)
    return unpack.made(packed, cache, FORM, _write)


def _make_in_a_child(packed: Path, cache: Path) -> None:
    command = [sys.executable, "-m", "search.quick", str(packed), str(cache)]
    root = Path(__file__).resolve().parent.parent
    try:
        told = subprocess.run(  # noqa: S603  # our own module, on paths of the settings
            command,
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=CHILD_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotUnpack(f"the bundled model cannot be made quick: {error}") from error
    if told.returncode:
        raise CannotUnpack((told.stderr.strip().splitlines() or ["the bundled model cannot be made quick"])[-1])


class QuickEncoder:
    """Encodes queries, from any thread, each on one core."""

    def __init__(self, folder: Path) -> None:
        import ctranslate2  # noqa: PLC0415  # optional, as the bundled model is
        import sentencepiece  # noqa: PLC0415

        self._model = ctranslate2.Encoder(
            str(folder), device="cpu", compute_type="int8", inter_threads=THREADS, intra_threads=1
        )
        self._tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(folder / TOKENIZER))
        told = json.loads((folder / CHARACTERS).read_bytes())
        self._longest = int(told["longest"])
        self._characters = str.maketrans(told["characters"])

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """One row of length one a text."""
        return np.stack([self._encoded(PROMPTS["query"] + text) for text in texts])

    def tokens(self, text: str) -> list[int]:
        """Numbers of the pieces of a text, with those that begin and end it."""
        return self._framed(self._tokenizer.encode(self._normal(text)))

    def _framed(self, pieces: list[int]) -> list[int]:
        return [self._tokenizer.bos_id(), *pieces[: self._longest - 2], self._tokenizer.eos_id()]

    def _normal(self, text: str) -> str:
        folded = unicodedata.normalize("NFKC", text.translate(self._characters).replace(KEPT_TILDE, STAND_IN))
        return " ".join(folded.replace(STAND_IN, KEPT_TILDE).split())

    def _encoded(self, text: str) -> Vectors:
        said = self._model.forward_batch([self.tokens(text)]).last_hidden_state
        middle: Vectors = np.asarray(said, np.float32)[0].mean(axis=0)
        return middle / max(float(np.linalg.norm(middle)), 1e-12)


def _write(model: Packed, folder: Path) -> None:
    _write_tokenizer(model, folder)
    _write_model(model, folder)


def _write_model(model: Packed, folder: Path) -> None:
    from ctranslate2.specs import TransformerEncoderModelSpec, TransformerEncoderSpec, common_spec  # noqa: PLC0415

    shape = model.shape

    def values(name: str, *size: int) -> Vectors:
        return model.float32(name).reshape(*size)

    def fill(spec: Any, name: str, out: int, into: int) -> None:
        spec.weight, spec.bias = values(f"{name}.w", out, into), values(f"{name}.b", out)

    def norm(spec: Any, name: str) -> None:
        spec.gamma, spec.beta = values(f"{name}.w", shape.hidden), values(f"{name}.b", shape.hidden)

    encoder = TransformerEncoderSpec(
        shape.layers, shape.heads, pre_norm=False, activation=common_spec.Activation.GELU, layernorm_embedding=True
    )
    encoder.scale_embeddings = False
    encoder.embeddings[0].weight = values("emb.word", shape.vocabulary, shape.hidden)
    kinds = values("emb.type", shape.types, shape.hidden)
    encoder.position_encodings.encodings = values("emb.pos", shape.positions, shape.hidden) + kinds[0]
    norm(encoder.layernorm_embedding, "emb.ln")
    for number, layer in enumerate(encoder.layer):
        attention, inner = layer.self_attention, layer.ffn
        attention.linear[0].weight = np.concatenate(
            [values(f"l{number}.{part}.w", shape.hidden, shape.hidden) for part in "qkv"]
        )
        attention.linear[0].bias = np.concatenate([values(f"l{number}.{part}.b", shape.hidden) for part in "qkv"])
        fill(attention.linear[1], f"l{number}.ao", shape.hidden, shape.hidden)
        norm(attention.layer_norm, f"l{number}.aln")
        fill(inner.linear_0, f"l{number}.fi", shape.inner, shape.hidden)
        fill(inner.linear_1, f"l{number}.fo", shape.hidden, shape.inner)
        norm(inner.layer_norm, f"l{number}.oln")
    spec = TransformerEncoderModelSpec(encoder)
    spec.config.layer_norm_epsilon = shape.epsilon
    spec.config.unk_token = model.pieces[model.unknown][0]
    pieces = [piece for piece, _ in model.pieces]
    spec.register_vocabulary(pieces + [f"<unused {number}>" for number in range(shape.vocabulary - len(pieces))])
    spec.validate()
    spec.optimize(quantization="int8")
    spec.save(str(folder))


def _write_tokenizer(model: Packed, folder: Path) -> None:
    from sentencepiece import sentencepiece_model_pb2  # noqa: PLC0415

    form: Any = sentencepiece_model_pb2
    told = form.ModelProto()
    kinds = {model.unknown: form.ModelProto.SentencePiece.UNKNOWN} | dict.fromkeys(
        (model.begin, model.end, model.pad), form.ModelProto.SentencePiece.CONTROL
    )
    for number, (piece, score) in enumerate(model.pieces):
        kind = kinds.get(number, form.ModelProto.SentencePiece.NORMAL)
        told.pieces.add(piece=piece, score=score, type=kind)
    told.trainer_spec.model_type = form.TrainerSpec.UNIGRAM
    told.trainer_spec.unk_id, told.trainer_spec.pad_id = model.unknown, model.pad
    told.trainer_spec.bos_id, told.trainer_spec.eos_id = model.begin, model.end
    for name, number in (("unk", model.unknown), ("pad", model.pad), ("bos", model.begin), ("eos", model.end)):
        setattr(told.trainer_spec, f"{name}_piece", model.pieces[number][0])
    told.normalizer_spec.name = "identity"
    (folder / TOKENIZER).write_bytes(told.SerializeToString())
    odd = {old: new for old, new in model.replacements.items() if unicodedata.normalize("NFKC", old) != new}
    characters = {old: new for old, new in odd.items() if new in ("", " ")}
    said = {"characters": characters, "longest": model.shape.positions}
    (folder / CHARACTERS).write_text(json.dumps(said), encoding="utf-8")


def main(packed: str, cache: str) -> None:
    """Make the folder and end; what stops it is one line on the error stream."""
    os.nice(CALM)
    try:
        unpack.made(Path(packed), Path(cache), FORM, _write)
    except Exception as error:  # whatever a library raises: the parent goes on without
        sys.exit(f"{type(error).__name__}: {str(error).strip()[:300]}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
