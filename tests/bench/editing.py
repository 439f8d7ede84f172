"""Pages of those who write, with 10,000 assets and 500 versions of one: board, library, history, editor, calendar.

`python -m tests.bench.editing`. Each page's time and its number of statements, side by side with the same page of a
library of 100 assets in the same run: what grows with the library shows.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import event

from content import drafting, service
from content.kinds import AssetType, Handling, VersionState
from content.lifecycle import Move, after
from content.models import Asset
from content.service import Attributes, Wording
from kb import sessions
from kb.access import SYSTEM, Role, Tier
from kb.app import Service, create_app
from kb.users import User
from search.fake_encoder import FakeEncoder
from tests.bench import library
from tests.conftest import ORIGIN, Browser
from tests.factories import Make

ROUNDS = 15
VERSIONS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=VERSIONS)
    asked = parser.parse_args()
    print(f"{'page':<12} {'assets':>7} {'statements':>10} {'p50 ms':>8} {'p95 ms':>8}")
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder:
        for assets in (100, asked.assets):
            opened = library.opened(Path(folder) / str(assets), "off")
            measure(opened, library.fill(opened, assets, FakeEncoder()), assets, asked.versions)
            opened.close()


def measure(opened: Service, make: Make, assets: int, versions: int) -> None:
    """Print what each page takes."""
    reference = history(make, versions)
    browser = signed_in(opened, make.user(Role.MARKETER, clearance=Tier.RESTRICTED))
    asked: list[str] = []
    event.listen(opened.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    pages = {
        "board": "/board?all=1&deal=",
        "library": "/library?deal=",
        "history": f"/assets/{reference}/versions?deal=",
        "compare": f"/assets/{reference}/compare?before=1&after={versions - 1}&deal=",
        "editor": f"/assets/{reference}/edit?deal=",
        "calendar": "/calendar?deal=",
    }
    timed(browser, pages, asked, assets)


def timed(browser: Browser, pages: Mapping[str, str], asked: list[str], size: int) -> None:
    """Print statements and times of each page; `asked` is filled with the statements as they run."""
    for name, address in pages.items():
        assert browser.get(address).status_code in {200, 302}, name
        asked.clear()
        browser.get(address)
        statements = len(asked)
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            browser.get(address)
            times.append((time.perf_counter() - started) * 1000)
        ordered = sorted(times)
        p95 = ordered[int(0.95 * (len(ordered) - 1))]
        print(f"{name:<12} {size:>7} {statements:>10} {statistics.median(times):>8.1f} {p95:>8.1f}", flush=True)


def history(make: Make, versions: int) -> str:
    """An asset with so many versions, the last one a draft."""
    with make.service.database.writing() as db:
        asset = service.create(db, SYSTEM, "many", Attributes(type=AssetType.FAQ))
        for number in range(1, versions + 1):
            text = f"## Say\n\nText number {number}.\n"
            version = service.put_draft(
                db, SYSTEM, asset, Wording("Many versions", text, "en", Handling.SPOKEN), service.render(text)
            )
            if number < versions:
                version.state = after(after(VersionState.DRAFT, Move.SUBMIT), Move.TAKE_BACK).value
                db.flush()
        return drafting.load_editable(db, SYSTEM, db.get_one(Asset, asset.id).public_id).public_id


def signed_in(opened: Service, user: User) -> Browser:
    app = create_app(opened)
    app.test_client_class = Browser
    browser = app.test_client()
    assert isinstance(browser, Browser)
    with opened.database.writing() as db:
        token = sessions.open_for(db, db.get_one(User, user.id))
    with browser.session_transaction(base_url=ORIGIN) as cookie:
        cookie["_user_id"], cookie["_fresh"] = token, True
    return browser


if __name__ == "__main__":
    main()
