"""What a new text of each type begins with: its sections, and what to fill in, in both languages."""

import re
from collections.abc import Mapping
from typing import Final

from content.kinds import AssetType

_HINT: Final = re.compile(r"^\s*(?:【填写[:：]|\[Fill in:)", re.MULTILINE)

_ENGLISH: Mapping[AssetType, tuple[tuple[str, str], ...]] = {
    AssetType.TALK_TRACK: (
        ("Trigger", "what the customer says or asks, in their own words"),
        ("Say", "the words to say, short enough to be spoken in one breath"),
        ("Why it works", "what the customer really worries about, and how this answers it"),
        ("Proof", "a figure, a case or a document, with its source, such as [evidence:E-1]"),
        ("Follow-up question", "the question that keeps the customer talking"),
    ),
    AssetType.CASE_STUDY: (
        ("Customer", "who they are: industry, size, and whether the name may be told"),
        ("Situation", "what did not work, since when, and what it cost"),
        ("Solution", "what was done, in which order, by whom, in how many weeks"),
        ("Results", "figures before and after, each with its source and date"),
        ("Quote", "one sentence of the customer, with name and role, as permitted"),
    ),
    AssetType.BATTLE_CARD: (
        ("Their claim", "what the competitor says, word for word, and where"),
        ("Our answer", "what to say to it, without speaking ill of them"),
        ("Trap questions", "questions to ask the customer that show the difference"),
        ("Strengths", "where we are better, with proof"),
        ("Weaknesses", "where they are better, and what we say then"),
        ("Opportunities", "which customers and situations are ours"),
        ("Threats", "how they may answer, and by when"),
    ),
    AssetType.FAQ: (
        ("Question", "as customers ask it"),
        ("Short answer", "one or two sentences"),
        ("More", "what to add when they ask on, with sources"),
    ),
    AssetType.PRODUCT_BRIEF: (
        ("Feature", "what it is, in one sentence a customer understands"),
        ("Advantage", "what it does better than what they have now"),
        ("Benefit", "what the customer gains, in time, money or risk"),
        ("Evidence", "test, certificate or customer, with source and date"),
    ),
    AssetType.WHITE_PAPER: (
        ("Summary", "the one thing to remember, in three sentences"),
        ("The problem", "who has it, how often, and what it costs, with sources"),
        ("The approach", "how it can be solved, by whatever product"),
        ("Results", "what was measured, where and when"),
        ("What to do next", "the first step, within a week"),
    ),
    AssetType.INDUSTRY_REPORT: (
        ("Summary", "three findings"),
        ("Market", "size and change, each figure with its source and year"),
        ("What customers ask for", "needs by segment"),
        ("What it means for us", "whom to call, with what"),
        ("Sources", "title, issuer, date"),
    ),
    AssetType.DECK: (
        ("Who it is for", "audience and occasion"),
        ("Story line", "one sentence a slide"),
        ("Notes for the speaker", "what to say, what to leave out"),
    ),
    AssetType.DEMO_SCRIPT: (
        ("Before the demo", "data, accounts and windows to prepare"),
        ("Opening", "the customer's problem, in their words"),
        ("Steps", "what to click, what to say, what they should notice"),
        ("When it goes wrong", "the way out"),
        ("Close", "the question that leads to the next step"),
    ),
}
_CHINESE: Mapping[AssetType, tuple[tuple[str, str], ...]] = {
    AssetType.TALK_TRACK: (
        ("触发", "客户怎么说、怎么问, 用客户的原话"),
        ("话术", "一口气能说完的话"),
        ("为什么有效", "客户真正担心什么, 这段话怎么回应"),
        ("证据", "数字、案例或文件, 写明出处, 如 [证据:E-1]"),
        ("追问", "让客户继续说下去的问题"),
    ),
    AssetType.CASE_STUDY: (
        ("客户", "是谁: 行业、规模, 名字能不能说"),
        ("背景", "什么不好用, 从何时起, 代价多大"),
        ("方案", "做了什么, 先后次序, 谁做的, 用了几周"),
        ("成果", "前后对比的数字, 每个都写出处和日期"),
        ("客户原话", "一句话, 写姓名和职务, 以授权为准"),
    ),
    AssetType.BATTLE_CARD: (
        ("对方的说法", "对手的原话, 在哪里说的"),
        ("我们的回应", "怎么回答, 不贬低对方"),
        ("反问", "向客户提哪些问题, 能显出差别"),
        ("优势", "我们强在哪里, 有什么证据"),
        ("劣势", "对方强在哪里, 那时怎么说"),
        ("机会", "哪些客户、哪些场景适合我们"),
        ("威胁", "对方会怎么应对, 什么时候"),
    ),
    AssetType.FAQ: (
        ("问题", "按客户的问法写"),
        ("简短回答", "一两句话"),
        ("补充", "客户追问时再说什么, 写出处"),
    ),
    AssetType.PRODUCT_BRIEF: (
        ("特点", "一句话说清是什么, 客户听得懂"),
        ("优点", "比客户现在用的好在哪里"),
        ("利益", "客户省了多少时间、钱或风险"),
        ("证据", "测试、证书或客户, 写出处和日期"),
    ),
    AssetType.WHITE_PAPER: (
        ("摘要", "三句话, 只记一件事"),
        ("问题", "谁有这个问题, 多常见, 代价多大, 写出处"),
        ("思路", "不论用谁的产品, 怎么解决"),
        ("成效", "在哪里、何时、量到了什么"),
        ("下一步", "一周内能做的第一步"),
    ),
    AssetType.INDUSTRY_REPORT: (
        ("摘要", "三个结论"),
        ("市场", "规模和变化, 每个数字写出处和年份"),
        ("客户要什么", "按客群写"),
        ("对我们意味着什么", "找谁谈, 谈什么"),
        ("资料来源", "标题、发布方、日期"),
    ),
    AssetType.DECK: (
        ("给谁看", "听众和场合"),
        ("主线", "每页一句话"),
        ("讲解要点", "说什么, 不说什么"),
    ),
    AssetType.DEMO_SCRIPT: (
        ("演示前", "要准备的数据、账号和窗口"),
        ("开场", "客户的问题, 用客户的话"),
        ("步骤", "点哪里, 说什么, 让客户注意什么"),
        ("出错时", "怎么圆场"),
        ("收尾", "引向下一步的问题"),
    ),
}


def text(asset_type: AssetType, language: str) -> str:
    """The sections of a type with a hint in each; of a type without sections, one hint."""
    is_chinese = language.startswith("zh")
    sections = (_CHINESE if is_chinese else _ENGLISH).get(asset_type, ())
    if not sections:
        return _hint("正文" if is_chinese else "the text", is_chinese=is_chinese) + "\n"
    return "\n".join(f"## {title}\n\n{_hint(hint, is_chinese=is_chinese)}\n" for title, hint in sections)


def _hint(what: str, *, is_chinese: bool) -> str:
    return f"【填写：{what}】" if is_chinese else f"[Fill in: {what}]"


def is_unfilled(body: str) -> bool:
    """Whether a line still tells what to fill in."""
    return _HINT.search(body) is not None
