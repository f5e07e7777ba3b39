/* SPDX-License-Identifier: ISC */
/* The handshake of RFC 6455, and a server that answers it badly. */
#include "egress/courier/ws_open.h"

#include "messages/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sodium.h>
#include <cmocka.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455, 1.3 */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* "name=value\n..." */
static struct buf *
packed(const char *text)
{
	struct buf *b = buf_new(65536);
	size_t n;

	for (; *text != '\0'; text += n + 1) {
		n = strcspn(text, "\n");
		size_t eq = strcspn(text, "=");
		assert_int_equal(headers_put(b, span_of(text, eq),
				     span_of(text + eq + 1, n - eq - 1)),
		    0);
	}
	return b;
}

#define V "sec-websocket-version=13\n"
#define K "sec-websocket-key=" KEY "\n"

static void
requests(void **state)
{
	static const struct {
		const char *method, *headers;
		bool good;
	} table[] = {{"GET", V K, true},
	    {"GET", "x=y\n" K "sec-websocket-extensions=permessage-deflate\n" V,
		true},
	    {"POST", V K, false}, {"get", V K, false}, {"GET", V, false},
	    {"GET", K, false}, {"GET", V K K, false}, {"GET", V V K, false},
	    {"GET", "sec-websocket-version=12\n" K, false},
	    {"GET", "sec-websocket-version=13, 8\n" K, false},
	    {"GET", V "sec-websocket-key=\n", false},
	    {"GET", V "sec-websocket-key=AAAA\n", false},
	    {"GET", V "sec-websocket-key=dGhlIHNhbXBsZSBub25jZTE=\n", false},
	    {"GET", V "sec-websocket-key=dGhlIHNhbXBsZSBub25jZQ\n", false},
	    {"GET", V "sec-websocket-key=dGhlIHNhbXBsZSBub25jZQ==, x\n", false},
	    {"GET", V "sec-websocket-key=dGhlIHNhbXBsZSBub25jZR==\n", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf *h = packed(table[i].headers);
		char key[WS_KEY_MAX] = "";
		const char *why = NULL;
		int r = ws_open_request(
		    span_str(table[i].method), buf_span(h), key, &why);
		if ((r == 0) != table[i].good)
			fail_msg("row %zu: %d", i, r);
		if (table[i].good)
			assert_string_equal(key, KEY);
		else
			assert_non_null(why);
		buf_free(h);
	}
}

static void
answers(void **state)
{
	static const char offer[] = "sec-websocket-protocol=chat, v2\n"
				    "sec-websocket-protocol=v3\n";
	static const struct {
		const char *fields;
		bool good;
	} table[] = {
#define U "upgrade=WebSocket\n"
#define C "connection=keep-alive, Upgrade\n"
#define A "sec-websocket-accept=" ACCEPT "\n"
	    {U C A, true}, {U C A "sec-websocket-protocol=v2\n", true},
	    {U C A "sec-websocket-protocol=v3\n", true},
	    {U C A "sec-websocket-protocol=v4\n", false},
	    {U C A "sec-websocket-protocol=chat, v2\n", false},
	    {U C A "sec-websocket-protocol=v2\nsec-websocket-protocol=v2\n",
		false},
	    {U C A "sec-websocket-extensions=permessage-deflate\n", false},
	    {U C A "sec-websocket-extensions=\n", false}, {U C, false},
	    {U A, false}, {C A, false}, {U U C A, false}, {U C A A, false},
	    {"upgrade=h2c\n" C A, false},
	    {"upgrade=websocket, h2c\n" C A, false},
	    {U "connection=close\n" A, false},
	    {U C "sec-websocket-accept=" KEY "\n", false},
	    {U C "sec-websocket-accept=s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\n", false},
	    {U C "sec-websocket-accept=\n", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf *o = packed(offer), *f = packed(table[i].fields);
		struct span list = buf_span(f), name, value;
		const char *why = NULL;
		struct head h;
		head_init(&h);
		h.status = 101;
		while (headers_next(&list, &name, &value) == 0)
			assert_int_equal(head_add(&h, name, value), 0);
		int r = ws_open_answer(&h, KEY, buf_span(o), &why);
		if ((r == 0) != table[i].good)
			fail_msg("row %zu: %d", i, r);
		assert_true((why == NULL) == table[i].good);
		head_clear(&h);
		buf_free(o);
		buf_free(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests), cmocka_unit_test(answers)};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
