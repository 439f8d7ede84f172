"""Parts made by a generator: cleared with the text, and said wherever the text is."""

from pathlib import Path

import pytest

from content import drafting, exporting, publishing, service, submission
from content.importing import AssetImport, Options
from content.kinds import Handling
from content.models import Asset, Version
from content.service import Wording
from kb.access import SYSTEM, Role
from kb.users import User
from tests.conftest import SignIn
from tests.factories import TEXT, Make


def test_what_was_cleared_before_keeps_its_digest() -> None:
    wording = Wording("A title", "Some words [evidence:E-7]", "en", Handling.SPOKEN)
    assert service.digest(wording) == "633dfac9a2da380c1a74515d12b40e5820fe4a193a6742e9f79020054da8f249"


def mark(make: Make, asset: Asset, who: User, *, ai_generated: bool = True) -> None:
    with make.service.database.writing() as db:
        present = drafting.get_draft(db, make.actor(who), asset.public_id)
        wording = drafting.wording_of(present, {"ai_generated": ai_generated})
        drafting.put_draft(
            db, make.actor(who), asset.public_id, present.revision, wording, service.render(wording.text)
        )


def test_the_mark_alone_is_something_new_and_is_cleared_like_words(make_any: Make) -> None:
    make_any.stages()
    make_any.panel()
    author = make_any.user(Role.MARKETER)
    asset = make_any.asset("A talk", TEXT, owners=[author], tags=[make_any.stage_id("discovery")])
    with pytest.raises(submission.NothingNew), make_any.service.database.writing() as db:
        present = drafting.get_draft(db, make_any.actor(author), asset.public_id)
        drafting.put_draft(
            db,
            make_any.actor(author),
            asset.public_id,
            0,
            drafting.wording_of(present, {}),
            service.render(present.text),
        )
        submission.submit(db, make_any.actor(author), asset.public_id)
    mark(make_any, asset, author)
    with make_any.service.database.writing() as db:
        version = submission.submit(db, make_any.actor(author), asset.public_id)
        assert not publishing.is_cleared(db, version)
        version_id = version.id
    with make_any.service.database.writing() as db:
        db.get_one(Version, version_id).ai_generated = False  # behind everybody's back
        assert publishing.digest_now(db, db.get_one(Version, version_id)) != version.digest


def test_readers_and_programs_are_told(make: Make, sign_in: SignIn) -> None:
    make.stages()
    author, rep = make.user(Role.MARKETER), make.user()
    plain, marked = (
        make.asset("Plain", TEXT),
        make.asset("Marked", TEXT, owners=[author], tags=[make.stage_id("discovery")]),
    )
    mark(make, marked, author)
    make.panel()
    with make.service.database.writing() as db:
        version = submission.submit(db, make.actor(author), marked.public_id, publishes=True)
    make.clear(version)
    browser = sign_in(rep)
    assert "Parts made with AI" in browser.get(f"/assets/{marked.public_id}?deal=").text
    assert "Parts made with AI" not in browser.get(f"/assets/{plain.public_id}?deal=").text
    assert browser.get(f"/api/v1/assets/{marked.public_id}").json["ai_generated"] is True
    assert browser.get(f"/api/v1/assets/{plain.public_id}").json["ai_generated"] is False


def test_export_and_import_keep_it(make_any: Make, tmp_path: Path) -> None:
    source = tmp_path / "TT.md"
    source.write_text("---\nexternal_id: TT\ntitle: A talk\nai_generated: true\n---\n" + TEXT, encoding="utf-8")
    made = make_any.service
    report = AssetImport(made.database, made.settings, SYSTEM, Options(publish=True)).run([source])
    assert (report.created, report.failed) == (1, [])
    exporting.export(made.database, made.settings, SYSTEM, tmp_path / "out")
    written = [one.read_text(encoding="utf-8") for one in (tmp_path / "out").rglob("*.md")]
    assert any("ai_generated: true" in one for one in written)
    again = AssetImport(made.database, made.settings, SYSTEM, Options(publish=True)).run([tmp_path / "out"])
    assert (again.unchanged, again.failed) == (1, [])


def test_the_editor_has_a_box_for_it(make: Make, sign_in: SignIn) -> None:
    make.stages()
    author = make.user(Role.MARKETER)
    asset = make.asset("A talk", TEXT, owners=[author])
    browser = sign_in(author)
    form = {"revision": "0", "title": "A talk", "text": TEXT, "language": "en", "handling": "spoken"}
    browser.post(f"/assets/{asset.public_id}/edit", data={**form, "ai_generated": "1"})
    draft = browser.get(f"/api/v1/assets/{asset.public_id}/draft").json
    assert draft["ai_generated"] is True
    assert 'name="ai_generated" value="1" checked' in browser.get(f"/assets/{asset.public_id}/edit?deal=").text
    put = browser.put(
        f"/api/v1/assets/{asset.public_id}/draft",
        json={"ai_generated": False},
        headers={"If-Match": f'"{draft["revision"]}"'},
    )
    assert put.json["ai_generated"] is False
