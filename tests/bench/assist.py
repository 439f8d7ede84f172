"""In the call: passages for the last sentences over HTTP, beside a plain search of the same words as the peer.

`python -m tests.bench.assist --assets 10000`. Texts and vectors are seeded and random, queries are encoded by the real
model. What it prints are milliseconds; the machine decides much of them, so compare within one run.
"""

import argparse
import json
import tempfile
from http.client import HTTPConnection
from pathlib import Path

from rich.console import Console

from kb import tokens
from kb.access import SYSTEM, Role
from kb.users import User
from search import encoder
from search.query import Mode
from tests.bench import library
from tests.bench.search import QUERIES, ask, row, served, table, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=10_000)
    Console().print(table(measure(parser.parse_args().assets)))


def measure(count: int) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder:
        data = Path(folder) / "data"
        service = library.opened(data)
        make = library.fill(service, count, encoder.load())
        rep = make.user(Role.REP)
        deal = make.deal(rep, "solution").external_id
        with service.database.writing() as session:
            token = tokens.create(session, SYSTEM, session.get_one(User, rep.id), "bench")
        service.close()
        words, spoken = library.queries(QUERIES), library.queries(2 * QUERIES, seed=5)
        said = [f"{spoken[n]}。 {spoken[n + QUERIES]}？" for n in range(QUERIES)]
        with served(data) as port:
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            ask(connection, token, deal, Mode.HYBRID, "warm up")
            searched = timed(lambda text: ask(connection, token, deal, Mode.HYBRID, text), words)
            assisted = timed(lambda text: hear(connection, token, deal, text), said)
    return [row(count, "search", 1, searched), row(count, "assist", 1, assisted)]


def hear(connection: HTTPConnection, token: str, deal: str, text: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/assist", json.dumps({"text": text, "deal": deal}), headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    if answer.status != 200 or body["limited"]:
        raise SystemExit(f"{answer.status}: {str(body)[:300]}")


if __name__ == "__main__":
    main()
