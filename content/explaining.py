"""Why somebody sees an asset on a deal, or does not: the parts of the one rule, each answered by the database."""

from dataclasses import dataclass

from sqlalchemy import false, select
from sqlalchemy.orm import Session, selectinload

from content import deals, drafting, taxonomy, visibility
from content.deals import Deal, DealContext
from content.kinds import Handling, Outcome, VersionState
from content.models import Asset, Version
from content.taxonomy import Label
from content.visibility import ANY_OF, NEEDED, Act, Unlock, editable_by
from kb import users
from kb.access import SYSTEM, Actor, Permission, Role, Tier, require
from kb.errors import N_, NotFound
from kb.users import User

NAMES = {
    "active": N_("The person may sign in."),
    "published": N_("It has a published version."),
    "not_withdrawn": N_("It is not withdrawn."),
    "not_held": N_("It is not on hold."),
    "not_expired": N_("It has not expired."),
    "cleared": N_("The person's clearance reaches its tier."),
    "audience": N_("It is for everybody, or for a team of the person."),
    "no_stage": N_("It needs no stage."),
    "stage_reached": N_("The deal has reached the stage, is not lost, and the person is on its team."),
    "used_on_deal": N_("It was used on this very deal while it was open."),
    "granted": N_("The person has a grant that has not ended."),
}
"""What each part of the rule says, where it holds."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the rule, and whether it holds."""

    name: str
    holds: bool

    @property
    def words(self) -> str:
        return NAMES[self.name]


@dataclass(frozen=True, slots=True)
class Explained:
    """The answer and its parts: all of `needed` hold, and any of `any_of`, where it is visible."""

    person: str
    email: str
    clearance: Tier
    roles: tuple[Role, ...]
    teams: tuple[str, ...]
    asset_id: str
    title: str
    language: str
    tier: Tier
    handling: Handling | None
    audience: tuple[str, ...]
    unlock_stage: Label | None
    deal: str
    deal_stage: Label | None
    is_on_deal: bool
    is_visible: bool
    is_teased: bool
    is_editable: bool
    needed: tuple[Part, ...]
    any_of: tuple[Part, ...]
    acts: tuple[Act, ...]


def explain(session: Session, actor: Actor, email: str, reference: str, deal_reference: str = "") -> Explained:
    """For administrators and the operator; raises NotFound for a person, asset or deal that does not exist."""
    require(actor, Permission.ADMINISTER)
    user = users.find_by_email(session, email)
    if user is None:
        raise NotFound(N_("There is nobody of that address."), code="unknown_user")
    asset = session.scalar(
        select(Asset)
        .where(drafting.is_reference(reference.strip()), editable_by(actor))
        .options(selectinload(Asset.audience))
    )
    if asset is None:
        raise NotFound(N_("There is no asset of that id."), code="unknown_asset")
    deal = (
        deals.get_context(session, SYSTEM, taxonomy.load(session), deal_reference.strip())
        if deal_reference.strip()
        else None
    )
    return _explained(session, user, asset, deal)


def _explained(session: Session, user: User, asset: Asset, deal: DealContext | None) -> Explained:
    who = users.actor_as_if_active(user)
    parts = visibility.conditions(who, deal)
    columns = [rule.label(name) for name, rule in parts.items()]
    mine = deals.is_member(who)
    row = session.execute(
        select(
            *columns,
            visibility.visible_to(who, deal).label("visible"),
            visibility.locked_for(who, deal).label("teased"),
            editable_by(who).label("editable"),
            visibility.unlocked_by(who, deal).label("unlock"),
            (select(Deal.id).where(Deal.id == deal.id, mine).exists() if deal is not None else false()).label(
                "on_deal"
            ),
        ).where(Asset.id == asset.id)
    ).one()
    found = row._asdict()
    is_active = user.deactivated_at is None
    version = session.scalar(
        select(Version).where(Version.asset_id == asset.id, Version.state == VersionState.PUBLISHED.value)
    )
    newest = (
        version
        or session.scalars(select(Version).where(Version.asset_id == asset.id).order_by(Version.number.desc())).first()
    )
    handling = Handling(version.handling) if version is not None else None
    visible = bool(found["visible"]) and is_active
    acts = (
        tuple(sorted(visibility.acts(handling, Unlock(found["unlock"]), deal, version.nda), key=list(Act).index))
        if visible and handling is not None and version is not None
        else ()
    )
    known = taxonomy.load(session).by_id
    teams = users.list_teams(session, {row.team_id for row in asset.audience} | {row.team_id for row in user.teams})
    return Explained(
        user.name,
        user.email,
        Tier(user.clearance),
        tuple(sorted(Role(one.role) for one in user.roles)),
        tuple(sorted(teams[one.team_id] for one in user.teams)),
        asset.public_id,
        newest.title if newest is not None else "",
        newest.language if newest is not None else "",
        Tier(asset.tier),
        handling,
        tuple(sorted(teams[one.team_id] for one in asset.audience)),
        known.get(asset.unlock_stage_id or 0),
        f"{deal.external_id} · {deal.account}" if deal is not None else "",
        deal.stage if deal is not None and deal.outcome is Outcome.OPEN else None,
        bool(found["on_deal"]),
        visible,
        bool(found["teased"]) and is_active,
        bool(found["editable"]) and is_active and who.may(Permission.EDIT),
        (Part("active", is_active), *(Part(name, bool(found[name])) for name in NEEDED)),
        tuple(Part(name, bool(found[name])) for name in ANY_OF),
        acts,
    )
