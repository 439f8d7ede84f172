"""Evidence, customers' consent, rules as changed here, and what legal waived."""

from datetime import date, datetime

from sqlalchemy import JSON, CheckConstraint, Date, ForeignKey, String, Text
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
