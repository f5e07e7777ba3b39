/* SPDX-License-Identifier: ISC */
#include "lib/link.h"
#include "messages/control.h"
#include "messages/traffic.h"
#include "tests/unit/lingering.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct end {
	struct link *l;
	unsigned got, fds;
	size_t bytes;
	int broke;
};

static int
on_peer(void *ctx, struct link *l, const void *m, int fd)
{
	struct end *e = ctx;
	const struct ctl_peer *p = m;

	(void)l;
	e->got++;
	e->fds += fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC;
	close(fd);
	return p->role == LINK_GATE ? 0 : ERR_FORMAT;
}

static int
on_bytes(void *ctx, struct link *l, const void *m, int fd)
{
	struct end *e = ctx;
	const struct traffic_bytes *b = m;

	(void)l;
	(void)fd;
	e->got++;
	e->bytes += b->bytes.n;
	return 0;
}

static void
on_break(void *ctx, struct link *l, int err)
{
	struct end *e = ctx;

	(void)l;
	e->broke = err;
}

static const struct link_rule rules[] = {
	{&msg_peer, on_peer},
	{&msg_traffic_bytes, on_bytes},
};

struct fixture {
	struct ev_loop *loop;
	struct end a, b;
};

static void
make_end(struct fixture *f, struct end *e, int fd, enum link_role self,
    enum link_role peer)
{
	struct link_options o = {.self = self,
	    .peer = peer,
	    .rules = rules,
	    .n_rules = 2,
	    .ctx = e,
	    .on_break = on_break,
	    .queue_max = 4 * 1024 * 1024};

	assert_int_equal(link_new(f->loop, fd, &o, &e->l), 0);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fds[2];

	f->loop = ev_loop_new(EVFLAG_AUTO);
	assert_int_equal(link_pair(fds), 0);
	make_end(f, &f->a, fds[0], LINK_SUPERVISOR, LINK_VAULT);
	make_end(f, &f->b, fds[1], LINK_VAULT, LINK_SUPERVISOR);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	link_free(f->a.l);
	link_free(f->b.l);
	ev_loop_destroy(f->loop);
	free(f);
	return 0;
}

