/* SPDX-License-Identifier: ISC */
/* What for: calls over HTTP/2, many on a connection. Trusts: the upstream
 * for nothing; egress/http/h2.h reads it. At a bound: a stream's window
 * stays shut; what is malformed ends its stream, or the connection. */
#include "egress/courier/call_inside.h"

#include "lib/log.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>

/* The largest locked buffer that keeps its memory (lib/buf.c). */
#define OUT_MAX (16 * 1024)

static struct call *
find(struct line *l, int32_t id)
{
	struct call *k = l->calls;

	while (k != NULL && (k->id == 0 || k->id != id))
		k = k->next;
	return k;
}

/* There is something to be had from it. False: its owner has freed it. */
static bool
wake(struct line *l, struct call *k)
{
	bool alive;

	l->at = k;
	call_tell(k, CALL_INPUT, REASON_NONE);
	alive = l->at == k;
	l->at = NULL;
	return alive;
}

static void
break_off(struct line *l, struct call *k, uint32_t code)
{
	k->err = ERR_FORMAT;
	if (h2_reset(l->h2, k->id, code) != 0)
		line_fail(l, REASON_INTERNAL);
	k->id = 0;
	line_later(l);
	(void)wake(l, k);
}

static void
on_head(void *arg, int32_t id, struct head *h)
{
	struct line *l = arg;
	struct call *k = find(l, id);

	if (k == NULL)
		return;
	k->head = h;
	k->seen = true;
	if (!wake(l, k) || k->head == NULL)
		return;
	k->head = NULL; /* nobody wanted it, and it cannot be kept */
	break_off(l, k, NGHTTP2_INTERNAL_ERROR);
}

static void
on_body(void *arg, int32_t id, struct span bytes)
{
	struct line *l = arg;
	struct call *k = find(l, id);

	if (k == NULL)
		return;
	if (buf_put_span(k->in, bytes) != 0)
		break_off(l, k, NGHTTP2_INTERNAL_ERROR);
	else
		(void)wake(l, k);
}

static int
keep_trailers(struct call *k, const struct head *trailers)
{
	int r = 0;

	if (trailers->n_fields == 0)
		return 0;
	if ((k->trailers = calloc(1, sizeof(*k->trailers))) == NULL)
		return ERR_NOMEM;
	head_init(k->trailers);
	for (size_t i = 0; i < trailers->n_fields && r == 0; i++)
		r = head_add(k->trailers, trailers->fields[i].name,
		    trailers->fields[i].value);
	return r;
}

static void
on_end(void *arg, int32_t id, struct head *trailers)
{
	struct line *l = arg;
	struct call *k = find(l, id);

	if (k == NULL)
		return;
	if (keep_trailers(k, trailers) != 0) {
		break_off(l, k, NGHTTP2_INTERNAL_ERROR);
		return;
	}
	k->in_end = true;
	(void)wake(l, k);
}

static void
on_reset(void *arg, int32_t id, uint32_t code)
{
	struct line *l = arg;
	struct call *k = find(l, id);

	if (k == NULL)
		return;
	k->id = 0;
	if (k->in_end) /* it has said all, and wants no more of ours */
		return;
	if (h2_malformed(l->h2)) {
		k->err = call_refuse(k, ERR_FORMAT, "a malformed answer");
	} else if (code == NGHTTP2_REFUSED_STREAM && !k->seen) {
		call_tell(k, CALL_UNUSED, REASON_RETIRED_CONNECTION);
		return;
	} else {
		k->err = call_refuse(
		    k, ERR_UNAVAILABLE, nghttp2_http2_strerror(code));
	}
	(void)wake(l, k);
}

int
call_h2_start(struct line *l)
{
	static const struct h2_events events = {
	    .head = on_head, .body = on_body, .end = on_end, .reset = on_reset};
	int r;

	if ((l->out = buf_new_locked(OUT_MAX)) == NULL)
		return ERR_NOMEM;
	if ((r = h2_new(H2_CLIENT, &events, l, &l->h2)) == 0)
		line_later(l);
	return r;
}

static void
log_and_fail(struct line *l)
{
	log_event(LOG_WARN, "upstream_broken",
	    LOG_STR("host", upstream_key(l->up)->host),
	    LOG_STR("why", h2_why(l->h2)));
	line_fail(l, REASON_UPSTREAM_BROKEN);
}

/* Who was told that there is no room hears when there is. */
static void
tell_drained(struct line *l)
{
	for (struct call *k = l->calls, *next; k != NULL; k = next) {
		next = k->next; /* a call's end is no other's */
		if (!k->blocked || (k->id != 0 && h2_room(l->h2, k->id) == 0))
			continue;
		k->blocked = false;
		call_tell(k, CALL_DRAINED, REASON_NONE);
	}
}

void
call_h2_flush(struct line *l)
{
	while (stream_queued(upstream_stream(l->up)) < STREAM_HIGH) {
		if (h2_send(l->h2, l->out) != 0) {
			line_fail(l, REASON_INTERNAL);
			return;
		}
		if (buf_len(l->out) == 0)
			break;
		if (stream_write_buf(upstream_stream(l->up), l->out) != 0) {
			line_fail(l, REASON_UPSTREAM_BROKEN);
			return;
		}
	}
	/* nghttp2 ends some connections by a GOAWAY of its own alone. */
	if (*h2_why(l->h2) != '\0')
		log_and_fail(l);
	else
		tell_drained(l);
}

