"""Use is counted once, on the deal it was for, and only where the handling allows it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import select
from time_machine import Traveller

from content import usage
from content.deals import Deal
from content.kinds import DealSource, Handling, Outcome, UseKind
from content.models import Asset, UseEvent
from content.reading import NotFound, StageLocked, get_visible
from content.usage import NewEvent, NotAllowedByHandling
from kb.errors import Invalid
from kb.users import User
from tests.factories import Make

MINUTE = timedelta(minutes=1)


@pytest.fixture
def time() -> Iterator[Traveller]:
    with time_machine.travel(datetime(2026, 11, 26, 1, 0, tzinfo=UTC), tick=False) as traveller:
        yield traveller


class Desk:
    """One rep who uses assets."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.rep = make.user()
        self._number = 0

    def use(
        self,
        asset: Asset,
        kind: UseKind,
        deal: Deal | None = None,
        *,
        by: User | None = None,
        event_id: str = "",
        **more: object,
    ) -> bool:
        self._number += 1
        who = by or self.rep
        context = self.make.context(who, deal) if deal else None
        event = NewEvent(event_id or f"event-{self._number}-{who.id}", asset.public_id, kind, **more)  # type: ignore[arg-type]
        with self.make.service.database.writing() as session:
            return usage.record(session, self.make.actor(who), context, event)

    def events(self) -> list[UseEvent]:
        with self.make.service.database.reading() as session:
            return list(session.scalars(select(UseEvent).order_by(UseEvent.id)))


@pytest.fixture
def desk(make: Make) -> Desk:
    return Desk(make)


@pytest.fixture
def any_desk(make_any: Make) -> Desk:
    return Desk(make_any)


def test_an_event_holds_who_used_which_version_on_which_deal(any_desk: Desk) -> None:
    make = any_desk.make
    asset, deal = make.asset(), make.deal(any_desk.rep)
    version = make.new_version(asset, "Newer text.\n")
    assert any_desk.use(
        asset, UseKind.COPY, deal, surface="search", search_id="s-1", section="a-1", remark="  helped  "
    )
    event = any_desk.events()[0]
    assert (event.asset_id, event.version_id, event.user_id, event.deal_id) == (
        asset.id,
        version.id,
        any_desk.rep.id,
        deal.id,
    )
    assert (
        event.kind,
        event.deal_source,
        event.surface,
        event.search_id,
        event.section,
        event.remark,
        event.was_unlocked,
    ) == ("copy", "chosen", "search", "s-1", "a-1", "helped", True)


def test_the_same_event_counts_once(any_desk: Desk, time: Traveller) -> None:
    asset = any_desk.make.asset()
    assert any_desk.use(asset, UseKind.COPY, event_id="one")
    time.shift(timedelta(days=2))
    assert not any_desk.use(asset, UseKind.COPY, event_id="one")
    assert not any_desk.use(any_desk.make.asset(), UseKind.VIEW, event_id="one")
    assert len(any_desk.events()) == 1


@pytest.mark.parametrize(("kind", "minutes"), [(UseKind.VIEW, 30), (UseKind.COPY, 60)])
def test_repeats_within_the_window_count_once(any_desk: Desk, time: Traveller, kind: UseKind, minutes: int) -> None:
    asset = any_desk.make.asset()
    assert any_desk.use(asset, kind)
    time.shift(minutes * MINUTE - timedelta(seconds=1))
    assert not any_desk.use(asset, kind)
    time.shift(timedelta(seconds=1))
    assert any_desk.use(asset, kind)
    assert len(any_desk.events()) == 2


