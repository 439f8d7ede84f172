"""The command: results on standard output, everything else on standard error, 0 or 1 or 2."""

import json
import stat
from pathlib import Path

import pytest
from sqlalchemy import select, text

from kb import audit, config, db, users
from kb.access import Party, Role, Tier
from kb.config import Settings
from kb.db import Database
from kb.tokens import ApiToken
from tests.kb.conftest import Kb

ASSET = "---\nexternal_id: FAQ-1\ntype: faq\ntitle: How is data kept\nlanguage: en\nowners: [lin@yunshu.example]\n---\n\nData is kept encrypted in two regions.\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "faq.md").write_text(ASSET, encoding="utf-8")
    (folder / "bad.md").write_text("---\ntype: poem\n---\n\nRoses are red.\n", encoding="utf-8")
    (folder / "people.csv").write_text(
        "email,name,role,party\nlin@yunshu.example,林悦,rep,\nsu@yunshu.example,苏晴,reviewer,legal\n", encoding="utf-8"
    )
    (folder / "wrong.csv").write_text(
        "email,name,role\nnobody,Nobody,rep\nok@yunshu.example,Ok,rep\n", encoding="utf-8"
    )
    return folder


def database(settings: Settings) -> Database:
    return Database(settings.sqlalchemy_url)


