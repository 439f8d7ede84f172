"""Loads the sample company, through the same imports that everybody uses."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from content import sample_activity, sample_desk, sources, taxonomy
from content.crm import CsvImport
from content.deals import Deal
from content.importing import AssetImport, Options, Report
from content.kinds import Facet, VersionState
from content.models import Asset, Version
from content.sample_activity import SampleAsset
from content.sources import Record
from kb import clock, users
from kb.access import Actor
from kb.config import Settings
from kb.db import Database

FOLDER = Path(__file__).parent / "sample"
WRITTEN_ON = date(2026, 11, 26)
"""The day the sample's dates count as today; loading shifts them to the present."""
PUBLISHED_DAYS_AGO = 200
COMPANY = "云枢 Yunshu"
PASSWORD = "yunshu-demo"  # noqa: S105  # printed on screen: a demonstration has no secrets

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Face:
    """The account shown for one role."""

    role: str
    email: str
    name: str


def load(
    database: Database,
    settings: Settings,
    actor: Actor,
    say: Say = lambda _text: None,
    registers: Callable[[], None] = lambda: None,
) -> list[Report]:
    """Load people, vocabulary, deals, assets and usage; safe to run again, and to be ended half way.

    `registers` puts on file what the assets cite, before anything is handed to review.
    """
    load_people(database, actor)
    load_vocabulary(database, actor)
    say("people and vocabulary are there")
    shift = _shift(database)
    life = sample_activity.make(_sample_assets(), WRITTEN_ON, _open_deals())
    rows = {"deals": life.deals, "stages": life.stages, "usage": life.usage}

    def bring(kind: str) -> list[Report]:
        written, made = CsvImport(database, actor, kind, shift), CsvImport(database, actor, kind, shift)
        found = [written.run(FOLDER / f"{kind}.csv"), made.run_rows(f"activity.{kind}", rows[kind])]
        say(f"{sum(report.total for report in found)} {kind}")
        return found

    importer = AssetImport(database, settings, actor, Options(publish=True))
    assets = importer.run(sample_desk.list_new(database, FOLDER / "assets"), lambda done: say(f"{done} assets"))
    _date_assets(database, settings)
    reports = [assets, *bring("deals"), *bring("stages"), *bring("usage")]
    registers()
    reports.append(sample_desk.load(database, settings, actor))
    say("the sample company is loaded")
    return reports


def faces() -> list[Face]:
    """One account a role: the person whose first role it is."""
    found: dict[str, Face] = {}
    for person in _people():
        if person.get("demo"):
            found.setdefault(person["roles"][0], Face(person["roles"][0], person["email"], person["name"]))
    return list(found.values())


def load_people(database: Database, actor: Actor) -> None:
    """Add those who are missing; a person who changed the demo password keeps it."""
    with database.writing() as session:
        for person in sorted(_people(), key=lambda one: bool(one.get("manager"))):
            if users.find_by_email(session, person["email"]) is None:
                fields = {
                    key: ";".join(value) if isinstance(value, list) else str(value)
                    for key, value in person.items()
                    if value
                }
                users.add(session, actor, users.with_password(users.new_user(fields), PASSWORD))


def load_vocabulary(database: Database, actor: Actor) -> None:
    words: Mapping[str, list[dict[str, Any]]] = yaml.safe_load((FOLDER / "vocabulary.yaml").read_text(encoding="utf-8"))
    with database.writing() as session:
        for facet, tags in words.items():
            for position, tag in enumerate(tags, start=1):
                taxonomy.put(
                    session,
                    actor,
                    Facet(facet),
                    tag["key"],
                    tag["en"],
                    tag["zh"],
                    tag.get("synonyms", ()),
                    position,
                    revive=False,
                )


def _people() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / "people.yaml").read_text(encoding="utf-8"))
    return found


def _sample_assets() -> list[SampleAsset]:
    found = []
    for path in sorted((FOLDER / "assets").glob("*.md")):
        record = next(iter(sources.read(path)))
        if isinstance(record, Record):
            days_ago = record.fields.get("published_days_ago", PUBLISHED_DAYS_AGO)
            found.append(SampleAsset.of(record.fields, WRITTEN_ON - timedelta(days=int(str(days_ago)))))
    return found


def _open_deals() -> list[Mapping[str, str]]:
    with (FOLDER / "deals.csv").open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["outcome"] == "open"]


def _shift(database: Database) -> Callable[[datetime], datetime]:
    """From the day it was written to today; to the day of the first loading, where it was loaded before."""
    with (FOLDER / "deals.csv").open(encoding="utf-8", newline="") as lines:
        first = next(csv.DictReader(lines))
    with database.reading() as session:
        loaded = session.scalar(select(Deal.created_at).where(Deal.external_id == first["external_id"]))
    days = timedelta(days=(clock.now().date() - WRITTEN_ON).days)
    if loaded is not None:
        days = loaded - datetime.fromisoformat(first["created_at"])
    return lambda at: at + days


def _date_assets(database: Database, settings: Settings) -> None:
    """Give the loaded versions a past, so that use came after publication and some are due for verification."""
    with database.writing() as session:
        for asset, version in session.execute(_fresh()):
            days = asset.extra.get("published_days_ago", PUBLISHED_DAYS_AGO)
            version.published_at = clock.now() - timedelta(days=days if isinstance(days, int) else PUBLISHED_DAYS_AGO)
            _verify_in_the_past(session, asset)
            left = asset.extra.get("expires_in_days")
            if isinstance(left, int):
                day = clock.now().astimezone(settings.zone).date() + timedelta(days=left + 1)
                asset.expires_at = datetime.combine(day, time.min, settings.zone)


def _fresh() -> Select[Asset, Version]:
    return (
        select(Asset, Version)
        .join(Version)
        .where(
            Version.state == VersionState.PUBLISHED.value,
            Asset.verified_at.is_(None),
            Version.is_bulk_load,
            Asset.extra["verified_days_ago"].as_integer() >= 0,
        )
    )


def _verify_in_the_past(session: Session, asset: Asset) -> None:
    days = asset.extra.get("verified_days_ago")
    if isinstance(days, int):
        asset.verified_at = clock.now() - timedelta(days=days)
    session.flush()