def test_views_count_once_whatever_the_deal_and_uses_once_a_deal(any_desk: Desk, time: Traveller) -> None:
    make = any_desk.make
    asset, one, other = make.asset(), make.deal(any_desk.rep), make.deal(any_desk.rep)
    assert [any_desk.use(asset, UseKind.VIEW, deal) for deal in (one, other, None)] == [True, False, False]
    assert [any_desk.use(asset, UseKind.COPY, deal) for deal in (one, other, None, one, other, None)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_other_people_kinds_and_assets_count_apart(desk: Desk, time: Traveller) -> None:
    asset, second = desk.make.asset(handling=Handling.PUBLIC), desk.make.asset()
    deal = desk.make.deal(desk.rep)
    assert desk.use(asset, UseKind.COPY, deal)
    assert desk.use(asset, UseKind.SHARE, deal)
    assert desk.use(asset, UseKind.DOWNLOAD, deal)
    assert desk.use(second, UseKind.COPY, deal)
    assert desk.use(asset, UseKind.COPY, by=desk.make.user())


@pytest.mark.parametrize("outcome", [Outcome.WON, Outcome.LOST, Outcome.NO_DECISION])
def test_nothing_counts_towards_a_closed_deal(desk: Desk, outcome: Outcome) -> None:
    asset, deal = desk.make.asset(), desk.make.deal(desk.rep, outcome=outcome)
    assert desk.use(asset, UseKind.COPY, deal)
    event = desk.events()[0]
    assert (event.deal_id, event.deal_source) == (None, "none")


def test_a_deal_source_is_kept_with_a_deal_and_dropped_without(desk: Desk) -> None:
    asset = desk.make.asset()
    desk.use(asset, UseKind.COPY, desk.make.deal(desk.rep), deal_source=DealSource.EMBEDDED)
    desk.use(asset, UseKind.COPY, deal_source=DealSource.EMBEDDED)
    assert [event.deal_source for event in desk.events()] == ["embedded", "none"]


def test_an_event_on_a_deal_never_says_it_had_no_source(any_desk: Desk) -> None:
    """`none` beside a deal is refused by word, not by the database."""
    with pytest.raises(Invalid):
        any_desk.use(any_desk.make.asset(), UseKind.COPY, any_desk.make.deal(any_desk.rep), deal_source=DealSource.NONE)


@pytest.mark.parametrize(
    ("handling", "allowed"),
    [
        (Handling.INTERNAL, set()),
        (Handling.SPOKEN, {UseKind.COPY}),
        (Handling.NAMED, {UseKind.COPY, UseKind.SHARE, UseKind.PRESENT, UseKind.DOWNLOAD}),
        (Handling.PUBLIC, {UseKind.COPY, UseKind.SHARE, UseKind.PRESENT, UseKind.DOWNLOAD}),
    ],
)
def test_the_handling_decides_what_may_be_done_on_a_deal(desk: Desk, handling: Handling, allowed: set[UseKind]) -> None:
    asset, deal = desk.make.asset(handling=handling), desk.make.deal(desk.rep)
    done = set()
    for kind in (UseKind.COPY, UseKind.SHARE, UseKind.PRESENT, UseKind.DOWNLOAD):
        try:
            desk.use(asset, kind, deal)
        except NotAllowedByHandling:
            continue
        done.add(kind)
    assert done == allowed
    assert {event.kind for event in desk.events()} == {kind.value for kind in allowed}
    assert desk.use(asset, UseKind.VIEW, deal)


def test_sending_needs_an_open_deal_and_a_signed_nda(desk: Desk) -> None:
    asset, secret, deal = (
        desk.make.asset(handling=Handling.NAMED),
        desk.make.asset(handling=Handling.NAMED, nda=True),
        desk.make.deal(desk.rep),
    )
    for refused, on in ((asset, None), (secret, deal), (asset, desk.make.deal(desk.rep, outcome=Outcome.WON))):
        with pytest.raises(NotAllowedByHandling):
            desk.use(refused, UseKind.SHARE, on)
    assert desk.use(asset, UseKind.SHARE, deal)
    assert desk.use(secret, UseKind.COPY, deal)


def test_what_past_use_keeps_readable_is_read_and_not_copied_again(any_desk: Desk, time: Traveller) -> None:
    make = any_desk.make
    asset, deal = make.asset(unlock="negotiation"), make.deal(any_desk.rep, "negotiation")
    assert any_desk.use(asset, UseKind.COPY, deal)
    time.shift(timedelta(hours=2))
    make.move_deal(deal, "discovery")
    time.shift(timedelta(hours=2))
    with pytest.raises(NotAllowedByHandling):
        any_desk.use(asset, UseKind.COPY, deal)
    assert any_desk.use(asset, UseKind.VIEW, deal)
    event = any_desk.events()[-1]
    assert (event.kind, event.was_unlocked) == ("view", False)


def test_nothing_is_recorded_on_what_is_hidden(any_desk: Desk) -> None:
    make = any_desk.make
    locked, team_only, seen = make.asset(unlock="negotiation"), make.asset(teams=["east"]), make.asset()
    deal = make.deal(any_desk.rep, "discovery")
    for hidden, error in ((locked, StageLocked), (team_only, NotFound)):
        with pytest.raises(error):
            any_desk.use(hidden, UseKind.VIEW, deal)
    assert any_desk.use(seen, UseKind.VIEW, deal)
    assert {event.asset_id for event in any_desk.events()} == {seen.id}


def test_helpful_and_not_helpful_toggle_and_the_last_word_counts(any_desk: Desk, time: Traveller) -> None:
    asset = any_desk.make.asset()
    said = []
    for kind in (UseKind.HELPFUL, UseKind.HELPFUL, UseKind.NOT_HELPFUL, UseKind.NOT_HELPFUL, UseKind.HELPFUL):
        said.append(any_desk.use(asset, kind))
        time.shift(MINUTE)
    assert said == [True, False, True, False, True]
    actor = any_desk.make.actor(any_desk.rep)
    other = any_desk.make.actor(any_desk.make.user())
    with any_desk.make.service.database.reading() as session:
        found = get_visible(session, actor, None, asset.public_id)
        assert usage.own_judgement(session, actor, found) is UseKind.HELPFUL
        assert usage.own_judgement(session, other, found) is None


def test_a_word_may_follow_the_judgement_and_stands_with_it(any_desk: Desk, time: Traveller) -> None:
    asset = any_desk.make.asset()
    assert any_desk.use(asset, UseKind.NOT_HELPFUL)
    time.shift(MINUTE)
    assert any_desk.use(asset, UseKind.NOT_HELPFUL, remark="  the figure is of 2024  ")
    assert not any_desk.use(asset, UseKind.NOT_HELPFUL, remark="the figure is of 2024"), "said once is enough"
    assert [(event.kind, event.remark) for event in any_desk.events()] == [("not_helpful", "the figure is of 2024")]


def test_opinion_counts_the_last_word_of_each_person(any_desk: Desk, time: Traveller) -> None:
    asset, other = any_desk.make.asset(), any_desk.make.asset()
    second = any_desk.make.user()
    any_desk.use(asset, UseKind.HELPFUL, remark="worked at once")
    any_desk.use(other, UseKind.HELPFUL, remark="of another asset")
    time.shift(MINUTE)
    any_desk.use(asset, UseKind.NOT_HELPFUL)
    time.shift(MINUTE)
    any_desk.use(asset, UseKind.NOT_HELPFUL, by=second, remark="too long")
    with any_desk.make.service.database.reading() as session:
        found = usage.opinion(session, asset.id)
    assert (found.helpful, found.not_helpful) == (0, 2)
    assert [(remark.who, remark.text) for remark in found.remarks] == [
        (second.name, "too long"),
        (any_desk.rep.name, "worked at once"),
    ]


@pytest.mark.parametrize("event_id", ["", "x" * 81])
def test_an_event_needs_an_id_that_can_be_kept(desk: Desk, event_id: str) -> None:
    asset = desk.make.asset()
    with pytest.raises(Invalid), desk.make.service.database.writing() as session:
        usage.record(session, desk.make.actor(desk.rep), None, NewEvent(event_id, asset.public_id, UseKind.VIEW))
    assert desk.events() == []
