/* SPDX-License-Identifier: ISC */
/* What for: putting a credential into a request. Trusts: that decision.c
 * allowed exactly this. At a bound: an error, and nothing is sent. */
#include "egress/courier/attach.h"

#include "egress/courier/carriers.h"
#include "egress/courier/coding.h"
#include "egress/courier/ws_open.h"
#include "messages/traffic.h"

#include <sodium.h>

/* The value of a slot: at most the secret, encoded, and words around it. */
#define VALUE_MAX (3 * KEEP_MAX + 1024)

static int
put_percent(struct span s, struct buf *out)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	static const char hex[] = "0123456789ABCDEF";
	int r = 0;

	for (size_t i = 0; i < s.n && r == 0; i++) {
		if (s.p[i] != 0 && strchr(plain, s.p[i]) != NULL) {
			r = buf_put_u8(out, s.p[i]);
			continue;
		}
		char three[3] = {'%', hex[s.p[i] >> 4], hex[s.p[i] & 15]};
		r = buf_put(out, three, sizeof(three));
	}
	return r;
}

static int
put_basic(const struct slot *slot, struct span secret, struct buf *out)
{
	struct buf *pair = buf_new_locked(VALUE_MAX);
	size_t room;
	uint8_t *p;
	int r = pair == NULL ? ERR_NOMEM : 0;

	if (r != 0 || (r = buf_put_str(pair, slot->user)) != 0 ||
	    (r = buf_put_str(pair, ":")) != 0 ||
	    (r = buf_put_span(pair, secret)) != 0 ||
	    (r = buf_put_str(out, "Basic ")) != 0)
		goto out;
	room = sodium_base64_encoded_len(
	    buf_len(pair), sodium_base64_VARIANT_ORIGINAL);
	if ((r = buf_reserve(out, room, &p)) != 0)
		goto out;
	sodium_bin2base64((char *)p, room, buf_span(pair).p, buf_len(pair),
	    sodium_base64_VARIANT_ORIGINAL);
	buf_claim(out, room - 1); /* without the NUL */
out:
	buf_free(pair);
	return r;
}

/* What stands in the slot's place, whole. */
static int
put_value(const struct slot *slot, struct span secret, struct buf *out)
{
	int r;

	switch (slot->type) {
	case SLOT_BEARER:
		if ((r = buf_put_str(out, "Bearer ")) != 0)
			return r;
		return buf_put_span(out, secret);
	case SLOT_HEADER:
		if ((r = buf_put_str(out, slot->prefix)) != 0)
			return r;
		return buf_put_span(out, secret);
	case SLOT_BASIC:
		return put_basic(slot, secret, out);
	case SLOT_QUERY:
		return put_percent(secret, out);
	default:
		return ERR_ARGUMENT;
	}
}

static int
put_target(const struct attach *a, struct span value, struct buf *out)
{
	bool more = memchr(a->target.p, '?', a->target.n) != NULL;
	int r;

	if ((r = buf_put_span(out, a->target)) != 0 ||
	    (r = buf_put_str(out, more ? "&" : "?")) != 0 ||
	    (r = buf_put_str(out, a->slot->name)) != 0 ||
	    (r = buf_put_str(out, "=")) != 0)
		return r;
	return buf_put_span(out, value);
}

static bool
is_ours(const struct attach *a, struct span name)
{
	return span_is(name, "host") || span_is(name, "expect") ||
	       (a->upgrade && ws_open_drops(name)) ||
	       (a->no_ranges &&
		   (span_is(name, "range") || span_is(name, "if-range"))) ||
	       carriers_is_header(name, a->slots, a->n_slots);
}

/* Of the codings that the guest accepts those that can be looked into. */
static int
add_accepted(struct span value, struct head *h)
{
	struct buf *kept = buf_new(HEAD_BYTES_MAX);
	int r = kept == NULL ? ERR_NOMEM : coding_accept(value, kept);

	if (r == 0 && buf_len(kept) > 0)
		r = head_add(h, span_str("accept-encoding"), buf_span(kept));
	buf_free(kept);
	return r;
}

/* None is left, or what is asked for is a part, and a part of a coded whole
 * cannot be looked into. Who says nothing of codings has nothing said. */
static int
settle_codings(struct head *h, bool asked)
{
	bool part = head_get(h, "range", NULL);

	if (part)
		(void)head_remove(h, span_str("accept-encoding"));
	if ((!asked && !part) || head_get(h, "accept-encoding", NULL))
		return 0;
	return head_add(h, span_str("accept-encoding"), span_str("identity"));
}

static int
add_guest_fields(const struct attach *a, struct head *h)
{
	struct head from;
	bool asked = false;
	int r;

	head_init(&from);
	if ((r = head_unpack(&from, a->headers)) != 0)
		goto out;
	for (size_t i = 0; i < from.n_fields && r == 0; i++) {
		const struct head_field *f = &from.fields[i];
		bool codings =
		    a->inspect && span_is(f->name, "accept-encoding");
		asked |= codings;
		if (codings)
			r = add_accepted(f->value, h);
		else if (a->inspect && coding_allows_messages(f->name))
			r = head_add(h, f->name, span_str("identity"));
		else if (!is_ours(a, f->name))
			r = head_add(h, f->name, f->value);
	}
	if (r == 0 && a->inspect)
		r = settle_codings(h, asked);
out:
	head_clear(&from);
	return r;
}

static int
add_host(const struct attach *a, struct head *h)
{
	char text[HOST_MAX + 8];
	struct buf *b = buf_new(sizeof(text));
	int r = b == NULL ? ERR_NOMEM : buf_put_str(b, a->host);

	if (r == 0 && a->port != 443)
		r = buf_printf(b, ":%u", a->port);
	if (r == 0)
		r = head_add(h, span_str("host"), buf_span(b));
	buf_free(b);
	return r;
}

static int
add_slot(const struct attach *a, struct span value, struct buf *target,
    struct head *h)
{
	int r;

	if (a->slot->type == SLOT_QUERY) {
		if ((r = put_target(a, value, target)) == 0)
			h->target = buf_span(target);
		return r;
	}
	const char *name =
	    a->slot->type == SLOT_HEADER ? a->slot->name : "authorization";
	return head_add_borrowed(h, span_str(name), value);
}

void
attach_clear(struct attached *h)
{
	head_clear(&h->head);
	buf_free(h->target);
	buf_free(h->value);
	h->target = h->value = NULL;
}

int
attach_head(const struct attach *a, struct attached *out)
{
	struct head *h = &out->head;
	int r;

	head_init(h);
	h->method = a->method;
	h->target = a->target;
	h->body = (enum head_body)a->body;
	h->length = a->length;
	h->expect = a->expect;
	h->te = a->te;
	out->value = buf_new_locked(VALUE_MAX);
	out->target = buf_new_locked(VALUE_MAX + HEAD_TARGET_MAX);
	if (out->value == NULL || out->target == NULL)
		return ERR_NOMEM;
	if ((r = add_host(a, h)) != 0 || (r = add_guest_fields(a, h)) != 0 ||
	    (a->upgrade && (r = ws_open_add(h)) != 0))
		return r;
	out->never = h->n_fields;
	if (a->slot == NULL)
		return 0;
	if ((r = put_value(a->slot, keep_reveal(a->secret), out->value)) != 0)
		return r;
	return add_slot(a, buf_span(out->value), out->target, h);
}
