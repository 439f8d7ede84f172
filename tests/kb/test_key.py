"""A new key signs nobody out; a forgotten one does; neither is ever half written, shown or readable by others."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from kb import cli, config, sessions
from kb.app import Service, create_app, open_service
from kb.config import Settings, prepare_data_dir
from kb.errors import WrongSettings
from kb.users import User
from tests.factories import Make

COOKIE = "__Host-kb"


def settings(folder: Path) -> Settings:
    return prepare_data_dir(config.load({}, data_dir=folder))


def cookie_of(folder: Path, user: User) -> str:
    opened: Service = open_service(settings(folder))
    with opened.database.writing() as db:
        token = sessions.open_for(db, db.get_one(User, user.id))
    app = create_app(opened)
    signer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
    opened.close()
    return str(signer.dumps({"_user_id": token, "_fresh": True}))


def answers(folder: Path, cookie: str) -> int:
    opened = open_service(settings(folder))
    browser = create_app(opened).test_client()
    browser.set_cookie(COOKIE, cookie, domain="localhost", secure=True)
    status = browser.get("/account/", base_url="https://localhost").status_code
    opened.close()
    return status


def kb(*words: str) -> str:
    got = CliRunner().invoke(cli.cli, ["key", *words])
    assert got.exception is None, str(got.exception)
    return got.output


@pytest.fixture
def folder(make: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that keeps its key itself."""
    found = make.service.settings.data_dir
    monkeypatch.setenv("KB_DATA_DIR", str(found))
    monkeypatch.setenv("KB_ENCODER", "off")
    monkeypatch.delenv("KB_SECRET_KEY", raising=False)
    return found


def test_a_new_key_signs_nobody_out_and_a_forgotten_one_does(make: Make, folder: Path) -> None:
    user = make.user()
    cookie, first = cookie_of(folder, user), settings(folder).secret_key
    assert answers(folder, cookie) == 200
    kb("rotate")
    now = settings(folder)
    assert (now.secret_key != first, config.former_keys(now)) == (True, [first])
    assert answers(folder, cookie) == 200
    told = kb("forget")
    assert "1 former" in told
    assert answers(folder, cookie) == 302
    file = now.secret_file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in folder.glob("secret.*")] == ["secret.key"]
    assert now.secret_key not in told + repr(now)
    assert first not in repr(now)


def test_a_key_that_was_typed_by_hand_is_one_key(folder: Path) -> None:
    typed = "a long sentence, with signs and spaces, that somebody typed"
    file = settings(folder).secret_file
    file.write_text(typed)
    assert settings(folder).secret_key == typed
    kb("rotate")
    assert config.former_keys(settings(folder)) == [typed]


def test_two_former_keys_are_kept_at_most(folder: Path) -> None:
    for _ in range(4):
        kb("rotate")
    assert len(config.former_keys(settings(folder))) == 2
    assert "former keys still hold" in CliRunner().invoke(cli.cli, ["doctor"]).output


def test_a_key_of_the_environment_is_rotated_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(folder)
    monkeypatch.setenv("KB_SECRET_KEY", "Rk2vQ8sT1yWm5nXb7cZd9eFg3hJk4lPq")
    before = (folder / "secret.key").read_text()
    got = CliRunner().invoke(cli.cli, ["key", "rotate"])
    assert isinstance(got.exception, WrongSettings | SystemExit)
    assert (folder / "secret.key").read_text() == before
    former = config.load(
        {"KB_FORMER_SECRET_KEYS": "Rk2vQ8sT1yWm5nXb7cZd9eFg3hJk4lPq, Zk2vQ8sT1yWm5nXb7cZd9eFg3hJk4lPq"}
    )
    assert len(config.former_keys(former)) == 2
    with pytest.raises(WrongSettings, match="KB_FORMER_SECRET_KEYS"):
        config.load({"KB_FORMER_SECRET_KEYS": "short"})
