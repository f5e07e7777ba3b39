/* SPDX-License-Identifier: ISC */
/* What for: one message head as typed values, for both sides and versions.
 * Trusts: nothing; every name and value added is checked.
 * At a bound: ERR_TOO_BIG, and the head is as before. */
#include "egress/http/head.h"

#include "messages/traffic.h"

#include <stdlib.h>

#define BLOCK_MIN 2048

struct head_block {
	struct head_block *next;
	size_t size, used;
	uint8_t bytes[];
};

/* Hop-by-hop whatever Connection says. */
static const char *const hop_by_hop[] = {"connection", "keep-alive",
    "proxy-connection", "proxy-authorization", "proxy-authenticate",
    "proxy-authentication-info", "te", "trailer", "upgrade", "http2-settings",
    NULL};

/* Framing: members of struct head, never fields of it. */
static const char *const framing[] = {
    "content-length", "transfer-encoding", NULL};

/* What Connection may not name: stripping it would change what the request
 * means or who it comes from. */
static const char *const unstrippable[] = {"host", "authorization", "cookie",
    "set-cookie", "expect", "range", "date", "age", "cache-control", "vary",
    "content-encoding", "content-type", "content-range", "www-authenticate",
    "location", "origin", "sec-fetch-site", "content-length",
    "transfer-encoding", NULL};

/* RFC 9110, 6.5.1: framing, routing, modifiers, authentication, content. */
static const char *const not_in_trailers[] = {"content-length",
    "transfer-encoding", "host", "trailer", "te", "connection", "keep-alive",
    "upgrade", "http2-settings", "expect", "range", "max-forwards",
    "cache-control", "pragma", "if-match", "if-none-match", "if-modified-since",
    "if-unmodified-since", "if-range", "authorization", "proxy-authorization",
    "proxy-authenticate", "proxy-connection", "www-authenticate",
    "authentication-info", "proxy-authentication-info", "cookie", "set-cookie",
    "age", "date", "expires", "location", "retry-after", "vary", "warning",
    "content-encoding", "content-type", "content-range", NULL};

static bool
is_one_of(struct span s, const char *const *list)
{
	for (; *list != NULL; list++) {
		if (span_is(s, *list))
			return true;
	}
	return false;
}

static bool
is_tchar(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool
head_is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_tchar(s.p[i]))
			return false;
	}
	return s.n > 0;
}

bool
head_is_name(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_tchar(s.p[i]) || (s.p[i] >= 'A' && s.p[i] <= 'Z'))
			return false;
	}
	return s.n > 0;
}

bool
head_is_value(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	}
	return s.n == 0 ||
	       (s.p[0] > ' ' && s.p[s.n - 1] > ' '); /* HTAB is below SP */
}

bool
head_list_next(struct span *list, struct span *member)
{
	while (list->n > 0) {
		size_t n = 0, end;

		while (n < list->n && list->p[n] != ',')
			n++;
		struct span m = span_of(list->p, n);
		*list = span_from(*list, n + 1);
		for (end = m.n; end > 0 && m.p[end - 1] <= ' '; end--)
			;
		m.n = end;
		while (m.n > 0 && m.p[0] <= ' ')
			m = span_from(m, 1);
		if (m.n > 0) {
			*member = m;
			return true;
		}
	}
	return false;
}

void
head_init(struct head *h)
{
	memset(h, 0, offsetof(struct head, fields));
	h->blocks = NULL;
	h->block_bytes = 0;
}

void
head_clear(struct head *h)
{
	struct head_block *b = h->blocks;

	while (b != NULL) {
		struct head_block *next = b->next;
		buf_wipe(b->bytes, b->used);
		free(b);
		b = next;
	}
	head_init(h);
}

static struct head_block *
add_block(struct head *h, size_t n)
{
	size_t size = n > BLOCK_MIN ? n : BLOCK_MIN;
	struct head_block *b = malloc(sizeof(*b) + size);

	if (b == NULL)
		return NULL;
	*b = (struct head_block){.next = h->blocks, .size = size};
	h->blocks = b;
	return b;
}

int
head_copy(struct head *h, struct span s, struct span *out)
{
	struct head_block *b = h->blocks;

	if (s.n == 0) {
		*out = (struct span){0};
		return 0;
	}
	if (s.n > HEAD_BYTES_MAX - h->block_bytes)
		return ERR_TOO_BIG;
	if (b == NULL || b->size - b->used < s.n) {
		if ((b = add_block(h, s.n)) == NULL)
			return ERR_NOMEM;
	}
	memcpy(b->bytes + b->used, s.p, s.n);
	*out = span_of(b->bytes + b->used, s.n);
	b->used += s.n;
	h->block_bytes += s.n;
	return 0;
}

