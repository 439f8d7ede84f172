"""Success stories and answers from the field: the short form, and what became of what one sent."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from flask import Response, redirect, render_template, request
from flask_babel import gettext
from pydantic import Field
from werkzeug.wrappers import Response as AnyResponse

from content import dealing, service, stories
from content.stories import Story, StoryKind
from kb.access import Permission
from kb.api import PREFIX, Shown, Strict, answers, spec, write
from kb.db import reading as reading_session
from kb.db import writing
from kb.errors import Invalid
from kb.web import Area, actor, done

area = Area("stories", __name__)
api = Area("stories_api", __name__, url_prefix=PREFIX)

Part = Annotated[str, Field(max_length=stories.LONGEST)]


class StoryBody(Strict):
    """Of an answer, `first` is the question, `second` the answer and `third` where it is from."""

    kind: Literal["success", "faq"]
    title: Annotated[str, Field(min_length=1, max_length=300)]
    first: Part
    second: Part
    third: Part = ""
    quote: Part = ""
    may_name: bool = False
    deal: Annotated[str, Field(max_length=120)] = ""


class StoryShown(Shown):
    id: str
    state: str


@area.get("/stories", needs=Permission.USE)
def page() -> str:
    dealing.chosen()
    return _page(request.args.get("kind", ""), {})


def _page(word: str, typed: Mapping[str, str], wrong: str = "") -> str:
    with reading_session() as db:
        own = stories.list_own(db, actor())
    kind = StoryKind(word) if word in set(StoryKind) else StoryKind.SUCCESS
    return render_template(
        "content/stories.html", kind=kind, typed=typed, own=own, wrong=[("title", wrong)] if wrong else ()
    )


@area.post("/stories", needs=Permission.USE)
def submit() -> AnyResponse | tuple[str, int]:
    form = request.form
    word = form.get("kind", "")
    title, first, second, third, quote = (
        form.get(name, "").replace("\r\n", "\n") for name in ("title", "first", "second", "third", "quote")
    )
    kind = StoryKind(word) if word in set(StoryKind) else StoryKind.SUCCESS
    story = Story(kind, title, first, second, third, quote, form.get("may_name") == "1")
    deal = dealing.chosen() if form.get("with_deal") == "1" else None
    try:
        stories.check(story)
        rendered = service.render(stories.text_of(story))
        with writing() as db:
            stories.submit(db, actor(), story, rendered, deal)
    except Invalid as refused:
        return _page(word, form, gettext(refused.text)), 422
    done(gettext("Thank you. Marketing has it as a draft, with your name."))
    return redirect(dealing.link("stories.page", kind=story.kind.value))


@api.post("/stories", needs=Permission.USE)
@spec.validate(resp=answers(HTTP_201=StoryShown), tags=["stories"])
def send(json: StoryBody) -> Response:
    """A success story or an answer from the field, as a credited draft in the library's queue."""
    story = Story(StoryKind(json.kind), json.title, json.first, json.second, json.third, json.quote, json.may_name)
    stories.check(story)
    rendered = service.render(stories.text_of(story))
    deal = dealing.named(json.deal)

    def act(db: Any) -> StoryShown:
        return StoryShown(id=stories.submit(db, actor(), story, rendered, deal).public_id, state="draft")

    return write(act, 201)
