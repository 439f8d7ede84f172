"""The check on drafts: it stops submission, legal waives with a reason, and a rule is tried before it is in force."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from click.testing import CliRunner
from sqlalchemy import select

from content import drafting, submission
from content.kinds import Handling
from content.models import Asset
from kb import audit, cli, clock
from kb.access import SYSTEM, Actor, Party, Role
from kb.app import Service
from kb.errors import Forbidden, Invalid, NotFound
from kb.users import User
from review import asking, checking, registers, rulebook
from review.checking import ComplianceBlocked, NoSuchFinding, NotLegal
from review.compliance import Severity
from review.registers import EvidenceFields, EvidenceKind
from tests.factories import Make

CLAIM = "Our platform is 100% secure."
OTHER = "It cuts onboarding time by 40%."


def ready(make: Make, text: str, handling: Handling = Handling.PUBLIC) -> Asset:
    """A draft that lacks nothing."""
    make.stages()
    owner = make.user(Role.MARKETER)
    tags = [make.stage_id("discovery")]
    return make.asset("Ready", f"## Say\n\n{text}", publish=False, tags=tags, owners=[owner], handling=handling)


def legal(make: Make) -> Actor:
    return make.actor(make.user(Role.REVIEWER, parties=[Party.LEGAL]))


def ask(make: Make, asset: Asset) -> None:
    with make.service.database.writing() as session:
        asking.ask(session, SYSTEM, asset.public_id, "E-17 proves it")


def rewrite(make: Make, asset: Asset, text: str) -> None:
    with make.service.database.writing() as session:
        draft = drafting.get_draft(session, SYSTEM, asset.public_id)
        wording = drafting.wording_of(draft, {"text": f"## Say\n\n{text}"})
        drafting.put_draft(
            session, SYSTEM, asset.public_id, draft.revision, wording, drafting.service.render(wording.text)
        )


def submit(make: Make, asset: Asset) -> None:
    make.panel()
    with make.service.database.writing() as session:
        submission.submit(session, SYSTEM, asset.public_id)


def waive(make: Make, asset: Asset, who: Actor, **given: str) -> str:
    base = {"rule": "promise", "passage": CLAIM, "reason": "Quoted from the contract", "evidence": ""}
    if Party.LEGAL in who.parties:
        ask(make, asset)
    with make.service.database.writing() as session:
        return checking.waive(session, who, asset.public_id, **(base | given)).public_id


def test_a_finding_that_stops_keeps_a_draft_from_being_submitted(make_any: Make) -> None:
    asset = ready(make_any, f"{CLAIM} {OTHER}")
    with pytest.raises(ComplianceBlocked) as stopped:
        submit(make_any, asset)
    assert [one["rule"] for one in stopped.value.details["findings"]] == ["promise", "figure"]  # type: ignore[attr-defined]
    rewrite(make_any, asset, "It cuts onboarding time by 40% (source: delivery review, 2026).")
    submit(make_any, asset)


def test_a_title_is_checked_too(make: Make) -> None:
    make.stages()
    asset = make.asset(
        "The No. 1 vendor in data platforms", "## Say\n\nPlain.", handling=Handling.PUBLIC, publish=False,
        tags=[make.stage_id("discovery")], owners=[make.user(Role.MARKETER)],
    )  # fmt: skip
    with pytest.raises(ComplianceBlocked):
        submit(make, asset)
    with make.service.database.reading() as session:
        checked = checking.check_draft(session, SYSTEM, asset.public_id)
    assert [(one.finding.rule, one.finding.start) for one in checked.found] == [("rank", -1)]


def test_legal_waives_a_sentence_until_it_changes(make_any: Make) -> None:
    make = make_any
    asset = ready(make, CLAIM)
    waive(make, asset, legal(make))
    submit(make, asset)
    with make.service.database.writing() as session:
        submission.take_back(session, SYSTEM, asset.public_id)
    rewrite(make, asset, f"Something else stands before it.\n\n{CLAIM}")
    with make.service.database.reading() as session:
        told = checking.check_draft(session, SYSTEM, asset.public_id).found[0]
    assert told.waived is not None
    assert (told.stops, told.waived.is_carried, told.waived.reason) == (False, True, "Quoted from the contract")
    submit(make, asset)
    with make.service.database.writing() as session:
        submission.take_back(session, SYSTEM, asset.public_id)
    rewrite(make, asset, "Our new platform is 100% secure.")
    with pytest.raises(ComplianceBlocked):
        submit(make, asset)


def test_a_waiver_given_for_less_does_not_hold_for_more(make: Make) -> None:
    asset = ready(make, CLAIM, Handling.NAMED)
    waive(make, asset, legal(make))
    with make.service.database.reading() as session:
        stops = [
            checking.check_draft(session, SYSTEM, asset.public_id, handling=handling).stopping
            for handling in (Handling.NAMED, Handling.PUBLIC)
        ]
    assert stops == [0, 1]


def test_a_waiver_ends_with_its_evidence_and_when_it_is_taken_back(make: Make) -> None:
    asset, who = ready(make, f"{CLAIM}\n\n{OTHER}"), legal(make)
    until = clock.now().date() + timedelta(days=3)
    with make.service.database.writing() as session:
        registers.put_evidence(
            session, SYSTEM, "", EvidenceFields(EvidenceKind.TEST, "Measured", "Laboratory", valid_until=until)
        )
    waive(make, asset, who, evidence="e-1")
    taken_back = waive(make, asset, who, rule="figure", passage=OTHER)
    submit(make, asset)
    with time_machine.travel(clock.now() + timedelta(days=5), tick=True), make.service.database.reading() as session:
        stopping = [
            one.finding.rule for one in checking.check_draft(session, SYSTEM, asset.public_id).found if one.stops
        ]
    assert stopping == ["promise"]
    ask(make, asset)
    with make.service.database.writing() as session:
        checking.revoke(session, who, asset.public_id, taken_back)
    with make.service.database.reading() as session:
        stopping = [
            one.finding.rule for one in checking.check_draft(session, SYSTEM, asset.public_id).found if one.stops
        ]
        actions = [row.action for row in session.scalars(select(audit.AuditEntry)) if "compliance" in row.action]
    assert stopping == ["figure"]
    waived = ["compliance.ask", "compliance.waive", "compliance.waive", "compliance.answer"]
    assert actions == [*waived, "compliance.ask", "compliance.revoke"]


def test_who_waives_what(make: Make) -> None:
    asset = ready(make, CLAIM)
    sales = make.actor(make.user(Role.REVIEWER, parties=[Party.SALES]))
    with pytest.raises(NotFound):
        waive(make, asset, sales)
    with pytest.raises(NotLegal):
        waive(make, asset, make.actor(make.user(Role.MARKETER)))
    with pytest.raises(Forbidden):
        waive(make, asset, make.actor(make.user(Role.REP)))
    for given, refusal, code in (
        ({"passage": "Another sentence."}, NoSuchFinding, "no_such_finding"),
        ({"rule": "rank"}, NoSuchFinding, "no_such_finding"),
        ({"reason": " "}, Invalid, "reason_missing"),
        ({"evidence": "E-99"}, Invalid, "evidence_unknown"),
    ):
        with pytest.raises(refusal) as refused:
            waive(make, asset, legal(make), **given)
        assert refused.value.code == code


def test_nobody_waives_on_words_of_their_own(make: Make) -> None:
    both = make.user(Role.REVIEWER, Role.MARKETER, parties=[Party.LEGAL])
    make.stages()
    asset = make.asset(
        "Own", f"## Say\n\n{CLAIM}", handling=Handling.PUBLIC, publish=False, tags=[make.stage_id("discovery")],
        owners=[both], author=both,
    )  # fmt: skip
    with pytest.raises(Forbidden) as refused:
        waive(make, asset, make.actor(both))
    assert refused.value.code == "own_work"


# --- rules ---


def test_a_changed_rule_is_in_force_at_once_and_goes_back_to_what_ships(make: Make) -> None:
    asset = ready(make, "Ask for the Foobar edition.")
    wanted = rulebook.read_rule("term", is_on=True, severity={"public": "block"}, words=["Foobar"], excuses=[])
    with make.service.database.writing() as session, pytest.raises(Forbidden):
        rulebook.change(session, make.actor(make.user(Role.MARKETER)), wanted)
    with make.service.database.writing() as session:
        rulebook.change(session, make.actor(make.user(Role.ADMIN)), wanted)
    with pytest.raises(ComplianceBlocked):
        submit(make, asset)
    with make.service.database.writing() as session:
        rulebook.reset(session, SYSTEM, "term")
    submit(make, asset)


def test_a_rule_that_is_switched_off_finds_nothing_but_can_be_tried(make: Make) -> None:
    make.asset("Claim", f"## Say\n\n{CLAIM}", handling=Handling.PUBLIC)
    off = rulebook.read_rule("promise", is_on=False, severity={}, words=[], excuses=[])
    with make.service.database.writing() as session:
        rulebook.change(session, SYSTEM, off)
    with make.service.database.reading() as session:
        assert checking.check_text(session, CLAIM, Handling.PUBLIC) == []
        found, count, read = checking.try_rule(session, SYSTEM, off)
    assert ([one.finding.severity for one in found], count, read) == ([Severity.BLOCK], 1, 1)


def test_trying_a_rule_reads_what_the_person_may_edit_alone(make: Make) -> None:
    make.asset("Hidden", f"## Say\n\n{CLAIM}", handling=Handling.PUBLIC, teams=["legal"])
    make.asset("Open", f"## Say\n\n{CLAIM}", handling=Handling.PUBLIC)
    marketer = make.actor(make.user(Role.MARKETER))
    with make.service.database.reading() as session:
        mine = checking.try_rule(session, marketer, rulebook.get(session, "promise").rule)
    assert ([one.title for one in mine[0]], mine[1]) == (["Open"], 1)


# --- pages, interface, command ---


def test_the_pages_of_the_check(make: Make, sign_in: object) -> None:
    asset = ready(make, CLAIM)
    marketer = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    assert "promise" in marketer.get("/compliance").text
    checked = marketer.post("/compliance/check", data={"text": CLAIM, "handling": "public"}).text
    assert "100% secure" in checked
    assert "<script>" not in marketer.post("/compliance/check", data={"text": f"<script>x</script> {CLAIM}"}).text
    assert marketer.get("/compliance/none").status_code == 404
    assert marketer.post("/compliance/promise", data={"on": "1"}).status_code == 403
    tried = marketer.post("/compliance/promise/try", data={"on": "1", "severity-public": "block"})
    assert tried.status_code == 200
    assert "read" in tried.text
    typed = marketer.post(
        f"/assets/{asset.public_id}/findings", data={"text": OTHER, "title": "T", "handling": "public"}
    ).text
    assert "onboarding time by 40%" in typed
    assert 'data-stopping="1"' in typed
    admin = sign_in(make.user(Role.ADMIN))  # type: ignore[operator]
    kept = admin.post("/compliance/promise", data={"on": "1", "severity-public": "warn", "words": "never ever"})
    assert kept.status_code == 302
    assert "never ever" in admin.get("/compliance/promise").text
    assert admin.post("/compliance/promise", data={"severity-public": "explode"}).status_code == 422
    assert admin.post("/compliance/promise/reset").status_code == 302


def test_a_reviewer_of_legal_waives_on_the_page(make: Make, sign_in: object) -> None:
    asset = ready(make, CLAIM)
    browser = sign_in(make.user(Role.REVIEWER, parties=[Party.LEGAL]))  # type: ignore[operator]
    assert browser.get(f"/assets/{asset.public_id}/findings").status_code == 404
    marketer = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    assert "Ask legal" in marketer.get(f"/assets/{asset.public_id}/findings").text
    asked = marketer.post(f"/assets/{asset.public_id}/ask-legal", data={"note": "E-17 proves it"})
    assert asked.status_code == 302
    assert "Legal is asked" in marketer.get(f"/assets/{asset.public_id}/findings").text
    assert "E-17 proves it" in browser.get("/compliance").text
    assert "You are asked to look" in browser.get("/notices").text
    page = browser.get(f"/assets/{asset.public_id}/findings").text
    assert "Waive this finding" in page
    sent = {"rule": "promise", "passage": CLAIM, "reason": "Quoted", "evidence": ""}
    assert browser.post(f"/assets/{asset.public_id}/waivers", data=sent).status_code == 302
    assert "Quoted" in browser.get(f"/assets/{asset.public_id}/findings").text
    told = browser.get(f"/api/v1/assets/{asset.public_id}/findings").json
    assert (told["blocking"], told["findings"][0]["waived"]) == (0, "Quoted")
    assert browser.post(f"/assets/{asset.public_id}/answered").status_code == 302
    assert browser.get(f"/assets/{asset.public_id}/findings").status_code == 404
    make.panel()
    assert marketer.post(f"/api/v1/assets/{asset.public_id}/submit", json={}).status_code in {200, 201}


def test_legal_is_asked_once_and_only_those_who_may_read_it(make: Make) -> None:
    asset = ready(make, CLAIM)
    with make.service.database.writing() as session, pytest.raises(asking.NobodyToAsk):
        asking.ask(session, SYSTEM, asset.public_id, "")
    who = legal(make)
    ask(make, asset)
    ask(make, asset)
    with make.service.database.reading() as session:
        assert [one.note for one in asking.list_open(session, who)] == ["E-17 proves it"]
        assert asking.list_open(session, make.actor(make.user(Role.REVIEWER, parties=[Party.SALES]))) == []
    make.set_asset(asset, tier="confidential")
    with make.service.database.reading() as session:
        assert asking.list_open(session, who) == []


def test_the_check_by_interface(make: Make, sign_in: object) -> None:
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    answer = browser.post("/api/v1/compliance/check", json={"text": CLAIM, "handling": "public"}).json
    assert (answer["blocking"], answer["findings"][0]["rule"], answer["findings"][0]["start"]) == (1, "promise", 16)
    assert browser.post("/api/v1/compliance/check", json={"text": CLAIM, "handling": "all"}).status_code == 422
    asset = ready(make, CLAIM)
    stopped = browser.post(f"/api/v1/assets/{asset.public_id}/submit", json={})
    assert (stopped.status_code, stopped.json["code"]) == (409, "compliance_blocked")
    assert sign_in(make.user(Role.REP)).post("/api/v1/compliance/check", json={"text": "x"}).status_code == 403  # type: ignore[operator]


def test_the_check_by_command(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(service.settings.data_dir))
    monkeypatch.setenv("KB_ENCODER", "off")
    (tmp_path / "text.md").write_text(f"## Say\n\n{CLAIM}\n", "utf-8")
    command = ["compliance", "check", str(tmp_path / "text.md"), "--handling", "public"]
    told = json.loads(CliRunner().invoke(cli.cli, [*command, "--json"]).stdout)
    assert [(one["rule"], one["severity"], one["quote"]) for one in told] == [("promise", "block", "100% secure")]
    assert set(told[0]) == {"rule", "severity", "quote", "start", "end", "basis"}
    piped = CliRunner().invoke(cli.cli, ["compliance", "check", "-", "--handling", "spoken", "--json"], input=CLAIM)
    assert json.loads(piped.stdout)[0]["severity"] == "warn"
    assert "line 3" in CliRunner().invoke(cli.cli, command).output
    (tmp_path / "bad.md").write_bytes(b"\xff\xfe\x00")
    wrong = CliRunner().invoke(cli.cli, ["compliance", "check", str(tmp_path / "bad.md"), "--handling", "public"])
    assert "not UTF-8" in wrong.output + str(wrong.exception)


def test_people_of_the_roles(make: Make) -> None:
    people: dict[Role, User] = {role: make.user(role) for role in Role}
    with make.service.database.reading():
        assert {role for role, person in people.items() if make.actor(person).may(checking.Permission.PROVE)} == {
            Role.MARKETER,
            Role.REVIEWER,
            Role.ADMIN,
        }
