#!/usr/bin/python3
"""gRPC, with grpcio at both ends: the client in a sandbox has nothing but a
placeholder, the server wants the real key."""
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House, wait_for  # noqa: E402
from upstream import make_ca, make_leaf  # noqa: E402

NAME = "grpc.demo.test"
KEY = "canary-" + secrets.token_hex(20)
house = guest = folder = server = None

CLIENT = r"""
import grpc, os, sys, threading, time
with open(os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"], "rb") as f:
    root = f.read()
channel = grpc.secure_channel("grpc.demo.test:443",
    grpc.ssl_channel_credentials(root))
key = [("authorization", "Bearer " + os.environ["DEMO_KEY"])]
def unary(name, data, **more):
    return channel.unary_unary("/demo.Demo/" + name).with_call(
        data, metadata=key, timeout=more.pop("timeout", 20), **more)
def say(*words):
    print(*words, flush=True)
def fails(call):
    try:
        call()
        say("no failure")
    except grpc.RpcError as e:
        say(e.code().name, e.details(), sorted(
            (k, v) for k, v in e.trailing_metadata() or ()
            if k.startswith("x-")))
"""


def checked(context):
    given = dict(context.invocation_metadata()).get("authorization")
    if given != "Bearer " + KEY:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong key")


class Demo(grpc.GenericRpcHandler):
    def __init__(self):
        self.got, self.cancelled = [], []
        self.seen = threading.Semaphore(0)

    def service(self, details):
        name = details.method.rsplit("/", 1)[-1]
        f = getattr(self, name.lower(), None)
        return f and getattr(grpc, {
            "down": "unary_stream_rpc_method_handler",
            "forever": "unary_stream_rpc_method_handler",
            "up": "stream_unary_rpc_method_handler",
            "both": "stream_stream_rpc_method_handler",
        }.get(name.lower(), "unary_unary_rpc_method_handler"))(f)

    def echo(self, data, context):
        checked(context)
        context.set_trailing_metadata([("x-end", "yes"), ("x-leak", KEY)])
        return b"echo " + data

    def leak(self, data, context):
        checked(context)
        return b"key " + KEY.encode() + b" end"

    def fail(self, data, context):
        checked(context)
        context.set_trailing_metadata([("x-why", "test")])
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    def down(self, data, context):
        checked(context)
        for i in range(int(data)):
            yield b"%d " % i + b"x" * 1000

    def up(self, messages, context):
        checked(context)
        return b"%d" % sum(len(m) for m in messages)

    def both(self, messages, context):
        checked(context)
        for m in messages:
            yield b"re " + m

    def forever(self, data, context):
        checked(context)
        context.add_callback(lambda: self.cancelled.append(data))
        yield b"first"
        while context.is_active():
            time.sleep(0.02)
            yield b"more"

    def never(self, data, context):
        checked(context)
        context.add_callback(lambda: self.cancelled.append(data))
        while context.is_active():
            time.sleep(0.02)


demo = Demo()


def setup():
    global house, guest, folder, server
    folder = Path(tempfile.mkdtemp(prefix="hck-grpc-"))
    ca = make_ca(folder)
    key, cert = make_leaf(folder, [NAME], ca)
    server = grpc.server(futures.ThreadPoolExecutor(32))
    server.add_generic_rpc_handlers([demo])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(
        [(key.read_bytes(), cert.read_bytes())]))
    server.start()
    house = House()
    house.credential("demo", KEY, "--host", NAME, "--env", "DEMO_KEY")

    class Up:
        names, ca_file = [NAME], str(ca[1])
    Up.port = port
    os.chmod(folder, 0o755)
    house.apply(house.grant_yaml("demo", Up, credential="demo", allow=[
        '{ methods: [POST], paths: ["/demo.Demo/*"] }']))
    guest = house.session("agent", "demo")


def teardown():
    if server:
        server.stop(0)
    if house:
        house.close()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def client(script, **more):
    done = guest.run("/usr/bin/python3", "-c", CLIENT + script, **more)
    return done.stdout.decode().splitlines() or [done.stderr.decode()]


