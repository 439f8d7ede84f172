"""Vocabularies: merging and retiring move everything, lose nothing, and are undone within the day."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from content import reading, taxonomy, vocabulary
from content.deals import Deal, DealTag
from content.kinds import Facet
from content.models import AssetTag
from content.taxonomy import Tag, TagSynonym
from kb import audit, clock
from kb.access import SYSTEM, Role
from kb.errors import Conflict, Forbidden, Invalid
from search import service as searching
from search.query import Query
from tests.factories import Make


def state(make: Make) -> tuple[object, ...]:
    """Everything a merge may touch."""
    with make.service.database.reading() as db:
        return (
            sorted(map(tuple, db.execute(select(AssetTag.asset_id, AssetTag.tag_id)))),
            sorted(map(tuple, db.execute(select(DealTag.deal_id, DealTag.tag_id)))),
            sorted(map(tuple, db.execute(select(TagSynonym.tag_id, TagSynonym.text)))),
            sorted(map(tuple, db.execute(select(Tag.id, Tag.retired_at.is_(None), Tag.merged_into_id))), key=str),
        )


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    carried=st.lists(st.sampled_from([(True, False), (False, True), (True, True), (False, False)]), max_size=5),
    merges=st.booleans(),
)
def test_undoing_restores_exactly_what_was(make: Make, carried: list[tuple[bool, bool]], merges: bool) -> None:
    number = make._next()
    a = make.tag(Facet.PAIN_POINT, f"a{number}", synonyms=["slow"])
    b = make.tag(Facet.PAIN_POINT, f"b{number}", synonyms=["late"])
    for has_a, has_b in carried:
        make.asset(tags=[*([a] if has_a else []), *([b] if has_b else [])])
    before = state(make)
    with make.service.database.writing() as db:
        change = (
            vocabulary.merge(db, SYSTEM, Facet.PAIN_POINT, f"a{number}", f"b{number}")
            if merges
            else vocabulary.retire(db, SYSTEM, Facet.PAIN_POINT, f"a{number}")
        )
    assert state(make) != before
    with make.service.database.writing() as db:
        vocabulary.undo(db, SYSTEM, change.public_id)
    assert state(make) == before


def test_a_merge_moves_assets_and_deals_and_old_words_go_on_finding(make: Make) -> None:
    cost = make.tag(Facet.PAIN_POINT, "cost", "Cost", "成本", ["expensive"])
    price = make.tag(Facet.PAIN_POINT, "price", "Price", "价格")
    one, both = make.asset(tags=[cost]), make.asset(tags=[cost, price])
    rep = make.user(Role.REP)
    deal = make.deal(rep)
    with make.service.database.writing() as db:
        db.add(DealTag(deal_id=deal.id, tag_id=cost))
    make.index()
    with make.service.database.writing() as db:
        vocabulary.merge(db, make.actor(make.user(Role.MARKETER)), Facet.PAIN_POINT, "cost", "price")
    make.index()
    with make.service.database.reading() as db:
        assert set(db.scalars(select(AssetTag.asset_id).where(AssetTag.tag_id == price))) == {one.id, both.id}
        assert list(db.scalars(select(DealTag.tag_id).where(DealTag.deal_id == deal.id))) == [price]
        words = taxonomy.load(db)
        for old in ("cost", "Cost", "成本", "expensive"):
            label = words.find("pain_point", old)
            assert label is not None
            assert label.key == "price"
        found = searching.search(
            db, make.service.finder, make.actor(rep), None, Query.of("expensive", {"pain_point": ["cost"]}, 10), "en"
        )
        assert {hit.asset.id for hit in found.hits} == {one.id, both.id}
        assert [
            value.key for block in found.facets if block.facet == "pain_point" for value in block.values if value.label
        ] == ["price"]
        entries = db.scalars(select(audit.AuditEntry).where(audit.AuditEntry.action == "tag.merge")).all()
        assert len(entries) == 1
        assert db.get_one(Deal, deal.id) is not None


def test_a_change_cannot_be_undone_after_a_day_or_twice(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make.tag(Facet.REGION, "east")
    make.tag(Facet.REGION, "west")
    with make.service.database.writing() as db:
        first = vocabulary.retire(db, SYSTEM, Facet.REGION, "east")
        vocabulary.undo(db, SYSTEM, first.public_id)
    with pytest.raises(Conflict), make.service.database.writing() as db:
        vocabulary.undo(db, SYSTEM, first.public_id)
    with make.service.database.writing() as db:
        second = vocabulary.retire(db, SYSTEM, Facet.REGION, "west")
    later = clock.now() + timedelta(hours=25)
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.raises(vocabulary.TooLate), make.service.database.writing() as db:
        vocabulary.undo(db, SYSTEM, second.public_id)


def test_a_stage_under_assets_or_deals_stays(make: Make) -> None:
    make.stages()
    make.asset(unlock="negotiation")
    make.deal(make.user(Role.REP), "solution")
    for key in ("negotiation", "solution"):
        with pytest.raises(vocabulary.StillUsed), make.service.database.writing() as db:
            vocabulary.retire(db, SYSTEM, Facet.STAGE, key)
    with make.service.database.writing() as db:
        vocabulary.retire(db, SYSTEM, Facet.STAGE, "awareness")


def test_marketers_keep_tags_and_administrators_the_stages(make: Make) -> None:
    make.stages()
    make.tag(Facet.PERSONA, "user")
    marketer, rep = make.actor(make.user(Role.MARKETER)), make.actor(make.user(Role.REP))
    with make.service.database.writing() as db:
        vocabulary.save(db, marketer, Facet.PERSONA, "", "Decision maker", "决策者", [])
        vocabulary.move(db, marketer, Facet.PERSONA, "decision_maker", "user")
        assert [row.key for row in vocabulary.list_rows(db, marketer, Facet.PERSONA)] == ["decision_maker", "user"]
    for actor, facet in ((marketer, Facet.STAGE), (rep, Facet.PERSONA)):
        with pytest.raises(Forbidden), make.service.database.writing() as db:
            vocabulary.save(db, actor, facet, "", "New", "新", [])


@pytest.mark.parametrize(("key", "into"), [("a", "a"), ("a", "nowhere")])
def test_a_merge_needs_another_tag_of_the_list(make: Make, key: str, into: str) -> None:
    make.tag(Facet.SOLUTION, "a")
    with pytest.raises(Invalid), make.service.database.writing() as db:
        vocabulary.merge(db, SYSTEM, Facet.SOLUTION, key, into)


def test_a_new_version_of_a_product_makes_its_assets_unverified_until_somebody_looks(
    make: Make, sign_in: object
) -> None:
    product = make.tag(Facet.PRODUCT, "lake", "Lake", "湖仓")
    owner = make.user(Role.REP)
    asset, other = make.asset(tags=[product], owners=[owner]), make.asset()
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    browser.post("/vocabularies/product/lake/release", data={"name": "V5.2"})
    with make.service.database.reading() as db:
        shown = {one.id: one for one in reading.list_visible(db, make.actor(owner), None, [asset.id, other.id])}
        assert (shown[asset.id].is_unverified, shown[other.id].is_unverified) == (True, False)
        signals = reading.list_signals(db, [asset.id, other.id])
        assert (signals[asset.id].is_doubtful, signals[other.id].is_doubtful) == (True, False)
    mine = sign_in(owner)  # type: ignore[operator]
    assert "Unverified: new version: Lake V5.2" in mine.get(f"/assets/{asset.public_id}?deal=").text
    mine.post(f"/assets/{asset.public_id}/verify")
    with make.service.database.reading() as db:
        assert not reading.list_visible(db, make.actor(owner), None, [asset.id])[0].is_unverified


def test_A74_labels_of_tags_are_shown_as_words(make: Make, sign_in: object) -> None:
    make.tag(Facet.PAIN_POINT, "x", '"><img src=x onerror=alert(1)>', "<script>1</script>", ["<b>bold</b>"])
    make.tag(Facet.PAIN_POINT, "y")
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    for address in ("/vocabularies?deal=", "/vocabularies/pain_point/x/change?into=y&deal="):
        page = browser.get(address).text
        assert "<img src=x" not in page
        assert "<script>1" not in page
