"""The compliance check on drafts and versions: findings, what legal waived of them, and the stop before submission."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from content import drafting, service, submission
from content.kinds import Handling, VersionState
from content.models import Asset, Contribution, Version
from content.visibility import editable_by
from kb import audit, clock, users
from kb.access import Actor, Party, Permission, Role, require
from kb.errors import N_, Forbidden, Invalid, NotFound
from review import asking, compliance, registers, rulebook
from review.compliance import Finding, Known, Rule
from review.models import Evidence, Waiver
from review.rulebook import RulePage

LONGEST_REASON: Final = 1_000
MOST_TEXT: Final = 400_000
"""Characters that one check reads; what is longer is no sales content."""
MOST_SHOWN: Final = 200


class ComplianceBlocked(submission.Stopped):
    """Somebody must change the words, prove them, or let legal waive the finding."""

    code, message = (
        "compliance_blocked",
        N_("The compliance check stops this text. Change the passages, prove them, or ask legal to waive a finding."),
    )


class NotLegal(Forbidden):
    code, message = "not_legal", N_("Only legal waives a finding.")


class NoSuchFinding(Invalid):
    code, message = (
        "no_such_finding",
        N_("The text has no such finding any more. Look at it again."),
    )


@dataclass(frozen=True, slots=True)
class Waived:
    """Who let a finding stand, why, and whether that was said of an earlier version."""

    public_id: str
    by: str
    at: datetime
    reason: str
    evidence: str
    is_carried: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A finding as writers and reviewers see it."""

    finding: Finding
    page: RulePage
    waived: Waived | None

    @property
    def stops(self) -> bool:
        return self.finding.blocks and self.waived is None


@dataclass(frozen=True, slots=True)
class Checked:
    """All that was found, in the order of the text."""

    found: tuple[Told, ...]

    @property
    def stopping(self) -> int:
        return sum(one.stops for one in self.found)


def check_text(session: Session, text: str, handling: Handling, rules: Sequence[Rule] | None = None) -> list[Finding]:
    """Findings on a text of nobody's, such as one pasted into the interface."""
    return compliance.check(_measured(text), handling, rules or rulebook.in_force(session), rulebook.known(session))


def _measured(text: str) -> str:
    if len(text) > MOST_TEXT:
        raise Invalid(N_("The text is too long to be checked at once: take it in parts."), code="text_too_long")
    return text


def check_draft(
    session: Session,
    actor: Actor,
    reference: str,
    text: str | None = None,
    title: str | None = None,
    handling: Handling | None = None,
) -> Checked:
    """Findings on an editable asset's draft or newest text, or on what somebody is typing there now."""
    require(actor, Permission.EDIT)
    draft = drafting.get_draft(session, actor, reference)
    asset = drafting.load_editable(session, actor, draft.asset_id)
    newest = session.scalar(select(func.max(Version.number)).where(Version.asset_id == asset.id)) or 0
    title = draft.title if title is None else title
    words = draft.text if text is None else text
    return _check(session, asset, words, handling or Handling(draft.handling), newest, title)


def check_version(session: Session, asset: Asset, version: Version) -> Checked:
    """Findings on a version as it stands, for its reviewers, who may see it already."""
    return _check(session, asset, version.text, Handling(version.handling), version.number, version.title)


def _check(session: Session, asset: Asset, text: str, handling: Handling, number: int, title: str) -> Checked:
    pages = {page.rule.id: page for page in rulebook.list_rules(session)}
    known = rulebook.known(session)
    rules = [page.rule for page in pages.values()]
    found = compliance.check(_measured(text), handling, rules, known)
    if title.strip():
        found = [*_of_title(title, handling, rules, known), *found]
    waivers = _waivers(session, asset.id, known, handling)
    numbers = _numbers(session, asset.id)
    names = users.list_names(session, {row.by_id for row in waivers.values() if row.by_id is not None})
    told = []
    for one in found[:MOST_SHOWN]:
        row = waivers.get((one.rule, _passage(one.sentence)))
        told.append(Told(one, pages[one.rule], _waived(row, numbers, number, names) if row is not None else None))
    return Checked(tuple(told))


def _of_title(title: str, handling: Handling, rules: Sequence[Rule], known: Known) -> list[Finding]:
    """What a title says is met by customers too; it has no place in the text."""
    found = compliance.check(title, handling, rules, known)
    return [Finding(one.rule, one.severity, one.quote, -1, -1, one.sentence) for one in found]


def _passage(sentence: str) -> str:
    """A sentence as waivers know it: spaces and line ends do not matter."""
    return " ".join(sentence.split())


def _waivers(session: Session, asset_id: int, known: Known, handling: Handling) -> Mapping[tuple[str, str], Waiver]:
    """Waivers of an asset that hold: not revoked, their evidence valid, and given for as much as may leave now."""
    rows = session.scalars(
        select(Waiver).where(Waiver.asset_id == asset_id, Waiver.revoked_at.is_(None)).order_by(Waiver.id)
    )
    evidence = known.evidence or {}
    return {
        (row.rule, row.passage): row
        for row in rows
        if Handling(row.handling).rank >= handling.rank
        and (not row.evidence or (row.evidence in evidence and evidence[row.evidence].is_valid))
    }


