"""The rule, an independent reference of twenty lines, the explanation and every surface say the same of random worlds."""

import json
import os
import random
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from click.testing import CliRunner

from content import explaining, reading, taxonomy
from content.deals import Deal, DealContext, UnknownDeal, get_context
from content.kinds import Outcome, UseKind
from content.models import Asset
from kb import cli, clock
from kb.access import Role, Tier
from kb.errors import Forbidden, NotFound
from kb.users import User
from tests.conftest import SignIn
from tests.factories import STAGES, Make

TEAMS = ("east", "west")
SEEDS = range(40) if os.environ.get("TESTS_ROUNDS") == "full" else range(3)


@dataclass
class Text:
    row: Asset
    tier: Tier
    teams: set[str]
    unlock: str
    teases: bool
    state: str


@dataclass
class Sale:
    row: Deal
    team: set[int]
    stage: str
    outcome: Outcome


@dataclass
class Reader:
    row: User
    clearance: Tier
    teams: set[str]
    manages: set[int] = field(default_factory=set)


@dataclass
class World:
    """Random people, texts, deals, grants and uses; what is known of them is kept beside the database."""

    make: Make
    seed: int

    def __post_init__(self) -> None:
        dice, make = random.Random(self.seed), self.make
        make.stages()
        self.readers: list[Reader] = []
        for _ in range(5):
            teams = {team for team in TEAMS if dice.random() < 0.5}
            clearance = dice.choice([Tier.PUBLIC, Tier.INTERNAL, Tier.RESTRICTED])
            head = dice.choice([*(one.row.email for one in self.readers), "", ""])
            self.readers.append(Reader(make.user(clearance=clearance, teams=teams, manager=head), clearance, teams))
            for other in self.readers:
                if other.row.email == head:
                    other.manages.add(self.readers[-1].row.id)
        self.texts = [self._text(dice, number) for number in range(12)]
        self.sales = [self._sale(dice) for _ in range(4)]
        self.grants, self.uses = set[tuple[int, int]](), set[tuple[int, int]]()
        for _ in range(8):
            reader, text, sale = dice.choice(self.readers), dice.choice(self.texts), dice.choice(self.sales)
            kind = dice.choice(["grant", "over", "use", "view", "early"])
            if kind in {"grant", "over"}:
                end = clock.now() + timedelta(days=1 if kind == "grant" else -1)
                make.grant(reader.row, text.row, end)
                self.grants |= {(reader.row.id, text.row.id)} if kind == "grant" else set()
            else:
                what = UseKind.VIEW if kind == "view" else UseKind.COPY
                make.use(reader.row, text.row, what, sale.row, was_unlocked=kind != "early")
                self.uses |= {(sale.row.id, text.row.id)} if kind == "use" else set()
        make.index()

    def _text(self, dice: random.Random, number: int) -> Text:
        tier = dice.choice([Tier.PUBLIC, Tier.INTERNAL, Tier.INTERNAL, Tier.RESTRICTED])
        teams = {team for team in TEAMS if dice.random() < 0.3}
        unlock = dice.choice(["", *STAGES[1:4]])
        teases = dice.random() < 0.7
        state = dice.choice(["live"] * 6 + ["draft", "withdrawn", "held", "expired"])
        row = self.make.asset(
            f"Quokka {number}",
            tier=tier,
            teams=teams,
            unlock=unlock,
            teaser=teases,
            publish=state != "draft",
            expires_at=clock.now() + timedelta(days=-1 if state == "expired" else 9),
        )
        if state == "withdrawn":
            self.make.withdraw(row)
        if state == "held":
            self.make.set_asset(row, held_at=clock.now())
        return Text(row, tier, teams, unlock, teases, state)

    def _sale(self, dice: random.Random) -> Sale:
        owner, member = dice.choice(self.readers), dice.choice(self.readers)
        stage, outcome = dice.choice(STAGES), dice.choice([Outcome.OPEN, Outcome.OPEN, Outcome.WON, Outcome.LOST])
        row = self.make.deal(owner.row, stage, outcome=outcome, members=[member.row])
        heads = {one.row.id for one in self.readers if owner.row.id in one.manages}
        return Sale(row, {owner.row.id, member.row.id} | heads, stage, outcome)

    def reference(self, reader: Reader, text: Text, sale: Sale | None) -> str:
        """Written from the words of the rule alone: seen, teased or hidden."""
        if text.state != "live" or text.tier.rank > reader.clearance.rank:
            return "hidden"
        if text.teams and not text.teams & reader.teams:
            return "hidden"
        is_open = not text.unlock or (reader.row.id, text.row.id) in self.grants
        if sale is not None and reader.row.id in sale.team:
            reached = {Outcome.WON: "after_sale", Outcome.OPEN: sale.stage}.get(sale.outcome)
            if text.unlock and reached is not None:
                is_open = is_open or STAGES.index(reached) >= STAGES.index(text.unlock)
            is_open = is_open or (sale.row.id, text.row.id) in self.uses
        if is_open:
            return "seen"
        return "teased" if text.teases else "hidden"

    def context(self, reader: Reader, sale: Sale | None) -> DealContext | None:
        if sale is None:
            return None
        with self.make.service.database.reading() as db:
            return get_context(db, self.make.actor(reader.row), taxonomy.load(db), sale.row.external_id)


