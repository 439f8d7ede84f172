"""The `kb` command; results go to standard output, messages and progress to standard error."""

import gc
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import OperationalError

from content import commands, deals, exporting, filestore, importing, mapping, sample, taxonomy
from content.crm import CsvImport
from content.importing import AssetImport, Options, Report
from kb import access, audit, clock, config, doctor, migrate, outbox, people_commands, serving, users, worker
from kb.app import Service, configure_logging, create_app, open_service
from kb.backup_commands import backup_command, restore_command
from kb.config import LOOPBACK, Settings, prepare_data_dir
from kb.console import REFUSED, print_json, progress, say
from kb.db import Database
from kb.errors import KbError, WrongSettings
from review import commands as review_commands
from review import hours
from review import sample as review_sample
from search import answer, documents, duplicates, encoder, evaluate, quality, reranker, service, upkeep, vectors
from search import commands as search_commands
from search import sample as search_sample
from search.encoder import CannotEncode, Encoder
from search.engine import IndexDamaged, IndexMissing
from search.loading import OFF
from search.query import FACETS, Mode, Query
from search.whoosh_engine import WhooshEngine


def main() -> None:
    """Run the command; every refusal is one clear line and exit 1, never a stack trace."""
    gc.freeze()  # what was imported stays: looked through for garbage at the end, it takes a quarter of a short command
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        raise SystemExit(130) from None
    except click.ClickException as mistake:
        mistake.show()
        raise SystemExit(mistake.exit_code) from None
    except WrongSettings as mistake:
        _refuse(str(mistake))
    except KbError as refusal:
        _refuse(refusal.text)
    except OperationalError as error:
        _refuse(f"The database does not answer: {error.orig}")


def _refuse(text: str) -> None:
    click.echo(text, err=True)
    raise SystemExit(REFUSED)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Sales-enablement knowledge base. Settings are KB_* variables: see `kb doctor`."""


@contextmanager
def installation() -> Iterator[Service]:
    """The installation that the settings name, with a schema this release knows."""
    settings = config.load()
    configure_logging(settings.log_level if settings.log_level != "INFO" else "WARNING")
    opened = open_service(settings)
    try:
        migrate.require_current(opened.database)
        yield opened
    finally:
        opened.close()


cli.add_command(people_commands.user_group(installation))
cli.add_command(people_commands.token_group(installation))
cli.add_command(people_commands.key_group(installation))
cli.add_command(commands.tag_group(installation))
cli.add_command(commands.grant_group(installation))
cli.add_command(commands.share_group(installation))
report_group = commands.report_group(installation)
report_group.add_command(search_commands.gaps_command(installation))
cli.add_command(report_group)
cli.add_command(commands.explain_command(installation))
cli.add_command(review_commands.compliance_group(installation))
cli.add_command(review_commands.review_group(installation))


# --- installations ---


@cli.command()
@click.option("--admin", metavar="EMAIL", help="Address of the first administrator.")
def init(admin: str | None) -> None:
    """Make an empty installation and print the first sign-in."""
    settings = prepare_data_dir(config.load())
    opened = open_service(settings)
    migrate.upgrade(settings, opened.database)
    upkeep.begin(opened.engine)
    with opened.database.writing() as session:
        taxonomy.begin(session, access.operator())
    if admin:
        password = secrets.token_urlsafe(12)
        with opened.database.writing() as session:
            users.add(
                session,
                access.operator(),
                users.NewUser(
                    users.normal_email(admin),
                    roles=(access.Role.ADMIN,),
                    clearance=access.Tier.CONFIDENTIAL,
                    password=password,
                ),
            )
        click.echo(f"{users.normal_email(admin)}  {password}")
    say.print(f"Ready in {settings.data_dir}. Start it with: kb serve")


@cli.command(name="migrate")
def migrate_command() -> None:
    """Bring the database to this release's schema."""
    settings = prepare_data_dir(config.load())
    database = Database(settings.sqlalchemy_url)
    migrate.upgrade(settings, database)
    say.print(f"The database is at {migrate.revision(database)}.")


