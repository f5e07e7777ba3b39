/* SPDX-License-Identifier: ISC */
/* The scrubber: cut anywhere, what comes out is what the slow model says;
 * with pauses, no more than that is overwritten and at most eight bytes of
 * an occurrence are let go; the filter finds the same without vectors. */
#include "egress/courier/scrub.h"
#include "egress/courier/scrub_filter.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/courier/scrub_model.h"

static const char secret[] = "abcabd+abc/ab%41 \\";

struct set {
	struct scrub_set *set;
	struct filter *filter;
	struct model model;
};

static void
make_set(struct set *s)
{
	struct keep *k = NULL;

	MUST(sodium_init() >= 0);
	MUST(scrub_set_new(&s->set) == 0);
	MUST(keep_new(secret, sizeof(secret) - 1, &k) == 0);
	MUST(scrub_set_add(s->set, k) == 0);
	MUST(scrub_set_seal(s->set) == 0);
	keep_free(k);
	make_model(&s->model, (const uint8_t *)secret, sizeof(secret) - 1);
	MUST(filter_new(&s->filter) == 0);
	for (size_t i = 0; i < s->model.n; i++)
		filter_add(
		    s->filter, span_of(s->model.form[i].b, s->model.form[i].n));
}

static void
run(struct scrub_set *set, struct span in, size_t step, bool idle,
    struct buf *out)
{
	struct scrub *s = NULL;
	size_t at = 0;

	MUST(scrub_new(set, &s) == 0);
	while (at < in.n) {
		size_t n = step < in.n - at ? step : in.n - at;
		MUST(scrub_run(s, span_of(in.p + at, n), out) == 0);
		at += n;
		if (idle)
			MUST(scrub_idle(s, out) == 0);
		MUST(buf_len(out) + scrub_held(s) == at);
	}
	MUST(scrub_end(s, out) == 0);
	MUST(buf_len(out) == in.n);
	scrub_free(s);
}

static void
check_idle(struct span in, const uint8_t *got, const uint8_t *want,
    const uint16_t *ends)
{
	for (size_t i = 0; i < in.n; i++) {
		MUST(got[i] == in.p[i] || want[i] == '*');
		size_t shown = 0;
		for (size_t k = i; k < ends[i]; k++)
			shown += got[k] != '*';
		MUST(shown <= SCRUB_LET_GO || in.p[i] == '*');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct set set;
	static uint8_t want[4096];
	static uint16_t ends[4096];
	size_t look1, look2;

	if (set.set == NULL)
		make_set(&set);
	if (size < 2 || size > sizeof(want))
		return 0;
	size_t step = data[0] % 64 + 1;
	bool idle = (data[0] & 0x80) != 0;
	struct span in = span_of(data + 1, size - 1);
	struct buf *out = buf_new(size);
	MUST(out != NULL);
	run(set.set, in, step, idle, out);
	(void)model_run(&set.model, in.p, in.n, want, ends);
	if (idle)
		check_idle(in, buf_span(out).p, want, ends);
	else
		MUST(memcmp(buf_span(out).p, want, in.n) == 0);
	size_t at = filter_skip(set.filter, in.p, in.n, &look1);
	MUST(filter_skip_portable(set.filter, in.p, in.n, &look2) == at);
	MUST(look1 == look2 && at <= look1 && look1 <= in.n);
	buf_free(out);
	return 0;
}
