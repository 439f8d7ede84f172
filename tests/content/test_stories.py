"""Stories and answers from the field: a minute's form, a credited draft, thanks when it helps."""

from sqlalchemy import select

from content import board, publishing
from content.deals import DealTag
from content.kinds import Facet, VersionState
from content.models import Asset, AssetTag, Version
from kb import notices
from kb.access import SYSTEM, Role
from tests.factories import Make

STORY = {
    "kind": "success",
    "title": "三周迁完核心系统",
    "first": "客户怕停机",
    "second": "一次迁一个系统",
    "third": "没有停机",
    "quote": "",
}


def test_a_story_is_a_credited_draft_in_the_queue_at_once(make: Make, sign_in: object) -> None:
    pain = make.tag(Facet.PAIN_POINT, "downtime")
    rep, marketer = make.user(Role.REP), make.user(Role.MARKETER)
    deal = make.deal(rep, "solution", account="Secret Customer Ltd")
    with make.service.database.writing() as db:
        db.add(DealTag(deal_id=deal.id, tag_id=pain))
    browser = sign_in(rep)  # type: ignore[operator]
    sent = browser.post("/stories", data={**STORY, "deal": deal.external_id, "with_deal": "1"})
    assert sent.status_code == 302
    with make.service.database.reading() as db:
        asset, version = db.scalars(select(Asset)).one(), db.scalars(select(Version)).one()
        assert (asset.type, asset.is_from_field, asset.created_by_id) == ("case_study", True, rep.id)
        assert (version.state, version.language, version.handling) == ("draft", "zh", "internal")
        assert version.text == "## 客户背景\n\n客户怕停机\n\n## 我们做了什么\n\n一次迁一个系统\n\n## 成果\n\n没有停机\n"
        assert "Secret Customer" not in version.text + version.title
        assert set(db.scalars(select(AssetTag.tag_id))) == {pain, make.stage_id("solution")}
        parts = {part.part: part for part in board.page(db, make.actor(marketer), mine=True).parts}
        assert [(row.title, row.credit) for row in parts[board.Part.FIELD].rows] == [(STORY["title"], rep.name)]
        assert notices.unread(db, marketer.id) == 1
    assert browser.get("/library").status_code == 403
    assert browser.get(f"/assets/{asset.public_id}?deal=").status_code == 404
    assert STORY["title"] in browser.get("/stories?deal=").text


def test_the_same_story_twice_is_one_and_the_twenty_first_waits(make: Make, sign_in: object) -> None:
    browser = sign_in(make.user(Role.REP))  # type: ignore[operator]
    for _ in range(2):
        browser.post("/stories", data=STORY)
    with make.service.database.reading() as db:
        assert len(db.scalars(select(Asset)).all()) == 1
    for number in range(19):
        assert browser.post("/stories", data={**STORY, "first": f"story {number}"}).status_code == 302
    assert browser.post("/stories", data={**STORY, "first": "one too many"}).status_code == 429


def test_what_is_missing_is_said_and_what_was_typed_is_kept(make: Make, sign_in: object) -> None:
    browser = sign_in(make.user(Role.REP))  # type: ignore[operator]
    refused = browser.post("/stories", data={**STORY, "second": " "})
    assert (refused.status_code, "客户怕停机" in refused.text) == (422, True)


def test_who_told_it_is_thanked_when_it_is_published_and_named_where_it_is_read(make: Make, sign_in: object) -> None:
    rep = make.user(Role.REP)
    browser = sign_in(rep)  # type: ignore[operator]
    told = browser.post(
        "/api/v1/stories",
        json={"kind": "faq", "title": "Is it certified?", "first": "Is it?", "second": "Yes, level three."},
    )
    assert told.status_code == 201
    with make.service.database.writing() as db:
        draft = db.scalars(select(Version).where(Version.state == VersionState.DRAFT.value)).one()
        publishing.load(db, SYSTEM, draft, [])
    assert "What you sent is published" in browser.get("/notices").text
    other = sign_in(make.user(Role.REP))  # type: ignore[operator]
    assert f"From the field: {rep.name}" in other.get(f"/assets/{told.json['id']}?deal=").text
