/* SPDX-License-Identifier: ISC */
/* Requirement 6 on the chain resolve, check, connect: a listener on
 * loopback must be reached through an exception, and never otherwise,
 * whatever the resolver answers. */
#include "egress/dialer/desk.h"
#include "egress/dialer/proxy.h"
#include "messages/dial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <cmocka.h>

static uint16_t listening; /* on 127.0.0.1 */
static int listener;
static atomic_uint asked;
static atomic_bool hold;

/* Alternates: the rebinding attacker's name server. */
static int
rebinding(const char *host, uint16_t port, struct address_list *out)
{
	static const char *const turns[] = {
	    "127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "169.254.169.254"};
	unsigned n = atomic_fetch_add(&asked, 1);

	if (strncmp(host, "slow", 4) == 0) {
		while (atomic_load(&hold))
			usleep(1000);
		return ERR_UNAVAILABLE;
	}
	if (strcmp(host, "none.test") == 0)
		return ERR_NOT_FOUND;
	out->n = 2;
	if (address_parse(turns[n % 4], port, &out->a[0]) != 0 ||
	    address_parse(turns[(n + 1) % 4], port, &out->a[1]) != 0)
		return ERR_UNAVAILABLE;
	return 0;
}

struct asker {
	struct ev_loop *loop;
	struct desk *desk;
	struct link *link;
	unsigned answers;
	uint32_t rid;
	int err, broke;
	bool connected;
	char address[ADDRESS_TEXT];
	char heard[32]; /* what lies in the socket that was handed over */
};

static int
on_done(void *ctx, struct link *l, const void *message, int fd)
{
	const struct dial_done *m = message;
	struct asker *a = ctx;

	(void)l;
	a->answers++;
	a->rid = m->rid;
	a->err = m->err;
	a->connected = fd >= 0;
	if (fd >= 0) {
		struct linger g;
		socklen_t n = sizeof(g);
		assert_int_equal(
		    getsockopt(fd, SOL_SOCKET, SO_LINGER, &g, &n), 0);
		assert_true(g.l_onoff != 0 && g.l_linger == 0);
		(void)recv(fd, a->heard, sizeof(a->heard) - 1, MSG_DONTWAIT);
		close(fd);
	}
	assert_int_equal(
	    span_copy(m->address, a->address, sizeof(a->address)), 0);
	ev_break(a->loop, EVBREAK_ALL);
	return 0;
}

static void
on_break(void *ctx, struct link *l, int err)
{
	struct asker *a = ctx;

	(void)l;
	a->broke = err;
	ev_break(a->loop, EVBREAK_ALL);
}

static const struct link_rule rules[] = {{&msg_dial_done, on_done}};

static void
seat(struct asker *a, const char *session, const char *descriptor)
{
	struct link_options o = {.self = LINK_COURIER,
	    .peer = LINK_DIALER,
	    .rules = rules,
	    .n_rules = 1,
	    .ctx = a,
	    .on_break = on_break};
	int fds[2];

	assert_int_equal(link_pair(fds), 0);
	assert_int_equal(
	    desk_seat(a->desk, span_str(session), span_str(descriptor), fds[0]),
	    0);
	assert_int_equal(link_new(a->loop, fds[1], &o, &a->link), 0);
}

static void
ask(struct asker *a, uint32_t rid, const char *host, uint16_t port)
{
	struct dial_ask m = {.rid = rid, .host = span_str(host), .port = port};

	assert_int_equal(link_send(a->link, &msg_dial_ask, &m, -1), 0);
}

static int
dial(struct asker *a, const char *host, uint16_t port)
{
	unsigned before = a->answers;

	ask(a, before + 1000, host, port);
	while (a->answers == before && a->broke == 0)
		ev_run(a->loop, 0);
	return a->err;
}

static int
setup(void **state)
{
	struct asker *a = calloc(1, sizeof(*a));

	a->loop = ev_loop_new(EVBACKEND_EPOLL);
	atomic_store(&asked, 0);
	assert_int_equal(desk_new(a->loop, rebinding, &a->desk), 0);
	*state = a;
	return 0;
}

static int
teardown(void **state)
{
	struct asker *a = *state;

	link_free(a->link);
	desk_free(a->desk);
	ev_loop_destroy(a->loop);
	free(a);
	return 0;
}

static void
test_rebinding(void **state)
{
	struct asker *a = *state;

	seat(a, "s-1", "{\"exceptions\":[]}");
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(dial(a, "evil.test", listening), ERR_DENIED);
		assert_false(a->connected);
	}
	assert_int_equal(atomic_load(&asked), 8); /* nothing is cached */
	assert_int_equal(dial(a, "none.test", 443), ERR_NOT_FOUND);
}

