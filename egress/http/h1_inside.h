/* SPDX-License-Identifier: ISC */
/*
 * What the parts of h1_parse.h share. Every int is 0 or what h1_next() fails
 * with. Nobody else includes it.
 */
#ifndef EGRESS_HTTP_H1_INSIDE_H
#define EGRESS_HTTP_H1_INSIDE_H

#include "egress/http/h1_parse.h"

#include <llhttp.h>

enum h1_state {
	S_HEAD,	      /* collecting a head */
	S_LENGTH,     /* left bytes of a body with a length */
	S_CHUNK_SIZE, /* hex digits */
	S_CHUNK_LF,   /* the LF after a chunk's size */
	S_CHUNK_DATA, /* left bytes of a chunk */
	S_DATA_CR,    /* the CRLF after a chunk's bytes */
	S_DATA_LF,
	S_TRAILERS,
	S_UNTIL_CLOSE,
	S_END, /* all consumed, H1_END not said yet */
	S_DONE,
	S_DEAD
};

/* Lines up to and with the empty one. */
struct h1_block {
	struct buf *raw;
	size_t line; /* bytes in the current line so far */
	bool cr;     /* the last byte was CR */
	bool first;  /* in the first line */
};

/* What llhttp saw of the current message. */
struct h1_judge {
	llhttp_t llhttp;
	size_t fields;
	uint64_t body;
	bool complete, differs;
};

struct h1 {
	enum h1_role role;
	enum h1_state state;
	const char *why;
	bool to_head, to_upgrade, begun;
	unsigned interims, digits;
	size_t interim_bytes; /* of all of them */
	uint64_t left, body_bytes;
	struct h1_block head_block, trailer_block;
	struct head head, trailers;
	size_t bytes_max, fields_max; /* of a head */
	struct h1_judge judge;
};

/* ERR_FORMAT, and why. */
MUST_USE int h1_refuse(struct h1 *p, const char *why);

/* h1_judge.c: llhttp reads the same bytes, the head as a whole. */
void h1_judge_start(struct h1 *p);
MUST_USE int h1_judge_feed(struct h1 *p, struct span s);
/* Has it come as far as we have? */
MUST_USE int h1_judge_agrees(struct h1 *p);

/* h1_lines.c */
void h1_block_start(struct h1_block *b);
/* Takes bytes up to the empty line. ERR_TRUNCATED: it has not come yet. */
MUST_USE int h1_block_take(struct h1 *p, struct h1_block *b, struct span *in);
/* The next line of a whole block, without its CRLF. */
struct span h1_take_line(struct span *s);
/* The line is not empty; its name is lowered in place. */
MUST_USE int
h1_split_field(struct h1 *p, struct span line, struct head_field *f);

/* h1_head.c: of the whole head_block. */
MUST_USE int h1_whole_head(struct h1 *p);

/* h1_body.c: a piece of the body, or its end. */
MUST_USE int h1_step_body(
    struct h1 *p, struct span *in, enum h1_event *event, struct span *body);

#endif
