# SPDX-License-Identifier: ISC
"""What a user would pick instead, doing the same work: terminate TLS, check
a token, put the real credential in, forward over verified TLS to the origin.

Each peer is a class: `missing()` says what it lacks (then it is skipped and
named), `start()` starts it, `words` are the load generator's, `pids()` its
processes. All listen on loopback, each with one worker where it can be told.
"""
import base64
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def tree(pid):
    """A process and all below it."""
    pids = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            for kid in (task / "children").read_text().split():
                pids += tree(int(kid))
        except OSError:
            pass
    return pids


class Work:
    """What all peers share: the origin, its CA, the real key, the token."""

    def __init__(self, folder, make_ca, make_leaf):
        self.folder = folder
        self.key = "bench-" + secrets.token_hex(20)
        self.token = secrets.token_hex(16)
        ca = make_ca(folder)
        self.leaf_key, self.leaf = make_leaf(
            folder, ["bench.test", "localhost"], ca)
        self.ca = str(ca[1])
        # Interceptors sign with a CA of their own; some want RSA.
        self.mitm_key, self.mitm_ca = folder / "mitm.key", folder / "mitm.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-days", "30", "-subj", "/CN=Bench interceptor", "-keyout",
             self.mitm_key, "-out", self.mitm_ca, "-addext",
             "basicConstraints=critical,CA:TRUE", "-addext",
             "keyUsage=critical,keyCertSign,cRLSign"],
            check=True, capture_output=True)
        self.origin = free_port()
        www = folder / "www"
        www.mkdir()
        for name, size in (("1k", 1024), ("64k", 65536), ("1m", 1 << 20)):
            (www / name).write_bytes(b"x" * size)
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)


class Peer:
    name = ""
    port = process = None

    def __init__(self, work):
        self.work = work
        self.dir = work.folder / self.name.split()[0].replace("+", "-")
        self.dir.mkdir()
        self.port = free_port()

    def missing(self):
        return None

    def spawn(self, *words, **env):
        self.log = open(self.dir / "log", "wb")
        self.process = subprocess.Popen(
            [str(w) for w in words], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, cwd=self.dir,
            env=dict(os.environ, **env))
        self.wait()

    def wait(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start:\n" +
                           (self.dir / "log").read_text()[-800:])

    def pids(self):
        return tree(self.process.pid)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    # A reverse proxy: the client speaks TLS to it.
    def reverse(self, *more):
        return ["--tcp", f"127.0.0.1:{self.port}", "--tls", "bench.test",
                "--ca", self.work.ca, *more]

    # An interceptor: CONNECT first. The name is one that it can resolve.
    def intercepting(self):
        return ["--tcp", f"127.0.0.1:{self.port}", "--connect",
                f"localhost:{self.work.origin}", "--tls", "localhost",
                "--host", f"localhost:{self.work.origin}",
                "--ca", str(self.work.mitm_ca), "--header",
                f"X-Token: {self.work.token}"]


NGINX = """
worker_processes 1; daemon off; pid {dir}/pid; {user}
error_log {dir}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 0;
  client_body_temp_path {dir}; proxy_temp_path {dir};
  fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
  ssl_certificate {leaf}; ssl_certificate_key {leaf_key};
  ssl_session_cache shared:s:4m; ssl_protocols TLSv1.2 TLSv1.3;
  {servers}
}}
"""


class Nginx(Peer):
    servers = ""

    def missing(self):
        return None if shutil.which("nginx") else "nginx (nginx-light)"

    def start(self):
        w = self.work
        words = {"dir": self.dir, "leaf": w.leaf, "leaf_key": w.leaf_key,
                 "user": "user root;" if os.getuid() == 0 else "",
                 "port": self.port, "key": w.key, "token": w.token,
                 "origin": w.origin, "ca": w.ca, "www": w.folder / "www",
                 "checker": free_port()}
        conf = self.dir / "conf"
        conf.write_text(NGINX.format(servers=self.servers.format(**words),
                                     **words))
        self.spawn("nginx", "-p", self.dir, "-c", conf)


class Origin(Nginx):
    """Where everybody goes: it wants the real key."""
    name = "direct"
    servers = """
  server {{
    listen 127.0.0.1:{port} ssl; server_name bench.test;
    if ($http_authorization != "Bearer {key}") {{ return 401; }}
    location / {{ root {www}; }}
    # All of the body is read before it is answered.
    location /up {{ client_body_buffer_size 2m;
      proxy_pass http://127.0.0.1:{checker}; proxy_http_version 1.1; }}
  }}
  server {{ listen 127.0.0.1:{checker}; location / {{ return 200 "x"; }} }}"""

    def __init__(self, work):
        super().__init__(work)
        self.port = work.origin
        self.words = self.reverse("--header",
                                  f"Authorization: Bearer {work.key}")


class NginxAuth(Nginx):
    name = "nginx+auth_request"
    servers = """
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 512;
    keepalive_requests 100000000; }}
  upstream checker {{ server 127.0.0.1:{checker}; keepalive 512;
    keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{checker};
    location / {{
      if ($http_x_token != "{token}") {{ return 403; }}
      return 204;
    }}
  }}
  server {{
    listen 127.0.0.1:{port} ssl; server_name bench.test;
    location = /auth {{
      internal; proxy_pass http://checker; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }}
    location / {{
      auth_request /auth;
      proxy_pass https://origin; proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_ssl_server_name on; proxy_ssl_name bench.test;
      proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca};
      proxy_set_header Host bench.test; proxy_set_header Connection "";
      proxy_set_header X-Token "";
      proxy_set_header Authorization "Bearer {key}";
    }}
  }}"""

    def __init__(self, work):
        super().__init__(work)
        self.words = self.reverse("--header", f"X-Token: {work.token}")


