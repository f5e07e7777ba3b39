/* SPDX-License-Identifier: ISC */
/*
 * Keeps one session token fresh: renews it at two thirds of its life (less
 * some jitter), falls back to a new family when the old one is refused, and
 * backs off while the host is away. The blocking calls are made by a short
 * helper process, so that the bridge never waits:
 *
 *	keeper_start(&k, &channel);	  once, with or without a token
 *	poll keeper_fd(&k) for at most keeper_wait(&k) ms, then
 *	keeper_step(&k);
 *	token = keeper_token(&k);
 *
 * Time is CLOCK_BOOTTIME: a suspended guest's token ages too. The clock of
 * a guest that was put back to a snapshot does not know how much time is
 * gone: there the host's refusal of the token is what tells.
 */
#ifndef GUEST_KEEPER_H
#define GUEST_KEEPER_H

#include "guest-agent/api.h"

#include <sys/types.h>

struct keeper {
	const struct channel *channel;
	struct api_token token; /* empty text: never had one */
	long long since;	/* ms: when it was got */
	long long expires;	/* ms; 0: no token that may be used */
	long long next;		/* ms: when to ask again */
	long long pause;	/* ms: present backoff, 0 after success */
	bool renew;		/* ask for a successor, not a first token */
	bool narrow;		/* a sub-agent's: never ask for a first one */
	bool told;		/* the present failure was reported */
	bool refused;		/* the host's last answer was no */
	bool doubted;		/* the next is a doubted one's successor */
	bool successor;		/* and this one is */
	pid_t helper;		/* 0: none */
	int fd;			/* its answer, -1 none */
	size_t got;
	struct keeper_answer {
		enum api_result result;
		struct api_token token;
		struct api_why why;
	} answer;
};

long long keeper_now(void); /* ms of CLOCK_BOOTTIME */

/* first: a token that was just fetched, or NULL. */
void keeper_start(
    struct keeper *k, const struct channel *c, const struct api_token *first);
int keeper_fd(const struct keeper *k);
int keeper_wait(const struct keeper *k);
void keeper_step(struct keeper *k);
/* NULL: none yet, wait. An expired one is given when the host refuses to
 * make new ones: its gate then answers the client with the reason. */
const char *keeper_token(const struct keeper *k);
/* The host refused the token that was used at that time (keeper_now()).
 * True: another is there or being asked for. False: it has only just
 * replaced one that was refused, so asking again would not help. */
bool keeper_doubt(struct keeper *k, long long used);
/* End the helper, wipe. */
void keeper_stop(struct keeper *k);

#endif
