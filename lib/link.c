/* SPDX-License-Identifier: ISC */
/* What for: sibling messages over a socketpair. Trusts: the kernel for who
 * is at the far end. At a bound: breaks the link, once, and says so. */
#include "lib/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef BUILD_ID
#error "the Makefile defines BUILD_ID"
#endif

#define FDS_MAX 16	  /* fds that wait, each way */
#define FDS_OF_ONE 253	  /* what the kernel lets one message carry */
#define READ_FIRST 4096   /* bytes asked for in one read; */
#define READ_LAST 65536   /* doubled when it is full: most links are quiet */
/* Then other watchers get their turn. Frames that take long, as one that must
 * be on disk does, are no more in number than fit into this time. */
#define FRAMES_PER_TURN 64
#define MS_PER_TURN 2
#define QUEUE_DEFAULT (1024 * 1024)
#define SEND_ROOM (512 * 1024) /* or what the kernel allows */

struct hello {
	uint8_t self, peer;
	struct span build;
};
static const struct msg_field hello_fields[] = {
	MSG_FIELD_U8(struct hello, self),
	MSG_FIELD_U8(struct hello, peer),
	MSG_FIELD_SPAN(struct hello, build, 64),
};
static const struct msg_type msg_hello =
    MSG_TYPE(0x0001, "hello", struct hello, hello_fields, MSG_NO_FD);

/* An fd to send, and the stream offset of the frame that it goes with. */
struct out_fd {
	int fd;
	uint64_t offset;
};

struct link {
	struct ev_loop *loop;
	struct ev_io readable, writable;
	/* Flushes what a turn of the loop queued. Never started, only fed: at
	 * the lowest priority it runs after all else, also when a frame was
	 * queued by a prepare watcher, which another one would miss. */
	struct ev_timer turn;
	/* Frames left over from this turn: in the next, however busy. */
	struct ev_timer more;
	struct link_options o;
	int fd;
	struct buf *in, *out;
	size_t longest;		     /* payload of what may come */
	size_t chunk;		     /* to ask for in one read */
	uint64_t sent, queued_total; /* stream offsets */
	struct out_fd out_fds[FDS_MAX];
	size_t n_out_fds;
	int in_fds[FDS_MAX];
	size_t n_in_fds;
	bool greeted, broken, was_high, handling;
};

const char *
link_build_id(void)
{
	return BUILD_ID;
}

const char *
link_role_name(enum link_role role)
{
	static const char *const names[] = {
		[LINK_SUPERVISOR] = "supervisor", [LINK_VAULT] = "vault",
		[LINK_MINTER] = "minter", [LINK_DIALER] = "dialer",
		[LINK_GATE] = "gate", [LINK_COURIER] = "courier",
		[LINK_CLI] = "cli",
	};

	if ((size_t)role >= sizeof(names) / sizeof(names[0]) ||
	    names[role] == NULL)
		return "unknown";
	return names[role];
}

