"""People: roles, parties, clearance, teams, language; their passwords and the epoch that ends sessions."""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ForeignKey, Select, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from kb import audit, clock
from kb.access import Actor, ActorKind, Party, Permission, Role, Tier, require
from kb.config import LANGUAGES
from kb.db import Base, public_id
from kb.errors import N_, Conflict, Invalid, NotFound

MINIMUM_PASSWORD_LENGTH = 10
MAX_NAME_LENGTH = 120
MAX_TEAM_LENGTH = 80
EMAIL = re.compile(r"[^@\s,;<>\"']{1,64}@[^@\s,;<>\"']{1,190}")

_hasher = PasswordHasher()


@cache
def _nobodys_hash() -> str:
    """What the password of an unknown person is checked against; made once, before it is known who asks."""
    return _hasher.hash(secrets.token_hex(16))


class Team(Base):
    __tablename__ = "team"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(MAX_TEAM_LENGTH), unique=True)


class UserRole(Base):
    __tablename__ = "user_role"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(String(20), primary_key=True)


class UserParty(Base):
    __tablename__ = "user_party"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    party: Mapped[str] = mapped_column(String(20), primary_key=True)


class UserTeam(Base):
    __tablename__ = "user_team"

    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"), primary_key=True)

    team: Mapped[Team] = relationship(lazy="raise")


class Mails(StrEnum):
    """How often notices go to a person's mailbox."""

    HOURLY = "hourly"
    DAILY = "daily"
    NEVER = "never"


class User(Base):
    """A person, or with `is_service` a program that has only tokens; `mails` is one of Mails, `mailed_at` of the last digest."""

    __tablename__ = "user_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(24), unique=True, default=public_id)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_LENGTH))
    password_hash: Mapped[str] = mapped_column(String(255), default="")
    clearance: Mapped[str] = mapped_column(String(20), default=Tier.INTERNAL.value)
    language: Mapped[str] = mapped_column(String(10), default="")
    manager_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    epoch: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    deactivated_at: Mapped[datetime | None]
    mails: Mapped[str] = mapped_column(String(10), default=Mails.HOURLY.value, server_default="hourly")
    mailed_at: Mapped[datetime | None]
    is_service: Mapped[bool | None]

    roles: Mapped[list[UserRole]] = relationship(lazy="raise", cascade="all, delete-orphan")
    parties: Mapped[list[UserParty]] = relationship(lazy="raise", cascade="all, delete-orphan")
    teams: Mapped[list[UserTeam]] = relationship(lazy="raise", cascade="all, delete-orphan")


@dataclass(frozen=True, slots=True)
class Person:
    """What a page shows of a user."""

    id: int
    public_id: str
    email: str
    name: str
    language: str


class WrongPassword(Invalid):
    """The present password was not the one given."""

    code, message = "wrong_password", N_("The present password is not right.")


class WeakPassword(Invalid):
    """Too short, or the address itself."""

    code, message = "weak_password", N_("Choose a password of at least 10 characters that is not the e-mail address.")


def normal_email(email: str) -> str:
    """One spelling of an address; raises Invalid for what is none."""
    cleaned = email.strip().casefold()
    if not EMAIL.fullmatch(cleaned):
        raise Invalid(f"{email.strip()!r} is not an e-mail address.", code="invalid_email")
    return cleaned


def find_by_email(session: Session, email: str) -> User | None:
    return session.scalar(_whole_users().where(User.email == email.strip().casefold()))


def find_person(session: Session, email: str) -> User | None:
    """Who has this address and is a person, no program."""
    found = find_by_email(session, email)
    return found if found is not None and not found.is_service else None


def get_by_email(session: Session, email: str) -> User:
    user = find_by_email(session, email)
    if user is None:
        raise NotFound(f"There is no user {email.strip()}.", code="unknown_user")
    return user


def find(session: Session, user_id: int) -> User | None:
    return session.scalar(_whole_users().where(User.id == user_id))


def _whole_users() -> Select[User]:
    return select(User).options(selectinload(User.roles), selectinload(User.parties), selectinload(User.teams))


def actor_of(user: User, scopes: frozenset[Permission] | None = None, token_id: int | None = None) -> Actor:
    """The actor a loaded user is; a deactivated one is nobody."""
    if user.deactivated_at is not None:
        raise NotFound(code="unknown_user")
    return actor_as_if_active(user, scopes, token_id)


def actor_as_if_active(user: User, scopes: frozenset[Permission] | None = None, token_id: int | None = None) -> Actor:
    """What a loaded user would be; only for saying why somebody sees something, never for letting them in."""
    return Actor(
        kind=ActorKind.USER,
        name=user.email,
        user_id=user.id,
        public_id=user.public_id,
        roles=frozenset(Role(row.role) for row in user.roles),
        parties=frozenset(Party(row.party) for row in user.parties),
        clearance=Tier(user.clearance),
        team_ids=frozenset(row.team_id for row in user.teams),
        language=user.language,
        scopes=scopes,
        token_id=token_id,
    )


def person_of(user: User) -> Person:
    return Person(user.id, user.public_id, user.email, user.name, user.language)


