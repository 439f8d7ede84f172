"""In the call, for programs that hear it: the last sentences in, at most three passages out."""

from typing import Annotated, Literal

from pydantic import Field

from content import dealing
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec
from kb.web import Area
from search import assist
from search.assist_routes import answer_to

area = Area("assist_api", __name__, url_prefix=PREFIX)


class AssistBody(Strict):
    """`text`: the end of the transcript; nothing of it is kept."""

    text: Annotated[str, Field(max_length=assist.LONGEST)]
    deal: Annotated[str, Field(max_length=dealing.MAX_REFERENCE)] = ""


class PassageShown(Shown):
    """`say` is the section as a copy gives it; empty where the handling forbids copying."""

    id: str
    external_id: str | None
    title: str
    type: str
    language: str
    score: float
    section: str
    anchor: str
    snippet: str
    say: str
    unverified: bool
    handling: str


class AssistShown(Shown):
    """`passages` is empty where nothing is near enough: then say nothing."""

    asked: str
    passages: list[PassageShown]
    took_ms: float
    limited: Literal["lexical_only", "database_only"] | None


@area.post("/assist", needs=Permission.SEARCH)
@spec.validate(resp=answers(HTTP_200=AssistShown), tags=["search"])
def ask(json: AssistBody) -> AssistShown:
    """At most three passages for what was just said, among what the caller may see on the deal."""
    found = answer_to(json.text, json.deal)
    return AssistShown(
        asked=found.asked,
        passages=[
            PassageShown(
                id=hit.asset.public_id,
                external_id=hit.asset.external_id,
                title=hit.asset.title,
                type=hit.asset.type.value,
                language=hit.asset.language,
                score=round(hit.score, 4),
                section=hit.section.title if hit.section else "",
                anchor=hit.section.anchor if hit.section else "",
                snippet=hit.passage.text if hit.passage else "",
                say=hit.section.plain if hit.section and "copy" in hit.asset.acts else "",
                unverified=hit.asset.is_unverified,
                handling=hit.asset.handling.value,
            )
            for hit in found.hits
        ],
        took_ms=round(found.took_ms, 1),
        limited=found.limited,
    )