int
link_pair(int out[2])
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	int room = SEND_ROOM;

	if (socketpair(AF_UNIX, type, 0, out) != 0)
		return ERR_IO;
	/* Fewer, longer writes of bodies. With less it works as well. */
	for (int i = 0; i < 2; i++)
		(void)setsockopt(
		    out[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return 0;
}

/* What nobody asked for. A TCP socket may have been told to wait in its last
 * close() until all was sent (SO_LINGER), and this may be the last. */
static void
drop_fd(int fd)
{
	struct linger now = {0};

	/* Most are no such sockets. */
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void
close_fds(struct link *l)
{
	for (size_t i = 0; i < l->n_in_fds; i++)
		drop_fd(l->in_fds[i]);
	for (size_t i = 0; i < l->n_out_fds; i++)
		close(l->out_fds[i].fd);
	l->n_in_fds = 0;
	l->n_out_fds = 0;
}

static void
break_link(struct link *l, int err)
{
	if (l->broken)
		return;
	l->broken = true;
	ev_io_stop(l->loop, &l->readable);
	ev_io_stop(l->loop, &l->writable);
	ev_clear_pending(l->loop, &l->turn);
	ev_timer_stop(l->loop, &l->more);
	close_fds(l);
	if (l->o.on_break != NULL)
		l->o.on_break(l->o.ctx, l, err);
}

static bool
gone(int e)
{
	return e == EPIPE || e == ECONNRESET || e == ENOTCONN;
}

/* How many bytes the next sendmsg() may carry, and which fd goes first:
 * an fd travels with the first byte of its frame. */
static size_t
next_stretch(const struct link *l, int *fd)
{
	size_t n = buf_len(l->out);

	*fd = -1;
	if (l->n_out_fds == 0)
		return n;
	if (l->out_fds[0].offset == l->sent) {
		*fd = l->out_fds[0].fd;
		if (l->n_out_fds > 1) {
			uint64_t to = l->out_fds[1].offset - l->sent;
			n = to < n ? (size_t)to : n;
		}
		return n;
	}
	uint64_t to = l->out_fds[0].offset - l->sent;
	return to < n ? (size_t)to : n;
}

static ssize_t
send_some(int fd, struct span s, int pass)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)s.p, .iov_len = s.n};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (pass >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass, sizeof(int));
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* 0 all written, 1 would block, or an err. */
static int
write_out(struct link *l)
{
	while (buf_len(l->out) > 0) {
		int pass;
		size_t n = next_stretch(l, &pass);
		struct span s = span_of(buf_span(l->out).p, n);
		ssize_t w = send_some(l->fd, s, pass);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 1;
		if (w <= 0)
			return gone(errno) ? ERR_UNAVAILABLE : ERR_IO;
		if (pass >= 0) {
			close(pass);
			l->n_out_fds--;
			memmove(l->out_fds, l->out_fds + 1,
			    l->n_out_fds * sizeof(l->out_fds[0]));
		}
		l->sent += (uint64_t)w;
		buf_consume(l->out, (size_t)w);
	}
	return 0;
}

static void
after_write(struct link *l)
{
	if (l->was_high && buf_len(l->out) <= l->o.low_water) {
		l->was_high = false;
		if (l->o.on_drain != NULL)
			l->o.on_drain(l->o.ctx, l);
	}
}

static void
pump(struct link *l)
{
	int r = write_out(l);

	if (r < 0) {
		break_link(l, r);
		return;
	}
	if (r == 1)
		ev_io_start(l->loop, &l->writable);
	else
		ev_io_stop(l->loop, &l->writable);
	after_write(l);
}

static void
on_writable(struct ev_loop *loop, struct ev_io *w, int events)
{
	(void)loop;
	(void)events;
	pump(w->data);
}

static void
on_turn(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct link *l = w->data;

	(void)loop;
	(void)events;
	if (!l->broken && !ev_is_active(&l->writable))
		pump(l);
}

static int
check_hello(struct link *l, struct span payload)
{
	struct hello h;
	int r = msg_decode(&msg_hello, payload, &h);

	if (r != 0)
		return r;
	if (h.self != l->o.peer || h.peer != l->o.self ||
	    !span_is(h.build, BUILD_ID))
		return ERR_FORMAT;
	l->greeted = true;
	return 0;
}

static const struct link_rule *
find_rule(const struct link *l, uint16_t type)
{
	for (size_t i = 0; i < l->o.n_rules; i++) {
		if (l->o.rules[i].type->id == type)
			return &l->o.rules[i];
	}
	return NULL;
}

static int
take_in_fd(struct link *l)
{
	int fd = l->in_fds[0];

	l->n_in_fds--;
	memmove(l->in_fds, l->in_fds + 1, l->n_in_fds * sizeof(int));
	return fd;
}

static int
handle(struct link *l, const struct msg_header *h, struct span payload)
{
	union {
		uint8_t bytes[MSG_STRUCT_MAX];
		uint64_t align;
	} m;
	int fd = -1, r;

	if (!l->greeted)
		return h->type == msg_hello.id && !h->has_fd
		    ? check_hello(l, payload)
		    : ERR_FORMAT;
	const struct link_rule *rule = find_rule(l, h->type);
	if (rule == NULL || rule->type->size > sizeof(m) ||
	    (h->has_fd && rule->type->fd == MSG_NO_FD) ||
	    (!h->has_fd && rule->type->fd == MSG_MUST_FD))
		return ERR_FORMAT;
	if ((r = msg_decode(rule->type, payload, &m)) != 0)
		return r;
	if (h->has_fd) {
		if (l->n_in_fds == 0)
			return ERR_FORMAT;
		fd = take_in_fd(l);
	}
	l->handling = true;
	r = rule->handler(l->o.ctx, l, &m, fd);
	l->handling = false;
	return r;
}

