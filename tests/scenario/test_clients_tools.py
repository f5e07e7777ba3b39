"""Package managers and languages' own clients in `hatcheck run`, with
placeholders, against real servers that take the real credential alone.

A client that is not on this machine is a skip by its name;
`tools/deps clients` installs the large ones.
"""
import base64
import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import npm  # noqa: E402
import tap  # noqa: E402
from harness import House, UID, as_user, wait_for  # noqa: E402
from upstream import make_ca, make_leaf  # noqa: E402

KEYS = {n: f"canary-{n}-" + secrets.token_hex(20) for n in
        ("api", "npm", "pypi", "git", "hub")}
NAMES = [f"{n}.demo.test" for n in (*KEYS, "registry")]
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
folder = Path(tempfile.mkdtemp(prefix="hck-tools-"))
house = front = project = None
programs, servers = [], []


def have(name):
    found = shutil.which(name, path=PATH)
    if not found:
        raise tap.Skip(f"no {name} on this machine")
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def spawn(port, *command, env=None, cwd="/", name="program"):
    out = open(folder / f"{name}.log", "w")
    p = subprocess.Popen([str(c) for c in command], stdout=out, stderr=out,
                         stdin=subprocess.DEVNULL, cwd=cwd,
                         env={"PATH": PATH, "HOME": str(folder),
                              **(env or {})})
    programs.append(p)

    def answers():
        assert p.poll() is None, (folder / f"{name}.log").read_text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_for(answers, 60)
    return port


def basic(user, key):
    return "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()


class Front:
    """nginx: TLS, and the credential; behind it plain HTTP, or files."""

    def __init__(self):
        self.port = free_port()
        self.ca = make_ca(folder)
        self.key, self.cert = make_leaf(folder, NAMES, self.ca)
        self.sites = []

    def site(self, name, want, inside):
        check = (f'if ($http_authorization != "{want}") {{ return 401; }}'
                 if want else "")
        self.sites.append(
            f"server {{ listen 127.0.0.1:{self.port} ssl; "
            f"server_name {name}; {check} {inside} }}\n")

    def behind(self, port):
        return ("location / { proxy_http_version 1.1; "
                "proxy_set_header Authorization ''; "
                "proxy_set_header Host $http_host; "
                "proxy_set_header X-Forwarded-Proto https; "
                "proxy_request_buffering off; proxy_buffering off; "
                f"proxy_pass http://127.0.0.1:{port}; }}")

    def start(self):
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/nginx.pid; error_log stderr;\n"
            "events {}\nhttp { access_log off; client_max_body_size 0;\n"
            f"ssl_certificate {self.cert}; ssl_certificate_key {self.key};\n"
            f"client_body_temp_path {folder}/n1; "
            f"proxy_temp_path {folder}/n2; "
            f"fastcgi_temp_path {folder}/n3; "
            f"uwsgi_temp_path {folder}/n4; scgi_temp_path {folder}/n5;\n"
            "types { text/html html; }\n"
            "default_type application/octet-stream;\n"
            + "".join(self.sites) + "}\n")
        spawn(self.port, shutil.which("nginx", path=PATH), "-p", folder,
              "-c", folder / "nginx.conf", name="nginx")


def serve(handler):
    """A plain HTTP server on loopback; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    servers.append(server)
    return server.server_address[1]


class Echo(BaseHTTPRequestHandler):
    """Says what came: the method, the path, how many bytes, their hash."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            while n := int(self.rfile.readline(), 16):
                yield self.rfile.read(n)
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers.get("content-length", 0))
            while left > 0:
                piece = self.rfile.read(min(left, 1 << 20))
                left -= len(piece)
                yield piece

    def answer(self):
        n, h = 0, hashlib.sha256()
        for piece in self.body():
            n += len(piece)
            h.update(piece)
        text = f"{self.command} {self.path} {n} {h.hexdigest()[:16]}\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = do_HEAD = answer


def echo(method, path, body=b""):
    return (f"{method} {path} {len(body)} "
            f"{hashlib.sha256(body).hexdigest()[:16]}\n")


