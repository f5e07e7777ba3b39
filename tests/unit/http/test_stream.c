/* SPDX-License-Identifier: ISC */
/* Streams, plain and TLS: megabytes both ways through bounded buffers,
 * half-close, orderly end, reset. */
#include "egress/http/stream.h"
#include "egress/http/tls.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/x509v3.h>

#define MUCH (3 * 1024 * 1024)

struct side {
	struct stream *s;
	size_t sent, got, queued_max, appetite;
	bool opened, eof, closed, free_at_input;
	int eof_err, broke;
	uint8_t next;
};

static void
send_more(struct side *a)
{
	uint8_t piece[4096];

	while (a->sent < MUCH && stream_queued(a->s) < STREAM_HIGH) {
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = (uint8_t)((a->sent + i) * 7);
		assert_int_equal(
		    stream_write(a->s, span_of(piece, sizeof(piece))), 0);
		a->sent += sizeof(piece);
	}
	if (stream_queued(a->s) > a->queued_max)
		a->queued_max = stream_queued(a->s);
	if (a->sent >= MUCH)
		stream_shutdown(a->s);
}

static void
take(struct side *a)
{
	struct span in = stream_input(a->s);
	size_t n = in.n < a->appetite ? in.n : a->appetite;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(in.p[i], (uint8_t)((a->got + i) * 7));
	a->got += n;
	stream_consume(a->s, n);
}

static void
on_event(void *ctx, struct stream *s, enum stream_event e, int err)
{
	struct side *a = ctx;

	assert_ptr_equal(a->s, s);
	if (e == STREAM_OPEN) {
		a->opened = true;
		send_more(a);
	} else if (e == STREAM_INPUT && a->free_at_input) {
		stream_free(s);
		a->s = NULL;
	} else if (e == STREAM_INPUT) {
		take(a);
	} else if (e == STREAM_DRAINED) {
		send_more(a);
	} else if (e == STREAM_EOF) {
		while (stream_input(s).n > 0)
			take(a);
		a->eof = true;
		a->eof_err = err;
	} else if (e == STREAM_CLOSED) {
		a->closed = true;
	} else if (e == STREAM_BROKEN) {
		a->broke = err;
	}
}

struct fixture {
	struct ev_loop *loop;
	struct side a, b;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd[2];

	f->loop = ev_loop_new(EVFLAG_AUTO);
	assert_int_equal(socketpair(AF_UNIX,
			     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd),
	    0);
	f->a.appetite = f->b.appetite = 1000;
	assert_int_equal(
	    stream_new(f->loop, fd[0], on_event, &f->a, &f->a.s), 0);
	assert_int_equal(
	    stream_new(f->loop, fd[1], on_event, &f->b, &f->b.s), 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	stream_free(f->a.s);
	stream_free(f->b.s);
	ev_loop_destroy(f->loop);
	free(f);
	return 0;
}

static void
turn(struct fixture *f, const bool *until, const bool *also)
{
	for (int i = 0; i < 200000 && !(*until && *also); i++)
		ev_run(f->loop, EVRUN_NOWAIT);
}

static void
both_ways_in_bounded_memory(void **state)
{
	struct fixture *f = *state;

	send_more(&f->a);
	send_more(&f->b);
	turn(f, &f->a.eof, &f->b.eof);
	assert_int_equal(f->a.got, MUCH);
	assert_int_equal(f->b.got, MUCH);
	assert_int_equal(f->a.eof_err, 0);
	assert_true(f->a.queued_max < STREAM_HIGH + 8192);
}

static X509 *
self_signed(EVP_PKEY *key, const char *name)
{
	X509 *x = X509_new();
	X509_EXTENSION *e;
	char san[64];

	snprintf(san, sizeof(san), "DNS:%s", name);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN",
	    MBSTRING_ASC, (const uint8_t *)"t", -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	X509_sign(x, key, EVP_sha256());
	return x;
}

/* a becomes the server, b the client that expects name. */
static void
start_tls(struct fixture *f, const char *name, SSL_CTX **sc, SSL_CTX **cc)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *leaf = self_signed(key, "a.test");
	SSL *server, *client;

