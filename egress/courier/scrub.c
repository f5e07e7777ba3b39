/* SPDX-License-Identifier: ISC */
/* What for: finding secrets in a stream (Aho and Corasick, 1975). Trusts:
 * nothing. At a bound: an error, and the caller stops sending. */
#include "egress/courier/scrub.h"

#include <sodium.h>
#include <stdlib.h>

/* About 28 KiB of secrets in all their forms; an ordinary user has 8 MiB
 * of locked memory. */
#define NODES_MAX (160 * 1024)
#define CHUNK (32 * 1024)
#define FORM_MAX (4 * KEEP_MAX)

/* A trie whose children are a linked list; 0 is the root and "none". */
struct node {
	uint32_t child, sibling;
	uint32_t fail;
	uint32_t depth;
	uint32_t match; /* length of the longest form that ends here */
	uint8_t byte;
};

struct scrub_set {
	unsigned holds;
	struct node *nodes;
	uint32_t n, size;
	uint32_t root[256]; /* the root's children, directly */
	uint32_t longest;
};

struct scrub {
	struct scrub_set *set;
	struct buf *held;
	uint32_t state;
};

int
scrub_set_new(struct scrub_set **out)
{
	struct scrub_set *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ERR_NOMEM;
	s->holds = 1;
	s->n = 1;
	*out = s;
	return 0;
}

struct scrub_set *
scrub_set_hold(struct scrub_set *s)
{
	s->holds++;
	return s;
}

void
scrub_set_free(struct scrub_set *s)
{
	if (s == NULL || --s->holds > 0)
		return;
	sodium_free(s->nodes); /* wipes */
	free(s);
}

static int
grow(struct scrub_set *s)
{
	uint32_t size = s->size == 0 ? 1024 : s->size * 2;

	if (size > NODES_MAX)
		size = NODES_MAX;
	if (s->n == size)
		return ERR_TOO_BIG;
	struct node *p = sodium_malloc(size * sizeof(*p));
	if (p == NULL || sodium_mlock(p, size * sizeof(*p)) != 0) {
		sodium_free(p);
		return ERR_NOMEM;
	}
	memset(p, 0, size * sizeof(*p));
	if (s->size != 0)
		memcpy(p, s->nodes, s->n * sizeof(*p));
	sodium_free(s->nodes);
	s->nodes = p;
	s->size = size;
	return 0;
}

static uint32_t
child_of(const struct scrub_set *s, uint32_t at, uint8_t byte)
{
	if (at == 0)
		return s->root[byte];
	uint32_t c = s->nodes[at].child;
	while (c != 0 && s->nodes[c].byte != byte)
		c = s->nodes[c].sibling;
	return c;
}

static int
add_child(struct scrub_set *s, uint32_t at, uint8_t byte, uint32_t *out)
{
	int r = s->n >= s->size ? grow(s) : 0;

	if (r != 0)
		return r;
	uint32_t c = s->n++;
	s->nodes[c].byte = byte;
	s->nodes[c].depth = s->nodes[at].depth + 1;
	s->nodes[c].sibling = s->nodes[at].child;
	s->nodes[at].child = c;
	if (at == 0)
		s->root[byte] = c;
	*out = c;
	return 0;
}

static int
add_form(struct scrub_set *s, struct span form)
{
	uint32_t at = 0;
	int r;

	for (size_t i = 0; i < form.n; i++) {
		uint32_t c = child_of(s, at, form.p[i]);
		if (c == 0 && (r = add_child(s, at, form.p[i], &c)) != 0)
			return r;
		at = c;
	}
	if (form.n > s->nodes[at].match)
		s->nodes[at].match = (uint32_t)form.n;
	if (form.n > s->longest)
		s->longest = (uint32_t)form.n;
	return 0;
}

