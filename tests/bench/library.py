"""A seeded library of any size for measurements: texts in both languages, tags, tiers, stages, and random vectors."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import Session

from content.kinds import AssetType, Facet, Handling, VersionState
from content.models import Asset, AssetTag, Rendered, Version
from kb import clock, config, migrate
from kb.access import Role, Tier
from kb.app import Service, open_service
from kb.db import public_id
from kb.outbox import Wish
from search import embedding, upkeep, vectors
from search.encoder import Encoder
from search.passages import VERSION as CUT
from search.vectors import Embedded, EncoderRow, PassageRow, VectorRow
from tests.factories import Make

SECRET = "a secret for measurements, long enough to sign"
SECTIONS = 4
PASSAGES = 5
BATCH = 500
ENGLISH = [
    "price",
    "cost",
    "migration",
    "downtime",
    "security",
    "compliance",
    "bank",
    "retail",
    "factory",
    "hospital",
    "logistics",
    "customer",
    "contract",
    "renewal",
    "discount",
    "platform",
    "warehouse",
    "pipeline",
    "report",
    "dashboard",
    "connector",
    "latency",
    "throughput",
    "audit",
    "encryption",
    "backup",
    "rollback",
    "cutover",
    "training",
    "support",
    "partner",
    "quote",
    "budget",
    "procurement",
    "finance",
    "director",
    "engineer",
    "operations",
    "incident",
    "outage",
    "recovery",
    "schedule",
    "weekend",
    "window",
    "storage",
    "cloud",
    "region",
    "tenant",
    "licence",
    "subscription",
    "invoice",
    "forecast",
    "inventory",
    "delivery",
    "sensor",
    "machine",
    "bearing",
    "quality",
    "branch",
    "teller",
    "loan",
    "risk",
    "fraud",
    "model",
    "feature",
    "metric",
    "index",
    "query",
    "cache",
    "stream",
    "batch",
    "event",
    "topic",
    "schema",
    "catalogue",
    "lineage",
    "ownership",
    "steward",
    "policy",
    "mask",
    "token",
    "session",
    "review",
    "approval",
]
CHINESE = [
    "价格",
    "成本",
    "迁移",
    "停机",
    "安全",
    "合规",
    "银行",
    "零售",
    "工厂",
    "医院",
    "物流",
    "客户",
    "合同",
    "续约",
    "折扣",
    "平台",
    "数仓",
    "管道",
    "报表",
    "看板",
    "连接器",
    "延迟",
    "吞吐",
    "审计",
    "加密",
    "备份",
    "回退",
    "切换",
    "培训",
    "支持",
    "伙伴",
    "报价",
    "预算",
    "采购",
    "财务",
    "总监",
    "工程师",
    "运维",
    "事故",
    "故障",
    "恢复",
    "排期",
    "周末",
    "窗口",
    "存储",
    "云端",
    "地域",
    "租户",
    "许可",
    "订阅",
    "发票",
    "预测",
    "库存",
    "配送",
    "传感器",
    "设备",
    "轴承",
    "质量",
    "网点",
    "柜员",
    "贷款",
    "风险",
    "欺诈",
    "模型",
    "特征",
    "指标",
    "索引",
    "查询",
    "缓存",
    "实时",
    "批量",
    "事件",
    "主题",
    "结构",
    "目录",
    "血缘",
    "归属",
    "管家",
    "策略",
    "脱敏",
    "令牌",
    "会话",
    "评审",
    "批准",
]


@dataclass(frozen=True)
class Text:
    title: str
    language: str
    sections: tuple[tuple[str, str], ...]

    @property
    def plain(self) -> str:
        return "\n".join(f"{title}\n{text}" for title, text in self.sections)


def texts(count: int, seed: int = 1) -> Iterator[Text]:
    """The same texts for the same seed; words are drawn with a skew, as in real ones."""
    source = random.Random(seed)
    for number in range(count):
        language = "zh" if number % 2 else "en"
        yield Text(
            f"{_sentence(source, language, 4)} {number}",
            language,
            tuple((_sentence(source, language, 2), _paragraph(source, language)) for _ in range(SECTIONS)),
        )


def queries(count: int, seed: int = 2) -> list[str]:
    """Distinct queries of one to eight words, half of them Chinese."""
    source, found = random.Random(seed), dict[str, None]()
    while len(found) < count:
        found[_sentence(source, "zh" if len(found) % 2 else "en", source.randint(1, 8))] = None
    return list(found)


def _sentence(source: random.Random, language: str, words: int) -> str:
    pool = CHINESE if language == "zh" else ENGLISH
    drawn = [
        pool[min(int(source.paretovariate(0.7)) - 1, len(pool) - 1)] if source.random() < 0.5 else source.choice(pool)
        for _ in range(words)
    ]
    return ("" if language == "zh" else " ").join(drawn)


def _paragraph(source: random.Random, language: str) -> str:
    stop = "。" if language == "zh" else ". "
    return stop.join(_sentence(source, language, source.randint(6, 12)) for _ in range(4)) + stop.strip()


def opened(folder: Path, encoder_setting: str = "", database_url: str = "") -> Service:
    """A migrated, empty installation, on SQLite unless a database is named."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = {"database_url": database_url} if database_url else {}
    service = open_service(
        config.load({}, data_dir=folder, secret_key=SECRET, encoder=encoder_setting, requests_per_minute=0, **place)
    )
    migrate.upgrade(service.settings, service.database)
    upkeep.begin(service.engine)
    return service


