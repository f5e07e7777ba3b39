"""docs/REQUIREMENTS.md names tests that exist and run, and has a row for
each number that a test or the code calls a requirement."""
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "REQUIREMENTS.md").read_text()
ROW = re.compile(r"^\| (\d+a?) \|(.*)\|(.*)\|(.*)\|$", re.M)
# "requirements 10 (short values), 31a and 41 to 43", "(req. 15, 16)"
SAID = re.compile(r"\b(?:requirements?|req\.)[\s*]+(\d+a?(?:\s*\([^)]*\))?"
                  r"(?:(?:,|\s+and|\s+to)[\s*]+\d+a?(?:\s*\([^)]*\))?)*)",
                  re.I)
ROOMS = "tests lib keys scope messages vault minter egress supervisor cli"


def runs(path, function):
    text = path.read_text()
    if path.suffix == ".py":
        return re.search(rf"^def {function}\(", text, re.M)
    return re.search(rf"^{function}\(", text, re.M) and re.search(
        rf"\b(?:cmocka_unit_test\w*|T)\(\s*{function}\b", text)


def tests():
    """Each row names tests, and those are there."""
    for number, what, held, _ in ROW.findall(PAGE):
        last, seen = None, 0
        for word in re.findall(r"`([^`]+)`", held):
            if word.startswith("tests/"):
                last = ROOT / word
                seen += 1
                if not last.is_file():
                    yield f"{number}: no {word}"
                    last = None
            elif word.endswith("()") and (not last or
                                          not runs(last, word[:-2])):
                yield f"{number}: no {word} in {last}"
        if not seen or not what.strip():
            yield f"{number}: no test, or no words"


def said():
    for room in ROOMS.split():
        for f in (ROOT / room).rglob("*.[chp]*"):
            if f.suffix not in (".c", ".h", ".py") or f == Path(__file__):
                continue
            for m in SAID.finditer(f.read_text(errors="replace")):
                words = re.sub(r"\([^)]*\)", " ", m[1])
                yield from ((n, f) for n in re.findall(r"\d+a?", words))
                for a, b in re.findall(r"(\d+)\s+to[\s*]+(\d+)", words):
                    yield from ((str(n), f) for n in range(int(a), int(b)))


def numbers():
    """Each number in use has one row, and the rows are in order."""
    rows = [n for n, *_ in ROW.findall(PAGE)]
    order = [(int(n.rstrip("a")), n) for n in rows]
    if order != sorted(set(order)) or len(rows) < 30:
        yield f"the rows are not in order: {rows}"
    used = list(said())
    if len(used) < 50:
        yield f"only {len(used)} numbers are found in the tests"
    for n, f in used:
        if n not in rows:
            yield f"no row {n}, of which {f.relative_to(ROOT)} speaks"


CHECKS = [("REQUIREMENTS names tests that exist", tests),
          ("each number that is used has a row", numbers)]

bad = 0
for n, (what, found) in enumerate(CHECKS, 1):
    found = list(found())
    for line in found:
        print(f"# {line}")
    print(f"{'not ok' if found else 'ok'} {n} - {what}", flush=True)
    bad += bool(found)
print(f"1..{len(CHECKS)}")
sys.exit(1 if bad else 0)
