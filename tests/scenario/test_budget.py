"""A limit on requests is exact: under concurrency, and when anything dies."""
import base64
import json
import os
import signal
import sys
import threading
from pathlib import Path
from urllib.parse import quote, urlencode

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


def served(guest, results, token=None):
    "One request: what came of it, in words."
    try:
        got = guest.get(URL, token=token)
        word = "ok" if got[0] == 200 else guest.reason(got)
    except (OSError, AssertionError, ValueError):
        word = "broken"
    results.append(word)
    return word


def decided(guest, results, token=None):
    "Ask until it is decided: a slow disk leases slowly, and 503 says so."
    words = []
    while served(guest, words, token) == "not-ready":
        pass
    results.append(words[-1])


def many(guest, n, results, ask=served, token=None):
    threads = [threading.Thread(target=ask, args=(guest, results, token))
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


def child(guest, subject, requests, **more):
    "A child token of subject with a limit of its own; its family beside."
    what = [{"type": "hatcheck-grant", "name": "some",
             "limits": {"requests": requests, **more}}]
    status, _, body = guest.api("POST", "/v1/token", urlencode({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": subject,
        "subject_token_type":
            "urn:ietf:params:oauth:token-type:access_token",
        "authorization_details": json.dumps(what)},
        quote_via=quote).encode())
    assert status == 200, body
    token = json.loads(body)["access_token"]
    part = token.split(".")[1] + "=="
    return token, json.loads(base64.urlsafe_b64decode(part))["fam"]


def test_a_tree_is_exact():
    "children draw on all above them; under concurrency never one more"
    guest = ready("tree", "some")
    mid, mid_family = child(guest, guest.token(), 30)
    low, low_family = child(guest, mid, 10)
    before = len(up.requests)
    tally = {t: [] for t in (low, mid, None)}
    threads = [t for token, n in ((low, 24), (mid, 24))
               for t in many(guest, n, tally[token], decided, token)]
    for t in threads:
        t.join()
    ok = {t: tally[t].count("ok") for t in (low, mid)}
    assert ok[low] <= 10 and ok[low] + ok[mid] == 30, ok
    for t in many(guest, 30, tally[None], decided):
        t.join()
    assert tally[None].count("ok") == LIMIT - 30, tally[None]
    assert len(up.requests) - before == LIMIT
    # Whose limit it was is said, and that it does not come back.
    status, headers, body = guest.get(URL, token=low)
    assert status == 429 and "limit-requests" in body.decode()
    assert "session has a limit of 50" in body.decode() or \
        low_family in body.decode() or mid_family in body.decode(), body
    assert not [v for n, v in headers.items() if n.lower() == "retry-after"]


def test_a_child_that_waits_is_told_when():
    "429 with Retry-After where a limit comes back with time"
    guest = ready("rated", "some")
    low, family = child(guest, guest.token(), 40, rate=1, rate_ms=60000)
    assert decided_word(guest, low) == "ok"
    status, headers, body = guest.get(URL, token=low)
    assert status == 429 and family in json.loads(body)["detail"], body
    after = [v for n, v in headers.items() if n.lower() == "retry-after"]
    assert after and 0 < int(after[0]) <= 61, headers
    assert decided_word(guest, None) == "ok"


def decided_word(guest, token):
    words = []
    decided(guest, words, token)
    return words[-1]


def test_a_tree_after_a_crash():
    "kill -9 of courier and minter: what a child was leased is spent"
    guest = ready("fallen", "some")
    low, _ = child(guest, guest.token(), 12)
    before, results = len(up.requests), []
    threads = many(guest, 6, results, served, low)
    for pid in [r["pid"] for r in house.processes("courier", guest.id) +
                house.processes("minter")]:
        os.kill(pid, signal.SIGKILL)
    for t in threads:
        t.join()
    wait_for(lambda: served(guest, results, low) == "limit-requests", 60)
    passed = len(up.requests) - before
    assert results.count("ok") <= passed <= 12, results


tap.main(globals(), setup, teardown)
