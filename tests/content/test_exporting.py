"""Export gives back what was imported, and a fresh installation made of it exports the same."""

import json
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from shutil import copyfile

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import select

from content import exporting, sample, taxonomy
from content.exporting import FolderInUse
from content.importing import AssetImport, Options
from content.kinds import Facet
from content.models import Asset, Version
from content.sources import KNOWN_KEYS, Record, read
from content.taxonomy import Tag
from kb import cli, clock, config, users
from kb.access import SYSTEM, Role, Tier
from kb.app import Service, open_service
from kb.audit import AuditEntry
from kb.errors import Forbidden, KbError
from tests.conftest import SECRET
from tests.factories import Make

Fresh = Callable[[], Service]


ODD_KEYS = ["C++", "c++", "A B", "数据", "yes", "007", "null", "x: y", "- dash", "#hash", "Ünï", "a,b"]
ODD_TEAMS = ["east", "a, b", "[team]", "true", "东区: 一"]


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Path:
    """A database with the people and words of the sample company, and some odd ones."""
    folder = tmp_path_factory.mktemp("peopled")
    copyfile(sqlite_template, folder / "kb.sqlite3")
    service = open_service(config.load({}, data_dir=folder, secret_key=SECRET))
    sample.load_people(service.database, SYSTEM)
    sample.load_vocabulary(service.database, SYSTEM)
    with service.database.writing() as session:
        for key in ODD_KEYS:
            taxonomy.put(session, SYSTEM, Facet.PRODUCT, key, f"{key} in English", f"{key} 中文")
        for team in ODD_TEAMS:
            users.team(session, team)
    service.close()
    return folder / "kb.sqlite3"


@pytest.fixture
def fresh(tmp_path: Path, peopled: Path) -> Iterator[Fresh]:
    """New installations with the people and words of the sample company."""
    opened: list[Service] = []

    def make() -> Service:
        folder = tmp_path / f"installation-{len(opened)}"
        folder.mkdir(mode=0o700)
        copyfile(peopled, folder / "kb.sqlite3")
        opened.append(open_service(config.load({}, data_dir=folder, secret_key=SECRET)))
        return opened[-1]

    yield make
    for service in opened:
        service.close()


def bring(service: Service, folder: Path) -> None:
    report = AssetImport(service.database, service.settings, SYSTEM, Options(publish=True)).run([folder])
    assert report.failed == []
    assert [line for line in report.warnings if line.code != "near_duplicate"] == []


def take(service: Service, folder: Path) -> dict[str, bytes]:
    exporting.export(service.database, service.settings, SYSTEM, folder)
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
    exporting.export(service.database, service.settings, SYSTEM, folder / "out")
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
    ids = [
        "../../etc/passwd",
        "a/b",
        "a_b",
        "A_B",
        ".hidden",
        "n" * 200,
        "竞品 甲",
        "con:",
        "竞" * 200,
        "CON",
        "é",
        "e\u0301",
    ]
    for name in ids:
        make.asset(f"title of {name[:20]}", external_id=name)
    out = take(service, tmp_path / "deep" / "out")
    assert len(out) == len(ids)
    assert len({name.casefold() for name in out}) == len(ids)
    assert {path.parent for path in tmp_path.rglob("*.md")} == {tmp_path / "deep" / "out"}
    assert not [name for name in out if name.startswith(".")]


def test_A14_a_persons_export_holds_what_that_person_may_read(service: Service, make: Make, tmp_path: Path) -> None:
    make.asset("seen", external_id="SEEN")
    make.asset("above", external_id="ABOVE", tier=Tier.CONFIDENTIAL)
    make.asset("locked", external_id="LOCKED", unlock="negotiation")
    make.asset("draft", external_id="DRAFT", publish=False)
    rep = make.actor(make.user())
    found = exporting.export(service.database, service.settings, SYSTEM, tmp_path / "out", rep)
    assert [path.name for path in found.folder.iterdir()] == ["SEEN.md"]


