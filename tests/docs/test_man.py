#!/usr/bin/python3
"""The tables of verbs and limits, --help, the exit codes and the man pages
say the same.

    tests/docs/test_man.py [--write]    --write: renew what is made

What stands between BEGIN and END marks is made: in hatcheck(1) from
`hatcheck --json help`, in hatcheckd.yaml(5) from messages/bounds.h. What
people write stays outside of it.
"""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(os.environ.get("HATCHECK_OUT", ROOT / "out" / "release"))
HATCHECK = str(OUT / "bin" / "hatcheck")
PAGE = ROOT / "docs" / "man" / "hatcheck.1"
BEGIN = '.\\" BEGIN verbs, made by tests/docs/test_man.py --write\n'
END = '.\\" END verbs\n'
YAML_PAGE = ROOT / "docs" / "man" / "hatcheckd.yaml.5"
YAML_BEGIN = '.\\" BEGIN limits, made by tests/docs/test_man.py --write\n'
YAML_END = '.\\" END limits\n'


def say(*words):
    return subprocess.run([HATCHECK, *words], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)


def quote(text):
    """A line of mdoc text."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in ".'" else text


def sentences(text):
    """Each on a line of its own, as mdoc wants it."""
    text = text[0].upper() + text[1:]
    text = text if text[-1] in ".:" else text + "."
    return [quote(x) for x in re.split(r"(?<=[.]) +(?=[A-Z\"])", text)]


def arguments(spec):
    """NAME, [NAME], NAME... as macros."""
    out = []
    for word in spec.split():
        name = word.strip("[].").lower()
        dots = " ..." if word.rstrip("]").endswith("...") else ""
        if word == "--":
            out.append(".Fl -")
        elif word.startswith("["):
            out.append(f".Op Ar {name}{dots}")
        else:
            out.append(f".Ar {name}{dots}")
    return out


def option(o):
    line = ".It "
    if o["letter"]:
        line += f"Fl {o['letter']} , "
    line += f"Fl -{o['name']}"
    if o["value"]:
        line += f" Ar {o['value'].lower()}"
    again = ["May be given again."] if o["many"] else []
    return [line, *sentences(o["help"]), *again]


def section(verb):
    lines = [f".Ss hatcheck {verb['verb']}", ".Nm",
             f".Cm {verb['verb']}"]
    if verb["options"]:
        lines.append(".Op Ar option ...")
    lines += arguments(verb["arguments"])
    lines += [".Pp", *sentences(verb["help"])]
    if verb["more"] and "eval" in verb["more"]:
        lines += [".Bd -literal -offset indent",
                  *(quote(x) for x in verb["more"].split("\n")), ".Ed"]
    elif verb["more"]:
        lines += [".Pp", *sentences(verb["more"].replace("\n", " "))]
    if verb["options"]:
        lines.append(".Bl -tag -width Ds")
        for o in verb["options"]:
            lines += option(o)
        lines.append(".El")
    return "\n".join(lines) + "\n"


def table():
    return json.loads(say("--json", "help").stdout)


def made():
    return "".join(section(v) for v in table()["verbs"])


def bounds():
    """(name, default, least, most, unit, text) of each row, as the compiler
    reads them."""
    source = ('#include "messages/bounds.h"\n'
              "#define X(name, d, a, b, unit, text) "
              "@@ #name, d, a, b, unit, text\n#undef bool\nBOUNDS(X)\n")
    out = subprocess.run(
        ["gcc", "-E", "-P", "-I", str(ROOT), "-"], input=source,
        capture_output=True, text=True, check=True).stdout
    for row in out.split("@@")[1:]:
        name, d, a, b, rest = row.split(",", 4)
        words = [x.strip().replace("\n", " ") for x in
                 re.split(r'",\s*"', rest.strip())]
        text = re.sub(r'"\s+"', "", words[1])
        yield (name.strip().strip('"'), int(d), int(a), int(b),
               words[0].strip('"'), text.strip('"'))


def made_limits():
    lines = []
    for name, usual, least, most, unit, text in bounds():
        lines += [f".It Cm {name} : Ar n",
                  f"{unit.capitalize()} {text}".replace("-", "\\-"),
                  f"{least} to {most}; {usual} if it is left out."]
    return "\n".join(".\n".join(x.split(". ")) for x in lines) + "\n"


def split_page(page=PAGE, begin=BEGIN, end=END):
    text = page.read_text()
    top, _, rest = text.partition(begin)
    middle, _, bottom = rest.partition(end)
    return top, middle, bottom


def split_limits():
    return split_page(YAML_PAGE, YAML_BEGIN, YAML_END)


def check_limits():
    "hatcheckd.yaml(5) has every limit with its range, and the code heeds it"
    rows = list(bounds())
    assert len(rows) > 15, rows
    assert split_limits()[1] == made_limits(), (
        "run tests/docs/test_man.py --write")
    code = "".join(p.read_text() for p in (ROOT / "egress").rglob("*.c"))
    code += "".join(p.read_text() for p in (ROOT / "minter").glob("*.c"))
    for row in rows:
        assert re.search(rf"(->|\.|bounds, ){row[0]}\b", code), row[0]


def check_page():
    "hatcheck(1) has every verb and option of the table"
    assert split_page()[1] == made(), "run tests/docs/test_man.py --write"


def check_lint():
    "mandoc finds nothing to warn of in what is made"
    for page in (PAGE, YAML_PAGE):
        done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(page)],
                              capture_output=True, text=True)
        bad = [x for x in done.stdout.splitlines()
               if "referenced manual not found" not in x]
        assert not bad, bad


def check_help():
    "--help of every verb names its arguments and options"
    for v in table()["verbs"]:
        done = say(*v["verb"].split(), "--help")
        assert done.returncode == 0, (v["verb"], done.stderr)
        assert f"hatcheck {v['verb']}" in done.stdout
        assert v["arguments"] in done.stdout
        for o in v["options"]:
            assert f"--{o['name']}" in done.stdout, (v["verb"], o["name"])


def check_levels():
    "--help of the program and of every group names their verbs"
    whole = say("--help").stdout
    for v in table()["verbs"]:
        assert f"  {v['verb']}" in whole, v["verb"]
        group, _, rest = v["verb"].partition(" ")
        if rest:
            assert f"  {rest} " in say(group, "--help").stdout, v["verb"]


def check_codes():
    "the exit codes in cli/cli.h and in hatcheck(1) are the same"
    header = (ROOT / "cli" / "cli.h").read_text()
    enum = header[header.index("enum cli_code"):]
    enum = enum[:enum.index("};")]
    code = {int(x) for x in re.findall(r"= (\d+)", enum)}
    page = PAGE.read_text()
    part = page[page.index(".Sh EXIT STATUS"):]
    part = part[:part.index(".Sh EXAMPLES")]
    told = {int(x) for x in re.findall(r"^\.It (\d+)$", part, re.M)}
    assert code == told, (code, told)


def check_completion():
    "completion offers every verb and every option"
    first = set(say("completion", "words", "--", "").stdout.split())
    for v in table()["verbs"]:
        words = v["verb"].split()
        assert words[0] in first, v["verb"]
        if len(words) > 1:
            got = say("completion", "words", "--", words[0], "").stdout
            assert words[1] in got.split(), v["verb"]
        got = say("completion", "words", "--", *words, "--").stdout.split()
        for o in v["options"]:
            assert f"--{o['name']}" in got, (v["verb"], o["name"])
        assert "--home" in got and "--json" in got


def check_shell():
    "bash completes a verb and an option through the script"
    script = (f"hatcheck() {{ {HATCHECK} \"$@\"; }}\n"
              'eval "$(hatcheck completion bash)"\n'
              "COMP_WORDS=(hatcheck credential ad); COMP_CWORD=2\n"
              '_hatcheck; echo "${COMPREPLY[@]}"\n'
              "COMP_WORDS=(hatcheck revoke --cre); COMP_CWORD=2\n"
              '_hatcheck; echo "${COMPREPLY[@]}"\n')
    done = subprocess.run(["bash", "-c", script], capture_output=True,
                          text=True)
    assert done.stdout.split("\n")[:2] == ["add", "--credential"], done


CHECKS = [check_page, check_limits, check_lint, check_help, check_levels, check_codes,
          check_completion, check_shell]


def main():
    if "--write" in sys.argv:
        top, _, bottom = split_page()
        PAGE.write_text(top + BEGIN + made() + END + bottom)
        top, _, bottom = split_limits()
        YAML_PAGE.write_text(top + YAML_BEGIN + made_limits() + YAML_END +
                             bottom)
        return 0
    failed = 0
    for n, check in enumerate(CHECKS, 1):
        try:
            check()
            print(f"ok {n} - {check.__doc__}", flush=True)
        except AssertionError as e:
            failed = 1
            print(f"not ok {n} - {check.__doc__}\n# {e}", flush=True)
    print(f"1..{len(CHECKS)}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
