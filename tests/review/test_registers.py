"""Evidence and consent on file: what ends there is felt by every text that rests on it."""

import io
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from content import filestore, verifying
from content.kinds import Handling
from content.models import Doubt
from kb import audit, clock
from kb.access import SYSTEM, Party, Role
from kb.errors import Forbidden, Invalid, NotFound
from review import registers
from review.models import ReferencePermission
from review.registers import EvidenceFields, EvidenceKind, Part, PermissionFields, RecordState
from tests.content.test_convert import pdf
from tests.factories import Make

CITING = "## Say\n\nIt takes half a day instead of six [evidence:E-7]."


def fields(**given: object) -> EvidenceFields:
    base: dict[str, object] = {
        "kind": EvidenceKind.TEST,
        "statement": "Half a day instead of six",
        "issuer": "Quality office",
        "number": 7,
    }
    return EvidenceFields(**(base | given))  # type: ignore[arg-type]


def doubts(make: Make) -> list[tuple[int, str, str, bool]]:
    with make.service.database.reading() as session:
        return [(row.asset_id, row.cause, row.about, row.blocks_verification) for row in session.scalars(select(Doubt))]


def test_withdrawn_evidence_makes_what_cites_it_unverified_at_once_until_it_is_renewed(make_any: Make) -> None:
    make = make_any
    citing, _other = make.asset("Citing", CITING), make.asset("Other")
    marketer = make.actor(make.user(Role.MARKETER))
    with make.service.database.writing() as session:
        record = registers.put_evidence(session, marketer, "", fields())
        assert registers.key_of(record.number) == "E-7"
    assert doubts(make) == []
    with make.service.database.writing() as session:
        registers.withdraw_evidence(session, marketer, "E-7", "The figure was wrong")
    assert doubts(make) == [(citing.id, "evidence", "E-7", True)]
    with make.service.database.writing() as session, pytest.raises(verifying.Blocked):
        verifying.verify(session, SYSTEM, None, citing.public_id)
    with make.service.database.writing() as session:
        registers.put_evidence(session, marketer, "E-7", fields(issuer="Another office"))
    assert doubts(make) == []
    with make.service.database.reading() as session:
        actions = [row.action for row in session.scalars(select(audit.AuditEntry)) if row.object_type == "evidence"]
    assert actions == ["evidence.add", "evidence.withdraw", "evidence.change"]


def test_evidence_that_runs_out_is_noticed_the_same_day(make_any: Make) -> None:
    make = make_any
    citing = make.asset("Citing", CITING)
    today = clock.now().date()
    with make.service.database.writing() as session:
        registers.put_evidence(session, SYSTEM, "", fields(valid_until=today))
    assert registers.settle_all(make.service.database) == 0
    with time_machine.travel(clock.now() + timedelta(days=1, minutes=1), tick=True):
        registers.sweep(make.service.database)()
        assert doubts(make) == [(citing.id, "evidence", "E-7", True)]
        assert registers.settle_all(make.service.database) == 0
        with make.service.database.reading() as session:
            row = registers.get_row(session, SYSTEM, "E-7")
        assert (row.state, row.cited_by) == (RecordState.EXPIRED, 1)


def test_a_customer_who_takes_consent_back_is_felt_by_texts_that_name_it(make: Make) -> None:
    named = make.asset("Named", "## Say\n\n远山银行上线了。", language="zh")
    make.asset("Internal", "## Say\n\n远山银行上线了。", language="zh", handling=Handling.INTERNAL)
    with make.service.database.writing() as session:
        record = registers.put_permission(
            session, SYSTEM, "", PermissionFields("远山银行", Handling.NAMED, ("远山",), frozenset({Part.NAME}))
        )
        registers.withdraw_permission(session, SYSTEM, record.public_id, "They asked us to")
    assert doubts(make) == [(named.id, "reference_permission", "远山银行", True)]


