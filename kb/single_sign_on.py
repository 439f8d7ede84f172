"""Signing in through the company's OpenID Connect provider: what it says is checked, then mapped to a person here.

A person is known by issuer and subject together, never by an address alone. OpenID Connect Core 1.0 §3.1.3.7 says
what is checked of an answer, RFC 7636 (PKCE) and RFC 9207 what ties it to this browser and this provider.
"""

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import structlog
import yaml
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import ForeignKey, String, UniqueConstraint, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kb import audit, clock, outbound, users
from kb.access import SYSTEM, Party, Role, Tier
from kb.config import Settings
from kb.db import Base, take_turn
from kb.errors import N_, Forbidden, Unavailable, WrongSettings
from kb.outbound import Refused
from kb.users import NewUser, User

ALGORITHMS: Final = ("RS256", "ES256")
"""A provider that signs with a shared secret, or not at all, is refused."""
SCOPE: Final = "openid email profile"
LEEWAY: Final = 60
"""Seconds by which clocks may differ."""
KEPT_FOR: Final = timedelta(hours=1)
ASKED_AGAIN_AFTER: Final = timedelta(minutes=1)
SPENT_FOR: Final = timedelta(hours=1)
DISCOVERY: Final = "/.well-known/openid-configuration"
LONGEST_CLAIM: Final = 250
MOST_GROUPS: Final = 1_000

log = structlog.get_logger(__name__)


class NotTrusted(Forbidden):
    """The answer fails a check; which one stands in the log and the trail."""

    code, message = (
        "sign_on_not_trusted",
        N_("What the sign-on service answered does not hold. Try again; if it stays so, tell an administrator."),
    )

    def __init__(self, cause: str) -> None:
        super().__init__()
        self.cause = cause


class NoAccount(Forbidden):
    code, message = "no_account", N_("There is no account for you here. Ask an administrator.")


class Silent(Unavailable):
    """The provider does not answer as it should; how stands in the log."""

    code, message = "sign_on_silent", N_("The sign-on service does not answer. Try again in a moment.")

    def __init__(self, cause: str) -> None:
        super().__init__()
        self.cause = cause
        log.warning("sign_on.silent", cause=cause[:200])


class Identity(Base):
    """Whom a provider's subject stands for here."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id", ondelete="CASCADE"), index=True)
    linked_at: Mapped[datetime] = mapped_column(default=clock.now)
    used_at: Mapped[datetime] = mapped_column(default=clock.now)


class SpentState(Base):
    """A way back from the provider that was gone once; it is not gone again."""

    __tablename__ = "spent_state"

    state: Mapped[str] = mapped_column(String(80), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=clock.now)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a group gives."""

    roles: frozenset[Role] = frozenset()
    parties: frozenset[Party] = frozenset()
    teams: frozenset[str] = frozenset()
    clearance: Tier | None = None

    def __or__(self, other: "Rights") -> "Rights":
        ranked = [tier for tier in (self.clearance, other.clearance) if tier is not None]
        return Rights(
            self.roles | other.roles,
            self.parties | other.parties,
            self.teams | other.teams,
            max(ranked, key=lambda tier: tier.rank) if ranked else None,
        )


@dataclass(frozen=True, slots=True)
class Groups:
    """The file of KB_OIDC_GROUPS: in which claim groups stand, what each gives, what everybody gets."""

    claim: str = "groups"
    everybody: Rights = Rights()
    by_name: Mapping[str, Rights] = field(default_factory=dict)

    def rights(self, claims: Mapping[str, Any]) -> Rights:
        """What these claims give; names that the file does not hold give nothing."""
        given = claims.get(self.claim)
        names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        found = self.everybody
        for name in names[:MOST_GROUPS]:
            if isinstance(name, str):
                found |= self.by_name.get(name, Rights())
        return found


def read_groups(path: Path) -> Groups:
    """The file as it is meant; raises WrongSettings with what is wrong in it."""
    try:
        raw = _names("the file", yaml.safe_load(path.read_text(encoding="utf-8")), {"claim", "everybody", "groups"})
        groups = raw.get("groups") or {}
        if not isinstance(groups, dict):
            raise ValueError("groups holds no names")
        return Groups(
            str(raw.get("claim") or "groups"),
            _rights("everybody", raw.get("everybody") or {}),
            {str(name): _rights(str(name), given or {}) for name, given in groups.items()},
        )
    except (OSError, yaml.YAMLError, ValueError) as mistake:
        raise WrongSettings(f"KB_OIDC_GROUPS {path}: {str(mistake).splitlines()[0][:200]}") from None


