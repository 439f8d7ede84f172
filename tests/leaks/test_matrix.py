"""A02: every reading surface for every role and state of asset, against a table written by hand."""

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

import pytest
from click.testing import CliRunner

from kb import cli
from kb.access import Permission
from search import encoder
from tests.conftest import SECRET, Browser
from tests.factories import STAGES
from tests.leaks import world as worlds
from tests.leaks.surfaces import EDITS_ONE, READS_ONE, Surface
from tests.leaks.world import NEVER, Canaries, Opportunity, Reader, Thing, World, found_in, reference, same_form

ROLES = ("rep", "other", "marketer", "reviewer", "manager", "admin")

# V seen · L only title, type and stage · - does not exist. Columns: rep other marketer reviewer manager admin.
TABLE = {
    "no deal": {
        "plain":     "V V V V V V",
        "high":      "- - - - - V",
        "west":      "- V - - - -",
        "teased":    "L L L L L L",
        "silent":    "- - - - - -",
        "draft":     "- - - - - -",
        "withdrawn": "- - - - - -",
        "expired":   "- - - - - -",
        "held":      "- - - - - -",
        "reached":   "- - - - - -",
        "granted":   "V - - - - -",
        "overdue":   "- - - - - -",
        "used":      "- - - - - -",
    },
    "open": {  # at "solution"; rep's, and so rep's manager's
        "plain":     "V . . . V .",
        "high":      "- . . . - .",
        "west":      "- . . . - .",
        "teased":    "L . . . L .",
        "silent":    "- . . . - .",
        "draft":     "- . . . - .",
        "withdrawn": "- . . . - .",
        "expired":   "- . . . - .",
        "held":      "- . . . - .",
        "reached":   "V . . . V .",
        "granted":   "V . . . - .",
        "overdue":   "- . . . - .",
        "used":      "V . . . V .",
    },
    "lost": {  # was at "negotiation"
        "plain":     "V . . . V .",
        "high":      "- . . . - .",
        "west":      "- . . . - .",
        "teased":    "L . . . L .",
        "silent":    "- . . . - .",
        "draft":     "- . . . - .",
        "withdrawn": "- . . . - .",
        "expired":   "- . . . - .",
        "held":      "- . . . - .",
        "reached":   "- . . . - .",
        "granted":   "V . . . - .",
        "overdue":   "- . . . - .",
        "used":      "- . . . - .",
    },
}  # fmt: skip
EDITABLE = {
    "marketer": {
        "plain",
        "teased",
        "silent",
        "draft",
        "withdrawn",
        "expired",
        "held",
        "reached",
        "granted",
        "overdue",
        "used",
    },
    "reviewer": set(),
    "admin": set(TABLE["no deal"]),
}
CELLS = [
    (deal, role)
    for deal, rows in TABLE.items()
    for column, role in enumerate(ROLES)
    if rows["plain"].split()[column] != "."
]
OUTSIDE = [
    (deal, role)
    for deal, rows in TABLE.items()
    for column, role in enumerate(ROLES)
    if rows["plain"].split()[column] == "."
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix") / "data"
    folder.mkdir(mode=0o700)
    copyfile(sqlite_template, folder / "kb.sqlite3")
    with worlds.opened(folder) as world:
        yield worlds.company(world)


@pytest.fixture
def world(built: World) -> World:
    built.bind()
    return built


def expected(deal: str, role: str) -> dict[str, str]:
    return {name: row.split()[ROLES.index(role)] for name, row in TABLE[deal].items()}


def deal_id(world: World, deal: str) -> str:
    return world.deals[deal].external_id if deal in world.deals else ""


def hidden_words(world: World, cells: dict[str, str], *, teasers: bool) -> list[str]:
    """What must not stand in an answer: everything of the hidden, and of the teased all but the title."""
    words: list[str] = []
    for name, cell in cells.items():
        signs = Canaries(name)
        words.append(signs.old)
        if cell != "V":
            words += [signs.body, signs.tag, f"ext-{name}"]
        if cell == "-" or (cell == "L" and not teasers):
            words += [signs.title, world.assets[name].public_id]
    return words


# --- the table and its independent short form ---


def test_A02_the_table_is_what_the_short_rule_says(world: World) -> None:
    at = STAGES.index
    ids = {role: user.id for role, user in world.people.items()}
    clearance = {role: 3 if role == "admin" else 1 for role in ROLES}
    teams = {"other": frozenset({"west"}), "admin": frozenset[str]()}
    insiders = frozenset({ids["rep"], ids["manager"]})
    deals = {
        "no deal": None,
        "open": Opportunity(1, insiders, at("solution")),
        "lost": Opportunity(2, insiders, at("negotiation"), "lost"),
    }
    dead = Thing(live=False)
    things = {
        "plain": Thing(), "high": Thing(tier=2), "west": Thing(teams=frozenset({"west"})), "teased": Thing(unlock=at("negotiation")),
        "silent": Thing(unlock=at("negotiation"), teaser=False), "draft": dead, "withdrawn": dead, "expired": dead, "held": dead,
        "reached": Thing(unlock=at("discovery"), teaser=False), "granted": Thing(unlock=at("after_sale"), teaser=False, grants=frozenset({ids["rep"]})),
        "overdue": Thing(unlock=at("after_sale"), teaser=False), "used": Thing(unlock=at("after_sale"), teaser=False, uses=frozenset({1})),
    }  # fmt: skip
    for deal, role in CELLS:
        reader = Reader(ids[role], clearance[role], teams.get(role, frozenset({"east"})))
        assert {name: reference(reader, deals[deal], thing) for name, thing in things.items()} == expected(
            deal, role
        ), (deal, role)


# --- one asset by its id ---


@pytest.mark.parametrize("surface", READS_ONE, ids=lambda surface: surface.endpoint)
@pytest.mark.parametrize(("deal", "role"), CELLS)
def test_A02_surfaces_about_one_asset_follow_the_table(world: World, surface: Surface, deal: str, role: str) -> None:
    browser, on, cells = world.browser(role), deal_id(world, deal), expected(deal, role)
    assert surface.call is not None
    never = surface.call(browser, NEVER, on)
    assert never.status_code == 404
    for name, cell in cells.items():
        known = world.assets[name].public_id
        for asked in (known, f"external:ext-{name}") if role in {"rep", "other"} else (known,):
            got = surface.call(browser, asked, on)
            assert got.status_code == {"V": surface.found_by(role), "L": 403, "-": 404}[cell], (
                name,
                asked,
                got.text[:300],
            )
            others = {other: state for other, state in cells.items() if other != name}
            leaked = hidden_words(world, others, teasers=False) + hidden_words(world, {name: cell}, teasers=True)
            assert found_in(got.text.replace(asked, ""), leaked) == [], (name, asked)
            if cell == "-":
                assert same_form(got, known, asked) == same_form(never, NEVER), (name, asked)


@pytest.mark.parametrize("surface", [s for s in READS_ONE if s.method == "GET"], ids=lambda surface: surface.endpoint)
def test_A02_head_range_and_conditional_requests_say_no_more(world: World, surface: Surface) -> None:
    browser = world.browser("rep")
    path = {
        "content.asset": "/assets/{}",
        "content.source": "/assets/{}/source",
        "content_api.asset": "/api/v1/assets/{}",
        "search.similar": "/assets/{}/similar",
        "content_versions.link": "/assets/{}/versions/1",
        "urgent.form": "/assets/{}/urgent",
        "sharing.form": "/assets/{}/share",
    }[surface.endpoint]
    for name in ("plain", "high", "teased", "draft"):
        cell, known = expected("no deal", "rep")[name], world.assets[name].public_id
        for headers in (
            {},
            {"Range": "bytes=0-9"},
            {"If-None-Match": "*"},
            {"If-Modified-Since": "Thu, 01 Jan 2032 00:00:00 GMT"},
        ):
            got, never = (
                browser.head(path.format(reference), headers=headers, query_string={"deal": ""})
                for reference in (known, NEVER)
            )
            assert got.status_code == {"V": surface.found, "L": 403, "-": 404}[cell], (name, headers)
            assert got.text == ""
            if cell == "-":
                assert same_form(got, known) == same_form(never, NEVER)
        asked = browser.options(path.format(known))
        assert (asked.status_code, asked.text) == (200, ""), "OPTIONS speaks of the address, not of the asset"


@pytest.mark.parametrize("surface", EDITS_ONE, ids=lambda surface: surface.endpoint)
@pytest.mark.parametrize("role", ROLES)
def test_A02_editing_surfaces_follow_who_may_edit(world: World, surface: Surface, role: str) -> None:
    browser = world.browser(role)
    assert surface.call is not None
    never = surface.call(browser, NEVER, "")
    assert isinstance(surface.needs, Permission)
    may = world.make.actor(world.people[role]).may(surface.needs)
    assert never.status_code == (404 if may else 403)
    seen = EDITABLE.get(role, set()) if may else set()
    for name, asset in world.assets.items():
        got = surface.call(browser, asset.public_id, "")
        if name in seen:
            assert got.status_code == surface.found, name
        else:
            assert same_form(got, asset.public_id) == same_form(never, NEVER), name


# --- lists, counts, snippets ---


def search(browser: Browser, **query: object) -> dict[str, object]:
    answer = browser.get("/api/v1/search", query_string={"limit": 50, **query})
    assert answer.status_code == 200, answer.text[:300]
    return dict(answer.json)


@pytest.mark.parametrize(("deal", "role"), CELLS)
def test_A02_lists_show_what_the_table_says_and_numbers_count_just_that(world: World, deal: str, role: str) -> None:
    browser, on, cells = world.browser(role), deal_id(world, deal), expected(deal, role)
    seen = {world.assets[name].public_id for name, cell in cells.items() if cell == "V"}
    teased = {world.assets[name].public_id for name, cell in cells.items() if cell == "L"}
    for words in ("sparrow", ""):
        found = search(browser, q=words, deal=on)
        assert {hit["id"] for hit in found["hits"]} == seen
        assert {row["id"] for row in found["locked"]} == (teased if words else set())
        assert all(set(row) == {"id", "title", "type", "unlock_stage"} for row in found["locked"])
        assert found["total"] == len(seen)
        assert {one["key"]: one["count"] for one in found["facets"]["product"]} == {
            f"key_{name}": 1 for name, cell in cells.items() if cell == "V"
        }
        assert found["facets"]["industry"] == [{"key": "shared", "count": len(seen)}]
        assert found["facets"]["type"] == [{"key": "faq", "count": len(seen)}]
        assert found["facets"]["language"] == [{"key": "en", "count": len(seen)}]
        assert found_in(json.dumps(found), hidden_words(world, cells, teasers=bool(words))) == []
    for order in ("new", "verified", "title"):
        listed, cursor = [], ""
        while True:
            answer = browser.get(
                "/api/v1/assets", query_string={"deal": on, "sort": order, "limit": 2, "cursor": cursor}
            )
            assert found_in(answer.text, hidden_words(world, cells, teasers=False)) == []
            listed += [item["id"] for item in answer.json["items"]]
            cursor = answer.json["next_cursor"]
            if not cursor:
                break
        assert sorted(listed) == sorted(seen), order
    for words in ("sparrow", ""):
        found = search(browser, q=words, deal=on)
        assert all(
            browser.get(f"/assets/{hit['id']}", query_string={"deal": on}).status_code == 200 for hit in found["hits"]
        )


@pytest.mark.parametrize("fragment", [False, True], ids=["page", "fragment"])
@pytest.mark.parametrize(("deal", "role"), CELLS)
def test_A02_search_pages_and_home_show_what_the_table_says(world: World, deal: str, role: str, fragment: bool) -> None:
    browser, on, cells = world.browser(role), deal_id(world, deal), expected(deal, role)
    for path, words in (("/search", "sparrow"), ("/search", ""), ("/", "")):
        answer = browser.get(
            path, query_string={"q": words, "deal": on}, headers={"X-Fragment": "1"} if fragment else {}
        )
        assert answer.status_code == 200
        assert len(
            found_in(answer.text, [Canaries(name).title for name, cell in cells.items() if cell == "V"])
        ) == list(cells.values()).count("V")
        assert len(found_in(answer.text, [Canaries(name).title for name, cell in cells.items() if cell == "L"])) == (
            list(cells.values()).count("L") if words else 0
        )
        assert found_in(answer.text, hidden_words(world, cells, teasers=bool(words))) == []


@pytest.mark.parametrize(("deal", "role"), CELLS)
def test_A02_browse_and_feed_know_the_visible_alone(world: World, deal: str, role: str) -> None:
    browser, on = world.browser(role), deal_id(world, deal)
    cells = expected(deal, role)
    shelves = browser.get("/browse", query_string={"deal": on}).text
    assert found_in(shelves, hidden_words(world, cells, teasers=False)) == []
    assert {name for name in cells if f"product=key_{name}" in shelves} == {
        n for n, cell in cells.items() if cell == "V"
    }
    for order in ("new", "used", "verified"):
        listed = browser.get("/search", query_string={"deal": on, "sort": order}).text
        assert found_in(listed, hidden_words(world, cells, teasers=False)) == [], order
    without = expected("no deal", role)
    feed = browser.get("/feed.atom", query_string={"deal": on})
    assert found_in(feed.text, hidden_words(world, without, teasers=False)) == []
    assert len(found_in(feed.text, [Canaries(name).title for name, cell in without.items() if cell == "V"])) == list(
        without.values()
    ).count("V"), "a feed knows of no deal"


@pytest.mark.parametrize(("deal", "role"), [("no deal", "rep"), ("open", "rep")])
def test_A02_no_canary_finds_what_is_hidden(world: World, deal: str, role: str) -> None:
    browser, on = world.browser(role), deal_id(world, deal)
    for name, cell in expected(deal, role).items():
        signs, known = Canaries(name), world.assets[name].public_id
        found = {
            word: search(browser, q=word, deal=on, mode="lexical")
            for word in (signs.title, signs.body, f"{signs.tag}en", signs.old)
        }
        hits = {word: [hit["id"] for hit in page["hits"]] for word, page in found.items()}
        strip = {word: [row["id"] for row in page["locked"]] for word, page in found.items()}
        assert hits[signs.title] == hits[signs.body] == hits[f"{signs.tag}en"] == ([known] if cell == "V" else []), name
        assert strip[signs.title] == strip[f"{signs.tag}en"] == ([known] if cell == "L" else []), name
        assert strip[signs.body] == [], "the strip is matched on title and tags alone"
        assert hits[signs.old] == strip[signs.old] == [], "a former version is nowhere"
        assert [page["total"] for page in found.values()] == [len(hits[word]) for word in found]
        assert all(
            sum(one["count"] for one in counts) == 0
            for page in found.values()
            if not page["hits"]
            for counts in page["facets"].values()
        )


@pytest.mark.parametrize("mode", ["hybrid", "semantic"])
@pytest.mark.parametrize(("deal", "role"), CELLS)
def test_A11_meaning_finds_the_visible_alone(world: World, deal: str, role: str, mode: str) -> None:
    browser, on = world.browser(role), deal_id(world, deal)
    cells = expected(deal, role)
    seen = {world.assets[name].public_id for name, cell in cells.items() if cell == "V"}
    for name in cells:
        page = search(browser, q=f"The sparrow of {Canaries(name).body} sings.", deal=on, mode=mode)
        assert page["limited"] is None
        assert {hit["id"] for hit in page["hits"]} == seen, name
        assert page["total"] == len(seen)


@pytest.mark.parametrize(("deal", "role"), CELLS)
def test_A11_similar_shows_the_visible_alone_and_hides_the_hidden_seed(world: World, deal: str, role: str) -> None:
    browser, on = world.browser(role), deal_id(world, deal)
    cells = expected(deal, role)
    for name, cell in cells.items():
        got = browser.get(f"/assets/{world.assets[name].public_id}/similar", query_string={"deal": on})
        assert got.status_code == {"V": 200, "L": 403, "-": 404}[cell]
        if cell != "V":
            continue
        listed = {other for other in cells if world.assets[other].public_id in got.text and other != name}
        assert listed == {other for other, its in cells.items() if its == "V" and other != name}
        assert not [word for word in hidden_words(world, cells, teasers=False) if word in got.text]


def test_A02_a_foreign_deal_opens_nothing_and_looks_like_none(world: World) -> None:
    for deal, role in OUTSIDE[:4]:
        browser, known = world.browser(role), deal_id(world, deal)
        for path in (
            "/?",
            "/search?q=sparrow&",
            "/api/v1/search?q=sparrow&",
            f"/assets/{world.assets['plain'].public_id}?",
            f"/api/v1/assets/{world.assets['reached'].public_id}?",
        ):
            never = browser.get(f"{path}deal=D-NEVER")
            for asked in (known, world.deals[deal].public_id):
                got = browser.get(f"{path}deal={asked}")
                assert same_form(got, asked) == same_form(never, "D-NEVER")
                assert got.status_code == 404
                assert found_in(got.text, ["zqAccount", "zqreached"]) == []


def test_A02_the_deal_picker_lists_own_open_deals_alone(world: World) -> None:
    accounts = ["zqAccountOpen", "zqAccountLost", "zqAccountForeign"]
    for role, seen in {
        "rep": ["zqAccountOpen"],
        "manager": ["zqAccountOpen"],
        "other": ["zqAccountForeign"],
        "marketer": [],
        "reviewer": [],
        "admin": [],
    }.items():
        for headers in ({}, {"X-Fragment": "1"}):
            for words in ("zqAccount", "%"):
                found = found_in(
                    world.browser(role)
                    .get("/deals/pick", query_string={"words": words, "deal": ""}, headers=headers)
                    .text.replace(f'value="{words}"', ""),
                    accounts,
                )
                assert found == (seen if words == "zqAccount" else []), (role, words)


def test_A02_the_library_lists_what_may_be_edited_and_counts_just_that(world: World) -> None:
    for role in ROLES:
        answer = world.browser(role).get("/library")
        seen = EDITABLE.get(role)
        assert answer.status_code == (403 if seen is None else 200), role
        assert set(found_in(answer.text, [Canaries(name).title for name in world.assets])) == {
            Canaries(name).title for name in seen or set()
        }, role
        assert (
            found_in(
                answer.text,
                [Canaries(name).body for name in world.assets] + [Canaries(name).old for name in world.assets],
            )
            == []
        )
        for name in ("plain", "high", "west", "draft"):
            asked = world.browser(role).get("/library", query_string={"words": Canaries(name).title})
            known = world.assets[name].public_id
            assert (known in asked.text) == (name in (seen or set()) and known in answer.text), (role, name)


def test_A02_nobody_signed_in_sees_nothing(world: World) -> None:
    browser = world.browser("anonymous")
    words = [word for name in world.assets for word in Canaries(name).all()] + ["zqAccount"]
    for surface in (*READS_ONE, *EDITS_ONE):
        assert surface.call is not None
        never = surface.call(browser, NEVER, "")
        for name, asset in world.assets.items():
            got = surface.call(browser, asset.public_id, "")
            assert same_form(got, asset.public_id)[:2] == same_form(never, NEVER)[:2], (surface.endpoint, name)
            assert got.headers.get("Location", "").replace(asset.public_id, NEVER) == never.headers.get("Location", "")
            assert got.status_code in {302, 400, 401}
            assert found_in(got.text, words) == []
    for path in ("/", "/search?q=sparrow", "/api/v1/search?q=sparrow", "/library", "/deals/pick"):
        for headers in ({}, {"X-Fragment": "1"}):
            got = browser.get(path, headers=headers)
            assert got.status_code in {302, 401}
            assert found_in(got.text, words) == []


# --- surfaces that are no routes ---


def test_A02_the_command_line_as_somebody_sees_what_they_see(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(world.service.settings.data_dir))
    monkeypatch.setenv("KB_SECRET_KEY", SECRET)
    monkeypatch.setenv("KB_ENCODER", encoder.FAKE)
    for deal, role in [("no deal", "rep"), ("open", "rep"), ("no deal", "other"), ("no deal", "admin")]:
        cells = expected(deal, role)
        arguments = ["search", "sparrow", "--as", world.people[role].email, "--json", "--limit", "50"]
        result = CliRunner().invoke(
            cli.cli, [*arguments, *(["--deal", deal_id(world, deal)] if deal in world.deals else [])]
        )
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert {hit["id"] for hit in found["hits"]} == {
            world.assets[name].public_id for name, cell in cells.items() if cell == "V"
        }
        assert found["total"] == list(cells.values()).count("V")
        assert found_in(result.output, hidden_words(world, cells, teasers=True)) == []
    refused = CliRunner().invoke(
        cli.cli, ["search", "sparrow", "--as", world.people["other"].email, "--deal", deal_id(world, "open")]
    )
    assert refused.exit_code != 0
    assert found_in(refused.output, ["zqAccount", "zqplain"]) == []
