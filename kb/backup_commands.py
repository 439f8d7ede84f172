"""`kb backup` and `kb restore`."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from kb import access, backup, config
from kb.backup import Backup
from kb.config import Settings
from kb.console import print_json, progress, say
from kb.db import Database
from kb.restore import Restore, Restored, Wanted

Rebuild = Callable[[Settings], int]
"""Builds the search index of an installation and returns how many assets it holds."""


@click.command(name="backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Take the place of a FILE that is there already.")
@click.option("--json", "as_json", is_flag=True)
def backup_command(file: Path, force: bool, as_json: bool) -> None:
    """Write database, files and key into one FILE, while the service goes on.

    Who has the file has everything: keep it as safely as the installation.
    """
    settings = config.load()
    database = Database(settings.sqlalchemy_url)
    try:
        with progress("Reading it back") as step:
            made = backup.create(database, settings, access.operator(), file.absolute(), replace=force, progress=step)
    finally:
        database.close()
    if as_json:
        print_json(_as_json(made))
    else:
        say.print(
            f"{made.path}: {made.rows} rows and {made.files} files as of {made.manifest.taken_at[:19]} UTC, "
            f"{made.size} bytes, read back and sound.\nSHA-256 {made.sha256}\n"
            "Who has this file has everything: keep it as safely as the installation.",
            markup=False,
        )


def _as_json(made: Backup) -> dict[str, object]:
    told = made.manifest
    return {
        "file": str(made.path),
        "bytes": made.size,
        "sha256": made.sha256,
        "taken_at": told.taken_at,
        "release": told.release,
        "revision": told.state.revision,
        "database": told.database,
        "rows": made.rows,
        "files": made.files,
        "audit": {"entries": told.state.audit_entries, "head": told.state.audit_head},
    }


def restore_command(rebuild: Rebuild) -> click.Command:
    """The command, with the given way to build the index: this package knows no search."""

    @click.command(name="restore")
    @click.argument("file", type=click.Path(path_type=Path))
    @click.option("--force", is_flag=True, help="Move what stands there aside; nothing of it is lost.")
    @click.option("--end-tokens", is_flag=True, help="Revoke every API token; sessions end in any case.")
    @click.option("--json", "as_json", is_flag=True)
    def run(file: Path, force: bool, end_tokens: bool, as_json: bool) -> None:
        """Put a backup in place: into an empty data folder, or with --force beside what stands there.

        Stop `kb serve` and `kb worker` first. Sums are checked before anything is written.
        """
        settings = config.load()
        wanted = Wanted(force=force, end_tokens=end_tokens)
        with progress("Checking sums") as step:
            restored = Restore(settings, access.operator(), wanted, lambda text: say.print(text, style="dim")).run(
                file, step
            )
        assets = rebuild(settings)
        if as_json:
            print_json({**_told(restored), "indexed": assets})
        else:
            _tell(restored, assets, settings)

    return run


def _told(restored: Restored) -> dict[str, object]:
    fields = asdict(restored)
    manifest = restored.manifest
    del fields["manifest"]
    return {
        "taken_at": manifest.taken_at,
        "release": manifest.release,
        "from_revision": manifest.state.revision,
        "rows": sum(manifest.state.counts.values()),
        **fields,
    }


def _tell(restored: Restored, assets: int, settings: Settings) -> None:
    told = restored.manifest
    migrated = f", brought from schema {told.state.revision} to {restored.revision}"
    lines = [
        f"Restored into {settings.data_dir} as of {told.taken_at[:19]} UTC (release {told.release})"
        f"{migrated if restored.revision != told.state.revision else ''}.",
        f"{sum(told.state.counts.values())} rows; trail intact, {told.state.audit_entries} entries; "
        f"{assets} assets indexed; {restored.ended_sessions} sessions ended"
        f"{f', {restored.ended_tokens} tokens revoked' if restored.ended_tokens else ''}.",
        "People, passwords and tokens are those of that day: what was withdrawn since is back. `kb doctor` looks it over.",
    ]
    if restored.aside:
        lines.append(f"What stood there before is in {restored.aside}; remove it when it is not needed any more.")
    say.print("\n".join(lines), markup=False)