int
head_add_borrowed(struct head *h, struct span name, struct span value)
{
	if (!head_is_name(name) || !head_is_value(value))
		return ERR_ARGUMENT;
	if (h->n_fields == HEAD_FIELDS_MAX)
		return ERR_TOO_BIG;
	h->fields[h->n_fields++] =
	    (struct head_field){.name = name, .value = value};
	return 0;
}

int
head_add(struct head *h, struct span name, struct span value)
{
	struct span n, v;
	int r;

	if (h->n_fields == HEAD_FIELDS_MAX)
		return ERR_TOO_BIG;
	if ((r = head_copy(h, name, &n)) != 0 ||
	    (r = head_copy(h, value, &v)) != 0)
		return r;
	return head_add_borrowed(h, n, v);
}

size_t
head_count(const struct head *h, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_fields; i++)
		n += span_is(h->fields[i].name, name);
	return n;
}

bool
head_get(const struct head *h, const char *name, struct span *value)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		if (!span_is(h->fields[i].name, name))
			continue;
		if (value != NULL)
			*value = h->fields[i].value;
		return true;
	}
	return false;
}

size_t
head_remove(struct head *h, struct span name)
{
	size_t kept = 0, n = h->n_fields;

	for (size_t i = 0; i < n; i++) {
		if (!span_eq(h->fields[i].name, name))
			h->fields[kept++] = h->fields[i];
	}
	h->n_fields = kept;
	return n - kept;
}

/* A Connection option in lower case, or false when it is no name. */
static bool
lower_option(struct span in, uint8_t out[static 128])
{
	if (in.n > 128 || !head_is_token(in))
		return false;
	for (size_t i = 0; i < in.n; i++) {
		uint8_t c = in.p[i];
		out[i] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
	}
	return true;
}

static bool
is_api_key(struct span name)
{
	return name.n > 2 && memcmp(name.p, "x-", 2) == 0;
}

static int
strip_named(struct head *h, struct span options)
{
	uint8_t low[128];
	struct span option;

	while (head_list_next(&options, &option)) {
		if (!lower_option(option, low))
			return ERR_FORMAT;
		struct span name = span_of(low, option.n);
		/* x-… too: an upstream's own authentication may hang on it,
		 * and no honest client names one here. */
		if (is_one_of(name, unstrippable) || is_api_key(name))
			return ERR_FORMAT;
		(void)head_remove(h, name); /* often not there */
	}
	return 0;
}

int
head_strip(struct head *h)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		if (!span_is(h->fields[i].name, "connection"))
			continue;
		struct span options = h->fields[i].value;
		size_t before = h->n_fields;
		int r = strip_named(h, options);
		if (r != 0)
			return r;
		if (h->n_fields != before)
			i = (size_t)-1; /* indices moved: once more */
	}
	for (const char *const *n = hop_by_hop; *n != NULL; n++)
		(void)head_remove(h, span_str(*n)); /* often not there */
	return 0;
}

static bool
connection_upgrades(const struct head *h)
{
	struct span list, option;

	for (size_t i = 0; i < h->n_fields; i++) {
		if (!span_is(h->fields[i].name, "connection"))
			continue;
		list = h->fields[i].value;
		while (head_list_next(&list, &option)) {
			if (span_caseeq(option, span_str("upgrade")))
				return true;
		}
	}
	return false;
}

bool
head_upgrades_to_websocket(const struct head *h)
{
	struct span upgrade;

	return head_count(h, "upgrade") == 1 &&
	       head_count(h, "http2-settings") == 0 &&
	       head_get(h, "upgrade", &upgrade) &&
	       span_caseeq(upgrade, span_str("websocket")) &&
	       connection_upgrades(h);
}

bool
head_forbidden_trailer(struct span name)
{
	return is_one_of(name, not_in_trailers);
}

int
head_pack(const struct head *h, struct buf *out)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		int r = headers_put(out, h->fields[i].name, h->fields[i].value);
		if (r != 0)
			return r;
	}
	return 0;
}

int
head_unpack(struct head *h, struct span packed)
{
	struct span name, value;
	int r;

	while ((r = headers_next(&packed, &name, &value)) == 0) {
		if (is_one_of(name, hop_by_hop) || is_one_of(name, framing))
			return ERR_FORMAT;
		if ((r = head_add(h, name, value)) != 0)
			return r == ERR_ARGUMENT ? ERR_FORMAT : r;
	}
	return r == ERR_NOT_FOUND ? 0 : r;
}
