"""What says the same is told: by wording in any order of saving, by meaning across languages, never what is hidden."""

import pytest
from sqlalchemy import select

from content import likeness, service
from content.access_changes import Access, change, find_waiting, narrowed
from content.models import Asset, Version
from kb import clock
from kb.access import SYSTEM, Role, Tier
from kb.errors import Invalid
from search import duplicates
from tests.factories import Make

LONG = "## Say\n\nWe move one system at a time, at night, and every step can be undone within eleven minutes by the team on call. Nobody works on a weekend for it, and the figures of both systems are compared until they agree for a whole week."


def test_texts_that_share_most_of_their_words_are_alike_and_others_are_not() -> None:
    chinese = (
        "我们一次只迁移一个系统，客户最担心停机和数据不一致，所以每一步都能在十一分钟内退回，两边的数字核对一周再切换。"
    )
    one, near, far = (
        likeness.sketch(text)
        for text in (
            chinese,
            chinese.replace("客户", "对方") + "谢谢。",
            "等保三级证书的编号和有效期在合同附件里，测评机构每年复查，报告可以向指定客户出示。",
        )
    )
    assert one and near and far
    shares = likeness.shares(one, likeness.stack([one, near, far]))
    assert shares[0] == 1.0
    assert shares[1] > likeness.ALIKE > 0.2 > shares[2]
    assert likeness.sketch("too short") is None


def test_a_near_duplicate_is_told_while_writing_and_hidden_ones_are_not(make: Make, sign_in: object) -> None:
    first = make.asset("Undo in eleven minutes", LONG)
    make.asset("Hidden one", LONG, tier=Tier.CONFIDENTIAL)
    source = make.asset(
        "Unrelated",
        "## Say\n\nThe certificate of level three is in the annex of the contract, with number, issuer, date and scope, for named customers.",
    )
    draft = make.asset("Copy", LONG + " Thank you.", publish=False)
    marketer = make.user(Role.MARKETER)
    with make.service.database.reading() as db:
        found = duplicates.find(db, make.service.finder, make.actor(marketer), draft.public_id)
    assert [(one.title, one.share > 0.8) for one in found.found] == [("Undo in eleven minutes", True)]
    browser = sign_in(marketer)  # type: ignore[operator]
    page = browser.get(f"/assets/{draft.public_id}/alike", headers={"X-Fragment": "1"}).text
    assert "Undo in eleven minutes" in page
    assert "Hidden one" not in page
    assert source.public_id not in page
    assert first.public_id in page


def test_a_translation_is_no_double_of_its_source(make: Make) -> None:
    source = make.asset("Source", LONG)
    draft = make.asset("Translation", LONG, language="zh", translation_of=source, publish=False)
    with make.service.database.reading() as db:
        found = duplicates.find(db, make.service.finder, SYSTEM, draft.public_id)
    assert (found.doubles, [one.is_same_story for one in found.found]) == (0, [True])


def test_archived_assets_are_no_doubles(make: Make) -> None:
    make.set_asset(make.asset("Old", LONG), archived_at=clock.now())
    draft = make.asset("New", LONG, publish=False)
    with make.service.database.reading() as db:
        assert duplicates.find(db, make.service.finder, SYSTEM, draft.public_id).found == ()


def test_A17_versions_of_what_may_not_be_edited_are_not_compared(make: Make, sign_in: object) -> None:
    hidden, own = make.asset("Hidden", tier=Tier.CONFIDENTIAL), make.asset("Own")
    make.new_version(hidden, LONG)
    browser = sign_in(make.user(Role.MARKETER))  # type: ignore[operator]
    for reference, before, after, status in (
        (hidden.public_id, 1, 2, 404),
        (own.public_id, 1, 1, 200),
        (own.public_id, 1, 2, 404),
    ):
        got = browser.get(f"/assets/{reference}/compare?before={before}&after={after}&deal=")
        assert got.status_code == status
        assert "eleven minutes" not in got.text
    assert sign_in(make.user(Role.REP)).get(f"/assets/{own.public_id}/compare?deal=").status_code == 403  # type: ignore[operator]


# --- who may read ---


def access(**fields: object) -> Access:
    base: dict[str, object] = {
        "tier": Tier.INTERNAL,
        "team_ids": frozenset(),
        "unlock_stage_id": None,
        "shows_teaser": True,
        "expires_at": None,
    }
    return Access(**(base | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "wanted", "now"),
    [
        (access(), access(tier=Tier.RESTRICTED), access(tier=Tier.RESTRICTED)),
        (access(tier=Tier.RESTRICTED), access(), access(tier=Tier.RESTRICTED)),
        (access(), access(team_ids=frozenset({1})), access(team_ids=frozenset({1}))),
        (access(team_ids=frozenset({1, 2})), access(team_ids=frozenset({2, 3})), access(team_ids=frozenset({2}))),
        (access(team_ids=frozenset({1})), access(team_ids=frozenset({3})), access(team_ids=frozenset({1}))),
        (access(team_ids=frozenset({1})), access(), access(team_ids=frozenset({1}))),
        (access(unlock_stage_id=2), access(unlock_stage_id=4), access(unlock_stage_id=4)),
        (access(unlock_stage_id=4), access(), access(unlock_stage_id=4)),
        (access(), access(shows_teaser=False), access(shows_teaser=False)),
        (
            access(tier=Tier.RESTRICTED, shows_teaser=True),
            access(shows_teaser=False),
            access(tier=Tier.RESTRICTED, shows_teaser=False),
        ),
    ],
)
def test_what_narrows_holds_at_once_and_what_widens_does_not(before: Access, wanted: Access, now: Access) -> None:
    assert narrowed(before, wanted, lambda stage: stage or 0) == now


def test_wider_access_waits_until_it_is_cleared(make_any: Make) -> None:
    make = make_any
    make.panel()
    asset = make.asset(tier=Tier.RESTRICTED)
    marketer = make.actor(make.user(Role.MARKETER, clearance=Tier.RESTRICTED))
    with make.service.database.writing() as db:
        row = service.get_editable(db, marketer, asset.public_id)
        outcome = change(db, marketer, row, access())
        assert (outcome.now.tier, outcome.waiting is not None) == (Tier.RESTRICTED, True)
    with make.service.database.writing() as db:
        assert find_waiting(db, asset.id) == access()
        make.clear(db.scalars(select(Version)).one(), db)
    with make.service.database.reading() as db:
        assert (db.get_one(Asset, asset.id).tier, find_waiting(db, asset.id)) == ("internal", None)


def test_nobody_shuts_themselves_out_by_tier(make: Make) -> None:
    asset = make.asset()
    marketer = make.actor(make.user(Role.MARKETER))
    with pytest.raises(Invalid), make.service.database.writing() as db:
        change(db, marketer, service.get_editable(db, marketer, asset.public_id), access(tier=Tier.CONFIDENTIAL))
