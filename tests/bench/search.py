"""Search over HTTP with permission and facets, three modes, one and four clients, beside SQLite FTS5 in process as the floor.

`python -m tests.bench.search --assets 1000 10000`. Texts and vectors are seeded and random, queries are encoded by
the real model. What it prints are milliseconds; the machine decides much of them, so compare within one run.
"""

import argparse
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from rich.console import Console
from rich.table import Table

from kb import tokens
from kb.access import SYSTEM, Role
from kb.users import User
from search import analysis, encoder
from search.query import Mode
from tests.bench import library

QUERIES = 100
CLIENTS = (1, 4)
START_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [row for count in asked.assets for row in measure(count)]
    if asked.json:
        print(json.dumps(rows))
    else:
        Console().print(table(rows))


def measure(count: int) -> list[dict[str, object]]:
    """One library of this size: the floor first, then the service."""
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder:
        data = Path(folder) / "data"
        service = library.opened(data)
        make = library.fill(service, count, encoder.load())
        rep = make.user(Role.REP)
        deal = make.deal(rep, "solution")
        with service.database.writing() as session:
            token = tokens.create(session, SYSTEM, session.get_one(User, rep.id), "bench")
        service.close()
        floor = row(count, "FTS5 in process", 1, timed(fts5(count), library.queries(QUERIES)))
        with served(data) as port:
            return [floor, *over_http(count, port, token, deal.external_id)]


def over_http(count: int, port: int, token: str, deal: str) -> list[dict[str, object]]:
    found = []
    for clients in CLIENTS:
        for mode in Mode:
            words = library.queries(QUERIES, seed=10 * clients + list(Mode).index(mode))
            clock = time.perf_counter()
            times = ask_all(port, token, deal, mode, words, clients)
            found.append(row(count, mode.value, clients, times, QUERIES / (time.perf_counter() - clock)))
    return found


def ask_all(port: int, token: str, deal: str, mode: Mode, words: Sequence[str], clients: int) -> list[float]:
    def ask_some(part: Sequence[str]) -> list[float]:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        ask(connection, token, deal, mode, "warm up")
        return timed(lambda text: ask(connection, token, deal, mode, text), part)

    with ThreadPoolExecutor(clients) as pool:
        return [one for part in pool.map(ask_some, (words[n::clients] for n in range(clients))) for one in part]


def ask(connection: HTTPConnection, token: str, deal: str, mode: Mode, text: str) -> None:
    address = "/api/v1/search?" + urlencode({"q": text, "deal": deal, "mode": mode.value, "limit": 20})
    connection.request("GET", address, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    body = json.loads(answer.read())
    if answer.status != 200 or body["limited"]:
        raise SystemExit(f"{answer.status}: {str(body)[:300]}")


@contextmanager
def served(data: Path) -> Iterator[int]:
    """The service itself, as `kb serve` starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KB_")}
    environment |= {
        "KB_DATA_DIR": str(data),
        "KB_SECRET_KEY": library.SECRET,
        "KB_LOG_LEVEL": "ERROR",
        "KB_REQUESTS_PER_MINUTE": "0",
    }
    command = [sys.executable, "-m", "kb.cli", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(port)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if json.loads(connection.getresponse().read()).get("encoder") == "ok: ready":
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit("the service did not become ready")


def fts5(count: int) -> Callable[[str], object]:
    """SQLite's own index over the same tokens, best 20 by its bm25."""
    base = sqlite3.connect(":memory:")
    base.execute("CREATE VIRTUAL TABLE asset USING fts5(title, body)")
    rows = (
        (" ".join(analysis.tokens(text.title)), " ".join(analysis.tokens(text.plain))) for text in library.texts(count)
    )
    base.executemany("INSERT INTO asset VALUES (?, ?)", rows)

    def search(text: str) -> object:
        words = dict.fromkeys(re.sub(r"\W", "", token) for token in analysis.tokens(text))
        match = " OR ".join(f'"{word}"' for word in words if word)
        return base.execute(
            "SELECT rowid FROM asset WHERE asset MATCH ? ORDER BY bm25(asset) LIMIT 20", (match,)
        ).fetchall()

    return search


def timed(act: Callable[[str], object], words: Sequence[str]) -> list[float]:
    """Seconds for each."""
    found = []
    for text in words:
        started = time.perf_counter()
        act(text)
        found.append(time.perf_counter() - started)
    return found


def row(count: int, what: str, clients: int, seconds: Sequence[float], rate: float | None = None) -> dict[str, object]:
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return {
        "assets": count,
        "what": what,
        "clients": clients,
        "p50_ms": round(p50, 1),
        "p95_ms": round(p95, 1),
        "per_second": round(rate or 1 / float(np.mean(seconds)), 1),
    }


def table(rows: Sequence[dict[str, object]]) -> Table:
    found = Table(box=None)
    for name in rows[0]:
        found.add_column(name, justify="left" if name == "what" else "right")
    for one in rows:
        found.add_row(*map(str, one.values()))
    return found


if __name__ == "__main__":
    main()
