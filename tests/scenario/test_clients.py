"""Real clients, from a sandbox without any network."""
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import tap  # noqa: E402
from harness import House  # noqa: E402
from upstream import Upstream  # noqa: E402

KEY = "canary-" + secrets.token_hex(20)
GIT_KEY = "canary-" + secrets.token_hex(20)
house = up = git = guest = None
repos = None


def setup():
    global house, up, git, guest
    up = Upstream(["api.demo.test"])
    up.answer = answer
    git = Upstream(["git.demo.test"])
    git.answer = git_answer
    house = House()
    house.credential("demo", KEY, "--host", "api.demo.test", "--env",
                     "DEMO_KEY")
    house.credential("git", GIT_KEY, "--host", "git.demo.test", "--user",
                     "x-access-token", kind="basic")
    house.apply(house.grant_yaml("demo-api", up, credential="demo"),
                house.grant_yaml("demo-git", git, credential="git"))
    guest = house.session("agent", "demo-api", "demo-git")


def teardown():
    if house:
        house.close()
    for u in (up, git):
        if u:
            u.close()
    if repos:
        shutil.rmtree(repos, ignore_errors=True)


def answer(r):
    if r.header("authorization") != [f"Bearer {KEY}"]:
        return 401, {}, b"no\n"
    return 200, {"Content-Type": "text/plain"}, b"served " + \
        r.path.encode() + b" " + str(len(r.body)).encode() + b"\n"


def git_answer(r):
    """The real git http-backend behind basic auth."""
    import base64
    want = base64.b64encode(f"x-access-token:{GIT_KEY}".encode()).decode()
    if r.header("authorization") != [f"Basic {want}"]:
        return 401, {"WWW-Authenticate": "Basic realm=git"}, b"no\n"
    path, _, query = r.path.partition("?")
    body = r.body
    env = {"GIT_PROJECT_ROOT": str(repos), "GIT_HTTP_EXPORT_ALL": "1",
           "PATH_INFO": path, "QUERY_STRING": query,
           "REQUEST_METHOD": r.method, "REMOTE_USER": "agent",
           "REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": str(len(body)),
           "CONTENT_TYPE": "".join(r.header("content-type")),
           "HTTP_CONTENT_ENCODING": "".join(r.header("content-encoding")),
           "GIT_PROTOCOL": "".join(r.header("git-protocol")),
           "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
           "GIT_CONFIG_VALUE_0": "*", "PATH": os.environ["PATH"]}
    out = subprocess.run(["git", "http-backend"], input=body, env=env,
                         capture_output=True).stdout
    head, _, body = out.partition(b"\r\n\r\n")
    status, headers = 200, []
    for line in head.decode().split("\r\n"):
        n, _, v = line.partition(": ")
        if n == "Status":
            status = int(v.split()[0])
        elif n:
            headers.append((n, v))
    return status, headers, body


def shell(script, *args, **more):
    done = guest.run("sh", "-c", script, "sh", *args, **more)
    return done.stdout.decode() + done.stderr.decode()


def test_curl():
    "curl through CONNECT"
    seen = shell("curl -sS https://api.demo.test/v1/a")
    assert seen == "served /v1/a 0\n", seen


def test_curl_upload():
    "curl uploads 3 MiB, with 100-continue"
    seen = shell("head -c 3145728 /dev/zero | curl -sS -T - "
                 "https://api.demo.test/up")
    assert seen == "served /up 3145728\n", seen
    seen = shell("head -c 3145728 /dev/zero >/tmp/x; curl -sS --data-binary "
                 "@/tmp/x -H 'Expect: 100-continue' "
                 "https://api.demo.test/up")
    assert seen == "served /up 3145728\n", seen


def test_curl_base_url():
    "curl through a base URL, without proxy or CA"
    seen = shell("unset "
                 "https_proxy HTTPS_PROXY http_proxy all_proxy ALL_PROXY "
                 "CURL_CA_BUNDLE SSL_CERT_FILE; curl -sS "
                 "\"$DEMO_BASE_URL/v1/b\"")
    assert seen == "served /v1/b 0\n", seen


def test_curl_with_placeholder():
    "a tool that insists on a key is given the placeholder"
    seen = shell("curl -sS -H \"Authorization: Bearer $DEMO_KEY\" "
                 "https://api.demo.test/v1/c")
    assert seen == "served /v1/c 0\n", seen


def test_wget():
    "wget through CONNECT"
    seen = shell("wget -q -O - --ca-certificate=$SSL_CERT_FILE "
                 "https://api.demo.test/w")
    assert seen == "served /w 0\n", seen


def test_requests():
    "Python requests through CONNECT"
    seen = shell("/usr/bin/python3 -c 'import requests; "
                 "print(requests.post(\"https://api.demo.test/p\", "
                 "data=b\"x\"*5).text, end=\"\")'")
    assert seen == "served /p 5\n", seen


def test_python_urllib():
    "Python urllib through CONNECT"
    seen = shell("/usr/bin/python3 -c 'import urllib.request as u; "
                 "print(u.urlopen(\"https://api.demo.test/u\").read()"
                 ".decode(), end=\"\")'")
    assert seen == "served /u 0\n", seen


def test_node_fetch_base_url():
    "Node fetch through a base URL"
    seen = shell("node -e 'fetch(process.env.DEMO_BASE_URL+\"/n\","
                 "{method:\"POST\",body:\"xyz\"}).then(r=>r.text())"
                 ".then(t=>process.stdout.write(t))'")
    assert seen == "served /n 3\n", seen


def test_node_https_connect():
    "Node https through CONNECT, with the CA from the environment"
    script = (
        "const http=require('http'),https=require('https'),tls="
        "require('tls');const p=new URL(process.env.https_proxy);"
        "http.request({host:p.hostname,port:p.port,method:'CONNECT',"
        "path:'api.demo.test:443',headers:{Host:'api.demo.test:443'}})"
        ".on('connect',(r,s)=>{https.get("
        "'https://api.demo.test/m',{defaultPort:443,createConnection:()=>tls.connect("
        "{socket:s,servername:'api.demo.test'})},r=>r.pipe("
        "process.stdout))}).end()")
    seen = shell("node -e \"$1\"", script)
    assert seen == "served /m 0\n", seen


def test_git_clone_and_push():
    "git clones and pushes over HTTPS against the real http-backend"
    global repos
    repos = Path(tempfile.mkdtemp(prefix="hck-git-"))
    bare = repos / "project.git"
    run = {"check": True, "capture_output": True, "cwd": repos}
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", bare],
                   **run)
    subprocess.run(["git", "-C", bare, "config", "http.receivepack",
                    "true"], **run)
    seen = shell(
        "set -e; cd /tmp; export GIT_CONFIG_GLOBAL=/tmp/gc; git config "
        "--global user.name a; git config --global user.email a@b.test; "
        "git clone -q https://git.demo.test/project.git; cd project; "
        "git checkout -q -b main; echo hello > file; head -c 4000000 "
        "/dev/urandom > big; git add .; git commit -q -m one; git push -q "
        "origin main; cd ..; git clone -q "
        "https://git.demo.test/project.git again; cat again/file; cmp "
        "again/big project/big && echo same", timeout=120)
    assert "hello\nsame\n" in seen, seen


def test_nothing_in_the_sandbox():
    "environment and files of the sandbox hold no key"
    seen = shell("env; cat /proc/*/environ; find / -xdev -type f -newer "
                 "/proc/1 -size -200k 2>/dev/null | xargs cat 2>/dev/null")
    assert KEY not in seen and GIT_KEY not in seen


tap.main(globals(), setup, teardown)