static bool
unreserved(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

/* Writers of one form each: secret in, form appended to out. */
static int
put_raw(struct span in, struct buf *out)
{
	return buf_put_span(out, in);
}

static int
put_hex_of(struct span in, struct buf *out, const char *digits)
{
	int r = 0;

	for (size_t i = 0; i < in.n && r == 0; i++) {
		char two[2] = {digits[in.p[i] >> 4], digits[in.p[i] & 15]};
		r = buf_put(out, two, 2);
	}
	return r;
}

static int
put_hex(struct span in, struct buf *out)
{
	return put_hex_of(in, out, "0123456789abcdef");
}

static int
put_hex_upper(struct span in, struct buf *out)
{
	return put_hex_of(in, out, "0123456789ABCDEF");
}

static int
put_percent_of(
    struct span in, struct buf *out, int (*hex)(struct span, struct buf *))
{
	int r = 0;

	for (size_t i = 0; i < in.n && r == 0; i++) {
		if (unreserved(in.p[i]))
			r = buf_put_u8(out, in.p[i]);
		else if ((r = buf_put_u8(out, '%')) == 0)
			r = hex(span_of(in.p + i, 1), out);
	}
	return r;
}

static int
put_percent(struct span in, struct buf *out)
{
	return put_percent_of(in, out, put_hex_upper);
}

static int
put_percent_lower(struct span in, struct buf *out)
{
	return put_percent_of(in, out, put_hex);
}

static int
put_json_of(struct span in, struct buf *out, const char *escaped)
{
	int r = 0;

	for (size_t i = 0; i < in.n && r == 0; i++) {
		if (in.p[i] != 0 && strchr(escaped, in.p[i]) != NULL)
			r = buf_put_u8(out, '\\');
		if (r == 0)
			r = buf_put_u8(out, in.p[i]);
	}
	return r;
}

static int
put_json(struct span in, struct buf *out)
{
	return put_json_of(in, out, "\"\\");
}

static int
put_json_slash(struct span in, struct buf *out)
{
	return put_json_of(in, out, "\"\\/");
}

typedef int form_writer(struct span in, struct buf *out);
static form_writer *const writers[] = {put_raw, put_hex, put_hex_upper,
    put_percent, put_percent_lower, put_json, put_json_slash};

static int
add_written(struct scrub_set *s, struct span secret, struct buf *tmp)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
		buf_reset(tmp);
		if ((r = writers[i](secret, tmp)) != 0 ||
		    (r = add_form(s, buf_span(tmp))) != 0)
			return r;
	}
	return 0;
}

/* The secret as it shows in base64 when `before` bytes stand ahead of it in
 * its group of three: without the characters shared with neighbours. */
static int
add_base64(struct scrub_set *s, struct span secret, size_t before, int variant,
    struct buf *tmp)
{
	static const size_t shared[] = {0, 2, 3};
	uint8_t *plain, *text;
	size_t n = secret.n + before;
	size_t room = sodium_base64_encoded_len(n, variant);
	int r;

	buf_reset(tmp);
	if ((r = buf_reserve(tmp, n + room, &plain)) != 0)
		return r;
	memset(plain, 0, before);
	memcpy(plain + before, secret.p, secret.n);
	text = plain + n;
	buf_claim(tmp, n + room);
	if (sodium_bin2base64((char *)text, room, plain, n, variant) == NULL)
		return ERR_FORMAT;
	size_t whole = n % 3 == 0 ? n / 3 * 4 : n / 3 * 4 + n % 3;
	return add_form(
	    s, span_of(text + shared[before], whole - shared[before]));
}

static int
add_all(struct scrub_set *s, struct span secret, struct buf *tmp)
{
	int r = add_written(s, secret, tmp);

	for (size_t before = 0; before < 3 && r == 0; before++) {
		r = add_base64(
		    s, secret, before, sodium_base64_VARIANT_ORIGINAL, tmp);
		if (r == 0)
			r = add_base64(s, secret, before,
			    sodium_base64_VARIANT_URLSAFE, tmp);
	}
	return r;
}

int
scrub_set_add(struct scrub_set *s, const struct keep *secret)
{
	if (keep_len(secret) < SCRUB_MIN)
		return 0;
	struct buf *tmp = buf_new_locked(FORM_MAX);
	int r = tmp == NULL ? ERR_NOMEM : s->size == 0 ? grow(s) : 0;
	if (r == 0)
		r = add_all(s, keep_reveal(secret), tmp);
	buf_free(tmp);
	return r;
}