class Git(Echo):
    """The real git http-backend."""

    def answer(self):
        path, _, query = self.path.partition("?")
        env = {"GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1",
               "PATH_INFO": path, "QUERY_STRING": query, "PATH": PATH,
               "REQUEST_METHOD": self.command, "REMOTE_USER": "agent",
               "REMOTE_ADDR": "127.0.0.1",
               "CONTENT_TYPE": self.headers.get("content-type", ""),
               "HTTP_CONTENT_ENCODING":
                   self.headers.get("content-encoding", ""),
               "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
               "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
               "GIT_CONFIG_VALUE_0": "*"}
        with tempfile.TemporaryFile() as body:
            for piece in self.body():
                body.write(piece)
            env["CONTENT_LENGTH"] = str(body.tell())
            body.seek(0)
            with subprocess.Popen(["git", "http-backend"], stdin=body,
                                  stdout=subprocess.PIPE, env=env) as p:
                status, headers = 200, []
                while line := p.stdout.readline().strip().decode():
                    n, _, v = line.partition(": ")
                    if n == "Status":
                        status = int(v.split()[0])
                    else:
                        headers.append((n, v))
                self.send_response(status)
                for n, v in headers:
                    self.send_header(n, v)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while piece := p.stdout.read(65536):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = answer


class TokenService(Echo):
    """docker's: basic login in, a short-lived registry token out."""
    key = None

    def do_GET(self):
        import jwt
        query = urllib.parse.parse_qs(self.path.partition("?")[2])
        access = []
        for scope in query.get("scope", []):
            for one in scope.split():
                kind, name, actions = one.split(":")
                access.append({"type": kind, "name": name,
                               "actions": actions.split(",")})
        now = int(time.time())
        der = subprocess.run(
            ["openssl", "x509", "-in", folder / "token.pem", "-outform",
             "DER"], check=True, capture_output=True).stdout
        token = jwt.encode(
            {"iss": "hub.demo.test", "sub": "agent", "aud": "registry",
             "exp": now + 300, "nbf": now - 5, "iat": now,
             "jti": secrets.token_hex(8), "access": access},
            (folder / "token.key").read_text(), algorithm="ES256",
            headers={"x5c": [base64.b64encode(der).decode()]})
        text = json.dumps({"token": token, "expires_in": 300}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_HEAD = do_POST = do_PUT = None


def grant(name, credential=None, tunnel=False):
    host = f"{name}.demo.test"
    return (f"  - name: {name}\n" +
            (f"    credential: {credential}\n" if credential else "") +
            f"    hosts: [{host}]\n" +
            ("    tunnel: true\n" if tunnel else
             "    allow: [ { methods: [\"*\"], paths: [\"/**\"] } ]\n") +
            "    upstream:\n      addresses: [127.0.0.1]\n"
            f"      port: {front.port}\n" +
            ("" if tunnel else f"      ca_file: {front.ca[1]}\n"))


def setup():
    global house, front, project
    os.chmod(folder, 0o755)
    front = Front()
    front.site("api.demo.test", f"Bearer {KEYS['api']}",
               front.behind(serve(Echo)))
    front.site("git.demo.test", basic("x-access-token", KEYS["git"]),
               front.behind(serve(Git)))
    front.site("pypi.demo.test", basic("__token__", KEYS["pypi"]),
               f"location / {{ root {folder}/pypi; autoindex on; }}")
    front.site("hub.demo.test", basic("agent", KEYS["hub"]),
               front.behind(serve(TokenService)))
    front.npm, front.registry = free_port(), free_port()
    front.site("npm.demo.test", f"Bearer {KEYS['npm']}",
               front.behind(front.npm))
    front.site("registry.demo.test", "", "location / { "
               "proxy_http_version 1.1; proxy_set_header Host $http_host; "
               "proxy_set_header X-Forwarded-Proto https; "
               "proxy_request_buffering off; proxy_buffering off; "
               f"proxy_pass http://127.0.0.1:{front.registry}; }}")
    front.start()
    house = House()
    users = {"git": "x-access-token", "pypi": "__token__", "hub": "agent"}
    for name, key in KEYS.items():
        house.credential(name, key, "--host", f"{name}.demo.test", "--env",
                         f"{name.upper()}_KEY",
                         *(["--user", users[name]] if name in users else []),
                         kind="basic" if name in users else "bearer")
    house.apply(*[grant(n, n) for n in KEYS],
                grant("registry", tunnel=True))
    project = house.base / "project"
    project.mkdir()
    own(project)


def own(path):
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{UID}:{UID}", path], check=True)


def teardown():
    if house:
        house.close()
    for s in servers:
        s.shutdown()
    for p in programs:
        p.terminate()
        p.wait(30)
    shutil.rmtree(folder, ignore_errors=True)


def run(*words, grants=("api",), more=(), timeout=240):
    command = [str(house.bin / "hatcheck"), "--home", str(house.home),
               "run", *sum([["--grant", g] for g in grants], []), *more,
               "--", *words]
    done = subprocess.run(as_user(command), capture_output=True, cwd=project,
                          timeout=timeout, env=house.env)
    text = done.stdout.decode(errors="replace"), \
        done.stderr.decode(errors="replace")
    for key in KEYS.values():
        assert key not in text[0] + text[1]
    return done.returncode, *text


def good(*words, **more):
    code, out, err = run(*words, **more)
    assert code == 0, (code, out[-3000:], err[-3000:])
    return out


def shell(script, **more):
    return good("sh", "-ec", script, **more)


def fill(path, n):
    with open(path, "wb") as f:
        for _ in range(n >> 20):
            f.write(secrets.token_bytes(1 << 20))
    own(path)


# ------------------------------------------------------------- registries

def test_npm():
    "npm publishes to verdaccio and installs from it"
    have("node")
    modules = npm.install("verdaccio@6.1.2",
                          overrides={"node-fetch": "2.7.0"})
    client = npm.install("npm@10.9.8")
    (folder / "verdaccio.yaml").write_text(
        f"storage: {folder}/storage\nauth:\n  htpasswd:\n    file: "
        f"{folder}/htpasswd\nuplinks: {{}}\nlog: {{ type: stdout, level: "
        "warn }\npackages:\n  '**':\n    access: $all\n    publish: $all\n")
    spawn(front.npm, shutil.which("node", path=PATH),
          modules / "verdaccio" / "bin" / "verdaccio", "-c",
          folder / "verdaccio.yaml", "-l", f"127.0.0.1:{front.npm}",
          cwd=folder, name="verdaccio",
          env={"VERDACCIO_PUBLIC_URL": "https://npm.demo.test"})
    out = shell(
        "npm() { node \"$CLIENT/npm/bin/npm-cli.js\" \"$@\"; }; cd /tmp; "
        "printf '%s\\n' '//npm.demo.test/:_authToken=${NPM_KEY}' "
        "registry=https://npm.demo.test/ update-notifier=false "
        "audit=false fund=false > ~/.npmrc; "
        "mkdir lib user; cd lib; echo '{\"name\":\"demo-lib\","
        "\"version\":\"1.2.3\",\"main\":\"i.js\"}' > package.json; "
        "echo 'module.exports=\"from the registry\"' > i.js; "
        "head -c 2000000 /dev/urandom > big; "
        "npm publish >/dev/null; mkdir ../scoped; cd ../scoped; "
        "echo '{\"name\":\"@demo/scoped\",\"version\":\"1.0.0\","
        "\"main\":\"i.js\"}' > package.json; echo "
        "'module.exports=\"and of a scope\"' > i.js; "
        "npm publish --access public >/dev/null; "
        "cd ../user; echo '{}' > package.json; "
        "npm install demo-lib @demo/scoped >/dev/null; cmp ../lib/big "
        "node_modules/demo-lib/big; "
        "node -p 'require(\"demo-lib\")+\", \"+require(\"@demo/scoped\")'",
        grants=("npm",), more=("--ro-bind", str(client), "--env",
                               f"CLIENT={client}"))
    assert out.endswith("from the registry, and of a scope\n"), out


def wheel(path):
    name = "demo_pkg-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("demo_pkg.py", "said = 'from the index'\n")
        z.writestr(f"{name}/METADATA",
                   "Metadata-Version: 2.1\nName: demo-pkg\nVersion: 1.0\n")
        z.writestr(f"{name}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\n"
                   "Root-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{name}/RECORD",
                   f"demo_pkg.py,,\n{name}/METADATA,,\n{name}/WHEEL,,\n"
                   f"{name}/RECORD,,\n")


def test_pip():
    "pip installs from a simple index that wants a login"
    if subprocess.run(["/usr/bin/python3", "-c", "import pip"],
                      capture_output=True).returncode:
        raise tap.Skip("no pip (python3-pip) on this machine")
    simple = folder / "pypi" / "simple" / "demo-pkg"
    simple.mkdir(parents=True)
    wheel(simple / "demo_pkg-1.0-py3-none-any.whl")
    (simple / "index.html").write_text(
        '<a href="demo_pkg-1.0-py3-none-any.whl">'
        "demo_pkg-1.0-py3-none-any.whl</a>\n")
    subprocess.run(["chmod", "-R", "a+rX", folder / "pypi"], check=True)
    for url in ("https://pypi.demo.test/simple/",
                "https://__token__:$PYPI_KEY@pypi.demo.test/simple/"):
        out = shell(
            "rm -rf /tmp/t; /usr/bin/python3 -m pip install -q "
            "--disable-pip-version-check --no-cache-dir --target /tmp/t "
            f"--index-url \"{url}\" demo-pkg; PYTHONPATH=/tmp/t "
            "/usr/bin/python3 -c 'import demo_pkg; print(demo_pkg.said)'",
            grants=("pypi",))
        assert out.endswith("from the index\n"), out


def test_git():
    "git pushes and clones a pack of 48 MiB over https"
    bare = folder / "project.git"
    for words in (["init", "-q", "--bare", "-b", "main", bare],
                  ["-C", bare, "config", "http.receivepack", "true"]):
        subprocess.run(["git", *words], check=True, capture_output=True)
    fill(project / "big", 48 << 20)
    out = shell(
        "cd /tmp; export GIT_CONFIG_GLOBAL=/tmp/gc; git config --global "
        "user.name a; git config --global user.email a@b.test; "
        "git clone -q https://git.demo.test/project.git p; cd p; "
        f"git checkout -q -b main; cp {project}/big .; "
        "git add .; git commit -q -m one; git push -q origin main; cd ..; "
        "git clone -q --depth 1 https://git.demo.test/project.git again; "
        "cmp again/big p/big && echo same", grants=("git",))
    (project / "big").unlink()
    assert out.endswith("same\n"), out


def test_skopeo():
    "skopeo pushes and pulls through a token service (docker-registry)"
    skopeo, registry = have("skopeo"), have("docker-registry")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "3", "-subj",
         "/CN=tokens", "-keyout", folder / "token.key", "-out",
         folder / "token.pem"], check=True, capture_output=True)
    (folder / "registry.yml").write_text(
        "version: 0.1\nlog: { level: warn }\nstorage:\n  filesystem:\n"
        f"    rootdirectory: {folder}/images\nhttp:\n"
        f"  addr: 127.0.0.1:{front.registry}\n"
        f"  secret: x\n  relativeurls: true\nauth:\n  token:\n"
        "    realm: https://hub.demo.test/token\n    service: registry\n"
        f"    issuer: hub.demo.test\n    rootcertbundle: {folder}/token.pem\n")
    spawn(front.registry, registry, "serve", folder / "registry.yml",
          name="registry")
    # An image, as a directory that skopeo reads: one layer.
    image = project / "image"
    image.mkdir()

    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        (image / digest).write_bytes(data)
        return f"sha256:{digest}", len(data)
    fill(folder / "layer", 5 << 20)
    tar = subprocess.run(["tar", "-cf", "-", "-C", folder, "layer"],
                         check=True, capture_output=True).stdout
    diff = hashlib.sha256(tar).hexdigest()
    config = blob(json.dumps({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]}}
        ).encode())
    where = blob(tar)
    media = "application/vnd.docker."
    (image / "manifest.json").write_text(json.dumps({
        "schemaVersion": 2,
        "mediaType": media + "distribution.manifest.v2+json",
        "config": {"mediaType": media + "container.image.v1+json",
                   "digest": config[0], "size": config[1]},
        "layers": [{"mediaType": media + "image.rootfs.diff.tar",
                    "digest": where[0], "size": where[1]}]}))
    (image / "version").write_text("Directory Transport Version: 1.1\n")
    certs = project / "certs"
    certs.mkdir()
    # A tunnel: the registry's own certificate is what skopeo sees. The
    # token service is not tunnelled: it gets the real key there.
    shutil.copy(front.ca[1], certs / "ca.crt")
    own(project)
    out = shell(
        f"cat $SSL_CERT_FILE certs/ca.crt > /tmp/all.pem; "
        "export SSL_CERT_FILE=/tmp/all.pem; "
        f"skopeo() {{ {skopeo} --insecure-policy --tmpdir /tmp \"$@\"; }}; "
        "skopeo copy -q --preserve-digests --dest-creds agent:$HUB_KEY dir:image "
        "docker://registry.demo.test/team/app:1; "
        "skopeo inspect --creds agent:$HUB_KEY --format '{{.Digest}}' "
        "docker://registry.demo.test/team/app:1; "
        "skopeo copy -q --src-creds agent:$HUB_KEY "
        "docker://registry.demo.test/team/app:1 dir:/tmp/back; "
        "cmp image/manifest.json /tmp/back/manifest.json; "
        f"cmp image/{where[0][7:]} /tmp/back/{where[0][7:]} && echo same",
        grants=("hub", "registry"))
    assert out.startswith("sha256:") and out.endswith("same\n"), out


