"""Evidence, customers' consent, rules and policy, waivers, rounds with their verdicts, urgent cases and recalls."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from kb import clock
from kb.db import Base, public_id


class Evidence(Base):
    """A statement or figure that texts cite as `[evidence:E-7]`; 7 is its number."""

    __tablename__ = "evidence"
    __table_args__ = (
        CheckConstraint("kind IN ('test', 'survey', 'contract', 'certificate', 'patent', 'award')", name="kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    number: Mapped[int] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    statement: Mapped[str] = mapped_column(Text)
    issuer: Mapped[str] = mapped_column(String(200))
    dated_on: Mapped[date | None] = mapped_column(Date)
    scope: Mapped[str] = mapped_column(String(500), default="")
    ends_on: Mapped[date | None] = mapped_column(Date, index=True)
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    filename: Mapped[str] = mapped_column(String(255), default="")
    withdrawn_at: Mapped[datetime | None]
    withdrawn_reason: Mapped[str] = mapped_column(String(500), default="")
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class ReferencePermission(Base):
    """What a customer allowed: for which parts, up to which handling, until when."""

    __tablename__ = "reference_permission"
    __table_args__ = (CheckConstraint("handling IN ('spoken', 'named', 'public')", name="handling"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    customer: Mapped[str] = mapped_column(String(200))
    aliases: Mapped[list[str]] = mapped_column(JSON, default=list)
    covers: Mapped[list[str]] = mapped_column(JSON, default=list)
    handling: Mapped[str] = mapped_column(String(20))
    ends_on: Mapped[date | None] = mapped_column(Date, index=True)
    note: Mapped[str] = mapped_column(Text, default="")
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    filename: Mapped[str] = mapped_column(String(255), default="")
    withdrawn_at: Mapped[datetime | None]
    withdrawn_reason: Mapped[str] = mapped_column(String(500), default="")
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class RuleChange(Base):
    """A compliance rule as this company has it, in place of what ships."""

    __tablename__ = "compliance_rule"

    rule: Mapped[str] = mapped_column(String(40), primary_key=True)
    is_on: Mapped[bool] = mapped_column(default=True)
    severity: Mapped[dict[str, str]] = mapped_column(JSON)
    words: Mapped[list[str]] = mapped_column(JSON, default=list)
    excuses: Mapped[list[str]] = mapped_column(JSON, default=list)
    changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    changed_at: Mapped[datetime] = mapped_column(default=clock.now)


class Waiver(Base):
    """Legal lets one sentence stand against one rule; it holds for later versions while the sentence is unchanged and no more may leave."""

    __tablename__ = "waiver"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    rule: Mapped[str] = mapped_column(String(40))
    handling: Mapped[str] = mapped_column(String(20))
    passage: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    evidence: Mapped[str] = mapped_column(String(20), default="")
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    at: Mapped[datetime] = mapped_column(default=clock.now)
    revoked_at: Mapped[datetime | None]


class PolicyEdition(Base):
    """Who reviews what, as an administrator set it; the newest number is in force."""

    __tablename__ = "review_policy"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    table: Mapped[dict[str, Any]] = mapped_column(JSON)
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    at: Mapped[datetime] = mapped_column(default=clock.now)


class Round(Base):
    """One review of one version by all parties the policy asks for; with `access_change_id`, of who may read it alone.

    `afterwards` are parties that were off duty when an urgent fix was submitted: once it is live they look again in a
    round of their own, which `follows_id` ties to the first.
    """

    __tablename__ = "review_round"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'approved', 'changes_requested', 'rejected', 'taken_back')", name="state"),
        CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended"),
        Index(
            "uq_review_round_one_text",
            "version_id",
            unique=True,
            sqlite_where=sql("access_change_id IS NULL AND follows_id IS NULL"),
            postgresql_where=sql("access_change_id IS NULL AND follows_id IS NULL"),
        ),
        Index("uq_review_round_follows_id", "follows_id", unique=True),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"), index=True)
    access_change_id: Mapped[int | None] = mapped_column(ForeignKey("access_change.id"), unique=True)
    digest: Mapped[str] = mapped_column(String(64))
    policy_number: Mapped[int]
    state: Mapped[str] = mapped_column(String(20), default="open", index=True)
    publishes: Mapped[bool] = mapped_column(default=False)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("urgent_case.id"), index=True)
    afterwards: Mapped[list[str] | None] = mapped_column(JSON)
    follows_id: Mapped[int | None] = mapped_column(ForeignKey("review_round.id"))
    begun_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]
    stale_told_at: Mapped[datetime | None]


class Step(Base):
    """One party's part of a round.

    `former_version_id` is what it approved last, where it is asked about a difference; `tell_at` the moment at which
    somebody is told next that the clock runs, and `told_percent` how far it had run when that was done last. The clock counts
    the working time of `zone` and `country`, those of whom it was offered to first; empty or none: the company's.
    """

    __tablename__ = "review_step"
    __table_args__ = (
        UniqueConstraint("round_id", "party"),
        CheckConstraint("party IN ('legal', 'marketing', 'sales')", name="party"),
        CheckConstraint("state IN ('open', 'approved', 'changes_requested', 'rejected')", name="state"),
        Index(
            "ix_review_step_open",
            "party",
            "due_at",
            sqlite_where=sql("state = 'open'"),
            postgresql_where=sql("state = 'open'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("review_round.id"), index=True)
    party: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), default="open")
    hours: Mapped[int]
    reviewers: Mapped[int]
    due_at: Mapped[datetime]
    told_percent: Mapped[int] = mapped_column(default=0)
    tell_at: Mapped[datetime | None] = mapped_column(index=True)
    former_version_id: Mapped[int | None] = mapped_column(ForeignKey("version.id"))
    zone: Mapped[str | None] = mapped_column(String(64))
    country: Mapped[str | None] = mapped_column(String(8))
    offered_to_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"), index=True)
    offered_at: Mapped[datetime | None]
    claimed_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"), index=True)
    claimed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class Verdict(Base):
    """What one reviewer said for one party on one digest; nobody says two things in one round."""

    __tablename__ = "verdict"
    __table_args__ = (
        UniqueConstraint("round_id", "user_id"),
        CheckConstraint("answer IN ('approve', 'request_changes', 'reject')", name="answer"),
        CheckConstraint("answer = 'approve' OR reason <> ''", name="has_reason"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    round_id: Mapped[int] = mapped_column(ForeignKey("review_round.id"), index=True)
    step_id: Mapped[int] = mapped_column(ForeignKey("review_step.id"), index=True)
    party: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), index=True)
    answer: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text, default="")
    ticks: Mapped[list[str] | None] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(default=clock.now)


class Comment(Base):
    """A remark on a quoted passage, or an answer to one; `wording` are words for the passage, which an author took or not."""

    __tablename__ = "review_comment"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    round_id: Mapped[int] = mapped_column(ForeignKey("review_round.id"), index=True)
    answers_id: Mapped[int | None] = mapped_column(ForeignKey("review_comment.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    party: Mapped[str] = mapped_column(String(20), default="")
    quote: Mapped[str] = mapped_column(Text, default="")
    text: Mapped[str] = mapped_column(Text)
    wording: Mapped[str | None] = mapped_column(Text)
    taken_at: Mapped[datetime | None]
    taken_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    taken_version_id: Mapped[int | None] = mapped_column(ForeignKey("version.id"), index=True)
    at: Mapped[datetime] = mapped_column(default=clock.now)
    resolved_at: Mapped[datetime | None]
    resolved_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))


class UrgentCase(Base):
    """An asset hurts deals: which passages are wrong, with 48 hours by the wall until past users are told.

    `version_id` is the text that was reported, `fixed_version_id` the one that took its place.
    """

    __tablename__ = "urgent_case"
    __table_args__ = (
        CheckConstraint("grade IN ('top', 'high', 'normal')", name="grade"),
        CheckConstraint("state IN ('open', 'corrected', 'withdrawn', 'dismissed')", name="state"),
        CheckConstraint("(state = 'open') = (ended_at IS NULL)", name="ended"),
        Index(
            "uq_urgent_case_one_open",
            "asset_id",
            unique=True,
            sqlite_where=sql("state = 'open'"),
            postgresql_where=sql("state = 'open'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    passages: Mapped[list[str]] = mapped_column(JSON)
    grade: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), default="open", index=True)
    begun_at: Mapped[datetime] = mapped_column(default=clock.now, index=True)
    due_at: Mapped[datetime]
    told_late_at: Mapped[datetime | None]
    fixed_version_id: Mapped[int | None] = mapped_column(ForeignKey("version.id"))
    ended_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str] = mapped_column(Text, default="")


class UrgentReport(Base):
    """One word from the field in an urgent case: which deal it hurts, and how."""

    __tablename__ = "urgent_report"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("urgent_case.id"), index=True)
    deal_id: Mapped[int] = mapped_column(ForeignKey("deal.id"), index=True)
    damage: Mapped[str] = mapped_column(Text)
    by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    at: Mapped[datetime] = mapped_column(default=clock.now)


class Recall(Base):
    """A text is called back: those who used it in 180 days are told what takes its place, and each answers."""

    __tablename__ = "recall"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    case_id: Mapped[int | None] = mapped_column(ForeignKey("urgent_case.id"), unique=True)
    replacement_id: Mapped[int | None] = mapped_column(ForeignKey("asset.id"))
    reason: Mapped[str] = mapped_column(Text)
    begun_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)


class RecallLine(Base):
    """One person on one deal (or none) who used what is called back, and what became of it there."""

    __tablename__ = "recall_line"
    __table_args__ = (
        UniqueConstraint("recall_id", "used_by_id", "deal_id"),
        CheckConstraint("answer IN ('', 'not_given', 'corrected', 'no_correction')", name="answer"),
        CheckConstraint("(answer = '') = (answered_at IS NULL)", name="answered"),
        CheckConstraint("answer IN ('', 'not_given') OR note <> ''", name="has_note"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    recall_id: Mapped[int] = mapped_column(ForeignKey("recall.id"), index=True)
    used_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    answers_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"), index=True)
    deal_id: Mapped[int | None] = mapped_column(ForeignKey("deal.id"), index=True)
    versions: Mapped[list[int]] = mapped_column(JSON)
    uses: Mapped[int]
    last_used_at: Mapped[datetime]
    told_at: Mapped[datetime] = mapped_column(default=clock.now, index=True)
    answer: Mapped[str] = mapped_column(String(20), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    answered_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    answered_at: Mapped[datetime | None]
    escalated_at: Mapped[datetime | None]


class Absence(Base):
    """A reviewer is away; `deputies` are ids of people, in the order in which they are asked."""

    __tablename__ = "absence"
    __table_args__ = (CheckConstraint("ends_at > starts_at", name="span"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), index=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime] = mapped_column(index=True)
    deputies: Mapped[list[int]] = mapped_column(JSON, default=list)
    moved_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class ReviewerProfile(Base):
    """What somebody reviews, and when they work: no language or type means all, no zone or country the company's."""

    __tablename__ = "reviewer_profile"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    languages: Mapped[list[str]] = mapped_column(JSON, default=list)
    types: Mapped[list[str]] = mapped_column(JSON, default=list)
    zone: Mapped[str] = mapped_column(String(64), default="")
    country: Mapped[str] = mapped_column(String(8), default="")
    changed_at: Mapped[datetime] = mapped_column(default=clock.now)