static void
link_node(struct scrub_set *s, uint32_t parent, uint32_t c)
{
	struct node *n = &s->nodes[c];
	uint32_t f = s->nodes[parent].fail, to = 0;

	if (parent != 0) {
		while ((to = child_of(s, f, n->byte)) == 0 && f != 0)
			f = s->nodes[f].fail;
	}
	n->fail = to;
	if (s->nodes[to].match > n->match)
		n->match = s->nodes[to].match;
}

/* Fail links by breadth: a node's are made after all shallower ones. */
int
scrub_set_seal(struct scrub_set *s)
{
	uint32_t *queue = calloc(s->n, sizeof(*queue));
	uint32_t head = 0, tail = 0;

	if (queue == NULL)
		return ERR_NOMEM;
	if (s->size != 0)
		queue[tail++] = 0;
	while (head < tail) {
		uint32_t at = queue[head++];
		for (uint32_t c = s->nodes[at].child; c != 0;
		     c = s->nodes[c].sibling) {
			link_node(s, at, c);
			queue[tail++] = c;
		}
	}
	free(queue);
	return 0;
}

int
scrub_new(struct scrub_set *set, struct scrub **out)
{
	struct scrub *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return ERR_NOMEM;
	if ((s->held = buf_new_locked(set->longest + CHUNK)) == NULL) {
		free(s);
		return ERR_NOMEM;
	}
	s->set = scrub_set_hold(set);
	*out = s;
	return 0;
}

void
scrub_free(struct scrub *s)
{
	if (s == NULL)
		return;
	buf_free(s->held);
	scrub_set_free(s->set);
	free(s);
}

static uint32_t
step(const struct scrub_set *s, uint32_t at, uint8_t byte)
{
	uint32_t c;

	while ((c = child_of(s, at, byte)) == 0 && at != 0)
		at = s->nodes[at].fail;
	return c;
}

static int
let_out(struct scrub *s, size_t n, struct buf *out)
{
	int r = buf_put(out, buf_span(s->held).p, n);

	if (r == 0)
		buf_consume(s->held, n);
	return r;
}

static int
run_chunk(struct scrub *s, struct span in, struct buf *out)
{
	size_t old = buf_len(s->held);
	uint8_t *p;
	int r;

	if ((r = buf_reserve(s->held, in.n, &p)) != 0)
		return r;
	memcpy(p, in.p, in.n);
	buf_claim(s->held, in.n);
	p = (uint8_t *)(uintptr_t)buf_span(s->held).p;
	for (size_t i = 0; i < in.n; i++) {
		s->state = step(s->set, s->state, in.p[i]);
		if (s->state == 0)
			continue;
		size_t end = old + i + 1, m = s->set->nodes[s->state].match;
		m = m > end ? end : m; /* the rest was let go */
		memset(p + end - m, '*', m);
	}
	size_t n = buf_len(s->held);
	size_t keep = s->state == 0 ? 0 : s->set->nodes[s->state].depth;
	return keep >= n ? 0 : let_out(s, n - keep, out);
}

int
scrub_run(struct scrub *s, struct span in, struct buf *out)
{
	int r = 0;

	if (s->set->size == 0)
		return buf_put_span(out, in);
	while (in.n > 0 && r == 0) {
		size_t n = in.n < CHUNK ? in.n : CHUNK;
		r = run_chunk(s, span_of(in.p, n), out);
		in = span_from(in, n);
	}
	return r;
}

int
scrub_end(struct scrub *s, struct buf *out)
{
	s->state = 0;
	return let_out(s, buf_len(s->held), out);
}

int
scrub_idle(struct scrub *s, struct buf *out)
{
	size_t n = buf_len(s->held);

	return n > SCRUB_LET_GO ? 0 : let_out(s, n, out);
}

size_t
scrub_held(const struct scrub *s)
{
	return buf_len(s->held);
}

int
scrub_text(struct scrub_set *set, struct span in, struct buf *out)
{
	struct scrub *s = NULL;
	int r;

	if (set->size == 0)
		return buf_put_span(out, in);
	if ((r = scrub_new(set, &s)) == 0 && (r = scrub_run(s, in, out)) == 0)
		r = scrub_end(s, out);
	scrub_free(s);
	return r;
}
