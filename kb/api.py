"""The JSON edge: strict models, one document, one shape of refusal."""

import copy
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Any

from flask import Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field
from spectree import Response as Answers
from spectree import SecurityScheme, SpecTree
from spectree.models import SecureType, SecuritySchemeData
from sqlalchemy.orm import Session
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from kb import idempotency
from kb.access import Permission
from kb.db import writing
from kb.errors import N_, Invalid
from kb.idempotency import Answer, Request
from kb.web import API_PREFIX, Area, actor

VERSION = "v1"
PREFIX = f"{API_PREFIX}{VERSION}"
PROBLEM = "application/problem+json"

area = Area("api", __name__, url_prefix=PREFIX)


class Described(BaseModel):
    """A model that is described once: each route asks for its models and for every refusal, a thousand times at a start.

    Whoever takes the description copies it before changing it, as spectree does.
    """

    @classmethod
    def model_json_schema(cls, *args: Any, **how: Any) -> dict[str, Any]:
        return _description(cls, *args, **how)


@cache
def _description(model: type[Described], *args: Any, **how: Any) -> dict[str, Any]:
    return super(Described, model).model_json_schema(*args, **how)


class Strict(Described):
    """A request body or query: unknown names are refused, nothing is guessed."""

    model_config = ConfigDict(extra="forbid", str_max_length=100_000)


class Shown(Described):
    """Part of an answer."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Problem(Described):
    """RFC 9457, with a stable `code`."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[dict[str, str]] = Field(default_factory=list)


def _refuse_invalid(_request: object, _response: object, error: Any, _instance: object, _adapter: object) -> None:
    if error is None:
        return
    require_json()
    if request.is_json and request.get_json(silent=True) is None and request.get_data(cache=True).strip() != b"null":
        raise BadRequest()
    found = [{"field": ".".join(str(part) for part in one["loc"]), "message": one["msg"]} for one in error.errors()]
    raise Invalid(N_("Some fields are missing or cannot be read."), code="invalid", errors=found)


spec = SpecTree(
    "flask",
    title="Knowledge base",
    version=VERSION,
    openapi_version="3.1.0",
    mode="strict",
    before=_refuse_invalid,
    validation_error_model=Problem,
    annotations=True,
    security_schemes=[SecurityScheme(name="token", data=SecuritySchemeData(type=SecureType.HTTP, scheme="bearer"))],
    security={"token": []},
)


def answers(more: Iterable[int] = (), **models: type[BaseModel]) -> Answers:
    """The models by status (`HTTP_200=…`), with the refusals every route may give, and `more` of them."""
    refusals = {f"HTTP_{status}": Problem for status in (400, 401, 403, 404, 405, 409, 413, 415, 429, 503, *more)}
    return Answers(**{**refusals, **models})


@area.get("/openapi.json", needs=Permission.SEARCH)
def openapi() -> Response:
    return jsonify(document())


def document() -> dict[str, Any]:
    """The OpenAPI document, with refusals as problem documents."""
    made: dict[str, Any] = copy.deepcopy(spec.spec)
    for address, path in made["paths"].items():
        for method, operation in path.items():
            _add_headers(method, address, operation)
            for status, response in operation.get("responses", {}).items():
                if status >= "400" and "application/json" in response.get("content", {}):
                    response["content"][PROBLEM] = response["content"].pop("application/json")
    return made


_headers: dict[tuple[str, str], list[dict[str, Any]]] = {}
_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A word of the caller's: the same request with the same key happens once within 24 hours.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,80}$"},
}


def takes_header(method: str, path: str, name: str, pattern: str, description: str) -> None:
    """Tell the document of a header that a route asks for."""
    found = {"name": name, "in": "header", "required": True, "description": description}
    _headers.setdefault((method, PREFIX + path), []).append(found | {"schema": {"type": "string", "pattern": pattern}})


def _add_headers(method: str, address: str, operation: dict[str, Any]) -> None:
    parameters = operation.setdefault("parameters", [])
    parameters += _headers.get((method, address), [])
    if method != "get":
        parameters.append(_KEY)


Shownable = BaseModel | Mapping[str, object]


def write(
    act: Callable[[Session], Shownable],
    status: int = 200,
    headers: Callable[[Any], Mapping[str, str]] | None = None,
    secrets: Collection[str] = (),
) -> Response:
    """Do a write in one transaction and answer it; once alone, where the request carries an Idempotency-Key.

    `secrets` names fields of the answer that are shown once: they are not kept for the second time.
    """
    require_json()
    key = request.headers.get("Idempotency-Key")

    def acted(session: Session) -> tuple[int, Mapping[str, object]]:
        shown = act(session)
        return status, shown.model_dump(mode="json") if isinstance(shown, BaseModel) else dict(shown)

    with writing() as session:
        if key is None:
            done, body = acted(session)
            answer = Answer(done, json.dumps(body, ensure_ascii=False, separators=(",", ":")))
        else:
            parts = (request.method, request.full_path, request.headers.get("If-Match", ""))
            asked = Request.of(key, *(part.encode() for part in parts), request.get_data())
            answer = idempotency.once(session, actor(), asked, acted, secrets)
    response = Response(answer.body, answer.status, mimetype="application/json")
    if answer.is_replayed:
        response.headers["Idempotent-Replayed"] = "true"
    for name, value in (headers(json.loads(answer.body)) if headers else {}).items():
        response.headers[name] = value
    return response


def require_json() -> None:
    """Refuse a body that is not JSON: a form of another site can send text/plain without being asked."""
    if request.get_data(cache=True) and not request.is_json:
        raise UnsupportedMediaType()
