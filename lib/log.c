/* SPDX-License-Identifier: ISC */
/* What for: the one log line format. Trusts: keys and events, which are
 * literals; never the text. At a bound: cuts the text, ends the line. */
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 256
#define LINE_MAX_ 4096
#define PACE_MS (1000 / LOG_PER_SECOND)

static const char *process_name = "hatcheck";

/* How far ahead of the time the lines are, and those that were left out.
 * Two threads that meet here lose count by one. */
static _Atomic int64_t paid_until_ms;
static _Atomic uint64_t left_out;

void
log_open(const char *process)
{
	process_name = process;
}

void
log_escape(struct span s, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t o = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
		if (o + (plain ? 1 : 4) >= size)
			break;
		if (plain) {
			out[o++] = (char)c;
			continue;
		}
		out[o++] = '\\';
		out[o++] = 'x';
		out[o++] = hex[c >> 4];
		out[o++] = hex[c & 15];
	}
	out[o] = '\0';
}

static size_t
put_time(char *line, size_t size)
{
	struct timespec t;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	size_t n = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(line + n, size - n, ".%03ldZ",
		       t.tv_nsec / 1000000);
}

static size_t
put_item(char *line, size_t size, const struct log_item *it)
{
	char text[TEXT_MAX + 1];
	int n;

	if (it->kind == LOG_KIND_INT) {
		n = snprintf(
		    line, size, " %s=%lld", it->key, (long long)it->number);
	} else {
		log_escape(it->text, text, sizeof(text));
		n = snprintf(line, size, " %s=\"%s\"", it->key, text);
	}
	return n < 0 ? 0 : (size_t)n >= size ? size - 1 : (size_t)n;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool
too_many(void)
{
	int64_t now = now_ms(), until = paid_until_ms;

	if (until < now)
		until = now;
	if (until - now >= LOG_BURST * PACE_MS) {
		left_out++;
		return true;
	}
	paid_until_ms = until + PACE_MS;
	return false;
}

static void
write_line(enum log_level level, const char *event,
    const struct log_item *items, size_t n)
{
	static const char *const levels[] = {"debug", "info", "warn", "error"};
	char line[LINE_MAX_];
	size_t at = put_time(line, sizeof(line));

	at += (size_t)snprintf(line + at, sizeof(line) - at, " %s[%d] %s %s",
	    process_name, (int)getpid(), levels[level], event);
	for (size_t i = 0; i < n && at < sizeof(line) - TEXT_MAX; i++)
		at += put_item(line + at, sizeof(line) - 1 - at, &items[i]);
	line[at++] = '\n';
	/* A log that cannot be written has nobody to be told. */
	if (write(STDERR_FILENO, line, at) < 0)
		return;
}

void
log_items(enum log_level level, const char *event,
    const struct log_item *items, size_t n)
{
	if (level < LOG_ERROR && too_many())
		return;
	if (left_out > 0) {
		struct log_item it = LOG_INT("lines", (int64_t)left_out);
		left_out = 0;
		write_line(LOG_WARN, "log_lines_left_out", &it, 1);
	}
	write_line(level, event, items, n);
}

void
log_fatal(const char *event, const char *why)
{
	log_event(LOG_ERROR, event, LOG_STR("why", why));
	exit(1);
}
