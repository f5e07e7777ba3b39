/* SPDX-License-Identifier: ISC */
/* The scrubber against a model that is slow and plain. What the model calls an
 * occurrence is overwritten, nothing else is, and what is held is what may
 * still become one. HATCHECK_SCRUB_CASES: how many random texts (10000). */
#include "egress/courier/scrub.h"
#include "egress/courier/scrub_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sodium.h>
#include <cmocka.h>

#include "tests/unit/courier/scrub_model.h"

#define SECRETS_MAX 4
#define TEXT_MAX 1200

static uint64_t seed = 0x1234567;

static unsigned
rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static const char *const alphabets[] = {"ab", "a%5C1", "\\/\"ubn a", "0123",
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/-_",
    "\xc3\xa9x", "ab+ %2B", "-_+/=Zz0"};

static size_t
make_secret(uint8_t *out)
{
	const char *abc = alphabets[rnd(8)];
	size_t n = 12 + rnd(rnd(4) == 0 ? 24 : 6);

	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)abc[rnd((unsigned)strlen(abc))];
	if (rnd(8) == 0)
		memcpy(out + rnd((unsigned)n - 4), "\xf0\x9f\x98\x80", 4);
	if (rnd(8) == 0)
		memcpy(out + rnd((unsigned)n - 4), "\xc3\xa9", 2);
	return n;
}

struct text {
	size_t n;
	uint8_t b[TEXT_MAX];
};

static void
put(struct text *t, const void *p, size_t n)
{
	n = n < TEXT_MAX - t->n ? n : TEXT_MAX - t->n;
	memcpy(t->b + t->n, p, n);
	t->n += n;
}

/* A form, or a beginning or a middle of it, in a mix of writings. */
static void
put_form(struct text *t, const struct model *m)
{
	size_t f = rnd((unsigned)m->n), n = m->form[f].n, from = 0;
	unsigned plain = rnd(3) * 8;

	if (rnd(3) == 0)
		n = rnd((unsigned)n) + 1;
	if (rnd(4) == 0)
		from = rnd((unsigned)n);
	while (from < n) {
		size_t k = m->form[f].n_ways[from];
		const struct way *w =
		    &m->form[f]
			 .ways[from]
			      [rnd(plain + 1) == 0 ? rnd((unsigned)k) : 0];
		char c[16];
		for (size_t i = 0; i < w->n; i++) {
			bool up = w->n >= 3 && w->text[i] >= 'a' &&
				  w->text[i] <= 'f' && rnd(2) == 0;
			c[i] = (char)(w->text[i] - (up ? 0x20 : 0));
		}
		put(t, c, w->n);
		from += w->chars;
	}
}

static void
make_text(struct text *t, const struct model *m)
{
	static const char *const bits[] = {"%", "\\", "%4", "\\u", "\\u00",
	    "\\\\", "%25", "%5c", "\\ud83d", "+", "\"", "1"};
	size_t want = rnd(3) == 0 ? TEXT_MAX - 300 : rnd(200) + 1;

	t->n = 0;
	while (t->n < want) {
		unsigned kind = rnd(8);
		if (kind < 3) {
			put_form(t, m);
		} else if (kind < 6) {
			const char *s = bits[rnd(12)];
			put(t, s, strlen(s));
		} else {
			uint8_t noise[64];
			size_t n = rnd(64);
			for (size_t i = 0; i < n; i++)
				noise[i] = (uint8_t)(kind == 6 ? rnd(256)
							       : 'a' + rnd(26));
			put(t, noise, n);
		}
	}
}

static bool
is_ascii(const struct model *m)
{
	for (size_t f = 0; f < m->n; f++) {
		for (size_t i = 0; i < m->form[f].n; i++) {
			if (m->form[f].b[i] >= 0x80)
				return false;
		}
	}
	return true;
}

static size_t
next_piece(size_t left)
{
	size_t n = rnd(4) == 0 ? left : rnd(rnd(2) == 0 ? 8 : 200) + 1;

	return n < left ? n : left;
}

