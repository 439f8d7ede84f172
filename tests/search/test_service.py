"""Search from words to hits: fresh within a turn of the worker, right without an index, honest in its counts."""

import shutil
from contextlib import closing

import pytest

from content.kinds import AssetType, Facet
from kb.access import Tier
from kb.app import Service
from search import feed, service, upkeep
from search.engine import IndexDamaged
from search.query import Query
from search.service import SearchPage
from tests.factories import Make

SAID = "## 触发\n\n客户嫌贵\n\n## 怎么说\n\n咱们算三年总账，客户嫌贵的是首年。\n\n## 为什么有效\n\n嫌贵是没有尺子，客户嫌贵。\n"


def find(make: Make, user, words: str, **filters: list[str]) -> SearchPage:  # type: ignore[no-untyped-def]
    with make.service.database.reading() as session:
        return service.search(session, make.service.finder, make.actor(user), None, Query.of(words, filters), "zh")


def titles(page: SearchPage) -> list[str]:
    return [hit.asset.title for hit in page.hits]


def test_what_is_published_is_found_and_what_is_withdrawn_is_gone(make: Make) -> None:
    rep = make.user()
    asset = make.asset("停机窗口", "迁移只停十分钟")
    make.index()
    assert titles(find(make, rep, "停机")) == ["停机窗口"]
    make.withdraw(asset)
    assert titles(find(make, rep, "停机")) == [], "gone with the commit, before the index follows"
    make.index()
    assert len(make.service.engine.all_ids()) == 0


def test_a_new_text_and_a_new_tag_are_findable_after_the_workers_turn(make: Make) -> None:
    rep = make.user()
    tag = make.tag(Facet.PAIN_POINT, "price", "Price objection", "价格贵", ["too dear"])
    asset = make.asset("Ledger", "first words")
    make.index()
    make.new_version(asset, "second wording")
    make.asset("Tagged", "nothing of it", tags=[tag])
    make.index()
    assert titles(find(make, rep, "second wording")) == ["Ledger"]
    assert titles(find(make, rep, "too dear")) == ["Tagged"]
    assert ("tag", "价格贵") in find(make, rep, "too dear").hits[0].why


def test_what_a_heading_says_weighs_more_than_what_is_said_in_passing(make: Make) -> None:
    filler = " ".join(f"word{number}" for number in range(60))
    make.asset("In passing", f"## First\n\nA sparrow. {filler}\n\n## Second\n\n{filler} sparrow\n")
    make.asset("By heading", f"## The sparrow\n\n{filler}\n\n## Second\n\n{filler}\n")
    make.index()
    assert titles(find(make, make.user(), "sparrow")) == ["By heading", "In passing"]


def test_a_talk_track_gives_the_words_to_say(make: Make) -> None:
    make.asset("客户嫌贵", SAID, asset_type=AssetType.TALK_TRACK, language="zh")
    make.index()
    hit = find(make, make.user(), "客户嫌贵").hits[0]
    assert hit.section is not None
    assert (hit.section.title, hit.section.plain) == ("怎么说", "咱们算三年总账，客户嫌贵的是首年。")


def test_counts_are_those_of_what_the_reader_may_open(make: Make) -> None:
    tag = make.tag(Facet.PRODUCT, "lake")
    for number in range(3):
        make.asset(f"sparrow {number}", "sparrow", tags=[tag])
    make.asset("sparrow hidden", "sparrow", tags=[tag], tier=Tier.RESTRICTED)
    make.index()
    page = find(make, make.user(), "sparrow")
    block = next(block for block in page.facets if block.facet == "product")
    assert (page.total, len(page.hits), [value.count for value in block.values]) == (3, 3, [3])
    assert find(make, make.user(), "sparrow", product=["lake"]).total == 3
    assert find(make, make.user(clearance=Tier.RESTRICTED), "sparrow", product=["lake"]).total == 4


@pytest.mark.parametrize("harm", ["deleted", "damaged"])
def test_without_an_index_the_database_answers_and_the_worker_rebuilds(make: Make, service: Service, harm: str) -> None:
    tag = make.tag(Facet.PRODUCT, "lake")
    seen, hidden = (
        make.asset("停机窗口", "迁移只停十分钟", tags=[tag]),
        make.asset("停机 内部", "停机", tier=Tier.CONFIDENTIAL),
    )
    make.index()
    rep = make.user()
    before = find(make, rep, "停机")
    service.engine.close()
    for path in service.settings.index_dir.rglob("*"):
        if path.is_file() and harm == "damaged":
            path.write_bytes(b"\0")
    if harm == "deleted":
        shutil.rmtree(service.settings.index_dir)
    page = find(make, rep, "停机")
    assert (page.limited, titles(page), page.total) == ("database_only", titles(before), 1)
    assert [value.count for block in page.facets if block.facet == "product" for value in block.values] == [1]
    with service.database.writing() as session:
        upkeep.wish_rebuild(session)
        upkeep.wish_rebuild(session)
    make.index()
    assert find(make, rep, "停机").limited is None
    assert upkeep.check(service.database, service.engine, repair=False).is_true
    assert {seen.id, hidden.id} == set(service.engine.all_ids().tolist())


def test_a_wrong_index_is_compared_and_repaired(make: Make, service: Service) -> None:
    kept, stale, missing = make.asset("kept"), make.asset("stale"), make.asset("missing")
    make.index()
    entries = {entry.asset_id: entry for entry in _entries(service)}
    service.engine.remove([missing.id])
    service.engine.upsert([_changed(entries[stale.id]), _changed(entries[kept.id], asset_id=9_999)])
    found = upkeep.check(service.database, service.engine)
    assert (found.missing, found.stale, found.surplus) == (1, 1, 1)
    assert upkeep.check(service.database, service.engine).is_true


def test_a_held_lock_postpones_indexing_and_loses_nothing(make: Make, service: Service) -> None:
    make.asset("停机窗口")
    with (
        closing(type(service.engine)(service.settings.index_dir, lock_timeout=0.1)) as other,  # type: ignore[call-arg]
        service.engine.exclusive(),
        pytest.raises(feed.NotNow),
    ):
        _in_other_process_view(service, other)
    make.index()
    assert titles(find(make, make.user(), "停机")) == ["停机窗口"]


def _in_other_process_view(service: Service, engine) -> None:  # type: ignore[no-untyped-def]
    try:
        feed.index_assets(service.database, engine, [1])
    except IndexDamaged:
        raise AssertionError("a held lock is no damage") from None


def _entries(service: Service):  # type: ignore[no-untyped-def]
    from search import documents

    with service.database.reading() as session:
        return documents.entries(session, documents.every_id(session))


def _changed(entry, asset_id: int = 0):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(entry, fingerprint="other", asset_id=asset_id or entry.asset_id)
