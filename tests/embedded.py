"""`python -m tests.embedded FOLDER`: give an installation's texts their vectors, as the worker would one by one.

Done once for the company that all journeys copy: otherwise each served copy embeds the same texts beside its browser.
"""

import sys
from pathlib import Path

from kb import config
from kb.app import open_service
from search import embedding


def main(folder: Path) -> None:
    opened = open_service(config.load({}, data_dir=folder))
    opened.meaning.start()
    if opened.meaning.wanted.wait(120) is not None:
        embedding.catch_up(opened.database, opened.meaning)
    opened.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
