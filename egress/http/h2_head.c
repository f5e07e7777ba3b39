/* SPDX-License-Identifier: ISC */
/* What for: RFC 9113, section 8, strictly: HTTP/2 fields to a typed head.
 * Trusts: nothing; every name and value is checked.
 * At a bound: ERR_TOO_BIG, and the stream is to be refused. */
#include "egress/http/h2_head.h"

static int
refuse(struct h2_head *b, const char *why)
{
	b->why = why;
	return ERR_FORMAT;
}

/* Each pseudo-header once; an empty one never means anything. */
static int
take_once(struct h2_head *b, struct span value, struct span *to)
{
	if (to->n != 0)
		return refuse(b, "a pseudo-header twice");
	if (value.n == 0 || !head_is_value(value))
		return refuse(b, "bad value of a pseudo-header");
	return head_copy(b->head, value, to);
}

static int
take_status(struct h2_head *b, struct span v)
{
	unsigned status = 0;

	if (b->head->status != 0)
		return refuse(b, "a pseudo-header twice");
	if (v.n != 3)
		return refuse(b, "bad :status");
	for (size_t i = 0; i < 3; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return refuse(b, "bad :status");
		status = status * 10 + (unsigned)(v.p[i] - '0');
	}
	if (status < 100 || status > 599 || status == 101)
		return refuse(b, "bad :status");
	b->head->status = (uint16_t)status;
	return 0;
}

static int
take_pseudo(struct h2_head *b, struct span name, struct span value)
{
	if (b->regular)
		return refuse(b, "a pseudo-header after a field");
	if (b->kind == H2_RESPONSE) {
		if (span_is(name, ":status"))
			return take_status(b, value);
		return refuse(b, "unknown pseudo-header");
	}
	if (span_is(name, ":method"))
		return take_once(b, value, &b->head->method);
	if (span_is(name, ":path"))
		return take_once(b, value, &b->head->target);
	if (span_is(name, ":scheme"))
		return take_once(b, value, &b->scheme);
	if (span_is(name, ":authority"))
		return take_once(b, value, &b->authority);
	return refuse(b, "unknown pseudo-header");
}

static int
take_length(struct h2_head *b, struct span v)
{
	uint64_t n = 0;

	if (b->head->has_length)
		return refuse(b, "content-length twice");
	if (v.n == 0 || v.n > 19)
		return refuse(b, "bad content-length");
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return refuse(b, "bad content-length");
		n = n * 10 + (uint64_t)(v.p[i] - '0');
	}
	if (n > INT64_MAX)
		return refuse(b, "bad content-length");
	b->head->has_length = true;
	b->head->length = n;
	return 0;
}

static bool
is_connection_specific(struct span name)
{
	return span_is(name, "connection") || span_is(name, "keep-alive") ||
	       span_is(name, "proxy-connection") ||
	       span_is(name, "transfer-encoding") || span_is(name, "upgrade") ||
	       span_is(name, "http2-settings");
}

/* Fields that are checked here and become members. *done: no field of it. */
static int
take_special(struct h2_head *b, struct span name, struct span value, bool *done)
{
	if (is_connection_specific(name))
		return refuse(b, "a connection-specific field");
	if (span_is(name, "te")) {
		if (b->kind != H2_REQUEST || b->has_te ||
		    !span_is(value, "trailers"))
			return refuse(b, "TE other than trailers");
		b->has_te = true;
	}
	*done = span_is(name, "content-length");
	if (*done)
		return take_length(b, value);
	if (span_is(name, "expect") && b->kind == H2_REQUEST) {
		if (b->head->expect || !span_is(value, "100-continue"))
			return refuse(b, "Expect other than 100-continue");
		b->head->expect = true;
		*done = true;
	}
	return 0;
}

