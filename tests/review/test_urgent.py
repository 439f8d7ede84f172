"""The green channel: report, hold, the fast round of the passages alone, recall until everybody has answered."""

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from content import drafting, reading, service, submission
from content.deals import Deal
from content.kinds import Outcome, UseKind
from content.models import Asset, UseEvent, Version
from content.service import Wording
from kb import audit, clock, notices
from kb.access import Party, Role
from kb.errors import Forbidden, Invalid, NotFound
from kb.users import User
from review import inbox, recalls, rounds, urgent
from review.machine import Answer
from review.models import Recall, RecallLine, Round, Step, UrgentCase
from review.recalls import Given
from tests.conftest import SignIn
from tests.factories import Make

TEXT = "## Price\n\nThe standard edition costs 98,000 a year.\n\n## Say\n\nWe move one system at a time.\n"
WRONG = "The standard edition costs 98,000 a year."
RIGHT = TEXT.replace("98,000", "89,000")


class Scene:
    """A published text with an owner, a rep with their manager, and a deal of a given amount."""

    def __init__(self, make: Make, amount: int = 50_000) -> None:
        make.stages()
        make.panel()
        self.make, self.database = make, make.service.database
        self.owner = make.user(Role.MARKETER)
        self.manager = make.user(Role.MANAGER)
        self.rep = make.user(manager=self.manager.email)
        self.other = make.user()
        self.asset = make.asset("Prices", TEXT, owners=[self.owner], tags=[make.stage_id("discovery")])
        self.deal = make.deal(self.rep, account="Lantern Works")
        make.set_deal(self.deal, amount=Decimal(amount), currency="CNY")

    def report(self, who: User | None = None, passages: tuple[str, ...] = (WRONG,), deal: Deal | None = None) -> str:
        who, deal = who or self.rep, deal or self.deal
        with self.database.writing() as db:
            context = self.make.context(who, deal)
            return urgent.report(
                db, self.make.actor(who), context, self.asset.public_id, "They compare it with the list.", passages
            ).public_id

    def write(self, text: str) -> None:
        with self.database.writing() as db:
            actor = self.make.actor(self.owner)
            present = drafting.get_draft(db, actor, self.asset.public_id)
            wording = Wording(present.title, text, present.language, present.handling)
            drafting.put_draft(db, actor, self.asset.public_id, present.revision, wording, service.render(text))

    def submit(self, *, is_urgent: bool = True) -> Version:
        with self.database.writing() as db:
            return submission.submit(db, self.make.actor(self.owner), self.asset.public_id, urgent=is_urgent)

    def correct(self, text: str = RIGHT) -> Version:
        self.write(text)
        version = self.submit()
        self.make.clear(version)
        return version

    def case(self) -> UrgentCase:
        with self.database.reading() as db:
            return db.scalars(select(UrgentCase)).one()

    def is_held(self) -> bool:
        with self.database.reading() as db:
            return db.get_one(Asset, self.asset.id).held_at is not None

    def told(self, who: User) -> list[str]:
        with self.database.reading() as db:
            return sorted(one.kind for one in notices.list_newest(db, who.id))

    def lines(self) -> list[RecallLine]:
        with self.database.reading() as db:
            return list(db.scalars(select(RecallLine).order_by(RecallLine.id)))

    def answer(self, who: User, line: RecallLine, given: Given, note: str = "") -> None:
        with self.database.writing() as db:
            recalls.answer(db, self.make.actor(who), line.public_id, given, note)

    def later(self, monkeypatch: pytest.MonkeyPatch, **by: int) -> None:
        moment = clock.now() + timedelta(**by)
        monkeypatch.setattr(clock, "now", lambda: moment)

    def reads(self, who: User) -> bool:
        with self.database.reading() as db:
            try:
                reading.get_visible(db, self.make.actor(who), None, self.asset.public_id)
            except NotFound:
                return False
            return True


# --- report ---