def fill(service: Service, count: int, encoder: Encoder) -> Make:
    """`count` published assets with their rows for search, and random vectors under the encoder's name."""
    make = Make(service)
    make.stages()
    owner = make.user(Role.MARKETER)
    tags = _tags(make)
    later = make.stage_id("negotiation")
    source = random.Random(3)
    written = list(texts(count))
    for start in range(0, count, BATCH):
        _put(service, written[start : start + BATCH], owner.id, tags, later, source)
    upkeep.rebuild(service.database, service.engine)
    with service.database.writing() as session:
        session.execute(delete(Wish), execution_options={"synchronize_session": False})
    _put_vectors(service, encoder)
    return make


def _tags(make: Make) -> dict[Facet, list[int]]:
    facets = (Facet.INDUSTRY, Facet.PAIN_POINT, Facet.SOLUTION, Facet.PRODUCT, Facet.COMPETITOR, Facet.PERSONA)
    return {
        facet: [make.tag(facet, f"{facet.value}_{n}", f"{facet.value} {n}", f"{facet.value}{n}") for n in range(12)]
        for facet in facets
    }


def _put(
    service: Service,
    written: Sequence[Text],
    owner: int,
    tags: dict[Facet, list[int]],
    later: int,
    source: random.Random,
) -> None:
    now = clock.now()
    with service.database.writing() as session:
        for one in written:
            digest = f"bench-{public_id()}"
            sections = [
                {"anchor": f"s{n}", "level": 2, "title": title, "html": f"<p>{body}</p>", "plain": body}
                for n, (title, body) in enumerate(one.sections)
            ]
            asset = Asset(
                public_id=public_id(),
                type=source.choice([kind.value for kind in AssetType]),
                tier=Tier.RESTRICTED.value if source.random() < 0.05 else Tier.INTERNAL.value,
                unlock_stage_id=later if source.random() < 0.1 else None,
            )
            session.add(asset)
            session.flush()
            session.execute(
                insert(Rendered),
                [
                    {
                        "digest": digest,
                        "html": "",
                        "plain": one.plain,
                        "sections": sections,
                        "failed": "",
                        "likeness": b"",
                    }
                ],
            )
            session.add(_version(asset, one, digest, owner, now - timedelta(minutes=source.randint(1, 100_000))))
            for values in tags.values():
                session.add(
                    AssetTag(asset_id=asset.id, tag_id=values[min(int(source.paretovariate(1)) - 1, len(values) - 1)])
                )


def _version(asset: Asset, text: Text, digest: str, owner: int, at) -> Version:  # type: ignore[no-untyped-def]
    return Version(
        public_id=public_id(),
        asset_id=asset.id,
        number=1,
        title=text.title,
        text=text.plain,
        language=text.language,
        handling=Handling.INTERNAL.value,
        digest=digest,
        rendering_digest=digest,
        state=VersionState.PUBLISHED.value,
        created_at=at,
        published_at=at,
        created_by_id=owner,
        frozen_at=at,
    )


def _put_vectors(service: Service, encoder: Encoder) -> None:
    means = embedding.language_means(encoder).to_json()
    with service.database.writing() as session:
        known = vectors.register(session, encoder.name, service.meaning.wanted.source, encoder.dimension, means)
        rows = session.execute(
            select(Version.asset_id, Version.id, Version.language).where(Version.state == VersionState.PUBLISHED.value)
        ).all()
        random_numbers = np.random.default_rng(4)
        for start in range(0, len(rows), BATCH):
            _put_some(session, known.id, encoder.dimension, rows[start : start + BATCH], start, random_numbers)
        session.get_one(EncoderRow, known.id).stamp = 1
    with service.database.reading() as session:
        assert vectors.behind(session, known.id, 1) == []
        stored = vectors.find(session, known.name)
    assert stored is not None
    embedding.mirror_of(service.database)(stored)
    with service.database.engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()


def _put_some(
    session: Session, encoder_id: int, dimension: int, rows: Sequence[Any], first: int, source: np.random.Generator
) -> None:
    drawn = source.standard_normal((len(rows) * PASSAGES, dimension)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    names = [f"{first * PASSAGES + n:032x}" for n in range(len(drawn))]
    session.execute(
        insert(VectorRow),
        [
            {"encoder_id": encoder_id, "text_hash": name, "vector": vectors.packed(vector)}
            for name, vector in zip(names, drawn, strict=True)
        ],
    )
    session.execute(
        insert(Embedded),
        [{"encoder_id": encoder_id, "asset_id": row[0], "version_id": row[1], "cut": CUT, "stamp": 1} for row in rows],
    )
    session.execute(
        insert(PassageRow),
        [
            {
                "encoder_id": encoder_id,
                "asset_id": row[0],
                "position": n,
                "anchor": f"s{n % SECTIONS}",
                "begins": 0,
                "ends": 60,
                "language": row[2],
                "text_hash": names[place * PASSAGES + n],
            }
            for place, row in enumerate(rows)
            for n in range(PASSAGES)
        ],
    )
