"""Files of assets: who gets them, with which headers, found by what stands on page three, frozen with their version."""

import io
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from content import conversions, drafting, files, filestore, publishing, service, submission
from content.importing import AssetImport, Options, Report
from content.kinds import AssetType, Handling, VersionState
from content.models import Asset, Attachment, Conversion, FilePage, StoredFile, UseEvent, Version
from kb import outbox
from kb.access import SYSTEM, Role, Tier
from kb.errors import NotFound
from kb.users import User
from search import service as searching
from search.query import Query
from tests.conftest import Browser
from tests.content.test_convert import deck, pdf, png
from tests.factories import Make


def on_draft(make: Make, asset: Asset, path: Path, name: str = "") -> files.FileLine:
    """The file on the asset's draft."""
    with path.open("rb") as stream:
        kept = filestore.keep(make.service.settings, stream, name or path.name)
    with make.service.database.writing() as db:
        return files.attach(db, SYSTEM, asset.public_id, kept)[0]


def publish(make: Make, asset: Asset) -> None:
    with make.service.database.writing() as db:
        draft = service.find_version(db, db.get_one(Asset, asset.id), VersionState.DRAFT)
        assert draft is not None
        publishing.load(db, SYSTEM, draft, [])


def with_file(make: Make, path: Path, **fields: object) -> tuple[Asset, files.FileLine]:
    """A published asset whose version carries the file, its text read."""
    asset = make.asset(publish=False, **fields)  # type: ignore[arg-type]
    line = on_draft(make, asset, path)
    publish(make, asset)
    outbox.drain(make.service.database, make.service.converter.handlers)
    make.index()
    return asset, line


PAGES = ("The offer", "Prices of last year", "Rollback takes eleven minutes with the marmalade procedure")


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    return pdf(tmp_path / "offer.pdf", *PAGES)


def test_a_phrase_of_page_three_finds_the_asset_and_names_the_page(make: Make, sign_in: object, paper: Path) -> None:
    asset, line = with_file(make, paper, title="Rollback")
    rep = make.user(Role.REP)
    with make.service.database.reading() as db:
        found = searching.search(
            db, make.service.finder, make.actor(rep), None, Query.of("marmalade procedure", {}, 10), "en"
        )
    assert [hit.asset.public_id for hit in found.hits] == [asset.public_id]
    passage = found.hits[0].passage
    assert passage is not None
    assert (passage.anchor, passage.section_title) == (f"file-{line.public_id}-p3", "offer.pdf")
    browser = sign_in(rep)  # type: ignore[operator]
    page = browser.get("/search?q=marmalade+procedure&deal=").text
    assert "offer.pdf, page 3" in page
    assert f"/assets/{asset.public_id}/attachments/{line.public_id}/text?deal=#p3" in page
    told = browser.get(f"/assets/{asset.public_id}/attachments/{line.public_id}/text?deal=").text
    assert 'id="p3"' in told
    assert PAGES[2] in told


def test_A19_files_of_hidden_assets_are_not_there(make: Make, sign_in: object, paper: Path, tmp_path: Path) -> None:
    rep = make.user(Role.REP)
    browser = sign_in(rep)  # type: ignore[operator]
    never = browser.get("/attachments/AAAAAAAAAAAAAAAA?deal=")
    for fields in ({"tier": Tier.RESTRICTED}, {"teams": ["others"]}):
        asset, line = with_file(make, paper, handling=Handling.PUBLIC, asset_type=AssetType.WHITE_PAPER, **fields)
        shown = on_draft(make, asset, png(tmp_path / "p.png"))
        publish(make, asset)
        for address in (
            f"/attachments/{line.public_id}",
            shown.address,
            f"/assets/{asset.public_id}/attachments/{line.public_id}/text",
            f"/api/v1/attachments/{line.public_id}",
        ):
            got = browser.get(address, query_string={"deal": ""})
            assert got.status_code == never.status_code == 404, address


