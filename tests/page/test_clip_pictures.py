"""The pictures of a clip draw in a browser, as images under a policy that allows nothing else."""

import numpy as np
import pytest

from browser import browser, until
from nearfar.report.spectrograms import alone, stack
from watches import sound

POLICY = "default-src 'none'; img-src 'self'; style-src 'self'"
PAGE = (
    '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    '<title>x</title><img src="/desk.svg" alt="desk">'
)
PIXELS = """() => { const i = document.images[0], c = document.createElement('canvas');
    c.width = i.naturalWidth; c.height = i.naturalHeight;
    const d = c.getContext('2d'); d.drawImage(i, 0, 0);
    return new Set(new Uint32Array(d.getImageData(0, 0, c.width, c.height).data.buffer)).size }"""
INK = """() => { const i = document.images[0], c = document.createElement('canvas');
    c.width = i.naturalWidth; c.height = i.naturalHeight;
    const d = c.getContext('2d'); d.drawImage(i, 0, 0);
    const p = d.getImageData(0, 0, c.width, 22).data; let best = 0, found = null;
    for (let n = 0; n < p.length; n += 4) if (p[n + 3] > best) {
        best = p[n + 3]; found = [p[n], p[n + 1], p[n + 2]] }
    return found }"""


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_a_picture_has_pixels_and_the_colours_of_day_or_night(dark):
    near, far = sound(1)
    drawn = alone(stack({"near": near, "far": far}, near))
    context = browser().new_context(color_scheme="dark" if dark else "light")
    try:
        tab, said = context.new_page(), []
        tab.on("console", lambda line: said.append(line.text))
        safe = {"Content-Security-Policy": POLICY}
        tab.route(
            "http://page.test/",
            lambda r: r.fulfill(body=PAGE, content_type="text/html", headers=safe),
        )
        tab.route(
            "**/desk.svg",
            lambda r: r.fulfill(body=drawn, content_type="image/svg+xml", headers=safe),
        )
        tab.goto("http://page.test/")
        until(tab, "document.images[0].complete")
        assert tab.evaluate("document.images[0].naturalWidth") == 960
        assert tab.evaluate(PIXELS) > 500, "spectrograms have many colours"
        ink = np.array(tab.evaluate(INK))
        assert ink.mean() > 150 if dark else ink.mean() < 100
        assert said == []
    finally:
        context.close()
