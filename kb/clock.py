"""The only clock: aware UTC everywhere, other zones on screen alone."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)
