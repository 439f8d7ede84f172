"""Passages and queries a second of the bundled model: through sentence-transformers and through the package's own engine.

`python -m tests.bench.embedding`. Texts are seeded; passages hold about 400 characters.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence

from search import encoder, packaged, unpack
from search.encoder import SentenceEncoder
from search.packaged import PackagedEncoder
from tests.bench import library

PASSAGES = 64
QUERIES = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure()
    if asked.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<45} {value:8.2f}")


def measure() -> dict[str, float]:
    packed = unpack.packed_file()
    if packed is None or not packaged.is_known(packed):
        raise SystemExit("the bundled model is not installed")
    seconds, own = timed(encoder.load)
    assert isinstance(own, PackagedEncoder)
    loading, whole = timed(own._passage_encoder)
    assert isinstance(whole, SentenceEncoder)
    passages = [text.plain[:400] for text in library.texts(PASSAGES)]
    queries = library.queries(QUERIES)
    return {
        "package: seconds to load": seconds,
        "sentence-transformers: seconds to load": loading,
        "package: passages a second": PASSAGES / spent(own.encode_by_package, passages),
        "sentence-transformers: passages a second": PASSAGES / spent(whole.encode_passages, passages),
        "package: milliseconds a query": 1000 * each(own.encode_queries, queries),
        "sentence-transformers: milliseconds a query": 1000 * each(whole.encode_queries, queries),
    }


def timed(act: Callable[[], object]) -> tuple[float, object]:
    started = time.perf_counter()
    found = act()
    return time.perf_counter() - started, found


def spent(encode: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    encode(texts[:2])
    return timed(lambda: encode(texts))[0]


def each(encode: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    encode(texts[:1])
    return timed(lambda: [encode([text]) for text in texts])[0] / len(texts)


if __name__ == "__main__":
    main()