@pytest.mark.parametrize(
    ("amount", "currency", "grade"),
    [
        ("1000000", "CNY", "top"),
        ("999999.99", "CNY", "high"),
        ("300000", "cny", "high"),
        ("299999", "CNY", "normal"),
        ("150000", "USD", "top"),
        ("150000", "CHF", "top"),
        ("44999", "CHF", "normal"),
        (None, "CNY", "normal"),
    ],
)
def test_the_grade_follows_the_amount(amount: str | None, currency: str, grade: str) -> None:
    assert urgent.grade_of(Decimal(amount) if amount else None, currency) == grade


def test_a_report_begins_the_48_hours_and_tells_the_owner(make_any: Make) -> None:
    scene = Scene(make_any)
    scene.report()
    case = scene.case()
    assert (case.grade, case.state, case.due_at - case.begun_at) == ("normal", "open", timedelta(hours=48))
    assert scene.told(scene.owner) == ["urgent"]
    assert not scene.is_held()
    assert scene.told(scene.manager) == []


def test_the_top_grade_holds_at_once_and_calls_leads_and_the_manager(make_any: Make) -> None:
    scene = Scene(make_any, amount=2_000_000)
    lead = make_any.user(Role.MANAGER, Role.REVIEWER, parties=[Party.LEGAL])
    scene.report()
    assert scene.is_held()
    assert not scene.reads(scene.rep)
    assert scene.told(lead) == ["urgent"]
    assert scene.told(scene.manager) == ["urgent"]


def test_a_second_report_joins_the_case_and_keeps_the_first_clock(make_any: Make) -> None:
    scene = Scene(make_any)
    first = scene.report()
    due = scene.case().due_at
    bigger = make_any.deal(scene.other)
    make_any.set_deal(bigger, amount=Decimal(400_000), currency="CNY")
    assert scene.report(scene.other, ("We move one system at a time.",), bigger) == first
    case = scene.case()
    assert (case.grade, case.due_at, len(case.passages)) == ("high", due, 2)


@pytest.mark.parametrize(
    ("damage", "passages", "code"),
    [
        (" ", (WRONG,), "damage_missing"),
        ("bad", (), "passages"),
        ("bad", (" ",), "passages"),
        ("bad", tuple(f"no {n}" for n in range(11)), "passages"),
        ("bad", ("It costs nothing.",), "passage_unknown"),
    ],
)
def test_a_report_says_what_it_needs(make: Make, damage: str, passages: tuple[str, ...], code: str) -> None:
    scene = Scene(make)
    with scene.database.writing() as db, pytest.raises(Invalid) as refused:
        context = make.context(scene.rep, scene.deal)
        urgent.report(db, make.actor(scene.rep), context, scene.asset.public_id, damage, passages)
    assert refused.value.code == code


def test_without_a_deal_or_of_what_one_may_not_see_nothing_is_reported(make: Make) -> None:
    scene = Scene(make)
    with scene.database.writing() as db, pytest.raises(urgent.NeedsDeal):
        urgent.report(db, make.actor(scene.rep), None, scene.asset.public_id, "bad", [WRONG])
    hidden = make.asset(text=TEXT, teams=["Elsewhere"])
    with scene.database.writing() as db, pytest.raises(NotFound):
        context = make.context(scene.rep, scene.deal)
        urgent.report(db, make.actor(scene.rep), context, hidden.public_id, "bad", [WRONG])


def test_who_is_called_reads_it_under_the_bell_though_it_is_held(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make, amount=2_000_000)
    scene.report()
    page = sign_in(scene.manager).get("/notices").text
    assert "a colleague reports that this hurts a deal" in page
    assert "/urgent" in page


def test_a_case_is_not_for_a_colleague_on_the_deal_who_may_not_see_the_text(make: Make) -> None:
    scene = Scene(make)
    close = make.asset("Canary", TEXT, teams=["Inner"], owners=[scene.owner])
    inner = make.user(teams=["Inner"])
    deal = make.deal(inner, members=[scene.other])
    with scene.database.writing() as db:
        urgent.report(db, make.actor(inner), make.context(inner, deal), close.public_id, "bad", [WRONG])
    with scene.database.reading() as db:
        assert len(urgent.list_cases(db, make.actor(inner))) == 1
        assert urgent.list_cases(db, make.actor(scene.other)) == []
        with pytest.raises(NotFound):
            urgent.get_case(db, make.actor(scene.other), scene.case().public_id)