def test_a_customer_has_one_record_and_a_renamed_one_leaves_no_doubt_behind(make: Make) -> None:
    make.asset("Named", "## Say\n\n远山银行上线了。", language="zh")
    fields_of = lambda name, *aliases: PermissionFields(name, Handling.NAMED, aliases)
    with make.service.database.writing() as session:
        first = registers.put_permission(session, SYSTEM, "", fields_of("远山银行"))
        with pytest.raises(Invalid):
            registers.put_permission(session, SYSTEM, "", fields_of("另一家", "远山银行"))
        registers.withdraw_permission(session, SYSTEM, first.public_id, "They asked us to")
    assert [row[2] for row in doubts(make)] == ["远山银行"]
    with make.service.database.writing() as session:
        registers.put_permission(session, SYSTEM, first.public_id, fields_of("远山商业银行"))
    assert doubts(make) == []


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"statement": " "}, "statement"),
        ({"issuer": ""}, "issuer"),
        ({"dated_on": clock.now().date() + timedelta(days=5)}, "dated_on"),
        ({"number": 7}, "number_taken"),
    ],
)
def test_a_record_says_what_is_missing(make: Make, given: dict[str, object], code: str) -> None:
    with make.service.database.writing() as session:
        registers.put_evidence(session, SYSTEM, "", fields())
    with make.service.database.writing() as session, pytest.raises(Invalid) as refused:
        registers.put_evidence(session, SYSTEM, "", fields(**({"number": 0} | given)))
    assert refused.value.code == code


def test_numbers_go_on_and_unknown_ones_are_not_found(make: Make) -> None:
    with make.service.database.writing() as session:
        registers.put_evidence(session, SYSTEM, "", fields())
        assert registers.put_evidence(session, SYSTEM, "", fields(number=0)).number == 8
        with pytest.raises(NotFound):
            registers.get_evidence(session, "E-99")
        with pytest.raises(NotFound):
            registers.get_permission(session, "none")


def test_reps_and_managers_keep_no_registers(make: Make) -> None:
    for role in (Role.REP, Role.MANAGER):
        with make.service.database.writing() as session, pytest.raises(Forbidden):
            registers.put_evidence(session, make.actor(make.user(role)), "", fields())


def test_counts_tell_nothing_of_assets_the_reader_may_not_edit(make: Make) -> None:
    make.asset("Citing", CITING)
    make.asset("Hidden", CITING, teams=["legal"])
    with make.service.database.writing() as session:
        registers.put_evidence(session, SYSTEM, "", fields())
    marketer = make.actor(make.user(Role.MARKETER))
    with make.service.database.reading() as session:
        mine, all_of_them = (registers.list_evidence(session, who)[0].cited_by for who in (marketer, SYSTEM))
        assert [one.title for one in registers.list_citing(session, marketer, "E-7")] == ["Citing"]
    assert (mine, all_of_them) == (1, 2)


# --- by page and interface ---


def test_the_pages_of_the_registers(make: Make, sign_in: object, tmp_path: object) -> None:
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    assert "No evidence yet" in browser.get("/evidence").text
    form = {"kind": "test", "statement": "Half a day", "issuer": "Quality office", "valid_until": "2030-01-31"}
    wrong = browser.post("/evidence", data=form | {"issuer": "", "number": "E-7"})
    assert (wrong.status_code, "Half a day" in wrong.text) == (422, True)
    assert browser.post("/evidence", data=form | {"valid_until": "soon"}).status_code == 422
    path = pdf(tmp_path / "report.pdf", "Measured twice")  # type: ignore[operator]
    sent = form | {"number": "E-7", "file": (io.BytesIO(path.read_bytes()), "report.pdf")}
    made = browser.post("/evidence", data=sent, content_type="multipart/form-data")
    assert (made.status_code, made.location) == (302, "/evidence/E-7?deal=")
    page = browser.get("/evidence/E-7").text
    assert "report.pdf" in page
    assert "[evidence:E-7]" in page
    file = browser.get("/evidence/E-7/file")
    assert (file.status_code, file.data[:4]) == (200, b"%PDF")
    assert "attachment" in file.headers["Content-Disposition"]
    assert browser.post("/evidence/E-7/withdraw", data={"reason": "Wrong figure"}).status_code == 302
    assert "Wrong figure" in browser.get("/evidence/E-7").text
    assert browser.get("/evidence/E-99").status_code == 404
    consent = {"customer": "远山银行", "handling": "named", "covers": ["name", "quote"], "aliases": "远山，YSB"}
    assert browser.post("/permissions", data=consent | {"handling": "all"}).status_code == 422
    assert browser.post("/permissions", data=consent).status_code == 302
    assert "YSB" in browser.get("/permissions?q=ysb").text
    assert sign_in(make.user(Role.REP)).get("/evidence").status_code == 403  # type: ignore[operator]


