"""People for administrators: the list, one person, a new one; leaving, coming back, a new password, signing out."""

from collections.abc import Mapping
from typing import Any

from flask import redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as AnyResponse

from kb import people
from kb.access import Party, Permission, Role, Tier
from kb.db import reading, writing
from kb.errors import Conflict, Invalid, NotFound
from kb.web import Area, actor, done

area = Area("people", __name__, url_prefix="/people")


@area.get("", needs=Permission.ADMINISTER)
def listed() -> str:
    words, word = request.args.get("q", "").strip()[:120], request.args.get("role", "")
    role = Role(word) if word in set(Role) else None
    active, services = request.args.get("left") != "1", request.args.get("programs") == "1"
    offset = min(max(0, request.args.get("offset", 0, type=int)), 1_000_000)
    with reading() as db:
        found = people.list_people(db, actor(), words, role, active=active, services=services, offset=offset)
    kept: dict[str, Any] = {"q": words or None, "role": role.value if role else None, "left": None if active else 1}
    kept |= {"programs": 1} if services else {}
    links = {
        "previous": url_for("people.listed", offset=max(0, offset - people.PAGE), **kept) if offset else "",
        "next": url_for("people.listed", offset=offset + people.PAGE, **kept)
        if offset + people.PAGE < found.total
        else "",
    }
    return render_template(
        "people/list.html",
        page=found,
        words=words,
        role=role,
        active=active,
        services=services,
        roles=list(Role),
        links=links,
    )


@area.get("/new", needs=Permission.ADMINISTER)
def new() -> str:
    return _form("people/new.html", is_service=request.args.get("program") == "1")


def _form(template: str, wrong: str = "", given: Mapping[str, object] | None = None, **more: object) -> str:
    with reading() as db:
        teams = people.list_teams(db)
    return render_template(
        template,
        wrong=wrong,
        given=given or {},
        roles=list(Role),
        parties=list(Party),
        tiers=list(Tier),
        all_teams=teams,
        **more,
    )


def _filled() -> dict[str, str]:
    """The form as words, as a table of people has them."""
    return {
        "email": request.form.get("email", "")[:254],
        "name": request.form.get("name", "")[:400],
        "role": ",".join(request.form.getlist("role")),
        "party": ",".join(request.form.getlist("party")),
        "clearance": request.form.get("clearance", ""),
        "language": request.form.get("language", ""),
        "manager": request.form.get("manager", "")[:254],
    }


def _teams() -> list[str]:
    return [*request.form.getlist("team"), request.form.get("new_team", "")]


@area.post("", needs=Permission.ADMINISTER)
def add() -> AnyResponse | tuple[str, int] | str:
    fields, is_service = _filled(), request.form.get("program") == "1"
    try:
        with writing() as db:
            if is_service:
                public_id, password = people.add_service(db, actor(), fields, _teams()), ""
            else:
                public_id, password = people.add(db, actor(), fields, _teams())
    except (Invalid, Conflict, NotFound) as refused:
        given = {**fields, "teams": _teams()}
        return _form("people/new.html", gettext(refused.text), given, is_service=is_service), 422
    return _page(public_id, password=password)


@area.get("/<public_id>", needs=Permission.ADMINISTER)
def page(public_id: str) -> str:
    return _page(public_id)


def _page(public_id: str, wrong: str = "", given: Mapping[str, object] | None = None, **fresh: str) -> str:
    """`fresh` is what is shown this once: a password, a token."""
    with reading() as db:
        found = people.get(db, actor(), public_id)
    return _form("people/person.html", wrong, given, page=found, scopes=[one.value for one in Permission], **fresh)