static void
turn(struct fixture *f, int n)
{
	for (int i = 0; i < n; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
}

static void
fds_arrive_with_their_frames(void **state)
{
	struct fixture *f = *state;
	struct traffic_bytes body = {.stream = 1, .bytes = span_str("xyz")};
	struct ctl_peer p = {.role = LINK_GATE};

	for (int i = 0; i < 5; i++) {
		assert_int_equal(
		    link_send(f->a.l, &msg_traffic_bytes, &body, -1), 0);
		assert_int_equal(
		    link_send(f->a.l, &msg_peer, &p, open("/dev/null", O_RDONLY)),
		    0);
		assert_int_equal(
		    link_send(f->a.l, &msg_peer, &p, open("/dev/null", O_RDONLY)),
		    0);
	}
	turn(f, 20);
	assert_int_equal(f->b.broke, 0);
	assert_int_equal(f->b.got, 15);
	assert_int_equal(f->b.fds, 10);
	assert_int_equal(f->b.bytes, 15);
}

/* More at once than may wait. */
static void
many_fds_all_arrive(void **state)
{
	struct fixture *f = *state;
	struct ctl_peer p = {.role = LINK_GATE};

	turn(f, 5); /* greetings */
	for (int i = 0; i < 100; i++) {
		int r = link_send(
		    f->a.l, &msg_peer, &p, open("/dev/null", O_RDONLY));
		if (r != 0)
			fail_msg("fd %d: %d", i, r);
	}
	turn(f, 200); /* one in each */
	assert_int_equal(f->b.broke, 0);
	assert_int_equal(f->b.got, 100);
	assert_int_equal(f->b.fds, 100);
}

static void
many_frames_all_arrive(void **state)
{
	struct fixture *f = *state;
	static uint8_t chunk[TRAFFIC_BODY_MAX];
	struct traffic_bytes body = {
	    .stream = 1, .bytes = span_of(chunk, sizeof(chunk))};

	for (int i = 0; i < 100; i++)
		assert_int_equal(
		    link_send(f->a.l, &msg_traffic_bytes, &body, -1), 0);
	turn(f, 500);
	assert_int_equal(f->b.bytes, 100 * sizeof(chunk));
}

static void
on_always(struct ev_loop *loop, struct ev_io *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
}

/* More frames than one turn takes, and a neighbour that is never done. */
static void
a_busy_loop_keeps_no_frame_waiting(void **state)
{
	struct fixture *f = *state;
	struct traffic_bytes body = {.stream = 1, .bytes = span_str("xyz")};
	struct ev_io busy;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	ev_io_init(&busy, on_always, fd[0], EV_READ);
	ev_io_start(f->loop, &busy);
	for (int i = 0; i < 300; i++)
		assert_int_equal(
		    link_send(f->a.l, &msg_traffic_bytes, &body, -1), 0);
	turn(f, 50);
	assert_int_equal(f->b.got, 300);
	ev_io_stop(f->loop, &busy);
	close(fd[0]);
	close(fd[1]);
}

static int
on_slow(void *ctx, struct link *l, const void *m, int fd)
{
	usleep(20 * 1000);
	return on_bytes(ctx, l, m, fd);
}

/* Frames that take long each: a neighbour waits for one, not for all. */
static void
slow_frames_do_not_stop_the_neighbours(void **state)
{
	static const struct link_rule slow[] = {
		{&msg_traffic_bytes, on_slow},
	};
	struct fixture *f = *state;
	struct traffic_bytes body = {.stream = 1, .bytes = span_str("xyz")};
	struct end c = {0}, d = {0};
	struct link_options o = {.self = LINK_VAULT,
	    .peer = LINK_GATE,
	    .rules = slow,
	    .n_rules = 1,
	    .ctx = &d,
	    .on_break = on_break};
	int fds[2];

	assert_int_equal(link_pair(fds), 0);
	make_end(f, &c, fds[0], LINK_GATE, LINK_VAULT);
	assert_int_equal(link_new(f->loop, fds[1], &o, &d.l), 0);
	turn(f, 5); /* greetings */
	for (int i = 0; i < 20; i++)
		assert_int_equal(
		    link_send(c.l, &msg_traffic_bytes, &body, -1), 0);
	while (d.got == 0)
		turn(f, 1);
	assert_int_equal(link_send(f->a.l, &msg_traffic_bytes, &body, -1), 0);
	while (f->b.got == 0)
		turn(f, 1);
	assert_in_range(d.got, 1, 10);
	while (d.got < 20)
		turn(f, 1);
	link_free(c.l);
	link_free(d.l);
}

static void
an_unlisted_type_breaks_the_link(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(link_send(f->a.l, &msg_stop, NULL, -1), 0);
	turn(f, 20);
	assert_int_equal(f->b.broke, ERR_FORMAT);
}

static void
a_handlers_refusal_breaks_the_link(void **state)
{
	struct fixture *f = *state;
	struct ctl_peer p = {.role = LINK_CLI};

	assert_int_equal(
	    link_send(f->a.l, &msg_peer, &p, open("/dev/null", O_RDONLY)), 0);
	turn(f, 20);
	assert_int_equal(f->b.broke, ERR_FORMAT);
}

/* The far end says how long a frame gets, not how long we wait for one that
 * no table has. */
static void
a_frame_longer_than_any_breaks_the_link(void **state)
{
	struct fixture *f = *state;
	/* One byte more than the longest has; nothing follows. */
	size_t n = msg_longest(&msg_peer) + 1;
	uint8_t header[MSG_HEADER_LEN] = {0, (uint8_t)(n >> 16),
	    (uint8_t)(n >> 8), (uint8_t)n, 0x01, 0x04, 0, 0};

	turn(f, 5);
	assert_true(n < MSG_MAX);
	assert_true(msg_longest(&msg_traffic_bytes) < n);
	assert_int_equal(
	    write(link_fd(f->a.l), header, sizeof(header)), sizeof(header));
	turn(f, 5);
	assert_int_equal(f->b.broke, ERR_FORMAT);
}

/* As many as may wait, and no frame for them: the far end's fault, not
 * something to wait for without end. */
static void
fds_without_frames_break_the_link(void **state)
{
	struct fixture *f = *state;
	int in, fd = open("/dev/null", O_RDONLY);

	turn(f, 5);
	in = link_fd(f->a.l);
	for (int i = 0; i < 4; i++) {
		union {
			char bytes[CMSG_SPACE(4 * sizeof(int))];
			struct cmsghdr align;
		} control = {{0}};
		struct iovec iov = {.iov_base = (char[]){0}, .iov_len = 1};
		struct msghdr m = {.msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = control.bytes,
		    .msg_controllen = sizeof(control.bytes)};
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(4 * sizeof(int));
		for (size_t k = 0; k < 4; k++)
			memcpy(CMSG_DATA(c) + k * sizeof(int), &fd, sizeof(fd));
		if (sendmsg(in, &m, MSG_NOSIGNAL) < 0)
			break; /* it is closed already */
		turn(f, 5);
	}
	close(fd);
	turn(f, 5);
	assert_int_equal(f->b.broke, ERR_FORMAT);
}

/* Closing what a neighbour attached must not wait for a third party: the
 * vault, or the supervisor, would stand still for all. */
static void
an_fd_that_lingers_holds_nobody_up(void **state)
{
	static const size_t n[] = {1, 8, 32, 2};
	struct fixture *f = *state;
	int far[43], *at = far;

	turn(f, 5);
	alarm(60); /* else it hangs for an hour */
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); at += n[i++])
		lingering_send(link_fd(f->a.l), n[i], at);
	turn(f, 5);
	assert_int_equal(f->b.broke, ERR_FORMAT);
	link_free(f->b.l);
	f->b.l = NULL;
	alarm(0);
	while (at > far)
		close(*--at);
}

