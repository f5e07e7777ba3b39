/* SPDX-License-Identifier: ISC */
/*
 * What the parts of h2.h share: the connection, its streams, and the
 * callbacks that nghttp2 gets. Nobody else includes it.
 */
#ifndef EGRESS_HTTP_H2_INSIDE_H
#define EGRESS_HTTP_H2_INSIDE_H

#include "egress/http/h2.h"
#include "egress/http/h2_flood.h"

#include <nghttp2/nghttp2.h>

/* More than there can be streams, whose ids go up by two. */
#define H2_BUCKETS 128

struct h2_stream {
	struct h2_stream *next;
	int32_t id;
	bool to_head;  /* a request of ours is HEAD */
	bool told;     /* the caller knows of it */
	bool final;    /* its head has come; what follows are trailers */
	bool answered; /* ours has been submitted */
	bool ending;   /* no more body from the caller */
	bool begun;    /* a head of ours has gone out */
	bool in_end, out_end;
	bool by_caller;	      /* the caller reset it */
	bool malformed;	      /* we did, for what came */
	bool dead;	      /* no more events but its reset */
	unsigned interims;    /* heads with a status below 200, */
	size_t interim_bytes; /* and all of them together */
	unsigned unsent;      /* heads and trailers of ours that wait */
	size_t owed;	      /* bytes of body without credit yet */
	struct head head, trailers_in, trailers_out;
	struct h2_head build;
	struct buf *out;
};

struct h2 {
	nghttp2_session *ng;
	enum h2_role role;
	struct h2_events on;
	void *arg;
	struct h2_stream *streams[H2_BUCKETS];
	size_t n_streams;
	struct h2_flood flood;
	struct bounds bounds;
	bool malformed;	    /* the stream that was reset last */
	bool settled;	    /* the far end's SETTINGS have come */
	bool over;	    /* a GOAWAY that says an error is on its way */
	struct span unsent; /* nghttp2's, until its next send */
};

/* h2_stream.c: by id, and NULL for one that is gone. */
struct h2_stream *h2_find(struct h2 *c, int32_t id);
struct h2_stream *h2_stream_new(void);
void h2_stream_free(struct h2_stream *s);
void h2_stream_insert(struct h2 *c, struct h2_stream *s, int32_t id);
void h2_stream_drop(struct h2 *c, struct h2_stream *s);

/* h2_in.c: it is gone; the caller hears of it if there is news. Frees s. */
void h2_stream_over(struct h2 *c, struct h2_stream *s, uint32_t code);
void h2_in_callbacks(nghttp2_session_callbacks *cb);
/* h2_out.c */
void h2_out_callbacks(nghttp2_session_callbacks *cb);

/* h2_memory.c: what nghttp2 gives back is wiped. */
nghttp2_mem *h2_memory(void);

#endif
