"""People for programs: list, add, change, deactivate, reactivate."""

from datetime import datetime
from typing import Annotated, Any

from flask import Response
from pydantic import Field

from kb import people, tokens
from kb.access import Party, Permission, Role, Tier
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.db import reading
from kb.people import PersonLine
from kb.web import Area, actor

area = Area("people_api", __name__, url_prefix=PREFIX)

Address = Annotated[str, Field(max_length=254)]
Team = Annotated[str, Field(min_length=1, max_length=80)]


class PeopleQuery(Strict):
    q: Annotated[str, Field(max_length=120)] = ""
    role: Role | None = None
    active: bool = True
    services: bool = False
    limit: Annotated[int, Field(ge=1, le=200)] = people.PAGE
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class PersonBody(Strict):
    """What a person may do; `manager` by address, empty for none; teams that are not there yet are made."""

    name: Annotated[str, Field(max_length=120)] = ""
    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role))]
    parties: Annotated[list[Party], Field(max_length=len(Party))] = []
    clearance: Tier = Tier.INTERNAL
    teams: Annotated[list[Team], Field(max_length=50)] = []
    manager: Address = ""


class NewPersonBody(PersonBody):
    """With `service`, an account for a program: it needs a name, has no address of its own, and no password."""

    email: Address = ""
    service: bool = False


class TokenBody(Strict):
    """Without scopes, all that the program's roles allow."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    scopes: Annotated[list[Permission], Field(max_length=len(Permission))] = []
    days: Annotated[int, Field(ge=1, le=tokens.MOST_DAYS)] = tokens.MOST_DAYS


class TokenShown(Shown):
    id: str
    name: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class TokensShown(Shown):
    items: list[TokenShown]


class NewTokenShown(TokensShown):
    """`token` is shown this once."""

    token: str


class ReasonBody(Strict):
    reason: Annotated[str, Field(max_length=500)] = ""


class PersonShown(Shown):
    id: str
    email: str
    name: str
    roles: list[str]
    parties: list[str]
    clearance: str
    teams: list[str]
    manager: str
    active: bool
    service: bool
    seen_at: datetime | None


class NewPersonShown(PersonShown):
    """`password` is shown this once."""

    password: str


class PeopleShown(Shown):
    items: list[PersonShown]
    total: int


def _words(body: PersonBody, email: str = "") -> dict[str, str]:
    return {
        "email": email,
        "name": body.name,
        "role": ",".join(body.roles),
        "party": ",".join(body.parties),
        "clearance": body.clearance.value,
        "manager": body.manager,
    }


def _shown(line: PersonLine) -> dict[str, Any]:
    return {
        "id": line.public_id,
        "email": line.email,
        "name": line.name,
        "roles": [role.value for role in line.roles],
        "parties": [party.value for party in line.parties],
        "clearance": line.clearance.value,
        "teams": list(line.teams),
        "manager": line.manager,
        "active": line.is_active,
        "service": line.is_service,
        "seen_at": line.seen_at,
    }


def _one(db: Any, public_id: str) -> PersonShown:
    return PersonShown(**_shown(people.get(db, actor(), public_id).line))


@area.get("/people", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=PeopleShown), tags=["people"])
def listed(query: PeopleQuery) -> PeopleShown:
    """Who may sign in, or with `active=false` who may not any more; by name."""
    with reading() as db:
        found = people.list_people(
            db,
            actor(),
            query.q,
            query.role,
            active=query.active,
            services=query.services,
            offset=query.offset,
            limit=query.limit,
        )
    return PeopleShown(items=[PersonShown(**_shown(line)) for line in found.rows], total=found.total)


@area.post("/people", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_201=NewPersonShown), tags=["people"])
def add(json: NewPersonBody) -> Response:
    """A new person; 409 `user_exists` where the address is taken."""

    def act(db: Any) -> NewPersonShown:
        words = _words(json, json.email)
        if json.service:
            public_id, password = people.add_service(db, actor(), words, json.teams), ""
        else:
            public_id, password = people.add(db, actor(), words, json.teams)
        return NewPersonShown(**_shown(people.get(db, actor(), public_id).line), password=password)

    return write(act, 201, secrets=["password"])


@area.get("/people/<public_id>", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=PersonShown), tags=["people"])
def one(public_id: str) -> PersonShown:
    """One person."""
    with reading() as db:
        return _one(db, public_id)


@area.put("/people/<public_id>", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=PersonShown), tags=["people"])
def change(public_id: str, json: PersonBody) -> Response:
    """Bring a person to these rights; what changes signs them out."""

    def act(db: Any) -> PersonShown:
        people.change(db, actor(), public_id, _words(json), json.teams)
        return _one(db, public_id)

    return write(act)


@area.post("/people/<public_id>/deactivate", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=PersonShown), tags=["people"])
def deactivate(public_id: str, json: ReasonBody) -> Response:
    """Nobody signs in as this person; sessions and tokens end with the answer."""

    def act(db: Any) -> PersonShown:
        people.deactivate(db, actor(), public_id, json.reason)
        return _one(db, public_id)

    return write(act)


@area.post("/people/<public_id>/reactivate", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=PersonShown), tags=["people"])
def reactivate(public_id: str) -> Response:
    """May sign in again; tokens stay ended."""

    def act(db: Any) -> PersonShown:
        people.reactivate(db, actor(), public_id)
        return _one(db, public_id)

    return write(act)


def _tokens(db: Any, public_id: str) -> list[TokenShown]:
    return [
        TokenShown(
            id=one.public_id,
            name=one.name,
            scopes=None if one.scopes is None else list(one.scopes),
            created_at=one.created_at,
            expires_at=one.expires_at,
            used_at=one.used_at,
        )
        for one in people.list_tokens(db, actor(), public_id)
    ]


@area.get("/people/<public_id>/tokens", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=TokensShown), tags=["people"])
def list_tokens(public_id: str) -> TokensShown:
    """Tokens of a person or program: names, scopes, last use."""
    with reading() as db:
        return TokensShown(items=_tokens(db, public_id))


@area.post("/people/<public_id>/tokens", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_201=NewTokenShown), tags=["people"])
def add_token(public_id: str, json: TokenBody) -> Response:
    """A token of a program; 404 for people, who make their own."""

    def act(db: Any) -> NewTokenShown:
        made = people.add_token(db, actor(), public_id, json.name, json.scopes, json.days)
        return NewTokenShown(items=_tokens(db, public_id), token=made)

    return write(act, 201, secrets=["token"])


@area.delete("/people/<public_id>/tokens/<token_id>", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=TokensShown), tags=["people"])
def revoke_token(public_id: str, token_id: str) -> Response:
    """End a token of anybody at once."""

    def act(db: Any) -> TokensShown:
        people.revoke_token(db, actor(), public_id, token_id)
        return TokensShown(items=_tokens(db, public_id))

    return write(act)
