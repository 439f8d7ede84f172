"""Reads Markdown files with front matter and JSON lines into records; never touches the database."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from content.filestore import Kept

KNOWN_KEYS = frozenset(
    [
        "external_id",
        "title",
        "type",
        "language",
        "stages",
        "unlock_stage",
        "industries",
        "pain_points",
        "solutions",
        "products",
        "competitors",
        "personas",
        "regions",
        "tier",
        "handling",
        "nda",
        "ai_generated",
        "audience",
        "owners",
        "expires_on",
        "translation_of",
        "teaser",
        "state",
    ]
)
DOCUMENTS = frozenset({".docx", ".pptx", ".pdf", ".html", ".htm"})
JUDGED_SET = frozenset({"queries.jsonl"})
MAX_LINE_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """One asset as written in a file: its keys, its text, and where it stands."""

    path: str
    line: int
    fields: Mapping[str, object]
    text: str
    kept: tuple[Kept, ...] = ()
    """Files of the record that lie in the store already."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one record, or a whole file, was not taken, and what to do."""

    path: str
    line: int | None
    code: str
    message: str


def list_files(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those with a known ending in the folders named, in a stable order."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(
                p
                for p in path.rglob("*")
                if p.is_file()
                and p.suffix.lower() in {".md", ".jsonl", *DOCUMENTS}
                and p.name not in JUDGED_SET
                and not _is_hidden(p, path)
            )
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def read(path: Path) -> Iterator[Record | Failure]:
    """Every record of one file; a bad one is a Failure and the rest follows."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".md":
            yield _read_markdown(path)
        elif suffix == ".jsonl":
            yield from _read_lines(path)
        else:
            yield Failure(
                str(path),
                None,
                "unsupported_format",
                f"{path.name} is none of .md, .jsonl, .docx, .pptx, .pdf, .html",
            )
    except FileNotFoundError:
        yield Failure(str(path), None, "not_found", "there is no such file or folder")
    except OSError as error:
        yield Failure(str(path), None, "unreadable", error.strerror or "the file cannot be read")


def _read_markdown(path: Path) -> Record | Failure:
    try:
        raw = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return Failure(str(path), None, "not_utf8", "the file is not UTF-8: save it as UTF-8")
    front, text, first_line = _split_front_matter(raw)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(front, Loader=yaml.SafeLoader)):
            return Failure(str(path), 1, "front_matter", "the front matter uses `&` and `*`: write the values out")
        fields = yaml.safe_load(front) if front.strip() else {}
    except ValueError as error:
        return Failure(str(path), 1, "front_matter", f"the front matter holds a value that cannot be: {error}"[:200])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return Failure(
            str(path),
            2 + mark.line if mark else 1,
            "front_matter",
            f"the front matter is not YAML: {getattr(error, 'problem', None) or 'check the signs'}",
        )
    except RecursionError:
        return Failure(str(path), 1, "front_matter", "the front matter is nested too deep")
    if not isinstance(fields, dict):
        return Failure(str(path), 1, "front_matter", "the front matter must be lines of `key: value`")
    if oddity := _oddity(fields):
        return Failure(str(path), 1, "front_matter", f"the front matter {oddity}")
    keyed = {str(key): value for key, value in fields.items()}
    return Record(
        str(path), first_line, {"external_id": path.stem, **{k: v for k, v in keyed.items() if v is not None}}, text
    )


_FRONT_MATTER = re.compile(r"---\r?\n(?:(.*?)\r?\n)??---(?:\r?\n(?:\r?\n)?|\Z)", re.DOTALL)


def _split_front_matter(raw: str) -> tuple[str, str, int]:
    """Keys, text and the text's first line; the text is kept as it stands, but for one blank line before it."""
    found = _FRONT_MATTER.match(raw)
    if found is None:
        return "", raw, 1
    front = (found[1] or "").replace("\r\n", "\n") + "\n"
    return front, raw[found.end() :], front.count("\n") + 3


def _read_lines(path: Path) -> Iterator[Record | Failure]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                yield _read_line(str(path), number, raw)


def _read_line(path: str, number: int, raw: bytes) -> Record | Failure:
    if len(raw) > MAX_LINE_BYTES:
        return Failure(path, number, "text_too_large", "the line is larger than 4 MB: cut the asset into several")
    try:
        fields = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError:
        return Failure(path, number, "not_utf8", "the line is not UTF-8: save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        return Failure(
            path,
            number,
            "not_json",
            f"the line is not one JSON object: {getattr(error, 'msg', 'a number too long, or nested too deep')}",
        )
    if not isinstance(fields, dict):
        return Failure(path, number, "not_json", "the line is not one JSON object with keys")
    text = fields.pop("text", "")
    if not isinstance(text, str):
        return Failure(path, number, "text_missing", "`text` must be a string")
    if oddity := _oddity(fields):
        return Failure(path, number, "odd_value", f"the line {oddity}")
    given = {key: value for key, value in fields.items() if value is not None}
    if "external_id" not in given and isinstance(given.get("id"), str | int):
        given["external_id"] = str(given.pop("id"))
    return Record(path, number, given, text)


def _oddity(fields: Mapping[object, object]) -> str:
    """What in the values no database keeps, or nothing."""
    try:
        json.dumps(fields, ensure_ascii=False, allow_nan=False, default=str).encode()
    except UnicodeEncodeError:
        return "holds a broken character: save the file as UTF-8"
    except (ValueError, TypeError, RecursionError):
        return "holds a number that is none, a key that is no word, or values nested too deep"
    return ""
