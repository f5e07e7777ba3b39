"""A limit on requests is exact: under concurrency, and when anything dies."""
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

HOST = "api.demo.test"
URL = f"https://{HOST}/x"
LIMIT, FEW = 50, 12
house = up = None


def setup():
    global house, up
    up = Upstream([HOST])
    house = House()
    house.apply(*(house.grant_yaml(
        name, up, extra=f"    limits: {{ requests: {n} }}\n")
        for name, n in (("some", LIMIT), ("few", FEW))))


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def ready(name, grant):
    "A session whose token and root are at hand: each costs a connection."
    guest = house.session(name, grant)
    guest.token()
    root = guest.ca()
    guest.ca = lambda: root
    return guest


def served(guest, results):
    "One request: what came of it, in words."
    try:
        got = guest.get(URL)
        word = "ok" if got[0] == 200 else guest.reason(got)
    except (OSError, AssertionError, ValueError):
        word = "broken"
    results.append(word)
    return word


def decided(guest, results):
    "Ask until it is decided: a slow disk leases slowly, and 503 says so."
    words = []
    while served(guest, words) == "not-ready":
        pass
    results.append(words[-1])


def many(guest, n, results, ask=served):
    threads = [threading.Thread(target=ask, args=(guest, results))
               for _ in range(n)]
    for t in threads:
        t.start()
    return threads


def test_exact_under_concurrency():
    "64 at once against a limit of 50: exactly 50 pass"
    guest = ready("parallel", "some")
    before, results = len(up.requests), []
    for t in many(guest, 64, results, decided):
        t.join()
    assert results.count("ok") == LIMIT, results
    assert results.count("limit-requests") == 64 - LIMIT, results
    assert len(up.requests) - before == LIMIT


def test_never_one_more():
    "kill -9 of courier and minter in the middle: never one more"
    guest = ready("killed", "few")
    before, results = len(up.requests), []
    threads = many(guest, 6, results)
    pids = [r["pid"] for r in house.processes("courier", guest.id) +
            house.processes("minter")]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for t in threads:
        t.join()
    wait_for(lambda: served(guest, results) == "limit-requests", 60)
    passed = len(up.requests) - before
    assert results.count("ok") <= passed <= FEW, results


tap.main(globals(), setup, teardown)
