/* SPDX-License-Identifier: ISC */
/* What for: bytes over a socket, plain or TLS, without blocking.
 * Trusts: the kernel for who is at the far end; OpenSSL for TLS.
 * At a bound: stops reading (input), ERR_TOO_BIG (output). */
#include "egress/http/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 16384
/* Of a TLS stream per turn, while they are full (tls.c: how long they are). */
#define READS 2

struct stream {
	struct ev_loop *loop;
	struct ev_io readable, writable;
	struct ev_timer flush; /* only ever fed: runs when a turn ends */
	struct ev_timer patience;
	int fd;
	SSL *ssl;
	struct buf *early; /* of TLS, read before it began; or NULL */
	unsigned reads;	   /* that net_read() may still make */
	int net_err;	   /* of one of them, or 0 */
	struct buf *in, *out;
	stream_handler *handler;
	void *ctx;
	int (*check)(void *ctx); /* before sending; may be NULL */
	void *check_ctx;
	size_t thrown_away;
	bool open;	/* plain, or handshake done */
	bool ticket;	/* is owed to a client of TLS 1.3 */
	bool net_eof;	/* the socket gave 0 */
	bool in_eof;	/* STREAM_EOF was said */
	bool shut;	/* nothing more may be written */
	bool shut_done; /* and the far end has been told */
	bool moved; /* since stream_rest() was last called */
	bool rests; /* and it did its work */
	bool finishing, was_high, dead;
	bool in_event, freed;
};

static void
stop(struct stream *s)
{
	ev_io_stop(s->loop, &s->readable);
	ev_io_stop(s->loop, &s->writable);
	ev_timer_stop(s->loop, &s->patience);
	ev_clear_pending(s->loop, &s->flush);
}

static void
destroy(struct stream *s)
{
	SSL_free(s->ssl);
	buf_free(s->early);
	buf_free(s->in);
	buf_free(s->out);
	free(s);
}

/* False: the owner has freed it; touch nothing. */
static bool
emit(struct stream *s, enum stream_event event, int err)
{
	s->in_event = true;
	s->handler(s->ctx, s, event, err);
	s->in_event = false;
	if (s->freed) {
		destroy(s);
		return false;
	}
	return !s->dead;
}

static void
broken(struct stream *s, int err)
{
	if (s->dead)
		return;
	stop(s);
	s->dead = true;
	(void)emit(s, STREAM_BROKEN, err); /* nothing follows anyway */
}

static int
net_error(void)
{
	return errno == EPIPE || errno == ECONNRESET || errno == ETIMEDOUT ||
		       errno == ENOTCONN
		   ? ERR_UNAVAILABLE
		   : ERR_IO;
}

/* ---------------------------------------------------------------- out */

static bool
may_send(const struct stream *s)
{
	return s->check == NULL || buf_len(s->out) == 0 ||
	       s->check(s->check_ctx) == 0;
}

