/* SPDX-License-Identifier: ISC */
/* What for: skipping what is clean. Trusts: nothing. At a bound: it stops
 * skipping, and the automaton looks. */
#include "egress/courier/scrub_filter.h"

#include "egress/courier/scrub_forms.h"

#include <sodium.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define GROUP 5	 /* bytes */
#define STRIDE 8 /* groups per form */
#define BLOCK 64
#define BEFORE 11 /* an occurrence begins at most so far before a hit */
/* The longest run of bytes that a hit takes to be seen. */
#define AHEAD (GROUP * WRITING_MAX)

int
filter_new(struct filter **out)
{
	struct filter *f = sodium_malloc(sizeof(*f));

	if (f == NULL || sodium_mlock(f, sizeof(*f)) != 0) {
		sodium_free(f);
		return ERR_NOMEM;
	}
	memset(f, 0, sizeof(*f));
	*out = f;
	return 0;
}

void
filter_free(struct filter *f)
{
	sodium_free(f); /* wipes */
}

/* The first five bytes at p, of which eight can be read. */
static inline uint64_t
group_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return v << 24;
#else
	return v & ~(uint64_t)0xffffff;
#endif
}

static inline uint32_t
hash_one(uint64_t group)
{
	return (uint32_t)(group * 0x9e3779b97f4a7c15u >> (64 - FILTER_BITS1));
}

static inline uint32_t
hash_two(uint64_t group)
{
	return (uint32_t)((group >> 24) * 0xd6e8feb86659fd93u >>
			  (64 - FILTER_BITS2));
}

static inline uint32_t
bit(const uint32_t *bits, uint32_t at)
{
	return bits[at >> 5] >> (at & 31) & 1;
}

static void
set_bit(uint32_t *bits, uint32_t at)
{
	bits[at >> 5] |= (uint32_t)1 << (at & 31);
}

/* The letters after a backslash that may stand for c. */
static void
add_escape(struct filter *f, uint8_t c)
{
	struct writing w;
	uint8_t two[2] = {'\\', 'u'};

	set_bit(f->escapes, 'u');
	for (unsigned letter = 0; letter < 256; letter++) {
		two[1] = (uint8_t)letter;
		if (writing_begins(two, 2, &w) && w.alt[0].b[0] == c)
			set_bit(f->escapes, letter);
	}
}

void
filter_add(struct filter *f, struct span form)
{
	uint8_t first[STRIDE + 8] = {0};

	memcpy(first, form.p, FILTER_FORM_MIN);
	for (size_t i = 0; i < FILTER_FORM_MIN; i++) {
		set_bit(f->first, first[i]);
		add_escape(f, first[i]);
		f->plus = f->plus || first[i] == ' ';
		if (i > 0)
			set_bit(
			    f->pairs, (uint32_t)first[i - 1] << 8 | first[i]);
	}
	for (size_t i = 0; i < STRIDE; i++) {
		set_bit(f->one, hash_one(group_at(first + i)));
		set_bit(f->two, hash_two(group_at(first + i)));
	}
	sodium_memzero(first, sizeof(first));
}

static inline bool
is_pair(const struct filter *f, uint8_t a, uint8_t b)
{
	return bit(f->pairs, (uint32_t)a << 8 | b);
}

static bool
is_group(const struct filter *f, uint64_t group)
{
	return bit(f->one, hash_one(group)) && bit(f->two, hash_two(group));
}

/* Characters read so far, and the ways to read on. */
struct reading {
	uint8_t c[8];
	size_t n;
};

static bool reads_on(const struct filter *f, const uint8_t *p, size_t n,
    const struct reading *so_far);

static bool
may_follow(const struct filter *f, const struct reading *r, uint8_t c)
{
	return r->n == 0 ? bit(f->first, c) : is_pair(f, r->c[r->n - 1], c);
}

/* One more piece of n bytes at p stands for these characters. */
static bool
reads_as(const struct filter *f, const uint8_t *p, size_t n, size_t piece,
    const uint8_t *c, size_t n_c, struct reading r)
{
	for (size_t i = 0; i < n_c && r.n < GROUP; i++) {
		if (!may_follow(f, &r, c[i]))
			return false;
		r.c[r.n++] = c[i];
	}
	return r.n == GROUP ? is_group(f, group_at(r.c))
			    : reads_on(f, p + piece, n - piece, &r);
}

static bool
reads_writing(const struct filter *f, const uint8_t *p, size_t n,
    const struct reading *so_far)
{
	struct writing w;

	if (!writing_leads(p[0]) || !writing_begins(p, n, &w))
		return false;
	for (size_t i = 0; i < w.n_alts; i++) {
		if (reads_as(f, p, n, w.n, w.alt[i].b, w.alt[i].n, *so_far))
			return true;
	}
	return false;
}

