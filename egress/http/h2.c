/* SPDX-License-Identifier: ISC */
/* What for: HTTP/2 for both sides, as a pure machine around nghttp2.
 * Trusts: nghttp2 for frames and HPACK; nobody for what is in them.
 * At a bound: the stream is reset, or h2_recv() fails. */
#include "egress/http/h2.h"
#include "egress/http/h2_flood.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than there can be streams, whose ids go up by two. */
#define BUCKETS 128
/* As much as all streams together: one that stalls never holds up others.
 * It bounds what a connection's callers hold of bodies, 12.5 MiB. */
#define CONNECTION_WINDOW (H2_WINDOW * H2_STREAMS_MAX)
/* Early hints and the like, of one answer. */
#define INTERIMS_MAX 16
/* That any configuration may allow. */
#define CONTINUATIONS_MAX 64

struct stream {
	struct stream *next;
	int32_t id;
	bool to_head;  /* a request of ours is HEAD */
	bool told;     /* the caller knows of it */
	bool final;    /* its head has come; what follows are trailers */
	bool answered; /* ours has been submitted */
	bool ending;   /* no more body from the caller */
	bool begun; /* a head of ours has gone out */
	bool in_end, out_end;
	bool by_caller;	   /* the caller reset it */
	bool malformed;	   /* we did, for what came */
	bool dead;	   /* no more events but its reset */
	unsigned interims; /* heads with a status below 200, */
	size_t interim_bytes; /* and all of them together */
	unsigned unsent;   /* heads and trailers of ours that wait */
	size_t owed;	   /* bytes of body without credit yet */
	struct head head, trailers_in, trailers_out;
	struct h2_head build;
	struct buf *out;
};

struct h2 {
	nghttp2_session *ng;
	enum h2_role role;
	struct h2_events on;
	void *arg;
	struct stream *streams[BUCKETS];
	size_t n_streams;
	struct h2_flood flood;
	struct bounds bounds;
	bool malformed;	    /* the stream that was reset last */
	bool settled;	    /* the far end's SETTINGS have come */
	bool over;	    /* a GOAWAY that says an error is on its way */
	struct span unsent; /* nghttp2's, until its next send */
};

/* Memory that remembers its size, so that it can be wiped. */
union block {
	size_t n;
	max_align_t align;
};

static void *
wiping_malloc(size_t n, void *arg)
{
	union block *b;

	(void)arg;
	if (n > SIZE_MAX - sizeof(*b) || (b = malloc(sizeof(*b) + n)) == NULL)
		return NULL;
	b->n = n;
	return b + 1;
}

static void
wiping_free(void *p, void *arg)
{
	union block *b = p;

	(void)arg;
	if (p == NULL)
		return;
	b--;
	buf_wipe(p, b->n);
	free(b);
}

static void *
wiping_calloc(size_t n, size_t size, void *arg)
{
	void *p;

	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	if ((p = wiping_malloc(n * size, arg)) != NULL)
		memset(p, 0, n * size);
	return p;
}

static void *
wiping_realloc(void *p, size_t n, void *arg)
{
	void *q = wiping_malloc(n, arg);

	if (q != NULL && p != NULL) {
		size_t old = ((union block *)p - 1)->n;
		memcpy(q, p, old < n ? old : n);
		wiping_free(p, arg);
	}
	return q;
}

static struct stream **
bucket(struct h2 *c, int32_t id)
{
	return &c->streams[((uint32_t)id >> 1) % BUCKETS];
}

static struct stream *
find(struct h2 *c, int32_t id)
{
	struct stream *s = *bucket(c, id);

	/* nghttp2 does not know a request's stream before it is sent. */
	while (s != NULL && s->id != id)
		s = s->next;
	return s;
}

static void
stream_free(struct stream *s)
{
	head_clear(&s->head);
	head_clear(&s->trailers_in);
	head_clear(&s->trailers_out);
	buf_free(s->out);
	free(s);
}