# ---------------------------------------------------- languages' clients

def test_undici():
    "Node's undici, by its EnvHttpProxyAgent and through a base URL"
    have("node")
    modules = npm.install("undici@6.29.0")
    (project / "u.mjs").write_text(f"""
import {{ createRequire }} from 'node:module';
const {{ request, fetch, EnvHttpProxyAgent, setGlobalDispatcher }} =
    createRequire(import.meta.url)('{modules}/undici');
setGlobalDispatcher(new EnvHttpProxyAgent());
const url = 'https://api.demo.test';
const auth = {{ authorization: `Bearer ${{process.env.API_KEY}}` }};
let r = await request(url + '/request', {{ headers: auth }});
process.stdout.write(await r.body.text());
const many = await Promise.all(Array.from({{ length: 20 }}, (_, i) =>
    fetch(`${{url}}/many/${{i}}`, {{ method: 'POST', body: 'x'.repeat(i) }})
    .then(x => x.text())));
process.stdout.write(many.join(''));
r = await request(process.env.API_BASE_URL + '/base', {{ method: 'PUT',
    body: Buffer.alloc(3000000, 'z') }});
process.stdout.write(await r.body.text());
""")
    own(project)
    out = good("node", "u.mjs", more=("--ro-bind", str(modules)))
    assert out == echo("GET", "/request") + "".join(
        echo("POST", f"/many/{i}", b"x" * i) for i in range(20)) + echo(
        "PUT", "/base", b"z" * 3000000), out


