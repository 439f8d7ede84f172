"""Rows with honest defaults: names, keys and ids differ, so that a mix-up shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from sqlalchemy import select
from sqlalchemy.orm import Session

from content import publishing, service, taxonomy
from content.deals import Deal, DealContext, DealMember, DealStage, get_context
from content.kinds import AssetType, Facet, Handling, Outcome, UseKind
from content.models import Asset, Grant, UseEvent, Version
from content.service import Attributes, Wording
from content.taxonomy import Tag
from kb import clock, outbox, users
from kb.access import SYSTEM, Actor, Party, Role, Tier
from kb.app import Service
from kb.users import NewUser, User
from review import rounds
from review.checklist import Tick
from review.machine import Answer
from review.models import Round, Step
from search import embedding

STAGES = ("awareness", "discovery", "solution", "negotiation", "after_sale")
PASSWORD = "correct horse battery"
TEXT = "## Say\n\nWe move one system at a time.\n\n## Proof\n\nTwelve systems moved in six weeks.\n"


@dataclass
class Make:
    """Makes people, tags, deals and assets in one installation, each in a transaction of its own."""

    service: Service

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self._panel: dict[Party, User] = {}

    def _next(self) -> int:
        return next(self._numbers)

    def user(
        self,
        *roles: Role,
        clearance: Tier = Tier.INTERNAL,
        teams: Iterable[str] = (),
        parties: Iterable[Party] = (),
        language: str = "en",
        manager: str = "",
    ) -> User:
        number = self._next()
        new = NewUser(
            email=f"person{number}@yunshu.example",
            name=f"Name {number}",
            roles=roles or (Role.REP,),
            parties=tuple(parties),
            clearance=clearance,
            teams=tuple(teams),
            language=language,
            manager=manager,
        )
        with self.service.database.writing() as session:
            return users.add(session, SYSTEM, new)

    def panel(self) -> dict[Party, User]:
        """A reviewer of each party, cleared for everything, once: without them nothing can be submitted."""
        if not self._panel:
            for party in Party:
                self._panel[party] = self.user(Role.REVIEWER, parties=[party], clearance=Tier.CONFIDENTIAL)
        return self._panel

    def clear(self, version: Version, session: Session | None = None) -> None:
        """All parties of its round approve a version, in the given transaction or one of their own."""
        if session is None:
            with self.service.database.writing() as own:
                return self.clear(version, own)
        panel = self.panel()
        found = session.scalars(select(Round).where(Round.version_id == version.id)).one()
        for party in session.scalars(select(Step.party).where(Step.round_id == found.id).order_by(Step.party)).all():
            reviewer = users.find(session, panel[Party(party)].id)
            assert reviewer is not None
            who = users.actor_of(reviewer)
            rounds.decide(session, who, found.public_id, Party(party), Answer.APPROVE, found.digest, ticks=list(Tick))
        return None

    def password(self, user: User, password: str = PASSWORD) -> str:
        with self.service.database.writing() as session:
            users.set_password(session, SYSTEM, session.get_one(User, user.id), password)
        return password

    def actor(self, user: User) -> Actor:
        with self.service.database.reading() as session:
            found = users.find(session, user.id)
            assert found is not None
            return users.actor_of(found)

    def stages(self) -> None:
        """The five stages, once."""
        with self.service.database.writing() as session:
            for position, key in enumerate(STAGES, start=1):
                taxonomy.put(
                    session,
                    SYSTEM,
                    Facet.STAGE,
                    key,
                    key.replace("_", " ").capitalize(),
                    f"阶段{position}",
                    position=position,
                )

    def tag(self, facet: Facet, key: str, en: str = "", zh: str = "", synonyms: Iterable[str] = ()) -> int:
        with self.service.database.writing() as session:
            taxonomy.put(session, SYSTEM, facet, key, en or f"{key} label", zh or f"{key} 标签", synonyms)
            return session.scalars(select(Tag.id).where(Tag.facet == facet.value, Tag.key == key)).one()

    def stage_id(self, key: str) -> int:
        with self.service.database.reading() as session:
            found = session.scalar(select(Tag.id).where(Tag.facet == Facet.STAGE.value, Tag.key == key))
        if found is None:
            self.stages()
            return self.stage_id(key)
        return found

    def team_id(self, name: str) -> int:
        with self.service.database.writing() as session:
            return users.team(session, name).id

    def asset(
        self,
        title: str = "",
        text: str = TEXT,
        *,
        asset_type: AssetType = AssetType.FAQ,
        language: str = "en",
        tier: Tier = Tier.INTERNAL,
        handling: Handling = Handling.SPOKEN,
        nda: bool = False,
        unlock: str = "",
        teaser: bool = True,
        teams: Iterable[str] = (),
        tags: Iterable[int] = (),
        owners: Iterable[User] = (),
        expires_at: datetime | None = None,
        external_id: str = "",
        translation_of: Asset | None = None,
        publish: bool = True,
        author: User | None = None,
    ) -> Asset:
        """A published asset (a draft with publish=False); not indexed until the outbox is drained."""
        number = self._next()
        attributes = Attributes(
            type=asset_type,
            tier=tier,
            unlock_stage_id=self.stage_id(unlock) if unlock else None,
            shows_teaser=teaser,
            tag_ids=frozenset(tags),
            owner_ids=frozenset(owner.id for owner in owners),
            team_ids=frozenset(self.team_id(name) for name in teams),
            expires_at=expires_at,
            translation_of_id=translation_of.id if translation_of else None,
        )
        wording = Wording(title or f"Asset title {number}", text, language, handling, nda)
        rendered = service.render(text)
        actor = self.actor(author) if author else SYSTEM
        with self.service.database.writing() as session:
            asset = service.create(session, actor, external_id or f"EXT-{number}", attributes)
            version = service.put_draft(session, actor, asset, wording, rendered)
            if publish:
                publishing.load(session, SYSTEM, version, [])
            return asset

    def new_version(self, asset: Asset, text: str, title: str = "", *, publish: bool = True) -> Version:
        rendered = service.render(text)
        with self.service.database.writing() as session:
            row = session.get_one(Asset, asset.id)
            last = session.scalars(
                select(Version).where(Version.asset_id == asset.id).order_by(Version.number.desc())
            ).first()
            assert last is not None
            wording = Wording(title or last.title, text, last.language, Handling(last.handling), last.nda)
            version = service.put_draft(session, SYSTEM, row, wording, rendered)
            if publish:
                publishing.load(session, SYSTEM, version, [])
            return version

    def withdraw(self, asset: Asset, reason: str = "wrong price") -> None:
        with self.service.database.writing() as session:
            publishing.withdraw(session, SYSTEM, session.get_one(Asset, asset.id), reason)

    def set_asset(self, asset: Asset, **values: object) -> None:
        with self.service.database.writing() as session:
            row = session.get_one(Asset, asset.id)
            for name, value in values.items():
                setattr(row, name, value)

    def deal(
        self,
        owner: User | None,
        stage: str = "solution",
        *,
        outcome: Outcome = Outcome.OPEN,
        members: Iterable[User] = (),
        account: str = "",
        entered_at: datetime | None = None,
    ) -> Deal:
        number = self._next()
        created = clock.now() - timedelta(days=60)
        stage_id = self.stage_id(stage)
        with self.service.database.writing() as session:
            deal = Deal(
                external_id=f"D-{1000 + number}",
                account=account or f"Account {number}",
                owner_id=owner.id if owner else None,
                outcome=outcome.value,
                created_at=created,
                closed_at=None if outcome is Outcome.OPEN else clock.now() - timedelta(days=1),
                members=[DealMember(user_id=member.id) for member in members],
                stages=[DealStage(stage_id=stage_id, entered_at=entered_at or created)],
                tags=[],
            )
            session.add(deal)
            session.flush()
            return deal

    def move_deal(self, deal: Deal, stage: str, at: datetime | None = None) -> None:
        stage_id = self.stage_id(stage)
        with self.service.database.writing() as session:
            session.add(DealStage(deal_id=deal.id, stage_id=stage_id, entered_at=at or clock.now()))

    def set_deal(self, deal: Deal, **values: object) -> None:
        with self.service.database.writing() as session:
            row = session.get_one(Deal, deal.id)
            for name, value in values.items():
                setattr(row, name, value)

    def context(self, user: User, deal: Deal) -> DealContext:
        with self.service.database.reading() as session:
            return get_context(session, self.actor(user), taxonomy.load(session), deal.external_id)

    def grant(self, user: User, asset: Asset, until: datetime | None = None) -> Grant:
        with self.service.database.writing() as session:
            grant = Grant(
                asset_id=asset.id,
                user_id=user.id,
                until=until or clock.now() + timedelta(days=7),
                reason="for the renewal",
            )
            session.add(grant)
            session.flush()
            return grant

    def use(
        self,
        user: User,
        asset: Asset,
        kind: UseKind = UseKind.COPY,
        deal: Deal | None = None,
        at: datetime | None = None,
        *,
        was_unlocked: bool = True,
    ) -> UseEvent:
        with self.service.database.writing() as session:
            event = UseEvent(
                event_id=f"event-{self._next()}",
                asset_id=asset.id,
                user_id=user.id,
                kind=kind.value,
                deal_id=deal.id if deal else None,
                deal_source="chosen" if deal else "none",
                at=at or clock.now(),
                was_unlocked=was_unlocked,
            )
            session.add(event)
            session.flush()
            return event

    def index(self) -> None:
        """Fulfil all that waits in the outbox, as the worker does."""
        outbox.drain(self.service.database, self.service.worker.handlers)

    def embed(self) -> None:
        """Give all that is published its vectors, as the worker of its own does."""
        assert self.service.meaning.wanted.wait(60) is not None
        embedding.catch_up(self.service.database, self.service.meaning)
