"""What the deals say, read from imports: who sees it, that order does not matter, and that a plain count agrees."""

import csv
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from content import cohorts, insight
from content.crm import CsvImport
from content.insight import LiftLine
from content.models import Asset
from kb import access, cli, notices
from kb.access import SYSTEM, Role, Tier
from kb.errors import NotFound
from tests.conftest import SignIn
from tests.factories import Make

DAY = timedelta(days=1)
BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
Rows = dict[str, list[dict[str, str]]]


def made_up(owners: list[str], seed: int = 3, deals: int = 170) -> Rows:
    """Deals in two stages; the first text is used by half of them and helps, the second is used by few."""
    draw = random.Random(seed)
    rows: Rows = {"deals": [], "stages": [], "usage": []}
    for number in range(deals):
        name, owner = f"L-{number}", draw.choice(owners)
        begun = BEGIN + draw.randrange(60) * DAY
        used = draw.random() < 0.5
        won = draw.random() < (0.7 if used else 0.3)
        late = draw.random() < 0.3
        closed = begun + draw.choice([5, 50, 70]) * DAY
        rows["deals"].append(
            {
                "external_id": name, "account": f"A {number}", "owner_email": owner, "segment": draw.choice("sm"),
                "created_at": begun.isoformat(), "closed_at": closed.isoformat(), "outcome": "won" if won else "lost",
            }
        )  # fmt: skip
        for stage, day in (("discovery", 0), ("solution", 20)):
            at = begun + day * DAY
            if at < closed:
                rows["stages"].append({"deal_external_id": name, "stage": stage, "entered_at": at.isoformat()})
        events = [("FIRST", 22 if late else 3, "copy", "chosen")] if used else []
        events += [("SECOND", 4, "share", "chosen")] if number % 30 == 0 else []
        events += [("FIRST", 2, "copy", "inferred"), ("FIRST", 1, "view", "chosen")]
        for place, (asset, day, kind, source) in enumerate(events):
            at = begun + day * DAY + timedelta(hours=draw.randrange(12))
            if at < closed:
                rows["usage"].append(
                    {
                        "event_id": f"{name}-{place}", "asset_external_id": asset, "user_email": owner, "kind": kind,
                        "deal_external_id": name, "at": at.isoformat(), "deal_source": source,
                    }
                )  # fmt: skip
    return rows


def load(make: Make, folder: Path, rows: Mapping[str, Iterable[Mapping[str, str]]]) -> None:
    for kind in ("deals", "stages", "usage"):
        path, lines = folder / f"{kind}.csv", list(rows[kind])
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, lines[0])
            writer.writeheader()
            writer.writerows(lines)
        assert CsvImport(make.service.database, SYSTEM, kind).run(path).failed == []


def library(make: Make) -> list[str]:
    make.stages()
    for name in ("FIRST", "SECOND", "NEVER"):
        make.asset(f"Text {name}", external_id=name)
    return [make.user().email for _ in range(3)]


def report(make: Make, reference: str = "") -> dict[str | None, LiftLine]:
    with make.service.database.reading() as db:
        return {line.external_id: line for line in insight.lift(db, access.operator(), reference)}


def counted(rows: Rows) -> tuple[int, int, int]:
    """Exposed deals, deals that won of them, and the share in strata with both groups, counted one by one."""
    deals = {row["external_id"]: row for row in rows["deals"]}
    firsts: dict[str, datetime] = {}
    for event in rows["usage"]:
        if event["asset_external_id"] == "FIRST" and event["kind"] != "view" and event["deal_source"] == "chosen":
            at = datetime.fromisoformat(event["at"])
            firsts[event["deal_external_id"]] = min(at, firsts.get(event["deal_external_id"], at))
    exposed, groups = set(), defaultdict[tuple[str, ...], list[bool]](list)
    for entry in rows["stages"]:
        deal = deals[entry["deal_external_id"]]
        entered = datetime.fromisoformat(entry["entered_at"])
        landmark = entered + cohorts.LANDMARK_DAYS * DAY
        if datetime.fromisoformat(deal["closed_at"]) <= landmark:
            continue
        used = firsts.get(deal["external_id"])
        stratum = (entry["stage"], deal["segment"], deal["owner_email"])
        if used is not None and entered <= used < landmark:
            exposed.add((deal["external_id"], stratum))
            groups[stratum].append(True)
        elif used is None or used >= landmark:
            groups[stratum].append(False)
    weighted = sum(len(set(groups[stratum])) == 2 for _, stratum in exposed)
    won = sum(deals[name]["outcome"] == "won" for name, _ in exposed)
    return len(exposed), won, weighted


def test_a_plain_count_of_the_same_rows_agrees(make_any: Make, tmp_path: Path) -> None:
    rows = made_up(library(make_any))
    load(make_any, tmp_path, rows)
    lines = report(make_any)
    exposed, won, weighted = counted(rows)
    first = lines["FIRST"]
    assert (first.exposed, first.won) == (exposed, won)
    assert first.weighted_share == pytest.approx(weighted / exposed)
    assert first.verdict == "helps"
    assert first.lift is not None
    assert first.lift > 0.2
    second = lines["SECOND"]
    assert (second.verdict, second.lift) == ("not_enough_data", None)
    assert second.needed == 30 - second.exposed
    assert "NEVER" not in lines
    assert report(make_any, "NEVER")["NEVER"].needed == 60


