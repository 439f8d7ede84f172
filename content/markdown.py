"""Text → safe HTML, plain text and sections; the work is done by a caged child process (see markdown_child.py)."""

import atexit
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

RENDERER = "1"
MAX_BYTES = 1_000_000

START_SECONDS = 15.0
TURN_SECONDS = 20.0
LENGTH_BYTES = 4
CHILD = Path(__file__).with_name("markdown_child.py")
KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT")

log = logging.getLogger(__name__)


class Reason(StrEnum):
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    TOO_DEEP = "too_deep"
    FAILED = "failed"


class CannotRender(Exception):
    """The text cannot be displayed; its source stays readable and editable."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the document (not one inside a quote or list) and what follows it up to the next."""

    anchor: str
    level: int
    title: str
    html: str
    plain: str


@dataclass(frozen=True, slots=True)
class Rendering:
    """Clean HTML whose headings carry the sections' anchors as id, and the same as plain text."""

    html: str
    plain: str
    sections: tuple[Section, ...]


def render(text: str, *, timeout: float = 2.0) -> Rendering:
    """Render in the warm child, which is killed and replaced when it takes longer than `timeout` seconds."""
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise CannotRender(Reason.TOO_LARGE)
    answer = json.loads(_cage.ask(json.dumps({"text": text, "seconds": timeout}).encode("ascii"), timeout))
    if "reason" in answer:
        log.warning("text not rendered: %s (%s)", answer["reason"], answer.get("cause", ""))
        raise CannotRender(Reason(answer["reason"]))
    return _rendering(answer)


def close() -> None:
    """End the child, if there is one; the next rendering starts another."""
    _cage.close()


def _rendering(answer: dict[str, Any]) -> Rendering:
    sections = tuple(Section(**section) for section in answer["sections"])
    return Rendering(html=answer["html"], plain=answer["plain"], sections=sections)


class _Child:
    """One child process; frames are a length and that many bytes of JSON."""

    def __init__(self) -> None:
        # The bare environment keeps our secrets from the child; -I keeps content/ off its path,
        # where this very file would hide the library of the same name.
        self.process = subprocess.Popen(  # noqa: S603  # our own file, no shell
            [sys.executable, "-I", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd="/",
            env={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ},
            start_new_session=True,
        )
        self._pipes = [pipe for pipe in (self.process.stdin, self.process.stdout) if pipe]
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)

    def ask(self, question: bytes, deadline: float) -> bytes:
        """Send a frame and return the answer; TimeoutError, or EOFError and OSError of a dead child."""
        self._send(len(question).to_bytes(LENGTH_BYTES, "big") + question, deadline)
        return self.receive(deadline)

    def receive(self, deadline: float) -> bytes:
        length = int.from_bytes(self._read(LENGTH_BYTES, deadline), "big")
        return self._read(length, deadline)

    def end(self) -> int:
        """Kill, reap and return the exit status."""
        self.process.kill()
        self._close_pipes()
        return self.process.wait()

    def disown(self) -> None:
        """Forget a child that belongs to the process we were forked from."""
        self._close_pipes()
        self.process.returncode = 0  # or its finalizer waits for a process that is not ours

    def _close_pipes(self) -> None:
        for pipe in self._pipes:
            pipe.close()

    def _send(self, frame: bytes, deadline: float) -> None:
        fd = self._pipes[0].fileno()
        rest = memoryview(frame)
        while rest:
            _await(fd, select.POLLOUT, deadline)
            rest = rest[os.write(fd, rest) :]

    def _read(self, length: int, deadline: float) -> bytes:
        fd = self._pipes[1].fileno()
        got = bytearray()
        while len(got) < length:
            _await(fd, select.POLLIN, deadline)
            chunk = os.read(fd, length - len(got))
            if not chunk:
                raise EOFError
            got += chunk
        return bytes(got)


def _await(fd: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(fd, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


class _Cage:
    """Holds the one child of this process; its threads take turns."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._child: _Child | None = None

    def ask(self, question: bytes, timeout: float) -> bytes:
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise CannotRender(Reason.TOO_SLOW)
        try:
            return self._ask(question, timeout)
        except BaseException:
            self._drop()  # a half-read answer must not become the next text's
            raise
        finally:
            self._turn.release()

    def close(self) -> None:
        with self._turn:
            self._drop()

    def forget(self) -> None:
        """After a fork: the lock may be held by a thread that is gone, the child is the parent's."""
        self._turn = threading.Lock()
        child, self._child = self._child, None
        if child is not None:
            child.disown()

    def _ask(self, question: bytes, timeout: float) -> bytes:
        warm = self._child is not None
        child = self._child or self._start()
        try:
            return child.ask(question, time.monotonic() + timeout)
        except TimeoutError:
            raise CannotRender(Reason.TOO_SLOW) from None
        except (EOFError, OSError) as error:
            status = self._drop()
            if status == -signal.SIGXCPU:
                raise CannotRender(Reason.TOO_SLOW) from None
            if warm:  # it may have died of something else; a fresh one dies of this text
                return self._ask(question, timeout)
            log.error("render child ended with status %s: %r", status, error)
            raise CannotRender(Reason.FAILED) from None

    def _start(self) -> _Child:
        try:
            child = self._child = _Child()
            child.receive(time.monotonic() + START_SECONDS)
        except (EOFError, OSError) as error:
            log.error("render child does not start: %r", error)
            raise CannotRender(Reason.FAILED) from None
        return child

    def _drop(self) -> int | None:
        child, self._child = self._child, None
        return None if child is None else child.end()


_cage = _Cage()
os.register_at_fork(after_in_child=_cage.forget)
atexit.register(close)