def test_a_reader_takes_away_what_the_deal_allows_and_that_is_a_use(make: Make, sign_in: object, paper: Path) -> None:
    asset, line = with_file(make, paper, handling=Handling.NAMED, asset_type=AssetType.CASE_STUDY)
    rep = make.user(Role.REP)
    deal = make.deal(rep)
    browser = sign_in(rep)  # type: ignore[operator]
    refused = browser.get(f"/attachments/{line.public_id}?deal=")
    assert (refused.status_code, "choose an open deal" in refused.text) == (403, True)
    got = browser.get(f"/attachments/{line.public_id}?deal={deal.external_id}")
    assert (got.status_code, got.data) == (200, paper.read_bytes())
    with make.service.database.reading() as db:
        kinds = db.execute(select(UseEvent.kind, UseEvent.deal_id).where(UseEvent.asset_id == asset.id)).all()
    assert [tuple(row) for row in kinds] == [("download", deal.id)]


def test_A76_files_are_handed_out_as_files_and_run_nothing(
    make: Make, sign_in: object, paper: Path, tmp_path: Path
) -> None:
    asset, line = with_file(make, paper)
    picture = on_draft(make, asset, png(tmp_path / "p.png"), 'x"><img src=x onerror=alert(1)>.png')
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    for address, disposition in ((f"/attachments/{line.public_id}", "attachment"), (picture.address, "inline")):
        got = browser.get(address, query_string={"deal": ""})
        assert got.status_code == 200, address
        assert got.headers["Content-Disposition"].startswith(disposition)
        assert got.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert got.headers["Cache-Control"] == "private, no-store"
    page = browser.get(f"/assets/{asset.public_id}/edit?deal=").text
    assert "<img src=x" not in page


@pytest.mark.parametrize("sha256", ["../../kb.sqlite3", "..%2f..%2fsecret.key", "a" * 63, "A" * 64, "0" * 64])
def test_A79_addresses_of_files_never_leave_the_store(make: Make, sign_in: object, sha256: str) -> None:
    browser = sign_in(make.user(Role.ADMIN))  # type: ignore[operator]
    assert browser.get(f"/attachments/{sha256}/x.png?deal=").status_code == 404


def test_A79_links_planted_in_the_store_are_not_followed(make: Make, paper: Path) -> None:
    _asset, line = with_file(make, paper)
    path = filestore.path_of(make.service.settings.files_dir, line.sha256)
    path.unlink()
    path.symlink_to(make.service.settings.data_dir / "kb.sqlite3")
    with pytest.raises(NotFound):
        filestore.open_path(make.service.settings, line.sha256)


def test_files_are_frozen_with_their_version_and_go_on_to_the_next(make_any: Make, tmp_path: Path, paper: Path) -> None:
    make = make_any
    asset, _line = with_file(make, paper)
    with make.service.database.reading() as db:
        version = db.scalars(select(Version).where(Version.asset_id == asset.id)).one()
        assert version.digest == publishing.digest_now(db, version) != service.digest(service.wording_of(version))
    for statement in ("UPDATE attachment SET filename = 'other.pdf'", "DELETE FROM attachment"):
        with pytest.raises(DBAPIError, match="frozen"), make.service.database.writing() as db:
            db.execute(text(statement))
    on_draft(make, asset, png(tmp_path / "p.png"))
    with make.service.database.reading() as db:
        rows = db.execute(
            select(Version.number, Attachment.filename)
            .join(Attachment, Attachment.version_id == Version.id)
            .order_by(Version.number, Attachment.position)
        )
        assert [tuple(row) for row in rows] == [(1, "offer.pdf"), (2, "offer.pdf"), (2, "p.png")]


def test_restoring_brings_the_files_of_that_version_back(make: Make, tmp_path: Path, paper: Path) -> None:
    asset, _ = with_file(make, paper)
    on_draft(make, asset, png(tmp_path / "p.png"))
    publish(make, asset)
    with make.service.database.writing() as db:
        submission.restore(db, SYSTEM, asset.public_id, 1)
    with make.service.database.reading() as db:
        assert [line.filename for line in files.list_of_newest(db, SYSTEM, asset.public_id)] == ["offer.pdf"]


