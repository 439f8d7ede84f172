"""The doctor: what is broken is told with what to do, what could be better is advice and breaks nothing."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy.engine import make_url

from content import sample
from kb import backup, clock, config, doctor, users
from kb.access import SYSTEM, Role
from kb.app import Service
from kb.config import Settings
from kb.db import Database
from kb.doctor import Finding
from tests.backups import take
from tests.factories import Make
from tests.kb.conftest import Kb

Environment = Callable[..., None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, bare_environment: None, settings: Settings) -> Environment:
    """Sets the variables of the installation under test."""

    def set_all(**variables: str) -> None:
        given = {"KB_DATA_DIR": str(settings.data_dir), "KB_ENCODER": "off", **variables}
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    set_all()
    return set_all


def finding(part: str) -> Finding:
    return next(one for one in doctor.examine() if one.part == part)


def test_a_new_installation_is_not_told_off_for_having_no_backup(environment: Environment, make: Make) -> None:
    make.user()
    assert (finding("backup").ok, finding("backup").advice) == (True, False)
    assert "kb backup" in finding("backup").message


@pytest.mark.parametrize(("days", "advice"), [(6, False), (8, True)])
def test_no_backup_is_advice_after_a_week(environment: Environment, make: Make, days: int, advice: bool) -> None:
    make.user()
    with time_machine.travel(clock.now() + timedelta(days=days)):
        found = finding("backup")
    assert (found.ok, found.advice) == (True, advice)
    assert ("never" in found.message) is advice


@pytest.mark.parametrize(("days", "advice"), [(0, False), (6, False), (8, True)])
def test_an_old_backup_is_advice_too(
    environment: Environment, service: Service, tmp_path: Path, days: int, advice: bool
) -> None:
    take(service, tmp_path / "b.zip")
    with time_machine.travel(clock.now() + timedelta(days=days)):
        found = finding("backup")
    assert (found.ok, found.advice) == (True, advice)
    assert f"{days} days old" in found.message if advice else "made 20" in found.message


def test_a_backup_that_failed_does_not_count(environment: Environment, service: Service, tmp_path: Path) -> None:
    def full(_name: str) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(backup.CannotBackUp):
        backup.create(service.database, service.settings, SYSTEM, tmp_path / "b.zip", fail_point=full)
    assert finding("backup").message.startswith("none yet")


def test_a_key_that_others_can_read_is_told(environment: Environment, settings: Settings) -> None:
    assert finding("key").ok
    settings.secret_file.chmod(0o644)
    assert (finding("key").ok, "chmod 600" in finding("key").message) == (False, True)


def test_a_key_that_is_a_pattern_is_told(environment: Environment) -> None:
    environment(KB_SECRET_KEY="abcabcabc" * 5)
    assert (finding("key").ok, "guessed" in finding("key").message) == (False, True)
    environment(KB_SECRET_KEY="Rk2vQ8sT1yWm5nXb7cZd9eFg3hJk4lPq")
    assert finding("key").ok


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, ""),
        ({"KB_BASE_URL": "https://kb.company.example", "KB_TRUSTED_PROXIES": "1"}, ""),
        ({"KB_BASE_URL": "https://kb.company.example"}, "KB_TRUSTED_PROXIES=1"),
        ({"KB_BASE_URL": "http://kb.company.example", "KB_ALLOW_HTTP": "1"}, "put https in front"),
        ({"KB_ALLOW_HTTP": "1"}, "remove it"),
        ({"KB_TRUSTED_PROXIES": "2"}, "set KB_BASE_URL"),
        ({"KB_LOG_LEVEL": "DEBUG"}, "INFO is enough"),
    ],
)
def test_A66_weak_settings_are_advice(environment: Environment, variables: dict[str, str], said: str) -> None:
    environment(**variables)
    found = finding("address")
    assert (found.ok, found.advice) == (True, bool(said))
    assert said in found.message


@pytest.mark.parametrize(
    ("url", "readable"),
    [
        ("sqlite:////srv/x", False),
        ("postgresql+psycopg://kb@127.0.0.1/kb", False),
        ("postgresql+psycopg:///kb?host=/var/run/postgresql", False),
        ("postgresql+psycopg://kb@db.company.example/kb", True),
        ("postgresql+psycopg://kb@db.company.example/kb?sslmode=prefer", True),
        ("postgresql+psycopg://kb@db.company.example/kb?sslmode=require", False),
    ],
)
def test_a_database_far_away_is_reached_under_cover(url: str, readable: bool) -> None:
    database = Database(make_url(url).render_as_string(hide_password=False))
    assert bool(doctor._weak_connection(database)) is readable


def test_a_small_disk_is_advice_and_a_full_one_is_not(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(megabytes: int) -> None:
        monkeypatch.setattr("kb.doctor.shutil.disk_usage", lambda _p: type("U", (), {"free": megabytes << 20}))

    free(100_000)
    assert (finding("disk").ok, finding("disk").advice) == (True, False)
    monkeypatch.setattr("kb.doctor.ROOM", 10_000)
    monkeypatch.setattr(Path, "stat", _as_large_as(200 << 20, Path.stat))
    assert (finding("disk").ok, finding("disk").advice) == (True, True)
    free(100)
    assert (finding("disk").ok, finding("disk").advice) == (False, False)


def _as_large_as(size: int, stat: Callable[..., object]) -> Callable[..., object]:
    def grown(path: Path, **how: bool) -> object:
        found = stat(path, **how)
        return type("Stat", (), {"st_size": size, "st_mode": found.st_mode}) if path.suffix == ".sqlite3" else found  # type: ignore[attr-defined]

    return grown


def test_the_password_of_the_demonstration_opens_nothing_that_others_reach(
    kb: Kb, service: Service, quick_passwords: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.load_people(service.database, SYSTEM)
    told = {one["part"]: one for one in kb("doctor", "--json").json()}
    assert told["passwords"]["ok"], "a look around on one's own machine"
    monkeypatch.setenv("KB_BASE_URL", "https://kb.company.example")
    monkeypatch.setenv("KB_TRUSTED_PROXIES", "1")
    ran = kb("doctor", "--json")
    told = {one["part"]: one for one in ran.json()}
    assert (ran.code, told["passwords"]["ok"], "kb demo" in told["passwords"]["message"]) == (1, False, True)
    with service.database.writing() as session:
        for face in sample.faces():
            person = users.get_by_email(session, face.email)
            users.set_password(session, SYSTEM, person, "a password of their own")
    assert kb("doctor", "--json").code == 0


def test_the_doctor_says_how_the_index_is(kb: Kb, service: Service, make: Make) -> None:
    def index() -> dict[str, object]:
        found: dict[str, object] = next(one for one in kb("doctor", "--json").json() if one["part"] == "index")
        return found

    assert index() == {"part": "index", "ok": True, "message": "0 assets", "advice": False}
    make.asset()
    assert (index()["ok"], index()["advice"]) == (True, True), "not indexed yet"
    make.index()
    assert index()["message"] == "1 assets"
    current = service.settings.index_dir / "current"
    current.write_text("nowhere")
    assert "kb index" in str(index()["message"])


def test_advice_is_a_note_and_not_a_failure(kb: Kb, make: Make) -> None:
    make.user(Role.ADMIN)
    with time_machine.travel(clock.now() + timedelta(days=30)):
        ran = kb("doctor")
    assert ran.code == 0
    lines = {line.split()[1]: line.split()[0] for line in ran.err.splitlines() if line[:4] in {"ok  ", "note", "LOOK"}}
    assert (lines["backup"], lines["database"]) == ("note", "ok")
    assert "LOOK" not in lines.values()


def test_every_setting_is_still_told(kb: Kb) -> None:
    told = kb("doctor").err
    assert all(name in told for name, _default, _meaning in config.meanings())
