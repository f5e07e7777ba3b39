"""The recorder that speaks HTTP/2 (python3-h2), over real TLS on loopback.

    up = Upstream2(["api.demo.test"])    # as tests/lib/upstream.py
    up.answer = lambda c, r: c.respond(r.id, 200, [("x", "y")], b"body",
                                       trailers=[("a", "b")])
    up.on = lambda c, event: ...         # every event of python3-h2
    up.requests[0].path, .headers, .body, .ended, .never
    up.connections                       # how many came, up.live: are open

answer is called when a request is whole; begin when its head has come.
c.raw(bytes) writes what no library would; c.h2 is the library's connection.
"""
import os
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import hpack
from scratch import scratch
from upstream import make_ca, make_leaf


class Request2:
    def __init__(self, event):
        self.id = event.stream_id
        self.headers = [(n.decode(), v.decode()) for n, v in event.headers]
        self.never = {n.decode() for h in event.headers for n, _ in [h]
                      if isinstance(h, hpack.NeverIndexedHeaderTuple)}
        self.body, self.ended = bytearray(), False
        self.trailers, self.reset = [], None

    def header(self, name):
        return [v for n, v in self.headers if n == name]

    @property
    def path(self):
        return self.header(":path")[0]


class Connection:
    def __init__(self, up, s):
        self.up, self.s, self.lock = up, s, threading.RLock()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.requests, self.queue = {}, {}
        self.goaway = None
        if up.settings:
            self.h2.local_settings = h2.settings.Settings(
                client=False, initial_values={**dict(
                    self.h2.local_settings), **up.settings})
        if up.preface:
            self.h2.initiate_connection()
            self.flush()

    def raw(self, data):
        with self.lock:
            self.s.sendall(data)

    def flush(self):
        with self.lock:
            data = self.h2.data_to_send()
            if data:
                self.s.sendall(data)

    def respond(self, sid, status, headers=(), body=b"", trailers=None,
                end=True):
        with self.lock:
            last = end and not body and trailers is None
            self.h2.send_headers(sid, [(":status", str(status)), *headers],
                                 end_stream=last)
            if not last:
                self.send(sid, body, trailers, end)
            self.flush()

    def send(self, sid, body=b"", trailers=None, end=False):
        """As far as the windows allow, the rest when they open."""
        with self.lock:
            old = self.queue.get(sid, (b"", None, False))
            self.queue[sid] = (old[0] + body, trailers, end)
            self.pump(sid)
            self.flush()

    def pump(self, sid):
        body, trailers, end = self.queue.pop(sid)
        while body:
            n = min(self.h2.local_flow_control_window(sid),
                    self.h2.max_outbound_frame_size, len(body))
            if n <= 0:
                self.queue[sid] = (body, trailers, end)
                return
            self.h2.send_data(sid, body[:n], end_stream=end and
                              trailers is None and n == len(body))
            self.up.sent += n
            body = body[n:]
            end_sent = end and trailers is None and not body
            if end_sent:
                return
        if trailers is not None:
            self.h2.send_headers(sid, trailers, end_stream=True)
        elif end:
            self.h2.end_stream(sid)

    def take(self, event):
        up, r = self.up, self.requests.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            r = self.requests[event.stream_id] = Request2(event)
            with up.lock:
                up.requests.append(r)
            up.begin(self, r)
        elif isinstance(event, h2.events.DataReceived):
            r.body += event.data
            if up.reading:
                self.h2.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            r.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            r.ended = True
            try:
                up.answer(self, r)
            except h2.exceptions.StreamClosedError:
                pass  # it was reset before
        elif isinstance(event, h2.events.StreamReset):
            if r:
                r.reset = event.error_code
            self.queue.pop(event.stream_id, None)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event.error_code
        elif isinstance(event, (h2.events.WindowUpdated,
                                h2.events.RemoteSettingsChanged)):
            for sid in list(self.queue):
                self.pump(sid)
        up.on(self, event)

    def serve(self):
        while True:
            data = self.s.recv(65536)
            if not data:
                return
            with self.lock:
                self.up.received += data
                for event in self.h2.receive_data(data):
                    self.take(event)
                self.flush()


class Upstream2:
    def __init__(self, names, alpn=("h2",), settings=None):
        self.names = names
        self.folder = scratch("hck-up2-")
        os.chmod(self.folder, 0o755)
        self.ca = make_ca(self.folder)
        self.ca_file = str(self.ca[1])
        key, cert = make_leaf(self.folder, names, self.ca)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.alpn(alpn)
        self.lock = threading.Lock()
        self.settings, self.live = settings, []
        self.forget()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.listen(256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def alpn(self, protocols):
        self.context.set_alpn_protocols(list(protocols))

    def forget(self):
        self.requests, self.received = [], bytearray()
        self.connections, self.sent = 0, 0
        self.preface, self.reading = True, True
        self.settings = None
        self.on = lambda c, event: None
        self.begin = lambda c, r: None
        self.answer = lambda c, r: c.respond(
            r.id, 200, [("x-own", "1")], b"hello\n")

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,),
                             daemon=True).start()

    def serve(self, s):
        c = None
        try:
            s = self.context.wrap_socket(s, server_side=True)
            with self.lock:
                self.connections += 1
            c = Connection(self, s)
            self.live.append(c)
            c.serve()
        except (OSError, ssl.SSLError):
            pass
        except h2.exceptions.ProtocolError as e:
            print(f"# upstream: {e!r}", flush=True)
        finally:
            if c in self.live:
                self.live.remove(c)
            s.close()
