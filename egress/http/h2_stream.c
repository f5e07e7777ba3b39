/* SPDX-License-Identifier: ISC */
/* What for: the streams of one HTTP/2 connection, by id. Trusts: nothing.
 * At a bound: NULL; how many there are is for the callers to bound. */
#include "egress/http/h2_inside.h"

#include <stdlib.h>

static struct h2_stream **
bucket(struct h2 *c, int32_t id)
{
	return &c->streams[((uint32_t)id >> 1) % H2_BUCKETS];
}

struct h2_stream *
h2_find(struct h2 *c, int32_t id)
{
	struct h2_stream *s = *bucket(c, id);

	/* nghttp2 does not know a request's stream before it is sent. */
	while (s != NULL && s->id != id)
		s = s->next;
	return s;
}

void
h2_stream_free(struct h2_stream *s)
{
	head_clear(&s->head);
	head_clear(&s->trailers_in);
	head_clear(&s->trailers_out);
	buf_free(s->out);
	free(s);
}

struct h2_stream *
h2_stream_new(void)
{
	struct h2_stream *s = calloc(1, sizeof(*s));

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

void
h2_stream_insert(struct h2 *c, struct h2_stream *s, int32_t id)
{
	struct h2_stream **at = bucket(c, id);

	s->id = id;
	s->next = *at;
	*at = s;
	c->n_streams++;
}

void
h2_stream_drop(struct h2 *c, struct h2_stream *s)
{
	struct h2_stream **at = bucket(c, s->id);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	c->n_streams--;
	h2_stream_free(s);
}
