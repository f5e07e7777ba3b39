/* SPDX-License-Identifier: ISC */
/* Lookups of many sessions, all of them slow: who may run, in which turn, and
 * that one more costs no more when thousands wait. */
#include "egress/dialer/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define SESSIONS 16
#define EACH 1024 /* DESK_DIALS_MAX */
#define HANGING 300 /* s: then something is very wrong */

static atomic_bool hold;
static atomic_uint running, most, asked;

static int
slow(const char *host, uint16_t port, struct address_list *out)
{
	unsigned now = atomic_fetch_add(&running, 1) + 1, old;

	(void)host;
	(void)port;
	(void)out;
	atomic_fetch_add(&asked, 1);
	old = atomic_load(&most);
	while (now > old && !atomic_compare_exchange_weak(&most, &old, now))
		;
	while (atomic_load(&hold))
		usleep(1000);
	atomic_fetch_sub(&running, 1);
	return ERR_UNAVAILABLE;
}

static void
on_done(void *ctx, int err, const struct address_list *list)
{
	unsigned *answers = ctx;

	(void)list;
	assert_int_equal(err, ERR_UNAVAILABLE);
	(*answers)++;
}

static const char *
name_of(unsigned session)
{
	static char name[SESSIONS][8];

	(void)snprintf(name[session], sizeof(name[session]), "s-%u", session);
	return name[session];
}

static void
let_run_out(struct ev_loop *loop, struct resolver *r)
{
	atomic_store(&hold, false);
	while (!resolver_idle(r))
		ev_run(loop, EVRUN_ONCE);
}

static int
fresh(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
	struct resolver *r = NULL;

	atomic_store(&running, 0);
	atomic_store(&most, 0);
	atomic_store(&asked, 0);
	atomic_store(&hold, true);
	assert_int_equal(resolver_new(loop, slow, &r), 0);
	ev_set_userdata(loop, r);
	*state = loop;
	return 0;
}

static int
gone(void **state)
{
	struct ev_loop *loop = *state;

	let_run_out(loop, ev_userdata(loop));
	resolver_free(ev_userdata(loop));
	ev_loop_destroy(loop);
	return 0;
}

/* As guests of as many sessions do whose names' server is silent. */
static void
test_thousands(void **state)
{
	struct ev_loop *loop = *state;
	struct resolver *r = ev_userdata(loop);
	unsigned answers[SESSIONS] = {0};
	struct lookup *l;

	alarm(HANGING);
	for (unsigned i = 0; i < EACH; i++) {
		for (unsigned s = 0; s < SESSIONS; s++)
			assert_int_equal(lookup_new(r, name_of(s), "a.test", 1,
					     on_done, &answers[s], &l),
			    0);
	}
	let_run_out(loop, r);
	for (unsigned s = 0; s < SESSIONS; s++)
		assert_int_equal(answers[s], EACH);
	assert_in_range(
	    atomic_load(&most), 1, SESSIONS * RESOLVER_PER_SESSION);
	alarm(0);
}

/* Freed: what waited never runs; what ran keeps its place, unheard. */
static void
test_freed(void **state)
{
	struct ev_loop *loop = *state;
	struct resolver *r = ev_userdata(loop);
	struct lookup *l[3 * RESOLVER_PER_SESSION];
	const unsigned n = sizeof(l) / sizeof(l[0]);
	unsigned answers = 0, last = 0;

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(lookup_new(r, "s-1", "a.test", 1, on_done,
				     &answers, &l[i]),
		    0);
	for (unsigned i = 0; i < n - 1; i++)
		lookup_free(l[(i * 7) % (n - 1)]);
	assert_int_equal(lookup_new(r, "s-1", "a.test", 1, on_done, &last,
			     &l[0]),
	    0);
	let_run_out(loop, r);
	assert_int_equal(atomic_load(&asked), RESOLVER_PER_SESSION + 2);
	assert_in_range(atomic_load(&most), 1, RESOLVER_PER_SESSION);
	assert_int_equal(answers, 1);
	assert_int_equal(last, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_thousands, fresh, gone),
	    cmocka_unit_test_setup_teardown(test_freed, fresh, gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
