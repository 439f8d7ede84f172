"""Deals, stage histories and use events from the CRM: taken once, refused by row, never guessed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from content.crm import CsvImport
from content.deals import Deal, DealMember, DealStage, DealTag
from content.importing import Report
from content.kinds import Facet
from content.models import Asset, UseEvent
from content.taxonomy import Tag
from kb.access import SYSTEM, Role
from kb.errors import Forbidden
from kb.users import User
from tests.factories import Make

CREATED = "2026-03-01T09:00:00+08:00"
NEW = {"external_id": "D-1", "account": "海岬银行", "created_at": CREATED}


class Crm:
    """Writes rows to a file and imports them."""

    def __init__(self, make: Make, folder: Path) -> None:
        self.make, self.folder = make, folder
        make.stages()
        self.owner: User = make.user()

    def run(self, kind: str, *rows: Mapping[str, str], raw: str | bytes | None = None) -> Report:
        path = self.folder / f"{kind}.csv"
        if raw is None:
            columns = list(dict.fromkeys(name for row in rows for name in row))
            raw = "\n".join(
                ",".join(f'"{value}"' for value in line)
                for line in [columns, *([row.get(name, "") for name in columns] for row in rows)]
            )
        path.write_bytes(raw.encode() if isinstance(raw, str) else raw)
        return CsvImport(self.make.service.database, SYSTEM, kind).run(path)

    def deal(self, external_id: str = "D-1") -> Deal:
        with self.make.service.database.reading() as session:
            wanted = select(Deal).where(Deal.external_id == external_id)
            return session.scalars(
                wanted.options(selectinload(Deal.stages), selectinload(Deal.members), selectinload(Deal.tags))
            ).one()

    def history(self, external_id: str = "D-1") -> list[tuple[str, datetime, bool]]:
        with self.make.service.database.reading() as session:
            rows = session.execute(
                select(Tag.key, DealStage.entered_at, DealStage.is_assumed)
                .join(DealStage, DealStage.stage_id == Tag.id).join(Deal).where(Deal.external_id == external_id).order_by(DealStage.entered_at)
            )  # fmt: skip
            return [(row.key, row.entered_at, row.is_assumed) for row in rows]


@pytest.fixture
def crm(make: Make, tmp_path: Path) -> Crm:
    return Crm(make, tmp_path)


@pytest.fixture
def any_crm(make_any: Make, tmp_path: Path) -> Crm:
    return Crm(make_any, tmp_path)


def counts(report: Report) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, len(report.failed)


def at(day: int, hour: int = 1) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def test_a_deal_is_kept_with_all_it_says(any_crm: Crm) -> None:
    make = any_crm.make
    make.tag(Facet.INDUSTRY, "finance", "Finance", "金融")
    member = make.user()
    row = {
        **NEW,
        "owner_email": any_crm.owner.email.upper(),
        "industry": "金融",
        "segment": "enterprise",
        "amount": "8900000.5",
        "currency": "cny",
        "stage": "阶段3",
        "members": f"{member.email};{any_crm.owner.email}",
    }
    assert counts(any_crm.run("deals", row)) == (1, 0, 0, 0)
    deal = any_crm.deal()
    assert (deal.account, deal.owner_id, deal.segment, deal.amount, deal.currency, deal.outcome) == (
        "海岬银行",
        any_crm.owner.id,
        "enterprise",
        Decimal("8900000.50"),
        "CNY",
        "open",
    )
    assert {m.user_id for m in deal.members} == {member.id, any_crm.owner.id}
    assert len(deal.tags) == 1
    assert any_crm.history() == [("solution", at(1), True)]


def test_a_second_run_of_each_kind_is_all_unchanged(any_crm: Crm) -> None:
    make = any_crm.make
    asset = make.asset()
    rows: dict[str, list[Mapping[str, str]]] = {
        "users": [{"email": "lin@yunshu.example", "name": "林悦", "role": "rep", "teams": "east;west"}],
        "deals": [{**NEW, "stage": "discovery", "amount": "100", "currency": "EUR", "members": any_crm.owner.email}],
        "stages": [
            {"deal_external_id": "D-1", "stage": "awareness", "entered_at": CREATED},
            {"deal_external_id": "D-1", "stage": "discovery", "entered_at": "2026-03-05T09:00:00+08:00"},
        ],
        "usage": [
            {
                "event_id": "E-1",
                "asset_external_id": str(asset.external_id),
                "user_email": any_crm.owner.email,
                "kind": "copy",
                "deal_external_id": "D-1",
                "at": "2026-03-06T09:00:00+08:00",
            }
        ],
    }
    for kind, given in rows.items():
        assert counts(any_crm.run(kind, *given)) == (len(given), 0, 0, 0), kind
    for kind, given in rows.items():
        assert counts(any_crm.run(kind, *given)) == (0, 0, len(given), 0), kind


def test_a_changed_deal_is_brought_to_what_the_crm_says(crm: Crm) -> None:
    one, other = crm.make.user(), crm.make.user()
    crm.run("deals", {**NEW, "members": one.email, "amount": "100", "currency": "CNY"})
    assert counts(
        crm.run("deals", {**NEW, "account": "新名字", "members": other.email, "amount": "", "currency": ""})
    ) == (0, 1, 0, 0)
    deal = crm.deal()
    assert (deal.account, deal.amount, {m.user_id for m in deal.members}) == ("新名字", None, {other.id})


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"external_id": ""}, "external_id_missing"),
        ({"external_id": "  "}, "external_id_missing"),
        ({"account": ""}, "account_missing"),
        ({"created_at": ""}, "created_at_missing"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"created_at": "2026-03-01T09:00:00"}, "created_at"),
        ({"created_at": "2026-03-01"}, "created_at"),
        ({"created_at": "2026-02-30T09:00:00+08:00"}, "created_at"),
        ({"created_at": "0001-01-01T00:00:00+08:00"}, "created_at"),
        ({"closed_at": "2026-04-01T09:00:00+08:00"}, "outcome"),
        ({"outcome": "won"}, "outcome"),
        ({"outcome": "open", "closed_at": "2026-04-01T09:00:00+08:00"}, "outcome"),
        ({"outcome": "won", "closed_at": "2026-02-01T09:00:00+08:00"}, "closed_at"),
        ({"outcome": "won", "closed_at": "2026-04-01T09:00:00"}, "closed_at"),
        ({"outcome": "maybe"}, "unknown_outcome"),
        ({"amount": "much"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": "Infinity"}, "amount"),
        ({"amount": "1e30"}, "amount"),
        ({"amount": "1,000"}, "amount"),
        ({"currency": "RMBX"}, "currency"),
        ({"currency": "¥"}, "currency"),
        ({"currency": "C1Y"}, "currency"),
        ({"owner_email": "nobody@yunshu.example"}, "unknown_user"),
        ({"members": "nobody@yunshu.example"}, "unknown_user"),
        ({"stage": "S99"}, "unknown_stage"),
        ({"stage": "someday"}, "unknown_stage"),
        ({"account": "NUL \x00 here"}, "broken_characters"),
    ],
)  # fmt: skip
def test_a_deal_that_cannot_be_is_refused_with_its_reason_and_harms_no_other(
    crm: Crm, changed: dict[str, str], code: str
) -> None:
    report = crm.run("deals", {**NEW, "external_id": "D-0"}, {**NEW, **changed}, {**NEW, "external_id": "D-2"})
    assert counts(report) == (2, 0, 0, 1)
    failure = report.failed[0]
    assert (failure.line, failure.code) == (3, code)
    assert failure.path.endswith("deals.csv")
    assert len(failure.message) > 10
    with crm.make.service.database.reading() as session:
        assert set(session.scalars(select(Deal.external_id))) == {"D-0", "D-2"}


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("deals", {**NEW, "segment": "a\x00b"}),
        ("deals", {**NEW, "loss_reason": "a\x00b"}),
        ("deals", {**NEW, "external_id": "D" * 130}),
        ("deals", {**NEW, "created_at": "9999-12-31T23:59:59-12:00"}),
        ("users", {"email": "x@y.z", "role": "rep", "name": "a\x00b"}),
        ("users", {"email": "x@y.z", "role": "rep", "name": "n" * 300}),
        ("users", {"email": "x@y.z", "role": "rep", "teams": "t" * 300}),
    ],
    ids=["segment", "loss reason", "long id", "end of time", "name", "long name", "long team"],
)  # fmt: skip
def test_strange_values_harm_at_most_their_own_row(any_crm: Crm, kind: str, row: dict[str, str]) -> None:
    good = {
        **row,
        **(
            {"external_id": "D-2", "segment": "", "loss_reason": "", "created_at": CREATED}
            if kind == "deals"
            else {"email": "good@y.z", "name": "Good", "teams": ""}
        ),
    }
    report = any_crm.run(kind, row, good)
    assert report.created + len(report.failed) == 2
    assert report.created >= 1
    if "external_id" in row and len(row["external_id"]) > 120:
        assert [failure.code for failure in report.failed] == ["external_id"], (
            "two ids of one beginning must not become one deal"
        )


def test_outcomes_open_and_close_a_deal(crm: Crm) -> None:
    for outcome in ("won", "lost", "no_decision", "open"):
        closed = "" if outcome == "open" else "2026-04-01T09:00:00+08:00"
        assert counts(crm.run("deals", {**NEW, "outcome": outcome, "closed_at": closed}))[3] == 0
        assert (crm.deal().outcome, crm.deal().closed_at is None) == (outcome, outcome == "open")


def test_assumed_stages_give_way_to_the_real_history(any_crm: Crm) -> None:
    any_crm.run("deals", {**NEW, "stage": "discovery"})
    assert any_crm.history() == [("discovery", at(1), True)]
    any_crm.run(
        "stages",
        {"deal_external_id": "D-1", "stage": "awareness", "entered_at": CREATED},
        {"deal_external_id": "D-1", "stage": "discovery", "entered_at": "2026-03-05T09:00:00+08:00"},
    )
    assert any_crm.history() == [("awareness", at(1), False), ("discovery", at(5), False)]
    assert counts(any_crm.run("deals", {**NEW, "stage": "discovery"})) == (0, 0, 1, 0)
    assert len(any_crm.history()) == 2


def test_a_stage_the_crm_moved_on_to_counts_from_now_until_the_history_comes(crm: Crm) -> None:
    crm.run("deals", {**NEW, "stage": "discovery"})
    crm.run("deals", {**NEW, "stage": "negotiation"})
    stages = crm.history()
    assert [(key, assumed) for key, _, assumed in stages] == [("discovery", True), ("negotiation", True)]
    assert stages[1][1] > at(1) + timedelta(days=1)
    crm.run("stages", {"deal_external_id": "D-1", "stage": "negotiation", "entered_at": "2026-03-09T09:00:00+08:00"})
    assert [(key, assumed) for key, _, assumed in crm.history()][-1] == ("negotiation", False)


def test_the_same_stage_twice_is_two_moments(crm: Crm) -> None:
    crm.run("deals", NEW)
    days = ("2026-03-02T09:00:00+08:00", "2026-03-08T09:00:00+08:00")
    assert counts(
        crm.run("stages", *({"deal_external_id": "D-1", "stage": "discovery", "entered_at": day} for day in days))
    ) == (2, 0, 0, 0)
    assert crm.history() == [("discovery", at(2), False), ("discovery", at(8), False)]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"deal_external_id": "D-9"}, "unknown_deal"),
        ({"deal_external_id": ""}, "deal_external_id_missing"),
        ({"stage": "S99"}, "unknown_stage"),
        ({"stage": "someday"}, "unknown_stage"),
        ({"stage": ""}, "stage_missing"),
        ({"entered_at": "2026-03-01T09:00:00"}, "entered_at"),
        ({"entered_at": ""}, "entered_at_missing"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(crm: Crm, changed: dict[str, str], code: str) -> None:
    crm.run("deals", NEW)
    report = crm.run("stages", {"deal_external_id": "D-1", "stage": "discovery", "entered_at": CREATED, **changed})
    assert [(failure.code, failure.line) for failure in report.failed] == [(code, 2)]
    assert crm.history() == []


USE = {"event_id": "E-1", "kind": "copy", "deal_external_id": "D-1", "at": "2026-03-06T09:00:00+08:00"}


@pytest.fixture
def used(crm: Crm) -> tuple[Crm, Asset]:
    crm.run("deals", {**NEW, "outcome": "won", "closed_at": "2026-04-01T09:00:00+08:00"})
    return crm, crm.make.asset(external_id="FAQ-1")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"event_id": ""}, "event_id_missing"),
        ({"event_id": "e" * 81}, "event_id"),
        ({"asset_external_id": "FAQ-9"}, "unknown_asset"),
        ({"user_email": "nobody@yunshu.example"}, "unknown_user"),
        ({"kind": "steal"}, "unknown_kind"),
        ({"kind": ""}, "unknown_kind"),
        ({"deal_external_id": "D-9"}, "unknown_deal"),
        ({"at": "2026-03-06T09:00:00"}, "at"),
        ({"deal_source": "guessed"}, "unknown_deal_source"),
        ({"deal_source": "none"}, "deal_source"),
        ({"deal_external_id": "", "deal_source": "chosen"}, "deal_source"),
    ],
)
def test_an_event_that_cannot_be_is_refused(used: tuple[Crm, Asset], changed: dict[str, str], code: str) -> None:
    crm, _asset = used
    report = crm.run("usage", {**USE, "asset_external_id": "FAQ-1", "user_email": crm.owner.email, **changed})
    assert [(failure.code, failure.line) for failure in report.failed] == [(code, 2)]
    with crm.make.service.database.reading() as session:
        assert session.scalars(select(UseEvent)).all() == []


def test_events_at_the_very_ends_of_a_deal_count(used: tuple[Crm, Asset]) -> None:
    crm, _asset = used
    base = {**USE, "asset_external_id": "FAQ-1", "user_email": crm.owner.email}
    report = crm.run("usage", {**base, "at": CREATED}, {**base, "event_id": "E-2", "at": "2026-04-01T09:00:00+08:00"})
    assert counts(report) == (2, 0, 0, 0)


def test_an_event_without_a_deal_has_no_source_and_one_with_it_was_chosen(used: tuple[Crm, Asset]) -> None:
    crm, _asset = used
    base = {**USE, "asset_external_id": "FAQ-1", "user_email": crm.owner.email}
    crm.run(
        "usage",
        base,
        {**base, "event_id": "E-2", "deal_external_id": ""},
        {**base, "event_id": "E-3", "deal_source": "inferred"},
    )
    with crm.make.service.database.reading() as session:
        assert dict(session.execute(select(UseEvent.event_id, UseEvent.deal_source)).all()) == {
            "E-1": "chosen",
            "E-2": "none",
            "E-3": "inferred",
        }  # type: ignore[arg-type]


def test_an_imported_event_unlocks_only_what_the_deal_had_reached_then(any_crm: Crm) -> None:
    make = any_crm.make
    make.asset(external_id="LATE", unlock="negotiation")
    any_crm.run("deals", NEW)
    any_crm.run(
        "stages",
        {"deal_external_id": "D-1", "stage": "discovery", "entered_at": CREATED},
        {"deal_external_id": "D-1", "stage": "negotiation", "entered_at": "2026-03-05T09:00:00+08:00"},
    )
    base = {**USE, "asset_external_id": "LATE", "user_email": any_crm.owner.email}
    any_crm.run(
        "usage",
        {**base, "at": "2026-03-04T09:00:00+08:00"},
        {**base, "event_id": "E-2"},
        {**base, "event_id": "E-3", "deal_external_id": ""},
    )
    with make.service.database.reading() as session:
        assert dict(session.execute(select(UseEvent.event_id, UseEvent.was_unlocked)).all()) == {
            "E-1": False,
            "E-2": True,
            "E-3": False,
        }  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "code", "line"),
    [
        ("", "columns_missing", 1),
        ("account,created_at\nx,y\n", "columns_missing", 1),
        ('external_id,account,created_at\n"D-1,x\n', "not_csv", 2),
        ('external_id,account,created_at\nD-1,"a"b,c\n', "not_csv", 2),
        ('"external_id,account,created_at\n', "not_csv", 1),
        (b"external_id,account,created_at\nD-1,\xff\xff,x\n", "not_utf8", None),
    ],
)
def test_a_file_that_is_no_such_table_is_one_failure(crm: Crm, raw: str | bytes, code: str, line: int | None) -> None:
    report = crm.run("deals", raw=raw)
    assert [failure.code for failure in report.failed] == [code]
    if line is not None:
        assert report.failed[0].line is not None
        assert counts(report) == (0, 0, 0, 1)


def test_tables_are_read_as_spreadsheets_write_them(crm: Crm) -> None:
    raw = '\ufeffexternal_id,account ,created_at,further\r\nD-1,"Acme, ""North""\r\nand South",2026-03-01T09:00:00+08:00,x\r\n\r\nD-2,A\u2028B,2026-03-01T09:00:00Z\r\n'
    report = crm.run("deals", raw=raw)
    assert (counts(report), report.failed) == ((2, 0, 0, 0), [])
    assert " ".join(crm.deal().account.split()) == 'Acme, "North" and South'
    assert crm.deal("D-2").account == "A\u2028B"


def test_folders_and_missing_files_are_failures(crm: Crm) -> None:
    for path, code in ((crm.folder, "unreadable"), (crm.folder / "missing.csv", "not_found")):
        report = CsvImport(crm.make.service.database, SYSTEM, "deals").run(path)
        assert [failure.code for failure in report.failed] == [code]


def test_only_who_may_import_imports(crm: Crm) -> None:
    for role in set(Role) - {Role.ADMIN}:
        with pytest.raises(Forbidden):
            CsvImport(crm.make.service.database, crm.make.actor(crm.make.user(role)), "deals")


def test_the_database_keeps_a_deal_together(any_crm: Crm) -> None:
    """Members, stages and tags go with their deal and never without it."""
    any_crm.run("deals", {**NEW, "stage": "discovery", "members": any_crm.owner.email})
    with any_crm.make.service.database.writing() as session:
        deal = session.scalars(
            select(Deal).options(selectinload(Deal.members), selectinload(Deal.stages), selectinload(Deal.tags))
        ).one()
        session.delete(deal)
    with any_crm.make.service.database.reading() as session:
        for table in (DealMember, DealStage, DealTag):
            assert session.scalars(select(table)).all() == []


def test_the_crm_says_whether_an_agreement_is_signed_and_silence_changes_nothing(crm: Crm) -> None:
    signed = {"nda_signed_on": "2026-01-05", "nda_until_on": "2027-01-04", "nda_reference": "C-77"}
    assert counts(crm.run("deals", {**NEW, **signed}))[0] == 1
    assert (crm.deal().nda_reference, str(crm.deal().nda_until_on)) == ("C-77", "2027-01-04")
    crm.run("deals", NEW)
    assert crm.deal().nda_reference == "C-77", "a file without the columns says nothing of it"
    bad = [
        {**NEW, **signed, "nda_until_on": "2025-01-04"},
        {**NEW, **signed, "nda_signed_on": "yesterday"},
        {**NEW, **signed, "nda_signed_on": "0001-01-01"},
    ]
    codes = [failure.code for row in bad for failure in crm.run("deals", row).failed]
    assert codes == ["nda_until_on", "nda_signed_on", "nda_signed_on"]
    crm.run("deals", {**NEW, "nda_signed_on": ""})
    assert crm.deal().nda_signed_on is None
