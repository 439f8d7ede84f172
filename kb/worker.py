"""The loop that fulfils wishes: woken by any change of the database, and a sweep twice a second however often it is woken."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from kb import outbox
from kb.db import Database

POLL_SECONDS = 0.05
SWEEP_SECONDS = 0.5
LISTEN_SECONDS = 0.5

log = structlog.get_logger(__name__)
Sweep = Callable[[], None]
"""Looks for rows that are due by the clock and acts on them; runs about twice a second, never more often."""


class Worker:
    """One loop in one thread; as many machines as wanted may each run one on PostgreSQL."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[outbox.WishKind, outbox.Handler],
        sweeps: Sequence[Sweep] = (),
        batch: int = outbox.BATCH,
    ) -> None:
        self._database = database
        self.handlers = handlers
        self._sweeps = sweeps
        self._batch = batch
        self._stop = threading.Event()

    def stop(self) -> None:
        self._stop.set()

    def run(self) -> None:
        """Work until stop(); a broken database is waited out, never fatal."""
        if self._database.is_sqlite:
            self._release_leases()
        while not self._stop.is_set():
            try:
                self._listen()
            except SQLAlchemyError as error:
                log.warning("worker.database_lost", error=type(error).__name__)
                self._stop.wait(SWEEP_SECONDS)

    def _release_leases(self) -> None:
        try:
            with self._database.writing() as session:
                outbox.release(session, list(self.handlers))
        except SQLAlchemyError as error:
            log.warning("worker.leases_kept", error=type(error).__name__)

    def once(self) -> int:
        """Fulfil what is due and run each sweep once."""
        self._sweep_all()
        return outbox.drain(self._database, self.handlers, self._batch)

    def _sweep_all(self) -> None:
        for sweep in self._sweeps:
            self._sweep(sweep)

    def _sweep(self, sweep: Sweep) -> None:
        try:
            sweep()
        except SQLAlchemyError:
            raise
        except outbox.NotNow:
            return
        except Exception:  # one sweep's mistake must not stop the others
            log.exception("worker.sweep_failed", sweep=repr(sweep))

    def _listen(self) -> None:
        is_sqlite = self._database.is_sqlite
        options = {"isolation_level": "AUTOCOMMIT", "kb_write": not is_sqlite}
        with self._database.engine.connect().execution_options(**options) as connection:
            wait = self._wait_on_sqlite(connection) if is_sqlite else self._wait_on_postgresql(connection)
            swept_at = -math.inf
            while not self._stop.is_set():
                if time.monotonic() - swept_at >= SWEEP_SECONDS:
                    swept_at = time.monotonic()
                    self._sweep_all()
                with connection.begin():
                    is_due = outbox.is_due(connection, self.handlers)
                if is_due:
                    outbox.drain(self._database, self.handlers, self._batch)
                wait()

    def _wait_on_sqlite(self, connection: Connection) -> Callable[[], None]:
        """`PRAGMA data_version` moves when another connection commits: 26 ms median at 0.3 % of a core."""
        cursor = connection.connection.cursor()

        def version() -> int:
            cursor.execute("PRAGMA data_version")
            row = cursor.fetchone()
            return int(row[0]) if row else 0

        seen = version()

        def wait() -> None:
            nonlocal seen
            until = time.monotonic() + SWEEP_SECONDS
            while time.monotonic() < until and not self._stop.wait(POLL_SECONDS):
                if (now := version()) != seen:
                    seen = now
                    return

        return wait

    def _wait_on_postgresql(self, connection: Connection) -> Callable[[], None]:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute(f"LISTEN {outbox.CHANNEL}")

        def wait() -> None:
            for _ in raw.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                return

        return wait


def start_in_background(worker: Worker) -> threading.Thread:
    thread = threading.Thread(target=worker.run, name="kb-worker", daemon=True)
    thread.start()
    return thread
