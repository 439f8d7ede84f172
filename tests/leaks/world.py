"""A small company in which every asset carries its own canaries, and a short second form of the rule."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import event
from werkzeug.test import TestResponse

from content.deals import Deal
from content.kinds import AssetType, Facet, Handling, Outcome, UseKind
from content.models import Asset
from kb import clock, config, db, sessions
from kb.access import Role, Tier
from kb.app import Service, create_app, open_service
from kb.users import User
from search import encoder, upkeep
from tests.conftest import ORIGIN, SECRET, Browser
from tests.factories import STAGES, Make

NEVER = "AAAAneverAAAAwas"
"""An id of the right shape that never existed."""


@dataclass
class Canaries:
    """Words that stand in one asset alone: as title, tag label, text, and text of the former version."""

    name: str

    @property
    def title(self) -> str:
        return f"zq{self.name}title"

    @property
    def tag(self) -> str:
        return f"zq{self.name}tag"

    @property
    def body(self) -> str:
        return f"zq{self.name}body"

    @property
    def old(self) -> str:
        return f"zq{self.name}old"

    def all(self) -> tuple[str, ...]:
        return (self.title, self.tag, self.body, self.old)


@dataclass
class World:
    """One installation with people, deals and assets by name."""

    service: Service
    app: Flask
    make: Make
    people: dict[str, User] = field(default_factory=dict)
    deals: dict[str, Deal] = field(default_factory=dict)
    assets: dict[str, Asset] = field(default_factory=dict)
    browsers: dict[str, Browser] = field(default_factory=dict)

    def browser(self, name: str) -> Browser:
        if name not in self.browsers:
            self.browsers[name] = open_browser(self.app, self.service, self.people.get(name))
        return self.browsers[name]

    def put(self, name: str, **how: object) -> Asset:
        """An asset with canaries in title, tag, text and a former version."""
        signs = Canaries(name)
        tag = self.make.tag(Facet.PRODUCT, f"key_{name}", f"{signs.tag}en", f"{signs.tag}zh")
        shared = self.make.tag(Facet.INDUSTRY, "shared", "Shared industry", "共同行业")
        how.setdefault("handling", Handling.NAMED)
        asset = self.make.asset(
            f"{signs.title} sparrow",
            f"## {signs.old}\n\nFormer {signs.old}.\n",
            asset_type=AssetType.FAQ,
            tags=[tag, shared],
            external_id=f"ext-{name}",
            **how,
        )
        self.make.new_version(
            asset, f"## Heading\n\nThe sparrow of {signs.body} sings.\n", publish=bool(how.get("publish", True))
        )
        self.assets[name] = asset
        return asset

    def bind(self) -> None:
        """Other tests may have bound a database of their own meanwhile."""
        db.bind(self.service.database)


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """A world in a folder that holds a migrated database."""
    service = open_service(
        config.load({}, data_dir=folder, secret_key=SECRET, encoder=encoder.FAKE, requests_per_minute=0)
    )
    event.listen(service.database.engine, "connect", hurry)
    service.database.engine.dispose()
    upkeep.begin(service.engine)
    yield World(service, create_app(service), Make(service))
    service.close()


def hurry(connection: Any, _record: object) -> None:
    """What is asked here does not depend on the disk; thousands of small writes would wait for it."""
    connection.execute("PRAGMA synchronous=OFF")


def open_browser(app: Flask, service: Service, user: User | None) -> Browser:
    app.test_client_class = Browser
    browser = app.test_client()
    assert isinstance(browser, Browser)
    if user is None:
        return browser
    with service.database.writing() as session:
        token = sessions.open_for(session, session.get_one(User, user.id))
    with browser.session_transaction(base_url=ORIGIN) as cookie:
        cookie["_user_id"], cookie["_fresh"] = token, True
    browser.csrf = browser.get("/account/").text.partition('name="csrf-token" content="')[2].partition('"')[0]
    assert browser.csrf
    return browser


def company(world: World) -> World:
    """The cast and the things of the matrix; see the table in test_matrix.py."""
    make = world.make
    lead = make.user(Role.MANAGER, teams=["east"])
    rep = make.user(teams=["east"], manager=lead.email)
    world.people = {
        "rep": rep,
        "other": make.user(teams=["west"]),
        "marketer": make.user(Role.MARKETER, teams=["east"]),
        "reviewer": make.user(Role.REVIEWER, teams=["east"]),
        "manager": lead,
        "admin": make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL),
    }
    world.deals = {
        "open": make.deal(rep, "solution", account="zqAccountOpen"),
        "lost": make.deal(rep, "negotiation", outcome=Outcome.LOST, account="zqAccountLost"),
        "foreign": make.deal(world.people["other"], "after_sale", account="zqAccountForeign"),
    }
    world.put("plain")
    world.put("high", tier=Tier.RESTRICTED)
    world.put("west", teams=["west"])
    world.put("teased", unlock="negotiation")
    world.put("silent", unlock="negotiation", teaser=False)
    world.put("draft", publish=False)
    make.withdraw(world.put("withdrawn"))
    world.put("expired", expires_at=clock.now() - timedelta(seconds=1))
    make.set_asset(world.put("held"), held_at=clock.now())
    world.put("reached", unlock="discovery", teaser=False)
    make.grant(rep, world.put("granted", unlock="after_sale", teaser=False))
    make.grant(rep, world.put("overdue", unlock="after_sale", teaser=False), until=clock.now() - timedelta(seconds=1))
    make.use(rep, world.put("used", unlock="after_sale", teaser=False), UseKind.COPY, world.deals["open"])
    make.index()
    make.embed()
    return world


# --- the second form of the rule ---


@dataclass(frozen=True)
class Reader:
    """What the rule asks of a person."""

    id: int
    clearance: int
    teams: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Opportunity:
    """What the rule asks of a deal."""

    id: int
    insiders: frozenset[int]
    stage: int | None
    outcome: str = "open"


@dataclass(frozen=True)
class Thing:
    """What the rule asks of an asset; `uses` are deals on which it was used while open, `grants` people with an unexpired one."""

    tier: int = 1
    teams: frozenset[str] = frozenset()
    live: bool = True
    unlock: int | None = None
    teaser: bool = True
    uses: frozenset[int] = frozenset()
    grants: frozenset[int] = frozenset()


def reference(reader: Reader, deal: Opportunity | None, thing: Thing) -> str:
    """V seen, L only its teaser, - nothing: domain.md §2 in another form than the SQL."""
    if not thing.live or reader.clearance < thing.tier or (thing.teams and not thing.teams & reader.teams):
        return "-"
    if thing.unlock is None or reader.id in thing.grants:
        return "V"
    if deal is not None and reader.id in deal.insiders:
        reached = {"open": deal.stage, "won": len(STAGES) - 1}.get(deal.outcome)
        if (reached is not None and reached >= thing.unlock) or deal.id in thing.uses:
            return "V"
    return "L" if thing.teaser else "-"


# --- reading answers ---

_TOKENS = re.compile(r'(name="csrf_?-?token" (?:content|value)=")[^"]+|("request_id":")[0-9a-f]{12}|\b[0-9a-f]{12}\b')


def same_form(response: TestResponse, *references: str) -> tuple[int, str, Mapping[str, str]]:
    """An answer without what differs from request to request: its id, tokens, and the reference that was asked for."""
    text = _TOKENS.sub("~", response.text)
    for known in references:
        text = text.replace(known, "REFERENCE")
    headers = {name: value for name, value in response.headers.items() if name not in {"Set-Cookie", "Content-Length"}}
    return response.status_code, text, headers


def found_in(text: str, words: Iterable[str]) -> list[str]:
    """Which of the words the text holds, whatever the case."""
    folded = text.casefold()
    return [word for word in words if word.casefold() in folded]
