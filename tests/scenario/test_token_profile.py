"""The token profile (docs/token-profile.md), checked by an independent
verifier: Debian's PyJWT, which has no code in common with keys/jwt.c."""
import base64
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import npm  # noqa: E402
import tap  # noqa: E402
from harness import House, wait_for  # noqa: E402
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


JOSE = """
import { createLocalJWKSet, jwtVerify } from "jose";
import * as oauth from "oauth4webapi";
let text = "";
for await (const part of process.stdin) text += part;
const ask = JSON.parse(text), issuer = "http://hatcheck.internal";
const out = {};
try {
  const got = await jwtVerify(ask.token, createLocalJWKSet(ask.jwks), {
    issuer, audience: ask.audience, typ: "at+jwt", algorithms: ["EdDSA"],
    requiredClaims: ["exp", "iat", "jti", "sub", "client_id"] });
  out.claims = got.payload;
} catch (e) { out.refused = e.code; }
// What a client makes of the token endpoint's answer.
try {
  const got = await oauth.processGenericTokenEndpointResponse(
    { ...ask.metadata, issuer }, { client_id: "agent" },
    new Response(JSON.stringify(ask.answer), {
      headers: { "content-type": "application/json" } }));
  out.client = got.access_token;
} catch (e) { out.client_refused = String(e.code || e.name); }
// RFC 9068, as a resource server would: it fetches the keys itself.
const as = { ...ask.metadata, issuer };
const request = new Request("https://api.demo.test/x", {
  headers: { authorization: `Bearer ${ask.token}` } });
try {
  const claims = await oauth.validateJwtAccessToken(
    as, request, ask.audience, {
      [oauth.allowInsecureRequests]: true,
      signingAlgorithms: ["EdDSA", "Ed25519"],
      [oauth.customFetch]: async () => new Response(
        JSON.stringify(ask.jwks),
        { headers: { "content-type": "application/jwk-set+json" } }) });
  out.rfc9068 = claims.sub;
} catch (e) { out.rfc9068_refused = String(e.code || e.name); }
console.log(JSON.stringify(out));
"""


def jose(token, audience="hatcheck-egress", answer=None):
    "What npm's jose and oauth4webapi make of it."
    modules = npm.install("jose@5.9.6", "oauth4webapi@3.1.4")
    script = Path(modules).parent / "verify-token.mjs"
    script.write_text(JOSE)
    status, _, body = guest.api("GET", "/v1/jwks")
    assert status == 200, (status, body)
    done = subprocess.run(
        ["node", str(script)], capture_output=True, timeout=60,
        input=json.dumps({"token": token, "jwks": json.loads(body),
                          "audience": audience, "answer": answer or {},
                          "metadata": house.json("token", "metadata")
                          }).encode())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def narrower(token, act):
    status, _, body = guest.api("POST", "/v1/token", urlencode({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token, "act": act, "subject_token_type":
            "urn:ietf:params:oauth:token-type:access_token"}).encode())
    assert status == 200, body
    return json.loads(body)


def test_jose():
    "jose believes live tokens, and their act; not others; nor without cnf"
    token = guest.new_token()
    got = jose(token)
    assert got["claims"]["sub"] == guest.id, got
    # A server that knows no channels must not take it for a bearer's.
    assert got["rfc9068_refused"] == "OAUTH_UNSUPPORTED_OPERATION", got
    mid = narrower(token, "reviewer")["access_token"]
    answer = narrower(mid, "searcher")
    low = answer["access_token"]
    got = jose(low, answer=answer)
    assert got["client"] == low, got
    assert got["claims"]["act"] == {"sub": "searcher",
                                    "act": {"sub": "reviewer"}}, got
    head, claims, _ = token.split(".")
    got = jose(".".join((head, claims, low.split(".")[2])))
    assert got["refused"] == "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", got
    got = jose(token, "somebody-else")
    assert got["refused"] == "ERR_JWT_CLAIM_VALIDATION_FAILED", got


def kids():
    status, _, body = guest.api("GET", "/v1/jwks")
    assert status == 200, (status, body)
    return [k["kid"] for k in json.loads(body)["keys"]]


def kid_of(token):
    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=="))["kid"]


def test_rotation():
    "a new key signs at once; what the old one signed is good meanwhile"
    old = guest.new_token()
    before = kids()
    shown = house.json("key", "rotate")
    assert shown["keys"][0]["current"] and \
        shown["keys"][0]["kid"] not in before, shown
    wait_for(lambda: kids()[0] == shown["keys"][0]["kid"], 10)
    assert kids()[1:] == before and kid_of(old) == before[0]
    fresh = guest.new_token()
    assert kid_of(fresh) == kids()[0]
    for token in (old, fresh):
        assert guest.get("https://api.demo.test/x", token=token)[0] == 200
    assert house.json("key", "list")["keys"] == shown["keys"]
    # It is the vault that has it: another minter goes on with it.
    os.kill(house.processes("minter")[0]["pid"], signal.SIGKILL)
    wait_for(lambda: house.hatcheck("status", check=False).returncode == 0,
             20)
    wait_for(lambda: kids()[0] == shown["keys"][0]["kid"], 20)
    lines = [x for x in house.audit_lines("minter")
             if x["event"] == "key_rotated"]
    assert lines[-1]["kid"] == shown["keys"][0]["kid"], lines
    assert lines[-1]["before"] == before[0], lines


def test_metadata():
    "RFC 8414 for local callers: it says what is there"
    got = house.json("token", "metadata")
    assert got["issuer"] == "http://hatcheck.internal"
    for name, path in (("token_endpoint", "/v1/token"),
                       ("revocation_endpoint", "/v1/revoke"),
                       ("jwks_uri", "/v1/jwks")):
        assert got[name] == got["issuer"] + path, got
    assert got["authorization_details_types_supported"] == ["hatcheck-grant"]


tap.main(globals(), setup, teardown)
