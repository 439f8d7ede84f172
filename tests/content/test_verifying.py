"""Owners verify what they own, and it counts at once."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from content import reading, verifying
from content.models import Asset, Version
from content.reading import NotFound, ReadableAsset, StageLocked
from content.verifying import NotYours
from kb import audit, clock
from kb.access import Role, Tier
from kb.audit import AuditEntry
from kb.users import User
from tests.conftest import SignIn
from tests.factories import Make


def old(make: Make, owner: User) -> Asset:
    asset = make.asset("an old promise", owners=[owner])
    with make.service.database.writing() as session:
        for version in session.scalars(select(Version).where(Version.asset_id == asset.id)):
            version.published_at = clock.now() - timedelta(days=400)
    return asset


def verify(make: Make, user: User, asset: Asset) -> ReadableAsset:
    with make.service.database.writing() as session:
        return verifying.verify(session, make.actor(user), None, asset.public_id)


def test_an_owner_verifies_in_one_click_whatever_the_role(make_any: Make) -> None:
    rep = make_any.user()
    asset = old(make_any, rep)
    with make_any.service.database.reading() as session:
        assert reading.get_visible(session, make_any.actor(rep), None, asset.public_id).is_unverified
    found = verify(make_any, rep, asset)
    assert not found.is_unverified
    assert found.verify_due_at > clock.now() + timedelta(days=80)
    with make_any.service.database.reading() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence.desc())).first()
        assert entry is not None
        assert (entry.action, entry.object_id, entry.actor_id) == ("asset.verify", asset.public_id, rep.id)
        assert audit.verify(session).intact


def test_who_may_publish_verifies_and_others_do_not(make: Make) -> None:
    owner = make.user()
    asset = old(make, owner)
    assert not verify(make, make.user(Role.MARKETER), asset).is_unverified
    for role in (Role.REP, Role.REVIEWER, Role.MANAGER):
        with pytest.raises(NotYours):
            verify(make, make.user(role), asset)


def test_an_owner_cannot_verify_what_is_hidden_from_the_owner(make: Make) -> None:
    rep = make.user()
    above = make.asset("above", owners=[rep], tier=Tier.CONFIDENTIAL)
    later = make.asset("later", owners=[rep], unlock="negotiation")
    with pytest.raises(NotFound):
        verify(make, rep, above)
    with pytest.raises(StageLocked):
        verify(make, rep, later)


def test_the_page_and_the_interface_verify(make: Make, sign_in: SignIn) -> None:
    rep = make.user()
    asset = old(make, rep)
    browser = sign_in(rep)
    assert "Still true: verify" in browser.get(f"/assets/{asset.public_id}").text
    assert 'action="/assets/' in browser.get("/").text.partition("To look after")[2], "home offers it beside the line"
    answer = browser.post(f"/assets/{asset.public_id}/verify", data={"next": f"/assets/{asset.public_id}"})
    assert answer.status_code == 302
    assert "Unverified" not in browser.get(f"/assets/{asset.public_id}").text
    got = browser.post(f"/api/v1/assets/{asset.public_id}/verify")
    assert got.json["id"] == asset.public_id
    assert "Still true" not in sign_in(make.user()).get(f"/assets/{asset.public_id}").text