def test_go():
    "Go's net/http"
    go = have("go")
    (folder / "main.go").write_text("""package main
import ("bytes"; "fmt"; "io"; "net/http"; "os"; "sync")
func show(r *http.Response, err error) string {
	if err != nil { fmt.Println(err); os.Exit(1) }
	b, err := io.ReadAll(r.Body)
	if err != nil { fmt.Println(err); os.Exit(1) }
	return string(b)
}
func main() {
	u := "https://api.demo.test"
	q, _ := http.NewRequest("GET", u+"/go", nil)
	q.Header.Set("Authorization", "Bearer "+os.Getenv("API_KEY"))
	fmt.Print(show(http.DefaultClient.Do(q)))
	fmt.Print(show(http.Post(u+"/up", "text/plain",
		bytes.NewReader(bytes.Repeat([]byte("g"), 5000000)))))
	pr, pw := io.Pipe()
	go func() { for i := 0; i < 100; i++ { fmt.Fprint(pw, "chunk") }
		pw.Close() }()
	fmt.Print(show(http.Post(u+"/chunked", "text/plain", pr)))
	var all sync.WaitGroup
	var out [30]string
	for i := range out {
		all.Add(1)
		go func(i int) { defer all.Done()
			out[i] = show(http.Get(fmt.Sprint(u, "/many/", i))) }(i)
	}
	all.Wait()
	for _, s := range out { fmt.Print(s) }
}
""")
    subprocess.run([go, "build", "-o", project / "client", "main.go"],
                   cwd=folder, check=True, timeout=600,
                   env={"PATH": PATH, "HOME": str(folder), "GO111MODULE":
                        "off", "CGO_ENABLED": "0",
                        "GOCACHE": str(npm.cache() / "go")})
    own(project)
    out = good("./client")
    assert out == (echo("GET", "/go") + echo("POST", "/up", b"g" * 5000000) +
                   echo("POST", "/chunked", b"chunk" * 100) + "".join(
                       echo("GET", f"/many/{i}") for i in range(30))), out


