"""A second look at the best hits: a cross-encoder reads query and passage together (off unless KB_RERANKER names one).

A cross-encoder judges better than two vectors side by side, and takes a hundred times as long: so it sees the best
few alone, and what it says is added to what ranked them, so that an exact title stays where it is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from kb.errors import WrongSettings
from search import analysis, encoder, ranking
from search.encoder import CannotEncode
from search.engine import FloatArray, IntArray
from search.loading import OFF, ModelLoader

FAKE: Final = "fake"
"""The share of the query's words instead of a model: for tests."""
DEPTH: Final = 20
"""As many of the best hits are read again; pages further on stay as they were ranked."""
WEIGHT: Final = 0.25
"""How much its judgement (0..1) counts: less than an exact title, more than all that settles near ties."""
LONGEST: Final = 512
"""In tokens of query and passage together; what is longer is cut off."""
AT_ONCE: Final = 10


class Reranker(Protocol):
    @property
    def name(self) -> str: ...

    def judge(self, query: str, passages: Sequence[str]) -> FloatArray:
        """How well each passage answers the query, 0..1, shape (n,); raises CannotEncode."""


class CrossEncoderReranker:
    """A sentence-transformers CrossEncoder with one output."""

    def __init__(self, model: Any, name: str, activation: Any) -> None:
        self._model = model
        self._activation = activation
        self.name = name
        if self.judge("a", ["b"]).shape != (1,):
            raise CannotEncode(f"KB_RERANKER names {name}, which does not answer one number a pair")

    def judge(self, query: str, passages: Sequence[str]) -> FloatArray:
        if not passages:
            return np.zeros(0)
        pairs = [(query, passage) for passage in passages]
        try:
            told = self._model.predict(
                pairs,
                batch_size=AT_ONCE,
                activation_fn=self._activation,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        except Exception as error:  # libraries raise anything, out of memory above all: searches do without
            raise CannotEncode(f"{self.name} failed: {type(error).__name__}: {str(error).strip()[:300]}") from error
        found = np.asarray(told, np.float64)
        if found.shape != (len(passages),) or not np.isfinite(found).all():
            raise CannotEncode(f"{self.name} answers {found.shape} where {(len(passages),)} is due")
        return found


class FakeReranker:
    """Deterministic everywhere: a passage is as good as the part of the query's words that it holds."""

    name = "fake@1"

    def judge(self, query: str, passages: Sequence[str]) -> FloatArray:
        terms = analysis.query_terms(query)
        return np.array([ranking.share_of(terms, passage) for passage in passages], np.float64)


def load(setting: str) -> Reranker | None:
    """The re-ranker that KB_RERANKER names: a folder, or a hub name; None for none. Raises CannotEncode."""
    if setting in ("", OFF):
        return None
    if setting == FAKE:
        return FakeReranker()
    try:
        return _opened(setting)
    except CannotEncode:
        raise
    except Exception as error:  # libraries raise anything on a damaged model or a missing network
        reason = f"{type(error).__name__}: {str(error).strip()[:300]}"
        raise CannotEncode(f"KB_RERANKER names {setting}, which cannot be loaded: {reason}") from error


def _opened(setting: str) -> CrossEncoderReranker:
    is_folder = encoder.is_folder(setting)
    if is_folder and not Path(setting).is_dir():
        raise CannotEncode(f"KB_RERANKER names {setting}, which is not a folder")
    encoder.quiet(offline=is_folder)
    import torch  # noqa: PLC0415  # seconds and hundreds of megabytes: only where it is wanted
    from sentence_transformers import CrossEncoder  # noqa: PLC0415

    model = CrossEncoder(
        setting,
        device="cpu",
        local_files_only=is_folder,
        trust_remote_code=False,
        max_length=LONGEST,
        model_kwargs={"use_safetensors": True},
    )
    name = Path(setting).resolve().name if is_folder else setting
    return CrossEncoderReranker(model, name[:80], torch.nn.Sigmoid())


def in_order(scores: FloatArray, judged: FloatArray) -> tuple[IntArray, FloatArray]:
    """Rows of the best hits in the order that a second look gives them, and their new scores as they stood."""
    newer = scores + WEIGHT * judged
    return np.argsort(-newer, kind="stable"), newer


def check(setting: str) -> None:
    """Raises WrongSettings where the setting cannot work on this machine."""
    if setting and encoder.is_folder(setting) and not Path(setting).is_dir():
        raise WrongSettings(f"KB_RERANKER names {setting}, which is not a folder")


def loader(setting: str) -> ModelLoader[Reranker]:
    """The loader of what KB_RERANKER says; empty is off."""
    return ModelLoader(lambda: load(setting), source=setting or OFF, what="reranker")
