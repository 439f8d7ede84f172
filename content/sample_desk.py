"""The sample company's work under way: drafts, versions on their way to readers, a plan, an answer from the field."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from content import (
    access_requests,
    contacts,
    deals,
    drafting,
    planning,
    service,
    sharing,
    stories,
    submission,
    taxonomy,
)
from content.contacts import Nda
from content.importing import AssetImport, Options, Report
from content.kinds import AssetType, VersionState
from content.models import Asset, PlanItem, ShareLink, ShareOpening
from content.planning import NewItem
from content.sharing import Kind, Wanted
from content.stories import Story, StoryKind
from kb import clock, users
from kb.access import Actor
from kb.config import Settings
from kb.db import Database

FOLDER: Final = Path(__file__).parent / "sample"

Entry = Mapping[str, Any]


def load(database: Database, settings: Settings, actor: Actor) -> Report:
    """Lay out what is not there yet; safe to run again, and to be ended half way. Answers what the drafts' import did."""
    report = AssetImport(database, settings, actor, Options()).run(list_new(database, FOLDER / "drafts"))
    desk = read_desk()
    for entry in desk["edits"]:
        with database.writing() as session:
            _edit(session, entry)
    for entry in desk["plan"]:
        with database.writing() as session:
            _plan(session, settings, entry)
    for entry in desk["stories"]:
        with database.writing() as session:
            _tell(session, entry)
    for entry in desk["access_requests"]:
        with database.writing() as session:
            _ask(session, entry)
    for entry in desk["customers"]:
        with database.writing() as session:
            _send(session, settings, entry)
    return report


def read_desk() -> Mapping[str, list[Entry]]:
    """What lies on the desks, as the file says."""
    found: Mapping[str, list[Entry]] = yaml.safe_load((FOLDER / "desk.yaml").read_text(encoding="utf-8"))
    return found


def list_new(database: Database, folder: Path) -> list[Path]:
    """The files of assets that are not here yet: what somebody made of the others stays as it is."""
    with database.reading() as session:
        known = {str(name).casefold() for name in session.scalars(select(Asset.external_id))}
    return [path for path in sorted(folder.glob("*.md")) if path.stem.casefold() not in known]


def _person(session: Session, email: str) -> Actor:
    return users.actor_of(users.get_by_email(session, email))


def _edit(session: Session, entry: Entry) -> None:
    """A new version of an asset of which only the published one is there, as far on its way as the entry says."""
    person = _person(session, entry["by"])
    reference = f"external:{entry['asset']}"
    asset = drafting.load_editable(session, person, reference)
    before = drafting.get_draft(session, person, reference)
    if service.find_version(session, asset, *(set(VersionState) - {VersionState.PUBLISHED})) is not None:
        return
    text = before.text
    for old, new in entry["changes"]:
        text = text.replace(old, new)
    wording = drafting.wording_of(before, {"text": text})
    draft = drafting.put_draft(session, person, reference, before.revision, wording, service.render(text))
    if entry["goes_to"] == "draft":
        return
    submission.submit(session, person, reference, draft.revision)


def moment_of(settings: Settings, entry: Entry) -> datetime:
    """The day and hour at which an entry of the desk is published."""
    day = clock.now().astimezone(settings.zone).date() + timedelta(days=entry["in_days"])
    return datetime.combine(day, time.fromisoformat(entry["hour"]), settings.zone)


def _plan(session: Session, settings: Settings, entry: Entry) -> None:
    if session.scalar(select(PlanItem.id).where(PlanItem.title == entry["title"])) is not None:
        return
    person = _person(session, entry["owner"])
    day = clock.now().astimezone(settings.zone).date() + timedelta(days=entry["in_days"])
    asset = f"external:{entry['asset']}" if "asset" in entry else ""
    planning.add(
        session, person, NewItem(entry["title"], AssetType(entry["type"]), day, entry["owner"], entry["note"], asset)
    )


def _tell(session: Session, entry: Entry) -> None:
    person = _person(session, entry["by"])
    if any(one.title == entry["title"] for one in stories.list_own(session, person)):
        return
    parts = {key: entry[key] for key in ("title", "first", "second", "third")}
    story = Story(StoryKind(entry["kind"]), **parts)
    deal = deals.get_context(session, person, taxonomy.load(session), entry["deal"])
    stories.submit(session, person, story, service.render(stories.text_of(story)), deal)


def _ask(session: Session, entry: Entry) -> None:
    """Somebody comes to what is locked for them and asks, unless they have asked before."""
    person = _person(session, entry["by"])
    if access_requests.list_mine(session, person):
        return
    deal = deals.get_context(session, person, taxonomy.load(session), entry["deal"]) if "deal" in entry else None
    row = access_requests.ask(session, person, deal, f"external:{entry['asset']}", entry["reason"])
    for _ in range(entry["tries"]):
        access_requests.note_try(session, person, row.asset_id)
    if "refused_by" in entry:
        access_requests.refuse(session, _person(session, entry["refused_by"]), row.public_id, entry["answer"])


def _send(session: Session, settings: Settings, entry: Entry) -> None:
    """Contacts, the agreement and what was sent on a deal that has none of them yet."""
    person = _person(session, entry["by"])
    deal = deals.get_context(session, person, taxonomy.load(session), entry["deal"])
    if contacts.list_of(session, person, deal):
        return
    known = {email: contacts.add(session, person, deal, name, email) for name, email in entry["contacts"]}
    today, nda = clock.now().date(), entry["nda"]
    until_on = today + timedelta(days=nda["days_left"]) if "days_left" in nda else None
    signed_on = today - timedelta(days=nda["signed_days_ago"])
    contacts.set_nda(session, person, deal, Nda(signed_on, until_on, nda["reference"]))
    for sent in entry["sent"]:
        wanted = Wanted(Kind.NAMED, known[sent["to"]].public_id)
        link_id, _ = sharing.create(session, person, deal, f"external:{sent['asset']}", wanted, settings.secret_key)
        link = session.scalars(select(ShareLink).where(ShareLink.public_id == link_id)).one()
        link.created_at = clock.now() - timedelta(hours=max(sent["opened_hours_ago"]) + 1)
        session.add_all(
            ShareOpening(
                link_id=link.id, version_id=link.version_id, kind="view", at=clock.now() - timedelta(hours=hours)
            )
            for hours in sent["opened_hours_ago"]
        )
