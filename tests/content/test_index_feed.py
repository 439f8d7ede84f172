"""Whatever search shows of an asset: its change wishes to be indexed, in the same transaction."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from content.index_feed import UnseenByIndex
from content.kinds import Facet
from content.models import Asset, AssetTag, Version
from content.taxonomy import Tag, TagSynonym
from kb.outbox import Wish
from tests.factories import Make


def wished(make: Make) -> set[int]:
    with make.service.database.reading() as session:
        return set(session.scalars(select(Wish.object_id)))


CHANGES: dict[str, Callable[[Session, Asset, int], object]] = {
    "type": lambda s, a, _: setattr(s.get_one(Asset, a.id), "type", "deck"),
    "version": lambda s, a, _: setattr(s.scalars(select(Version).where(Version.asset_id == a.id)).one(), "note", "x"),
    "tag taken off": lambda s, a, t: s.delete(s.get_one(AssetTag, (a.id, t))),
    "label": lambda s, _, t: setattr(s.get_one(Tag, t), "label_zh", "新名"),
    "synonym": lambda s, _, t: s.add(TagSynonym(tag_id=t, text="too dear")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_that_search_shows_adds_a_wish(make: Make, change: str) -> None:
    tag = make.tag(Facet.PAIN_POINT, "price")
    asset, other = make.asset(tags=[tag]), make.asset()
    make.index()
    assert wished(make) == set()
    with make.service.database.writing() as session:
        CHANGES[change](session, asset, tag)
    assert wished(make) == {asset.id}
    assert other.id not in wished(make)


def test_a_change_that_is_undone_leaves_no_wish(make: Make) -> None:
    asset = make.asset()
    make.index()
    with pytest.raises(ZeroDivisionError), make.service.database.writing() as session:
        session.get_one(Asset, asset.id).type = "deck"
        session.flush()
        raise ZeroDivisionError
    assert wished(make) == set()


def test_a_bulk_statement_that_the_index_would_not_see_is_refused(make: Make) -> None:
    with pytest.raises(UnseenByIndex), make.service.database.writing() as session:
        session.execute(update(Asset).values(type="deck"))
