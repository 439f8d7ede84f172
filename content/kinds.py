"""The closed sets of the domain: types, handlings, states, facets, kinds of use."""

from collections.abc import Mapping
from enum import StrEnum

from kb.errors import N_


class AssetType(StrEnum):
    TALK_TRACK = "talk_track"
    CASE_STUDY = "case_study"
    WHITE_PAPER = "white_paper"
    BATTLE_CARD = "battle_card"
    FAQ = "faq"
    PRODUCT_BRIEF = "product_brief"
    INDUSTRY_REPORT = "industry_report"
    DECK = "deck"
    DEMO_SCRIPT = "demo_script"
    OTHER = "other"


class Handling(StrEnum):
    """What may leave the company, from least to most."""

    INTERNAL = "internal"
    SPOKEN = "spoken"
    NAMED = "named"
    PUBLIC = "public"

    @property
    def rank(self) -> int:
        return _RANK_OF_HANDLING[self]


_RANK_OF_HANDLING = {one: place for place, one in enumerate(Handling)}


class VersionState(StrEnum):
    DRAFT = "draft"
    IN_REVIEW = "in_review"
    CHANGES_REQUESTED = "changes_requested"
    REJECTED = "rejected"
    APPROVED = "approved"
    PUBLISHED = "published"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


class Facet(StrEnum):
    """Controlled vocabularies; type and language are facets of search too, but not tags."""

    STAGE = "stage"
    INDUSTRY = "industry"
    PAIN_POINT = "pain_point"
    SOLUTION = "solution"
    PRODUCT = "product"
    COMPETITOR = "competitor"
    PERSONA = "persona"
    REGION = "region"


class UseKind(StrEnum):
    VIEW = "view"
    COPY = "copy"
    SHARE = "share"
    PRESENT = "present"
    DOWNLOAD = "download"
    HELPFUL = "helpful"
    NOT_HELPFUL = "not_helpful"

    @property
    def is_use(self) -> bool:
        return self in {UseKind.COPY, UseKind.SHARE, UseKind.PRESENT, UseKind.DOWNLOAD}


class DealSource(StrEnum):
    CHOSEN = "chosen"
    EMBEDDED = "embedded"
    INFERRED = "inferred"
    NONE = "none"


class Outcome(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"
    NO_DECISION = "no_decision"


DEFAULT_HANDLING: Mapping[AssetType, Handling] = {
    AssetType.TALK_TRACK: Handling.SPOKEN,
    AssetType.BATTLE_CARD: Handling.SPOKEN,
    AssetType.FAQ: Handling.SPOKEN,
    AssetType.DEMO_SCRIPT: Handling.SPOKEN,
    AssetType.CASE_STUDY: Handling.NAMED,
    AssetType.DECK: Handling.NAMED,
    AssetType.WHITE_PAPER: Handling.PUBLIC,
    AssetType.PRODUCT_BRIEF: Handling.PUBLIC,
    AssetType.INDUSTRY_REPORT: Handling.PUBLIC,
    AssetType.OTHER: Handling.INTERNAL,
}

VERIFY_EVERY_DAYS: Mapping[AssetType, int] = {
    AssetType.BATTLE_CARD: 60,
    AssetType.TALK_TRACK: 90,
    AssetType.FAQ: 90,
    AssetType.DEMO_SCRIPT: 90,
    AssetType.PRODUCT_BRIEF: 180,
    AssetType.CASE_STUDY: 365,
    AssetType.WHITE_PAPER: 365,
    AssetType.INDUSTRY_REPORT: 365,
    AssetType.DECK: 365,
    AssetType.OTHER: 365,
}

TYPE_NAMES: Mapping[AssetType, str] = {
    AssetType.TALK_TRACK: N_("Talk track"),
    AssetType.CASE_STUDY: N_("Case study"),
    AssetType.WHITE_PAPER: N_("White paper"),
    AssetType.BATTLE_CARD: N_("Battle card"),
    AssetType.FAQ: N_("FAQ"),
    AssetType.PRODUCT_BRIEF: N_("Product brief"),
    AssetType.INDUSTRY_REPORT: N_("Industry report"),
    AssetType.DECK: N_("Deck"),
    AssetType.DEMO_SCRIPT: N_("Demo script"),
    AssetType.OTHER: N_("Other"),
}

HANDLING_NAMES: Mapping[Handling, str] = {
    Handling.INTERNAL: N_("Internal only"),
    Handling.SPOKEN: N_("Say, do not send"),
    Handling.NAMED: N_("Send to named customers"),
    Handling.PUBLIC: N_("May be public"),
}

FACET_NAMES: Mapping[str, str] = {
    "stage": N_("Stage"),
    "type": N_("Type"),
    "industry": N_("Industry"),
    "pain_point": N_("Pain point"),
    "solution": N_("Solution"),
    "product": N_("Product"),
    "competitor": N_("Competitor"),
    "persona": N_("Persona"),
    "region": N_("Region"),
    "language": N_("Language"),
}

STATE_NAMES: Mapping[VersionState, str] = {
    VersionState.DRAFT: N_("Draft"),
    VersionState.IN_REVIEW: N_("In review"),
    VersionState.CHANGES_REQUESTED: N_("Changes requested"),
    VersionState.REJECTED: N_("Rejected"),
    VersionState.APPROVED: N_("Approved"),
    VersionState.PUBLISHED: N_("Published"),
    VersionState.SUPERSEDED: N_("Superseded"),
    VersionState.WITHDRAWN: N_("Withdrawn"),
}

LANGUAGE_NAMES: Mapping[str, str] = {"zh": "中文", "en": "English"}
"""Languages of assets, each by its own name; other codes are shown as they are."""