def test_what_was_typed_is_kept_in_the_form_it_was_typed_into(make: Make, sign_in: object) -> None:
    with make.service.database.writing() as session:
        registers.put_evidence(session, SYSTEM, "", fields())
        kept = registers.put_permission(session, SYSTEM, "", PermissionFields("远山银行", Handling.NAMED)).public_id
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    form = {"kind": "test", "statement": "A long sentence, typed anew", "issuer": ""}
    page = browser.post("/evidence/E-7", data=form)
    assert (page.status_code, "A long sentence, typed anew" in page.text) == (422, True)
    assert 'href="#change-issuer"' in page.text
    assert 'id="change-issuer"' in page.text
    consent = {"customer": "远山商业银行", "handling": "named", "covers": ["name"], "valid_until": "soon"}
    page = browser.post(f"/permissions/{kept}", data=consent)
    assert page.status_code == 422
    assert page.text.count("远山商业银行") == 1
    assert f'href="#{kept}-valid_until"' in page.text
    assert f'id="{kept}-valid_until"' in page.text


def test_files_of_the_registers_are_not_tidied_away(make: Make, tmp_path: object) -> None:
    path = pdf(tmp_path / "consent.pdf", "Signed")  # type: ignore[operator]
    with path.open("rb") as stream:
        kept = filestore.keep(make.service.settings, stream, "consent.pdf")
    with make.service.database.writing() as session:
        registers.put_permission(session, SYSTEM, "", PermissionFields("远山银行", Handling.NAMED), kept)
    with time_machine.travel(clock.now() + timedelta(days=3), tick=True):
        assert filestore.clear(make.service.database, make.service.settings) == 0
    with make.service.database.reading() as session:
        record = session.scalars(select(ReferencePermission)).one()
        served = registers.get_file(session, make.service.settings, SYSTEM, ReferencePermission, record.public_id)
    assert served.path.read_bytes()[:4] == b"%PDF"


def test_the_registers_by_interface(make: Make, sign_in: object) -> None:
    browser = sign_in(make.user(Role.REVIEWER, parties=[Party.LEGAL]))  # type: ignore[operator]
    body = {"kind": "award", "statement": "Product of the year", "issuer": "Association", "dated_on": "2026-01-02"}
    made = browser.post("/api/v1/evidence", json=body)
    assert (made.status_code, made.json["id"], made.json["state"]) == (201, "E-1", "valid")
    changed = browser.put("/api/v1/evidence/E-1", json=body | {"valid_until": "2026-02-01"})
    assert changed.json["state"] == "expired"
    assert browser.post("/api/v1/evidence/E-1/withdraw", json={"reason": "gone"}).json["state"] == "withdrawn"
    assert [row["id"] for row in browser.get("/api/v1/evidence?q=product").json["items"]] == ["E-1"]
    assert browser.put("/api/v1/evidence/E-9", json=body).status_code == 404
    consent = browser.post("/api/v1/reference-permissions", json={"customer": "Halden", "handling": "public"})
    assert (consent.status_code, consent.json["covers"]) == (201, ["name"])
    ended = browser.post(f"/api/v1/reference-permissions/{consent.json['id']}/withdraw", json={"reason": "asked"})
    assert ended.json["state"] == "withdrawn"
