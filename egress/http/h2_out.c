/* SPDX-License-Identifier: ISC */
/* What for: heads and bodies that go out on an HTTP/2 connection. Trusts: its
 * callers for heads that are well-formed. At a bound: what does not fit is the
 * caller's still. */
#include "egress/http/h2_inside.h"

#include <stdio.h>
#include <string.h>

static int
on_sent(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *c = arg;
	struct h2_stream *s = h2_find(c, f->hd.stream_id);
	bool data = f->hd.type == NGHTTP2_DATA;

	(void)ng;
	if (f->hd.type == NGHTTP2_GOAWAY &&
	    f->goaway.error_code != NGHTTP2_NO_ERROR)
		c->over = true;
	/* Made to reset, by what came: as good as a reset that came. */
	if (f->hd.type == NGHTTP2_RST_STREAM && (s == NULL || !s->by_caller))
		h2_flood_count(&c->flood, H2_FLOOD_RESET);
	if (f->hd.type == NGHTTP2_RST_STREAM && s != NULL)
		s->malformed = !s->by_caller;
	if (s != NULL && f->hd.type == NGHTTP2_HEADERS) {
		s->begun = true;
		s->unsent -= s->unsent > 0;
	}
	if (data && f->hd.length > 0)
		h2_flood_pay_data(&c->flood);
	if (s == NULL || (!data && f->hd.type != NGHTTP2_HEADERS) ||
	    (f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	s->out_end = true;
	/* RFC 9113, 8.1: the rest of the request is not wanted. */
	if (c->role == H2_SERVER && !s->in_end && !s->dead &&
	    h2_reset(c, s->id, NGHTTP2_NO_ERROR) != 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	return 0;
}

/* A request that cannot go out any more, after a GOAWAY or a reset. */
static int
on_not_sent(nghttp2_session *ng, const nghttp2_frame *f, int why, void *arg)
{
	struct h2 *c = arg;
	struct h2_stream *s = h2_find(c, f->hd.stream_id);

	(void)ng;
	(void)why;
	if (s != NULL && f->hd.type == NGHTTP2_HEADERS &&
	    f->headers.cat == NGHTTP2_HCAT_REQUEST)
		h2_stream_over(c, s, NGHTTP2_REFUSED_STREAM);
	return 0;
}

/* Fields of h as nghttp2 wants them; returns how many. */
static size_t
fields(const struct head *h, size_t from, size_t never, bool skip_host,
    nghttp2_nv *nv)
{
	size_t n = 0;

	for (size_t i = from; i < h->n_fields; i++) {
		const struct head_field *f = &h->fields[i];
		if (skip_host && span_is(f->name, "host"))
			continue;
		nv[n++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)f->name.p,
		    .namelen = f->name.n,
		    .value = (uint8_t *)(uintptr_t)f->value.p,
		    .valuelen = f->value.n,
		    .flags = i >= never ? NGHTTP2_NV_FLAG_NO_INDEX
					: NGHTTP2_NV_FLAG_NONE};
	}
	return n;
}

static nghttp2_nv
field(const char *name, struct span v)
{
	return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
	    .namelen = strlen(name),
	    .value = (uint8_t *)(uintptr_t)v.p,
	    .valuelen = v.n};
}

static ssize_t
read_body(nghttp2_session *ng, int32_t id, uint8_t *to, size_t max,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2_stream *s = h2_find(arg, id);
	nghttp2_nv nv[HEAD_FIELDS_MAX];
	struct span b;

	(void)source;
	if (s == NULL)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	b = buf_span(s->out);
	if (b.n == 0 && !s->ending)
		return NGHTTP2_ERR_DEFERRED;
	if (b.n > max)
		b.n = max;
	if (b.n > 0)
		memcpy(to, b.p, b.n);
	buf_consume(s->out, b.n);
	if (buf_len(s->out) == 0 && s->ending) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (s->trailers_out.n_fields > 0) {
			size_t n = fields(
			    &s->trailers_out, 0, HEAD_FIELDS_MAX, false, nv);
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (nghttp2_submit_trailer(ng, id, nv, n) != 0)
				return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
			s->unsent++;
		}
	}
	return (ssize_t)b.n;
}

int
h2_request(
    struct h2 *c, const struct head *h, size_t never, bool end, int32_t *id)
{
	nghttp2_nv nv[HEAD_FIELDS_MAX + 7];
	nghttp2_data_provider body = {.read_callback = read_body};
	struct span host;
	struct h2_stream *s;
	char length[24];
	size_t n = 4;

