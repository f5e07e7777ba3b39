/* SPDX-License-Identifier: ISC */
/*
 * One line per event to stderr (which the supervisor gave us):
 *
 *	2026-11-23T14:50:01.123Z courier[812] warn upstream_refused
 *	    session=s-abc host=api.demo.test err="not found"
 *
 * on one line. Foreign text goes through LOG_SPAN or LOG_STR only: it is
 * escaped (every byte outside printable ASCII, quote and backslash as \xNN)
 * and cut at 256 bytes. There is no way to pass a struct keep.
 *
 * Of lines below LOG_ERROR, which guests and siblings can cause as often as
 * they like, a process writes so many at once and then so many a second; how
 * many were left out is said before the next one.
 *
 *	log_event(LOG_WARN, "upstream_refused", LOG_STR("host", host),
 *	    LOG_INT("status", 502));
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "lib/span.h"

enum log_level { LOG_DEBUG_, LOG_INFO_, LOG_WARN_, LOG_ERROR_ };
#define LOG_INFO LOG_INFO_
#define LOG_WARN LOG_WARN_
#define LOG_ERROR LOG_ERROR_

struct log_item {
	const char *key;
	enum { LOG_KIND_INT, LOG_KIND_SPAN } kind;
	int64_t number;
	struct span text;
};

#define LOG_INT(k, v) ((struct log_item){(k), LOG_KIND_INT, (v), {0}})
#define LOG_SPAN(k, v) ((struct log_item){(k), LOG_KIND_SPAN, 0, (v)})
#define LOG_STR(k, v) LOG_SPAN((k), span_str(v))
#define LOG_ERR(v) LOG_STR("err", err_text(v))

#define LOG_BURST 10000
#define LOG_PER_SECOND 5

/* Once, at the start of main: the name that every line carries. */
void log_open(const char *process);
void log_items(enum log_level level, const char *event,
    const struct log_item *items, size_t n);
#define log_event(level, event, ...)                                           \
	log_items((level), (event), (const struct log_item[]){__VA_ARGS__},    \
	    sizeof((const struct log_item[]){__VA_ARGS__}) /                   \
		sizeof(struct log_item))

/* Escape s as the log does, NUL-terminated, cut to fit size. */
void log_escape(struct span s, char *out, size_t size);

/* Log event and what=…, then exit with status 1 (2 for a broken sibling).
 * Only main and the owners of links may call these. */
_Noreturn void log_fatal(const char *event, const char *why);

#endif
