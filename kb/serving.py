"""Serves the application: one process, or several on one inherited socket with the worker beside them."""

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from types import FrameType

import structlog
import waitress
from flask import Flask
from threadpoolctl import threadpool_limits

from kb.config import LOOPBACK, Settings
from kb.errors import WrongSettings

THREADS = 8
STOP_SECONDS = 10
SOCKET_VARIABLE = "INHERITED_SOCKET_OF_KB"  # not KB_…: those are settings, and an unknown one is refused

log = structlog.get_logger(__name__)


def check_address(settings: Settings, host: str) -> None:
    """Refuse to listen beyond this machine without an address people type, since cookies and links depend on it."""
    if host not in LOOPBACK and not settings.base_url:
        raise WrongSettings(
            f"Listening on {host} needs KB_BASE_URL, the address people type, such as https://kb.company.example"
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; a clear message where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WrongSettings(
            f"Port {port} on {host} is not free ({error.strerror}): choose another with --port"
        ) from None
    listener.listen(256)
    return listener


def serve(app: Flask, settings: Settings, listener: socket.socket, on_stop: Callable[[], None] = lambda: None) -> None:
    """Answer until SIGTERM or SIGINT; requests under way are finished first."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    _share_the_machine()
    server = waitress.create_server(
        app,
        sockets=[listener],
        threads=THREADS,
        ident=None,
        channel_timeout=60,
        cleanup_interval=10,
        connection_limit=1000,
        max_request_body_size=settings.max_upload_mb * 1024 * 1024 + 65_536,
        clear_untrusted_proxy_headers=True,
    )
    try:
        server.run()
    finally:
        server.task_dispatcher.shutdown(cancel_pending=False, timeout=STOP_SECONDS)
        server.close()
        on_stop()


def _share_the_machine() -> None:
    """Settings of a process that answers many at once, each request on one core.

    What the program itself consists of is never garbage. A product of vectors on all cores waits for those that encode
    and count words meanwhile.
    """
    gc.collect()
    gc.freeze()
    threadpool_limits(limits=1, user_api="blas")


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def serve_many(listener: socket.socket, count: int, arguments: list[str]) -> int:
    """Run `count` web processes and one worker; a process that dies is started again, SIGTERM ends all."""
    stop = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda _signal, _frame: stop.set())
    environment = {**os.environ, SOCKET_VARIABLE: str(listener.fileno())}
    commands = [[*arguments, "serve", "--inherited"]] * count + [[*arguments, "worker"]]
    running = [_start(command, environment, listener) for command in commands]
    while not stop.wait(0.5):
        for number, process in enumerate(running):
            if process.poll() is not None:
                log.warning("serve.process_ended", code=process.returncode)
                running[number] = _start(commands[number], environment, listener)
    for process in running:
        process.terminate()
    return max(_wait(process) for process in running)


def _start(command: list[str], environment: dict[str, str], listener: socket.socket) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()])  # noqa: S603  # our own command


def _wait(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(timeout=STOP_SECONDS + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        return 1


def inherited() -> socket.socket | None:
    """The socket a parent handed over, if one did."""
    number = os.environ.get(SOCKET_VARIABLE)
    return socket.socket(fileno=int(number)) if number else None


def own_command() -> list[str]:
    return [sys.executable, "-m", "kb.cli"]


def until_stopped(run: Callable[[], None], stop: Callable[[], None]) -> None:
    """Run in this thread until SIGTERM or SIGINT asks to stop."""
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda _signal, _frame: stop())
    run()
