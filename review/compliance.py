"""What a text must not say as it stands: rules, and the findings they make in sentences (pure).

Each rule reads one sentence at a time; what excuses a claim stands in that sentence, or, for figures, in its section.
A finding is a prompt to review, not legal advice. Facts behind the rules stand with each rule, in `rules.yaml`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from content.kinds import Handling
from review.compliance_text import Sentence, read


class Severity(StrEnum):
    """What a finding does: a blocking one stops submission, unless legal waives it."""

    BLOCK = "block"
    WARN = "warn"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Proof:
    """What the registers say of one piece of evidence."""

    is_valid: bool
    dated_on: date | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer's names, and up to which handling its record allows them to be used; None: no record."""

    names: tuple[str, ...]
    allowed: Handling | None
    is_expired: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the rules must know of this company; `evidence` None means that no register is kept."""

    competitors: tuple[str, ...] = ()
    customers: tuple[Customer, ...] = ()
    evidence: Mapping[str, Proof] | None = None
    certificates: tuple[str, ...] = ()
    own_domains: frozenset[str] = frozenset()
    today: date = date.max

    def proves(self, sentence: Sentence) -> bool:
        """Whether the sentence cites evidence that is on file and valid."""
        cited = sentence.citations
        if self.evidence is None:
            return bool(cited)
        return any(one in self.evidence and self.evidence[one].is_valid for one in cited)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it is in force: severities by handling, words an admin added, words that excuse."""

    id: str
    severity: Mapping[Handling, Severity]
    words: tuple[str, ...] = ()
    excuses: tuple[str, ...] = ()
    is_on: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in the source text that a rule does not let pass: characters from `start` to `end`."""

    rule: str
    severity: Severity
    quote: str
    start: int
    end: int
    sentence: str = field(compare=False, default="")

    @property
    def blocks(self) -> bool:
        return self.severity is Severity.BLOCK


@dataclass(frozen=True, slots=True)
class Hit:
    """What a rule saw in a sentence, counted from its first character; `at_most` softens it."""

    start: int
    end: int
    at_most: Severity = Severity.BLOCK


Look = Callable[["Line", Known], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, and its section as far as rules look there."""

    sentence: Sentence
    section: str
    handling: Handling

    @property
    def text(self) -> str:
        return self.sentence.text


def check(source: str, handling: Handling, rules: Iterable[Rule], known: Known) -> list[Finding]:
    """Findings of all rules on a Markdown source, in the order of the text."""
    prose = read(source)
    found: list[Finding] = []
    in_force = [rule for rule in rules if rule.is_on and rule.severity.get(handling, Severity.NONE) != Severity.NONE]
    for sentence in prose.sentences:
        line = Line(sentence, prose.sections[sentence.section], handling)
        hits = {rule.id: _look(rule, line, known) for rule in in_force}
        if hits.get("compare"):
            hits["figure"] = []  # one statement, one finding: what it compares with matters more
        for rule in in_force:
            found += _findings(rule, line, source, hits[rule.id])
    return sorted(set(found), key=lambda one: (one.start, one.end, one.rule))


def _look(rule: Rule, line: Line, known: Known) -> list[Hit]:
    if any(excuse and excuse.casefold() in line.text.casefold() for excuse in rule.excuses):
        return []
    looked = [*LOOKS.get(rule.id, _nothing)(line, known), *_words(line, rule.words)]
    kept: list[Hit] = []
    for hit in sorted(looked, key=lambda one: (one.start, -one.end)):
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
    return kept


def _findings(rule: Rule, line: Line, source: str, hits: Sequence[Hit]) -> Iterator[Finding]:
    """One finding a rule and sentence, from the first place to the last."""
    if not hits:
        return
    severity = rule.severity[line.handling]
    if all(hit.at_most is Severity.WARN for hit in hits):
        severity = Severity.WARN
    start = line.sentence.start + hits[0].start
    end = line.sentence.start + max(hit.end for hit in hits)
    yield Finding(rule.id, severity, source[start:end], start, end, line.text.strip())


def _nothing(_line: Line, _known: Known) -> Iterable[Hit]:
    return ()


def _words(line: Line, words: Sequence[str]) -> Iterator[Hit]:
    """Plain words, whole ones in scripts with spaces."""
    for word in words:
        yield from (Hit(*found.span()) for found in _named((word,)).finditer(line.text))


