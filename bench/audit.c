/* SPDX-License-Identifier: ISC */
/*
 * What the audit log costs a request: two lines as the courier writes them
 * (request and done), in lib/chainlog.h. Prints one JSON line per kind, the
 * best of some rounds, in ns of one core per request.
 *
 *	audit DIR [REQUESTS]		100000 by default; the file is in DIR
 *
 * alone	each line written at once, one write() each: an idle courier
 * turn		8 requests in a turn of the loop: 16 lines in one write()
 * synced	as turn, with an fdatasync() each 25 ms as the courier's timer
 */
#include "lib/chainlog.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define TURN 8
#define SYNC_NS 25000000

static const char request[] =
    "\"event\":\"request\",\"time\":1790000000000,\"stream\":4711,"
    "\"family\":\"f-0123456789abcdefghij\",\"jti\":\"t-0123456789abcdefghij\","
    "\"way\":\"intercept\",\"method\":\"GET\",\"host\":\"api.example.com\","
    "\"port\":443,\"path\":\"/repos/acme/web/pulls?state=open\","
    "\"grant\":\"acme-read\",\"rule\":1,\"credential\":\"github\","
    "\"version\":3,\"decision\":\"allow\"";
static const char done[] =
    "\"event\":\"done\",\"time\":1790000000000,\"stream\":4711,"
    "\"family\":\"f-0123456789abcdefghij\",\"jti\":\"t-0123456789abcdefghij\","
    "\"way\":\"intercept\",\"method\":\"GET\",\"host\":\"api.example.com\","
    "\"port\":443,\"path\":\"/repos/acme/web/pulls?state=open\","
    "\"grant\":\"acme-read\",\"rule\":1,\"credential\":\"github\","
    "\"version\":3,\"status\":200,\"bytes_up\":0,\"bytes_down\":18233,"
    "\"ms\":41,\"address\":\"203.0.113.7\",\"how\":\"complete\"";

static uint64_t
now(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
must(int r)
{
	if (r == 0)
		return;
	fprintf(stderr, "audit: %s\n", err_text(r));
	exit(1);
}

static void
run(struct chainlog *c, unsigned n, unsigned turn, bool sync)
{
	uint64_t synced = now(CLOCK_MONOTONIC);

	for (unsigned i = 1; i <= n; i++) {
		must(chainlog_put(c, span_str(request)));
		if (turn == 1)
			must(chainlog_flush(c));
		must(chainlog_put(c, span_str(done)));
		if (i % turn == 0)
			must(chainlog_flush(c));
		if (sync && now(CLOCK_MONOTONIC) - synced >= SYNC_NS) {
			must(chainlog_sync(c));
			synced = now(CLOCK_MONOTONIC);
		}
	}
	must(chainlog_flush(c));
}

static void
measure(
    const char *kind, const char *path, unsigned n, unsigned turn, bool sync)
{
	uint64_t cpu = UINT64_MAX, wall = UINT64_MAX, bytes = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct chainlog *c;
		must(chainlog_open(
		    open(path,
			O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC,
			0600),
		    -1, "s-bench", &c));
		uint64_t w = now(CLOCK_MONOTONIC),
			 p = now(CLOCK_PROCESS_CPUTIME_ID);
		run(c, n, turn, sync);
		p = now(CLOCK_PROCESS_CPUTIME_ID) - p;
		w = now(CLOCK_MONOTONIC) - w;
		cpu = p < cpu ? p : cpu;
		wall = w < wall ? w : wall;
		bytes = chainlog_bytes(c);
		chainlog_free(c);
	}
	printf("{\"audit\":\"%s\",\"cpu_ns\":%llu,\"wall_ns\":%llu,"
	       "\"bytes\":%llu}\n",
	    kind, (unsigned long long)(cpu / n), (unsigned long long)(wall / n),
	    (unsigned long long)(bytes / n));
}

int
main(int argc, char **argv)
{
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 100000;
	char path[4096];

	if (argc < 2)
		return 2;
	(void)snprintf(path, sizeof(path), "%s/bench.jsonl", argv[1]);
	measure("alone", path, n, 1, false);
	measure("turn", path, n, TURN, false);
	measure("synced", path, n, TURN, true);
	unlink(path);
	return 0;
}
