"""The rules in force, and what they must know of this company."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from content import taxonomy
from content.deals import Deal
from content.kinds import Facet, Handling
from kb import audit, clock, users
from kb.access import Actor, Permission, require
from kb.errors import N_, Invalid, NotFound
from review import registers
from review.compliance import Customer, Known, Proof, Rule, Severity
from review.models import Evidence, ReferencePermission, RuleChange
from review.registers import EvidenceKind, Part

SHIPPED: Final = Path(__file__).parent / "rules.yaml"
NO_COMPANIES: Final = frozenset({"in_house", "cloud_suite"})
"""Competitors of the vocabulary that are no company anybody could speak ill of."""
MOST_WORDS: Final = 200
SHORTEST_NAME: Final = 2
PUBLIC_MAIL: Final = frozenset(
    {"gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "qq.com", "163.com", "126.com", "sina.com", "foxmail.com"}
)


@dataclass(frozen=True, slots=True)
class RulePage:
    """One rule with all an admin and a writer must know of it."""

    rule: Rule
    title_en: str
    title_zh: str
    basis_en: str
    basis_zh: str
    way_out_en: str
    way_out_zh: str
    checked_on: date
    changed_at: datetime | None
    changed_by: str

    def title(self, language: str) -> str:
        return self.title_zh if language.startswith("zh") else self.title_en

    def basis(self, language: str) -> str:
        return self.basis_zh if language.startswith("zh") else self.basis_en

    def way_out(self, language: str) -> str:
        return self.way_out_zh if language.startswith("zh") else self.way_out_en


@cache
def shipped() -> Mapping[str, RulePage]:
    """The rules as they ship, in the order in which they are shown."""
    entries: list[dict[str, Any]] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return {entry["id"]: _shipped(entry) for entry in entries}


def _shipped(entry: Mapping[str, Any]) -> RulePage:
    severity = {Handling(handling): Severity(word) for handling, word in entry["severity"].items()}
    title, basis, way_out = entry["title"], entry["basis"], entry["way_out"]
    return RulePage(
        Rule(entry["id"], severity),
        title["en"],
        title["zh"],
        basis["en"],
        basis["zh"],
        way_out["en"],
        way_out["zh"],
        entry["checked_on"],
        None,
        "",
    )


def shipped_rules() -> list[Rule]:
    return [page.rule for page in shipped().values()]


def list_rules(session: Session) -> Sequence[RulePage]:
    """Every rule as it is in force here."""
    changes = {row.rule: row for row in session.scalars(select(RuleChange))}
    names = users.list_names(session, {row.changed_by_id for row in changes.values() if row.changed_by_id is not None})
    return [_changed(page, changes.get(rule), names) for rule, page in shipped().items()]


def _changed(page: RulePage, change: RuleChange | None, names: Mapping[int, str]) -> RulePage:
    if change is None:
        return page
    severity = {
        handling: Severity(change.severity.get(handling.value, page.rule.severity[handling])) for handling in Handling
    }
    rule = Rule(page.rule.id, severity, tuple(change.words), tuple(change.excuses), change.is_on)
    by = names.get(change.changed_by_id or 0, "")
    return replace(page, rule=rule, changed_at=change.changed_at, changed_by=by)


def in_force(session: Session) -> list[Rule]:
    return [page.rule for page in list_rules(session)]


def get(session: Session, rule: str) -> RulePage:
    for page in list_rules(session):
        if page.rule.id == rule:
            return page
    raise NotFound()


def read_rule(
    rule: str, *, is_on: bool, severity: Mapping[str, str], words: Sequence[str], excuses: Sequence[str]
) -> Rule:
    """A rule as somebody filled it in; Invalid where that makes none, NotFound for a rule that does not ship."""
    page = shipped().get(rule)
    if page is None:
        raise NotFound()
    wanted = set(severity.values()) - set(Severity)
    if wanted:
        raise Invalid(N_("Choose what each finding does: block, warn or nothing."), code="severity")
    clean = [_words(given) for given in (words, excuses)]
    levels = {handling: Severity(severity.get(handling.value, page.rule.severity[handling])) for handling in Handling}
    return Rule(rule, levels, clean[0], clean[1], is_on)


def _words(given: Sequence[str]) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.strip()[:80] for word in given if word.strip()))
    if len(words) > MOST_WORDS:
        raise Invalid(N_("At most 200 words a rule."), code="too_many_words")
    return words


def change(session: Session, actor: Actor, rule: Rule) -> None:
    """Put a rule in force as it is; admins alone, audited with what it was."""
    require(actor, Permission.ADMINISTER)
    before = get(session, rule.id).rule
    row = session.get(RuleChange, rule.id) or RuleChange(rule=rule.id)
    row.is_on, row.severity = rule.is_on, {key.value: value.value for key, value in rule.severity.items()}
    row.words, row.excuses = list(rule.words), list(rule.excuses)
    row.changed_by_id, row.changed_at = actor.user_id, clock.now()
    session.add(row)
    session.flush()
    audit.record(session, actor, "compliance.rule", "compliance_rule", rule.id, before=_told(before), now=_told(rule))


def reset(session: Session, actor: Actor, rule: str) -> None:
    """Back to what ships."""
    require(actor, Permission.ADMINISTER)
    row = session.get(RuleChange, rule)
    if row is None:
        raise NotFound()
    session.delete(row)
    session.flush()
    audit.record(session, actor, "compliance.rule", "compliance_rule", rule, now="shipped")


def _told(rule: Rule) -> dict[str, object]:
    levels = {handling.value: severity.value for handling, severity in rule.severity.items()}
    return {"on": rule.is_on, "severity": levels, "words": list(rule.words), "excuses": list(rule.excuses)}


# --- what the rules must know ---


def known(session: Session) -> Known:
    """Competitors, customers, evidence and own domains as they stand now."""
    today = clock.now().date()
    evidence = session.scalars(select(Evidence)).all()
    certificates = [row for row in evidence if row.kind == EvidenceKind.CERTIFICATE.value]
    proofs = {registers.key_of(row.number): Proof(registers.holds(row, today), row.dated_on) for row in evidence}
    return Known(
        competitors=_competitors(session),
        customers=_customers(session, today),
        evidence=proofs or None,
        certificates=tuple(row.statement for row in certificates if registers.holds(row, today)),
        own_domains=_own_domains(session),
        today=today,
    )


def _competitors(session: Session) -> tuple[str, ...]:
    labels = taxonomy.load(session).facet(Facet.COMPETITOR.value)
    words = {
        word for label in labels if label.key not in NO_COMPANIES for word in (label.en, label.zh, *label.synonyms)
    }
    return tuple(sorted(word for word in words if len(word.strip()) >= SHORTEST_NAME))


def _customers(session: Session, today: date) -> tuple[Customer, ...]:
    """Who gave a permission, and every account that gave none."""
    records = session.scalars(select(ReferencePermission)).all()
    found: list[Customer] = []
    named: set[str] = set()
    for record in records:
        names = tuple(name for name in (record.customer, *record.aliases) if len(name) >= SHORTEST_NAME)
        named |= {name.casefold() for name in names}
        covers_name = Part.NAME.value in record.covers
        allowed = Handling(record.handling) if covers_name and record.withdrawn_at is None else None
        found.append(Customer(names, allowed, is_expired=not registers.holds(record, today)))
    accounts = {_without_phase(account) for account in session.scalars(select(Deal.account).distinct())}
    unknown = sorted(name for name in accounts if len(name) >= SHORTEST_NAME and name.casefold() not in named)
    return (*found, *(Customer((name,), None) for name in unknown))


def _without_phase(account: str) -> str:
    """The customer's name without what the CRM puts behind it in brackets."""
    for bracket in "（(":
        account = account.split(bracket, maxsplit=1)[0]
    return account.strip()


def _own_domains(session: Session) -> frozenset[str]:
    addresses = session.scalars(select(users.User.email))
    return frozenset(address.rsplit("@", 1)[-1].casefold() for address in addresses) - PUBLIC_MAIL
