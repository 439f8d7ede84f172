"""What is typed, imported or planted stays text: in queries, pages, files, tables and the index folder."""

import pickle
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from flask import Flask
from sqlalchemy import text

from content import charts
from content.crm import CsvImport
from content.kinds import Facet
from kb import audit, outbox
from kb.access import SYSTEM, Role
from kb.app import Service
from search import feed
from search.whoosh_engine import WhooshEngine
from tests.conftest import SignIn
from tests.factories import PASSWORD, Make

SQL = [
    "'", '"', "') OR 1=1 --", ")) UNION SELECT password_hash FROM user_account --", "%", "_", "\\", "1;DROP TABLE asset", "\u0000", "9" * 400, "a,b[]", "$1", ":name",
]  # fmt: skip
BOMBS = [
    "status:draft", "tier:[0 TO 9]", "author:*", "*", "NOT zq", "(" * 1_900, "NOT " * 480, "a OR " * 390, '"a b"~99999999', "^", "?*", '"', "\u202e\u200f", "\ud800", "字" * 1_999, "🙂" * 200, "QUJD" * 400,
]  # fmt: skip
SCRIPTS = [
    "<script>window.__pwned=1</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "{{7*7}}", "${7*7}", "{% raw %}", "<a href='javascript:alert(1)'>x</a>", "[x](javascript:alert(1))", "</template><script>1</script>",
]  # fmt: skip


@pytest.mark.parametrize("hostile", SQL)
def test_A69_no_parameter_reaches_the_database_as_sql(make: Make, sign_in: SignIn, hostile: str) -> None:
    make.asset("Seen")
    make.index()
    browser = sign_in(make.user(Role.ADMIN))
    for path, name in (
        ("/search", "q"), ("/search", "product"), ("/search", "deal"), ("/api/v1/search", "q"), ("/api/v1/search", "type"), ("/library", "words"), ("/library", "state"), ("/library", "offset"), ("/deals/pick", "words"),
    ):  # fmt: skip
        got = browser.get(path, query_string={name: hostile})
        assert got.status_code in {200, 302, 404, 422}, (path, name, got.status_code)
        assert not re.search(r"sqlite|psycopg|syntax error|Traceback", got.text, re.IGNORECASE)
    assert browser.get(f"/api/v1/assets/{hostile[:200].replace('%', '%25').replace('?', '')}x").status_code in {
        404,
        400,
    }


def test_A69_a_wildcard_alone_lists_nothing(make: Make, sign_in: SignIn) -> None:
    make.asset("Seen")
    browser = sign_in(make.user(Role.ADMIN))
    for wildcard in ("%", "_", "%%%"):
        assert "Seen" not in browser.get("/library", query_string={"words": wildcard}).text


@pytest.mark.parametrize("bomb", BOMBS)
def test_A70_a_query_is_words_or_a_refusal(make: Make, sign_in: SignIn, bomb: str) -> None:
    make.asset("Plain words")
    make.asset("Draft canary", "zqdraft", publish=False)
    make.index()
    browser = sign_in(make.user())
    for path in ("/search", "/api/v1/search"):
        got = browser.get(path, query_string={"q": bomb.encode("utf-8", "surrogatepass")})
        assert got.status_code in {200, 422}, got.status_code
        assert "zqdraft" not in got.text


