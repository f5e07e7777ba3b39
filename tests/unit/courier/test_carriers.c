/* SPDX-License-Identifier: ISC */
/* Requirements 3 and 9: every carrier is found, taken out of the query,
 * and whatever attach.c can fill is one. */
#include "egress/courier/attach.h"
#include "egress/courier/carriers.h"
#include "egress/http/h1_write.h"
#include "messages/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sodium.h>
#include <stdlib.h>
#include <cmocka.h>

/* As HTTP/1.1 has it. */
static int
write_attached(const struct attach *a, struct buf *out)
{
	struct attached h;
	int r = attach_head(a, &h);

	if (r == 0)
		r = h1_put_head(&h.head, false, out);
	attach_clear(&h);
	return r;
}

static const char *
resolve(void *ctx, struct span value)
{
	(void)ctx;
	return span_is(value, "TICKET")		? "demo"
	       : span_is(value, "OTHER-TICKET") ? "other"
						: NULL;
}

struct row {
	const char *name, *value; /* a header */
	const char *target;
	enum carried carried;
	const char *clean;
};

static const struct row rows[] = {
    {"accept", "x", "/a", CARRIED_NOTHING, "/a"},
    {"authorization", "", "/a", CARRIED_NOTHING, "/a"},
    {"authorization", "Bearer TICKET", "/a", CARRIED_PLACEHOLDER, "/a"},
    {"authorization", "bearer  TICKET", "/a", CARRIED_PLACEHOLDER, "/a"},
    {"authorization", "TICKET", "/a", CARRIED_PLACEHOLDER, "/a"},
    {"authorization", "token TICKET", "/a", CARRIED_PLACEHOLDER, "/a"},
    {"authorization", "Basic eDpUSUNLRVQ=", "/a", CARRIED_PLACEHOLDER, "/a"},
    {"authorization", "Basic VElDS0VUOng=", "/a", CARRIED_PLACEHOLDER, "/a"},
    {"authorization", "Basic Og==", "/a", CARRIED_NOTHING, "/a"},
    {"authorization", "Basic TICKET", "/a", CARRIED_FOREIGN, "/a"},
    {"authorization", "Basic eDp4", "/a", CARRIED_FOREIGN, "/a"},
    {"authorization", "Bearer TICKETx", "/a", CARRIED_FOREIGN, "/a"},
    {"authorization", "Bearer ticket", "/a", CARRIED_FOREIGN, "/a"},
    {"authorization", "Bearer", "/a", CARRIED_FOREIGN, "/a"},
    {"x_api_key", "k", "/a", CARRIED_FOREIGN, "/a"},
    {"x-odd-name", "k", "/a", CARRIED_FOREIGN, "/a"},
    {"x_odd_name", "Key TICKET", "/a", CARRIED_PLACEHOLDER, "/a"},
    {"cookie", "session=foreign", "/a", CARRIED_NOTHING, "/a"},
    {"proxy-authorization", "Basic eDp4", "/a", CARRIED_NOTHING, "/a"},
    {"a", "b", "/a?x=1&y", CARRIED_NOTHING, "/a?x=1&y"},
    {"a", "b", "/a?", CARRIED_NOTHING, "/a?"},
    {"a", "b", "/a?x=1&key=TICKET&y=2", CARRIED_PLACEHOLDER, "/a?x=1&y=2"},
    {"a", "b", "/a?api_key=TICKET", CARRIED_PLACEHOLDER, "/a"},
    {"a", "b", "/a?API-Key=k", CARRIED_FOREIGN, "/a"},
    {"a", "b", "/a?x=1;token=k", CARRIED_FOREIGN, "/a?x=1"},
    {"a", "b", "/a?odd.query=k&x", CARRIED_FOREIGN, "/a?x"},
    {"a", "b", "/a?key=&x=1", CARRIED_NOTHING, "/a?x=1"},
    {"a", "b", "/a?keys=1", CARRIED_NOTHING, "/a?keys=1"},
    {"x-api-key", "TICKET", "/a?key=TICKET", CARRIED_PLACEHOLDER, "/a"},
    {"x-api-key", "TICKET", "/a?key=OTHER-TICKET", CARRIED_FOREIGN, "/a"},
    {"x-api-key", "TICKET", "/a?key=k", CARRIED_FOREIGN, "/a"},
    /* As upstreams read names, not as they are written. */
    {"x.api.key", "k", "/a", CARRIED_FOREIGN, "/a"},
    {"xapikey", "k", "/a", CARRIED_FOREIGN, "/a"},
    {"x.odd~name", "k", "/a", CARRIED_FOREIGN, "/a"},
    {"x-forwarded-authorization", "k", "/a", CARRIED_FOREIGN, "/a"},
    {"x-forwarded-host", "k", "/a", CARRIED_NOTHING, "/a"},
    {"a", "b", "/a?%6bey=k&x", CARRIED_FOREIGN, "/a?x"},
    {"a", "b", "/a?%6Bey=TICKET", CARRIED_PLACEHOLDER, "/a"},
    {"a", "b", "/a?ac%63ess%5Ftoken=k", CARRIED_FOREIGN, "/a"},
    {"a", "b", "/a?access_token%5B%5D=k", CARRIED_FOREIGN, "/a"},
    {"a", "b", "/a?key[0]=k", CARRIED_FOREIGN, "/a"},
    {"a", "b", "/a?clientSecret=k", CARRIED_FOREIGN, "/a"},
    {"a", "b", "/a?+key+=k", CARRIED_FOREIGN, "/a"},
    {"a", "b", "/a?o%64d+query=k", CARRIED_FOREIGN, "/a"},
    {"x-api-key", "TICKET", "/a?%6bey=k", CARRIED_FOREIGN, "/a"},
    {"a", "b", "/a?ke%79s=1&[key]=2&=3&%5b", CARRIED_NOTHING,
	"/a?ke%79s=1&[key]=2&=3&%5b"},
};

