"""The compliance rules: what they find, what excuses it, and what they must leave alone."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.kinds import Handling
from review import rulebook
from review.compliance import Customer, Finding, Known, Proof, Rule, Severity, check
from review.compliance_text import read

SHARED = Path(__file__).resolve().parents[3] / "shared" / "compliance.md"
TODAY = date(2026, 11, 27)
KNOWN = Known(
    competitors=("竞品甲", "CompetiCo"),
    customers=(
        Customer(("远山银行",), Handling.NAMED),
        Customer(("青禾制造", "Qinghe"), Handling.PUBLIC),
        Customer(("晴川医院",), None),
        Customer(("Halden",), Handling.PUBLIC, is_expired=True),
    ),
    own_domains=frozenset({"yunshu.example"}),
    today=TODAY,
)


def found(text: str, handling: Handling = Handling.PUBLIC, known: Known = KNOWN) -> list[Finding]:
    return check(text, handling, rulebook.shipped_rules(), known)


def told(text: str, handling: Handling = Handling.PUBLIC, known: Known = KNOWN) -> str:
    return ",".join(f"{one.rule}:{one.severity}" for one in found(text, handling, known)) or "-"


def vectors() -> list[tuple[str, str, str]]:
    if not SHARED.exists():
        return []
    lines = SHARED.read_text(encoding="utf-8").split("text\tpublic\tspoken\n")[1].split("```")[0].strip().splitlines()
    return [tuple(line.split("\t")) for line in lines]  # type: ignore[misc]


@pytest.mark.skipif(not SHARED.exists(), reason="the shared acceptance vectors are not on this machine")
def test_the_acceptance_vectors_hold() -> None:
    wrong = [
        (text, handling.value, told(text, handling), wanted)
        for text, public, spoken in vectors()
        for handling, wanted in ((Handling.PUBLIC, public), (Handling.SPOKEN, spoken))
        if told(text, handling) != wanted
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # absolute terms
        ("我们提供业内最可靠的数据服务。", "absolute:block"),
        ("本产品性能最优。", "absolute:block"),
        ("这是国内首家通过实测的湖仓平台。", "absolute:block"),
        ("它填补了国内空白。", "absolute:block"),
        ("云枢，您的最佳选择。", "absolute:block"),
        ("团队致力于做最好的平台。", "-"),
        ("这不是最好的方案，但最稳妥。", "-"),
        ("“最先进的平台”这种话不要写。", "-"),
        ("升级前最好备份配置。", "-"),
        ("最高级别的权限只给管理员。", "-"),
        ("以最佳方式分配流量。", "-"),
        ("在历代版本里，这是我们自己最快最稳定的产品。", "absolute:warn"),
        # rank
        ("全国销量第一。", "rank:block"),
        ("云枢是数据治理领域的第一品牌。", "rank:block"),
        ("第一阶段先盘点，第二阶段再迁移。", "-"),
        ("全国第一次停电演练。", "-"),
        ("We are the No. 1 vendor for data platforms.", "rank:block"),
        ("Their number one concern is downtime.", "-"),
        ("# 1. 背景", "-"),
        # figures
        ("上线后成本降低三成。", "figure:block"),
        ("查询快了 5 倍。", "figure:block"),
        ("上线后成本降低 30%（来源：青禾验收报告，2026-02）。", "-"),
        ("上线后成本降低 30% [证据:E-17]。", "-"),
        ("青禾制造的报表时间缩短 60%。", "-"),
        ("如果命中率提高 10%，费用就少一截。", "-"),
        ("Nodes cost 20% less than before.", "figure:block"),
        ("Reporting is 3x faster.", "figure:block"),
        ("It would save 20% if every plant joined.", "-"),
        ("库存周转率 30%，仓库 12 个。", "-"),
        ("Error rate fell from 3 days to 4 hours.", "-"),
        # competitors
        ("CompetiCo is insecure and copied us.", "disparage:block"),
        ("别说竞品甲抄袭，客户会反感。", "-"),
        ("竞品甲的报价单在附件里。", "-"),
        ("云枢比竞品甲便宜。", "compare:block"),
        ("We are faster than CompetiCo.", "compare:block"),
        ("客户还在比竞品甲和我们的报价。", "-"),
        ("同一数据集上我们比竞品甲快，2024-01 实测 [证据:E-9]。", "compare:block"),
        # state bodies, customers
        ("产品已入选财政部推荐名单。", "state_body:block"),
        ("集团商务部的台账里有 17 单。", "-"),
        ("公安部发布的《网络安全等级保护条例》要求三级。", "-"),
        ("晴川医院已经上线。", "reference:block"),
        ("青禾制造已经上线。", "-"),
        ("Halden went live in June.", "reference:block"),
        # promises and papers
        ("我们承诺零故障。", "promise:block"),
        ("不承诺零停机，只谈怎么退回去。", "-"),
        ("可用性 99.9% 以合同附件三为准，保证不丢数据。", "-"),
        ("We guarantee results.", "promise:block"),
        ("Can you guarantee results?", "-"),
        ("我们已获得 ISO 27001 证书。", "certificate:block"),
        ("等保三级过了吗？", "-"),
        ("We are SOC 2 compliant.", "certificate:block"),
        ("拥有发明专利 12 项。", "patent:block"),
        ("发明专利 ZL202310123456.7 保护这一算法。", "-"),
        ("“云枢”是驰名商标。", "well_known_mark:block"),
        # personal data
        ("身份证号 11010519491231002X 不能外发。", "personal:block"),
        ("身份证号 110105194912310021 是编的。", "-"),
        ("卡号 4111 1111 1111 1111。", "personal:block"),
        ("订单号 4111111111111112 已发货。", "-"),
        ("写信给 wang@other.example.net。", "personal:block"),
        ("写信给 lin.yue@yunshu.example 或 info@other.example.net。", "-"),
        # style and prices
        ("An industry-leading platform.", "superlative_en:warn"),
        ("We built the only lakehouse of this kind.", "superlative_en:warn"),
        ("The only way to undo it is a restore.", "-"),
        ("节点售价 12 万元。", "price:block"),
        ("节点售价 12 万元，有效期至 2027-03-31。", "-"),
        ("年底下单打 8 折。", "price:block"),
        ("Licences start at $900 per node.", "price:block"),
        ("那家客户一年省下 200 万元人工。", "-"),
    ],
)
def test_what_is_found_in_public(text: str, wanted: str) -> None:
    assert told(text) == wanted


@pytest.mark.parametrize("handling", list(Handling))
def test_internal_texts_are_looked_at_for_persons_and_slander_alone(handling: Handling) -> None:
    text = "竞品甲快倒闭了。我们是行业第一品牌。请联系 13812345678。"
    rules = {one.rule: one.severity.value for one in found(text, handling)}
    if handling is Handling.INTERNAL:
        assert rules == {"disparage": "warn", "personal": "warn"}
    else:
        assert (rules["disparage"], rules["personal"]) == ("block", "block")
        assert rules["rank"] == ("block" if handling is Handling.PUBLIC else "warn")


def test_a_sentence_does_not_excuse_the_next() -> None:
    assert told("第一句有来源：年报。云枢是国内最先进的数据平台。") == "absolute:block"
    assert told("快 3 倍 [证据:E-9]。\n\n## 另一节\n\n云枢让效率提升 40%。") == "figure:block"


def test_evidence_must_be_on_file_where_a_register_is_kept() -> None:
    known = Known(evidence={"E-1": Proof(True, date(2026, 5, 1)), "E-2": Proof(False)}, today=TODAY)
    assert told("成本降低 30% [证据:E-1]。", known=known) == "-"
    assert told("成本降低 30% [证据:E-2]。", known=known) == "figure:block,expired:block"
    assert told("成本降低 30% [evidence:e-9]。", known=known) == "figure:block,expired:block"


def test_a_dated_record_makes_a_comparison_recent() -> None:
    text = "同硬件下我们比竞品甲快 [证据:E-1]。"
    for dated, wanted in ((date(2026, 3, 1), "-"), (date(2024, 3, 1), "compare:block"), (None, "compare:block")):
        known = Known(competitors=("竞品甲",), evidence={"E-1": Proof(True, dated)}, today=TODAY)
        assert told(text, known=known) == wanted


def test_places_are_those_of_the_source() -> None:
    text = "---\ntitle: x\n---\n## 说法\n\n`最先进的平台` 是代码。见 https://a.example/最佳选择 。\n\n> 云枢是国内**最先进**的数据平台。\n\n| 项 | 值 |\n| --- | --- |\n| 成本 | 降低 30% |\n"
    places = [(one.rule, text[one.start : one.end]) for one in found(text)]
    assert places == [("absolute", "最先进"), ("figure", "降低 30%")]


def test_words_and_excuses_of_an_admin_count() -> None:
    rule = Rule("term", {Handling.PUBLIC: Severity.WARN}, ("云枢平台 1.0", "Foo"), ("旧称",))
    assert [one.quote for one in check("云枢平台 1.0 和 Foo，不是 Food。", Handling.PUBLIC, [rule], KNOWN)] == [
        "云枢平台 1.0 和 Foo"
    ]
    assert check("旧称 Foo。", Handling.PUBLIC, [rule], KNOWN) == []


def test_every_rule_says_why_and_how_out_in_both_languages() -> None:
    assert list(rulebook.shipped()) == [
        "absolute", "rank", "figure", "disparage", "compare", "state_body", "reference", "promise", "certificate", "patent",
        "well_known_mark", "personal", "superlative_en", "price", "term", "expired",
    ]  # fmt: skip
    for page in rulebook.shipped().values():
        texts = (page.title_en, page.title_zh, page.basis_en, page.basis_zh, page.way_out_en, page.way_out_zh)
        assert all(text.strip() for text in texts)
        assert set(page.rule.severity) == set(Handling)


@given(st.text(alphabet="云枢最好先进%1230。！.# |-*`>[]:证据E\n a第一竞品甲比快", max_size=300))
def test_any_text_is_read_and_places_fit(text: str) -> None:
    prose = read(text)
    for sentence in prose.sentences:
        assert len(sentence.text) == sentence.end - sentence.start
    for one in found(text):
        assert text[one.start : one.end] == one.quote


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "piece", ["`", "1", "句子很短。", "效率提升 40%。", "a b. ", "| a ", "“最好", "```", "<", "[x]("]
)
def test_long_texts_take_time_in_proportion(piece: str) -> None:
    """A quadratic reading of these takes minutes."""
    found(piece * (60_000 // len(piece)))
