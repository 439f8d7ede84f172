"""The worker's part in meaning: passages of published assets get vectors, whatever made them fall behind.

Nothing is remembered of what is still to do but what the rows themselves say: an asset whose rows are not
those of its published version is wished for, by whoever looks. Publication never waits for it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kb import outbox
from kb.db import Database
from kb.outbox import Handler, NotNow, Wish, WishKind
from kb.worker import Sweep, Worker
from search import documents, languages, passages, vectors
from search.encoder import Encoder
from search.meaning import Meaning
from search.passages import Passage
from search.postgres_near import Mirror
from search.vectors import EncoderState, KnownEncoder

AT_ONCE: Final = 4
"""Assets per claim: what a kill may cost, and well within a lease on a slow machine."""
LOOK_SECONDS: Final = 0.5
REST: Final = 50
"""A look at all of a large library takes long, and what was published is wished for as it is indexed: so it rests."""
MOST_WISHED: Final = 200

log = structlog.get_logger(__name__)


def _go_on(_point: str) -> None:
    """The fail point of daily life."""


class Embedder:
    """Embeds what is wished for with the encoder of the settings, and looks for what has fallen behind."""

    def __init__(
        self,
        database: Database,
        meaning: Meaning,
        fail_point: Callable[[str], None] = _go_on,
        look_seconds: float = LOOK_SECONDS,
        mirror: Callable[[KnownEncoder], None] = lambda _encoder: None,
    ) -> None:
        self._database = database
        self._meaning = meaning
        self._fail_point = fail_point
        self._known: KnownEncoder | None = None
        self._look_seconds = look_seconds
        self._look_at = float("-inf")
        self._told = -1
        self._mirror = mirror

    def handlers(self) -> Mapping[WishKind, Handler]:
        return {WishKind.EMBED_ASSET: self.embed}

    def sweeps(self) -> Sequence[Sweep]:
        return (self.look,)

    def embed(self, asset_ids: Sequence[int]) -> None:
        """Bring these assets' passages and vectors to the published version; each may be done already."""
        encoder = self._meaning.wanted.get()
        if encoder is None:
            raise NotNow
        known = self._registered(encoder)
        with self._database.reading() as session:
            published = {text.asset_id: text for text in documents.published_texts(session, asset_ids)}
            cut = {
                asset_id: (text.version_id, passages.of_asset(text.title, text.language, text.sections))
                for asset_id, text in published.items()
            }
            texts = {passage.text_hash: passage.embedded for _, pieces in cut.values() for passage in pieces}
            for text_hash in vectors.known_texts(session, known.id, texts):
                del texts[text_hash]
        self._fail_point("embed.read")
        new = self._encoded(encoder, texts)
        self._fail_point("embed.encoded")
        wanted: dict[int, tuple[int | None, Sequence[Passage]]] = dict.fromkeys(asset_ids, (None, ()))
        with self._database.writing() as session:
            vectors.store(session, known.id, wanted | cut, new)
            self._fail_point("embed.stored")
        self._fail_point("embed.committed")
        self._mirror(known)

    @staticmethod
    def _encoded(encoder: Encoder, texts: Mapping[str, str]) -> dict[str, bytes]:
        if not texts:
            return {}
        found = encoder.encode_passages(list(texts.values()))
        return {text_hash: vectors.packed(vector) for text_hash, vector in zip(texts, found, strict=True)}

    def look(self) -> None:
        """Wish for what has fallen behind; where nothing has, let a new encoder's vectors answer."""
        begun = time.monotonic()
        if begun < self._look_at:
            return
        self._look_at = begun + self._look_seconds
        encoder = self._meaning.wanted.get()
        if encoder is None:
            return
        known = self._registered(encoder)
        with self._database.reading() as session:
            late = vectors.behind(session, known.id, MOST_WISHED)
            waiting = session.scalar(
                select(func.count()).where(Wish.kind == WishKind.EMBED_ASSET.value, Wish.dead_at.is_(None))
            )
            self._tell(session, known)
        if late:
            self._wish(late)
        self._mirror(known)
        self._switch_when_due(known, is_full=not late and not waiting)
        if not late:
            self._look_at = max(self._look_at, begun + REST * (time.monotonic() - begun))

    def worker(self) -> Worker:
        """A worker of its own, so that what is published never waits for a model."""
        return Worker(self._database, self.handlers(), sweeps=self.sweeps(), batch=AT_ONCE)

    def wish_for(self, asset_ids: Sequence[int]) -> None:
        """Wish for those of these assets whose vectors are of another version, or are missing; called when they were indexed."""
        known = self._known
        if known is None:  # the first look has not come yet: it sees all of them
            return
        with self._database.reading() as session:
            late = vectors.behind(session, known.id, len(asset_ids), asset_ids)
        if late:
            self._wish(late)

    def _wish(self, asset_ids: Sequence[int]) -> None:
        with self._database.writing() as session:
            for asset_id in asset_ids:
                outbox.add(session, WishKind.EMBED_ASSET, asset_id)

    def _registered(self, encoder: Encoder) -> KnownEncoder:
        """The encoder's row; the first time its language means are taken from texts of our own."""
        known = self._known
        if known is not None and (known.name, known.dimension) == (encoder.name, encoder.dimension):
            return known
        with self._database.reading() as session:
            before = vectors.find(session, encoder.name)
        means = before.means if before and before.dimension == encoder.dimension else language_means(encoder).to_json()
        with self._database.writing() as session:
            vectors.prune(session)
            self._known = vectors.register(session, encoder.name, self._meaning.wanted.source, encoder.dimension, means)
        return self._known

    def _switch_when_due(self, known: KnownEncoder, *, is_full: bool) -> None:
        """When all is filled, or when nobody here could ask with the vectors that answer now."""
        if known.state is EncoderState.ACTIVE:
            return
        with self._database.reading() as session:
            present = vectors.active(session)
        if present is None or is_full or self._meaning.can_answer_with(present) is False:
            with self._database.writing() as session:
                vectors.switch(session, known.id)
                self._known = vectors.find(session, known.name)
            log.info("encoder.switched", name=known.name, before=present.name if present else None)

    def _tell(self, session: Session, known: KnownEncoder) -> None:
        """Progress for the log, as often as it moves by a twentieth."""
        progress = vectors.progress(session, known.id)
        twentieth = 20 * progress.done // progress.all if progress.all else 20
        if twentieth != self._told:
            self._told = twentieth
            log.info("embedding.progress", done=progress.done, all=progress.all, encoder=known.name)


def language_means(encoder: Encoder) -> languages.Means:
    """What this encoder's vectors say of Chinese and English only, from texts of our own in both."""
    own_passages, own_queries = languages.prior_texts()
    return languages.prior(encoder.encode_passages(own_passages), encoder.encode_queries(own_queries))


def catch_up(database: Database, meaning: Meaning) -> None:
    """Embed all that has fallen behind, here and now, with an encoder that is ready."""
    embedder = Embedder(database, meaning, look_seconds=0, mirror=mirror_of(database))
    while True:
        embedder.look()
        if not outbox.drain(database, embedder.handlers(), AT_ONCE):
            return


def mirror_of(database: Database) -> Callable[[KnownEncoder], None]:
    """What else is to be told of new vectors: on PostgreSQL, the tables that searches of a large library ask."""
    return (lambda _encoder: None) if database.is_sqlite else Mirror(database)
