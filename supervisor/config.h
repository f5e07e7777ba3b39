/* SPDX-License-Identifier: ISC */
/*
 * config/hatcheckd.yaml, optional, strict (hatcheckd.yaml(5)):
 *
 *	admin_group: hatcheck   # may use admin.sock and vault.sock
 *	vsock:
 *	  port: 8377            # where guests over vsock find us
 *	child_depth: 3          # sub-agents of sub-agents, 0 (none) to 8
 *	restart:
 *	  crashes: 5            # of a session's processes, more than that ...
 *	  seconds: 60           # ... within this time, end the session
 *	proxy:                  # of this host, for all that goes out
 *	  url: http://proxy.example.com:3128
 *	  no_proxy: [intra.example.com, "*.lab.example.com"]
 *	limits:                 # of one guest: messages/bounds.h
 *	  connections: 256
 */
#ifndef SUPERVISOR_CONFIG_H
#define SUPERVISOR_CONFIG_H

#include "lib/buf.h"
#include "messages/bounds.h"
#include "supervisor/proxy.h"

#define CONFIG_GROUP_MAX 64
#define CONFIG_CRASHES_MAX 100
#define CONFIG_DEPTH_MAX 8

struct config {
	char admin_group[CONFIG_GROUP_MAX]; /* "": none */
	unsigned crashes, seconds;
	struct bounds limits;
	struct proxy proxy;
	uint32_t vsock_port;
	unsigned child_depth;
};

/* What holds without a file. */
struct config config_default(void);

/* No I/O. why: one sentence with the line. ERR_FORMAT leaves out alone. */
MUST_USE int
config_parse(struct span text, struct config *out, char *why, size_t size);

/* Read path; a file that does not exist gives the defaults. */
MUST_USE int
config_load(const char *path, struct config *out, char *why, size_t size);

#endif
