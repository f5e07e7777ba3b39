"""What `hatcheck metrics` says, read by Prometheus' own client library."""
import http.client
import secrets
import socket
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, wait_for  # noqa: E402
from upstream import Upstream  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
KEY = "canary-" + secrets.token_hex(20)
URL = "https://api.demo.test"
house = up = guest = None


def setup():
    global house, up, guest
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test")
    house.apply(house.grant_yaml(
        "one", up, credential="demo",
        allow=['{ methods: [GET, POST], paths: ["/v1/**"] }']))
    guest = house.session("agent", "one")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def text():
    return house.hatcheck("metrics").stdout.decode()


def families(body=None):
    return {f.name: f for f in
            text_string_to_metric_families(body or text())}


def value(name, **labels):
    """The sum of the samples that have these labels."""
    found = [s.value for f in families().values() for s in f.samples
             if s.name == name and
             labels.items() <= s.labels.items()]
    assert found, (name, labels)
    return sum(found)


def grows(by, name, **labels):
    """Within a moment the sample has grown by that much; returns a check."""
    before = value(name, **labels)

    def check():
        wait_for(lambda: value(name, **labels) - before >= by)
        now = value(name, **labels) - before
        assert now == by, (name, labels, now)
    return check


def test_names():
    "each documented name is there with its type and help, and no other"
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = [[x.strip() for x in line.strip("|").split("|")]
            for line in page.splitlines() if line.startswith("| `")]
    seen = families()
    for name, kind, labels, what in rows:
        f = seen.pop(name.strip("`").removesuffix("_total"))
        assert (f.type, f.documentation) == (kind, what), name
        want = set(labels.replace("`", "").split(", ")) - {""}
        have = {k for s in f.samples for k in s.labels} - {"le"}
        assert want == have, (name, want, have)
    assert not seen, seen.keys()


def test_requests():
    "decisions, answers, bytes and times are counted"
    checks = [
        grows(3, "hatcheck_decisions_total", decision="allow"),
        grows(2, "hatcheck_decisions_total", decision="refuse",
              reason="path-not-granted"),
        grows(0, "hatcheck_decisions_total", reason="host-not-granted"),
        grows(3, "hatcheck_requests_ended_total", reason="none"),
        grows(2, "hatcheck_answers_total", **{"class": "2xx"}),
        grows(1, "hatcheck_answers_total", **{"class": "4xx"}),
        grows(7, "hatcheck_bytes_total", direction="up"),
        grows(24, "hatcheck_bytes_total", direction="down"),
        grows(3, "hatcheck_request_duration_seconds_count"),
    ]
    up.answer = lambda r: (404 if r.path == "/v1/none" else 200, {},
                           b"8 bytes.")
    assert guest.get(f"{URL}/v1/a")[0] == 200
    assert guest.get(f"{URL}/v1/none")[0] == 404
    assert guest.request("POST", f"{URL}/v1/b", body=b"7 bytes")[0] == 200
    for i in range(2):
        assert guest.get(f"{URL}/v2/{i}")[0] == 403
    for check in checks:
        check()
    assert value("hatcheck_audit_sync_seconds_count") > 0
    wait_for(lambda: value("hatcheck_audit_unsigned_lines") == 0)


def test_histograms():
    "buckets grow with their bounds, up to the count"
    for name in ("request_duration", "audit_sync", "revocation"):
        f = families()[f"hatcheck_{name}_seconds"]
        buckets = [(float(s.labels["le"]), s.value) for s in f.samples
                   if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets) and len(buckets) > 5, buckets
        assert [v for _, v in buckets] == sorted(v for _, v in buckets)
        count = [s.value for s in f.samples if s.name.endswith("_count")]
        assert [buckets[-1][1]] == count and buckets[-1][0] == float("inf")


def test_life():
    "tokens, sessions, revocations and restarts are counted"
    minted = grows(1, "hatcheck_token_requests_total", result="minted")
    refused = grows(1, "hatcheck_token_requests_total", result="refused")
    sessions = grows(0, "hatcheck_sessions")
    over = grows(1, "hatcheck_sessions_over_total", state="revoked")
    revoked = grows(1, "hatcheck_revocation_seconds_count")
    other = house.session("other", "one")
    other.new_token()
    assert value("hatcheck_token_families") >= 2
    assert other.api("POST", "/v1/token", b"grant_type=odd")[0] == 400
    house.hatcheck("revoke", "--session", other.id)
    for check in (minted, refused, sessions, over, revoked):
        check()
    restarts = grows(1, "hatcheck_restarts_total", role="courier")
    house.kill(house.processes("courier", guest.id)[0]["pid"])
    restarts()
    wait_for(lambda: value("hatcheck_processes", role="courier",
                           state="ready") == 1)


def test_guest_words():
    "what a guest says is in no label"
    word = "x" + secrets.token_hex(8)
    guest.get(f"https://{word}.test/{word}")
    guest.get(f"{URL}/v1/{word}", ("X-Word", word))
    wait_for(lambda: value("hatcheck_decisions_total",
                           reason="host-not-granted") > 0)
    assert word not in text() and KEY not in text()
    for name in ("api.demo.test", "agent", '"one"', '"demo"', guest.id):
        assert name not in text(), name


def test_socket():
    "GET /v1/metrics is the same text; only GET is known"
    path = str(house.home / "run" / "admin.sock")
    c = http.client.HTTPConnection("hatcheck")
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect(path)
    c.request("GET", "/v1/metrics")
    r = c.getresponse()
    assert r.getheader("Content-Type") == \
        "text/plain; version=0.0.4; charset=utf-8"
    assert families(r.read().decode()).keys() == families().keys()
    c.request("POST", "/v1/metrics", b"{}",
              {"Content-Type": "application/json"})
    assert c.getresponse().status == 405
    assert house.json("metrics")["text"].startswith("# HELP hatcheck_build")


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
