/* SPDX-License-Identifier: ISC */
/*
 * The files that clients in the guest read: certificates, and what wget
 * needs. All public. In a directory that we alone can write (checked; made
 * with mode 0700).
 *
 *	ca.pem      the session's root alone, for clients that add it
 *	bundle.pem  the system's roots and it, for clients whose trust it is
 *	wgetrc      wget reads no variable for its CA file
 *	trust.jks   what is in bundle.pem, for Java
 *	port        of the bridge, for `env`
 */
#ifndef GUEST_FILES_H
#define GUEST_FILES_H

#include <stdbool.h>
#include <limits.h>

#define FILES_DIR (PATH_MAX - 32)

struct files {
	char dir[FILES_DIR];
	char root[PATH_MAX];
	char bundle[PATH_MAX];
	char wgetrc[PATH_MAX];
	char jks[PATH_MAX];
	char port[PATH_MAX];
	bool named; /* by its user, who knows whose it is */
};

/* The directory `serve` and `env` share: HATCHECK_GUEST_DIR (which `run`
 * sets for its command), XDG_RUNTIME_DIR/hatcheck-guest, or
 * /tmp/hatcheck-guest-UID. */
void files_find(struct files *f);
/* A fresh directory under TMPDIR or /tmp; status for failure. */
void files_fresh(struct files *f, int status);
/* Make the directory of files_find() if need be and check that nobody else
 * can write it; ends the program when not. */
void files_claim(struct files *f);
/* Write all from the session's root. */
void files_write(const struct files *f, const char *root, int port);
/* The port that was written, 0 when there is none, or when the directory is
 * one that others can write and its user did not name it: in /tmp anybody can
 * make it. */
int files_port(const struct files *f);
/* Remove what files_write() made, and the directory. */
void files_remove(const struct files *f);

/* Replace a file by a finished new one; 0, or -1 with errno. */
int files_replace(const char *path, const char *text);
/* The system's bundle and then root; for free(). */
char *files_bundle(const char *root);
/* root (one certificate, PEM) is in that file, or in the system's bundle. */
bool files_hold(const char *path, const char *root);
bool files_system_holds(const char *root);

#endif
