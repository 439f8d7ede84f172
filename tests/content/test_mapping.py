"""Exports of other systems load through a mapping; a bad mapping says where it is wrong."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from shutil import copyfile

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from content import mapping, sample
from content.crm import CsvImport
from content.deals import Deal, DealTag
from content.importing import Report
from content.mapping import BadMapping
from content.taxonomy import Tag
from kb import cli
from kb.access import SYSTEM
from kb.app import Service, open_service
from kb.audit import AuditEntry
from kb.config import Settings
from kb.db import Database
from kb.errors import Invalid
from tests.conftest import CORPUS, SECRET


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """A database with the people and words of the sample company, made once: passwords take their time."""
    file = tmp_path_factory.mktemp("peopled") / "kb.sqlite3"
    copyfile(sqlite_template, file)
    database = Database(f"sqlite:///{file}")
    sample.load_people(database, SYSTEM)
    sample.load_vocabulary(database, SYSTEM)
    database.close()
    return file


@pytest.fixture
def company(settings: Settings, peopled: Path) -> Iterator[Service]:
    copyfile(peopled, settings.data_dir / "kb.sqlite3")
    opened = open_service(settings)
    yield opened
    opened.close()


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
        ("columns: {account: {lower: true}}\n", "columns.account needs one of"),
        ("columns: {account: [7]}\n", "columns.account must be lines"),
        ("kind: users\ncolumns: {account: A}\n", "kind is 'users'"),
        ("time_zone: Mars/Olympus\ncolumns: {account: A}\n", "time_zone 'Mars/Olympus' is no time zone"),
        ("date_formats: [day]\ncolumns: {account: A}\n", "date_formats holds 'day'"),
        ("columns: {stage: {column: S, values: [won]}}\n", "columns.stage.values must be lines"),
        ("", "the file is empty"),
        ("kind: deals\n\ncolumns:\n  account: A\n  weight: W\n", "line 5: columns.weight is none of our columns"),
        (
            "kind: deals\ncolumns:\n  account:\n    column: A\n    form: x\n",
            "line 5: columns.account.form is unknown here",
        ),
        ("columns:\n  account: A\n  account: B\n", "line 3: columns.account stands there twice"),
        (
            "columns:\n  stage:\n    column: S\n    values: {a: b, a: c}\n",
            "line 4: columns.stage.values.a stands there twice",
        ),
        ("columns: {account: {column: A, value: B}}\n", "columns.account needs one of"),
        ("columns: {account: {column: []}}\n", "columns.account names no column"),
        ("columns: {account: {column: {a: b}}}\n", "columns.account.column must be one word"),
        ("columns: {account: {column: A, lower: maybe}}\n", "columns.account.lower must be true or false"),
        ("columns: {closed_at: {column: A, time: noon}}\n", "columns.closed_at.time is no time of day"),
        (
            "columns: {closed_at: {column: A, only_when: {outcome: won}}}\n",
            "columns.closed_at.only_when names 'outcome'",
        ),
        (
            "columns: {account: {column: A, lookup: {file: b.csv}}}\n",
            "columns.account.lookup needs `file`, `key` and `value`",
        ),
        (
            "columns: {account: {column: A, lookup: {file: ../b.csv, key: a, value: b}}}\n",
            "lookup.file must be the name of a file beside",
        ),
        (
            "columns: {account: {column: A, lookup: {file: /etc/passwd, key: a, value: b}}}\n",
            "lookup.file must be the name of a file beside",
        ),
        ("encoding: base64\ncolumns: {account: A}\n", "line 1: encoding 'base64' is no encoding"),
        ("delimiter: ;;\ncolumns: {account: A}\n", "delimiter must be one sign"),
        ("columns: {account: A}\nskip: [Type]\n", "line 2: skip must be lines"),
        ("columns: {account: A}\n<<: *x\n", "is not YAML"),
        ("a: " + "[" * 5_000, "nested too deep"),
        ("a: \x07\n", "is not YAML"),
        ("columns: {account: A}\n#" + "x" * 1_000_001, "no mapping is"),
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
    assert "salesforce-deals" in refused.value.text


def test_the_command_takes_a_mapping(company: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(company.settings.data_dir))
    monkeypatch.setenv("KB_SECRET_KEY", SECRET)
    table = write(tmp_path, SALESFORCE)
    command = ["import", "deals", str(table), "--mapping", "salesforce-deals.yaml", "--json"]
    answer = CliRunner().invoke(cli.cli, command)
    assert answer.exit_code == 1, "two rows were refused"
    assert json.loads(answer.stdout)["created"] == 2


def test_words_mean_themselves_whatever_yaml_would_make_of_them(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(
        "columns:\n  account: {column: 7, values: {yes: 007, no: 2026-01-02, null: nothing, 1e3: x}}\n",
        encoding="utf-8",
    )
    columns = mapping.load(path, "deals", CsvImport.KNOWN["deals"])
    for word, ours in {"Yes": "007", "NO": "2026-01-02", "null": "nothing", "1E3": "x"}.items():
        assert columns.apply({"7": word}) == {"account": ours}


def mapped(tmp_path: Path, columns: str, row: dict[str, str], top: str = "time_zone: Asia/Shanghai") -> dict[str, str]:
    path = tmp_path / "map.yaml"
    path.write_text(f"{top}\ncolumns:\n  {columns}\n", encoding="utf-8")
    found = mapping.load(path, "deals", CsvImport.KNOWN["deals"]).fitted(row.keys(), tmp_path).apply(row)
    assert found is not None
    return dict(found)


@pytest.mark.parametrize(
    ("columns", "row", "ours"),
    [
        ("account: A", {"A": " Acme "}, {"account": "Acme"}),
        ("currency: {value: CNY}", {}, {"currency": "CNY"}),
        ("currency: {column: C, default: CNY}", {"C": ""}, {"currency": "CNY"}),
        ("currency: {column: C, default: CNY}", {"C": "EUR"}, {"currency": "EUR"}),
        ("account: {columns: [A, B], join: ' / '}", {"A": "x", "B": "y"}, {"account": "x / y"}),
        ("account: {columns: [A, B], join: ' / '}", {"A": "", "B": "y"}, {"account": "y"}),
        ("account: {column: [A, B]}", {"B": "second name"}, {"account": "second name"}),
        ("account: {column: [A, B]}", {"A": "first", "B": "second"}, {"account": "first"}),
        ("account: {column: A, optional: true, default: none}", {}, {"account": "none"}),
        ("stage: {column: S, replace: {' (P)': ''}, values: {won: '', new: awareness}}", {"S": "New (P)"}, {"stage": "awareness"}),
        ("stage: {column: S, values: {won: '', new: awareness}}", {"S": "WON"}, {"stage": ""}),
        ("outcome: {column: S, values: {won: won, '*': open}}", {"S": "else"}, {"outcome": "open"}),
        ("amount: {column: A, replace: {'.': '', ',': '.', '€': ''}}", {"A": "1.234,50€"}, {"amount": "1234.50"}),
        ("owner_email: {column: N, lower: true, replace: {' ': '.'}, after: '@x.example'}", {"N": "Mei Johns"}, {"owner_email": "mei.johns@x.example"}),
        ("owner_email: {column: N, after: '@x.example'}", {"N": ""}, {"owner_email": ""}),
        ("created_at: {column: D, date_formats: ['%d.%m.%Y']}", {"D": "31.12.2025"}, {"created_at": "2025-12-31T00:00:00+08:00"}),
        ("created_at: {column: D, date_formats: ['%d.%m.%Y'], time: '18:30'}", {"D": "31.12.2025"}, {"created_at": "2025-12-31T18:30:00+08:00"}),
        ("created_at: {column: D, date_formats: ['%d.%m.%Y %H:%M'], time: '18:30'}", {"D": "31.12.2025 00:00"}, {"created_at": "2025-12-31T00:00:00+08:00"}),
        ("created_at: {column: D, time: '18:30'}", {"D": "2025-12-31"}, {"created_at": "2025-12-31T18:30:00+08:00"}),
        ("created_at: D", {"D": "2025-12-31T01:02:03.000+0000"}, {"created_at": "2025-12-31T01:02:03+00:00"}),
        ("created_at: {column: D, date_formats: ['%m/%d/%Y, %I:%M %p']}", {"D": "07/04/2025, 01:30 PM"}, {"created_at": "2025-07-04T13:30:00+08:00"}),
    ],
)  # fmt: skip
def test_each_way_to_make_a_value(tmp_path: Path, columns: str, row: dict[str, str], ours: dict[str, str]) -> None:
    assert mapped(tmp_path, columns, row) == ours


@pytest.mark.parametrize(
    ("day", "offset"),
    [("2026-01-15 12:00", "-05:00"), ("2026-07-15 12:00", "-04:00"), ("2026-11-01 01:30", "-04:00")],
    ids=["winter", "summer", "an hour that comes twice counts as the first"],
)
def test_F23_a_time_zone_knows_its_summer(tmp_path: Path, day: str, offset: str) -> None:
    made = mapped(tmp_path, "created_at: D", {"D": day}, "time_zone: America/New_York")
    assert made["created_at"].endswith(offset)


def test_a_time_without_offset_and_zone_is_refused_and_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="time_zone"):
        mapped(tmp_path, "created_at: D", {"D": "2026-01-15 12:00"}, "kind: deals")


def test_a_value_may_depend_on_another_of_ours(tmp_path: Path) -> None:
    columns = "outcome: {column: S, values: {Closed Won: won, '*': open}}\n  closed_at: {column: D, only_when: {outcome: [won, lost]}}"
    assert mapped(tmp_path, columns, {"S": "Closed Won", "D": "2026-01-15"})["closed_at"].startswith("2026-01-15")
    assert mapped(tmp_path, columns, {"S": "Prospecting", "D": "2026-01-15"})["closed_at"] == ""


def test_a_value_is_looked_up_in_a_table_beside(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account;sector\nAcme;medical\nB;\n", encoding="utf-8")
    columns = "industry: {column: A, lookup: {file: accounts.csv, key: account, value: sector}, values: {medical: healthcare}}"
    for name, industry in {"ACME": "healthcare", "B": "", "nobody": ""}.items():
        assert mapped(tmp_path, columns, {"A": name}) == {"industry": industry}


@pytest.mark.parametrize(
    ("table", "code"), [(None, "not_found"), ("account,size\nA,1\n", "columns_missing"), ('"acc', "not_csv")]
)
def test_a_table_to_look_up_in_that_does_not_do_is_one_failure(
    company: Service, tmp_path: Path, table: str | None, code: str
) -> None:
    if table:
        (tmp_path / "accounts.csv").write_text(table)
    (tmp_path / "map.yaml").write_text(
        "columns:\n  external_id: A\n  industry: {column: A, lookup: {file: accounts.csv, key: account, value: sector}}\n"
    )
    report = bring(company, "deals", write(tmp_path, "A\n1\n"), tmp_path / "map.yaml")
    assert [failure.code for failure in report.failed] == [code]
    assert "accounts.csv" in report.failed[0].message


def test_what_is_not_read_and_what_is_left_out_is_told_once(company: Service, tmp_path: Path) -> None:
    table = write(tmp_path, SALESFORCE.replace("Loss Reason", "Loss Reason,Lead Source,Probability", 1))
    report = bring(company, "deals", table, "salesforce-deals.yaml")
    assert [(line.code, line.message) for line in report.warnings] == [
        ("columns_ignored", "these columns are not read: Lead Source, Probability"),
        ("left_out", "1 rows were left out, as the mapping says"),
    ]


def test_salesforces_history_of_stages_loads_and_an_older_state_overwrites_nothing(
    company: Service, tmp_path: Path
) -> None:
    head = "Id,Account.Name,StageName,CloseDate,CreatedDate,LastModifiedDate\n"
    row = "006A1,Acme,{},2026-03-31,2026-02-01T01:02:03.000+0000,{}T00:00:00.000+0000\n"
    bring(company, "deals", write(tmp_path, head + row.format("Closed Won", "2026-04-01")), "salesforce-deals")
    older = bring(company, "deals", write(tmp_path, head + row.format("Prospecting", "2026-03-01")), "salesforce-deals")
    assert (older.unchanged, deals(company)["006A1"].outcome) == (1, "won")
    history = write(
        tmp_path,
        "OpportunityId,StageName,CreatedDate\n"
        "006A1,Prospecting,2026-02-01T01:02:03.000+0000\n"
        "006A1,Negotiation/Review,2026-03-01T01:02:03.000+0000\n"
        "006A1,Closed Won,2026-03-31T01:02:03.000+0000\n",
    )
    report = bring(company, "stages", history, "salesforce-stages")
    assert (report.created, report.failed) == (2, [])
    assert bring(company, "stages", history, "salesforce-stages").unchanged == 2


def test_a_salesforce_export_for_data_loads_with_its_own_names(company: Service, tmp_path: Path) -> None:
    """No report: names of the interface, times with offset, an expected close date on every open deal."""
    table = write(
        tmp_path,
        "Id,Account.Name,Owner.Email,StageName,Amount,CurrencyIsoCode,CloseDate,CreatedDate\n"
        "0068d00000A1,Acme,lin.yue@yunshu.example,Negotiation/Review,1200.5,USD,2027-03-31,2026-02-01T01:02:03.000+0000\n"
        "0068d00000A2,Globex,lin.yue@yunshu.example,Closed Won,99,USD,2026-02-01,2026-02-01T09:02:03.000+0000\n",
    )
    report = bring(company, "deals", table, "salesforce-deals")
    assert (report.created, report.failed) == (2, [])
    assert [line.code for line in report.warnings] == ["columns_missing"], "no Type to leave out by"
    found = deals(company)
    assert (found["0068d00000A1"].outcome, found["0068d00000A1"].closed_at) == ("open", None)
    assert found["0068d00000A2"].closed_at == datetime(2026, 2, 1, 15, 59, 59, tzinfo=UTC), "closed on the day it came"
    assert bring(company, "deals", table, "salesforce-deals").unchanged == 2


def test_a_hubspot_export_with_its_own_names_loads(company: Service, tmp_path: Path) -> None:
    table = write(
        tmp_path,
        "\ufeffRecord ID,Deal Name,Deal Stage,Close Date,Deal owner,Amount,Create Date,Associated Company\n"
        "1,Pilot,Contract Sent (Sales Pipeline),2027-01-31 10:00,daniel.reed@yunshu.example,500,2026-03-01 08:00,Acme\n"
        "2,Rollout,Closed Lost (Sales Pipeline),2026-05-01 10:00,daniel.reed@yunshu.example,500,2026-03-01 08:00,Acme\n",
    )
    report = bring(company, "deals", table, "hubspot-deals")
    assert (report.created, report.failed, report.warnings) == (2, [], [])
    found = deals(company)
    assert (found["HS-1"].closed_at, found["HS-2"].outcome) == (None, "lost")
    assert found["HS-1"].owner_id == found["HS-2"].owner_id is not None


@pytest.mark.parametrize("path", sorted(mapping.FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_mapping_that_comes_along_can_be_read_and_says_how_it_is_used(path: Path) -> None:
    kind = path.stem.rpartition("-")[2].replace("managers", "users")
    assert mapping.load(Path(path.stem), kind, CsvImport.KNOWN[kind]).name
    assert f"kb import {kind} " in path.read_text(encoding="utf-8")


def test_the_mapping_of_the_readme_is_one(tmp_path: Path) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    (example,) = (block for block in readme.split("```") if block.strip().startswith("kind: deals"))
    (tmp_path / "map.yaml").write_text(example, encoding="utf-8")
    read = mapping.load(tmp_path / "map.yaml", "deals", CsvImport.KNOWN["deals"])
    assert read.skip == {"Type": {"test"}, "Stage": {""}}


def test_each_part_of_an_import_leaves_its_entry_with_the_mapping(company: Service, tmp_path: Path) -> None:
    bring(company, "deals", write(tmp_path, SALESFORCE), "salesforce-deals.yaml")
    with company.database.reading() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence.desc())).first()
    assert entry is not None
    assert (entry.action, entry.details) == (
        "import.deals",
        {"created": 2, "updated": 0, "failed": 2, "mapping": "salesforce-deals.yaml"},
    )


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus does not lie beside the project")
@pytest.mark.soak
def test_a_real_pipeline_loads_with_its_people_and_stages(company: Service) -> None:
    teams, pipeline = CORPUS / "deals" / "sales_teams.csv", CORPUS / "deals" / "sales_pipeline.csv"
    managers = bring(company, "users", teams, "pipeline-managers")
    assert (managers.created, managers.unchanged, managers.failed) == (6, 29, [])
    people = bring(company, "users", teams, "pipeline-users")
    assert (people.created, people.failed) == (35, [])
    report = bring(company, "deals", pipeline, "pipeline-deals")
    assert (report.created, report.failed) == (8_800, [])
    stages = bring(company, "stages", pipeline, "pipeline-stages")
    assert (stages.created, stages.failed) == (8_300, [])
    assert [line.message[:13] for line in stages.warnings if line.code == "left_out"] == ["500 rows were"]
    with company.database.reading() as session:
        outcomes = {
            row.outcome: row[1] for row in session.execute(select(Deal.outcome, func.count()).group_by(Deal.outcome))
        }
        won = session.scalar(select(func.sum(Deal.amount)).where(Deal.outcome == "won"))
        owned = session.scalar(select(func.count()).select_from(Deal).where(Deal.owner_id.is_not(None)))
        industries = {
            row.key: row[1]
            for row in session.execute(select(Tag.key, func.count()).join(DealTag).join(Deal).group_by(Tag.key))
        }
    assert outcomes == {"won": 4_238, "lost": 2_473, "open": 2_089}
    assert won == Decimal(10_005_534)
    assert owned == 8_800
    with pipeline.open(newline="") as table, (CORPUS / "deals" / "accounts.csv").open(newline="") as accounts:
        sectors = {row["account"]: row["sector"] for row in csv.DictReader(accounts)}
        counted = Counter(sectors.get(row["account"], "") for row in csv.DictReader(table))
    assert industries == {"finance": counted["finance"], "retail": counted["retail"], "healthcare": counted["medical"]}


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus does not lie beside the project")
def test_a_part_of_a_real_pipeline_loads_and_loads_again_without_a_change(company: Service, tmp_path: Path) -> None:
    for mapped_as, created in (("pipeline-managers", 6), ("pipeline-users", 35)):
        assert bring(company, "users", CORPUS / "deals" / "sales_teams.csv", mapped_as).created == created
    copyfile(CORPUS / "deals" / "accounts.csv", tmp_path / "accounts.csv")
    lines = (CORPUS / "deals" / "sales_pipeline.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    table = write(tmp_path, "".join([lines[0], *lines[1::40]]))
    undated = sum(not line.split(",")[5] for line in lines[1::40])
    for kind, expected in (("deals", 220), ("stages", 220 - undated)):
        report = bring(company, kind, table, f"pipeline-{kind}")
        assert (report.created, report.failed) == (expected, [])
    for kind, expected in (("deals", 220), ("stages", 220 - undated)):
        report = bring(company, kind, table, f"pipeline-{kind}")
        assert (report.unchanged, report.created, report.updated) == (expected, 0, 0)