/* What has come of the next frame may have its fd with it; more of them are
 * no frame's, and would fill the room for good. */
static int
out_of_frames(const struct link *l)
{
	return l->n_in_fds > 1 ? ERR_FORMAT : 0;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0, 1 when frames are left for the next turn, or an err. */
static int
read_frames(struct link *l)
{
	int64_t until = now_ms() + MS_PER_TURN;

	for (int i = 0; i < FRAMES_PER_TURN; i++) {
		struct span in = buf_span(l->in);
		struct msg_header h;
		int r = msg_header_decode(in, &h);

		/* More than any frame here has: not waited for. */
		if (r == 0 && h.len > l->longest)
			r = ERR_FORMAT;
		if (r == ERR_TRUNCATED ||
		    (r == 0 && in.n - MSG_HEADER_LEN < h.len))
			return out_of_frames(l);
		if (r != 0)
			return r;
		r = handle(l, &h, span_of(in.p + MSG_HEADER_LEN, h.len));
		if (r != 0 || l->broken)
			return r;
		buf_consume(l->in, MSG_HEADER_LEN + h.len);
		if (now_ms() > until)
			break;
	}
	return 1;
}

static void
next_turn(struct link *l)
{
	if (ev_is_active(&l->more))
		return;
	ev_timer_set(&l->more, 0., 0.);
	ev_timer_start(l->loop, &l->more);
}

static void
deliver(struct link *l)
{
	int r = read_frames(l);

	if (l->broken)
		return;
	if (r < 0)
		break_link(l, r);
	else if (r == 1)
		next_turn(l);
	else
		ev_timer_stop(l->loop, &l->more);
}

static void
on_more(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	deliver(w->data);
}

static int
keep_fds(struct msghdr *m, int *fds, size_t *n)
{
	int r = (m->msg_flags & MSG_CTRUNC) != 0 ? ERR_FORMAT : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	     c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < k; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*n < FDS_MAX && r == 0) {
				fds[(*n)++] = fd;
			} else {
				drop_fd(fd);
				r = ERR_FORMAT;
			}
		}
	}
	return r;
}

static ssize_t
receive_some(int fd, uint8_t *p, size_t n, int *fds, size_t *n_fds, int *err)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FDS_OF_ONE)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = p, .iov_len = n};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	ssize_t got = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*err = got >= 0 ? keep_fds(&m, fds, n_fds) : 0;
	return got;
}

static void
on_readable(struct ev_loop *loop, struct ev_io *w, int events)
{
	struct link *l = w->data;
	uint8_t *p;
	int err;

	(void)loop;
	(void)events;
	size_t want = buf_room(l->in) < l->chunk ? buf_room(l->in) : l->chunk;
	if (want == 0 || l->n_in_fds == FDS_MAX) {
		/* A whole frame always fits: frames wait for on_more. */
		deliver(l);
		return;
	}
	if ((err = buf_reserve(l->in, want, &p)) != 0) {
		break_link(l, err);
		return;
	}
	ssize_t got =
	    receive_some(l->fd, p, want, l->in_fds, &l->n_in_fds, &err);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || err != 0) {
		break_link(l, err != 0 ? err : ERR_UNAVAILABLE);
		return;
	}
	buf_claim(l->in, (size_t)got);
	if ((size_t)got == l->chunk && l->chunk < READ_LAST)
		l->chunk *= 2;
	deliver(l);
}

static int
send_hello(struct link *l)
{
	struct hello h = {.self = (uint8_t)l->o.self,
	    .peer = (uint8_t)l->o.peer,
	    .build = span_str(BUILD_ID)};

	return link_send(l, &msg_hello, &h, -1);
}

/* libev serves the newest of equal watchers first, so that a request could
 * overtake the token family, or the cut, that was sent before it. */
