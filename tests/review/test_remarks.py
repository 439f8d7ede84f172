"""Words that a reviewer suggests: the author takes them, the reviewer may still decide, and whose they are is kept."""

import pytest
from sqlalchemy import select

from content import drafting, service
from content.models import Asset
from kb import audit
from kb.access import Party, Role
from kb.errors import Forbidden, Invalid, NotFound
from kb.users import User
from review import audit_sheet, inbox, remarks
from review.machine import Answer
from review.models import Comment, Round
from tests.conftest import SignIn
from tests.factories import Make
from tests.review.test_rounds import draft, newest, say, submit

PASSAGE = "We move one system at a time."
WORDS = "We move one system at a time, with a way back."


class Scene:
    """A text that came back from its reviewers, with words that legal suggested for a passage."""

    def __init__(self, make: Make, quote: str = PASSAGE, wording: str = WORDS) -> None:
        make.stages()
        make.panel()
        self.make, self.database = make, make.service.database
        self.legal = make.panel()[Party.LEGAL]
        self.author = make.user(Role.MARKETER)
        self.asset: Asset = draft(make, self.author)
        submit(make, self.asset, self.author)
        self.round: Round = newest(make, self.asset)
        with self.database.writing() as db:
            self.comment = remarks.comment(
                db, make.actor(self.legal), self.round.public_id, quote, "Say that they can go back.", "", wording
            ).public_id
        for party in sorted(Party):
            answer = Answer.REQUEST_CHANGES if party is Party.LEGAL else Answer.APPROVE
            say(make, make.panel()[party], self.round, party, answer, "See the remark.")

    def take(self, who: User | None = None) -> drafting.Draft:
        actor = self.make.actor(who or self.author)
        with self.database.reading() as db:
            proposed = remarks.propose(db, actor, self.round.public_id, self.comment)
        rendered = service.render(proposed.wording.text)
        with self.database.writing() as db:
            return remarks.take(db, actor, self.round.public_id, self.comment, proposed, rendered)


def test_the_author_takes_them_and_whoever_suggested_them_still_decides(make_any: Make) -> None:
    scene = Scene(make_any)
    assert WORDS in scene.take().text
    submit(make_any, scene.asset, scene.author)
    again = newest(make_any, scene.asset)
    with scene.database.reading() as db:
        page = inbox.get_page(db, make_any.actor(scene.legal), again.public_id)
    assert page.deciding is not None
    assert [(one.by, one.wording) for one in page.wordings] == [(scene.legal.name, WORDS)]
    assert scene.legal.name not in page.writers
    say(make_any, scene.legal, again, Party.LEGAL)
    with scene.database.reading() as db:
        entries = audit_sheet.get(db, make_any.actor(scene.author), scene.asset.public_id)
        assert [one.wording for version in entries.versions for one in version.wordings] == [WORDS]
        given = db.scalars(select(audit.AuditEntry).where(audit.AuditEntry.action == "verdict.give")).all()
        assert [one.details.get("wording") for one in given].count("own") == 1
        assert audit.verify(db).intact


def test_they_are_taken_once_and_the_remark_is_resolved(make: Make) -> None:
    scene = Scene(make)
    scene.take()
    with pytest.raises(remarks.TakenAlready):
        scene.take()
    with scene.database.reading() as db:
        (shown,) = inbox.get_page(db, make.actor(scene.author), scene.round.public_id).comments
    assert (shown.taken_by, shown.resolved_by, shown.may_take) == (scene.author.name, scene.author.name, False)


def test_whoever_suggested_them_does_not_take_them(make: Make) -> None:
    scene = Scene(make)
    both = make.user(Role.REVIEWER, Role.MARKETER, parties=[Party.LEGAL])
    with scene.database.writing() as db:
        remarks.comment(db, make.actor(both), scene.round.public_id, PASSAGE, "", "", WORDS)
        scene.comment = db.scalars(select(Comment.public_id).where(Comment.user_id == both.id)).one()
    with pytest.raises(Forbidden):
        scene.take(both)
    with pytest.raises((Forbidden, NotFound)):
        scene.take(make.user())


