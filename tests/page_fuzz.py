"""Requests as no page would send them, and what must be true of every answer.

Paths, queries and bodies are those of /api/openapi.json, so that what comes later is asked too.
"""

import json
import random
import re
import socket
from urllib.parse import quote

from conftest import PATIENCE

ODD = [
    "", "0", "-1", "00", "1e999", "NaN", "null", "true", "[]", "{}", "' OR 1=1 --", "<b>x</b>",
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "\\\\host\\share", "C:\\x", "%",
    "%00", "a\0b", "%zz", "%ff%fe", "a" * 3000, "9" * 40, "9" * 5000, "-" * 50, "é", "日本", "🎛",
    "\u202e", "a\nb", "a\r\nX-Evil: 1", "\ud800", "pump;x", "pump?x", "pump#x", ".", "..", "~",
    "$(id)", "2026-01-01", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999999+14:00", "0001-01-01",
    "2026-02-30", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "0.5", "\t",
    "file:///etc/passwd", "http://127.0.0.1:1/", "con", "nul.wav", "\ufeff", "１", "1_000", " 1 ",
]  # fmt: skip
VALUES = [None, True, False, 0, -1, 1, 0.5, 1e308, 2**63, 2**70, "", [], {}, [[]], [None], {"a": 1}]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get",
           "PROPFIND", "X" * 300, "G\0T", "é", ""]  # fmt: skip
PATHS = ["/", "//", "/static/", "/static/api.js", "/static/../serving.py", "/static/%2e%2e/app.py",
         "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/..\\app.py", "/static/a%00b",
         "/static/" + "a/" * 400, "/api", "/api/", "/api/v1", "/api/v2/machines", "/%2e%2e/%2e",
         "*", "http://evil.example/", "/api/../static/api.js", "/favicon.ico", "/healthz", "",
         "/.git/config", "/api/%F0%9F", "?", "/readyz", "/\ud800", "/api/machines/%ED%A0%80",
         "/" + "%41" * 900, "/api/openapi.json"]  # fmt: skip
HEADERS = ["Origin", "Cookie", "Authorization", "Range", "If-None-Match", "If-Modified-Since",
           "If-Range", "Accept", "Accept-Encoding", "Content-Type", "X-Forwarded-For", "Forwarded",
           "Sec-Fetch-Site", "X-Nearfar", "Last-Event-ID", "Expect", "Upgrade", "Connection",
           "Transfer-Encoding", "Content-Length", "Host", "X-HTTP-Method-Override", "Referer",
           "Content-Encoding", "TE"]  # fmt: skip
SAID = ["bytes=0-", "bytes=-1", "bytes=9-1", "bytes=0-0,5-6," + "1-2," * 400, "bytes=a-b", "null",
        "gzip, chunked", "chunked", "identity", "*", "W/\"x\"", "Thu, 01 Jan 1970 00:00:00 GMT",
        "application/json", "multipart/form-data; boundary=x", "multipart/form-data",
        "multipart/form-data; boundary=" + "b" * 300, "text/plain; charset=\"\\", "100-continue",
        "websocket", "same-origin", "cross-site", "nearfar_8080=x; a; =; ==", "Bearer x",
        "Basic eA", "http://127.0.0.1", "application/json; charset=utf-16", "audio/x"]  # fmt: skip


