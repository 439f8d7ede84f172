"""Before the call: what fits and was not used, why, and notes that only the deal's team reads."""

import pytest

from content import brief
from content.brief import Brief
from content.kinds import AssetType, Facet
from content.models import DealNote
from kb.access import Role, Tier
from kb.users import User
from tests.conftest import SignIn
from tests.content.test_home import Shop
from tests.factories import Make

TRACK = "# Price\n\n## Trigger\n\nThey say: too dear.\n\n## Say\n\nLet us count three years.\n"


@pytest.fixture
def shop(make: Make) -> Shop:
    return Shop(make)


def page(shop: Shop, user: User | None = None) -> Brief:
    reader = user or shop.rep
    with shop.make.service.database.reading() as db:
        return brief.of_deal(db, shop.make.actor(reader), shop.make.context(reader, shop.deal), "en")


def track(shop: Shop, title: str, *tags: int, **more: object) -> object:
    return shop.asset(title, *tags, asset_type=AssetType.TALK_TRACK, text=TRACK, **more)


def test_it_proposes_what_fits_and_not_what_the_customer_got(shop: Shop) -> None:
    track(shop, "Price track", shop.price)
    used = track(shop, "Used track", shop.price)
    track(shop, "Of another trade", shop.retail)
    shop.asset("Bank case", shop.finance, shop.price, asset_type=AssetType.CASE_STUDY)
    shop.asset("Rival card", shop.rival, asset_type=AssetType.BATTLE_CARD)
    shop.asset("Card against nobody", shop.price, asset_type=AssetType.BATTLE_CARD)
    shop.make.use(shop.rep, used, deal=shop.deal)  # type: ignore[arg-type]
    found = page(shop)
    assert [line.asset.title for line in found.talk_tracks] == ["Price track"]
    assert [line.asset.title for line in found.cases] == ["Bank case"]
    assert [line.asset.title for line in found.cards] == ["Rival card"]
    assert [one.asset.title for one in found.sent] == ["Used track"]
    assert [one.words for one in found.objections] == ["They say: too dear."]
    (line,) = found.talk_tracks
    assert line.section is not None
    assert line.section.title == "Say", "what the customer says is not copied"


def test_nothing_above_clearance_stage_or_team_is_proposed(shop: Shop) -> None:
    track(shop, "Confidential", shop.price, tier=Tier.CONFIDENTIAL)
    track(shop, "Later", shop.price, unlock="negotiation")
    track(shop, "Other team", shop.price, teams=["north"])
    assert page(shop).is_empty


def test_page_and_interface_are_for_the_deals_team_alone(shop: Shop, sign_in: SignIn) -> None:
    track(shop, "Price track", shop.price)
    name = shop.deal.external_id
    for path in (f"/deals/{name}/brief", f"/api/v1/deals/{name}/brief"):
        assert sign_in(shop.rep).get(path).status_code == 200
        assert sign_in(shop.boss).get(path).status_code == 200
        assert sign_in(shop.make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL)).get(path).status_code == 404
        assert sign_in(shop.rep).get(path.replace(name, "D-9")).status_code == 404
    told = sign_in(shop.rep).get(f"/api/v1/deals/{name}/brief?language=en").json
    assert told is not None
    (line,) = told["talk_tracks"]
    assert (line["title"], line["because"]) == ("Price track", ["pain_point:price"])
    assert line["say"].endswith("Let us count three years.")


def test_a_note_is_read_by_the_deals_team_and_found_by_nobody(shop: Shop, sign_in: SignIn) -> None:
    asset = track(shop, "Price track", shop.price)
    shop.make.index()
    rep, boss = sign_in(shop.rep), sign_in(shop.boss)
    where = f"/assets/{asset.public_id}/note?deal={shop.deal.external_id}"  # type: ignore[attr-defined]
    assert rep.post(where, data={"text": "Budget ends at eighty"}).status_code == 302
    read = f"/assets/{asset.public_id}?deal={shop.deal.external_id}"  # type: ignore[attr-defined]
    assert "Budget ends at eighty" in rep.get(read).text
    assert "Budget ends at eighty" in boss.get(read).text
    assert "Budget ends at eighty" in boss.get(f"/deals/{shop.deal.external_id}?deal={shop.deal.external_id}").text
    assert "Budget ends at eighty" in rep.get(f"/deals/{shop.deal.external_id}/brief").text
    other = shop.make.user()
    own = shop.make.deal(other)
    stranger = sign_in(other)
    for path in (read.replace(shop.deal.external_id, own.external_id), read.partition("?")[0] + "?deal="):
        assert "eighty" not in stranger.get(path).text
    assert stranger.get(read).status_code == 404
    for path in ("/search?deal=&q=Budget", "/api/v1/search?q=Budget"):
        assert "eighty" not in rep.get(path).text
    admin = sign_in(shop.make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL))
    notes = f"/api/v1/deals/{shop.deal.external_id}/notes/{asset.public_id}"  # type: ignore[attr-defined]
    assert admin.get(notes).status_code == stranger.get(notes).status_code == 404
    assert rep.put(notes, json={"text": "Eighty-five"}).json["items"][0]["text"] == "Eighty-five"  # type: ignore[index]
    assert rep.put(notes, json={"text": " "}).json == {"items": []}
    with shop.make.service.database.reading() as db:
        assert db.query(DealNote).count() == 0


def test_a_note_needs_a_deal_and_a_text_one_sees(shop: Shop, sign_in: SignIn) -> None:
    hidden = track(shop, "Later", shop.price, unlock="negotiation", teaser=False)
    shown = track(shop, "Now", shop.make.tag(Facet.PAIN_POINT, "other"))
    rep = sign_in(shop.rep)
    name = shop.deal.external_id
    assert rep.post(f"/assets/{hidden.public_id}/note?deal={name}", data={"text": "x"}).status_code == 404  # type: ignore[attr-defined]
    assert rep.post(f"/assets/{shown.public_id}/note?deal=", data={"text": "x"}).status_code == 422  # type: ignore[attr-defined]
    long = rep.post(f"/assets/{shown.public_id}/note?deal={name}", data={"text": "x" * 2001})  # type: ignore[attr-defined]
    assert long.status_code == 422