def test_shuffled_split_and_repeated_input_says_the_same(make: Make, tmp_path: Path) -> None:
    owners = library(make)
    rows = made_up(owners, deals=70)
    draw = random.Random(7)
    mixed = {kind: draw.sample(lines, len(lines)) for kind, lines in rows.items()}
    half = {kind: lines[: len(lines) // 2] for kind, lines in mixed.items()}
    half["deals"] = mixed["deals"]
    load(make, tmp_path, half)
    load(make, tmp_path, mixed)
    load(make, tmp_path, mixed)
    pieces = report(make)
    exposed, won, _ = counted(rows)
    assert (pieces["FIRST"].exposed, pieces["FIRST"].won) == (exposed, won)


def test_figures_are_of_what_one_sees_and_few_deals_are_not_told(make: Make, sign_in: SignIn, tmp_path: Path) -> None:
    owners = library(make)
    load(make, tmp_path, made_up(owners, deals=60))
    with make.service.database.reading() as db:
        hidden = db.scalars(select(Asset).where(Asset.external_id == "FIRST")).one()
    make.set_asset(hidden, tier=Tier.CONFIDENTIAL.value)
    rep = sign_in(make.user())
    (used,) = rep.get("/api/v1/insight/usage").json["items"]  # type: ignore[index]
    assert (used["external_id"], used["won"], used["win_rate"]) == ("SECOND", None, None)
    assert rep.get("/api/v1/insight/usage?asset=FIRST").status_code == 404
    assert rep.get("/api/v1/insight/usage?days=30").status_code == 200
    assert rep.get("/api/v1/insight/usage?days=31").status_code == 422, "no two periods a day apart"
    lines = rep.get("/api/v1/insight/lift").json
    assert lines is not None
    (line,) = lines["items"]
    assert line["external_id"] == "SECOND"
    assert line["n_exposed"] < insight.LEAST_SHOWN
    assert (line["wins_exposed"], line["win_rate"], line["weighted_share"]) == (None, None, None)
    never = rep.get("/api/v1/insight/lift?asset=nothing")
    assert rep.get("/api/v1/insight/lift?asset=FIRST").status_code == never.status_code == 404
    admin = sign_in(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL))
    assert len(admin.get("/api/v1/insight/lift").json["items"]) == 2  # type: ignore[index]


def test_usage_counts_people_deals_and_outcomes_while_the_deals_were_open(make_any: Make, tmp_path: Path) -> None:
    rows = made_up(library(make_any), deals=40)
    load(make_any, tmp_path, rows)
    with make_any.service.database.reading() as db:
        lines = {line.external_id: line for line in insight.usage(db, access.operator())}
        recent = insight.usage(db, access.operator(), "FIRST", days=1)
    used = [event for event in rows["usage"] if event["asset_external_id"] == "FIRST" and event["kind"] != "view"]
    outcomes = {row["external_id"]: row["outcome"] for row in rows["deals"]}
    first, touched = lines["FIRST"], {event["deal_external_id"] for event in used}
    assert first.uses == len(used)
    assert first.views == sum(event["kind"] == "view" for event in rows["usage"])
    assert first.people == len({event["user_email"] for event in used})
    assert (first.deals, first.closed) == (len(touched), len(touched))
    assert first.won == sum(outcomes[name] == "won" for name in touched)
    assert first.win_rate == first.won / first.closed
    assert (recent[0].uses, recent[0].deals, recent[0].win_rate) == (0, 0, None)


def test_the_command_gives_what_the_interface_promises(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(make, tmp_path, made_up(library(make), deals=60))
    monkeypatch.setenv("KB_DATA_DIR", str(make.service.settings.data_dir))
    runner = CliRunner()
    told = json.loads(runner.invoke(cli.cli, ["report", "lift", "--json"]).stdout)
    assert [sorted(line) for line in told] == [sorted(FIELDS)] * 2
    (one,) = json.loads(runner.invoke(cli.cli, ["report", "lift", "--asset", "FIRST", "--json"]).stdout)
    assert one == told[0]
    assert "Text FIRST" in runner.invoke(cli.cli, ["report", "lift"]).stdout
    assert json.loads(runner.invoke(cli.cli, ["report", "usage", "--json"]).stdout)[0]["external_id"] == "FIRST"
    assert "Text FIRST" in runner.invoke(cli.cli, ["report", "usage", "--days", "3000"]).stdout
    unknown = runner.invoke(cli.cli, ["report", "lift", "--asset", "nothing"])
    assert isinstance(unknown.exception, NotFound)


def test_a_reader_learns_no_title_of_a_draft(make: Make, sign_in: SignIn) -> None:
    asset, rep, marketer = make.asset("Open title", external_id="T"), make.user(), make.user(Role.MARKETER)
    make.use(rep, asset)
    make.new_version(asset, "zqDraft", "zqDraft title", publish=False)
    with make.service.database.writing() as db:
        for person in (rep, marketer):
            notices.tell(db, person.id, "share_opened", asset.id, "k")
    for path in ("/api/v1/insight/usage", "/api/v1/notices", "/notices?deal="):
        seen = sign_in(rep).get(path).text
        assert "zqDraft" not in seen, path
        assert "Open title" in seen, path
        assert "zqDraft title" in sign_in(marketer).get(path).text, path


FIELDS = (
    "asset", "external_id", "title", "n_exposed", "n_unexposed", "wins_exposed", "win_rate", "win_rate_low",
    "win_rate_high", "lift", "lift_low", "lift_high", "verdict", "needed", "weighted_share",
)  # fmt: skip
