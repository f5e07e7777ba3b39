/* SPDX-License-Identifier: ISC */
/*
 * Names to addresses in worker threads, because the system's resolver
 * blocks. One thread per lookup, a few per session at once, so that one
 * session's slow names hold up nobody else; the rest of that session's
 * lookups wait; when there is room for more, the sessions take turns. What
 * one more lookup costs does not depend on how many wait. A lookup that is
 * freed early runs on unseen and keeps its session's place until the resolver
 * returns.
 *
 * The blocking function is given by the caller: resolver_system in the
 * product; tests bring their own.
 */
#ifndef DIALER_RESOLVER_H
#define DIALER_RESOLVER_H

#include "egress/dialer/address.h"

#include <ev.h>

#define RESOLVER_PER_SESSION 8
#define RESOLVER_THREADS 256
/* At most, whatever resolv.conf says: for one server's answer, and rounds. */
#define RESOLVER_WAIT_S 2
#define RESOLVER_TRIES 2

struct resolver;
struct lookup;

/* Blocking, called in a thread of its own. host is absolute: no search list
 * applies. IPv6 and IPv4 take turns. ERR_NOT_FOUND: there is no such name, or
 * it has no address. ERR_UNAVAILABLE: the resolver gave no answer. */
typedef int
resolver_fn(const char *host, uint16_t port, struct address_list *out);
int resolver_system(const char *host, uint16_t port, struct address_list *out);

/* Before the jail: fixes the name services to hosts file and DNS, both
 * built into libc, so that nothing is loaded or asked over unix sockets. */
MUST_USE int resolver_prepare(void);

MUST_USE int
resolver_new(struct ev_loop *loop, resolver_fn *fn, struct resolver **out);

/* No lookup is left, not even an unwanted one. */
bool resolver_idle(const struct resolver *r);
/* When idle only: threads write into their lookups. NULL is fine. */
void resolver_free(struct resolver *r);

typedef void lookup_done(void *ctx, int err, const struct address_list *list);

/* done is called once from the loop, later; the lookup is gone then. */
MUST_USE int
lookup_new(struct resolver *r, const char *session, const char *host,
    uint16_t port, lookup_done *done, void *ctx, struct lookup **out);
/* No longer wanted: done will not be called. NULL is fine. */
void lookup_free(struct lookup *l);

#endif