# --- hold ---


@pytest.mark.parametrize(
    ("roles", "parties", "may"),
    [
        ((Role.MARKETER,), (), True),
        ((Role.MANAGER,), (), True),
        ((Role.ADMIN,), (), True),
        ((Role.REVIEWER,), (Party.LEGAL,), True),
        ((Role.REVIEWER,), (Party.SALES,), False),
        ((Role.COORDINATOR,), (), False),
        ((Role.REP,), (), False),
    ],
)
def test_who_may_hold(make: Make, roles: tuple[Role, ...], parties: tuple[Party, ...], may: bool) -> None:
    scene = Scene(make)
    who = make.user(*roles, parties=parties)
    with scene.database.writing() as db:
        if may:
            urgent.hold(db, make.actor(who), scene.asset.public_id, "wrong price")
        else:
            with pytest.raises(Forbidden):
                urgent.hold(db, make.actor(who), scene.asset.public_id, "wrong price")
    assert scene.is_held() is may
    with scene.database.writing() as db, pytest.raises(NotFound if may else Forbidden):
        urgent.hold(db, make.actor(who), "nothing-of-this-id", "wrong price")


def test_a_hold_is_lifted_with_a_reason_and_never_while_a_case_is_open(make: Make) -> None:
    scene = Scene(make, amount=2_000_000)
    scene.report()
    owner = make.actor(scene.owner)
    with scene.database.writing() as db, pytest.raises(urgent.CaseOpen):
        urgent.lift(db, owner, scene.asset.public_id, "no")
    with scene.database.writing() as db:
        urgent.dismiss(db, owner, scene.case().public_id, "the list is right")
    assert not scene.is_held()
    assert "urgent_dismissed" in scene.told(scene.rep)
    with scene.database.writing() as db, pytest.raises(urgent.NotHeld):
        urgent.lift(db, owner, scene.asset.public_id, "no")
    with scene.database.writing() as db:
        urgent.hold(db, owner, scene.asset.public_id, "looking")
    with scene.database.writing() as db, pytest.raises(Invalid):
        urgent.lift(db, owner, scene.asset.public_id, " ")
    with scene.database.writing() as db:
        urgent.lift(db, owner, scene.asset.public_id, "it is right")
    assert scene.reads(scene.rep)


# --- the fast round ---


def test_anything_but_the_passages_is_refused_and_the_draft_is_kept(make_any: Make) -> None:
    scene = Scene(make_any)
    scene.report()
    scene.write(RIGHT.replace("one system", "two systems"))
    with pytest.raises(urgent.OutOfScope):
        scene.submit()
    with scene.database.reading() as db:
        assert "two systems" in drafting.get_draft(db, make_any.actor(scene.owner), scene.asset.public_id).text
    scene.submit(is_urgent=False)  # the ordinary way is open


def test_without_a_case_nothing_is_urgent(make: Make) -> None:
    scene = Scene(make)
    scene.write(RIGHT)
    with pytest.raises(urgent.NoCase):
        scene.submit()


