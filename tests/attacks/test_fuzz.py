"""Requests made up from the interface's own document, with a rep's token: no 500, answers as documented, nothing hidden."""

import os
import time
from collections import Counter

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from kb import tokens
from kb.access import SYSTEM, Party, Role, Tier
from kb.users import User
from tests.factories import Make

EXAMPLES = 10
SECONDS = 300
CANARIES = ("zebrafinch", "nightjar", "woodlark")


@pytest.fixture
def planted(make: Make) -> tuple[User, list[str]]:
    """A library with things a rep may see, and three that must never show."""
    rep = make.user()
    make.asset("seen", external_id="SEEN")
    make.asset("a draft", external_id="DRAFT-OF-ALL", publish=False)
    make.deal(rep, "solution")
    hidden = [
        make.asset(f"{CANARIES[0]} above", f"{CANARIES[0]} text", tier=Tier.CONFIDENTIAL, external_id="HIDDEN-1"),
        make.asset(f"{CANARIES[1]} of others", f"{CANARIES[1]} text", teams=["west"], external_id="HIDDEN-2"),
        make.asset(f"{CANARIES[2]} draft", f"{CANARIES[2]} text", publish=False, external_id="HIDDEN-3"),
    ]
    make.index()
    return rep, [asset.public_id for asset in hidden]


def run(make: Make, app: Flask, user: User, hidden: list[str], examples: int, end: float = float("inf")) -> None:
    with make.service.database.writing() as session:
        token = tokens.create(session, SYSTEM, session.get_one(User, user.id), "fuzz")
    headers = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, headers=headers)
    statuses: Counter[int] = Counter()
    known = ["external:SEEN", "external:DRAFT-OF-ALL"]
    words = [*CANARIES[: len(hidden)], *hidden, *(f"HIDDEN-{number + 1}" for number in range(len(hidden)))]
    for found in schema.get_all_operations():
        operation = found.ok()
        if time.monotonic() > end:
            return

        @settings(
            max_examples=examples,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=os.environ.get("TESTS_ROUNDS") != "full",
            database=None,
        )
        @given(
            case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)),
            reference=st.sampled_from(["", *known, *hidden]),
        )
        def ask(case: schemathesis.Case, reference: str) -> None:
            if reference and "reference" in case.path_parameters:
                case.path_parameters["reference"] = reference
            answer = case.call(headers=headers)
            if not (answer.status_code == 429 and case.path.endswith("/stories")):  # twenty a day are enough
                statuses[answer.status_code] += 1
            check(case, answer, words)

        ask()
    assert 2 * statuses[200] >= examples, f"most were asked in vain: {statuses}"
    assert not statuses[429]


def check(case: schemathesis.Case, answer: Response, words: list[str]) -> None:
    case.validate_response(answer, checks=[not_a_server_error, status_code_conformance, response_schema_conformance])
    for word in words:
        if word not in str(case.path_parameters) + str(case.query) + str(case.body):
            assert word not in answer.text, (case.formatted_path, word)


def test_made_up_requests_of_a_rep_break_and_show_nothing(
    make: Make, app: Flask, planted: tuple[User, list[str]]
) -> None:
    run(make, app, planted[0], planted[1], EXAMPLES)


def test_made_up_requests_of_an_admin_break_nothing(make: Make, app: Flask, planted: tuple[User, list[str]]) -> None:
    run(make, app, make.user(Role.ADMIN, clearance=Tier.PUBLIC), [], EXAMPLES)


HIDDEN_FROM = {
    Role.REP: 3,
    Role.MANAGER: 3,
    Role.REVIEWER: 3,
    Role.MARKETER: 2,  # a colleague's draft is theirs to edit
    Role.COORDINATOR: 0,
    Role.ADMIN: 0,
}
"""How many of the three that are planted a person of the role, cleared for what is internal and in no team, never sees."""


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("role", list(Role))
def test_minutes_of_made_up_requests(make: Make, app: Flask, planted: tuple[User, list[str]], role: Role) -> None:
    person = make.user(role, parties=[Party.LEGAL] if role is Role.REVIEWER else [])
    rounds, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        run(make, app, person, planted[1][: HIDDEN_FROM[role]], EXAMPLES, end)
        rounds += 1
    assert rounds
