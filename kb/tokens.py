"""API tokens: a shown-once secret, kept as a hash, that can do what its owner may do now and its scopes allow."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import JSON, ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import audit, clock, users
from kb.access import Actor, Permission, require
from kb.db import Base, public_id
from kb.errors import N_, Conflict, Invalid, NotFound

PREFIX = "kb_"
MOST_DAYS = 365
TOUCH_EVERY = timedelta(minutes=5)
MAX_NAME_LENGTH = 80


class ApiToken(Base):
    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class TokenLine:
    """What the owner's page shows of a token."""

    public_id: str
    name: str
    scopes: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    is_expired: bool


def create(
    session: Session, actor: Actor, owner: users.User, name: str, scopes: Iterable[str] = (), days: int = MOST_DAYS
) -> str:
    """Make a token for the owner and return it; it is never shown again.

    People make their own; an administrator makes those of programs, which cannot.
    """
    require(actor, Permission.ACCOUNT)
    if actor.is_user and actor.user_id != owner.id and not (owner.is_service and actor.may(Permission.ADMINISTER)):
        raise NotFound(code="unknown_user")
    if owner.deactivated_at is not None:
        raise Conflict(N_("The account is deactivated."), code="deactivated")
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(N_("A token holds from 1 to 365 days."), code="token_days")
    wanted = read_scopes(scopes)
    cleaned = " ".join(name.split())[:MAX_NAME_LENGTH]
    if not cleaned:
        raise Invalid(N_("Give the token a name that says where it is used."), code="name_missing")
    token = PREFIX + secrets.token_urlsafe(32)
    now = clock.now()
    row = ApiToken(
        user_id=owner.id,
        name=cleaned,
        token_hash=_hash(token),
        scopes=wanted,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    session.add(row)
    session.flush()
    audit.record(session, actor, "token.create", "token", row.public_id, owner=owner.email, scopes=wanted)
    return token


def read_scopes(scopes: Iterable[str]) -> list[str] | None:
    """The named permissions; None, everything the owner may, when no scope is named."""
    named = sorted({scope.strip() for scope in scopes if scope.strip()})
    unknown = [scope for scope in named if scope not in {permission.value for permission in Permission}]
    if unknown:
        raise Invalid(
            f"There is no scope {', '.join(unknown)}; choose among {', '.join(Permission)}.", code="unknown_scope"
        )
    return named or None


def find(session: Session, token: str) -> tuple[Actor, users.Person] | None:
    """Who this token stands for now: its owner's present rights within its scopes."""
    row = _row(session, token)
    if row is None:
        return None
    user = users.find(session, row.user_id)
    if user is None or user.deactivated_at is not None:
        return None
    scopes = None if row.scopes is None else frozenset(Permission(scope) for scope in row.scopes)
    return users.actor_of(user, scopes, row.id), users.person_of(user)


def is_due_for_touch(session: Session, token: str) -> bool:
    row = _row(session, token)
    return row is not None and (row.used_at is None or row.used_at < clock.now() - TOUCH_EVERY)


def touch(session: Session, token: str) -> None:
    if (row := _row(session, token)) is not None:
        row.used_at = clock.now()


def list_own(session: Session, actor: Actor) -> list[TokenLine]:
    require(actor, Permission.ACCOUNT)
    return _lines(session, actor.user_id or 0)


def list_of(session: Session, actor: Actor, owner: users.User) -> list[TokenLine]:
    """The tokens of somebody, for administrators: names, scopes and use, never a secret."""
    require(actor, Permission.ADMINISTER)
    return _lines(session, owner.id)


def _lines(session: Session, user_id: int) -> list[TokenLine]:
    now = clock.now()
    rows = session.scalars(
        select(ApiToken)
        .where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
        .order_by(ApiToken.created_at.desc(), ApiToken.id.desc())
    )
    return [
        TokenLine(
            row.public_id,
            row.name,
            None if row.scopes is None else tuple(row.scopes),
            row.created_at,
            row.expires_at,
            row.used_at,
            row.expires_at <= now,
        )
        for row in rows
    ]


def revoke(session: Session, actor: Actor, token_id: str) -> None:
    """End one of one's own tokens at once."""
    require(actor, Permission.ACCOUNT)
    _revoke(session, actor, actor.user_id or 0, token_id)


def revoke_of(session: Session, actor: Actor, owner: users.User, token_id: str) -> None:
    """End a token of somebody else at once."""
    require(actor, Permission.ADMINISTER)
    _revoke(session, actor, owner.id, token_id)


def _revoke(session: Session, actor: Actor, user_id: int, token_id: str) -> None:
    row = session.scalar(
        select(ApiToken).where(
            ApiToken.public_id == token_id, ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None)
        )
    )
    if row is None:
        raise NotFound(code="unknown_token")
    row.revoked_at = clock.now()
    audit.record(session, actor, "token.revoke", "token", row.public_id)


def revoke_all(session: Session, user_id: int) -> None:
    """End every token of a person; the caller has asked who may, and leaves the trail."""
    for row in session.scalars(select(ApiToken).where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))):
        row.revoked_at = clock.now()


def _row(session: Session, token: str) -> ApiToken | None:
    if not token.startswith(PREFIX):
        return None
    return session.scalar(
        select(ApiToken).where(
            ApiToken.token_hash == _hash(token), ApiToken.revoked_at.is_(None), ApiToken.expires_at > clock.now()
        )
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
