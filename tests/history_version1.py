"""A history of schema 1, laid down by the statements that nearfar had then."""

import re
import sqlite3

# N, W, B, R: a number that counts by itself, one that refers to it, bytes, and how a table lies:
# the two databases call them otherwise.
TABLES = """
CREATE TABLE meta (key TEXT NOT NULL, value TEXT, PRIMARY KEY (key));
CREATE TABLE machines (id N NOT NULL, machine TEXT NOT NULL, section TEXT NOT NULL,
    PRIMARY KEY (id), UNIQUE (machine, section));
CREATE TABLE texts (id N NOT NULL, key B NOT NULL, text TEXT NOT NULL, last BIGINT NOT NULL,
    PRIMARY KEY (id), UNIQUE (key));
CREATE TABLE clips (id N NOT NULL, machine W NOT NULL, digest B NOT NULL,
    at BIGINT NOT NULL, arrived BIGINT NOT NULL, time TEXT, source W NOT NULL,
    folder W, nearest W, detector W, file TEXT, name TEXT NOT NULL,
    seconds DOUBLE PRECISION, status TEXT NOT NULL, score DOUBLE PRECISION,
    percentile DOUBLE PRECISION, p_value DOUBLE PRECISION, threshold DOUBLE PRECISION,
    anomalous SMALLINT, near_level DOUBLE PRECISION, far_level DOUBLE PRECISION,
    ratio DOUBLE PRECISION, coherence DOUBLE PRECISION, faults TEXT, warning TEXT,
    PRIMARY KEY (id), CONSTRAINT clips_once UNIQUE (machine, digest),
    FOREIGN KEY (machine) REFERENCES machines (id));
CREATE INDEX clips_of_machine ON clips (machine, at, id);
CREATE INDEX clips_at ON clips (at, id);
CREATE INDEX clips_arrived ON clips (arrived);
CREATE TABLE files (folder W NOT NULL, name TEXT NOT NULL, size BIGINT NOT NULL,
    modified BIGINT NOT NULL, done BIGINT NOT NULL, PRIMARY KEY (folder, name)) R;
CREATE TABLE alarms (id W NOT NULL, machine W NOT NULL, kind TEXT NOT NULL,
    condition TEXT NOT NULL, since BIGINT NOT NULL, told TEXT NOT NULL, cleared BIGINT,
    acknowledged BIGINT, note TEXT NOT NULL, shelved_until BIGINT, PRIMARY KEY (id),
    FOREIGN KEY (machine) REFERENCES machines (id));
CREATE TABLE events (id W NOT NULL, alarm W NOT NULL, machine W NOT NULL,
    kind TEXT NOT NULL, condition TEXT NOT NULL, verb TEXT NOT NULL, at BIGINT NOT NULL,
    told TEXT NOT NULL, silent SMALLINT NOT NULL, PRIMARY KEY (id),
    FOREIGN KEY (machine) REFERENCES machines (id));
CREATE TABLE actions (id N NOT NULL, alarm W NOT NULL, verb TEXT NOT NULL,
    at BIGINT NOT NULL, note TEXT NOT NULL, until BIGINT, who TEXT NOT NULL, PRIMARY KEY (id));
CREATE TABLE stations (machine W NOT NULL, state TEXT NOT NULL, PRIMARY KEY (machine),
    FOREIGN KEY (machine) REFERENCES machines (id));
CREATE TABLE said (output TEXT NOT NULL, event BIGINT NOT NULL, PRIMARY KEY (output));
CREATE VIEW heard AS SELECT c.id, m.machine, m.section, c.name, c.p_value
    FROM clips c JOIN machines m ON m.id = c.machine;
INSERT INTO meta VALUES ('program', 'nearfar history'), ('schema', '1')
"""
SQLITE = {"N": "INTEGER", "W": "INTEGER", "B": "BLOB", "R": "WITHOUT ROWID"}
SERVER = {"N": "BIGSERIAL", "W": "BIGINT", "B": "BYTEA", "R": ""}
ROWS = """
INSERT INTO machines (machine, section) VALUES ('fan', '00'), ('pump', '00');
INSERT INTO texts (key, text, last) VALUES (X'00112233445566778899aabbccddeeff', 'hall', 1);
INSERT INTO clips (machine, digest, at, arrived, source, name, status, p_value, anomalous)
    VALUES (1, X'3d61', 1000000, 1000000, 1, '1.wav', 'judged', 0.5, 0),
           (2, X'3d62', 2000000, 2000000, 1, '2.wav', 'judged', 0.01, 1);
INSERT INTO alarms VALUES (3, 2, 'machine', 'sound', 2000000, 'raised', NULL, NULL, '', NULL)
"""


def statements(words):
    """Those that lay it down, in a database's words for N, W, B and R."""
    told = re.sub(r"\b[NWBR]\b", lambda sign: words[sign[0]], TABLES)
    return [one.strip() for one in told.split(";")]


def rows(blob):
    """Those that fill it."""
    if blob == "BYTEA":
        return [one.replace("X'", r"'\x").strip() for one in ROWS.split(";")]
    return [one.strip() for one in ROWS.split(";")]


def make_version1(path):
    """A file of schema 1 with two clips, of which `=a` is the fan's, and alarm 3."""
    connection = sqlite3.connect(path)
    with connection:
        for statement in (*statements(SQLITE), *rows("BLOB")):
            connection.execute(statement)
    connection.close()


def make_version1_server(where):
    """The same in a database of PostgreSQL."""
    import psycopg

    with psycopg.connect(where) as connection:
        for statement in (*statements(SERVER), *rows("BYTEA")):
            connection.execute(statement)
