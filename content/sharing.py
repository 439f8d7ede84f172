"""Links under which a customer reads one version: made by who may send it, dead as soon as they may not any more.

A link holds no right of its own. Each time it is opened, the one rule is asked for its sender, on its deal: a tier
raised, a stage gone back, a withdrawn text, an expired agreement or a sender who has left ends it at once.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from content import contacts, deals, files, reading, taxonomy, usage
from content.contacts import Contact
from content.deals import Deal, DealContact, DealContext, UnknownDeal
from content.file_kinds import IMAGES, MEDIA_TYPES, FileKind
from content.files import FileLine
from content.kinds import AssetType, DealSource, UseKind
from content.models import Asset, Attachment, ShareLink, ShareOpening, Version
from content.reading import AssetPage, ReadableAsset
from content.taxonomy import Vocabulary
from content.usage import NewEvent, NotAllowedByHandling
from content.visibility import Act, editable_by
from kb import audit, clock, notices, throttle, users
from kb.access import Actor, Permission, Role, require
from kb.db import public_id
from kb.errors import N_, Conflict, Invalid, NotFound

DAYS = 30
MOST_DAYS = 180
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 200
OPENING_WINDOW = timedelta(minutes=30)
MOST_LISTED = 200
MOST_OPENINGS = 100


class Kind(StrEnum):
    NAMED = "named"
    OPEN = "open"


class State(StrEnum):
    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"
    OUTDATED = "outdated"
    """A newer version is published: the sender moves the link on, or leaves it."""
    ENDED = "ended"
    """Its sender may not send this any more."""


class Ended(NotFound):
    """No such link, or one that is over: the same word for all."""

    code, message = "link_ended", N_("This link does not exist, or it has ended.")


class NoMoreChanges(Conflict):
    code, message = "link_over", N_("This link is over: make a new one.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a link is to be; `contact` is the public id of one of the deal's for named links, empty for open ones."""

    kind: Kind
    contact: str = ""
    days: int = DAYS
    password: str = field(default="", repr=False)
    asks_email: bool = False
    may_download: bool = False


@dataclass(frozen=True, slots=True)
class LinkLine:
    """A link as its sender's pages show it; without a title where the reader may not see the text now."""

    public_id: str
    kind: Kind
    state: State
    asset_id: str
    title: str
    language: str
    type: AssetType | None
    version: int
    sender: str
    is_mine: bool
    deal: str
    account: str
    contact: Contact | None
    created_at: datetime
    expires_at: datetime
    asks_email: bool
    has_password: bool
    may_download: bool
    views: int
    downloads: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Opening:
    """What a customer did; `email` as they gave it."""

    at: datetime
    is_download: bool
    email: str
    filename: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What a link asks before it opens."""

    public_id: str
    asks_email: bool
    asks_password: bool

    @property
    def is_open(self) -> bool:
        return not (self.asks_email or self.asks_password)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the customer sees."""

    public_id: str
    kind: Kind
    page: AssetPage
    files: tuple[FileLine, ...]
    sender: str
    sender_email: str
    contact: Contact | None
    account: str
    created_at: datetime
    expires_at: datetime
    may_download: bool


# --- its sender ---


def create(
    session: Session, actor: Actor, deal: DealContext | None, reference: str, wanted: Wanted, key: str
) -> tuple[str, str]:
    """Make a link and count the sharing on the deal; answers its public id and its secret token.

    `key` signs: with it the address can be shown to its sender again, and nothing but a hash of it is kept. Raises
    NotAllowedByHandling where the handling, the deal or its agreement does not allow it.
    """
    require(actor, Permission.USE)
    sender = users.find(session, actor.user_id) if actor.user_id is not None else None
    if sender is None or sender.is_service:
        raise Invalid(N_("Only a person sends something to a customer."), code="no_person")
    asset = reading.get_visible(session, actor, deal, reference)
    if _needed(wanted.kind) not in asset.acts:
        raise NotAllowedByHandling()
    _check(wanted)
    contact = _contact(session, actor, deal, wanted)
    own_id = public_id()
    token = _token(own_id, key)
    link = ShareLink(
        kind=wanted.kind.value,
        asset_id=asset.id,
        version_id=asset.version_id,
        deal_id=deal.id if deal is not None and deal.is_open else None,
        contact_id=contact.id if contact is not None else None,
        created_by_id=sender.id,
        created_at=clock.now(),
        expires_at=clock.now() + timedelta(days=wanted.days),
        password_hash=users.hash_password(wanted.password) if wanted.password else "",
        asks_email=wanted.asks_email,
        may_download=wanted.may_download,
        token_hash=_hash(token),
        public_id=own_id,
    )
    session.add(link)
    session.flush()
    told: dict[str, object] = {"asset": asset.public_id, "version": asset.version_number, "kind": link.kind}
    told |= {"deal": deal.external_id} if link.deal_id is not None and deal is not None else {}
    told |= {"contact": contact.public_id} if contact is not None else {}
    audit.record(session, actor, "share.create", "share", link.public_id, **told)
    if link.deal_id is not None:
        _count(session, actor, deal, asset, link)
    return link.public_id, token


