"""Doubles by meaning: with the bundled model where it is installed, and with a dictionary everywhere."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from content.importing import AssetImport, Options
from kb import cli
from kb.access import SYSTEM, Role, Tier, operator
from kb.app import Service
from search import duplicates, embedding, encoder, unpack
from search.fake_encoder import FakeEncoder
from tests.factories import Make
from tests.faults.test_meaning import with_model

EXIT_EN = "## Short answer\n\nTables are Apache Iceberg and files are Parquet: in your own storage if you host it, exported to where you say if we do. Jobs are the hard part: SQL goes on with small changes, visual pipelines are exported as definitions and rebuilt by hand.\n\n## More\n\nAfter a hosted contract ends everything stays readable for ninety days, and one full export is free."
EXIT_REWORDED = "## Short answer\n\nYour data sits in open formats, Iceberg tables over Parquet. Self-hosted customers already hold it; for hosted ones we export it to any place they name. What takes effort are the jobs: SQL needs light edits, while graphical pipelines only leave as definitions and must be made again.\n\n## More\n\nFor ninety days after the contract's end there is read-only access, with one complete export at no charge."
EXIT_ZH = "## 简短回答\n\n表是 Apache Iceberg，文件是 Parquet：自己部署的本来就在您的存储里，托管的我们导到您指定的地方。难的是作业：SQL 稍改能用，可视化流水线只能导出定义，要人工重建。\n\n## 展开\n\n托管合同终止后留九十天只读，整体导出一次不另收费。"
PILOT = "## Say\n\nA pilot needs one question, one page and one person of yours for two hours a day. Whatever comes on top is swapped for something that is on the page already, or it is paid by the day."


def learn(service: Service, load: type[FakeEncoder] | None = None) -> Service:
    opened = with_model(service, load or encoder.load)  # type: ignore[arg-type]
    opened.meaning.wanted.wait(60)
    embedding.catch_up(opened.database, opened.meaning)
    return opened


def told(service: Service, reference: str) -> list[str]:
    with service.database.reading() as session:
        return [one.title for one in duplicates.find(session, service.finder, operator(), reference).found]


@pytest.mark.model
@pytest.mark.skipif(unpack.packed_file() is None, reason="the bundled model is not installed")
def test_reworded_and_translated_texts_are_told_and_neighbours_are_not(make: Make) -> None:
    make.asset("Leaving us: what happens to your data?", EXIT_EN)
    make.asset("A pilot that does not grow", PILOT)
    reworded = make.asset("Can we take our data along when we stop?", EXIT_REWORDED, publish=False)
    chinese = make.asset("以后不用了，数据怎么拿走？", EXIT_ZH, language="zh", publish=False)
    other = make.asset("Sizing", "## Say\n\nThree nodes carry two thousand tables.", publish=False)
    opened = learn(make.service)
    assert told(opened, reworded.public_id) == ["Leaving us: what happens to your data?"]
    assert told(opened, chinese.public_id) == ["Leaving us: what happens to your data?"]
    assert told(opened, other.public_id) == []


def test_meaning_tells_nobody_of_what_they_may_not_edit(make: Make) -> None:
    make.asset("Open one", "## Say\n\nprice bank migration outage")
    make.asset("Hidden one", "## Say\n\nprice bank migration outage", tier=Tier.CONFIDENTIAL)
    draft = make.asset("草稿", "## 怎么说\n\n价格 银行 迁移 故障", language="zh", publish=False)
    opened = learn(make.service, FakeEncoder)
    marketer = make.actor(make.user(Role.MARKETER))
    with opened.database.reading() as session:
        found = duplicates.find(session, opened.finder, marketer, draft.public_id)
    assert ([one.title for one in found.found], found.limited) == (["Open one"], False)
    assert found.found[0].closeness >= duplicates.CLOSE_ABROAD
    assert set(told(opened, draft.public_id)) == {"Open one", "Hidden one"}


def test_an_import_tells_what_the_library_means_already(make: Make, tmp_path: Path) -> None:
    make.asset("Open one", "## Say\n\nprice bank migration outage")
    opened = learn(make.service, FakeEncoder)
    (tmp_path / "new.md").write_text(
        "---\nexternal_id: N-1\ntitle: 草稿\nlanguage: zh\n---\n## 怎么说\n\n价格 银行 迁移 故障\n", "utf-8"
    )
    (tmp_path / "other.md").write_text("---\nexternal_id: N-2\ntitle: Parcel\n---\n## Say\n\nretail shop\n", "utf-8")
    report = AssetImport(opened.database, opened.settings, operator(), Options()).run([tmp_path])
    assert report.warnings == []
    cli._warn_of_meanings(opened, report, lambda _done: None)
    assert [(Path(line.path).name, line.code) for line in report.warnings] == [("new.md", "near_duplicate")]
    assert "“Open one” (external:EXT-" in report.warnings[0].message


def test_an_import_tells_wordings_of_the_library_and_of_itself(
    service: Service, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.asset("Old one", EXIT_EN)
    for name, text in {"a": EXIT_EN + " Thank you.", "b": PILOT, "c": PILOT + " Ask first.", "d": "Short."}.items():
        (tmp_path / f"{name}.md").write_text(
            f"---\nexternal_id: {name.upper()}\ntitle: T {name}\n---\n{text}\n", "utf-8"
        )
    monkeypatch.setenv("KB_DATA_DIR", str(service.settings.data_dir))
    monkeypatch.setenv("KB_DATABASE_URL", service.settings.database_url)
    monkeypatch.setenv("KB_ENCODER", "off")
    run = CliRunner().invoke(cli.cli, ["import", "assets", str(tmp_path), "--json"])
    answer = json.loads(run.stdout)
    assert answer["created"] == 4
    found = {Path(row["path"]).stem: row["message"] for row in answer["warnings"] if row["code"] == "near_duplicate"}
    assert set(found) == {"a", "c"}
    assert "“Old one”" in found["a"]
    assert "“T b” (external:B)" in found["c"]
    again = json.loads(CliRunner().invoke(cli.cli, ["import", "assets", str(tmp_path), "--json"]).stdout)
    assert (again["unchanged"], [row["code"] for row in again["warnings"]]) == (4, [])


def test_a_translation_that_is_tied_is_no_double_on_import(make: Make, tmp_path: Path) -> None:
    make.asset("Source", EXIT_EN, external_id="SRC")
    (tmp_path / "t.md").write_text(
        f"---\nexternal_id: T-1\ntitle: T\nlanguage: zh\ntranslation_of: SRC\n---\n{EXIT_EN}\n", "utf-8"
    )
    importer = AssetImport(make.service.database, make.service.settings, SYSTEM, Options())
    assert [line.code for line in importer.run([tmp_path]).warnings if line.code == "near_duplicate"] == []
