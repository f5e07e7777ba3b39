/* SPDX-License-Identifier: ISC */
/*
 * What of the host may be mounted into a sandbox. A bind even read-only
 * lets the guest read every file and connect to every socket below it, so
 * these are refused, themselves, whatever holds them, and whatever they
 * hold:
 *
 *	the home directory itself and all above it (also "/"); in it .ssh,
 *	.aws, .gnupg, .config/gh, keyrings, browser profiles and the like;
 *	Hatcheck's own configuration, state, sockets and logs;
 *	/run, /dev, /proc, /sys, /etc, /boot; /tmp and /home as a whole;
 *	sockets and devices; for writing also /usr, /bin, /lib...
 *
 * --expose says that the user means it, for reading only: then keys and
 * sockets of other programs' are let in, and no more than these. Hatcheck's
 * own state, a whole home, /dev, /proc and /sys never are.
 */
#ifndef CLI_SANDBOX_PLACES_H
#define CLI_SANDBOX_PLACES_H

#include "cli/cli.h"

#include <stdbool.h>

enum place_use { PLACE_READ, PLACE_WRITE, PLACE_EXPOSE };

/* Resolve links in path (which must exist) into out and judge that. what:
 * for messages ("--bind", "the project"). */
int places_check(const struct cli *cli, const char *what, const char *path,
    enum place_use use, char out[static PATH_MAX], struct cli_error *e)
    __attribute__((warn_unused_result));

/* The pure part. home may be NULL. path, home and own are resolved. NULL
 * when fine, else the reason as a clause ("it holds /home/u/.ssh"), in a
 * static buffer. */
const char *places_judge(const char *path, enum place_use use, const char *home,
    const char *const own[], size_t n_own);

#endif
