"""Alive and ready: for load balancers, without doing anything heavy."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from flask import Response, current_app, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from kb import clock, outbox
from kb.access import Permission
from kb.db import reading
from kb.web import PUBLIC, Area

LATE = timedelta(seconds=60)
Check = Callable[[], str]
"""Answers `ok`, or what is wrong in a few words."""

area = Area("health", __name__)


@area.get("/healthz", needs=PUBLIC)
def alive() -> Response:
    return jsonify({"status": "ok"})


@area.get("/readyz", needs=PUBLIC)
def ready() -> tuple[Response, int]:
    """Database, index and outbox; says which, never how many or what."""
    checks: Mapping[str, Check] = {
        "database": _database,
        "outbox": _outbox,
        **current_app.extensions.get("kb_checks", {}),
    }
    found = {name: _answer(check) for name, check in checks.items()}
    is_ready = all(word.partition(":")[0] == "ok" for word in found.values())
    return jsonify({"status": "ok" if is_ready else "unavailable", **found}), 200 if is_ready else 503


def _answer(check: Check) -> str:
    try:
        return check()
    except Exception as error:  # whatever fails, the answer is "not ready"
        return f"unavailable: {type(error).__name__}"


def _database() -> str:
    with reading() as session:
        outbox.backlog(session)
    return "ok"


def _outbox() -> str:
    with reading() as session:
        backlog = outbox.backlog(session)
    if backlog.dead:
        return "dead letters: see kb doctor"
    if backlog.oldest_due_at is not None and backlog.oldest_due_at < clock.now() - LATE:
        return "late: is a worker running?"
    return "ok"


@area.get("/metrics", needs=Permission.METRICS)
def metrics() -> Response:
    registry = CollectorRegistry()
    with reading() as session:
        backlog = outbox.backlog(session)
    Gauge("kb_outbox_waiting", "Wishes not yet fulfilled", registry=registry).set(backlog.waiting)
    Gauge("kb_outbox_dead", "Wishes that failed eight times", registry=registry).set(backlog.dead)
    return Response(generate_latest(registry), mimetype=CONTENT_TYPE_LATEST)