static void
check_held(const struct model *m, const struct text *t, size_t n, size_t held)
{
	static uint8_t unused[TEXT_MAX];
	size_t begun = model_run(m, t->b, n, unused, NULL);

	/* Of characters over 0x7f a little more may be held. */
	if (is_ascii(m) ? held != n - begun : held < n - begun)
		fail_msg("%zu bytes in: %zu held, not %zu", n, held, n - begun);
}

static void
check_case(struct scrub_set *set, const struct model *m, const struct text *t)
{
	static uint8_t want[TEXT_MAX];
	struct buf *out = buf_new(TEXT_MAX);
	struct scrub *s;
	size_t at = 0;

	model_run(m, t->b, t->n, want, NULL);
	assert_int_equal(scrub_new(set, &s), 0);
	while (at < t->n) {
		size_t n = next_piece(t->n - at);
		assert_int_equal(scrub_run(s, span_of(t->b + at, n), out), 0);
		at += n;
		assert_int_equal(buf_len(out) + scrub_held(s), at);
		if (rnd(16) == 0)
			check_held(m, t, at, scrub_held(s));
	}
	assert_int_equal(scrub_end(s, out), 0);
	if (!span_eq(buf_span(out), span_of(want, t->n)))
		fail_msg("not as the model says:\n%.*s\n%.*s\n%.*s", (int)t->n,
		    t->b, (int)t->n, buf_span(out).p, (int)t->n, want);
	scrub_free(s);
	buf_free(out);
}

/* With pauses: at most eight bytes of an occurrence, its first, come out. */
static void
check_idle(struct scrub_set *set, const struct model *m, const struct text *t)
{
	static uint8_t want[TEXT_MAX];
	static uint16_t ends[TEXT_MAX];
	struct buf *out = buf_new(TEXT_MAX);
	struct scrub *s;
	size_t at = 0;

	model_run(m, t->b, t->n, want, ends);
	assert_int_equal(scrub_new(set, &s), 0);
	while (at < t->n) {
		size_t n = next_piece(t->n - at);
		n = n > 5 ? 5 : n;
		assert_int_equal(scrub_run(s, span_of(t->b + at, n), out), 0);
		assert_int_equal(scrub_idle(s, out), 0);
		at += n;
	}
	assert_int_equal(scrub_end(s, out), 0);
	const uint8_t *got = buf_span(out).p;
	for (size_t i = 0; i < t->n; i++) {
		if (got[i] != t->b[i] && want[i] != '*')
			fail_msg("overwritten at %zu", i);
		size_t shown = 0;
		for (size_t k = i; k < ends[i]; k++)
			shown += got[k] != '*';
		if (shown > SCRUB_LET_GO && t->b[i] != '*')
			fail_msg("%zu bytes let go at %zu", shown, i);
	}
	scrub_free(s);
	buf_free(out);
}

/* Texts in a row are clean when, and only when, each of them alone is. */
static void
check_row(struct scrub_set *set, const struct model *m)
{
	static struct text t;
	struct buf *row = buf_new(1 << 16), *out = buf_new(1 << 16);
	bool clean = true;

	for (unsigned i = rnd(4); i < 4; i++) {
		make_text(&t, m);
		struct span s = span_of(t.b, rnd((unsigned)t.n + 1));
		if (memchr(s.p, '\n', s.n) != NULL)
			continue;
		buf_reset(out);
		assert_int_equal(scrub_text(set, s, out), 0);
		clean = clean && span_eq(buf_span(out), s);
		assert_int_equal(buf_put_span(row, s), 0);
		assert_int_equal(buf_put_u8(row, '\n'), 0);
	}
	assert_int_equal(scrub_is_clean(set, buf_span(row)), clean);
	buf_free(row);
	buf_free(out);
}