struct override_row {
	const char *name, *target;
	bool overrides;
};

static const struct override_row override_rows[] = {
    {"x-http-method-override", "/a", true},
    {"x_http_method", "/a", true},
    {"x-original-url", "/a", true},
    {"x-rewrite-url", "/a", true},
    {"accept", "/a?_method=DELETE", true},
    {"accept", "/a?x=1&%5fmethod=DELETE", true},
    {"accept", "/a?.Method=DELETE", true},
    {"accept", "/a?x-http-method-override=PUT", true},
    {"accept", "/a?method=list&Method=x", false},
    {"x-forwarded-host", "/a", false},
};

static void
test_overrides(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(override_rows) / sizeof(override_rows[0]);
	     i++) {
		const struct override_row *r = &override_rows[i];
		struct buf *h = buf_new(4096), *clean = buf_new(4096);
		struct carriers c;

		assert_int_equal(
		    headers_put(h, span_str(r->name), span_str("DELETE")), 0);
		assert_int_equal(carriers_scan(buf_span(h), span_str(r->target),
				     NULL, 0, resolve, NULL, clean, &c),
		    0);
		if (c.overrides != r->overrides ||
		    c.carried != CARRIED_NOTHING || c.dropped)
			fail_msg("row %zu", i);
		buf_free(h);
		buf_free(clean);
	}
	/* What proxies say goes nowhere, on any host. */
	assert_true(carriers_is_header(span_str("x-forwarded-host"), NULL, 0));
	assert_true(carriers_is_header(span_str("forwarded"), NULL, 0));
	assert_false(carriers_is_header(span_str("x-forward"), NULL, 0));
}

static const struct slot slots[] = {
    {.type = SLOT_HEADER, .name = "x-odd-name", .prefix = "Key "},
    {.type = SLOT_QUERY, .name = "odd.query"},
    {.type = SLOT_BEARER},
    {.type = SLOT_BASIC, .user = "me"},
};
static const struct slot *const all[] = {
    &slots[0], &slots[1], &slots[2], &slots[3]};

static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct buf *h = buf_new(4096), *clean = buf_new(4096);
		struct carriers c;

		assert_int_equal(
		    headers_put(h, span_str(r->name), span_str(r->value)), 0);
		assert_int_equal(carriers_scan(buf_span(h), span_str(r->target),
				     all, 4, resolve, NULL, clean, &c),
		    0);
		if (c.carried != r->carried ||
		    !span_is(buf_span(clean), r->clean))
			fail_msg("row %zu: %d, %.*s", i, c.carried,
			    (int)buf_len(clean),
			    (const char *)buf_span(clean).p);
		buf_free(h);
		buf_free(clean);
	}
}