def test_unary():
    "a unary call, with trailers; the key stays with us"
    said = client("""
answer, call = unary("Echo", b"hello")
say(answer)
say(dict(call.trailing_metadata())["x-end"])
say(dict(call.trailing_metadata())["x-leak"])
say(unary("Leak", b"")[0])
""")
    assert said[:2] == ["b'echo hello'", "yes"], said
    assert said[2] == "*" * len(KEY), said
    assert said[3] == f"b'key {'*' * len(KEY)} end'", said


def test_error():
    "an error's status, words and trailers arrive"
    said = client("""
fails(lambda: unary("Fail", b""))
fails(lambda: unary("Missing", b""))
""")
    assert said[0] == "NOT_FOUND no such thing [('x-why', 'test')]", said
    assert said[1].startswith("UNIMPLEMENTED "), said


def test_refused():
    "what is not granted fails as gRPC has it, and reaches nobody"
    said = client("""
fails(lambda: channel.unary_unary("/other.Thing/Do")(b"", timeout=20))
""")
    assert said[0].split()[0] in ("PERMISSION_DENIED", "UNKNOWN"), said


def test_streams():
    "streams down and up, 2 MB each"
    said = client("""
n = 0
for i, m in enumerate(channel.unary_stream("/demo.Demo/Down")(
        b"2000", metadata=key, timeout=30)):
    assert m == b"%d " % i + b"x" * 1000, m
    n += 1
say(n)
say(channel.stream_unary("/demo.Demo/Up")(
    (b"y" * 1000 for _ in range(2000)), metadata=key, timeout=30))
""")
    assert said == ["2000", "b'2000000'"], said


def test_both_ways():
    "each message is answered before the next one is sent"
    said = client("""
turn = threading.Semaphore(1)
def ask():
    for i in range(100):
        turn.acquire()
        yield b"%d" % i
for i, m in enumerate(channel.stream_stream("/demo.Demo/Both")(
        ask(), metadata=key, timeout=30)):
    assert m == b"re %d" % i, m
    turn.release()
say(i)
""")
    assert said == ["99"], said


def test_many():
    "calls at once share a connection, and mix nothing up"
    said = client("""
calls = [channel.unary_unary("/demo.Demo/Echo").future(
    b"%d" % i, metadata=key, timeout=30) for i in range(80)]
say([c.result() for c in calls] == [b"echo %d" % i for i in range(80)])
""")
    assert said == ["True"], said


def test_deadline_and_cancel():
    "a deadline and a cancellation reach the server"
    demo.cancelled.clear()
    said = client("""
fails(lambda: unary("Never", b"deadline", timeout=0.3))
call = channel.unary_stream("/demo.Demo/Forever")(b"cancel", metadata=key)
next(call)
call.cancel()
fails(lambda: next(call))
""")
    assert said[0].split()[0] == "DEADLINE_EXCEEDED", said
    assert said[1].split()[0] == "CANCELLED", said
    wait_for(lambda: sorted(demo.cancelled) == [b"cancel", b"deadline"])


def test_revoked():
    "a revocation ends a stream in its middle, at both ends"
    demo.cancelled.clear()
    p = guest.start("/usr/bin/python3", "-c", CLIENT + """
call = channel.unary_stream("/demo.Demo/Forever")(b"revoke", metadata=key)
say(next(call))
def rest():
    for m in call:
        pass
fails(rest)
fails(lambda: unary("Echo", b""))
""", text=True)
    assert p.stdout.readline() == "b'first'\n", p.stderr.read()
    house.hatcheck("revoke", "--grant", "demo")
    wait_for(lambda: demo.cancelled == [b"revoke"])
    said = p.communicate(timeout=30)[0].splitlines()
    assert said[0].split()[0] not in ("no", "OK"), said
    assert len(said) == 2 and not said[1].startswith("no failure"), said


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
