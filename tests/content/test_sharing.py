"""Links for customers: who may make them, what opens, what ends them, what the sender learns, and what nobody else does."""

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import func, select

from content import contacts, convert, sharing
from content.contacts import Contact, Nda
from content.kinds import Handling, Outcome
from content.models import Asset, ShareLink, ShareOpening, UseEvent
from content.sharing import Ended, Kind, State, Wanted
from content.usage import NotAllowedByHandling
from kb import audit, cli, clock, notices
from kb.access import Role, Tier
from kb.errors import Conflict, Invalid, NotFound, TooMuch
from kb.users import User
from tests.conftest import ORIGIN, SECRET, Browser, SignIn
from tests.content.test_convert import pdf
from tests.content.test_files import with_file
from tests.factories import Make

STEERED = {"Sec-Fetch-Dest": "document"}
TEXT = "# Before\n\nThe night that nobody noticed.\n\n## How it went\n\nSee [the price](/assets/abc) and [us](https://us.example).\n"


class Scene:
    """A rep with an open deal, a contact there, and a case study that may go to named customers."""

    def __init__(self, make: Make, **asset: object) -> None:
        make.stages()
        self.make, self.database = make, make.service.database
        self.rep, self.other = make.user(), make.user()
        self.deal = make.deal(self.rep, "solution", account="Lantern Works")
        fields = {"handling": Handling.NAMED} | asset
        self.asset: Asset = make.asset("The night of the switch", TEXT, **fields)  # type: ignore[arg-type]
        self.contact = self.add("Wang Li", "wang.li@lantern.example")

    def add(self, name: str, email: str) -> Contact:
        with self.database.writing() as db:
            return contacts.add(db, self.make.actor(self.rep), self.make.context(self.rep, self.deal), name, email)

    def send(self, who: User | None = None, *, on_deal: bool = True, **wanted: object) -> tuple[str, str]:
        who = who or self.rep
        fields: dict[str, object] = {"kind": Kind.NAMED, "contact": self.contact.public_id} | wanted
        deal = self.make.context(who, self.deal) if on_deal else None
        with self.database.writing() as db:
            return sharing.create(
                db,
                self.make.actor(who),
                deal,
                self.asset.public_id,
                Wanted(**fields),  # type: ignore[arg-type]
                SECRET,
            )

    def opens(self, token: str) -> bool:
        with self.database.reading() as db:
            try:
                sharing.open_link(db, token)
            except Ended:
                return False
            return True

    def line(self, public_id: str, who: User | None = None) -> sharing.LinkLine:
        with self.database.reading() as db:
            return sharing.get(db, self.make.actor(who or self.rep), public_id, [SECRET])[0]

    def told(self) -> list[str]:
        with self.database.reading() as db:
            return [one.kind for one in notices.list_newest(db, self.rep.id)]


def browser_of(app: Flask) -> Browser:
    app.test_client_class = Browser
    browser = app.test_client()
    assert isinstance(browser, Browser)
    return browser


def test_a_customer_reads_one_version_and_the_sender_learns_of_it(make: Make, app: Flask) -> None:
    scene = Scene(make)
    public_id, token = scene.send()
    customer = browser_of(app)
    seen = customer.get(f"/s/{token}", headers=STEERED | {"Accept-Language": "en"})
    assert seen.status_code == 200
    assert "The night of the switch" in seen.text
    assert "For Wang Li, Lantern Works" in seen.text
    assert scene.rep.email in seen.text
    assert seen.headers["Referrer-Policy"] == "same-origin", "nobody that the text links to learns the address"
    assert "noindex" in seen.headers["X-Robots-Tag"]
    assert seen.headers["Cache-Control"] == "private, no-store"
    assert "/assets/" not in seen.text, "no way into the product"
    assert 'href="https://us.example"' in seen.text
    customer.get(f"/s/{token}", headers=STEERED)
    customer.head(f"/s/{token}", headers=STEERED)
    customer.get(f"/s/{token}")
    line = scene.line(public_id)
    assert (line.views, line.downloads, line.state) == (1, 0, State.LIVE), "counted once, and only for a browser"
    assert scene.told() == ["share_opened"]
    with scene.database.reading() as db:
        (use,) = db.scalars(select(UseEvent).where(UseEvent.kind == "share"))
        assert (use.asset_id, use.deal_id, use.user_id) == (scene.asset.id, scene.deal.id, scene.rep.id)
        assert audit.verify(db).intact


