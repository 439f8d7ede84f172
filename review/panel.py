"""Who may look at a round and who may decide it: reviewers of a party, without those who wrote the text."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from content import service
from content.kinds import VersionState
from content.models import Asset, Contribution, Version
from content.visibility import editable_by
from kb import users
from kb.access import Actor, Party, Role, Tier
from kb.errors import NotFound
from kb.users import User, UserParty, UserRole
from review.models import Round, Step


def writers(session: Session, version: Version) -> set[int]:
    """Who wrote on a text: on this version, and on those since the one that readers have, out of which it came."""
    published = session.scalar(
        select(Version.number)
        .where(
            Version.asset_id == version.asset_id,
            Version.number < version.number,
            Version.state.in_(READ),
        )
        .order_by(Version.number.desc())
        .limit(1)
    )
    rows = session.scalars(
        select(Contribution.user_id)
        .join(Version, Version.id == Contribution.version_id)
        .where(
            Version.asset_id == version.asset_id,
            Version.number <= version.number,
            Version.number > (published or 0),
        )
    )
    return set(rows) | ({version.created_by_id} if version.created_by_id else set())


_text, _cleared = aliased(Version), aliased(Version)
READ = (VersionState.PUBLISHED.value, VersionState.SUPERSEDED.value)


def is_own_work(actor: Actor) -> ColumnElement[bool]:
    """`writers` asked of many rounds at once: whether this person wrote on a round's text, or asked for its wider access."""
    me = actor.user_id or 0
    last = (
        select(func.coalesce(func.max(_cleared.number), 0))
        .where(_cleared.asset_id == Version.asset_id, _cleared.number < Version.number, _cleared.state.in_(READ))
        .correlate(Version)
        .scalar_subquery()
    )
    wrote = (
        select(Contribution.version_id)
        .join(_text, _text.id == Contribution.version_id)
        .where(
            Contribution.user_id == me,
            _text.asset_id == Version.asset_id,
            _text.number <= Version.number,
            _text.number > last,
        )
        .correlate(Version)
        .exists()
    )
    of_text = or_(wrote, func.coalesce(Version.created_by_id, 0) == me)
    return case((Round.access_change_id.is_(None), of_text), else_=func.coalesce(Round.begun_by_id, 0) == me)


def able(session: Session, asset: Asset, parties: Sequence[Party], without: set[int]) -> Mapping[Party, set[int]]:
    """Active reviewers by party who are cleared for the asset's tier and did not write on the text."""
    tiers = [tier.value for tier in Tier if tier.rank >= Tier(asset.tier).rank]
    rows = session.execute(
        select(UserParty.party, User.id)
        .join(User, User.id == UserParty.user_id)
        .where(
            UserParty.party.in_([party.value for party in parties]),
            User.id.in_(select(UserRole.user_id).where(UserRole.role == Role.REVIEWER.value)),
            User.clearance.in_(tiers),
            User.deactivated_at.is_(None),
        )
    )
    found: dict[Party, set[int]] = {party: set() for party in parties}
    for row in rows:
        if row.id not in without:
            found[Party(row.party)].add(row.id)
    return found


def coordinators(session: Session) -> set[int]:
    """Who is told where nobody else is left."""
    return users.with_roles(session, Role.COORDINATOR)


def sees(actor: Actor) -> ColumnElement[bool]:
    """Which rounds a person looks at: of assets they edit, and those in which their party was asked, if the tier is theirs."""
    rule = editable_by(actor)
    if Role.REVIEWER in actor.roles and actor.parties:
        asked = select(Step.round_id).where(Step.party.in_([party.value for party in actor.parties]))
        tiers = [tier.value for tier in Tier if tier.rank <= actor.clearance.rank]
        rule = or_(rule, and_(Round.id.in_(asked), Asset.tier.in_(tiers)))
    return rule


def locked(session: Session, actor: Actor, public_id: str) -> tuple[Round, Asset, Version]:
    """The round with its asset and version, locked in that order of all who change them."""
    asset = session.scalar(
        select(Asset)
        .join(Round, Round.asset_id == Asset.id)
        .where(Round.public_id == public_id, sees(actor))
        .options(*service.whole())
        .with_for_update(of=Asset)
    )
    if asset is None:
        raise NotFound()
    row = session.scalars(select(Round).where(Round.public_id == public_id).with_for_update()).one()
    return row, asset, session.get_one(Version, row.version_id)
