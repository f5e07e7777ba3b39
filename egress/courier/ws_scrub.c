/* SPDX-License-Identifier: ISC */
/* What for: scrubbing messages without moving a frame. Trusts: nothing.
 * At a bound: an error, and the caller stops sending. */
#include "egress/courier/ws_scrub.h"

#include "egress/http/ws.h"

#include <stdlib.h>

/* Heads and control frames that wait lie in later, each behind a record of
 * how much payload of the message goes out before it. */
struct record {
	uint32_t after;
	uint32_t n;
};

struct ws_scrub {
	struct ws parser;
	struct scrub_set *set;
	struct scrub *message;
	struct buf *control; /* the payload of a control frame, so far */
	struct buf *plain;   /* payload that was decided just now */
	struct buf *later;
	size_t waiting; /* bytes in later, without the records */
	uint32_t last;	/* payload held behind the last record */
};

int
ws_scrub_new(struct scrub_set *set, struct ws_scrub **out)
{
	struct ws_scrub *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return ERR_NOMEM;
	ws_start(&w->parser, WS_SERVER);
	w->set = scrub_set_hold(set);
	w->control = buf_new(WS_HEAD_MAX + WS_CONTROL_MAX);
	w->plain = buf_new(SIZE_MAX / 2);
	w->later = buf_new(WS_SCRUB_LATER);
	if (w->control == NULL || w->plain == NULL || w->later == NULL ||
	    scrub_new(set, &w->message) != 0) {
		ws_scrub_free(w);
		return ERR_NOMEM;
	}
	*out = w;
	return 0;
}

void
ws_scrub_free(struct ws_scrub *w)
{
	if (w == NULL)
		return;
	scrub_free(w->message);
	scrub_set_free(w->set);
	buf_free(w->control);
	buf_free(w->plain);
	buf_free(w->later);
	buf_wipe(w, sizeof(*w));
	free(w);
}

/* Bytes that are no message's: now, or behind what is held of one. */
static int
put_aside(struct ws_scrub *w, struct span s, struct buf *out)
{
	struct record rec = {.after = w->last, .n = (uint32_t)s.n};
	int r;

	if (buf_len(w->later) == 0 && scrub_held(w->message) == 0)
		return buf_put_span(out, s);
	w->last = 0;
	if ((r = buf_put(w->later, &rec, sizeof(rec))) == 0)
		r = buf_put_span(w->later, s);
	w->waiting += s.n;
	return r;
}

static int
move(struct buf *from, size_t n, struct buf *to)
{
	int r = buf_put(to, buf_span(from).p, n);

	if (r == 0)
		buf_consume(from, n);
	return r;
}

/* The first record, as far as plain reaches. *stuck: not to its end. */
static int
put_record(struct ws_scrub *w, struct buf *out, bool *stuck)
{
	struct record rec;
	int r;

	memcpy(&rec, buf_span(w->later).p, sizeof(rec));
	size_t n = buf_len(w->plain);
	n = n < rec.after ? n : rec.after;
	if ((r = move(w->plain, n, out)) != 0)
		return r;
	rec.after -= (uint32_t)n;
	*stuck = rec.after > 0;
	if (*stuck) {
		/* The record is ours: only its count changes. */
		memcpy(
		    (void *)(uintptr_t)buf_span(w->later).p, &rec, sizeof(rec));
		return 0;
	}
	buf_consume(w->later, sizeof(rec));
	w->waiting -= rec.n;
	return move(w->later, rec.n, out);
}

/* What was decided goes out, and what waited for it. */
static int
put_plain(struct ws_scrub *w, struct buf *out)
{
	bool stuck = false;
	int r = 0;

	while (r == 0 && !stuck && buf_len(w->later) > 0)
		r = put_record(w, out, &stuck);
	size_t n = buf_len(w->plain);
	if (r != 0 || n == 0)
		return r;
	w->last -= (uint32_t)n;
	return move(w->plain, n, out);
}

static int
on_data(struct ws_scrub *w, struct span s, struct buf *out)
{
	int r = scrub_run(w->message, s, w->plain);

	w->last += (uint32_t)s.n;
	return r != 0 ? r : put_plain(w, out);
}

/* A message is over: what is held of it is no whole match. */
static int
on_message_end(struct ws_scrub *w, struct buf *out)
{
	int r = scrub_end(w->message, w->plain);

	return r != 0 ? r : put_plain(w, out);
}

static int
on_control_end(struct ws_scrub *w, size_t n_head, struct buf *out)
{
	struct span all = buf_span(w->control);
	struct buf *clean = buf_new(all.n);
	int r = clean == NULL ? ERR_NOMEM : buf_put(clean, all.p, n_head);

	if (r == 0)
		r = scrub_text(w->set, span_from(all, n_head), clean);
	if (r == 0)
		r = put_aside(w, buf_span(clean), out);
	buf_free(clean);
	buf_reset(w->control);
	return r;
}

static int
on_event(struct ws_scrub *w, enum ws_event e, struct span s, struct buf *out)
{
	const struct ws_frame *f = &w->parser.frame;

	if (e == WS_MORE)
		return 0;
	if (ws_is_control(f)) {
		if (e != WS_END)
			return buf_put_span(w->control, s);
		return on_control_end(
		    w, buf_len(w->control) - (size_t)f->length, out);
	}
	if (e == WS_HEAD)
		return put_aside(w, s, out);
	if (e == WS_PAYLOAD)
		return on_data(w, s, out);
	return f->fin ? on_message_end(w, out) : 0;
}

int
ws_scrub_run(struct ws_scrub *w, struct span in, struct buf *out)
{
	enum ws_event event = WS_HEAD;
	struct span s;
	int r = 0;

	while (r == 0 && event != WS_MORE) {
		r = ws_next(&w->parser, &in, &event, &s);
		if (r == 0)
			r = on_event(w, event, s, out);
	}
	return r;
}

int
ws_scrub_idle(struct ws_scrub *w, struct buf *out)
{
	int r = scrub_idle(w->message, w->plain);

	return r != 0 ? r : put_plain(w, out);
}

int
ws_scrub_end(struct ws_scrub *w, struct buf *out)
{
	if (!ws_between(&w->parser))
		return ERR_TRUNCATED;
	return on_message_end(w, out);
}

size_t
ws_scrub_held(const struct ws_scrub *w)
{
	return scrub_held(w->message) + w->waiting + buf_len(w->control) +
	       w->parser.n_head;
}

bool
ws_scrub_closed(const struct ws_scrub *w)
{
	return ws_closed(&w->parser);
}

const char *
ws_scrub_why(const struct ws_scrub *w)
{
	return ws_why(&w->parser);
}
