"""Asking for what a later stage unlocks: who is asked, who decides, how long it holds, what it does not open."""

import json
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from content import access_requests, reading
from content.models import AccessRequest, Asset, Grant
from content.reading import StageLocked
from kb import audit, cli, clock, notices
from kb.access import Role, Tier
from kb.errors import Conflict, Invalid, NotFound
from kb.users import User
from tests.conftest import SignIn
from tests.factories import Make


class Scene:
    """A text that opens with negotiation, its owner, a rep with a deal in discovery, and the rep's manager."""

    def __init__(self, make: Make, **asset: object) -> None:
        make.stages()
        self.make, self.database = make, make.service.database
        self.owner, self.manager = make.user(Role.MARKETER), make.user(Role.MANAGER)
        self.rep = make.user(manager=self.manager.email)
        self.other = make.user()
        self.asset: Asset = make.asset("Prices", unlock="negotiation", owners=[self.owner], **asset)  # type: ignore[arg-type]
        self.deal = make.deal(self.rep, "discovery", account="Lantern Works")

    def ask(self, who: User | None = None, reason: str = "They want the list today.") -> str:
        who = who or self.rep
        with self.database.writing() as db:
            deal = self.make.context(who, self.deal) if who is self.rep else None
            return access_requests.ask(db, self.make.actor(who), deal, self.asset.public_id, reason).public_id

    def allow(self, who: User, request: str, days: int = 14) -> None:
        with self.database.writing() as db:
            access_requests.allow(db, self.make.actor(who), request, "For this week.", access_requests.in_days(days))

    def reads(self, who: User | None = None) -> bool:
        with self.database.reading() as db:
            try:
                reading.get_visible(db, self.make.actor(who or self.rep), None, self.asset.public_id)
            except (StageLocked, NotFound):
                return False
            return True

    def told(self, who: User) -> list[str]:
        with self.database.reading() as db:
            return [one.kind for one in notices.list_newest(db, who.id)]