static void
h2_input(struct line *l)
{
	struct stream *s = upstream_stream(l->up);
	struct span in = stream_input(s);
	int r = h2_recv(l->h2, in);

	if (l->up == NULL)
		return;
	stream_consume(s, in.n);
	if (r == 0) {
		line_later(l);
		return;
	}
	log_and_fail(l);
}

static void
h2_event(struct line *l, enum upstream_event event)
{
	if (event == UPSTREAM_INPUT)
		h2_input(l);
	else if (event == UPSTREAM_EOF)
		line_fail(l, REASON_UPSTREAM_BROKEN);
	else
		line_later(l);
}

/* What it has still to give is given first. */
void
call_h2_orphan(struct line *l, struct call *k)
{
	int32_t id = k->id;

	k->id = 0;
	if (k->in_end)
		return; /* all of the answer is there */
	if (id != 0 && !h2_begun(l->h2, id)) {
		call_tell(k, CALL_UNUSED, REASON_RETIRED_CONNECTION);
		return;
	}
	if (k->err == 0)
		k->err = *h2_why(l->h2) != '\0' ? ERR_FORMAT : ERR_UNAVAILABLE;
	call_tell(k, CALL_INPUT, REASON_NONE);
}

/* Bytes of the connection that are not written yet may be of a call that is
 * cut: then all of it goes. */
void
call_h2_cut(struct line *l)
{
	if (l->up != NULL && stream_queued(upstream_stream(l->up)) > 0)
		line_fail(l, REASON_RETIRED_CONNECTION);
}

static bool
writable(const struct head *h)
{
	for (size_t i = 0; i < h->target.n; i++) {
		if (h->target.p[i] <= ' ' || h->target.p[i] >= 0x7f ||
		    h->target.p[i] == '#')
			return false;
	}
	for (size_t i = 0; i < h->n_fields; i++) {
		if (!head_is_name(h->fields[i].name) ||
		    !head_is_value(h->fields[i].value))
			return false;
	}
	return h->target.n > 0 && head_is_token(h->method);
}

static int
h2_send_head(struct call *k, const struct head *h, size_t never)
{
	struct line *l = k->line;

	if (!writable(h))
		return ERR_ARGUMENT;
	if (l == NULL || l->failed)
		return ERR_UNAVAILABLE;
	if (k->in == NULL && (k->in = buf_new(H2_WINDOW)) == NULL)
		return ERR_NOMEM;
	k->ended = h->body == HEAD_BODY_NONE;
	line_later(l);
	return h2_request(l->h2, h, never, k->ended, &k->id);
}

/* After a complete answer the rest of the request is nobody's. */
static size_t
h2_call_room(struct call *k)
{
	size_t n = k->id != 0  ? h2_room(k->line->h2, k->id)
		   : k->in_end ? H2_WINDOW
			       : 0;

	k->blocked = n == 0;
	return n;
}

static int
h2_call_body(struct call *k, struct span bytes)
{
	if (k->id == 0)
		return 0;
	line_later(k->line);
	return h2_body(k->line->h2, k->id, bytes);
}

static int
h2_call_end(struct call *k, const struct head *trailers)
{
	k->ended = true;
	if (k->id == 0)
		return 0;
	line_later(k->line);
	return h2_end(k->line->h2, k->id, trailers);
}

static int
h2_next(struct call *k, size_t room, struct call_piece *out)
{
	struct span in = {0};

	if (k->in != NULL)
		in = buf_span(k->in);
	if (k->head != NULL) {
		out->kind = CALL_HEAD;
		out->head = k->head;
		k->head = NULL;
		k->answered = out->head->status >= 200;
	} else if (in.n > 0 && room > 0) {
		out->kind = CALL_BYTES;
		out->bytes = span_of(in.p, in.n < room ? in.n : room);
		k->lent = out->bytes.n;
	} else if (in.n == 0 && k->in_end) {
		out->kind = CALL_END;
		out->head = k->trailers;
		k->over = true;
	} else if (in.n == 0) {
		return k->err;
	}
	return 0;
}

static void
h2_took(struct call *k)
{
	size_t n = k->lent;

	k->lent = 0;
	buf_wipe((uint8_t *)(uintptr_t)buf_span(k->in).p, n);
	buf_consume(k->in, n);
	if (k->id == 0)
		return;
	if (h2_credit(k->line->h2, k->id, n) != 0)
		line_fail(k->line, REASON_INTERNAL);
	line_later(k->line);
}

static void
h2_leave(struct call *k, bool clean)
{
	struct line *l = k->line;

	if (l->at == k)
		l->at = NULL;
	if (!clean && k->id != 0 && h2_reset(l->h2, k->id, NGHTTP2_CANCEL) != 0)
		line_fail(l, REASON_INTERNAL);
	line_remove(k);
	line_later(l);
}

const struct call_type call_h2 = {.send = h2_send_head,
    .room = h2_call_room,
    .body = h2_call_body,
    .end = h2_call_end,
    .next = h2_next,
    .took = h2_took,
    .leave = h2_leave,
    .event = h2_event};
