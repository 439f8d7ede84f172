"""Assets, their versions, tags and files; what is frozen once submitted and what hangs on the asset."""

from datetime import date, datetime

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from content.kinds import AssetType, Handling, VersionState
from kb import clock
from kb.access import Tier
from kb.db import Base, public_id


def _one_of(
    column: str, choices: type[AssetType] | type[Handling] | type[VersionState] | type[Tier]
) -> CheckConstraint:
    words = ", ".join(f"'{choice.value}'" for choice in choices)
    return CheckConstraint(f"{column} IN ({words})", name=column)


def _one_version_in(state: VersionState) -> Index:
    condition = text(f"state = '{state.value}'")
    return Index(
        f"uq_version_one_{state.value}", "asset_id", unique=True, sqlite_where=condition, postgresql_where=condition
    )


class Asset(Base):
    """One thing a rep can use; what a customer meets stands on its versions."""

    __tablename__ = "asset"
    __table_args__ = (_one_of("type", AssetType), _one_of("tier", Tier))

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    external_id: Mapped[str | None] = mapped_column(String(200), unique=True)
    type: Mapped[str] = mapped_column(String(20), index=True)
    tier: Mapped[str] = mapped_column(String(20))
    unlock_stage_id: Mapped[int | None] = mapped_column(ForeignKey("tag.id"))
    shows_teaser: Mapped[bool] = mapped_column(default=True)
    translation_of_id: Mapped[int | None] = mapped_column(ForeignKey("asset.id"), index=True)
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    withdrawn_at: Mapped[datetime | None]
    held_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    verified_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    source_checked_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]
    is_from_field: Mapped[bool] = mapped_column(default=False, server_default=false())
    extra: Mapped[dict[str, object]] = mapped_column(JSON, default=dict)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))

    versions: Mapped[list["Version"]] = relationship(lazy="raise", back_populates="asset", order_by="Version.number")
    tags: Mapped[list["AssetTag"]] = relationship(lazy="raise", cascade="all, delete-orphan")
    owners: Mapped[list["AssetOwner"]] = relationship(lazy="raise", cascade="all, delete-orphan")
    audience: Mapped[list["AssetAudience"]] = relationship(lazy="raise", cascade="all, delete-orphan")


class Version(Base):
    """One text of an asset; frozen, with its digest, as soon as it is no longer a draft."""

    __tablename__ = "version"
    __table_args__ = (
        UniqueConstraint("asset_id", "number"),
        _one_of("state", VersionState),
        _one_of("handling", Handling),
        CheckConstraint("NOT nda OR handling = 'named'", name="nda_only_named"),
        CheckConstraint("state = 'draft' OR digest <> ''", name="frozen_has_digest"),
        _one_version_in(VersionState.DRAFT),
        _one_version_in(VersionState.IN_REVIEW),
        _one_version_in(VersionState.APPROVED),
        _one_version_in(VersionState.PUBLISHED),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), index=True)
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))
    title: Mapped[str] = mapped_column(String(300))
    text: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(10))
    handling: Mapped[str] = mapped_column(String(20))
    nda: Mapped[bool] = mapped_column(default=False)
    ai_generated: Mapped[bool | None]
    cited_evidence: Mapped[list[str]] = mapped_column(JSON, default=list)
    digest: Mapped[str] = mapped_column(String(64), default="")
    rendering_digest: Mapped[str] = mapped_column(String(80), default="")
    revision: Mapped[int] = mapped_column(default=1)
    note: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    frozen_at: Mapped[datetime | None]
    publish_at: Mapped[datetime | None] = mapped_column(index=True)
    published_at: Mapped[datetime | None] = mapped_column(index=True)
    is_bulk_load: Mapped[bool] = mapped_column(default=False)
    approved_digest: Mapped[str] = mapped_column(String(64), default="", server_default=literal_column("''"))
    is_unreviewed: Mapped[bool] = mapped_column(default=False, server_default=false())

    asset: Mapped[Asset] = relationship(lazy="raise", back_populates="versions")
    attachments: Mapped[list["Attachment"]] = relationship(lazy="raise", order_by="Attachment.position")
    contributors: Mapped[list["Contribution"]] = relationship(lazy="raise", cascade="all, delete-orphan")


class Contribution(Base):
    """Who wrote on a version; none of them may review it."""

    __tablename__ = "contribution"

    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), primary_key=True)


class Attachment(Base):
    """A file that belongs to one version; its bytes lie under their hash, outside the web root."""

    __tablename__ = "attachment"
    __table_args__ = (UniqueConstraint("version_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"), index=True)
    position: Mapped[int]
    filename: Mapped[str] = mapped_column(String(255))
    media_type: Mapped[str] = mapped_column(String(120))
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64), index=True)


