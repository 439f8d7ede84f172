"""Notices by mail, taken by a real mail server: a digest and no flood, nothing that may not be seen, nothing lost or twice."""

import email
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import select, update

from content import mail_digest
from content.mail_digest import GATHER
from kb import clock, mail, notices, outbox
from kb.access import Role
from kb.config import Settings, load
from kb.errors import WrongSettings
from kb.mail import Mail, NotSent
from kb.outbox import WishKind
from kb.users import Mails, User
from tests.conftest import SignIn
from tests.factories import Make


@dataclass
class Box:
    """What the mail server took; it refuses whom it is told to."""

    address: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address in self.refuses:
            return "550 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 taken"


@pytest.fixture
def box() -> Iterator[Box]:
    found = Box()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(found, hostname="127.0.0.1", port=port)
    server.start()
    found.address = f"smtp://127.0.0.1:{port}"
    yield found
    server.stop()


def settings_of(make: Make, box: Box) -> Settings:
    return replace(
        make.service.settings,
        smtp_url=box.address,
        mail_from="kb@yunshu.example",
        base_url="https://kb.yunshu.example",
    )


def tell(make: Make, who: User, asset_id: int, kind: str = "review", minutes_ago: int = 30, **details: object) -> None:
    with make.service.database.writing() as db:
        key = f"{kind}:{asset_id}:{minutes_ago}"
        notices.tell(db, who.id, kind, asset_id, key, **details)
        for row in db.scalars(select(notices.Notice).where(notices.Notice.key == key[:120])):
            row.at = clock.now() - timedelta(minutes=minutes_ago)


def want(make: Make, who: User, rhythm: Mails) -> None:
    with make.service.database.writing() as db:
        db.get_one(User, who.id).mails = rhythm.value


def deliver(make: Make, box: Box, settings: Settings | None = None) -> int:
    """Wish and fulfil as the worker does; answers how many mails arrived."""
    before, database, used = len(box.mails), make.service.database, settings or settings_of(make, box)
    mail_digest.wish_for_due(database)
    outbox.drain(database, {WishKind.MAIL_DIGEST: mail_digest.sender(database, used)})
    return len(box.mails) - before


def later(make: Make) -> None:
    """Ten minutes on: leases have ended and what was put back is due."""
    with make.service.database.writing() as db:
        db.execute(update(outbox.Wish).values(due_at=clock.now(), lease_until=None))


def words(message: EmailMessage) -> str:
    return str(message.get_content())


def test_a_digest_holds_all_of_it_once_with_links_that_open_the_item(make_any: Make, box: Box) -> None:
    make = make_any
    who = make.user(Role.MARKETER, language="en")
    first, second = make.asset("First talk", owners=[who]), make.asset("Second talk", owners=[who])
    tell(make, who, first.id)
    tell(make, who, second.id, "unverified", about=clock.now().isoformat())
    assert deliver(make, box) == 1
    assert deliver(make, box) == 0
    (message,) = box.mails
    assert (message["To"], message["From"]) == (who.email, "kb@yunshu.example")
    assert message["Subject"].startswith("2 notices: ")
    assert "First talk" in words(message)
    assert f"https://kb.yunshu.example/assets/{first.public_id}/review" in words(message)
    assert f"https://kb.yunshu.example/assets/{second.public_id}/edit" in words(message)


def test_in_chinese_for_who_reads_chinese(make: Make, box: Box) -> None:
    who = make.user(Role.MARKETER, language="zh_Hans")
    tell(make, who, make.asset(owners=[who]).id)
    deliver(make, box)
    assert "审核" in box.mails[0]["Subject"]
    assert "你好" in words(box.mails[0])


@pytest.mark.parametrize(
    ("rhythm", "since_last", "sent"),
    [
        (Mails.HOURLY, 59, 0),
        (Mails.HOURLY, 60, 1),
        (Mails.DAILY, 60, 0),
        (Mails.DAILY, 24 * 60, 1),
        (Mails.NEVER, 10_000, 0),
    ],
)
def test_as_often_as_the_person_wants(make: Make, box: Box, rhythm: Mails, since_last: int, sent: int) -> None:
    who = make.user(Role.MARKETER)
    tell(make, who, make.asset(owners=[who]).id)
    want(make, who, rhythm)
    with make.service.database.writing() as db:
        db.get_one(User, who.id).mailed_at = clock.now() - timedelta(minutes=since_last)
    assert deliver(make, box) == sent


