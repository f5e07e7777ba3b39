/* SPDX-License-Identifier: ISC */
/*
 * A link: one end of a socketpair to a sibling process, carrying msg.h
 * frames both ways, at most one fd each, on a libev loop.
 *
 * The first frame each way is a hello with the build id and the sender's
 * role; a link whose far end has another build or another role is broken.
 * What may be received is a table; a frame outside it, or one that its
 * handler refuses, breaks the link: the owner is told once through
 * on_break and should treat it as fatal (ERR_FORMAT) or as the death of
 * the sibling (ERR_UNAVAILABLE). The link is dead then but still the
 * owner's to free.
 *
 * Bytes are wiped once consumed on links made with .secret, whose buffers
 * are in locked memory, and no larger than the longest frame of the table
 * needs: there is little of it for all.
 *
 * When several links have frames at once, those of the supervisor and the
 * minter are handled first: what they sent before a sibling could act on it
 * is known before the sibling's frames are looked at.
 *
 * Handlers may send on any link and may free any link but their own; to
 * drop one's own, return non-zero.
 */
#ifndef LIB_LINK_H
#define LIB_LINK_H

#include "lib/msg.h"

#include <ev.h>

struct link;

/* Who sits at an end. Values are on the wire. */
enum link_role {
	LINK_SUPERVISOR = 1,
	LINK_VAULT = 2,
	LINK_MINTER = 3,
	LINK_DIALER = 4,
	LINK_GATE = 5,
	LINK_COURIER = 6,
	LINK_CLI = 7
};
const char *link_role_name(enum link_role role);

/* m is the decoded struct (borrowed until return). fd is -1 or owned by
 * the handler from now on. 0, or an err that breaks the link. */
typedef int link_handler(void *ctx, struct link *l, const void *m, int fd);

struct link_rule {
	const struct msg_type *type;
	link_handler *handler;
};

struct link_options {
	enum link_role self, peer;
	const struct link_rule *rules; /* outlives the link */
	size_t n_rules;
	void *ctx;
	/* err: ERR_UNAVAILABLE the far end is gone, else it misbehaved. */
	void (*on_break)(void *ctx, struct link *l, int err);
	/* The queue fell to low_water or less after having been above it
	 * (optional). */
	void (*on_drain)(void *ctx, struct link *l);
	size_t low_water;
	size_t queue_max; /* bytes queued to send; 0: 1 MiB */
	bool secret;	  /* credentials pass: locked, wiped buffers */
};

/* Takes fd (closed on failure too). Sends its hello and starts reading. */
MUST_USE int link_new(
    struct ev_loop *loop, int fd, const struct link_options *o,
    struct link **out);
/* Closes without flushing; NULL is fine. */
void link_free(struct link *l);

/* Queue m; written when the loop next turns, many in one write. fd (or -1)
 * is taken over and closed once sent, or on failure. ERR_TOO_BIG when the
 * queue, or that of fds (16 that the far end does not take), is full: the caller had no backpressure and should break. */
MUST_USE int link_send(
    struct link *l, const struct msg_type *t, const void *m, int fd);

/* Write out what is queued now, blocking at most timeout_ms. For a last
 * message before exit and before handing over an acknowledgement. */
MUST_USE int link_flush(struct link *l, int timeout_ms);

size_t link_queued(const struct link *l);
bool link_broken(const struct link *l);
/* The far end's hello has come. */
bool link_greeted(const struct link *l);
int link_fd(const struct link *l);

/* A connected pair fit for links: close-on-exec, non-blocking. */
MUST_USE int link_pair(int out[2]);

/* The build id in every hello; the same for all programs of one build. */
const char *link_build_id(void);

/*
 * The same frames without a loop, for a short-lived caller (the CLI):
 * blocking, with a deadline in ms for each call.
 */
MUST_USE int link_call_hello(
    int fd, enum link_role self, enum link_role peer, int timeout_ms);
MUST_USE int link_call_send(
    int fd, const struct msg_type *t, const void *m, int timeout_ms);
/* Reads one frame of type t into m; its spans borrow from store, which the
 * caller gives (locked where a secret may come). */
MUST_USE int link_call_receive(
    int fd, const struct msg_type *t, void *m, struct buf *store,
    int timeout_ms);

#endif