static int
send_out(struct stream *s)
{
	while (buf_len(s->out) > 0) {
		struct span o = buf_span(s->out);
		ssize_t n = send(s->fd, o.p, o.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			buf_consume(s->out, (size_t)n);
		else if (n < 0 && errno == EAGAIN)
			break;
		else if (n == 0 || errno != EINTR)
			return net_error();
	}
	return 0;
}

static void
say_shut(struct stream *s)
{
	s->shut_done = true;
	(void)shutdown(s->fd, SHUT_WR); /* a dead peer shows on reading */
}

static void
closed(struct stream *s)
{
	stop(s);
	s->dead = true;
	(void)emit(s, STREAM_CLOSED, 0); /* last act */
}

/* All is sent: the far end has some time to take it. */
static void
wait_for_end(struct stream *s)
{
	if (s->net_eof)
		closed(s);
	else
		ev_timer_start(s->loop, &s->patience);
}

static void
push(struct stream *s)
{
	int r;

	if (!may_send(s))
		return;
	r = send_out(s);
	if (r == ERR_UNAVAILABLE && !s->net_eof && !s->shut) {
		/* What it said before it went is read first; reading then
		 * finds that it is gone. */
		ev_io_stop(s->loop, &s->writable);
		buf_reset(s->out);
		return;
	}
	if (r != 0) {
		broken(s, r);
		return;
	}
	size_t left = buf_len(s->out);
	if (left > 0)
		ev_io_start(s->loop, &s->writable);
	else
		ev_io_stop(s->loop, &s->writable);
	if (left == 0 && s->shut && !s->shut_done)
		say_shut(s);
	if (s->finishing && s->shut_done) {
		wait_for_end(s);
		return;
	}
	if (s->was_high && left <= STREAM_LOW) {
		s->was_high = false;
		if (!s->finishing)
			(void)emit(s, STREAM_DRAINED, 0); /* last act */
	}
}

static void
on_flush(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct stream *s = w->data;

	(void)loop;
	(void)events;
	if (!s->dead && !ev_is_active(&s->writable))
		push(s);
}

static void
on_writable(struct ev_loop *loop, struct ev_io *w, int events)
{
	(void)loop;
	(void)events;
	push(w->data);
}

static void
flush_later(struct stream *s)
{
	if (buf_len(s->out) >= STREAM_HIGH)
		s->was_high = true;
	ev_feed_event(s->loop, &s->flush, EV_TIMER);
}

/* What OpenSSL wants sent. */
static int
net_write(BIO *b, const char *p, int n)
{
	struct stream *s = BIO_get_data(b);

	if (n <= 0 || buf_put(s->out, p, (size_t)n) != 0)
		return -1;
	flush_later(s);
	return n;
}

/* Read from the socket: more than 0, 0 at its end, or an err (ERR_TRUNCATED:
 * nothing there now). */
static int
receive(struct stream *s, uint8_t *p, size_t n)
{
	ssize_t got = recv(s->fd, p, n, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return ERR_TRUNCATED;
	if (got < 0)
		return net_error();
	s->net_eof |= got == 0;
	s->moved = true;
	return (int)got;
}

static int
take_early(struct stream *s, char *p, size_t n)
{
	struct span have = buf_span(s->early);

	n = have.n < n ? have.n : n;
	memcpy(p, have.p, n);
	buf_consume(s->early, n);
	return (int)n;
}

/* And what it wants to read. When there is none that means "not yet", never
 * "end", which is net_eof. As long as reads are full there is more. */
static int
net_read(BIO *b, char *p, int n)
{
	struct stream *s = BIO_get_data(b);
	int got = 0;

	BIO_clear_retry_flags(b);
	if (n > 0 && buf_len(s->early) > 0)
		return take_early(s, p, (size_t)n);
	if (n > 0 && s->reads > 0 && !s->net_eof && s->net_err == 0) {
		got = receive(s, (uint8_t *)p, (size_t)n);
		s->reads = got == n ? s->reads - 1 : 0;
		if (got < 0 && got != ERR_TRUNCATED)
			s->net_err = got;
		if (s->net_eof || s->net_err != 0)
			ev_io_stop(s->loop, &s->readable);
	}
	if (got > 0)
		return got;
	BIO_set_retry_read(b);
	return -1;
}

static long
net_ctrl(BIO *b, int what, long n, void *p)
{
	(void)b;
	(void)n;
	(void)p;
	return what == BIO_CTRL_FLUSH; /* that is the loop's */
}

static BIO *
net_new(struct stream *s)
{
	static BIO_METHOD *method; /* one for all, never freed */
	BIO *b;

	if (method == NULL &&
	    ((method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream")) == NULL ||
		BIO_meth_set_write(method, net_write) != 1 ||
		BIO_meth_set_read(method, net_read) != 1 ||
		BIO_meth_set_ctrl(method, net_ctrl) != 1))
		return NULL;
	if ((b = BIO_new(method)) == NULL)
		return NULL;
	BIO_set_data(b, s);
	BIO_set_init(b, 1);
	return b;
}

static int
write_tls(struct stream *s, struct span b)
{
	s->moved = true;
	if (s->ticket && b.n > 0) {
		s->ticket = false;
		(void)SSL_new_session_ticket(s->ssl); /* or none: TLS 1.2 */
	}
	while (b.n > 0) {
		int n = b.n < CHUNK ? (int)b.n : CHUNK;

		ERR_clear_error();
		if (SSL_write(s->ssl, b.p, n) != n)
			return ERR_CRYPTO;
		b = span_from(b, (size_t)n);
	}
	return 0;
}

int
stream_write(struct stream *s, struct span bytes)
{
	int r;

	if (s->dead || s->shut || !s->open)
		return ERR_SEQUENCE;
	if (bytes.n > buf_room(s->out))
		return ERR_TOO_BIG;
	if (s->ssl != NULL)
		return write_tls(s, bytes);
	if ((r = buf_put_span(s->out, bytes)) == 0)
		flush_later(s);
	return r;
}

int
stream_write_buf(struct stream *s, struct buf *b)
{
	int r = stream_write(s, buf_span(b));

	buf_reset(b);
	return r;
}

void
stream_before_send(struct stream *s, int (*check)(void *ctx), void *ctx)
{
	s->check = check;
	s->check_ctx = ctx;
}

size_t
stream_queued(const struct stream *s)
{
	return buf_len(s->out);
}

/* ----------------------------------------------------------------- in */

/* The peer has closed both ways: nobody will read an answer. */
static bool
hung_up(const struct stream *s)
{
	struct pollfd p = {.fd = s->fd};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void
end_of_input(struct stream *s, int err)
{
	ev_io_stop(s->loop, &s->readable);
	if (s->in_eof)
		return;
	s->in_eof = true;
	/* Once we have shut our own side, HUP only says that both have. */
	if (!s->shut_done && hung_up(s))
		broken(s, ERR_UNAVAILABLE);
	else
		(void)emit(s, STREAM_EOF, err); /* last act */
}

static void
read_plain(struct stream *s)
{
	size_t want = buf_room(s->in);
	uint8_t *p;
	int n;

	if (want == 0) {
		ev_io_stop(s->loop, &s->readable);
		return;
	}
	want = want < CHUNK ? want : CHUNK;
	if (buf_reserve(s->in, want, &p) != 0) {
		broken(s, ERR_NOMEM);
		return;
	}
	n = receive(s, p, want);
	if (n == 0) {
		end_of_input(s, 0);
	} else if (n > 0) {
		buf_claim(s->in, (size_t)n);
		(void)emit(s, STREAM_INPUT, 0); /* last act */
	} else if (n != ERR_TRUNCATED) {
		broken(s, n);
	}
}

static void
tls_failed(struct stream *s)
{
	if (may_send(s))
		(void)send_out(s); /* the alert, if it can go out */
	broken(s, ERR_CRYPTO);
}

/* False: stop, the stream may be gone. */
static bool
shake_hands(struct stream *s)
{
	ERR_clear_error();
	int r = SSL_do_handshake(s->ssl);
	int e = r == 1 ? 0 : SSL_get_error(s->ssl, r);

	if (e != 0 && e != SSL_ERROR_WANT_READ) {
		tls_failed(s);
		return false;
	}
	if (e != 0) {
		if (s->net_eof || s->net_err != 0)
			broken(s, s->net_eof ? ERR_UNAVAILABLE : s->net_err);
		return false;
	}
	s->open = true;
	s->ticket = SSL_is_server(s->ssl);
	return emit(s, STREAM_OPEN, 0);
}

/* Received, and not decrypted or not asked for. */
static bool
tls_holds(const struct stream *s)
{
	return buf_len(s->early) > 0 || SSL_has_pending(s->ssl) != 0;
}

/* Decrypt what fits: 1 more may come, 0 all there was, 2 clean end, or an
 * err. */
static int
decrypt(struct stream *s, bool *got)
{
	uint8_t *p;
	int r;

	for (;;) {
		size_t room = buf_room(s->in);
		if (room == 0)
			return 1;
		if ((r = buf_reserve(s->in, room, &p)) != 0)
			return r;
		ERR_clear_error();
		int n = SSL_read(s->ssl, p, (int)room);
		int e = n > 0 ? 0 : SSL_get_error(s->ssl, n);
		if (n > 0) {
			buf_claim(s->in, (size_t)n);
			*got = true;
			if (s->reads == 0 && !tls_holds(s))
				return 0; /* to ask again costs an error */
		} else if (e == SSL_ERROR_WANT_READ) {
			return 0;
		} else {
			return e == SSL_ERROR_ZERO_RETURN ? 2 : ERR_CRYPTO;
		}
	}
}

/* Take what OpenSSL has as far as there is room. */
static void
pump_tls(struct stream *s)
{
	bool got = false;

	if (!s->open && !shake_hands(s))
		return;
	int r = decrypt(s, &got);
	if (r < 0) {
		tls_failed(s);
		return;
	}
	if (got && !emit(s, STREAM_INPUT, 0))
		return;
	if (s->finishing)
		return;
	if (s->net_err != 0)
		broken(s, s->net_err);
	else if (r == 2)
		end_of_input(s, 0);
	else if (r == 0 && s->net_eof)
		end_of_input(s, ERR_TRUNCATED);
	else if (r == 1 && buf_room(s->in) == 0)
		ev_io_stop(s->loop, &s->readable);
	else if (r == 1)
		ev_feed_event(s->loop, &s->readable, EV_CUSTOM);
}

static void
read_tls(struct stream *s)
{
	if (buf_room(s->in) == 0) {
		ev_io_stop(s->loop, &s->readable);
		return;
	}
	s->reads = READS;
	pump_tls(s);
}

static void
throw_away(struct stream *s)
{
	uint8_t raw[CHUNK];
	int n = receive(s, raw, sizeof(raw));

	if (n == ERR_TRUNCATED)
		return;
	if (n > 0)
		s->thrown_away += (size_t)n;
	if (n < 0)
		broken(s, n);
	else if (n == 0 && !s->shut_done)
		ev_io_stop(s->loop, &s->readable); /* still sending */
	else if (n == 0 || s->thrown_away > STREAM_FINISH_BYTES)
		closed(s);
}

static void
on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct stream *s = w->data;

	(void)loop;
	if (s->dead)
		return;
	if (s->finishing)
		throw_away(s);
	else if (s->ssl == NULL)
		read_plain(s);
	else if ((events & EV_READ) != 0)
		read_tls(s);
	else
		pump_tls(s);
}

static void
on_patience(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	closed(w->data);
}

struct span
stream_input(const struct stream *s)
{
	return buf_span(s->in);
}

void
stream_consume(struct stream *s, size_t n)
{
	buf_wipe((uint8_t *)(uintptr_t)buf_span(s->in).p, n);
	buf_consume(s->in, n);
	if (n == 0 || s->dead || s->finishing || s->in_eof)
		return;
	if (!s->net_eof)
		ev_io_start(s->loop, &s->readable);
	if (s->ssl != NULL && (tls_holds(s) || s->net_eof))
		ev_feed_event(s->loop, &s->readable, EV_CUSTOM);
}

/* --------------------------------------------------------- life and end */

int
stream_new(struct ev_loop *loop, int fd, stream_handler *handler, void *ctx,
    struct stream **out)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	*s = (struct stream){.loop = loop,
	    .fd = fd,
	    .handler = handler,
	    .ctx = ctx,
	    .open = true,
	    .in = buf_new(STREAM_INPUT_MAX),
	    .out = buf_new(STREAM_QUEUE_MAX)};
	ev_io_init(&s->readable, on_readable, fd, EV_READ);
	ev_io_init(&s->writable, on_writable, fd, EV_WRITE);
	ev_timer_init(&s->flush, on_flush, 0., 0.);
	ev_set_priority(&s->flush, EV_MINPRI);
	ev_timer_init(&s->patience, on_patience, STREAM_FINISH_S, 0.);
	s->readable.data = s;
	s->writable.data = s;
	s->flush.data = s;
	s->patience.data = s;
	if (s->in == NULL || s->out == NULL) {
		stream_free(s);
		return ERR_NOMEM;
	}
	ev_io_start(loop, &s->readable);
	*out = s;
	return 0;
}

int
stream_start_tls(struct stream *s, SSL *ssl)
{
	BIO *net = net_new(s);

	if (s->early == NULL)
		s->early = buf_new(STREAM_INPUT_MAX);
	if (s->dead || s->ssl != NULL || net == NULL || s->early == NULL ||
	    buf_put_span(s->early, buf_span(s->in)) != 0) {
		BIO_free(net);
		SSL_free(ssl);
		return ERR_NOMEM;
	}
	SSL_set_bio(ssl, net, net);
	s->ssl = ssl;
	s->open = false;
	buf_reset(s->in);
	if (!s->net_eof)
		ev_io_start(s->loop, &s->readable);
	ev_feed_event(s->loop, &s->readable, EV_CUSTOM);
	return 0;
}

SSL *
stream_ssl(struct stream *s)
{
	return s->ssl;
}

void
stream_shutdown(struct stream *s)
{
	if (s->dead || s->shut)
		return;
	if (s->ssl != NULL && s->open) {
		ERR_clear_error();
		(void)SSL_shutdown(s->ssl); /* close_notify, best effort */
	}
	s->shut = true;
	ev_feed_event(s->loop, &s->flush, EV_TIMER);
}

void
stream_finish(struct stream *s)
{
	if (s->dead || s->finishing)
		return;
	stream_shutdown(s);
	s->finishing = true;
	buf_reset(s->in);
	if (!s->net_eof)
		ev_io_start(s->loop, &s->readable);
}

void
stream_abort(struct stream *s)
{
	stop(s);
	s->dead = true;
	if (s->out != NULL)
		buf_reset(s->out);
	if (s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
}

void
stream_free(struct stream *s)
{
	if (s == NULL)
		return;
	stream_abort(s);
	if (s->in_event)
		s->freed = true;
	else
		destroy(s);
}

bool
stream_eof(const struct stream *s)
{
	return s->in_eof && s->shut_done;
}

static bool
nothing_there(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* OpenSSL may hold bytes of its own: received and not decrypted, or
 * decrypted and not asked for. */
bool
stream_empty(const struct stream *s)
{
	if (s->dead || s->net_eof || s->in_eof || buf_len(s->in) > 0)
		return false;
	return s->ssl == NULL || !tls_holds(s);
}

bool
stream_quiet(const struct stream *s)
{
	return stream_empty(s) && nothing_there(s->fd);
}

/* Between two records, and all of the last one was asked for: OpenSSL before
 * 3.0.14 does not look itself (CVE-2024-4741). */
static bool
between_records(const struct stream *s)
{
	return !tls_holds(s) && SSL_pending(s->ssl) == 0 &&
	       strcmp(SSL_rstate_string(s->ssl), "RH") == 0;
}

bool
stream_rest(struct stream *s)
{
	bool now = !s->moved && !s->rests;

	s->rests = !s->moved;
	s->moved = false;
	if (!now)
		return false;
	if (!s->dead && s->ssl != NULL && s->open && between_records(s))
		(void)SSL_free_buffers(s->ssl); /* 0: they are in use */
	buf_trim(s->in);
	buf_trim(s->out);
	if (s->early != NULL)
		buf_trim(s->early);
	return true;
}

int
stream_fd(const struct stream *s)
{
	return s->fd;
}