def test_a_yes_opens_it_for_so_long_and_for_that_person(make_any: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(make_any)
    request = scene.ask()
    assert scene.told(scene.owner) == scene.told(scene.manager) == ["access_asked"]
    assert not scene.reads()
    scene.allow(scene.owner, request, 3)
    assert (scene.reads(), scene.reads(scene.other)) == (True, False)
    assert scene.told(scene.rep) == ["access_granted"]
    with scene.database.reading() as db:
        (mine,) = access_requests.list_mine(db, make_any.actor(scene.rep))
        assert (mine.state, mine.decided_by, mine.answer) == ("granted", scene.owner.name, "For this week.")
        assert audit.verify(db).intact
        until = db.scalars(select(Grant.until)).one()
    later = until + timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert not access_requests_left(scene)


def access_requests_left(scene: Scene) -> bool:
    with scene.database.reading() as db:
        return bool(access_requests.list_grants(db, scene.make.actor(scene.rep)))


def test_a_no_says_why_and_one_may_ask_again(make: Make) -> None:
    scene = Scene(make)
    request = scene.ask()
    with scene.database.writing() as db:
        access_requests.refuse(db, make.actor(scene.manager), request, "Too early for this customer.")
    assert (scene.reads(), scene.told(scene.rep)) == (False, ["access_refused"])
    with pytest.raises(access_requests.Decided):
        scene.allow(scene.owner, request)
    assert scene.ask() != request


@pytest.mark.parametrize("who", ["rep", "other"])
def test_nobody_else_decides_or_learns_of_it(make: Make, who: str) -> None:
    scene = Scene(make)
    request = scene.ask()
    person: User = getattr(scene, who)
    with pytest.raises(NotFound):
        scene.allow(person, request)
    with scene.database.reading() as db:
        assert access_requests.list_for_me(db, make.actor(person)) == []
        assert access_requests.waiting_for(db, make.actor(person)) == 0


def test_an_owner_does_not_decide_for_themselves(make: Make) -> None:
    make.stages()
    owner = make.user()
    asset = make.asset("Prices", unlock="negotiation", owners=[owner])
    with make.service.database.writing() as db:
        request = access_requests.ask(db, make.actor(owner), None, asset.public_id, "I need it.").public_id
    with pytest.raises(NotFound), make.service.database.writing() as db:
        access_requests.allow(db, make.actor(owner), request, "Yes.")


def test_a_manager_for_whom_the_text_is_not_learns_nothing(make: Make) -> None:
    scene = Scene(make, tier=Tier.RESTRICTED)
    make.set_asset(scene.asset, tier=Tier.INTERNAL.value)
    request = scene.ask()
    make.set_asset(scene.asset, tier=Tier.RESTRICTED.value)
    with scene.database.reading() as db:
        assert access_requests.list_for_me(db, make.actor(scene.manager)) == []
        assert access_requests.list_mine(db, make.actor(scene.rep)) == []  # it does not exist for them any more
    with pytest.raises(NotFound):
        scene.allow(scene.manager, request)
    scene.allow(scene.owner, request)
    assert not scene.reads(), "a grant opens a stage, no tier"


def test_what_is_not_teased_cannot_be_asked_for(make: Make) -> None:
    scene = Scene(make, teaser=False)
    with pytest.raises(NotFound):
        scene.ask()
    plain = make.asset("Plain")
    with pytest.raises(access_requests.NothingToAsk), make.service.database.writing() as db:
        access_requests.ask(db, make.actor(scene.rep), None, plain.public_id, "x")


def test_once_at_a_time_and_with_a_reason(make_any: Make) -> None:
    scene = Scene(make_any)
    with pytest.raises(Invalid):
        scene.ask(reason="  ")
    request = scene.ask()
    with pytest.raises(access_requests.AskedAlready):
        scene.ask()
    with scene.database.writing() as db:
        access_requests.withdraw(db, make_any.actor(scene.rep), request)
    with pytest.raises(access_requests.Decided), scene.database.writing() as db:
        access_requests.refuse(db, make_any.actor(scene.owner), request, "No.")
    scene.ask()


def test_without_owner_and_manager_the_coordinators_are_asked(make: Make) -> None:
    make.stages()
    coordinator, rep = make.user(Role.COORDINATOR), make.user()
    asset = make.asset("Prices", unlock="negotiation")
    with make.service.database.writing() as db:
        access_requests.ask(db, make.actor(rep), None, asset.public_id, "I need it.")
    with make.service.database.reading() as db:
        assert [one.kind for one in notices.list_newest(db, coordinator.id)] == ["access_asked"]
        assert access_requests.waiting_for(db, make.actor(coordinator)) == 1


@pytest.mark.parametrize("days", [0, 367, -1])
def test_a_grant_has_an_end_within_a_year(make: Make, days: int) -> None:
    scene = Scene(make)
    with pytest.raises(Invalid):
        scene.allow(scene.owner, scene.ask(), days)
    assert not scene.reads()


def test_whoever_gave_it_or_owns_the_text_ends_it_at_once(make_any: Make) -> None:
    scene = Scene(make_any)
    scene.allow(scene.manager, scene.ask())
    with scene.database.reading() as db:
        (grant,) = access_requests.list_grants(db, make_any.actor(scene.owner))
        assert not access_requests.list_grants(db, make_any.actor(scene.rep))[0].may_revoke
    with pytest.raises(NotFound), scene.database.writing() as db:
        access_requests.revoke(db, make_any.actor(scene.rep), grant.public_id)
    with scene.database.writing() as db:
        access_requests.revoke(db, make_any.actor(scene.owner), grant.public_id)
    assert not scene.reads()
    with pytest.raises(Conflict), scene.database.writing() as db:
        access_requests.revoke(db, make_any.actor(scene.owner), grant.public_id)


def test_whoever_gave_a_grant_learns_nothing_of_a_text_that_is_not_for_them_any_more(make_any: Make) -> None:
    scene = Scene(make_any)
    scene.allow(scene.manager, scene.ask())
    with scene.database.reading() as db:
        (grant,) = access_requests.list_grants(db, make_any.actor(scene.manager))
    make_any.set_asset(scene.asset, tier=Tier.CONFIDENTIAL.value)
    with scene.database.writing() as db:
        assert access_requests.list_grants(db, make_any.actor(scene.manager)) == []
        with pytest.raises(NotFound):
            access_requests.revoke(db, make_any.actor(scene.manager), grant.public_id)


def test_a_second_decision_is_refused(make_any: Make) -> None:
    scene = Scene(make_any)
    request = scene.ask()
    scene.allow(scene.owner, request)
    with pytest.raises(access_requests.Decided):
        scene.allow(scene.manager, request)
    with scene.database.reading() as db:
        assert len(db.scalars(select(Grant)).all()) == 1
        assert [row.state for row in db.scalars(select(AccessRequest))] == ["granted"]


# --- what could not be opened ---


def test_what_could_not_be_opened_is_counted_for_who_edits_it(make_any: Make) -> None:
    scene = Scene(make_any)
    for who, times in ((scene.rep, 3), (scene.other, 1)):
        for _ in range(times):
            with scene.database.writing() as db:
                access_requests.note_try(db, make_any.actor(who), scene.asset.id)
    scene.ask()
    with scene.database.reading() as db:
        (row,) = access_requests.shut(db, make_any.actor(scene.owner))
    assert (row.tries, row.people, row.asked, row.stage and row.stage.key) == (4, 2, 1, "negotiation")


# --- by page and by program ---


def test_from_the_locked_page_to_the_answer(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make)
    rep, owner = sign_in(scene.rep), sign_in(scene.owner)
    address = f"/assets/{scene.asset.public_id}"
    locked = rep.get(f"{address}?deal={scene.deal.external_id}")
    assert (locked.status_code, f"{address}/ask" in locked.text) == (403, True)
    form = rep.get(f"{address}/ask?deal={scene.deal.external_id}").text
    assert "Lantern Works is not there yet" in form
    empty = rep.post(f"{address}/ask?deal={scene.deal.external_id}", data={"reason": " "})
    assert (empty.status_code, "Say what you need it for" in empty.text) == (422, True)
    rep.post(f"{address}/ask?deal={scene.deal.external_id}", data={"reason": "They want the list today."})
    assert "Waits" in rep.get("/access-requests?deal=").text
    page = owner.get("/access-requests?deal=").text
    assert "They want the list today." in page
    assert "Lantern Works" not in page, "the owner is not on that deal"
    with scene.database.reading() as db:
        request = db.scalars(select(AccessRequest.public_id)).one()
    wrong = owner.post(
        f"/access-requests/{request}/decide", data={"decision": "allow", "answer": "For a week", "days": "0"}
    )
    assert (wrong.status_code, 'value="For a week"' in wrong.text) == (422, True)
    owner.post(f"/access-requests/{request}/decide", data={"decision": "allow", "answer": "For a week", "days": "7"})
    assert rep.get(f"{address}?deal=").status_code == 200
    assert rep.get(f"{address}/ask?deal=").status_code == 302
    shut = owner.get("/library/shut?deal=").text
    assert "Prices" in shut
    assert rep.get("/library/shut?deal=").status_code == 403


def test_asking_tells_nothing_of_what_is_hidden(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make, tier=Tier.CONFIDENTIAL)
    rep = sign_in(scene.rep)
    for reference in (scene.asset.public_id, "nothing-of-that-id"):
        for address in (f"/assets/{reference}/ask?deal=", f"/api/v1/assets/{reference}/access-requests"):
            got = rep.post(address, **({"json": {"reason": "x"}} if "api" in address else {"data": {"reason": "x"}}))
            assert got.status_code == 404


def test_programs_ask_and_decide(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make)
    rep, owner = sign_in(scene.rep), sign_in(scene.owner)
    address = f"/api/v1/assets/{scene.asset.public_id}/access-requests"
    made = rep.post(address, json={"reason": "Today", "deal": scene.deal.external_id})
    assert (made.status_code, made.json["mine"][0]["state"]) == (201, "open")
    assert rep.post(address, json={"reason": "Today"}).json["code"] == "asked_already"
    request = owner.get("/api/v1/access-requests").json["asked"][0]["id"]
    decision = f"/api/v1/access-requests/{request}/decision"
    for until in (clock.now() - timedelta(days=1), clock.now() + timedelta(days=400)):
        refused = owner.post(decision, json={"grant": True, "reason": "Yes", "until": until.isoformat()})
        assert (refused.status_code, refused.json["code"]) == (422, "until")
    until = clock.now() + timedelta(days=5)
    done = owner.post(decision, json={"grant": True, "reason": "Yes", "until": until.isoformat()})
    assert done.json["grants"][0]["until"][:10] == until.isoformat()[:10]
    assert done.json["grants"][0]["granted_to"] == scene.rep.name
    grant = done.json["grants"][0]["id"]
    assert (
        owner.post(
            f"/api/v1/grants/{grant}/revoke",
        ).json["grants"]
        == []
    )
    rep.get(f"/assets/{scene.asset.public_id}?deal=")
    assert owner.get("/api/v1/library/shut").json["items"][0]["tries"] == 1


def test_grants_by_command(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(make.service.settings.data_dir))
    monkeypatch.setenv("KB_ENCODER", "off")
    scene = Scene(make)

    def kb(*words: str) -> str:
        got = CliRunner().invoke(cli.cli, ["grant", *words])
        assert got.exception is None, str(got.exception)
        return got.stdout

    kb("give", scene.rep.email, scene.asset.public_id, "--days", "3", "--reason", "A visit this week.")
    assert scene.reads()
    (row,) = json.loads(kb("list", "--json"))
    assert (row["to"], row["asset"]) == (scene.rep.name, scene.asset.public_id)
    assert "A visit this week." in kb("list")
    kb("revoke", row["grant"])
    assert not scene.reads()