def test_an_urgent_round_is_on_top_and_due_within_the_48_hours(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(make)
    plain = make.asset(publish=False, author=scene.owner, tags=[make.stage_id("discovery")], owners=[scene.owner])
    with scene.database.writing() as db:
        submission.submit(db, make.actor(scene.owner), plain.public_id)
    scene.report()
    scene.later(monkeypatch, hours=47)
    scene.write(RIGHT)
    scene.submit()
    legal = make.panel()[Party.LEGAL]
    with scene.database.reading() as db:
        found = inbox.queue(db, make.actor(legal))
        assert [row.asset_id for row in found.rows] == [scene.asset.public_id, plain.public_id]
        assert found.rows[0].urgent_until == scene.case().due_at
        following = inbox.next_after(db, make.actor(legal))
        assert following is not None
        assert following[0] == found.rows[0].round_id
        first = db.scalars(select(Step).join(Round).where(Round.case_id.is_not(None))).first()
        assert first is not None
        assert first.due_at <= scene.case().due_at
    assert "review_urgent" in scene.told(legal)


def test_the_last_approval_corrects_tells_and_gives_it_back(make_any: Make) -> None:
    scene = Scene(make_any, amount=2_000_000)
    make_any.use(scene.rep, scene.asset, UseKind.COPY, scene.deal)
    make_any.use(scene.rep, scene.asset, UseKind.SHARE, scene.deal)
    make_any.use(scene.other, scene.asset, UseKind.COPY)
    make_any.use(scene.manager, scene.asset, UseKind.VIEW)
    make_any.use(scene.manager, scene.asset, UseKind.COPY, at=clock.now() - timedelta(days=181))
    scene.report()
    version = scene.correct()
    case = scene.case()
    assert (case.state, case.fixed_version_id) == ("corrected", version.id)
    assert scene.reads(scene.rep)
    assert sorted((line.used_by_id, line.deal_id, line.uses) for line in scene.lines()) == sorted(
        [(scene.rep.id, scene.deal.id, 2), (scene.other.id, None, 1)],
        key=lambda line: line[0],
    )
    assert "recall" in scene.told(scene.rep)
    assert "recall" in scene.told(scene.other)
    assert "recall" not in scene.told(scene.manager)
    with scene.database.reading() as db:
        assert audit.verify(db).intact


def test_a_dismissal_and_the_last_approval_at_once_end_it_once(make_any: Make) -> None:
    """The approval comes while the dismissal is not committed yet: it waits, and finds the case over."""
    scene, panel = Scene(make_any), make_any.panel()
    scene.report()
    scene.write(RIGHT)
    version = scene.submit()
    with scene.database.reading() as db:
        found = db.scalars(select(Round).where(Round.version_id == version.id)).one()

    def approve(party: Party) -> None:
        with scene.database.writing() as db:
            rounds.decide(db, make_any.actor(panel[party]), found.public_id, party, Answer.APPROVE, found.digest)

    approve(Party.MARKETING)
    approve(Party.SALES)
    owner = make_any.actor(scene.owner)
    with ThreadPoolExecutor(1) as pool:
        with scene.database.writing() as db:
            urgent.dismiss(db, owner, scene.case().public_id, "the list is right")
            last = pool.submit(approve, Party.LEGAL)
            wait([last], timeout=0.5)
            assert not last.done()
        last.result(timeout=20)
    case = scene.case()
    with scene.database.reading() as db:
        entries = select(audit.AuditEntry.action).where(audit.AuditEntry.object_id == case.public_id)
        assert sorted(db.scalars(entries)) == ["urgent.dismissed", "urgent.report"]
        assert db.scalars(select(Recall)).all() == []
    assert case.state == "dismissed"


def test_an_ordinary_version_without_the_wrong_words_ends_the_case_too(make: Make) -> None:
    scene = Scene(make)
    scene.report()
    make.new_version(scene.asset, TEXT.replace("one system", "two systems"))
    assert scene.case().state == "open"
    make.new_version(scene.asset, RIGHT)
    assert scene.case().state == "corrected"


def test_a_later_text_that_is_as_wrong_is_what_the_fix_starts_from_and_its_users_are_told(make_any: Make) -> None:
    scene = Scene(make_any)
    scene.report()
    later = make_any.new_version(scene.asset, TEXT.replace("one system", "two systems"))
    event = make_any.use(scene.other, scene.asset, UseKind.COPY)
    with scene.database.writing() as db:
        db.get_one(UseEvent, event.id).version_id = later.id
    with pytest.raises(urgent.OutOfScope):
        scene.write(RIGHT)
        scene.submit()
    scene.correct(RIGHT.replace("one system", "two systems"))
    assert [(line.used_by_id, line.versions) for line in scene.lines()] == [(scene.other.id, [later.number])]


def test_a_withdrawal_ends_the_case_and_recalls(make: Make) -> None:
    scene = Scene(make)
    make.use(scene.rep, scene.asset, UseKind.COPY, scene.deal)
    scene.report()
    with scene.database.writing() as db:
        other = make.asset("New prices", "It costs less.")
        found = recalls.recall(db, make.actor(scene.owner), scene.asset.public_id, "wrong", other.public_id)
        assert found.replacement_id == other.id
    assert scene.case().state == "withdrawn"
    with scene.database.reading() as db:
        assert len(db.scalars(select(Recall)).all()) == 1


def test_one_that_is_late_is_told_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(make)
    coordinator = make.user(Role.COORDINATOR)
    scene.report()
    look = urgent.sweep(scene.database)
    look()
    assert "urgent_late" not in scene.told(scene.owner)
    scene.later(monkeypatch, hours=48)
    look()
    look()
    assert scene.told(scene.owner).count("urgent_late") == 1
    assert scene.told(coordinator).count("urgent_late") == 1


# --- recall ---


def recalled(scene: Scene) -> list[RecallLine]:
    scene.make.use(scene.rep, scene.asset, UseKind.COPY, scene.deal)
    with scene.database.writing() as db:
        recalls.recall(db, scene.make.actor(scene.owner), scene.asset.public_id, "The price is wrong.")
    return scene.lines()


def test_each_answer_needs_what_it_says_and_is_given_once(make: Make) -> None:
    scene = Scene(make)
    (line,) = recalled(scene)
    for given in (Given.CORRECTED, Given.NO_CORRECTION):
        with pytest.raises(Invalid):
            scene.answer(scene.rep, line, given, " ")
    with pytest.raises(NotFound):
        scene.answer(scene.other, line, Given.NOT_GIVEN)
    scene.answer(scene.rep, line, Given.CORRECTED, "by mail on Tuesday")
    with pytest.raises(recalls.AnsweredAlready):
        scene.answer(scene.rep, line, Given.NOT_GIVEN)


def test_a_recall_is_open_until_every_open_deal_has_its_answer(make: Make) -> None:
    scene = Scene(make)
    make.use(scene.other, scene.asset, UseKind.COPY)
    (line, *_) = sorted(recalled(scene), key=lambda one: one.deal_id is None)
    with scene.database.reading() as db:
        (found,) = recalls.list_recalls(db, make.actor(scene.owner))
        assert (found.told, found.answered, found.missing, found.is_over) == (2, 0, 1, False)
    scene.answer(scene.manager, line, Given.NOT_GIVEN)  # the manager may, for their rep
    with scene.database.reading() as db:
        (found,) = recalls.list_recalls(db, make.actor(scene.owner))
        assert (found.answered, found.missing, found.is_over) == (1, 0, True)


def test_who_used_a_translation_that_went_with_its_source_is_told_too(make_any: Make) -> None:
    scene = Scene(make_any)
    other = make_any.asset("价格", "标准版每年 98,000 元。", language="zh", translation_of=scene.asset)
    make_any.use(scene.other, other, UseKind.COPY)
    recalled(scene)
    with scene.database.reading() as db:
        (line,) = recalls.list_mine(db, make_any.actor(scene.other))
    assert (line.title, line.reason) == ("价格", "The price is wrong.")
    assert "recall" in scene.told(scene.other)


def test_after_a_day_the_manager_is_told_once_and_only_of_open_deals(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(make)
    closed = make.deal(scene.rep, outcome=Outcome.WON)
    make.use(scene.rep, scene.asset, UseKind.COPY, closed)
    recalled(scene)
    look = recalls.sweep(scene.database)
    scene.later(monkeypatch, hours=23)
    look()
    assert "recall_late" not in scene.told(scene.manager)
    scene.later(monkeypatch, hours=1)
    look()
    look()
    assert scene.told(scene.manager).count("recall_late") == 1
    assert [line.deal_id for line in scene.lines() if line.escalated_at] == [scene.deal.id]


def test_what_a_leaver_used_goes_to_the_present_owner_of_the_deal(make: Make) -> None:
    scene = Scene(make)
    make.use(scene.other, scene.asset, UseKind.COPY, scene.deal)
    with scene.database.writing() as db:
        db.get_one(User, scene.other.id).deactivated_at = clock.now()
    lines = recalled(scene)
    assert {line.used_by_id: line.answers_id for line in lines} == {
        scene.other.id: scene.rep.id,
        scene.rep.id: scene.rep.id,
    }
    with scene.database.writing() as db:
        db.get_one(User, scene.rep.id).deactivated_at = clock.now()
    recalls.sweep(scene.database)()
    assert {line.answers_id for line in scene.lines()} == {scene.manager.id}


def test_a_replacement_is_a_published_asset_or_none(make: Make) -> None:
    scene = Scene(make)
    draft = make.asset(publish=False, author=scene.owner)
    for wrong in (draft.public_id, scene.asset.public_id, "nothing"):
        with scene.database.writing() as db, pytest.raises(Invalid):
            recalls.recall(db, make.actor(scene.owner), scene.asset.public_id, "wrong", wrong)
    assert scene.reads(scene.rep)


def test_what_a_reader_may_not_see_is_not_named_as_the_replacement(make: Make) -> None:
    scene = Scene(make)
    make.use(scene.rep, scene.asset, UseKind.COPY, scene.deal)
    hidden = make.asset("For the few", teams=["Elsewhere"])
    with scene.database.writing() as db:
        boss = make.actor(make.user(Role.ADMIN))
        recalls.recall(db, boss, scene.asset.public_id, "wrong", hidden.public_id)
    with scene.database.reading() as db:
        (line,) = recalls.list_mine(db, make.actor(scene.rep))
    assert (line.replacement, line.replacement_title) == ("", "")


def test_a_manager_chases_the_answer_without_learning_of_a_text_that_is_not_theirs(make: Make) -> None:
    scene = Scene(make)
    close = make.asset("Canary", TEXT, teams=["Inner"], owners=[scene.owner])
    rep = make.user(teams=["Inner"], manager=scene.manager.email)
    make.use(rep, close, UseKind.COPY, make.deal(rep))
    with scene.database.writing() as db:
        recalls.recall(db, make.actor(make.user(Role.ADMIN)), close.public_id, "Canary is wrong")
    with scene.database.reading() as db:
        (mine,) = recalls.list_mine(db, make.actor(rep))
        (theirs,) = recalls.list_mine(db, make.actor(scene.manager), of_my_people=True)
    assert (mine.title, mine.reason) == ("Canary", "Canary is wrong")
    assert (theirs.title, theirs.reason, theirs.asked) == ("", "", rep.name)


# --- over HTTP: who sees what ---


def test_the_pages_and_the_interface_from_report_to_the_last_answer(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make, amount=2_000_000)
    make.use(scene.rep, scene.asset, UseKind.COPY, scene.deal)
    rep, owner, boss = sign_in(scene.rep), sign_in(scene.owner), sign_in(scene.manager)
    address, deal = scene.asset.public_id, scene.deal.external_id
    assert "Report an urgent error" in rep.get(f"/assets/{address}", query_string={"deal": deal}).text
    asked = rep.get(f"/assets/{address}/urgent", query_string={"deal": ""})
    assert "Choose the deal that it hurts" in asked.text
    given = {"deal": deal, "damage": "They compare", "passages": "nothing of that"}
    refused = rep.post(f"/assets/{address}/urgent", data=given)
    assert refused.status_code == 422
    assert "nothing of that" in refused.text
    answer = rep.post(
        f"/api/v1/assets/{address}/urgent", json={"deal": deal, "damage": "They compare", "passages": [WRONG]}
    )
    assert answer.status_code == 201, answer.text
    case = answer.json["id"]
    assert answer.json["on_hold"] is True
    assert rep.get(f"/assets/{address}?deal=").status_code == 404
    for browser in (rep, owner, boss):
        page = browser.get(f"/urgent/{case}")
        assert page.status_code == 200
        assert "Lantern Works" in page.text or browser is owner
        assert WRONG in page.text
    assert "They compare" in owner.get(f"/urgent/{case}").text
    assert "Write the correction" not in rep.get(f"/urgent/{case}").text
    stranger = sign_in(scene.other)
    assert stranger.get(f"/urgent/{case}").status_code == 404
    assert "Nothing urgent" in stranger.get("/urgent").text
    assert stranger.get("/api/v1/urgent").json == {"items": []}
    editor = owner.get(f"/assets/{address}/edit").text
    assert "As the urgent fix" in editor
    assert WRONG in editor
    scene.write(RIGHT.replace("one system", "two systems"))
    beside = owner.post(f"/assets/{address}/submit", data={"urgent": "1"}, follow_redirects=True)
    assert "An urgent fix changes only the reported passages" in beside.text
    scene.write(RIGHT)
    assert owner.post(f"/api/v1/assets/{address}/submit", json={"urgent": True}).status_code == 200
    reviewers = make.panel()
    first = reviewers[Party.LEGAL]
    item = sign_in(first).get("/api/v1/reviews").json["items"][0]
    assert item["urgent_until"] == scene.case().due_at.isoformat().replace("+00:00", "Z")
    assert "Urgent" in sign_in(first).get("/reviews").text
    assert "it corrects what hurts a deal" in sign_in(first).get(f"/reviews/{item['id']}").text
    with scene.database.reading() as db:
        version = db.scalars(select(Version).where(Version.state == "in_review")).one()
    make.clear(version)
    assert rep.get(f"/assets/{address}?deal=").status_code == 200
    (line,) = rep.get("/api/v1/recalls").json["items"]
    assert (line["deal_open"], line["replacement"], line["answer"]) == (True, address, "")
    assert "What did the customer get?" in rep.get("/recalls").text
    assert "called back" in rep.get("/notices").text
    assert line["id"] in boss.get("/recalls").text
    recall = owner.get(f"/recalls/{line['recall']}")
    assert "1 answer missing" in recall.text
    assert stranger.get(f"/recalls/{line['recall']}").status_code == 403
    wrong = rep.post(f"/recalls/lines/{line['id']}", data={"answer": "corrected", "note": ""})
    assert wrong.status_code == 422
    assert "Say when and how" in wrong.text
    assert stranger.post(f"/recalls/lines/{line['id']}", data={"answer": "not_given"}).status_code == 404
    given = {"answer": "corrected", "note": "by mail"}
    assert rep.post(f"/api/v1/recalls/lines/{line['id']}", json=given).json["items"][0]["answer"] == "corrected"
    assert owner.get(f"/api/v1/recalls/{line['recall']}").json["missing"] == 0
    assert "Over" in owner.get(f"/recalls/{line['recall']}").text


def test_hold_dismiss_and_recall_from_the_editor(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make)
    owner, manager, rep = sign_in(scene.owner), sign_in(scene.manager), sign_in(scene.rep)
    address = scene.asset.public_id
    assert "Hold" in manager.get(f"/assets/{address}?deal=").text
    assert manager.post(f"/assets/{address}/hold", data={"reason": "wrong"}).status_code == 302
    assert rep.get(f"/assets/{address}?deal=").status_code == 404
    assert rep.post(f"/api/v1/assets/{address}/hold", json={"reason": "x"}).status_code == 403
    assert "Lift the hold" in owner.get(f"/assets/{address}/edit").text
    assert owner.post(f"/assets/{address}/hold/lift", data={"reason": "right"}).status_code == 302
    assert owner.post(f"/api/v1/assets/{address}/hold", json={"reason": "x"}).json["held_at"]
    assert owner.post(f"/api/v1/assets/{address}/hold/lift", json={"reason": "x"}).json["held_at"] is None
    case = scene.report()
    assert owner.post(f"/urgent/{case}/dismiss", data={"reason": " "}).status_code == 422
    assert owner.post(f"/api/v1/urgent/{case}/dismiss", json={"reason": "right"}).json["state"] == "dismissed"
    assert owner.post(f"/urgent/{case}/dismiss", data={"reason": "again"}).status_code == 409
    assert rep.post(f"/assets/{address}/recall", data={"reason": "x"}).status_code == 403
    answer = owner.post(f"/assets/{address}/recall", data={"reason": "Wrong price"}, follow_redirects=True)
    assert "Nobody used it" in answer.text
    assert rep.get("/recalls").status_code == 200
    assert owner.post(f"/api/v1/assets/{address}/recall", json={"reason": "x"}).status_code == 409