@cli.command()
@click.option(
    "--data",
    "data_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder of the demonstration (default: KB_DATA_DIR or ./kb-data).",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--no-serve", is_flag=True, help="Load the sample company and end.")
def demo(data_dir: Path | None, port: int, no_serve: bool) -> None:
    """Load the sample company and serve it on this machine; safe to run again."""
    settings = config.load(data_dir=data_dir) if data_dir else config.load()
    settings = replace(settings, company=settings.company or sample.COMPANY)
    configure_logging("WARNING")
    listener = None if no_serve else serving.listen("127.0.0.1", port)
    opened = open_service(settings)
    migrate.upgrade(opened.settings, opened.database)
    upkeep.begin(opened.engine)
    sample.load_people(opened.database, access.operator())
    sample.load_vocabulary(opened.database, access.operator())
    if listener is None:
        _load_sample(opened)
        with progress("Indexing"):
            outbox.drain(opened.database, opened.worker.handlers)
        opened.close()
        return
    _greet(port)
    Thread(target=_load_sample, args=(opened,), name="kb-sample", daemon=True).start()
    _work_in_background(opened)
    serving.serve(create_app(opened), opened.settings, listener, opened.stop)


def _work_in_background(opened: Service) -> None:
    for each in opened.workers():
        worker.start_in_background(each)


def _load_sample(opened: Service) -> None:
    for report in sample.load(
        opened.database,
        opened.settings,
        access.operator(),
        lambda text: say.print(f"  sample: {text}", style="dim"),
        lambda: review_sample.load(opened.database, access.operator()),
    ):
        for failure in report.failed:
            say.print(f"  sample: {failure.path}:{failure.line} {failure.message}", style="red", markup=False)
    review_sample.decide(opened.database, opened.settings)
    search_sample.load(opened.database)


def _greet(port: int) -> None:
    say.print(
        f"\n  Open [bold]http://127.0.0.1:{port}[/bold] and sign in with the password [bold]{sample.PASSWORD}[/bold] as\n"
    )
    for face in sample.faces():
        say.print(f"    {face.role:<12} {face.email:<28} {face.name}", markup=False)
    say.print("\n  The sample company goes on loading behind the page. Stop with Ctrl+C.\n", style="dim")


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Web processes; with more than one the worker is a process of its own.",
)
@click.option("--inherited", is_flag=True, hidden=True)
def serve(host: str, port: int, workers: int, inherited: bool) -> None:
    """Serve the web pages and, by default, do the worker's work inside."""
    settings = config.load()
    configure_logging(settings.log_level)
    serving.check_address(settings, host)
    if inherited:
        _serve_here(settings, with_worker=False)
        return
    opened = open_service(settings)
    migrate.require_current(opened.database)
    listener = serving.listen(host, port)
    say.print(f"Serving {settings.base_url or f'http://{host}:{port}'}")
    if workers == 1:
        _work_in_background(opened)
        serving.serve(create_app(opened, _names(host)), opened.settings, listener, opened.stop)
        return
    opened.database.close()
    listener.set_inheritable(True)
    raise SystemExit(serving.serve_many(listener, workers, serving.own_command()))


def _names(host: str) -> tuple[str, ...]:
    return (host,) if host in LOOPBACK else ()


def _serve_here(settings: Settings, *, with_worker: bool) -> None:
    listener = serving.inherited()
    if listener is None:
        raise click.UsageError("--inherited is for the processes that `kb serve --workers` starts")
    opened = open_service(settings)
    if with_worker:
        _work_in_background(opened)
    serving.serve(create_app(opened), opened.settings, listener, opened.stop)


@cli.command(name="worker")
def worker_command() -> None:
    """Do what waits in the outbox until stopped; as many machines as wanted with PostgreSQL."""
    with installation() as opened:
        first, *others = opened.workers()
        for other in others:
            worker.start_in_background(other)
        serving.until_stopped(first.run, opened.stop)


def _calendar(settings: Settings, _database: Database) -> str:
    """Whether the make-up working days that clocks of reviews count by are known for this year and, late in it, the next."""
    today = clock.now().astimezone(settings.zone).date()
    years = [today.year, today.year + 1] if today.month == 12 else [today.year]
    missing = [str(year) for year in years if not hours.knows_year("CN", year)]
    if missing:
        raise doctor.Advice(
            f"make-up working days of {', '.join(missing)} are not known: update the package `holidays` when they are announced"
        )
    return f"working days of {', '.join(map(str, years))} are known"