void
h2_head_start(struct h2_head *b, enum h2_head_kind kind, struct head *head)
{
	*b = (struct h2_head){.head = head,
	    .kind = kind,
	    .bytes_max = HEAD_BYTES_MAX,
	    .fields_max = HEAD_FIELDS_MAX,
	    .why = ""};
}

int
h2_head_field(struct h2_head *b, struct span name, struct span value)
{
	bool done = false;
	int r;

	if (name.n > HEAD_BYTES_MAX || value.n > HEAD_BYTES_MAX)
		return ERR_TOO_BIG;
	b->bytes += name.n + value.n + 32;
	if (b->bytes > b->bytes_max)
		return ERR_TOO_BIG;
	if (name.n > 0 && name.p[0] == ':')
		return take_pseudo(b, name, value);
	b->regular = true;
	if (!head_is_name(name))
		return refuse(b, "bad field name");
	if (!head_is_value(value))
		return refuse(b, "bad field value");
	if ((r = take_special(b, name, value, &done)) != 0 || done)
		return r;
	if (b->head->n_fields >= b->fields_max)
		return ERR_TOO_BIG;
	return head_add(b->head, name, value);
}

static int
end_path(struct h2_head *b)
{
	struct span path = b->head->target;

	if (path.n > HEAD_TARGET_MAX)
		return ERR_TOO_BIG;
	for (size_t i = 0; i < path.n; i++) {
		if (path.p[i] <= ' ' || path.p[i] >= 0x7f || path.p[i] == '#')
			return refuse(b, "bad :path");
	}
	if (path.p[0] != '/' &&
	    !(span_is(path, "*") && span_is(b->head->method, "OPTIONS")))
		return refuse(b, "bad :path");
	return 0;
}

/* One name for the host, whichever way it was said. */
static int
end_authority(struct h2_head *b)
{
	struct span host;

	if (!head_get(b->head, "host", &host))
		return head_add(b->head, span_str("host"), b->authority);
	if (head_count(b->head, "host") != 1 || !span_eq(host, b->authority))
		return refuse(b, "Host is not :authority");
	return 0;
}

static int
end_request(struct h2_head *b)
{
	const struct head *h = b->head;
	int r;

	if (h->method.n == 0 || h->target.n == 0 || b->scheme.n == 0 ||
	    b->authority.n == 0)
		return refuse(b, "a pseudo-header is missing");
	if (h->method.n > HEAD_METHOD_MAX || !head_is_token(h->method))
		return refuse(b, "bad :method");
	if (span_is(h->method, "CONNECT"))
		return refuse(b, "CONNECT within a connection");
	if (!span_is(b->scheme, "https"))
		return refuse(b, ":scheme is not https");
	if ((r = end_path(b)) != 0)
		return r;
	return end_authority(b);
}

/* A length without a body is an answer to HEAD or a 304, or it is 0. */
static int
end_body(struct h2_head *b, bool end_stream)
{
	struct head *h = b->head;
	bool bodiless =
	    b->kind == H2_RESPONSE && (b->to_head || h->status < 200 ||
					  h->status == 204 || h->status == 304);

	if (h->has_length &&
	    (h->status == 204 || (h->status != 0 && h->status < 200)))
		return refuse(b, "content-length where no body can be");
	if (bodiless)
		return 0;
	if (h->has_length) {
		if (end_stream && h->length != 0)
			return refuse(b, "content-length without its body");
		h->body = HEAD_BODY_LENGTH;
		h->has_length = false;
	} else if (!end_stream)
		h->body = HEAD_BODY_CHUNKED;
	return 0;
}

int
h2_head_end(struct h2_head *b, bool end_stream)
{
	int r;

	if (b->kind == H2_REQUEST) {
		if ((r = end_request(b)) != 0)
			return r;
	} else {
		if (b->head->status == 0)
			return refuse(b, "a pseudo-header is missing");
		if (b->head->status < 200 && end_stream)
			return refuse(b, "an interim response that ends");
	}
	return end_body(b, end_stream);
}
