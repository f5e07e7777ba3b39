/* SPDX-License-Identifier: ISC */
/* What for: HTTP/1.1 bytes out of the model (requirement 16).
 * Trusts: nothing: a head that would not read back the same is refused.
 * At a bound: ERR_TOO_BIG, the message is partial and must not be sent. */
#include "egress/http/h1_write.h"

static const struct {
	uint16_t status;
	const char *phrase;
} phrases[] = {{100, "Continue"}, {101, "Switching Protocols"},
    {102, "Processing"}, {103, "Early Hints"}, {200, "OK"}, {201, "Created"},
    {202, "Accepted"}, {204, "No Content"}, {206, "Partial Content"},
    {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"},
    {304, "Not Modified"}, {307, "Temporary Redirect"},
    {308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"},
    {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
    {407, "Proxy Authentication Required"}, {408, "Request Timeout"},
    {409, "Conflict"}, {413, "Content Too Large"},
    {415, "Unsupported Media Type"}, {421, "Misdirected Request"},
    {429, "Too Many Requests"}, {500, "Internal Server Error"},
    {501, "Not Implemented"}, {502, "Bad Gateway"},
    {503, "Service Unavailable"}, {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"}};

static const char *
phrase_of(uint16_t status)
{
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "";
}

static bool
is_target(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '#')
			return false;
	}
	return s.n > 0 && s.n <= HEAD_TARGET_MAX;
}

static bool
has_body(const struct head *h)
{
	return h->body != HEAD_BODY_NONE;
}

static bool
status_forbids_body(uint16_t status)
{
	return status < 200 || status == 204 || status == 304;
}

static int
check_first_line(const struct head *h)
{
	if (h->method.n == 0) {
		if (h->status < 100 || h->status > 599 ||
		    (has_body(h) && status_forbids_body(h->status)) ||
		    (h->body == HEAD_BODY_UNTIL_CLOSE && !h->close))
			return ERR_ARGUMENT;
		return 0;
	}
	if (h->method.n > HEAD_METHOD_MAX || !head_is_token(h->method) ||
	    !is_target(h->target) || h->body == HEAD_BODY_UNTIL_CLOSE)
		return ERR_ARGUMENT;
	return 0;
}

static int
put_first_line(const struct head *h, struct buf *out)
{
	int r;

	if (h->method.n == 0)
		return buf_printf(out, "HTTP/1.1 %u %s\r\n",
		    (unsigned)h->status, phrase_of(h->status));
	(void)((r = buf_put_span(out, h->method)) ||
	       (r = buf_put_u8(out, ' ')) ||
	       (r = buf_put_span(out, h->target)) ||
	       (r = buf_put_str(out, " HTTP/1.1\r\n")));
	return r;
}

static int
put_field(const struct head_field *f, struct buf *out)
{
	int r;

	if (!head_is_name(f->name) || !head_is_value(f->value) ||
	    span_is(f->name, "content-length") ||
	    span_is(f->name, "transfer-encoding") ||
	    span_is(f->name, "connection"))
		return ERR_ARGUMENT;
	(void)((r = buf_put_span(out, f->name)) ||
	       (r = buf_put_str(out, ": ")) ||
	       (r = buf_put_span(out, f->value)) ||
	       (r = buf_put_str(out, "\r\n")));
	return r;
}

static int
put_length(uint64_t n, struct buf *out)
{
	return buf_printf(
	    out, "content-length: %llu\r\n", (unsigned long long)n);
}

/* Without a body: is "content-length: 0" what the far end needs to see? */
static bool
needs_zero(const struct head *h, bool no_body)
{
	if (h->method.n == 0)
		return !no_body && !status_forbids_body(h->status);
	return span_is(h->method, "POST") || span_is(h->method, "PUT") ||
	       span_is(h->method, "PATCH");
}

static int
put_framing(const struct head *h, bool no_body, struct buf *out)
{
	switch (h->body) {
	case HEAD_BODY_LENGTH:
		return put_length(h->length, out);
	case HEAD_BODY_CHUNKED:
		return buf_put_str(out, "transfer-encoding: chunked\r\n");
	case HEAD_BODY_UNTIL_CLOSE:
		return 0;
	case HEAD_BODY_NONE:
		break;
	}
	if (h->has_length && h->method.n == 0 && h->status >= 200 &&
	    h->status != 204)
		return put_length(h->length, out);
	return needs_zero(h, no_body) ? put_length(0, out) : 0;
}

/* Who upgrades neither closes nor keeps. */
static int
put_connection(const struct head *h, struct buf *out)
{
	if (h->upgrade && head_get(h, "upgrade", NULL))
		return buf_put_str(out, "connection: upgrade\r\n");
	return h->close ? buf_put_str(out, "connection: close\r\n") : 0;
}

int
h1_put_head(const struct head *h, bool no_body, struct buf *out)
{
	int r;

	if (no_body && has_body(h))
		return ERR_ARGUMENT;
	if ((r = check_first_line(h)) != 0 || (r = put_first_line(h, out)) != 0)
		return r;
	for (size_t i = 0; i < h->n_fields; i++) {
		if ((r = put_field(&h->fields[i], out)) != 0)
			return r;
	}
	if ((r = put_framing(h, no_body, out)) != 0)
		return r;
	if (h->expect && h->method.n != 0 &&
	    (r = buf_put_str(out, "expect: 100-continue\r\n")) != 0)
		return r;
	if ((r = put_connection(h, out)) != 0)
		return r;
	return buf_put_str(out, "\r\n");
}

int
h1_put_chunk(struct span bytes, struct buf *out)
{
	int r;

	if (bytes.n == 0)
		return ERR_ARGUMENT; /* it would be the last one */
	(void)((r = buf_printf(out, "%zx\r\n", bytes.n)) ||
	       (r = buf_put_span(out, bytes)) ||
	       (r = buf_put_str(out, "\r\n")));
	return r;
}

int
h1_put_last_chunk(const struct head *trailers, struct buf *out)
{
	int r = buf_put_str(out, "0\r\n");

	for (size_t i = 0; r == 0 && trailers != NULL && i < trailers->n_fields;
	     i++) {
		if (!head_forbidden_trailer(trailers->fields[i].name))
			r = put_field(&trailers->fields[i], out);
	}
	return r != 0 ? r : buf_put_str(out, "\r\n");
}
