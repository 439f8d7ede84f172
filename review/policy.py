"""Who must review what, how fast and how many: a table that administrators change, in numbered editions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from content.kinds import AssetType, Handling
from kb import audit, users
from kb.access import Actor, Party, Permission, require
from kb.errors import N_, Invalid
from review.models import PolicyEdition

ANY: Final = "*"
MOST_HOURS: Final = 200
MOST_REVIEWERS: Final = 5
LONGEST_NAME: Final = 120
_SHIPPED: Final = yaml.safe_load((Path(__file__).parent / "policy.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Duty:
    """What one party owes: working hours, and how many of its reviewers."""

    hours: int
    reviewers: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """Parties of one handling, for one type or (None) for those without a line of their own.

    `is_bulk`: a reviewer may approve several of them at once from the queue, with a verdict each all the same.
    """

    type: AssetType | None
    handling: Handling
    duties: Mapping[Party, Duty]
    is_bulk: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """One edition; number 0 is what ships."""

    number: int
    lines: tuple[Line, ...]
    difference_hours: int
    executive: str = ""
    """Whom a party's no is taken to after the coordinators; a name, not a right: nothing is overruled."""
    by: str = ""
    at: datetime | None = None

    def duties(self, asset_type: AssetType, handling: Handling) -> Mapping[Party, Duty]:
        """Who must clear it; empty where the policy has no word on it: then it cannot be published."""
        line = self._line(asset_type, handling)
        return line.duties if line is not None else {}

    def allows_bulk(self, asset_type: AssetType, handling: Handling) -> bool:
        """Whether several may be approved at once; never where the policy has no word on it."""
        line = self._line(asset_type, handling)
        return line is not None and line.is_bulk

    def _line(self, asset_type: AssetType, handling: Handling) -> Line | None:
        found = {line.type: line for line in self.lines if line.handling is handling}
        return found.get(asset_type, found.get(None))


def in_force(session: Session) -> Policy:
    """The newest edition."""
    row = session.scalar(select(PolicyEdition).order_by(PolicyEdition.number.desc()).limit(1))
    if row is None:
        return _read(0, _SHIPPED)
    by = users.list_names(session, [row.by_id]).get(row.by_id, "") if row.by_id else ""
    return _read(row.number, row.table, by, row.at)


def by_number(session: Session, number: int) -> Policy:
    """The edition of that number; what ships for 0."""
    return next(one for one in list_editions(session) if one.number == number)


def list_editions(session: Session) -> Sequence[Policy]:
    """All editions, newest first; what ships is the last."""
    rows = session.scalars(select(PolicyEdition).order_by(PolicyEdition.number.desc())).all()
    names = users.list_names(session, {row.by_id for row in rows if row.by_id})
    return [*(_read(row.number, row.table, names.get(row.by_id or 0, ""), row.at) for row in rows), _read(0, _SHIPPED)]


def _read(number: int, table: Mapping[str, Any], by: str = "", at: datetime | None = None) -> Policy:
    lines = tuple(
        Line(
            None if entry["type"] == ANY else AssetType(entry["type"]),
            Handling(entry["handling"]),
            {Party(party): Duty(duty["hours"], duty["reviewers"]) for party, duty in entry["parties"].items()},
            entry.get("bulk", False),
        )
        for entry in table["lines"]
    )
    return Policy(number, lines, table["difference_hours"], table.get("executive", ""), by, at)


def change(session: Session, actor: Actor, lines: Sequence[Line], difference_hours: int, executive: str = "") -> Policy:
    """A new edition; rounds that are under way keep the one they began with."""
    require(actor, Permission.ADMINISTER)
    _check(lines, difference_hours)
    before = in_force(session)
    table = {
        "difference_hours": difference_hours,
        "executive": executive.strip()[:LONGEST_NAME],
        "lines": [
            {
                "type": line.type.value if line.type else ANY,
                "handling": line.handling.value,
                "bulk": line.is_bulk,
                "parties": {
                    party.value: {"hours": duty.hours, "reviewers": duty.reviewers}
                    for party, duty in sorted(line.duties.items())
                },
            }
            for line in lines
        ],
    }
    row = PolicyEdition(number=before.number + 1, table=table, by_id=actor.user_id)
    session.add(row)
    session.flush()
    audit.record(session, actor, "policy.change", "policy", str(row.number), table=table)
    return in_force(session)


def _check(lines: Sequence[Line], difference_hours: int) -> None:
    seen = set()
    for line in lines:
        if (line.type, line.handling) in seen:
            raise Invalid(N_("There are two lines for one type and one handling."), code="policy_twice")
        seen.add((line.type, line.handling))
        for duty in line.duties.values():
            if not 1 <= duty.hours <= MOST_HOURS or not 1 <= duty.reviewers <= MOST_REVIEWERS:
                raise Invalid(
                    N_("Give 1 to 200 working hours and 1 to 5 reviewers for each party."), code="policy_numbers"
                )
        if line.handling is not Handling.INTERNAL and Party.LEGAL not in line.duties and line.duties:
            raise Invalid(N_("What may leave the company is always cleared by legal."), code="policy_without_legal")
    if not 1 <= difference_hours <= MOST_HOURS:
        raise Invalid(N_("Give 1 to 200 working hours for a difference."), code="policy_numbers")
