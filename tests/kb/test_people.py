"""People for administrators: who may do what, leaving at once, no lock-out of the last one, nothing for anybody else."""

import json

import pytest
from click.testing import CliRunner

from kb import audit, cli, people, sessions, tokens, users
from kb.access import SYSTEM, Role, Tier
from kb.errors import Conflict, Forbidden, Invalid, NotFound
from kb.users import User
from tests.conftest import SignIn
from tests.factories import PASSWORD, Make

FIELDS = {"role": "rep", "clearance": "internal"}


def test_a_new_person_signs_in_with_the_password_that_is_shown_once(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user(Role.ADMIN))
    form = {"email": "New@yunshu.example", "name": "New One", "role": ["rep", "reviewer"], "party": "legal"}
    page = browser.post("/people", data={**form, "clearance": "restricted", "new_team": "north"})
    assert page.status_code == 200
    password = page.text.split('<div class="secret"><code>')[1].split("<")[0]
    with make.service.database.reading() as db:
        user = users.find_by_email(db, "new@yunshu.example")
        assert user is not None
        assert users.verify_password(user, password)
        line = people.get(db, SYSTEM, user.public_id).line
    assert (line.roles, line.parties, line.clearance, line.teams) == (
        (Role.REP, Role.REVIEWER),
        ("legal",),
        Tier.RESTRICTED,
        ("north",),
    )
    again = browser.post("/people", data=form)
    assert (again.status_code, 'value="New One"' in again.text) == (422, True)
    assert password not in browser.get(f"/people/{line.public_id}").text


def test_a_change_holds_with_the_next_request_and_is_in_the_trail(make_any: Make) -> None:
    admin, head, person = make_any.user(Role.ADMIN), make_any.user(Role.MANAGER), make_any.user(teams=["east"])
    with make_any.service.database.writing() as db:
        token = sessions.open_for(db, db.get_one(User, person.id))
    with make_any.service.database.writing() as db:
        fields = {"name": "Other", "role": "marketer", "clearance": "public", "manager": head.email}
        people.change(db, make_any.actor(admin), person.public_id, fields)
    with make_any.service.database.writing() as db:
        assert sessions.find(db, token) is None
        line = people.get(db, SYSTEM, person.public_id).line
        assert (line.name, line.roles, line.teams, line.manager) == ("Other", (Role.MARKETER,), (), head.email)
        people.change(db, make_any.actor(admin), person.public_id, {**fields, "manager": ""})
        assert people.get(db, SYSTEM, person.public_id).line.manager == ""
    with make_any.service.database.reading() as db:
        assert audit.verify(db).intact
        changes = [one.action for one in db.query(audit.AuditEntry).all() if one.action == "user.change"]
    assert len(changes) == 2


def test_who_leaves_is_out_at_once_and_comes_back_without_tokens(make_any: Make) -> None:
    admin, person = make_any.user(Role.ADMIN), make_any.user()
    make_any.password(person)
    with make_any.service.database.writing() as db:
        user = db.get_one(User, person.id)
        session, token = sessions.open_for(db, user), tokens.create(db, SYSTEM, user, "feed")
    with make_any.service.database.writing() as db:
        assert len(people.get(db, SYSTEM, person.public_id).tokens) == 1
        people.deactivate(db, make_any.actor(admin), person.public_id, "Left on Friday.")
    with make_any.service.database.writing() as db:
        assert (sessions.find(db, session), tokens.find(db, token)) == (None, None)
        assert not users.verify_password(users.find(db, person.id), PASSWORD)
        with pytest.raises(Conflict):
            people.deactivate(db, make_any.actor(admin), person.public_id, "")
        people.reactivate(db, make_any.actor(admin), person.public_id)
    with make_any.service.database.reading() as db:
        assert (sessions.find(db, session), tokens.find(db, token)) == (None, None)
        assert users.verify_password(users.find(db, person.id), PASSWORD)


def test_nobody_locks_themselves_or_everybody_out(make: Make) -> None:
    admin, other = make.user(Role.ADMIN), make.user(Role.ADMIN)
    with make.service.database.writing() as db:
        for act in (
            lambda: people.deactivate(db, make.actor(admin), admin.public_id, ""),
            lambda: people.change(db, make.actor(admin), admin.public_id, FIELDS),
        ):
            with pytest.raises(people.Yourself):
                act()
        people.deactivate(db, SYSTEM, other.public_id, "")
        for last in (
            lambda: people.deactivate(db, SYSTEM, admin.public_id, ""),
            lambda: people.change(db, SYSTEM, admin.public_id, FIELDS),
        ):
            with pytest.raises(people.LastAdmin):
                last()


def test_a_new_password_and_signing_out(make: Make, sign_in: SignIn) -> None:
    admin, person = make.user(Role.ADMIN), make.user()
    make.password(person)
    browser, theirs = sign_in(admin), sign_in(person)
    assert theirs.get("/account/").status_code == 200
    browser.post(f"/people/{person.public_id}/sign-out")
    assert theirs.get("/account/").status_code == 302
    page = browser.post(f"/people/{person.public_id}/password").text
    made = page.split('<div class="secret"><code>')[1].split("<")[0]
    with make.service.database.reading() as db:
        user = users.find(db, person.id)
        assert users.verify_password(user, made)
        assert not users.verify_password(user, PASSWORD)