class Markup(HTMLParser):
    """Reads a page as a browser would and names every part that would run or draw what a text planted."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    @classmethod
    def faults_of(cls, page: str) -> list[str]:
        reader = cls()
        reader.feed(page)
        return reader.faults

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        had = dict(attrs)
        if tag == "script" and not (had.get("src") or "").startswith("/static/"):
            self.faults.append("script")
        if tag == "svg" and "onload" in had:
            self.faults.append("svg")
        if tag == "img" and not (had.get("src") or "").startswith("/"):
            self.faults.append("img")
        self.faults += [name for name in had if name.startswith("on")]
        self.faults += [
            name for name in ("href", "src", "action", "formaction")
            if re.match(r"\s*(javascript|data|vbscript):", had.get(name) or "", re.IGNORECASE)
        ]  # fmt: skip


def test_the_reader_of_pages_sees_what_runs() -> None:
    assert Markup.faults_of("<svg onload=alert(1)>") == ["svg", "onload"]
    assert Markup.faults_of("<img src=x onerror=alert(1)>") == ["img", "onerror"]
    assert Markup.faults_of("<script>1</script>") == ["script"]
    assert Markup.faults_of("<a href=' JavaScript:alert(1)'>") == ["href"]
    assert Markup.faults_of('<p title="&lt;script&gt;">&lt;script&gt;</p>') == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_A71_A72_A73_A74_markup_stays_text_on_every_page(make: Make, sign_in: SignIn, script: str) -> None:
    owner = make.user(Role.ADMIN)
    tag = make.tag(Facet.PRODUCT, "hostile", f"tag {script}"[:100], f"标签 {script}"[:100], [script[:100]])
    asset = make.asset(f"sparrow {script}", f"## sparrow {script}\n\nsparrow {script}\n", tags=[tag], owners=[owner])
    make.deal(owner, account=f"sparrow {script}")
    make.index()
    browser = sign_in(owner)
    for path, query in (
        (f"/assets/{asset.public_id}", {}), ("/search", {"q": "sparrow"}), ("/search", {"q": script}), ("/search", {"product": "hostile"}), ("/library", {"words": script}), ("/deals/pick", {"words": "sparrow"}),
    ):  # fmt: skip
        page = browser.get(path, query_string=query).text
        assert Markup.faults_of(page) == [], path
        assert "sparrow 49" not in page
        assert "tag 49" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/static/../kb/db.py",
        "/static/%2e%2e/%2e%2e/pyproject.toml",
        "/static//etc/passwd",
        "/static/..%5c..%5cpyproject.toml",
        "/static/app.css%00.png",
        "/assets/..%2f..%2fetc%2fpasswd/source",
    ],
)
def test_A79_no_path_leads_out_of_its_folder(make: Make, sign_in: SignIn, path: str) -> None:
    got = sign_in(make.user()).get(path)
    assert got.status_code in {404, 400, 308}
    assert "root:" not in got.text
    assert "[project]" not in got.text


@pytest.mark.parametrize(
    "title",
    [
        "file:///etc/passwd", "http://127.0.0.1:9/x.png", '<image href="file:///etc/passwd"/>', "@import url(http://x.example)",
        "</text><script>alert(1)</script>", "\\input{/etc/passwd}", "&xxe;",
    ],
)  # fmt: skip
def test_A81_drawings_ask_for_nothing_and_hold_titles_as_text_alone(title: str) -> None:
    drawn = charts.intervals([(title, 0.1, 0.0, 0.2, "helps")], title) + charts.shares(
        [("", title, 0.5, 0.4, 0.6)], title
    )
    tree = ElementTree.fromstring(f"<all>{drawn}</all>")
    names = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert names <= {"all", "svg", "g", "path", "line", "rect", "text", "defs", "clipPath"}
    assert {name for element in tree.iter() for name in element.attrib if "href" in name} == set()
    assert title in [element.text for element in tree.iter()]


def test_A89_secrets_stand_in_no_log_and_no_trail(
    make: Make, sign_in: SignIn, service: Service, service_log: StringIO
) -> None:
    user = make.user()
    make.password(user)
    browser = sign_in(user)
    made = browser.post("/account/tokens", data={"name": "zq"}).text
    token = re.search(r"kb_[\w-]{20,}", made)
    assert token
    browser.post(
        "/account/password", data={"present": "zqwrongpresent", "password": "zqnewpassword", "again": "zqnewpassword"}
    )
    browser.post("/sign-in", data={"email": user.email, "password": "zqwrongsignin"})
    browser.get("/api/v1/search", headers={"Authorization": "Bearer kb_zqunknowntoken"})
    with service.database.reading() as session:
        rows = str(session.execute(text("SELECT * FROM audit_entry")).all()) + str(
            session.execute(text("SELECT * FROM wish")).all()
        )
    for secret in (
        token.group(),
        "zqwrongpresent",
        "zqnewpassword",
        "zqwrongsignin",
        "kb_zqunknowntoken",
        PASSWORD,
        service.settings.secret_key,
    ):
        assert secret not in service_log.getvalue()
        assert secret not in rows


class Planted:
    """Would write a file if anybody unpickled it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.write_text, (self.target, "ran"))


