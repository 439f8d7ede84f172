"""Export gives back what was imported, and a fresh installation made of it exports the same."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import select

from content import exporting, sample
from content.exporting import FolderInUse
from content.importing import AssetImport, Options
from content.models import Asset, Version
from content.sources import Record, read
from kb import cli, config
from kb.access import SYSTEM, Tier
from kb.app import Service, open_service
from kb.audit import AuditEntry
from kb.errors import KbError
from tests.conftest import SECRET
from tests.factories import Make

Fresh = Callable[[], Service]


@pytest.fixture
def fresh(tmp_path: Path, sqlite_template: Path) -> Iterator[Fresh]:
    """New installations with the people and words of the sample company."""
    opened: list[Service] = []

    def make() -> Service:
        folder = tmp_path / f"installation-{len(opened)}"
        folder.mkdir(mode=0o700)
        copyfile(sqlite_template, folder / "kb.sqlite3")
        service = open_service(config.load({}, data_dir=folder, secret_key=SECRET))
        opened.append(service)
        sample.load_people(service.database, SYSTEM)
        sample.load_vocabulary(service.database, SYSTEM)
        return service

    yield make
    for service in opened:
        service.close()


def bring(service: Service, folder: Path) -> None:
    report = AssetImport(service.database, service.settings, SYSTEM, Options(publish=True)).run([folder])
    assert [*report.failed, *report.warnings] == []


def take(service: Service, folder: Path) -> dict[str, bytes]:
    with service.database.reading() as session:
        exporting.export(session, service.settings, SYSTEM, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def body(raw: bytes) -> bytes:
    return raw.split(b"\n---\n", 1)[1]


def test_the_sample_company_goes_out_and_in_and_out_again(fresh: Fresh, tmp_path: Path) -> None:
    first, second = fresh(), fresh()
    bring(first, sample.FOLDER / "assets")
    out = take(first, tmp_path / "one")
    bring(second, tmp_path / "one")
    assert take(second, tmp_path / "two") == out
    written = {path.stem.upper(): path.read_bytes() for path in (sample.FOLDER / "assets").glob("*.md")}
    assert len(out) == len(written)
    for name, raw in out.items():
        assert body(raw) == body(written[Path(name).stem]), name
    report = AssetImport(first.database, first.settings, SYSTEM, Options(publish=True)).run([tmp_path / "one"])
    assert (report.unchanged, report.created, report.updated) == (len(out), 0, 0), "it is its own import"


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=60
).filter(str.strip)
NASTY = st.sampled_from(
    [
        "---\ntitle: no\n---\nbody\n",
        "\n\n# two blank lines before",
        "\r\nfirst line of a Windows file\r\nsecond",
        "no end of line",
        "trailing blanks   \n\n\n",
        "a\n---\nb\n---\n",
        "--- \n---",
        "tabs\tand\u2028odd\u2029lines\x85here",
        "## 怎么说\n\n“您嫌贵”：先算账。\n",
        "lone\rreturns\r",
        "\ufeffa mark in front",
    ]
)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda word: word.strip() == word
)
VALUES = st.recursive(
    st.booleans() | st.integers(-(10**9), 10**9) | WORDS, lambda one: st.lists(one, max_size=3), max_leaves=4
)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=NASTY | TEXTS,
    title=WORDS,
    extra=st.dictionaries(st.from_regex(r"x_[a-z]{1,6}", fullmatch=True), VALUES, max_size=3),
)
def test_any_text_and_metadata_comes_back(
    service: Service,
    make: Make,
    tmp_path_factory: pytest.TempPathFactory,
    text: str,
    title: str,
    extra: dict[str, object],
) -> None:
    folder = tmp_path_factory.mktemp("round")
    asset = make.asset(title, text, external_id=f"ROUND-{folder.name}")
    make.set_asset(asset, extra=extra)
    with service.database.reading() as session:
        exporting.export(session, service.settings, SYSTEM, folder / "out")
    (path,) = (path for path in (folder / "out").iterdir() if path.name.startswith(f"ROUND-{folder.name}"))
    record = next(iter(read(path)))
    assert isinstance(record, Record)
    assert record.text == text
    assert record.fields["title"] == title
    assert {key: value for key, value in record.fields.items() if key.startswith("x_")} == extra


def test_every_key_comes_back(fresh: Fresh, tmp_path: Path) -> None:
    first, second = fresh(), fresh()
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.md").write_text(
        "---\nexternal_id: A/1 竞品\ntitle: 'Yes: it is'\ntype: case_study\nlanguage: zh\nstages: [solution, discovery]\n"
        "unlock_stage: negotiation\nindustries: [finance]\npain_points: [price]\ncompetitors: [competico]\n"
        "tier: restricted\nhandling: named\nnda: true\naudience: [east]\nowners: [chen.an@yunshu.example]\n"
        "expires_on: 2031-03-31\nteaser: false\nlegacy_number: 007\nreviewed: 2026-01-02\n---\n\n正文\n",
        encoding="utf-8",
    )
    (source / "b.md").write_text("---\nexternal_id: B\ntranslation_of: A/1 竞品\ntitle: b\n---\ntext")
    bring(first, source)
    out = take(first, tmp_path / "one")
    bring(second, tmp_path / "one")
    assert take(second, tmp_path / "two") == out
    assert sorted(out) == [*sorted(out)]
    front = next(raw for name, raw in out.items() if name.startswith("A_1")).decode()
    for line in (
        "unlock_stage: negotiation",
        "expires_on: 2031-03-31",
        "audience: [east]",
        "teaser: false",
        "nda: true",
        "stages: [discovery, solution]",
        "legacy_number: 7",
    ):
        assert line in front
    assert front.endswith("---\n正文\n")


def test_what_was_not_published_does_not_become_so_by_coming_back(fresh: Fresh, tmp_path: Path) -> None:
    first, second = fresh(), fresh()
    make = Make(first)
    make.asset("published", external_id="PUBLISHED")
    make.asset("draft", external_id="DRAFT", publish=False)
    make.withdraw(make.asset("withdrawn", external_id="WITHDRAWN"))
    take(first, tmp_path / "out")
    bring(second, tmp_path / "out")
    with second.database.reading() as session:
        states = {
            row.external_id: row.state
            for row in session.execute(select(Asset.external_id, Version.state).join(Version))
        }
    assert states == {"PUBLISHED": "published", "DRAFT": "draft", "WITHDRAWN": "draft"}


def test_an_asset_without_an_id_of_its_own_is_known_again(service: Service, make: Make, tmp_path: Path) -> None:
    asset = make.asset("made in the browser")
    make.set_asset(asset, external_id=None)
    take(service, tmp_path / "out")
    report = AssetImport(service.database, service.settings, SYSTEM, Options(publish=True)).run([tmp_path / "out"])
    assert (report.created, report.failed) == (0, [])


def test_odd_and_equal_names_get_files_of_their_own_inside_the_folder(
    service: Service, make: Make, tmp_path: Path
) -> None:
    ids = ["../../etc/passwd", "a/b", "a_b", "A_B", ".hidden", "n" * 200, "竞品 甲", "con:"]
    for name in ids:
        make.asset(f"title of {name[:20]}", external_id=name)
    out = take(service, tmp_path / "deep" / "out")
    assert len(out) == len(ids)
    assert len({name.casefold() for name in out}) == len(ids)
    assert {path.parent for path in tmp_path.rglob("*.md")} == {tmp_path / "deep" / "out"}
    assert not [name for name in out if name.startswith(".")]


def test_a_persons_export_holds_what_that_person_may_read(service: Service, make: Make, tmp_path: Path) -> None:
    make.asset("seen", external_id="SEEN")
    make.asset("above", external_id="ABOVE", tier=Tier.CONFIDENTIAL)
    make.asset("locked", external_id="LOCKED", unlock="negotiation")
    make.asset("draft", external_id="DRAFT", publish=False)
    rep = make.actor(make.user())
    with service.database.reading() as session:
        found = exporting.export(session, service.settings, SYSTEM, tmp_path / "out", rep)
    assert [path.name for path in found.folder.iterdir()] == ["SEEN.md"]


def test_a_folder_with_files_is_left_alone_and_nothing_half_stands(
    service: Service, make: Make, tmp_path: Path
) -> None:
    make.asset("asset")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    with service.database.reading() as session:
        with pytest.raises(FolderInUse):
            exporting.export(session, service.settings, SYSTEM, tmp_path / "used")
        (tmp_path / "file").write_text("a file")
        with pytest.raises(KbError):
            exporting.export(session, service.settings, SYSTEM, tmp_path / "file" / "below")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "data") == ["file", "used"]
    assert (tmp_path / "used" / "mine.txt").read_text() == "mine"


def test_the_command_says_what_it_wrote_and_leaves_an_entry(
    service: Service, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.asset("published")
    make.asset("draft", publish=False)
    monkeypatch.setenv("KB_DATA_DIR", str(service.settings.data_dir))
    monkeypatch.setenv("KB_SECRET_KEY", SECRET)
    answer = CliRunner().invoke(cli.cli, ["export", "assets", str(tmp_path / "out"), "--json"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout) == {"folder": str(tmp_path / "out"), "assets": 2, "unpublished": 1}
    with service.database.reading() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence.desc())).first()
        assert entry is not None
        assert entry.action == "asset.export"
