/* SPDX-License-Identifier: ISC */
/*
 * The seccomp filter of a sandboxed command, on top of its namespaces:
 * what an agent's tools never need and kernels have had bugs in, terminal
 * injection, and socket families that are not confined by a network
 * namespace (vsock above all). A refused call fails with EPERM.
 */
#ifndef CLI_SANDBOX_FILTER_H
#define CLI_SANDBOX_FILTER_H

#include "lib/err.h"

#include <stdbool.h>

/* nested: mount(2) and umount2(2) are let through, which need a capability
 * that only a new user namespace gives.
 * *fd: the compiled filter, at its beginning, close-on-exec, for
 * bwrap --seccomp. */
MUST_USE int filter_open(bool nested, int *fd);

#endif
