"""Whatever people do in whatever order: only states of the table, one published version, frozen words stay as they are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from content import drafting, publishing, service, submission
from content.kinds import Handling, VersionState
from content.lifecycle import MOVES
from content.models import Asset, Version
from content.service import Wording
from kb import audit, clock
from kb.access import SYSTEM, Actor, Party, Role
from kb.errors import Conflict, Forbidden, KbError
from review import rounds
from review.machine import Answer
from review.models import Round
from tests.factories import Make

ONE_AT_MOST = ("draft", "in_review", "approved", "published")
TEXTS = ("## Say\n\nOne.\n", "## Say\n\nTwo, with 三 and more.\n", "## Say\n\nThree.\n")
ACTS = ("save", "submit", "take_back", "approve", "publish", "schedule", "wait", "withdraw", "restore", "archive", "revive", "load", "unschedule")  # fmt: skip
PEOPLE = ("marketer", "admin", "reviewer", "rep", "stranger")


def reachable() -> Mapping[str, set[str]]:
    """By any number of moves, since one act may make two (a draft is put aside, then another begun)."""
    found = {state.value: {state.value} for state in VersionState}
    for _ in VersionState:
        for (before, _move), after in MOVES.items():
            for onward in found.values():
                if before.value in onward:
                    onward.add(after.value)
    return found


REACHABLE = reachable()


@dataclass
class World:
    """One asset, the people around it, and what was seen of its versions so far."""

    make: Make
    asset: Asset
    people: Mapping[str, Actor]
    frozen: dict[int, tuple[object, ...]] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    moves: timedelta = timedelta()

    def act(self, name: str, who: str, number: int) -> None:
        actor = self.people[who]
        reference = self.asset.public_id
        acts: Mapping[str, Callable[[Session], object]] = {
            "save": lambda db: self._save(db, actor, TEXTS[number % 3]),
            "submit": lambda db: submission.submit(db, actor, reference),
            "take_back": lambda db: submission.take_back(db, actor, reference),
            "approve": lambda db: self._approve(db, actor, number),
            "publish": lambda db: submission.publish(db, actor, reference),
            "schedule": lambda db: submission.publish(db, actor, reference, clock.now() + timedelta(minutes=5)),
            "unschedule": lambda db: submission.unschedule(db, actor, reference),
            "withdraw": lambda db: publishing.withdraw(db, actor, service.get_editable(db, actor, reference), "wrong"),
            "restore": lambda db: submission.restore(db, actor, reference, 1 + number % 4),
            "archive": lambda db: submission.archive(db, actor, reference, "old"),
            "revive": lambda db: submission.revive(db, actor, reference),
            "load": lambda db: self._load(db, actor),
        }
        try:
            with self.make.service.database.writing() as db:
                acts[name](db)
        except KbError:
            pass  # refused: the state below must be what it was

    def _approve(self, db: Session, actor: Actor, number: int) -> None:
        """One party at a time; now and then on words that are not in review, or by somebody who may not."""
        found = db.scalar(select(Round).where(Round.asset_id == self.asset.id).order_by(Round.id.desc()).limit(1))
        if found is None:
            return
        party = list(Party)[number % 3]
        who = self.make.actor(self.make.panel()[party]) if number > 1 else actor
        rounds.decide(db, who, found.public_id, party, Answer.APPROVE, self._digest(db, number))

    def _save(self, db: Session, actor: Actor, text: str) -> None:
        present = drafting.get_draft(db, actor, self.asset.public_id)
        wording = Wording("A title", text, "en", Handling.SPOKEN)
        drafting.put_draft(db, actor, self.asset.public_id, present.revision, wording, service.render(text))

    def _digest(self, db: Session, number: int) -> str:
        """Mostly what is in review; now and then what is not."""
        wanted = VersionState.IN_REVIEW.value if number % 4 else VersionState.DRAFT.value
        found = db.scalar(select(Version.digest).where(Version.asset_id == self.asset.id, Version.state == wanted))
        return found or "0" * 64

    def _load(self, db: Session, actor: Actor) -> None:
        asset = service.get_editable(db, actor, self.asset.public_id)
        draft = service.find_version(db, asset, VersionState.DRAFT)
        if draft is not None:
            publishing.load(db, actor, draft, [])

    def check(self) -> None:
        with self.make.service.database.reading() as db:
            versions = db.scalars(select(Version).where(Version.asset_id == self.asset.id)).all()
            for state in ONE_AT_MOST:
                assert sum(version.state == state for version in versions) <= 1, state
            for version in versions:
                before = self.states.get(version.id, "draft")
                assert version.state in REACHABLE[before], f"{before} → {version.state}"
                self.states[version.id] = version.state
                if version.state != "draft":
                    words = (
                        version.title,
                        version.text,
                        version.language,
                        version.handling,
                        version.nda,
                        version.digest,
                    )
                    assert self.frozen.setdefault(version.id, words) == words
                    assert publishing.digest_now(db, version) == version.digest
                if version.published_at is not None and not version.is_bulk_load:
                    assert version.approved_digest == version.digest
                assert version.publish_at is None or version.state in {
                    "approved",
                    "published",
                    "superseded",
                    "withdrawn",
                }


@pytest.fixture
def people(make: Make) -> Mapping[str, Actor]:
    make.stages()
    make.panel()
    return {
        "marketer": make.actor(make.user(Role.MARKETER)),
        "admin": make.actor(make.user(Role.ADMIN)),
        "reviewer": make.actor(make.user(Role.REVIEWER)),
        "rep": make.actor(make.user(Role.REP)),
        "stranger": SYSTEM,
    }


def owned(make: Make, *, publish: bool) -> Asset:
    return make.asset(publish=publish, tags=[make.stage_id("discovery")], owners=[make.user(Role.MARKETER)])


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(
        st.tuples(st.sampled_from(ACTS), st.sampled_from(PEOPLE), st.integers(0, 11)), min_size=3, max_size=24
    ),
    begins_published=st.booleans(),
)
def test_A33_no_sequence_of_moves_leaves_the_table(
    make: Make,
    people: Mapping[str, Actor],
    monkeypatch: pytest.MonkeyPatch,
    moves: list[tuple[str, str, int]],
    begins_published: bool,
) -> None:
    world = World(make, owned(make, publish=begins_published), people)
    world.check()
    for name, who, number in moves:
        if name == "wait":
            later = clock.now() + timedelta(minutes=number)
            monkeypatch.setattr(clock, "now", lambda later=later: later)
            publishing.publish_due(make.service.database)
        else:
            world.act(name, who, number)
        world.check()
    monkeypatch.undo()
    with make.service.database.reading() as db:
        assert audit.verify(db).intact


def test_the_whole_way_from_draft_to_readers_and_back(make: Make, people: Mapping[str, Actor]) -> None:
    marketer, asset = people["marketer"], owned(make, publish=False)
    with make.service.database.writing() as db:
        version = submission.submit(db, marketer, asset.public_id)
        assert version.state == "in_review"
    with make.service.database.writing() as db:
        make.clear(version, db)
        published = submission.publish(db, marketer, asset.public_id)
        assert (published.state, published.is_unreviewed) == ("published", False)
    with make.service.database.reading() as db:
        acts = [
            entry.action
            for entry in db.scalars(select(audit.AuditEntry).where(audit.AuditEntry.object_id == version.public_id))
        ]
        assert acts == ["version.submit", "version.clear", "version.publish"]


def test_A32_a_change_after_approval_is_never_what_gets_published(make: Make, people: Mapping[str, Actor]) -> None:
    marketer, asset = people["marketer"], owned(make, publish=False)
    with make.service.database.writing() as db:
        version = submission.submit(db, marketer, asset.public_id)
        make.clear(version, db)
    with make.service.database.writing() as db:
        wording = Wording("Another title", "## Say\n\nSomething else.\n", "en", Handling.PUBLIC)
        drafting.put_draft(db, marketer, asset.public_id, 0, wording, service.render(wording.text))
    with make.service.database.writing() as db:
        assert submission.publish(db, marketer, asset.public_id).digest == version.digest
    with pytest.raises(Conflict), make.service.database.writing() as db:
        submission.publish(db, marketer, asset.public_id)
    with make.service.database.reading() as db:
        states = {row.number: row.state for row in db.scalars(select(Version).where(Version.asset_id == asset.id))}
        assert states == {1: "published", 2: "draft"}


def test_the_digest_of_an_approval_is_the_one_that_was_read(make: Make, people: Mapping[str, Actor]) -> None:
    asset = owned(make, publish=False)
    with make.service.database.writing() as db:
        submission.submit(db, people["marketer"], asset.public_id)
    with pytest.raises(submission.OtherText), make.service.database.writing() as db:
        found = db.scalars(select(Round)).one()
        legal = make.actor(make.panel()[Party.LEGAL])
        rounds.decide(db, legal, found.public_id, Party.LEGAL, Answer.APPROVE, "f" * 64)


def test_what_is_missing_is_named_and_nothing_is_frozen(make: Make, people: Mapping[str, Actor]) -> None:
    asset = make.asset(publish=False)
    with pytest.raises(submission.Incomplete) as refused, make.service.database.writing() as db:
        submission.submit(db, people["marketer"], asset.public_id)
    assert refused.value.details == {"lacks": ["stage", "owner"]}


def test_a_scheduled_version_is_published_at_its_moment_and_once(
    make_any: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_any.stages()
    make_any.panel()
    marketer = make_any.actor(make_any.user(Role.MARKETER))
    asset = owned(make_any, publish=True)
    at = clock.now() + timedelta(hours=1)
    with make_any.service.database.writing() as db:
        wording = Wording("New words", "## Say\n\nThe new price.\n", "en", Handling.SPOKEN)
        drafting.put_draft(db, marketer, asset.public_id, 0, wording, service.render(wording.text))
        version = submission.submit(db, marketer, asset.public_id)
        make_any.clear(version, db)
        submission.publish(db, marketer, asset.public_id, at)
    database = make_any.service.database
    assert publishing.publish_due(database) == 0
    monkeypatch.setattr(clock, "now", lambda: at)
    assert [publishing.publish_due(database), publishing.publish_due(database)] == [1, 0]
    with database.reading() as db:
        states = [
            row.state
            for row in db.scalars(select(Version).where(Version.asset_id == asset.id).order_by(Version.number))
        ]
        assert states == ["superseded", "published"]


def test_restoring_puts_the_draft_aside_and_loses_nothing(make: Make, people: Mapping[str, Actor]) -> None:
    marketer, asset = people["marketer"], owned(make, publish=True)
    with make.service.database.writing() as db:
        wording = Wording("Half done", "## Say\n\nUnfinished.\n", "en", Handling.SPOKEN)
        drafting.put_draft(db, marketer, asset.public_id, 0, wording, service.render(wording.text))
        fresh = submission.restore(db, marketer, asset.public_id, 1)
    with make.service.database.reading() as db:
        rows = db.scalars(select(Version).where(Version.asset_id == asset.id).order_by(Version.number)).all()
        assert [(row.state, row.title) for row in rows] == [
            ("published", rows[0].title), ("changes_requested", "Half done"), ("draft", rows[0].title),
        ]  # fmt: skip
    assert fresh.text == rows[0].text


def test_withdrawing_a_source_takes_its_translations_or_says_why_not(make: Make, people: Mapping[str, Actor]) -> None:
    marketer = people["marketer"]
    for keep, states in (("", ["withdrawn", "withdrawn"]), ("still right in Chinese", ["withdrawn", "published"])):
        source = make.asset()
        make.asset(language="zh", translation_of=source)
        with make.service.database.writing() as db:
            publishing.withdraw(db, marketer, service.get_editable(db, marketer, source.public_id), "wrong price", keep)
        with make.service.database.reading() as db:
            story = (Asset.id == source.id) | (Asset.translation_of_id == source.id)
            rows = db.scalars(
                select(Version.state).join(Asset, Asset.id == Version.asset_id).where(story).order_by(Asset.id)
            )
            assert list(rows) == states


def test_who_may_not_publish_may_not_archive(make: Make, people: Mapping[str, Actor]) -> None:
    asset = owned(make, publish=False)
    for act in (
        lambda db: submission.publish(db, people["reviewer"], asset.public_id),
        lambda db: submission.archive(db, people["rep"], asset.public_id, "x"),
        lambda db: submission.submit(db, people["rep"], asset.public_id),
    ):
        with pytest.raises(Forbidden), make.service.database.writing() as db:
            act(db)