def test_where_the_passage_is_gone_nothing_is_changed(make: Make) -> None:
    scene = Scene(make)
    with scene.database.writing() as db:
        actor = make.actor(scene.author)
        present = drafting.get_draft(db, actor, scene.asset.public_id)
        wording = drafting.wording_of(present, {"text": "## Say\n\nSomething else altogether.\n"})
        drafting.put_draft(db, actor, scene.asset.public_id, present.revision, wording, service.render(wording.text))
    with pytest.raises(remarks.PassageGone):
        scene.take()


def test_a_draft_that_was_saved_meanwhile_loses_nothing(make: Make) -> None:
    scene = Scene(make)
    actor = make.actor(scene.author)
    with scene.database.reading() as db:
        proposed = remarks.propose(db, actor, scene.round.public_id, scene.comment)
    with scene.database.writing() as db:
        present = drafting.get_draft(db, actor, scene.asset.public_id)
        wording = drafting.wording_of(present, {"text": present.text + "\nAnd ask.\n"})
        drafting.put_draft(db, actor, scene.asset.public_id, present.revision, wording, service.render(wording.text))
    with pytest.raises(drafting.StaleDraft), scene.database.writing() as db:
        remarks.take(db, actor, scene.round.public_id, scene.comment, proposed, service.render(proposed.wording.text))
    assert "And ask." in scene.take().text


def test_words_of_the_title_are_replaced_in_the_title(make: Make) -> None:
    scene = Scene(make, "A talk", "A first talk")
    saved = scene.take()
    assert (saved.title, PASSAGE in saved.text) == ("A first talk", True)


def test_words_need_a_passage(make: Make) -> None:
    scene = Scene(make)
    with pytest.raises(Invalid) as refused, scene.database.writing() as db:
        remarks.comment(db, make.actor(scene.legal), scene.round.public_id, "", "", "", "Other words")
    assert refused.value.code == "quote_missing"


def test_while_it_is_in_review_a_draft_begins_beside_it(make: Make) -> None:
    make.stages()
    make.panel()
    author = make.user(Role.MARKETER)
    asset = draft(make, author)
    submit(make, asset, author)
    found = newest(make, asset)
    with make.service.database.writing() as db:
        who = make.actor(make.panel()[Party.LEGAL])
        made = remarks.comment(db, who, found.public_id, PASSAGE, "", "", WORDS).public_id
    with make.service.database.reading() as db:
        proposed = remarks.propose(db, make.actor(author), found.public_id, made)
    with make.service.database.writing() as db:
        rendered = service.render(proposed.wording.text)
        remarks.take(db, make.actor(author), found.public_id, made, proposed, rendered)
    assert newest(make, asset).state == "open"  # what is in review is frozen, and is decided as it was submitted


def test_by_page_and_by_program(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make)
    address = f"/reviews/{scene.round.public_id}"
    browser = sign_in(scene.author)
    assert "Take these words" in browser.get(f"{address}?deal=").text
    assert "Take these words" not in sign_in(scene.legal).get(f"{address}?deal=").text
    taken = browser.post(f"{address}/comments/{scene.comment}/take", follow_redirects=True)
    assert "Taken into the draft" in taken.text
    assert f"taken by {scene.author.name}" in taken.text
    assert browser.post(f"{address}/comments/{scene.comment}/take").status_code == 409
    submit(make, scene.asset, scene.author)
    legal = sign_in(scene.legal)
    assert "Wording by you" in legal.get(f"/reviews/{newest(make, scene.asset).public_id}?deal=").text
    other = Scene(make)
    got = sign_in(other.author).post(f"/api/v1/reviews/{other.round.public_id}/comments/{other.comment}/take")
    assert got.status_code == 200
    assert got.json["comments"][0]["taken_by"] == other.author.name
    said = legal.post(
        f"/api/v1/reviews/{newest(make, scene.asset).public_id}/comments",
        json={"quote": PASSAGE, "text": "", "wording": "We move two."},
    )
    assert said.json["comments"][0]["wording"] == "We move two."
