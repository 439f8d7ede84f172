"""A61: what a provider answers is believed only where every check holds; nothing is merged, nobody let in."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import func, select

from kb.access import Role
from kb.app import Service
from kb.audit import AuditEntry
from kb.sessions import SignedIn
from kb.single_sign_on import Identity
from tests.factories import Make
from tests.kb.providers import Change, LyingProvider, lying_provider
from tests.kb.test_single_sign_on import app_for, browser_of


@pytest.fixture(scope="module")
def lying() -> Iterator[LyingProvider]:
    with lying_provider() as running:
        yield running


@pytest.fixture
def provider(lying: LyingProvider) -> LyingProvider:
    lying.claims, lying.published, lying.userinfo, lying.token_body = {}, {}, None, None
    lying.change = lambda _header, _claims: None
    return lying


def come(service: Service, provider: LyingProvider) -> int:
    """Come back from it with what it is told to say; the status."""
    browser = browser_of(app_for(service, provider.issuer))
    there = browser.get("/sign-in/sso")
    if there.status_code != 302:
        return there.status_code
    return browser.get(provider.come_back(there.headers["Location"])).status_code


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return f"{part(header | {'alg': 'none'})}.{part(claims)}."


def with_public_key(provider: LyingProvider) -> Change:
    """HS256 over the bytes of the public key, which everybody has."""

    def change(header: dict[str, Any], claims: dict[str, Any]) -> str:
        said = f"{part(header | {'alg': 'HS256'})}.{part(claims)}"
        signed = hmac.new(provider.key.as_pem(private=False), said.encode(), "sha256").digest()
        return f"{said}.{base64.urlsafe_b64encode(signed).decode().rstrip('=')}"

    return change


def by_another_key(header: dict[str, Any], claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048, {"kid": "one"})
    return jwt.encode(header, claims, other, algorithms=["RS256"])


def with_own_key_inside(header: dict[str, Any], claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048)
    return jwt.encode(header | {"jwk": other.as_dict(private=False), "kid": "two"}, claims, other, algorithms=["RS256"])


def pointing_elsewhere(header: dict[str, Any], claims: dict[str, Any]) -> str:
    other = RSAKey.generate_key(2048)
    more = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/cert", "kid": "two"}
    return jwt.encode(header | more, claims, other, algorithms=["RS256"])


def put(**values: Any) -> Change:
    def change(_header: dict[str, Any], claims: dict[str, Any]) -> None:
        claims.update(values)

    return change


def without(*names: str) -> Change:
    def change(_header: dict[str, Any], claims: dict[str, Any]) -> None:
        for name in names:
            claims.pop(name)

    return change


def tampered(header: dict[str, Any], claims: dict[str, Any]) -> str:
    key = RSAKey.generate_key(2048)
    head, _, sign = jwt.encode(header, claims, key, algorithms=["RS256"]).split(".")
    return f"{head}.{part(claims | {'sub': 'admin'})}.{sign}"


LIES: dict[str, Change] = {
    "alg none": unsigned,
    "another key": by_another_key,
    "a key of its own inside": with_own_key_inside,
    "keys elsewhere": pointing_elsewhere,
    "tampered": tampered,
    "an algorithm that is none": lambda header, claims: f"{part(header | {'alg': 'XX1'})}.{part(claims)}.c2ln",
    "an extension that must be understood": lambda header, claims: (
        f"{part(header | {'crit': ['zz'], 'zz': 1})}.{part(claims)}.c2ln"
    ),
    "no token at all": lambda _header, _claims: "not.a.token",
    "another issuer": put(iss="https://evil.example"),
    "another audience": put(aud="another-client"),
    "several audiences and no azp": put(aud=["another-client", "third"]),
    "authorized for another": put(azp="another-client"),
    "another nonce": put(nonce="another"),
    "no nonce": without("nonce"),
    "expired": put(exp=int(time.time()) - 600),
    "no end": without("exp"),
    "not yet": put(nbf=int(time.time()) + 600),
    "no subject": without("sub"),
    "an empty subject": put(sub=""),
    "a subject that is a list": put(sub=["s-1"]),
    "a subject without end": put(sub="s" * 4_000),
    "no audience": without("aud"),
    "no issuer": without("iss"),
}


@pytest.mark.parametrize("name", LIES)
def test_A61_no_lie_lets_anybody_in(make: Make, service: Service, provider: LyingProvider, name: str) -> None:
    user = make.user(Role.ADMIN)
    provider.claims = {"email": user.email}
    provider.change = LIES[name]
    assert come(service, provider) == 403
    with service.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(SignedIn)) == 0
        assert db.scalar(select(func.count()).select_from(Identity)) == 0
        assert db.scalar(select(func.count()).where(AuditEntry.action == "session.refused")) == 1
    provider.change = lambda _header, _claims: None
    assert come(service, provider) == 302, "the same, told the truth"


def test_A61_the_public_key_is_no_shared_secret(make: Make, service: Service, provider: LyingProvider) -> None:
    provider.claims = {"email": make.user().email}
    provider.change = with_public_key(provider)
    assert come(service, provider) == 403


@pytest.mark.parametrize("verified", [False, None, "true", 1, "absent"])
def test_A61_an_address_that_nobody_checked_is_nobodys(
    make: Make, service: Service, provider: LyingProvider, verified: object
) -> None:
    provider.claims = {"email": make.user(Role.ADMIN).email, "email_verified": verified}
    if verified == "absent":
        provider.change = without("email_verified")
    assert come(service, provider) == 403
    with service.database.reading() as db:
        assert db.scalar(select(func.count()).select_from(Identity)) == 0


def test_A61_a_role_that_is_not_mapped_gives_nothing(
    make: Make, service: Service, provider: LyingProvider, tmp_path: Any
) -> None:
    path = tmp_path / "groups.yaml"
    path.write_text("groups: {sales: {roles: [rep]}}")
    provider.claims = {"email": "new@yunshu.example", "groups": ["admin", "sales"], "roles": ["admin"]}
    browser = browser_of(app_for(service, provider.issuer, oidc_groups=str(path)))
    there = browser.get("/sign-in/sso")
    assert browser.get(provider.come_back(there.headers["Location"])).status_code == 302
    assert browser.get("/people").status_code == 403


def test_A61_what_is_asked_for_more_must_be_of_the_same_subject(
    make: Make, service: Service, provider: LyingProvider
) -> None:
    user = make.user()
    provider.change = without("email", "email_verified")
    provider.userinfo = {"sub": "somebody-else", "email": user.email, "email_verified": True}
    assert come(service, provider) == 403
    provider.userinfo = {"sub": "s-1", "email": user.email, "email_verified": True}
    assert come(service, provider) == 302


def test_A61_a_way_back_that_was_not_begun_here_is_refused(
    make: Make, service: Service, provider: LyingProvider
) -> None:
    provider.claims = {"email": make.user().email}
    app = app_for(service, provider.issuer)
    mine, theirs = browser_of(app), browser_of(app)
    address = theirs.get("/sign-in/sso").headers["Location"]
    mine.get("/sign-in/sso")
    back = provider.come_back(address)
    assert mine.get(back).status_code == 400, "a link with somebody else's code signs nobody in"
    assert theirs.get(back + "&iss=https://evil.example").status_code == 403


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"not json", b'{"id_token": 5}', b'{"error": "invalid_grant"}', b"[" * 5_000]
)
def test_A61_an_answer_that_is_none_is_told_and_breaks_nothing(
    service: Service, provider: LyingProvider, body: bytes
) -> None:
    provider.token_body = body
    assert come(service, provider) in {403, 503}


@pytest.mark.parametrize(
    "published",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://169.254.169.254/latest"},
        {"token_endpoint": "https://10.0.0.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
    ],
)
def test_A49_A61_what_a_provider_publishes_is_no_way_into_the_network(
    service: Service, provider: LyingProvider, published: dict[str, Any]
) -> None:
    provider.published = published
    assert come(service, provider) == 503
