/* SPDX-License-Identifier: ISC */
/* Holds the place of a session's channel: its kind and parts, or an error. */
#include "messages/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *place;
	int r;
	const char *dir, *name;
} rows[] = {
    {"/run/x", 0, "/run/x", CHANNEL_SOCKET},
    {"/run/x/", 0, "/run/x/", CHANNEL_SOCKET},
    {"/hybrid:/x", 0, "/hybrid:/x", CHANNEL_SOCKET},
    {"/vsock:42", 0, "/vsock:42", CHANNEL_SOCKET},
    {"", 0, "", CHANNEL_SOCKET},
    {"hybrid:/run/vm/v.sock_8377", 0, "/run/vm", "v.sock_8377"},
    {"hybrid:/v.sock_1", 0, "/", "v.sock_1"},
    {"hybrid://v_1", 0, "/", "v_1"},
    {"hybrid:/a/../v_1", 0, "/a/..", "v_1"}, /* which safefile_dir refuses */
    {"hybrid:/a/.._1", 0, "/a", ".._1"},
    {"hybrid:/a/hybrid:_1", 0, "/a", "hybrid:_1"},
    {"hybrid:v.sock_1", ERR_FORMAT, NULL, NULL},
    {"hybrid:vm/v.sock_1", ERR_FORMAT, NULL, NULL},
    {"hybrid:/run/vm/", ERR_FORMAT, NULL, NULL},
    {"hybrid:/", ERR_FORMAT, NULL, NULL},
};

static void
table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct channel c;
		int r = channel_parse(span_str(rows[i].place), &c);

		if (r != rows[i].r)
			fail_msg("%s: %d", rows[i].place, r);
		if (r != 0)
			continue;
		assert_int_equal(c.kind,
		    rows[i].place[0] == 'h' ? CHANNEL_HYBRID : CHANNEL_UNIX);
		assert_string_equal(c.dir, rows[i].dir);
		assert_string_equal(c.name, rows[i].name);
	}
}

static const struct {
	const char *place;
	int r;
	uint32_t cid;
	bool privileged;
} vsocks[] = {
    {"vsock:42", 0, 42, false},
    {"vsock:42:privileged", 0, 42, true},
    {"vsock:1", 0, 1, false}, /* the machine itself, where it was meant */
    {"vsock:3", 0, 3, false},
    {"vsock:4294967294", 0, 4294967294, false},
    /* A hypervisor, a host, "any", and more than 32 bits. */
    {"vsock:0", ERR_FORMAT, 0, false},
    {"vsock:2", ERR_FORMAT, 0, false},
    {"vsock:4294967295", ERR_FORMAT, 0, false},
    {"vsock:4294967296", ERR_FORMAT, 0, false},
    {"vsock:4294967338", ERR_FORMAT, 0, false},
    {"vsock:18446744073709551658", ERR_FORMAT, 0, false},
    {"vsock:", ERR_FORMAT, 0, false},
    {"vsock:042", ERR_FORMAT, 0, false},
    {"vsock:+42", ERR_FORMAT, 0, false},
    {"vsock:-1", ERR_FORMAT, 0, false},
    {"vsock:42 ", ERR_FORMAT, 0, false},
    {"vsock:42:", ERR_FORMAT, 0, false},
    {"vsock:42:8377", ERR_FORMAT, 0, false},
    {"vsock::privileged", ERR_FORMAT, 0, false},
    {"vsock:42:privileged:privileged", ERR_FORMAT, 0, false},
    {"vsock:any", ERR_FORMAT, 0, false},
};

static void
cids(void **state)
{
	char text[CHANNEL_VSOCK_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(vsocks) / sizeof(vsocks[0]); i++) {
		struct channel c = {.cid = 77};
		int r = channel_parse(span_str(vsocks[i].place), &c);

		if (r != vsocks[i].r)
			fail_msg("%s: %d", vsocks[i].place, r);
		if (r != 0) {
			assert_int_equal(c.cid, 77); /* untouched */
			continue;
		}
		assert_int_equal(c.kind, CHANNEL_VSOCK);
		assert_int_equal(c.cid, vsocks[i].cid);
		assert_int_equal(c.privileged, vsocks[i].privileged);
		channel_vsock(c.cid, c.privileged, text);
		assert_string_equal(text, vsocks[i].place);
	}
}

static void
nul_is_refused(void **state)
{
	static const char *const texts[] = {
	    "hybrid:/a\0b/v_1", "hybrid:/a/v\0w", "vsock:42\0", "/a\0b"};
	static const size_t sizes[] = {16, 13, 9, 4};
	struct channel c;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_int_not_equal(
		    channel_parse(span_of(texts[i], sizes[i]), &c), 0);
}

/* hybrid:/a/ and a name of n bytes. */
static int
named(size_t n)
{
	char text[2 * PATH_MAX] = "hybrid:/a/";
	struct channel c;

	memset(text + strlen(text), 'x', n);
	return channel_parse(span_str(text), &c);
}

static void
lengths(void **state)
{
	(void)state;
	assert_int_equal(named(NAME_MAX), 0);
	assert_int_equal(named(NAME_MAX + 1), ERR_TOO_BIG);
	assert_int_equal(named(PATH_MAX - 4), ERR_TOO_BIG);
	assert_int_equal(named(PATH_MAX), ERR_TOO_BIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(cids),
	    cmocka_unit_test(nul_is_refused),
	    cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
