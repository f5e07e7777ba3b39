/* SPDX-License-Identifier: ISC */
/*
 * Calls from the inside: a protocol is one call_type, chosen when the
 * connection stands. For call*.c and for nobody else.
 */
#ifndef COURIER_CALL_INSIDE_H
#define COURIER_CALL_INSIDE_H

#include "egress/courier/call.h"

struct call_type {
	int (*send)(struct call *k, const struct head *h, size_t never);
	size_t (*room)(const struct call *k);
	int (*body)(struct call *k, struct span bytes);
	int (*end)(struct call *k);
	int (*next)(struct call *k, size_t room, struct call_piece *out);
	void (*took)(struct call *k);
	/* False: what it ran on cannot be used again. */
	bool (*reusable)(struct call *k);
};

struct call {
	const struct call_type *type;
	struct upstream *up;
	call_handler *handler;
	void *ctx;
	char host[HOST_MAX];
	bool chunked;	 /* the request's body is */
	bool ended;	 /* call_end() was called, or there was no body */
	bool answered;	 /* the final head has come */
	bool closing;	 /* the upstream closes after this answer */
	bool over;	 /* CALL_END was given out */
	size_t lent;	 /* bytes in the owner's hands, until call_took() */
	bool eof;	 /* the upstream sends no more, */
	bool eof_broken; /* and did not say so */
};

extern const struct call_type call_h1, call_plain;

/* A 101 has come: what follows are bytes, as in a tunnel. */
void call_upgraded(struct call *k);

/* Log why an answer is refused; returns err. */
int call_refuse(const struct call *k, int err, const char *why);

#endif
