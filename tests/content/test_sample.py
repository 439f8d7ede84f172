"""The sample company: complete, honest, the same every time, and safe to load again on another day."""

import csv
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

import time_machine
from sqlalchemy import func, select

from content import sample, sample_activity, sources
from content.deals import Deal, DealStage
from content.importing import AssetImport, Options
from content.models import Asset, PlanItem, UseEvent, Version
from content.sample_activity import Activity, SampleAsset
from content.sources import Record
from kb import clock, config
from kb.access import SYSTEM
from kb.app import Service, open_service
from review import sample as review_sample
from search import encoder

LEAST = {"talk_track": 30, "case_study": 14, "white_paper": 8, "battle_card": 8, "faq": 12, "product_brief": 6}
ORDER = ("awareness", "discovery", "solution", "negotiation", "after_sale")


@cache
def written() -> Mapping[str, Record]:
    found = {}
    for path in (sample.FOLDER / "assets").glob("*.md"):
        record = next(iter(sources.read(path)))
        assert isinstance(record, Record), path
        found[str(record.fields["external_id"])] = record
    return found


@cache
def life() -> Activity:
    return sample_activity.make(sample._sample_assets(), sample.WRITTEN_ON, sample._open_deals())


def rows(name: str) -> list[dict[str, str]]:
    with (sample.FOLDER / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


# --- what is written ---


def test_the_library_is_as_large_as_a_company_needs() -> None:
    counts = Counter(str(record.fields["type"]) for record in written().values())
    assert {kind: count for kind, count in LEAST.items() if counts[kind] < count} == {}


def test_about_half_is_in_each_language_and_a_third_tells_the_same_in_both() -> None:
    languages = Counter(str(record.fields["language"]) for record in written().values())
    assert 0.4 <= languages["zh"] / languages.total() <= 0.6
    translations = [r for r in written().values() if r.fields.get("translation_of")]
    for record in translations:
        source = written()[str(record.fields["translation_of"])]
        assert source.fields["language"] != record.fields["language"]
        assert source.fields["type"] == record.fields["type"]
    stories = len(written()) - len(translations)
    assert 0.25 <= len(translations) / stories <= 0.45


def test_every_handling_and_every_kind_of_trouble_is_there() -> None:
    fields = [record.fields for record in written().values()]
    assert {field["handling"] for field in fields} == {"internal", "spoken", "named", "public"}
    assert any(field.get("unlock_stage") for field in fields)
    assert any(field["tier"] == "restricted" for field in fields)
    assert any(field.get("audience") for field in fields)
    assert any(field.get("expires_on") for field in fields)


def test_nothing_was_verified_before_it_was_published() -> None:
    for name, record in written().items():
        published = int(str(record.fields.get("published_days_ago", sample.PUBLISHED_DAYS_AGO)))
        verified = record.fields.get("verified_days_ago")
        assert verified is None or int(str(verified)) <= published or published == sample.PUBLISHED_DAYS_AGO, name


# --- what is made ---


def test_the_same_day_makes_the_same_company() -> None:
    again = sample_activity.make(sample._sample_assets(), sample.WRITTEN_ON, sample._open_deals())
    assert again == life()


def test_there_is_enough_life_to_look_at() -> None:
    assert len(life().deals) + len(rows("deals.csv")) >= 120
    assert len(life().usage) + len(rows("usage.csv")) >= 2_000
    assert {deal["outcome"] for deal in life().deals} == {"open", "won", "lost", "no_decision"}
    fresh = (datetime.combine(sample.WRITTEN_ON, datetime.min.time()) - timedelta(days=14)).isoformat()
    recent = {event["user_email"] for event in life().usage if event["at"] >= fresh and event["deal_external_id"]}
    assert recent >= {rep for reps in sample_activity.REPS.values() for rep in reps}


def test_every_event_is_one_that_could_have_happened() -> None:
    assets = {asset.external_id: asset for asset in sample._sample_assets()}
    stages = defaultdict(list)
    for row in (*life().stages, *rows("stages.csv")):
        stages[row["deal_external_id"]].append((datetime.fromisoformat(row["entered_at"]), row["stage"]))
    deals = {row["external_id"]: row for row in (*life().deals, *rows("deals.csv"))}
    for event in life().usage:
        asset, at = assets[event["asset_external_id"]], datetime.fromisoformat(event["at"])
        assert asset.external_id not in sample_activity.UNUSED
        assert asset.published_on <= at.date() <= (asset.expires_on or date.max), event
        if not event["deal_external_id"]:
            assert event["kind"] == "view", event
            continue
        deal = deals[event["deal_external_id"]]
        assert datetime.fromisoformat(deal["created_at"]) <= at, event
        assert not deal["closed_at"] or at <= datetime.fromisoformat(deal["closed_at"]), event
        _assert_allowed(
            asset,
            event,
            max(stages[event["deal_external_id"]])[1]
            if not asset.unlock_stage
            else _at(stages[event["deal_external_id"]], at),
        )


def _at(history: list[tuple[datetime, str]], at: datetime) -> str:
    return max(entry for entry in history if entry[0] <= at)[1]


def _assert_allowed(asset: SampleAsset, event: Mapping[str, str], stage: str) -> None:
    assert asset.tier in {"public", "internal"}, event
    assert not asset.audience or asset.audience & sample_activity.TEAMS[event["user_email"]], event
    assert not asset.unlock_stage or ORDER.index(stage) >= ORDER.index(asset.unlock_stage), event
    if event["kind"] in {"share", "present", "download"}:
        assert asset.handling in {"named", "public"}, event
        assert not asset.nda, event


def test_every_name_in_it_is_known() -> None:
    people = {person["email"] for person in sample._people()}
    assert len(people) == 12
    assert {event["user_email"] for event in life().usage} <= people
    assert {deal["owner_email"] for deal in life().deals} <= people
    for name, record in written().items():
        owners = record.fields["owners"]
        assert isinstance(owners, list)
        assert set(owners) <= people, name
    named = {*sample_activity.EFFECTS, *sample_activity.POPULAR, *sample_activity.UNUSED}
    assert named <= written().keys()


# --- loading ---


def test_its_assets_come_in_without_a_failure_or_warning(service: Service) -> None:
    sample.load_people(service.database, SYSTEM)
    sample.load_vocabulary(service.database, SYSTEM)
    importer = AssetImport(service.database, service.settings, SYSTEM, Options(publish=True))
    report = importer.run([sample.FOLDER / "assets", sample.FOLDER / "drafts"])
    assert [*report.failed, *report.warnings] == []


def test_it_is_whole_and_loading_it_again_another_day_changes_nothing(loaded: Path, tmp_path: Path) -> None:
    shutil.copytree(loaded, tmp_path / "data")
    service = open_service(config.load({}, data_dir=tmp_path / "data", encoder=encoder.OFF))
    with service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Asset)) == len(written()) + 3
    assert desk(service) == {"draft": 4, "in_review": 2, "approved": 1, "planned": 5, "expiring": 1}
    assert "TT-POC-EN" in behind(service)
    assert len(behind(service)) < 5
    kept = figures(service)
    registers = lambda: review_sample.load(service.database, SYSTEM)
    with time_machine.travel(datetime.now().astimezone() + timedelta(days=3), tick=True):
        later = sample.load(service.database, service.settings, SYSTEM, registers=registers)
    assert [(report.created, report.updated, report.failed) for report in later] == [(0, 0, [])] * 8
    assert figures(service) == kept
    service.close()


def desk(service: Service) -> dict[str, int]:
    """What is under way: on the board and in the plan."""
    with service.database.reading() as session:
        states = session.scalars(select(Version.state).where(Version.state.not_in(["published", "superseded"]))).all()
        planned = session.scalar(select(func.count()).select_from(PlanItem)) or 0
        soon = clock.now() + timedelta(days=14)
        expiring = session.scalar(select(func.count()).where(Asset.expires_at.between(clock.now(), soon))) or 0
    return {state: states.count(state) for state in sorted(set(states))} | {"planned": planned, "expiring": expiring}


def behind(service: Service) -> set[str]:
    """Translations whose source was published after them."""
    with service.database.reading() as session:
        published = {
            row.external_id: row.published_at
            for row in session.execute(
                select(Asset.external_id, Version.published_at).join(Version).where(Version.state == "published")
            )
        }
    return {
        name
        for name, record in written().items()
        if (source := record.fields.get("translation_of")) and published[str(source)] > published[name]
    }


def figures(service: Service) -> list[int | None]:
    with service.database.reading() as session:
        return [
            session.scalar(select(func.count()).select_from(table))
            for table in (Asset, Version, Deal, DealStage, UseEvent)
        ]
