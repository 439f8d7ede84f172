"""Publish → findable by words, and → found by meaning, in a running service of 1,000 assets.

`python -m tests.bench.freshness`. One process publishes, the service's own worker indexes and embeds.
"""

import argparse
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

from kb import tokens
from kb.access import SYSTEM, Role
from kb.users import User
from search import encoder
from tests.bench import library
from tests.bench.search import served
from tests.factories import Make

ASSETS = 1_000
ROUNDS = 20
PATIENCE = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=ASSETS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder:
        data = Path(folder) / "data"
        service = library.opened(data)
        make = library.fill(service, asked.assets, encoder.load())
        rep = make.user(Role.REP)
        with service.database.writing() as session:
            token = tokens.create(session, SYSTEM, session.get_one(User, rep.id), "bench")
        with served(data) as port:
            words, meaning = rounds(make, HTTPConnection("127.0.0.1", port, timeout=30), token, asked.rounds)
        service.close()
    for name, seconds in (("by words", words), ("by meaning", meaning)):
        p50, p95 = np.percentile(seconds, [50, 95])
        print(f"{name:<12} p50 {p50:.2f} s   p95 {p95:.2f} s")


def rounds(make: Make, connection: HTTPConnection, token: str, count: int) -> tuple[list[float], list[float]]:
    words, meaning = [], []
    for number in range(count + 1):
        sign = f"zq{number}fresh"
        started = time.perf_counter()
        make.asset(f"Fresh {sign}", f"## Say\n\nThe weekend window number {number} of {sign}.\n")
        words.append(until(connection, token, sign, '"words"') - started)
        meaning.append(until(connection, token, sign, '"meaning"') - started)
    return words[1:], meaning[1:]  # the first waits for the model to be loaded


def until(connection: HTTPConnection, token: str, sign: str, reason: str) -> float:
    """The moment when the asset is found for this reason."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        connection.request("GET", f"/api/v1/search?q={sign}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse().read().decode()
        if f"Fresh {sign}" in answer and reason in answer.replace(" ", ""):
            return time.perf_counter()
        time.sleep(0.02)
    raise SystemExit(f"{sign} was not found by {reason}")


if __name__ == "__main__":
    main()