def test_what_is_urgent_goes_at_once_and_what_is_fresh_is_gathered(make: Make, box: Box) -> None:
    who, other = make.user(Role.MARKETER), make.user(Role.MARKETER)
    tell(make, who, make.asset(owners=[who]).id, minutes_ago=int(GATHER.total_seconds() // 60) - 1)
    assert deliver(make, box) == 0
    tell(make, other, make.asset(owners=[other]).id, "urgent", minutes_ago=0)
    with make.service.database.writing() as db:
        db.get_one(User, other.id).mailed_at = clock.now()
    assert deliver(make, box) == 1
    assert "https://kb.yunshu.example/urgent" in words(box.mails[0])
    want(make, other, Mails.NEVER)
    tell(make, other, make.asset(owners=[other]).id, "urgent", minutes_ago=1)
    assert deliver(make, box) == 0


def test_A13_what_was_read_or_may_not_be_seen_any_more_is_not_mailed(make_any: Make, box: Box) -> None:
    make = make_any
    who = make.user()
    hidden, seen = make.asset("Canary of another team", teams=["Elsewhere"]), make.asset("Seen")
    tell(make, who, hidden.id)
    assert deliver(make, box) == 0
    tell(make, who, seen.id)
    tell(make, who, hidden.id, "review_late")
    assert deliver(make, box) == 1
    assert "Canary" not in words(box.mails[0])
    tell(make, who, seen.id, "review_late")
    with make.service.database.writing() as db:
        notices.mark_all_read(db, make.actor(who))
    want(make, who, Mails.HOURLY)
    assert deliver(make, box) == 0
    gone = make.user()
    tell(make, gone, seen.id)
    with make.service.database.writing() as db:
        db.get_one(User, gone.id).deactivated_at = clock.now()
    assert deliver(make, box) == 0


def test_a_recall_tells_the_way_and_no_title(make: Make, box: Box) -> None:
    who = make.user()
    asset = make.asset("Canary title", teams=["Elsewhere"])
    tell(make, who, asset.id, "recall", minutes_ago=0)
    deliver(make, box)
    assert "Canary" not in words(box.mails[0])
    assert "https://kb.yunshu.example/recalls" in words(box.mails[0])


def test_a_server_that_is_away_loses_nothing(make_any: Make, box: Box) -> None:
    make = make_any
    who = make.user(Role.MARKETER)
    tell(make, who, make.asset("Kept", owners=[who]).id)
    away = replace(settings_of(make, box), smtp_url="smtp://127.0.0.1:9")
    assert deliver(make, box, away) == 0
    assert deliver(make, box, away) == 0, "asked again in ten minutes, not at once"
    later(make)
    assert deliver(make, box) == 1
    assert "Kept" in words(box.mails[0])
    assert len(box.mails) == 1


def test_one_that_died_after_sending_sends_again_rather_than_never(
    make_any: Make, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = make_any
    who = make.user(Role.MARKETER)
    tell(make, who, make.asset("Kept", owners=[who]).id)
    real = mail.send

    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(mail, "send", die)
    with pytest.raises(SystemExit):
        deliver(make, box)
    monkeypatch.setattr(mail, "send", real)
    later(make)
    assert deliver(make, box) == 1
    assert len(box.mails) == 1


def test_what_is_older_than_a_week_surprises_nobody(make: Make, box: Box) -> None:
    who = make.user(Role.MARKETER)
    tell(make, who, make.asset(owners=[who]).id, minutes_ago=8 * 24 * 60)
    assert deliver(make, box) == 0


def test_an_address_that_is_refused_stops_nobody_else(make: Make, box: Box) -> None:
    one, two = make.user(Role.MARKETER), make.user(Role.MARKETER)
    asset = make.asset(owners=[one, two])
    tell(make, one, asset.id)
    tell(make, two, asset.id)
    box.refuses.add(one.email)
    assert deliver(make, box) == 1
    assert [message["To"] for message in box.mails] == [two.email]
    assert deliver(make, box) == 0


def test_a_title_never_becomes_a_header_or_a_template(make: Make, box: Box) -> None:
    who = make.user(Role.MARKETER)
    tell(make, who, make.asset("{{7*7}} %(name)s\\nBcc: x@y.example", owners=[who]).id)
    deliver(make, box)
    assert "{{7*7}} %(name)s" in words(box.mails[0])
    assert box.mails[0]["Bcc"] is None
    mail.send(settings_of(make, box), Mail("a@b.example", "One\r\nBcc: x@y.example", "text"))
    assert box.mails[1]["Subject"] == "One Bcc: x@y.example"


def test_without_encryption_nothing_leaves_this_machine(make: Make, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "LOOPBACK", frozenset())
    with pytest.raises(NotSent):
        mail.send(settings_of(make, box), Mail("a@b.example", "s", "t"))
    assert box.mails == []


def test_the_settings_say_what_is_missing_and_doctor_whether_it_answers(make: Make, box: Box) -> None:
    with pytest.raises(WrongSettings) as refused:
        load({"KB_SMTP_URL": "mail.example:25"})
    assert {"KB_SMTP_URL", "KB_MAIL_FROM", "KB_BASE_URL"} <= set(str(refused.value).split())
    assert "takes mail" in mail.check(settings_of(make, box))
    assert mail.check(make.service.settings).startswith("off")
    with pytest.raises(WrongSettings):
        mail.check(replace(settings_of(make, box), smtp_url="smtp://127.0.0.1:9"))
    assert "secret" not in repr(replace(make.service.settings, smtp_url="smtp://u:secret@h"))


def test_one_chooses_how_often_on_ones_account_page(make: Make, sign_in: SignIn) -> None:
    who = make.user()
    browser = sign_in(who)
    assert "This installation sends no mail" in browser.get("/account/").text
    assert browser.post("/account/mails", data={"mails": "daily"}).status_code == 302
    assert 'value="daily" checked' in browser.get("/account/").text
    assert browser.post("/account/mails", data={"mails": "always"}).status_code == 422
