"""Makes the daily life of the sample company: deals with stages and outcomes, and what its reps used on them.

Pure and seeded: the same day gives the same company. Uses move outcomes by `EFFECTS`, so that figures about
lift have something true to find; everything else about a deal depends on its segment and its owner.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from typing import Final

SEED: Final = 20261126
DEALS: Final = 900
DAYS: Final = 720
ZONE: Final = timezone(timedelta(hours=8))
STAGES: Final = ("awareness", "discovery", "solution", "negotiation")
AFTER_SALE: Final = "after_sale"

REPS: Final[Mapping[str, Sequence[str]]] = {
    "zh": ("lin.yue@yunshu.example", "zhou.fang@yunshu.example"),
    "en": ("daniel.reed@yunshu.example", "priya.nair@yunshu.example"),
}
TEAMS: Final[Mapping[str, frozenset[str]]] = {
    "lin.yue@yunshu.example": frozenset({"east"}),
    "zhou.fang@yunshu.example": frozenset({"north"}),
    "daniel.reed@yunshu.example": frozenset({"international"}),
    "priya.nair@yunshu.example": frozenset({"international"}),
}
READERS: Final = (
    "chen.an@yunshu.example",
    "xu.ran@yunshu.example",
    "ines.duarte@yunshu.example",
    "maya.okafor@yunshu.example",
    "zhao.qiming@yunshu.example",
    "he.yun@yunshu.example",
)
"""Who looks things up without a deal."""

EFFECTS: Final[Mapping[str, float]] = {
    "TT-PRICE-ZH": 0.34,
    "TT-PRICE-EN": 0.22,
    "TT-DOWNTIME-ZH": 0.18,
    "CS-YUANSHAN-ZH": 0.20,
    "CS-HALDEN-EN": 0.12,
    "TT-REFERENCE-EN": 0.08,
    "BC-CLOUD-ZH": -0.08,
    "TT-TIMELINE-EN": -0.34,
}
"""By how much a use within two weeks of entering a stage moves the chance to win."""
POPULAR: Final[Mapping[str, float]] = {
    "TT-PRICE-ZH": 12.0,
    "TT-PRICE-EN": 8.0,
    "TT-DOWNTIME-ZH": 5.0,
    "BC-COMPA-ZH": 3.0,
    "CS-YUANSHAN-ZH": 4.0,
    "CS-HALDEN-EN": 4.0,
    "TT-TIMELINE-EN": 9.0,
    "FAQ-DJBH-ZH": 1.5,
}
UNUSED: Final = frozenset({"FAQ-LICENCE-EN", "WP-LINEAGE-EN", "BC-INHOUSE-EN", "TT-CIO-ZH", "PB-METRICS-EN"})
"""Nobody has found these yet."""

SEGMENTS: Final[Mapping[str, float]] = {"small": 0.50, "mid": 0.42, "enterprise": 0.35}
"""The chance to win a deal that comes to the end, before its owner and what was used."""
OWNERS: Final[Mapping[str, float]] = {
    "lin.yue@yunshu.example": 0.08,
    "zhou.fang@yunshu.example": -0.06,
    "daniel.reed@yunshu.example": 0.04,
    "priya.nair@yunshu.example": 0.0,
}
EARLY_LOSS: Final = 0.12
STAGE_DAYS: Final[Mapping[str, tuple[int, int]]] = {
    "awareness": (6, 24),
    "discovery": (10, 32),
    "solution": (12, 38),
    "negotiation": (8, 30),
}
WINDOW: Final = timedelta(days=14)
EVENTS_A_STAGE: Final = (3, 8)
USES_OF_VIEWS: Final = 0.62
OTHER_LANGUAGE: Final = 0.08
RICH: Final = 40.0
"""Assets that fit so much together are always worth a look."""

ACCOUNTS: Final[Mapping[tuple[str, str], str]] = {
    ("zh", "finance"): "澄江银行 麓山农商行 栖霞湾银行 云麓保险 长汀信托 沁源证券 白鹭洲银行 石桥租赁",
    ("zh", "manufacturing"): "恒岳机械 青榆电器 海棠湾重工 竹溪精密 北辰岭轴承 南屏化纤 梧桐岭陶瓷 东篱家电",
    ("zh", "retail"): "一苇便利 南枝百货 禾下食集 蓝桥生鲜 半亩良品 鹿鸣家居",
    ("zh", "energy"): "陇川新能源 曲江水电 漠北风电 沧澜燃气",
    ("zh", "healthcare"): "杏林湾医院 青囊体检 仁川路医院集团 和缓康复",
    ("zh", "logistics"): "驿路供应链 千帆港务 百川冷链 归雁快运",
    (
        "en",
        "finance",
    ): "Aldermoor Bank,Castellan Mutual,Brightwater Credit,Selat Insurance,Fjordlund Sparebank,Montclar Assurance",
    (
        "en",
        "manufacturing",
    ): "Hollis Bearings,Varga Components,Tamarind Foods,Ostrelle Castings,Pinnock Motors,Kumari Textiles",
    ("en", "retail"): "Fern & Finch,Marlin Outlets,Bazaar Nine,Copperleaf Stores,Lumo Grocers",
    ("en", "energy"): "Skarv Energi,Redstone Water,Solenne Power",
    ("en", "public_sector"): "Borough of Easthallow,Kestria Transport Authority,Lindell Region",
    ("en", "healthcare"): "Clarendon Clinics,Santa Brisa Hospitals,Nordhaven Care",
    ("en", "logistics"): "Pelican Freight,Amberline Shipping,Tidewater Lanes,Rowan Couriers",
}
CUSTOMERS: Final = tuple(
    (language, industry, name)
    for (language, industry), names in ACCOUNTS.items()
    for name in names.split("," if language == "en" else " ")
)
PAINS: Final[Mapping[str, Sequence[str]]] = {
    "finance": ("price", "migration", "downtime", "compliance", "data_quality", "vendor_lock_in"),
    "manufacturing": ("data_silos", "performance", "talent", "price", "downtime"),
    "retail": ("performance", "data_quality", "price", "data_silos"),
    "energy": ("downtime", "migration", "vendor_lock_in", "compliance"),
    "public_sector": ("compliance", "data_silos", "security"),
    "healthcare": ("compliance", "security", "data_silos", "talent"),
    "logistics": ("data_silos", "performance", "talent", "price"),
}
COMPETITORS: Final = ("competitor_a", "competico", "in_house", "cloud_suite", "competitor_b", "")
RIVALS: Final[Mapping[str, Sequence[int]]] = {"zh": (34, 8, 16, 14, 12, 16), "en": (22, 34, 12, 10, 4, 18)}
REASONS: Final[Mapping[tuple[str, str], Sequence[str]]] = {
    ("zh", "lost"): (
        "价格：首年报价超预算",
        "选了现有厂商续签",
        "自研团队接手",
        "试点没有覆盖核心对账",
        "集团统采指定了另一家",
    ),
    ("zh", "no_decision"): ("预算推迟到下一年度", "分管领导调整，项目暂停", "先做数据标准，平台明年再议"),
    ("en", "lost"): (
        "First-year price above budget",
        "Renewed with the present vendor",
        "Built in house",
        "Pilot scope grew, then stalled",
    ),
    ("en", "no_decision"): ("Budget moved to next year", "Sponsor left; project parked", "Reorganisation"),
}


@dataclass(frozen=True, slots=True)
class SampleAsset:
    """What the front matter of a sample asset says, as far as use depends on it."""

    external_id: str
    type: str
    language: str
    tier: str
    handling: str
    nda: bool
    unlock_stage: str
    audience: frozenset[str]
    stages: frozenset[str]
    industries: frozenset[str]
    pain_points: frozenset[str]
    competitors: frozenset[str]
    published_on: date
    expires_on: date | None = None

    @classmethod
    def of(cls, fields: Mapping[str, object], published_on: date) -> "SampleAsset":
        def words(key: str) -> frozenset[str]:
            value = fields.get(key)
            return frozenset(str(word) for word in value) if isinstance(value, list) else frozenset()

        expires_on = fields.get("expires_on")
        return cls(
            external_id=str(fields["external_id"]),
            type=str(fields["type"]),
            language=str(fields["language"]),
            tier=str(fields["tier"]),
            handling=str(fields["handling"]),
            nda=bool(fields.get("nda")),
            unlock_stage=str(fields.get("unlock_stage") or ""),
            audience=words("audience"),
            stages=words("stages"),
            industries=words("industries"),
            pain_points=words("pain_points"),
            competitors=words("competitors"),
            published_on=published_on,
            expires_on=expires_on if isinstance(expires_on, date) else None,
        )


@dataclass(slots=True)
class _Deal:
    number: int
    account: str
    language: str
    owner: str
    industry: str
    segment: str
    amount: int
    currency: str
    competitor: str
    pains: Sequence[str]
    stages: list[tuple[str, datetime]] = field(default_factory=list)
    outcome: str = "open"
    closed_at: datetime | None = None
    reason: str = ""

    @property
    def external_id(self) -> str:
        return f"D-{2000 + self.number}"


@dataclass(frozen=True, slots=True)
class Activity:
    """Rows in the form of the CSV files that `kb import` takes."""

    deals: tuple[Mapping[str, str], ...]
    stages: tuple[Mapping[str, str], ...]
    usage: tuple[Mapping[str, str], ...]


def make(assets: Iterable[SampleAsset], today: date, open_deals: Sequence[Mapping[str, str]] = ()) -> Activity:
    """A company's last months up to `today`; `open_deals` are rows of deals written elsewhere, to be worked on too."""
    return _Company(sorted(assets, key=lambda asset: asset.external_id), today).live(open_deals)


