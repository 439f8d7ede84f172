"""The JSON edge: strict models, one document, one shape of refusal."""

from typing import Any

from flask import Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field
from spectree import Response as Answers
from spectree import SecurityScheme, SpecTree
from spectree.models import SecureType, SecuritySchemeData
from werkzeug.exceptions import UnsupportedMediaType

from kb.access import Permission
from kb.errors import N_, Invalid
from kb.web import API_PREFIX, Area

VERSION = "v1"
PREFIX = f"{API_PREFIX}{VERSION}"
PROBLEM = "application/problem+json"

area = Area("api", __name__, url_prefix=PREFIX)


class Strict(BaseModel):
    """A request body or query: unknown names are refused, nothing is guessed."""

    model_config = ConfigDict(extra="forbid", str_max_length=100_000)


class Shown(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Problem(BaseModel):
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


def answers(**models: type[BaseModel]) -> Answers:
    """The models by status (`HTTP_200=…`), with the refusals every route may give."""
    refusals = {f"HTTP_{status}": Problem for status in (400, 401, 403, 404, 415, 429, 503)}
    return Answers(**{**refusals, **models})


@area.get("/openapi.json", needs=Permission.SEARCH)
def openapi() -> Response:
    return jsonify(document())


def document() -> dict[str, Any]:
    """The OpenAPI document, with refusals as problem documents."""
    made: dict[str, Any] = spec.spec
    for path in made["paths"].values():
        for operation in path.values():
            for status, response in operation.get("responses", {}).items():
                if status >= "400" and "application/json" in response.get("content", {}):
                    response["content"][PROBLEM] = response["content"].pop("application/json")
    return made


def require_json() -> None:
    """Refuse a body that is not JSON: a form of another site can send text/plain without being asked."""
    if not request.is_json:
        raise UnsupportedMediaType()
