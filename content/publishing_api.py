"""From draft to readers for programs: submit, publish, schedule, take back, restore, archive; one change of many."""

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import AwareDatetime, Field

from content import bulk, submission
from content.bulk import Act, Change
from content.models import Version
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.web import Area, actor

area = Area("publishing_api", __name__, url_prefix=PREFIX)

Reason = Annotated[str, Field(max_length=1_000)]


class SubmitBody(Strict):
    """With `revision`, only the draft as it was seen; with `publish`, it goes to readers with the last approval.

    An `urgent` fix does too; 409 `out_of_scope` where it changes more than the reported passages.
    """

    revision: Annotated[int, Field(ge=1)] | None = None
    publish: bool = False
    urgent: bool = False


class PublishBody(Strict):
    """Without `at` it is published now."""

    at: AwareDatetime | None = None


class RestoreBody(Strict):
    version: Annotated[int, Field(ge=1, le=999_999_999)]


class ArchiveBody(Strict):
    reason: Reason = ""


class VersionStanding(Shown):
    """Where a version stands after the act."""

    number: int
    state: str
    digest: str
    publish_at: datetime | None
    published_at: datetime | None
    unreviewed: bool


class DraftStanding(Shown):
    id: str
    revision: int
    digest: str


class ArchivedShown(Shown):
    id: str
    archived: bool


class BulkBody(Strict):
    """`dry_run` tells what would change and changes nothing."""

    assets: Annotated[list[Annotated[str, Field(max_length=24)]], Field(min_length=1, max_length=bulk.MOST)]
    act: Literal["add_tag", "remove_tag", "add_owner", "set_owner", "verify"]
    tag: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    owner: Annotated[str, Field(max_length=254)] = ""
    dry_run: bool = False


class BulkLineShown(Shown):
    id: str
    title: str
    effect: str
    reason: str


class BulkShown(Shown):
    changed: int
    items: list[BulkLineShown]


def _standing(version: Version) -> VersionStanding:
    return VersionStanding(
        number=version.number,
        state=version.state,
        digest=version.digest,
        publish_at=version.publish_at,
        published_at=version.published_at,
        unreviewed=version.is_unreviewed,
    )


@area.post("/assets/<reference>/submit", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=VersionStanding), tags=["publishing"])
def submit(reference: str, json: SubmitBody) -> Response:
    """Freeze the draft and hand it to review; 422 `incomplete` names what is missing."""
    return write(
        lambda db: _standing(
            submission.submit(db, actor(), reference, json.revision, publishes=json.publish, urgent=json.urgent)
        )
    )


@area.post("/assets/<reference>/take-back", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=VersionStanding), tags=["publishing"])
def take_back(reference: str) -> Response:
    """End the wait of the version in review, else of the cleared one."""
    return write(lambda db: _standing(submission.take_back(db, actor(), reference)))


@area.post("/assets/<reference>/publish", needs=Permission.PUBLISH)
@spec.validate(resp=answers(HTTP_200=VersionStanding), tags=["publishing"])
def publish(reference: str, json: PublishBody) -> Response:
    """Publish the cleared version now, or `at` a moment to come; 409 where none is cleared."""
    return write(lambda db: _standing(submission.publish(db, actor(), reference, json.at)))


@area.post("/assets/<reference>/unschedule", needs=Permission.PUBLISH)
@spec.validate(resp=answers(HTTP_200=VersionStanding), tags=["publishing"])
def unschedule(reference: str) -> Response:
    """Leave the cleared version waiting without a moment."""
    return write(lambda db: _standing(submission.unschedule(db, actor(), reference)))


@area.post("/assets/<reference>/restore", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=DraftStanding), tags=["drafts"])
def restore(reference: str, json: RestoreBody) -> Response:
    """An older version as the new draft; a draft that is there is put aside into the history."""

    def act(db: Any) -> DraftStanding:
        draft = submission.restore(db, actor(), reference, json.version)
        return DraftStanding(id=draft.asset_id, revision=draft.revision, digest=draft.digest)

    return write(act)


@area.post("/assets/<reference>/archive", needs=Permission.PUBLISH)
@spec.validate(resp=answers(HTTP_200=ArchivedShown), tags=["publishing"])
def archive(reference: str, json: ArchiveBody) -> Response:
    """Withdraw it where it is published, and take it off the lists of work; nothing is deleted."""
    return write(
        lambda db: ArchivedShown(id=submission.archive(db, actor(), reference, json.reason).public_id, archived=True)
    )


@area.post("/assets/<reference>/revive", needs=Permission.PUBLISH)
@spec.validate(resp=answers(HTTP_200=ArchivedShown), tags=["publishing"])
def revive(reference: str) -> Response:
    """Back from the archive to the lists of work."""
    return write(lambda db: ArchivedShown(id=submission.revive(db, actor(), reference).public_id, archived=False))


@area.post("/bulk", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=BulkShown), tags=["assets"])
def many(json: BulkBody) -> Response:
    """One change of many assets; those that may not be changed say why, and do not stop the others."""
    change = Change(Act(json.act), json.tag or 0, json.owner)
    doing = bulk.preview if json.dry_run else bulk.apply

    def act(db: Any) -> BulkShown:
        found = doing(db, actor(), json.assets, change, "en")
        items = [
            BulkLineShown(id=row.public_id, title=row.title, effect=row.effect.value, reason=row.reason)
            for row in found.rows
        ]
        return BulkShown(changed=found.changed, items=items)

    return write(act)
