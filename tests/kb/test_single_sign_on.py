"""Single sign-on against a real provider process: who gets in, as whom, with which rights, and who does not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from kb import config, doctor, single_sign_on, users
from kb.access import Party, Role, Tier
from kb.app import Service, create_app
from kb.audit import AuditEntry
from kb.config import Settings
from kb.errors import WrongSettings
from kb.sessions import SignedIn
from kb.single_sign_on import Identity
from tests.conftest import ORIGIN, SECRET, Browser, SignIn
from tests.factories import PASSWORD, Make
from tests.kb.providers import CLIENT, RealProvider, real_provider

GROUPS = """
claim: groups
groups:
  sales-east: {roles: [rep], teams: [华东]}
  legal: {roles: [reviewer], parties: [legal], clearance: restricted}
  kb-admins: {roles: [admin], clearance: confidential}
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[RealProvider]:
    with real_provider() as running:
        yield running


def settings_for(service: Service, issuer: str, **more: object) -> Settings:
    return replace(
        service.settings,
        base_url=ORIGIN,
        oidc_issuer=issuer,
        oidc_client_id=CLIENT,
        oidc_client_secret="a secret of the client",
        inside_hosts="127.0.0.1",
        **more,  # type: ignore[arg-type]
    )


def app_for(service: Service, issuer: str, **more: object) -> Flask:
    app = create_app(replace(service, settings=settings_for(service, issuer, **more)))
    app.test_client_class = Browser
    return app


@pytest.fixture
def groups(tmp_path: Path) -> str:
    path = tmp_path / "groups.yaml"
    path.write_text(GROUPS, encoding="utf-8")
    return str(path)


def browser_of(app: Flask) -> Browser:
    browser = app.test_client()
    assert isinstance(browser, Browser)
    return browser


def come(provider: RealProvider, browser: Browser, subject: str, onward: str = "/account/") -> int:
    """Sign in there and come back; the status of the page one lands on."""
    there = browser.get("/sign-in/sso", query_string={"next": onward})
    assert there.status_code == 302, there.text[:500]
    back = provider.sign_in(there.headers["Location"], subject)
    assert back.startswith(f"{ORIGIN}/sign-in/sso/back?")
    landed = browser.get(back.removeprefix(ORIGIN))
    if landed.status_code == 302:
        assert landed.headers["Location"] == onward
        return browser.get(onward).status_code
    return landed.status_code


def rights(service: Service, email: str) -> tuple[set[str], set[str], str]:
    with service.database.reading() as db:
        user = users.get_by_email(db, email)
        return {row.role for row in user.roles}, {row.party for row in user.parties}, user.clearance


def test_a_known_person_gets_in_by_their_checked_address_and_then_by_subject(
    make: Make, service: Service, provider: RealProvider
) -> None:
    user = make.user(Role.MARKETER)
    app = app_for(service, provider.issuer)
    provider.put("sub-1", email=user.email.upper(), email_verified=True, name="Somebody Else")
    assert come(provider, browser_of(app), "sub-1") == 200
    provider.put("sub-1", email="changed@elsewhere.example", email_verified=True)
    browser = browser_of(app)
    assert come(provider, browser, "sub-1") == 200
    assert user.email in browser.get("/account/").text
    with service.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(Identity)) == 1
        begun = db.scalars(select(AuditEntry).where(AuditEntry.action == "session.begin")).all()
        assert [entry.object_id for entry in begun] == [user.public_id, user.public_id]
    assert rights(service, user.email)[0] == {"marketer"}, "without a file of groups, rights stay as they are set here"


def test_who_has_no_account_gets_none_without_groups(service: Service, provider: RealProvider) -> None:
    provider.put("sub-2", email="new@yunshu.example", email_verified=True)
    assert come(provider, browser_of(app_for(service, provider.issuer)), "sub-2") == 403
    with service.database.reading() as db:
        assert users.find_by_email(db, "new@yunshu.example") is None
        assert db.scalar(select(func.count()).select_from(SignedIn)) == 0


def test_groups_make_an_account_and_follow_every_change(
    make: Make, service: Service, provider: RealProvider, groups: str
) -> None:
    make.user(Role.ADMIN)
    app = app_for(service, provider.issuer, oidc_groups=groups)
    claims = {"email": "lan@yunshu.example", "email_verified": True, "name": "蓝 Lan"}
    provider.put("sub-3", **claims, groups=["sales-east", "unknown", 7])
    assert come(provider, browser_of(app), "sub-3") == 200
    assert rights(service, "lan@yunshu.example") == ({"rep"}, set(), "internal")
    provider.put("sub-3", **claims, groups=["sales-east", "legal"])
    assert come(provider, browser_of(app), "sub-3") == 200
    assert rights(service, "lan@yunshu.example") == ({"rep", "reviewer"}, {"legal"}, "restricted")
    provider.put("sub-3", **claims, groups=[])
    assert come(provider, browser_of(app), "sub-3") == 403
    provider.put("sub-3", **claims, groups="legal")
    assert come(provider, browser_of(app), "sub-3") == 200
    assert rights(service, "lan@yunshu.example") == ({"reviewer"}, {"legal"}, "restricted")
    with service.database.reading() as db:
        assert users.get_by_email(db, "lan@yunshu.example").name == "蓝 Lan"


