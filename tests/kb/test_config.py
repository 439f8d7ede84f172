"""Settings: read once, frozen, every mistake told at once."""

import stat
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from kb import config
from kb.config import Settings, prepare_data_dir
from kb.errors import WrongSettings

GOOD_SECRET = "0123456789abcdef0123456789abcdef"


def refusal(environment: dict[str, str]) -> str:
    with pytest.raises(WrongSettings) as told:
        config.load(environment)
    return str(told.value)


def test_without_any_variable_the_defaults_hold() -> None:
    settings = config.load({})
    assert settings == Settings()
    assert settings.sqlalchemy_url == "sqlite:///kb-data/kb.sqlite3"
    assert (settings.timezone, settings.language) == ("Asia/Shanghai", "zh_Hans")


def test_variables_of_others_are_left_alone() -> None:
    assert config.load({"PATH": "/usr/bin", "XKB_DEFAULT": "us"}) == Settings()


def test_all_mistakes_are_told_at_once() -> None:
    wrong = {
        "KB_SECRET_KEY": "short",
        "KB_TIMEZONE": "Mars/Base",
        "KB_LANGUAGE": "fr",
        "KB_MAX_UPLOAD_MB": "0",
        "KB_TRUSTED_PROXIES": "-1",
        "KB_LOG_LEVEL": "LOUD",
        "KB_DATABASE_URL": "mysql://host/kb",
        "KB_BASE_URL": "kb.company.example",
    }
    assert {line.split()[0] for line in refusal(wrong).splitlines()} == set(wrong)


def test_mistakes_of_every_sort_are_told_together() -> None:
    """What cannot be read, what is unknown and what makes no sense stand in one message."""
    told = refusal(
        {"KB_MAX_UPLOAD_MB": "many", "KB_ALLOW_HTTP": "perhaps", "KB_LANGAUGE": "en", "KB_TIMEZONE": "Mars/Base"}
    )
    for name in ("KB_MAX_UPLOAD_MB", "KB_ALLOW_HTTP", "KB_LANGAUGE", "KB_TIMEZONE"):
        assert name in told
    assert len(told.splitlines()) == 4


def test_a_misspelt_variable_is_refused_and_named() -> None:
    assert "KB_DATABSE_URL" in refusal({"KB_DATABSE_URL": "sqlite:///x"})


@pytest.mark.parametrize(
    ("raw", "flag"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("no", False), ("", False)],
)
def test_flags_are_read_as_people_write_them(raw: str, flag: bool) -> None:
    assert config.load({"KB_ALLOW_HTTP": raw}).allow_http is flag


def test_spaces_around_a_value_do_not_count() -> None:
    assert config.load({"KB_LANGUAGE": " en "}).language == "en"


def test_what_is_given_in_code_wins_over_the_environment() -> None:
    assert config.load({"KB_LANGUAGE": "en"}, language="zh_Hans").language == "zh_Hans"


@pytest.mark.parametrize("secret", ["x", "change-me", GOOD_SECRET[:-1]])
def test_a_weak_secret_is_refused_with_what_to_do_and_is_not_repeated(secret: str) -> None:
    told = refusal({"KB_SECRET_KEY": secret})
    assert "leave it empty and one is made" in told
    assert f" {secret} " not in f" {told} "


def test_the_secret_is_in_no_printed_form_of_the_settings() -> None:
    settings = config.load({"KB_SECRET_KEY": GOOD_SECRET})
    assert GOOD_SECRET not in repr(settings)
    assert GOOD_SECRET not in str(settings)


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(FrozenInstanceError):
        config.load({}).language = "en"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("address", "others", "taken"),
    [
        ("https://kb.company.example", {}, True),
        ("http://127.0.0.1:8000", {}, True),
        ("http://localhost:8000", {}, True),
        ("http://kb.company.example", {}, False),
        ("http://kb.company.example", {"KB_ALLOW_HTTP": "1"}, True),
        ("ftp://kb.company.example", {"KB_ALLOW_HTTP": "1"}, False),
        ("https://", {}, False),
    ],
)
def test_plain_http_elsewhere_needs_a_word(address: str, others: dict[str, str], taken: bool) -> None:
    environment = {"KB_BASE_URL": address, **others}
    if taken:
        assert config.load(environment).base_url == address
    else:
        assert "KB_BASE_URL" in refusal(environment)


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = prepare_data_dir(config.load({}, data_dir=folder))
    second = prepare_data_dir(config.load({}, data_dir=folder))
    kept = folder / "secret.key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert first.secret_key == second.secret_key == kept.read_text().strip()
    assert len(first.secret_key) >= 32


def test_two_installations_do_not_share_a_secret(tmp_path: Path) -> None:
    one, other = (prepare_data_dir(config.load({}, data_dir=tmp_path / name)) for name in ("one", "other"))
    assert one.secret_key != other.secret_key


def test_a_given_secret_is_not_written_down(tmp_path: Path) -> None:
    prepare_data_dir(config.load({"KB_SECRET_KEY": GOOD_SECRET}, data_dir=tmp_path / "data"))
    assert list((tmp_path / "data").iterdir()) == []


def test_a_kept_secret_that_was_emptied_is_refused_with_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "secret.key").write_text("")
    with pytest.raises(WrongSettings, match=r"secret\.key.*delete it"):
        prepare_data_dir(config.load({}, data_dir=tmp_path))


def test_a_folder_everybody_may_write_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(WrongSettings, match="chmod 700"):
        prepare_data_dir(config.load({}, data_dir=folder))
    assert list(folder.iterdir()) == []
