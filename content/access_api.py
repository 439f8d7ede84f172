"""Access requests and grants for programs."""

from datetime import datetime
from typing import Annotated, Any

from flask import Response
from pydantic import AwareDatetime, Field

from content import access_requests, dealing, explaining
from content.access_requests import GrantShown as GrantLine
from content.access_requests import RequestShown as RequestLine
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.db import reading as reading_session
from kb.web import Area, actor

area = Area("access_api", __name__, url_prefix=PREFIX)

Words = Annotated[str, Field(min_length=1, max_length=access_requests.LONGEST)]


class AskBody(Strict):
    """`deal` is the one on which it is locked, empty for none; `reason` is read by whoever decides."""

    reason: Words
    deal: Annotated[str, Field(max_length=dealing.MAX_REFERENCE)] = ""


class DecisionBody(Strict):
    """With `grant`, it may be read until that moment whatever the deal's stage; for 14 days where none is named."""

    grant: bool
    reason: Words
    until: AwareDatetime | None = None


class RequestShown(Shown):
    id: str
    asset: str
    title: str
    asked_by: str
    deal: str
    reason: str
    state: str
    asked_at: datetime
    decided_by: str
    decided_at: datetime | None
    answer: str
    until: datetime | None
    may_decide: bool


class GrantShown(Shown):
    id: str
    asset: str
    title: str
    granted_to: str
    until: datetime
    reason: str


class RequestsShown(Shown):
    """`asked`: what the caller decides; `mine`: what the caller asked for; `grants` in force that concern them."""

    asked: list[RequestShown]
    mine: list[RequestShown]
    grants: list[GrantShown]


class ShutShown(Shown):
    asset: str
    title: str
    stage: str
    tries: int
    people: int
    asked: int


class ShutRowsShown(Shown):
    items: list[ShutShown]


def _request(one: RequestLine) -> RequestShown:
    return RequestShown(
        id=one.public_id,
        asset=one.asset_id,
        title=one.title,
        asked_by=one.asked_by,
        deal=one.deal,
        reason=one.reason,
        state=one.state,
        asked_at=one.asked_at,
        decided_by=one.decided_by,
        decided_at=one.decided_at,
        answer=one.answer,
        until=one.until,
        may_decide=one.may_decide,
    )


def _grant(one: GrantLine) -> GrantShown:
    return GrantShown(
        id=one.public_id,
        asset=one.asset_id,
        title=one.title,
        granted_to=one.granted_to,
        until=one.until,
        reason=one.reason,
    )


def _all(db: Any) -> RequestsShown:
    return RequestsShown(
        asked=[_request(one) for one in access_requests.list_for_me(db, actor())],
        mine=[_request(one) for one in access_requests.list_mine(db, actor())],
        grants=[_grant(one) for one in access_requests.list_grants(db, actor())],
    )


@area.get("/access-requests", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=RequestsShown), tags=["access"])
def requests() -> RequestsShown:
    """What the caller decides, what they asked for, and grants in force."""
    with reading_session() as db:
        return _all(db)


@area.post("/assets/<reference>/access-requests", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_201=RequestsShown), tags=["access"])
def ask(reference: str, json: AskBody) -> Response:
    """Ask for an asset that a later stage unlocks; 409 `not_locked` where it can be read already."""
    deal = dealing.named(json.deal)

    def act(db: Any) -> RequestsShown:
        access_requests.ask(db, actor(), deal, reference, json.reason)
        return _all(db)

    return write(act, 201)


@area.post("/access-requests/<public_id>/decision", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=RequestsShown), tags=["access"])
def decide(public_id: str, json: DecisionBody) -> Response:
    """Yes with an end, or no; both with the reason."""

    def act(db: Any) -> RequestsShown:
        if json.grant:
            access_requests.allow(db, actor(), public_id, json.reason, json.until)
        else:
            access_requests.refuse(db, actor(), public_id, json.reason)
        return _all(db)

    return write(act)


@area.post("/access-requests/<public_id>/withdraw", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=RequestsShown), tags=["access"])
def withdraw(public_id: str) -> Response:
    """Not needed any more."""

    def act(db: Any) -> RequestsShown:
        access_requests.withdraw(db, actor(), public_id)
        return _all(db)

    return write(act)


@area.post("/grants/<public_id>/revoke", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_200=RequestsShown), tags=["access"])
def revoke(public_id: str) -> Response:
    """End a grant at once."""

    def act(db: Any) -> RequestsShown:
        access_requests.revoke(db, actor(), public_id)
        return _all(db)

    return write(act)


@area.get("/library/shut", needs=Permission.EDIT)
@spec.validate(resp=answers(HTTP_200=ShutRowsShown), tags=["access"])
def shut() -> ShutRowsShown:
    """What readers came to and could not open in 90 days, of what the caller edits."""
    with reading_session() as db:
        return ShutRowsShown(
            items=[
                ShutShown(
                    asset=one.asset_id,
                    title=one.title,
                    stage=one.stage.key if one.stage is not None else "",
                    tries=one.tries,
                    people=one.people,
                    asked=one.asked,
                )
                for one in access_requests.shut(db, actor())
            ]
        )


class ExplainQuery(Strict):
    """`person` by address, `asset` by id or `external:` and its id, `deal` by ours or the CRM's id, empty for none."""

    person: Annotated[str, Field(min_length=3, max_length=254)]
    asset: Annotated[str, Field(min_length=1, max_length=220)]
    deal: Annotated[str, Field(max_length=dealing.MAX_REFERENCE)] = ""


class PartShown(Shown):
    name: str
    holds: bool


class ExplainedShown(Shown):
    """Visible where all of `needed` hold, and any of `any_of`; `may` is what the handling allows then."""

    visible: bool
    teased: bool
    editable: bool
    on_deal: bool
    needed: list[PartShown]
    any_of: list[PartShown]
    may: list[str]


@area.get("/explain", needs=Permission.ADMINISTER)
@spec.validate(resp=answers(HTTP_200=ExplainedShown), tags=["access"])
def explain(query: ExplainQuery) -> ExplainedShown:
    """Why somebody sees an asset on a deal, or does not; by the rule that every surface asks."""
    with reading_session() as db:
        found = explaining.explain(db, actor(), query.person, query.asset, query.deal)
    return ExplainedShown(
        visible=found.is_visible,
        teased=found.is_teased,
        editable=found.is_editable,
        on_deal=found.is_on_deal,
        needed=[PartShown(name=one.name, holds=one.holds) for one in found.needed],
        any_of=[PartShown(name=one.name, holds=one.holds) for one in found.any_of],
        may=sorted(act.value for act in found.acts),
    )