def test_only_a_hash_of_the_token_is_kept_and_its_sender_sees_the_address_again(make: Make) -> None:
    scene = Scene(make)
    public_id, token = scene.send()
    assert len(token) == 43
    with scene.database.reading() as db:
        kept = db.scalars(select(ShareLink.token_hash)).one()
        assert token not in kept
        actor = make.actor(scene.rep)
        assert sharing.get(db, actor, public_id, ["another key, long enough to sign with", SECRET])[1] == token
        assert sharing.get(db, actor, public_id, ["another key, long enough to sign with"])[1] == ""
        boss = make.user(Role.ADMIN)
        assert sharing.get(db, make.actor(boss), public_id, [SECRET])[1] == "", "the address is its sender's"
    assert not scene.opens(token[:-1] + ("A" if token[-1] != "A" else "B"))


@pytest.mark.parametrize("handling", [Handling.INTERNAL, Handling.SPOKEN])
def test_what_may_only_be_said_is_never_sent(make: Make, handling: Handling) -> None:
    scene = Scene(make, handling=handling)
    for kind in Kind:
        with pytest.raises(NotAllowedByHandling):
            scene.send(kind=kind)


def test_what_is_for_named_customers_gets_no_open_link_and_none_without_a_deal(make: Make) -> None:
    scene = Scene(make)
    with pytest.raises(NotAllowedByHandling):
        scene.send(kind=Kind.OPEN)
    with pytest.raises(NotAllowedByHandling):
        scene.send(on_deal=False)
    with pytest.raises(Invalid, match="whom"):
        scene.send(contact="")
    make.set_deal(scene.deal, outcome=Outcome.LOST.value)
    with pytest.raises(NotAllowedByHandling):
        scene.send()


def test_a_contact_of_another_deal_is_nobody(make: Make) -> None:
    scene = Scene(make)
    elsewhere = make.deal(scene.rep, "solution")
    with scene.database.writing() as db:
        there = contacts.add(db, make.actor(scene.rep), make.context(scene.rep, elsewhere), "Ann", "ann@x.example")
    with pytest.raises(Invalid, match="whom"):
        scene.send(contact=there.public_id)


def test_an_open_link_is_for_anybody_and_names_nobody(make: Make, app: Flask) -> None:
    scene = Scene(make, handling=Handling.PUBLIC)
    _, token = scene.send(kind=Kind.OPEN, on_deal=False, contact="")
    seen = browser_of(app).get(f"/s/{token}", headers={"Accept-Language": "en"})
    assert seen.status_code == 200
    assert scene.rep.name not in seen.text
    assert scene.rep.email not in seen.text


# --- what ends a link ---


def test_whatever_takes_the_sending_away_ends_the_link_at_once(make_any: Make) -> None:
    make = make_any
    scene = Scene(make)
    public_id, token = scene.send()

    def ends(do: object, undo: object) -> None:
        do()  # type: ignore[operator]
        assert not scene.opens(token)
        assert scene.line(public_id).state is State.ENDED
        undo()  # type: ignore[operator]
        assert scene.opens(token)

    asset, deal = scene.asset, scene.deal
    ends(lambda: make.set_asset(asset, tier="restricted"), lambda: make.set_asset(asset, tier="internal"))
    ends(lambda: make.set_asset(asset, held_at=clock.now()), lambda: make.set_asset(asset, held_at=None))
    ends(lambda: make.set_deal(deal, outcome="lost"), lambda: make.set_deal(deal, outcome="open"))
    ends(lambda: make.set_deal(deal, owner_id=scene.other.id), lambda: make.set_deal(deal, owner_id=scene.rep.id))
    negotiation = make.stage_id("negotiation")
    ends(
        lambda: make.set_asset(asset, unlock_stage_id=negotiation), lambda: make.set_asset(asset, unlock_stage_id=None)
    )

    def set_active(at: object) -> None:
        with scene.database.writing() as db:
            db.get_one(User, scene.rep.id).deactivated_at = at  # type: ignore[assignment]

    set_active(clock.now())
    assert not scene.opens(token)
    set_active(None)
    make.withdraw(asset)
    assert not scene.opens(token)


