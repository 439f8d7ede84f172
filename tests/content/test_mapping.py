"""Exports of other systems load through a mapping; a bad mapping says where it is wrong."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from content import mapping, sample
from content.crm import CsvImport
from content.deals import Deal
from content.importing import Report
from content.mapping import BadMapping
from kb import cli
from kb.access import SYSTEM
from kb.app import Service
from tests.conftest import CORPUS, SECRET


@pytest.fixture
def company(service: Service) -> Service:
    sample.load_people(service.database, SYSTEM)
    sample.load_vocabulary(service.database, SYSTEM)
    return service


def bring(service: Service, kind: str, table: Path, name: str | Path) -> Report:
    columns = mapping.load(Path(name), kind, CsvImport.KNOWN[kind])
    return CsvImport(service.database, SYSTEM, kind, columns=columns).run(table)


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


def deals(service: Service) -> dict[str, Deal]:
    with service.database.reading() as session:
        return {deal.external_id: deal for deal in session.scalars(select(Deal))}


SALESFORCE = (
    "Opportunity ID,Account Name,Owner Email,Industry,Segment,Amount,Amount Currency,Stage,Type,Created Date,Closed On,Main Competitor,Loss Reason\r\n"
    '006A1,澜江银行,Lin.Yue@yunshu.example,Banking,Mid,"920,000.00",CNY,Proposal/Price Quote,New,10/15/2026,,CompetiCo,\r\n'
    '006A2,Orchard & Pike,daniel.reed@yunshu.example,Retail,Mid,190000,USD,Closed Lost,New,"05/12/2026, 09:59 AM",08/01/2026,,Price\r\n'
    "006A3,nobody,daniel.reed@yunshu.example,Retail,Mid,1,USD,Prospecting,Test,05/12/2026,,,\r\n"
    "006A4,a stage of their own,daniel.reed@yunshu.example,Retail,Mid,1,USD,Dreaming,New,05/12/2026,,,\r\n"
    "006A5,a day that is none,daniel.reed@yunshu.example,Retail,Mid,1,USD,Prospecting,New,31.12.2026,,,\r\n"
)


def test_a_salesforce_report_loads_and_loads_again_without_a_change(company: Service, tmp_path: Path) -> None:
    table = write(tmp_path, SALESFORCE)
    report = bring(company, "deals", table, "salesforce-deals.yaml")
    assert (report.created, [failure.code for failure in report.failed]) == (2, ["unmapped_value", "created_at"])
    assert [failure.line for failure in report.failed] == [5, 6]
    found = deals(company)
    assert found["006A1"].amount == Decimal("920000.00")
    assert found["006A1"].created_at == datetime(2026, 10, 14, 16, tzinfo=UTC), "midnight in Shanghai"
    assert (found["006A2"].outcome, found["006A2"].loss_reason) == ("lost", "Price")
    again = bring(company, "deals", table, "salesforce-deals.yaml")
    assert (again.created, again.updated, again.unchanged) == (0, 0, 2)


def test_a_hubspot_export_loads(company: Service, tmp_path: Path) -> None:
    table = write(
        tmp_path,
        "Record ID;Deal Name;Associated Company;Deal owner email;Amount;Currency;Company size;Deal Stage;Create Date;Closed At;Closed Lost Reason\n"
        "77;Phase two;Northlight Retail;daniel.reed@yunshu.example;210000;EUR;501+;Contract sent;2026-09-01 10:30;;\n"
        "78;Pilot;;daniel.reed@yunshu.example;;;;Closed won;2026-03-01 08:00;2026-06-30 17:00;\n",
    )
    report = bring(company, "deals", table, "hubspot-deals.yaml")
    assert (report.created, report.failed) == (2, [])
    found = deals(company)
    assert found["HS-77"].account == "Northlight Retail · Phase two"
    assert (found["HS-77"].segment, found["HS-77"].currency) == ("enterprise", "EUR")
    assert (found["HS-78"].account, found["HS-78"].outcome) == ("Pilot", "won")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_what_a_chinese_excel_saves_is_read(company: Service, tmp_path: Path, encoding: str) -> None:
    table = write(tmp_path, "external_id\taccount\tcreated_at\nD-9\t海岬银行\t2026-03-01T09:00:00+08:00\n", encoding)
    report = CsvImport(company.database, SYSTEM, "deals").run(table)
    assert (report.created, report.failed) == (1, [])
    assert deals(company)["D-9"].account == "海岬银行"


def test_a_column_the_mapping_names_must_be_there(company: Service, tmp_path: Path) -> None:
    report = bring(company, "deals", write(tmp_path, "Record ID,Deal Name\n1,one\n"), "hubspot-deals.yaml")
    assert [failure.code for failure in report.failed] == ["columns_missing"]
    assert "Create Date" in report.failed[0].message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns: {external_id: [a", "line 1 is not YAML"),
        ("- a\n- b\n", "the file must be lines"),
        ("colums: {}\n", "the file.colums is unknown here"),
        ("columns: {}\n", "columns must name our columns"),
        ("columns: {weight: Weight}\n", "columns.weight is none of our columns"),
        ("columns: {account: {from: A}}\n", "columns.account.from is unknown here"),
        ("columns: {account: {lower: true}}\n", "columns.account needs `column`"),
        ("columns: {account: 7}\n", "columns.account must be lines"),
        ("kind: users\ncolumns: {account: A}\n", "kind is 'users'"),
        ("time_zone: Mars/Olympus\ncolumns: {account: A}\n", "time_zone 'Mars/Olympus' is no time zone"),
        ("date_formats: [day]\ncolumns: {account: A}\n", "date_formats holds 'day'"),
        ("columns: {stage: {column: S, values: [won]}}\n", "columns.stage.values must be lines"),
    ],
)
def test_a_bad_mapping_says_where_and_what(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadMapping) as refused:
        mapping.load(path, "deals", CsvImport.KNOWN["deals"])
    assert said in refused.value.text


def test_a_mapping_that_is_not_there_names_those_that_come_along(tmp_path: Path) -> None:
    with pytest.raises(BadMapping) as refused:
        mapping.load(tmp_path / "none.yaml", "deals", CsvImport.KNOWN["deals"])
    assert "salesforce-deals.yaml" in refused.value.text


def test_the_command_takes_a_mapping(company: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(company.settings.data_dir))
    monkeypatch.setenv("KB_SECRET_KEY", SECRET)
    table = write(tmp_path, SALESFORCE)
    command = ["import", "deals", str(table), "--mapping", "salesforce-deals.yaml", "--json"]
    answer = CliRunner().invoke(cli.cli, command)
    assert answer.exit_code == 1, "two rows were refused"
    assert json.loads(answer.stdout)["created"] == 2


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus does not lie beside the project")
@pytest.mark.soak
def test_a_real_pipeline_loads_with_its_agents(company: Service) -> None:
    people = bring(company, "users", CORPUS / "deals" / "sales_teams.csv", "pipeline-users.yaml")
    assert (people.created, people.failed) == (35, [])
    report = bring(company, "deals", CORPUS / "deals" / "sales_pipeline.csv", "pipeline-deals.yaml")
    assert (report.created, report.failed) == (8_800, [])
    with company.database.reading() as session:
        outcomes = {
            row.outcome: row[1] for row in session.execute(select(Deal.outcome, func.count()).group_by(Deal.outcome))
        }
        won = session.scalar(select(func.sum(Deal.amount)).where(Deal.outcome == "won"))
        owned = session.scalar(select(func.count()).select_from(Deal).where(Deal.owner_id.is_not(None)))
    assert outcomes == {"won": 4_238, "lost": 2_473, "open": 2_089}
    assert won == Decimal(10_005_534)
    assert owned == 8_800


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus does not lie beside the project")
def test_a_part_of_a_real_pipeline_loads(company: Service, tmp_path: Path) -> None:
    bring(company, "users", CORPUS / "deals" / "sales_teams.csv", "pipeline-users.yaml")
    lines = (CORPUS / "deals" / "sales_pipeline.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    report = bring(company, "deals", write(tmp_path, "".join([lines[0], *lines[1::20]])), "pipeline-deals.yaml")
    assert (report.created, report.failed) == (440, [])
