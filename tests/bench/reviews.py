"""The reviewers' queue, the review page and the next item with 5,000 open rounds, beside the same pages with 50.

`python -m tests.bench.reviews`. What grows with the number of rounds shows in the second line of each page.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import event, select

from content import publishing, service
from content.kinds import AssetType, Handling, VersionState
from content.lifecycle import Move, after
from content.models import Asset
from content.service import Attributes, Wording
from kb.access import SYSTEM, Party
from kb.app import Service
from kb.users import User
from review import rounds
from review.models import Round
from tests.bench import library
from tests.bench.editing import signed_in, timed
from tests.factories import Make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5_000)
    asked = parser.parse_args()
    print(f"{'page':<12} {'rounds':>7} {'statements':>10} {'p50 ms':>8} {'p95 ms':>8}")
    with tempfile.TemporaryDirectory(prefix="kb-bench-") as folder:
        for number in (50, asked.rounds):
            opened = library.opened(Path(folder) / str(number), "off")
            make = Make(opened)
            panel = make.panel()
            fill(make, number)
            measure(opened, panel, number)
            opened.close()


def fill(make: Make, number: int) -> None:
    """So many frozen versions, each with an open round of three parties."""
    rendered = service.render("## Say\n\nOne system at a time.\n")
    for begun in range(0, number, 500):
        with make.service.database.writing() as db:
            for place in range(begun, min(number, begun + 500)):
                asset = service.create(db, SYSTEM, f"R-{place}", Attributes(type=AssetType.FAQ))
                wording = Wording(f"Text {place}", "## Say\n\nOne system at a time.\n", "en", Handling.SPOKEN)
                version = service.put_draft(db, SYSTEM, asset, wording, rendered)
                version.digest = publishing.digest_now(db, version)
                version.state = after(VersionState.DRAFT, Move.SUBMIT).value
                db.flush()
                rounds.begin(db, SYSTEM, db.get_one(Asset, asset.id), version)


def measure(opened: Service, panel: Mapping[Party, User], number: int) -> None:
    """Print what each page takes."""
    browser = signed_in(opened, panel[Party.LEGAL])
    with opened.database.reading() as db:
        one = db.scalars(select(Round.public_id).order_by(Round.id.desc())).first()
    asked: list[str] = []
    event.listen(opened.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    pages = {"queue": "/reviews?deal=", "next": "/reviews/next?deal=", "review": f"/reviews/{one}?deal="}
    timed(browser, pages, asked, number)


if __name__ == "__main__":
    main()
