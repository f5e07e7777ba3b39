/* SPDX-License-Identifier: ISC */
/*
 * The verbs. main.c's one table names them all.
 */
#ifndef GUEST_VERBS_H
#define GUEST_VERBS_H

#include "guest-agent/allow.h"
#include "guest-agent/channel.h"

#include <stdbool.h>

#define SERVE_PORT 8377
#define SERVE_WAIT 300 /* seconds for a host that is not there yet */
#define RUN_WAIT 10
#define WAIT_MAX 86400

/* What was typed. */
struct options {
	struct channel channel;
	const char *port;  /* --port */
	const char *shell; /* --shell */
	const char *out;   /* --out */
	bool print_env;	   /* --print-env */
	bool bundle;	   /* --bundle */
	bool json;	   /* --json */
	int wait;	   /* --wait, seconds; -1: not said */
	const char *allow[ALLOW_MAX]; /* --allow, in order */
	int n_allow;
	const char *ttl; /* --ttl */
	const char *as;	 /* --as */
	char **words;	   /* the rest, NULL-terminated */
	int n_words;
};

/* Each answers the exit status. */
int verb_serve(const struct options *o);
int verb_run(const struct options *o);
int verb_token(const struct options *o);
int verb_env(const struct options *o);
int verb_ca(const struct options *o);
int verb_git_credential(const struct options *o);
int verb_api_key(const struct options *o);
int verb_status(const struct options *o);
int verb_doctor(const struct options *o);
int verb_trust(const struct options *o);
int verb_version(const struct options *o);

#endif