	if (!head_get(h, "host", &host))
		return ERR_ARGUMENT;
	/* More than the far end takes would wait within nghttp2. */
	if (c->n_streams >= h2_limit(c))
		return ERR_UNAVAILABLE;
	if ((s = h2_stream_new()) == NULL)
		return ERR_NOMEM;
	nv[0] = field(":method", h->method);
	nv[1] = field(":scheme", span_str("https"));
	nv[2] = field(":authority", host);
	nv[3] = field(":path", h->target);
	nv[3].flags = NGHTTP2_NV_FLAG_NO_INDEX; /* it may hold a credential */
	n += fields(h, 0, never, true, nv + n);
	if (h->body == HEAD_BODY_LENGTH) {
		(void)snprintf(length, sizeof(length), "%llu",
		    (unsigned long long)h->length);
		nv[n++] = field("content-length", span_str(length));
	}
	if (h->te)
		nv[n++] = field("te", span_str("trailers"));
	if (h->expect)
		nv[n++] = field("expect", span_str("100-continue"));
	s->to_head = span_is(h->method, "HEAD");
	s->told = s->answered = true;
	s->ending = end;
	*id = nghttp2_submit_request(c->ng, NULL, nv, n, end ? NULL : &body, s);
	if (*id < 0) {
		h2_stream_free(s);
		return ERR_UNAVAILABLE;
	}
	h2_stream_insert(c, s, *id);
	return 0;
}

int
h2_response(struct h2 *c, int32_t id, const struct head *h, bool end)
{
	nghttp2_nv nv[HEAD_FIELDS_MAX + 2];
	nghttp2_data_provider body = {.read_callback = read_body};
	struct h2_stream *s = h2_find(c, id);
	char status[8], length[24];
	size_t n = 1;
	int r;

	if (s == NULL || s->dead)
		return ERR_NOT_FOUND;
	if (s->answered)
		return ERR_SEQUENCE;
	(void)snprintf(status, sizeof(status), "%u", h->status);
	nv[0] = field(":status", span_str(status));
	n += fields(h, 0, HEAD_FIELDS_MAX, false, nv + n);
	if (h->body == HEAD_BODY_LENGTH || h->has_length) {
		(void)snprintf(length, sizeof(length), "%llu",
		    (unsigned long long)h->length);
		nv[n++] = field("content-length", span_str(length));
	}
	if (h->status < 200)
		r = nghttp2_submit_headers(
		    c->ng, NGHTTP2_FLAG_NONE, id, NULL, nv, n, NULL);
	else
		r = nghttp2_submit_response(
		    c->ng, id, nv, n, end ? NULL : &body);
	if (r != 0)
		return ERR_NOMEM;
	s->unsent++;
	s->answered = h->status >= 200;
	s->ending = s->answered && end;
	return 0;
}

int
h2_body(struct h2 *c, int32_t id, struct span bytes)
{
	struct h2_stream *s = h2_find(c, id);
	int r;

	if (s == NULL || s->dead)
		return ERR_NOT_FOUND;
	if (s->ending)
		return ERR_SEQUENCE;
	if ((r = buf_put_span(s->out, bytes)) != 0)
		return r;
	(void)nghttp2_session_resume_data(c->ng, id);
	return 0;
}

size_t
h2_room(struct h2 *c, int32_t id)
{
	struct h2_stream *s = h2_find(c, id);

	return s == NULL || s->dead || s->ending ? 0 : buf_room(s->out);
}

bool
h2_holds(struct h2 *c, int32_t id)
{
	struct h2_stream *s = h2_find(c, id);

	return s != NULL && !s->dead && (s->unsent > 0 || buf_len(s->out) > 0);
}

int
h2_end(struct h2 *c, int32_t id, const struct head *trailers)
{
	struct h2_stream *s = h2_find(c, id);
	int r;

	if (s == NULL || s->dead)
		return ERR_NOT_FOUND;
	if (s->ending)
		return ERR_SEQUENCE;
	for (size_t i = 0; trailers != NULL && i < trailers->n_fields; i++) {
		if ((r = head_add(&s->trailers_out, trailers->fields[i].name,
			 trailers->fields[i].value)) != 0)
			return r;
	}
	s->ending = true;
	(void)nghttp2_session_resume_data(c->ng, id);
	return 0;
}

void
h2_out_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(
	    cb, on_not_sent);
}
