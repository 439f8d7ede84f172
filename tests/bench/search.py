"""Search over HTTP with permission and facets, three modes, on both engines, beside what index libraries give in process.

`python -m tests.bench.search --assets 1000 10000 --engines embedded postgres`. Texts and vectors are seeded and random,
queries are distinct and encoded by the real model. The floors answer the same words, without permission, facets and
meaning: SQLite FTS5, tantivy where it is installed, PostgreSQL's own text search. What it prints are milliseconds; the
machine decides much of them, so compare within one run.
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
from psycopg import connect
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url

from kb import tokens
from kb.access import SYSTEM, Role
from kb.users import User
from search import analysis, encoder
from search.query import Mode
from tests.bench import library, servers

QUERIES = 100
CLIENTS = (1, 4, 16)
START_SECONDS = 120
READ_SECONDS = 30.0
ENGINES = ("embedded", "postgres")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=["embedded"])
    parser.add_argument("--clients", type=int, nargs="+", default=list(CLIENTS))
    parser.add_argument("--workers", type=int, default=1, help="web processes")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [
        row
        for count in asked.assets
        for engine in asked.engines
        for row in measure(count, engine, asked.clients, asked.workers)
    ]
    if asked.json:
        print(json.dumps(rows))
    else:
        Console(width=160).print(table(rows))


def measure(count: int, engine: str, clients: Sequence[int], workers: int) -> list[dict[str, object]]:
    """One library of this size on one engine: the floors first, then the service."""
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder, place(engine) as url:
        data = Path(folder) / "data"
        started = time.perf_counter()
        service = library.opened(data, database_url=url)
        make = library.fill(service, count, encoder.load())
        print(f"{engine}: {count} assets put in and indexed in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        rep = make.user(Role.REP)
        deal = make.deal(rep, "solution")
        with service.database.writing() as session:
            token = tokens.create(session, SYSTEM, session.get_one(User, rep.id), "bench")
        service.close()
        floors = (
            {"FTS5": fts5, "tantivy": tantivy_search} if engine == "embedded" else {"PostgreSQL text": text_search(url)}
        )
        found = [
            row(count, engine, f"{name} in process", 1, timed(search, library.queries(QUERIES)))
            for name, made in floors.items()
            if (search := made(count)) is not None
        ]
        with served(data, url, workers) as port:
            warm(port, token, deal.external_id, workers, count)
            found += over_http(count, engine, port, token, deal.external_id, clients)
            told = ", ".join(f"{name} {megabytes}" for name, megabytes in memory_of(os.getpid()))
            print(f"{engine}: {count} assets, resident MB by process: {told}", file=sys.stderr)
            return found


@contextmanager
def place(engine: str) -> Iterator[str]:
    """Where the data lies: nowhere in particular, or an empty PostgreSQL."""
    if engine == "embedded":
        yield ""
        return
    with servers.postgresql() as url:
        yield url


def warm(port: int, token: str, deal: str, workers: int, count: int) -> None:
    """What a process reads behind its first searches (words for spelling) is read before anything is measured."""
    ask_all(port, token, deal, Mode.HYBRID, library.queries(60 * workers, seed=99), 2 * workers)
    time.sleep(READ_SECONDS * count / 10_000)
    ask_all(port, token, deal, Mode.HYBRID, library.queries(60 * workers, seed=98), 2 * workers)


def over_http(
    count: int, engine: str, port: int, token: str, deal: str, of_clients: Sequence[int]
) -> list[dict[str, object]]:
    found = []
    for clients in of_clients:
        for mode in Mode:
            words = library.queries(QUERIES, seed=10 * clients + list(Mode).index(mode))
            clock = time.perf_counter()
            times = ask_all(port, token, deal, mode, words, clients)
            found.append(row(count, engine, mode.value, clients, times, QUERIES / (time.perf_counter() - clock)))
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
def served(data: Path, database_url: str = "", workers: int = 1) -> Iterator[int]:
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
    if database_url:
        environment["KB_DATABASE_URL"] = database_url
    command = [sys.executable, "-m", "kb.cli", "serve", "--port", str(port), "--workers", str(workers)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(port)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def memory_of(parent: int) -> list[tuple[str, int]]:
    """Megabytes that each descendant process of the service itself holds, as the kernel counts them."""
    found = []
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        if "kb.cli" in command:
            resident = next(line for line in Path(f"/proc/{child}/status").read_text().splitlines() if "VmRSS" in line)
            found.append((command[command.index("kb.cli") + 1], int(resident.split()[1]) // 1024))
        found += memory_of(int(child))
    return found


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


def tantivy_search(count: int) -> Callable[[str], object] | None:
    """Tantivy over the same tokens, in memory; None where it is not installed."""
    try:
        import tantivy
    except ImportError:
        return None
    schema = tantivy.SchemaBuilder()
    schema.add_text_field("title", tokenizer_name="whitespace")
    schema.add_text_field("body", tokenizer_name="whitespace")
    index = tantivy.Index(schema.build())
    writer = index.writer(200_000_000)
    for text in library.texts(count):
        writer.add_document(
            tantivy.Document(title=" ".join(analysis.tokens(text.title)), body=" ".join(analysis.tokens(text.plain)))
        )
    writer.commit()
    index.reload()
    searcher = index.searcher()

    def search(text: str) -> object:
        words = dict.fromkeys(re.sub(r"\W", "", token) for token in analysis.tokens(text))
        return searcher.search(index.parse_query(" ".join(word for word in words if word), ["title", "body"]), 20).hits

    return search


def text_search(url: str) -> Callable[[int], Callable[[str], object]]:
    """PostgreSQL's tsvector and ts_rank over the same tokens."""

    def made(count: int) -> Callable[[str], object]:
        base = connect(
            make_url(url).set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True
        )
        base.execute("CREATE TABLE floor (id serial, words tsvector)")
        with base.cursor() as cursor, cursor.copy("COPY floor (words) FROM STDIN") as copy:
            for text in library.texts(count):
                words = [re.sub(r"\W", "", token) for token in analysis.tokens(f"{text.title} {text.plain}")]
                copy.write_row((" ".join(f"{word}:{n}" for n, word in enumerate(words, 1) if word and n < 16_000),))
        base.execute("CREATE INDEX ON floor USING gin (words)")
        base.execute("ANALYZE floor")

        def search(text: str) -> object:
            words = dict.fromkeys(re.sub(r"\W", "", token) for token in analysis.tokens(text))
            asked = " | ".join(word for word in words if word)
            return base.execute(
                "SELECT id FROM floor, cast(%s AS tsquery) q WHERE words @@ q ORDER BY ts_rank(words, q) DESC LIMIT 20",
                (asked,),
            ).fetchall()

        return search

    return made


def timed(act: Callable[[str], object], words: Sequence[str]) -> list[float]:
    """Seconds for each."""
    found = []
    for text in words:
        started = time.perf_counter()
        act(text)
        found.append(time.perf_counter() - started)
    return found


def row(
    count: int, engine: str, what: str, clients: int, seconds: Sequence[float], rate: float | None = None
) -> dict[str, object]:
    p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
    return {
        "assets": count,
        "engine": engine,
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
