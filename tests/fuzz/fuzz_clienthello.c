/* SPDX-License-Identifier: ISC */
/* ClientHellos: what is accepted has a canonical name, needs all of its
 * bytes, and is not changed by what follows it. */
#include "egress/gate/clienthello.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct clienthello c, d;
	struct host h;

	if (clienthello_parse(span_of(data, size), &c) != 0)
		return 0;
	if (c.has_sni) {
		MUST(host_parse(span_str(c.sni.name), &h) == 0);
		MUST(strcmp(h.name, c.sni.name) == 0);
	}
	for (size_t n = 0; n < size; n += 7) {
		int r = clienthello_parse(span_of(data, n), &d);
		MUST(r == 0 || r == ERR_TRUNCATED);
	}
	return 0;
}
