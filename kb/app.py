"""Wires everything; nothing imports this file but the ways to start it."""

import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from threading import Thread
from urllib.parse import quote, urlsplit

import structlog
from flask import Flask, g, url_for
from flask_babel import Babel, format_currency, format_date, format_datetime, format_decimal, get_locale, gettext
from flask_bootstrap import Bootstrap5
from sqlalchemy.orm import Session
from werkzeug.middleware.proxy_fix import ProxyFix

import content.access_api
import content.access_routes
import content.api
import content.board_routes
import content.brief_api
import content.brief_routes
import content.editor_routes
import content.file_api
import content.file_routes
import content.history_routes
import content.import_api
import content.import_routes
import content.insight_api
import content.insight_routes
import content.notice_routes
import content.plan_routes
import content.publishing_api
import content.routes
import content.share_api
import content.share_routes
import content.shared_routes
import content.story_routes
import content.vocabulary_api
import content.vocabulary_routes
import review.api
import review.round_api
import review.round_routes
import review.routes
import review.urgent_api
import review.urgent_routes
import search.api
import search.assist_api
import search.assist_routes
import search.gap_api
import search.gap_routes
import search.routes
import search.saved_api
import search.saved_routes
from content import (
    access_changes,
    access_requests,
    alike,
    conversions,
    dealing,
    deals,
    files,
    filestore,
    freshness,
    index_feed,
    kinds,
    ledger,
    mail_digest,
    publishing,
    rejected,
    submission,
)
from kb import (
    account,
    api,
    clock,
    db,
    health,
    idempotency,
    language,
    login,
    mail,
    notices,
    outbox,
    people_api,
    people_routes,
    sign_on_routes,
    web,
)
from kb.config import LOOPBACK, Settings, former_keys, prepare_data_dir
from kb.outbox import WishKind
from kb.worker import Worker
from review import absence, calendars, inbox, recalls, registers, rounds, second_look, sla, urgent
from review.hours import Calendar
from review.models import Evidence, ReferencePermission
from search import dictionary, embedding, encoder, feed, gaps, quality, reranker, saved, wordbook
from search.engine import Engine, IndexDamaged
from search.meaning import Meaning
from search.postgres_engine import PostgresEngine
from search.postgres_near import PostgresKeeper
from search.service import Finder
from search.whoosh_engine import WhooshEngine

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "templates"


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one installation in one process."""

    settings: Settings
    database: db.Database
    finder: Finder
    worker: Worker
    embedder: Worker
    converter: Worker

    @property
    def engine(self) -> Engine:
        return self.finder.engine

    @property
    def meaning(self) -> Meaning:
        return self.finder.meaning

    def workers(self) -> tuple[Worker, ...]:
        """What must run somewhere: what is published is indexed by one, and never waits for a model or a document."""
        slow = () if self.meaning.is_off else (self.embedder,)
        return (self.worker, self.converter, *slow)

    def stop(self) -> None:
        """End what runs in the background."""
        for worker in self.workers():
            worker.stop()
        self.meaning.stop()
        self.finder.reranker.stop()

    def close(self) -> None:
        self.stop()
        self.engine.close()
        self.database.close()


def open_service(settings: Settings) -> Service:
    """Open database and index of an installation; the same for web, worker and command line."""
    settings = prepare_data_dir(settings)
    database = db.bind(db.Database(settings.sqlalchemy_url))
    index_feed.install()
    deals.keep_change_log()
    publishing.set_gate(rounds.is_cleared)
    desk = rounds.Desk()
    submission.set_reviewing(desk)
    access_changes.set_reviewing(desk)
    publishing.set_after(second_look.published, second_look.withdrawn)
    calendars.set_company(Calendar(settings.zone))
    filestore.set_uses(Evidence.sha256, ReferencePermission.sha256)
    engine: Engine = WhooshEngine(settings.index_dir) if database.is_sqlite else PostgresEngine(database)
    meaning = Meaning(
        encoder.loader(settings.encoder, settings.model_dir),
        lambda source: encoder.load(source, settings.model_dir, at_once=True),
        None if database.is_sqlite else PostgresKeeper(),
    )
    embedder = embedding.Embedder(database, meaning, mirror=embedding.mirror_of(database))
    handlers = feed.handlers(database, engine, embedder.wish_for)
    reranker.check(settings.reranker)
    finder = Finder(engine, meaning, reranker=reranker.loader(settings.reranker))
    return Service(
        settings,
        database,
        finder,
        Worker(
            database,
            handlers,
            sweeps=[
                publishing.sweep(database),
                *feed.sweeps(database, engine),
                idempotency.sweep(database),
                alike.sweep(database),
                freshness.sweep(database),
                registers.sweep(database),
                absence.sweep(database),
                sla.sweep(database),
                urgent.sweep(database),
                recalls.sweep(database),
                ledger.sweep(database),
                rejected.sweep(database),
                saved.sweep(database, finder),
                gaps.sweep(database, finder),
                quality.sweep(database, finder),
            ],
        ),
        embedder.worker(),
        _converter(database, settings, meaning),
    )


def _converter(database: db.Database, settings: Settings, meaning: Meaning) -> Worker:
    """Documents and mail servers are slow and hostile: a worker of their own waits for them."""

    def index_again(session: Session, asset_ids: Sequence[int]) -> None:
        for asset_id in asset_ids:
            outbox.add(session, WishKind.INDEX_ASSET, asset_id)
            if not meaning.is_off:
                outbox.add(session, WishKind.EMBED_ASSET, asset_id)

    handlers = {
        WishKind.READ_FILE: files.reader(database, settings, index_again),
        WishKind.CONVERT_FILE: conversions.converter(database, settings),
        WishKind.MAIL_DIGEST: mail_digest.sender(database, settings),
    }
    return Worker(
        database, handlers, sweeps=[filestore.sweep(database, settings), mail_digest.sweep(database, settings)], batch=1
    )


def create_app(service: Service, addresses: tuple[str, ...] = ()) -> Flask:
    """The web application on an opened service; `addresses` are further names it answers to."""
    app = Flask("kb", template_folder=str(TEMPLATES), static_folder=str(ROOT / "kb" / "static"))
    _configure(app, service.settings, addresses)
    app.extensions["kb_settings"] = service.settings
    app.extensions["search_finder"] = service.finder
    app.extensions["kb_checks"] = {
        "index": lambda: _index_state(service.engine),
        "encoder": lambda: _encoder_state(service.meaning),
    }
    service.meaning.start()
    service.finder.reranker.start()
    Thread(target=wordbook.warm, name="kb-warm", daemon=True).start()
    dictionary.warm()
    Bootstrap5(app)
    Babel(app, locale_selector=language.choose)
    language.serve_catalogue(app)
    web.init(app, service.settings.requests_per_minute)
    app.before_request(dealing.remember)
    login.init(app)
    sign_on_routes.init(app, service.settings)
    for area in (
        account.area,
        api.area,
        health.area,
        content.routes.area,
        content.board_routes.area,
        content.editor_routes.area,
        content.file_routes.area,
        content.file_api.area,
        content.notice_routes.area,
        content.plan_routes.area,
        people_routes.area,
        people_api.area,
        content.access_routes.area,
        content.access_api.area,
        content.share_routes.area,
        content.share_api.area,
        content.shared_routes.area,
        content.story_routes.area,
        content.story_routes.api,
        content.vocabulary_routes.area,
        content.vocabulary_api.area,
        content.notice_routes.api,
        content.history_routes.area,
        content.insight_routes.area,
        content.import_routes.area,
        content.import_api.area,
        content.brief_routes.area,
        content.brief_api.area,
        content.insight_api.area,
        content.api.area,
        content.publishing_api.area,
        review.routes.area,
        review.api.area,
        review.round_routes.area,
        review.round_api.area,
        review.urgent_routes.area,
        review.urgent_api.area,
        search.routes.area,
        search.api.area,
        search.assist_routes.area,
        search.assist_api.area,
        search.gap_routes.area,
        search.gap_api.area,
        search.saved_routes.area,
        search.saved_api.area,
    ):
        app.register_blueprint(area)
    _teach_templates(app)
    if service.settings.trusted_proxies:
        hops = service.settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]  # Flask's documented way
    return app


def _index_state(engine: Engine) -> str:
    try:
        engine.probe()
    except IndexDamaged:
        return "rebuilding: the database answers meanwhile"
    return "ok"


def _encoder_state(meaning: Meaning) -> str:
    """Search by words works without a model, so that its lack is told and never makes an installation unready."""
    return f"ok: {meaning.state.partition(':')[0]}"


def _configure(app: Flask, settings: Settings, addresses: tuple[str, ...]) -> None:
    secure = settings.is_https or not settings.base_url or urlsplit(settings.base_url).hostname in LOOPBACK
    hosts = {urlsplit(settings.base_url).hostname or ""} if settings.base_url else set(LOOPBACK)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SECRET_KEY_FALLBACKS=former_keys(settings),
        KB_LANGUAGE=settings.language,
        KB_MAX_UPLOAD_MB=settings.max_upload_mb,
        KB_TIMEZONE=settings.timezone,
        KB_HAS_MAIL=mail.is_on(settings),
        KB_LOCAL_SIGN_IN=settings.local_sign_in,
        KB_SIGN_ON=settings.oidc_name if settings.oidc_issuer else None,
        BABEL_DEFAULT_LOCALE=settings.language,
        BABEL_DEFAULT_TIMEZONE=settings.timezone,
        BOOTSTRAP_SERVE_LOCAL=True,
        MAX_CONTENT_LENGTH=settings.max_upload_mb * 1024 * 1024,
        SESSION_COOKIE_NAME="__Host-kb" if secure else "kb",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        TRUSTED_HOSTS=sorted(hosts | set(addresses)),
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,  # web.py asks Origin and Sec-Fetch-Site instead: a Referer may be missing
    )
    app.json.ensure_ascii = False  # type: ignore[attr-defined]  # the default provider has it
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _teach_templates(app: Flask) -> None:
    app.jinja_env.filters["moment"] = lambda at: format_datetime(at, "yyyy-MM-dd HH:mm")
    app.jinja_env.filters["ago"] = _ago
    app.jinja_env.filters["placed"] = _placed
    app.jinja_env.filters["file_spot"] = _file_spot
    app.jinja_env.filters["size"] = lambda size: format_decimal(max(0.1, size / 1_048_576), "0.0") + " MB"
    app.jinja_env.filters["translated"] = lambda text: str(gettext(text))
    app.jinja_env.filters["day"] = lambda at: format_datetime(at, "yyyy-MM-dd")
    app.jinja_env.filters["weekday"] = lambda day: format_date(day, "EEE")
    app.jinja_env.filters["money"] = _money
    app.jinja_env.filters["list_of_two"] = lambda word: (word, word)
    app.jinja_env.filters["key_and_name"] = lambda one: (one.key, one.name)
    app.jinja_env.filters["translated_pair"] = lambda pair: (pair[0].value, gettext(pair[1]))
    names = {
        "TYPE_NAMES": kinds.TYPE_NAMES,
        "HANDLING_NAMES": kinds.HANDLING_NAMES,
        "FACET_NAMES": kinds.FACET_NAMES,
        "STATE_NAMES": kinds.STATE_NAMES,
        "LANGUAGE_NAMES": kinds.LANGUAGE_NAMES,
    }
    stamp = _static_stamp(ROOT / "kb" / "static")

    @app.context_processor
    def _words() -> dict[str, object]:
        return {
            **names,
            **dealing.for_templates(),
            "language": str(get_locale() or "en"),
            "person": g.get("person"),
            "actor": g.get("actor"),
            "unread": _unread,
            "reviews_waiting": _reviews_waiting,
            "recalls_waiting": _recalls_waiting,
            "requests_waiting": _requests_waiting,
            "urgent_case_of": _urgent_case_of,
            "may_hold": _may_hold,
            "urgent_now": _urgent_now,
            "static_url": lambda name: url_for("static", filename=name, v=stamp),
        }


def _placed(html: str) -> str:
    """Rendered HTML whose pictures are asked for on the deal of this page."""
    chosen = dealing.for_templates().get("deal_param") or ""
    query = f'?deal={quote(str(chosen), safe="")}"'
    return _PICTURE.sub(lambda found: f"{found[0][:-1]}{query}", html) if chosen else html


def _unread() -> int:
    """How many notices the person who is signed in has not read, for the bell."""
    who = g.get("actor")
    if who is None or who.user_id is None:
        return 0
    with db.reading() as session:
        return notices.unread(session, who.user_id)


def _reviews_waiting() -> int:
    """How many versions wait for the verdict of the person who is signed in, for the menu."""
    who = g.get("actor")
    if who is None or who.user_id is None or not who.parties:
        return 0
    with db.reading() as session:
        return inbox.waiting_for(session, who)


def _recalls_waiting() -> int:
    """How many answers the person who is signed in owes, for the menu."""
    who = g.get("actor")
    if who is None or who.user_id is None:
        return 0
    with db.reading() as session:
        return recalls.waiting_for(session, who)


def _requests_waiting() -> int:
    """How many access requests the person who is signed in could answer, for the menu."""
    who = g.get("actor")
    if who is None or who.user_id is None:
        return 0
    with db.reading() as session:
        return access_requests.waiting_for(session, who)


def _urgent_case_of(reference: str) -> urgent.CaseShown | None:
    with db.reading() as session:
        return urgent.of_asset(session, g.actor, reference)


def _urgent_now() -> urgent.Now:
    """Open cases and recalls of what the person who is signed in edits, for the board."""
    with db.reading() as session:
        return urgent.now(session, g.actor)


def _may_hold(asset_id: int) -> bool:
    with db.reading() as session:
        return urgent.may_hold(session, g.actor, asset_id)


_PICTURE = re.compile(r'src="/attachments/[^"?]*"')


def _file_spot(anchor: str) -> tuple[str, int] | None:
    """Attachment and page that the anchor of a passage names, where it lies in a file."""
    found = re.fullmatch(r"file-([\w-]{16})-p(\d+)", anchor)
    return (found[1], int(found[2])) if found else None


def _ago(at: datetime) -> str:
    """How long ago, in the fewest words: minutes, hours, days, else the date."""
    minutes = int((clock.now() - at).total_seconds() // 60)
    if minutes < 1:
        return str(gettext("just now"))
    if minutes < 60:
        return str(gettext("%(n)s min ago", n=minutes))
    if minutes < 60 * 24:
        return str(gettext("%(n)s h ago", n=minutes // 60))
    if minutes < 60 * 24 * 60:
        return str(gettext("%(n)s d ago", n=minutes // (60 * 24)))
    return str(format_datetime(at, "yyyy-MM-dd"))


def _money(amount: Decimal, currency: str) -> str:
    """A whole amount in its currency, as this language writes it."""
    if len(currency) != 3:
        return str(format_decimal(amount, "#,##0"))
    return str(format_currency(amount, currency, "¤#,##0", currency_digits=False))


def _static_stamp(folder: Path) -> str:
    newest = max((path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()), default=0)
    return f"{newest:x}"


def configure_logging(level: str) -> None:
    """One JSON line an event on standard error; a log sink that is gone never stops the service."""
    logging.basicConfig(level=level, format="%(message)s")
    logging.raiseExceptions = False
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