class _Company:
    def __init__(self, assets: Sequence[SampleAsset], today: date) -> None:
        self._chance = random.Random(SEED)  # noqa: S311  # a made-up company, no secret
        self._assets = [asset for asset in assets if asset.external_id not in UNUSED]
        self._now = datetime.combine(today, time(18, 0), ZONE)
        self._events: list[dict[str, str]] = []

    def live(self, open_deals: Sequence[Mapping[str, str]]) -> Activity:
        deals = [self._deal(number) for number in range(1, DEALS + 1)]
        for deal in deals:
            self._work(deal)
        for row in open_deals:
            self._work_on_known(row)
        self._look_around()
        self._events.sort(key=lambda event: event["at"])
        for number, event in enumerate(self._events, start=1):
            event["event_id"] = f"activity-{number:05d}"
        return Activity(
            tuple(_deal_row(deal) for deal in deals),
            tuple(
                {"deal_external_id": deal.external_id, "stage": stage, "entered_at": at.isoformat()}
                for deal in deals
                for stage, at in deal.stages
            ),
            tuple(self._events),
        )

    def _deal(self, number: int) -> _Deal:
        chance = self._chance
        language, industry, account = chance.choice(CUSTOMERS)
        segment = chance.choices(("small", "mid", "enterprise"), (35, 42, 23))[0]
        currency = "CNY" if language == "zh" else chance.choice(("EUR", "USD", "USD"))
        thousands = {"small": (50, 140), "mid": (150, 420), "enterprise": (450, 1_600)}[segment]
        amount = chance.randint(*thousands) * (7_000 if currency == "CNY" else 1_000)
        return _Deal(
            number=number,
            account=account,
            language=language,
            owner=chance.choice(REPS[language]),
            industry=industry,
            segment=segment,
            amount=round(amount, -4),
            currency=currency,
            competitor=chance.choices(COMPETITORS, RIVALS[language])[0],
            pains=chance.sample(PAINS[industry], 2),
        )

    def _work(self, deal: _Deal) -> None:
        """Walk the deal through its stages until it is won, lost, or today."""
        at = self._moment(self._now - timedelta(days=self._chance.randint(4, DAYS)))
        win = SEGMENTS[deal.segment] + OWNERS[deal.owner]
        for stage in STAGES:
            deal.stages.append((stage, at))
            leaves_at = self._moment(at + timedelta(days=self._chance.randint(*STAGE_DAYS[stage])))
            win += sum(EFFECTS.get(used, 0.0) for used in self._use(deal, stage, at, min(leaves_at, self._now)))
            if leaves_at > self._now:
                return
            if stage in {"discovery", "solution"} and self._chance.random() < EARLY_LOSS:
                self._close(deal, "lost" if self._chance.random() < 0.6 else "no_decision", leaves_at)
                return
            at = leaves_at
        is_won = self._chance.random() < min(max(win, 0.05), 0.92)
        self._close(deal, "won" if is_won else ("lost" if self._chance.random() < 0.75 else "no_decision"), at)

    def _close(self, deal: _Deal, outcome: str, at: datetime) -> None:
        deal.outcome, deal.closed_at = outcome, at
        if outcome == "won":
            deal.stages.append((AFTER_SALE, at))
        else:
            deal.reason = self._chance.choice(REASONS[deal.language, outcome])

    def _use(self, deal: _Deal, stage: str, entered_at: datetime, until: datetime) -> set[str]:
        """What the owner looks up and uses in this stage; answers what was used within two weeks of entering it."""
        early: set[str] = set()
        for _ in range(self._chance.randint(*EVENTS_A_STAGE)):
            spread = max((until - entered_at).total_seconds(), 3_600.0)
            at = self._moment(entered_at + timedelta(seconds=spread * self._chance.random() ** 1.6))
            asset = self._pick(deal, stage, at.date()) if entered_at <= at <= until else None
            if (
                asset is not None
                and self._note(deal.owner, asset, deal.external_id, at, until)
                and (at < entered_at + WINDOW)
            ):
                early.add(asset.external_id)
        return early

    def _work_on_known(self, row: Mapping[str, str]) -> None:
        """The last days of a deal that was written by hand, so that every rep has something fresh."""
        owner = row["owner_email"]
        language = next((code for code, reps in REPS.items() if owner in reps), "")
        if not language:
            return
        pains = [word for word in row.get("pain_points", "").split(";") if word]
        deal = _Deal(0, row["account"], language, owner, row["industry"], "", 0, "", row.get("competitor", ""), pains)
        created_at = datetime.fromisoformat(row["created_at"])
        for _ in range(6):
            at = self._moment(self._now - timedelta(days=self._chance.randint(1, 13)))
            asset = self._pick(deal, "awareness", at.date())
            if asset is not None and at > created_at:
                self._note(owner, asset, row["external_id"], at, self._now)

    def _look_around(self) -> None:
        for reader in READERS:
            for _ in range(20):
                at = self._moment(self._now - timedelta(days=self._chance.randint(1, 180)))
                asset = self._chance.choice(self._assets)
                if _is_for_all(asset) and _is_out(asset, at.date()):
                    self._add(reader, asset, "", "view", at)

    def _pick(self, deal: _Deal, stage: str, day: date) -> SampleAsset | None:
        """Something this rep could see in this stage on that day, by how well it fits; a poor library tempts nobody."""
        fitting = [asset for asset in self._assets if _could_see(asset, deal.owner, stage, day)]
        weights = [self._fit(asset, deal, stage) for asset in fitting]
        is_tempting = self._chance.random() < sum(weights) / RICH
        return self._chance.choices(fitting, weights)[0] if is_tempting and any(weights) else None

    def _fit(self, asset: SampleAsset, deal: _Deal, stage: str) -> float:
        fit = 3.0 * (deal.competitor in asset.competitors) + 2.0 * len(asset.pain_points & set(deal.pains))
        fit += 2.0 * (deal.industry in asset.industries) + 0.4 * ("all" in asset.industries)
        fit *= 1.0 if stage in asset.stages else 0.15
        fit *= 1.0 if asset.language == deal.language else OTHER_LANGUAGE
        return fit * POPULAR.get(asset.external_id, 1.0)

    def _note(self, who: str, asset: SampleAsset, deal: str, at: datetime, until: datetime) -> bool:
        """A view and, more often than not, a use after it."""
        if at.date() < asset.published_on or at > until:
            return False
        self._add(who, asset, deal, "view", at)
        later = at + timedelta(minutes=self._chance.randint(1, 9))
        if self._chance.random() > USES_OF_VIEWS or later > until:
            return False
        self._add(who, asset, deal, self._kind(asset), later)
        return True

    def _kind(self, asset: SampleAsset) -> str:
        if asset.nda or asset.handling == "spoken":
            return "copy"
        return self._chance.choices(("share", "download", "present", "copy"), (45, 20, 15, 20))[0]

    def _add(self, who: str, asset: SampleAsset, deal: str, kind: str, at: datetime) -> None:
        if at.date() < asset.published_on or (kind != "view" and asset.handling == "internal"):
            return
        self._events.append(
            {
                "asset_external_id": asset.external_id,
                "user_email": who,
                "kind": kind,
                "deal_external_id": deal,
                "at": at.isoformat(),
                "deal_source": "chosen" if deal else "none",
                "surface": self._chance.choice(("search", "search", "asset")),
            }
        )

    def _moment(self, near: datetime) -> datetime:
        """A moment of that day within working hours, Monday to Friday, never after now."""
        day = near.date()
        while day.weekday() > 4:
            day += timedelta(days=1)
        hour = self._chance.choices(range(9, 19), (8, 14, 12, 3, 8, 12, 12, 12, 8, 3))[0]
        at = datetime.combine(day, time(hour, self._chance.randrange(60), self._chance.randrange(60)), ZONE)
        return max(at, near) if at.date() == near.date() else at


