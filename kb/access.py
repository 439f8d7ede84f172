"""Who may do what: the table an auditor can read, and the actor it is asked about."""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from kb.errors import Forbidden


class Role(StrEnum):
    REP = "rep"
    MARKETER = "marketer"
    REVIEWER = "reviewer"
    MANAGER = "manager"
    COORDINATOR = "coordinator"
    ADMIN = "admin"


class Party(StrEnum):
    LEGAL = "legal"
    MARKETING = "marketing"
    SALES = "sales"


class Tier(StrEnum):
    """Who inside may read; ordered from open to closed."""

    PUBLIC = "public"
    INTERNAL = "internal"
    RESTRICTED = "restricted"
    CONFIDENTIAL = "confidential"

    @property
    def rank(self) -> int:
        return _RANK_OF_TIER[self]


_RANK_OF_TIER = {one: place for place, one in enumerate(Tier)}


class Permission(StrEnum):
    SEARCH = "search"  # find and read what the one rule shows
    USE = "use"  # copy, share, download by handling; leave feedback
    ACCOUNT = "account"  # one's own password, language and tokens
    EDIT = "edit"  # see drafts and the editors' library
    PUBLISH = "publish"
    CURATE = "curate"  # vocabularies, without the stages
    REVIEW = "review"  # verdicts for one's own parties
    PROVE = "prove"  # registers of evidence and of customers' consent
    MEASURE = "measure"  # figures of whole teams and of the library
    IMPORT = "import"  # bring content, people and deals in
    ADMINISTER = "administer"  # people, vocabularies, parts page
    METRICS = "metrics"


_EVERYBODY = frozenset({Permission.SEARCH, Permission.USE, Permission.ACCOUNT})

GRANTS: Mapping[Role, frozenset[Permission]] = {
    Role.REP: _EVERYBODY,
    Role.MARKETER: _EVERYBODY
    | {Permission.EDIT, Permission.PUBLISH, Permission.CURATE, Permission.PROVE, Permission.MEASURE},
    Role.REVIEWER: _EVERYBODY | {Permission.EDIT, Permission.PROVE, Permission.REVIEW},
    Role.MANAGER: _EVERYBODY | {Permission.MEASURE},
    Role.COORDINATOR: _EVERYBODY | {Permission.EDIT, Permission.MEASURE},
    Role.ADMIN: _EVERYBODY
    | {
        Permission.EDIT,
        Permission.PUBLISH,
        Permission.CURATE,
        Permission.PROVE,
        Permission.MEASURE,
        Permission.IMPORT,
        Permission.ADMINISTER,
        Permission.METRICS,
    },
}


class ActorKind(StrEnum):
    USER = "user"
    SYSTEM = "system"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person with rights, the system itself, or the operator at the command line."""

    kind: ActorKind
    name: str
    user_id: int | None = None
    public_id: str = ""
    roles: frozenset[Role] = frozenset()
    parties: frozenset[Party] = frozenset()
    clearance: Tier = Tier.PUBLIC
    team_ids: frozenset[int] = frozenset()
    language: str = ""
    scopes: frozenset[Permission] | None = None  # of the API token in use; None: no token
    token_id: int | None = field(default=None)

    @property
    def is_user(self) -> bool:
        return self.kind is ActorKind.USER

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the roles grant now, narrowed by the token in use."""
        if not self.is_user:
            return frozenset(Permission)
        granted = frozenset[Permission]().union(*(GRANTS[role] for role in self.roles))
        return granted if self.scopes is None else granted & self.scopes

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


SYSTEM = Actor(kind=ActorKind.SYSTEM, name="system")


def operator() -> Actor:
    """The person at the command line, audited by the operating system's name."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return Actor(kind=ActorKind.OPERATOR, name=f"operator:{name}", clearance=Tier.CONFIDENTIAL)


def require(actor: Actor, permission: Permission) -> None:
    """Raise Forbidden unless the actor holds the permission."""
    if not actor.may(permission):
        raise Forbidden(permission=permission.value)