static struct scrub_set *
make_set(struct model *m)
{
	size_t n = 1 + rnd(SECRETS_MAX);
	struct scrub_set *set;

	m->n = 0;
	assert_int_equal(scrub_set_new(&set), 0);
	for (size_t i = 0; i < n; i++) {
		uint8_t plain[64];
		size_t len = make_secret(plain);
		struct keep *k;
		make_model(m, plain, len);
		assert_int_equal(keep_new(plain, len, &k), 0);
		assert_int_equal(scrub_set_add(set, k), 0);
		keep_free(k);
	}
	assert_int_equal(scrub_set_seal(set), 0);
	return set;
}

static unsigned
cases(void)
{
	const char *s = getenv("HATCHECK_SCRUB_CASES");

	return s == NULL ? 10000 : (unsigned)strtoul(s, NULL, 10);
}

static void
test_model(void **state)
{
	static struct model m;
	static struct text t;

	(void)state;
	for (unsigned i = 0; i < cases();) {
		struct scrub_set *set = make_set(&m);
		for (unsigned k = 0; k < 20; k++, i++) {
			make_text(&t, &m);
			check_case(set, &m, &t);
			if (k % 4 == 0)
				check_idle(set, &m, &t);
			check_row(set, &m);
		}
		scrub_set_free(set);
	}
}

/* Both filters say the same, and do not skip the beginning of a form. */
static void
test_filters(void **state)
{
	static struct model m;
	static struct text t;
	uint8_t secret[64];

	(void)state;
	for (unsigned i = 0; i < cases() / 4; i++) {
		struct filter *f;
		size_t look1, look2;
		m.n = 0;
		make_model(&m, secret, make_secret(secret));
		assert_int_equal(filter_new(&f), 0);
		for (size_t k = 0; k < m.n; k++)
			filter_add(f, span_of(m.form[k].b, m.form[k].n));
		t.n = 0;
		while (t.n < 300 + rnd(64))
			put(&t, rnd(2) == 0 ? "filler" : "%41+\\n\\u0041", 6);
		size_t at = t.n;
		while (t.n < at + 300)
			put_form(&t, &m);
		size_t a = filter_skip(f, t.b, t.n, &look1);
		assert_int_equal(filter_skip_portable(f, t.b, t.n, &look2), a);
		assert_int_equal(look1, look2);
		assert_in_range(look1, a, t.n);
		filter_free(f);
	}
}

/* A secret of nothing but writings, within writings: no end of ways, but
 * neither a leak nor a hang. */
static void
test_ways(void **state)
{
	static const char *const secrets[] = {"%25%25%25%25%25%25%25%25",
	    "\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\\", "%2525252525252525252525",
	    "\\u005cu005cu005cu005c"};
	struct scrub_set *set;
	struct buf *out = buf_new(1 << 20);
	struct scrub *s;

	(void)state;
	assert_int_equal(scrub_set_new(&set), 0);
	for (size_t i = 0; i < 4; i++) {
		struct keep *k;
		assert_int_equal(
		    keep_new(secrets[i], strlen(secrets[i]), &k), 0);
		assert_int_equal(scrub_set_add(set, k), 0);
		keep_free(k);
	}
	assert_int_equal(scrub_set_seal(set), 0);
	assert_int_equal(scrub_new(set, &s), 0);
	for (size_t i = 0; i < 2000; i++) {
		const char *bit = secrets[rnd(4)];
		int r = scrub_run(
		    s, span_of(bit, rnd((unsigned)strlen(bit)) + 1), out);
		assert_true(r == 0 || r == ERR_TOO_BIG);
		if (r != 0)
			break;
	}
	struct span got = buf_span(out);
	for (size_t i = 0; i < 4 && got.n > 0; i++)
		assert_null(
		    memmem(got.p, got.n, secrets[i], strlen(secrets[i])));
	scrub_free(s);
	scrub_set_free(set);
	buf_free(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_model),
	    cmocka_unit_test(test_filters),
	    cmocka_unit_test(test_ways),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