def test_java():
    "Java's HttpClient, with the trust that the environment gives it"
    have("java")
    have("javac")
    (folder / "Client.java").write_text("""
import java.net.URI;
import java.net.http.*;
import java.util.*;
import java.util.concurrent.CompletableFuture;
public class Client {
	static HttpClient client = HttpClient.newHttpClient();
	static HttpRequest.Builder to(String path) {
		return HttpRequest.newBuilder(
		    URI.create("https://api.demo.test" + path));
	}
	static String text(HttpRequest r) throws Exception {
		return client.send(r, HttpResponse.BodyHandlers.ofString()).body();
	}
	public static void main(String[] a) throws Exception {
		System.out.print(text(to("/java").header("Authorization",
		    "Bearer " + System.getenv("API_KEY")).build()));
		System.out.print(text(to("/up").POST(HttpRequest.BodyPublishers
		    .ofString("j".repeat(3000000))).build()));
		List<CompletableFuture<HttpResponse<String>>> all =
		    new ArrayList<>();
		for (int i = 0; i < 20; i++)
			all.add(client.sendAsync(to("/many/" + i).build(),
			    HttpResponse.BodyHandlers.ofString()));
		for (var f : all)
			System.out.print(f.get().body());
	}
}
""")
    subprocess.run(["javac", "-d", project, folder / "Client.java"],
                   check=True, timeout=300, env={"PATH": PATH})
    own(project)
    out = good("java", "-Xshare:auto", "Client")
    assert out == (echo("GET", "/java") + echo("POST", "/up", b"j" * 3000000)
                   + "".join(echo("GET", f"/many/{i}")
                             for i in range(20))), out


