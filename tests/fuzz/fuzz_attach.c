/* SPDX-License-Identifier: ISC */
/* The attach line, Proxy-Authorization, and the guest API's forms. */
#include "egress/gate/attach.h"
#include "egress/gate/form.h"
#include "tests/fuzz/fuzz.h"

static void
line(struct span in)
{
	struct span token, shorter;
	size_t used = 0, n;

	if (attach_parse(in, &token, &used) != 0)
		return;
	MUST(used <= in.n && used <= 4096 && token.n + 9 == used);
	MUST(memcmp(in.p, "ATTACH ", 7) == 0 && in.p[used - 1] == '\n');
	/* Until its last byte is there it cannot be told. */
	for (n = 0; n < used; n++)
		MUST(attach_parse(span_of(in.p, n), &shorter, &used) ==
		     ERR_TRUNCATED);
}

static void
form(struct span in)
{
	struct form_field f[] = {{"grant_type"}, {"subject_token"}, {"token"}};
	struct buf *out = buf_new(1 << 16);

	MUST(out != NULL);
	if (form_parse(in, f, 3, out) == 0) {
		for (size_t i = 0; i < 3; i++)
			MUST(f[i].value.n == 0 ||
			     memchr(f[i].value.p, 0, f[i].value.n) == NULL);
	}
	buf_free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	char token[ATTACH_TOKEN_MAX + 1];

	line(in);
	form(in);
	if (attach_from_header(in, token) == 0)
		MUST(strlen(token) <= ATTACH_TOKEN_MAX &&
		     strpbrk(token, " \r\n:/") == NULL);
	return 0;
}