static bool
commands(enum link_role peer)
{
	return peer == LINK_SUPERVISOR || peer == LINK_MINTER;
}

static void
start_watchers(struct link *l)
{
	ev_io_init(&l->readable, on_readable, l->fd, EV_READ);
	ev_set_priority(&l->readable, commands(l->o.peer) ? 1 : 0);
	ev_io_init(&l->writable, on_writable, l->fd, EV_WRITE);
	ev_timer_init(&l->turn, on_turn, 0., 0.);
	ev_set_priority(&l->turn, EV_MINPRI);
	ev_timer_init(&l->more, on_more, 0., 0.);
	ev_set_priority(&l->more, ev_priority(&l->readable));
	l->readable.data = l;
	l->writable.data = l;
	l->turn.data = l;
	l->more.data = l;
	ev_io_start(l->loop, &l->readable);
}

static size_t
longest_of(const struct link_options *o)
{
	size_t longest = msg_longest(&msg_hello);

	for (size_t i = 0; i < o->n_rules; i++) {
		size_t n = msg_longest(o->rules[i].type);
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* Memory that can be locked is scarce, and the far end decides how much of
 * this is used. */
static size_t
in_max(const struct link *l)
{
	size_t n = MSG_HEADER_LEN + (l->o.secret ? l->longest : MSG_MAX);

	return n > READ_FIRST ? n : READ_FIRST;
}

int
link_new(struct ev_loop *loop, int fd, const struct link_options *o,
    struct link **out)
{
	size_t queue = o->queue_max == 0 ? QUEUE_DEFAULT : o->queue_max;
	struct buf *(*make)(size_t) = o->secret ? buf_new_locked : buf_new;
	struct link *l = calloc(1, sizeof(*l));
	int r;

	if (l == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	l->loop = loop;
	l->fd = fd;
	l->chunk = READ_FIRST;
	l->o = *o;
	l->longest = longest_of(o);
	l->in = make(in_max(l));
	l->out = make(queue);
	start_watchers(l);
	if (l->in == NULL || l->out == NULL) {
		link_free(l);
		return ERR_NOMEM;
	}
	if ((r = send_hello(l)) != 0) {
		link_free(l);
		return r;
	}
	*out = l;
	return 0;
}

/* What is on its way would be closed with our end, by the kernel and as it
 * is. Nothing is added to it any more, so this ends. */
static void
drop_rest(int from)
{
	uint8_t piece[READ_FIRST];
	ssize_t got;

	(void)shutdown(from, SHUT_RDWR); /* the far end may be gone */
	do {
		int fds[FDS_MAX], err;
		size_t n = 0;

		got = receive_some(from, piece, sizeof(piece), fds, &n, &err);
		while (n > 0)
			drop_fd(fds[--n]);
	} while (got > 0 || (got < 0 && errno == EINTR));
	buf_wipe(piece, sizeof(piece));
}

void
link_free(struct link *l)
{
	if (l == NULL)
		return;
	if (l->handling)
		abort(); /* a handler freed its own link */
	ev_io_stop(l->loop, &l->readable);
	ev_io_stop(l->loop, &l->writable);
	ev_clear_pending(l->loop, &l->turn);
	ev_timer_stop(l->loop, &l->more);
	close_fds(l);
	drop_rest(l->fd);
	close(l->fd);
	buf_free(l->in);
	buf_free(l->out);
	free(l);
}

int
link_send(struct link *l, const struct msg_type *t, const void *m, int fd)
{
	int r = ERR_UNAVAILABLE;

	/* Many in one turn: now rather than at its end. A failure shows again
	 * there. */
	if (!l->broken && fd >= 0 && l->n_out_fds == FDS_MAX)
		(void)write_out(l);
	if (l->broken || (fd >= 0 && l->n_out_fds == FDS_MAX)) {
		r = l->broken ? ERR_UNAVAILABLE : ERR_TOO_BIG;
		goto fail;
	}
	const size_t before = buf_len(l->out);
	if ((r = msg_encode(t, m, fd >= 0, l->out)) != 0)
		goto fail;
	if (fd >= 0)
		l->out_fds[l->n_out_fds++] =
		    (struct out_fd){.fd = fd, .offset = l->queued_total};
	l->queued_total += buf_len(l->out) - before;
	if (buf_len(l->out) > l->o.low_water)
		l->was_high = true;
	ev_feed_event(l->loop, &l->turn, EV_TIMER);
	return 0;
fail:
	if (fd >= 0)
		close(fd);
	return r;
}

static int
wait_for(int fd, short events, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline - now_ms();
		struct pollfd p = {.fd = fd, .events = events};

		if (left <= 0)
			return ERR_UNAVAILABLE;
		int r = poll(&p, 1, (int)left);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return ERR_IO;
	}
}

int
link_flush(struct link *l, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;

	for (;;) {
		if (l->broken)
			return ERR_UNAVAILABLE;
		int r = write_out(l);
		if (r <= 0)
			return r;
		if ((r = wait_for(l->fd, POLLOUT, deadline)) != 0)
			return r;
	}
}

size_t
link_queued(const struct link *l)
{
	return buf_len(l->out);
}

bool
link_broken(const struct link *l)
{
	return l->broken;
}

bool
link_greeted(const struct link *l)
{
	return l->greeted;
}

int
link_fd(const struct link *l)
{
	return l->fd;
}

int
link_call_send(int fd, const struct msg_type *t, const void *m, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;
	/* What the CLI sends may be a credential. */
	struct buf *b = buf_new_locked(MSG_HEADER_LEN + MSG_MAX);
	int r;

	if (b == NULL)
		return ERR_NOMEM;
	r = msg_encode(t, m, false, b);
	while (r == 0 && buf_len(b) > 0) {
		ssize_t w = send_some(fd, buf_span(b), -1);
		if (w > 0)
			buf_consume(b, (size_t)w);
		else if (w < 0 && errno == EAGAIN)
			r = wait_for(fd, POLLOUT, deadline);
		else if (w == 0 || errno != EINTR)
			r = ERR_UNAVAILABLE;
	}
	buf_free(b);
	return r;
}

static int
read_exactly(int fd, struct buf *b, size_t n, int64_t deadline)
{
	size_t n_fds = 0;
	int fds[FDS_MAX], err, r;
	uint8_t *p;

	while (buf_len(b) < n) {
		if ((r = wait_for(fd, POLLIN, deadline)) != 0 ||
		    (r = buf_reserve(b, n - buf_len(b), &p)) != 0)
			return r;
		ssize_t got = receive_some(
		    fd, p, n - buf_len(b), fds, &n_fds, &err);
		for (size_t i = 0; i < n_fds; i++)
			drop_fd(fds[i]); /* nobody sends the CLI an fd */
		if (err != 0 || n_fds != 0)
			return ERR_FORMAT;
		if (got == 0)
			return ERR_UNAVAILABLE;
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return ERR_UNAVAILABLE;
		if (got > 0)
			buf_claim(b, (size_t)got);
	}
	return 0;
}

int
link_call_receive(int fd, const struct msg_type *t, void *m, struct buf *store,
    int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;
	struct msg_header h;
	int r;

	buf_reset(store);
	if ((r = read_exactly(fd, store, MSG_HEADER_LEN, deadline)) != 0 ||
	    (r = msg_header_decode(buf_span(store), &h)) != 0)
		return r;
	if (h.type != t->id || h.has_fd)
		return ERR_FORMAT;
	if ((r = read_exactly(fd, store, MSG_HEADER_LEN + h.len, deadline)) != 0)
		return r;
	return msg_decode(
	    t, span_of(buf_span(store).p + MSG_HEADER_LEN, h.len), m);
}

int
link_call_hello(int fd, enum link_role self, enum link_role peer,
    int timeout_ms)
{
	struct hello h = {.self = (uint8_t)self,
	    .peer = (uint8_t)peer,
	    .build = span_str(BUILD_ID)};
	struct buf *store = buf_new(1024);
	int r = store == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (r = link_call_send(fd, &msg_hello, &h, timeout_ms)) == 0)
		r = link_call_receive(fd, &msg_hello, &h, store, timeout_ms);
	if (r == 0 && (h.self != peer || h.peer != self ||
		       !span_is(h.build, BUILD_ID)))
		r = ERR_FORMAT;
	buf_free(store);
	return r;
}