class Fuzz:
    """Makes requests of a seed.

    Args:
        seed: of all that is drawn.
        port: where they go.
        described: what /api/openapi.json says.
        known: name of a path's part, or of a query → values that there are.
        reader: token of somebody who may look alone, sent with each request.
    """

    def __init__(self, seed, port, described, known, reader=None):
        self.draw, self.reader = random.Random(seed), reader
        self.port, self.known = port, known
        self.schemas = described.get("components", {}).get("schemas", {})
        self.asked = [
            (verb.upper(), path, told)
            for path, verbs in described["paths"].items()
            for verb, told in verbs.items()
        ]

    def value(self, name):
        """A text for a part of a path or a query: often one that there is."""
        known = self.known.get(name)
        if known and self.draw.random() < 0.6:
            return str(self.draw.choice(known))
        return self.draw.choice(ODD)

    def text(self, name):
        """The same in a URL: mostly as it should be written, now and then as it is."""
        value = self.value(name)
        if self.draw.random() < 0.8:
            return quote(value.encode("utf-8", "surrogatepass"), safe="")
        return value

    def target(self):
        """(verb, path with a query, what is described of it)."""
        if self.draw.random() < 0.15:
            return self.draw.choice(METHODS), self.draw.choice(PATHS) + self.query([]), {}
        verb, path, told = self.draw.choice(self.asked)
        path = re.sub(r"\{(\w+)[^}]*\}", lambda part: self.text(part[1]), path)
        if self.draw.random() < 0.1:
            path = path.replace("/api", "/api/v1", 1)
        if self.draw.random() < 0.07:
            verb = self.draw.choice(METHODS)
        asked = [one["name"] for one in told.get("parameters", ()) if one["in"] == "query"]
        return verb, path + self.query(asked), told

    def query(self, names):
        pairs = [(n, self.text(n)) for n in names if self.draw.random() < 0.4]
        while self.draw.random() < 0.1:
            pairs.append((self.text("?")[:50], self.text("?")))
        return "?" * bool(pairs) + "&".join(f"{n}={v}" for n, v in pairs)

    def body(self, told):
        """(content type, bytes)."""
        content = told.get("requestBody", {}).get("content", {})
        kind = self.draw.random()
        if kind < 0.1:
            return self.draw.choice(SAID), self.draw.randbytes(self.draw.choice([1, 99, 5000]))
        if "application/json" in content and kind < 0.9:
            made = self.of(content["application/json"].get("schema", {}))
            text = json.dumps(made)
            if kind < 0.15:
                text = text[: self.draw.randrange(len(text) + 1)]
            return "application/json", text.encode()
        if kind < 0.95 or content:
            return "multipart/form-data; boundary=x", self.form()
        return "application/json", b"[" * 30_000

    def of(self, schema):
        """A value of a schema, which is often not quite what it asks for."""
        schema = self.schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
        if self.draw.random() < 0.15:
            return self.draw.choice(VALUES + ODD)
        if "anyOf" in schema:
            return self.of(self.draw.choice(schema["anyOf"]))
        if "enum" in schema:
            return self.draw.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object" or "properties" in schema:
            made = {n: self.of(s) for n, s in schema.get("properties", {}).items()}
            return {n: v for n, v in made.items() if self.draw.random() < 0.9}
        if kind == "array":
            return [self.of(schema.get("items", {})) for _ in range(self.draw.randrange(4))]
        if kind == "number":
            return self.draw.choice([0, 0.01, 0.1, 1, -1, 2, 1e-300, 1e300])
        if kind == "integer":
            return self.draw.choice([0, 1, -1, 7, 2**31, 2**63])
        if kind == "boolean":
            return self.draw.choice([True, False])
        return self.draw.choice(["", "Ada", "heard it too", *ODD])

    def form(self):
        parts = []
        for _ in range(self.draw.choice([0, 1, 1, 2, 40])):
            name, file = self.draw.choice(["audio", "far", "who", *ODD]), self.draw.choice(ODD)
            wave = self.draw.choice([b"", b"RIFF", self.draw.randbytes(300), self.known["wav"]])
            head = f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="{file}.wav"'
            parts.append(head.encode("utf-8", "surrogatepass") + b"\r\n\r\n" + wave + b"\r\n")
        return b"".join(parts) + self.draw.choice([b"--x--\r\n", b"--x--\r\n", b"--x", b""])

    def request(self):
        """Bytes, and whether an answer is waited for."""
        verb, target, told = self.target()
        host = f"127.0.0.1:{self.port}" if self.draw.random() < 0.97 else self.draw.choice(ODD)
        lines = [("Host", host)]
        body = b""
        if told.get("requestBody") or (verb not in ("GET", "HEAD") and self.draw.random() < 0.5):
            kind, body = self.body(told)
            lines.append(("Content-Type", kind))
            if self.draw.random() < 0.1:
                lines.append(("Transfer-Encoding", "chunked"))
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            else:
                lie = self.draw.choice([-1, 1, 10**10]) if self.draw.random() < 0.03 else 0
                lines.append(("Content-Length", str(max(0, len(body) + lie))))
        if self.reader:
            lines.append(("Authorization", f"Bearer {self.reader}"))
        while self.draw.random() < 0.3:
            lines.append((self.draw.choice(HEADERS), self.draw.choice(SAID + ODD)))
        lines.append(("Connection", "close"))
        text = f"{verb} {target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in lines)
        whole = text.encode("utf-8", "surrogatepass") + b"\r\n" + body
        if self.draw.random() < 0.03:
            return whole[: self.draw.randrange(len(whole))], False
        return whole, True

    def run(self, count):
        """Ask so often.

        Returns:
            Status → how often it was answered so.
        """
        seen = {}
        for _ in range(count):
            request, waits = self.request()
            answer = asked(self.port, request, waits)
            status = checked(answer, request) if waits else None
            if self.reader and status and status < 400:
                told = f"{request[:300]!r} → {answer[:300]!r}"
                assert request.startswith((b"GET ", b"HEAD ")) or b"/session" in request, told
            seen[status] = seen.get(status, 0) + 1
        return seen


def asked(port, request, waits):
    """What a request is answered with, as far as it comes; of a stream the begin."""
    answer = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as there:
        try:
            there.sendall(request)
            while waits and (piece := there.recv(65536)):
                answer += piece
                if b"text/event-stream" in answer[:2000]:
                    break
        except (ConnectionResetError, BrokenPipeError):
            pass
    return bytes(answer)


def checked(answer, request):
    """The status of an answer that is as every answer must be."""
    told = f"{request[:600]!r} → {answer[:600]!r}"
    if not answer:
        return 0  # cut off: its head was no end of one
    head, _, body = answer.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.1 (\d{3})", head)
    assert found, told
    status = int(found[1])
    if status == 100:
        return checked(body, request)
    assert status < 500 or status == 503, told
    assert b"Traceback" not in answer, told
    lower = head.lower()
    assert b"\r\nx-evil" not in lower, told
    for name in (b"content-security-policy", b"x-content-type-options", b"cache-control"):
        assert lower.count(b"\r\n" + name) == 1, told
    assert b"\r\nserver:" not in lower, told
    is_json = b"content-type: application/json" in lower
    if status >= 400:
        assert is_json, told
    if is_json and body and b"content-encoding" not in lower and b"chunked" not in lower:
        # Of two answers on one line the second is that of what followed the first request.
        said = json.loads(body.partition(b"HTTP/1.1 ")[0])
        assert b"\n" not in body.partition(b"HTTP/1.1 ")[0], told
        assert status < 400 or said["error"], told
    return status
