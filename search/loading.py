"""Loads a model in a thread of its own, so that neither the start nor a search ever waits for one."""

import threading
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Final, Generic, Protocol, TypeVar

import structlog

OFF: Final = "off"
RETRY_SECONDS: Final = (15.0, 60.0, 300.0)

log = structlog.get_logger(__name__)


class Named(Protocol):
    @property
    def name(self) -> str: ...


Model = TypeVar("Model", bound=Named)


class ModelLoader(Generic[Model]):
    """Loads one model in a thread of its own; asking never raises and never waits."""

    def __init__(
        self,
        load: Callable[[], Model | None],
        *,
        source: str = "",
        what: str = "encoder",
        retry_seconds: Sequence[float] = RETRY_SECONDS,
    ) -> None:
        self._load = load
        self._what = what
        self._retry_seconds = retry_seconds
        self._model: Model | None = None
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._settled = threading.Event()
        self._stopping = threading.Event()
        self.source = source
        """The setting it loads by."""
        self.state = OFF if source == OFF else "loading"
        """`off`, `loading`, `ready`, or `failed: …` with the reason; a failed one is tried again."""

    @property
    def is_off(self) -> bool:
        return self.source == OFF

    def get(self) -> Model | None:
        """The model, once it is there; begins to load it where nobody has."""
        if self._model is None:
            self.start()
        return self._model

    def start(self) -> None:
        """Begin to load; once is enough, more does no harm."""
        if self.is_off:
            return
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"kb-{self._what}", daemon=True)
                self._thread.start()

    def wait(self, seconds: float) -> Model | None:
        """The model, or None when it is off, failed or not there in time: for the command line."""
        self.start()
        if not self.is_off:
            self._settled.wait(seconds)
        return self._model

    def stop(self) -> None:
        """Try no more."""
        self._stopping.set()

    def _run(self) -> None:
        for pause in chain(self._retry_seconds, repeat(self._retry_seconds[-1])) if self._retry_seconds else (0.0,):
            if self._try() or not self._retry_seconds or self._stopping.wait(pause):
                return

    def _try(self) -> bool:
        try:
            self._model = self._load()
        except Exception as error:  # whatever a library raises, search does without
            self.state = f"failed: {error}"
            log.warning(f"{self._what}.failed", reason=str(error)[:300])
            return False
        else:
            self.state = "ready"
            log.info(f"{self._what}.ready", name=self._model.name if self._model else OFF)
            return True
        finally:
            self._settled.set()