class Haproxy(Peer):
    name = "haproxy+jwt"

    def missing(self):
        return None if shutil.which("haproxy") else "haproxy"

    def jwt(self):
        """RS256: Debian 12's HAProxy knows no EdDSA."""
        key, pub = self.dir / "jwt.key", self.dir / "jwt.pub"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"],
                       check=True, capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", pub],
                       check=True, capture_output=True)

        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        text = part(json.dumps({"alg": "RS256", "typ": "JWT"}).encode()) + \
            b"." + part(json.dumps({"sub": "bench", "exp": 4102444800})
                        .encode())
        sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key],
                             input=text, check=True,
                             capture_output=True).stdout
        return (text + b"." + part(sig)).decode(), pub

    def start(self):
        w = self.work
        token, pub = self.jwt()
        pem = self.dir / "leaf.pem"
        pem.write_bytes(w.leaf.read_bytes() + w.leaf_key.read_bytes())
        conf = self.dir / "conf"
        conf.write_text(f"""
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:{self.port} ssl crt {pem}
  http-request set-var(txn.t) http_auth_bearer
  http-request set-var(txn.alg) var(txn.t),jwt_header_query('$.alg')
  http-request deny unless {{ var(txn.alg) -m str RS256 }}
  http-request deny unless {{ var(txn.t),jwt_verify(txn.alg,"{pub}") 1 }}
  http-request set-header Authorization "Bearer {w.key}"
  default_backend b
backend b
  server s 127.0.0.1:{w.origin} ssl verify required ca-file {w.ca} """
                        "sni str(bench.test) verifyhost bench.test\n")
        self.words = self.reverse("--header", f"Authorization: Bearer {token}")
        self.spawn("haproxy", "-db", "-f", conf)


class Squid(Peer):
    name = "squid ssl_bump"

    def missing(self):
        return None if Path("/usr/lib/squid/security_file_certgen").exists() \
            else "squid with TLS (squid-openssl)"

    def start(self):
        w = self.work
        certgen = "/usr/lib/squid/security_file_certgen"
        db = self.dir / "db"
        subprocess.run([certgen, "-c", "-s", db, "-M", "4MB"], check=True,
                       capture_output=True)
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", "proxy:proxy", self.dir],
                           check=True)
            subprocess.run(["chmod", "a+r", w.mitm_key], check=True)
        conf = self.dir / "conf"
        conf.write_text(f"""
http_port 127.0.0.1:{self.port} ssl-bump generate-host-certificates=on """
                        f"""dynamic_cert_mem_cache_size=4MB tls-cert="""
                        f"""{w.mitm_ca} tls-key={w.mitm_key}
sslcrtd_program {certgen} -s {db} -M 4MB
sslcrtd_children 2
workers 1
ssl_bump bump all
tls_outgoing_options cafile={w.ca}
acl token req_header X-Token ^{w.token}$
acl connect method CONNECT
http_access allow connect
http_access allow token
http_access deny all
request_header_access X-Token deny all
request_header_add Authorization "Bearer {w.key}" all
cache deny all
access_log none
cache_log {self.dir}/cache.log
pid_filename {self.dir}/pid
coredump_dir {self.dir}
shutdown_lifetime 1 seconds
server_persistent_connections on
dns_v4_first on
""".replace("dns_v4_first on\n", ""))
        self.words = self.intercepting()
        self.spawn("squid", "-N", "-f", conf)


class Mitmproxy(Peer):
    name = "mitmproxy"

    def missing(self):
        return None if shutil.which("mitmdump") else "mitmproxy"

    def start(self):
        w = self.work
        pem = w.mitm_key.read_bytes() + w.mitm_ca.read_bytes()
        (self.dir / "mitmproxy-ca.pem").write_bytes(pem)
        self.words = self.intercepting()
        self.spawn("mitmdump", "-q", "--listen-host", "127.0.0.1",
                   "--listen-port", self.port, "--set",
                   f"confdir={self.dir}", "--set",
                   f"ssl_verify_upstream_trusted_ca={w.ca}", "--set",
                   "stream_large_bodies=64k", "-s",
                   HERE / "mitm_addon.py", TOKEN=w.token, KEY=w.key)


class Go(Peer):
    name = "go interceptor"

    def missing(self):
        return None if shutil.which("go") else "Go (golang-go)"

    def start(self):
        w = self.work
        program = self.dir / "interceptor"
        subprocess.run(["go", "build", "-o", program,
                        HERE / "interceptor.go"], check=True, cwd=self.dir,
                       env=dict(os.environ, GO111MODULE="off",
                                GOCACHE=str(self.dir / "cache")))
        self.words = self.intercepting()
        self.spawn(program, f"127.0.0.1:{self.port}", w.mitm_ca, w.mitm_key,
                   w.ca, TOKEN=w.token, KEY=w.key)


class SandboxRuntime(Peer):
    name = "sandbox-runtime"
    package = "@anthropic-ai/sandbox-runtime@0.0.83"

    def missing(self):
        if not shutil.which("npm") or not shutil.which("node"):
            return "node and npm"
        done = subprocess.run(["npm", "install", "--silent", "--no-audit",
                               "--no-fund", "--prefix", self.dir,
                               self.package], capture_output=True, text=True)
        return None if done.returncode == 0 else self.package

    def start(self):
        w = self.work
        module = self.dir / "node_modules" / "@anthropic-ai" / \
            "sandbox-runtime"
        self.words = self.intercepting()
        self.spawn("node", HERE / "sandbox_runtime.mjs", module, self.port,
                   w.mitm_ca, w.mitm_key, w.ca, TOKEN=w.token, KEY=w.key)


PEERS = (NginxAuth, Haproxy, Squid, Mitmproxy, Go, SandboxRuntime)
