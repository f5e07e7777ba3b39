# SPDX-License-Identifier: ISC
"""Runs in the VM that bench/run-vsock boots: nginx as origin, load.c as the
guest, by turns over a unix socket and over vsock to CID 1; then guests over
vhost-vsock. Rows of tables on stdout, the rest on stderr."""
import json
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for folder in ("tests/lib", "tests/vm"):
    sys.path.insert(0, str(ROOT / folder))
from harness import House, as_user  # noqa: E402
from nested import Vm  # noqa: E402
from upstream import make_ca, make_leaf  # noqa: E402

KEY = "bench-canary-" + secrets.token_hex(16)
HOST, PORT, ORIGIN = "bench.test", 8377, 9443
ROUNDS, SECONDS = 5, 4
MIB = 1 << 20
NGINX = f"""
worker_processes 1; daemon off; pid /tmp/nginx.pid; user root;
error_log /tmp/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 0;
  client_body_temp_path /tmp; proxy_temp_path /tmp; fastcgi_temp_path /tmp;
  uwsgi_temp_path /tmp; scgi_temp_path /tmp;
  ssl_certificate /tmp/o/leaf.pem; ssl_certificate_key /tmp/o/leaf.key;
  server {{
    listen 127.0.0.1:{ORIGIN} ssl; server_name {HOST};
    if ($http_authorization != "Bearer {KEY}") {{ return 401; }}
    location / {{ root /tmp/o; }}
    location /up {{ client_body_buffer_size 2m;
      proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1; }}
  }}
  server {{ listen 127.0.0.1:8080; location / {{ return 200 "x"; }} }}
}}
"""
house = None


class Origin:
    port, names, ca_file = ORIGIN, [HOST], "/tmp/o/ca.pem"

    def __init__(self):
        at = Path("/tmp/o")
        at.mkdir()
        make_leaf(at, [HOST], make_ca(at))
        (at / "1k").write_bytes(b"x" * 1024)
        (at / "1m").write_bytes(b"x" * MIB)
        Path("/tmp/nginx.conf").write_text(NGINX)
        self.p = subprocess.Popen(["nginx", "-p", "/tmp", "-c",
                                   "/tmp/nginx.conf"])


def create(name, *channel):
    return house.json("session", "create", "--name", name, "--ttl", "1h",
                      "--grant", "one", "--channel", *channel)


def agent(channel, *words):
    return subprocess.run(
        as_user([str(house.bin / "hatcheck-guest"), "--channel", channel,
                 *words]), capture_output=True, check=True, cwd="/",
        env={"PATH": "/usr/bin:/bin"}).stdout.decode()


def ways():
    """What load.c needs to be a guest of each."""
    made = create("unix", "unix")
    create("vsock", "vsock:local")
    unix = made["channel"]
    found = {}
    for name, channel, words in (
            ("unix", unix["dir"], ["--unix", unix["socket"]]),
            ("vsock", "vsock:1", ["--vsock", f"1:{PORT}"])):
        ca = Path(f"/tmp/{name}.pem")
        ca.write_text(agent(channel, "ca"))
        token = agent(channel, "token").strip()
        found[name] = [*words, "--attach", token, "--connect", f"{HOST}:443",
                       "--ca", str(ca), "--tls", HOST]
    return found


def load(words, *more):
    done = subprocess.run(as_user(["/t/load", *words, "-t", str(SECONDS),
                                   *more]), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{more}: {done.stdout}{done.stderr}")
    got = json.loads(done.stdout.splitlines()[-1])  # the first is "ready"
    return got["requests"] / got["seconds"]


def median(values):
    return sorted(values)[len(values) // 2]  # an odd number of them


def spread(values):
    return f"{median(values):.1f} [{min(values):.1f}-{max(values):.1f}]"


def row(what, unit, factor, words):
    rows, there = {"unix": [], "vsock": []}, ways()
    for _ in range(ROUNDS):
        for name, way in there.items():
            rows[name].append(load(way, *words) * factor)
    for name in there:
        house.hatcheck("session", "end", name)
    u, v = (median(rows[n]) for n in ("unix", "vsock"))
    print(f"| {what}, {unit} | {spread(rows['unix'])} | "
          f"{spread(rows['vsock'])} | {v / u:.2f} |", flush=True)


def compare():
    print(f"\n| medians [min-max] of {ROUNDS} rounds of {SECONDS} s, by turns "
          "| unix socket | vsock, CID 1 | vsock / unix |\n|---|---|---|---|",
          flush=True)
    small = ["--path", "/1k", "--expect-bytes", "1024"]
    down = ["--path", "/1m", "--expect-bytes", str(MIB), "-c", "2"]
    up = ["--path", "/up", "--post", str(MIB), "--expect-bytes", "1",
          "-c", "2"]
    row("1 KiB, 1 connection", "requests/s", 1, [*small, "-c", "1"])
    row("1 KiB, 8 connections", "requests/s", 1, [*small, "-c", "8"])
    row("1 KiB, a new connection each, 4 at once", "requests/s", 1,
        [*small, "-c", "4", "--mode", "full"])
    row("1 MiB down, 2 connections", "MB/s", MIB / 1e6, down)
    row("1 MiB up, 2 connections", "MB/s", MIB / 1e6, up)


def ask(vm, made, path):
    """How long a brokered answer takes there, its bytes counted."""
    began = time.monotonic()
    base = made["environment"]["bases"][0]["path"]
    got = vm.run("hatcheck-guest --channel vsock:2 run -- sh -c "
                 "'p=${http_proxy%/}; unset http_proxy; "
                 f"wget -q -O - $p{base}/{path} | wc -c'")
    if got.splitlines()[-1] != str({"1k": 1024, "1m": MIB}[path]):
        raise RuntimeError(f"{path}: {got}")
    return time.monotonic() - began


def guests():
    made = create("guest", "vsock:42")
    began = time.monotonic()
    vm = Vm(42)
    vm.booted()
    ready = time.monotonic() - began
    first = ask(vm, made, "1k")
    bulk = ask(vm, made, "1m") - ask(vm, made, "1k")
    vm.save("/tmp/saved")
    vm.kill()
    began = time.monotonic()
    vm = Vm(42, "/tmp/saved")
    ask(vm, made, "1k")
    back = time.monotonic() - began
    vm.kill()
    print("\n| a guest over vhost-vsock, once | s |\n|---|---|")
    for what, took in (
            ("QEMU started until its kernel and init are up", ready),
            ("then: agent started, token, first brokered byte", first),
            ("QEMU started from a saved state until the first brokered "
             "byte", back),
            ("a body of 1 MiB, beyond one of 1 KiB", bulk)):
        print(f"| {what} | {took:.1f} |", flush=True)


def main():
    global house
    origin = Origin()
    house = House()
    try:
        house.credential("demo", KEY, "--host", HOST)
        house.apply(house.grant_yaml("one", origin, credential="demo"))
        compare()
        guests()
        print("done", flush=True)
    finally:
        house.close()
        origin.p.terminate()


main()
