/* SPDX-License-Identifier: ISC */
/* Responses, to HEAD (first byte odd), to a request to
 * upgrade (2), or to others: whole and byte by byte agree
 * on heads, bodies and the end. */
#include "egress/http/h1_parse.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	int err;
	unsigned heads, ends, status;
	uint64_t body, fields, length;
};

static struct seen
look(struct span all, bool to_head, bool upgrade, size_t piece)
{
	enum h1_event e = H1_MORE;
	struct seen s = {0};
	struct span body;
	struct h1 *p;

	MUST(h1_new(H1_RESPONSE, &p) == 0);
	if (upgrade)
		h1_start_upgrade(p);
	else
		h1_start(p, to_head);
	while (s.err == 0 && all.n > 0 && s.ends == 0) {
		struct span in = span_of(all.p, piece < all.n ? piece : all.n);
		size_t had = in.n;
		do {
			s.err = h1_next(p, &in, &e, &body);
			if (s.err == 0 && e == H1_HEAD) {
				s.heads++;
				s.status = h1_head(p)->status;
				s.fields += h1_head(p)->n_fields;
				s.length = h1_head(p)->length;
			}
			if (s.err == 0)
				s.body += body.n;
			s.ends += s.err == 0 && e == H1_END;
		} while (s.err == 0 && e != H1_MORE && e != H1_END);
		all = span_from(all, had);
	}
	if (s.err == 0 && s.ends == 0 && (s.err = h1_eof(p, &e)) == 0)
		s.ends += e == H1_END;
	h1_free(p);
	return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct span in = span_of(data + 1, size - 1);
	bool to_head = (data[0] & 3) == 1, up = (data[0] & 2) != 0;
	struct seen a = look(in, to_head, up, size),
		    b = look(in, to_head, up, 1);

	MUST((a.err == 0) == (b.err == 0));
	if (a.err != 0)
		return 0;
	MUST(a.heads == b.heads && a.ends == b.ends && a.body == b.body);
	MUST(a.fields == b.fields && a.status == b.status);
	MUST(!to_head || a.body == 0);
	MUST(a.ends == 0 || a.status >= 200);
	return 0;
}