def test_a_folder_with_files_is_left_alone_and_nothing_half_stands(
    service: Service, make: Make, tmp_path: Path
) -> None:
    make.asset("asset")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    with pytest.raises(FolderInUse):
        exporting.export(service.database, service.settings, SYSTEM, tmp_path / "used")
    (tmp_path / "file").write_text("a file")
    with pytest.raises(KbError):
        exporting.export(service.database, service.settings, SYSTEM, tmp_path / "file" / "below")
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


def test_a_name_depends_on_the_ids_and_not_on_their_order() -> None:
    ids = ["a_b", "A_B", "plain", "é", "e\u0301", "nul", "竞" * 100]
    names = exporting.file_names(dict(enumerate(ids)))
    turned = exporting.file_names(dict(enumerate(reversed(ids))))
    assert [names[number] for number in range(len(ids))] == [turned[number] for number in reversed(range(len(ids)))]
    assert names[2] == "plain.md"
    assert {len(name.encode()) <= 140 for name in names.values()} == {True}
    folded = {unicodedata.normalize("NFC", name).casefold() for name in names.values()}
    assert len(folded) == len(ids)


ODD = st.sampled_from(
    [
        "---",
        "a\n---\nb",
        "a\x85b",
        "a\u2028b\u2029c",
        "tab\there",
        "'",
        '"',
        "{a: b}",
        "&a *a",
        "!!x",
        "~",
        "1e3",
        "2026-01-02",
        " ",
        "\ufeff",
        "\x07",
    ]
)
ODD_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.dates() | ODD | WORDS,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(WORDS, one, max_size=2),
    max_leaves=4,
)
EXTERNAL = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=40)


@st.composite
def assets(draw: st.DrawFn) -> dict[str, object]:
    """The keys and the text of one asset, every optional one sometimes empty or left out."""
    handling = draw(st.sampled_from(["internal", "spoken", "named", "public"]))
    fields: dict[str, object] = {
        "title": draw((WORDS | ODD).filter(str.strip)),
        "type": draw(st.sampled_from(["faq", "talk_track", "deck", "", None])),
        "language": draw(st.sampled_from(["zh", "en", "de", None])),
        "stages": draw(st.sampled_from([[], ["solution", "discovery"], "solution, negotiation", None, ""])),
        "unlock_stage": draw(st.sampled_from([None, "", "negotiation"])),
        "industries": draw(st.sampled_from([[], ["all"], ["finance", "retail"]])),
        "products": draw(st.lists(st.sampled_from(ODD_KEYS), max_size=3, unique=True)),
        "tier": draw(st.sampled_from([None, "public", "confidential"])),
        "handling": handling,
        "nda": draw(st.booleans()) if handling == "named" else draw(st.sampled_from([False, None, "no"])),
        "audience": draw(st.lists(st.sampled_from(ODD_TEAMS), max_size=3, unique=True)),
        "owners": draw(st.sampled_from([[], None, ["chen.an@yunshu.example", "Lin.Yue@yunshu.example"]])),
        "expires_on": draw(st.none() | st.just("") | st.dates(min_value=date(2030, 1, 1), max_value=date(2090, 1, 1))),
        "teaser": draw(st.sampled_from([True, False, None])),
        "state": draw(st.sampled_from([None, "published", "draft"])),
        **draw(st.dictionaries((WORDS | ODD).filter(lambda key: key not in KNOWN_KEYS), ODD_VALUES, max_size=3)),
    }
    return {**{key: value for key, value in fields.items() if value is not None}, "text": draw(NASTY | TEXTS)}