def _names(where: str, given: object, allowed: set[str]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ValueError(f"{where} holds no names")
    if unknown := {str(key) for key in given} - allowed:
        raise ValueError(f"{where}: {min(unknown)} is none of {', '.join(sorted(allowed))}")
    return given


def _rights(name: str, given: object) -> Rights:
    found = _names(name, given, {"roles", "parties", "teams", "clearance"})
    lists = {key: found.get(key) or [] for key in ("roles", "parties", "teams")}
    if not all(isinstance(one, list) for one in lists.values()):
        raise ValueError(f"{name}: roles, parties and teams are lists")
    return Rights(
        frozenset(Role(word) for word in lists["roles"]),
        frozenset(Party(word) for word in lists["parties"]),
        frozenset(str(word) for word in lists["teams"]),
        Tier(found["clearance"]) if found.get("clearance") else None,
    )


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in on its way: where the browser goes, and what must come back with it."""

    address: str
    state: str
    nonce: str
    verifier: str


class Provider:
    """The company's provider as this process knows it; what it published is asked for again within the hour."""

    def __init__(self, settings: Settings, **further: Any) -> None:  # resolver and trust, for tests
        self._settings = settings
        self._further = further
        self._lock = threading.Lock()
        self._known: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._known_at = self._keys_at = datetime.min.replace(tzinfo=clock.now().tzinfo)
        self.groups = read_groups(Path(settings.oidc_groups)) if settings.oidc_groups else None

    def begin(self, back: str) -> Begun:
        """A new way to the provider and back to `back`; raises Silent."""
        verifier = secrets.token_urlsafe(48)
        nonce = secrets.token_urlsafe(24)
        endpoint = self._published("authorization_endpoint")
        with self._client(back) as session:
            address, state = session.create_authorization_url(
                endpoint, state=secrets.token_urlsafe(24), nonce=nonce, code_verifier=verifier
            )
        return Begun(address, state, nonce, verifier)

    def claims(self, code: str, begun: Begun, back: str) -> Mapping[str, Any]:
        """What the provider says of whoever came back with this code; raises Silent, NotTrusted."""
        endpoint = self._published("token_endpoint")
        try:
            with self._client(back) as session:
                given = session.fetch_token(endpoint, code=code, code_verifier=begun.verifier)
        except httpx2.HTTPError as error:
            raise Silent(f"token: {type(error).__name__}") from None
        except Refused as refused:
            raise Silent(refused.cause) from None
        except (AuthlibBaseError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise NotTrusted(f"token: {type(error).__name__}") from None
        raw, access = given.get("id_token"), given.get("access_token")
        if not isinstance(raw, str):
            raise NotTrusted("token: no id_token")
        claims = dict(self._checked(raw, begun.nonce, access if isinstance(access, str) else ""))
        if isinstance(access, str) and self._lacks(claims):
            claims = self._with_more(claims, access)
        return claims

    def check(self) -> str:
        """For `kb doctor`: that the provider answers and its keys can be read; raises WrongSettings."""
        try:
            self._published("authorization_endpoint")
            count = len(self._key_set(again=True).keys)
        except (Silent, NotTrusted) as error:
            raise WrongSettings(f"{self._settings.oidc_issuer} does not answer as it should: {error.cause}") from None
        return f"{self._settings.oidc_issuer}, {count} keys"

    def _client(self, back: str) -> OAuth2Client:
        return OAuth2Client(
            client_id=self._settings.oidc_client_id,
            client_secret=self._settings.oidc_client_secret or None,
            token_endpoint_auth_method="client_secret_basic" if self._settings.oidc_client_secret else "none",
            scope=SCOPE,
            redirect_uri=back,
            code_challenge_method="S256",
            **outbound.client_options(self._settings.inside, **self._further),
        )

    def _get(self, address: str, **further: Any) -> dict[str, Any]:
        try:
            return outbound.get_json(address, self._settings.inside, **further, **self._further)
        except Refused as refused:
            raise Silent(refused.cause) from None

    def _published(self, name: str) -> str:
        """An endpoint of the provider; what it publishes must name the very issuer that is set."""
        with self._lock:
            if not self._known or clock.now() - self._known_at > KEPT_FOR:
                issuer = self._settings.oidc_issuer
                found = self._get(issuer.rstrip("/") + DISCOVERY)
                if found.get("issuer") != issuer:
                    raise Silent(f"it calls itself {str(found.get('issuer'))[:100]}")
                self._known, self._known_at = found, clock.now()
            address = self._known.get(name)
        if not isinstance(address, str) or urlsplit(address).scheme not in {"https", "http"}:
            raise Silent(f"it publishes no {name}")
        return address

    def _key_set(self, *, again: bool = False) -> KeySet:
        address = self._published("jwks_uri")
        with self._lock:
            age = clock.now() - self._keys_at
            if self._keys is None or age > KEPT_FOR or (again and age > ASKED_AGAIN_AFTER):
                try:
                    self._keys = KeySet.import_key_set(self._get(address))  # type: ignore[arg-type]  # it checks itself
                except (JoseError, ValueError, KeyError, TypeError) as error:
                    raise Silent(f"its keys cannot be read: {type(error).__name__}") from None
                self._keys_at = clock.now()
            return self._keys

    def _checked(self, raw: str, nonce: str, access: str) -> CodeIDToken:
        """The claims of an id token whose signature, issuer, audience, times and nonce hold."""
        try:
            try:
                token = jwt.decode(raw, self._key_set(), algorithms=list(ALGORITHMS))
            except (JoseError, ValueError):  # a key that is new since: asked once more, and not again for a minute
                token = jwt.decode(raw, self._key_set(again=True), algorithms=list(ALGORITHMS))
            found = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": self._settings.oidc_issuer},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id},
                    "sub": {"essential": True},
                    "exp": {"essential": True},
                    "nonce": {"essential": True, "value": nonce},
                },
                params={"nonce": nonce, "client_id": self._settings.oidc_client_id, "access_token": access},
            )
            found.validate(now=int(clock.now().timestamp()), leeway=LEEWAY)
        except (JoseError, AuthlibBaseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise NotTrusted(f"id_token: {type(error).__name__} {error}"[:120]) from None
        subject = found.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_CLAIM:
            raise NotTrusted("id_token: sub")
        return found

    def _lacks(self, claims: Mapping[str, Any]) -> bool:
        wanted = {"email", *([self.groups.claim] if self.groups else [])}
        return bool(wanted - claims.keys()) and "userinfo_endpoint" in self._known

    def _with_more(self, claims: dict[str, Any], access: str) -> dict[str, Any]:
        """What the token leaves out, from the userinfo endpoint; it must speak of the same subject."""
        more = self._get(self._published("userinfo_endpoint"), headers={"Authorization": f"Bearer {access}"})
        if more.get("sub") != claims["sub"]:
            raise NotTrusted("userinfo: sub")
        return more | claims


# --- whom it stands for here ---


def spend(session: Session, state: str) -> None:
    """Mark a way back as gone; raises NotTrusted where it was gone before."""
    session.execute(delete(SpentState).where(SpentState.at < clock.now() - SPENT_FOR))
    if session.get(SpentState, state[:80]) is not None:
        raise NotTrusted("state: spent")
    session.add(SpentState(state=state[:80], at=clock.now()))
    session.flush()


def person_of(session: Session, settings: Settings, groups: Groups | None, claims: Mapping[str, Any]) -> User:
    """The person these claims stand for, brought to what their groups give; raises NoAccount.

    A subject that is new is tied to the account of its address, if the provider says that it checked the address; where
    groups give roles, an account is made for one who has none.
    """
    issuer, subject = settings.oidc_issuer, str(claims["sub"])
    take_turn(session, f"identity:{subject}"[:80])
    rights = groups.rights(claims) if groups is not None else None
    identity = session.scalar(select(Identity).where(Identity.issuer == issuer, Identity.subject == subject))
    user = users.find(session, identity.user_id) if identity is not None else None
    if rights is not None and not rights.roles:
        raise NoAccount()
    if user is None:
        user = _by_address(session, claims, rights)
        session.add(
            Identity(issuer=issuer, subject=subject, user_id=user.id, linked_at=clock.now(), used_at=clock.now())
        )
        session.flush()
        audit.record(session, SYSTEM, "user.link", "user", user.public_id, issuer=issuer)
    elif identity is not None:
        identity.used_at = clock.now()
    if user.deactivated_at is not None:
        raise NoAccount()
    if rights is not None:
        users.bring_to(session, SYSTEM, user, _wanted(session, user, rights))
    return user


def _by_address(session: Session, claims: Mapping[str, Any], rights: Rights | None) -> User:
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") is not True:
        raise NoAccount()
    cleaned = email.strip().casefold()
    if len(cleaned) > LONGEST_CLAIM or not users.EMAIL.fullmatch(cleaned):
        raise NoAccount()
    user = users.find_by_email(session, cleaned)
    if user is not None and user.is_service:
        raise NoAccount()
    if user is not None:
        return user
    if rights is None:
        raise NoAccount()
    name = claims.get("name")
    called = " ".join(name.split())[: users.MAX_NAME_LENGTH] if isinstance(name, str) and "\x00" not in name else ""
    users.add(session, SYSTEM, _of(rights, NewUser(cleaned, called)))
    made = users.find_by_email(session, cleaned)
    assert made is not None
    return made


def _wanted(session: Session, user: User, rights: Rights) -> NewUser:
    """The last administrator stays one, whatever the groups say: somebody must be left to mend them."""
    wanted = _of(rights, NewUser(user.email))
    if Role.ADMIN not in wanted.roles and users.with_roles(session, Role.ADMIN) <= {user.id}:
        is_admin = any(row.role == Role.ADMIN.value for row in user.roles)
        return replace(wanted, roles=(*wanted.roles, Role.ADMIN)) if is_admin else wanted
    return wanted


def _of(rights: Rights, new: NewUser) -> NewUser:
    return replace(
        new,
        roles=tuple(sorted(rights.roles)),
        parties=tuple(sorted(rights.parties)),
        teams=tuple(sorted(rights.teams)),
        clearance=rights.clearance or Tier.INTERNAL,
    )


def linked_at(session: Session, user_id: int) -> datetime | None:
    """Since when a provider's subject stands for this person; None where none does."""
    return session.scalars(
        select(Identity.linked_at).where(Identity.user_id == user_id).order_by(Identity.linked_at)
    ).first()


def unlink(session: Session, user_id: int) -> int:
    """Let no provider's subject stand for this person; answers how many did."""
    found: Sequence[Identity] = session.scalars(select(Identity).where(Identity.user_id == user_id)).all()
    for identity in found:
        session.delete(identity)
    return len(found)
