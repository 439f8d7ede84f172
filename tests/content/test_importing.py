"""Bulk import: the same again changes nothing, and one bad record harms no other."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from content.importing import AssetImport, Options, Report, guess_language
from content.models import Asset, AssetAudience, AssetOwner, AssetTag, MissingOnBoard, Version
from content.sources import Failure
from content.taxonomy import Tag
from kb.access import SYSTEM, Actor, Role
from kb.app import Service
from kb.audit import AuditEntry
from kb.errors import Forbidden
from tests.factories import Make

BODY = "Say this to the customer.\n"


class Desk:
    """A folder of files and an installation to import them into."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.folder = service, folder
        folder.mkdir()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def md(self, name: str, front: str = "", body: str = BODY) -> Path:
        return self.write(name, f"---\n{front}---\n\n{body}")

    def jsonl(self, *rows: object, name: str = "assets.jsonl") -> Path:
        return self.write(name, "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))

    def run(
        self, *paths: Path, actor: Actor = SYSTEM, publish: bool = False, create_tags: bool = False, owner: str = ""
    ) -> Report:
        return AssetImport(
            self.service.database, self.service.settings, actor, Options(publish, create_tags, owner)
        ).run(paths or [self.folder])

    def versions(self, external_id: str) -> list[Version]:
        with self.service.database.reading() as session:
            return list(
                session.scalars(
                    select(Version).join(Asset).where(Asset.external_id == external_id).order_by(Version.number)
                )
            )

    def asset(self, external_id: str) -> Asset | None:
        with self.service.database.reading() as session:
            return session.scalar(select(Asset).where(Asset.external_id == external_id))

    def ids(self) -> set[str | None]:
        with self.service.database.reading() as session:
            return set(session.scalars(select(Asset.external_id)))


@pytest.fixture
def desk(service: Service, tmp_path: Path) -> Desk:
    return Desk(service, tmp_path / "files")


@pytest.fixture
def any_desk(any_database: Service, tmp_path: Path) -> Desk:
    return Desk(any_database, tmp_path / "files")


def counts(report: Report) -> tuple[int, int, int, int]:
    return report.created, report.updated, report.unchanged, len(report.failed)


def codes(found: list[Failure]) -> list[str]:
    return [failure.code for failure in found]


@pytest.mark.parametrize("publish", [False, True])
def test_a_second_run_is_all_unchanged(any_desk: Desk, publish: bool) -> None:
    any_desk.md("one.md", "title: One\ntype: faq\n")
    any_desk.jsonl({"id": "two", "title": "Two", "text": BODY}, {"external_id": "three", "text": "# Three\n\nMore."})
    assert counts(any_desk.run(publish=publish)) == (3, 0, 0, 0)
    with any_desk.service.database.reading() as session:
        before = session.scalar(select(func.count()).select_from(AuditEntry))
    assert counts(any_desk.run(publish=publish)) == (0, 0, 3, 0)
    with any_desk.service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == before
        assert session.scalar(select(func.count()).select_from(Version)) == 3


def test_a_draft_imported_before_is_published_when_asked_and_once(desk: Desk) -> None:
    desk.md("one.md", "title: One\n")
    desk.run()
    assert [v.state for v in desk.versions("one")] == ["draft"]
    assert counts(desk.run(publish=True)) == (0, 1, 0, 0)
    assert counts(desk.run(publish=True)) == (0, 0, 1, 0)
    assert [v.state for v in desk.versions("one")] == ["published"]


def test_changed_text_becomes_a_new_published_version_and_the_old_one_stays(any_desk: Desk) -> None:
    any_desk.md("one.md", "title: One\n", "First wording.\n")
    any_desk.run(publish=True)
    any_desk.md("one.md", "title: One\n", "Second wording.\n")
    assert counts(any_desk.run(publish=True)) == (0, 1, 0, 0)
    assert [(v.number, v.state, v.text) for v in any_desk.versions("one")] == [
        (1, "superseded", "First wording.\n"),
        (2, "published", "Second wording.\n"),
    ]


def test_without_publish_readers_keep_the_published_version(desk: Desk) -> None:
    desk.md("one.md", "title: One\n", "First wording.\n")
    desk.run(publish=True)
    desk.md("one.md", "title: One\n", "Second wording.\n")
    desk.run()
    assert [(v.state, v.text) for v in desk.versions("one")] == [
        ("published", "First wording.\n"),
        ("draft", "Second wording.\n"),
    ]
    assert counts(desk.run()) == (0, 0, 1, 0)


def test_changed_attributes_alone_make_no_new_version(desk: Desk, make: Make) -> None:
    make.stages()
    desk.md("one.md", "title: One\ntier: internal\n")
    desk.run(publish=True)
    desk.md("one.md", "title: One\ntier: restricted\nstages: [discovery]\n")
    assert counts(desk.run(publish=True)) == (0, 1, 0, 0)
    assert len(desk.versions("one")) == 1
    asset = desk.asset("one")
    assert asset is not None
    assert asset.tier == "restricted"


def test_a_withdrawn_asset_does_not_come_back_by_the_same_import(desk: Desk, make: Make) -> None:
    desk.md("one.md", "title: One\n")
    desk.run(publish=True)
    asset = desk.asset("one")
    assert asset is not None
    make.withdraw(asset)
    assert counts(desk.run(publish=True)) == (0, 0, 1, 0)
    assert [v.state for v in desk.versions("one")] == ["withdrawn"]


@pytest.mark.parametrize(
    "text",
    [
        "一行\n\n二行",
        "tail without newline",
        "trailing   \n\n\n",
        "tab\there\n",
        "\n\nleading lines\n",
        "emoji 🙂 and ﬁ ligature\n",
        "a\u2028b\u00a0c\n",
    ],
)
def test_the_text_is_kept_byte_for_byte(desk: Desk, text: str) -> None:
    desk.jsonl({"id": "one", "title": "One", "text": text})
    desk.run(publish=True)
    assert desk.versions("one")[0].text == text


@pytest.mark.parametrize(
    ("raw", "title", "text"),
    [
        ("---\ntitle: One\n---\n\nBody\n", "One", "Body\n"),
        ("---\ntitle: One\n---\nBody\n", "One", "Body\n"),
        ("\ufeff---\ntitle: One\n---\n\nBody\n", "One", "Body\n"),
        ("---\r\ntitle: One\r\n---\r\n\r\nBody\r\nmore\r\n", "One", "Body\r\nmore\r\n"),
        ("# Heading\n\nBody\n", "Heading", "# Heading\n\nBody\n"),
        ("\ufeff# Heading\n\nBody\n", "Heading", "# Heading\n\nBody\n"),
        ("---\n---\n# Heading\n\nBody\n", "Heading", "# Heading\n\nBody\n"),
        ("---\ntitle:\n---\n\n## Heading ##\n\nBody\n", "Heading", "## Heading ##\n\nBody\n"),
        ("---\ntitle: One\n---\n\nBody\n\n---\n\nAfter a rule\n", "One", "Body\n\n---\n\nAfter a rule\n"),
        (
            "---\n\nA rule at the start, and no end of front matter\n\n# Heading\n",
            "Heading",
            "---\n\nA rule at the start, and no end of front matter\n\n# Heading\n",
        ),
        ("---\ntitle: 2027\n---\n\nBody\n", "2027", "Body\n"),
        ("---\ntitle: 'A: b # c'\n---\n\nBody\n", "A: b # c", "Body\n"),
    ],
)
def test_front_matter_is_read_as_people_write_it(desk: Desk, raw: str, title: str, text: str) -> None:
    desk.write("one.md", raw)
    assert counts(desk.run()) == (1, 0, 0, 0)
    version = desk.versions("one")[0]
    assert (version.title, version.text) == (title, text)


@pytest.mark.parametrize(
    ("name", "content", "code", "line"),
    [
        ("a.md", "---\ntitle: [unclosed\n---\n\nBody\n", "front_matter", 3),
        ("a.md", "---\n- a list\n---\n\nBody\n", "front_matter", 1),
        ("a.md", "---\njust words\n---\n\nBody\n", "front_matter", 1),
        ("a.md", "---\nx: !!python/object/apply:os.system ['true']\n---\n\nBody\n", "front_matter", 2),
        ("a.md", "", "title_missing", 1),
        ("a.md", "---\ntitle: One\n---\n", "text_missing", 4),
        ("a.md", "---\ntitle: One\n---\n\n  \n", "text_missing", 4),
        ("a.md", "no heading and no title\n", "title_missing", 1),
        ("a.md", "---\ntitle: One\n---\n\nNUL \x00 here\n", "broken_characters", 4),
        ("a.md", b"\xff\xfeB\x00", "not_utf8", None),
        ("a.md", "标题".encode("gb18030"), "not_utf8", None),
        ("a.md", "---\ntitle: One\n---\n\n" + "x" * 1_100_000, "text_too_large", 4),
        ("a.md", f"---\ntitle: {'t' * 301}\n---\n\nBody\n", "title_too_long", 4),
        ("a.md", f"---\nexternal_id: {'e' * 201}\ntitle: One\n---\n\nBody\n", "external_id", 5),
        ("a.md", "---\ntitle: One\ntype: poem\n---\n\nBody\n", "unknown_type", 5),
        ("a.md", "---\ntitle: One\ntier: cosmic\n---\n\nBody\n", "unknown_tier", 5),
        ("a.md", "---\ntitle: One\nhandling: whatever\n---\n\nBody\n", "unknown_handling", 5),
        ("a.md", "---\ntitle: One\nlanguage: '12'\n---\n\nBody\n", "unknown_language", 5),
        ("a.md", "---\ntitle: One\nnda: perhaps\n---\n\nBody\n", "nda", 5),
        ("a.md", "---\ntitle: One\nhandling: public\nnda: true\n---\n\nBody\n", "nda_without_named", 6),
        ("a.md", "---\ntitle: One\nexpires_on: soon\n---\n\nBody\n", "expires_on", 5),
        ("a.md", "---\ntitle: One\nexpires_on: 9999-12-31\n---\n\nBody\n", "expires_on", 5),
        ("a.md", "---\ntitle: One\nunlock_stage: someday\n---\n\nBody\n", "unknown_stage", 5),
        ("a.md", "---\ntitle: One\naudience: [nobodys]\n---\n\nBody\n", "unknown_team", 5),
        ("a.md", "---\ntitle: One\ntranslation_of: nothing\n---\n\nBody\n", "unknown_source", 5),
        ("a.md", "---\ntitle: One\nexpires_on: 2027-02-30\n---\n\nBody\n", "front_matter", 1),
        ("a.md", "---\ntitle: One\nnumber: " + "9" * 5_000 + "\n---\n\nBody\n", "front_matter", 1),
        ("a.md", "---\nx: &x [1]\ny: *x\n---\n\nBody\n", "front_matter", 1),
        ("a.jsonl", '{"id": "x", "text": "y", "n": ' + "9" * 5_000 + "}\n", "not_json", 1),
        ("a.pdf", "%PDF-1.7", "damaged", None),
        ("a.txt", "Body", "unsupported_format", None),
        ("a.jsonl", "not json\n", "not_json", 1),
        ("a.jsonl", "[1, 2]\n", "not_json", 1),
        ("a.jsonl", '"text"\n', "not_json", 1),
        ("a.jsonl", '{"id": "x", "text": 5}\n', "text_missing", 1),
        ("a.jsonl", '{"title": "x", "text": "Body"}\n', "external_id_missing", 1),
        ("a.jsonl", '{"id": "", "title": "x", "text": "Body"}\n', "external_id_missing", 1),
        ("a.jsonl", '{"id": "x", "title": "x"}\n', "text_missing", 1),
        ("a.jsonl", '{"id": "x", "title": "x", "text": "\\ud800"}\n', "broken_characters", 1),
        ("a.jsonl", "\n\n" + "[" * 100_000 + "\n", "not_json", 3),
        ("a.jsonl", b'{"id": "x", "text": "\xff"}\n', "not_utf8", 1),
    ],
)  # fmt: skip
def test_every_failure_names_path_line_code_and_what_to_do(
    desk: Desk, name: str, content: str | bytes, code: str, line: int | None
) -> None:
    path = desk.write(name, content)
    good = desk.md("good.md", "title: Good\n")
    report = desk.run(path, good)
    assert counts(report) == (1, 0, 0, 1)
    failure = report.failed[0]
    assert (failure.path, failure.line, failure.code) == (str(path), line, code)
    assert len(failure.message) > 15
    assert "Traceback" not in failure.message
    assert desk.ids() == {"good"}


def test_a_missing_file_is_a_failure_like_any_other(desk: Desk) -> None:
    good = desk.md("good.md", "title: Good\n")
    report = desk.run(desk.folder / "missing.md", good, desk.folder / "missing")
    assert counts(report) == (1, 0, 0, 2)
    assert report.failed[0].code == "not_found"


def test_all_mistakes_of_a_record_are_told_together(desk: Desk) -> None:
    desk.md("one.md", "title: One\ntype: poem\ntier: cosmic\nunlock_stage: someday\naudience: nobodys\n")
    report = desk.run()
    assert len(report.failed) == 1
    for word in ("poem", "cosmic", "someday", "nobodys"):
        assert word in report.failed[0].message


def test_a_bad_record_never_undoes_the_others(any_desk: Desk) -> None:
    rows: list[object] = [{"id": f"row-{n}", "title": f"Row {n}", "text": f"Text {n}."} for n in range(60)]
    for place, bad in (
        (3, "{"),
        (26, {"id": "bad", "title": "x", "text": "y", "type": "poem"}),
        (49, {"id": "worse", "text": "\x00"}),
    ):
        rows.insert(place, bad)
    report = any_desk.run(any_desk.jsonl(*rows))
    assert counts(report) == (60, 0, 0, 3)
    assert sorted(failure.line or 0 for failure in report.failed) == [4, 27, 50]
    assert any_desk.ids() == {f"row-{n}" for n in range(60)}


@pytest.mark.parametrize(
    "row",
    [
        '{"id": "bad", "title": "x", "text": "y", "note": "\\ud800"}',
        '{"id": "ba\\ud800d", "title": "x", "text": "y"}',
        '{"id": "bad", "title": "x", "text": "y", "weight": NaN}',
        '{"id": "bad", "title": "x", "text": "y", "weight": 1e999}',
        '{"id": "bad", "title": "x", "text": "y", "deep": ' + "[" * 600 + "]" * 600 + "}",
        '{"id": "bad", "title": "x", "text": "y", "big": ' + "9" * 400 + "}",
        '{"id": "bad", "title": "x", "text": "y", "stages": "\\ud800", "translation_of": "\\ud800"}',
    ],
    ids=["surrogate", "surrogate id", "NaN", "infinity", "deep", "big number", "surrogate words"],
)
def test_strange_values_harm_at_most_their_own_record(any_desk: Desk, row: str) -> None:
    any_desk.jsonl({"id": "first", "title": "First", "text": BODY}, row, {"id": "last", "title": "Last", "text": BODY})
    report = any_desk.run(create_tags=True)
    assert report.created + len(report.failed) == 3
    assert {"first", "last"} <= any_desk.ids()
    json.dumps(report.as_json(), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "front",
    [
        "x: &x [*x]\n",
        "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]\n",
        "? [complex, key]\n: value\n",
        "x: .nan\n",
        "x: 2027-03-31\n",
        "1: one\n",
    ],
)
def test_strange_front_matter_harms_at_most_its_own_file(any_desk: Desk, front: str) -> None:
    any_desk.md("bad.md", f"title: Bad\n{front}")
    any_desk.md("good.md", "title: Good\n")
    report = any_desk.run()
    assert report.created + len(report.failed) == 2
    assert "good" in any_desk.ids()


def test_folders_are_walked_for_their_kinds_of_file_alone(desk: Desk) -> None:
    desk.md("deep/er/one.md", "title: One\n")
    desk.jsonl({"id": "two", "title": "Two", "text": BODY}, name="documents.jsonl")
    desk.write("queries.jsonl", '{"id": "q1", "text": "a judged query"}\n')
    desk.write("qrels.tsv", "query\tdocument\tgrade\n")
    desk.write("notes.txt", "not an asset")
    desk.md(".hidden/three.md", "title: Three\n")
    desk.md(".four.md", "title: Four\n")
    assert counts(desk.run()) == (2, 0, 0, 0)
    assert desk.ids() == {"one", "two"}


def test_unknown_tags_are_warnings_and_known_ones_are_kept(any_desk: Desk, make_any: Make) -> None:
    make_any.stages()
    any_desk.md("one.md", "title: One\nstages: [discovery, someday]\nindustries: space mining\n")
    report = any_desk.run()
    assert counts(report) == (1, 0, 0, 0)
    assert codes(report.warnings) == ["unknown_tag", "unknown_tag"]
    assert "--create-tags" in report.warnings[0].message
    assert report.warnings[0].path.endswith("one.md")
    with any_desk.service.database.reading() as session:
        assert set(session.scalars(select(Tag.key).join(AssetTag, AssetTag.tag_id == Tag.id))) == {"discovery"}


def test_create_tags_makes_them_once(any_desk: Desk) -> None:
    any_desk.md("one.md", "title: One\nindustries: [Space Mining, 太空采矿]\npain_points: price; speed\n")
    any_desk.md("two.md", "title: Two\nindustries: space mining\n")
    report = any_desk.run(create_tags=True)
    assert (counts(report), report.warnings) == ((2, 0, 0, 0), [])
    with any_desk.service.database.reading() as session:
        tags = {(tag.facet, tag.key, tag.label_en) for tag in session.scalars(select(Tag))}
    assert tags == {
        ("industry", "space_mining", "Space Mining"),
        ("industry", "太空采矿", "太空采矿"),
        ("pain_point", "price", "price"),
        ("pain_point", "speed", "speed"),
    }
    assert counts(any_desk.run(create_tags=True)) == (0, 0, 2, 0)


@pytest.mark.parametrize(
    ("front", "code"),
    [
        ("unlock_stage: someday\n", "unknown_stage"),
        ("audience: [nobodys]\n", "unknown_team"),
        ("tier: cosmic\n", "unknown_tier"),
    ],
)
def test_what_would_open_an_asset_by_mistake_is_refused(desk: Desk, make: Make, front: str, code: str) -> None:
    make.stages()
    desk.md("one.md", f"title: One\n{front}")
    report = desk.run(publish=True)
    assert codes(report.failed) == [code]
    assert desk.ids() == set()


def test_a_narrowed_asset_stays_narrowed_when_a_later_import_is_refused(desk: Desk, make: Make) -> None:
    make.team_id("east")
    desk.md("one.md", "title: One\naudience: east\n")
    desk.run(publish=True)
    desk.md("one.md", "title: One\naudience: easst\n", "New wording.\n")
    assert codes(desk.run(publish=True).failed) == ["unknown_team"]
    with desk.service.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(AssetAudience)) == 1
    assert [v.text for v in desk.versions("one")] == [BODY]


