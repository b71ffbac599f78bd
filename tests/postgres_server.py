"""A PostgreSQL server of Debian's on loopback, one a test process; a database for each who asks.

    with PostgresServer() as server:
        where = server.database()       # a URL of a new, empty one
        server.kill(); server.start()   # as a power cut does it, and back

PostgreSQL refuses to run as root: there it runs as the user `postgres`.
"""

import atexit
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import psycopg
import pytest

from conftest import PATIENCE, free_port
from servers import server

NAMES = itertools.count(1)


class PostgresServer:
    """Started at once; `close` ends it and removes what it wrote."""

    def __init__(self):
        self._initdb = server("initdb", "postgresql")
        self._postgres = server("postgres", "postgresql")
        self._user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        # Not below pytest's folder, which is its user's alone; short, for sockets have short names.
        self.folder = Path(tempfile.mkdtemp(prefix="nfpg", dir="/tmp"))
        self.port, self._process = free_port(), None
        try:
            if self._user:
                shutil.chown(self.folder, "postgres", "postgres")
            subprocess.run(
                [self._initdb, "-D", self.folder / "data", "-U", "plant", "-A", "trust", "-N",
                 "-E", "UTF8", "--locale=C.UTF-8"],
                check=True, capture_output=True, timeout=PATIENCE, cwd="/", **self._user,
            )  # fmt: skip
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self):
        """Begin, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._postgres, "-D", self.folder / "data", "-p", self.port,
                 "-k", self.folder, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=40",
                 "-c", "shared_buffers=16MB"],
                stdout=log, stderr=log, cwd="/", **self._user,
            )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def url(self, name):
        return f"postgresql://plant@127.0.0.1:{self.port}/{name}"

    def database(self, options=""):
        """A URL of a new, empty database."""
        name = f"plant{next(NAMES)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def _end(self, how):
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
        self._process = None

    def stop(self):
        """End at once and orderly; those who are connected are thrown out."""
        self._end(signal.SIGINT)

    def kill(self):
        """End as a crash does it: nothing is flushed, and the next start recovers."""
        self._end(signal.SIGQUIT)

    def close(self):
        """End, and remove all."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def _shared():
    made = PostgresServer()
    atexit.register(made.close)
    return made


@pytest.fixture
def postgres():
    """The server of this test process; started when first asked for, ended with the process."""
    return _shared()