def test_a_stale_upload_is_refused_like_a_stale_save(make: Make, paper: Path) -> None:
    asset = make.asset(publish=False)
    with paper.open("rb") as stream:
        kept = filestore.keep(make.service.settings, stream, "offer.pdf")
    with pytest.raises(drafting.StaleDraft), make.service.database.writing() as db:
        files.attach(db, SYSTEM, asset.public_id, kept, 9)


def test_an_upload_by_page_and_interface(make: Make, sign_in: object, paper: Path, tmp_path: Path) -> None:
    asset = make.asset(publish=False)
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    picture = png(tmp_path / "chart.png").read_bytes()
    told = browser.post(
        f"/api/v1/assets/{asset.public_id}/attachments", data={"file": (io.BytesIO(picture), "图 表.png")}
    )
    assert told.status_code == 201, told.text
    assert told.json["markdown"].startswith(f"![图 表](/attachments/{told.json['sha256']}/")
    assert Image.open(
        io.BytesIO(browser.get(told.json["markdown"].split("(")[1].rstrip(")") + "?deal=").data)
    ).size == (60, 40)
    page = browser.post(
        f"/assets/{asset.public_id}/attachments",
        data={"file": (io.BytesIO(paper.read_bytes()), "offer.pdf"), "revision": str(told.json["revision"])},
        headers={"X-Fragment": "1"},
    )
    assert (page.status_code, page.json["filename"]) == (201, "offer.pdf")
    refused = browser.post(
        f"/api/v1/assets/{asset.public_id}/attachments", data={"file": (io.BytesIO(b"<svg/>"), "a.png")}
    )
    assert (refused.status_code, refused.json["code"]) == (415, "svg_not_taken")
    gone = browser.delete(f"/api/v1/assets/{asset.public_id}/attachments/{told.json['id']}")
    assert gone.status_code == 200
    with make.service.database.reading() as db:
        assert [line.filename for line in files.list_of_newest(db, SYSTEM, asset.public_id)] == ["offer.pdf"]


def test_pictures_in_a_text_are_asked_for_on_the_deal_of_the_page(make: Make, sign_in: object, tmp_path: Path) -> None:
    asset = make.asset(publish=False)
    line = on_draft(make, asset, png(tmp_path / "p.png"))
    with make.service.database.writing() as db:
        body = f"## Say\n\nLook: ![chart]({line.address})\n"
        service.put_draft(
            db,
            SYSTEM,
            db.get_one(Asset, asset.id),
            service.Wording("T", body, "en", Handling.SPOKEN),
            service.render(body),
        )
    publish(make, asset)
    rep = make.user(Role.REP)
    deal = make.deal(rep)
    page = sign_in(rep).get(f"/assets/{asset.public_id}?deal={deal.external_id}").text  # type: ignore[operator]
    assert f'src="{line.address}?deal={deal.external_id}"' in page


# --- documents ---


def take(make: Make, path: Path, user: User) -> str:
    with path.open("rb") as stream:
        kept = filestore.keep(make.service.settings, stream, path.name)
    with make.service.database.writing() as db:
        return conversions.start(db, make.actor(user), kept, None).public_id


def test_a_document_becomes_a_draft_with_its_original_and_its_pictures(
    make: Make, sign_in: object, tmp_path: Path
) -> None:
    marketer = make.user(Role.MARKETER)
    browser: Browser = sign_in(marketer)  # type: ignore[operator]
    path = deck(tmp_path / "deck.pptx", png(tmp_path / "p.png"))
    answer = browser.post("/assets/from-document", data={"file": (io.BytesIO(path.read_bytes()), "deck.pptx")})
    outbox.drain(make.service.database, make.service.converter.handlers)
    done = browser.get(answer.headers["Location"])
    assert done.status_code == 302
    page = browser.get(done.headers["Location"]).text
    assert "Wait for the question." in page
    with make.service.database.reading() as db:
        asset = db.scalars(select(Asset)).one()
        names = [line.filename for line in files.list_of_newest(db, SYSTEM, asset.public_id)]
        assert (asset.type, names) == ("deck", ["deck.pptx", "deck-1.png"])
    other = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    assert other.get(answer.headers["Location"]).status_code == 404


