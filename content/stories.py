"""Success stories and answers from the field: a short form becomes a credited draft in the library's queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from content import activity, importing, service
from content.activity import Use
from content.deals import DealContext, DealTag
from content.kinds import AssetType, Handling, VersionState
from content.models import Asset, Rendered, Version
from content.service import Wording
from kb import audit, clock, notices, users
from kb.access import Actor, Permission, Role, require
from kb.db import take_turn
from kb.errors import N_, Invalid, TooMuch
from kb.users import UserRole, UserTeam

MOST_A_DAY: Final = 20
LONGEST: Final = 20_000


class StoryKind(StrEnum):
    SUCCESS = "success"
    FAQ = "faq"


@dataclass(frozen=True, slots=True)
class Story:
    """What a rep tells; of an answer, `first` is the question, `second` the answer and `third` where it is from."""

    kind: StoryKind
    title: str
    first: str
    second: str
    third: str
    quote: str = ""
    may_name: bool = False


@dataclass(frozen=True, slots=True)
class Contribution:
    """One thing a person sent, where it stands, and whether it helped."""

    public_id: str
    title: str
    type: AssetType
    state: VersionState
    is_published: bool
    use: Use


_HEADS: Final = {
    (StoryKind.SUCCESS, True): ("客户背景", "我们做了什么", "成果", "客户原话"),
    (StoryKind.SUCCESS, False): ("Situation", "Solution", "Results", "Quote"),
    (StoryKind.FAQ, True): ("问题", "简短回答", "出处", ""),
    (StoryKind.FAQ, False): ("Question", "Short answer", "Source", ""),
}


def text_of(story: Story) -> str:
    """The story as Markdown with the sections of its type, in the language it is written in."""
    is_chinese = importing.guess_language(f"{story.title}\n{story.first}\n{story.second}") == "zh"
    parts = zip(_HEADS[story.kind, is_chinese], (story.first, story.second, story.third, story.quote), strict=True)
    return "\n".join(f"## {head}\n\n{body.strip()}\n" for head, body in parts if head and body.strip())


def check(story: Story) -> None:
    """Raise Invalid with the one thing that is missing or too long."""
    if not story.title.strip():
        raise Invalid(N_("Give it a title a colleague would look for."), code="title")
    if len(story.title) > service.MAX_TITLE_LENGTH:
        raise Invalid(N_("The title is too long: one line is enough."), code="title")
    if not story.first.strip() or not story.second.strip():
        raise Invalid(N_("Say what the customer needed and what you did: two sentences are enough."), code="story")
    if sum(len(part) for part in (story.first, story.second, story.third, story.quote)) > LONGEST:
        raise Invalid(
            N_("This is longer than a short story. Send the first page; a marketer will ask for more."), code="story"
        )


def submit(session: Session, actor: Actor, story: Story, rendered: Rendered, deal: DealContext | None) -> Asset:
    """A draft in the library's queue at once, with its teller's name; the customer's name is not taken from the deal.

    The same story sent twice is one; more than twenty a day is refused.
    """
    require(actor, Permission.USE)
    check(story)
    take_turn(session, f"story:{actor.user_id}")
    same = _same(session, actor, rendered)
    if same is not None:
        return same
    _refuse_flood(session, actor)
    handling = Handling.INTERNAL if story.kind is StoryKind.SUCCESS and not story.may_name else Handling.SPOKEN
    kind = AssetType.CASE_STUDY if story.kind is StoryKind.SUCCESS else AssetType.FAQ
    tags = session.scalars(select(DealTag.tag_id).where(DealTag.deal_id == deal.id)).all() if deal is not None else []
    stage = frozenset({deal.stage.id}) if deal is not None and deal.stage is not None else frozenset[int]()
    asset = service.create(session, actor, None, service.Attributes(type=kind, tag_ids=frozenset(tags) | stage))
    asset.is_from_field = True
    text = text_of(story)
    wording = Wording(story.title.strip(), text, importing.guess_language(text), handling)
    version = service.put_draft(session, actor, asset, wording, rendered)
    audit.record(session, actor, "story.submit", "asset", asset.public_id, kind=story.kind.value, digest=version.digest)
    told = users.list_names(session, [actor.user_id] if actor.user_id is not None else [])
    for user_id in _marketers(session, actor):
        about = told.get(actor.user_id or 0, actor.name)
        notices.tell(session, user_id, "story", asset.id, f"story:{asset.id}", about=about)
    return asset


def _same(session: Session, actor: Actor, rendered: Rendered) -> Asset | None:
    since = clock.now() - timedelta(days=1)
    return session.scalar(
        select(Asset)
        .join(Version, Version.asset_id == Asset.id)
        .where(
            Asset.created_by_id == actor.user_id,
            Asset.is_from_field,
            Asset.created_at > since,
            Version.rendering_digest == rendered.digest,
        )
        .limit(1)
    )


def _refuse_flood(session: Session, actor: Actor) -> None:
    since = clock.now() - timedelta(days=1)
    sent = session.scalar(
        select(func.count())
        .select_from(Asset)
        .where(Asset.created_by_id == actor.user_id, Asset.is_from_field, Asset.created_at > since)
    )
    if (sent or 0) >= MOST_A_DAY:
        raise TooMuch(N_("Twenty a day are enough for one person. Send the rest tomorrow."), retry_after=86_400)


def _marketers(session: Session, actor: Actor) -> Sequence[int]:
    """The marketers of the teller's teams, else all of them."""
    marketers = select(UserRole.user_id).where(UserRole.role == Role.MARKETER.value)
    teams = sorted(actor.team_ids)
    near = session.scalars(
        marketers.where(UserRole.user_id.in_(select(UserTeam.user_id).where(UserTeam.team_id.in_(teams))))
    ).all()
    return near or session.scalars(marketers).all()


def list_own(session: Session, actor: Actor, limit: int = 30) -> Sequence[Contribution]:
    """What a person sent, newest first, and how it is used since."""
    require(actor, Permission.USE)
    last = select(func.max(Version.number)).where(Version.asset_id == Asset.id).correlate(Asset).scalar_subquery()
    rows = session.execute(
        select(Asset, Version.title, Version.state)
        .join(Version, (Version.asset_id == Asset.id) & (Version.number == last))
        .where(Asset.created_by_id == actor.user_id, Asset.is_from_field)
        .order_by(Asset.created_at.desc(), Asset.id.desc())
        .limit(limit)
    ).all()
    ids = [row.Asset.id for row in rows]
    published = set(
        session.scalars(
            select(Version.asset_id).where(Version.asset_id.in_(ids), Version.state == VersionState.PUBLISHED.value)
        )
    )
    known = activity.uses(session, clock.now() - activity.USED_WITHIN, ids) if ids else {}
    return [
        Contribution(
            row.Asset.public_id,
            row.title,
            AssetType(row.Asset.type),
            VersionState(row.state),
            row.Asset.id in published and service.is_live(row.Asset, [VersionState.PUBLISHED.value]),
            known.get(row.Asset.id, Use()),
        )
        for row in rows
    ]


def credit(session: Session, asset_id: int) -> str:
    """Who sent what became this asset; empty where it did not come from the field."""
    user_id = session.scalar(select(Asset.created_by_id).where(Asset.id == asset_id, Asset.is_from_field))
    return users.list_names(session, {user_id}).get(user_id, "") if user_id is not None else ""