def _count(session: Session, actor: Actor, deal: DealContext | None, asset: ReadableAsset, link: ShareLink) -> None:
    event = NewEvent(
        f"share:{link.public_id}", asset.public_id, UseKind.SHARE, surface="link", deal_source=DealSource.CHOSEN
    )
    if Act.SHARE in asset.acts:
        usage.record(session, actor, deal, event)


def _check(wanted: Wanted) -> None:
    if not 1 <= wanted.days <= MOST_DAYS:
        raise Invalid(N_("A link holds from 1 to 180 days."), code="share_days")
    if wanted.password and not SHORTEST_PASSWORD <= len(wanted.password) <= LONGEST_PASSWORD:
        raise Invalid(N_("A link's password has 8 to 200 characters."), code="share_password")


def _contact(session: Session, actor: Actor, deal: DealContext | None, wanted: Wanted) -> DealContact | None:
    if wanted.kind is Kind.OPEN:
        return None
    if deal is None:
        raise NotAllowedByHandling()
    known = {one.public_id for one in contacts.list_of(session, actor, deal)}
    if wanted.contact not in known:
        raise Invalid(N_("Choose whom you send it to."), code="share_contact")
    return session.scalar(select(DealContact).where(DealContact.public_id == wanted.contact))


def _needed(kind: Kind) -> Act:
    return Act.OPEN_LINK if kind is Kind.OPEN else Act.SHARE


def list_mine(session: Session, actor: Actor) -> Sequence[LinkLine]:
    """The links that this person made, the newest first."""
    require(actor, Permission.USE)
    if actor.user_id is None:
        return []
    return _lines(session, actor, _newest(session, ShareLink.created_by_id == actor.user_id))


def list_on(session: Session, actor: Actor, deal: DealContext) -> Sequence[LinkLine]:
    """The links sent on a deal by anybody, for its members."""
    require(actor, Permission.USE)
    contacts.list_of(session, actor, deal)
    return _lines(session, actor, _newest(session, ShareLink.deal_id == deal.id))


def list_of_asset(session: Session, actor: Actor, asset: ReadableAsset) -> Sequence[LinkLine]:
    """This person's own links to an asset that they see."""
    mine = (ShareLink.asset_id == asset.id) & (ShareLink.created_by_id == actor.user_id)
    return _lines(session, actor, _newest(session, mine))


def list_all(session: Session, actor: Actor) -> Sequence[LinkLine]:
    """Every link, for who administers."""
    require(actor, Permission.ADMINISTER)
    return _lines(session, actor, _newest(session, ShareLink.id.is_not(None)))


def get(session: Session, actor: Actor, public_id: str, keys: Sequence[str]) -> tuple[LinkLine, str]:
    """A link and its token for who may end it; the token is empty where it is another's or cannot be shown any more."""
    link = _manageable(session, actor, public_id)
    line = _lines(session, actor, [link])[0]
    token = next((made for made in (_token(public_id, key) for key in keys) if _hash(made) == link.token_hash), "")
    return line, token if line.is_mine else ""


def openings(session: Session, actor: Actor, public_id: str) -> Sequence[Opening]:
    """What customers did with a link, the newest first; who they are is for its sender and the people of its deal."""
    link = _manageable(session, actor, public_id)
    knows = link.created_by_id == actor.user_id or _is_on_deal(session, actor, link)
    rows = session.scalars(
        select(ShareOpening)
        .where(ShareOpening.link_id == link.id)
        .order_by(ShareOpening.at.desc(), ShareOpening.id.desc())
        .limit(MOST_OPENINGS)
    )
    return [Opening(row.at, row.kind == "download", row.email if knows else "", row.filename) for row in rows]


