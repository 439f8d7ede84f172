"""How many requests a minute one caller may make of a process, so that nobody's loop slows the others down.

Counted in the memory of each process: what must hold over all of them, such as wrong passwords, is counted in the
database (`kb.throttle`).
"""

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from kb import clock
from kb.errors import N_, TooMuch


class TooFast(TooMuch):
    message = N_("Too many requests in a minute. Wait a little and go on.")


class Pace:
    """A bound of so many requests a minute for each caller; 0 is none."""

    def __init__(self, requests_per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(requests_per_minute) if requests_per_minute else None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, caller: str) -> None:
        """Count one request; raises TooFast, with the seconds to wait, beyond the bound."""
        if self._limit is None or self._limiter.hit(self._limit, caller):
            return
        reset_at = self._limiter.get_window_stats(self._limit, caller).reset_time
        raise TooFast(retry_after=max(1, min(60, round(reset_at - clock.now().timestamp()))))
