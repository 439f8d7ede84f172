"""What answers tell by their time and their words: missing beside forbidden, known beside unknown, in one run.

`python -m tests.bench.secrecy`. Each pair is asked in turns, so that whatever else the machine does falls on both; the
two answers are compared word for word once what was asked for is taken out.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from werkzeug.test import TestResponse

from content.kinds import Handling
from kb import throttle
from kb.access import Tier
from kb.app import create_app
from tests.bench import library
from tests.bench.editing import signed_in
from tests.conftest import Browser
from tests.factories import PASSWORD, Make
from tests.leaks.world import NEVER

Ask = Callable[[], TestResponse]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--assets", type=int, default=2_000)
    asked = parser.parse_args()
    print(f"{'pair':<34} {'status':>7} {'same words':>10} {'p50 ms':>16} {'apart %':>8}")
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder:
        opened = library.opened(Path(folder), "off")
        make = Make(opened)
        make.stages()
        for _ in range(asked.assets // 10):
            make.asset()
        hidden = {
            "tier": make.asset(tier=Tier.CONFIDENTIAL, handling=Handling.PUBLIC),
            "team": make.asset(teams=["west"]),
            "stage": make.asset(unlock="negotiation", teaser=False),
            "draft": make.asset(publish=False),
        }
        rep = make.user()
        reader = signed_in(opened, rep)
        for name, asset in hidden.items():
            for path in ("/assets/{}", "/api/v1/assets/{}", "/assets/{}/share?deal="):
                compare(
                    f"missing | {name} {path[:16]}",
                    [_get(reader, path.format(NEVER)), _get(reader, path.format(asset.public_id))],
                    [NEVER, asset.public_id],
                    asked.rounds,
                )
        make.password(rep)
        gone = make.user()
        make.password(gone)
        throttle.TRIES_PER_OBJECT = throttle.TRIES_PER_HOST = 1_000_000  # it is the same for both, and comes before
        app = create_app(opened)
        app.test_client_class = Browser
        for name, email in (("known", rep.email), ("without password", make.user().email)):
            visitors = [app.test_client(), app.test_client()]
            compare(
                f"sign-in: unknown | {name}",
                [_sign_in(visitors[0], "nobody@yunshu.example"), _sign_in(visitors[1], email)],
                ["nobody@yunshu.example", email],
                max(20, asked.rounds // 4),
            )
        opened.close()


def _get(browser: Browser, address: str) -> Ask:
    return lambda: browser.get(address)


def _sign_in(visitor: object, email: str) -> Ask:
    assert isinstance(visitor, Browser)
    page = visitor.get("/sign-in").text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    visitor.csrf = found[1]
    return lambda: visitor.post("/sign-in", data={"email": email, "password": f"not {PASSWORD}"})


def compare(name: str, asks: Sequence[Ask], said: Sequence[str], rounds: int) -> None:
    """Ask both in turns and print how far apart they are."""
    answers = [ask() for ask in asks]
    words = [_without(answer, reference) for answer, reference in zip(answers, said, strict=True)]
    times: list[list[float]] = [[], []]
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            started = time.perf_counter()
            asks[which]()
            times[which].append((time.perf_counter() - started) * 1000)
    first, second = (statistics.median(one) for one in times)
    statuses = f"{answers[0].status_code}/{answers[1].status_code}"
    same = "yes" if words[0] == words[1] and answers[0].status_code == answers[1].status_code else "NO"
    apart = abs(first - second) / max(first, second) * 100
    print(f"{name:<34} {statuses:>7} {same:>10} {first:>7.2f} {second:>7.2f} {apart:>8.1f}", flush=True)


def _without(answer: TestResponse, reference: str) -> str:
    text = answer.text.replace(reference, "…")
    return re.sub(r'(csrf[^>]*(?:content|value)=")[^"]+|"request_id":\s*"\w+"|\b[0-9a-f]{12}\b', r"\1", text)


if __name__ == "__main__":
    main()
