/* SPDX-License-Identifier: ISC */
/* Requirement 6: the address rule, as a table. */
#include "egress/dialer/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const char *const refused[] = {
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "169.254.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "3fff:fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fdff::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
    "e000::1",
};
static const char *const allowed[] = {
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "[2607:f8b0::1]",
    "2001:200::1",
    "2001:4860:4860::8888",
    "3ffe::1",
};

static int
check(const char *text)
{
	union address a;

	assert_int_equal(address_parse(text, 443, &a), 0);
	return address_check(&a);
}

static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		if (check(refused[i]) != ERR_DENIED)
			fail_msg("%s is let pass", refused[i]);
	}
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		if (check(allowed[i]) != 0)
			fail_msg("%s is refused", allowed[i]);
	}
}

static void
test_odd_families(void **state)
{
	union address a = {.sa = {.sa_family = AF_UNIX}};

	(void)state;
	assert_int_equal(address_check(&a), ERR_DENIED);
	a.sa.sa_family = AF_UNSPEC;
	assert_int_equal(address_check(&a), ERR_DENIED);
	assert_int_equal(address_parse("2606:4700::1", 1, &a), 0);
	a.v6.sin6_scope_id = 2;
	assert_int_equal(address_check(&a), ERR_DENIED);
}

static void
test_text(void **state)
{
	static const char *const bad[] = {"", "1.2.3", "0x7f.1", "127.1",
	    "1.2.3.4.5", "[::1", "::1]", "fe80::1%eth0", "a", "[1.2.3.4]"};
	char text[ADDRESS_TEXT];
	union address a;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(address_parse(bad[i], 1, &a), ERR_FORMAT);
	assert_int_equal(address_parse("192.0.2.1", 9443, &a), 0);
	address_text(&a, text);
	assert_string_equal(text, "192.0.2.1:9443");
	assert_int_equal(address_parse("[2001:db8::1]", 1, &a), 0);
	address_text(&a, text);
	assert_string_equal(text, "[2001:db8::1]:1");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_odd_families),
	    cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