def test_the_last_administrator_stays_one(make: Make, service: Service, provider: RealProvider, groups: str) -> None:
    admin = make.user(Role.ADMIN)
    app = app_for(service, provider.issuer, oidc_groups=groups)
    provider.put("sub-4", email=admin.email, email_verified=True, groups=["sales-east"])
    assert come(provider, browser_of(app), "sub-4") == 200
    assert rights(service, admin.email)[0] == {"rep", "admin"}


def test_A48_a_deactivated_person_does_not_come_back_by_single_sign_on(
    make: Make, service: Service, provider: RealProvider, sign_in: SignIn
) -> None:
    user, admin = make.user(), make.user(Role.ADMIN)
    app = app_for(service, provider.issuer)
    provider.put("sub-5", email=user.email, email_verified=True)
    browser = browser_of(app)
    assert come(provider, browser, "sub-5") == 200
    assert sign_in(admin).post(f"/people/{user.public_id}/deactivate").status_code == 302
    assert browser.get("/account/").status_code == 302, "the open session has ended"
    assert come(provider, browser_of(app), "sub-5") == 403


def test_whoever_says_no_there_is_not_let_in(service: Service, provider: RealProvider) -> None:
    browser = browser_of(app_for(service, provider.issuer))
    there = browser.get("/sign-in/sso")
    back = provider.deny(there.headers["Location"])
    assert browser.get(back.removeprefix(ORIGIN)).status_code in {400, 403}
    assert browser.get("/account/").status_code == 302


def test_A45_one_way_back_is_gone_once(make: Make, service: Service, provider: RealProvider) -> None:
    user = make.user()
    app = app_for(service, provider.issuer)
    provider.put("sub-6", email=user.email, email_verified=True)
    browser, copy = browser_of(app), browser_of(app)
    there = browser.get("/sign-in/sso")
    cookie = browser.get_cookie("__Host-kb", domain="127.0.0.1")
    assert cookie is not None
    copy.set_cookie("__Host-kb", cookie.value, domain="127.0.0.1", secure=True)
    back = provider.sign_in(there.headers["Location"], "sub-6").removeprefix(ORIGIN)
    assert browser.get(back).status_code == 302
    assert copy.get(back).status_code == 403
    assert browser.get(back).status_code == 400, "and it is no longer on its way in this browser"


def test_A58_single_sign_on_gives_a_new_session(make: Make, service: Service, provider: RealProvider) -> None:
    user = make.user()
    provider.put("sub-7", email=user.email, email_verified=True)
    browser = browser_of(app_for(service, provider.issuer))
    browser.get("/sign-in")
    before = browser.get_cookie("__Host-kb", domain="127.0.0.1")
    assert come(provider, browser, "sub-7") == 200
    after = browser.get_cookie("__Host-kb", domain="127.0.0.1")
    assert after is not None
    assert before is None or before.value != after.value


