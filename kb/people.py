"""People as administrators look after them: who may do what, their sessions, leaving and coming back."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session, selectinload

from kb import audit, clock, second_factor, sessions, single_sign_on, tokens, users
from kb.access import Actor, Party, Permission, Role, Tier, require
from kb.errors import N_, Conflict, Invalid, NotFound
from kb.users import NewUser, Team, User, UserRole, UserTeam

PAGE: Final = 50
HISTORY: Final = 20
SERVICES: Final = "service"
"""What stands behind the @ in the name of a program."""


class LastAdmin(Conflict):
    code, message = "last_admin", N_("This is the last administrator: name another one first.")


class Yourself(Conflict):
    code, message = "yourself", N_("Somebody else takes your own rights or your account: ask another administrator.")


@dataclass(frozen=True, slots=True)
class PersonLine:
    public_id: str
    email: str
    name: str
    roles: tuple[Role, ...]
    parties: tuple[Party, ...]
    clearance: Tier
    teams: tuple[str, ...]
    manager: str
    is_active: bool
    seen_at: datetime | None
    """When a browser of theirs asked last, as far as a session of theirs is kept."""
    is_service: bool = False


@dataclass(frozen=True, slots=True)
class PersonPage:
    """One person, with what an administrator changes and sees."""

    line: PersonLine
    language: str
    sessions: tuple[sessions.SessionLine, ...]
    tokens: tuple[tokens.TokenLine, ...]
    signed_in_at: tuple[datetime, ...]
    """The newest sign-ins, from the trail."""
    is_yourself: bool
    has_second_factor: bool
    linked_at: datetime | None
    """Since when they sign in by the company's single sign-on."""


@dataclass(frozen=True, slots=True)
class PeoplePage:
    rows: tuple[PersonLine, ...]
    total: int
    teams: tuple[str, ...]


def list_people(
    session: Session,
    actor: Actor,
    words: str = "",
    role: Role | None = None,
    *,
    active: bool = True,
    services: bool = False,
    offset: int = 0,
    limit: int = PAGE,
) -> PeoplePage:
    """Who may sign in, or who may not any more, or the accounts of programs; by name."""
    require(actor, Permission.ADMINISTER)
    rules: list[ColumnElement[bool]] = [User.deactivated_at.is_(None) if active else User.deactivated_at.is_not(None)]
    rules.append(User.is_service.is_(True) if services else User.is_service.is_not(True))
    if words.strip():
        pattern = "%" + words.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rules.append(or_(User.name.ilike(pattern, escape="\\"), User.email.ilike(pattern, escape="\\")))
    if role is not None:
        rules.append(User.id.in_(select(UserRole.user_id).where(UserRole.role == role.value)))
    found = session.scalars(
        select(User)
        .where(*rules)
        .options(
            selectinload(User.roles), selectinload(User.parties), selectinload(User.teams).selectinload(UserTeam.team)
        )
        .order_by(User.name, User.id)
        .offset(offset)
        .limit(limit)
    ).all()
    total = session.scalar(select(func.count()).select_from(User).where(*rules)) or 0
    return PeoplePage(tuple(_lines(session, found)), total, list_teams(session))


def list_teams(session: Session) -> tuple[str, ...]:
    return tuple(session.scalars(select(Team.name).order_by(Team.name)))


def _lines(session: Session, found: Sequence[User]) -> list[PersonLine]:
    heads = users.list_emails(session, {user.manager_id for user in found if user.manager_id is not None})
    seen = sessions.last_seen(session, [user.id for user in found])
    return [
        PersonLine(
            user.public_id,
            user.email,
            user.name,
            tuple(sorted(Role(row.role) for row in user.roles)),
            tuple(sorted(Party(row.party) for row in user.parties)),
            Tier(user.clearance),
            tuple(sorted(row.team.name for row in user.teams)),
            heads.get(user.manager_id or 0, ""),
            user.deactivated_at is None,
            seen.get(user.id),
            bool(user.is_service),
        )
        for user in found
    ]


def get(session: Session, actor: Actor, public_id: str) -> PersonPage:
    require(actor, Permission.ADMINISTER)
    user = _find(session, public_id)
    (line,) = _lines(session, [user])
    begun = session.scalars(
        select(audit.AuditEntry.at)
        .where(audit.AuditEntry.action == "session.begin", audit.AuditEntry.object_id == public_id)
        .order_by(audit.AuditEntry.sequence.desc())
        .limit(HISTORY)
    ).all()
    return PersonPage(
        line,
        user.language,
        tuple(sessions.list_of(session, user)),
        tuple(tokens.list_of(session, actor, user)),
        tuple(begun),
        user.id == actor.user_id,
        second_factor.is_on(session, user.id),
        single_sign_on.linked_at(session, user.id),
    )


def _find(session: Session, public_id: str) -> User:
    user = session.scalar(
        select(User)
        .where(User.public_id == public_id)
        .options(
            selectinload(User.roles), selectinload(User.parties), selectinload(User.teams).selectinload(UserTeam.team)
        )
    )
    if user is None:
        raise NotFound()
    return user


def add(session: Session, actor: Actor, fields: Mapping[str, str], teams: Sequence[str] = ()) -> tuple[str, str]:
    """A new person with a password that is shown once; answers their id and the password. Raises Invalid, Conflict."""
    require(actor, Permission.ADMINISTER)
    password = secrets.token_urlsafe(12)
    made = users.add(session, actor, users.with_password(_wanted(fields, teams), password))
    return made.public_id, password