def _is_for_all(asset: SampleAsset) -> bool:
    return asset.tier in {"public", "internal"} and not (asset.unlock_stage or asset.audience)


def _is_out(asset: SampleAsset, day: date) -> bool:
    return asset.published_on < day and (asset.expires_on is None or day <= asset.expires_on)


def _could_see(asset: SampleAsset, owner: str, stage: str, day: date) -> bool:
    order = (*STAGES, AFTER_SALE)
    return (
        asset.tier in {"public", "internal"}
        and (not asset.audience or bool(asset.audience & TEAMS[owner]))
        and (not asset.unlock_stage or order.index(asset.unlock_stage) <= order.index(stage))
        and _is_out(asset, day)
        and asset.handling != "internal"
    )


def _deal_row(deal: _Deal) -> Mapping[str, str]:
    manager = "zhao.qiming@yunshu.example"
    return {
        "external_id": deal.external_id,
        "account": deal.account,
        "owner_email": deal.owner,
        "industry": deal.industry,
        "segment": deal.segment,
        "amount": str(deal.amount),
        "currency": deal.currency,
        "stage": deal.stages[-1][0],
        "created_at": deal.stages[0][1].isoformat(),
        "closed_at": deal.closed_at.isoformat() if deal.closed_at else "",
        "outcome": deal.outcome,
        "competitor": deal.competitor,
        "loss_reason": deal.reason,
        "members": f"{deal.owner};{manager}",
        "pain_points": ";".join(deal.pains),
    }
