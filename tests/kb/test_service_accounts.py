"""Accounts of programs: tokens and nothing else, made by administrators, never owners, reviewers or senders."""

import json

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from content import bulk, sharing
from content.kinds import Handling
from content.sharing import Kind, Wanted
from kb import access, cli, people, tokens, users
from kb.access import Role, Tier
from kb.errors import Conflict, Invalid
from kb.idempotency import KeptAnswer
from kb.users import User
from tests.conftest import ORIGIN, SECRET, SignIn
from tests.factories import Make


def program(make: Make, name: str = "CRM sync", role: str = "rep", clearance: str = "internal") -> tuple[str, str]:
    """Id of a new account, and a token of it."""
    admin = make.actor(make.user(Role.ADMIN))
    with make.service.database.writing() as db:
        made = people.add_service(db, admin, {"name": name, "role": role, "clearance": clearance})
        return made, people.add_token(db, admin, made, "first", ["search", "use"], 30)


def call(app: Flask, token: str, path: str) -> int:
    return app.test_client().get(path, base_url=ORIGIN, headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_program_reads_what_its_role_and_clearance_show_and_signs_in_nowhere(make: Make, app: Flask) -> None:
    seen, above = make.asset("Seen"), make.asset("Above", tier=Tier.CONFIDENTIAL)
    public_id, token = program(make)
    assert call(app, token, f"/api/v1/assets/{seen.public_id}") == 200
    assert call(app, token, f"/api/v1/assets/{above.public_id}") == 404
    assert call(app, token, "/account/") == 302, "pages take no token"
    assert call(app, token, "/api/v1/people") == 403
    with make.service.database.writing() as db:
        user = users.get_by_email(db, "crm-sync@service")
        assert user.public_id == public_id
        assert user.is_service
        assert not users.verify_password(user, "")
        with pytest.raises(Conflict):
            people.new_password(db, access.operator(), public_id)


def test_it_is_no_owner_no_reviewer_no_sender_and_nobodys_administrator(make: Make) -> None:
    public_id, _ = program(make, role="admin")
    asset, database = make.asset("Seen", handling=Handling.PUBLIC), make.service.database
    with database.reading() as db:
        robot = users.get_by_email(db, "crm-sync@service")
        actor = users.actor_of(robot)
        assert robot.id not in users.with_roles(db, Role.ADMIN)
        assert users.find_person(db, robot.email) is None
    for fields in ({"role": "reviewer", "party": "legal"}, {"role": "rep", "party": "legal"}):
        with pytest.raises(Invalid), database.writing() as db:
            people.change(db, access.operator(), public_id, fields)
        with pytest.raises(Invalid), database.writing() as db:
            people.add_service(db, access.operator(), {"name": "Other", **fields})
    with pytest.raises(Invalid), database.writing() as db:
        sharing.create(db, actor, None, asset.public_id, Wanted(Kind.OPEN), SECRET)
    change = bulk.Change(bulk.Act.ADD_OWNER, email=robot.email)
    with pytest.raises(Invalid), database.writing() as db:
        bulk.apply(db, access.operator(), [asset.public_id], change, "en")


def test_people_make_their_own_tokens_and_administrators_end_them(make: Make, sign_in: SignIn, app: Flask) -> None:
    rep, admin = make.user(), make.user(Role.ADMIN)
    with make.service.database.writing() as db:
        token = tokens.create(db, make.actor(rep), db.get_one(User, rep.id), "mine", ["search"])
    desk = sign_in(admin)
    refused = desk.post(f"/api/v1/people/{rep.public_id}/tokens", json={"name": "theirs"})
    assert refused.status_code == 404
    (line,) = desk.get(f"/api/v1/people/{rep.public_id}/tokens").json["items"]  # type: ignore[index]
    assert (line["name"], line["scopes"]) == ("mine", ["search"])
    assert token not in desk.get(f"/people/{rep.public_id}").text
    assert desk.delete(f"/api/v1/people/{rep.public_id}/tokens/{line['id']}").status_code == 200
    assert call(app, token, "/api/v1/search?q=x") == 401
    stranger = sign_in(make.user())
    for path in (f"/api/v1/people/{rep.public_id}/tokens",):
        assert stranger.get(path).status_code == 403


def test_an_administrator_makes_one_on_the_page(make: Make, sign_in: SignIn, app: Flask) -> None:
    desk = sign_in(make.user(Role.ADMIN))
    assert 'name="email"' not in desk.get("/people/new?program=1").text
    wrong = desk.post("/people", data={"program": "1", "name": " ", "role": "rep"})
    assert wrong.status_code == 422
    made = desk.post("/people", data={"program": "1", "name": "仓库小组件", "role": "rep", "clearance": "internal"})
    assert made.status_code == 200
    assert "仓库小组件" in desk.get("/people?programs=1").text
    assert "仓库小组件" not in desk.get("/people").text
    listed = desk.get("/api/v1/people?services=true").json
    assert listed is not None
    (one,) = listed["items"]
    assert one["service"] is True
    page = desk.post(f"/people/{one['id']}/tokens", data={"name": "wall", "scope": ["search"], "days": "9"})
    token = page.text.partition("<code>kb_")[2].partition("</code>")[0]
    assert call(app, f"kb_{token}", "/api/v1/search?q=x") == 200
    assert f"kb_{token}" not in desk.get(f"/people/{one['id']}").text, "shown once"
    assert desk.post(f"/people/{one['id']}/tokens", data={"name": "wall", "days": "900"}).status_code == 422
    assert desk.post(f"/people/{one['id']}/deactivate").status_code == 302
    assert call(app, f"kb_{token}", "/api/v1/search?q=x") == 401
    assert desk.post(f"/people/{one['id']}/tokens", data={"name": "wall", "days": "9"}).status_code == 422


def test_by_interface_and_by_command(make: Make, sign_in: SignIn, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = sign_in(make.user(Role.ADMIN))
    made = desk.post("/api/v1/people", json={"name": "Wall", "roles": ["rep"], "service": True})
    assert made.status_code == 201, made.text
    assert made.json is not None
    assert (made.json["email"], made.json["password"]) == ("wall@service", "")
    again = desk.post("/api/v1/people", json={"name": "Wall", "roles": ["rep"], "service": True})
    assert again.status_code == 409
    other = desk.post("/api/v1/people", json={"name": "Wall 二", "roles": ["rep"], "service": True})
    assert other.json["email"] == "wall-2@service"  # type: ignore[index]
    assert desk.delete("/api/v1/people/x/tokens/y").status_code == 404
    token = desk.post(f"/api/v1/people/{made.json['id']}/tokens", json={"name": "x", "days": 3}).json["token"]  # type: ignore[index]
    assert call(app, token, "/api/v1/search?q=x") == 200
    monkeypatch.setenv("KB_DATA_DIR", str(make.service.settings.data_dir))
    runner = CliRunner()
    named = runner.invoke(cli.cli, ["user", "add-program", "Night import", "--role", "marketer"])
    assert named.stdout.strip() == "night-import@service"
    secret = runner.invoke(cli.cli, ["token", "create", "night-import@service", "--days", "2"])
    assert secret.stdout.startswith("kb_")
    found = json.loads(runner.invoke(cli.cli, ["user", "list", "--programs", "--json"]).stdout)
    assert [one["email"] for one in found] == ["night-import@service", "wall@service", "wall-2@service"]


def test_A89_what_is_shown_once_is_kept_nowhere_for_a_second_answer(make: Make, sign_in: SignIn) -> None:
    """An answer that is kept for its Idempotency-Key holds neither password, token nor the address of a link."""
    desk = sign_in(make.user(Role.ADMIN))
    asset = make.asset("Seen", handling=Handling.PUBLIC)
    public_id, _ = program(make)
    writes: list[tuple[str, dict[str, object], str]] = [
        ("/api/v1/people", {"email": "new@yunshu.example", "roles": ["rep"]}, "password"),
        (f"/api/v1/people/{public_id}/tokens", {"name": "x", "days": 3}, "token"),
        (f"/api/v1/assets/{asset.public_id}/shares", {"kind": "open"}, "address"),
    ]
    for number, (path, body, name) in enumerate(writes):
        first, again = (desk.post(path, json=body, headers={"Idempotency-Key": f"k{number}"}) for _ in range(2))
        assert first.status_code == again.status_code == 201, first.text
        assert first.json is not None
        assert again.headers["Idempotent-Replayed"] == "true"
        assert first.json[name]
        assert again.json == first.json | {name: ""}
        with make.service.database.reading() as db:
            assert not any(first.json[name] in kept for kept in db.scalars(select(KeptAnswer.body)))
