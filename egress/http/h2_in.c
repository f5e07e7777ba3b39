/* SPDX-License-Identifier: ISC */
/* What for: what comes on an HTTP/2 connection, as events. Trusts: nghttp2
 * for frames and HPACK; nobody for what is in them. At a bound: the stream is
 * reset. */
#include "egress/http/h2_inside.h"

/* Early hints and the like, of one answer. */
#define INTERIMS_MAX 16

/* The caller has not heard of it, but for this. */
static void
bury(struct h2 *c, struct h2_stream *s, const char *why)
{
	if (!s->dead && !s->told && c->on.malformed != NULL)
		c->on.malformed(c->arg, s->id, why);
	s->dead = true;
}

/* nghttp2 resets the stream; until that is sent, more of it may come. */
static int
fail(struct h2 *c, struct h2_stream *s, const char *why)
{
	if (s != NULL)
		bury(c, s, why);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int
refuse(struct h2 *c, struct h2_stream *s)
{
	bury(c, s, s->build.why);
	return nghttp2_submit_rst_stream(
	    c->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_PROTOCOL_ERROR);
}

static int
on_begin(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *c = arg;
	struct h2_stream *s = h2_find(c, f->hd.stream_id);

	(void)ng;
	if (f->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (s == NULL && c->role == H2_SERVER) {
		if (c->n_streams >= c->bounds.streams ||
		    (s = h2_stream_new()) == NULL)
			return fail(c, NULL, "");
		h2_stream_insert(c, s, f->hd.stream_id);
	}
	if (s == NULL || s->dead)
		return fail(c, s, "");
	if (!s->final) {
		head_clear(&s->head);
		h2_head_start(&s->build,
		    c->role == H2_SERVER ? H2_REQUEST : H2_RESPONSE, &s->head);
		s->build.to_head = s->to_head;
		s->build.bytes_max = c->bounds.head_bytes;
		s->build.fields_max = c->bounds.head_fields;
	}
	return 0;
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t n, const uint8_t *value, size_t m, uint8_t flags, void *arg)
{
	struct h2 *c = arg;
	struct h2_stream *s = h2_find(c, f->hd.stream_id);
	struct span k = span_of(name, n), v = span_of(value, m);
	int r = 0;

	(void)ng;
	(void)flags;
	if (s == NULL || s->dead)
		return fail(arg, s, "");
	if (!s->final)
		r = h2_head_field(&s->build, k, v);
	else if (c->role == H2_SERVER || !head_forbidden_trailer(k))
		r = head_add(&s->trailers_in, k, v);
	return r == 0
		   ? 0
		   : fail(arg, s,
			 r == ERR_TOO_BIG ? "a head too long" : s->build.why);
}

/* nghttp2 would drop such a field and go on: that is repairing. */
static int
on_invalid(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t n, const uint8_t *value, size_t m, uint8_t flags, void *arg)
{
	(void)ng, (void)name, (void)n, (void)value, (void)m, (void)flags;
	return fail(arg, h2_find(arg, f->hd.stream_id), "bad field");
}

/* What nghttp2 itself refuses of a head. */
static int
on_invalid_frame(
    nghttp2_session *ng, const nghttp2_frame *f, int why, void *arg)
{
	struct h2_stream *s = h2_find(arg, f->hd.stream_id);

	(void)ng;
	(void)why;
	if (s != NULL && f->hd.type == NGHTTP2_HEADERS)
		bury(arg, s, "malformed head");
	return 0;
}

/* RFC 9113, 8.2.3: one field again before anything but HTTP/2 sees it. */
static int
join_cookies(struct head *h)
{
	struct buf *b;
	int r = 0;

	if (head_count(h, "cookie") < 2)
		return 0;
	if ((b = buf_new(HEAD_BYTES_MAX)) == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; r == 0 && i < h->n_fields; i++) {
		if (!span_is(h->fields[i].name, "cookie"))
			continue;
		if (buf_len(b) > 0)
			r = buf_put_str(b, "; ");
		if (r == 0)
			r = buf_put_span(b, h->fields[i].value);
	}
	(void)head_remove(h, span_str("cookie"));
	if (r == 0)
		r = head_add(h, span_str("cookie"), buf_span(b));
	buf_free(b);
	return r;
}

static int
take_head(struct h2 *c, struct h2_stream *s, bool end)
{
	if (h2_head_end(&s->build, end) != 0 ||
	    (c->role == H2_SERVER && join_cookies(&s->head) != 0))
		return refuse(c, s);
	s->final = c->role == H2_SERVER || s->head.status >= 200;
	s->interim_bytes += s->final ? 0 : s->build.bytes;
	if (!s->final &&
	    (++s->interims > INTERIMS_MAX || s->interim_bytes > HEAD_BYTES_MAX))
		return refuse(c, s);
	s->told = true;
	c->on.head(c->arg, s->id, &s->head);
	return 0;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *c = arg;
	struct h2_stream *s = h2_find(c, f->hd.stream_id);
	bool end = (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	int r;

	(void)ng;
	if (f->hd.type == NGHTTP2_SETTINGS &&
	    (f->hd.flags & NGHTTP2_FLAG_ACK) == 0)
		c->settled = true;
	/* Nothing but padding is empty too. */
	if (f->hd.type == NGHTTP2_DATA && f->hd.length > 0 && !end &&
	    f->hd.length <= f->data.padlen)
		h2_flood_count(&c->flood, H2_FLOOD_EMPTY);
	if (s == NULL || s->dead ||
	    (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA))
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS && !s->final &&
	    (r = take_head(c, s, end)) != 0)
		return r;
	if (end && !s->dead) {
		s->in_end = true;
		c->on.end(c->arg, s->id, &s->trailers_in);
	}
	return 0;
}

static int
on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct h2 *c = arg;
	struct h2_stream *s = h2_find(c, id);

	(void)flags;
	if (s == NULL || s->dead)
		return nghttp2_session_consume_connection(ng, n);
	s->owed += n;
	c->on.body(c->arg, id, span_of(p, n));
	return 0;
}

/* What the caller has not passed on, it will not: the rest of the
 * connection gets its window back. */
void
h2_stream_over(struct h2 *c, struct h2_stream *s, uint32_t code)
{
	bool clean = code == NGHTTP2_NO_ERROR && s->in_end && s->out_end;

	if (s->owed > 0)
		(void)nghttp2_session_consume_connection(c->ng, s->owed);
	s->owed = 0;
	s->dead = true;
	c->malformed = s->malformed;
	if (clean)
		h2_flood_pay_stream(&c->flood);
	else if (s->told)
		c->on.reset(c->arg, s->id, code);
	h2_stream_drop(c, s);
}

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	struct h2 *c = arg;
	struct h2_stream *s = h2_find(c, id);

	(void)ng;
	if (s != NULL)
		h2_stream_over(c, s, code);
	return 0;
}

void
h2_in_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(
	    cb, on_invalid);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
	    cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
}