@cli.command(name="doctor")
@click.option("--json", "as_json", is_flag=True)
def doctor_command(as_json: bool) -> None:
    """Check settings, database, index, queue, backup and disk: ok or what to do.

    LOOK is something wrong (and exit 1), note is advice.
    """
    findings = doctor.examine(
        {
            "index": _index,
            "meaning": _meaning,
            "second look": _second_look,
            "passwords": _passwords,
            "files": _files,
            "calendar": _calendar,
            "quality": _quality,
        }
    )
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say.print(f"{finding.mark} {finding.part:<10} {finding.message}", markup=False)
        say.print("\nSettings:", markup=False)
        for name, default, meaning in config.meanings():
            say.print(f"  {name:<20} {meaning}{f' (default {default})' if default else ''}", markup=False)
    if not all(finding.ok for finding in findings):
        raise SystemExit(REFUSED)


# --- content in ---


@cli.group(name="import")
def import_group() -> None:
    """Bring in assets, people, deals, stages and usage; a second run changes nothing."""


@import_group.command(name="assets")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--publish", is_flag=True, help="Publish at once, without review; audited, and what is missing goes on the board."
)
@click.option("--create-tags", is_flag=True, help="Make tags that the vocabulary does not have.")
@click.option("--owner", default="", metavar="EMAIL", help="Owner of assets that name none.")
@click.option("--json", "as_json", is_flag=True)
def import_assets(paths: tuple[Path, ...], publish: bool, create_tags: bool, owner: str, as_json: bool) -> None:
    """Import files or folders of .md and .jsonl."""
    with installation() as opened:
        if owner:
            with opened.database.reading() as session:
                users.get_by_email(session, owner)
        importer = AssetImport(
            opened.database, opened.settings, access.operator(), Options(publish, create_tags, owner)
        )
        with progress("Importing") as step:
            report = importer.run(paths, step)
        with progress("Indexing"):
            outbox.drain(opened.database, opened.worker.handlers)
        with progress("Comparing") as step:
            _warn_of_meanings(opened, report, step)
    _tell(report, as_json)


def _warn_of_meanings(opened: Service, report: Report, step: Callable[[int], None]) -> None:
    """Tell which new texts mean what the library says already; those whose wording told so are left out."""
    told = {(line.path, line.line) for line in report.warnings if line.code == "near_duplicate"}
    fresh = [one for one in report.worded if (one.path, one.line) not in told]
    with opened.database.reading() as session:
        if not fresh or opened.meaning.is_off or vectors.active(session) is None:
            return
    if opened.meaning.wanted.wait(ENCODER_SECONDS) is None:
        return
    for done, one in enumerate(fresh[:MEANINGS_AT_ONCE], 1):
        with opened.database.reading() as session:
            found = duplicates.by_meaning(session, opened.finder, access.operator(), one.asset_id)
        if found is not None:
            report.warnings.append(importing.near_duplicate(one.path, one.line, found))
        step(done)
    if (left := len(fresh) - MEANINGS_AT_ONCE) > 0:
        say.print(f"{left} more texts were compared by their wording alone", style="yellow")


def _import_csv(kind: str) -> Any:
    @import_group.command(name=kind, help=f"Import {kind} from a CSV file.")
    @click.argument("file", type=click.Path(path_type=Path))
    @click.option(
        "--mapping",
        "mapping_file",
        type=click.Path(path_type=Path),
        metavar="MAP.yaml",
        help="How the file's columns become ours; salesforce-deals.yaml and others come along.",
    )
    @click.option("--json", "as_json", is_flag=True)
    def run(file: Path, mapping_file: Path | None, as_json: bool) -> None:
        columns = mapping.load(mapping_file, kind, CsvImport.KNOWN[kind]) if mapping_file else None
        with installation() as opened, progress(f"Importing {kind}") as step:
            report = CsvImport(opened.database, access.operator(), kind, columns=columns).run(file, step)
        _tell(report, as_json)

    return run


for _kind in CsvImport.REQUIRED:
    _import_csv(_kind)


def _tell(report: Report, as_json: bool) -> None:
    if as_json:
        print_json(report.as_json())
    else:
        for line in [*report.warnings, *report.failed]:
            say.print(
                f"{line.path}{f':{line.line}' if line.line else ''}: {line.message}",
                style="red" if line in report.failed else "yellow",
                markup=False,
            )
        say.print(
            f"{report.created} created, {report.updated} updated, {report.unchanged} unchanged, {len(report.failed)} failed"
        )
    if report.failed:
        raise SystemExit(REFUSED)