/* Whatever is put in is a carrier of the registry; a line break in the
 * secret puts in nothing. */
static void
test_injected_is_enforced(void **state)
{
	struct keep *k, *broken;

	(void)state;
	assert_int_equal(keep_new("secret-of-12+", 13, &k), 0);
	assert_int_equal(keep_new("secret\r\nx: y", 12, &broken), 0);
	for (size_t i = 0; i < 4; i++) {
		struct buf *h = buf_new(64), *out = buf_new_locked(65536);
		struct attach a = {.method = span_str("GET"),
		    .target = span_str("/a?x"),
		    .host = "a.test",
		    .port = 8443,
		    .slots = all,
		    .n_slots = 4,
		    .slot = all[i],
		    .secret = k};
		bool query = all[i]->type == SLOT_QUERY;

		assert_int_equal(write_attached(&a, out), 0);
		struct span s = buf_span(out);
		assert_non_null(memmem(s.p, s.n, "a.test:8443\r\n", 13));
		if (query)
			assert_non_null(memmem(s.p, s.n,
			    "GET /a?x&odd.query=secret-of-12%2B HTTP", 39));
		assert_true(
		    query ? carriers_is_query(span_str(all[i]->name), all, 4)
			  : carriers_is_header(
				span_str(all[i]->type == SLOT_HEADER
					     ? all[i]->name
					     : "authorization"),
				all, 4));
		a.secret = broken;
		buf_reset(out);
		int r = write_attached(&a, out);
		if (all[i]->type == SLOT_BEARER || all[i]->type == SLOT_HEADER)
			assert_int_equal(r, ERR_ARGUMENT);
		assert_null(memmem(buf_span(out).p == NULL ? (const uint8_t *)""
							   : buf_span(out).p,
		    buf_len(out), "\r\nx: y", 6));
		buf_free(h);
		buf_free(out);
	}
	keep_free(k);
	keep_free(broken);
}

static void
test_guest_fields(void **state)
{
	static const char *const pairs[][2] = {{"user-agent", "u"},
	    {"authorization", "Bearer TICKET"}, {"x_odd_name", "TICKET"},
	    {"cookie", "a=b"}, {"x-api-key", "TICKET"},
	    {"accept-encoding", "gzip, compress"}};
	struct buf *h = buf_new(4096), *out = buf_new_locked(65536);
	struct keep *k;

	(void)state;
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(headers_put(h, span_str(pairs[i][0]),
				     span_str(pairs[i][1])),
		    0);
	assert_int_equal(keep_new("the-real-secret", 15, &k), 0);
	struct attach a = {.method = span_str("POST"),
	    .target = span_str("/a"),
	    .host = "a.test",
	    .port = 443,
	    .headers = buf_span(h),
	    .body = BODY_LENGTH,
	    .length = 5,
	    .slots = all,
	    .n_slots = 4,
	    .slot = &slots[2],
	    .secret = k};
	struct {
		bool inspect;
		const char *codings;
	} table[] = {{false, "gzip, compress"}, {true, "gzip"}};
	for (size_t i = 0; i < 2; i++) {
		struct buf *want = buf_new(4096);
		a.inspect = table[i].inspect;
		buf_reset(out);
		assert_int_equal(write_attached(&a, out), 0);
		assert_int_equal(buf_printf(want,
				     "POST /a HTTP/1.1\r\nhost: a.test\r\n"
				     "user-agent: u\r\n"
				     "accept-encoding: %s\r\n"
				     "authorization: Bearer the-real-secret\r\n"
				     "content-length: 5\r\n\r\n",
				     table[i].codings),
		    0);
		assert_true(span_eq(buf_span(out), buf_span(want)));
		buf_free(want);
	}
	keep_free(k);
	buf_free(h);
	buf_free(out);
}