def test_access_and_owners_are_kept(any_desk: Desk, make_any: Make) -> None:
    make_any.stages()
    make_any.team_id("east")
    owner, second = make_any.user(), make_any.user()
    front = f"title: One\ntype: Case study\ntier: restricted\nhandling: named\nnda: yes\nunlock_stage: 阶段4\nteaser: false\naudience: east\nowners: {owner.email}, {second.email.upper()}\nexpires_on: 2027-03-31\nsource: CRM\n"
    any_desk.md("one.md", front)
    report = any_desk.run()
    assert (counts(report), report.warnings) == ((1, 0, 0, 0), [])
    asset, version = any_desk.asset("one"), any_desk.versions("one")[0]
    assert asset is not None
    assert (asset.type, asset.tier, asset.shows_teaser, asset.unlock_stage_id) == (
        "case_study",
        "restricted",
        False,
        make_any.stage_id("negotiation"),
    )
    assert (version.handling, version.nda) == ("named", True)
    assert asset.expires_at == datetime(2027, 3, 31, 16, 0, tzinfo=UTC)
    assert asset.extra == {"source": "CRM"}
    with any_desk.service.database.reading() as session:
        assert set(session.scalars(select(AssetOwner.user_id))) == {owner.id, second.id}


def test_unknown_owners_are_warnings_and_the_owner_given_steps_in(desk: Desk, make: Make) -> None:
    owner = make.user()
    desk.md("one.md", "title: One\nowners: gone@yunshu.example\n")
    desk.md("two.md", "title: Two\n")
    report = desk.run(owner=owner.email)
    assert codes(report.warnings) == ["unknown_owner"]
    with desk.service.database.reading() as session:
        assert set(session.scalars(select(AssetOwner.user_id))) == {owner.id}