@examples(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(made=st.dictionaries(EXTERNAL, assets(), min_size=1, max_size=5), with_translation=st.booleans())
def test_an_export_of_a_fresh_installation_made_of_an_export_is_the_same(
    peopled: Path,
    tmp_path_factory: pytest.TempPathFactory,
    made: dict[str, dict[str, object]],
    with_translation: bool,
) -> None:
    folder = tmp_path_factory.mktemp("trees")
    first, *others = made
    if with_translation and others:
        made[first]["translation_of"] = others[-1]
    (folder / "in.jsonl").write_text(
        "".join(json.dumps({"external_id": key, **fields}, default=str) + "\n" for key, fields in made.items()),
        encoding="utf-8",
    )
    trees = []
    for source, name in ((folder / "in.jsonl", "one"), (folder / "one", "two")):
        home = folder / f"home-{name}"
        home.mkdir(mode=0o700)
        copyfile(peopled, home / "kb.sqlite3")
        service = open_service(config.load({}, data_dir=home, secret_key=SECRET))
        bring(service, source)
        trees.append(take(service, folder / name))
        service.close()
    assert trees[0] == trees[1]
    written = {
        record.fields["external_id"]: record
        for path in (folder / "one").iterdir()
        for record in read(path)
        if isinstance(record, Record)
    }
    assert {key: record.text for key, record in written.items()} == {
        key: fields["text"] for key, fields in made.items()
    }
    for key, fields in made.items():
        kept = {
            name: value
            for name, value in json.loads(json.dumps(fields, default=str)).items()
            if name not in KNOWN_KEYS | {"text"}
        }
        shown = {name: value for name, value in written[key].fields.items() if name not in KNOWN_KEYS}
        assert shown == {name: value for name, value in kept.items() if value is not None}


def test_A14_a_persons_export_tells_of_each_asset_what_pages_tell(service: Service, make: Make, tmp_path: Path) -> None:
    hidden = make.asset("hidden source", external_id="HIDDEN", tier=Tier.CONFIDENTIAL)
    owner = make.user()
    shown = make.asset("shown", external_id="SHOWN", teams=["mine", "theirs"], owners=[owner], translation_of=hidden)
    make.set_asset(shown, extra={"internal_note": "zqnote"})
    rep = make.actor(make.user(teams=["mine"]))
    found = exporting.export(service.database, service.settings, SYSTEM, tmp_path / "out", rep)
    (path,) = found.folder.iterdir()
    told = path.read_text()
    for secret in ("HIDDEN", "theirs", "zqnote", owner.email):
        assert secret not in told
    assert "audience: [mine]" in told
    whole = "".join(raw.decode() for raw in take(service, tmp_path / "whole").values())
    assert all(secret in whole for secret in ("HIDDEN", "theirs", "zqnote", owner.email))


def test_what_is_on_hold_or_locked_by_a_retired_stage_does_not_open_by_coming_back(
    fresh: Fresh, tmp_path: Path
) -> None:
    first, second = fresh(), fresh()
    make = Make(first)
    make.set_asset(make.asset("held", external_id="HELD"), held_at=clock.now())
    make.asset("locked", external_id="LOCKED", unlock="negotiation")
    with first.database.writing() as session:
        session.get_one(Tag, make.stage_id("negotiation")).retired_at = clock.now()
    with second.database.writing() as session:
        session.get_one(Tag, Make(second).stage_id("negotiation")).retired_at = clock.now()
    take(first, tmp_path / "out")
    report = AssetImport(second.database, second.settings, SYSTEM, Options(publish=True)).run([tmp_path / "out"])
    assert [failure.code for failure in report.failed] == ["unknown_stage"]
    with second.database.reading() as session:
        assert dict(session.execute(select(Asset.external_id, Version.state).join(Version)).all()) == {"HELD": "draft"}  # type: ignore[arg-type]


@pytest.mark.parametrize("point", ["written", "recorded"])
def test_F02_an_export_that_dies_shows_no_half_folder(service: Service, make: Make, tmp_path: Path, point: str) -> None:
    make.asset()

    def die(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exporting.export(service.database, service.settings, SYSTEM, tmp_path / "out", fail_point=die)
    assert not (tmp_path / "out").exists()


def test_only_who_may_import_exports(service: Service, make: Make, tmp_path: Path) -> None:
    for role in set(Role) - {Role.ADMIN}:
        with pytest.raises(Forbidden):
            exporting.export(service.database, service.settings, make.actor(make.user(role)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
