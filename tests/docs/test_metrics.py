#!/usr/bin/python3
"""docs/metrics.md is what minter/metrics.h says, and the table is sound.

    tests/docs/test_metrics.py [--write]    --write: renew the page
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "metrics.md"
HEAD = """<!-- Made by tests/docs/test_metrics.py --write from minter/metrics.h. -->
# Metrics

`hatcheck metrics` prints them, in Prometheus' text format. The daemon serves
the same text on its admin socket, to those who may call there
(docs/admin-api.md):

```sh
curl --unix-socket ~/.local/state/hatcheck/run/admin.sock \\
    http://hatcheck/v1/metrics
```

Prometheus itself reads no unix socket: let a timer write the text where
node_exporter's textfile collector looks.

```sh
hatcheck metrics > /var/lib/node_exporter/hatcheck.prom.new &&
    mv /var/lib/node_exporter/hatcheck.prom.new \\
        /var/lib/node_exporter/hatcheck.prom
```

Counters begin at 0 when the minter is started. Couriers tell what they
counted once a second. A name is never renamed or used for something else; a
label's value is always a word of our own tables, never a guest's, a host's or
a credential's name.

| name | type | labels | what it says |
|---|---|---|---|
"""


def rows():
    """(name, type, labels, help), as the compiler reads them."""
    source = ('#include "minter/metrics.h"\n'
              "#define X(symbol, ...) @@ [__VA_ARGS__]\nMETRICS(X)\n")
    out = subprocess.run(
        ["gcc", "-E", "-P", "-I", str(ROOT), "-"], input=source,
        capture_output=True, text=True, check=True).stdout
    for row in out.split("@@")[1:]:
        text = re.sub(r'"\s+"', "", row.strip()[1:-1])
        yield tuple(re.findall(r'"((?:[^"\\]|\\.)*)"', text))


def page():
    return HEAD + "".join(
        f"| `hatcheck_{name}` | {kind} | "
        f"{', '.join(f'`{x}`' for x in labels.split(',') if x)} | {text} |\n"
        for name, kind, labels, text in rows())


def checks():
    table = list(rows())
    names = [r[0] for r in table]
    yield "docs/metrics.md is made from the table", PAGE.read_text() == page()
    yield "names are unique and plain", (
        len(set(names)) == len(names) > 10 and
        all(re.fullmatch(r"[a-z]+(_[a-z]+)*", n) for n in names))
    yield "counters end in _total, and nothing else does", all(
        (r[1] == "counter") == r[0].endswith("_total") for r in table)
    yield "histograms are in seconds", all(
        r[0].endswith("_seconds") for r in table if r[1] == "histogram")
    yield "each says what it is", all(r[3].endswith(".") for r in table)


if sys.argv[1:] == ["--write"]:
    PAGE.write_text(page())
    sys.exit(0)
bad = 0
for n, (what, good) in enumerate(checks(), 1):
    print(f"{'ok' if good else 'not ok'} {n} - {what}")
    bad += not good
sys.exit(1 if bad else 0)