static void
test_literals(void **state)
{
	struct asker *a = *state;

	seat(a, "s-1", "{\"exceptions\":[]}");
	assert_int_equal(dial(a, "127.0.0.1", listening), ERR_DENIED);
	assert_int_equal(dial(a, "[::1]", listening), ERR_DENIED);
	assert_int_equal(dial(a, "[64:ff9b::7f00:1]", listening), ERR_DENIED);
	assert_int_equal(atomic_load(&asked), 0);
}

static void
test_exception(void **state)
{
	struct asker *a = *state;
	char text[256];

	(void)snprintf(text, sizeof(text),
	    "{\"exceptions\":[{\"host\":\"api.demo.test\",\"port\":443,"
	    "\"addresses\":[\"127.0.0.1\"],\"upstream_port\":%u}]}",
	    listening);
	seat(a, "s-1", text);
	assert_int_equal(dial(a, "api.demo.test", 443), 0);
	assert_true(a->connected);
	(void)snprintf(text, sizeof(text), "127.0.0.1:%u", listening);
	assert_string_equal(a->address, text);
	assert_int_equal(atomic_load(&asked), 0); /* no DNS */
	/* The exception is of that host and port only. */
	assert_int_equal(dial(a, "api.demo.test", listening), ERR_DENIED);
	assert_int_equal(dial(a, "x.demo.test", 443), ERR_DENIED);
	/* Once taken back it is gone. */
	assert_int_equal(desk_update(a->desk, span_str("s-1"),
			     span_str("{\"exceptions\":[]}")),
	    0);
	assert_int_equal(dial(a, "api.demo.test", 443), ERR_DENIED);
}

static void
test_slow_session(void **state)
{
	struct asker *a = *state, other = *a;

	atomic_store(&hold, true);
	seat(a, "s-slow", "{\"exceptions\":[]}");
	seat(&other, "s-other", "{\"exceptions\":[]}");
	for (uint32_t i = 0; i < 4 * RESOLVER_PER_SESSION; i++)
		ask(a, i, "slow.test", 443);
	/* The other session is answered while the slow one waits. */
	assert_int_equal(dial(&other, "evil.test", 443), ERR_DENIED);
	assert_int_equal(a->answers, 0);
	assert_in_range(atomic_load(&asked), 1, RESOLVER_PER_SESSION + 1);
	desk_dismiss(a->desk, span_str("s-slow"));
	atomic_store(&hold, false);
	assert_int_equal(dial(&other, "evil.test", 443), ERR_DENIED);
	link_free(other.link);
}

static void
test_misbehaviour(void **state)
{
	struct asker *a = *state;

	seat(a, "s-1", "{\"exceptions\":[]}");
	ask(a, 1, "UPPER.test", 443); /* not canonical */
	while (a->broke == 0)
		ev_run(a->loop, 0);
	assert_int_equal(a->broke, ERR_UNAVAILABLE);
}

static void
test_descriptors(void **state)
{
	static const char *const bad[] = {"", "{}", "[]", "{\"exceptions\":{}}",
	    "{\"exceptions\":[],\"x\":1}",
	    "{\"exceptions\":[{\"host\":\"a.test\",\"port\":443,"
	    "\"addresses\":[]}]}",
	    "{\"exceptions\":[{\"host\":\"a.test\",\"port\":0,"
	    "\"addresses\":[\"127.0.0.1\"]}]}",
	    "{\"exceptions\":[{\"host\":\"a.test\",\"port\":443,"
	    "\"addresses\":[\"localhost\"]}]}",
	    "{\"exceptions\":[{\"host\":\"a.test\",\"port\":443,"
	    "\"addresses\":[\"127.0.0.1\"],\"upstream_port\":65536}]}"};
	struct asker *a = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fds[2];
		assert_int_equal(link_pair(fds), 0);
		assert_int_equal(
		    desk_seat(a->desk, span_str("s"), span_str(bad[i]), fds[0]),
		    ERR_FORMAT);
		close(fds[1]);
	}
}

/* Which way, for each kind of host. */
static void
test_proxy_way(void **state)
{
	static const struct {
		const char *host;
		enum proxy_way want;
	} rows[] = {{"api.test", PROXY_THROUGH}, {"intra.test", PROXY_DIRECT},
	    {"x.intra.test", PROXY_THROUGH}, {"a.lab.test", PROXY_DIRECT},
	    {"b.a.lab.test", PROXY_DIRECT}, {"lab.test", PROXY_THROUGH},
	    {"xlab.test", PROXY_THROUGH}, {"10.0.0.1", PROXY_DIRECT},
	    {"10.0.0.2", PROXY_FORBIDDEN}, {"127.0.0.1", PROXY_FORBIDDEN},
	    {"169.254.169.254", PROXY_FORBIDDEN}, {"[::1]", PROXY_FORBIDDEN},
	    {"[fd00::1]", PROXY_FORBIDDEN}, {"1.1.1.1", PROXY_THROUGH},
	    {"[2606:4700::1]", PROXY_THROUGH}, {"localhost", PROXY_FORBIDDEN},
	    {"a.localhost", PROXY_FORBIDDEN}, {"notlocalhost", PROXY_THROUGH}};
	struct ctl_proxy m = {.kind = CTL_PROXY_HTTP,
	    .host = span_str("127.0.0.1"),
	    .port = 1,
	    .no_proxy = span_str("intra.test\n*.lab.test\n10.0.0.1")};
	struct proxy p;
	struct host h;

	(void)state;
	assert_int_equal(proxy_take(&m, &p), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(host_parse(span_str(rows[i].host), &h), 0);
		if (proxy_way(&p, &h) != rows[i].want)
			fail_msg("%s", rows[i].host);
	}
	m.kind = CTL_PROXY_NONE;
	assert_int_equal(proxy_take(&m, &p), 0);
	assert_int_equal(host_parse(span_str("127.0.0.1"), &h), 0);
	assert_int_equal(proxy_way(&p, &h), PROXY_DIRECT); /* to the rule */
}

