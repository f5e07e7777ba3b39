/* SPDX-License-Identifier: ISC */
/*
 * Did the gate take our ATTACH line? It says nothing when it did; when not,
 * the first answer is a 407 of its own (docs/attach.md), or a 503 while it is
 * not ready. That is the one thing in the bridged bytes that is looked at, and
 * only at their beginning. Pure.
 */
#ifndef GUEST_REFUSED_H
#define GUEST_REFUSED_H

#include <stddef.h>

#define REFUSED_HEAD 4096 /* a head that is longer is not the gate's */

enum refused {
	REFUSED_NO,
	REFUSED_YES,   /* its 407: not with this token */
	REFUSED_LATER, /* its 503: it is not ready */
	REFUSED_MORE   /* cannot be said before more bytes are there */
};

/* The first n bytes that came back. */
enum refused refused_look(const char *p, size_t n);

#endif
