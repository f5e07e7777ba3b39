/* SPDX-License-Identifier: ISC */
/* What for: the head of an HTTP/1.1 message, and how long its body is.
 * Trusts: nothing. At a bound: ERR_TOO_BIG. */
#include "egress/http/h1_inside.h"

static int
request_line(struct h1 *p, struct span line)
{
	struct head *h = &p->head;
	const uint8_t *sp = memchr(line.p, ' ', line.n);

	if (sp == NULL)
		return h1_refuse(p, "bad request line");
	h->method = span_of(line.p, (size_t)(sp - line.p));
	struct span rest = span_from(line, h->method.n + 1);
	sp = rest.n == 0 ? NULL : memchr(rest.p, ' ', rest.n);
	if (sp == NULL)
		return h1_refuse(p, "bad request line");
	h->target = span_of(rest.p, (size_t)(sp - rest.p));
	struct span version = span_from(rest, h->target.n + 1);
	/* Python's http.client says CONNECT in HTTP/1.0, without a Host. */
	h->close =
	    span_is(version, "HTTP/1.0") && span_is(h->method, "CONNECT");
	if (!h->close && !span_is(version, "HTTP/1.1"))
		return h1_refuse(p, "not HTTP/1.1");
	if (h->method.n > HEAD_METHOD_MAX || !head_is_token(h->method) ||
	    span_is(h->method, "PRI"))
		return h1_refuse(p, "bad method");
	if (h->target.n == 0 || h->target.n > HEAD_TARGET_MAX)
		return h1_refuse(p, "bad target length");
	for (size_t i = 0; i < h->target.n; i++) {
		uint8_t c = h->target.p[i];
		if (c <= ' ' || c >= 0x7f || c == '#')
			return h1_refuse(p, "bad byte in target");
	}
	return 0;
}

static int
status_line(struct h1 *p, struct span line)
{
	struct head *h = &p->head;
	unsigned status = 0;

	if (line.n < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 ||
	    (line.p[7] != '0' && line.p[7] != '1') || line.p[8] != ' ' ||
	    (line.n > 12 && line.p[12] != ' '))
		return h1_refuse(p, "bad status line");
	for (size_t i = 9; i < 12; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return h1_refuse(p, "bad status");
		status = status * 10 + (unsigned)(line.p[i] - '0');
	}
	if (status < 100 || status > 599 || (status == 101 && !p->to_upgrade))
		return h1_refuse(p, "bad status");
	h->status = (uint16_t)status;
	h->close = line.p[7] == '0';
	return 0;
}

/* -------------------------------------------------------------- fields */

static int
on_length(struct h1 *p, struct span value)
{
	if (p->head.has_length)
		return h1_refuse(p, "repeated Content-Length");
	if (span_u64(value, INT64_MAX, &p->head.length) != 0)
		return h1_refuse(p, "bad Content-Length");
	p->head.has_length = true;
	return 0;
}

static int
on_coding(struct h1 *p, struct span value)
{
	if (p->head.body == HEAD_BODY_CHUNKED)
		return h1_refuse(p, "repeated Transfer-Encoding");
	if (!span_caseeq(value, span_str("chunked")))
		return h1_refuse(p, "Transfer-Encoding is not chunked");
	p->head.body = HEAD_BODY_CHUNKED;
	return 0;
}

static int
on_expect(struct h1 *p, struct span value)
{
	if (p->role != H1_REQUEST)
		return 0;
	if (p->head.expect || !span_caseeq(value, span_str("100-continue")))
		return h1_refuse(p, "bad Expect");
	p->head.expect = true;
	return 0;
}

static void
on_connection(struct h1 *p, struct span list)
{
	struct span option;

	while (head_list_next(&list, &option)) {
		if (span_caseeq(option, span_str("close")))
			p->head.close = true;
	}
}

static int
on_field(struct h1 *p, const struct head_field *f)
{
	struct head *h = &p->head;

	if (span_is(f->name, "content-length"))
		return on_length(p, f->value);
	if (span_is(f->name, "transfer-encoding"))
		return on_coding(p, f->value);
	if (span_is(f->name, "expect"))
		return on_expect(p, f->value);
	if (span_is(f->name, "connection"))
		on_connection(p, f->value);
	if (span_is(f->name, "upgrade") || span_is(f->name, "http2-settings"))
		h->upgrade = true;
	h->fields[h->n_fields++] = *f;
	return 0;
}

