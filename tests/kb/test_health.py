"""Alive, ready, measured."""

from datetime import timedelta

import pytest
from flask import Flask

from kb import clock, outbox
from kb.access import Role
from kb.app import Service
from kb.outbox import Wish, WishKind
from tests.conftest import ORIGIN, SignIn
from tests.factories import Make


def test_alive_asks_nothing_of_the_database(app: Flask, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.database, "_readers", None)
    answer = app.test_client().get("/healthz", base_url=ORIGIN)
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_ready_names_database_outbox_and_index(app: Flask) -> None:
    answer = app.test_client().get("/readyz", base_url=ORIGIN)
    assert (answer.status_code, answer.json) == (
        200,
        {"status": "ok", "database": "ok", "outbox": "ok", "index": "ok", "encoder": "ok: off"},
    )


def test_a_lost_database_is_not_ready_and_not_an_error(
    app: Flask, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        raise ConnectionError("host db-17 refused")

    monkeypatch.setattr(service.database, "_readers", lost)
    answer = app.test_client().get("/readyz", base_url=ORIGIN)
    assert answer.status_code == 503
    assert answer.json["status"] == "unavailable"
    assert answer.json["database"].startswith("unavailable")
    assert "db-17" not in answer.text


def test_a_dead_letter_is_not_ready(app: Flask, service: Service) -> None:
    with service.database.writing() as session:
        session.add(
            Wish(
                kind=WishKind.INDEX_ASSET.value,
                object_id=1,
                due_at=clock.now(),
                dead_at=clock.now(),
                error="RuntimeError: why",
            )
        )
    answer = app.test_client().get("/readyz", base_url=ORIGIN)
    assert answer.status_code == 503
    assert "kb doctor" in answer.json["outbox"]
    assert "why" not in answer.text


def test_late_wishes_are_not_ready(app: Flask, service: Service) -> None:
    with service.database.writing() as session:
        outbox.add(session, WishKind.INDEX_ASSET, 1)
    assert app.test_client().get("/readyz", base_url=ORIGIN).status_code == 200
    with service.database.writing() as session:
        outbox.add(session, WishKind.INDEX_ASSET, 1, due_at=clock.now() - timedelta(minutes=2))
    answer = app.test_client().get("/readyz", base_url=ORIGIN)
    assert answer.status_code == 503
    assert "worker" in answer.json["outbox"]


def test_a_lost_index_is_not_ready_and_search_goes_on(
    app: Flask, service: Service, sign_in: SignIn, make: Make
) -> None:
    browser = sign_in(make.user())
    service.engine.close()
    for path in sorted(service.settings.index_dir.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert app.test_client().get("/readyz", base_url=ORIGIN).status_code == 503
    assert browser.get("/search?q=price").status_code == 200


def test_measures_are_for_those_who_may(sign_in: SignIn, make: Make, app: Flask) -> None:
    assert app.test_client().get("/metrics", base_url=ORIGIN).status_code in {302, 401}
    assert sign_in(make.user()).get("/metrics").status_code == 403
    answer = sign_in(make.user(Role.ADMIN)).get("/metrics")
    assert answer.status_code == 200
    assert answer.mimetype == "text/plain"
    assert "kb_outbox_waiting 0.0" in answer.text
    assert "kb_outbox_dead 0.0" in answer.text