def list_names(session: Session, user_ids: Iterable[int]) -> Mapping[int, str]:
    wanted = set(user_ids)
    rows = session.execute(select(User.id, User.name).where(User.id.in_(wanted))).all() if wanted else []
    return {row.id: row.name for row in rows}


def list_emails(session: Session, user_ids: Iterable[int]) -> Mapping[int, str]:
    """Addresses by id."""
    rows = session.execute(select(User.id, User.email).where(User.id.in_(set(user_ids))))
    return {row.id: row.email for row in rows}


def with_roles(session: Session, *roles: Role) -> set[int]:
    """Ids of the active people who have one of the roles."""
    return set(
        session.scalars(
            select(UserRole.user_id)
            .join(User, User.id == UserRole.user_id)
            .where(
                UserRole.role.in_([role.value for role in roles]),
                User.deactivated_at.is_(None),
                User.is_service.is_not(True),
            )
        )
    )


def list_teams(session: Session, team_ids: Iterable[int]) -> Mapping[int, str]:
    """Names of teams by id."""
    rows = session.execute(select(Team.id, Team.name).where(Team.id.in_(set(team_ids))))
    return {row.id: row.name for row in rows}


def hash_password(password: str) -> str:
    """What is kept of a password."""
    return _hasher.hash(password)


def is_password(kept: str, password: str) -> bool:
    """Whether a password is the one of which this was kept."""
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def verify_password(user: User | None, password: str) -> bool:
    """Takes as long for an unknown person as for a known one."""
    nobodys = _nobodys_hash()
    kept = user.password_hash if user and user.password_hash else nobodys
    matches = is_password(kept, password)
    return matches and user is not None and bool(user.password_hash) and user.deactivated_at is None


@dataclass(frozen=True, slots=True)
class NewUser:
    """What makes a user."""

    email: str
    name: str = ""
    roles: tuple[Role, ...] = (Role.REP,)
    parties: tuple[Party, ...] = ()
    clearance: Tier = Tier.INTERNAL
    teams: tuple[str, ...] = ()
    language: str = ""
    password: str = ""
    manager: str = ""
    takes_manager_away: bool = False
    """Without an address in `manager`, whether the present one goes."""
    is_service: bool = False
    """A program: it never signs in, owns nothing and gives no verdict."""