# --- content out ---


@cli.group(name="export")
def export_group() -> None:
    """Take content out, in the form that `kb import` reads."""


export_group.add_command(commands.export_plan(installation))


export_group.add_command(search_commands.judged_command(installation))


@export_group.command(name="assets")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--as", "email", metavar="EMAIL", help="Only what this person may read without a deal.")
@click.option("--json", "as_json", is_flag=True)
def export_assets(folder: Path, email: str | None, as_json: bool) -> None:
    """Write one Markdown file an asset into a new FOLDER; audited."""
    with installation() as opened:
        reader = None
        if email:
            with opened.database.reading() as session:
                reader = users.actor_of(users.get_by_email(session, email))
        with progress("Exporting") as step:
            found = exporting.export(
                opened.database, opened.settings, access.operator(), folder.absolute(), reader, step
            )
    if as_json:
        print_json({"folder": str(found.folder), "assets": found.assets, "unpublished": found.unpublished})
    else:
        say.print(
            f"{found.assets} assets written to {found.folder}, {found.unpublished} of them not published.", markup=False
        )


# --- finding ---

ENCODER_SECONDS = 60.0
MEANINGS_AT_ONCE = 500
"""How long the command line waits for a model to load."""
LIMITED = {
    "lexical_only": "Search by meaning is not ready: these were found by their words. `kb doctor` says why.",
    "database_only": "The index is being rebuilt; this answer comes from the database.",
}


@cli.command()
@click.argument("query", default="")
@click.option("--as", "email", metavar="EMAIL", help="See what this person sees; without it, every published asset.")
@click.option("--deal", metavar="ID", help="The deal in context.")
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True)
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), default=Mode.HYBRID.value, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def search(
    query: str, email: str | None, deal: str | None, limit: int, mode: str, as_json: bool, **filters: Sequence[str]
) -> None:
    """Find assets by what the customer said."""
    try:
        asked = Query.of(query, filters, limit, 0, mode)
    except ValueError as mistake:
        raise KbError(str(mistake)) from None
    with installation() as opened, opened.database.reading() as session:
        if asked.mode is not Mode.LEXICAL:
            opened.meaning.wanted.wait(ENCODER_SECONDS)
            opened.finder.reranker.wait(ENCODER_SECONDS)
        actor = users.actor_of(users.get_by_email(session, email)) if email else access.operator()
        chosen = deals.get_context(session, actor, taxonomy.load(session), deal) if deal else None
        page = service.search(session, opened.finder, actor, chosen, asked, "en" if actor.language == "en" else "zh")
    if as_json:
        print_json(answer.as_json(page))
        return
    for number, hit in enumerate(page.hits, start=1):
        click.echo(
            f"{number:>2}. {hit.asset.title}  [{hit.asset.type} · {hit.asset.language}]  {hit.asset.external_id or hit.asset.public_id}"
        )
        if hit.passage:
            click.echo(f"    {hit.passage.text}")
    if page.limited:
        say.print(LIMITED[page.limited], style="yellow")
    say.print(f"{page.total} found in {page.took_ms:.0f} ms")


@cli.command(name="eval")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--mode",
    "setting",
    default=Mode.HYBRID.value,
    show_default=True,
    metavar="M",
    help="hybrid, lexical, semantic; hybrid:0.8 for another weight of words, hybrid:1:0 for no asset that leads, "
    "hybrid:1:0.7:0 for no words of the other language, hybrid+again with the cross-encoder of KB_RERANKER; "
    "`all`: the three modes one after another.",
)
@click.option("--against", metavar="M", help="Compare with this mode: difference of nDCG@10 with its interval.")
@click.option("--limit", type=click.IntRange(1), help="At most so many queries.")
@click.option("--json", "as_json", is_flag=True)
def evaluate_command(folder: Path, setting: str, against: str | None, limit: int | None, as_json: bool) -> None:
    """Relevance and speed on judged queries, in an index that is thrown away; needs no installation.

    FOLDER holds documents.jsonl, queries.jsonl and qrels.tsv.
    """
    configure_logging("ERROR")
    try:
        wanted = [evaluate.Setting.of(name) for name in (list(Mode) if setting == "all" else [setting])]
        other = evaluate.Setting.of(against) if against else None
        collection = evaluate.read(folder, limit)
        needs_model = any(one.mode is not Mode.LEXICAL for one in [*wanted, *([other] if other else [])])
        model = _model() if needs_model else None
        judge = _judge() if any(one.again for one in [*wanted, *([other] if other else [])]) else None
        with evaluate.bench(collection, model, lambda step: say.print(step, style="dim"), judge=judge) as filled:
            if other:
                _tell_comparison(evaluate.compare(filled, wanted[0], other), as_json)
                return
            figures = [evaluate.measure(filled, one) for one in wanted]
    except (evaluate.CannotEvaluate, CannotEncode) as mistake:
        raise KbError(str(mistake)) from None
    if as_json:
        print_json(figures[0] if len(figures) == 1 else figures)
    else:
        _tell_figures(figures)


