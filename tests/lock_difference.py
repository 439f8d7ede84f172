"""Leaves out of a lock on standard input what another lock pins already; used by `make lock`."""

import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^(?=[a-z0-9])", re.MULTILINE)
NAME = re.compile(r"[a-z0-9.-]+")


def main(other: str) -> None:
    """Print the blocks of standard input whose package the other lock does not name."""
    known = {match.group() for block in BLOCK.split(Path(other).read_text()) if (match := NAME.match(block))}
    for block in BLOCK.split(sys.stdin.read()):
        match = NAME.match(block)
        if match and match.group() not in known:
            sys.stdout.write(block)


if __name__ == "__main__":
    main(sys.argv[1])
