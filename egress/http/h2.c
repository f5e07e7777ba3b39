/* SPDX-License-Identifier: ISC */
/* What for: HTTP/2 for both sides, as a pure machine around nghttp2.
 * Trusts: nghttp2 for frames and HPACK; nobody for what is in them.
 * At a bound: the stream is reset, or h2_recv() fails. */
#include "egress/http/h2_inside.h"

#include <stdlib.h>

/* As much as all streams together: one that stalls never holds up others.
 * It bounds what a connection's callers hold of bodies, 12.5 MiB. */
#define CONNECTION_WINDOW (H2_WINDOW * H2_STREAMS_MAX)
/* That any configuration may allow. */
#define CONTINUATIONS_MAX 64

static int
open_session(struct h2 *c, nghttp2_session_callbacks *cb, nghttp2_option *o)
{
	const nghttp2_settings_entry set[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_BYTES_MAX},
	    /* No tree of priorities is kept: it is work for nothing. */
	    {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
	size_t n = c->role == H2_CLIENT ? 5 : 4;
	int r;

	h2_in_callbacks(cb);
	h2_out_callbacks(cb);
	nghttp2_option_set_no_auto_window_update(o, 1);
	/* Its own limit on resets asks a clock; ours counts, and is lower. */
	nghttp2_option_set_stream_reset_rate_limit(o, UINT32_MAX, UINT32_MAX);
	/* It counts the pieces in which their headers come, too. */
	nghttp2_option_set_max_continuations(o, 10 * CONTINUATIONS_MAX);
	r = c->role == H2_SERVER
		? nghttp2_session_server_new3(&c->ng, cb, c, o, h2_memory())
		: nghttp2_session_client_new3(&c->ng, cb, c, o, h2_memory());
	if (r == 0)
		r = nghttp2_submit_settings(c->ng, NGHTTP2_FLAG_NONE, set, n);
	if (r == 0)
		r = nghttp2_session_set_local_window_size(
		    c->ng, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
	return r;
}

int
h2_new(
    enum h2_role role, const struct h2_events *on, void *arg, struct h2 **out)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *o = NULL;
	struct h2 *c = calloc(1, sizeof(*c));
	int r = ERR_NOMEM;

	if (c == NULL)
		return ERR_NOMEM;
	c->role = role;
	c->on = *on;
	c->arg = arg;
	c->bounds = bounds_default();
	h2_flood_init(&c->flood, role == H2_SERVER);
	if (nghttp2_session_callbacks_new(&cb) == 0 &&
	    nghttp2_option_new(&o) == 0 && open_session(c, cb, o) == 0)
		r = 0;
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(o);
	if (r != 0) {
		h2_free(c);
		return r;
	}
	*out = c;
	return 0;
}

int
h2_bound(struct h2 *c, const struct bounds *b)
{
	const nghttp2_settings_entry set[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)b->streams},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)b->head_bytes}};
	bool same = b->streams == c->bounds.streams &&
		    b->head_bytes == c->bounds.head_bytes;

	if (!bounds_good(b))
		return ERR_ARGUMENT;
	c->bounds = *b;
	h2_flood_bound(&c->flood, b);
	return same || nghttp2_submit_settings(
			   c->ng, NGHTTP2_FLAG_NONE, set, 2) == 0
		   ? 0
		   : ERR_NOMEM;
}

void
h2_free(struct h2 *c)
{
	struct h2_stream *s;

	if (c == NULL)
		return;
	nghttp2_session_del(c->ng);
	for (size_t i = 0; i < H2_BUCKETS; i++) {
		while ((s = c->streams[i]) != NULL) {
			c->streams[i] = s->next;
			h2_stream_free(s);
		}
	}
	free(c);
}

/* The GOAWAY, after which nghttp2 wants nothing any more. */
static int
give_up(struct h2 *c, uint32_t code)
{
	if (!c->over && nghttp2_session_terminate_session(c->ng, code) != 0)
		return ERR_NOMEM;
	c->over = true;
	return ERR_FORMAT;
}