def test_s_client():
    "openssl s_client's oddities: served or refused, never half"
    ask = ("printf 'GET /s HTTP/1.1\\r\\nHost: api.demo.test\\r\\n"
           "Connection: close\\r\\n\\r\\n' | timeout 20 openssl s_client "
           "-quiet -ign_eof -proxy ${https_proxy#http://} "
           "-connect api.demo.test:443 -CAfile $SSL_CERT_FILE "
           "-verify_return_error ")
    want = echo("GET", "/s")
    for words in ("-servername api.demo.test", "-tls1_2", "-tls1_3",
                  "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
                  "-max_send_frag 512", "-split_send_frag 512", "-status",
                  "-groups P-256", "-groups X25519:P-384",
                  "-alpn http/1.1", "-alpn odd/9,http/1.1",
                  "-verify_hostname api.demo.test", "-no_ticket",
                  "-tls1_3 -no_middlebox"):
        code, out, err = run("sh", "-c", ask + words)
        assert out.endswith(want), (words, out, err)
    for words in ("-noservername", "-servername evil.test", "-tls1_1",
                  "-tls1_2 -cipher NULL:@SECLEVEL=0",
                  "-tls1_2 -cipher AES128-SHA", "-groups secp521r1:x",
                  "-verify_hostname evil.test"):
        code, out, err = run("sh", "-c", ask + words)
        assert "GET /s" not in out and "HTTP/1.1 200" not in out, (
            words, out, err)


if __name__ == "__main__":
    tap.main(globals(), setup, teardown)