@pytest.mark.parametrize("onward", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"])
def test_A55_the_way_on_is_ours(make: Make, service: Service, provider: RealProvider, onward: str) -> None:
    user = make.user()
    provider.put("sub-8", email=user.email, email_verified=True)
    browser = browser_of(app_for(service, provider.issuer))
    there = browser.get("/sign-in/sso", query_string={"next": onward})
    back = provider.sign_in(there.headers["Location"], "sub-8")
    assert browser.get(back.removeprefix(ORIGIN)).headers["Location"] == "/"


def test_who_is_signed_in_stays_so_whatever_link_they_follow(
    make: Make, service: Service, provider: RealProvider
) -> None:
    user = make.user()
    provider.put("sub-11", email=user.email, email_verified=True)
    browser = browser_of(app_for(service, provider.issuer))
    assert come(provider, browser, "sub-11") == 200
    assert browser.get("/sign-in/sso?next=/browse").headers["Location"] == "/browse"
    assert browser.get("/account/").status_code == 200


def test_passwords_can_be_switched_off(make: Make, service: Service, provider: RealProvider) -> None:
    user = make.user()
    make.password(user)
    app = app_for(service, provider.issuer, local_sign_in=False, oidc_name="Yunshu ID")
    browser = browser_of(app)
    page = browser.get("/sign-in", headers={"Accept-Language": "en"})
    assert 'name="password"' not in page.text
    assert "Sign in with Yunshu ID" in page.text
    refused = browser.post("/sign-in", data={"email": user.email, "password": PASSWORD})
    assert refused.status_code in {400, 403}
    provider.put("sub-9", email=user.email, email_verified=True)
    assert come(provider, browser, "sub-9") == 200
    assert 'autocomplete="new-password"' not in browser.get("/account/").text


def test_it_is_not_there_where_it_is_not_set(service: Service) -> None:
    app = create_app(service)
    app.test_client_class = Browser
    for path in ("/sign-in/sso", "/sign-in/sso/back?code=x&state=y"):
        assert browser_of(app).get(path).status_code == 404
    assert "/sign-in/sso" not in browser_of(app).get("/sign-in").text


def test_an_administrator_takes_it_apart(make: Make, service: Service, provider: RealProvider, sign_in: SignIn) -> None:
    user, admin = make.user(), make.user(Role.ADMIN)
    app = app_for(service, provider.issuer)
    provider.put("sub-10", email=user.email, email_verified=True)
    browser = browser_of(app)
    assert come(provider, browser, "sub-10") == 200
    desk = sign_in(admin)
    assert f"/people/{user.public_id}/unlink" in desk.get(f"/people/{user.public_id}").text
    assert desk.post(f"/people/{user.public_id}/unlink").status_code == 302
    assert browser.get("/account/").status_code == 302
    assert desk.post(f"/people/{user.public_id}/unlink").status_code == 409


def test_the_doctor_asks_the_provider_and_names_admins_without_a_second_factor(
    make: Make, service: Service, provider: RealProvider, monkeypatch: pytest.MonkeyPatch, bare_environment: None
) -> None:
    admin = make.user(Role.ADMIN)
    given = {
        "KB_DATA_DIR": str(service.settings.data_dir), "KB_SECRET_KEY": SECRET, "KB_ENCODER": "off",
        "KB_BASE_URL": ORIGIN, "KB_OIDC_ISSUER": provider.issuer, "KB_OIDC_CLIENT_ID": CLIENT,
        "KB_INSIDE_HOSTS": "127.0.0.1",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = {one.part: one for one in doctor.examine()}
    assert found["sign-on"].ok, found["sign-on"].message
    assert "1 keys" in found["sign-on"].message
    assert found["admins"].advice
    assert admin.email in found["admins"].message
    monkeypatch.setenv("KB_INSIDE_HOSTS", "")
    inside = next(one for one in doctor.examine() if one.part == "sign-on")
    assert not inside.ok


# --- settings and the file of groups ---


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"KB_LOCAL_SIGN_IN": "0"}, "let nobody in"),
        ({"KB_OIDC_ISSUER": "http://login.company.example"}, "plain http"),
        ({"KB_OIDC_ISSUER": "login.company.example"}, "not an address"),
        ({"KB_OIDC_ISSUER": "https://login.company.example"}, "KB_OIDC_CLIENT_ID"),
        ({"KB_OIDC_ISSUER": "https://login.company.example", "KB_OIDC_CLIENT_ID": "x"}, "KB_BASE_URL"),
        ({"KB_OIDC_ISSUER": "https://l.example", "KB_OIDC_CLIENT_ID": "x", "KB_OIDC_GROUPS": "/nothing"}, "not a file"),
    ],
)
def test_settings_that_let_nobody_or_anybody_in_are_refused(given: dict[str, str], word: str) -> None:
    with pytest.raises(WrongSettings, match=word):
        config.load(given)


@pytest.mark.parametrize(
    "text",
    ["- a", "group: {}", "groups: [a]", "groups: {a: {role: [rep]}}", "groups: {a: {roles: rep}}", "groups: {a: {roles: [king]}}", "a: [", "groups: {a: {clearance: top}}"],
)  # fmt: skip
def test_a_file_of_groups_that_cannot_be_meant_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "groups.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WrongSettings, match=r"groups\.yaml"):
        single_sign_on.read_groups(path)


def test_groups_add_up_and_everybody_gets_what_all_get(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    path.write_text(
        "everybody: {roles: [rep]}\ngroups: {a: {clearance: confidential, parties: [sales]}, b: {clearance: public}}"
    )
    groups = single_sign_on.read_groups(path)
    assert groups.rights({}).roles == {Role.REP}
    both = groups.rights({"groups": ["b", "a"]})
    assert (both.clearance, both.parties) == (Tier.CONFIDENTIAL, {Party.SALES})


def test_two_providers_with_one_subject_are_two_people(make_any: Make) -> None:
    one, other = make_any.user(), make_any.user()
    database = make_any.service.database
    first = replace(make_any.service.settings, oidc_issuer="https://one.example")
    second = replace(first, oidc_issuer="https://two.example")
    with database.writing() as db:
        found = single_sign_on.person_of(db, first, None, {"sub": "s", "email": one.email, "email_verified": True})
        assert found.id == one.id
        found = single_sign_on.person_of(db, second, None, {"sub": "s", "email": other.email, "email_verified": True})
        assert found.id == other.id
        again = single_sign_on.person_of(db, first, None, {"sub": "s"})
        assert again.id == one.id