@lru_cache(maxsize=256)
def _named(words: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern for names: Latin ones stand alone, Chinese ones anywhere; longer ones first."""
    parts = []
    for word in sorted({word.strip() for word in words if word.strip()}, key=len, reverse=True):
        escaped = re.escape(word)
        before = r"(?<![A-Za-z0-9])" if re.match(r"[A-Za-z0-9]", word) else ""
        after = r"(?![A-Za-z0-9])" if re.search(r"[A-Za-z0-9]$", word) else ""
        parts.append(f"{before}{escaped}{after}")
    return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE)


def _spans(pattern: re.Pattern[str], text: str) -> list[Hit]:
    return [Hit(*found.span()) for found in pattern.finditer(text)]


# --- what several rules ask ---

_SOURCE: Final = re.compile(
    r"来源\s*[:：]|数据来源|出处|引自|摘自|据[^，。；]{2,24}(?:报告|统计|调查|调研|年报|数据|公告|显示)|"
    r"\bsources?\s*:|\baccording to\b|\bas (?:measured|reported) (?:by|in)\b",
    re.IGNORECASE,
)
_NEGATED: Final = re.compile(
    r"(?:不是|并非|不算|未必|不敢|不说|别说|不写|别写|不要|不能|不得|不许|禁用|禁止|避免|别用|不用|没有|从不|"
    r"\bnot\b|\bnever\b|\bno\b|\bdon[’']t\b|\bcannot\b|\bcan[’']t\b|\bavoid\b)[^，。；,.;]{0,12}$|[不未]$|无法$",
    re.IGNORECASE,
)
_GOODS: Final = (
    r"(?:产品|平台|方案|解决方案|系统|软件|工具|服务|技术|架构|引擎|数据库|中台|湖仓|品牌|厂商|供应商|公司|企业|团队|"
    r"选择|伙伴|合作伙伴|性能|质量|体验|效果|能力|水平|性价比|模型|算法|芯片|设备|云|应用)"
)
_OWN: Final = re.compile(
    r"我们|我司|我公司|本公司|本产品|本平台|本系统|本方案|公司|云枢|产品|平台|方案|\bour\b|\bwe\b", re.IGNORECASE
)
_AIM: Final = re.compile(r"致力于|追求|力求|力争|争取|努力|目标|愿景|使命|立志|希望成为|想成为|旨在")


_FORBIDDEN_AFTER: Final = re.compile(
    r"[^，。；,.;]{0,14}?[”」』\"'’]\s*(?:这[类种]话|这样的话|之类)?[^，。；,.;]{0,4}(?:不能|不要|不得|不许|不可|别|禁止?)(?:再)?(?:说|用|写|提|讲|承诺)"
    r"|[^.;]{0,14}?[”\"’']\s+(?:is|are) (?:not allowed|forbidden|off limits)"
)


def _is_negated(text: str, at: int) -> bool:
    """Whether the words before say that it is not so, or those behind a quotation that it must not be said."""
    return _NEGATED.search(text[:at]) is not None or _FORBIDDEN_AFTER.match(text, at) is not None


# --- absolute terms ---

_ALWAYS: Final = re.compile(
    r"(?P<state>国家级)|最高级(?![别])|极品|独一无二|填补(?:了)?(?:国内|国际|行业|业界|世界|全球|市场)?(?:的)?空白|"
    r"(?:国内|全国|全球|世界|业内|业界|行业内?|同行业?)(?:的)?(?:首家|独家|首创|首个|首款|唯一)|唯一一款"
)
_SUPERLATIVE: Final = re.compile(
    r"最(?:为)?(?:好|优|优秀|优质|强|强大|先进|安全|专业|领先|可靠|稳定|全面|权威|顶尖)|最佳|顶级|顶尖"
)
_IDIOM_AFTER: Final = re.compile(
    r"实践|方式|做法|时机|时间|状态|位置|匹配|平衡|值|解|路径|拍档|"
    r"(?:的)?(?:开源|Apache|ASF)?(?:项目|域名|目录|菜单|对象|元素|节点|配置|字段|命名空间|页面|会议|期刊|学术|键|导航|标签|列表|资源|组织)|"
    r"(?:的)?(?:跑者|朋友|老师|伙伴关系|办法是|情况|结果是|例子|证明|一次|一天|时光|年华)"
)
_ADVERB_AFTER: Final = re.compile(
    r"(?:先|不|别|在|是|用|能|有|把|由|给|从|对|将|让|选|设|使|避免|确保|通过|还|要|再|也|按|与|和|了解|提前|事先|每|都|就|多|少|只|同时|以|为|请|找|写|看|问|做|去|来|带|准备|检查|备份|使用|采用|考虑|遵循|限制|保持)"
)
_TECHNICAL_BEFORE: Final = re.compile(
    r"(?:以(?:获得|达到|取得|实现|便|求)|为(?:了)?(?:获得|达到|取得|实现)|(?:获得|达到|取得|实现|提供|选择|找到|寻找|确定)(?:其|更|该|一个)?)$"
)
_IDIOM_BEFORE: Final = re.compile(r"(?:全局|局部|次)$")
_OWN_FORMER: Final = re.compile(r"(?:历代|历来|历史上|自身|自己|上一?代|旧版|以往|此前|同系列|产品线)[^，。；]{0,10}$")
_GRADE_AFTER: Final = re.compile(
    r"(?:重点)?(?:实验室|标准|高新技术|专精特新|奖|课题|项目|示范|认定|工程|科研|技术中心|众创|孵化)"
)
_AWARD: Final = re.compile(r"(?:荣获|获得|获评|获颁|获|摘得|入选|授予|评为)[^。；]{0,40}(?:奖|称号|榜|名录|案例)")
_GOODS_AFTER: Final = re.compile(rf"(?:的)?[^，。；、！？“”\s]{{0,10}}?{_GOODS}")
_ENDS: Final = re.compile(r"(?:的)?[”’」』]?\s*(?:[，。！；、]|$)")


def absolute(line: Line, known: Known) -> Iterator[Hit]:
    """Absolute terms that point at the goods; idioms, adverbs, aims and quoted warnings are none."""
    text = line.text
    is_award = _AWARD.search(text) is not None
    for found in [*_ALWAYS.finditer(text), *_SUPERLATIVE.finditer(text)]:
        start, end = found.span()
        after = text[end : end + 16]
        if _is_negated(text, start) or _AIM.search(text[:start]):
            continue
        if found.re is _SUPERLATIVE and not _is_claim(text, start, end, found.group()):
            continue
        soft = is_award or _OWN_FORMER.search(text[:start]) or (found.group() == "国家级" and _GRADE_AFTER.match(after))
        if soft and known.proves(line.sentence):
            continue
        yield Hit(start, end, Severity.WARN if soft else Severity.BLOCK)


def _is_claim(text: str, start: int, end: int, word: str) -> bool:
    """Whether a superlative says something of the goods rather than how to do something."""
    before, after = text[:start], text[end : end + 24]
    if _IDIOM_AFTER.match(after) or _IDIOM_BEFORE.search(before) or _TECHNICAL_BEFORE.search(before):
        return False
    if word == "最好" and _ADVERB_AFTER.match(after):
        return False
    if _AWARD.search(text):
        return True
    if _GOODS_AFTER.match(after):
        return True
    return bool(_ENDS.match(after) and _OWN.search(before))


# --- rank ---

_RANK: Final = re.compile(
    r"(?:行业|市场|业界|业内|销量|销售额|全国|全球|国内|世界|亚洲|排名|份额|占有率|同类|领域|规模|口碑|用户量|装机量)"
    r"[^，。；！？\d]{0,8}第一(?!步|次|天|个|时间|版|季|轮|线|手|页|章|列|行|阶段|批|届|期|人称|作者|反应|印象|课|代|家|要|款|层|级|道|位用户|大道|方|性|眼|类)"
    r"|第一(?:大)?品牌|(?:位居|位列|名列|排名|稳居|高居|蝉联)[^，。；]{0,6}(?:第一|首位|榜首)|"
    r"\bNo\.?\s?1\b(?!\s*[.)、:：]\s)|(?<![\w#])TOP\s?1\b(?!\d)|\bnumber one (?:in|among|worldwide|vendor|provider|platform|choice|brand)\b|"
    r"\b(?:ranked|rated) (?:first|number one|#1)\b|#1 (?:in|vendor|provider|platform|choice|brand)\b",
    re.IGNORECASE,
)


def rank(line: Line, _known: Known) -> Iterator[Hit]:
    """First places; nothing in the text excuses them, legal waives with evidence."""
    for hit in _spans(_RANK, line.text):
        if not _is_negated(line.text, hit.start):
            yield hit


# --- figures ---

_NUMBER: Final = r"(?<![\d.,])\d[\d,]{0,15}(?:\.\d{1,9})?"
_SHARE_ZH: Final = rf"{_NUMBER}\s*(?:%|％|个百分点|倍)|(?:[一二三四五六七八九]|{_NUMBER})成|百分之[\d一二三四五六七八九十百]+|[两三四五六七八九十]倍"
_EFFECT_ZH: Final = (
    r"(?:提升|提高|提速|增长|增加|增效|降低|减少|节省|节约|缩短|下降|压缩|加快|加速|改善|减轻|降本|省下|翻)"
)
_EFFECT: Final = re.compile(
    rf"{_EFFECT_ZH}[^。；，,]{{0,14}}?(?:{_SHARE_ZH})|(?:{_SHARE_ZH})(?:以上|左右|多)?的?(?:{_EFFECT_ZH}|效率|成本(?:节省|节约|降低))|快(?:了)?\s*(?:近|约|超过)?\s*(?:{_NUMBER}|[两三四五六七八九十])\s*倍"
)
_SHARE_EN: Final = rf"{_NUMBER}\s?(?:%|percent\b|per cent\b|x\b|times\b|fold\b|-fold\b)"
_EFFECT_EN: Final = re.compile(
    rf"\b(?:cut(?:s|ting)?|reduc\w+|increas\w+|improv\w+|sav(?:e|es|ed|ing|ings)|boost\w*|lower(?:s|ed|ing)?|speed(?:s|ed)? up|accelerat\w+|"
    rf"shorten\w*|gr(?:e|o)w(?:s|n|ing)? by|decreas\w+|dropp?(?:ed|s)?|halv\w+|rais(?:e|es|ed)|shrank|shrinks?)\b[^.;:!?]{{0,48}}?{_SHARE_EN}|"
    rf"{_SHARE_EN}\s+(?:\w+\s+)?(?:faster|slower|cheaper|less|more|fewer|lower|higher|quicker|reduction|increase|improvement|savings?|decrease|growth|boost)\b",
    re.IGNORECASE,
)
_HYPOTHETICAL: Final = re.compile(
    r"如果|假设|假如|例如|比如|示例|阈值|默认|设为|设置为|配置为|当.{0,16}(?:超过|达到|低于)|"
    r"\bif\b|\bwhen(?:ever)?\b.{0,40}\b(?:exceeds?|reaches)\b|\bfor example\b|\be\.g\b|\bthreshold\b|\bset (?:to|it)\b|\bby default\b|\bmight\b|\bwould\b|\bcould\b|\bgoal\b|\btarget\b|\bplans? to\b|\baims? to\b",
    re.IGNORECASE,
)
_LEVEL: Final = re.compile(
    rf"^(?!.*(?:从|由|\bfrom\b)).*?(?:(?:到|至)\s*[^，。；]{{0,12}}?{_NUMBER}|\b(?:to|into)\s+[^.;]{{0,24}}?{_NUMBER})|{_NUMBER}\s?(?:%|percent) or (?:higher|more|less|lower)|\bno more than\b",
    re.IGNORECASE | re.DOTALL,
)
"""A level that was reached says less than an effect: fell to 5 %, a share of 70 % of all."""
_OTHERS: Final = re.compile(
    r"user base|customer base|headcount|\bstaff\b|\bsalary|团队规模|客户群|用户群|人数|工资", re.IGNORECASE
)
"""Growth of a company is no effect of the goods."""
_ASKED: Final = re.compile(r"[？?][”’」』\"']*\s*$")


def figure(line: Line, known: Known) -> Iterator[Hit]:
    """Effects in numbers without a source, evidence or the customer's leave; plain numbers never."""
    text = line.text
    hits = [hit for hit in (*_spans(_EFFECT, text), *_spans(_EFFECT_EN, text)) if not _is_level(text, hit)]
    if not hits or _HYPOTHETICAL.search(text) or _ASKED.search(text) or _OTHERS.search(text):
        return
    if _names_source(line.section) or known.proves(line.sentence) or _is_allowed(text, known):
        return
    if not known.proves(Sentence(line.section, 0, 0)):
        yield from hits


def _is_level(text: str, hit: Hit) -> bool:
    return _LEVEL.search(text[hit.start : hit.end + 14]) is not None


@lru_cache(maxsize=8)
def _names_source(section: str) -> bool:
    """Sentences of one section ask the same, one after the other."""
    return _SOURCE.search(section) is not None


def _is_allowed(text: str, known: Known) -> bool:
    """A customer is named whose record allows that."""
    names = tuple(
        name for one in known.customers if one.allowed is not None and not one.is_expired for name in one.names
    )
    return _named(names).search(text) is not None


# --- competitors ---

_DAMNING: Final = re.compile(
    r"漏洞百出|漏洞|抄袭|落后|快倒闭|要倒闭|倒闭|垃圾|骗人|骗子|欺骗|不靠谱|跑路|劣质|糟糕|太烂|很烂|山寨|侵权|造假|破产|忽悠|坑人|没人用|做不下去|"
    r"\binsecure\b|\bcopied\b|\bgoing under\b|\bbankrupt\w*|\bjunk\b|\bscam\w*|\bterrible\b|\boutdated\b|\bgarbage\b|\brip-?offs?\b|\bunreliable\b|\bvulnerab\w+|"
    r"\binferior\b|\bliars?\b|\bplagiari\w+|\bknock-?off\b|\bfull of holes\b|\bstole\b|\bdying\b",
    re.IGNORECASE,
)


def disparage(line: Line, known: Known) -> Iterator[Hit]:
    """A competitor and a damning word; advice not to say it is none."""
    if not _named(known.competitors).search(line.text):
        return
    for hit in _spans(_DAMNING, line.text):
        if not _is_negated(line.text, hit.start):
            yield hit


_SAME: Final = re.compile(
    r"同(?:一|等|样|款)?(?:套|批|台)?(?:硬件|数据集|数据|环境|条件|配置|口径|规模|任务|查询|机器|负载)|相同|same (?:hardware|data ?set|data|conditions|machines?|workload|configuration)|identical",
    re.IGNORECASE,
)
_MONTH: Final = re.compile(r"(?<!\d)(20\d\d)\s*(?:[-/.年]\s*(\d{1,2}))?")
YEAR: Final = timedelta(days=366)


@lru_cache(maxsize=32)
def _better_than(competitors: tuple[str, ...]) -> re.Pattern[str]:
    names = _named(competitors).pattern
    return re.compile(
        rf"(?:比|较|优于|快于|强于|胜过|领先于?|超过|好于|高于|低于)\s*(?:起)?\s*(?:{names})[^，。；！]{{0,10}}?"
        rf"(?:快|慢|好|便宜|贵|强|稳|省|高|低|多|少|早|短|长|大|小|准|全|安全|先进|易|简单|灵活)"
        rf"|(?:优于|快于|强于|胜过|领先于?|好于)\s*(?:{names})|(?:{names})[^，。；！]{{0,6}}(?:不如|比不上|比不了|慢于|逊于|弱于)(?:我们|我司|云枢)"
        rf"|\b(?:better|faster|cheaper|easier|safer|simpler|quicker|stronger|more \w+|less \w+)\s+than\s+(?:{names})|\boutperforms?\s+(?:{names})",
        re.IGNORECASE,
    )


def compare(line: Line, known: Known) -> Iterator[Hit]:
    """Better than a competitor; excused by evidence of the same conditions, at most twelve months old."""
    text = line.text
    better = _better_than(known.competitors)
    excused = known.proves(line.sentence) and _SAME.search(text) and _is_recent(line.sentence, known)
    for hit in _spans(better, text):
        if not excused and not _is_negated(text, hit.start):
            yield hit


def _is_recent(sentence: Sentence, known: Known) -> bool:
    """Dated within the last twelve months, by the sentence or by the evidence it cites."""
    said = [
        date(int(found.group(1)), min(max(int(found.group(2) or 12), 1), 12), 28)
        for found in _MONTH.finditer(sentence.text)
    ]
    on_file = [proof.dated_on for one in sentence.citations if (proof := (known.evidence or {}).get(one))]
    dated = [day for day in (*said, *on_file) if day is not None]
    return any(known.today - YEAR <= day for day in dated)


# --- state bodies, customers, promises ---

_STATE: Final = re.compile(
    r"(?:国家)?(?:公安部|国务院|外交部|国防部|教育部|科技部|财政部|民政部|司法部|(?<!电子)商务部(?![分门署])|农业农村部|交通运输部|自然资源部|生态环境部|水利部|"
    r"工信部|工业和信息化部|发改委|发展和?改革委|国资委|卫健委|网信办|税务总局|海关总署|市场监管总局|广电总局|统计局|证监会|银保监会|金融监管总局|中国人民银行|央行|国安部|国家安全部|最高(?:人民)?(?:法院|检察院))"
    r"|(?:多家|各|中央|国家)?部委|国家机关|党中央|中南海|人民大会堂|国家领导人|领导人|特供|专供|军委|解放军"
    r"|(?:省|市|区|县)(?:委|政府)(?!网)|\bState Council\b|\bMinistry of [A-Z]\w+ of (?:the )?(?:PRC|China)|\bPeople['’]s (?:Bank|Liberation Army)\b"
)
_AMBIGUOUS: Final = re.compile(r"教育部|科技部|财政部|商务部|统计局")
"""Companies have departments of these names."""
_RELATION: Final = re.compile(r"服务|合作|指定|认可|推荐|支持|入选|授予|批准|监制|领导|共建|联合|中标|国家")
_RULES_OF_STATE: Final = re.compile(
    r"《|GB/?T?\s?\d|国家标准|行业标准|办法|条例|规定|通知|令第|法律|文件|指南|规范|要求|目录|监管|政策|印发|颁布|备案|处罚"
)


def state_body(line: Line, _known: Known) -> Iterator[Hit]:
    """Organs and officials of the state; citing a law or standard they issued is none."""
    text = line.text
    if _RULES_OF_STATE.search(text):
        return
    for hit in _spans(_STATE, text):
        is_department = _AMBIGUOUS.fullmatch(text, hit.start, hit.end) and not _RELATION.search(text)
        if not is_department and not _is_negated(text, hit.start):
            yield hit


def reference(line: Line, known: Known) -> Iterator[Hit]:
    """Customers by name, beyond what their record allows, or after its end."""
    yield from _spans(_not_allowed(known.customers, line.handling), line.text)


@lru_cache(maxsize=32)
def _not_allowed(customers: tuple[Customer, ...], handling: Handling) -> re.Pattern[str]:
    names: list[str] = []
    for customer in customers:
        if customer.allowed is None or customer.is_expired or customer.allowed.rank < handling.rank:
            names += customer.names
    return _named(tuple(names))


_PROMISE: Final = re.compile(
    r"(?:保证|承诺|确保|担保|包)(?!险|含|括|装|裹|围)[^。；，]{0,12}?(?:收益|回报|盈利|零故障|零停机|零风险|零差错|不丢|不宕机|不停机|不出错|不出问题|万无一失|通过(?:等保|测评|认证|审计|验收)|百分之百|100\s*[%％]|一定(?:成功|通过)|永远)"
    r"|绝对(?:安全|可靠|稳定|不会)|零风险|无风险|百分之百(?:安全|可靠)|100\s*[%％]\s*(?:安全|可靠|稳定|成功|不丢)|永不(?:宕机|丢失|停机|出错)|万无一失|稳赚|保本"
    r"|\bguarantee[sd]?\s+(?:\w+\s+){0,4}?(?:ROI|returns?|results?|success|savings?|uptime|profits?)\b|\b100\s?(?:%|percent)\s+(?:secure|safe|reliable|guaranteed|uptime|accurate|risk[- ]free)\b"
    r"|\brisk[- ]free\b|\bzero[- ]risk\b|\b(?:never) (?:fails?|go(?:es)? down|loses? data)|\b(?:cannot|can[’']t) be hacked\b|\bbulletproof\b|\bunhackable\b|\bunbreakable\b|\babsolutely (?:secure|safe)\b",
    re.IGNORECASE,
)
_TECHNICAL: Final = re.compile(
    r"至少(?:投递)?一次|恰好一次|精确一次|最多一次|有且仅有一次|幂等|顺序|一致性|at[- ]least[- ]once|exactly[- ]once|at[- ]most[- ]once|"
    r"SLA|服务等级协议|合同(?:附件)?|附件[一二三四五六七八九十\d]|\bcontract\b|\bannex\b|service[- ]level",
    re.IGNORECASE,
)


def promise(line: Line, _known: Known) -> Iterator[Hit]:
    """Promised outcomes; technical guarantees and what a contract says are none."""
    if _TECHNICAL.search(line.text):
        return
    for hit in _spans(_PROMISE, line.text):
        if not _is_negated(line.text, hit.start) and not _ASKED.search(line.text):
            yield hit


# --- papers ---

_CERTIFICATE: Final = re.compile(
    r"等保(?:[一二三四]级|2\.0)?(?:认证|测评)?|网络安全等级保护|ISO\s?/?\s?(?:IEC\s?)?27\d{3}|\bSOC\s?[123]\b|信创(?:认证|目录|产品)?|可信云(?:认证)?|CMMI\s?\d?",
    re.IGNORECASE,
)
_HELD: Final = re.compile(
    r"(?:通过|获得|取得|具备|拥有|持有|获|已过|过了|拿到|入选|荣获)|\b(?:certified|compliant|attained|passed|achieved|holds?|obtained|accredited|attested)\b",
    re.IGNORECASE,
)
_NUMBERED: Final = re.compile(
    r"(?:编号|证书号|证书编号|备案号|报告号|号码)\s*[:：为是]?\s*\S|\b(?:certificate|report)\s*(?:number|no\.?)\s*[:：]?\s*\S",
    re.IGNORECASE,
)


def certificate(line: Line, known: Known) -> Iterator[Hit]:
    """Certificates claimed without a number or a valid record."""
    text = line.text
    if not _HELD.search(text) or _ASKED.search(text) or _NUMBERED.search(text) or known.proves(line.sentence):
        return
    for hit in _spans(_CERTIFICATE, text):
        said = text[hit.start : hit.end].casefold().replace(" ", "")
        on_file = any(said in name.casefold().replace(" ", "") for name in known.certificates)
        if not on_file and not _is_negated(text, hit.start):
            yield hit


_PATENT: Final = re.compile(
    r"(?:自有|自主|自研|核心|发明|独有|拥有|获得|采用|多项|数十项|\d+\s*项|国家|实用新型|外观设计)[^。；，]{0,8}?专利(?!法|局|权人|许可|代理|制度)|专利(?:技术|产品|算法|保护)|"
    r"\bpatented\b|\bour patents?\b|\bpatent[- ]pending\b",
    re.IGNORECASE,
)
_PATENT_NUMBER: Final = re.compile(r"ZL\s?\d{6,}|专利号\s*[:：]?\s*\S{4}|\b(?:US|EP|CN|WO|JP)\s?\d[\d,]{5,}")


def patent(line: Line, _known: Known) -> Iterator[Hit]:
    """Patents without number and kind."""
    if not _PATENT_NUMBER.search(line.text):
        yield from (hit for hit in _spans(_PATENT, line.text) if not _is_negated(line.text, hit.start))


_MARK: Final = re.compile(r"驰名商标")


def well_known_mark(line: Line, _known: Known) -> Iterator[Hit]:
    """The word itself; quoting the law is none."""
    if "商标法" not in line.text and "《" not in line.text:
        yield from (hit for hit in _spans(_MARK, line.text) if not _is_negated(line.text, hit.start))


# --- persons ---

_MOBILE: Final = re.compile(r"(?<![\d.])(?:\+?86[-\s]?)?1[3-9]\d[-\s]?\d{4}[-\s]?\d{4}(?![\d.])")
_IDENTITY: Final = re.compile(
    r"(?<!\d)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\d)"
)
_CARD: Final = re.compile(r"(?<![\d.])(?:\d{4}[ -]?){3,4}\d{1,7}(?![\d.])")
_MAIL: Final = re.compile(r"(?<![\w.+-])([\w.+-]{1,64})@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+){1,4})")
_ROLES: Final = frozenset(
    {
        "info", "sales", "marketing", "support", "contact", "hello", "press", "service", "services", "admin", "noreply",
        "no-reply", "help", "hr", "legal", "privacy", "security", "team", "office", "billing", "jobs", "careers", "media",
        "partners", "partner", "feedback", "enquiries", "abuse", "webmaster", "postmaster", "community", "events", "dpo",
    }
)  # fmt: skip


def personal(line: Line, known: Known) -> Iterator[Hit]:
    """Numbers and addresses of persons; own domains and role mailboxes are none."""
    text = line.text
    yield from _spans(_MOBILE, text)
    yield from (hit for hit in _spans(_IDENTITY, text) if _is_identity(text[hit.start : hit.end]))
    yield from (hit for hit in _spans(_CARD, text) if _is_card(text[hit.start : hit.end]))
    for found in _MAIL.finditer(text):
        name, domain = found.group(1).casefold(), found.group(2).casefold()
        is_own = any(domain == own or domain.endswith(f".{own}") for own in known.own_domains)
        if not is_own and name not in _ROLES and not domain.startswith("example."):
            yield Hit(*found.span())


_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _is_identity(number: str) -> bool:
    """The check digit of a mainland identity number (GB 11643)."""
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    return "10X98765432"[total % 11] == number[17].upper()


def _is_card(number: str) -> bool:
    """Sixteen to nineteen digits that satisfy Luhn's formula, and are no identity number."""
    digits = [int(sign) for sign in number if sign.isdigit()]
    if not 16 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


# --- style, prices, papers past their date ---

_SUPERLATIVE_EN: Final = re.compile(
    r"\b(?:industry|market|world)[- ]leading\b|\bworld[- ]class\b|\bbest[- ]in[- ]class\b|\bbest of breed\b|\bunrivall?ed\b|\bunmatched\b|\bunparallell?ed\b|"
    r"\b(?:our|we)\b[^.;!?]{0,40}\bthe (?:best|only)\b|\bthe (?:best|only)\b[^.;!?]{0,24}\b(?:platform|product|solution|vendor|provider|tool|service)\b(?=[^.;!?]{0,16}\b(?:is|are) (?:ours|us)\b)",
    re.IGNORECASE,
)


def superlative_en(line: Line, known: Known) -> Iterator[Hit]:
    """English puffery; evidence excuses it."""
    if not known.proves(line.sentence):
        yield from (hit for hit in _spans(_SUPERLATIVE_EN, line.text) if not _is_negated(line.text, hit.start))


_MONEY: Final = rf"(?:[¥￥$€£]|RMB|CNY|USD|EUR|人民币)\s?{_NUMBER}|{_NUMBER}\s*(?:万|亿)?(?:元|美元|欧元)|{_NUMBER}\s?(?:dollars|euros|yuan)\b"
_PRICE: Final = re.compile(
    rf"(?:售价|报价|标价|定价|单价|起价|价格|年费|月费|许可费)(?:为|是|：|:|仅|只要|低至|从)?\s*[^，。；\d]{{0,6}}(?:{_MONEY})|(?:{_MONEY})\s*(?:起|/\s*(?:年|月|人|用户|节点|核))"
    rf"|(?:打|享|低至)?\s*(?:[一二三四五六七八九]|\d(?:\.\d)?)\s*折(?!算|旧|叠|中|腾|返)|(?:立减|直降|优惠|折扣)[^，。；]{{0,8}}?{_NUMBER}\s*(?:%|％|元|万)"
    rf"|\b(?:priced? (?:is|at|from)|costs|starts? (?:at|from)|from|only)\s+(?:{_MONEY})|(?:{_MONEY})\s*(?:per|a|/)\s?(?:user|month|year|node|seat|core)\b|\b{_NUMBER}\s?%\s+(?:off|discount)\b",
    re.IGNORECASE,
)
_VALID_TO: Final = re.compile(
    r"有效期|有效至|截至|截止|至\s*20\d\d|20\d\d[^，。；]{0,12}(?:前|底前|之前|以前)|valid (?:until|to|through)|expires?|until \d|through \d|before 20\d\d|valid_to",
    re.IGNORECASE,
)


def price(line: Line, known: Known) -> Iterator[Hit]:
    """An amount or a discount that does not say until when it holds."""
    if not _VALID_TO.search(line.text) and not known.proves(line.sentence):
        yield from (hit for hit in _spans(_PRICE, line.text) if not _ASKED.search(line.text))


def expired(line: Line, known: Known) -> Iterator[Hit]:
    """Cited evidence that is past its date, withdrawn, or not on file."""
    from_register = known.evidence
    if from_register is None:
        return
    for found in re.finditer(r"\[\s*(?:证据|evidence)\s*[:：]\s*(E-\d{1,9})\s*\]", line.text, re.IGNORECASE):
        proof = from_register.get(found.group(1).upper())
        if proof is None or not proof.is_valid:
            yield Hit(*found.span())


LOOKS: Final[Mapping[str, Look]] = {
    "absolute": absolute,
    "rank": rank,
    "figure": figure,
    "disparage": disparage,
    "compare": compare,
    "state_body": state_body,
    "reference": reference,
    "promise": promise,
    "certificate": certificate,
    "patent": patent,
    "well_known_mark": well_known_mark,
    "personal": personal,
    "superlative_en": superlative_en,
    "price": price,
    "expired": expired,
}