static int
fields(struct h1 *p, struct span rest)
{
	struct head_field f;
	size_t n = 0;
	int r;

	for (struct span line = h1_take_line(&rest); line.n > 0;
	     line = h1_take_line(&rest)) {
		if (n++ == p->fields_max) {
			p->why = "too many fields";
			return ERR_TOO_BIG;
		}
		if ((r = h1_split_field(p, line, &f)) != 0 ||
		    (r = on_field(p, &f)) != 0)
			return r;
	}
	return n == p->judge.fields ? 0 : h1_refuse(p, "read in two ways");
}

/* ------------------------------------------------------------- framing */

static int
request_framing(struct h1 *p, bool http10)
{
	struct head *h = &p->head;
	struct span host = {0};
	size_t hosts = head_count(h, "host");

	if (hosts > 1 || (hosts == 0 && !http10))
		return h1_refuse(p, "missing or repeated Host");
	if (hosts == 1 && (!head_get(h, "host", &host) || host.n == 0))
		return h1_refuse(p, "empty Host");
	if (h->has_length)
		h->body = HEAD_BODY_LENGTH;
	if (span_is(h->method, "CONNECT") && h->body != HEAD_BODY_NONE)
		return h1_refuse(p, "body on CONNECT");
	h->has_length = false;
	h->expect &= h->body == HEAD_BODY_CHUNKED || h->length > 0;
	return 0;
}

static int
response_framing(struct h1 *p, bool http10)
{
	struct head *h = &p->head;
	bool chunked = h->body == HEAD_BODY_CHUNKED;

	if (h->status == 101 && http10)
		return h1_refuse(p, "an upgrade in HTTP/1.0");
	if (chunked && http10)
		return h1_refuse(p, "chunked HTTP/1.0");
	if (h->status < 200 && (chunked || h->has_length))
		return h1_refuse(p, "interim response with a body");
	if (h->status == 204 && (chunked || h->length != 0))
		return h1_refuse(p, "204 with a body");
	if (p->to_head || h->status < 200 || h->status == 204 ||
	    h->status == 304) {
		h->body = HEAD_BODY_NONE;
		h->has_length &= h->status != 204;
		return 0;
	}
	if (h->has_length)
		h->body = HEAD_BODY_LENGTH;
	else if (!chunked)
		h->body = HEAD_BODY_UNTIL_CLOSE;
	h->close |= h->body == HEAD_BODY_UNTIL_CLOSE;
	h->has_length = false;
	return 0;
}

static int
framing(struct h1 *p, bool http10)
{
	struct head *h = &p->head;

	if (h->body == HEAD_BODY_CHUNKED && h->has_length)
		return h1_refuse(p, "Content-Length with Transfer-Encoding");
	return p->role == H1_REQUEST ? request_framing(p, http10)
				     : response_framing(p, http10);
}

static void
enter_body(struct h1 *p)
{
	p->left = p->head.length;
	switch (p->head.body) {
	case HEAD_BODY_NONE:
		p->state = S_END;
		break;
	case HEAD_BODY_LENGTH:
		p->state = p->left == 0 ? S_END : S_LENGTH;
		break;
	case HEAD_BODY_CHUNKED:
		p->state = S_CHUNK_SIZE;
		p->digits = 0;
		p->left = 0;
		break;
	case HEAD_BODY_UNTIL_CLOSE:
		p->state = S_UNTIL_CLOSE;
		break;
	}
}

int
h1_whole_head(struct h1 *p)
{
	struct span raw = buf_span(p->head_block.raw), rest = raw;
	int r;

	h1_judge_start(p);
	struct span line = h1_take_line(&rest);
	if (line.n == 0)
		return h1_refuse(p, "leading empty line");
	(void)((r = p->role == H1_REQUEST ? request_line(p, line)
					  : status_line(p, line)) ||
	       (r = h1_judge_feed(p, raw)));
	if (r != 0)
		return r;
	bool http10 = p->head.close;
	if ((r = fields(p, rest)) != 0 || (r = framing(p, http10)) != 0)
		return r;
	enter_body(p);
	return h1_judge_agrees(p);
}