static bool
reads_on(const struct filter *f, const uint8_t *p, size_t n,
    const struct reading *so_far)
{
	return n > 0 && (reads_as(f, p, n, 1, p, 1, *so_far) ||
			    reads_writing(f, p, n, so_far));
}

/* Four bytes, and what a writing at p stands for. */
static bool
reads_back(const struct filter *f, const uint8_t *p, uint8_t c)
{
	uint8_t five[8] = {p[-4], p[-3], p[-2], p[-1], c};

	return is_pair(f, p[-1], c) && is_group(f, group_at(five));
}

/* May the first writing of an occurrence be at p[at]? */
static bool
looks_at_lead(const struct filter *f, const uint8_t *p, size_t n, size_t at)
{
	static const struct reading none;
	struct writing w;

	if (!writing_begins(p + at, n - at, &w))
		return false;
	for (size_t i = 0; i < w.n_alts; i++) {
		const uint8_t *c = w.alt[i].b;
		if ((at >= 4 && reads_back(f, p + at, c[0])) ||
		    reads_as(f, p + at, n - at, w.n, c, w.alt[i].n, none))
			return true;
	}
	return false;
}

/* Most of what JSON escapes are quotes and line ends, in no secret. */
static inline bool
is_worth_it(const struct filter *f, const uint8_t *p)
{
	return p[0] != '\\' || bit(f->escapes, p[1]);
}

static size_t
first_lead(const struct filter *f, const uint8_t *p, size_t n, size_t at,
    uint64_t leads)
{
	for (; leads != 0; leads &= leads - 1) {
		size_t i = (size_t)__builtin_ctzll(leads);
		if (is_worth_it(f, p + at + i) &&
		    looks_at_lead(f, p, n, at + i))
			return i;
	}
	return BLOCK;
}

static size_t
first_sample(const struct filter *f, const uint8_t *p)
{
	for (size_t i = 0; i < BLOCK; i += STRIDE) {
		if (is_group(f, group_at(p + i)))
			return i;
	}
	return BLOCK;
}

static inline uint32_t
samples(const struct filter *f, const uint8_t *p)
{
	uint32_t any = 0;

	for (size_t i = 0; i < BLOCK; i += STRIDE)
		any |= bit(f->one, hash_one(group_at(p + i)));
	return any;
}

/* Where these three are in the block: a bit for each byte. */
static inline uint64_t
leads_portable(const uint8_t *p, uint8_t plus)
{
	uint64_t leads = 0;

	for (size_t i = 0; i < BLOCK; i++)
		leads |= (uint64_t)(p[i] == '%' || p[i] == '\\' || p[i] == plus)
			 << i;
	return leads;
}

#ifdef __SSE2__
static inline uint64_t
leads_vector(const uint8_t *p, uint8_t plus)
{
	const __m128i a = _mm_set1_epi8('%'), b = _mm_set1_epi8('\\'),
		      c = _mm_set1_epi8((char)plus);
	uint64_t leads = 0;

	for (size_t i = 0; i < BLOCK; i += 16) {
		__m128i v = _mm_loadu_si128((const void *)(p + i));
		__m128i any = _mm_or_si128(_mm_cmpeq_epi8(v, a),
		    _mm_or_si128(_mm_cmpeq_epi8(v, b), _mm_cmpeq_epi8(v, c)));
		leads |= (uint64_t)(uint32_t)_mm_movemask_epi8(any) << i;
	}
	return leads;
}
#else
#define leads_vector leads_portable
#endif

/* A hit at that offset: where to look from, and up to where at least. */
static size_t
found(size_t at, size_t *look)
{
	*look = at + 1;
	return at < BEFORE ? 0 : at - BEFORE;
}

static inline size_t
skip(const struct filter *f, const uint8_t *p, size_t n, size_t *look,
    uint64_t (*leads_in)(const uint8_t *, uint8_t))
{
	const uint8_t plus = f->plus ? '+' : '%';
	size_t at = 0;

	for (; n - at >= BLOCK + AHEAD; at += BLOCK) {
		uint64_t leads = leads_in(p + at, plus);
		size_t hit = BLOCK, sample = BLOCK;
		if (leads != 0)
			hit = first_lead(f, p, n, at, leads);
		if (samples(f, p + at) != 0)
			sample = first_sample(f, p + at);
		hit = sample < hit ? sample : hit;
		if (hit < BLOCK)
			return found(at + hit, look);
	}
	*look = n;
	return at < BEFORE ? 0 : at - BEFORE;
}

size_t
filter_skip(const struct filter *f, const uint8_t *p, size_t n, size_t *look)
{
	return skip(f, p, n, look, leads_vector);
}

size_t
filter_skip_portable(
    const struct filter *f, const uint8_t *p, size_t n, size_t *look)
{
	return skip(f, p, n, look, leads_portable);
}