@area.post("/<public_id>", needs=Permission.ADMINISTER)
def change(public_id: str) -> AnyResponse | tuple[str, int]:
    fields = _filled()
    try:
        with writing() as db:
            people.change(db, actor(), public_id, fields, _teams())
    except (Invalid, Conflict) as refused:
        return _page(public_id, gettext(refused.text), {**fields, "teams": _teams()}), refused.status
    except NotFound as refused:
        if refused.code != "unknown_user":
            raise
        return _page(
            public_id, gettext("There is nobody of the manager's address."), {**fields, "teams": _teams()}
        ), 422
    done(gettext("Saved. It holds with the person's next request."))
    return redirect(url_for("people.page", public_id=public_id))


@area.post("/<public_id>/deactivate", needs=Permission.ADMINISTER)
def deactivate(public_id: str) -> AnyResponse | tuple[str, int]:
    try:
        with writing() as db:
            people.deactivate(db, actor(), public_id, request.form.get("reason", ""))
    except Conflict as refused:
        return _page(public_id, gettext(refused.text)), refused.status
    done(gettext("Signed out everywhere. What this person wrote stays."))
    return redirect(url_for("people.page", public_id=public_id))


@area.post("/<public_id>/reactivate", needs=Permission.ADMINISTER)
def reactivate(public_id: str) -> AnyResponse | tuple[str, int]:
    try:
        with writing() as db:
            people.reactivate(db, actor(), public_id)
    except Conflict as refused:
        return _page(public_id, gettext(refused.text)), refused.status
    done(gettext("This person may sign in again."))
    return redirect(url_for("people.page", public_id=public_id))


@area.post("/<public_id>/password", needs=Permission.ADMINISTER)
def password(public_id: str) -> str | tuple[str, int]:
    try:
        with writing() as db:
            made = people.new_password(db, actor(), public_id)
    except Conflict as refused:
        return _page(public_id, gettext(refused.text)), refused.status
    return _page(public_id, password=made)


@area.post("/<public_id>/tokens", needs=Permission.ADMINISTER)
def add_token(public_id: str) -> str | tuple[str, int]:
    """A token for a program; it is shown this once."""
    days = request.form.get("days", "")
    try:
        with writing() as db:
            made = people.add_token(
                db,
                actor(),
                public_id,
                request.form.get("name", "")[:400],
                request.form.getlist("scope"),
                int(days) if days.isdecimal() and len(days) < 5 else 0,
            )
    except (Invalid, Conflict) as refused:
        return _page(public_id, gettext(refused.text)), 422
    return _page(public_id, token=made)


@area.post("/<public_id>/tokens/<token_id>/revoke", needs=Permission.ADMINISTER)
def revoke_token(public_id: str, token_id: str) -> AnyResponse:
    with writing() as db:
        people.revoke_token(db, actor(), public_id, token_id)
    done(gettext("Revoked: it is refused from now on."))
    return redirect(url_for("people.page", public_id=public_id))


@area.post("/<public_id>/sign-out", needs=Permission.ADMINISTER)
def sign_out(public_id: str) -> AnyResponse:
    with writing() as db:
        people.sign_out(db, actor(), public_id)
    done(gettext("Signed out everywhere. Tokens of programs stay."))
    return redirect(url_for("people.page", public_id=public_id))


@area.post("/<public_id>/second-factor", needs=Permission.ADMINISTER)
def reset_second_factor(public_id: str) -> AnyResponse | tuple[str, int]:
    try:
        with writing() as db:
            people.reset_second_factor(db, actor(), public_id)
    except Conflict as refused:
        return _page(public_id, gettext(refused.text)), refused.status
    done(gettext("The password alone lets this person in now."))
    return redirect(url_for("people.page", public_id=public_id))


@area.post("/<public_id>/unlink", needs=Permission.ADMINISTER)
def unlink(public_id: str) -> AnyResponse | tuple[str, int]:
    try:
        with writing() as db:
            people.unlink(db, actor(), public_id)
    except Conflict as refused:
        return _page(public_id, gettext(refused.text)), refused.status
    done(gettext("Taken apart. Who comes by single sign-on next with this address is tied to it anew."))
    return redirect(url_for("people.page", public_id=public_id))
