/* SPDX-License-Identifier: ISC */
/*
 * Files and directories that decide something: owned by us (or root), not
 * writable by others, reached without following links, from trusted
 * parents, checked after opening.
 */
#ifndef LIB_SAFEFILE_H
#define LIB_SAFEFILE_H

#include "lib/buf.h"

/* Every directory from / to path: no symbolic link below a directory that
 * others can write, owner root or uid, not group- or world-writable unless
 * sticky. Creates missing last components with mode 0700 when make is
 * true. Returns an O_PATH-free directory fd in *fd. why says which
 * directory is wrong and how to mend it. */
MUST_USE int safefile_dir(
    const char *path, bool make, int *fd, char *why, size_t size);

/* Read a whole regular file of at most max bytes, owned by us or root, not
 * writable by others; secret: not readable by others either. */
MUST_USE int safefile_read(const char *path, size_t max, bool secret,
    struct buf *out, char *why, size_t size);

/* What SQLite opens beside the database at path are regular files or not
 * there: it would wait for a FIFO's other end for ever. */
MUST_USE int safefile_beside(const char *path, char *why, size_t size);

/* Replace a file atomically: temporary, fsync, rename, fsync directory.
 * Mode 0600. */
MUST_USE int safefile_write(
    int dirfd, const char *name, struct span content);

#endif
