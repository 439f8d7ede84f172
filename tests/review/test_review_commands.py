"""The review from the command line, and the board's lines about what is urgent."""

import json

import pytest
from click.testing import CliRunner

from content.kinds import UseKind
from kb import cli
from kb.access import Role
from tests.conftest import SignIn
from tests.factories import Make
from tests.review.test_urgent import RIGHT, Scene


@pytest.fixture(autouse=True)
def _installation(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(make.service.settings.data_dir))
    monkeypatch.setenv("KB_ENCODER", "off")


def kb(*words: str) -> str:
    got = CliRunner().invoke(cli.cli, ["review", *words])
    assert got.exception is None, got.output + str(got.exception)
    return got.stdout


def test_what_waits_and_what_is_urgent(make: Make) -> None:
    scene = Scene(make)
    scene.report()
    scene.write(RIGHT)
    scene.submit()
    rows = json.loads(kb("queue", "--json"))
    assert {(row["party"], row["urgent"]) for row in rows} == {("legal", True), ("marketing", True), ("sales", True)}
    assert len(json.loads(kb("queue", "--party", "legal", "--json"))) == 1
    assert "Prices" in kb("queue")
    (case,) = json.loads(kb("cases", "--json"))
    assert (case["state"], case["asset"]) == ("open", scene.asset.public_id)
    assert "normal" in kb("cases")


def test_hold_lift_and_recall(make: Make) -> None:
    scene = Scene(make)
    make.use(scene.rep, scene.asset, UseKind.COPY, scene.deal)
    kb("hold", scene.asset.public_id, "--reason", "The price is wrong.")
    assert scene.is_held()
    kb("lift", scene.asset.public_id, "--reason", "It is right after all.")
    assert not scene.is_held()
    kb("recall", scene.asset.public_id, "--reason", "The price is wrong.")
    (found,) = json.loads(kb("recalls", "--json"))
    assert (found["told"], found["missing"]) == (1, 1)
    assert "Prices" in kb("recalls")


@pytest.mark.parametrize(
    "words",
    [
        ("hold", "nothing", "--reason", "x"),
        ("lift", "nothing", "--reason", "x"),
        ("recall", "nothing", "--reason", "x"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(make: Make, words: tuple[str, ...]) -> None:
    got = CliRunner().invoke(cli.cli, ["review", *words])
    assert got.exit_code != 0


def test_the_board_says_what_is_urgent_and_what_is_called_back(make: Make, sign_in: SignIn) -> None:
    scene = Scene(make)
    browser = sign_in(scene.owner)
    assert "hurts a deal and is not corrected" not in browser.get("/board?deal=").text
    make.use(scene.rep, scene.asset, UseKind.COPY, scene.deal)
    scene.report()
    board = browser.get("/board?deal=").text
    assert "1 text hurts a deal and is not corrected yet." in board
    scene.correct()
    board = browser.get("/board?deal=").text
    assert "hurts a deal and is not corrected" not in board
    assert "A recall lacks 1 answer on open deals." in board
    reader = sign_in(make.user(Role.REP))
    assert reader.get("/board?deal=").status_code == 403