def revoke(session: Session, actor: Actor, public_id: str) -> None:
    """End a link at once: its sender, members of its deal, editors of its asset and admins may."""
    link = _manageable(session, actor, public_id)
    if link.revoked_at is not None:
        return
    link.revoked_at, link.revoked_by_id = clock.now(), actor.user_id
    audit.record(session, actor, "share.revoke", "share", link.public_id)


def extend(session: Session, actor: Actor, public_id: str, days: int) -> None:
    """Let an own link hold so many days from now."""
    link = _own(session, actor, public_id)
    _check(Wanted(Kind(link.kind), days=days))
    link.expires_at = clock.now() + timedelta(days=days)
    audit.record(session, actor, "share.extend", "share", link.public_id, until=link.expires_at.isoformat())


def move_on(session: Session, actor: Actor, public_id: str) -> None:
    """Let an own link show the version that counts now, under the same address; counted as sent anew."""
    link = _own(session, actor, public_id)
    deal = _context(session, actor, link)
    asset = _held(session, [link]).get(link.id)
    if asset is None:
        raise NotAllowedByHandling()
    if asset.version_id == link.version_id:
        return
    link.version_id = asset.version_id
    session.flush()
    told = {"asset": asset.public_id, "version": asset.version_number}
    audit.record(session, actor, "share.move_on", "share", link.public_id, **told)
    if deal is not None and Act.SHARE in asset.acts:
        event_id = f"share:{link.public_id}:{asset.version_number}"
        usage.record(session, actor, deal, NewEvent(event_id, asset.public_id, UseKind.SHARE, surface="link"))


def _own(session: Session, actor: Actor, public_id: str) -> ShareLink:
    link = _manageable(session, actor, public_id)
    if link.created_by_id != actor.user_id:
        raise NotFound()
    if link.revoked_at is not None:
        raise NoMoreChanges()
    return link


def _manageable(session: Session, actor: Actor, public_id: str) -> ShareLink:
    require(actor, Permission.USE)
    link = session.scalar(select(ShareLink).where(ShareLink.public_id == public_id))
    if link is None:
        raise NotFound()
    if not actor.is_user or Role.ADMIN in actor.roles or link.created_by_id == actor.user_id:
        return link
    edits = select(Asset.id).where(Asset.id == link.asset_id, editable_by(actor))
    if _is_on_deal(session, actor, link):
        return link
    if not actor.may(Permission.PUBLISH) or session.scalar(edits) is None:
        raise NotFound()
    return link


def _is_on_deal(session: Session, actor: Actor, link: ShareLink) -> bool:
    return session.scalar(select(Deal.id).where(Deal.id == link.deal_id, deals.is_member(actor))) is not None


def _newest(session: Session, rule: ColumnElement[bool]) -> Sequence[ShareLink]:
    return session.scalars(
        select(ShareLink).where(rule).order_by(ShareLink.created_at.desc(), ShareLink.id.desc()).limit(MOST_LISTED)
    ).all()


def _lines(session: Session, actor: Actor, links: Sequence[ShareLink]) -> Sequence[LinkLine]:
    """Each with its state; titles as the one rule lets this reader see them on each link's deal."""
    if not links:
        return []
    counts = _counts(session, [link.id for link in links])
    people = users.list_names(session, {link.created_by_id for link in links})
    rows = session.scalars(
        select(DealContact).where(DealContact.id.in_({link.contact_id for link in links if link.contact_id}))
    )
    named = {row.id: row for row in rows}
    deal_ids = {link.deal_id for link in links if link.deal_id}
    shown = {row.id: row for row in session.scalars(select(Deal).where(Deal.id.in_(deal_ids)))}
    mine = set(session.scalars(select(Deal.id).where(Deal.id.in_(deal_ids), deals.is_member(actor))))
    numbers = {
        row.id: row.number
        for row in session.execute(
            select(Version.id, Version.number).where(Version.id.in_({link.version_id for link in links}))
        )
    }
    visible = _visible(session, actor, links)
    held = _held(session, links)
    lines = []
    for link in links:
        asset = visible.get((link.asset_id, link.deal_id)) or visible.get((link.asset_id, None))
        contact = named.get(link.contact_id or 0)
        deal = shown.get(link.deal_id or 0) if link.deal_id in mine else None
        views, downloads, last_at = counts.get(link.id, (0, 0, None))
        lines.append(
            LinkLine(
                link.public_id,
                Kind(link.kind),
                _state(link, held.get(link.id)),
                asset.public_id if asset else "",
                asset.title if asset else "",
                asset.language if asset else "",
                asset.type if asset else None,
                numbers[link.version_id],
                people.get(link.created_by_id, ""),
                link.created_by_id == actor.user_id,
                deal.external_id if deal else "",
                deal.account if deal else "",
                Contact(contact.public_id, contact.name, contact.email) if contact and deal else None,
                link.created_at,
                link.expires_at,
                link.asks_email,
                bool(link.password_hash),
                link.may_download,
                views,
                downloads,
                last_at,
            )
        )
    return lines


