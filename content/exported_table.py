"""Tables of figures as CSV and as a workbook: what a spreadsheet would take for a formula is written as text."""

import csv
from collections.abc import Sequence
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Final

from kb.lazily import Lazily

if TYPE_CHECKING:
    import openpyxl
    from openpyxl import cell as cells
    from openpyxl import styles, utils
else:
    openpyxl, cells = Lazily("openpyxl"), Lazily("openpyxl.cell")
    styles, utils = Lazily("openpyxl.styles"), Lazily("openpyxl.utils")

Cell = str | int | float | None
RISKY: Final = frozenset("=+-@\t\r|")
BOM: Final = "\ufeff"
"""So that Excel reads the file as UTF-8."""
NARROW, WIDE = 14, 48


def as_csv(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    """With a first line; texts that begin like a formula get an apostrophe."""
    written = StringIO()
    writer = csv.writer(written)
    writer.writerow(head)
    writer.writerows([["" if cell is None else _safe(cell) for cell in row] for row in rows])
    return (BOM + written.getvalue()).encode()


def as_workbook(title: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    """One sheet, its first line bold and standing; texts are texts, whatever they begin with."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(title[:31].translate({ord(sign): "-" for sign in "[]:*?/\\"}) or "Figures")
    sheet.freeze_panes = "A2"
    for place in range(len(head)):
        sheet.column_dimensions[utils.get_column_letter(place + 1)].width = WIDE if place == 0 else NARROW
    first = [cells.WriteOnlyCell(sheet, value=name) for name in head]
    for cell in first:
        cell.font = styles.Font(bold=True)
    sheet.append(first)
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])
    kept = BytesIO()
    book.save(kept)
    return kept.getvalue()


def _cell(sheet: object, value: Cell) -> object:
    cell = cells.WriteOnlyCell(sheet, value=_safe(value) if isinstance(value, str) else value)
    if isinstance(value, str):
        cell.data_type = "s"
    return cell


def _safe(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in RISKY else cell