def add_service(session: Session, actor: Actor, fields: Mapping[str, str], teams: Sequence[str] = ()) -> str:
    """An account for a program, which has tokens and nothing else; answers its id. Raises Invalid, Conflict."""
    require(actor, Permission.ADMINISTER)
    name = " ".join(fields.get("name", "").split())
    if not name:
        raise Invalid(N_("Give the program a name that says what it does."), code="name_missing")
    if session.scalar(select(User.id).where(User.is_service.is_(True), User.name == name)) is not None:
        raise Conflict(N_("There is a program of this name already."), code="user_exists")
    slug = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:40] or "program"
    address, number = f"{slug}@{SERVICES}", 1
    while users.find_by_email(session, address) is not None:
        number += 1
        address = f"{slug}-{number}@{SERVICES}"
    wanted = _wanted({**fields, "name": name, "email": address, "manager": ""}, teams)
    return users.add(session, actor, replace(wanted, is_service=True)).public_id


def add_token(
    session: Session, actor: Actor, public_id: str, name: str, scopes: Iterable[str] = (), days: int = tokens.MOST_DAYS
) -> str:
    """A token of a program, shown this once; people make their own."""
    require(actor, Permission.ADMINISTER)
    return tokens.create(session, actor, _find(session, public_id), name, scopes, days)


def list_tokens(session: Session, actor: Actor, public_id: str) -> Sequence[tokens.TokenLine]:
    """Somebody's tokens: names, scopes, last use."""
    require(actor, Permission.ADMINISTER)
    return tokens.list_of(session, actor, _find(session, public_id))


def revoke_token(session: Session, actor: Actor, public_id: str, token_id: str) -> None:
    """End somebody's token at once."""
    require(actor, Permission.ADMINISTER)
    tokens.revoke_of(session, actor, _find(session, public_id), token_id)


def change(
    session: Session, actor: Actor, public_id: str, fields: Mapping[str, str], teams: Sequence[str] = ()
) -> None:
    """Bring a person to these roles, parties, clearance, teams; holds with their next request."""
    require(actor, Permission.ADMINISTER)
    user = _find(session, public_id)
    wanted = _wanted({**fields, "email": user.email}, teams)
    if Role.ADMIN not in wanted.roles:
        _keep_an_admin(session, actor, user)
    users.bring_to(session, actor, user, replace(wanted, takes_manager_away=not wanted.manager))


def _wanted(fields: Mapping[str, str], teams: Sequence[str]) -> NewUser:
    """What is given in words; teams come one by one, for a name may hold a comma."""
    named = tuple(dict.fromkeys(name.strip() for name in teams if name.strip()))
    if any(len(name) > users.MAX_TEAM_LENGTH or "\x00" in name for name in named):
        raise Invalid(N_("A team's name has at most 80 characters."), code="team")
    return replace(users.new_user(fields), teams=named)


def _keep_an_admin(session: Session, actor: Actor, user: User) -> None:
    if not any(row.role == Role.ADMIN.value for row in user.roles):
        return
    if user.id == actor.user_id:
        raise Yourself()
    session.scalars(select(UserRole).where(UserRole.role == Role.ADMIN.value).with_for_update()).all()  # of two at once
    if users.with_roles(session, Role.ADMIN) <= {user.id}:
        raise LastAdmin()


def deactivate(session: Session, actor: Actor, public_id: str, reason: str) -> None:
    """Nobody signs in as this person any more; sessions and tokens end with the commit, what they wrote stays."""
    require(actor, Permission.ADMINISTER)
    user = _find(session, public_id)
    if user.id == actor.user_id:
        raise Yourself()
    if user.deactivated_at is not None:
        raise Conflict(N_("This person may not sign in already."), code="deactivated")
    _keep_an_admin(session, actor, user)
    user.deactivated_at = clock.now()
    user.epoch += 1
    tokens.revoke_all(session, user.id)
    session.flush()
    audit.record(session, actor, "user.deactivate", "user", public_id, reason=reason.strip()[:500])


def reactivate(session: Session, actor: Actor, public_id: str) -> None:
    """May sign in again, with the former password; tokens stay ended."""
    require(actor, Permission.ADMINISTER)
    user = _find(session, public_id)
    if user.deactivated_at is None:
        raise Conflict(N_("This person may sign in."), code="active")
    user.deactivated_at = None
    user.epoch += 1
    session.flush()
    audit.record(session, actor, "user.reactivate", "user", public_id)


def new_password(session: Session, actor: Actor, public_id: str) -> str:
    """A new password that is shown once; every session of the person ends."""
    require(actor, Permission.ADMINISTER)
    password = secrets.token_urlsafe(12)
    user = _find(session, public_id)
    if user.is_service:
        raise Conflict(N_("A program gives no verdicts and has no password."), code="service_account")
    users.set_password(session, actor, user, password)
    return password


def sign_out(session: Session, actor: Actor, public_id: str) -> None:
    """End every session of a person; tokens stay."""
    require(actor, Permission.ADMINISTER)
    user = _find(session, public_id)
    user.epoch += 1
    session.flush()
    audit.record(session, actor, "user.sign_out", "user", public_id)


def reset_second_factor(session: Session, actor: Actor, public_id: str) -> None:
    """For somebody who has lost authenticator and codes: the password alone lets them in, every session ends."""
    require(actor, Permission.ADMINISTER)
    second_factor.reset(session, actor, _find(session, public_id))


def unlink(session: Session, actor: Actor, public_id: str) -> None:
    """No single sign-on stands for this person until they come by it again; every session ends."""
    require(actor, Permission.ADMINISTER)
    user = _find(session, public_id)
    if not single_sign_on.unlink(session, user.id):
        raise Conflict(N_("No single sign-on stands for this person."), code="not_linked")
    user.epoch += 1
    session.flush()
    audit.record(session, actor, "user.unlink", "user", public_id)