def _visible(
    session: Session, actor: Actor, links: Sequence[ShareLink]
) -> Mapping[tuple[int, int | None], ReadableAsset]:
    """The assets of links that this reader sees, by asset and deal: one question a deal."""
    vocabulary = taxonomy.load(session)
    by_deal: dict[int | None, set[int]] = {}
    for link in links:
        by_deal.setdefault(link.deal_id, set()).add(link.asset_id)
        by_deal.setdefault(None, set()).add(link.asset_id)
    found: dict[tuple[int, int | None], ReadableAsset] = {}
    for deal_id, asset_ids in by_deal.items():
        deal = None
        if deal_id is not None:
            deal = _context_of(session, actor, deal_id, vocabulary)
            if deal is None:
                continue
        for asset in reading.list_visible(session, actor, deal, sorted(asset_ids), vocabulary):
            found[asset.id, deal_id] = asset
    return found


def _counts(session: Session, link_ids: Sequence[int]) -> Mapping[int, tuple[int, int, datetime | None]]:
    rows = session.execute(
        select(
            ShareOpening.link_id,
            func.count().filter(ShareOpening.kind == "view").label("views"),
            func.count().filter(ShareOpening.kind == "download").label("downloads"),
            func.max(ShareOpening.at).label("last_at"),
        )
        .where(ShareOpening.link_id.in_(link_ids))
        .group_by(ShareOpening.link_id)
    )
    return {row.link_id: (row.views, row.downloads, row.last_at) for row in rows}


# --- whether a link holds ---


def _state(link: ShareLink, held: ReadableAsset | None) -> State:
    if link.revoked_at is not None:
        return State.REVOKED
    if link.expires_at <= clock.now():
        return State.EXPIRED
    if held is None:
        return State.ENDED
    return State.LIVE if held.version_id == link.version_id else State.OUTDATED


def _held(session: Session, links: Sequence[ShareLink]) -> Mapping[int, ReadableAsset]:
    """By link, the asset as its sender may send it now; one question a sender and deal."""
    vocabulary = taxonomy.load(session)
    gone = set(
        session.scalars(
            select(DealContact.id).where(
                DealContact.id.in_({link.contact_id for link in links if link.contact_id}),
                DealContact.removed_at.is_not(None),
            )
        )
    )
    together: dict[tuple[int, int | None], list[ShareLink]] = {}
    for link in links:
        if link.contact_id not in gone:
            together.setdefault((link.created_by_id, link.deal_id), []).append(link)
    found = {}
    for (sender_id, deal_id), theirs in together.items():
        sender = users.find(session, sender_id)
        if sender is None or sender.deactivated_at is not None:
            continue
        actor = users.actor_of(sender)
        if not actor.may(Permission.USE):
            continue
        deal = _context_of(session, actor, deal_id, vocabulary) if deal_id is not None else None
        assets = reading.list_visible(session, actor, deal, sorted({one.asset_id for one in theirs}), vocabulary)
        by_id = {asset.id: asset for asset in assets}
        for link in theirs:
            asset = by_id.get(link.asset_id)
            if asset is not None and _needed(Kind(link.kind)) in asset.acts:
                found[link.id] = asset
    return found


def _context(session: Session, actor: Actor, link: ShareLink) -> DealContext | None:
    return _context_of(session, actor, link.deal_id, taxonomy.load(session)) if link.deal_id is not None else None


def _context_of(session: Session, actor: Actor, deal_id: int, vocabulary: Vocabulary) -> DealContext | None:
    reference = session.scalars(select(Deal.public_id).where(Deal.id == deal_id)).one()
    try:
        return deals.get_context(session, actor, vocabulary, reference)
    except UnknownDeal:
        return None


# --- the customer ---


def gate_of(session: Session, token: str) -> Gate:
    """What the link of this token asks for; raises Ended where it does not hold."""
    link = _live(session, token)[0]
    return Gate(link.public_id, link.asks_email, bool(link.password_hash))


