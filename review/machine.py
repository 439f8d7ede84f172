"""The states of a review: what a party's step and a whole round are after the verdicts given so far (pure)."""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

from kb.access import Party


class Answer(StrEnum):
    """A verdict, given by one reviewer for one party on one digest."""

    APPROVE = "approve"
    REQUEST_CHANGES = "request_changes"
    REJECT = "reject"


class StepState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    REJECTED = "rejected"


class RoundState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes_requested"
    REJECTED = "rejected"
    TAKEN_BACK = "taken_back"


def step_after(needed: int, answers: Iterable[Answer]) -> StepState:
    """What a party says once these answers are in; a single no or wish decides, approval needs as many as the policy asks."""
    given = list(answers)
    if Answer.REJECT in given:
        return StepState.REJECTED
    if Answer.REQUEST_CHANGES in given:
        return StepState.CHANGES_REQUESTED
    return StepState.APPROVED if given.count(Answer.APPROVE) >= needed >= 1 else StepState.OPEN


def round_after(steps: Collection[StepState]) -> RoundState:
    """A reject ends the round; a wish for changes lets the others finish first; no step at all is never an approval."""
    if StepState.REJECTED in steps:
        return RoundState.REJECTED
    if not steps or StepState.OPEN in steps:
        return RoundState.OPEN
    if StepState.CHANGES_REQUESTED in steps:
        return RoundState.CHANGES_REQUESTED
    return RoundState.APPROVED


def lacking(needed: Mapping[Party, int], able: Mapping[Party, Collection[int]]) -> Party | None:
    """A party for which nobody is left when everybody decides for one party at most; None where all can be served.

    Bipartite matching by augmenting paths (Kuhn, 1955): parties ask for `needed` people out of those `able`.
    """
    taken: dict[int, int] = {}
    seats = [party for party in sorted(needed) for _ in range(needed[party])]

    def seat(place: int, tried: set[int]) -> bool:
        for person in sorted(able.get(seats[place], ())):
            if person in tried:
                continue
            tried.add(person)
            if person not in taken or seat(taken[person], tried):
                taken[person] = place
                return True
        return False

    return next((party for place, party in enumerate(seats) if not seat(place, set())), None)
