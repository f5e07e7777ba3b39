/* SPDX-License-Identifier: ISC */
/*
 * Two sockets and the bytes between them, both ways, with half-close and
 * bounded buffers: what cannot be written is not read. The fds stay the
 * caller's to close. No waiting, no polling: the caller asks what each
 * side waits for, and steps the pair when something happened.
 */
#ifndef GUEST_PAIR_H
#define GUEST_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOW_SIZE (64 * 1024)

/* One direction. Invariant: start + n <= FLOW_SIZE. */
struct flow {
	char *buf;
	size_t start;
	size_t n;
	bool ended;  /* the reader saw the end of the stream */
	bool closed; /* and the writer passed it on */
	bool broken; /* the writer's far end is gone: bytes are dropped */
};

struct pair {
	int side[2];	     /* fds: client, channel */
	struct flow flow[2]; /* flow[i] reads side[i], writes side[1 - i] */
	/* Nothing came back yet, and all that went is still in flow[0].buf,
	 * behind `before` bytes of prefix: it can be said again. */
	bool fresh;
	size_t before;
};

/* -1 when memory is out. */
int pair_init(struct pair *p, int client, int channel);
/* Bytes to go to the channel before the client's, put before the first
 * step; false: no room. */
bool pair_prefix(struct pair *p, const char *bytes, size_t n);
void pair_free(struct pair *p);

enum pair_state {
	PAIR_GOING,
	PAIR_ANSWERED, /* all was said to the client, who still talks to nobody
			*/
	PAIR_DONE,     /* both ways ended well */
	PAIR_BROKEN,   /* a side was reset: reset the other */
	PAIR_REFUSED,  /* the gate did not take the prefix: pair_again(), or
			  pair_pass() its answer on */
	PAIR_LATER     /* the gate is not ready for a CONNECT, or went before it
			  answered one, of which nothing can have come: as for
			  PAIR_REFUSED */
};

/* Move what can be moved now. */
enum pair_state pair_step(struct pair *p);
/* Forget the prefix and the answer; the client's bytes will go to another
 * channel, after another prefix. */
void pair_again(struct pair *p);
/* Nothing will be said again: what came back is the client's. */
void pair_pass(struct pair *p);
/* EPOLLIN | EPOLLOUT that side i waits for; 0: nothing now. */
uint32_t pair_events(const struct pair *p, int i);

#endif