def passes(session: Session, token: str, email: str, password: str, host: str) -> str | None:
    """The address to remember where what was given is right, None where it is not; TooMuch after too many wrong tries.

    A named link asks for the address of its contact, an open one for any.
    """
    link = _live(session, token)[0]
    throttle.refuse(session, _keys(link, host))
    given = email.strip().casefold()
    is_right = not link.password_hash or users.is_password(link.password_hash, password)
    if link.asks_email:
        wanted = session.get_one(DealContact, link.contact_id).email if link.contact_id is not None else ""
        is_right &= given == wanted if wanted else bool(users.EMAIL.fullmatch(given))
    return (given if link.asks_email else "") if is_right else None


def note_wrong(session: Session, token: str, host: str) -> None:
    """Count a wrong try at a link."""
    throttle.note(session, _keys(_live(session, token)[0], host))


def _keys(link: ShareLink, host: str) -> throttle.Keys:
    return throttle.keys_of("share", link.public_id, host)


def open_link(session: Session, token: str) -> Shared:
    """What the customer sees under this token; raises Ended where the link does not hold."""
    link, asset = _live(session, token)
    sender = users.find(session, link.created_by_id)
    assert sender is not None
    actor = users.actor_of(sender)
    deal = _context(session, actor, link)
    contact = session.get(DealContact, link.contact_id) if link.contact_id is not None else None
    return Shared(
        link.public_id,
        Kind(link.kind),
        reading.get_page(session, actor, deal, asset.public_id),
        files.list_lines(session, link.version_id) if link.may_download else (),
        sender.name,
        sender.email,
        Contact(contact.public_id, contact.name, contact.email) if contact is not None else None,
        deal.account if contact is not None and deal is not None else "",
        link.created_at,
        link.expires_at,
        link.may_download,
    )


def picture_of(session: Session, token: str, sha256: str) -> tuple[str, str] | None:
    """Media type and name of a picture of the shared version; None where it holds none of that hash."""
    link = _live(session, token)[0]
    row = session.execute(
        select(Attachment.media_type, Attachment.filename).where(
            Attachment.version_id == link.version_id,
            Attachment.sha256 == sha256,
            Attachment.media_type.in_([MEDIA_TYPES[kind] for kind in IMAGES]),
        )
    ).first()
    return (row.media_type, row.filename) if row is not None else None


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file of a shared version; `words` stand across each page of a pdf that goes to a named person."""

    sha256: str
    media_type: str
    filename: str
    words: str


def file_of(session: Session, token: str, attachment: str) -> SharedFile:
    """A file that the customer takes; NotFound where the link gives none of that id."""
    link = _live(session, token)[0]
    line = next((one for one in files.list_lines(session, link.version_id) if one.public_id == attachment), None)
    if line is None or not link.may_download:
        raise NotFound()
    words = ""
    if line.kind is FileKind.PDF and link.contact_id is not None:
        contact = session.get_one(DealContact, link.contact_id)
        words = f"{contact.email} · {clock.now():%Y-%m-%d} · {link.public_id[:6]}"
    return SharedFile(line.sha256, MEDIA_TYPES[line.kind], line.filename, words)


def note_opening(session: Session, token: str, email: str = "", filename: str = "") -> None:
    """Keep that a customer opened a link, or took a file of it; tells its sender the first time."""
    link = _live(session, token)[0]
    kind = "download" if filename else "view"
    known = select(ShareOpening.id).where(
        ShareOpening.link_id == link.id,
        ShareOpening.kind == kind,
        ShareOpening.email == email,
        ShareOpening.filename == filename,
        ShareOpening.at > clock.now() - OPENING_WINDOW,
    )
    if session.scalar(known.limit(1)) is not None:
        return
    session.add(
        ShareOpening(
            link_id=link.id,
            version_id=link.version_id,
            kind=kind,
            email=email[:254],
            filename=filename[:255],
            at=clock.now(),
        )
    )
    notices.tell(session, link.created_by_id, "share_opened", link.asset_id, f"share-opened:{link.public_id}")


def _live(session: Session, token: str) -> tuple[ShareLink, ReadableAsset]:
    link = session.scalar(select(ShareLink).where(ShareLink.token_hash == _hash(token)))
    if link is None or link.revoked_at is not None or link.expires_at <= clock.now():
        raise Ended()
    asset = _held(session, [link]).get(link.id)
    if asset is None or asset.version_id != link.version_id:
        raise Ended()
    return link, asset


def _token(public_id: str, key: str) -> str:
    """What the address ends with: it can be made again by who holds the key, and guessed by nobody."""
    made = hmac.new(key.encode(), f"share:{public_id}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
