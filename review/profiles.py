"""What each reviewer reviews, and when they work: languages, types, time zone and country."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from content.kinds import AssetType
from kb import audit, clock
from kb.access import Actor, Party, Permission, Role, require
from kb.errors import N_, Forbidden, Invalid, NotFound
from kb.users import User, UserParty, UserRole
from review import away, calendars
from review.hours import Calendar
from review.machine import RoundState, StepState
from review.models import ReviewerProfile, Round, Step

LANGUAGES: Final = ("zh", "en")
_OVERSEERS: Final = frozenset({Role.COORDINATOR, Role.ADMIN})


@dataclass(frozen=True, slots=True)
class Profile:
    """No language or type means all of them; no zone or country, the company's."""

    languages: frozenset[str] = field(default=frozenset())
    types: frozenset[AssetType] = field(default=frozenset())
    zone: str = ""
    country: str = ""

    @property
    def calendar(self) -> Calendar:
        return calendars.of(self.zone, self.country)

    def suits(self, language: str, asset_type: AssetType) -> bool:
        """Whether a text of that language and type is one this person reviews."""
        return (not self.languages or language in self.languages) and (not self.types or asset_type in self.types)


@dataclass(frozen=True, slots=True)
class ReviewerShown:
    """One reviewer as everybody in the editors' half sees them; `load` counts what was offered to them or they have."""

    public_id: str
    name: str
    parties: tuple[Party, ...]
    profile: Profile
    load: int
    is_away: bool
    may_change: bool


def of(session: Session, user_ids: Collection[int]) -> Mapping[int, Profile]:
    """Profiles by person; who never set one has the default."""
    rows = session.scalars(select(ReviewerProfile).where(ReviewerProfile.user_id.in_(set(user_ids))))
    known = {row.user_id: _read(row) for row in rows}
    return {one: known.get(one, Profile()) for one in user_ids}


def get(session: Session, user_id: int | None) -> Profile:
    """One person's profile; the default for nobody."""
    row = session.get(ReviewerProfile, user_id) if user_id is not None else None
    return _read(row) if row is not None else Profile()


def _read(row: ReviewerProfile) -> Profile:
    types = frozenset(AssetType(word) for word in row.types if word in set(AssetType))
    return Profile(frozenset(row.languages), types, row.zone, row.country)


def loads(session: Session, user_ids: Collection[int]) -> Mapping[int, int]:
    """Open items by person: what they took, and what was offered to them and nobody took."""
    whose = func.coalesce(Step.claimed_by_id, Step.offered_to_id)
    rows = session.execute(
        select(whose, func.count())
        .join(Round, Round.id == Step.round_id)
        .where(
            whose.in_(set(user_ids)),
            Step.state == StepState.OPEN.value,
            Round.state == RoundState.OPEN.value,
        )
        .group_by(whose)
    )
    found = {row[0]: row[1] for row in rows}
    return {one: found.get(one, 0) for one in user_ids}


def list_reviewers(session: Session, actor: Actor) -> Sequence[ReviewerShown]:
    """Everybody who reviews, by name."""
    require(actor, Permission.EDIT)
    people = session.scalars(
        select(User)
        .where(
            User.id.in_(select(UserRole.user_id).where(UserRole.role == Role.REVIEWER.value)),
            User.id.in_(select(UserParty.user_id)),
            User.deactivated_at.is_(None),
        )
        .options(selectinload(User.parties))
        .order_by(User.name, User.id)
    ).all()
    ids = [person.id for person in people]
    known, load, gone = of(session, ids), loads(session, ids), away.which(session, ids)
    return [
        ReviewerShown(
            person.public_id,
            person.name,
            tuple(sorted(Party(one.party) for one in person.parties)),
            known[person.id],
            load[person.id],
            person.id in gone,
            _may_change(actor, person.id),
        )
        for person in people
    ]


def find(session: Session, actor: Actor, public_id: str) -> ReviewerShown:
    """One of them; NotFound where nobody of that id reviews."""
    found = next((one for one in list_reviewers(session, actor) if one.public_id == public_id), None)
    if found is None:
        raise NotFound()
    return found


def _may_change(actor: Actor, user_id: int) -> bool:
    return actor.user_id == user_id or bool(actor.roles & _OVERSEERS) or not actor.is_user


def put(
    session: Session,
    actor: Actor,
    public_id: str,
    *,
    languages: Iterable[str] = (),
    types: Iterable[str] = (),
    zone: str = "",
    country: str = "",
) -> Profile:
    """Say what somebody reviews and when they work: oneself, or for anybody as coordinator or administrator.

    Clocks that run keep the working time they began with.
    """
    shown = find(session, actor, public_id)
    if not shown.may_change:
        raise Forbidden()
    spoken, kinds, country = sorted(set(languages)), sorted(set(types)), country.strip().upper()
    if not set(spoken) <= set(LANGUAGES) or not set(kinds) <= set(AssetType):
        raise Invalid(N_("Choose languages and types from the list."), code="profile_choice")
    if zone and zone not in calendars.ZONES:
        raise Invalid(N_("Choose a time zone from the list, such as Europe/Berlin."), code="profile_zone")
    if country and country not in calendars.COUNTRIES:
        raise Invalid(N_("Choose a country from the list: its public holidays count."), code="profile_country")
    user_id = session.scalars(select(User.id).where(User.public_id == public_id)).one()
    row = session.get(ReviewerProfile, user_id, with_for_update=True)
    if row is None:
        row = ReviewerProfile(user_id=user_id)
        session.add(row)
    row.languages, row.types, row.zone, row.country = spoken, kinds, zone, country
    row.changed_at = clock.now()
    session.flush()
    told = {"languages": spoken, "types": kinds, "zone": zone, "country": country}
    audit.record(session, actor, "reviewer.profile", "user", public_id, **told)
    return _read(row)
