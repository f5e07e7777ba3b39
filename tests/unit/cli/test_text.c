/* SPDX-License-Identifier: ISC */
/* What for: foreign text is harmless when shown (requirement 40), tables
 * are aligned. */
#include "cli/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void
test_every_byte(void **state)
{
	char out[16];

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		uint8_t c = (uint8_t)i;
		text_escape(span_of(&c, 1), false, out, sizeof(out));
		if (c >= 0x20 && c < 0x7f)
			assert_int_equal((uint8_t)out[0], c);
		else
			assert_memory_equal(out, "\\x", 2);
	}
	text_escape(span_str("a\nb"), true, out, sizeof(out));
	assert_string_equal(out, "a\nb");
	text_escape(span_str("a\nb"), false, out, sizeof(out));
	assert_string_equal(out, "a\\x0ab");
}

static void
test_unicode(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
	    {"Gr\xc3\xbc\xc3\x9f"
	     "e",
		"Gr\xc3\xbc\xc3\x9f"
		"e"},
	    {"\xe6\x97\xa5", "\xe6\x97\xa5"},
	    {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
	    {"\xe2\x80\xae"
	     "evil",
		"\\xe2\\x80\\xae"
		"evil"},			 /* RLO */
	    {"\xe2\x80\x8b", "\\xe2\\x80\\x8b"}, /* zero width */
	    {"\xc2\x9b"
	     "31m",
		"\\xc2\\x9b"
		"31m"},				 /* C1 CSI */
	    {"\xc0\xaf", "\\xc0\\xaf"},		 /* overlong */
	    {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* surrogate */
	    {"\xe6\x97", "\\xe6\\x97"},		 /* cut short */
	    {"\x1b[2J", "\\x1b[2J"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		text_escape(span_str(rows[i].in), false, out, sizeof(out));
		assert_string_equal(out, rows[i].out);
	}
}

static void
test_cut(void **state)
{
	char out[6];

	(void)state;
	text_escape(span_str("abcdefgh"), false, out, sizeof(out));
	assert_string_equal(out, "abcde");
	text_escape(span_str("abcd\x01"), false, out, sizeof(out));
	assert_string_equal(out, "abcd"); /* no half escape */
	text_escape(span_str("abcd\xc3\xbc"), false, out, sizeof(out));
	assert_string_equal(out, "abcd"); /* no half character */
}

static void
test_table(void **state)
{
	static const char *const headings[] = {"NAME", "N", "NOTE", NULL};
	struct text_table *t = text_table_new(headings);
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	text_table_row(t, (const char *[]){"a-long-name", "1", "x"});
	text_table_row(t, (const char *[]){"\xc3\xbc", NULL, "\n"});
	assert_int_equal(text_table_print(t, f), 0);
	fclose(f);
	assert_string_equal(text, "NAME         N  NOTE\n"
				  "a-long-name  1  x\n"
				  "\xc3\xbc            -  \\x0a\n");
	free(text);
	text_table_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_byte),
	    cmocka_unit_test(test_unicode),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
