"""Rounds: who decides, on which words, what ends them, and that nothing is published that all parties have not cleared."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from content import access_changes, drafting, publishing, service, submission
from content.access_changes import Access
from content.kinds import AssetType, Handling
from content.models import AskedParty, Asset, Attachment, Version
from content.service import Wording
from kb import audit, notices
from kb.access import SYSTEM, Actor, Party, Role, Tier
from kb.db import Database
from kb.errors import Conflict, Forbidden, Invalid, KbError, NotFound
from kb.users import User, UserParty
from review import beginning, inbox, machine, panel, policy, remarks, rounds
from review.machine import Answer, RoundState, StepState
from review.models import Round, Step, Verdict
from review.policy import Duty, Line
from tests.factories import Make

SAY = "## Say\n\nWe move one system at a time.\n"
OTHER = "## Say\n\nWe move one system a week.\n"
FIRST, SECOND, THIRD = sorted(Party)


@pytest.fixture
def author(make_any: Make) -> User:
    make_any.stages()
    make_any.panel()
    return make_any.user(Role.MARKETER)


def draft(make: Make, author: User, handling: Handling = Handling.SPOKEN) -> Asset:
    return make.asset(
        "A talk",
        SAY,
        publish=False,
        author=author,
        handling=handling,
        tags=[make.stage_id("discovery")],
        owners=[author],
    )


def submit(make: Make, asset: Asset, author: User, *, publishes: bool = False) -> Version:
    with make.service.database.writing() as db:
        return submission.submit(db, make.actor(author), asset.public_id, publishes=publishes)


def newest(make: Make, asset: Asset) -> Round:
    with make.service.database.reading() as db:
        return db.scalars(select(Round).where(Round.asset_id == asset.id).order_by(Round.id.desc())).first()  # type: ignore[return-value]


def say(
    make: Make,
    who: User,
    found: Round,
    party: Party,
    answer: Answer = Answer.APPROVE,
    reason: str = "",
    digest: str = "",
) -> Round:
    with make.service.database.writing() as db:
        return rounds.decide(db, make.actor(who), found.public_id, party, answer, digest or found.digest, reason)


def rewrite(make: Make, asset: Asset, who: User, text: str) -> None:
    with make.service.database.writing() as db:
        present = drafting.get_draft(db, make.actor(who), asset.public_id)
        wording = Wording(present.title, text, present.language, present.handling)
        drafting.put_draft(db, make.actor(who), asset.public_id, present.revision, wording, service.render(text))


def state_of(make: Make, version: Version) -> str:
    with make.service.database.reading() as db:
        return db.get_one(Version, version.id).state


# --- the machine ---


@pytest.mark.parametrize(
    ("needed", "given_", "state"),
    [
        (1, [], StepState.OPEN),
        (1, [Answer.APPROVE], StepState.APPROVED),
        (2, [Answer.APPROVE], StepState.OPEN),
        (2, [Answer.APPROVE, Answer.APPROVE], StepState.APPROVED),
        (2, [Answer.APPROVE, Answer.REQUEST_CHANGES], StepState.CHANGES_REQUESTED),
        (1, [Answer.REQUEST_CHANGES], StepState.CHANGES_REQUESTED),
        (2, [Answer.REQUEST_CHANGES, Answer.REJECT], StepState.REJECTED),
        (0, [], StepState.OPEN),
        (0, [Answer.APPROVE], StepState.OPEN),
    ],
)
def test_a_step_after_these_answers(needed: int, given_: list[Answer], state: StepState) -> None:
    assert machine.step_after(needed, given_) is state


@given(st.lists(st.sampled_from(list(StepState)), max_size=4))
def test_a_round_after_these_steps(steps: list[StepState]) -> None:
    outcome = machine.round_after(steps)
    assert (outcome is RoundState.APPROVED) == (bool(steps) and set(steps) == {StepState.APPROVED})
    assert (outcome is RoundState.REJECTED) == (StepState.REJECTED in steps)
    assert (outcome is RoundState.CHANGES_REQUESTED) == (
        StepState.CHANGES_REQUESTED in steps and not {StepState.OPEN, StepState.REJECTED} & set(steps)
    )


@pytest.mark.parametrize(
    ("needed", "able", "short"),
    [
        ({FIRST: 1}, {FIRST: {1}}, None),
        ({FIRST: 1}, {FIRST: set()}, FIRST),
        ({FIRST: 1, SECOND: 1}, {FIRST: {1}, SECOND: {1}}, SECOND),
        ({FIRST: 1, SECOND: 1}, {FIRST: {1, 2}, SECOND: {1}}, None),
        ({FIRST: 1, SECOND: 1, THIRD: 1}, {FIRST: {1, 2}, SECOND: {1, 2}, THIRD: {1, 2}}, THIRD),
        ({FIRST: 1, SECOND: 1, THIRD: 1}, {FIRST: {1, 2, 3}, SECOND: {1}, THIRD: {1, 2}}, None),
        ({FIRST: 2}, {FIRST: {1}}, FIRST),
        ({FIRST: 2, SECOND: 1}, {FIRST: {1, 2, 3}, SECOND: {2}}, None),
    ],
)
def test_whether_everybody_can_be_served(
    needed: Mapping[Party, int], able: Mapping[Party, set[int]], short: Party | None
) -> None:
    assert machine.lacking(needed, able) is short


# --- one round ---


def test_all_parties_clear_it_and_then_it_may_be_published(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    asset = draft(make, author)
    version = submit(make, asset, author)
    found = newest(make, asset)
    for party in Party:
        with pytest.raises(Conflict), make.service.database.writing() as db:
            submission.publish(db, make.actor(author), asset.public_id)
        say(make, panel[party], found, party)
    assert state_of(make, version) == "approved"
    with make.service.database.writing() as db:
        submission.publish(db, make.actor(author), asset.public_id)
    with make.service.database.reading() as db:
        told = [row.action for row in db.scalars(select(audit.AuditEntry).order_by(audit.AuditEntry.sequence))]
        assert told[-6:] == [
            "verdict.give",
            "verdict.give",
            "verdict.give",
            "round.approved",
            "version.clear",
            "version.publish",
        ]
        kinds = {one.kind for one in notices.list_newest(db, author.id)}
        assert kinds == {"review_approved"}
        assert db.scalar(select(func.count()).where(AskedParty.ended_at.is_(None))) == 0


def test_with_the_last_approval_it_goes_to_its_readers(make_any: Make, author: User) -> None:
    asset = draft(make_any, author)
    version = submit(make_any, asset, author, publishes=True)
    make_any.clear(version)
    assert state_of(make_any, version) == "published"


def test_two_last_approvals_at_once_publish_once(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    for _ in range(4):
        asset = draft(make, author)
        version = submit(make, asset, author, publishes=True)
        found = newest(make, asset)
        say(make, panel[FIRST], found, FIRST)
        together = Barrier(2)

        def last(party: Party, found: Round = found, together: Barrier = together) -> str:
            who = make.actor(panel[party])
            together.wait()
            with make.service.database.writing() as db:
                return rounds.decide(db, who, found.public_id, party, Answer.APPROVE, found.digest).state

        with ThreadPoolExecutor(2) as pool:
            states = sorted(pool.map(last, [SECOND, THIRD]))
        assert states == ["approved", "open"]
        assert state_of(make, version) == "published"
        with make.service.database.reading() as db:
            entries = select(audit.AuditEntry.action).where(audit.AuditEntry.object_id == version.public_id)
            assert sorted(db.scalars(entries)) == ["version.clear", "version.publish", "version.submit"]
            assert audit.verify(db).intact


def test_a_wish_for_changes_lets_the_others_finish_and_the_author_gets_one_list(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    asset = draft(make, author)
    version = submit(make, asset, author)
    found = newest(make, asset)
    with pytest.raises(Invalid):
        say(make, panel[FIRST], found, FIRST, Answer.REQUEST_CHANGES, "  ")
    say(make, panel[FIRST], found, FIRST, Answer.REQUEST_CHANGES, "Name the price.")
    with make.service.database.writing() as db:
        remarks.comment(db, make.actor(panel[SECOND]), found.public_id, "one system at a time", "Which one first?")
    assert state_of(make, version) == "in_review"
    say(make, panel[SECOND], found, SECOND)
    say(make, panel[THIRD], found, THIRD, Answer.REQUEST_CHANGES, "And the date.")
    assert state_of(make, version) == "changes_requested"
    with make.service.database.reading() as db:
        page = inbox.get_page(db, make.actor(author), found.public_id)
        assert [said.reason for step in page.steps for said in step.verdicts] == [
            "Name the price.",
            "",
            "And the date.",
        ]
        assert [(one.quote, one.text) for one in page.comments] == [("one system at a time", "Which one first?")]


def test_who_approved_is_asked_only_about_the_difference_in_eight_hours(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    asset = draft(make, author)
    submit(make, asset, author)
    found = newest(make, asset)
    say(make, panel[Party.LEGAL], found, Party.LEGAL)
    say(make, panel[Party.SALES], found, Party.SALES)
    say(make, panel[Party.MARKETING], found, Party.MARKETING, Answer.REQUEST_CHANGES, "Shorter.")
    rewrite(make, asset, author, OTHER)
    submit(make, asset, author)
    again = newest(make, asset)
    with make.service.database.reading() as db:
        hours = {step.party: step.hours for step in db.scalars(select(Step).where(Step.round_id == again.id))}
        assert hours == {"legal": 8, "marketing": 16, "sales": 8}
        page = inbox.get_page(db, make.actor(panel[Party.LEGAL]), again.public_id)
        assert page.since_approved is not None
        assert (page.since_approved.number, page.since_approved.comparison.added) == (1, 1)
        assert inbox.get_page(db, make.actor(panel[Party.MARKETING]), again.public_id).since_approved is None
        former = inbox.get_page(db, make.actor(panel[Party.LEGAL]), found.public_id)
        assert former.state is RoundState.CHANGES_REQUESTED
    with pytest.raises(Conflict), make.service.database.writing() as db:  # nobody approved these words yet
        submission.publish(db, make.actor(author), asset.public_id)


def test_rejected_ends_it_and_taken_back_counts_nothing(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    asset = draft(make, author)
    version = submit(make, asset, author)
    found = newest(make, asset)
    say(make, panel[FIRST], found, FIRST)
    say(make, panel[SECOND], found, SECOND, Answer.REJECT, "Never.")
    assert state_of(make, version) == "rejected"
    with pytest.raises(rounds.RoundOver):
        say(make, panel[THIRD], found, THIRD)
    rewrite(make, asset, author, OTHER)
    submit(make, asset, author)
    second = newest(make, asset)
    say(make, panel[FIRST], second, FIRST)
    with make.service.database.writing() as db:
        submission.take_back(db, make.actor(author), asset.public_id)
    with pytest.raises(rounds.RoundOver):
        say(make, panel[SECOND], second, SECOND)
    with make.service.database.reading() as db:
        assert inbox.queue(db, make.actor(panel[SECOND])).total == 0


def test_A32_a_verdict_is_on_the_words_that_were_read(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    asset = draft(make, author)
    submit(make, asset, author)
    former = newest(make, asset)
    with make.service.database.writing() as db:
        submission.take_back(db, make.actor(author), asset.public_id)
    rewrite(make, asset, author, OTHER)
    submit(make, asset, author)
    found = newest(make, asset)
    with pytest.raises(submission.OtherText):
        say(make, panel[FIRST], found, FIRST, digest=former.digest)
    with make.service.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(Verdict)) == 0


def test_A32_words_changed_behind_the_back_are_never_cleared(make_any: Make, author: User) -> None:
    """The database keeps a frozen text from changing; a file that is slipped in is told by the digest."""
    make, panel = make_any, make_any.panel()
    waiting, cleared = draft(make, author), draft(make, author)
    versions = [submit(make, asset, author) for asset in (waiting, cleared)]
    found = newest(make, waiting)
    say(make, panel[FIRST], found, FIRST)
    make.clear(versions[1])
    with make.service.database.writing() as db:
        for version in versions:
            named = {"filename": "x.pdf", "media_type": "application/pdf", "size": 1, "sha256": "0" * 64}
            db.add(Attachment(version_id=version.id, position=9, **named))
    with pytest.raises(submission.OtherText):
        say(make, panel[SECOND], found, SECOND)
    with pytest.raises(publishing.NotCleared), make.service.database.writing() as db:
        submission.publish(db, make.actor(author), cleared.public_id)


def test_A31_nobody_decides_on_own_work_or_for_two_parties(make_any: Make, author: User) -> None:
    make = make_any
    both = make.user(Role.REVIEWER, Role.MARKETER, parties=[FIRST, SECOND])
    asset = draft(make, author)
    submit(make, asset, author)
    found = newest(make, asset)
    say(make, both, found, FIRST)
    with pytest.raises(rounds.DecidedAlready):
        say(make, both, found, SECOND)
    with pytest.raises(rounds.DecidedAlready):
        say(make, both, found, FIRST, Answer.REJECT, "No.")
    with make.service.database.writing() as db:
        submission.take_back(db, make.actor(author), asset.public_id)
    rewrite(make, asset, both, OTHER)
    rewrite(make, asset, author, f"{OTHER}\nMore.\n")
    submit(make, asset, author)
    with pytest.raises(rounds.OwnWork):
        say(make, both, newest(make, asset), FIRST)


def test_A31_own_work_stays_own_when_a_colleague_saves_it_last(make_any: Make, author: User) -> None:
    """The words go through a version that is taken back; who wrote them first is still a writer of the next one."""
    make = make_any
    writer = make.user(Role.REVIEWER, Role.MARKETER, parties=[FIRST])
    asset = draft(make, writer)
    submit(make, asset, writer)
    with make.service.database.writing() as db:
        submission.take_back(db, make.actor(writer), asset.public_id)
    rewrite(make, asset, author, SAY)
    submit(make, asset, author)
    with pytest.raises(rounds.OwnWork):
        say(make, writer, newest(make, asset), FIRST)
    with make.service.database.reading() as db:
        assert inbox.next_after(db, make.actor(writer)) is None, "what one may not decide is not offered either"
        assert [row.is_own_work for row in inbox.queue(db, make.actor(writer)).rows] == [True]


def test_A36_an_impossible_round_is_refused_at_submission(make: Make) -> None:
    make.stages()
    author = make.user(Role.MARKETER)
    asset = draft(make, author)
    with pytest.raises(beginning.NobodyLeft) as refused:
        submit(make, asset, author)
    assert refused.value.details == {"party": FIRST.value}
    one = make.user(Role.REVIEWER, parties=list(Party))
    make.user(Role.REVIEWER, parties=[FIRST])
    with pytest.raises(beginning.NobodyLeft):
        submit(make, asset, author)
    make.user(Role.REVIEWER, parties=[SECOND])
    submit(make, asset, author)
    with make.service.database.reading() as db:
        assert inbox.waiting_for(db, make.actor(one)) == 1  # of the three it may take, that which nobody else may


def test_a_reviewer_who_leaves_the_party_counts_no_longer(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    asset = draft(make, author)
    version = submit(make, asset, author)
    make.clear(version)
    with make.service.database.writing() as db:
        db.execute(delete(UserParty).where(UserParty.user_id == panel[Party.LEGAL].id))
    with pytest.raises(publishing.NotCleared), make.service.database.writing() as db:
        submission.publish(db, make.actor(author), asset.public_id)


def test_an_approved_version_that_is_taken_back_is_not_cleared(make_any: Make, author: User) -> None:
    asset = draft(make_any, author)
    version = submit(make_any, asset, author)
    make_any.clear(version)
    with make_any.service.database.writing() as db:
        submission.take_back(db, make_any.actor(author), asset.public_id)
    with make_any.service.database.reading() as db:
        assert not rounds.is_cleared(db, db.get_one(Version, version.id))
        assert newest(make_any, asset).state == "taken_back"


def test_A38_one_verdict_sent_many_times_at_once_counts_once(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    asset = draft(make, author)
    submit(make, asset, author)
    found = newest(make, asset)

    def once(_number: int) -> bool:
        try:
            say(make, panel[FIRST], found, FIRST)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(once, range(20))) == 1
    with make.service.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(Verdict)) == 1


# --- wider access ---


def test_wider_access_is_a_round_of_its_own(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    asset = make.asset("Closed", SAY, tier=Tier.RESTRICTED, tags=[make.stage_id("discovery")], owners=[author])
    open_ = Access(Tier.INTERNAL, frozenset(), None, True, None)
    admin = make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL)

    def widen() -> None:
        with make.service.database.writing() as db:
            who = make.actor(admin)
            access_changes.change(db, who, service.get_editable(db, who, asset.public_id), open_)

    widen()
    found = newest(make, asset)
    with make.service.database.reading() as db:
        page = inbox.get_page(db, make.actor(panel[FIRST]), found.public_id)
        assert [(fact.what, fact.before, fact.after) for fact in page.access] == [("tier", "restricted", "internal")]
    for party in Party:
        say(make, panel[party], found, party, Answer.REQUEST_CHANGES if party is THIRD else Answer.APPROVE, "Not yet.")
    with make.service.database.reading() as db:
        assert (db.get_one(Asset, asset.id).tier, access_changes.find_waiting(db, asset.id)) == ("restricted", None)
    widen()
    again = newest(make, asset)
    assert again.public_id != found.public_id
    for party in Party:
        say(make, panel[party], again, party)
    with make.service.database.reading() as db:
        assert db.get_one(Asset, asset.id).tier == "internal"
        assert db.scalars(select(Version.state)).one() == "published"


def test_the_page_and_the_interface_say_what_becomes_wider(make: Make, sign_in: Any) -> None:
    make.stages()
    panel, author = make.panel(), make.user(Role.MARKETER, clearance=Tier.RESTRICTED)
    asset = make.asset("Closed", SAY, tier=Tier.RESTRICTED, unlock="negotiation", owners=[author])
    with make.service.database.writing() as db:
        who = make.actor(author)
        wanted = Access(Tier.INTERNAL, frozenset(), make.stage_id("solution"), True, None)
        access_changes.change(db, who, service.get_editable(db, who, asset.public_id), wanted)
    found = newest(make, asset)
    browser = sign_in(panel[FIRST])
    page = browser.get(f"/reviews/{found.public_id}").text
    assert re.search("<del>\\s*Restricted\\s*</del> → <ins>\\s*Internal\\s*</ins>", page)
    assert "<del>Negotiation</del> → <ins>Solution</ins>" in page
    assert browser.get(f"/api/v1/reviews/{found.public_id}").json["access"] == [
        {"what": "tier", "before": "restricted", "after": "internal"},
        {"what": "stage", "before": "negotiation", "after": "solution"},
    ]


def test_who_let_more_people_read_has_not_judged_the_words(make_any: Make, author: User) -> None:
    """A text that came by a bulk load and whose access was widened is still new to its reviewers."""
    make, panel = make_any, make_any.panel()
    asset = make.asset("Closed", SAY, tier=Tier.RESTRICTED, tags=[make.stage_id("discovery")], owners=[author])
    who = make.actor(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL))
    rewrite(make, asset, make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL), OTHER)
    with make.service.database.writing() as db:
        submission.submit(db, who, asset.public_id)
        submission.take_back(db, who, asset.public_id)  # newer than what readers have, and not what is widened
    with make.service.database.writing() as db:
        open_ = Access(Tier.INTERNAL, frozenset(), None, True, None)
        access_changes.change(db, who, service.get_editable(db, who, asset.public_id), open_)
    found = newest(make, asset)
    with make.service.database.reading() as db:
        assert db.get_one(Version, found.version_id).state == "published"
    for party in Party:
        say(make, panel[party], found, party)
    rewrite(make, asset, author, f"{OTHER}\nMore.\n")
    submit(make, asset, author)
    with make.service.database.reading() as db:
        steps = db.scalars(select(Step).where(Step.round_id == newest(make, asset).id)).all()
        assert {step.former_version_id for step in steps} == {None}
        assert sorted(step.hours for step in steps) == [16, 16, 24]


# --- who sees a round ---


def test_who_sees_a_round_and_who_does_not(make: Make, sign_in: Any) -> None:
    make.stages()
    panel, author = make.panel(), make.user(Role.MARKETER)
    asset = draft(make, author)
    submit(make, asset, author)
    found = newest(make, asset)
    seen = {
        "author": (author, 200),
        "reviewer": (panel[FIRST], 200),
        "coordinator": (make.user(Role.COORDINATOR), 200),
        "admin": (make.user(Role.ADMIN), 200),
        "rep": (make.user(Role.REP), 403),
        "manager": (make.user(Role.MANAGER), 403),
        "reviewer of no party": (make.user(Role.REVIEWER), 404),
    }
    for name, (who, status) in seen.items():
        browser = sign_in(who)
        assert browser.get(f"/reviews/{found.public_id}").status_code == status, name
        assert browser.get(f"/api/v1/reviews/{found.public_id}").status_code == status, name
        listed = browser.get("/api/v1/reviews")
        assert listed.status_code == (403 if status == 403 else 200)
        if status == 404:
            assert listed.json["items"] == []
    make.set_asset(asset, tier="confidential")
    low = make.user(Role.REVIEWER, parties=[FIRST])
    assert sign_in(low).get(f"/reviews/{found.public_id}").status_code == 404
    assert sign_in(low).get("/api/v1/reviews").json == {"items": [], "total": 0, "late": 0}


ROLES: tuple[tuple[Role, ...], ...] = (
    (Role.REP,), (Role.MARKETER,), (Role.REVIEWER,), (Role.MANAGER,), (Role.COORDINATOR,), (Role.ADMIN,),
)  # fmt: skip
STATES = ("open", "approved", "changes_requested", "rejected", "taken_back")


def test_A34_every_state_verdict_role_and_party_by_the_interface(make: Make, sign_in: Any) -> None:
    """Only a reviewer of a party of an open step gives a verdict; everybody else is refused and nothing is counted."""
    make.stages()
    panel, author = make.panel(), make.user(Role.MARKETER)
    browsers = {
        (roles, party): sign_in(make.user(*roles, parties=[party], clearance=Tier.CONFIDENTIAL))
        for roles in ROLES
        for party in Party
    }
    for state in STATES:
        asset = draft(make, author)
        version = submit(make, asset, author)
        found = newest(make, asset)
        _bring_to(make, panel, found, version, asset, author, state)
        before = _counted(make.service.database)
        for (roles, own), browser in browsers.items():
            for party in Party:
                for answer in Answer:
                    may = state == "open" and roles == (Role.REVIEWER,) and own is party
                    if may:
                        continue
                    sent = {"party": party.value, "verdict": answer.value, "reason": "Because.", "digest": found.digest}
                    got = browser.post(f"/api/v1/reviews/{found.public_id}/verdicts", json=sent)
                    assert got.status_code in {403, 404, 409}, (state, roles, own, party, answer, got.text)
        assert _counted(make.service.database) == before
    asset = draft(make, author)
    version = submit(make, asset, author)
    found = newest(make, asset)
    for party in Party:
        sent = {"party": party.value, "verdict": "approve", "digest": found.digest}
        got = browsers[(Role.REVIEWER,), party].post(f"/api/v1/reviews/{found.public_id}/verdicts", json=sent)
        assert got.status_code == 201, got.text
    assert (got.json["state"], state_of(make, version)) == ("approved", "approved")


def _counted(database: Database) -> tuple[object, ...]:
    with database.reading() as db:
        verdicts = db.scalar(select(func.count()).select_from(Verdict))
        return (
            verdicts,
            tuple(db.scalars(select(Round.state).order_by(Round.id))),
            tuple(db.scalars(select(Version.state).order_by(Version.id))),
        )


def _bring_to(
    make: Make, panel: Mapping[Party, User], found: Round, version: Version, asset: Asset, author: User, state: str
) -> None:
    if state == "approved":
        make.clear(version)
    if state == "rejected":
        say(make, panel[FIRST], found, FIRST, Answer.REJECT, "No.")
    if state == "changes_requested":
        for party in Party:
            say(make, panel[party], found, party, Answer.REQUEST_CHANGES, "Shorter.")
    if state == "taken_back":
        with make.service.database.writing() as db:
            submission.take_back(db, make.actor(author), asset.public_id)
    assert newest(make, asset).state == state


# --- many actors ---


@dataclass
class Crowd:
    """One asset and people who do things in any order; what must never be is asked after each."""

    make: Make
    asset: Asset
    people: list[Actor]
    done: int = 0
    seen: set[int] = field(default_factory=set)

    def act(self, what: str, who: int, number: int) -> None:
        actor = self.people[who % len(self.people)]
        try:
            with self.make.service.database.writing() as db:
                getattr(self, what)(db, actor, number)
            self.done += 1
        except KbError:
            pass

    def save(self, db: Session, actor: Actor, number: int) -> None:
        present = drafting.get_draft(db, actor, self.asset.public_id)
        text = (SAY, OTHER, f"{SAY}\nMore.\n")[number % 3]
        wording = Wording("A talk", text, "en", (Handling.SPOKEN, Handling.INTERNAL)[number % 2])
        drafting.put_draft(db, actor, self.asset.public_id, present.revision, wording, service.render(text))

    def submit(self, db: Session, actor: Actor, number: int) -> None:
        submission.submit(db, actor, self.asset.public_id, publishes=number % 2 == 0)

    def take_back(self, db: Session, actor: Actor, _number: int) -> None:
        submission.take_back(db, actor, self.asset.public_id)

    def publish(self, db: Session, actor: Actor, _number: int) -> None:
        submission.publish(db, actor, self.asset.public_id)

    def decide(self, db: Session, actor: Actor, number: int) -> None:
        found = db.scalars(select(Round).where(Round.asset_id == self.asset.id).order_by(Round.id.desc())).first()
        if found is not None:
            answer = Answer.APPROVE if number % 5 else list(Answer)[number % 3]
            rounds.decide(db, actor, found.public_id, list(Party)[number % 3], answer, found.digest, "Because.")

    def check(self) -> None:
        with self.make.service.database.reading() as db:
            for version in db.scalars(select(Version).where(Version.asset_id == self.asset.id)):
                if version.published_at is None or version.is_bulk_load or version.id in self.seen:
                    continue
                self.seen.add(version.id)
                found = db.scalars(select(Round).where(Round.version_id == version.id)).one()
                assert found.state == "approved"
                assert found.digest == version.digest == version.approved_digest
                duties = policy.in_force(db).duties(AssetType(self.asset.type), Handling(version.handling))
                said = db.scalars(select(Verdict).where(Verdict.round_id == found.id)).all()
                assert {one.party for one in said if one.answer == "approve"} == {party.value for party in duties}
                assert all(one.digest == version.digest and one.answer == "approve" for one in said)
                assert len({one.user_id for one in said}) == len(said)
                assert not {one.user_id for one in said} & panel.writers(db, version)
            for actor in self.people:
                self._is_offered_only_what_it_may_decide(db, actor)
            for one in db.scalars(select(Verdict).join(Round).where(Round.asset_id == self.asset.id)):
                found = db.get_one(Round, one.round_id)
                assert one.user_id not in panel.writers(db, db.get_one(Version, found.version_id))

    def _is_offered_only_what_it_may_decide(self, db: Session, actor: Actor) -> None:
        offered = inbox.next_after(db, actor)
        if offered is not None:
            steps = {step.party: step.hindrance for step in inbox.get_page(db, actor, offered[0]).steps}
            assert steps[offered[1]] == ""


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from(("save", "submit", "decide", "decide", "decide", "decide", "publish", "take_back")),
            st.integers(0, 6),
            st.integers(0, 59),
        ),
        min_size=6,
        max_size=40,
    )
)
def test_A33_no_crowd_publishes_what_was_not_cleared(make: Make, moves: list[tuple[str, int, int]]) -> None:
    make.stages()
    panel = make.panel()
    people = [make.actor(panel[party]) for party in Party]
    people += [
        make.actor(make.user(Role.MARKETER)),
        make.actor(make.user(Role.REVIEWER, Role.MARKETER, parties=[FIRST])),
    ]
    people += [make.actor(make.user(Role.ADMIN, Role.REVIEWER, parties=list(Party))), make.actor(make.user(Role.REP))]
    crowd = Crowd(make, draft(make, make.user(Role.MARKETER)), people)
    for what, who, number in moves:
        crowd.act(what, who, number)
        crowd.check()
    with make.service.database.reading() as db:
        assert audit.verify(db).intact


# --- queue, claims, comments, policy ---


def test_the_queue_is_due_first_and_tells_what_is_late(make: Make) -> None:
    make.stages()
    panel, author = make.panel(), make.user(Role.MARKETER)
    assets = [draft(make, author, handling) for handling in (Handling.SPOKEN, Handling.INTERNAL)]
    for asset in assets:
        submit(make, asset, author)
    with make.service.database.writing() as db:
        late = db.scalars(select(Step).where(Step.party == Party.MARKETING.value).order_by(Step.id.desc())).first()
        assert late is not None
        late.due_at = late.due_at.replace(year=2020)
    with make.service.database.reading() as db:
        who = make.actor(panel[Party.MARKETING])
        found = inbox.queue(db, who)
        assert [row.asset_id for row in found.rows] == [assets[1].public_id, assets[0].public_id]
        assert (found.total, found.late, [row.is_late for row in found.rows]) == (2, 1, [True, False])
        assert inbox.next_after(db, who) == (newest(make, assets[1]).public_id, Party.MARKETING)
        assert inbox.queue(db, make.actor(panel[Party.LEGAL])).total == 1
        assert inbox.queue(db, make.actor(make.user(Role.COORDINATOR)), Party.SALES).total == 2
        assert inbox.queue(db, make.actor(author)).total == 0


def test_a_claim_is_seen_given_back_and_handed_over(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    other = make.user(Role.REVIEWER, parties=[FIRST])
    asset = draft(make, author)
    submit(make, asset, author)
    found = newest(make, asset)

    def do(act: Any, who: User, *more: str) -> None:
        with make.service.database.writing() as db:
            act(db, make.actor(who), found.public_id, FIRST, *more)

    do(rounds.claim, panel[FIRST])
    with pytest.raises(Conflict):
        do(rounds.claim, other)
    with pytest.raises(Forbidden):
        do(rounds.release, other)
    with make.service.database.reading() as db:
        assert inbox.next_after(db, make.actor(other)) is None
        assert inbox.queue(db, make.actor(other)).rows[0].claimed_by == panel[FIRST].name
    for wrong in (author.email, panel[SECOND].email, "nobody@yunshu.example"):
        with pytest.raises(Invalid):
            do(rounds.hand_over, panel[FIRST], wrong)
    do(rounds.hand_over, panel[FIRST], other.email)
    with make.service.database.reading() as db:
        assert inbox.next_after(db, make.actor(other)) == (found.public_id, FIRST)
    do(rounds.release, make.user(Role.COORDINATOR))
    with pytest.raises(Conflict):
        do(rounds.release, other)


def test_a_second_reviewer_is_offered_what_the_first_has_claimed_and_decided(make: Make) -> None:
    make.stages()
    first, second, author = (
        make.panel()[Party.LEGAL],
        make.user(Role.REVIEWER, parties=[Party.LEGAL]),
        make.user(Role.MARKETER),
    )
    with make.service.database.writing() as db:
        policy.change(db, SYSTEM, [Line(None, Handling.SPOKEN, {Party.LEGAL: Duty(8, 2)})], 8)
    asset = draft(make, author)
    version = submit(make, asset, author)
    found = newest(make, asset)
    with make.service.database.writing() as db:
        rounds.claim(db, make.actor(first), found.public_id, Party.LEGAL)
    say(make, first, found, Party.LEGAL)
    assert state_of(make, version) == "in_review"
    with make.service.database.reading() as db:
        assert inbox.next_after(db, make.actor(second)) == (found.public_id, Party.LEGAL)
    say(make, second, found, Party.LEGAL)
    assert state_of(make, version) == "approved"


def test_remarks_hang_on_words_that_stand_there(make_any: Make, author: User) -> None:
    make, panel = make_any, make_any.panel()
    asset = draft(make, author)
    submit(make, asset, author)
    found = newest(make, asset)
    reviewer, writer = make.actor(panel[FIRST]), make.actor(author)
    with make.service.database.writing() as db:
        with pytest.raises(Invalid):
            remarks.comment(db, reviewer, found.public_id, "words of another text", "?")
        with pytest.raises(Invalid):
            remarks.comment(db, reviewer, found.public_id, "", "  ")
        made = remarks.comment(db, reviewer, found.public_id, "We move **one system**", "Which?")
        remarks.comment(db, writer, found.public_id, "", "The ledger.", made.public_id)
        remarks.resolve(db, writer, found.public_id, made.public_id)
        with pytest.raises(NotFound):
            remarks.resolve(db, writer, found.public_id, "no-such-one")
    with make.service.database.reading() as db:
        (one,) = inbox.get_page(db, writer, found.public_id).comments
        assert (one.party, one.text, one.resolved_by) == (FIRST.value, "Which?", author.name)
        assert [answer.text for answer in one.answers] == ["The ledger."]


def test_a_round_keeps_the_policy_it_began_with(make_any: Make, author: User) -> None:
    make = make_any
    asset, second = draft(make, author), draft(make, author)
    submit(make, asset, author)
    lines = [Line(AssetType.FAQ, Handling.SPOKEN, {Party.LEGAL: Duty(4)}), Line(None, Handling.SPOKEN, {})]
    with pytest.raises(Forbidden), make.service.database.writing() as db:
        policy.change(db, make.actor(author), lines, 8)
    with make.service.database.writing() as db:
        assert policy.change(db, SYSTEM, lines, 8).number == 1
    submit(make, second, author)
    with make.service.database.reading() as db:
        steps = [
            (row.Round.policy_number, row.Step.party)
            for row in db.execute(select(Step, Round).join(Round, Round.id == Step.round_id).order_by(Step.id))
        ]
        assert steps == [(0, "legal"), (0, "marketing"), (0, "sales"), (1, "legal")]


def test_A36_what_the_policy_does_not_name_cannot_be_published(make_any: Make, author: User) -> None:
    with make_any.service.database.writing() as db:
        policy.change(db, SYSTEM, [Line(None, Handling.SPOKEN, {})], 8)
    for handling in (Handling.SPOKEN, Handling.PUBLIC):
        with pytest.raises(beginning.NoPolicy):
            submit(make_any, draft(make_any, author, handling), author)


@pytest.mark.parametrize(
    ("lines", "hours"),
    [
        ([Line(None, Handling.PUBLIC, {Party.SALES: Duty(8)})], 8),
        ([Line(None, Handling.PUBLIC, {Party.LEGAL: Duty(0)})], 8),
        ([Line(None, Handling.PUBLIC, {Party.LEGAL: Duty(8, 6)})], 8),
        ([Line(None, Handling.PUBLIC, {Party.LEGAL: Duty(8)})] * 2, 8),
        ([], 0),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(make: Make, lines: list[Line], hours: int) -> None:
    with pytest.raises(Invalid), make.service.database.writing() as db:
        policy.change(db, SYSTEM, lines, hours)


# --- pages ---


def test_the_pages_of_a_review(make: Make, sign_in: Any) -> None:
    make.stages()
    panel, author = make.panel(), make.user(Role.MARKETER)
    first, second = draft(make, author), draft(make, author)
    for asset in (first, second):
        submit(make, asset, author)
    legal = sign_in(panel[Party.LEGAL])
    found = newest(make, first)
    page = legal.get(f"/reviews/{found.public_id}").text
    assert "data-verdicts" in page
    assert "Approve" in page
    assert "A talk" in legal.get("/reviews").text
    sent = {"party": "legal", "answer": "request_changes", "digest": found.digest, "reason": " "}
    refused = legal.post(f"/reviews/{found.public_id}/verdict", data=sent)
    assert (refused.status_code, "Say what is to change" in refused.text) == (422, True)
    following = legal.post(f"/reviews/{found.public_id}/verdict", data=sent | {"reason": "Shorter."})
    assert f"/reviews/{newest(make, second).public_id}?" in following.location
    again = legal.post(f"/reviews/{found.public_id}/verdict", data=sent | {"reason": "Shorter."})
    assert (again.status_code, "nobody decides twice" in again.text) == (409, True)
    writer = sign_in(author)
    assert "Shorter." in writer.get(f"/assets/{first.public_id}/review", follow_redirects=True).text
    assert "data-verdicts" not in writer.get(f"/reviews/{found.public_id}").text
    remark = {"quote": "one system", "text": "Which one?"}
    assert legal.post(f"/reviews/{found.public_id}/comments", data=remark).status_code == 302
    assert "Which one?" in writer.get(f"/reviews/{found.public_id}").text
    admin = sign_in(make.user(Role.ADMIN))
    assert "Put in force" in admin.get("/review-policy").text
    assert "Put in force" not in writer.get("/review-policy").text
    form = {"line": "*/public", "hours/*/public/legal": "12", "reviewers/*/public/legal": "2", "difference_hours": "6"}
    assert admin.post("/review-policy", data=form).status_code == 302
    assert "12 h" in writer.get("/review-policy").text
    assert writer.post("/review-policy", data=form).status_code == 403
    assert admin.post("/review-policy", data=form | {"hours/*/public/legal": "999"}).status_code == 422


def test_the_audit_sheet_tells_who_cleared_which_words(make: Make, sign_in: Any) -> None:
    make.stages()
    panel, author = make.panel(), make.user(Role.MARKETER)
    asset = draft(make, author)
    first = submit(make, asset, author)
    say(make, panel[FIRST], newest(make, asset), FIRST, Answer.REJECT, "Not like this.")
    rewrite(make, asset, author, f"{OTHER}\nProven [evidence:E-7].\n")
    second = submit(make, asset, author, publishes=True)
    make.clear(second)
    browser = sign_in(panel[SECOND])
    assert browser.get(f"/assets/{asset.public_id}/audit").status_code == 200, "their party was asked"
    assert sign_in(make.user(Role.REVIEWER)).get(f"/assets/{asset.public_id}/audit").status_code == 404
    browser = sign_in(author)
    told = browser.get(f"/api/v1/assets/{asset.public_id}/audit").json
    assert [(line["number"], line["state"], line["digest"]) for line in told["versions"]] == [
        (2, "published", second.digest),
        (1, "rejected", first.digest),
    ]
    approvals = told["versions"][0]["rounds"][0]["verdicts"]
    assert {(said["party"], said["verdict"], said["digest"]) for said in approvals} == {
        (party.value, "approve", second.digest) for party in Party
    }
    assert told["versions"][1]["rounds"][0]["verdicts"][0]["reason"] == "Not like this."
    assert told["versions"][0]["evidence"] == [{"key": "E-7", "statement": "", "issuer": "", "valid_until": None}]
    acts = [entry["action"] for entry in told["trail"]]
    assert acts[-2:] == ["version.clear", "version.publish"]
    page = browser.get(f"/assets/{asset.public_id}/audit").text
    assert second.digest in page
    assert "Not like this." in page
    assert sign_in(make.user(Role.REP)).get(f"/assets/{asset.public_id}/audit").status_code == 403
