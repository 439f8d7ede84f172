"""The bell: what happened that concerns this person."""

from datetime import datetime

from flask import Response, redirect, render_template, url_for
from flask_babel import format_datetime, gettext
from werkzeug.wrappers import Response as AnyResponse

from content import notice_words
from content.notice_words import WITH_DAY, Line
from kb import notices
from kb.access import Permission
from kb.api import PREFIX, Shown, answers, spec, write
from kb.db import reading as reading_session
from kb.db import writing
from kb.web import Area, actor

area = Area("notices", __name__)
api = Area("notices_api", __name__, url_prefix=PREFIX)


class NoticeShown(Shown):
    kind: str
    text: str
    asset: str
    title: str
    at: datetime
    read: bool


class NoticesShown(Shown):
    items: list[NoticeShown]


class ReadShown(Shown):
    read: bool


def sentence(line: Line) -> str:
    """What it says, in the reader's language."""
    day = format_datetime(datetime.fromisoformat(line.about), "yyyy-MM-dd") if line.kind in WITH_DAY else ""
    return str(gettext(line.words, day=day, about=line.about))


@area.get("/notices", needs=Permission.ACCOUNT)
def page() -> str:
    with reading_session() as db:
        lines = notice_words.list_lines(db, actor())
    return render_template("notices/page.html", lines=[(line, sentence(line)) for line in lines])


@area.post("/notices/read", needs=Permission.ACCOUNT)
def read() -> AnyResponse:
    with writing() as db:
        notices.mark_all_read(db, actor())
    return redirect(url_for("notices.page"))


@api.get("/notices", needs=Permission.ACCOUNT)
@spec.validate(resp=answers(HTTP_200=NoticesShown), tags=["notices"])
def listed() -> NoticesShown:
    """The caller's newest notices, unread first."""
    with reading_session() as db:
        lines = notice_words.list_lines(db, actor())
    return NoticesShown(
        items=[
            NoticeShown(
                kind=line.kind,
                text=sentence(line),
                asset=line.asset_id,
                title=line.title,
                at=line.at,
                read=line.is_read,
            )
            for line in lines
        ]
    )


@api.post("/notices/read", needs=Permission.ACCOUNT)
@spec.validate(resp=answers(HTTP_200=ReadShown), tags=["notices"])
def mark_read() -> Response:
    """All of them were seen."""

    def act(db):  # type: ignore[no-untyped-def]
        notices.mark_all_read(db, actor())
        return ReadShown(read=True)

    return write(act)