@pytest.mark.parametrize("seed", SEEDS)
def test_rule_reference_explanation_and_surfaces_agree(make: Make, sign_in: SignIn, seed: int) -> None:
    world = World(make, seed)
    admin = make.actor(make.user(Role.ADMIN, clearance=Tier.CONFIDENTIAL))
    database = make.service.database
    for reader in world.readers:
        browser, actor = sign_in(reader.row), make.actor(reader.row)
        for sale in (None, *world.sales):
            if sale is not None and reader.row.id not in sale.team:
                with pytest.raises(UnknownDeal):
                    world.context(reader, sale)
                continue
            deal = world.context(reader, sale)
            name = sale.row.external_id if sale is not None else ""
            wanted = {text.row.public_id: world.reference(reader, text, sale) for text in world.texts}
            seen = {one for one, cell in wanted.items() if cell == "seen"}
            with database.reading() as db:
                ids = set(reading.visible_ids(db, actor, deal).tolist())
                assert {text.row.public_id for text in world.texts if text.row.id in ids} == seen
                for text in world.texts:
                    found = explaining.explain(db, admin, reader.row.email, text.row.public_id, name)
                    cell = wanted[text.row.public_id]
                    assert (found.is_visible, found.is_teased) == (cell == "seen", cell == "teased")
                    assert found.is_visible == (
                        all(one.holds for one in found.needed) and any(one.holds for one in found.any_of)
                    )
            for text in world.texts:
                got = browser.get(f"/api/v1/assets/{text.row.public_id}", query_string={"deal": name})
                assert got.status_code == {"seen": 200, "teased": 403, "hidden": 404}[wanted[text.row.public_id]]
            listed = browser.get("/api/v1/assets", query_string={"deal": name, "limit": 100}).json["items"]
            assert {one["id"] for one in listed} == seen
            hits = browser.get(
                "/api/v1/search", query_string={"q": "quokka", "deal": name, "mode": "lexical", "limit": 50}
            ).json
            assert {one["id"] for one in hits["hits"]} == seen
            assert hits["total"] == len(seen)
            assert sum(one["count"] for one in hits["facets"].get("language", [])) == len(seen)
            assert {one["id"] for one in hits["locked"]} == {one for one, cell in wanted.items() if cell == "teased"}


# --- the page, the interface, the command ---


def test_a_person_who_has_left_sees_nothing(make: Make) -> None:
    person, asset = make.user(), make.asset("Plain")
    with make.service.database.writing() as db:
        db.get_one(User, person.id).deactivated_at = clock.now()
    with make.service.database.reading() as db:
        found = explaining.explain(db, make.actor(make.user(Role.ADMIN)), person.email, asset.public_id)
    assert (found.is_visible, found.needed[0].name, found.needed[0].holds, found.acts) == (False, "active", False, ())


def test_administrators_alone_ask(make: Make, sign_in: SignIn) -> None:
    make.stages()
    rep, asset = make.user(), make.asset("Prices", unlock="negotiation")
    deal = make.deal(rep, "discovery", account="Lantern Works")
    query = {"person": rep.email, "asset": asset.public_id}
    for role in set(Role) - {Role.ADMIN}:
        browser = sign_in(make.user(role))
        assert browser.get("/explain", query_string={**query, "deal": ""}).status_code == 403
        assert browser.get("/api/v1/explain", query_string=query).status_code == 403
        with pytest.raises(Forbidden), make.service.database.reading() as db:
            explaining.explain(db, make.actor(make.user(role)), rep.email, asset.public_id)
    admin = sign_in(make.user(Role.ADMIN))
    page = admin.get("/explain", query_string={**query, "on": deal.external_id, "deal": ""}).text
    assert "sees its title alone" in page
    assert "Lantern Works" in page
    assert "Say why" in admin.get("/explain?deal=").text
    shown = admin.get("/api/v1/explain", query_string={**query, "deal": deal.external_id}).json
    assert (shown["visible"], shown["teased"], shown["on_deal"], shown["may"]) == (False, True, True, [])
    for wrong in ({"person": "nobody@yunshu.example"}, {"asset": "nothing"}, {"on": "D-0"}):
        assert admin.get("/explain", query_string={**query, **wrong, "deal": ""}).status_code == 404


def test_by_command(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_DATA_DIR", str(make.service.settings.data_dir))
    monkeypatch.setenv("KB_ENCODER", "off")
    rep, asset = make.user(), make.asset("Plain")
    told = json.loads(CliRunner().invoke(cli.cli, ["explain", rep.email, asset.public_id, "--json"]).stdout)
    assert (told["visible"], told["any_of"]["no_stage"], "copy" in told["may"]) == (True, True, True)
    assert "visible for" in CliRunner().invoke(cli.cli, ["explain", rep.email, asset.public_id]).stdout
    assert isinstance(CliRunner().invoke(cli.cli, ["explain", rep.email, "nothing"]).exception, (NotFound, SystemExit))