static void
test_cross_site(void **state)
{
	static const struct {
		const char *name, *value;
		bool cross;
	} cases[] = {{"origin", "https://a.test", false},
	    {"origin", "https://a.test:443", false},
	    {"origin", "http://a.test", true}, {"origin", "null", true},
	    {"origin", "https://a.test.evil", true},
	    {"sec-fetch-site", "none", false},
	    {"sec-fetch-site", "same-origin", false},
	    {"sec-fetch-site", "same-site", true},
	    {"sec-fetch-site", "cross-site", true}, {"x", "y", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf *h = buf_new(256);
		assert_int_equal(headers_put(h, span_str(cases[i].name),
				     span_str(cases[i].value)),
		    0);
		if (carriers_cross_site(buf_span(h), "a.test", 443) !=
		    cases[i].cross)
			fail_msg("%s: %s", cases[i].name, cases[i].value);
		buf_free(h);
	}
}

/* Codings, parts and upgrades: "name=value\n..." of the guest's. */
static void
test_asked_for(void **state)
{
	static const struct {
		const char *guest, *upstream;
		bool inspect, no_ranges, upgrade;
	} table[] = {{"", "", true, false, false},
	    {"accept-encoding=br;q=0.5, *\n", "accept-encoding: br;q=0.5\r\n",
		true, false, false},
	    {"accept-encoding=dcb\naccept-encoding=zstd\naccept-encoding=br\n",
		"accept-encoding: zstd\r\naccept-encoding: br\r\n", true, false,
		false},
	    {"accept-encoding=dcb\n", "accept-encoding: identity\r\n", true,
		false, false},
	    {"accept-encoding=\n", "accept-encoding: identity\r\n", true, false,
		false},
	    {"range=bytes=0-\naccept-encoding=br\n",
		"range: bytes=0-\r\naccept-encoding: identity\r\n", true, false,
		false},
	    {"range=bytes=0-\n",
		"range: bytes=0-\r\naccept-encoding: identity\r\n", true, false,
		false},
	    {"range=bytes=0-\nif-range=x\naccept-encoding=br\n",
		"accept-encoding: br\r\n", true, true, false},
	    {"accept-encoding=dcb\nrange=x\n",
		"accept-encoding: dcb\r\nrange: x\r\n", false, false, false},
	    {"grpc-accept-encoding=identity, gzip\n",
		"grpc-accept-encoding: identity\r\n", true, false, false},
	    {"grpc-accept-encoding=gzip\nconnect-accept-encoding=br\n",
		"grpc-accept-encoding: gzip\r\nconnect-accept-encoding: br\r\n",
		false, false, false},
	    {"sec-websocket-extensions=x\nsec-websocket-key=k\n",
		"sec-websocket-key: k\r\nupgrade: websocket\r\n"
		"connection: upgrade\r\n",
		true, false, true}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf *h = buf_new(4096), *out = buf_new_locked(65536),
			   *want = buf_new(4096);
		for (const char *p = table[i].guest; *p != '\0';) {
			size_t eq = strcspn(p, "="), n = strcspn(p, "\n");
			assert_int_equal(headers_put(h, span_of(p, eq),
					     span_of(p + eq + 1, n - eq - 1)),
			    0);
			p += n + 1;
		}
		struct attach a = {.method = span_str("GET"),
		    .target = span_str("/a"),
		    .host = "a.test",
		    .port = 443,
		    .headers = buf_span(h),
		    .upgrade = table[i].upgrade,
		    .inspect = table[i].inspect,
		    .no_ranges = table[i].no_ranges};
		assert_int_equal(write_attached(&a, out), 0);
		assert_int_equal(
		    buf_printf(want,
			"GET /a HTTP/1.1\r\nhost: a.test\r\n%s\r\n",
			table[i].upstream),
		    0);
		if (!span_eq(buf_span(out), buf_span(want)))
			fail_msg("%s gives %.*s", table[i].guest,
			    (int)buf_len(out), buf_span(out).p);
		buf_free(h);
		buf_free(out);
		buf_free(want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_overrides),
	    cmocka_unit_test(test_injected_is_enforced),
	    cmocka_unit_test(test_guest_fields),
	    cmocka_unit_test(test_asked_for),
	    cmocka_unit_test(test_cross_site),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
