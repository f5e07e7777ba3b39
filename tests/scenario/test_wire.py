#!/usr/bin/python3
"""A guest that writes the same thing otherwise: what was decided about is
what upstream reads (requirements 1, 3, 16, 20, 39)."""
import ssl
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap
from harness import House, read_response, tls_recv
from upstream import Upstream

KEY = "sk-real-canary-0123456789abcdef"
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


def test_query_names():
    "a foreign key under a query name spelled otherwise is refused (3)"
    for query in ("%6bey=FOREIGN", "ac%63ess%5ftoken=FOREIGN", "key+=FOREIGN",
                  "access_token%5B%5D=FOREIGN", "access.token=FOREIGN",
                  "%20key=FOREIGN", "clientSecret=FOREIGN", "x=1;%4bey=F"):
        up.forget()
        got = guest.get(f"{URL}/v1/x?{query}")
        assert guest.reason(got) == "foreign-credential", (query, got)
        assert not up.received, query


def test_header_names():
    "nor does one pass in a header whose name only looks other (3)"
    for name in ("X.Api.Key", "XApiKey", "X_Api_Key", "Api~Key"):
        up.forget()
        got = guest.get(f"{URL}/v1/x", (name, "FOREIGN"))
        assert guest.reason(got) == "foreign-credential", (name, got)
        assert not up.received, name


def test_overrides():
    "what asks for another method or path than was checked is refused (20)"
    for name, value in (("X-HTTP-Method-Override", "DELETE"),
                        ("x_http_method", "PUT"),
                        ("X-Method-Override", "DELETE"),
                        ("X-Original-URL", "/admin"),
                        ("X-Rewrite-URL", "/admin")):
        up.forget()
        got = guest.request("POST", f"{URL}/v1/x", [(name, value)], b"x")
        assert guest.reason(got) == "unsupported", (name, got)
        assert not up.received, name
    for query in ("_method=DELETE", "a=1&%5Fmethod=DELETE"):
        up.forget()
        got = guest.request("POST", f"{URL}/v1/x?{query}", (), b"x")
        assert guest.reason(got) == "unsupported", (query, got)
        assert not up.received, query
    assert guest.get(f"{URL}/v1/x?method=list")[0] == 200


def test_hearsay():
    "the guest cannot name another host or user as a proxy would (1)"
    up.forget()
    got = guest.get(f"{URL}/v1/x", ("X-Forwarded-Host", "evil.test"),
                    ("Forwarded", "host=evil.test"), ("X-Host", "evil.test"),
                    ("X-Forwarded-User", "evil"), ("X-Remote-User", "evil"))
    assert got[0] == 200 and up.requests, got
    assert b"evil" not in up.received, bytes(up.received)


def chunked_with(*trailers):
    s = guest.tunnel("api.demo.test")
    s.sendall(b"POST /v1/x HTTP/1.1\r\nHost: api.demo.test\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" +
              b"".join(t + b"\r\n" for t in trailers) + b"\r\n")
    return s


def test_trailers():
    "a trailer is sent on, if its name says nothing in a head (3, 16)"
    up.forget()
    s = chunked_with(b"X-Sum: 7", b"X-Other: a b")
    assert read_response(s)[0] == 200
    assert up.requests[0].body == b"x"
    assert [(n.lower(), v) for n, v in up.requests[0].trailers] == \
        [("x-sum", "7"), ("x-other", "a b")], up.requests[0].trailers
    s.sendall(b"GET /v1/y HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")
    assert read_response(s)[0] == 200
    s.close()


def test_bad_trailers():
    "what is judged in a head is refused behind a body (3, 16, 18)"
    for name in ("X-Api-Key", "x_api_key", "Private-Token", "X-Http-Method",
                 "X-Original-URL", "X-Forwarded-User", "Forwarded",
                 "Accept-Encoding", "Grpc-Accept-Encoding", "Remote-User",
                 "Authorization", "Host", "Cookie", "Expect", "Content-Type",
                 "Trailer", "Cache-Control"):
        for value in ("EVIL", guest.placeholder("demo")):
            up.forget()
            s = chunked_with(b"X-Sum: 7", f"{name}: {value}".encode())
            status, _, body = read_response(s)
            assert status == 501 and b"trailer" in body, (name, status, body)
            s.close()
            assert not up.requests, name
            got = bytes(up.received).lower()
            assert b"\r\n0\r\n" not in got and b"x-sum" not in got and \
                value.lower().encode() not in got, (name, got)
    for name in ("Content-Length", "Transfer-Encoding"):
        up.forget()
        s = chunked_with(f"{name}: EVIL".encode())
        with s:
            assert not tls_recv(s, 100), name
        assert not up.requests and b"EVIL" not in up.received, name


def test_unread_answers():
    "who asks much and reads nothing fills no memory, and waits (39)"
    n = 6000
    ask = b"GET /v1/ca HTTP/1.1\r\nHost: hatcheck.internal\r\n\r\n"
    last = ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    s = guest.connect()
    writer = threading.Thread(target=s.sendall, args=(ask * n + last,),
                              daemon=True)
    writer.start()
    writer.join(2)      # by then the answers would be some 4 MiB
    assert writer.is_alive(), "the gate read it all"
    got = b""
    while more := s.recv(1 << 20):
        got += more
    assert got.count(b"HTTP/1.1 200 ") == n + 1, len(got)


def resumed(version):
    context = ssl.create_default_context(cadata=guest.ca())
    context.maximum_version = version
    session = None
    for _ in range(2):
        s = guest.attach()
        s.sendall(b"CONNECT api.demo.test:443 HTTP/1.1\r\n"
                  b"Host: api.demo.test:443\r\n\r\n")
        assert read_response(s, connect=True)[0] == 200
        s = context.wrap_socket(s, server_hostname="api.demo.test",
                                session=session)
        s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")
        assert read_response(s)[0] == 200
        session, again = s.session, s.session_reused
        s.close()
    return again


def test_resumption():
    "a client that resumes its TLS is served, by 1.2 as by 1.3 (37)"
    assert resumed(ssl.TLSVersion.TLSv1_3)
    assert resumed(ssl.TLSVersion.TLSv1_2)


def greet(g, context, session=None):
    """A served request over TLS; its session, and whether it resumed."""
    s = g.attach()
    s.sendall(b"CONNECT api.demo.test:443 HTTP/1.1\r\n"
              b"Host: api.demo.test:443\r\n\r\n")
    assert read_response(s, connect=True)[0] == 200
    s = context.wrap_socket(s, server_hostname="api.demo.test",
                            session=session)
    s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: api.demo.test\r\n\r\n")
    assert read_response(s)[0] == 200
    got = s.session, s.session_reused
    s.close()
    return got


def test_no_resumption_elsewhere():
    "a TLS ticket of one session resumes nothing on another's channel (37)"
    other = house.session("other", "one")
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        context = ssl.create_default_context(cadata=guest.ca())
        context.load_verify_locations(cadata=other.ca())
        context.maximum_version = version
        ticket, _ = greet(guest, context)
        assert ticket.has_ticket, version
        assert not greet(other, context, ticket)[1], version
        assert greet(guest, context, ticket)[1], version


tap.main(globals(), setup, teardown)
