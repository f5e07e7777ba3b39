"""The token profile (docs/token-profile.md), checked by an independent
verifier: Debian's PyJWT, which has no code in common with keys/jwt.c."""
import json
import secrets
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House  # noqa: E402
from upstream import Upstream  # noqa: E402

# Debian's python3 has python3-jwt, whichever python3 runs this test.
PYTHON = "/usr/bin/python3"
VERIFIER = """
import json, sys, jwt
ask = json.load(sys.stdin)
head = jwt.get_unverified_header(ask["token"])
keys = [k for k in ask["jwks"]["keys"] if k["kid"] == head["kid"]]
try:
    claims = jwt.decode(ask["token"], jwt.PyJWK(keys[0], "EdDSA").key,
                        algorithms=["EdDSA"], audience=ask["audience"],
                        issuer="http://hatcheck.internal",
                        options={"require": ["exp", "iat", "jti", "sub"]})
    json.dump({"head": head, "claims": claims}, sys.stdout)
except jwt.PyJWTError as e:
    json.dump({"refused": type(e).__name__}, sys.stdout)
"""
house = up = guest = None


def setup():
    global house, up, guest
    up = Upstream(["api.demo.test"])
    house = House()
    house.credential("demo", "canary-" + secrets.token_hex(20),
                     "--host", "api.demo.test")
    house.apply(house.grant_yaml("one", up, credential="demo"))
    guest = house.session("agent", "one")


def teardown():
    if house:
        house.close()
    if up:
        up.close()


def verify(token, audience="hatcheck-egress"):
    if subprocess.run([PYTHON, "-c", "import jwt, cryptography"],
                      capture_output=True).returncode != 0:
        raise tap.Skip("PyJWT: Debian's python3-jwt is not installed")
    status, _, body = guest.api("GET", "/v1/jwks")
    assert status == 200, (status, body)
    done = subprocess.run(
        [PYTHON, "-c", VERIFIER], check=True, capture_output=True,
        input=json.dumps({"token": token, "jwks": json.loads(body),
                          "audience": audience}).encode())
    return json.loads(done.stdout)


def test_live_token():
    "PyJWT believes a live token by /v1/jwks, and reads the profile's claims"
    got = verify(guest.new_token())
    assert "refused" not in got, got
    head, claims = got["head"], got["claims"]
    assert set(head) == {"typ", "alg", "kid"} and head["typ"] == "at+jwt", head
    assert head["alg"] == "EdDSA", head
    assert claims["sub"] == guest.id, claims
    assert claims["client_id"] == "agent", claims
    assert 1 <= claims["exp"] - claims["iat"] <= 900, claims
    assert [d["name"] for d in claims["authorization_details"]] == ["one"]
    assert {d["type"] for d in claims["authorization_details"]} == \
        {"hatcheck-grant"}, claims


def test_changed_token():
    "PyJWT refuses another token's signature, and another audience"
    head, claims, _ = guest.new_token().split(".")
    other = guest.new_token().split(".")[2]
    got = verify(".".join((head, claims, other)))
    assert got == {"refused": "InvalidSignatureError"}, got
    got = verify(guest.new_token(), "somebody-else")
    assert got == {"refused": "InvalidAudienceError"}, got


tap.main(globals(), setup, teardown)
