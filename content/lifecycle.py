"""The states of a version and the only moves between them (pure)."""

from collections.abc import Mapping
from enum import StrEnum

from content.kinds import VersionState
from kb.errors import N_, Conflict


class Move(StrEnum):
    SUBMIT = "submit"
    APPROVE = "approve"
    REQUEST_CHANGES = "request_changes"
    REJECT = "reject"
    TAKE_BACK = "take_back"
    PUBLISH = "publish"
    LOAD = "load"  # an operator's audited bulk load, without review
    SUPERSEDE = "supersede"
    WITHDRAW = "withdraw"


MOVES: Mapping[tuple[VersionState, Move], VersionState] = {
    (VersionState.DRAFT, Move.SUBMIT): VersionState.IN_REVIEW,
    (VersionState.DRAFT, Move.LOAD): VersionState.PUBLISHED,
    (VersionState.IN_REVIEW, Move.APPROVE): VersionState.APPROVED,
    (VersionState.IN_REVIEW, Move.REQUEST_CHANGES): VersionState.CHANGES_REQUESTED,
    (VersionState.IN_REVIEW, Move.REJECT): VersionState.REJECTED,
    (VersionState.IN_REVIEW, Move.TAKE_BACK): VersionState.CHANGES_REQUESTED,
    (VersionState.APPROVED, Move.PUBLISH): VersionState.PUBLISHED,
    (VersionState.APPROVED, Move.TAKE_BACK): VersionState.CHANGES_REQUESTED,
    (VersionState.PUBLISHED, Move.SUPERSEDE): VersionState.SUPERSEDED,
    (VersionState.PUBLISHED, Move.WITHDRAW): VersionState.WITHDRAWN,
}


class WrongState(Conflict):
    """The version is not in a state from which this can be done."""

    code, message = "wrong_state", N_("The version is no longer in a state that allows this.")


def after(state: VersionState, move: Move) -> VersionState:
    """The state a move leads to; WrongState where the table has none."""
    try:
        return MOVES[state, move]
    except KeyError:
        raise WrongState(state=state.value, move=move.value) from None