static void
a_vanished_peer_is_told_apart(void **state)
{
	struct fixture *f = *state;

	turn(f, 5);
	link_free(f->a.l);
	f->a.l = NULL;
	turn(f, 20);
	assert_int_equal(f->b.broke, ERR_UNAVAILABLE);
}

struct log {
	char text[8];
};

static int
on_log_minter(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)m;
	(void)fd;
	strcat(((struct log *)ctx)->text, "m");
	return 0;
}

static int
on_log_gate(void *ctx, struct link *l, const void *m, int fd)
{
	(void)l;
	(void)m;
	(void)fd;
	strcat(((struct log *)ctx)->text, "g");
	return 0;
}

/* Requirement 25: a request must not overtake what the minter said before. */
static void
the_minter_is_heard_first(void **state)
{
	static const struct link_rule minter = {&msg_stop, on_log_minter},
				      gate = {&msg_stop, on_log_gate};
	struct fixture *f = *state;
	struct link *l[4];
	struct log log = {""};
	int m[2], g[2];

	assert_int_equal(link_pair(m), 0);
	assert_int_equal(link_pair(g), 0);
	struct link_options o[4] = {
	    {.self = LINK_MINTER, .peer = LINK_COURIER},
	    {.self = LINK_COURIER, .peer = LINK_MINTER, .rules = &minter,
		.n_rules = 1, .ctx = &log},
	    {.self = LINK_GATE, .peer = LINK_COURIER},
	    {.self = LINK_COURIER, .peer = LINK_GATE, .rules = &gate,
		.n_rules = 1, .ctx = &log}};
	int fds[4] = {m[0], m[1], g[0], g[1]};
	for (int i = 0; i < 4; i++)
		assert_int_equal(link_new(f->loop, fds[i], &o[i], &l[i]), 0);
	turn(f, 10);
	for (int i = 0; i < 4; i += 2) {
		assert_int_equal(link_send(l[i], &msg_stop, NULL, -1), 0);
		assert_int_equal(link_flush(l[i], 100), 0);
	}
	turn(f, 10);
	assert_string_equal(log.text, "mg");
	for (int i = 0; i < 4; i++)
		link_free(l[i]);
}

static void
another_role_is_refused(void **state)
{
	struct fixture *f = *state;
	struct end c = {0}, d = {0};
	int fds[2];

	assert_int_equal(link_pair(fds), 0);
	make_end(f, &c, fds[0], LINK_GATE, LINK_VAULT);
	make_end(f, &d, fds[1], LINK_VAULT, LINK_COURIER);
	turn(f, 20);
	assert_int_equal(d.broke, ERR_FORMAT);
	link_free(c.l);
	link_free(d.l);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(fds_arrive_with_their_frames),
		T(many_fds_all_arrive),
		T(many_frames_all_arrive),
		T(a_busy_loop_keeps_no_frame_waiting),
		T(slow_frames_do_not_stop_the_neighbours),
		T(an_unlisted_type_breaks_the_link),
		T(a_handlers_refusal_breaks_the_link),
		T(a_frame_longer_than_any_breaks_the_link),
		T(fds_without_frames_break_the_link),
		T(an_fd_that_lingers_holds_nobody_up),
		T(a_vanished_peer_is_told_apart),
		T(the_minter_is_heard_first),
		T(another_role_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
