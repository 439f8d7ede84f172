"""README, command line and project texts say what the code does, and name no machine."""

import re
import subprocess
from pathlib import Path

import click
import pytest

from kb import cli, config

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {".git", ".venv", "__pycache__", "kb-data", "screenshots", ".hypothesis"}

MACHINE = re.compile(r"(?<![\w.:/-])/(?:work|home|root|Users|private|mnt)/\w")
PACKAGE_HOST = re.compile(
    r"(?i)\b(?:pypi\.org|pythonhosted\.org|download\.pytorch\.org|test\.pypi|artifactory|nexus\.|mirrors?\.[a-z]+\.)|https?://[^\s\"']*/simple\b"
)
MAY_NAME = {"tests/rules/test_documents.py", "tests/rules/test_translations.py"}
"""The two files that hold the patterns themselves."""

COMMANDS: dict[str, set[str]] = {
    "demo": {"--data", "--port", "--no-serve"},
    "init": {"--admin"},
    "serve": {"--host", "--port", "--workers"},
    "worker": set(),
    "migrate": set(),
    "doctor": {"--json"},
    "user add": {"EMAIL", "--role", "--party", "--clearance", "--team", "--name", "--password-stdin"},
    "token create": {"EMAIL", "--scope"},
    "import assets": {"PATHS", "--publish", "--owner", "--create-tags", "--json"},
    "import users": {"FILE", "--mapping", "--json"},
    "import deals": {"FILE", "--mapping", "--json"},
    "import stages": {"FILE", "--mapping", "--json"},
    "import usage": {"FILE", "--mapping", "--json"},
    "export assets": {"FOLDER", "--as", "--json"},
    "search": {"QUERY", "--as", "--deal", "--stage", "--industry", "--type", "--limit", "--mode", "--json"},
    "index check": {"--json"},
    "index rebuild": {"--json"},
    "audit verify": {"--json"},
    "backup": {"FILE", "--force", "--json"},
    "restore": {"FILE", "--force", "--end-tokens", "--json"},
}
"""The commands of the public interface that this release has; they keep their names and options."""
REPEATABLE = {
    ("user add", "--role"),
    ("user add", "--party"),
    ("user add", "--team"),
    ("token create", "--scope"),
    ("search", "--stage"),
    ("search", "--industry"),
    ("search", "--type"),
}


def commands(group: click.Group = cli.cli, prefix: str = "") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands(command, f"{prefix}{name} ")
        else:
            found[prefix + name] = command
    return found


def names(parameter: click.Parameter) -> set[str]:
    return {(parameter.name or "").upper()} if isinstance(parameter, click.Argument) else set(parameter.opts)


def texts() -> list[Path]:
    """Every text file of the project, as git would keep it."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name] or list(ROOT.rglob("*"))
    return [path for path in paths if path.is_file() and not LEFT_OUT & set(path.relative_to(ROOT).parts)]


def test_every_command_of_the_interface_is_there_with_its_options() -> None:
    there = commands()
    for name, wanted in COMMANDS.items():
        given = set().union(*(names(parameter) for parameter in there[name].params))
        assert wanted <= given, name


def test_options_that_may_be_given_twice_may_be_given_twice() -> None:
    for name, option in REPEATABLE:
        parameter = next(p for p in commands()[name].params if option in names(p))
        assert parameter.multiple, f"{name} {option}"


def test_every_command_and_option_explains_itself() -> None:
    for name, command in commands().items():
        assert command.help, name
        assert (command.help or "").strip()[0].isupper(), name
    assert cli.cli.help


def test_settings_in_the_readme_are_those_of_the_code() -> None:
    """A table of `| KB_X | default | meaning |`."""
    rows = [
        [cell.strip().strip("`").strip() for cell in line.strip().strip("|").split("|")]
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if re.match(r"\|\s*`?KB_", line)
    ]
    assert [tuple(row) for row in rows] == config.meanings()


def test_every_setting_has_a_meaning() -> None:
    told = config.meanings()
    assert all(name.startswith("KB_") and len(meaning) > 10 for name, _default, meaning in told)
    assert {
        "KB_DATA_DIR",
        "KB_DATABASE_URL",
        "KB_SECRET_KEY",
        "KB_BASE_URL",
        "KB_TRUSTED_PROXIES",
        "KB_ALLOW_HTTP",
        "KB_TIMEZONE",
        "KB_LANGUAGE",
        "KB_MAX_UPLOAD_MB",
    } <= {name for name, _, _ in told}
    assert "secret" not in {default for _, default, _ in told}


@pytest.mark.parametrize(
    ("pattern", "what"), [(MACHINE, "a path of one machine"), (PACKAGE_HOST, "a package host")], ids=["machine", "host"]
)
def test_no_text_of_the_project_names_a_machine_or_a_package_host(pattern: re.Pattern[str], what: str) -> None:
    found = []
    for path in texts():
        name = path.relative_to(ROOT).as_posix()
        if name in MAY_NAME:
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{name}:{number}: {line.strip()[:120]}"
            for number, line in enumerate(lines, start=1)
            if pattern.search(line)
        ]
    assert found == [], what