class Outcome(StrEnum):
    """What an upsert did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


def new_user(fields: Mapping[str, str]) -> NewUser:
    """Read one row of words (`role`, `party`, `teams` … separated by `,` or `;`); raise Invalid with every mistake."""
    mistakes: list[str] = []
    read = NewUser(
        email=_kept(mistakes, lambda: normal_email(fields.get("email", ""))) or "",
        name=fields.get("name", "").strip(),
        roles=tuple(Role(word) for word in _words(fields, ("role", "roles"), Role, mistakes)) or (Role.REP,),
        parties=tuple(Party(word) for word in _words(fields, ("party", "parties"), Party, mistakes)),
        clearance=Tier(next(iter(_words(fields, ("clearance",), Tier, mistakes)), Tier.INTERNAL)),
        teams=tuple(_split(fields.get("teams", "") or fields.get("team", ""))),
        language=_language(fields.get("language", "").strip(), mistakes),
        manager=fields.get("manager", "").strip().casefold(),
    )
    if len(read.name) > MAX_NAME_LENGTH or any(len(name) > MAX_TEAM_LENGTH for name in read.teams):
        mistakes.append(f"A name has at most {MAX_NAME_LENGTH} characters, a team's at most {MAX_TEAM_LENGTH}.")
    if any("\x00" in value for value in (read.name, *read.teams)):
        mistakes.append("A name holds a NUL.")
    if mistakes:
        raise Invalid(" ".join(mistakes))
    return read


def _kept(mistakes: list[str], read: Callable[[], str]) -> str | None:
    try:
        return read()
    except Invalid as mistake:
        mistakes.append(mistake.text)
        return None


def _split(raw: str) -> list[str]:
    return [word.strip() for word in re.split(r"[,;、；，]", raw) if word.strip()]


def _words(fields: Mapping[str, str], names: tuple[str, ...], choices: type[StrEnum], mistakes: list[str]) -> list[str]:
    words = [word.casefold() for name in names for word in _split(fields.get(name) or "")]
    allowed = [choice.value for choice in choices]
    mistakes.extend(f"{names[0]} {word!r} is none of {', '.join(allowed)}." for word in words if word not in allowed)
    return [word for word in words if word in allowed]


def _language(raw: str, mistakes: list[str]) -> str:
    spoken = {"zh": "zh_Hans", "zh-cn": "zh_Hans", "zh_hans": "zh_Hans", "en": "en", "": ""}.get(raw.casefold())
    if spoken is None:
        mistakes.append(f"language {raw!r} is none of {', '.join(LANGUAGES)}.")
    return spoken or ""


def add(session: Session, actor: Actor, new: NewUser) -> User:
    """Create a person; raises Conflict where the address is taken."""
    require(actor, Permission.ADMINISTER)
    if find_by_email(session, new.email):
        raise Conflict(f"There is a user {new.email} already.", code="user_exists")
    user = User(
        email=new.email,
        name=new.name or new.email.partition("@")[0],
        is_service=new.is_service or None,
        roles=[],
        parties=[],
        teams=[],
    )
    session.add(user)
    _apply(session, user, new)
    session.flush()
    audit.record(session, actor, "user.add", "user", user.public_id, **_traced(new))
    return user


def put(session: Session, actor: Actor, new: NewUser) -> Outcome:
    """Create the person, or bring an existing one to what is given."""
    require(actor, Permission.ADMINISTER)
    user = find_by_email(session, new.email)
    if user is None:
        add(session, actor, new)
        return Outcome.CREATED
    return Outcome.UPDATED if bring_to(session, actor, user, new) else Outcome.UNCHANGED


def _apply(session: Session, user: User, new: NewUser) -> None:
    if user.is_service and (new.parties or Role.REVIEWER in new.roles or new.password):
        raise Invalid(N_("A program gives no verdicts and has no password."), code="service_account")
    user.name = new.name or user.name
    user.clearance = new.clearance.value
    user.language = new.language or user.language
    _keep_only(user.roles, "role", {role.value for role in new.roles}, lambda value: UserRole(role=value))
    _keep_only(user.parties, "party", {party.value for party in new.parties}, lambda value: UserParty(party=value))
    teams = {team(session, name).id for name in new.teams}
    _keep_only(user.teams, "team_id", teams, lambda value: UserTeam(team_id=value))
    if new.manager:
        user.manager_id = get_by_email(session, new.manager).id
    elif new.takes_manager_away:
        user.manager_id = None
    if new.password:
        _set_password(user, new.password)


def _keep_only(rows: list[Any], attribute: str, wanted: set[Any], make: Callable[[Any], Any]) -> None:
    present = {getattr(row, attribute): row for row in rows}
    for value, row in present.items():
        if value not in wanted:
            rows.remove(row)
    rows.extend(make(value) for value in sorted(wanted - present.keys()))


def _state(user: User) -> tuple[object, ...]:
    return (
        user.name,
        user.clearance,
        user.language,
        user.manager_id,
        frozenset(row.role for row in user.roles),
        frozenset(row.party for row in user.parties),
        frozenset(row.team_id for row in user.teams),
        user.password_hash,
    )


def _traced(new: NewUser) -> dict[str, object]:
    return {
        "email": new.email,
        "roles": list(new.roles),
        "parties": list(new.parties),
        "clearance": new.clearance,
        "teams": list(new.teams),
    }


def team(session: Session, name: str) -> Team:
    """The team of that name, made where there is none."""
    found = session.scalar(select(Team).where(Team.name == name))
    if found is None:
        found = Team(name=name)
        session.add(found)
        session.flush()
    return found


def set_password(session: Session, actor: Actor, user: User, password: str) -> None:
    """Set a new password; every session of the person ends."""
    _set_password(user, password)
    user.epoch += 1
    audit.record(session, actor, "user.password", "user", user.public_id)


def change_own_password(session: Session, actor: Actor, present: str, password: str) -> User:
    """Change one's own password, knowing the present one."""
    user = _self(session, actor)
    if not verify_password(user, present):
        raise WrongPassword()
    set_password(session, actor, user, password)
    return user


def set_own_language(session: Session, actor: Actor, language: str) -> None:
    if language not in LANGUAGES:
        raise Invalid(f"Choose one of {', '.join(LANGUAGES)}.", code="invalid_language")
    _self(session, actor).language = language
    audit.record(session, actor, "user.language", "user", actor.public_id, language=language)


def own_mails(session: Session, actor: Actor) -> Mails:
    return Mails(_self(session, actor).mails)


def set_own_mails(session: Session, actor: Actor, word: str) -> None:
    """How often notices come by mail."""
    if word not in set(Mails):
        raise Invalid(N_("Choose how often notices come by mail."), code="invalid_mails")
    _self(session, actor).mails = word
    audit.record(session, actor, "user.mails", "user", actor.public_id, mails=word)


def _self(session: Session, actor: Actor) -> User:
    require(actor, Permission.ACCOUNT)
    user = find(session, actor.user_id) if actor.user_id is not None else None
    if user is None:
        raise NotFound(code="unknown_user")
    return user


def _set_password(user: User, password: str) -> None:
    if len(password) < MINIMUM_PASSWORD_LENGTH or password.casefold() == user.email:
        raise WeakPassword()
    user.password_hash = hash_password(password)


def bring_to(session: Session, actor: Actor, user: User, new: NewUser) -> bool:
    """Bring a loaded person to what is given; answers whether anything changed. Their sessions end where it did."""
    require(actor, Permission.ADMINISTER)
    before = _state(user)
    _apply(session, user, new)
    session.flush()
    if _state(user) == before:
        return False
    user.epoch += 1
    audit.record(session, actor, "user.change", "user", user.public_id, **_traced(new))
    return True


def with_password(new: NewUser, password: str) -> NewUser:
    return replace(new, password=password)