def test_everybody_sees_and_ends_their_own_sessions(make: Make, sign_in: SignIn) -> None:
    person = make.user()
    first, second = sign_in(person), sign_in(person)
    assert first.get("/account/").text.count("an unknown browser") == 2
    first.post("/account/sessions/end")
    assert first.get("/account/").text.count("an unknown browser") == 1
    assert second.get("/account/").status_code == 302


def test_the_list_is_searched(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user(Role.ADMIN))
    rep, gone = make.user(), make.user(Role.MARKETER)
    with make.service.database.writing() as db:
        people.deactivate(db, SYSTEM, gone.public_id, "")
    page = browser.get("/people").text
    assert (rep.email in page, gone.email in page) == (True, False)
    assert gone.email in browser.get("/people?left=1").text
    assert rep.email in browser.get(f"/people?q={rep.email[:8]}&role=rep").text
    assert "Nobody of that kind" in browser.get("/people?q=zzzz").text


def test_a_team_keeps_its_name_whatever_stands_in_it(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user(Role.ADMIN))
    person = make.user(teams=["a, b"])
    form = {"name": "Same", "role": "rep", "clearance": "internal", "team": ["a, b"], "new_team": "华东；一组"}
    browser.post(f"/people/{person.public_id}", data=form)
    with make.service.database.reading() as db:
        assert people.get(db, SYSTEM, person.public_id).line.teams == ("a, b", "华东；一组")
    long = browser.post(f"/people/{person.public_id}", data={**form, "new_team": "x" * 81})
    assert (long.status_code, 'value="a, b" checked' in long.text) == (422, True)


def test_others_learn_nothing(make: Make, sign_in: SignIn) -> None:
    person = make.user()
    for role in set(Role) - {Role.ADMIN}:
        browser, actor = sign_in(make.user(role)), make.actor(make.user(role))
        assert browser.get("/people").status_code == 403
        assert browser.post(f"/people/{person.public_id}/deactivate").status_code == 403
        assert browser.get(f"/api/v1/people/{person.public_id}").status_code == 403
        with pytest.raises(Forbidden), make.service.database.writing() as db:
            people.deactivate(db, actor, person.public_id, "")
    admin = sign_in(make.user(Role.ADMIN))
    assert admin.get("/people/nobody").status_code == 404
    wrong = admin.post(
        f"/people/{person.public_id}",
        data={"role": "rep", "clearance": "internal", "manager": "nobody@yunshu.example", "name": "Kept"},
    )
    assert (wrong.status_code, 'value="Kept"' in wrong.text) == (422, True)
    with pytest.raises(NotFound), make.service.database.writing() as db:
        people.reactivate(db, SYSTEM, "nobody")
    with pytest.raises(Invalid), make.service.database.writing() as db:
        people.add(db, SYSTEM, {**FIELDS, "email": "no address"})


def test_programs_look_after_people(make: Make, sign_in: SignIn) -> None:
    browser = sign_in(make.user(Role.ADMIN))
    body = {"roles": ["rep"], "teams": ["east"], "name": "By Program"}
    made = browser.post("/api/v1/people", json={**body, "email": "program@yunshu.example"})
    assert (made.status_code, len(made.json["password"]) > 10) == (201, True)
    person = made.json["id"]
    assert browser.post("/api/v1/people", json={**body, "email": "program@yunshu.example"}).status_code == 409
    changed = browser.put(f"/api/v1/people/{person}", json={"roles": ["marketer"], "clearance": "restricted"})
    assert (changed.json["roles"], changed.json["teams"], changed.json["name"]) == (["marketer"], [], "By Program")
    assert browser.post(f"/api/v1/people/{person}/deactivate", json={}).json["active"] is False
    assert [one["id"] for one in browser.get("/api/v1/people?active=false").json["items"]] == [person]
    assert browser.post(f"/api/v1/people/{person}/reactivate").json["active"] is True
    assert "password" not in browser.get(f"/api/v1/people/{person}").json


def test_by_command(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(make.service.settings.data_dir))
    monkeypatch.setenv("KB_ENCODER", "off")
    person = make.user()

    def kb(*words: str) -> str:
        got = CliRunner().invoke(cli.cli, ["user", *words])
        assert got.exception is None, str(got.exception)
        return got.stdout

    assert person.email in kb("list")
    kb("deactivate", person.email, "--reason", "Left.")
    assert person.email not in kb("list")
    assert [one["email"] for one in json.loads(kb("list", "--left", "--json"))] == [person.email]
    kb("reactivate", person.email)
    assert person.email in kb("list")


def test_whatever_a_browser_calls_itself_it_signs_in(make_any: Make) -> None:
    person = make_any.user()
    with make_any.service.database.writing() as db:
        sessions.open_for(db, db.get_one(User, person.id), "odd\x00 " + "x" * 400, "h" * 200)
    with make_any.service.database.reading() as db:
        (line,) = people.get(db, SYSTEM, person.public_id).sessions
    assert (line.agent[:4], len(line.agent), len(line.host)) == ("odd ", 200, 64)
