"""How alike two texts are, by what stands in them: sketches that can be compared ten thousand at a time (pure).

The sketch is the MinHash of Broder (1997) over windows of three tokens: a token is a Chinese sign or a word of
another script. The share of equal places estimates the share of windows two texts have in common (Jaccard).
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

PLACES: Final = 64
WINDOW: Final = 3
LEAST_WINDOWS: Final = 12
"""Shorter texts say too little to be told apart."""
MOST_TOKENS: Final = 20_000
ALIKE: Final = 0.4
"""From this share on, two texts are told as near-duplicates; two unrelated ones stay below 0.1."""

_TOKEN: Final = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")
Sketches = NDArray[np.uint32]


def _numbers(seed: int) -> NDArray[np.uint64]:
    rng = np.random.Generator(np.random.PCG64(seed))
    return rng.integers(0, 1 << 63, PLACES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


_FACTORS: Final = _numbers(20_261)
_SHIFTS: Final = _numbers(20_262)


def sketch(text: str) -> bytes | None:
    """The sketch of a plain text, 256 bytes; None where it is too short to be compared."""
    tokens = _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())[:MOST_TOKENS]
    windows = {" ".join(tokens[at : at + WINDOW]) for at in range(len(tokens) - WINDOW + 1)}
    if len(windows) < LEAST_WINDOWS:
        return None
    hashed = np.fromiter((_hash(window) for window in windows), np.uint64, len(windows))
    least = np.full(PLACES, np.iinfo(np.uint64).max, np.uint64)
    for start in range(0, len(hashed), 2_000):
        part = hashed[start : start + 2_000, None] * _FACTORS + _SHIFTS  # modulo 2^64: a different order at each place
        least = np.minimum(least, part.min(axis=0))
    return (least >> np.uint64(32)).astype("<u4").tobytes()


def _hash(window: str) -> int:
    return int.from_bytes(hashlib.blake2b(window.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def stack(sketches: Sequence[bytes]) -> Sketches:
    """Sketches as rows of a matrix."""
    return np.frombuffer(b"".join(sketches), dtype="<u4").reshape(-1, PLACES)


def shares(one: bytes, others: Sketches) -> NDArray[np.float64]:
    """How much of the text each other one shares with it, 0 to 1."""
    mine = np.frombuffer(one, dtype="<u4")
    found: NDArray[np.float64] = (others == mine).mean(axis=1)
    return found