def test_a_document_that_cannot_be_read_says_what_to_do(make: Make, sign_in: object, tmp_path: Path) -> None:
    path = tmp_path / "cut.pdf"
    path.write_bytes(b"%PDF-1.4\nnothing that is one")
    marketer = make.user(Role.MARKETER)
    public_id = take(make, path, marketer)
    outbox.drain(make.service.database, make.service.converter.handlers)
    with make.service.database.reading() as db:
        assert conversions.get(db, make.actor(marketer), public_id).state == "failed"
    page = sign_in(marketer).get(f"/conversions/{public_id}?deal=").text  # type: ignore[operator]
    assert "damaged or cut short" in page


@pytest.mark.parametrize("point", ["document.converted", "pictures.kept", "document.rendered", "before_commit"])
def test_a_conversion_that_dies_anywhere_is_done_once_in_the_end(make: Make, tmp_path: Path, point: str) -> None:
    class Died(BaseException):
        pass

    def fail(name: str) -> None:
        if name == point:
            raise Died

    take(make, deck(tmp_path / "deck.pptx", png(tmp_path / "p.png")), make.user(Role.MARKETER))
    database, settings = make.service.database, make.service.settings
    with database.reading() as db:
        ids = list(db.scalars(select(Conversion.id)))
    with pytest.raises(Died):
        conversions.converter(database, settings, fail)(ids)
    for _ in range(2):
        conversions.converter(database, settings)(ids)
    with database.reading() as db:
        assert len(db.scalars(select(Asset)).all()) == 1
        assert filestore.examine(db, settings).missing == ()
        assert filestore.examine(db, settings).orphans == ()


# --- upkeep ---


def test_files_that_nothing_names_go_after_a_day_and_doctor_tells_of_them(
    make: Make, paper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, database = make.service.settings, make.service.database
    with paper.open("rb") as stream:
        kept = filestore.keep(settings, stream, "offer.pdf")
    with database.reading() as db:
        assert filestore.examine(db, settings).orphans == (kept.sha256,)
    assert filestore.clear(database, settings) == 0
    later = filestore.clock.now() + filestore.KEPT_UNUSED * 2
    monkeypatch.setattr(filestore.clock, "now", lambda: later)
    assert filestore.clear(database, settings) == 1


def test_an_upload_that_is_too_large_leaves_nothing(make: Make, app: Flask) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return b"x" * max(size, 1)

    with pytest.raises(filestore.TooLarge):
        filestore.keep(make.service.settings, Endless(), "big.pdf")  # type: ignore[arg-type]
    assert list(make.service.settings.files_dir.glob("*")) == []


def test_text_that_cannot_be_read_is_told_and_the_file_is_kept(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(b"%PDF-1.4\nnothing")
    _asset, line = with_file(make, path)
    with make.service.database.reading() as db:
        stored = db.scalars(select(StoredFile)).one()
        assert (stored.state, stored.reason) == ("unreadable", "damaged")
        assert db.scalars(select(FilePage)).all() == []
    assert filestore.open_path(make.service.settings, line.sha256).exists()


# --- bulk import ---


def test_documents_are_imported_once_and_their_failures_have_reasons(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    deck(folder / "Pitch.pptx", png(tmp_path / "p.png"))
    (folder / "cut.pdf").write_bytes(b"%PDF-1.4\nnothing")
    (folder / "old.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"0" * 600)

    def run() -> Report:
        importer = AssetImport(make.service.database, make.service.settings, SYSTEM, Options(publish=True))
        return importer.run([folder])

    first, second = run(), run()
    assert (first.created, second.created, second.unchanged) == (1, 0, 1)
    assert [(Path(one.path).name, one.code) for one in first.failed] == [
        ("cut.pdf", "damaged"),
        ("old.docx", "password"),
    ]
    with make.service.database.reading() as db:
        version = db.scalars(select(Version)).one()
        assert [line.filename for line in files.list_lines(db, version.id)] == ["Pitch.pptx", "Pitch-1.png"]
        assert publishing.digest_now(db, version) == version.digest
    deck(folder / "Pitch.pptx", png(tmp_path / "q.png", 90, 30))
    assert run().updated == 1
