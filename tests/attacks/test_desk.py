"""The editors' side attacked: previews, trials, copies, the archive, many at once, and two who do the same at one moment."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from content.deals import Deal, DealContact
from content.kinds import Handling
from content.models import Asset, Version
from content.taxonomy import Tag
from kb.access import Role, Tier
from kb.app import Service
from kb.audit import AuditEntry
from kb.users import User
from tests.conftest import Browser, SignIn
from tests.factories import Make
from tests.leaks.world import NEVER, found_in, same_form

CANARIES = ["zqTitle", "zqBody", "zq-external"]


@dataclass
class Desk:
    """A marketer, and three texts that are none of theirs: above their clearance, of another team, archived above it."""

    marketer: User
    hidden: list[Asset]
    seen: Asset


@pytest.fixture
def desk(make: Make) -> Desk:
    make.stages()
    fields = {"text": "## zqBody\n\n全球最佳 zqBody, saves 50% zqBody.\n", "handling": Handling.PUBLIC}
    above = make.asset("zqTitle above", tier=Tier.RESTRICTED, external_id="zq-external-1", **fields)  # type: ignore[arg-type]
    west = make.asset("zqTitle west", teams=["west"], external_id="zq-external-2", **fields)  # type: ignore[arg-type]
    draft = make.asset("zqTitle draft", tier=Tier.RESTRICTED, publish=False, external_id="zq-external-3", **fields)  # type: ignore[arg-type]
    seen = make.asset("Seen", "## Plain\n\n全球最佳 words.\n", handling=Handling.PUBLIC)
    make.index()
    return Desk(make.user(Role.MARKETER), [above, west, draft], seen)


PAGES = (
    "/assets/{}/edit", "/assets/{}/versions", "/assets/{}/history/1", "/assets/{}/compare", "/assets/{}/findings",
    "/assets/{}/source-changes", "/assets/{}/audit", "/assets/{}/review", "/assets/{}/attachments",
    "/api/v1/assets/{}/draft",
)  # fmt: skip


def test_A16_A20_drafts_and_their_records_are_not_there_for_other_editors(sign_in: SignIn, desk: Desk) -> None:
    browser = sign_in(desk.marketer)
    for path in PAGES:
        never = browser.get(path.format(NEVER), query_string={"deal": ""})
        assert never.status_code == 404, path
        for asset in desk.hidden:
            got = browser.get(path.format(asset.public_id), query_string={"deal": ""})
            assert got.status_code == 404, path
            assert same_form(got, asset.public_id) == same_form(never, NEVER), path


def test_A16_no_page_of_what_goes_on_names_what_is_not_theirs(make: Make, sign_in: SignIn, desk: Desk) -> None:
    for asset in desk.hidden[:2]:
        make.use(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL, teams=["west"]), asset)
    rep, marketer = sign_in(make.user()), sign_in(desk.marketer)
    pages = ("/?deal=", "/browse?deal=", "/notices?deal=", "/feed.atom", "/api/v1/notices", "/shares?deal=")
    for browser in (rep, marketer):
        for path in pages:
            assert found_in(browser.get(path).text, CANARIES) == [], path
    for path in ("/board?deal=&all=1", "/library?deal=", "/calendar?deal=", "/library/shut?deal=", "/reviews?deal="):
        assert found_in(marketer.get(path).text, CANARIES) == [], path
        assert rep.get(path).status_code == 403, path


@pytest.mark.parametrize(
    "embed",
    ["![x](/assets/{id})", "[x](/assets/{id})", "[[{external}]]", "{{{{ include('{id}') }}}}", "![[{id}]]", "[evidence:{external}]", '<iframe src="/assets/{id}"></iframe>', '<object data="/assets/{id}/source"></object>', "{{% include {external} %}}"],
)  # fmt: skip
def test_A20_a_preview_brings_nothing_in(sign_in: SignIn, desk: Desk, embed: str) -> None:
    browser, asset = sign_in(desk.marketer), desk.hidden[0]
    text = embed.format(id=asset.public_id, external=asset.external_id)
    got = browser.post("/preview", data={"text": f"Before\n\n{text}\n\nAfter"})
    assert got.status_code == 200
    assert found_in(got.text, ["zqTitle", "zqBody"]) == []
    assert re.search(r"<(iframe|object|script)", got.text) is None


def test_A20_who_may_not_edit_previews_nothing(make: Make, sign_in: SignIn) -> None:
    assert sign_in(make.user()).post("/preview", data={"text": "x"}).status_code == 403


def test_A21_a_rule_is_tried_on_what_its_trier_may_edit_alone(sign_in: SignIn, desk: Desk, make: Make) -> None:
    form = {"on": "1", "severity-public": "block", "words": "全球最佳"}
    tried = sign_in(desk.marketer).post("/compliance/absolute/try", data=form)
    assert tried.status_code == 200
    assert "Seen" in tried.text, "it does find what is theirs"
    assert found_in(tried.text, CANARIES) == []
    assert sign_in(make.user()).post("/compliance/absolute/try", data=form).status_code == 403
    for reference in (desk.hidden[0].public_id, NEVER):
        form = {"text": "x", "title": "x", "language": "en", "handling": "public"}
        assert sign_in(desk.marketer).post(f"/assets/{reference}/findings", data=form).status_code == 404


def rows(service: Service) -> tuple[object, ...]:
    with service.database.reading() as db:
        assets = db.execute(select(Asset.id, Asset.tier, Asset.translation_of_id, Asset.archived_at).order_by(Asset.id))
        versions = db.execute(select(Version.id, Version.state, Version.digest, Version.revision).order_by(Version.id))
        return tuple(assets.all()), tuple(versions.all())


def test_A23_nothing_is_taken_from_or_put_into_what_is_not_theirs(
    sign_in: SignIn, desk: Desk, service: Service
) -> None:
    browser, own = sign_in(desk.marketer), desk.seen.public_id
    before = rows(service)
    for asset in desk.hidden:
        tied = [browser.post(f"/assets/{own}/translation-of", data={"source": one}) for one in (asset.public_id, NEVER)]
        assert tied[0].status_code == tied[1].status_code
        assert same_form(tied[0], asset.public_id) == same_form(tied[1], NEVER)
        for path, form in (
            ("restore", {"version": "1"}),
            ("translation-of", {"source": own}),
            ("access", {"tier": "public"}),
            ("submit", {}),
            ("archive", {}),
            ("facts", {}),
        ):
            got = browser.post(f"/assets/{asset.public_id}/{path}", data=form)
            assert got.status_code == 404, path
            assert found_in(got.text, CANARIES) == []
        put = browser.put(f"/api/v1/assets/{asset.public_id}/draft", json={"text": "x"}, headers={"If-Match": '"1"'})
        assert put.status_code == 404
    assert rows(service) == before


def test_A25_the_archive_gives_nothing_back_to_others_and_nobody_purges(
    make: Make, sign_in: SignIn, desk: Desk, service: Service
) -> None:
    admin = sign_in(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL, teams=["west"]))
    draft = desk.hidden[2]
    assert admin.post(f"/assets/{draft.public_id}/archive", data={"reason": "old"}).status_code == 302
    before = rows(service)
    browser = sign_in(desk.marketer)
    assert browser.post(f"/assets/{draft.public_id}/revive").status_code == 404
    assert found_in(browser.get("/library?archived=1&deal=").text, CANARIES) == []
    assert sign_in(make.user()).post(f"/assets/{desk.seen.public_id}/revive").status_code == 403
    for address in (f"/assets/{draft.public_id}", f"/api/v1/assets/{draft.public_id}"):
        assert admin.delete(address).status_code in {404, 405}
    assert rows(service) == before
    assert admin.post(f"/assets/{draft.public_id}/revive").status_code == 302


def test_A47_many_at_once_are_each_asked_for_themselves(
    make: Make, sign_in: SignIn, desk: Desk, service: Service
) -> None:
    browser = sign_in(desk.marketer)
    form = {"act": "set_owner", "email": desk.marketer.email}
    hidden = [asset.public_id for asset in desk.hidden]
    before = rows(service)
    told = browser.post("/bulk", data=form | {"asset": [desk.seen.public_id, *hidden, NEVER]})
    assert found_in(told.text, CANARIES) == []
    assert not any(one in told.text.replace(f'value="{one}"', "") for one in hidden)
    browser.post("/bulk/apply", data=form | {"asset": [desk.seen.public_id, *hidden, NEVER]})
    with service.database.reading() as db:
        changed = db.scalars(select(AuditEntry.object_id).where(AuditEntry.action.like("asset.%"))).all()
        assert not set(changed) & set(hidden)
    assert rows(service)[1] == before[1]
    many = browser.post("/bulk", data=form | {"asset": [f"{number:016d}" for number in range(10_000)]})
    assert many.status_code in {413, 422}


def all_at_once(tries: list[Callable[[], int]]) -> list[int]:
    """What each answers, all begun at the same moment."""
    barrier, found = threading.Barrier(len(tries)), list[int]()

    def one(act: Callable[[], int]) -> None:
        barrier.wait()
        found.append(act())

    threads = [threading.Thread(target=one, args=(act,)) for act in tries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_A43_of_many_who_make_the_same_one_does(
    make_any: Make, enter_any: Callable[[User | None], Browser], any_database: Service
) -> None:
    make_any.stages()
    admin = make_any.user(Role.ADMIN)
    rep = make_any.user()
    deal = make_any.deal(rep, "solution")
    admins, reps = [enter_any(admin) for _ in range(8)], [enter_any(rep) for _ in range(8)]

    def tag(browser: Browser) -> int:
        return browser.put("/api/v1/vocabularies/industry/rail", json={"en": "Rail", "zh": "铁路"}).status_code

    def crm(browser: Browser) -> int:
        body = {"account": "Once", "stage": "solution", "created_at": "2026-01-01T00:00:00Z"}
        return browser.put("/api/v1/deals/CRM-77", json=body).status_code

    def contact(browser: Browser) -> int:
        body = {"name": "Ann", "email": "ann@once.example"}
        return browser.post(f"/api/v1/deals/{deal.external_id}/contacts", json=body).status_code

    assert set(all_at_once([lambda b=b: tag(b) for b in admins])) <= {200, 201, 409, 503}  # type: ignore[misc]
    assert set(all_at_once([lambda b=b: crm(b) for b in admins])) <= {200, 201, 409, 503}  # type: ignore[misc]
    added = all_at_once([lambda b=b: contact(b) for b in reps])  # type: ignore[misc]
    assert sorted(added) == [201] + [409] * 7
    with any_database.database.reading() as db:
        assert db.scalar(select(func.count()).where(Tag.facet == "industry", Tag.key == "rail")) == 1
        assert db.scalar(select(func.count()).where(Deal.external_id == "CRM-77")) == 1
        assert db.scalar(select(func.count()).select_from(DealContact)) == 1
