/* SPDX-License-Identifier: ISC */
/*
 * The admin API's HTTP, on libmicrohttpd with external epoll. Its parser is
 * too lax for strangers, so nobody is parsed whom the kernel has not named
 * as our own uid or root; what it lets through is checked again: exact
 * undecoded paths, one Content-Length, no Transfer-Encoding, JSON only.
 *
 * Bounds: ADMIN_CONNECTIONS at once, ADMIN_BODY_MAX bytes of body,
 * ADMIN_SECONDS for a request to come in and for an answer to be taken.
 */
#ifndef MINTER_ADMIN_H
#define MINTER_ADMIN_H

#include "lib/err.h"

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define ADMIN_CONNECTIONS 64
#define ADMIN_BODY_MAX (1024 * 1024)
#define ADMIN_SECONDS 10.0

struct admin;
/* One request. Its handler answers exactly once, at once or later, by one
 * of the two functions below; the call is not to be touched after. */
struct admin_call;

typedef void
admin_handler(void *ctx, struct admin_call *call, const json_t *body);

struct admin_route {
	const char *method, *path;
	admin_handler *handler;
};

/* fd: the listening socket, taken over. group: whose members may call too
 * (or UNIXSOCK_NO_GROUP). routes outlive the server. */
MUST_USE int admin_new(struct ev_loop *loop, int fd, gid_t group,
    const struct admin_route *routes, size_t n, void *ctx, struct admin **out);
/* From now on each call that there is gets this problem (503) for an answer.
 * The texts outlive the server. */
void admin_refuse_all(
    struct admin *a, const char *title, const char *next, const char *why);
/* Flushes nothing: for exit. */
void admin_free(struct admin *a);
/* Write out what can be, for at most ms: before exit. */
void admin_drain(struct admin *a, int ms);

/* 200 with result (consumed; NULL means that memory is out). */
void admin_reply(struct admin_call *call, json_t *result);
/* 200 with text (malloc'd, taken over; NULL means that memory is out) of
 * that media type (a literal). */
void admin_reply_text(struct admin_call *call, const char *type, char *text);
/* An RFC 9457 problem. next: what to do. fmt: what happened and why. */
void admin_problem(struct admin_call *call, unsigned status, const char *title,
    const char *next, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* For tests: may this peer call? */
bool admin_peer_ok(int fd, gid_t group);

#endif