static struct stream *
stream_new(void)
{
	struct stream *s = calloc(1, sizeof(*s));

	/* Bodies hold no credential of ours, either way. */
	if (s == NULL || (s->out = buf_new(H2_WINDOW)) == NULL) {
		free(s);
		return NULL;
	}
	head_init(&s->head);
	head_init(&s->trailers_in);
	head_init(&s->trailers_out);
	return s;
}

static void
stream_insert(struct h2 *c, struct stream *s, int32_t id)
{
	struct stream **at = bucket(c, id);

	s->id = id;
	s->next = *at;
	*at = s;
	c->n_streams++;
}

static void
stream_drop(struct h2 *c, struct stream *s)
{
	struct stream **at = bucket(c, s->id);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	c->n_streams--;
	stream_free(s);
}

/* The caller has not heard of it, but for this. */
static void
bury(struct h2 *c, struct stream *s, const char *why)
{
	if (!s->dead && !s->told && c->on.malformed != NULL)
		c->on.malformed(c->arg, s->id, why);
	s->dead = true;
}

/* nghttp2 resets the stream; until that is sent, more of it may come. */
static int
fail(struct h2 *c, struct stream *s, const char *why)
{
	if (s != NULL)
		bury(c, s, why);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int
refuse(struct h2 *c, struct stream *s)
{
	bury(c, s, s->build.why);
	return nghttp2_submit_rst_stream(
	    c->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_PROTOCOL_ERROR);
}

static int
on_begin(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *c = arg;
	struct stream *s = find(c, f->hd.stream_id);

	(void)ng;
	if (f->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (s == NULL && c->role == H2_SERVER) {
		if (c->n_streams >= c->bounds.streams ||
		    (s = stream_new()) == NULL)
			return fail(c, NULL, "");
		stream_insert(c, s, f->hd.stream_id);
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
	struct stream *s = find(c, f->hd.stream_id);
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
	return r == 0 ? 0
		      : fail(arg, s, r == ERR_TOO_BIG ? "a head too long"
						      : s->build.why);
}

/* nghttp2 would drop such a field and go on: that is repairing. */
static int
on_invalid(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t n, const uint8_t *value, size_t m, uint8_t flags, void *arg)
{
	(void)ng, (void)name, (void)n, (void)value, (void)m, (void)flags;
	return fail(arg, find(arg, f->hd.stream_id), "bad field");
}

/* What nghttp2 itself refuses of a head. */
static int
on_invalid_frame(
    nghttp2_session *ng, const nghttp2_frame *f, int why, void *arg)
{
	struct stream *s = find(arg, f->hd.stream_id);

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
take_head(struct h2 *c, struct stream *s, bool end)
{
	if (h2_head_end(&s->build, end) != 0 ||
	    (c->role == H2_SERVER && join_cookies(&s->head) != 0))
		return refuse(c, s);
	s->final = c->role == H2_SERVER || s->head.status >= 200;
	s->interim_bytes += s->final ? 0 : s->build.bytes;
	if (!s->final && (++s->interims > INTERIMS_MAX ||
			     s->interim_bytes > HEAD_BYTES_MAX))
		return refuse(c, s);
	s->told = true;
	c->on.head(c->arg, s->id, &s->head);
	return 0;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *c = arg;
	struct stream *s = find(c, f->hd.stream_id);
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
	struct stream *s = find(c, id);

	(void)flags;
	if (s == NULL || s->dead)
		return nghttp2_session_consume_connection(ng, n);
	s->owed += n;
	c->on.body(c->arg, id, span_of(p, n));
	return 0;
}

/* What the caller has not passed on, it will not: the rest of the
 * connection gets its window back. */
static void
stream_over(struct h2 *c, struct stream *s, uint32_t code)
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
	stream_drop(c, s);
}

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	struct h2 *c = arg;
	struct stream *s = find(c, id);

	(void)ng;
	if (s != NULL)
		stream_over(c, s, code);
	return 0;
}

static int
on_sent(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *c = arg;
	struct stream *s = find(c, f->hd.stream_id);
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
	struct stream *s = find(c, f->hd.stream_id);

	(void)ng;
	(void)why;
	if (s != NULL && f->hd.type == NGHTTP2_HEADERS &&
	    f->headers.cat == NGHTTP2_HCAT_REQUEST)
		stream_over(c, s, NGHTTP2_REFUSED_STREAM);
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
	struct stream *s = find(arg, id);
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

static int
open_session(struct h2 *c, nghttp2_session_callbacks *cb, nghttp2_option *o)
{
	static nghttp2_mem mem = {
	    NULL, wiping_malloc, wiping_free, wiping_calloc, wiping_realloc};
	const nghttp2_settings_entry set[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEAD_BYTES_MAX},
	    /* No tree of priorities is kept: it is work for nothing. */
	    {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
	    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
	size_t n = c->role == H2_CLIENT ? 5 : 4;
	int r;

	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(
	    cb, on_invalid);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
	    cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(
	    cb, on_not_sent);
	nghttp2_option_set_no_auto_window_update(o, 1);
	/* Its own limit on resets asks a clock; ours counts, and is lower. */
	nghttp2_option_set_stream_reset_rate_limit(o, UINT32_MAX, UINT32_MAX);
	/* It counts the pieces in which their headers come, too. */
	nghttp2_option_set_max_continuations(o, 10 * CONTINUATIONS_MAX);
	r = c->role == H2_SERVER
		? nghttp2_session_server_new3(&c->ng, cb, c, o, &mem)
		: nghttp2_session_client_new3(&c->ng, cb, c, o, &mem);
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
	struct stream *s;

	if (c == NULL)
		return;
	nghttp2_session_del(c->ng);
	for (size_t i = 0; i < BUCKETS; i++) {
		while ((s = c->streams[i]) != NULL) {
			c->streams[i] = s->next;
			stream_free(s);
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
	const struct stream *s = find(c, id);

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
h2_request(
    struct h2 *c, const struct head *h, size_t never, bool end, int32_t *id)
{
	nghttp2_nv nv[HEAD_FIELDS_MAX + 7];
	nghttp2_data_provider body = {.read_callback = read_body};
	struct span host;
	struct stream *s;
	char length[24];
	size_t n = 4;

	if (!head_get(h, "host", &host))
		return ERR_ARGUMENT;
	/* More than the far end takes would wait within nghttp2. */
	if (c->n_streams >= h2_limit(c))
		return ERR_UNAVAILABLE;
	if ((s = stream_new()) == NULL)
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
		stream_free(s);
		return ERR_UNAVAILABLE;
	}
	stream_insert(c, s, *id);
	return 0;
}

int
h2_response(struct h2 *c, int32_t id, const struct head *h, bool end)
{
	nghttp2_nv nv[HEAD_FIELDS_MAX + 2];
	nghttp2_data_provider body = {.read_callback = read_body};
	struct stream *s = find(c, id);
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
	struct stream *s = find(c, id);
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
	struct stream *s = find(c, id);

	return s == NULL || s->dead || s->ending ? 0 : buf_room(s->out);
}

bool
h2_holds(struct h2 *c, int32_t id)
{
	struct stream *s = find(c, id);

	return s != NULL && !s->dead && (s->unsent > 0 || buf_len(s->out) > 0);
}

int
h2_end(struct h2 *c, int32_t id, const struct head *trailers)
{
	struct stream *s = find(c, id);
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

int
h2_credit(struct h2 *c, int32_t id, size_t n)
{
	struct stream *s = find(c, id);

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
	struct stream *s = find(c, id);

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

	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct stream *s = c->streams[i]; s; s = s->next) {
			if ((r = h2_reset(c, s->id, code)) != 0)
				return r;
		}
	}
	return h2_shutdown(c);
}
