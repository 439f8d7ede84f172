"""Tables as spreadsheets write them are read, or refused with what to do; a bad line never stops the others."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import spreadsheet
from content.sources import Failure
from content.spreadsheet import Unreadable

WANTED = ("id", "name")


def read(folder: Path, raw: bytes | str, **how: str) -> tuple[list[dict[str, str]], list[Failure], tuple[str, ...]]:
    path = folder / "table.csv"
    path.write_bytes(raw.encode() if isinstance(raw, str) else raw)
    sheet = spreadsheet.read(path, WANTED, **how)
    found = list(sheet.rows())
    failed = [one for one in found if isinstance(one, Failure)]
    return [dict(one[1]) for one in found if not isinstance(one, Failure)], failed, sheet.notes


def refused(folder: Path, raw: bytes | str, **how: str) -> Unreadable:
    with pytest.raises(Unreadable) as refusal:
        read(folder, raw, **how)
    return refusal.value


ROW = [{"id": "1", "name": "海岬银行，有限公司"}]
TEXT = "id,name\n1,海岬银行，有限公司\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
def test_encodings_of_spreadsheets_are_read(tmp_path: Path, encoding: str) -> None:
    rows, failed, notes = read(tmp_path, TEXT.encode(encoding))
    assert (rows, failed) == (ROW, [])
    assert bool(notes) is encoding.startswith("gb"), "a guess is told"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("id,name\n1,Müller Zürich\n", "cp1252"), ("id,name\n1,Crédit Général\n", "latin-1"), ("id,name\n1,€\n", "cp1252"),
     ("id,name\n1,臺灣銀行資料庫\n", "big5"), ("id,name\n1,株式会社データ\n", "shift-jis")],
)  # fmt: skip
def test_other_encodings_are_refused_unless_named(tmp_path: Path, text: str, encoding: str) -> None:
    refusal = refused(tmp_path, text.encode(encoding))
    assert (refusal.code, "encoding" in refusal.text) == ("not_utf8", True)
    rows, _, notes = read(tmp_path, text.encode(encoding), encoding=encoding)
    assert (rows[0]["name"], notes) == (text.split(",")[2].strip(), ())


def test_rare_signs_of_names_do_not_make_chinese_unreadable(tmp_path: Path) -> None:
    rows, _, _ = read(tmp_path, "id,name\n1,张喆、朱镕、王玥、李珺\n".encode("gb18030"))
    assert rows == [{"id": "1", "name": "张喆、朱镕、王玥、李珺"}]


def test_a_named_encoding_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, b"id,name\n1,\xff\n", encoding="utf-8").code == "not_in_encoding"


@pytest.mark.parametrize("start", [b"PK\x03\x04...", b"\xd0\xcf\x11\xe0..."])
def test_a_workbook_is_named_as_such(tmp_path: Path, start: bytes) -> None:
    assert "save it as CSV" in refused(tmp_path, start).text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_told_by_the_columns_looked_for(tmp_path: Path, delimiter: str) -> None:
    text = f"id{delimiter}name{delimiter}a,b;c|d\n1{delimiter}x, y; z{delimiter}\n".replace("a,b;c|d", "note")
    text = text.replace("x, y; z", '"x, y; z"' if delimiter in ",;" else "x, y; z")
    assert read(tmp_path, text)[0] == [{"id": "1", "name": "x, y; z", "note": ""}]


def test_the_columns_decide_where_another_sign_is_more_frequent(tmp_path: Path) -> None:
    assert read(tmp_path, 'id;name;"a,b,c,d"\n1;x;\n')[0] == [{"id": "1", "name": "x", "a,b,c,d": ""}]
    assert read(tmp_path, "one:id\n", delimiter=":")[0] == []


def test_a_first_line_for_excel_names_the_delimiter(tmp_path: Path) -> None:
    rows, failed, _ = read(tmp_path, "sep=;\r\nid;name\r\n1;x\r\n;;;y\r\n")
    assert (rows, [(one.line, one.code) for one in failed]) == ([{"id": "1", "name": "x"}], [(4, "too_many_values")])


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ('id,name\n1,"a"b\n2,ok\n', ["2"], [(2, "not_csv")]),
        ('id,name\n1,"never closed\n2,ok\n3,ok\n', ["2", "3"], [(2, "not_csv")]),
        ('id,name\n1,"never closed\n2,"ok"\n3,ok\n', ["2", "3"], [(2, "not_csv")]),
        ('id,name\n1,"two\nlines"\n2,"three\n\nlines"\n3,ok\n', ["1", "2", "3"], []),
        ("id,name\n1,a,b\n2,ok,\n3,ok\n4\n", ["2", "3", "4"], [(2, "too_many_values")]),
        ('id,name\n"1,a\n"2,b\n"3,c\n4,ok\n', ["4"], [(2, "not_csv"), (3, "not_csv"), (4, "not_csv")]),
        ("\n\nid,name\n\n1,x\n\n\n", ["1"], []),
        ("id,name\r1,x\r2,y\r", ["1", "2"], []),
    ],
)  # fmt: skip
def test_a_bad_line_is_told_and_the_rest_is_read(
    tmp_path: Path, text: str, good: list[str], bad: list[tuple[int, str]]
) -> None:
    rows, failed, _ = read(tmp_path, text)
    assert [row["id"] for row in rows] == good
    assert [(one.line, one.code) for one in failed] == bad


def test_rows_are_numbered_by_the_line_they_begin_on(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('id,name\n1,"two\nlines"\n2,x\n')
    assert [one[0] for one in spreadsheet.read(path, WANTED).rows() if not isinstance(one, Failure)] == [2, 4]


def test_a_column_of_ours_that_stands_there_twice_is_refused_and_others_are_not(tmp_path: Path) -> None:
    assert (refused(tmp_path, "id,name,id\n").code, read(tmp_path, "id,name,x,x\n1,a,b,c\n")[0][0]["x"]) == (
        "columns_doubled",
        "c",
    )


def test_one_mark_that_is_never_closed_costs_little_however_long_the_file(tmp_path: Path) -> None:
    """Each row that could not be closed is looked at for a thousand lines, not for the rest of the file."""
    rows, failed, _ = read(tmp_path, "id,name\n" + '1,"open\n' + "2,ok\n" * 5_000)
    assert (len(rows), [one.line for one in failed]) == (5_000, [2])


@given(st.binary(max_size=200))
def test_no_file_ends_in_anything_but_rows_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "table.csv"
    path.write_bytes(raw)
    try:
        sheet = spreadsheet.read(path, WANTED)
    except Unreadable as refusal:
        assert refusal.text
        return
    for found in sheet.rows():
        assert isinstance(found, Failure) or set(found[1]) == set(sheet.columns)