def test_A90_a_pickle_planted_in_the_index_is_never_loaded(make: Make, service: Service, tmp_path: Path) -> None:
    make.asset("Seen")
    make.index()
    service.engine.close()
    root = service.settings.index_dir
    assert root.stat().st_mode & 0o077 == 0
    target = tmp_path / "ran"
    for file in [path for path in root.rglob("*") if path.suffix in {".toc", ".seg"}]:
        file.write_bytes(pickle.dumps(Planted(target)))
    engine = WhooshEngine(root)
    feed.FirstLook(service.database, engine)()
    outbox.drain(service.database, feed.handlers(service.database, engine))
    assert not target.exists()
    assert len(engine.all_ids()) == 1


def test_A91_what_costs_is_closed_or_clamped(make: Make, sign_in: SignIn) -> None:
    nobody, somebody = sign_in(None), sign_in(make.user())
    assert nobody.get("/api/v1/openapi.json").status_code == 401
    assert nobody.get("/metrics").status_code == 401
    assert somebody.get("/metrics").status_code == 403
    assert set(nobody.get("/healthz").json) == {"status"}
    for name, value in (("limit", "1000000"), ("offset", "1000000000")):
        assert somebody.get("/api/v1/search", query_string={name: value}).status_code == 422


def test_A92_no_route_and_no_statement_changes_the_trail(app: Flask, service: Service) -> None:
    """The trail of an asset may be read by those who may edit it; no address changes it."""
    reading = {"GET", "HEAD", "OPTIONS"}
    assert not [
        rule.rule for rule in app.url_map.iter_rules() if "audit" in rule.rule and (rule.methods or set()) - reading
    ]
    with service.database.writing() as session:
        audit.record(session, SYSTEM, "one", "thing", "1")
    for statement in ("UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry"):
        with pytest.raises(Exception, match="append-only"), service.database.writing() as session:
            session.execute(text(statement))


def test_A93_every_write_leaves_exactly_one_entry(make: Make, sign_in: SignIn, trail) -> None:  # type: ignore[no-untyped-def]
    admin = make.user(Role.ADMIN)
    make.password(admin)
    asset = make.asset("Seen")
    browser = sign_in(admin)
    writes = [
        ("/account/language", {"language": "en"}, "user.language"),
        ("/account/tokens", {"name": "script"}, "token.create"),
        (f"/assets/{asset.public_id}/withdraw", {"reason": "wrong price"}, "asset.withdraw"),
        ("/sign-out", {}, "session.end"),
    ]
    for path, form, action in writes:
        before = len(trail())
        assert browser.post(path, data=form).status_code in {200, 302}
        entries = trail()[before:]
        assert [entry.action for entry in entries] == [action]
        assert entries[0].actor == admin.email


def test_A101_a_hostile_crm_unlocks_nothing_and_harms_no_other_row(
    make: Make, sign_in: SignIn, service: Service, tmp_path: Path
) -> None:
    rep = make.user()
    locked = make.asset("zqlocked", unlock="negotiation", teaser=False)
    make.index()
    head = "external_id,account,owner_email,stage,created_at,amount\n"
    rows = [
        f"H-1,<b>x</b>,{rep.email},S99,2026-01-01T00:00:00+00:00,1",
        f"H-2,A,{rep.email},solution,2026-01-01T00:00:00+00:00,-5",
        f"H-3,<script>x</script>,{rep.email},solution,2026-01-01T00:00:00+00:00,5",
    ]
    path = tmp_path / "deals.csv"
    path.write_text(head + "\n".join(rows) + "\n")
    report = CsvImport(service.database, SYSTEM, "deals").run(path)
    assert (report.created, [failure.code for failure in report.failed]) == (1, ["unknown_stage", "amount"])
    browser = sign_in(rep)
    assert browser.get(f"/assets/{locked.public_id}", query_string={"deal": "H-3"}).status_code == 404
    assert "<script>x" not in browser.get("/deals/pick").text