	assert_int_equal(tls_init(), 0);
	assert_int_equal(tls_server_context(sc), 0);
	assert_int_equal(tls_client_context(cc), 0);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(*cc), leaf);
	assert_int_equal(tls_server(*sc, leaf, key, leaf, &server), 0);
	assert_int_equal(tls_client(*cc, name, false, &client), 0);
	assert_int_equal(stream_start_tls(f->a.s, server), 0);
	assert_int_equal(stream_start_tls(f->b.s, client), 0);
	X509_free(leaf);
	EVP_PKEY_free(key);
}

static void
tls_both_ways(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *sc, *cc;

	start_tls(f, "a.test", &sc, &cc);
	assert_int_equal(
	    stream_write(f->a.s, span_str("early")), ERR_SEQUENCE);
	turn(f, &f->a.eof, &f->b.eof);
	assert_true(f->a.opened && f->b.opened);
	assert_int_equal(f->a.got, MUCH);
	assert_int_equal(f->b.got, MUCH);
	assert_int_equal(f->a.eof_err, 0);
	assert_int_equal(f->b.eof_err, 0);
	SSL_CTX_free(sc);
	SSL_CTX_free(cc);
}

/* Its buffers may go at any time, and nothing is lost. */
static void
tls_rests_in_between(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *sc, *cc;

	start_tls(f, "a.test", &sc, &cc);
	for (int i = 0; i < 200000 && !(f->a.eof && f->b.eof); i++) {
		ev_run(f->loop, EVRUN_NOWAIT);
		(void)stream_rest(i % 3 == 0 ? f->a.s : f->b.s);
		(void)stream_rest(f->a.s);
		(void)stream_rest(f->b.s);
	}
	assert_int_equal(f->a.got, MUCH);
	assert_int_equal(f->b.got, MUCH);
	assert_int_equal(f->a.eof_err, 0);
	assert_int_equal(f->b.eof_err, 0);
	SSL_CTX_free(sc);
	SSL_CTX_free(cc);
}

static void
tls_checks_the_name(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *sc, *cc;


	start_tls(f, "b.test", &sc, &cc);
	for (int i = 0; i < 1000 && (!f->b.broke || !f->a.broke); i++)
		ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(f->b.broke, ERR_CRYPTO);
	assert_int_not_equal(f->a.broke, 0);
	assert_int_equal(f->b.got, 0);

	SSL_CTX_free(sc);
	SSL_CTX_free(cc);
}

static void
finish_delivers_and_ends(void **state)
{
	struct fixture *f = *state;

	/* Ignored input must not cost the other side the answer. */
	f->a.appetite = 0;
	assert_int_equal(stream_write(f->b.s, span_str("unread")), 0);
	f->b.next = 0;
	uint8_t zero = 0;
	assert_int_equal(stream_write(f->a.s, span_of(&zero, 1)), 0);
	stream_finish(f->a.s);
	assert_int_equal(
	    stream_write(f->a.s, span_of(&zero, 1)), ERR_SEQUENCE);
	for (int i = 0; i < 100 && !f->b.eof; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(f->b.got, 1);
	assert_false(f->a.closed);
	stream_free(f->b.s);
	f->b.s = NULL;
	for (int i = 0; i < 100 && !f->a.closed && f->a.broke == 0; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
	assert_true(f->a.closed || f->a.broke == ERR_UNAVAILABLE);
}

static void
abort_drops_the_queue(void **state)
{
	struct fixture *f = *state;
	uint8_t zero = 0;

	assert_int_equal(stream_write(f->a.s, span_of(&zero, 1)), 0);
	stream_abort(f->a.s);
	assert_int_equal(stream_queued(f->a.s), 0);
	for (int i = 0; i < 100 && f->b.broke == 0; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(f->b.got, 0);
	assert_int_equal(f->b.broke, ERR_UNAVAILABLE);
}

static void
owner_may_free_in_an_event(void **state)
{
	struct fixture *f = *state;
	uint8_t zero = 0;

	f->b.free_at_input = true;
	assert_int_equal(stream_write(f->a.s, span_of(&zero, 1)), 0);
	for (int i = 0; i < 100 && f->b.s != NULL; i++)
		ev_run(f->loop, EVRUN_NOWAIT);
	assert_null(f->b.s);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(both_ways_in_bounded_memory),
	    T(tls_both_ways),
	    T(tls_rests_in_between),
	    T(tls_checks_the_name),
	    T(finish_delivers_and_ends),
	    T(abort_drops_the_queue),
	    T(owner_may_free_in_an_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
