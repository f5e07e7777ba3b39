/* SPDX-License-Identifier: ISC */
/*
 * Cover a directory so that no path of this mount namespace leads to what is
 * in it: wherever the same directory of the same file system is mounted, an
 * empty one is mounted over it, and files out of it are covered one by one.
 */
#ifndef GUEST_COVER_H
#define GUEST_COVER_H

#include <stddef.h>

/* In a mount namespace of our own. 0, or -1 with a sentence. */
int cover_directory(const char *dir, char *why, size_t size);
/* A fresh /proc at each place where there is one. */
int cover_proc(char *why, size_t size);

#endif