def _model() -> Encoder:
    settings = config.load()
    model = encoder.load(settings.encoder, settings.model_dir)
    if model is None:
        raise CannotEncode("KB_ENCODER is off: only --mode lexical can be measured")
    return model


def _judge() -> reranker.Reranker:
    found = reranker.load(config.load().reranker)
    if found is None:
        raise CannotEncode("KB_RERANKER names no cross-encoder: leave +again away, or set it")
    return found


def _tell_figures(figures: Sequence[Mapping[str, Any]]) -> None:
    table = Table(box=None)
    for column in (
        "mode",
        "pair",
        "queries",
        "ndcg@10",
        "95 %",
        "mrr@10",
        "recall@1",
        "recall@10",
        "recall@100",
        "p50 ms",
        "p95 ms",
    ):
        table.add_column(column, justify="left" if column in {"mode", "pair"} else "right")
    for row in figures:
        speed = [str(row["ms_per_query"]["p50"]), str(row["ms_per_query"]["p95"])]
        for pair, part in {"all": row, **row["by_pair"]}.items():
            numbers = [f"{part[name]:.3f}" for name in ("ndcg@10", "mrr@10", "recall@1", "recall@10", "recall@100")]
            numbers.insert(1, "{:.3f}–{:.3f}".format(*part["ndcg@10_interval"]))
            table.add_row(row["mode"], pair, str(part["queries"]), *numbers, *(speed if pair == "all" else []))
    Console().print(table)


