"""A second factor at sign-in: codes of an authenticator (TOTP, RFC 6238), and eight codes for when it is lost."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyotp
import segno
from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import audit, clock, users
from kb.access import Actor, Permission, require
from kb.db import Base
from kb.errors import N_, Conflict, Invalid, NotFound
from kb.users import User

STEP: Final = 30
"""Seconds for which a code holds; the one before and the one after are taken too, for clocks that differ."""
RECOVERY_CODES: Final = 8
ISSUER: Final = "Knowledge base"


class SecondFactor(Base):
    """`last_step` is the newest step whose code was taken: no code is taken twice; `recovery` are hashes of unused codes."""

    __tablename__ = "second_factor"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    secret: Mapped[str] = mapped_column(String(64))
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(default=0)
    recovery: Mapped[list[str]] = mapped_column(JSON, default=list)


class WrongCode(Invalid):
    code, message = "wrong_code", N_("The code is not right, or was used already. Wait for the next one.")


class OnAlready(Conflict):
    code, message = "second_factor_on", N_("A second factor is set up already.")


@dataclass(frozen=True, slots=True)
class Setup:
    """What an authenticator takes up: as a picture (SVG), or typed."""

    secret: str
    svg: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether it is asked for, since when, and how many codes for a lost authenticator are left."""

    is_on: bool
    since: datetime | None
    recovery_left: int


def standing(session: Session, user_id: int | None) -> Standing:
    row = session.get(SecondFactor, user_id) if user_id is not None else None
    if row is None or row.confirmed_at is None:
        return Standing(False, None, 0)
    return Standing(True, row.confirmed_at, len(row.recovery))


def is_on(session: Session, user_id: int) -> bool:
    """Whether a code is asked for after the password."""
    return standing(session, user_id).is_on


def begin(session: Session, actor: Actor, password: str) -> Setup:
    """A new secret for one's authenticator; nothing is asked for until a code of it was typed.

    It takes the password: at a browser that was left open nobody locks its owner out.
    """
    require(actor, Permission.ACCOUNT)
    user = _own(session, actor)
    if not users.verify_password(user, password):
        raise users.WrongPassword()
    row = session.get(SecondFactor, user.id, with_for_update=True)
    if row is not None and row.confirmed_at is not None:
        raise OnAlready()
    if row is None:
        row = SecondFactor(user_id=user.id, secret="", recovery=[])
        session.add(row)
    row.secret, row.begun_at = pyotp.random_base32(), clock.now()
    session.flush()
    return _setup(user, row.secret)


def _setup(user: User, secret: str) -> Setup:
    address = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=ISSUER)
    picture = segno.make(address, error="m").svg_inline(scale=5, dark="#000", light="#fff")
    return Setup(secret, picture)


def confirm(session: Session, actor: Actor, code: str) -> list[str]:
    """Ask for codes from now on; answers the codes for a lost authenticator, which are shown once."""
    require(actor, Permission.ACCOUNT)
    user = _own(session, actor)
    row = session.get(SecondFactor, user.id, with_for_update=True)
    if row is None:
        raise NotFound()
    if row.confirmed_at is not None:
        raise OnAlready()
    if not _takes(row, code):
        raise WrongCode()
    codes = [secrets.token_hex(5) for _ in range(RECOVERY_CODES)]
    row.recovery, row.confirmed_at = [_hash(one) for one in codes], clock.now()
    session.flush()
    audit.record(session, actor, "second_factor.on", "user", user.public_id)
    return [f"{one[:5]}-{one[5:]}" for one in codes]


def pending(session: Session, actor: Actor) -> Setup | None:
    """What was begun and not confirmed, to be shown again after a wrong code."""
    user = _own(session, actor)
    row = session.get(SecondFactor, user.id)
    return _setup(user, row.secret) if row is not None and row.confirmed_at is None else None


def remove(session: Session, actor: Actor, password: str) -> None:
    """Ask for no code any more; knowing the password."""
    require(actor, Permission.ACCOUNT)
    user = _own(session, actor)
    if not users.verify_password(user, password):
        raise users.WrongPassword()
    _remove(session, actor, user)


def reset(session: Session, actor: Actor, user: User) -> None:
    """By an administrator, for somebody who has lost authenticator and codes; their sessions end."""
    require(actor, Permission.ADMINISTER)
    _remove(session, actor, user)
    user.epoch += 1
    session.flush()


def _remove(session: Session, actor: Actor, user: User) -> None:
    row = session.get(SecondFactor, user.id, with_for_update=True)
    if row is None or row.confirmed_at is None:
        raise Conflict(N_("No second factor is set up."), code="second_factor_off")
    session.delete(row)
    session.flush()
    audit.record(session, actor, "second_factor.off", "user", user.public_id)


def takes(session: Session, user_id: int, code: str) -> bool:
    """Whether this is the person's code now, or one of their codes for a lost authenticator; each is taken once."""
    row = session.get(SecondFactor, user_id, with_for_update=True)
    if row is None or row.confirmed_at is None:
        return False
    return _takes(row, code) or _takes_recovery(row, code)


def _takes(row: SecondFactor, code: str) -> bool:
    typed = "".join(sign for sign in code if sign.isascii() and sign.isdigit())
    now = int(clock.now().timestamp()) // STEP
    generator = pyotp.TOTP(row.secret)
    for step in (now - 1, now, now + 1):
        if hmac.compare_digest(generator.generate_otp(step), typed) and step > row.last_step:
            row.last_step = step
            return True
    return False


def _takes_recovery(row: SecondFactor, code: str) -> bool:
    given = _hash("".join(sign for sign in code.casefold() if sign.isascii() and sign.isalnum()))
    if given not in row.recovery:
        return False
    row.recovery = [one for one in row.recovery if one != given]
    return True


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _own(session: Session, actor: Actor) -> User:
    user = users.find(session, actor.user_id) if actor.user_id is not None else None
    if user is None:
        raise NotFound(code="unknown_user")
    return user