class StoredFile(Base):
    """The bytes of attachments, once per content; `reason` says why their text could not be read."""

    __tablename__ = "stored_file"
    __table_args__ = (CheckConstraint("state IN ('waiting', 'read', 'unreadable', 'none')", name="state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    media_type: Mapped[str] = mapped_column(String(120))
    size: Mapped[int]
    state: Mapped[str] = mapped_column(String(20), default="waiting")
    reason: Mapped[str] = mapped_column(String(40), default="")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    pages: Mapped[list["FilePage"]] = relationship(
        lazy="raise", cascade="all, delete-orphan", order_by="FilePage.number"
    )


class FilePage(Base):
    """The text of one page, slide or sheet of a stored file."""

    __tablename__ = "file_page"

    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(300), default="")
    text: Mapped[str] = mapped_column(Text)


class Conversion(Base):
    """A document on its way to becoming an asset."""

    __tablename__ = "conversion"
    __table_args__ = (CheckConstraint("state IN ('waiting', 'done', 'failed')", name="state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_file.id"), index=True)
    filename: Mapped[str] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20), default="waiting")
    reason: Mapped[str] = mapped_column(String(40), default="")
    asset_id: Mapped[int | None] = mapped_column(ForeignKey("asset.id"))
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]


class Rendered(Base):
    """Clean HTML, plain text and sections of one text, kept under the digest of what they were made from."""

    __tablename__ = "rendered"

    digest: Mapped[str] = mapped_column(String(80), primary_key=True)
    html: Mapped[str] = mapped_column(Text)
    plain: Mapped[str] = mapped_column(Text)
    sections: Mapped[list[dict[str, object]]] = mapped_column(JSON)
    failed: Mapped[str] = mapped_column(String(20), default="")
    likeness: Mapped[bytes | None] = mapped_column(LargeBinary)


class AssetTag(Base):
    __tablename__ = "asset_tag"

    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tag.id"), primary_key=True, index=True)


class AssetOwner(Base):
    __tablename__ = "asset_owner"

    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), primary_key=True, index=True)


class AssetAudience(Base):
    """A team that may read the asset; no row at all means every team."""

    __tablename__ = "asset_audience"

    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"), primary_key=True, index=True)


class Grant(Base):
    """Leave for one person to read one stage-locked asset, until a moment."""

    __tablename__ = "access_grant"
    __table_args__ = (Index("ix_access_grant_user_asset", "user_id", "asset_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    until: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text)
    granted_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    granted_at: Mapped[datetime] = mapped_column(default=clock.now)
    revoked_at: Mapped[datetime | None]


class MissingOnBoard(Base):
    """What a bulk-loaded asset still lacks for submission."""

    __tablename__ = "missing_on_board"

    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    what: Mapped[str] = mapped_column(String(40), primary_key=True)
    since_on: Mapped[date] = mapped_column(Date)


class AccessRequest(Base):
    """A person asks to read what a later stage unlocks; whoever decides says why, and a yes is a grant with an end."""

    __tablename__ = "access_request"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'granted', 'refused', 'withdrawn')", name="state"),
        CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided"),
        CheckConstraint("state NOT IN ('granted', 'refused') OR answer <> ''", name="has_answer"),
        Index(
            "uq_access_request_one_open",
            "asset_id",
            "user_id",
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), index=True)
    deal_id: Mapped[int | None] = mapped_column(ForeignKey("deal.id"))
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20), default="open", index=True)
    asked_at: Mapped[datetime] = mapped_column(default=clock.now)
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    decided_at: Mapped[datetime | None]
    answer: Mapped[str] = mapped_column(Text, default="")
    grant_id: Mapped[int | None] = mapped_column(ForeignKey("access_grant.id"))


class LockedTry(Base):
    """How often a person came on a day to an asset that a later stage unlocks."""

    __tablename__ = "locked_try"

    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), primary_key=True)
    tried_on: Mapped[date] = mapped_column(Date, primary_key=True)
    tries: Mapped[int] = mapped_column(default=1)


class Doubt(Base):
    """Why an asset is unverified though its interval has not run out; a verification ends those that do not block it."""

    __tablename__ = "doubt"

    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), primary_key=True)
    cause: Mapped[str] = mapped_column(String(40), primary_key=True)
    about: Mapped[str] = mapped_column(String(200), primary_key=True)
    since_at: Mapped[datetime] = mapped_column(default=clock.now)
    blocks_verification: Mapped[bool] = mapped_column(default=False)


class AskedParty(Base):
    """A party is asked to look at an asset, by a question or a round: its reviewers see the drafts until that is over."""

    __tablename__ = "asked_party"
    __table_args__ = (
        CheckConstraint("party IN ('legal', 'marketing', 'sales')", name="party"),
        CheckConstraint("kind IN ('question', 'round')", name="kind"),
        Index(
            "uq_asked_party_one_open",
            "asset_id",
            "party",
            "kind",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), index=True)
    party: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(20), default="question", server_default="question")
    note: Mapped[str] = mapped_column(Text, default="")
    asked_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    asked_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]


