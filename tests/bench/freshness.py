"""Publish → findable by words, and → found by meaning, in a running service, quiet or under load, on both engines.

`python -m tests.bench.freshness`, or `--engines embedded postgres --searches 20 --publishes 5` for a service that is
searched and written to all the while (so many a second). One process publishes, the service's own worker indexes and
embeds; every publication is waited for.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import numpy as np

from kb import tokens
from kb.access import SYSTEM, Role
from kb.users import User
from search import encoder
from tests.bench import library
from tests.bench.search import ENGINES, place, served
from tests.factories import Make

ASSETS = 1_000
ROUNDS = 20
PATIENCE = 60.0
ASKERS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=ASSETS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=["embedded"])
    parser.add_argument("--searches", type=float, default=0.0, help="searches a second beside")
    parser.add_argument("--publishes", type=float, default=0.0, help="publications a second, each waited for")
    parser.add_argument("--workers", type=int, default=1, help="web processes")
    asked = parser.parse_args()
    for engine in asked.engines:
        measure(engine, asked)


def measure(engine: str, asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder, place(engine) as url:
        data = Path(folder) / "data"
        service = library.opened(data, database_url=url)
        make = library.fill(service, asked.assets, encoder.load())
        rep = make.user(Role.REP)
        with service.database.writing() as session:
            token = tokens.create(session, SYSTEM, session.get_one(User, rep.id), "bench")
        with served(data, url, asked.workers) as port:
            if not asked.publishes:
                words, meaning = rounds(make, HTTPConnection("127.0.0.1", port, timeout=30), token, asked.rounds)
                tell(engine, "by words", words)
                tell(engine, "by meaning", meaning)
            else:
                rounds(make, HTTPConnection("127.0.0.1", port, timeout=30), token, 1)
                fresh, searches, seconds = under_load(make, port, token, asked)
                tell(engine, "by words", fresh)
                tell(engine, "searches", searches)
                print(
                    f"{engine:<10} {len(searches) / seconds:.1f} searches and {len(fresh) / seconds:.1f} publications a second"
                )
        service.close()


def tell(engine: str, name: str, seconds: Sequence[float]) -> None:
    p50, p95 = np.percentile(seconds, [50, 95])
    print(f"{engine:<10} {name:<12} p50 {p50:.2f} s   p95 {p95:.2f} s   of {len(seconds)}", flush=True)


def under_load(make: Make, port: int, token: str, asked: argparse.Namespace) -> tuple[list[float], list[float], float]:
    """Seconds from each publication until it was found, seconds of each search beside, and how long it all took."""
    stop = threading.Event()
    searches: list[float] = []
    words = iter(library.queries(100_000, seed=11))

    def search(connection: HTTPConnection) -> None:
        started = time.perf_counter()
        connection.request("GET", f"/api/v1/search?q={quote(next(words))}", headers=bearer)
        connection.getresponse().read()
        searches.append(time.perf_counter() - started)

    bearer = {"Authorization": f"Bearer {token}"}
    askers = [threading.Thread(target=paced, args=(search, port, asked.searches / ASKERS, stop)) for _ in range(ASKERS)]
    started = time.perf_counter()
    for asker in askers:
        asker.start()
    with ThreadPoolExecutor(16) as pool:
        waiting = []
        for number in range(asked.rounds):
            due = started + number / asked.publishes
            time.sleep(max(0.0, due - time.perf_counter()))
            sign = f"zw{number}fresh"
            published_at = time.perf_counter()
            make.asset(f"Fresh {sign}", f"## Say\n\nThe weekend window number {number} of {sign}.\n")
            waiting.append(pool.submit(wait, port, token, sign, published_at))
        fresh = [one.result() for one in waiting]
    took = time.perf_counter() - started
    stop.set()
    for asker in askers:
        asker.join(30)
    return fresh, searches, took


def wait(port: int, token: str, sign: str, published_at: float) -> float:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        return until(connection, token, sign, '"words"', "&mode=lexical&limit=1") - published_at
    finally:
        connection.close()


def paced(act: Callable[[HTTPConnection], None], port: int, a_second: float, stop: threading.Event) -> None:
    """Do it so many times a second, as long as nobody says stop; who is late does not catch up."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    while not stop.is_set():
        started = time.perf_counter()
        act(connection)
        stop.wait(max(0.0, 1 / a_second - (time.perf_counter() - started)))
    connection.close()


def rounds(make: Make, connection: HTTPConnection, token: str, count: int) -> tuple[list[float], list[float]]:
    words, meaning = [], []
    for number in range(count + 1):
        sign = f"zq{number}fresh"
        started = time.perf_counter()
        make.asset(f"Fresh {sign}", f"## Say\n\nThe weekend window number {number} of {sign}.\n")
        words.append(until(connection, token, sign, '"words"') - started)
        meaning.append(until(connection, token, sign, '"meaning"') - started)
    return words[1:], meaning[1:]  # the first waits for the model to be loaded


def until(connection: HTTPConnection, token: str, sign: str, reason: str, how: str = "") -> float:
    """The moment when the asset is found for this reason; asking is load too, `how` makes it light."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        connection.request("GET", f"/api/v1/search?q={sign}{how}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse().read().decode()
        if f"Fresh {sign}" in answer and reason in answer.replace(" ", ""):
            return time.perf_counter()
        time.sleep(0.05)
    raise SystemExit(f"{sign} was not found by {reason}")


if __name__ == "__main__":
    main()
