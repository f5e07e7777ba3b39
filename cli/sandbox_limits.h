/* SPDX-License-Identifier: ISC */
/*
 * What a sandboxed command may use of the machine, from --limit NAME=VALUE:
 *
 *	memory=SIZE	 data of each process (RLIMIT_DATA)
 *	processes=N	 processes and threads at once (RLIMIT_NPROC)
 *	cpu=TIME	 of each process (RLIMIT_CPU)
 *	file-size=SIZE	 of each file that is written (RLIMIT_FSIZE)
 *	open-files=N	 in each process (RLIMIT_NOFILE)
 *	tmp=SIZE	 what each of /tmp, /var/tmp and home may hold
 *
 * SIZE as in grants (10MiB), TIME too (90s, 2h). prlimit(1) sets them
 * within the sandbox, soft and hard alike, so that the count of processes
 * is the sandbox's own. The kernel does not count root's processes. They
 * are limits of processes, not of the sandbox as a whole.
 */
#ifndef CLI_SANDBOX_LIMITS_H
#define CLI_SANDBOX_LIMITS_H

#include "cli/cli.h"
#include "lib/buf.h"

#define SANDBOX_LIMITS 6

struct sandbox_limits {
	uint64_t tmp; /* bytes; 0: the kernel's default, half of memory */
	struct sandbox_limit {
		const char *option; /* prlimit's */
		char word[48];
	} of[SANDBOX_LIMITS];
	size_t n;
};

/* text: "NAME=VALUE". The last of a name counts. CLI_USAGE. */
int sandbox_limits_add(struct sandbox_limits *l, const char *text,
    struct cli_error *e) __attribute__((warn_unused_result));
/* Append bwrap's words for an empty directory of its own, NUL-ended each. */
MUST_USE int sandbox_limits_tmpfs(const struct sandbox_limits *l,
    const char *perms, const char *where, struct buf *out);

#endif
