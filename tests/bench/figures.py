"""Import of many deals and events, and pages of figures after it, beside a plain count in SQL as the floor.

`python -m tests.bench.figures --deals 100000 --events 1000000 --assets 1000`. Deals and events are seeded and random.
What it prints are seconds and milliseconds; the machine decides much of them, so compare within one run.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import distinct, func, select

from content import dashboards, ledger, tallies, taxonomy
from content.dashboards import Filters
from content.models import UseEvent
from content.visibility import USES
from kb import config
from kb.access import SYSTEM, Actor, ActorKind, Role, Tier
from kb.app import open_service
from kb.users import NewUser, User
from kb.users import add as add_user
from tests.conftest import KB

REPS = 200
BEGIN = datetime(2024, 11, 1, tzinfo=UTC)
STAGES = tuple(taxonomy.STAGES)[:4]
PAGES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deals", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--assets", type=int, default=1_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder:
        files, data = Path(folder) / "files", Path(folder) / "data"
        files.mkdir()
        write(files, asked.deals, asked.events, asked.assets)
        environment = {**os.environ, "KB_DATA_DIR": str(data), "KB_ENCODER": "off"}
        bring_in(files, environment)
        look(data)


def write(folder: Path, deals: int, events: int, assets: int) -> None:
    draw = random.Random(1)
    people = [f"rep{n}@yunshu.example" for n in range(REPS)]
    table(folder / "users.csv", "email,name,role", ((one, one[:6], "rep") for one in people))
    with (folder / "assets.jsonl").open("w", encoding="utf-8") as file:
        for number in range(assets):
            file.write(json.dumps({"external_id": f"A-{number}", "title": f"Text {number}", "text": f"Words {number}.",
                                   "type": "faq", "language": "en", "handling": "public"}) + "\n")  # fmt: skip
    made = [life(draw, number, people) for number in range(deals)]
    head = "external_id,account,owner_email,segment,amount,currency,created_at,closed_at,outcome"
    table(folder / "deals.csv", head, (deal for deal, _, _ in made))
    table(folder / "stages.csv", "deal_external_id,stage,entered_at",
          ((deal[0], stage, at.isoformat()) for deal, stages, _ in made for stage, at in stages))  # fmt: skip
    head = "event_id,asset_external_id,user_email,kind,deal_external_id,at"
    table(folder / "usage.csv", head, uses(draw, made, events, assets))


def life(
    draw: random.Random, number: int, people: Sequence[str]
) -> tuple[list[str], list[tuple[str, datetime]], datetime]:
    at = BEGIN + timedelta(days=draw.random() * 700)
    created, stages = at, []
    for stage in STAGES[: draw.randint(1, 4)]:
        stages.append((stage, at))
        at += timedelta(days=draw.uniform(5, 40))
    is_open = draw.random() < 0.2
    deal = [
        f"D-{number}", f"Account {number}", draw.choice(people), draw.choice("abc"), str(draw.randint(1, 900) * 1000),
        "CNY", created.isoformat(), "" if is_open else at.isoformat(), "open" if is_open else draw.choice(["won", "lost"]),
    ]  # fmt: skip
    return deal, stages, at


def uses(
    draw: random.Random,
    made: Sequence[tuple[list[str], list[tuple[str, datetime]], datetime]],
    events: int,
    assets: int,
) -> Iterator[Sequence[str]]:
    for number in range(events):
        deal, stages, end = made[number * len(made) // events]
        at = stages[0][1] + (end - stages[0][1]) * draw.random()
        kind = draw.choice(("view", "copy", "share"))
        yield f"e{number}", f"A-{int(assets * draw.random() ** 2)}", deal[2], kind, deal[0], at.isoformat()


def table(path: Path, head: str, rows: Iterator[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head.split(","))
        writer.writerows(rows)


def bring_in(folder: Path, environment: dict[str, str]) -> None:
    run(["init"], environment)
    whole = 0.0
    for kind, more in (("users", []), ("assets", ["--publish"]), ("deals", []), ("stages", []), ("usage", [])):
        path = folder / ("assets.jsonl" if kind == "assets" else f"{kind}.csv")
        seconds = run(["import", kind, str(path), *more], environment)
        whole += seconds
        print(f"import {kind:<8} {seconds:8.1f} s", flush=True)
    print(f"import together {whole:8.1f} s", flush=True)


def run(words: Sequence[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([*KB, *words], env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def look(data: Path) -> None:
    service = open_service(config.load({}, data_dir=data, encoder="off"))
    with service.database.writing() as session:
        new = NewUser("lead@yunshu.example", roles=(Role.MANAGER,), clearance=Tier.CONFIDENTIAL)
        lead: User = add_user(session, SYSTEM, new)
    actor = Actor(
        ActorKind.USER, lead.email, user_id=lead.id, roles=frozenset({Role.MANAGER}), clearance=Tier.CONFIDENTIAL
    )
    with service.database.reading() as session:
        once("ledger, the first time", lambda: ledger.of(session))
        once("counts, the first time", lambda: tallies.present(session))
        again("ledger, nothing new", lambda _: ledger.of(session))
        draw = np.random.default_rng(3)
        names = [f"A-{int(one)}" for one in draw.integers(0, 900, PAGES)]
        for days in (90, 0):
            filters = Filters(days)
            again(
                f"text page, {days or 'all'} days",
                lambda n, f=filters: dashboards.text_page(session, actor, names[n], f, "en"),
            )  # type: ignore[misc]
            again(f"team, {days or 'all'} days", lambda _, f=filters: dashboards.team(session, actor, f), 10)  # type: ignore[misc]
            again(f"board, {days or 'all'} days", lambda _, f=filters: dashboards.library(session, actor, f, "en"), 10)  # type: ignore[misc]
        plain = select(UseEvent.asset_id, func.count(), func.count(distinct(UseEvent.deal_id)))
        counted = plain.where(UseEvent.kind.in_(USES)).group_by(UseEvent.asset_id)
        again("floor: uses and deals by text in SQL", lambda _: session.execute(counted).all(), 5)
    service.close()


def once(name: str, act: Callable[[], object]) -> None:
    started = time.perf_counter()
    act()
    print(f"{name:<40} {(time.perf_counter() - started) * 1000:8.0f} ms", flush=True)


def again(name: str, act: Callable[[int], object], times: int = PAGES) -> None:
    taken = []
    for number in range(times):
        started = time.perf_counter()
        act(number)
        taken.append((time.perf_counter() - started) * 1000)
    p50, p95 = np.percentile(taken, [50, 95])
    print(f"{name:<40} p50 {p50:6.0f} ms  p95 {p95:6.0f} ms", flush=True)


if __name__ == "__main__":
    main()
