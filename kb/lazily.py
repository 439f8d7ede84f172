"""Libraries that take long to load and few processes need: they are loaded when somebody asks them for something."""

from importlib import import_module
from typing import Any


class Lazily:
    """A module under its name, loaded with the first look at what is in it; any thread may be the first."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
