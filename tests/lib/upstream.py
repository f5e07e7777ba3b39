"""The recorder: a real TLS server on loopback that keeps every byte.

    up = Upstream(["api.demo.test"])     # its own CA: up.ca_file
    up.answer = lambda request: (200, {"x": "y"}, b"body")
    up.requests[0].path, .headers (list of pairs), .body, .raw
    up.received                          # every byte of every connection

An answer may also be a generator of byte strings (sent as they come, the
whole response, head included), for streams and for odd responses.
"""
import contextlib
import os
import socket
import ssl
import subprocess
import threading
from pathlib import Path

from scratch import scratch


class Request:
    def __init__(self, method, path, headers, body, raw, trailers=()):
        self.method, self.path = method, path
        self.headers, self.body, self.raw = headers, body, raw
        self.trailers = trailers

    def header(self, name):
        """All values of a header."""
        return [v for n, v in self.headers if n.lower() == name.lower()]


def make_ca(folder, cn="Recorder CA"):
    key, cert = folder / "ca.key", folder / "ca.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
         f"/CN={cn}", "-keyout", key, "-out", cert, "-addext",
         "basicConstraints=critical,CA:TRUE", "-addext",
         "keyUsage=critical,keyCertSign"],
        check=True, capture_output=True)
    return key, cert


def make_leaf(folder, names, ca, days=30, extra="", cn="leaf"):
    key, csr, cert = (folder / f"leaf.{e}" for e in ("key", "csr", "pem"))
    ext = folder / "leaf.ext"
    sans = ",".join(f"DNS:{n}" for n in names)
    ext.write_text((f"subjectAltName={sans}\n" if names else "") +
                   "basicConstraints=CA:FALSE\n"
                   "authorityKeyIdentifier=keyid\n" + extra)
    subprocess.run(
        ["openssl", "req", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={cn}",
         "-keyout", key, "-out", csr], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "x509", "-req", "-in", csr, "-CA", ca[1], "-CAkey",
         ca[0], "-CAcreateserial", "-days", str(days), "-extfile", ext,
         "-out", cert], check=True, capture_output=True)
    return key, cert


class Upstream:
    def __init__(self, names, port=0, tls=True, ca=None, leaf=None):
        self.folder = scratch("hck-up-")
        os.chmod(self.folder, 0o755)
        self.names = names
        self.ca = ca or make_ca(self.folder)
        self.ca_file = str(self.ca[1])
        key, cert = leaf or make_leaf(self.folder, names, self.ca)
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(cert, key)
        self.requests, self.connections = [], 0
        self.received = bytearray()
        self.answer = lambda request: (200, {}, b"hello\n")
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.listen(256)
        self.port = self.listener.getsockname()[1]
        self.live = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            # As servers do: else each first answer waits for the ACK of a
            # TLS ticket, 40 ms.
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(s,),
                             daemon=True).start()

    def serve(self, s):
        with self.lock:
            self.connections += 1
        try:
            if self.context:
                s = self.context.wrap_socket(s, server_side=True)
            self.live.add(s)
            buffered = b""
            while True:
                buffered = self.one(s, buffered)
                if buffered is None:
                    return
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            self.live.discard(s)
            s.close()

    def read(self, s):
        data = s.recv(65536)
        with self.lock:
            self.received += data
        return data

    def one(self, s, data):
        while b"\r\n\r\n" not in data:
            more = self.read(s)
            if not more:
                return None
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = [tuple(x.strip() for x in h.split(":", 1))
                   for h in lines[1:]]
        lower = {n.lower(): v for n, v in headers}
        if "100-continue" in lower.get("expect", ""):
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, trailers, rest = self.body(s, lower, rest)
        request = Request(method, path, headers, body, head, trailers)
        with self.lock:
            self.requests.append(request)
        self.send(s, request, self.answer(request))
        return rest

    def body(self, s, headers, data):
        if headers.get("transfer-encoding") == "chunked":
            return self.chunked(s, data)
        n = int(headers.get("content-length", 0))
        body = bytearray(data[:n])
        rest = data[n:]
        while len(body) < n:
            more = self.read(s)
            if not more:
                raise ValueError("cut short")
            need = n - len(body)
            body += more[:need]
            rest = more[need:]
        return bytes(body), [], rest

    def chunked(self, s, data):
        body = bytearray()

        def need(until):
            nonlocal data
            while not until():
                more = self.read(s)
                if not more:
                    raise ValueError("cut short")
                data += more
        while True:
            need(lambda: b"\r\n" in data)
            line, _, data = data.partition(b"\r\n")
            n = int(line.split(b";")[0], 16)
            if n == 0:
                break
            need(lambda: len(data) >= n + 2)
            body += data[:n]
            data = data[n + 2:]
        trailers = []
        while True:
            need(lambda: b"\r\n" in data)
            line, _, data = data.partition(b"\r\n")
            if not line:
                return bytes(body), trailers, data
            trailers.append(tuple(x.strip() for x in
                                  line.decode("latin-1").split(":", 1)))

    def send(self, s, request, answer):
        if not isinstance(answer, tuple):
            for piece in answer:
                s.sendall(piece)
            return
        status, headers, body = answer
        head = f"HTTP/1.1 {status} Because\r\n"
        for n, v in (headers.items() if isinstance(headers, dict)
                     else headers):
            head += f"{n}: {v}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        s.sendall(head.encode("latin-1") +
                  (b"" if request.method == "HEAD" else body))

    def forget(self):
        with self.lock:
            self.requests.clear()
            self.received.clear()
            self.connections = 0

    def close(self):
        """Each thread closes its own socket: closed here, its number would
        be another's by the time that TLS writes its last to it."""
        self.listener.close()
        for s in list(self.live):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(s, socket.SHUT_RDWR)
