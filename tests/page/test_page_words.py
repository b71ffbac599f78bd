"""The page's words: each in every language, each used, and no other."""

import json
import re

import pytest

from nearfar.page.app import STATIC
from page_server import served

ROW = re.compile(r'^  "([^"]+)": (\[".*"\]),$', re.MULTILINE)
NAMES = re.compile(r"\{(\w+)")
SOURCES = {path.name: path.read_text("utf-8") for path in sorted(STATIC.glob("*.js"))}
TABLE = re.search(r"^const WORDS = \{\n(.*?)^\};", SOURCES["words.js"], re.DOTALL | re.MULTILINE)[1]
WORDS = {key: json.loads(row) for key, row in ROW.findall(TABLE)}


def test_every_line_of_the_table_is_a_word_or_a_heading():
    lines = [line for line in TABLE.splitlines() if not line.startswith("  // ")]
    assert len(lines) == len(WORDS) > 100


def test_a_word_is_there_in_every_language():
    assert [
        key for key, row in WORDS.items() if len(row) != 3 or not all(map(str.strip, row))
    ] == []


def test_a_word_says_the_same_values_in_every_language():
    told = {key: [set(NAMES.findall(text)) for text in row] for key, row in WORDS.items()}
    # What only chooses between one and many stands beside the value itself.
    assert {key: names for key, names in told.items() if names != [names[0]] * 3} == {}


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "words.js"])
def test_what_is_said_is_a_word(name):
    asked = set(re.findall(r'\bt\("([^"]+)"', SOURCES[name]))
    assert asked - set(WORDS) == set()


def test_every_word_is_said_somewhere():
    told = "".join(text for name, text in SOURCES.items() if name != "words.js")
    made = re.findall(r"`([\w.]+\.)\$\{", told)  # t(`clip.sound.${name}`): all that begin so
    unsaid = [key for key in WORDS if f'"{key}"' not in told and not key.startswith(tuple(made))]
    assert unsaid == []


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "words.js"])
def test_a_word_that_is_put_together_begins_as_words_do(name):
    made = re.findall(r"\bt\(`([\w.]+\.)\$\{", SOURCES[name])
    assert [start for start in made if not any(key.startswith(start) for key in WORDS)] == []


def test_nothing_of_the_page_comes_from_outside():
    texts = [path.read_text("utf-8") for path in STATIC.rglob("*") if path.suffix in (
        ".js", ".css", ".html", ".svg")]  # fmt: skip
    outside = [url for text in texts for url in re.findall(r"https?://[^\s\"')]+", text)]
    assert set(outside) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", [*SOURCES, "index.html"])
def test_the_policy_forbids_nothing_that_the_page_does(name):
    text = SOURCES.get(name) or (STATIC / name).read_text("utf-8")
    forbidden = (r"innerHTML", r"\beval\(", r"new Function", r"setAttribute\(\"style\"",
                 r"\sstyle=\"", r"<script>", r"document\.write", r"insertAdjacentHTML")  # fmt: skip
    assert [one for one in forbidden if re.search(one, text)] == []


def test_what_the_first_page_needs_is_light():
    """A phone in a hall has a slow network: all that the first view needs, as it is sent."""
    first = (STATIC / "index.html").read_text("utf-8")
    files = set(re.findall(r'"(/static/[^"]+)"', first)) | {"/", "/static/spark.js"}
    with served() as page:
        sent = [page.get(one, headers={"Accept-Encoding": "gzip"}) for one in files]
    assert all(reply.status_code == 200 for reply in sent)
    assert sum(reply.num_bytes_downloaded for reply in sent) < 150_000