def test_translations_find_their_source_whatever_the_order(any_desk: Desk) -> None:
    rows = [
        {"id": f"zh-{n}", "title": f"中文 {n}", "text": "中文正文。", "translation_of": f"en-{n}"} for n in range(30)
    ]
    rows += [{"id": f"en-{n}", "title": f"English {n}", "text": "English text."} for n in range(30)]
    assert counts(any_desk.run(any_desk.jsonl(*rows), publish=True)) == (60, 0, 0, 0)
    source, translated = any_desk.asset("en-7"), any_desk.asset("zh-7")
    assert source is not None
    assert translated is not None
    assert translated.translation_of_id == source.id
    assert counts(any_desk.run(publish=True)) == (0, 0, 60, 0)


def test_handling_follows_the_type_where_none_is_given(desk: Desk) -> None:
    for kind in ("talk_track", "case_study", "white_paper", "other"):
        desk.md(f"{kind}.md", f"title: One\ntype: {kind}\n")
    desk.run()
    assert {kind: desk.versions(kind)[0].handling for kind in ("talk_track", "case_study", "white_paper", "other")} == {
        "talk_track": "spoken",
        "case_study": "named",
        "white_paper": "public",
        "other": "internal",
    }


def test_what_is_missing_goes_on_the_board_when_published_and_leaves_it_when_given(desk: Desk, make: Make) -> None:
    make.stages()
    owner = make.user()

    def board() -> set[str]:
        with desk.service.database.reading() as session:
            return set(session.scalars(select(MissingOnBoard.what)))

    desk.md("one.md", "title: One\ntype: talk_track\n")
    desk.run(publish=True, create_tags=True)
    assert board() == {"stage", "owner", "industry", "pain_point"}
    desk.md("one.md", f"title: One\ntype: talk_track\nowners: {owner.email}\nstages: discovery\nindustries: all\n")
    desk.run(publish=True, create_tags=True)
    assert board() == {"pain_point"}