def _tell_comparison(found: evaluate.Comparison, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
        return
    click.echo(f"nDCG@10 {found.first:.4f} against {found.second:.4f}")
    click.echo(f"difference {found.difference:+.4f}, 95 % interval {found.low:+.4f} to {found.high:+.4f}")
    click.echo(f"{found.better} queries better, {found.worse} worse")


for _facet in FACETS:
    search = click.option(f"--{_facet.replace('_', '-')}", _facet, multiple=True, metavar="K")(search)


@cli.group()
def index() -> None:
    """The search index: a copy that may be thrown away."""


@index.command(name="check")
@click.option("--json", "as_json", is_flag=True)
def check_index(as_json: bool) -> None:
    """Compare the index with the database, repair what differs, and say what it was."""
    with installation() as opened:
        found = upkeep.check(opened.database, opened.engine)
    if as_json:
        print_json(
            {
                "assets": found.assets,
                "missing": found.missing,
                "stale": found.stale,
                "surplus": found.surplus,
                "was_damaged": found.was_damaged,
                "waiting": found.waiting,
            }
        )
    elif found.is_true:
        say.print(f"The index agrees with the database: {found.assets} assets.")
    else:
        what = (
            "It was damaged and has been rebuilt"
            if found.was_damaged
            else f"Repaired {found.missing} missing, {found.stale} stale, {found.surplus} surplus"
        )
        say.print(f"{what}; {found.assets} assets.")


@index.command(name="rebuild")
@click.option("--json", "as_json", is_flag=True)
def rebuild_index(as_json: bool) -> None:
    """Build a new index beside the present one and swap."""
    with installation() as opened, progress("Rebuilding") as step:
        assets = upkeep.rebuild(opened.database, opened.engine, step)
    if as_json:
        print_json({"assets": assets})
    else:
        say.print(f"Rebuilt: {assets} assets.")


def _index(settings: Settings, database: Database) -> str:
    """How many assets the index holds, of those it should."""
    engine = WhooshEngine(settings.index_dir)
    try:
        held = len(engine.all_ids())
    except IndexMissing:
        raise doctor.Advice("not built yet: a worker builds it, `kb index rebuild` too; the database answers") from None
    except IndexDamaged as damage:
        raise WrongSettings(f"cannot be read ({damage}): `kb index check` builds it anew") from None
    with database.reading() as session:
        wanted = len(documents.every_id(session))
    if held != wanted:
        raise doctor.Advice(f"{held} of {wanted} assets: a worker follows within seconds, else `kb index check`")
    return f"{held} assets"


def _quality(_settings: Settings, database: Database) -> str:
    """How well the library's own questions are answered."""
    try:
        return quality.state(database)
    except quality.QualityFell as fallen:
        raise doctor.Advice(str(fallen)) from None


def _files(settings: Settings, database: Database) -> str:
    """Whether the store of files and its rows speak of the same."""
    with database.reading() as session:
        state = filestore.examine(session, settings)
    if state.missing:
        raise WrongSettings(
            f"{len(state.missing)} files that versions name are not in {settings.files_dir}, such as "
            f"{state.missing[0][:12]}…: bring them back from the last backup"
        )
    if state.orphans or state.partials:
        raise doctor.Advice(
            f"{state.files} files; {len(state.orphans)} belong to nothing and {state.partials} were never finished: "
            "the worker removes them after a day"
        )
    return f"{state.files} files, each with its row"


def _passwords(settings: Settings, database: Database) -> str:
    """The demonstration's password is printed on screen: it must open nothing that others can reach."""
    with database.reading() as session:
        people = [users.find_by_email(session, face.email) for face in sample.faces()]
    known = [person.email for person in people if person and users.verify_password(person, sample.PASSWORD)]
    if known and (urlsplit(settings.base_url).hostname or "127.0.0.1") not in LOOPBACK:
        raise WrongSettings(
            f"{known[0]} still has the password that `kb demo` prints: change it, or begin a folder of your own with `kb init`"
        )
    return "the sample company's, on this machine alone" if known else "none that is printed anywhere"


def _meaning(settings: Settings, database: Database) -> str:
    """How far search by meaning is; where it is off, that is what was wanted."""
    if settings.encoder == OFF:
        return "off: search by words only"
    source = encoder.source_of(settings.encoder, settings.model_dir)
    with database.reading() as session:
        known = vectors.active(session)
        progress = vectors.progress(session, known.id) if known else None
    if known is None or progress is None:
        return f"{source}; no vectors yet: is a worker running?"
    return f"{source}; {progress.done} of {progress.all} assets have vectors of {known.name}"


def _second_look(settings: Settings, _database: Database) -> str:
    """Loaded as searches load it, since a model that cannot be opened leaves them as they were, without a word."""
    try:
        found = reranker.load(settings.reranker)
    except CannotEncode as error:
        raise WrongSettings(str(error)) from None
    return f"{found.name} reads the best {reranker.DEPTH} hits again" if found else "off: no cross-encoder is named"


# --- backup ---


def _build_index(settings: Settings) -> int:
    """A restored installation has none; the rows are the truth."""
    configure_logging("WARNING")
    opened = open_service(settings)
    try:
        with progress("Indexing") as step:
            return upkeep.rebuild(opened.database, opened.engine, step)
    finally:
        opened.close()


cli.add_command(backup_command)
cli.add_command(restore_command(_build_index))


# --- trail ---


@cli.group(name="audit")
def audit_group() -> None:
    """The append-only trail."""


@audit_group.command(name="verify")
@click.option("--json", "as_json", is_flag=True)
def verify_audit(as_json: bool) -> None:
    """Read the whole chain; name the first row that was changed."""
    with installation() as opened, opened.database.reading() as session:
        found = audit.verify(session)
    if as_json:
        print_json(
            {
                "intact": found.intact,
                "entries": found.entries,
                "head": found.head,
                "broken_at": found.broken_at,
                "reason": found.reason,
            }
        )
    else:
        say.print(
            f"Intact: {found.entries} entries, head {found.head}." if found.intact else f"BROKEN: {found.reason}."
        )
    if not found.intact:
        raise SystemExit(REFUSED)


if __name__ == "__main__":
    main()
