"""The shape of the tree: the include rule, the link rule, the sentence."""
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import OUT, ROOT  # noqa: E402

COMPONENTS = {"vault", "minter", "egress/gate", "egress/courier",
              "egress/dialer", "supervisor"}
BELOW = ["lib", "keys", "scope", "messages"]
# A room may include from itself and from these.
MAY = {room: set(BELOW[:i]) for i, room in enumerate(BELOW)}
MAY["egress/http"] = {"lib", "messages"}
for c in COMPONENTS:
    MAY[c] = set(BELOW)
for c in ("egress/gate", "egress/courier"):
    MAY[c] = MAY[c] | {"egress/http"}
MAY["guest-agent"] = set()
MAY["cli"] = set(BELOW) | {"minter"}

# What no program may load, but those that need it.
FORBIDDEN = {
    "hatcheck-gate": "curl sqlite3 secret microhttpd cyaml glib",
    "hatcheck-courier": "curl sqlite3 secret microhttpd cyaml glib",
    "hatcheck-dialer": "curl sqlite3 secret microhttpd ssl crypto llhttp",
    "hatcheck-vault": "curl microhttpd nghttp2 cyaml",
    "hatcheck-minter": "curl secret nghttp2 cyaml",
    "hatcheckd": "curl sqlite3 secret microhttpd ssl crypto llhttp",
    "hatcheck": "curl secret microhttpd nghttp2",
}


def room(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "egress" else parts[0]


def sources():
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT,
                           capture_output=True, text=True,
                           check=True).stdout.split()
    return [f for f in files if not f.startswith(("tests/", "bench/"))]


def test_include_rule():
    "no room includes a sibling's header (include rule)"
    bad, seen = [], 0
    for f in sources():
        for line in (ROOT / f).read_text().splitlines():
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not m:
                continue
            seen += 1
            target = room(m[1])
            if target != room(f) and target not in MAY[room(f)]:
                bad.append(f"{f} includes {m[1]}")
    assert seen > 100 and not bad, bad


def needed(program):
    out = subprocess.run(["readelf", "-d", OUT / "bin" / program],
                         capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"NEEDED.*\[([^]]+)\]", out))


def test_link_rule():
    "each program links only what its duty needs (link rule)"
    bad = [f"{p} links {n}" for p, words in FORBIDDEN.items()
           for n in needed(p) for w in words.split()
           if re.match(rf"lib{w}[-.0-9]", n)]
    assert not bad, bad


def test_guest_agent_is_static():
    "hatcheck-guest is static and under 300 KB"
    assert not needed("hatcheck-guest")
    assert (OUT / "bin" / "hatcheck-guest").stat().st_size < 300 * 1024


def test_one_meeting_place():
    "a credential is revealed in few, named files of the courier"
    users = {f.name for f in (ROOT / "egress" / "courier").glob("*.c")
             if "keep_reveal" in f.read_text()}
    assert "attach.c" in users, users
    assert users <= {"attach.c", "scrub.c", "scrub_patterns.c"}, users


# What each file may read from the environment of its caller, and that none
# of it is a wall: places of the desktop's bus and of systemd's credentials.
ENVIRONMENT = {
    "supervisor/birth.c": {"DBUS_SESSION_BUS_ADDRESS",
                           "CREDENTIALS_DIRECTORY"},
    "supervisor/notify.c": {"NOTIFY_SOCKET"},
    "vault/backend/keychain.c": {"DBUS_SESSION_BUS_ADDRESS"},
    "vault/keysource.c": {"CREDENTIALS_DIRECTORY"},
    "cli/house.c": {"DBUS_SESSION_BUS_ADDRESS"},
    "cli/sandbox_places.c": {"HOME"},  # only to refuse more
}
# Options of the processes; a new one is to be thought about here.
OPTIONS = {
    "supervisor/main.c": {"home", "foreground", "version", "help"},
    "vault/main.c": {"config", "state", "admin-gid"},
    "minter/main.c": {"state", "audit", "admin-gid", "vsock-port",
                      "child-depth"},
    "egress/gate/main.c": set(), "egress/courier/main.c": set(),
    "egress/dialer/main.c": set(),
}


def test_no_switch():
    "no variable and no option of ours turns a wall off (design rule 11)"
    bad = []
    for f in sources():
        text = (ROOT / f).read_text()
        read = set(re.findall(r'getenv\("?(\w+)', text))
        if not f.startswith("guest-agent/") and \
                read - ENVIRONMENT.get(f, set()):
            bad.append((f, read))
        if "HATCHECK_SANITIZED" in text and f != "lib/jail_walls.h":
            bad.append((f, "HATCHECK_SANITIZED"))
    for f, known in OPTIONS.items():
        found = set(re.findall(r'\{\s*"([a-z-]+)",\s*\w+_argument',
                               (ROOT / f).read_text()))
        if found != known:
            bad.append((f, found))
    assert not bad, bad


def test_durations():
    "no duration is measured by the wall clock (lib/uptime.h)"
    bad = [f for f in sources() if f != "lib/uptime.h" and
           re.search(r"\bev_(now|time)\(|\bev_periodic_",
                     (ROOT / f).read_text())]
    assert not bad, bad


def test_constant_time():
    "what stands in a keep is compared in constant time (requirement 41)"
    bad = []
    for f in sources():
        for line in re.split("[;{}]", (ROOT / f).read_text()):
            if re.search(r"\bkeep_(reveal|bytes)\(", line) and re.search(
                    r"\b(memcmp|bcmp|str\w*cmp|span_(eq|is)|memmem)\(", line):
                bad.append(f"{f}: {' '.join(line.split())}")
    assert not bad, bad
    keep = (ROOT / "lib" / "secret.c").read_text()
    for name in ("keep_eq", "keep_span_eq"):
        body = re.search(rf"^{name}\(.*?^}}", keep, re.M | re.S)[0]
        assert re.search(r"sodium_memcmp|keep_span_eq\(", body), body
    tokens = (ROOT / "egress/gate/tokens.c").read_text()
    assert not re.search(r"(?<!sodium_)(?<!CRYPTO_)memcmp\(", tokens)


def test_nothing_left_to_do():
    "no source says that something is left to do"
    words = "|".join(["TO" "DO", "FIX" "ME", r"\bXX" r"X\b",
                      "not impl" "emented"])
    bad = [f for f in sources() if re.search(words, (ROOT / f).read_text())]
    assert not bad, bad


tap.main(globals())