def test_a_published_load_is_in_the_trail_with_what_it_lacks(desk: Desk) -> None:
    desk.md("one.md", "title: One\n")
    desk.run(publish=True)
    with desk.service.database.reading() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "version.load")).one()
    assert entry.details["lacks"] == ["stage", "owner"]
    assert entry.details["digest"] == desk.versions("one")[0].digest


def test_only_who_may_import_imports(desk: Desk, make: Make) -> None:
    desk.md("one.md", "title: One\n")
    for role in set(Role) - {Role.ADMIN}:
        with pytest.raises(Forbidden):
            desk.run(actor=make.actor(make.user(role)))
    assert counts(desk.run(actor=make.actor(make.user(Role.ADMIN)))) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("客户说太贵了", "zh"),
        ("The customer says it is too dear", "en"),
        ("我们用 Kubernetes 和 PostgreSQL 部署", "zh"),
        ("Contact 张 for the Kubernetes cluster and all other things", "en"),
        ("12345", "en"),
        ("", "en"),
    ],
)
def test_the_language_is_guessed_from_the_signs(text: str, language: str) -> None:
    assert guess_language(text) == language


@pytest.mark.parametrize("step", ["rendered", "record_kept", "before_commit", "after_commit"])
def test_F03_an_import_that_dies_half_way_is_finished_by_the_next(desk: Desk, step: str) -> None:
    rows = [{"id": f"row-{n}", "title": f"Row {n}", "text": "Text."} for n in range(30)]
    path = desk.jsonl(*rows)
    steps: list[str] = []

    class Died(BaseException):
        pass

    def die(name: str) -> None:
        steps.append(name)
        if name == step and steps.count(name) == (2 if step != "record_kept" else 28):
            raise Died

    with pytest.raises(Died):
        AssetImport(desk.service.database, desk.service.settings, SYSTEM, Options(publish=True), die).run([path])
    half = len(desk.ids())
    assert half == (30 if step == "after_commit" else 25)
    assert counts(desk.run(path, publish=True)) == (30 - half, 0, half, 0)
    assert all(len(desk.versions(f"row-{n}")) == 1 for n in range(30))


def test_progress_counts_up_to_all_records(desk: Desk) -> None:
    path = desk.jsonl(*({"id": f"row-{n}", "title": "x", "text": "y"} for n in range(30)))
    told: list[int] = []
    listen: Callable[[int], None] = told.append
    AssetImport(desk.service.database, desk.service.settings, SYSTEM, Options()).run([path], listen)
    assert told == [25, 30]
