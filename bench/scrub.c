/* SPDX-License-Identifier: ISC */
/*
 * How fast the scrubber is: ten secrets of 40 bytes with all their forms,
 * bodies of one kind each, in the pieces in which the courier gets them.
 * Prints one JSON line per kind, with the best of some rounds.
 *
 *	scrub [MEGABYTES]		64 by default
 *
 * random	bytes of a compressed file or an image
 * json		an API's answer, with escapes
 * base64	of random bytes
 * percent	a form's body, each third character escaped
 * zeros	a sparse file
 * near		beginnings of the secrets' forms, one after the other, each
 *		cut short: nothing can be skipped
 * echo		a secret in each 16 KiB
 */
#include "egress/courier/scrub.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECRETS 10
#define SECRET_N 40
#define PIECE (16 * 1024) /* a TLS record */
#define ROUNDS 5

static uint8_t *body;
static size_t size;
static char secrets[SECRETS][SECRET_N + 1];

static uint64_t seed = 4711;

static unsigned
rnd(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static void
die(const char *what)
{
	(void)fprintf(stderr, "bench/scrub: %s\n", what);
	exit(1);
}

static struct scrub_set *
make_set(void)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789";
	struct scrub_set *set = NULL;
	struct keep *k = NULL;

	if (scrub_set_new(&set) != 0)
		die("no memory");
	for (size_t i = 0; i < SECRETS; i++) {
		memcpy(secrets[i], "sk-", 3);
		for (size_t c = 3; c < SECRET_N; c++)
			secrets[i][c] = abc[rnd(62)];
		if (keep_new(secrets[i], SECRET_N, &k) != 0 ||
		    scrub_set_add(set, k) != 0)
			die("no locked memory");
		keep_free(k);
	}
	if (scrub_set_seal(set) != 0)
		die("no memory");
	return set;
}

static size_t
put(size_t at, const void *p, size_t n)
{
	n = n < size - at ? n : size - at;
	memcpy(body + at, p, n);
	return at + n;
}

static void
fill_random(void)
{
	for (size_t i = 0; i < size; i++)
		body[i] = (uint8_t)rnd(256);
}

static void
fill_json(void)
{
	char line[512];

	for (size_t at = 0; at < size;) {
		int n = snprintf(line, sizeof(line),
		    "{\"id\":%u,\"url\":\"https:\\/\\/api.example.test\\/v1\\/"
		    "items\\/%u\",\"title\":\"The quick \\\"brown\\\" fox\","
		    "\"text\":\"jumps over\\nthe lazy dog \\u00e9\\u4e2d %u\","
		    "\"sha\":\"%08x%08x%08x%08x\",\"price\":%u.%02u,"
		    "\"tags\":[\"a\",\"b\",null,true]},\n",
		    rnd(1000000), rnd(1000000), rnd(1000), rnd(1u << 31),
		    rnd(1u << 31), rnd(1u << 31), rnd(1u << 31), rnd(1000),
		    rnd(100));
		at = put(at, line, (size_t)n);
	}
}

static void
fill_base64(void)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < size; i++)
		body[i] = (uint8_t)abc[rnd(64)];
}

static void
fill_percent(void)
{
	char three[4];

	for (size_t at = 0; at < size;) {
		uint8_t plain[2] = {
		    (uint8_t)('a' + rnd(26)), (uint8_t)('a' + rnd(26))};
		at = put(at, plain, 2);
		(void)snprintf(three, sizeof(three), "%%%02X", rnd(256));
		at = put(at, three, 3);
	}
}

static void
fill_zeros(void)
{
	memset(body, 0, size);
}

static void
fill_near(void)
{
	char text[3 * SECRET_N];

	for (size_t at = 0; at < size;) {
		const char *s = secrets[rnd(SECRETS)];
		size_t n = SECRET_N - 1;
		switch (rnd(3)) {
		case 0:
			memcpy(text, s, n);
			break;
		case 1:
			sodium_bin2hex(text, sizeof(text), (const uint8_t *)s,
			    SECRET_N - 1);
			n = 2 * (SECRET_N - 1);
			break;
		default:
			sodium_bin2base64(text, sizeof(text),
			    (const uint8_t *)s, SECRET_N,
			    sodium_base64_VARIANT_ORIGINAL);
			n = SECRET_N;
			break;
		}
		at = put(at, text, n);
	}
}

static void
fill_echo(void)
{
	fill_json();
	for (size_t at = 0; at + PIECE <= size; at += PIECE)
		(void)put(
		    at + rnd(PIECE - 100), secrets[rnd(SECRETS)], SECRET_N);
}

static double
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Seconds of CPU for one body, as the courier passes it. */
static double
pass(struct scrub_set *set, struct buf *out, size_t *passed)
{
	struct scrub *s = NULL;
	struct span lent;
	double began = now();

	*passed = 0;
	if (scrub_new(set, &s) != 0)
		die("no memory");
	for (size_t at = 0; at < size; at += PIECE) {
		buf_reset(out);
		if (scrub_run_lend(s, span_of(body + at, PIECE), &lent, out) !=
		    0)
			die("failed");
		*passed += lent.n + buf_len(out);
	}
	buf_reset(out);
	if (scrub_end(s, out) != 0)
		die("failed");
	*passed += buf_len(out);
	scrub_free(s);
	return now() - began;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fill)(void);
	} kinds[] = {{"random", fill_random}, {"json", fill_json},
	    {"base64", fill_base64}, {"percent", fill_percent},
	    {"zeros", fill_zeros}, {"near", fill_near}, {"echo", fill_echo}};
	struct buf *out = buf_new(4 * PIECE);

	size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) << 20;
	if (size == 0 || sodium_init() < 0 || out == NULL ||
	    (body = malloc(size)) == NULL)
		die("usage: scrub [MEGABYTES]");
	struct scrub_set *set = make_set();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		double best = 1e9;
		size_t passed = 0;
		kinds[i].fill();
		for (int round = 0; round < ROUNDS; round++) {
			double t = pass(set, out, &passed);
			best = t < best ? t : best;
		}
		if (passed != size)
			die("bytes were lost");
		(void)printf("{\"scrub\":\"%s\",\"secrets\":%d,"
			     "\"gb_per_s\":%.2f}\n",
		    kinds[i].name, SECRETS, (double)size / best / 1e9);
	}
	buf_free(out);
	scrub_set_free(set);
	free(body);
	return 0;
}
