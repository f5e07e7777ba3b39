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

/* *fd: the compiled filter, at its beginning, close-on-exec, for
 * bwrap --seccomp. */
MUST_USE int filter_open(int *fd);

#endif
