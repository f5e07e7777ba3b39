/* SPDX-License-Identifier: ISC */
/* What for: refusals and our own answers, as bytes for the guest.
 * Trusts: scope/reason.h; a courier's detail is escaped all the same.
 * At a bound: ERR_TOO_BIG from the buffer. */
#include "egress/gate/problem.h"

#include "lib/chainlog.h"

#include <stdio.h>

static int
member(struct buf *b, const char *name, struct span value)
{
	int r;

	if (value.n == 0)
		return 0;
	(void)((r = buf_printf(b, ",\"%s\":", name)) ||
	       (r = chainlog_put_string(b, value, 512)));
	return r;
}

static int
document(const struct problem *p, const struct reason_row *row, unsigned status,
    struct buf *b)
{
	struct span hint = p->hint.n > 0 ? p->hint : span_str(row->hint);
	int r;

	(void)((r = buf_printf(
		    b, "{\"type\":\"urn:hatcheck:refusal:%s\"", row->word)) ||
	       (r = member(b, "title", span_str(row->what))) ||
	       (r = buf_printf(b, ",\"status\":%u", status)) ||
	       (r = member(b, "detail", p->detail)) ||
	       (r = member(b, "hint", hint)) ||
	       (r = member(b, "grant", p->grant)) ||
	       (r = buf_put_str(b, "}\n")));
	return r;
}

static int
add(struct head *h, const char *name, const char *value)
{
	return head_add(h, span_str(name), span_str(value));
}

int
answer_make(uint16_t status, const char *type, struct span body, struct head *h)
{
	int r = 0;

	h->status = status;
	if (body.n > 0)
		r = add(h, "content-type", type);
	return r != 0 ? r : add(h, "cache-control", "no-store");
}

static int
status_field(struct head *h, const struct reason_row *row)
{
	char text[160];

	(void)snprintf(text, sizeof(text), "hatcheck; error=%s; details=\"%s\"",
	    row->proxy_status, row->word); /* both short constants */
	return add(h, "proxy-status", text);
}

static int
fields(struct head *h, const struct problem *p, const struct reason_row *row)
{
	char text[16];
	int r;

	if ((r = status_field(h, row)) != 0)
		return r;
	if (h->status == 407 && ((r = add(h, "proxy-authenticate",
				      "Bearer realm=\"hatcheck\"")) != 0 ||
				    (r = add(h, "proxy-authenticate",
					 "Basic realm=\"hatcheck\"")) != 0))
		return r;
	if (p->allow != NULL && (r = add(h, "allow", p->allow)) != 0)
		return r;
	if (p->retry_after == 0)
		return 0;
	(void)snprintf(
	    text, sizeof(text), "%u", p->retry_after); /* 10 digits */
	return add(h, "retry-after", text);
}

int
problem_make(const struct problem *p, struct head *h, struct buf *body)
{
	const struct reason_row *row = reason_row(p->reason);
	uint16_t status = p->status != 0 ? p->status : (uint16_t)row->status;
	int r;

	(void)((r = document(p, row, status, body)) ||
	       (r = answer_make(
		    status, "application/problem+json", buf_span(body), h)) ||
	       (r = fields(h, p, row)));
	return r;
}
