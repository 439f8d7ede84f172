"""The one rule: who sees which asset."""

from datetime import timedelta

import pytest

from content import reading
from content.kinds import Outcome, UseKind
from content.models import Asset
from kb import clock
from kb.access import Role, Tier
from kb.users import User
from tests.factories import Make


def seen_by(make: Make, user: User, deal=None) -> set[int]:
    with make.service.database.reading() as session:
        return set(reading.visible_ids(session, make.actor(user), make.context(user, deal) if deal else None).tolist())


def assert_seen(make: Make, user: User, *, seen: list[Asset], hidden: list[Asset], deal=None) -> None:
    """Both sets are named, so that a rule that shows nothing passes no test."""
    found = seen_by(make, user, deal)
    assert {asset.id for asset in seen} <= found
    assert not {asset.id for asset in hidden} & found


def test_tier_must_be_within_clearance(make_any: Make) -> None:
    make = make_any
    assets = {tier: make.asset(tier=tier) for tier in Tier}
    for clearance in Tier:
        reader = make.user(clearance=clearance)
        within = [asset for tier, asset in assets.items() if tier.rank <= clearance.rank]
        beyond = [asset for tier, asset in assets.items() if tier.rank > clearance.rank]
        assert_seen(make, reader, seen=within, hidden=beyond)


def test_audience_must_share_a_team_or_be_empty(make_any: Make) -> None:
    make = make_any
    everybody, east, both = make.asset(), make.asset(teams=["east"]), make.asset(teams=["east", "west"])
    assert_seen(make, make.user(teams=["west"]), seen=[everybody, both], hidden=[east])
    assert_seen(make, make.user(), seen=[everybody], hidden=[east, both])


def test_only_published_unexpired_unheld_assets_exist_for_readers(make_any: Make) -> None:
    make = make_any
    live, draft, withdrawn, expired, held = (
        make.asset(),
        make.asset(publish=False),
        make.asset(),
        make.asset(expires_at=clock.now() - timedelta(seconds=1)),
        make.asset(),
    )
    make.withdraw(withdrawn)
    make.set_asset(held, held_at=clock.now())
    assert_seen(
        make, make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL), seen=[live], hidden=[draft, withdrawn, expired, held]
    )


def test_unlock_stage_opens_with_the_deals_stage(make_any: Make) -> None:
    make = make_any
    rep = make.user()
    locked = make.asset(unlock="negotiation")
    deal = make.deal(rep, "solution")
    assert_seen(make, rep, seen=[], hidden=[locked], deal=deal)
    make.move_deal(deal, "negotiation")
    assert_seen(make, rep, seen=[locked], hidden=[], deal=deal)
    assert_seen(make, rep, seen=[], hidden=[locked])
    make.move_deal(deal, "discovery")
    assert_seen(make, rep, seen=[], hidden=[locked], deal=deal)


@pytest.mark.parametrize(
    ("outcome", "opens"), [(Outcome.WON, True), (Outcome.LOST, False), (Outcome.NO_DECISION, False)]
)
def test_closed_deals_unlock_only_when_won(make: Make, outcome: Outcome, opens: bool) -> None:
    rep = make.user()
    locked = make.asset(unlock="after_sale")
    deal = make.deal(rep, "negotiation", outcome=outcome)
    assert_seen(make, rep, seen=[locked] if opens else [], hidden=[] if opens else [locked], deal=deal)


def test_a_stage_in_the_future_unlocks_nothing_yet(make: Make) -> None:
    rep = make.user()
    locked = make.asset(unlock="negotiation")
    deal = make.deal(rep, "solution")
    make.move_deal(deal, "negotiation", at=clock.now() + timedelta(hours=1))
    assert_seen(make, rep, seen=[], hidden=[locked], deal=deal)


def test_past_use_on_the_deal_keeps_it_readable_there(make_any: Make) -> None:
    make = make_any
    rep, other = make.user(), make.user()
    locked, never_used = make.asset(unlock="negotiation"), make.asset(unlock="negotiation")
    deal = make.deal(rep, "negotiation", members=[other])
    make.use(rep, locked, UseKind.COPY, deal)
    make.use(rep, never_used, UseKind.VIEW, deal)
    make.move_deal(deal, "discovery")
    assert_seen(make, rep, seen=[locked], hidden=[never_used], deal=deal)
    assert_seen(make, other, seen=[locked], hidden=[never_used], deal=deal)
    assert_seen(make, rep, seen=[], hidden=[locked, never_used], deal=make.deal(rep, "discovery"))


def test_use_before_it_was_unlocked_opens_nothing(make: Make) -> None:
    rep = make.user()
    locked = make.asset(unlock="negotiation")
    deal = make.deal(rep, "discovery")
    make.use(rep, locked, UseKind.COPY, deal, was_unlocked=False)
    assert_seen(make, rep, seen=[], hidden=[locked], deal=deal)


def test_a_grant_opens_until_its_end_for_its_person_alone(make_any: Make) -> None:
    make = make_any
    rep, other = make.user(), make.user()
    locked, over = make.asset(unlock="negotiation"), make.asset(unlock="negotiation")
    make.grant(rep, locked)
    make.grant(rep, over, until=clock.now() - timedelta(seconds=1))
    assert_seen(make, rep, seen=[locked], hidden=[over])
    assert_seen(make, other, seen=[], hidden=[locked, over])


def test_a_grant_does_not_lift_tier_or_audience(make: Make) -> None:
    rep = make.user()
    secret, team_only = (
        make.asset(tier=Tier.RESTRICTED, unlock="solution"),
        make.asset(teams=["east"], unlock="solution"),
    )
    make.grant(rep, secret)
    make.grant(rep, team_only)
    assert_seen(make, rep, seen=[], hidden=[secret, team_only])


def test_owners_manager_and_members_share_the_deal_and_strangers_do_not(make_any: Make) -> None:
    make = make_any
    lead = make.user(Role.MANAGER)
    rep, member, stranger = make.user(manager=lead.email), make.user(), make.user()
    deal = make.deal(rep, members=[member])
    for insider in (rep, lead, member):
        assert make.context(insider, deal).external_id == deal.external_id
    with pytest.raises(reading.NotFound):
        make.context(stranger, deal)


def test_what_is_only_stage_locked_may_be_teased_and_nothing_else(make: Make) -> None:
    rep = make.user()
    locked, silent, secret = (
        make.asset(unlock="negotiation"),
        make.asset(unlock="negotiation", teaser=False),
        make.asset(unlock="negotiation", tier=Tier.CONFIDENTIAL),
    )
    with make.service.database.reading() as session:
        teased = set(reading.reach(session, make.actor(rep), None).locked.tolist())
        assert locked.id in teased
        assert not {silent.id, secret.id} & teased
        with pytest.raises(reading.StageLocked):
            reading.get_visible(session, make.actor(rep), None, locked.public_id)
        for hidden in (silent, secret):
            with pytest.raises(reading.NotFound):
                reading.get_visible(session, make.actor(rep), None, hidden.public_id)
