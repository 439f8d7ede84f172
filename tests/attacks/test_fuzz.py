"""Requests made up from the interface's own document, with a rep's token: no 500, answers as documented, nothing hidden."""

import os
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
from kb.access import SYSTEM, Role, Tier
from kb.users import User
from tests.factories import Make

EXAMPLES = 10
LONG = 400
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


def run(make: Make, app: Flask, user: User, hidden: list[str], examples: int) -> None:
    with make.service.database.writing() as session:
        token = tokens.create(session, SYSTEM, session.get_one(User, user.id), "fuzz")
    headers = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, headers=headers)
    statuses: Counter[int] = Counter()
    known = ["external:SEEN", "external:DRAFT-OF-ALL"]
    for found in schema.get_all_operations():
        operation = found.ok()

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
            check(case, answer, hidden)

        ask()
    assert 2 * statuses[200] >= examples, f"most were asked in vain: {statuses}"
    assert not statuses[429]


def check(case: schemathesis.Case, answer: Response, hidden: list[str]) -> None:
    case.validate_response(answer, checks=[not_a_server_error, status_code_conformance, response_schema_conformance])
    for word in (*CANARIES, *hidden, "HIDDEN-1", "HIDDEN-2", "HIDDEN-3"):
        if word not in str(case.path_parameters) + str(case.query) + str(case.body):
            assert word not in answer.text, (case.formatted_path, word)


def test_made_up_requests_of_a_rep_break_and_show_nothing(
    make: Make, app: Flask, planted: tuple[User, list[str]]
) -> None:
    run(make, app, planted[0], planted[1], EXAMPLES)


def test_made_up_requests_of_an_admin_break_nothing(make: Make, app: Flask, planted: tuple[User, list[str]]) -> None:
    run(make, app, make.user(Role.ADMIN, clearance=Tier.PUBLIC), [], EXAMPLES)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_many_made_up_requests(make: Make, app: Flask, planted: tuple[User, list[str]]) -> None:
    run(make, app, planted[0], planted[1], LONG)