def _numbers(session: Session, asset_id: int) -> Mapping[int, int]:
    rows = session.execute(select(Version.id, Version.number).where(Version.asset_id == asset_id))
    return {row.id: row.number for row in rows}


def _waived(row: Waiver, numbers: Mapping[int, int], number: int, names: Mapping[int, str]) -> Waived:
    is_carried = numbers.get(row.version_id, number) != number
    return Waived(row.public_id, names.get(row.by_id or 0, ""), row.at, row.reason, row.evidence, is_carried)


def may_waive(actor: Actor) -> bool:
    return Role.REVIEWER in actor.roles and Party.LEGAL in actor.parties and actor.may(Permission.PROVE)


def waive(
    session: Session, actor: Actor, reference: str, rule: str, passage: str, reason: str, evidence: str
) -> Waiver:
    """Let one sentence of an asset stand against one rule; it must have that finding now."""
    require(actor, Permission.PROVE)
    asset = service.get_editable(session, actor, reference)
    if not may_waive(actor):
        raise NotLegal()
    checked = check_draft(session, actor, reference)
    wanted = _passage(passage)
    if not any(one.finding.rule == rule and _passage(one.finding.sentence) == wanted for one in checked.found):
        raise NoSuchFinding()
    if not reason.strip():
        raise Invalid(N_("Say why it may stand: it is kept with the version."), code="reason_missing")
    key = evidence.strip().upper()
    if key:
        record = _evidence(session, key)
        if not registers.holds(record, clock.now().date()):
            raise Invalid(N_("That evidence no longer holds."), code="evidence_ended")
    newest = session.scalars(
        select(Version).where(Version.asset_id == asset.id).order_by(Version.number.desc()).limit(1)
    ).one()
    wrote = select(Contribution.user_id).where(
        Contribution.version_id == newest.id, Contribution.user_id == actor.user_id
    )
    if session.scalar(wrote) is not None:
        raise Forbidden(N_("You wrote on this text: somebody else of legal waives it."), code="own_work")
    row = Waiver(
        asset_id=asset.id,
        version_id=newest.id,
        rule=rule,
        handling=newest.handling,
        passage=wanted,
        reason=reason.strip()[:LONGEST_REASON],
        evidence=key,
        by_id=actor.user_id,
    )
    session.add(row)
    session.flush()
    details = {
        "rule": rule,
        "handling": newest.handling,
        "passage": wanted,
        "reason": row.reason,
        "evidence": key,
        "digest": newest.digest,
    }
    audit.record(session, actor, "compliance.waive", "asset", asset.public_id, waiver=row.public_id, **details)
    return row


def _evidence(session: Session, key: str) -> Evidence:
    try:
        return registers.get_evidence(session, key)
    except NotFound:
        raise Invalid(N_("There is no evidence of that number."), code="evidence_unknown") from None


def revoke(session: Session, actor: Actor, reference: str, waiver: str) -> None:
    """The finding counts again from now on."""
    require(actor, Permission.PROVE)
    asset = service.get_editable(session, actor, reference)
    if not may_waive(actor):
        raise NotLegal()
    row = session.scalar(
        select(Waiver).where(Waiver.public_id == waiver, Waiver.asset_id == asset.id, Waiver.revoked_at.is_(None))
    )
    if row is None:
        raise NotFound()
    row.revoked_at = clock.now()
    session.flush()
    audit.record(session, actor, "compliance.revoke", "asset", asset.public_id, waiver=waiver, rule=row.rule)


def stop_submission(session: Session, actor: Actor, asset: Asset, version: Version) -> None:
    """Called before a draft is frozen: raises ComplianceBlocked with what stops it."""
    checked = _check(session, asset, version.text, Handling(version.handling), version.number, version.title)
    stopping = [
        {"rule": one.finding.rule, "quote": one.finding.quote, "start": one.finding.start, "end": one.finding.end}
        for one in checked.found
        if one.stops
    ]
    if stopping:
        raise ComplianceBlocked(findings=stopping)
    asking.close(session, actor, asset)


# --- a rule on the whole library ---


@dataclass(frozen=True, slots=True)
class Trial:
    """What a rule would say of the library as it is published."""

    public_id: str
    title: str
    language: str
    handling: Handling
    finding: Finding


def try_rule(session: Session, actor: Actor, rule: Rule, limit: int = MOST_SHOWN) -> tuple[Sequence[Trial], int, int]:
    """Findings of one rule, switched on or not, on every published text the actor may edit.

    Answers the first findings, how many there are, and how many texts were read.
    """
    require(actor, Permission.EDIT)
    known = rulebook.known(session)
    tried = Rule(rule.id, rule.severity, rule.words, rule.excuses)
    found: list[Trial] = []
    read = count = 0
    rows = session.execute(
        select(Asset.public_id, Version.title, Version.language, Version.handling, Version.text)
        .join(Version, Version.asset_id == Asset.id)
        .where(Version.state == VersionState.PUBLISHED.value, editable_by(actor))
        .order_by(Asset.id)
        .execution_options(yield_per=200)
    )
    for row in rows:
        read += 1
        handling = Handling(row.handling)
        findings = compliance.check(row.text[:MOST_TEXT], handling, [tried], known)
        count += len(findings)
        found += [
            Trial(row.public_id, row.title, row.language, handling, one) for one in findings[: limit - len(found)]
        ]
    return found, count, read
