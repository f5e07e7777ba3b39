/* SPDX-License-Identifier: ISC */
/*
 * A bubblewrap sandbox for one command:
 *
 *	no network, no capabilities, no new user namespaces (but for
 *	--nested); own PIDs, IPC,
 *	host name; a seccomp filter (cli/sandbox_filter.h);
 *	/usr and the like read-only; of /etc a chosen list without secrets;
 *	/tmp, /var/tmp and /home/agent empty and its own; minimal /dev;
 *	never the host's /run, sockets, or Hatcheck's own state;
 *	the session's channel at /run/hatcheck, the agent beside it;
 *	the project read-write at its own path, but for cli/sandbox_guard.h
 *	and the sockets in it (cli/sandbox_sockets.h);
 *	a clean environment (cli/sandbox_env.h), no descriptor but 0 to 2.
 *
 * The first process in it is `hatcheck-guest run -- COMMAND`.
 */
#ifndef CLI_SANDBOX_H
#define CLI_SANDBOX_H

#include "cli/pty.h"
#include "cli/sandbox_guard.h"
#include "cli/sandbox_limits.h"
#include "cli/sandbox_sockets.h"

#include <sys/types.h>

#define SANDBOX_BINDS 32
#define SANDBOX_WORDS (256 * 1024) /* all of bwrap's options */
#define SANDBOX_AGENT "/run/hatcheck-guest"

struct sandbox {
	const char *project; /* resolved and checked, as all binds */
	struct sandbox_bind {
		char path[PATH_MAX];
		bool write;
		bool exposed;	    /* read-only, sockets and all */
		struct guard guard; /* of what is writable */
	} binds[SANDBOX_BINDS];
	size_t n_binds;
	struct sandbox_sockets sockets; /* found in the binds */
	struct sandbox_limits limits;
	bool nested;		/* it may make user namespaces */
	const char *channel;	/* directory on the host */
	const char *agent;	/* hatcheck-guest on the host */
	const char *const *env; /* K=V, checked */
	size_t n_env;
	const char *const *command; /* ends with NULL */
};

/* The fds that bwrap reads, close-on-exec here. */
struct sandbox_fds {
	int words, filter, info, passwd, group, hosts, nsswitch;
};

/* Append bwrap's options, NUL-ended each; all but the command. */
MUST_USE int sandbox_words(const struct sandbox *s, const struct sandbox_fds *f,
    char *const env[], struct buf *out);

struct sandbox_run {
	pid_t bwrap;
	int info; /* bwrap's --json-status-fd: "child-pid" of the agent, and
		   * "exit-code" when the command was begun and has ended */
};

/* Start it. pty may be without a terminal. */
int sandbox_start(const struct sandbox *s, const struct pty *pty,
    struct sandbox_run *run, struct cli_error *e)
    __attribute__((warn_unused_result));

#endif