class AccessChange(Base):
    """Who may read is to become more: waits until it is cleared, while the narrower access holds."""

    __tablename__ = "access_change"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'applied', 'taken_back')", name="state"),
        Index(
            "uq_access_change_one_waiting",
            "asset_id",
            unique=True,
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), index=True)
    wanted: Mapped[dict[str, object]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(20), default="waiting")
    reason: Mapped[str] = mapped_column(Text, default="")
    is_unreviewed: Mapped[bool] = mapped_column(default=False)
    asked_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    asked_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]


class PlanItem(Base):
    """Content that is to come: what, by whom and by which day, before there is an asset or for one that is there."""

    __tablename__ = "plan_item"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    title: Mapped[str] = mapped_column(String(300))
    type: Mapped[str] = mapped_column(String(20))
    due_on: Mapped[date] = mapped_column(Date, index=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    asset_id: Mapped[int | None] = mapped_column(ForeignKey("asset.id"), index=True)
    note: Mapped[str] = mapped_column(Text, default="")
    done_at: Mapped[datetime | None]
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)


class CalendarAddress(Base):
    """The secret address under which a person's calendar program reads the plan; only its hash is kept."""

    __tablename__ = "calendar_address"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    used_at: Mapped[datetime | None]


class UseEvent(Base):
    """One thing done with a version; `was_unlocked` when the reader could read it at that moment."""

    __tablename__ = "use_event"
    __table_args__ = (
        Index("ix_use_event_asset_deal", "asset_id", "deal_id"),
        Index("ix_use_event_user_at", "user_id", "at"),
        CheckConstraint(
            "kind IN ('view', 'copy', 'share', 'present', 'download', 'helpful', 'not_helpful')", name="kind"
        ),
        CheckConstraint("deal_source IN ('chosen', 'embedded', 'inferred', 'none')", name="deal_source"),
        CheckConstraint("(deal_id IS NULL) = (deal_source = 'none')", name="deal_has_source"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(String(80), unique=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"))
    version_id: Mapped[int | None] = mapped_column(ForeignKey("version.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    kind: Mapped[str] = mapped_column(String(20))
    deal_id: Mapped[int | None] = mapped_column(ForeignKey("deal.id"), index=True)
    deal_source: Mapped[str] = mapped_column(String(20))
    surface: Mapped[str] = mapped_column(String(40), default="")
    channel: Mapped[str] = mapped_column(String(40), default="")
    search_id: Mapped[str] = mapped_column(String(24), default="")
    section: Mapped[str] = mapped_column(String(80), default="")
    remark: Mapped[str] = mapped_column(String(500), default="")
    at: Mapped[datetime]
    was_unlocked: Mapped[bool] = mapped_column(default=False)


class DealNote(Base):
    """What a person keeps of a text on a deal: budget, names, what to leave out. For the deal's members alone."""

    __tablename__ = "deal_note"
    __table_args__ = (UniqueConstraint("deal_id", "asset_id", "author_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    deal_id: Mapped[int] = mapped_column(ForeignKey("deal.id", ondelete="CASCADE"), index=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id", ondelete="CASCADE"))
    author_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    text: Mapped[str] = mapped_column(Text)
    written_at: Mapped[datetime] = mapped_column(default=clock.now)


class ShareLink(Base):
    """A secret address under which a customer reads one version; dead as soon as its sender may not send it any more."""

    __tablename__ = "share_link"
    __table_args__ = (
        CheckConstraint("kind IN ('named', 'open')", name="kind"),
        CheckConstraint(
            "kind <> 'named' OR (deal_id IS NOT NULL AND contact_id IS NOT NULL)", name="named_to_somebody"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(10))
    asset_id: Mapped[int] = mapped_column(ForeignKey("asset.id"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    deal_id: Mapped[int | None] = mapped_column(ForeignKey("deal.id"), index=True)
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("deal_contact.id"))
    created_by_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_by_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    password_hash: Mapped[str] = mapped_column(String(200), default="")
    asks_email: Mapped[bool] = mapped_column(default=False)
    may_download: Mapped[bool] = mapped_column(default=False)


class ShareOpening(Base):
    """A customer opened a link, or took a file; once in half an hour."""

    __tablename__ = "share_opening"
    __table_args__ = (CheckConstraint("kind IN ('view', 'download')", name="kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    link_id: Mapped[int] = mapped_column(ForeignKey("share_link.id"), index=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("version.id"))
    kind: Mapped[str] = mapped_column(String(10))
    email: Mapped[str] = mapped_column(String(254), default="")
    filename: Mapped[str] = mapped_column(String(255), default="")
    at: Mapped[datetime] = mapped_column(default=clock.now)
