"""docs/ARCHITECTURE.md, HACKING.md and THREATS.md name what exists.

A `path/` or `path/file.ext` must be there. A `function()` stands in the
file that was named last before it in the same paragraph or list item (in
any source when none was), and a test so named is one that is run.
"""
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("lib keys scope messages vault minter egress supervisor guest-agent "
         "cli presets tests tools docs packaging bench").split()
TICKED = re.compile(r"`([^`]+)`")
FILE = re.compile(r"(?:%s)/[\w./-]*\w|(?:%s)/" % ("|".join(ROOMS),
                                                  "|".join(ROOMS)))
RULES = 11
SYSTEM = {"socket", "connect"}  # calls that are not ours


def paragraphs(name):
    text = (ROOT / "docs" / name).read_text()
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for block in re.split(r"\n\s*\n|\n(?=\d+\. |- |\|)", text):
        yield block


def suffixed(path):
    """messages/traffic.h, vault/kind/NAME.c (a pattern), lib/."""
    return not re.search(r"\b(NAME|AREA|SESSION|MODE)\b|…", path)


def defines(path, function):
    text = path.read_text(errors="replace")
    if path.suffix == ".py":
        return re.search(rf"^def {function}\(", text, re.M)
    if not re.search(rf"^(?:\w.* \*?)?{function}\(", text, re.M):
        return False
    if "/tests/unit/" in str(path):  # it is in the list that is run
        return re.search(rf"\b(?:cmocka_unit_test\w*|T)\(\s*{function}\b",
                         text)
    return True


def sources():
    for room in ROOMS:
        for suffix in ("*.c", "*.h", "*.py"):
            yield from (ROOT / room).rglob(suffix)


def check(name):
    """What is named in a page and is not there."""
    seen = 0
    for block in paragraphs(name):
        last = None
        for word in TICKED.findall(block):
            word = " ".join(word.split())
            if FILE.fullmatch(word) and suffixed(word):
                seen += 1
                if not (ROOT / word).exists():
                    yield f"{name}: no {word}"
                    continue
                last = ROOT / word
            called = re.fullmatch(r"(\w+)\(\)", word)
            if called and called[1] not in SYSTEM:
                seen += 1
                where = [last] if last else sources()
                if not any(defines(f, called[1]) for f in where):
                    at = last.relative_to(ROOT) if last else "any source"
                    yield f"{name}: no {word} in {at}"
    if seen == 0 and name == "ARCHITECTURE.md":
        yield f"{name}: names nothing"


def rules():
    """Each of the numbered rules names a test."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    part = text[text.index("## The rules"):]
    part = part[:part.index("\n## ", 1)]
    items = re.split(r"^(?=\d+\. )", part, flags=re.M)[1:]
    if [int(i.split(".")[0]) for i in items] != list(range(1, RULES + 1)):
        yield "the rules are not numbered 1 to 11"
    for item in items:
        if not re.search(r"`tests/[^`]+`\s+`\w+\(\)`", item):
            yield f"rule {item.split('.')[0]} names no test"


CHECKS = [("ARCHITECTURE names files, functions and tests that exist",
           lambda: check("ARCHITECTURE.md")),
          ("each rule of the design names a test", rules),
          ("HACKING names files that exist", lambda: check("HACKING.md")),
          ("THREATS names files that exist", lambda: check("THREATS.md"))]

bad = 0
for n, (what, found) in enumerate(CHECKS, 1):
    found = list(found())
    for line in found:
        print(f"# {line}")
    print(f"{'not ok' if found else 'ok'} {n} - {what}", flush=True)
    bad += bool(found)
print(f"1..{len(CHECKS)}")
sys.exit(1 if bad else 0)