def test_without_arguments_and_with_wrong_ones_it_explains_itself(kb: Kb) -> None:
    assert kb("--help").code == 0
    assert "kb doctor" in " ".join(kb("--help").out.split())
    for arguments in (
        ("no-such-command",),
        ("user", "add"),
        ("serve", "--port", "0"),
        ("serve", "--port", "many"),
        ("search", "x", "--mode", "psychic"),
        ("import", "assets"),
    ):
        ran = kb(*arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert ran.err


def test_wrong_settings_are_one_answer_and_no_trace(kb: Kb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_TIMEZONE", "Mars/Base")
    monkeypatch.setenv("KB_LANGUAGE", "fr")
    ran = kb("index", "check")
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.strip().splitlines()) == 2
    assert "Traceback" not in ran.err


def test_init_makes_an_installation_and_prints_the_first_sign_in(
    kb: Kb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new"
    monkeypatch.setenv("KB_DATA_DIR", str(folder))
    monkeypatch.delenv("KB_SECRET_KEY")
    ran = kb("init", "--admin", "Root@Yunshu.example")
    assert ran.code == 0
    email, password = ran.out.split()
    assert (email, len(ran.out.splitlines())) == ("root@yunshu.example", 1)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secret.key").stat().st_mode) == 0o600
    opened = database(config.load({}, data_dir=folder))
    with opened.reading() as session:
        user = users.get_by_email(session, email)
        assert users.verify_password(user, password)
        assert users.actor_of(user).roles == {Role.ADMIN}
    opened.close()


def test_init_again_keeps_what_is_there_and_refuses_the_same_admin(kb: Kb) -> None:
    assert kb("init", "--admin", "root@yunshu.example").code == 0
    assert kb("init").code == 0
    ran = kb("init", "--admin", "root@yunshu.example")
    assert (ran.code, ran.out) == (1, "")
    assert "root@yunshu.example" in ran.err


def test_migrate_is_safe_to_run_again(kb: Kb) -> None:
    assert kb("migrate").code == 0
    assert kb("migrate").code == 0


def test_commands_on_no_installation_say_how_to_begin(kb: Kb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(tmp_path / "new"))
    for arguments in (
        ("index", "check"),
        ("audit", "verify"),
        ("search", "x"),
        ("user", "add", "a@b.c", "--role", "rep"),
    ):
        ran = kb(*arguments)
        assert (ran.code, ran.out) == (1, "")
        assert "kb init" in ran.err


def test_doctor_says_ok_to_a_sound_installation(kb: Kb) -> None:
    ran = kb("doctor", "--json")
    assert {finding["part"] for finding in ran.json()} >= {"settings", "folder", "disk", "database", "queue", "audit"}
    assert (ran.code, [f for f in ran.json() if not f["ok"]]) == (0, [])
    told = kb("doctor")
    assert (told.code, told.out) == (0, "")
    for name, _default, _meaning in config.meanings():
        assert name in told.err


def test_doctor_says_what_to_do_and_exits_1(kb: Kb, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.data_dir.chmod(0o755)
    ran = kb("doctor", "--json")
    assert ran.code == 1
    assert [(f["part"], "chmod 700" in f["message"]) for f in ran.json() if not f["ok"]] == [("folder", True)]
    monkeypatch.setenv("KB_LANGUAGE", "fr")
    ran = kb("doctor", "--json")
    assert (ran.code, ran.json()[0]["part"], ran.json()[0]["ok"]) == (1, "settings", False)


def test_doctor_shows_no_password_of_the_database(kb: Kb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATABASE_URL", "postgresql+psycopg://kb:hush-hush@127.0.0.1:1/kb")
    ran = kb("doctor", "--json")
    assert ran.code == 1
    assert "hush-hush" not in ran.out + ran.err


def test_user_add_prints_the_password_alone(kb: Kb, settings: Settings) -> None:
    ran = kb(
        "user",
        "add",
        "su@yunshu.example",
        "--role",
        "reviewer,marketer",
        "--party",
        "legal",
        "--party",
        "sales",
        "--clearance",
        "restricted",
        "--team",
        "east",
        "--team",
        "west",
        "--name",
        "苏晴",
    )
    assert ran.code == 0
    password = ran.out.strip()
    assert len(password) >= 12
    assert ran.out.count("\n") == 1
    opened = database(settings)
    with opened.reading() as session:
        user = users.get_by_email(session, "su@yunshu.example")
        actor = users.actor_of(user)
        assert users.verify_password(user, password)
        assert (actor.roles, actor.parties, actor.clearance, len(actor.team_ids)) == (
            {Role.REVIEWER, Role.MARKETER},
            {Party.LEGAL, Party.SALES},
            Tier.RESTRICTED,
            2,
        )
        entry = session.scalars(select(audit.AuditEntry)).one()
        assert entry.actor.startswith("operator:")
        assert password not in str(entry.details)
    opened.close()


def test_user_add_takes_the_password_from_standard_input_and_prints_nothing(kb: Kb, settings: Settings) -> None:
    ran = kb("user", "add", "lin@yunshu.example", "--role", "rep", "--password-stdin", stdin="correct horse battery\n")
    assert (ran.code, ran.out) == (0, "")
    opened = database(settings)
    with opened.reading() as session:
        assert users.verify_password(users.get_by_email(session, "lin@yunshu.example"), "correct horse battery")
    opened.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody", "--role", "rep"), "nobody"),
        (("lin@yunshu.example", "--role", "boss"), "boss"),
        (("lin@yunshu.example", "--role", "rep", "--clearance", "cosmic"), "cosmic"),
        (("lin@yunshu.example", "--role", "rep", "--party", "finance"), "finance"),
    ],
)
def test_user_add_refuses_in_one_line(kb: Kb, arguments: tuple[str, ...], said: str) -> None:
    ran = kb("user", "add", *arguments)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_user_add_refuses_a_weak_password_and_a_second_time(kb: Kb) -> None:
    assert kb("user", "add", "lin@yunshu.example", "--role", "rep", "--password-stdin", stdin="short\n").code == 1
    assert kb("user", "add", "lin@yunshu.example", "--role", "rep").code == 0
    assert kb("user", "add", "LIN@yunshu.example", "--role", "rep").code == 1


def test_token_create_prints_the_token_alone(kb: Kb, settings: Settings) -> None:
    kb("user", "add", "lin@yunshu.example", "--role", "rep")
    ran = kb("token", "create", "lin@yunshu.example", "--scope", "search,use", "--scope", "account")
    assert ran.code == 0
    assert ran.out.startswith("kb_")
    assert ran.out.count("\n") == 1
    opened = database(settings)
    with opened.reading() as session:
        assert session.scalars(select(ApiToken.scopes)).one() == ["account", "search", "use"]
    opened.close()


def test_token_create_refuses_unknown_people_and_scopes(kb: Kb) -> None:
    assert kb("token", "create", "nobody@yunshu.example").code == 1
    kb("user", "add", "lin@yunshu.example", "--role", "rep")
    ran = kb("token", "create", "lin@yunshu.example", "--scope", "root")
    assert (ran.code, ran.out) == (1, "")
    assert "root" in ran.err


def test_import_users_then_assets_then_find_them(kb: Kb, files: Path) -> None:
    assert kb("import", "users", files / "people.csv", "--json").json() == {
        "created": 2,
        "updated": 0,
        "unchanged": 0,
        "failed": [],
        "warnings": [],
    }
    assert kb("import", "users", files / "people.csv", "--json").json()["unchanged"] == 2
    ran = kb("import", "assets", files / "faq.md", "--publish", "--json")
    assert (ran.code, ran.json()["created"]) == (0, 1)
    assert kb("import", "assets", files / "faq.md", "--publish", "--json").json()["unchanged"] == 1
    found = kb("search", "encrypted data", "--json").json()
    assert [hit["external_id"] for hit in found["hits"]] == ["FAQ-1"]
    assert {"query", "mode", "took_ms", "total", "hits", "facets", "locked", "limited"} <= found.keys()
    assert {
        "id",
        "external_id",
        "title",
        "type",
        "language",
        "score",
        "snippet",
        "passage",
        "why",
        "unverified",
        "handling",
        "lift",
    } <= found["hits"][0].keys()
    shown = kb("search", "encrypted data")
    assert "How is data kept" in shown.out
    assert kb("search", "encrypted data", "--as", "lin@yunshu.example", "--type", "faq", "--json").json()["total"] == 1
    assert kb("search", "encrypted data", "--type", "deck", "--json").json()["total"] == 0


def test_a_draft_is_found_by_nobody(kb: Kb, files: Path) -> None:
    assert kb("import", "assets", files / "faq.md").code == 0
    assert kb("search", "encrypted data", "--json").json()["total"] == 0


def test_failures_of_an_import_are_reported_and_exit_1(kb: Kb, files: Path) -> None:
    ran = kb("import", "assets", files, "--json")
    assert ran.code == 1
    report = ran.json()
    assert report["created"] == 1
    assert [(Path(f["path"]).name, f["code"]) for f in report["failed"]] == [("bad.md", "unknown_type")]
    assert all(set(failure) == {"path", "line", "code", "message"} for failure in report["failed"])
    told = kb("import", "assets", files / "bad.md")
    assert (told.code, told.out) == (1, "")
    assert "bad.md:" in told.err
    assert "poem" in told.err
    ran = kb("import", "users", files / "wrong.csv", "--json")
    assert (ran.code, ran.json()["created"], [f["line"] for f in ran.json()["failed"]]) == (1, 1, [2])


def test_import_refuses_an_owner_nobody_knows_before_it_begins(kb: Kb, files: Path) -> None:
    ran = kb("import", "assets", files, "--owner", "nobody@yunshu.example", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "nobody@yunshu.example" in ran.err


@pytest.mark.parametrize("kind", ["users", "deals", "stages", "usage", "assets"])
def test_a_file_that_is_not_there_is_one_failure(kb: Kb, kind: str, tmp_path: Path) -> None:
    ran = kb("import", kind, tmp_path / "missing.csv" if kind != "assets" else tmp_path / "missing.md", "--json")
    assert ran.code == 1
    assert [failure["code"] for failure in ran.json()["failed"]] == ["not_found"]


@pytest.mark.parametrize(
    "arguments",
    [("search", "x" * 3_000), ("search", "x", "--as", "nobody@yunshu.example"), ("search", "x", "--deal", "D-none")],
    ids=["long", "person", "deal"],
)
def test_search_refuses_in_one_line(kb: Kb, arguments: tuple[str, ...]) -> None:
    ran = kb(*arguments, "--json")
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.strip().splitlines()) == 1


def test_index_check_and_rebuild_agree_with_the_database(kb: Kb, files: Path, settings: Settings) -> None:
    kb("import", "assets", files / "faq.md", "--publish")
    assert kb("index", "check", "--json").json() == {
        "assets": 1,
        "missing": 0,
        "stale": 0,
        "surplus": 0,
        "was_damaged": False,
        "waiting": 0,
    }
    assert kb("index", "rebuild", "--json").json() == {"assets": 1}
    opened = database(settings)
    with opened.writing() as session:
        session.execute(text("UPDATE asset SET type = 'deck'"))
    opened.close()
    ran = kb("index", "check", "--json")
    assert (ran.code, ran.json()["stale"]) == (0, 1)
    assert kb("index", "check", "--json").json()["stale"] == 0
    assert "agrees" in kb("index", "check").err


def test_audit_verify_prints_the_head_and_exits_1_when_broken(kb: Kb, settings: Settings) -> None:
    kb("user", "add", "lin@yunshu.example", "--role", "rep")
    kb("user", "add", "su@yunshu.example", "--role", "rep")
    ran = kb("audit", "verify", "--json")
    assert (ran.code, ran.json()["intact"], ran.json()["entries"], len(ran.json()["head"])) == (0, True, 2, 64)
    opened = database(settings)
    with opened.writing() as session:
        session.execute(text("DROP TRIGGER audit_entry_keep_update"))
        session.execute(text("UPDATE audit_entry SET actor = 'nobody' WHERE sequence = 2"))
    opened.close()
    ran = kb("audit", "verify", "--json")
    assert (ran.code, ran.json()["intact"], ran.json()["broken_at"]) == (1, False, 2)
    assert "row 2 was changed" in kb("audit", "verify").err
    assert kb("doctor", "--json").code == 1


@pytest.mark.parametrize(
    "arguments", [("doctor",), ("search", "x"), ("index", "check"), ("index", "rebuild"), ("audit", "verify")]
)
def test_json_is_one_value_and_nothing_else(kb: Kb, arguments: tuple[str, ...]) -> None:
    ran = kb(*arguments, "--json")
    assert ran.code == 0
    assert json.loads(ran.out) is not None
    assert ran.out.count("\n") == 1


def test_the_hidden_word_for_child_processes_is_refused_to_people(kb: Kb) -> None:
    assert kb("serve", "--inherited").code == 2


def test_no_command_leaves_the_database_bound_to_a_closed_file(kb: Kb) -> None:
    kb("audit", "verify")
    assert db.current() is not None
