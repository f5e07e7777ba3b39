"""A guest that speaks HTTP/2 (python3-h2), as strictly or oddly as a test
wants.

    c = H2Guest(guest, "api.demo.test")        # CONNECT, TLS, ALPN h2
    r = c.get("/v1/x")                         # r.status .headers .body
    sid = c.send([(":method", ...), ...])      # nothing is checked
    r = c.wait(sid)                            # r.ended, or r.reset: a code
    c.raw(frame(type, flags, stream, payload))
    c.goaway                                   # its code, once it came
"""
import ssl

import h2.config
import h2.connection
import h2.events
import h2.settings

from harness import tls_recv

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONT = \
    range(10)


def frame(kind, flags, stream, payload=b""):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) +
            stream.to_bytes(4, "big") + payload)


class Answer:
    def __init__(self):
        self.status, self.headers, self.trailers = None, [], []
        self.interims, self.body = [], bytearray()
        self.ended, self.reset = False, None
        self.held = 0                   # bytes without credit, by hand

    def header(self, name):
        return [v for n, v in self.headers if n == name]


class H2Guest:
    def __init__(self, guest, host, token=None, credit=True, timeout=30,
                 settings=None, **more):
        self.host, self.credit = host, credit
        self.s = guest.tunnel(host, token=token, alpn=("h2",), **more)
        assert self.s.selected_alpn_protocol() == "h2"
        self.s.settimeout(timeout)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1",
            validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.h2.local_settings = h2.settings.Settings(
            client=True, initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100,
                **(settings or {})})
        self.answers, self.goaway, self.closed = {}, None, False
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.s.sendall(data)

    def raw(self, data):
        self.flush()
        self.s.sendall(data)

    def head(self, method="GET", path="/v1/x", more=()):
        return [(":method", method), (":scheme", "https"),
                (":authority", self.host), (":path", path), *more]

    def send(self, headers, end=True):
        sid = self.h2.get_next_available_stream_id()
        self.answers[sid] = Answer()
        self.h2.send_headers(sid, headers, end_stream=end)
        self.flush()
        return sid

    def body(self, sid, data, end=True, trailers=None):
        """All of it, as the windows let it."""
        while data:
            n = min(self.h2.local_flow_control_window(sid),
                    self.h2.max_outbound_frame_size, len(data))
            if n == 0:
                if not self.read():
                    return False
                if self.answers[sid].reset is not None:
                    return False
                continue
            self.h2.send_data(sid, data[:n], end_stream=False)
            self.flush()
            data = data[n:]
        if trailers:
            self.h2.send_headers(sid, trailers, end_stream=True)
        elif end:
            self.h2.end_stream(sid)
        self.flush()
        return True

    def request(self, method, path, headers=(), body=None, trailers=None):
        sid = self.send(self.head(method, path, headers),
                        end=body is None)
        if body is not None:
            self.body(sid, body, trailers=trailers)
        return self.wait(sid)

    def get(self, path, *headers):
        return self.request("GET", path, headers)

    def read(self):
        """One piece of what comes; False at the end."""
        try:
            data = tls_recv(self.s)
        except ConnectionResetError:
            data = b""
        except ssl.SSLError as e:
            if "timed out" in str(e):
                raise
            data = b""
        if not data:
            self.closed = True
            return False
        for e in self.h2.receive_data(data):
            self.event(e)
        try:
            self.flush()
        except OSError:
            pass                        # gone: what it said can be read
        return True

    def event(self, e):
        a = self.answers.get(getattr(e, "stream_id", None))
        if isinstance(e, h2.events.ConnectionTerminated):
            self.goaway = int(e.error_code)
        if a is None:
            return
        if isinstance(e, h2.events.InformationalResponseReceived):
            a.interims.append(list(e.headers))
        elif isinstance(e, h2.events.ResponseReceived):
            a.headers = list(e.headers)
            a.status = int(dict(e.headers)[":status"])
        elif isinstance(e, h2.events.TrailersReceived):
            a.trailers = list(e.headers)
        elif isinstance(e, h2.events.DataReceived):
            a.body += e.data
            a.held += e.flow_controlled_length
            if self.credit and e.flow_controlled_length:
                self.h2.acknowledge_received_data(
                    e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.StreamEnded):
            a.ended = True
        elif isinstance(e, h2.events.StreamReset):
            a.reset = int(e.error_code)

    def until(self, done):
        while not done():
            if not self.read():
                return False
        return True

    def wait(self, sid):
        a = self.answers[sid]
        self.until(lambda: a.ended or a.reset is not None)
        return a

    def wait_end(self):
        """Until the far end closes; the code of its GOAWAY."""
        self.until(lambda: False)
        return self.goaway

    def close(self):
        self.s.close()
