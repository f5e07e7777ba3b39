/* SPDX-License-Identifier: ISC */
/* What for: HTTP/1.1 messages out of hostile bytes, for both sides.
 * Trusts: nothing, llhttp and this scanner not even each other: what they
 * read differently is refused.
 * At a bound: ERR_TOO_BIG and the parser is dead. */
#include "egress/http/h1_inside.h"

#include <stdlib.h>

int
h1_refuse(struct h1 *p, const char *why)
{
	p->why = why;
	return ERR_FORMAT;
}

static int
step_head(struct h1 *p, struct span *in, enum h1_event *event)
{
	int r;

	if (in->n == 0)
		return 0;
	if (!p->begun) {
		p->begun = true;
		h1_block_start(&p->head_block);
		head_clear(&p->head);
	}
	if ((r = h1_block_take(p, &p->head_block, in)) != 0)
		return r == ERR_TRUNCATED ? 0 : r;
	if ((r = h1_whole_head(p)) != 0)
		return r;
	if (p->role == H1_RESPONSE && p->head.status == 101) {
		p->state = S_DONE; /* what follows is another protocol's */
	} else if (p->role == H1_RESPONSE && p->head.status < 200) {
		p->interim_bytes += buf_len(p->head_block.raw);
		if (p->interims++ == H1_INTERIM_MAX ||
		    p->interim_bytes > HEAD_BYTES_MAX)
			return h1_refuse(p, "too many interim responses");
		p->state = S_HEAD;
		p->begun = false;
	}
	*event = H1_HEAD;
	return 0;
}

int
h1_new(enum h1_role role, struct h1 **out)
{
	struct h1 *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return ERR_NOMEM;
	p->role = role;
	p->why = "";
	p->bytes_max = HEAD_BYTES_MAX;
	p->fields_max = HEAD_FIELDS_MAX;
	p->head_block.raw = buf_new(HEAD_BYTES_MAX);
	p->trailer_block.raw = buf_new(H1_TRAILER_BYTES_MAX);
	head_init(&p->head);
	head_init(&p->trailers);
	if (p->head_block.raw == NULL || p->trailer_block.raw == NULL) {
		h1_free(p);
		return ERR_NOMEM;
	}
	h1_start(p, false);
	*out = p;
	return 0;
}

void
h1_bound(struct h1 *p, size_t bytes, size_t fields)
{
	p->bytes_max = bytes < HEAD_BYTES_MAX ? bytes : HEAD_BYTES_MAX;
	p->fields_max = fields < HEAD_FIELDS_MAX ? fields : HEAD_FIELDS_MAX;
}

void
h1_free(struct h1 *p)
{
	if (p == NULL)
		return;
	head_clear(&p->head);
	head_clear(&p->trailers);
	buf_free(p->head_block.raw);
	buf_free(p->trailer_block.raw);
	buf_wipe(p, sizeof(*p));
	free(p);
}

void
h1_start(struct h1 *p, bool to_head)
{
	if (p->state == S_DEAD)
		return;
	if (p->begun && p->state != S_DONE)
		abort(); /* the caller lost count of its messages */
	p->state = S_HEAD;
	p->to_head = to_head;
	p->to_upgrade = false;
	p->begun = false;
	p->interims = 0;
	p->interim_bytes = 0;
	p->left = 0;
	p->body_bytes = 0;
	head_clear(&p->head);
	head_clear(&p->trailers);
	buf_reset(p->head_block.raw);
	buf_reset(p->trailer_block.raw);
}

void
h1_start_upgrade(struct h1 *p)
{
	h1_start(p, false);
	p->to_upgrade = true;
}

int
h1_next(struct h1 *p, struct span *in, enum h1_event *event, struct span *body)
{
	int r = 0;

	*event = H1_MORE;
	*body = (struct span){0};
	switch (p->state) {
	case S_DEAD:
		return ERR_FORMAT;
	case S_DONE:
		return 0;
	case S_HEAD:
		r = step_head(p, in, event);
		break;
	case S_END:
		break;
	default:
		r = h1_step_body(p, in, event, body);
		break;
	}
	if (r != 0) {
		p->state = S_DEAD;
		return r;
	}
	if (p->state == S_END && *event == H1_MORE) {
		p->state = S_DONE;
		*event = H1_END;
	}
	return 0;
}

int
h1_eof(struct h1 *p, enum h1_event *event)
{
	*event = H1_MORE;
	if (p->state == S_DONE ||
	    (p->state == S_HEAD && !p->begun && p->interims == 0))
		return 0;
	if (p->state != S_UNTIL_CLOSE && p->state != S_END)
		return ERR_TRUNCATED;
	p->state = S_DONE;
	*event = H1_END;
	return 0;
}

struct head *
h1_head(struct h1 *p)
{
	return &p->head;
}

struct head *
h1_trailers(struct h1 *p)
{
	return &p->trailers;
}

bool
h1_idle(const struct h1 *p)
{
	return p->state == S_HEAD && !p->begun && p->interims == 0;
}

const char *
h1_why(const struct h1 *p)
{
	return p->why;
}
