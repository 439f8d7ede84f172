"""Home: what fits a deal, what was used, what one owns; never what the reader may not see."""

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import select

from content import activity, home, reading, taxonomy
from content.deals import Deal, DealTag
from content.home import Care, Home
from content.kinds import AssetType, Facet, Outcome, UseKind
from content.models import Asset, MissingOnBoard, Version
from kb import clock
from kb.access import Role, Tier
from kb.users import User
from tests.conftest import SignIn
from tests.factories import Make

DAY = timedelta(days=1)


def page(make: Make, user: User, deal: Deal | None = None, language: str = "en") -> Home:
    with make.service.database.reading() as session:
        return home.page(session, make.actor(user), make.context(user, deal) if deal else None, language)


def titles(rows: object) -> list[str]:
    return [getattr(row, "asset", row).title for row in rows]  # type: ignore[attr-defined]


def tag_deal(make: Make, deal: Deal, *tags: int) -> None:
    with make.service.database.writing() as session:
        session.add_all(DealTag(deal_id=deal.id, tag_id=tag) for tag in tags)


class Shop:
    """A rep with a deal in finance, where price hurts and a rival bids."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.price = make.tag(Facet.PAIN_POINT, "price")
        self.finance = make.tag(Facet.INDUSTRY, "finance")
        self.retail = make.tag(Facet.INDUSTRY, "retail")
        self.rival = make.tag(Facet.COMPETITOR, "rival")
        self.boss = make.user(Role.MANAGER)
        self.rep = make.user(manager=self.boss.email)
        self.deal = make.deal(self.rep, "solution", account="Harbour Bank")
        tag_deal(make, self.deal, self.price, self.finance, self.rival)

    def asset(self, title: str, *tags: int, **more: object) -> Asset:
        return self.make.asset(title, tags=tags, **more)  # type: ignore[arg-type]


@pytest.fixture
def shop(make_any: Make) -> Shop:
    return Shop(make_any)


def test_what_fits_the_deal_comes_by_its_tags_and_says_which(shop: Shop) -> None:
    shop.asset("about the rival and price", shop.rival, shop.price, shop.finance)
    shop.asset("about price", shop.price)
    shop.asset("of another industry", shop.retail)
    shop.asset("only of the industry", shop.finance)
    found = page(shop.make, shop.rep, shop.deal).fitting
    assert titles(found) == ["about the rival and price", "about price"]
    assert [label.key for label in found[0].because] == ["rival", "price", "finance"]


def test_what_fits_leaves_out_the_hidden_the_used_and_the_second_language(shop: Shop) -> None:
    tags = (shop.rival, shop.price)
    shop.asset("above clearance", *tags, tier=Tier.CONFIDENTIAL)
    shop.asset("of a later stage", *tags, unlock="negotiation")
    shop.asset("of another team", *tags, teams=["west"])
    sent = shop.asset("sent last week", *tags)
    source = shop.asset("价格", *tags, language="zh")
    shop.asset("price in English", *tags, translation_of=source)
    shop.asset("上周发过", *tags, language="zh", translation_of=sent)
    shop.make.use(shop.rep, sent, UseKind.SHARE, shop.deal, clock.now() - 7 * DAY)
    here = page(shop.make, shop.rep, shop.deal)
    assert titles(here.fitting) == ["price in English"]
    assert titles(here.used_here) == ["sent last week"]
    assert here.used_here[0].kinds == {"share"}
    assert titles(page(shop.make, shop.rep, shop.deal, "zh").fitting) == ["价格"]


def test_no_type_fills_the_list_alone(shop: Shop) -> None:
    for number in range(5):
        shop.asset(f"question {number}", shop.rival, shop.price)
    shop.asset("a card", shop.rival, asset_type=AssetType.BATTLE_CARD)
    found = page(shop.make, shop.rep, shop.deal).fitting
    assert [one.asset.type for one in found].count(AssetType.FAQ) == activity.MOST_OF_A_TYPE
    assert "a card" in titles(found)


def test_a_closed_deal_proposes_nothing(shop: Shop) -> None:
    shop.asset("about price", shop.price)
    shop.make.set_deal(shop.deal, outcome=Outcome.LOST.value, closed_at=clock.now())
    assert page(shop.make, shop.rep, shop.deal).fitting == ()


def test_opened_last_is_ones_own_and_each_asset_once(shop: Shop) -> None:
    first, second, hidden = shop.asset("first"), shop.asset("second"), shop.asset("hidden")
    for hours, asset in ((5, first), (4, hidden), (3, second), (2, first)):
        shop.make.use(shop.rep, asset, UseKind.VIEW, at=clock.now() - timedelta(hours=hours))
    shop.make.withdraw(hidden)
    assert titles(page(shop.make, shop.rep).opened) == ["first", "second"]
    assert page(shop.make, shop.boss).opened == []


def test_popular_counts_people_before_events_and_the_last_month_alone(shop: Shop) -> None:
    loved, busy, old, hidden = shop.asset("loved"), shop.asset("busy"), shop.asset("old"), shop.asset("hidden")
    other = shop.make.user()
    for who in (shop.rep, other):
        shop.make.use(who, loved)
        shop.make.use(who, hidden)
    for _ in range(5):
        shop.make.use(shop.rep, busy)
    shop.make.use(shop.rep, old, at=clock.now() - 40 * DAY)
    shop.make.use(shop.rep, old, UseKind.VIEW)
    shop.make.set_asset(hidden, tier=Tier.CONFIDENTIAL.value)
    found = page(shop.make, shop.rep).popular
    assert titles(found) == ["loved", "busy"]
    assert (found[0].use.people, found[1].use.uses) == (2, 5)


def test_a_manager_sees_what_the_teams_deals_use(shop: Shop) -> None:
    ours, theirs = shop.asset("ours"), shop.asset("theirs")
    stranger = shop.make.user()
    shop.make.use(shop.rep, ours, UseKind.COPY, shop.deal)
    shop.make.use(stranger, theirs, UseKind.COPY, shop.make.deal(stranger))
    assert titles(page(shop.make, shop.boss).team) == ["ours"]
    assert not page(shop.make, shop.rep).leads_team


def test_open_deals_are_ones_own_and_moved_last_first(shop: Shop) -> None:
    newer = shop.make.deal(shop.rep, "discovery", account="Newer", entered_at=clock.now() - DAY)
    shop.make.deal(shop.rep, "discovery", outcome=Outcome.WON)
    shop.make.deal(shop.make.user(), account="of somebody else")
    lines = page(shop.make, shop.rep).deals
    assert [line.deal.account for line in lines] == ["Newer", "Harbour Bank"]
    assert lines[0].since is not None
    assert lines[0].since.date() == (clock.now() - DAY).date()
    assert newer.external_id == lines[0].deal.external_id
    assert [line.deal.account for line in page(shop.make, shop.boss).deals] == ["Newer", "Harbour Bank"]


def test_owners_see_what_wants_a_look_much_used_first_and_why(shop: Shop) -> None:
    owner = shop.make.user(Role.MARKETER)
    mine = {"owners": [owner]}
    quiet = shop.asset("quiet", **mine)
    hot = shop.asset("hot", **mine)
    shop.asset("fine", **mine)
    ending = shop.asset("ending", **mine, expires_at=clock.now() + 3 * DAY)
    lacking = shop.asset("lacking", **mine)
    unowned = shop.asset("of somebody else")
    for asset in (quiet, hot, unowned):
        _publish_long_ago(shop.make, asset)
    with shop.make.service.database.writing() as session:
        session.add(MissingOnBoard(asset_id=lacking.id, what="stage", since_on=clock.now().date()))
    shop.make.use(shop.rep, hot)
    care = page(shop.make, owner).care
    assert care[0].asset.title == "hot"
    assert {line.asset.title: line.reasons for line in care} == {
        "hot": (Care.UNVERIFIED,),
        "quiet": (Care.UNVERIFIED,),
        "ending": (Care.EXPIRES,),
        "lacking": (Care.LACKS,),
    }
    assert ending.id in {line.asset.id for line in care}
    assert (page(shop.make, shop.rep).care, page(shop.make, shop.rep).owns) == ([], False)


def test_a_translation_is_behind_once_its_source_is_published_anew(shop: Shop) -> None:
    source = shop.asset("原文", language="zh")
    translation = shop.asset("translation", translation_of=source)
    assert not _read(shop, translation).is_behind
    shop.make.new_version(source, "## 怎么说\n\n新的一句。\n")
    assert _read(shop, translation).is_behind
    with shop.make.service.database.reading() as session:
        assert reading.list_signals(session, [translation.id])[translation.id].is_doubtful
        assert not reading.list_signals(session, [source.id])[source.id].is_doubtful
    shop.make.new_version(translation, "## Say\n\nThe new line.\n")
    assert not _read(shop, translation).is_behind


def test_editors_see_how_many_assets_stand_where(shop: Shop) -> None:
    shop.asset("published")
    shop.asset("draft", publish=False)
    states = dict(page(shop.make, shop.make.user(Role.ADMIN)).states)
    assert {state.value: count for state, count in states.items()} == {"draft": 1, "published": 1}
    assert page(shop.make, shop.rep).states == ()


def test_orders_by_use_and_by_verification(shop: Shop) -> None:
    ids = [shop.asset(title).id for title in ("first", "second", "third")]
    for asset_id, days in zip(ids, (30, 20, 10), strict=True):
        with shop.make.service.database.reading() as session:
            asset = session.get_one(Asset, asset_id)
        _publish_long_ago(shop.make, asset, days)
    shop.make.set_asset(asset, verified_at=clock.now() - 15 * DAY)
    with shop.make.service.database.reading() as session:
        first = session.get_one(Asset, ids[0])
    shop.make.set_asset(first, verified_at=clock.now())
    shop.make.use(shop.rep, first)
    given = np.array([ids[1], ids[0], ids[2]], np.int64)
    with shop.make.service.database.reading() as session:
        assert given[reading.rows_by_publication(session, given)].tolist() == [ids[2], ids[1], ids[0]]
        assert given[reading.rows_by_verification(session, given)].tolist() == [ids[0], ids[2], ids[1]]
        assert given[activity.rows_by_use(session, given)].tolist() == [ids[0], ids[1], ids[2]]


def _read(shop: Shop, asset: Asset) -> reading.ReadableAsset:
    with shop.make.service.database.reading() as session:
        words = taxonomy.load(session)
        return reading.list_visible(session, shop.make.actor(shop.rep), None, [asset.id], words)[0]


def _publish_long_ago(make: Make, asset: Asset, days: int = 400) -> None:
    with make.service.database.writing() as session:
        for version in session.scalars(select(Version).where(Version.asset_id == asset.id)):
            version.published_at = clock.now() - days * DAY


def test_both_languages_stand_side_by_side(make: Make, sign_in: SignIn) -> None:
    chinese = make.asset("价格异议", "## 怎么说\n\n先算三年总账。\n", language="zh")
    english = make.asset("Price objection", "## Say\n\nThree years first.\n", translation_of=chinese)
    hidden = make.asset(
        "Einwand Preis", "## Sagen\n\nDrei Jahre.\n", language="de", translation_of=chinese, teams=["west"]
    )
    browser = sign_in(make.user())
    both = browser.get(f"/assets/{chinese.public_id}?beside=en").text
    assert "先算三年总账" in both
    assert "Three years first" in both
    assert "Three years first" not in browser.get(f"/assets/{chinese.public_id}").text
    other = browser.get(f"/assets/{english.public_id}?beside=de").text
    assert "Drei Jahre" not in other
    assert hidden.public_id not in other


def test_remarks_are_for_those_who_may_edit(make: Make, sign_in: SignIn) -> None:
    asset = make.asset("an asset")
    rep = make.user()
    said = sign_in(rep).post(
        f"/assets/{asset.public_id}/events", json={"event_id": "one", "kind": "not_helpful", "remark": "price of 2024"}
    )
    assert said.json == {"recorded": True, "deal": None}
    assert "price of 2024" in sign_in(make.user(Role.MARKETER)).get(f"/assets/{asset.public_id}").text
    assert "price of 2024" not in sign_in(rep).get(f"/assets/{asset.public_id}").text