def test_a_stage_that_goes_back_takes_what_it_unlocked(make: Make) -> None:
    scene = Scene(make, unlock="solution", teaser=False)
    public_id, token = scene.send()
    assert scene.opens(token)
    make.move_deal(scene.deal, "discovery")
    assert not scene.opens(token), "it stays readable on the deal for the rep, and is not sent any more"
    assert scene.line(public_id).state is State.ENDED


def test_days_end_it_and_so_does_its_sender_but_not_a_stranger(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(make)
    public_id, token = scene.send(days=2)
    another, other_token = scene.send()
    with scene.database.writing() as db, pytest.raises(NotFound):
        sharing.revoke(db, make.actor(scene.other), another)
    with scene.database.writing() as db:
        sharing.revoke(db, make.actor(scene.rep), another)
    assert not scene.opens(other_token)
    with scene.database.writing() as db, pytest.raises(Conflict):
        sharing.extend(db, make.actor(scene.rep), another, 30)
    later = clock.now() + timedelta(days=2, minutes=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert not scene.opens(token)
    assert scene.line(public_id).state is State.EXPIRED
    with scene.database.writing() as db:
        sharing.extend(db, make.actor(scene.rep), public_id, 5)
    assert scene.opens(token)
    for days in (0, 181, -3):
        with scene.database.writing() as db, pytest.raises(Invalid):
            sharing.extend(db, make.actor(scene.rep), public_id, days)


def test_a_new_version_shuts_the_link_until_its_sender_moves_it_on(make: Make) -> None:
    scene = Scene(make)
    public_id, token = scene.send()
    make.new_version(scene.asset, "Another night.")
    assert not scene.opens(token)
    assert scene.line(public_id).state is State.OUTDATED
    assert scene.told() == ["share_outdated"]
    with scene.database.writing() as db, pytest.raises(NotFound):
        sharing.move_on(db, make.actor(scene.other), public_id)
    with scene.database.writing() as db:
        sharing.move_on(db, make.actor(scene.rep), public_id)
    with scene.database.reading() as db:
        assert "Another night" in sharing.open_link(db, token).page.html


def test_a_contact_taken_off_reads_nothing_any_more(make: Make) -> None:
    scene = Scene(make)
    _, token = scene.send()
    with scene.database.writing() as db:
        contacts.remove(db, make.actor(scene.rep), make.context(scene.rep, scene.deal), scene.contact.public_id)
    assert not scene.opens(token)
    assert scene.add("Wang Li", scene.contact.email).public_id != scene.contact.public_id
    assert not scene.opens(token), "who comes back gets a link of their own"


# --- non-disclosure agreements ---


def test_an_agreement_is_asked_for_when_sending_and_when_opening(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(make, nda=True)
    with pytest.raises(NotAllowedByHandling):
        scene.send()
    today = clock.now().date()

    def file(nda: Nda | None) -> None:
        with scene.database.writing() as db:
            contacts.set_nda(db, make.actor(scene.rep), make.context(scene.rep, scene.deal), nda)

    file(Nda(today - timedelta(days=3), today + timedelta(days=10), "C-2026-77"))
    _, token = scene.send()
    assert scene.opens(token)
    file(None)
    assert not scene.opens(token)
    file(Nda(today - timedelta(days=3), today + timedelta(days=10), "C-2026-77"))
    later = clock.now() + timedelta(days=11)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert not scene.opens(token)


@pytest.mark.parametrize(
    "nda",
    [
        Nda(date(2100, 1, 1), None, "C-1"),
        Nda(date(2026, 1, 5), date(2026, 1, 4), "C-1"),
        Nda(date(2026, 1, 5), date(9000, 1, 4), "C-1"),
        Nda(date(2026, 1, 5), None, "  "),
    ],
)
def test_an_agreement_that_cannot_be_is_not_filed(make: Make, nda: Nda) -> None:
    scene = Scene(make)
    with scene.database.writing() as db, pytest.raises(Invalid):
        contacts.set_nda(db, make.actor(scene.rep), make.context(scene.rep, scene.deal), nda)


def test_contacts_are_one_an_address_and_for_the_deals_people_alone(make: Make) -> None:
    scene = Scene(make)
    with pytest.raises(Conflict):
        scene.add("Somebody", " WANG.LI@lantern.example ")
    for name, email in (
        ("", "a@b.example"),
        ("A", ""),
        ("A", "nobody"),
        ("A", "李@客户.example"),
        ("A" * 121, "a@b.x"),
    ):
        with pytest.raises(Invalid):
            scene.add(name, email)
    stranger = make.actor(scene.other)
    with scene.database.reading() as db, pytest.raises(NotFound):
        contacts.list_of(db, stranger, make.context(scene.rep, scene.deal))


# --- what a link asks for ---


def test_password_and_address_are_asked_before_anything_is_shown(make: Make, app: Flask) -> None:
    scene = Scene(make)
    public_id, token = scene.send(password="lantern in the fog", asks_email=True)
    customer = browser_of(app)
    gate = customer.get(f"/s/{token}", headers=STEERED | {"Accept-Language": "en"})
    assert gate.status_code == 200
    for hidden in ("The night of the switch", "Lantern", "Wang", scene.rep.name, scene.asset.public_id):
        assert hidden not in gate.text
    assert scene.line(public_id).views == 0
    found = re.search(r'name="csrf_token" value="([^"]+)"', gate.text)
    assert found is not None
    customer.csrf = found[1]
    for wrong in (
        {"email": scene.contact.email, "password": "lantern in the fug"},
        {"email": "other@lantern.example", "password": "lantern in the fog"},
        {"email": "", "password": ""},
    ):
        refused = customer.post(f"/s/{token}", data=wrong)
        assert refused.status_code == 422
        assert "The night of the switch" not in refused.text
    assert customer.get(f"/s/{token}/files/whatever").status_code == 404
    right = customer.post(f"/s/{token}", data={"email": " Wang.Li@Lantern.example", "password": "lantern in the fog"})
    assert right.status_code == 303
    assert "The night of the switch" in customer.get(f"/s/{token}", headers=STEERED).text
    with scene.database.reading() as db:
        (seen,) = sharing.openings(db, make.actor(scene.rep), public_id)
        assert seen.email == "wang.li@lantern.example"
        kept = db.scalars(select(ShareLink.password_hash)).one()
        assert "lantern" not in kept
    other = browser_of(app)
    assert "The night of the switch" not in other.get(f"/s/{token}").text, "each browser is asked"


def test_guessing_a_password_is_made_to_wait(make: Make) -> None:
    scene = Scene(make)
    _, token = scene.send(password="lantern in the fog")
    for _ in range(10):
        with scene.database.writing() as db:
            sharing.note_wrong(db, token, "203.0.113.9")
    with scene.database.reading() as db, pytest.raises(TooMuch):
        sharing.passes(db, token, "", "lantern in the fog", "198.51.100.3")


# --- files ---


def words_of(data: bytes, tmp_path: Path) -> str:
    path = tmp_path / "taken.pdf"
    path.write_bytes(data)
    return " ".join(page.text for page in convert.read_pages(path, convert.FileKind.PDF))


def test_a_pdf_for_a_named_person_carries_their_address(make: Make, app: Flask, tmp_path: Path) -> None:
    scene = Scene(make)
    scene.asset, line = with_file(make, pdf(tmp_path / "offer.pdf", "The offer"), handling=Handling.NAMED)
    _, without = scene.send()
    public_id, token = scene.send(may_download=True)
    customer = browser_of(app)
    assert customer.get(f"/s/{without}/files/{line.public_id}").status_code == 404
    assert line.filename not in customer.get(f"/s/{without}").text
    assert line.filename in customer.get(f"/s/{token}").text
    customer.head(f"/s/{token}/files/{line.public_id}")
    assert scene.line(public_id).downloads == 0, "a look at the headers takes nothing"
    taken = customer.get(f"/s/{token}/files/{line.public_id}")
    assert taken.status_code == 200
    assert taken.headers["Content-Disposition"].startswith("attachment")
    assert taken.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    stamped = words_of(taken.data, tmp_path)
    assert "wang.li@lantern.example" in stamped
    assert "The offer" in stamped
    assert scene.line(public_id).downloads == 1
    other, other_line = with_file(make, pdf(tmp_path / "other.pdf", "Another"), handling=Handling.NAMED)
    assert other.id != scene.asset.id
    assert customer.get(f"/s/{token}/files/{other_line.public_id}").status_code == 404, "of this version alone"


def test_a_pdf_that_cannot_be_marked_is_not_given_unmarked(
    make: Make, app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(make)
    scene.asset, line = with_file(make, pdf(tmp_path / "offer.pdf", "The offer"), handling=Handling.NAMED)
    _, token = scene.send(may_download=True)

    def fail(_path: Path, _words: str) -> bytes:
        raise convert.CannotConvert(convert.Reason.DAMAGED)

    monkeypatch.setattr(convert, "stamp", fail)
    refused = browser_of(app).get(f"/s/{token}/files/{line.public_id}")
    assert refused.status_code == 404
    assert b"%PDF" not in refused.data


def test_a_public_pdf_goes_as_it_is(make: Make, app: Flask, tmp_path: Path) -> None:
    scene = Scene(make)
    path = pdf(tmp_path / "offer.pdf", "The offer")
    scene.asset, line = with_file(make, path, handling=Handling.PUBLIC)
    _, token = scene.send(kind=Kind.OPEN, may_download=True)
    assert browser_of(app).get(f"/s/{token}/files/{line.public_id}").data == path.read_bytes()


# --- pages, commands, interface ---


def test_a_rep_sends_from_the_asset_to_somebody_new(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make)
    browser, query = sign_in(scene.rep), {"deal": scene.deal.external_id}
    asset = f"/assets/{scene.asset.public_id}"
    assert f"{asset}/share" in browser.get(asset, query_string=query).text
    wrong = browser.post(
        f"{asset}/share", query_string=query, data={"kind": "named", "name": "Ann", "email": "no", "days": "9"}
    )
    assert wrong.status_code == 422
    assert 'value="Ann"' in wrong.text, "what was typed is kept"
    made = browser.post(
        f"{asset}/share",
        query_string=query,
        data={"kind": "named", "name": "Ann Lee", "email": "ann@lantern.example", "days": "9", "may_download": "1"},
    )
    assert made.status_code == 302
    page = browser.get(made.headers["Location"])
    (address,) = set(re.findall(rf"{re.escape(ORIGIN)}/s/[\w-]{{43}}", page.text))
    assert browser.get(address.removeprefix(ORIGIN)).status_code == 200
    assert "Ann Lee" in browser.get("/shares?deal=").text
    deal = browser.get(f"/deals/{scene.deal.external_id}?deal=")
    assert "Ann Lee" in deal.text
    assert "The night of the switch" in deal.text
    stranger = sign_in(scene.other)
    for path in (f"/deals/{scene.deal.external_id}?deal=", made.headers["Location"].partition("?")[0] + "?deal="):
        hidden = stranger.get(path)
        assert hidden.status_code == 404
        assert "Lantern" not in hidden.text


def test_who_may_not_read_the_text_any_more_sees_no_title_in_their_list(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make)
    public_id, _ = scene.send()
    make.set_asset(scene.asset, tier="confidential")
    browser = sign_in(scene.rep)
    for path in ("/shares?deal=", f"/shares/{public_id}?deal=", "/api/v1/shares", f"/api/v1/shares/{public_id}"):
        page = browser.get(path)
        assert page.status_code == 200
        assert "The night of the switch" not in page.text
        assert scene.asset.public_id not in page.text


def test_programs_do_the_same(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make, nda=True)
    browser, deal = sign_in(scene.rep), scene.deal.external_id
    assert browser.get(f"/api/v1/deals/{deal}/customer").json["contacts"][0]["email"] == scene.contact.email  # type: ignore[index]
    filed = browser.put(f"/api/v1/deals/{deal}/nda", json={"signed_on": "2026-01-05", "reference": "C-77"})
    assert filed.status_code == 200
    assert filed.json["nda"]["in_force"] is True  # type: ignore[index]
    added = browser.post(f"/api/v1/deals/{deal}/contacts", json={"name": "Ann", "email": "ann@lantern.example"})
    assert added.status_code == 201
    contact = next(one for one in added.json["contacts"] if one["name"] == "Ann")["id"]  # type: ignore[index]
    path = f"/api/v1/assets/{scene.asset.public_id}/shares"
    made = browser.post(path, json={"kind": "named", "deal": deal, "contact": contact})
    assert made.status_code == 201, made.text
    share = made.json
    assert share is not None
    assert share["state"] == "live"
    assert browser.get(share["address"].removeprefix(ORIGIN)).status_code == 200
    assert browser.post(f"/api/v1/shares/{share['id']}/extend", json={"days": 3}).status_code == 200
    assert browser.post(path, json={"kind": "open", "deal": deal}).status_code == 403
    gone = browser.delete(f"/api/v1/deals/{deal}/contacts/{contact}")
    assert gone.status_code == 200
    assert browser.get(f"/api/v1/shares/{share['id']}").json["state"] == "ended"  # type: ignore[index]
    assert browser.delete(f"/api/v1/deals/{deal}/nda").json["nda"] is None  # type: ignore[index]
    assert browser.post(f"/api/v1/shares/{share['id']}/revoke").json["state"] == "revoked"  # type: ignore[index]


def test_the_operator_lists_and_ends_links(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(make)
    public_id, token = scene.send()
    monkeypatch.setenv("KB_DATA_DIR", str(make.service.settings.data_dir))
    monkeypatch.setenv("KB_SECRET_KEY", SECRET)
    runner = CliRunner()
    listed = runner.invoke(cli.cli, ["share", "list", "--deal", scene.deal.external_id, "--json"])
    assert listed.exit_code == 0, listed.output
    (row,) = json.loads(listed.stdout)
    assert (row["id"], row["state"], row["contact"]) == (public_id, "live", scene.contact.email)
    assert token not in listed.output
    assert json.loads(runner.invoke(cli.cli, ["share", "list", "--deal", "D-9", "--json"]).stdout) == []
    ended = runner.invoke(cli.cli, ["share", "revoke", public_id])
    assert ended.exit_code == 0
    assert not scene.opens(token)


def test_members_and_editors_may_end_a_link_but_not_change_it(make: Make) -> None:
    scene = Scene(make)
    public_id, token = scene.send()
    mate = make.user()
    marketer = make.user(Role.MARKETER, clearance=Tier.CONFIDENTIAL)
    elsewhere = make.user(Role.MARKETER, clearance=Tier.PUBLIC)
    with scene.database.writing() as db, pytest.raises(NotFound):
        sharing.extend(db, make.actor(marketer), public_id, 9)
    with scene.database.writing() as db:
        sharing.note_opening(db, token, scene.contact.email)
    with scene.database.reading() as db:
        seen = {who.id: sharing.openings(db, make.actor(who), public_id)[0].email for who in (scene.rep, marketer)}
    assert seen == {scene.rep.id: scene.contact.email, marketer.id: ""}, "who reads it is for the people of the deal"
    for nobody in (mate, elsewhere):
        with scene.database.writing() as db, pytest.raises(NotFound):
            sharing.revoke(db, make.actor(nobody), public_id)
    with scene.database.reading() as db:
        line, address = sharing.get(db, make.actor(marketer), public_id, [SECRET])
        assert (line.contact, line.account, address) == (None, "", ""), "the deal is not theirs"
    with scene.database.writing() as db:
        sharing.revoke(db, make.actor(marketer), public_id)
    assert not scene.opens(token)


def test_a_link_counts_one_use_however_often_the_page_is_opened(make_any: Make) -> None:
    scene = Scene(make_any)
    _, token = scene.send()
    for _ in range(4):
        with scene.database.writing() as db:
            sharing.note_opening(db, token)
    with scene.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(ShareOpening)) == 1
        assert db.scalar(select(func.count()).where(UseEvent.kind == "share")) == 1