static char asked_for[256];

/* One connection: the request, then an answer with the far end's first bytes
 * right behind it. */
static void *
serve(void *answer)
{
	int fd = accept(listener, NULL, NULL);
	size_t n = 0;

	memset(asked_for, 0, sizeof(asked_for));
	while (n < sizeof(asked_for) - 1 &&
	       strstr(asked_for, "\r\n\r\n") == NULL) {
		ssize_t got =
		    recv(fd, asked_for + n, sizeof(asked_for) - 1 - n, 0);
		if (got <= 0)
			abort();
		n += (size_t)got;
	}
	(void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static int
through(struct asker *a, char *answer, const char *host)
{
	pthread_t t;
	int r;

	assert_int_equal(pthread_create(&t, NULL, serve, answer), 0);
	r = dial(a, host, 443);
	pthread_join(t, NULL);
	return r;
}

/* Connections of earlier tests, which nobody has taken. */
static void
empty_listener(void)
{
	int fd;

	assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		close(fd);
	assert_int_equal(fcntl(listener, F_SETFL, 0), 0);
}

static void
test_proxy(void **state)
{
	static char good[] = "HTTP/1.1 200 OK\r\nVia: x\r\n\r\nfirst words",
		    bad[] = "HTTP/1.1 403 No\r\n\r\n";
	struct asker *a = *state;
	struct ctl_proxy m = {.kind = CTL_PROXY_HTTP,
	    .host = span_str("127.0.0.1"),
	    .port = listening,
	    .no_proxy = span_str("past.test")};
	char text[64];

	empty_listener();
	seat(a, "s-1", "{\"exceptions\":[]}");
	assert_int_equal(desk_proxy(a->desk, &m), 0);
	assert_int_equal(through(a, good, "evil.test"), 0);
	assert_string_equal(a->heard, "first words"); /* not a byte is lost */
	(void)snprintf(text, sizeof(text), "via 127.0.0.1:%u", listening);
	assert_string_equal(a->address, text);
	assert_string_equal(asked_for,
	    "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n");
	assert_int_equal(through(a, bad, "evil.test"), ERR_IO);
	assert_int_equal(atomic_load(&asked), 0); /* the proxy resolves */
	assert_int_equal(dial(a, "127.0.0.1", listening), ERR_DENIED);
	assert_int_equal(dial(a, "past.test", 443), ERR_DENIED);
	assert_int_equal(atomic_load(&asked), 1);
	m.kind = CTL_PROXY_NONE; /* a reload */
	assert_int_equal(desk_proxy(a->desk, &m), 0);
	assert_int_equal(dial(a, "evil.test", 443), ERR_DENIED);
	assert_int_equal(atomic_load(&asked), 2);
}

/* Words that make no sense let nothing out, not even directly. */
static void
test_bad_proxy(void **state)
{
	struct asker *a = *state;
	struct ctl_proxy m = {.kind = CTL_PROXY_HTTP,
	    .host = span_str("0x7f.1"),
	    .port = listening};

	seat(a, "s-1", "{\"exceptions\":[]}");
	assert_int_equal(desk_proxy(a->desk, &m), ERR_FORMAT);
	assert_int_equal(dial(a, "evil.test", 443), ERR_IO);
	m.host = span_str("127.0.0.1");
	m.kind = 3;
	assert_int_equal(desk_proxy(a->desk, &m), ERR_FORMAT);
	assert_int_equal(dial(a, "evil.test", 443), ERR_IO);
	assert_int_equal(atomic_load(&asked), 0);
}

static void
listen_on_loopback(void)
{
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&in, n) != 0 || listen(fd, 16) != 0 ||
	    getsockname(fd, (struct sockaddr *)&in, &n) != 0)
		abort();
	listening = ntohs(in.sin_port);
	listener = fd;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_rebinding, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_literals, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_exception, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow_session, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_misbehaviour, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
	    cmocka_unit_test(test_proxy_way),
	    cmocka_unit_test_setup_teardown(test_proxy, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bad_proxy, setup, teardown),
	};

	listen_on_loopback();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