int
h2_recv(struct h2 *c, struct span in)
{
	ssize_t n = 0;
	size_t good;
	int r;

	if (c->over)
		return ERR_FORMAT;
	if (in.n == 0)
		return 0;
	r = h2_flood_scan(&c->flood, in, &good);
	/* What came before the frame that is too much counts still. */
	if (good > 0)
		n = nghttp2_session_mem_recv(c->ng, in.p, good);
	if (n == NGHTTP2_ERR_NOMEM)
		return ERR_NOMEM;
	if (r != 0 || c->flood.why != NULL)
		return give_up(c, c->flood.code);
	if (n == NGHTTP2_ERR_FLOODED)
		return give_up(c, NGHTTP2_ENHANCE_YOUR_CALM);
	if (n < 0 || (size_t)n != in.n)
		return give_up(c, NGHTTP2_PROTOCOL_ERROR);
	return 0;
}

const char *
h2_why(const struct h2 *c)
{
	if (c->flood.why != NULL)
		return c->flood.why;
	return c->over ? "broken HTTP/2 framing" : "";
}

bool
h2_flooded(const struct h2 *c)
{
	return c->flood.why != NULL;
}

uint64_t
h2_open_head(const struct h2 *c)
{
	return h2_flood_open_head(&c->flood);
}

int
h2_send(struct h2 *c, struct buf *out)
{
	for (;;) {
		size_t n = buf_room(out);
		const uint8_t *p;
		ssize_t got;
		int r;

		if (n > c->unsent.n)
			n = c->unsent.n;
		if (n > 0 && (r = buf_put(out, c->unsent.p, n)) != 0)
			return r;
		if (n > 0)
			c->unsent = span_from(c->unsent, n);
		if (c->unsent.n > 0 || buf_room(out) == 0)
			return 0;
		if ((got = nghttp2_session_mem_send(c->ng, &p)) < 0)
			return ERR_NOMEM;
		if (got == 0)
			return 0;
		c->unsent = span_of(p, (size_t)got);
	}
}

bool
h2_done(const struct h2 *c)
{
	return c->unsent.n == 0 && !nghttp2_session_want_read(c->ng) &&
	       !nghttp2_session_want_write(c->ng);
}

bool
h2_settled(const struct h2 *c)
{
	return c->settled;
}

bool
h2_closing(struct h2 *c)
{
	return c->over || nghttp2_session_check_request_allowed(c->ng) == 0;
}

bool
h2_begun(struct h2 *c, int32_t id)
{
	const struct h2_stream *s = h2_find(c, id);

	return s == NULL || s->begun;
}

bool
h2_malformed(const struct h2 *c)
{
	return c->malformed;
}

size_t
h2_limit(struct h2 *c)
{
	uint32_t max = nghttp2_session_get_remote_settings(
	    c->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	if (h2_closing(c))
		return 0;
	if (!c->settled)
		return 1;
	return max < H2_STREAMS_MAX ? max : H2_STREAMS_MAX;
}

int
h2_credit(struct h2 *c, int32_t id, size_t n)
{
	struct h2_stream *s = h2_find(c, id);

	if (s == NULL || s->dead)
		return 0; /* given back, or about to be */
	if (n > s->owed)
		return ERR_ARGUMENT;
	s->owed -= n;
	return nghttp2_session_consume(c->ng, id, n) == 0 ? 0 : ERR_NOMEM;
}

int
h2_reset(struct h2 *c, int32_t id, uint32_t code)
{
	struct h2_stream *s = h2_find(c, id);

	if (s == NULL || s->dead)
		return 0;
	s->dead = s->by_caller = true;
	return nghttp2_submit_rst_stream(c->ng, NGHTTP2_FLAG_NONE, id, code) ==
		       0
		   ? 0
		   : ERR_NOMEM;
}

int
h2_shutdown(struct h2 *c)
{
	int32_t last = nghttp2_session_get_last_proc_stream_id(c->ng);

	return nghttp2_submit_goaway(c->ng, NGHTTP2_FLAG_NONE, last,
		   NGHTTP2_NO_ERROR, NULL, 0) == 0
		   ? 0
		   : ERR_NOMEM;
}

int
h2_abandon(struct h2 *c, uint32_t code)
{
	int r;

	for (size_t i = 0; i < H2_BUCKETS; i++) {
		for (struct h2_stream *s = c->streams[i]; s; s = s->next) {
			if ((r = h2_reset(c, s->id, code)) != 0)
				return r;
		}
	}
	return h2_shutdown(c);
}
